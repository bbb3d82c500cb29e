// SPDX-License-Identifier: MIT
//
// report.h - how the null plugin says what is wrong, and whether a thread may do what it asks for.
#ifndef ECHO_NULL_REPORT_H
#define ECHO_NULL_REPORT_H

#include "null_heap.h"

#include <cstdio>
#include <new>

namespace null_heap {

// Fills *why (may be null) and returns the status. [abi.error.1]
inline echo_status fail(echo_error* why, echo_status status, const std::string& sentence) {
  if (why != nullptr) {
    why->code = status;
    std::snprintf(why->message, sizeof why->message, "%s", sentence.c_str());
    for (char& c : why->message) // quoted input may hold anything
      if (c != '\0' && static_cast<unsigned char>(c) < 0x20)
        c = '?';
  }
  return status;
}

// Runs `body`, which returns a status, and turns exhausted memory into one. [abi.error.1]
template <typename Body> echo_status guarded(echo_error* why, Body body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return fail(why, ECHO_SYSTEM_MEMORY, "out of memory"); // short enough to need none
  }
}

// The same for echo_last_error.
inline echo_status remember(echo_thread* thread, echo_status status, const std::string& sentence) {
  return fail(&thread->last_error, status, sentence);
}

// True if the calling thread owns the block and is managed; else the reason is remembered. [abi.state.1]
inline bool may_touch(echo_thread* thread) {
  if (thread->owner != std::this_thread::get_id())
    return remember(thread, ECHO_WRONG_THREAD, "the block belongs to another thread"), false;
  if (thread->state.load(std::memory_order_relaxed) != State::managed)
    return remember(thread, ECHO_WRONG_STATE, "the thread is native"), false;
  return true;
}

// Takes over what a detached thread leaves: its objects and counts. Under the heap's mutex.
void retire(echo_heap* heap, echo_thread* thread);

} // namespace null_heap

#endif // ECHO_NULL_REPORT_H
