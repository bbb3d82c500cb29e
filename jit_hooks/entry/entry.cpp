/* SPDX-License-Identifier: MIT
 *
 * entry/entry.cpp - entering and leaving managed code. Invariants: entry.h.
 */
#include "entry/entry.h"

#include <exception>

#if defined(__SANITIZE_ADDRESS__)
#define ECHO_JIT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ECHO_JIT_ASAN 1
#endif
#endif

extern "C" {
void echo_jit_enter(echo::jit::EntryRecord* record);
[[noreturn]] void echo_jit_leave(void* frame);
extern const char echo_jit_entry_return[];
#ifdef ECHO_JIT_ASAN
void __asan_handle_no_return();
#endif
}

namespace echo::jit {
namespace {

/* A plain pointer: no destructor runs at thread exit, so the library may be unloaded before. */
constinit thread_local EntryRecord* innermost = nullptr;

/* Restores the anchor and the chain on every way out. [jit.entry.3] */
class ActiveEntry {
public:
  ActiveEntry(EntryRecord& record, const AnchorWords& anchor) : record_(record), anchor_(anchor) {
    record_.previous = anchor_.load();
    record_.outer = innermost;
    innermost = &record_;
  }
  ~ActiveEntry() {
    innermost = record_.outer;
    if (!anchor_stays_)
      anchor_.store(record_.previous);
  }
  void left_by_exception() { anchor_stays_ = record_.unguarded; }
  ActiveEntry(const ActiveEntry&) = delete;
  ActiveEntry& operator=(const ActiveEntry&) = delete;

private:
  EntryRecord& record_;
  const AnchorWords& anchor_;
  bool anchor_stays_ = false;
};

Outcome run(EntryRecord& record, const AnchorWords& anchor) {
  ActiveEntry active(record, anchor);
  try {
    echo_jit_enter(&record);
  } catch (const std::exception& error) {
    active.left_by_exception();
    return {ECHO_ABANDONED, std::string("a C++ exception left the managed code: ") + error.what()};
  } catch (...) {
    active.left_by_exception();
    return {ECHO_ABANDONED, "a C++ exception left the managed code"};
  }
  if (record.abandoned)
    return {record.error.code == ECHO_OK ? ECHO_ABANDONED : static_cast<echo_status>(record.error.code),
            record.error.message};
  return {};
}

} // namespace

uintptr_t entry_return_address() {
  return reinterpret_cast<uintptr_t>(echo_jit_entry_return);
}

Outcome enter(EntryRecord& record, const AnchorWords& anchor) {
  Outcome outcome = run(record, anchor);
  if (!outcome && !record.unguarded)
    anchor.poll_after_unwinding(); /* [jit.entry.5] */
  return outcome;
}

void abandon(const void* owner, echo_thread* thread, const echo_error* why) {
  EntryRecord* const record = innermost;
  if (record == nullptr || record->owner != owner || record->thread != thread)
    return;
  record->abandoned = true;
  if (why != nullptr)
    record->error = *why;
  else
    fill_error(&record->error, ECHO_ABANDONED, "the managed call was abandoned without a reason");
  record->error.message[sizeof(record->error.message) - 1] = '\0';
#ifdef ECHO_JIT_ASAN
  __asan_handle_no_return();
#endif
  echo_jit_leave(record->frame);
}

} // namespace echo::jit
