// SPDX-License-Identifier: MIT
//
// Purpose     Tells a process that it is the child of the one that made the heap.
// Algorithm   A page that the kernel wipes in a child (Linux 4.14): it holds 1 where the heap belongs.
// Invariants  [fork.stranger.1] is_stranger() is true in a child until adopt().
#pragma once

#include "heap/os_memory.h"
#include "heap/words.h"

#include <cstdint>

namespace echo {

class ForkGuard {
public:
  ForkGuard() = default;
  ~ForkGuard() {
    if (page_ != nullptr) {
      os::release(page_, kPageBytes);
    }
  }
  ForkGuard(const ForkGuard&) = delete;
  ForkGuard& operator=(const ForkGuard&) = delete;
  // False if the system refused a page. A kernel that does not wipe leaves children unnoticed.
  bool open() {
    page_ = static_cast<std::uint64_t*>(os::map_zeroed(kPageBytes, kPageBytes));
    if (page_ != nullptr) {
      (void)os::wipe_on_fork(page_, kPageBytes);
      adopt();
    }
    return page_ != nullptr;
  }
  // One load; any thread.
  bool is_stranger() const { return page_ != nullptr && __atomic_load_n(page_, __ATOMIC_RELAXED) == 0; }
  void adopt() { __atomic_store_n(page_, 1, __ATOMIC_RELAXED); }

private:
  std::uint64_t* page_ = nullptr;
};

} // namespace echo
