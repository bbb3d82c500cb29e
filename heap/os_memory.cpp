// SPDX-License-Identifier: MIT
//
// Purpose     Page calls for Linux: mmap, mprotect, madvise; the clocks; and the share of a processor that a thread gets.
#include "heap/os_memory.h"

#include "heap/words.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <link.h>
#include <sys/mman.h>
#include <sys/resource.h>

namespace echo::os {

namespace {

void* map_aligned(std::size_t bytes, std::size_t alignment, int protection) {
  std::uint64_t padded = 0;
  if (bytes == 0 || !is_aligned(bytes, kPageBytes) || !checked_add(bytes, alignment, &padded)) {
    return nullptr;
  }
  void* raw = ::mmap(nullptr, padded, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) {
    return nullptr;
  }
  const auto start = reinterpret_cast<Address>(raw);
  const Address aligned = round_up(start, alignment);
  const Address end = start + padded;
  if (aligned > start) {
    ::munmap(raw, aligned - start);
  }
  if (end > aligned + bytes) {
    ::munmap(reinterpret_cast<void*>(aligned + bytes), end - (aligned + bytes));
  }
  return reinterpret_cast<void*>(aligned);
}

std::uint64_t read_clock(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000000000u + static_cast<std::uint64_t>(now.tv_nsec);
}

// Where the dynamic loader has put this library.
struct Image {
  struct Segment {
    Address start = 0;
    std::size_t bytes = 0;
  };
  static constexpr std::size_t kMostBytes = std::size_t{4}
                                            << 20; // of a segment: a program may be linked with it
  std::array<Segment, 8> segments{};
  std::size_t count = 0;

  static int look(dl_phdr_info* object, std::size_t, void* self) {
    auto& image = *static_cast<Image*>(self);
    const auto inside = reinterpret_cast<Address>(&look);
    image.count = 0;
    bool is_own = false;
    for (std::size_t i = 0; i < object->dlpi_phnum; ++i) {
      const auto& header = object->dlpi_phdr[i];
      if (header.p_type == PT_LOAD && (header.p_flags & PF_R) != 0 && image.count < image.segments.size()) {
        const Address start = object->dlpi_addr + header.p_vaddr;
        is_own = is_own || inside - start < header.p_filesz;
        image.segments[image.count++] = {start, std::min<std::size_t>(header.p_filesz, kMostBytes)};
      }
    }
    return is_own ? 1 : 0;
  }
  Image() {
    if (::dl_iterate_phdr(look, this) == 0) {
      count = 0;
    }
  }
};

} // namespace

void* reserve(std::size_t bytes, std::size_t alignment) {
  return map_aligned(bytes, alignment, PROT_NONE);
}

void* map_zeroed(std::size_t bytes, std::size_t alignment) {
  return map_aligned(bytes, alignment, PROT_READ | PROT_WRITE);
}

bool commit(void* at, std::size_t bytes) {
  return ::mprotect(at, bytes, PROT_READ | PROT_WRITE) == 0;
}

bool discard(void* at, std::size_t bytes) {
  int result = 0;
  do {
    result = ::madvise(at, bytes, MADV_DONTNEED);
  } while (result != 0 && errno == EAGAIN);
  return result == 0;
}

bool populate(void* at, std::size_t bytes) {
  int result = 0;
  do {
    result = ::madvise(at, bytes, MADV_POPULATE_WRITE);
  } while (result != 0 && (errno == EAGAIN || errno == EINTR));
  return result == 0;
}

bool advise_huge(void* at, std::size_t bytes) {
  return ::madvise(at, bytes, MADV_HUGEPAGE) == 0;
}

bool wipe_on_fork(void* at, std::size_t bytes) {
  return ::madvise(at, bytes, MADV_WIPEONFORK) == 0;
}

void release(void* at, std::size_t bytes) {
  (void)::munmap(at, bytes);
}

// The values do not matter, so neither does who writes them at the same time.
#if defined(__clang__)
__attribute__((no_sanitize("address", "thread")))
#else
__attribute__((no_sanitize_address, no_sanitize_thread))
#endif
void touch(const void* at, std::size_t bytes) {
  const auto* const first = static_cast<const volatile unsigned char*>(at);
  for (std::size_t i = 0; i < bytes; i += kPageBytes) {
    (void)first[i];
  }
  if (bytes != 0) {
    (void)first[bytes - 1];
  }
}

void touch_own_image() {
  static const Image image;
  for (std::size_t i = 0; i < image.count; ++i) {
    touch(reinterpret_cast<const void*>(image.segments[i].start), image.segments[i].bytes);
  }
}

std::uint64_t monotonic_ns() {
  return read_clock(CLOCK_MONOTONIC);
}

std::uint64_t thread_cpu_ns() {
  return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

// Both are of the thread on Linux: 0 is the calling one.
int nice_value() {
  return ::getpriority(PRIO_PROCESS, 0);
}

void lower_priority(int steps) {
  (void)::setpriority(PRIO_PROCESS, 0, nice_value() + steps);
}

std::uint64_t cpu_ns_of(pthread_t thread) {
  clockid_t clock{};
  return ::pthread_getcpuclockid(thread, &clock) == 0 ? read_clock(clock) : 0;
}

} // namespace echo::os
