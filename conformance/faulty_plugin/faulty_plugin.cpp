// SPDX-License-Identifier: MIT
//
// faulty_plugin.cpp - forwards to the plugin at ECHO_FAULTY_INNER, and breaks the promise named by
// ECHO_FAULT.
//
// Method      The inner plugin's table is copied; a fault replaces the functions it concerns. The inner
//             plugin stays loaded
//         until the process ends.
#include "faults.h"

#include "echo/heap.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <dlfcn.h>
#include <mutex>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

namespace {

Fault fault = Fault::none;
const echo_heap_api* inner = nullptr;
echo_heap_api table;

std::uint64_t& word(echo_ref object, std::uint64_t index) {
  return reinterpret_cast<std::uint64_t*>(object)[index];
}

// Replaces functions of the table. Each lambda converts to the function pointer it replaces.
void break_versions_and_options() {
  switch (fault) {
  case Fault::null_function:
    table.array_length = nullptr;
    break;
  case Fault::unknown_feature:
    table.features |= std::uint64_t{1} << 40;
    break;
  case Fault::writes_error:
    table.heap_create = [](const char* options, echo_heap** out, echo_error* why) {
      const echo_status status = inner->heap_create(options, out, why);
      if (status == ECHO_OK && why != nullptr)
        why->code = ECHO_OK;
      return status;
    };
    break;
  case Fault::no_message:
    table.heap_create = [](const char* options, echo_heap** out, echo_error* why) {
      const echo_status status = inner->heap_create(options, out, why);
      if (status != ECHO_OK && why != nullptr)
        why->message[0] = '\0';
      return status;
    };
    break;
  case Fault::endless_options:
    table.option_info = [](std::uint32_t, echo_option_info* out) { return inner->option_info(0, out); };
    break;
  case Fault::swallows_options:
    table.heap_create = [](const char* options, echo_heap** out, echo_error* why) {
      const echo_status status = inner->heap_create(options, out, why);
      return status == ECHO_UNKNOWN_OPTION ? inner->heap_create(nullptr, out, nullptr) : status;
    };
    break;
  default:
    break;
  }
}

void break_layouts() {
  switch (fault) {
  case Fault::accepts_any_layout:
    table.layout_register = [](echo_heap* heap, const echo_layout* layout, echo_layout_id* out,
                               echo_error* why) {
      const echo_status status = inner->layout_register(heap, layout, out, why);
      if (status != ECHO_BAD_LAYOUT)
        return status;
      *out = 1;
      return ECHO_OK;
    };
    break;
  case Fault::drops_a_slot:
    table.layout_register = [](echo_heap* heap, const echo_layout* layout, echo_layout_id* out,
                               echo_error* why) {
      if (layout == nullptr || layout->slot_count == 0)
        return inner->layout_register(heap, layout, out, why);
      echo_layout shorter = *layout;
      --shorter.slot_count;
      return inner->layout_register(heap, &shorter, out, why);
    };
    break;
  case Fault::shares_layouts:
    table.layout_register = [](echo_heap* heap, const echo_layout* layout, echo_layout_id* out,
                               echo_error* why) {
      if (layout == nullptr || layout->name == nullptr || *layout->name == '\0')
        return inner->layout_register(heap, layout, out, why);
      echo_layout renamed = *layout;
      renamed.name = "any";
      return inner->layout_register(heap, &renamed, out, why);
    };
    break;
  default:
    break;
  }
}

echo_status reported_status(echo_status status) {
  return fault == Fault::limit_is_unknown && status == ECHO_HEAP_LIMIT ? ECHO_UNKNOWN_LAYOUT : status;
}

echo_ref faulty_allocate(echo_thread* thread, echo_layout_id layout, std::uint64_t length) {
  static std::atomic<std::uint64_t> calls{0};
  static echo_ref last = nullptr;
  static echo_layout_id last_layout = 0;
  static std::uint64_t last_length = 0;
  const std::uint64_t call = ++calls;
  if (fault == Fault::same_object_twice && call % 50 == 0 && layout == last_layout && length == last_length)
    return last;
  if (fault == Fault::overflow_wraps && length > std::uint64_t{1} << 45)
    length &= 0xFF;
  const echo_ref object = inner->allocate(thread, layout, length);
  if (object == nullptr)
    return nullptr;
  echo_heap* heap = inner->heap_of(thread);
  const std::uint64_t bytes = inner->object_bytes(heap, object);
  if (fault == Fault::dirty_payload && bytes >= 32)
    word(object, bytes / 8 - 1) = 0xDB;
  if (fault == Fault::misaligned && call % 3 == 0 && bytes >= 32) {
    word(object, 1) = word(object, 0);
    return reinterpret_cast<echo_ref>(&word(object, 1));
  }
  if (fault == Fault::wrong_length) {
    echo_layout_info info{};
    info.size = sizeof info;
    if (inner->layout_get(heap, layout, &info) == ECHO_OK && info.kind == ECHO_LAYOUT_RAW_ARRAY)
      ++word(object, 1);
  }
  last = object;
  last_layout = layout;
  last_length = length;
  return object;
}

void break_objects() {
  switch (fault) {
  case Fault::dirty_payload:
  case Fault::wrong_length:
  case Fault::misaligned:
  case Fault::same_object_twice:
  case Fault::overflow_wraps:
    table.allocate = faulty_allocate;
    break;
  case Fault::limit_is_unknown:
    table.last_error = [](const echo_thread* thread, echo_error* out) {
      const echo_status status = reported_status(inner->last_error(thread, out));
      if (out != nullptr)
        out->code = status;
      return status;
    };
    break;
  case Fault::stores_anywhere:
    table.store = [](echo_thread* thread, echo_ref object, std::uint64_t offset, echo_ref value) {
      const echo_status status = inner->store(thread, object, offset, value);
      return status == ECHO_OUT_OF_BOUNDS ? ECHO_OK : status;
    };
    break;
  case Fault::recipe_changes:
  case Fault::no_barrier:
    table.recipes = [](echo_heap* heap, std::uint32_t set, const echo_recipes** out) {
      static std::deque<echo_recipes> copies;
      static std::mutex mutex;
      const echo_status status = inner->recipes(heap, set, out);
      if (status != ECHO_OK)
        return status;
      const std::lock_guard lock(mutex);
      copies.push_back(**out);
      if (fault == Fault::recipe_changes)
        copies.back().max_inline_bytes += static_cast<std::uint32_t>(copies.size());
      else
        copies.back().store_kind = ECHO_STORE_NONE;
      *out = &copies.back();
      return ECHO_OK;
    };
    break;
  default:
    break;
  }
}

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

void break_collections() {
  switch (fault) {
  case Fault::never_collects:
    table.collect = [](echo_thread*, std::uint32_t kind, echo_error* why) {
      if (kind == ECHO_COLLECT_FULL)
        return ECHO_OK;
      if (why != nullptr) {
        why->code = ECHO_NOT_SUPPORTED;
        std::strcpy(why->message, "only full collections");
      }
      return ECHO_NOT_SUPPORTED;
    };
    break;
  case Fault::crashes_on_collect:
    table.collect = [](echo_thread*, std::uint32_t, echo_error*) -> echo_status { std::abort(); };
    break;
  case Fault::hangs_on_collect:
    table.collect = [](echo_thread*, std::uint32_t, echo_error*) -> echo_status {
      for (;;)
        pause();
    };
    break;
  case Fault::exits_on_collect:
    table.collect = [](echo_thread*, std::uint32_t, echo_error*) -> echo_status { _exit(0); };
    break;
  default:
    break;
  }
}

void break_threads() {
  switch (fault) {
  case Fault::native_is_managed:
    table.enter_native = [](echo_thread*) { return ECHO_OK; };
    table.leave_native = [](echo_thread*) { return ECHO_OK; };
    break;
  case Fault::poll_does_nothing:
    table.poll = [](echo_thread*) {};
    break;
  case Fault::attach_twice:
    table.attach = [](echo_heap* heap, echo_thread** out, echo_error* why) {
      const echo_status status = inner->attach(heap, out, why);
      return status == ECHO_WRONG_STATE ? ECHO_OK : status;
    };
    break;
  default:
    break;
  }
}

void break_heaps_and_statistics() {
  switch (fault) {
  case Fault::destroys_in_use:
    table.heap_destroy = [](echo_heap* heap, echo_error* why) {
      const echo_status status = inner->heap_destroy(heap, why);
      return status == ECHO_THREADS_ATTACHED ? ECHO_OK : status;
    };
    break;
  case Fault::leaks_a_mapping:
    table.heap_destroy = [](echo_heap* heap, echo_error* why) {
      (void)mmap(nullptr, std::size_t{64} << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                 0);
      return inner->heap_destroy(heap, why);
    };
    break;
  case Fault::miscounts_objects:
  case Fault::miscounts_live:
  case Fault::writes_behind_size:
    table.statistics = [](echo_heap* heap, echo_statistics* out) {
      const echo_status status = inner->statistics(heap, out);
      if (status != ECHO_OK)
        return status;
      if (fault == Fault::miscounts_objects && out->objects_allocated > 0)
        --out->objects_allocated;
      if (fault == Fault::miscounts_live)
        out->live_bytes += 8;
      if (fault == Fault::writes_behind_size)
        out->bytes_returned = 0;
      return status;
    };
    break;
  default:
    break;
  }
}

bool load_inner() {
  const char* path = std::getenv("ECHO_FAULTY_INNER");
  const char* name = std::getenv("ECHO_FAULT");
  fault = fault_named(name == nullptr ? "" : name);
  void* library = path == nullptr ? nullptr : dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    return false;
  const auto entry = reinterpret_cast<decltype(&echo_heap_plugin)>(dlsym(library, "echo_heap_plugin"));
  inner = entry == nullptr ? nullptr : entry(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, nullptr);
  if (inner == nullptr || inner->size > sizeof table)
    return false;
  table = *inner;
  break_versions_and_options();
  break_layouts();
  break_objects();
  break_roots();
  break_services();
  break_frames();
  break_ambiguous_roots();
  break_ephemerons_and_finalizers();
  break_collections();
  break_threads();
  break_heaps_and_statistics();
  if (fault == Fault::stays_loaded) {
    Dl_info self;
    if (dladdr(&table, &self) != 0)
      dlopen(self.dli_fname, RTLD_NOW | RTLD_NODELETE);
  }
  return true;
}

} // namespace

const echo_heap_api* echo_heap_plugin(std::uint32_t wanted_major, std::uint32_t wanted_minor,
                                      echo_error* why) {
  static const bool loaded = load_inner();
  if (!loaded) {
    if (why != nullptr) {
      why->code = ECHO_INVALID_ARGUMENT;
      std::strcpy(why->message, "ECHO_FAULTY_INNER must name a plugin of this version");
    }
    return nullptr;
  }
  if (fault == Fault::any_major)
    return &table;
  if (wanted_major == ECHO_ABI_MAJOR && wanted_minor <= inner->abi_minor)
    return &table;
  if (why != nullptr) {
    why->code = ECHO_VERSION_MISMATCH;
    std::strcpy(why->message, "another version is served");
  }
  return nullptr;
}
