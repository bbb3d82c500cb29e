// SPDX-License-Identifier: MIT
//
// calls.h - what the forwarding functions share.
//
// Invariants  [check.forward.1] The checker has every function of the table: a new one does not compile until it is forwarded
//             (table.cpp). [check.forward.2] A call gives the VM what the real plugin gives; a mistake is told besides. Only calls
//             that would do harm go no further: cold paths on another thread.
#ifndef ECHO_CHECK_CALLS_H
#define ECHO_CHECK_CALLS_H

#include "checked_heap.h"

namespace check {

// The plugin that is checked; set once, before the table is handed out.
extern const echo_heap_api* real;

inline echo_heap* real_of(echo_heap* heap) {
  return heap == nullptr ? nullptr : CheckedHeap::of(heap)->real();
}
inline echo_thread* real_of(echo_thread* thread) {
  return thread == nullptr ? nullptr : CheckedThread::of(thread)->real;
}

// Where the real plugin looks for the youngest managed frame.
inline void publish_anchor(const CheckedThread& thread) {
  auto* const block = reinterpret_cast<char*>(thread.real);
  const echo_recipes& r = thread.heap->real_recipes();
  *reinterpret_cast<std::uint64_t*>(block + r.anchor_sp_offset) = thread.anchor_sp;
  *reinterpret_cast<std::uint64_t*>(block + r.anchor_fp_offset) = thread.anchor_fp;
  *reinterpret_cast<std::uint64_t*>(block + r.anchor_pc_offset) = thread.anchor_pc;
}

// Whether the calling thread is the block's; tells if not.
bool owns(const CheckedThread& thread, const char* function, const Site& site);
// Tells of statuses that are a VM's mistake.
echo_status judged(const CheckedThread* thread, echo_status status, const char* function, const Site& site);

// Around a call that may reach a safepoint, on a managed thread of one's own.
class Parked {
public:
  Parked(CheckedThread& thread, const Site& site) : thread_(thread), was_running_(thread.state == kManaged) {
    if (was_running_) {
      publish_anchor(thread);
      thread.heap->park(thread, site, true);
    }
  }
  ~Parked() {
    if (was_running_)
      thread_.heap->resume(thread_);
  }
  Parked(const Parked&) = delete;
  Parked& operator=(const Parked&) = delete;

private:
  CheckedThread& thread_;
  const bool was_running_;
};

// Runs call(real thread) at a safepoint. Null and foreign threads are the real plugin's to refuse.
template <class Call>
auto at_safepoint(echo_thread* thread, const char* function, const Site& site, Call call) {
  CheckedThread* const t = CheckedThread::of(thread);
  if (t == nullptr || !owns(*t, function, site))
    return call(real_of(thread));
  const Parked parked(*t, site);
  return call(t->real);
}

// The recipe set in which nothing is elided. [check.level.1]
void fill_recipes(const echo_recipes& of_real, echo_recipes* out);

// In the files of their concerns.
echo_ref allocate(echo_thread* thread, echo_layout_id layout, std::uint64_t length);
echo_status store(echo_thread* thread, echo_ref object, std::uint64_t offset, echo_ref value);
echo_status array_store(echo_thread* thread, echo_ref array, std::uint64_t index, echo_ref value);
echo_ref weak_load(echo_thread* thread, echo_ref object, std::uint64_t offset);
echo_ref resolve(echo_thread* thread, std::uintptr_t word);
std::uint64_t identity_hash(echo_thread* thread, echo_ref object);

echo_status attach(echo_heap* heap, echo_thread** out, echo_error* why);
echo_status detach(echo_thread* thread, echo_error* why);
echo_status enter_native(echo_thread* thread);
echo_status leave_native(echo_thread* thread);
echo_status enter_blocked(echo_thread* thread);
echo_status leave_blocked(echo_thread* thread);
void poll(echo_thread* thread);

echo_status scope_open(echo_thread* thread, echo_scope* out);
echo_status scope_close(echo_thread* thread, echo_scope scope);
echo_handle handle_new(echo_thread* thread, echo_ref object);
echo_ref handle_get(echo_thread* thread, echo_handle handle);
echo_status handle_set(echo_thread* thread, echo_handle handle, echo_ref object);
echo_status roots_add(echo_heap* heap, echo_ref* first, std::uint64_t count, echo_error* why);
echo_status roots_remove(echo_heap* heap, echo_ref* first, echo_error* why);
echo_status frame_source_set(echo_heap* heap, const echo_frame_source* source, echo_error* why);

echo_status persistent_new(echo_thread* thread, echo_ref object, echo_persistent* out, echo_error* why);
echo_status persistent_of(echo_thread* thread, echo_handle scoped, echo_persistent* out, echo_error* why);
echo_status persistent_copy(echo_heap* heap, echo_persistent from, echo_persistent* out, echo_error* why);
echo_ref persistent_get(echo_thread* thread, echo_persistent handle);
echo_status persistent_set(echo_thread* thread, echo_persistent handle, echo_ref object);
echo_status persistent_destroy(echo_heap* heap, echo_persistent handle, echo_error* why);
echo_status pin_object(echo_thread* thread, echo_ref object, echo_error* why);
echo_status unpin_object(echo_heap* heap, echo_ref object, echo_error* why);
echo_status roots_callback_add(echo_heap* heap, echo_roots_fn roots, void* context, echo_error* why);
echo_status roots_callback_remove(echo_heap* heap, echo_roots_fn roots, void* context, echo_error* why);
echo_status layout_register_traced(echo_heap* heap, const echo_layout* layout, echo_trace_fn trace,
                                   void* context, echo_layout_id* out, echo_error* why);
echo_status store_outside(echo_thread* thread, echo_ref* slot, echo_ref value);
echo_status walk_objects(echo_thread* thread, echo_walk* walk, echo_walk_fn visit, void* context,
                         echo_error* why);
echo_status external_memory(echo_heap* heap, std::int64_t delta, echo_error* why);
echo_status out_of_memory_set(echo_heap* heap, echo_out_of_memory_fn handler, void* context, echo_error* why);
echo_status listener_add(echo_heap* heap, std::uint64_t kinds, echo_listener_fn listener, void* context,
                         std::uint32_t* out, echo_error* why);
echo_status listener_remove(echo_heap* heap, std::uint32_t listener, echo_error* why);
echo_status histogram_export(echo_heap* heap, std::uint32_t histogram, std::uint32_t cause, char* buffer,
                             std::uint64_t* bytes, echo_error* why);
echo_status fork_prepare(echo_thread* thread, echo_error* why);
echo_status fork_parent(echo_thread* thread, echo_error* why);
echo_status fork_child(echo_thread* thread, echo_error* why);

} // namespace check

#endif // ECHO_CHECK_CALLS_H
