// SPDX-License-Identifier: MIT
//
// Purpose     One attached thread: its block, which emitted code addresses, and what belongs to it beside
//             that.
// Invariants  [abi.thread.1] The address is stable from attach to detach; an echo_thread* is the block's
//             address. [alloc.inline.1] While inline allocation is on, block.cursor is the current span's, and so is
//             block.limit, or it lies before that [assist.window.1]; the cold path takes the cursor back before it looks at
//             the span. Off (stress): both are 0.
#pragma once

#include "barriers/store_barrier.h"
#include "echo/heap.h"
#include "gc/finalizer_queue.h"
#include "gc/handles.h"
#include "gc/machine_stack.h"
#include "gc/run_queue.h"
#include "gc/utilisation.h"
#include "gc/watermark.h"
#include "heap/run_allocator.h"
#include "heap/thread_block.h"

#include <atomic>
#include <memory>
#include <pthread.h>

namespace echo {

class Collector;

// What is left to visit of the roots that a thread had when the mark started. [roots.frames.4] [handles.trace.1]
struct RootsToTrace {
  std::atomic<std::uint64_t> mark{0}; // the last one whose start was noticed; written after the others
  std::atomic<bool> frames{false}; // some are not visited; a thread that wants to run reads it beside a stop
  HandleStack::Trace handles;      // by whoever marks
  std::atomic<unsigned> parts{0};  // of the two that are not done
};

struct alignas(kCacheLine) Mutator : ThreadBlock {
  Mutator(Collector& owner, SlabSupply& supply, bool inline_allocation)
      : collector(owner), allocator(supply), os_thread(::pthread_self()),
        allocates_inline(inline_allocation) {
    self = this;
    barrier.log.set_owner(this);
  }

  echo_thread* as_handle() { return reinterpret_cast<echo_thread*>(static_cast<ThreadBlock*>(this)); }
  static Mutator* from(echo_thread* thread) {
    return static_cast<Mutator*>(reinterpret_cast<ThreadBlock*>(thread));
  }
  static const Mutator* from(const echo_thread* thread) {
    return static_cast<const Mutator*>(reinterpret_cast<const ThreadBlock*>(thread));
  }

  // [alloc.inline.1]
  void take_back_span() {
    if (allocates_inline) {
      allocator.current().cursor = cursor;
    }
  }
  void lend_span() {
    if (allocates_inline) {
      const Span& span = allocator.current();
      cursor = lent_from = span.cursor;
      limit = window != 0 && span.limit - span.cursor > window ? span.cursor + window : span.limit;
    }
  }
  void retire_memory() {
    take_back_span();
    allocator.retire();
    lend_span();
  }
  // The state in which it waits inside the heap. [stack.rest.1]
  ThreadState state_at_rest() const { return stack == nullptr ? ThreadState::Native : ThreadState::Captured; }
  // What the poll word holds while no stop is asked for: 0 while frames wait for their visit, so that each poll visits some.
  std::uint64_t idle_poll_word() const { return to_trace.frames ? 0 : watermark.word(); }
  // Where a walk of its managed frames begins.
  echo_frame_cursor anchor() const { return {anchor_sp, anchor_fp, anchor_pc}; }
  bool is_current_thread() const { return ::pthread_equal(os_thread, ::pthread_self()) != 0; }

  Collector& collector;
  RunAllocator allocator;
  BarrierState barrier;
  HandleStack handles;
  FinalizableBlock* finalizable =
      nullptr; // what it allocated of finalizable layouts: handed over when it is retired
  // Of the managed frames: written in stops, by the thread itself, and by the collector while the thread is not active.
  Watermark watermark;
  RootsToTrace to_trace;
  bool has_run = false; // since the last mark started: written in stops
  std::atomic<bool> is_active{
      false}; // [stop.active.1]: set by its thread, cleared in stops, under the registry lock
  // gc/run_permits.h. The flags: under the lock over permits, read by the thread itself.
  std::atomic<bool> has_permit{false};
  std::atomic<bool> gives_up{false}; // it was asked to, at its next poll
  std::atomic<bool> resumes{
      false}; // on its way to managed: a permit that it has is not taken [permit.resume.1]
  std::uint64_t permit_since_ns = 0;
  std::uint64_t permit_wait_ns = 0; // of the hold that is on
  std::uint64_t seen_idle_ns = 0;   // likewise: when it saw that the stop it waited for was over
  RunQueue run_queue;               // opened by its thread
  Utilisation utilisation;
  std::unique_ptr<MachineStack>
      stack; // of a thread whose stack is ambiguous: changed by the managed thread itself
  echo_error last_error{};
  const pthread_t os_thread;
  const bool allocates_inline;
  // Of a mark beside the program: what this thread owes to it (fractions of an edge), how much of its span it is lent at a
  // time (0: all of it), and the cursor up to which it has been charged. (gc/assist.cpp)
  std::uint64_t owed = 0;
  std::uint64_t window = 0;
  Address lent_from = 0;
  std::uint64_t since_wait = 0;       // bytes allocated while a cycle ends [assist.end.1]
  std::uint64_t allocations_seen = 0; // cold allocations: for stress_collect
  std::uint64_t cold_allocations = 0;
  std::uint64_t cold_polls = 0;
  bool forks = false;              // it has prepared a fork
  bool asks_for_memory = false;    // the VM's out-of-memory handler is running
  std::uint64_t objects_large = 0; // allocated by this thread, not in any span
  std::uint64_t bytes_large = 0;
};

} // namespace echo
