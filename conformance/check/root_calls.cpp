// SPDX-License-Identifier: MIT
//
// root_calls.cpp - handles, root words, frames.
#include "calls.h"

#include <algorithm>

namespace check {

namespace {

// Whether the thread may touch its handles; the real plugin refuses if not.
bool is_mine(const CheckedThread* t, const char* function, const Site& site) {
  return t != nullptr && owns(*t, function, site) && t->state == kManaged;
}

bool knows(CheckedThread& t, echo_handle handle, const char* function, const Site& site) {
  t.heap->called(t, site);
  if (t.handles.contains(handle))
    return true;
  t.heap->report().add(
      Mistake::HANDLE_MISUSE,
      std::string(function) + " is given a handle whose scope is closed, or of another thread", site);
  return false;
}

// The real plugin's calls name its own thread.
echo_status walk(void* context, echo_thread* thread, echo_frame_cursor* cursor, std::uint32_t most,
                 std::uint32_t* visited, echo_visit_slot_fn visit, void* visitor, echo_error* why) {
  auto& heap = *static_cast<CheckedHeap*>(context);
  CheckedThread* const mine = heap.thread_of(thread);
  const echo_frame_source& source = heap.source();
  return source.walk(source.context, mine == nullptr ? nullptr : mine->as_handle(), cursor, most, visited,
                     visit, visitor, why);
}

} // namespace

echo_status scope_open(echo_thread* thread, echo_scope* out) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread* const t = CheckedThread::of(thread);
  const bool mine = is_mine(t, "echo_scope_open", site);
  const echo_status status = judged(t, real->scope_open(real_of(thread), out), "echo_scope_open", site);
  if (mine && status == ECHO_OK)
    t->scopes.push_back({*out, {}});
  return status;
}

echo_status scope_close(echo_thread* thread, echo_scope scope) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread* const t = CheckedThread::of(thread);
  const bool mine = is_mine(t, "echo_scope_close", site);
  const echo_status status = judged(t, real->scope_close(real_of(thread), scope), "echo_scope_close", site);
  if (mine && status == ECHO_OK && !t->scopes.empty()) {
    for (const echo_handle handle : t->scopes.back().handles)
      t->handles.erase(handle);
    t->scopes.pop_back();
  }
  return status;
}

echo_handle handle_new(echo_thread* thread, echo_ref object) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread* const t = CheckedThread::of(thread);
  const bool mine = is_mine(t, "echo_handle_new", site);
  if (mine && t->scopes.empty())
    t->heap->report().add(Mistake::HANDLE_MISUSE, "echo_handle_new is called while no scope is open", site);
  if (mine)
    (void)t->heap->uses(*t, object, "the object of a new handle", site);
  const echo_handle handle = real->handle_new(real_of(thread), object);
  if (mine && handle != nullptr && !t->scopes.empty()) {
    t->handles[handle] = object;
    t->scopes.back().handles.push_back(handle);
  }
  return handle;
}

echo_ref handle_get(echo_thread* thread, echo_handle handle) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread* const t = CheckedThread::of(thread);
  if (is_mine(t, "echo_handle_get", site))
    (void)knows(*t, handle, "echo_handle_get", site);
  return real->handle_get(real_of(thread), handle);
}

echo_status handle_set(echo_thread* thread, echo_handle handle, echo_ref object) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread* const t = CheckedThread::of(thread);
  const bool known = is_mine(t, "echo_handle_set", site) && knows(*t, handle, "echo_handle_set", site);
  if (known)
    (void)t->heap->uses(*t, object, "what a handle is set to", site);
  const echo_status status = real->handle_set(real_of(thread), handle, object);
  if (known && status == ECHO_OK)
    t->handles[handle] = object;
  return status;
}

echo_status roots_add(echo_heap* heap, echo_ref* first, std::uint64_t count, echo_error* why) {
  const echo_status status = real->roots_add(real_of(heap), first, count, why);
  if (status == ECHO_OK)
    CheckedHeap::of(heap)->add_roots(first, count);
  return status;
}

echo_status roots_remove(echo_heap* heap, echo_ref* first, echo_error* why) {
  const echo_status status = real->roots_remove(real_of(heap), first, why);
  if (status == ECHO_OK)
    CheckedHeap::of(heap)->remove_roots(first);
  return status;
}

echo_status frame_source_set(echo_heap* heap, const echo_frame_source* source, echo_error* why) {
  if (heap == nullptr || source == nullptr || source->size < sizeof(echo_frame_source) ||
      source->walk == nullptr) {
    const echo_status status = real->frame_source_set(real_of(heap), source, why);
    if (heap != nullptr && source == nullptr && status == ECHO_OK)
      CheckedHeap::of(heap)->set_source({});
    return status;
  }
  CheckedHeap& checked = *CheckedHeap::of(heap);
  echo_frame_source mine = *source;
  mine.size = sizeof mine;
  mine.context = &checked;
  mine.walk = walk;
  const bool is_first = checked.source().walk == nullptr;
  if (is_first)
    checked.set_source(*source); // before the real plugin asks for frames
  learn_compiler(reinterpret_cast<const void*>(source->walk));
  const echo_status status = real->frame_source_set(real_of(heap), &mine, why);
  if (is_first && status != ECHO_OK)
    checked.set_source({});
  return status;
}

} // namespace check
