// SPDX-License-Identifier: MIT
//
// callbacks.h - functions of the VM's that the real plugin calls: trace callbacks, the out-of-memory handler.
//
// Invariants  [check.callback.1] A callback of the VM gets the VM's context and the VM's thread block. One that is given twice is one
//             here too, so that the real plugin shares what it shares. [check.callback.2] A trace callback runs on one thread at a
//             time, though the checker calls it beside the heap's threads. [check.callback.3] While the VM's out-of-memory handler
//             runs, its thread runs: it may use the heap as any code of the VM's.
#ifndef ECHO_CHECK_CALLBACKS_H
#define ECHO_CHECK_CALLBACKS_H

#include "echo/heap.h"

#include <cstdint>
#include <mutex>
#include <vector>

namespace check {

class CheckedHeap;

class TraceCallback {
public:
  TraceCallback(echo_trace_fn function, void* context) : trace_(function), context_(context) {}
  TraceCallback(const TraceCallback&) = delete;
  TraceCallback& operator=(const TraceCallback&) = delete;

  bool is(echo_trace_fn function, const void* context) const {
    return trace_ == function && context_ == context;
  }
  // What the real plugin calls, with this as context.
  static void trace(void* self, echo_ref object, echo_visit_ref_fn visit, void* visitor);
  // What it visits of an object: in order, each once, no nulls.
  std::vector<std::uintptr_t> references_of(std::uintptr_t object);

private:
  const echo_trace_fn trace_;
  void* const context_;
  std::mutex one_at_a_time_;
};

class OutOfMemoryCallback {
public:
  OutOfMemoryCallback(CheckedHeap& heap, echo_out_of_memory_fn handler, void* context)
      : heap_(heap), handler_(handler), context_(context) {}
  bool is(echo_out_of_memory_fn handler, const void* context) const {
    return handler_ == handler && context_ == context;
  }
  static std::uint32_t ask(void* self, echo_thread* real, std::uint64_t bytes, std::uint32_t status);

private:
  CheckedHeap& heap_;
  const echo_out_of_memory_fn handler_;
  void* const context_;
};

} // namespace check

#endif // ECHO_CHECK_CALLBACKS_H
