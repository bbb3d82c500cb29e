// SPDX-License-Identifier: MIT
//
// checked_thread.h - the thread block that the VM gets: fast paths that are never taken, and behind them what the checker knows.
//
// Drawing     offset  0       8       16      24      32      40      48      56      60      64
//                     | cursor| limit | poll  |   anchor: sp, fp, pc  | VM    | state | phase | ...
//                     |   0   |   0   |   0   |                       | word  |       |   1   |
//
// Invariants  [check.level.1] Cursor, limit and poll word are 0 and the phase is 1 for ever: every allocation, store, weak load,
//             poll and native transition that follows the recipes is a call. [check.thread.1] Only the owner writes its block.
#ifndef ECHO_CHECK_CHECKED_THREAD_H
#define ECHO_CHECK_CHECKED_THREAD_H

#include "where.h"

#include "echo/heap.h"

#include <atomic>
#include <cstddef>
#include <pthread.h>
#include <unordered_map>
#include <vector>

namespace check {

class CheckedHeap;

enum : std::uint32_t { kManaged = 1, kNative = 2 };

struct CheckedThread {
  std::uint64_t cursor = 0, limit = 0, poll_word = 0;
  std::uint64_t anchor_sp = 0, anchor_fp = 0, anchor_pc = 0;
  void* vm_word = nullptr;
  std::uint32_t state = kManaged;
  std::uint8_t phase = 1;

  CheckedHeap* heap = nullptr;
  echo_thread* real = nullptr;
  pthread_t owner{};
  unsigned number = 0; // in order of attaching
  std::unordered_map<echo_handle, echo_ref> handles;
  struct Scope {
    echo_scope scope = 0;
    std::vector<echo_handle> handles;
  };
  std::vector<Scope> scopes;
  std::vector<std::uintptr_t> born; // since the last safepoint
  // Under the heap's mutex.
  bool is_running = false; // in the VM's code, managed
  bool is_late = false;    // and was told to be
  Site last_safepoint, last_call;

  static CheckedThread* of(echo_thread* thread) { return reinterpret_cast<CheckedThread*>(thread); }
  echo_thread* as_handle() { return reinterpret_cast<echo_thread*>(this); }
  bool is_owner() const { return pthread_equal(owner, pthread_self()) != 0; }
};
static_assert(offsetof(CheckedThread, phase) < 128, "[abi.recipe.4]");

} // namespace check

#endif // ECHO_CHECK_CHECKED_THREAD_H
