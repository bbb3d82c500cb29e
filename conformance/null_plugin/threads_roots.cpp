// SPDX-License-Identifier: MIT
//
// threads_roots.cpp - threads, handles, root words, statistics and the table of the null plugin. Nothing here
// is ever read by a collector: what is checked is that callers keep the contract.
#include "null_heap.h"
#include "report.h"

#include "echo/plugin.h"

#include <algorithm>
#include <cstring>

using null_heap::fail;
using null_heap::guarded;
using null_heap::may_touch;
using null_heap::remember;
using null_heap::State;

namespace {

bool is_owner(const echo_thread* thread) {
  return thread->owner == std::this_thread::get_id();
}

echo_status change_state(echo_thread* thread, State from, State to) {
  if (thread == nullptr)
    return ECHO_INVALID_ARGUMENT;
  if (!is_owner(thread))
    return ECHO_WRONG_THREAD;
  if (thread->state.load(std::memory_order_relaxed) != from)
    return remember(thread, ECHO_WRONG_STATE, "the thread is not in the state this call leaves");
  thread->state.store(to, std::memory_order_relaxed);
  return ECHO_OK;
}

// A scope is its depth and a mark that tells it from a handle or a number made up.
constexpr echo_scope kScopeMark = echo_scope{0x5C} << 56;

} // namespace

echo_status echo_attach(echo_heap* heap, echo_thread** out, echo_error* why) {
  if (heap == nullptr || out == nullptr)
    return fail(why, ECHO_INVALID_ARGUMENT, "heap or out is null");
  return guarded(why, [&] {
    const std::lock_guard lock(heap->mutex);
    for (const auto& thread : heap->threads)
      if (is_owner(thread.get()))
        return fail(why, ECHO_WRONG_STATE, "the calling thread is attached already");
    auto thread = std::make_unique<echo_thread>();
    heap->orphans.reserve(heap->orphans.size() + heap->threads.size() + 1); // detach allocates nothing
    thread->heap = heap;
    thread->owner = std::this_thread::get_id();
    heap->threads.push_back(std::move(thread));
    *out = heap->threads.back().get();
    return ECHO_OK;
  });
}

echo_status echo_detach(echo_thread* thread, echo_error* why) {
  if (thread == nullptr)
    return fail(why, ECHO_INVALID_ARGUMENT, "thread is null");
  if (!is_owner(thread))
    return fail(why, ECHO_WRONG_THREAD, "a thread can only detach itself");
  if (!thread->scopes.empty())
    return fail(why, ECHO_WRONG_STATE, std::to_string(thread->scopes.size()) + " scopes are open");
  echo_heap* heap = thread->heap;
  const std::lock_guard lock(heap->mutex);
  null_heap::retire(heap, thread);
  std::erase_if(heap->threads, [thread](const auto& t) { return t.get() == thread; });
  return ECHO_OK;
}

echo_status echo_enter_native(echo_thread* thread) {
  return change_state(thread, State::managed, State::native);
}
echo_status echo_leave_native(echo_thread* thread) {
  return change_state(thread, State::native, State::managed);
}
echo_status echo_enter_blocked(echo_thread* thread) {
  return change_state(thread, State::managed, State::blocked);
}
echo_status echo_leave_blocked(echo_thread* thread) {
  return change_state(thread, State::blocked, State::managed);
}
void echo_poll(echo_thread*) {}
echo_heap* echo_heap_of(const echo_thread* thread) {
  return thread == nullptr ? nullptr : thread->heap;
}
void* echo_vm_word(const echo_thread* thread) {
  return thread->vm_word;
}
void echo_set_vm_word(echo_thread* thread, void* word) {
  thread->vm_word = word;
}
echo_status echo_last_error(const echo_thread* thread, echo_error* out) {
  if (thread == nullptr)
    return ECHO_INVALID_ARGUMENT;
  if (out != nullptr)
    *out = thread->last_error;
  return static_cast<echo_status>(thread->last_error.code);
}

echo_status echo_scope_open(echo_thread* thread, echo_scope* out) {
  if (thread == nullptr || out == nullptr)
    return ECHO_INVALID_ARGUMENT;
  if (!may_touch(thread))
    return static_cast<echo_status>(thread->last_error.code);
  if (thread->scopes.size() >= null_heap::kMaxScopes)
    return remember(thread, ECHO_LIMIT_EXCEEDED, "too many scopes are open");
  return guarded(&thread->last_error, [&] {
    thread->scopes.push_back(thread->cells_open);
    *out = kScopeMark | thread->scopes.size();
    return ECHO_OK;
  });
}

echo_status echo_scope_close(echo_thread* thread, echo_scope scope) {
  if (thread == nullptr)
    return ECHO_INVALID_ARGUMENT;
  if (!may_touch(thread))
    return static_cast<echo_status>(thread->last_error.code);
  if (thread->scopes.empty() || scope != (kScopeMark | thread->scopes.size()))
    return remember(thread, ECHO_HANDLE_MISUSE, "this is not the innermost open scope");
  const std::size_t kept = thread->scopes.back();
  thread->scopes.pop_back();
  for (std::size_t i = kept; i < thread->cells_open; ++i)
    thread->cells[i] = {};
  thread->cells_open = kept;
  thread->handles.store(kept, std::memory_order_relaxed);
  return ECHO_OK;
}

echo_handle echo_handle_new(echo_thread* thread, echo_ref object) {
  if (thread == nullptr || !may_touch(thread))
    return nullptr;
  if (thread->scopes.empty()) {
    remember(thread, ECHO_HANDLE_MISUSE, "no scope is open");
    return nullptr;
  }
  const echo_status status = guarded(&thread->last_error, [&] {
    if (thread->cells_open == thread->cells.size())
      thread->cells.emplace_back();
    return ECHO_OK;
  });
  if (status != ECHO_OK)
    return nullptr;
  echo_handle_cell& cell = thread->cells[thread->cells_open++];
  cell = {object, true};
  thread->handles.store(thread->cells_open, std::memory_order_relaxed);
  return &cell;
}

echo_ref echo_handle_get(echo_thread* thread, echo_handle handle) {
  if (thread == nullptr || !may_touch(thread))
    return nullptr;
  if (handle == nullptr || !handle->open) {
    remember(thread, ECHO_HANDLE_MISUSE, "the handle's scope is closed");
    return nullptr;
  }
  return handle->object;
}

echo_status echo_handle_set(echo_thread* thread, echo_handle handle, echo_ref object) {
  if (thread == nullptr)
    return ECHO_INVALID_ARGUMENT;
  if (!may_touch(thread))
    return static_cast<echo_status>(thread->last_error.code);
  if (handle == nullptr || !handle->open)
    return remember(thread, ECHO_HANDLE_MISUSE, "the handle's scope is closed");
  handle->object = object;
  return ECHO_OK;
}

echo_status echo_roots_add(echo_heap* heap, echo_ref* first, std::uint64_t count, echo_error* why) {
  const auto begin = reinterpret_cast<std::uintptr_t>(first);
  if (heap == nullptr || first == nullptr || count == 0)
    return fail(why, ECHO_INVALID_ARGUMENT, "heap or first is null, or count is 0");
  if (begin % 8 != 0)
    return fail(why, ECHO_INVALID_ARGUMENT, "first is not 8-aligned");
  return guarded(why, [&] {
    const std::lock_guard lock(heap->mutex);
    if (count > null_heap::kMaxRootWords - heap->root_words)
      return fail(why, ECHO_LIMIT_EXCEEDED, "more than 8192 root words");
    const auto after = heap->roots.lower_bound(begin);
    const bool hits_next = after != heap->roots.end() && after->first < begin + count * 8;
    const bool hits_previous =
        after != heap->roots.begin() && std::prev(after)->first + std::prev(after)->second * 8 > begin;
    if (hits_next || hits_previous)
      return fail(why, ECHO_INVALID_ARGUMENT, "the range overlaps one that is registered");
    heap->roots.emplace(begin, count);
    heap->root_words += count;
    return ECHO_OK;
  });
}

echo_status echo_roots_remove(echo_heap* heap, echo_ref* first, echo_error* why) {
  if (heap == nullptr)
    return fail(why, ECHO_INVALID_ARGUMENT, "heap is null");
  const std::lock_guard lock(heap->mutex);
  const auto found = heap->roots.find(reinterpret_cast<std::uintptr_t>(first));
  if (found == heap->roots.end())
    return fail(why, ECHO_INVALID_ARGUMENT, "no root range begins there");
  heap->root_words -= found->second;
  heap->roots.erase(found);
  return ECHO_OK;
}

echo_status echo_frame_source_set(echo_heap* heap, const echo_frame_source* source, echo_error* why) {
  if (heap == nullptr)
    return fail(why, ECHO_INVALID_ARGUMENT, "heap is null");
  if (source != nullptr && (source->size < sizeof(echo_frame_source) || source->walk == nullptr))
    return fail(why, ECHO_INVALID_ARGUMENT, "the source is too small or has no walk function");
  const std::lock_guard lock(heap->mutex);
  if (source != nullptr && heap->has_frame_source)
    return fail(why, ECHO_WRONG_STATE, "another frame source is set");
  heap->has_frame_source = source != nullptr;
  heap->frame_source = source != nullptr ? *source : echo_frame_source{};
  return ECHO_OK;
}

echo_status echo_collect(echo_thread* thread, std::uint32_t kind, echo_error* why) {
  if (thread == nullptr || kind > ECHO_COLLECT_COMPACT)
    return fail(why, ECHO_INVALID_ARGUMENT, "thread is null or the kind of collection is unknown");
  return fail(why, ECHO_NOT_SUPPORTED, "this heap never collects");
}

echo_status echo_step(echo_thread* thread, std::uint64_t, std::uint32_t*) {
  return thread == nullptr ? ECHO_INVALID_ARGUMENT : ECHO_NOT_SUPPORTED;
}

echo_status echo_verify(echo_thread* thread, std::uint32_t, echo_error* why) {
  if (thread == nullptr)
    return fail(why, ECHO_INVALID_ARGUMENT, "thread is null");
  return fail(why, ECHO_NOT_SUPPORTED, "this heap has no verifier");
}

static echo_status no_ambiguous_roots(const void* subject, echo_error* why) {
  return subject == nullptr ? fail(why, ECHO_INVALID_ARGUMENT, "thread or heap is null")
                            : fail(why, ECHO_NOT_SUPPORTED, "this heap has no ambiguous roots");
}
echo_status echo_ambiguous_stack(echo_thread* thread, std::uint32_t, echo_error* why) {
  return no_ambiguous_roots(thread, why);
}
echo_status echo_ambiguous_range_add(echo_heap* heap, const void*, std::uint64_t, echo_error* why) {
  return no_ambiguous_roots(heap, why);
}
echo_status echo_ambiguous_range_remove(echo_heap* heap, const void*, echo_error* why) {
  return no_ambiguous_roots(heap, why);
}
echo_ref echo_resolve(echo_thread* thread, std::uintptr_t) {
  if (thread != nullptr)
    fail(&thread->last_error, ECHO_NOT_SUPPORTED, "this heap does not resolve words");
  return nullptr;
}

echo_ref echo_weak_load(echo_thread* thread, echo_ref, std::uint64_t) {
  if (thread != nullptr)
    fail(&thread->last_error, ECHO_NOT_SUPPORTED, "this heap has no weak slots");
  return nullptr;
}

static echo_status no_steps(const echo_thread* thread, echo_error* why) {
  if (thread == nullptr)
    return fail(why, ECHO_INVALID_ARGUMENT, "thread is null");
  return fail(why, ECHO_NOT_SUPPORTED, "this heap never collects: there is no cycle to step");
}
echo_status echo_test_cycle_start(echo_thread* thread, echo_error* why) {
  return no_steps(thread, why);
}
echo_status echo_test_cycle_step(echo_thread* thread, std::uint64_t, std::uint32_t*, echo_error* why) {
  return no_steps(thread, why);
}
echo_status echo_test_cycle_finish(echo_thread* thread, echo_error* why) {
  return no_steps(thread, why);
}
echo_status echo_test_cycle_hold(echo_thread* thread, std::uint32_t, echo_error* why) {
  return no_steps(thread, why);
}

echo_status echo_finalizer_next(echo_thread* thread, echo_ref* out) {
  return thread == nullptr || out == nullptr ? ECHO_INVALID_ARGUMENT : ECHO_NOT_SUPPORTED;
}
std::uint64_t echo_finalizers_due(echo_heap*) {
  return 0;
}

echo_status echo_get_statistics(echo_heap* heap, echo_statistics* out) {
  if (heap == nullptr || out == nullptr || out->size < sizeof(std::uint32_t))
    return ECHO_INVALID_ARGUMENT;
  echo_statistics s{};
  const std::lock_guard lock(heap->mutex);
  s.size = out->size;
  s.threads_attached = static_cast<std::uint32_t>(heap->threads.size());
  s.objects_allocated = heap->gone_objects;
  s.bytes_allocated = heap->gone_bytes;
  s.allocate_cold = heap->gone_cold;
  for (const auto& thread : heap->threads) {
    s.objects_allocated += thread->objects.load(std::memory_order_relaxed);
    s.bytes_allocated += thread->bytes.load(std::memory_order_relaxed);
    s.allocate_cold += thread->cold.load(std::memory_order_relaxed);
    s.scoped_handles += thread->handles.load(std::memory_order_relaxed);
  }
  // Nothing is ever known dead, and a block holds one object: what is allocated is used is committed. No mark
  // has completed, so live_bytes stays 0.
  s.used_bytes = s.object_bytes = s.committed_bytes = s.peak_committed_bytes = s.bytes_allocated;
  s.utilisation = s.used_bytes == 0 ? 0 : 1;
  s.global_root_words = heap->root_words;
  std::memcpy(out, &s, std::min<std::size_t>(out->size, sizeof s));
  return ECHO_OK;
}

static const echo_heap_api table = {
    sizeof(echo_heap_api),
    ECHO_ABI_MAJOR,
    ECHO_ABI_MINOR,
    "echo null heap 1",
    ECHO_FEATURE_SCOPED_HANDLES | ECHO_FEATURE_GLOBAL_ROOTS | ECHO_FEATURE_FRAME_SOURCE |
        ECHO_FEATURE_IDENTITY_HASH,
    ECHO_HEAP_FUNCTIONS,
};

const echo_heap_api* echo_heap_plugin(std::uint32_t wanted_major, std::uint32_t wanted_minor,
                                      echo_error* why) {
  if (wanted_major == ECHO_ABI_MAJOR && wanted_minor <= ECHO_ABI_MINOR)
    return &table;
  fail(why, ECHO_VERSION_MISMATCH,
       "ABI " + std::to_string(wanted_major) + "." + std::to_string(wanted_minor) + " is asked for, " +
           std::to_string(ECHO_ABI_MAJOR) + "." + std::to_string(ECHO_ABI_MINOR) + " is served");
  return nullptr;
}
