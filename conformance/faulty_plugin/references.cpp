// SPDX-License-Identifier: MIT
//
// references.cpp - faults of what keeps objects: handles, root words, frames, ambiguous words, callbacks, special slots, finalizers.
#include "break.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <vector>

namespace faulty {

namespace {

// Handles that tests have made, so that a fault can reach them all.
std::mutex handles_mutex;
std::vector<std::pair<echo_thread*, echo_handle>> handles;

echo_status collect_without_handles(echo_thread* thread, std::uint32_t kind, echo_error* why) {
  const std::lock_guard lock(handles_mutex);
  std::vector<std::pair<echo_handle, echo_ref>> kept;
  for (const auto& [owner, handle] : handles)
    if (owner == thread && inner->handle_get(thread, handle) != nullptr) {
      kept.emplace_back(handle, inner->handle_get(thread, handle));
      inner->handle_set(thread, handle, nullptr);
    }
  const echo_status status = inner->collect(thread, kind, why);
  for (const auto& [handle, object] : kept)
    inner->handle_set(thread, handle, object);
  return status;
}

} // namespace

void break_roots() {
  switch (fault) {
  case Fault::stale_handles:
    table.handle_get = [](echo_thread* thread, echo_handle handle) {
      const echo_ref object = inner->handle_get(thread, handle);
      return object != nullptr ? object : reinterpret_cast<echo_ref>(handle);
    };
    break;
  case Fault::handles_forget:
    table.handle_new = [](echo_thread* thread, echo_ref object) {
      const echo_handle handle = inner->handle_new(thread, object);
      const std::lock_guard lock(handles_mutex);
      handles.emplace_back(thread, handle);
      return handle;
    };
    table.collect = collect_without_handles;
    break;
  case Fault::handles_are_counted_up:
    table.handle_new = [](echo_thread* thread, echo_ref object) {
      static std::uint64_t made = 0; // by the one thread of the test
      for (std::uint64_t i = 0; i < made; i += 512)
        asm volatile("" ::"r"(i));
      ++made;
      return inner->handle_new(thread, object);
    };
    break;
  case Fault::scopes_in_any_order:
    table.scope_close = [](echo_thread* thread, echo_scope scope) {
      inner->scope_close(thread, scope);
      return ECHO_OK;
    };
    break;
  case Fault::roots_forget:
    table.roots_add = [](echo_heap* heap, echo_ref* first, std::uint64_t count, echo_error* why) {
      static echo_ref elsewhere[8192];
      static std::size_t used = 0;
      if (first == nullptr || count > 1000)
        return inner->roots_add(heap, first, count, why);
      const echo_status status = inner->roots_add(heap, elsewhere + used, count, why);
      used += count;
      return status;
    };
    table.roots_remove = [](echo_heap*, echo_ref*, echo_error*) { return ECHO_OK; };
    break;
  case Fault::roots_unbounded:
    table.roots_add = [](echo_heap* heap, echo_ref* first, std::uint64_t count, echo_error* why) {
      const echo_status status = inner->roots_add(heap, first, count, why);
      return status == ECHO_LIMIT_EXCEEDED ? ECHO_OK : status;
    };
    break;
  default:
    break;
  }
}

namespace {

// Of the faults of services.
struct Persistents {
  std::mutex mutex;
  std::vector<std::pair<echo_thread*, echo_persistent>> made;
} persistents;
std::vector<echo_ref> released;

echo_status collect_without_persistents(echo_thread* thread, std::uint32_t kind, echo_error* why) {
  std::vector<std::pair<echo_persistent, echo_ref>> kept;
  {
    const std::lock_guard lock(persistents.mutex);
    for (const auto& [owner, handle] : persistents.made)
      if (const echo_ref object = owner == thread ? inner->persistent_get(thread, handle) : nullptr;
          object != nullptr) {
        inner->persistent_set(thread, handle, nullptr);
        kept.emplace_back(handle, object);
      }
  }
  const echo_status status = inner->collect(thread, kind, why);
  for (const auto& [handle, object] : kept)
    inner->persistent_set(thread, handle, object);
  return status;
}

std::uint32_t walk_half(void* context, echo_ref object, echo_layout_id layout, std::uint64_t bytes) {
  static thread_local std::uint64_t seen = 0;
  const auto* const to = static_cast<const std::pair<echo_walk_fn, void*>*>(context);
  return ++seen % 500 == 0 ? 1 : to->first(to->second, object, layout, bytes);
}

} // namespace

void break_services() {
  switch (fault) {
  case Fault::persistents_forget:
    table.persistent_new = [](echo_thread* thread, echo_ref object, echo_persistent* out, echo_error* why) {
      const echo_status status = inner->persistent_new(thread, object, out, why);
      const std::lock_guard lock(persistents.mutex);
      if (status == ECHO_OK)
        persistents.made.emplace_back(thread, *out);
      return status;
    };
    table.collect = collect_without_persistents;
    break;
  case Fault::stale_persistents:
    table.persistent_get = [](echo_thread* thread, echo_persistent handle) {
      const echo_ref object = inner->persistent_get(thread, handle);
      return object != nullptr ? object : reinterpret_cast<echo_ref>(handle);
    };
    break;
  case Fault::pins_once:
    table.pin_object = [](echo_thread* thread, echo_ref object, echo_error* why) {
      if (object == nullptr)
        return inner->pin_object(thread, object, why);
      const std::lock_guard lock(persistents.mutex);
      if (std::find(released.begin(), released.end(), object) != released.end())
        return ECHO_OK;
      released.push_back(object);
      return inner->pin_object(thread, object, why);
    };
    break;
  case Fault::skips_root_callbacks:
    table.roots_callback_add = [](echo_heap* heap, echo_roots_fn roots, void* context, echo_error* why) {
      return inner->roots_callback_add(
          heap, roots == nullptr ? nullptr : +[](void*, echo_visit_ref_fn, void*) {}, context, why);
    };
    break;
  case Fault::skips_traces:
    table.layout_register_traced = [](echo_heap* heap, const echo_layout* layout, echo_trace_fn trace,
                                      void* context, echo_layout_id* out, echo_error* why) {
      return inner->layout_register_traced(
          heap, layout, trace == nullptr ? nullptr : +[](void*, echo_ref, echo_visit_ref_fn, void*) {},
          context, out, why);
    };
    break;
  case Fault::walk_stops_early:
    table.walk_objects = [](echo_thread* thread, echo_walk* walk, echo_walk_fn visit, void* context,
                            echo_error* why) {
      std::pair<echo_walk_fn, void*> to{visit, context};
      return inner->walk_objects(thread, walk, walk_half, &to, why);
    };
    break;
  case Fault::external_under_zero:
    table.external_memory = [](echo_heap* heap, std::int64_t delta, echo_error* why) {
      const echo_status status = inner->external_memory(heap, delta, why);
      return heap == nullptr ? status : ECHO_OK;
    };
    break;
  case Fault::never_asks:
    table.out_of_memory_set = [](echo_heap* heap, echo_out_of_memory_fn, void*, echo_error* why) {
      return inner->out_of_memory_set(heap, nullptr, nullptr, why);
    };
    break;
  case Fault::swallows_events:
    table.listener_add = [](echo_heap* heap, std::uint64_t kinds, echo_listener_fn listener, void* context,
                            std::uint32_t* out, echo_error* why) {
      return inner->listener_add(
          heap, kinds, listener == nullptr ? nullptr : +[](void*, const echo_event*) {}, context, out, why);
    };
    break;
  case Fault::other_histograms:
    table.histogram_export = [](echo_heap* heap, std::uint32_t histogram, std::uint32_t, char* buffer,
                                std::uint64_t* bytes, echo_error* why) {
      return inner->histogram_export(heap, histogram == 0 ? 1 : histogram, ECHO_CAUSE_emergency, buffer,
                                     bytes, why);
    };
    break;
  default:
    break;
  }
}

namespace {

echo_frame_source real_source;

echo_status faulty_walk(void*, echo_thread* thread, echo_frame_cursor* cursor, std::uint32_t most,
                        std::uint32_t* visited, echo_visit_slot_fn visit, void* visitor, echo_error* why) {
  if (fault == Fault::skips_a_frame && cursor->pc == 1) {
    cursor->pc = 0;
    *visited = 1;
    return ECHO_OK;
  }
  if (fault == Fault::skips_a_frame && cursor->pc > 1)
    most = static_cast<std::uint32_t>(std::min<std::uint64_t>(most, cursor->pc - 1));
  const echo_status status =
      real_source.walk(real_source.context, thread, cursor, most, visited, visit, visitor, why);
  if (fault == Fault::ignores_missing_maps && status == ECHO_FRAME_WITHOUT_MAP) {
    cursor->pc = 0;
    return ECHO_OK;
  }
  return status;
}

} // namespace

void break_frames() {
  if (fault == Fault::skips_a_frame || fault == Fault::ignores_missing_maps)
    table.frame_source_set = [](echo_heap* heap, const echo_frame_source* source, echo_error* why) {
      if (source == nullptr || source->walk == nullptr)
        return inner->frame_source_set(heap, source, why);
      echo_frame_source mine = *source;
      mine.walk = faulty_walk;
      const echo_status status = inner->frame_source_set(heap, &mine, why);
      if (status == ECHO_OK)
        real_source = *source;
      return status;
    };
}

void break_ambiguous_roots() {
  switch (fault) {
  case Fault::forgets_ranges:
    table.ambiguous_range_add = [](echo_heap* heap, const void* start, std::uint64_t bytes, echo_error* why) {
      const echo_status status = inner->ambiguous_range_add(heap, start, bytes, why);
      return status == ECHO_OK ? inner->ambiguous_range_remove(heap, start, why) : status;
    };
    break;
  case Fault::keeps_ranges:
    table.ambiguous_range_remove = [](echo_heap*, const void*, echo_error*) { return ECHO_OK; };
    break;
  case Fault::forgets_stacks:
    table.ambiguous_stack = [](echo_thread*, std::uint32_t, echo_error*) { return ECHO_OK; };
    break;
  case Fault::traces_nothing_unknown:
    table.layout_register = [](echo_heap* heap, const echo_layout* layout, echo_layout_id* out,
                               echo_error* why) {
      echo_layout raw = *layout;
      if (raw.kind == ECHO_LAYOUT_AMBIGUOUS)
        raw.kind = ECHO_LAYOUT_RAW_ARRAY;
      return inner->layout_register(heap, &raw, out, why);
    };
    break;
  case Fault::resolves_starts:
    table.resolve = [](echo_thread* thread, std::uintptr_t word) {
      const echo_ref object = inner->resolve(thread, word);
      return reinterpret_cast<std::uintptr_t>(object) == word ? object : nullptr;
    };
    break;
  case Fault::resolves_past_ends:
    table.resolve = [](echo_thread* thread, std::uintptr_t word) {
      const echo_ref object = inner->resolve(thread, word);
      return object != nullptr ? object : inner->resolve(thread, word - 1);
    };
    break;
  default:
    break;
  }
}

namespace {

// Registers `layout` with the slots of kind `from`, or if that is none its flag FINALIZABLE, changed.
template <std::uint32_t from, std::uint32_t to>
echo_status register_changed(echo_heap* heap, const echo_layout* layout, echo_layout_id* out,
                             echo_error* why) {
  if (layout == nullptr || layout->size < sizeof(echo_layout) ||
      layout->slot_count > layout->fixed_bytes / 8 || (layout->slot_count != 0 && layout->slots == nullptr))
    return inner->layout_register(heap, layout, out, why);
  std::vector<echo_slot> slots(layout->slots, layout->slots + layout->slot_count);
  for (echo_slot& slot : slots)
    if (slot.kind == from || (from == ECHO_SLOT_EPHEMERON_KEY && slot.kind == ECHO_SLOT_EPHEMERON_VALUE))
      slot.kind = to;
  echo_layout changed = *layout;
  changed.slots = slots.data();
  return inner->layout_register(heap, &changed, out, why);
}

} // namespace

void break_ephemerons_and_finalizers() {
  switch (fault) {
  case Fault::pairs_are_weak:
    table.layout_register = register_changed<ECHO_SLOT_EPHEMERON_KEY, ECHO_SLOT_WEAK>;
    break;
  case Fault::values_are_strong:
    table.store = [](echo_thread* thread, echo_ref object, std::uint64_t offset, echo_ref value) {
      static echo_ref kept[8192]; // at most so many root words
      static std::size_t used = 0;
      echo_heap* const heap = inner->heap_of(thread);
      const echo_layout_id id = inner->object_layout(heap, object);
      echo_slot slot{};
      for (std::uint32_t i = 0; inner->layout_slot(heap, id, i, &slot) == ECHO_OK; ++i)
        if (slot.offset == offset && slot.kind == ECHO_SLOT_EPHEMERON_VALUE && used < 8000) {
          kept[used] = value;
          (void)inner->roots_add(heap, &kept[used++], 1, nullptr);
        }
      return inner->store(thread, object, offset, value);
    };
    break;
  case Fault::finalizes_nothing:
    table.layout_register = [](echo_heap* heap, const echo_layout* layout, echo_layout_id* out,
                               echo_error* why) {
      if (layout == nullptr || layout->size < sizeof(echo_layout))
        return inner->layout_register(heap, layout, out, why);
      echo_layout changed = *layout;
      changed.flags &= ~std::uint32_t{ECHO_LAYOUT_FINALIZABLE};
      return inner->layout_register(heap, &changed, out, why);
    };
    break;
  case Fault::finalizes_twice:
    table.finalizer_next = [](echo_thread* thread, echo_ref* out) {
      static echo_ref again = nullptr;
      if (again != nullptr && out != nullptr) {
        *out = again;
        again = nullptr;
        return ECHO_OK;
      }
      const echo_status status = inner->finalizer_next(thread, out);
      again = status == ECHO_OK ? *out : nullptr;
      return status;
    };
    break;
  case Fault::finalizes_without_order:
    table.finalizer_next = [](echo_thread* thread, echo_ref* out) {
      static std::deque<echo_ref> all;
      if (out == nullptr)
        return inner->finalizer_next(thread, out);
      for (echo_ref one = nullptr;;) {
        if (const echo_status status = inner->finalizer_next(thread, &one); status != ECHO_OK)
          return status;
        if (one == nullptr)
          break;
        all.push_back(one);
      }
      *out = all.empty() ? nullptr : all.back();
      if (!all.empty())
        all.pop_back();
      return ECHO_OK;
    };
    break;
  case Fault::finalizes_shells:
    table.finalizer_next = [](echo_thread* thread, echo_ref* out) {
      const echo_status status = inner->finalizer_next(thread, out);
      if (status == ECHO_OK && *out != nullptr)
        (void)inner->store(thread, *out, 8, nullptr);
      return status;
    };
    break;
  case Fault::miscounts_due:
    table.finalizers_due = [](echo_heap* heap) {
      const std::uint64_t due = inner->finalizers_due(heap);
      return due == 0 ? due : due + 1;
    };
    break;
  default:
    break;
  }
}

} // namespace faulty
