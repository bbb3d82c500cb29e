// SPDX-License-Identifier: MIT
#include "literals.h"

#include "failure.h"
#include "functions.h"
#include "state.h"

#include <dlfcn.h>
#include <link.h>

#include <cstring>
#include <new>

namespace echo::runtime {

Literals::Added Literals::add(std::uint64_t address, std::uint64_t bytes) {
  if (address == 0) {
    return Added::Null;
  }
  if (bytes > ~std::uint64_t{0} - address) {
    return Added::Wraps;
  }
  const auto next = registered_.upper_bound(address);
  auto here = registered_.end();
  if (next != registered_.begin()) {
    const auto before = std::prev(next);
    if (before->first == address) {
      here = before;
    } else if (before->first + before->second.bytes > address) {
      return Added::Overlaps;
    }
  }
  if (bytes != 0 && ((next != registered_.end() && next->first < address + bytes) ||
                     (here != registered_.end() && here->second.has_bytes()))) {
    return Added::Overlaps;
  }
  if (here == registered_.end()) {
    here = registered_.try_emplace(next, address);
  }
  recent_.fill({});
  if (bytes == 0) {
    ++here->second.empties;
  } else {
    here->second.bytes = bytes;
  }
  return Added::Ok;
}

bool Literals::remove(std::uint64_t address) {
  const auto here = registered_.find(address);
  if (here == registered_.end()) {
    return false;
  }
  Entry& entry = here->second;
  if (entry.has_bytes()) {
    entry.bytes = 0;
  } else {
    --entry.empties;
  }
  if (!entry.has_bytes() && entry.empties == 0) {
    registered_.erase(here);
  }
  recent_.fill({});
  return true;
}

std::int64_t Literals::in_registered(std::uint64_t address) const {
  const auto next = registered_.upper_bound(address);
  if (next == registered_.begin()) {
    return -1;
  }
  const auto& [start, entry] = *std::prev(next);
  if (address == start) {
    return static_cast<std::int64_t>(entry.bytes); // 0 if only an empty one lies here
  }
  return address - start < entry.bytes ? static_cast<std::int64_t>(entry.bytes - (address - start)) : -1;
}

// A symbol without a size says nothing about the bytes behind it.
std::int64_t Literals::in_symbols(std::uint64_t address) {
  Dl_info info{};
  void* extra = nullptr;
  if (::dladdr1(reinterpret_cast<void*>(address), &info, &extra, RTLD_DL_SYMENT) == 0 || extra == nullptr ||
      info.dli_saddr == nullptr) {
    return -1;
  }
  const std::uint64_t start = as_word(info.dli_saddr), size = static_cast<const ElfW(Sym)*>(extra)->st_size;
  return address >= start && address - start < size ? static_cast<std::int64_t>(size - (address - start))
                                                    : -1;
}

std::int64_t Literals::find(std::uint64_t address) {
  const std::int64_t room = look_up(address);
  if (room >= 0) {
    recent_of(address) = {address, room};
  }
  return room;
}

std::int64_t Literals::look_up(std::uint64_t address) {
  if (const std::int64_t room = in_registered(address); room >= 0) {
    return room;
  }
  if (const auto found = symbols_.find(address); found != symbols_.end()) {
    return found->second;
  }
  const std::int64_t room = in_symbols(address);
  if (room >= 0) {
    try {
      symbols_.emplace(address, room);
    } catch (const std::bad_alloc&) {
      // It is only slower the next time.
    }
  }
  return room;
}

} // namespace echo::runtime

using namespace echo::runtime;

// What arch/*/three_words.S calls: the three words of runtime_char_ptr_to_string(literal).
extern "C" [[gnu::visibility("hidden")]] void echo_runtime_literal(void* literal, Text* out) {
  constexpr const char* kFunction = "runtime_char_ptr_to_string";
  echo_runtime& runtime = here(kFunction);
  if (literal == nullptr) {
    *out = {nullptr, 0, 0};
    return;
  }
  const std::int64_t room = runtime.literals.room_at(as_word(literal));
  if (room < 0) {
    fail(&runtime, kFunction, ECHO_INVALID_ARGUMENT,
         "no literal is registered at %p, and no dynamic symbol with a size lies there", literal);
  }
  auto* const text = static_cast<char*>(literal);
  const auto length = static_cast<std::int64_t>(::strnlen(text, static_cast<std::size_t>(room)));
  *out = {text, length, length};
}

extern "C" {

echo_status echo_runtime_literals_add(echo_runtime* runtime, const void* address, uint64_t bytes,
                                      echo_error* why) {
  if (runtime == nullptr) {
    return report(why, ECHO_INVALID_ARGUMENT, "runtime is null");
  }
  try {
    switch (runtime->literals.add(as_word(address), bytes)) {
    case Literals::Added::Ok:
      return ECHO_OK;
    case Literals::Added::Null:
      return report(why, ECHO_INVALID_ARGUMENT, "the address of the literal is null");
    case Literals::Added::Wraps:
      return report(why, ECHO_INVALID_ARGUMENT,
                    "a literal of %llu bytes at %p passes the end of the address space",
                    static_cast<unsigned long long>(bytes), address);
    case Literals::Added::Overlaps:
      return report(why, ECHO_INVALID_ARGUMENT,
                    "the literal of %llu bytes at %p overlaps one that is registered",
                    static_cast<unsigned long long>(bytes), address);
    }
  } catch (const std::bad_alloc&) {
  }
  return report(why, ECHO_SYSTEM_MEMORY, "no native memory for another literal");
}

echo_status echo_runtime_literals_remove(echo_runtime* runtime, const void* address, echo_error* why) {
  if (runtime == nullptr) {
    return report(why, ECHO_INVALID_ARGUMENT, "runtime is null");
  }
  return runtime->literals.remove(as_word(address))
             ? ECHO_OK
             : report(why, ECHO_INVALID_ARGUMENT, "no literal is registered at %p", address);
}

} // extern "C"
