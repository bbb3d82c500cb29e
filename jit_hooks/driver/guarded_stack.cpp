/* SPDX-License-Identifier: MIT
 *
 * guarded_stack.cpp - see guarded_stack.h.
 */
#include "guarded_stack.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

#include "sizes.h"
#include "words.h"

namespace echo::run {

namespace {
std::size_t page_bytes() {
  return static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

Failure no_memory(uint64_t bytes) {
  return {ECHO_SYSTEM_MEMORY, "the system refused a stack of " + size_option(bytes) + " (" +
                                  std::strerror(errno) + "), for a program thread, give a smaller " +
                                  words.stack};
}
} // namespace

Failure convert_stack(const std::string& text, const char* option, uint64_t& out) {
  const std::optional<uint64_t> bytes = parse_size(text);
  if (!bytes || *bytes < stack_least || *bytes > stack_most)
    return {ECHO_BAD_OPTION_VALUE, "'" + text + "' is no stack size, in " + option + ", give " +
                                       size_option(stack_least) + " to " + size_option(stack_most) +
                                       ", e.g. " + option + "=" + size_option(stack_default)};
  out = *bytes;
  return {};
}

Failure GuardedStack::create(uint64_t bytes, GuardedStack& out) {
  constexpr uint64_t most = uint64_t{1}
                            << 46; /* half the address space of x86-64: the sums below cannot overflow */
  if (bytes == 0 || bytes > most) {
    errno = EINVAL;
    return no_memory(bytes);
  }
  const std::size_t page = page_bytes();
  const std::size_t stack = (static_cast<std::size_t>(bytes) + page - 1) / page * page;
  const std::size_t total = guard_bytes + stack + page + signal_stack_bytes;
  void* const mapping =
      mmap(nullptr, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (mapping == MAP_FAILED)
    return no_memory(bytes);
  GuardedStack made;
  made.mapping_ = mapping;
  made.mapping_bytes_ = total;
  made.base_ = static_cast<char*>(mapping) + guard_bytes;
  made.bytes_ = stack;
  const std::string text = size_option(bytes);
  std::memcpy(made.size_text_, text.c_str(), std::min(text.size() + 1, sizeof made.size_text_ - 1));
  if (mprotect(made.base_, stack, PROT_READ | PROT_WRITE) != 0 ||
      mprotect(made.signal_stack(), signal_stack_bytes, PROT_READ | PROT_WRITE) != 0)
    return no_memory(bytes);
  out = std::move(made);
  return {};
}

GuardedStack::~GuardedStack() {
  if (mapping_ != nullptr)
    munmap(mapping_, mapping_bytes_);
}

void* GuardedStack::signal_stack() const {
  return static_cast<char*>(mapping_) + (mapping_bytes_ - signal_stack_bytes);
}

bool GuardedStack::guards(const void* address) const {
  const auto at = reinterpret_cast<uintptr_t>(address);
  const auto stack = reinterpret_cast<uintptr_t>(base_);
  return base_ != nullptr && at < stack && stack - at <= guard_bytes;
}

void GuardedStack::swap(GuardedStack& other) noexcept {
  std::swap(mapping_, other.mapping_);
  std::swap(mapping_bytes_, other.mapping_bytes_);
  std::swap(base_, other.base_);
  std::swap(bytes_, other.bytes_);
  std::swap(size_text_, other.size_text_);
}

} // namespace echo::run
