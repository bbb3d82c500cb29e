// SPDX-License-Identifier: MIT
//
// Purpose     See options_file.h.
#include "vm_iface/src/options_file.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace echo {

namespace {

class Descriptor {
public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) {
      ::close(number_);
    }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

private:
  int number_;
};

// Fills `text` with at most one byte more than is allowed; false with errno.
bool read_all(int file, std::string* text) {
  text->resize(kMaxOptionsFile + 1);
  std::size_t filled = 0;
  while (filled < text->size()) {
    const ssize_t got = ::read(file, text->data() + filled, text->size() - filled);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return false;
    }
    if (got == 0) {
      break;
    }
    filled += static_cast<std::size_t>(got);
  }
  text->resize(filled);
  return true;
}

} // namespace

std::string quoted_path(std::string_view path) {
  constexpr std::size_t kShown = 200;
  std::string shown(path.size() > kShown ? path.substr(path.size() - kShown) : path);
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      c = '?';
    }
  }
  return (path.size() > kShown ? "'..." : "'") + shown + "'";
}

echo_status read_options_file(std::string_view path, std::string* text, std::string* why) {
  const std::string named = "the options file " + quoted_path(path);
  if (path.empty()) {
    *why = "option 'file' has the value '': expected the path of a regular file of at most 64k";
    return ECHO_BAD_OPTION_VALUE;
  }
  if (::getauxval(AT_SECURE) != 0) {
    *why =
        named + " is not read: a set-user-ID or set-group-ID process takes options from its own program only";
    return ECHO_WRONG_STATE;
  }
  const auto system_refused = [&](const char* what) {
    *why = named + " cannot be " + what + ": " + std::system_category().message(errno);
    return ECHO_IO_ERROR;
  };
  const Descriptor file(::open(std::string(path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status{};
  if (file.number() < 0 || ::fstat(file.number(), &status) != 0) {
    return system_refused("opened");
  }
  if (!S_ISREG(status.st_mode)) {
    *why = named + " is no regular file";
    return ECHO_BAD_OPTION_VALUE;
  }
  if (!read_all(file.number(), text)) {
    return system_refused("read");
  }
  if (text->size() > kMaxOptionsFile) {
    *why = named + " is longer than " + std::to_string(kMaxOptionsFile) + " bytes";
    return ECHO_BAD_OPTION_VALUE;
  }
  return ECHO_OK;
}

} // namespace echo
