/* SPDX-License-Identifier: MIT
 *
 * entry/entry.h - calls from C++ into managed code: their records, nesting and abandonment.
 *
 * Purpose     Every active echo_jit_call has a record on its C++ stack, linked to the record of the call
 * around it on the same OS thread. The walker finds the anchor of the older managed frames in it;
 * echo_jit_abandon finds the frame to go back to. Invariants  [jit.entry.3] The thread's anchor words have
 * the same values before and after a call, however it ends. [jit.entry.4] Only the innermost record of an OS
 * thread may be abandoned: no frame of another call is dropped with it.
 *             [jit.entry.5] A call that ends by an exception or by abandonment polls once its anchor is back: the frames
 *             it dropped passed no return poll, so the watermark may lie among them. [roots.frames.1]
 */
#ifndef ECHO_JIT_ENTRY_H
#define ECHO_JIT_ENTRY_H

#include "arch/x86_64/entry_record.h"
#include "echo/frames.h"
#include "echo/recipes.h"
#include "outcome.h"

#include <cstddef>
#include <cstdint>

namespace echo::jit {

inline constexpr uint32_t kMaxArguments = 6;

/* The three anchor words of a thread block, at the recipes' offsets. */
class AnchorWords {
public:
  AnchorWords(echo_thread* thread, const echo_recipes& recipes) : thread_(thread), recipes_(&recipes) {}
  echo_frame_cursor load() const {
    return {*word(recipes_->anchor_sp_offset), *word(recipes_->anchor_fp_offset),
            *word(recipes_->anchor_pc_offset)};
  }
  /* After frames were dropped without running: older ones may lie above the watermark. [jit.entry.5] */
  void poll_after_unwinding() const {
    if (*word(recipes_->poll_offset) != ~uintptr_t{0})
      recipes_->poll_cold(thread_);
  }
  void store(const echo_frame_cursor& anchor) const {
    *word(recipes_->anchor_sp_offset) = anchor.sp;
    *word(recipes_->anchor_fp_offset) = anchor.fp;
    *word(recipes_->anchor_pc_offset) = anchor.pc;
  }

private:
  uintptr_t* word(uint32_t offset) const {
    return reinterpret_cast<uintptr_t*>(reinterpret_cast<char*>(thread_) + offset);
  }
  echo_thread* thread_;
  const echo_recipes* recipes_;
};

struct EntryRecord {
  echo_thread* thread = nullptr; /* read by the stub */
  void* function = nullptr;      /* read by the stub */
  uint64_t arguments[kMaxArguments] = {};
  uint64_t result = 0;          /* written by the stub */
  void* frame = nullptr;        /* written by the stub: its frame pointer */
  const void* owner = nullptr;  /* the JIT */
  EntryRecord* outer = nullptr; /* the call around this one on the OS thread */
  echo_frame_cursor previous{}; /* the anchor when the call began: the next older managed frame */
  bool abandoned = false;
  bool unguarded = false; /* test only: an exception does not restore the anchor */
  echo_error error{};
};

static_assert(offsetof(EntryRecord, thread) == ECHO_ENTRY_THREAD);
static_assert(offsetof(EntryRecord, function) == ECHO_ENTRY_FUNCTION);
static_assert(offsetof(EntryRecord, arguments) == ECHO_ENTRY_ARGUMENTS);
static_assert(offsetof(EntryRecord, result) == ECHO_ENTRY_RESULT);
static_assert(offsetof(EntryRecord, frame) == ECHO_ENTRY_FRAME);

/* Runs record.function; `record` has its thread, function, arguments and owner set. */
Outcome enter(EntryRecord& record, const AnchorWords& anchor);

/* Leaves the innermost call if it is one of `owner` on `thread`; else returns. */
void abandon(const void* owner, echo_thread* thread, const echo_error* why);

/* The record of the entry frame with frame pointer `fp`. */
inline const EntryRecord* record_of_entry_frame(uintptr_t fp) {
  return *reinterpret_cast<const EntryRecord* const*>(fp + ECHO_ENTRY_FRAME_RECORD);
}
/* The return address that marks an entry frame. [jit.entry.1] */
uintptr_t entry_return_address();

} // namespace echo::jit

#endif // ECHO_JIT_ENTRY_H
