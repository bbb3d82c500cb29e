/* SPDX-License-Identifier: MIT
 *
 * descriptor_io.cpp - see descriptor_io.h.
 */
#include "descriptor_io.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace echo::run {

int Descriptor::close() {
  const int number = std::exchange(number_, -1);
  return number >= 0 && ::close(number) != 0 ? errno : 0;
}

int write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written > 0)
      bytes.remove_prefix(static_cast<std::size_t>(written));
    else if (written == 0)
      return EIO;
    else if (errno != EINTR)
      return errno;
  }
  return 0;
}

Failure read_file(const std::string& path, uint64_t limit, std::string& out) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.open())
    return {ECHO_IO_ERROR,
            "cannot open '" + path + "' (" + std::strerror(errno) + "), give the path of a .ll or .bc file"};
  struct stat info{};
  if (::fstat(file.number(), &info) == 0) {
    if (S_ISDIR(info.st_mode))
      return {ECHO_IO_ERROR, "'" + path + "' is a directory, give the path of a .ll or .bc file"};
    if (S_ISREG(info.st_mode))
      out.reserve(static_cast<std::size_t>(std::min<uint64_t>(static_cast<uint64_t>(info.st_size), limit)));
  }
  char buffer[1 << 16];
  for (;;) {
    const ssize_t got = ::read(file.number(), buffer, sizeof buffer);
    if (got == 0)
      return {};
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return {ECHO_IO_ERROR, "cannot read '" + path + "' (" + std::strerror(errno) + "), check the file"};
    if (out.size() + static_cast<std::size_t>(got) > limit)
      return {ECHO_LIMIT_EXCEEDED, "'" + path + "' is longer than " + std::to_string(limit) +
                                       " bytes, split the program into smaller modules"};
    out.append(buffer, static_cast<std::size_t>(got));
  }
}

} // namespace echo::run
