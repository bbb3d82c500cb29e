// SPDX-License-Identifier: MIT
//
// libgc_plugin.cpp - the Boehm-Demers-Weiser collector (libgc) as a heap plugin for unmodified Echo programs.
//
// Purpose     The same driver, the same compiler and the same runtime layer run a program on this heap and on that, so
//             that what differs is the heap. A peer for measurements, nothing else: only what such programs need works,
//             the rest answers NOT_SUPPORTED.
// Method      An object is a block of libgc with our two words in front. Atomic blocks for arrays without references,
//             ordinary ones for ambiguous arrays. Its roots are the stacks of registered threads and the ranges it is
//             told of; libraries' data is not scanned, as our heap does not scan it. A pause is from libgc's event START
//             to END on the allocating thread.
// Limits      As many threads as attach; one program at a time in a process, since libgc is one.
#include "echo/heap.h"

#define GC_THREADS 1
#include <gc/gc.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <vector>

struct echo_thread {
  uint64_t cursor = 0, limit = 0, poll = ~uint64_t{0}; // never asked to stop: libgc stops threads by signals
  uint64_t anchor[3] = {};
  uint8_t phase = 0;
  echo_heap* heap = nullptr;
  void* word = nullptr;
  echo_error error{};
};

struct echo_heap {
  std::vector<echo_layout_info> layouts;
  std::map<uintptr_t, uint64_t> ranges;
  uint64_t objects = 0, bytes = 0, collections = 0, peak = 0;
  std::vector<double> pauses;
  double started = 0, cpu_started = 0, cpu = 0;
  echo_recipes recipes{};
};

namespace {

constexpr uint64_t kPayload = 16;
echo_heap* the_heap = nullptr;

echo_status fail(echo_error* why, echo_status status, const char* sentence) {
  if (why != nullptr) {
    why->code = status;
    std::snprintf(why->message, sizeof why->message, "%s", sentence);
  }
  return status;
}

double seconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void on_event(GC_EventType event) {
  if (event == GC_EVENT_START) {
    the_heap->started = seconds(CLOCK_MONOTONIC);
    the_heap->cpu_started = seconds(CLOCK_THREAD_CPUTIME_ID);
  } else if (event == GC_EVENT_END) {
    the_heap->pauses.push_back((seconds(CLOCK_MONOTONIC) - the_heap->started) * 1e6);
    the_heap->cpu += seconds(CLOCK_THREAD_CPUTIME_ID) - the_heap->cpu_started;
    ++the_heap->collections;
  }
}

echo_ref allocate(echo_thread* thread, echo_layout_id id, uint64_t length) {
  echo_heap& heap = *thread->heap;
  if (id == 0 || id > heap.layouts.size() || length > (uint64_t{1} << 46)) {
    fail(&thread->error, ECHO_INVALID_ARGUMENT, "no such layout, or too long");
    return nullptr;
  }
  const echo_layout_info& layout = heap.layouts[id - 1];
  const bool is_array = layout.kind != ECHO_LAYOUT_FIXED;
  const uint64_t bytes = layout.fixed_bytes + (is_array ? length * layout.element_bytes : 0);
  const bool leaf = layout.kind != ECHO_LAYOUT_AMBIGUOUS;
  auto* const words = static_cast<uint64_t*>(leaf ? GC_malloc_atomic(bytes) : GC_malloc(bytes));
  if (words == nullptr) {
    fail(&thread->error, ECHO_HEAP_LIMIT, "libgc gives no more memory");
    return nullptr;
  }
  if (leaf)
    std::memset(words, 0, bytes);
  words[0] = id;
  if (is_array)
    words[1] = length;
  ++heap.objects;
  heap.bytes += bytes;
  if ((heap.objects & 1023) == 0)
    heap.peak = std::max<uint64_t>(heap.peak, GC_get_heap_size());
  return reinterpret_cast<echo_ref>(words);
}

void no_poll(echo_thread*) {}

uint32_t offset_of(const void* thread, const void* field) {
  return static_cast<uint32_t>(static_cast<const char*>(field) - static_cast<const char*>(thread));
}

uint64_t limit_of(const char* options) {
  const char* const given = options != nullptr ? std::strstr(options, "max_heap=") : nullptr;
  if (given == nullptr)
    return 0;
  char* end = nullptr;
  const uint64_t number = std::strtoull(given + std::strlen("max_heap="), &end, 10);
  return number << (*end == 'k' ? 10 : *end == 'm' ? 20 : *end == 'g' ? 30 : 0);
}

echo_status heap_create(const char* options, echo_heap** out, echo_error* why) {
  if (the_heap != nullptr)
    return fail(why, ECHO_NOT_SUPPORTED, "libgc is one heap per process");
  the_heap = new echo_heap;
  GC_set_no_dls(1); // roots are what is registered
  GC_set_all_interior_pointers(1);
  GC_INIT();
  GC_allow_register_threads();
  GC_clear_roots();
  if (const uint64_t limit = limit_of(options); limit != 0)
    GC_set_max_heap_size(limit);
  GC_set_warn_proc(GC_ignore_warn_proc);
  GC_set_on_collection_event(on_event);
  const echo_thread shape;
  echo_recipes& recipes = the_heap->recipes;
  recipes.size = sizeof recipes;
  recipes.version = 1;
  recipes.cursor_offset = offset_of(&shape, &shape.cursor);
  recipes.limit_offset = offset_of(&shape, &shape.limit);
  recipes.granule = 8;
  recipes.length_offset = 8;
  recipes.allocate_cold = allocate;
  recipes.store_kind = ECHO_STORE_NONE;
  recipes.phase_offset = offset_of(&shape, &shape.phase);
  recipes.poll_offset = offset_of(&shape, &shape.poll);
  recipes.poll_cold = no_poll;
  recipes.anchor_sp_offset = offset_of(&shape, &shape.anchor[0]);
  recipes.anchor_fp_offset = offset_of(&shape, &shape.anchor[1]);
  recipes.anchor_pc_offset = offset_of(&shape, &shape.anchor[2]);
  *out = the_heap;
  return ECHO_OK;
}

echo_status heap_destroy(echo_heap* heap, echo_error*) {
  GC_set_on_collection_event(nullptr);
  delete heap;
  the_heap = nullptr;
  return ECHO_OK;
}

echo_status option_info(uint32_t, echo_option_info*) {
  return ECHO_INVALID_ARGUMENT;
}

echo_status layout_register(echo_heap* heap, const echo_layout* layout, echo_layout_id* out,
                            echo_error* why) {
  const bool is_array = layout->kind == ECHO_LAYOUT_RAW_ARRAY || layout->kind == ECHO_LAYOUT_AMBIGUOUS;
  if (!is_array && (layout->kind != ECHO_LAYOUT_FIXED || layout->slot_count != 0))
    return fail(why, ECHO_NOT_SUPPORTED,
                "only arrays of raw or ambiguous elements, and objects without references");
  echo_layout_info info{};
  info.size = sizeof info;
  info.id = static_cast<echo_layout_id>(heap->layouts.size() + 1);
  info.kind = layout->kind;
  info.flags = layout->flags;
  info.fixed_bytes = is_array ? kPayload : layout->fixed_bytes;
  info.element_bytes = layout->element_bytes;
  info.alignment = 8;
  info.header_word = info.id;
  heap->layouts.push_back(info);
  *out = info.id;
  return ECHO_OK;
}

echo_status layout_get(echo_heap* heap, echo_layout_id id, echo_layout_info* out) {
  if (id == 0 || id > heap->layouts.size())
    return ECHO_UNKNOWN_LAYOUT;
  *out = heap->layouts[id - 1];
  return ECHO_OK;
}

echo_status layout_slot(echo_heap*, echo_layout_id, uint32_t, echo_slot*) {
  return ECHO_OUT_OF_BOUNDS;
}

uint32_t layout_count(echo_heap* heap) {
  return static_cast<uint32_t>(heap->layouts.size());
}

echo_status attach(echo_heap* heap, echo_thread** out, echo_error* why) {
  GC_stack_base base{};
  if (GC_get_stack_base(&base) != GC_SUCCESS)
    return fail(why, ECHO_SYSTEM_MEMORY, "libgc does not find the stack");
  GC_register_my_thread(&base);
  *out = new (std::align_val_t{64}) echo_thread;
  (*out)->heap = heap;
  return ECHO_OK;
}

echo_status detach(echo_thread* thread, echo_error*) {
  thread->heap->peak = std::max<uint64_t>(thread->heap->peak, GC_get_heap_size());
  operator delete(thread, std::align_val_t{64});
  GC_unregister_my_thread();
  return ECHO_OK;
}

echo_status transition(echo_thread*) {
  return ECHO_OK;
}
echo_heap* heap_of(const echo_thread* thread) {
  return thread->heap;
}
void* vm_word(const echo_thread* thread) {
  return thread->word;
}
void set_vm_word(echo_thread* thread, void* word) {
  thread->word = word;
}
echo_status last_error(const echo_thread* thread, echo_error* out) {
  *out = thread->error;
  return static_cast<echo_status>(thread->error.code);
}

echo_status no_store(echo_thread*, echo_ref, uint64_t, echo_ref) {
  return ECHO_NOT_SUPPORTED;
}
const uint64_t* words_of(echo_ref object) {
  return reinterpret_cast<const uint64_t*>(object);
}
uint64_t array_length(echo_heap*, echo_ref object) {
  return words_of(object)[1];
}
echo_layout_id object_layout(echo_heap*, echo_ref object) {
  return static_cast<echo_layout_id>(words_of(object)[0]);
}
uint64_t object_bytes(echo_heap* heap, echo_ref object) {
  const echo_layout_info& layout = heap->layouts[object_layout(heap, object) - 1];
  return layout.fixed_bytes +
         (layout.kind == ECHO_LAYOUT_FIXED ? 0 : array_length(heap, object) * layout.element_bytes);
}

echo_status scope_open(echo_thread*, echo_scope*) {
  return ECHO_NOT_SUPPORTED;
}
echo_status scope_close(echo_thread*, echo_scope) {
  return ECHO_NOT_SUPPORTED;
}
echo_handle handle_new(echo_thread*, echo_ref) {
  return nullptr;
}
echo_ref handle_get(echo_thread*, echo_handle) {
  return nullptr;
}
echo_status handle_set(echo_thread*, echo_handle, echo_ref) {
  return ECHO_NOT_SUPPORTED;
}

echo_status range_add(echo_heap* heap, const void* start, uint64_t bytes, echo_error*) {
  auto* const first = static_cast<char*>(const_cast<void*>(start));
  heap->ranges[reinterpret_cast<uintptr_t>(start)] = bytes;
  GC_add_roots(first, first + bytes);
  return ECHO_OK;
}
echo_status range_remove(echo_heap* heap, const void* start, echo_error* why) {
  const auto found = heap->ranges.find(reinterpret_cast<uintptr_t>(start));
  if (found == heap->ranges.end())
    return fail(why, ECHO_INVALID_ARGUMENT, "no such range");
  auto* const first = static_cast<char*>(const_cast<void*>(start));
  GC_remove_roots(first, first + found->second);
  heap->ranges.erase(found);
  return ECHO_OK;
}
echo_status roots_add(echo_heap* heap, echo_ref* first, uint64_t count, echo_error* why) {
  return range_add(heap, first, count * sizeof *first, why);
}
echo_status roots_remove(echo_heap* heap, echo_ref* first, echo_error* why) {
  return range_remove(heap, first, why);
}
echo_status frame_source_set(echo_heap*, const echo_frame_source*, echo_error*) {
  return ECHO_OK; // frames are scanned whole
}
echo_status ambiguous_stack(echo_thread*, uint32_t, echo_error*) {
  return ECHO_OK; // a registered thread's is
}
echo_ref weak_load(echo_thread*, echo_ref, uint64_t) {
  return nullptr; // its layouts have no weak slots
}
echo_status no_cycle(echo_thread*, echo_error*) {
  return ECHO_NOT_SUPPORTED;
}

echo_ref resolve(echo_thread*, uintptr_t word) {
  return static_cast<echo_ref>(GC_base(reinterpret_cast<void*>(word)));
}

echo_status collect(echo_thread*, uint32_t, echo_error*) {
  GC_gcollect();
  return ECHO_OK;
}
echo_status verify(echo_thread*, uint32_t, echo_error* why) {
  return fail(why, ECHO_NOT_SUPPORTED, "libgc has no verifier");
}
echo_status recipes(echo_heap* heap, uint32_t, const echo_recipes** out) {
  *out = &heap->recipes;
  return ECHO_OK;
}
uint64_t identity_hash(echo_thread*, echo_ref) {
  return 0;
}

echo_status statistics(echo_heap* heap, echo_statistics* out) {
  echo_statistics all{};
  all.size = out->size;
  all.objects_allocated = heap->objects;
  all.bytes_allocated = heap->bytes;
  all.collections_full = heap->collections;
  all.gc_cpu_s = heap->cpu;
  all.peak_committed_bytes = std::max<uint64_t>(heap->peak, GC_get_heap_size());
  all.committed_bytes = GC_get_heap_size();
  std::vector<double> sorted = heap->pauses;
  std::sort(sorted.begin(), sorted.end());
  if (!sorted.empty()) {
    const auto at = [&](double share) {
      return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))];
    };
    all.pause_us.count = sorted.size();
    all.pause_us.p50 = at(0.5);
    all.pause_us.p90 = at(0.9);
    all.pause_us.p99 = at(0.99);
    all.pause_us.p99_9 = at(0.999);
    all.pause_us.max = sorted.back();
    for (const double pause : sorted)
      all.pause_us.sum += pause;
  }
  std::memcpy(out, &all, std::min<size_t>(out->size, sizeof all));
  return ECHO_OK;
}

const echo_heap_api table = {
    .size = sizeof(echo_heap_api),
    .abi_major = ECHO_ABI_MAJOR,
    .abi_minor = ECHO_ABI_MINOR,
    .build_id = "libgc",
    .features = ECHO_FEATURE_COLLECTS | ECHO_FEATURE_AMBIGUOUS_ROOTS,
    .heap_create = heap_create,
    .heap_destroy = heap_destroy,
    .option_info = option_info,
    .layout_register = layout_register,
    .layout_get = layout_get,
    .layout_slot = layout_slot,
    .layout_count = layout_count,
    .attach = attach,
    .detach = detach,
    .enter_native = transition,
    .leave_native = transition,
    .enter_blocked = transition,
    .leave_blocked = transition,
    .poll = no_poll,
    .heap_of = heap_of,
    .vm_word = vm_word,
    .set_vm_word = set_vm_word,
    .last_error = last_error,
    .allocate = allocate,
    .store = no_store,
    .array_store = no_store,
    .object_bytes = object_bytes,
    .object_layout = object_layout,
    .array_length = array_length,
    .scope_open = scope_open,
    .scope_close = scope_close,
    .handle_new = handle_new,
    .handle_get = handle_get,
    .handle_set = handle_set,
    .roots_add = roots_add,
    .roots_remove = roots_remove,
    .frame_source_set = frame_source_set,
    .collect = collect,
    .statistics = statistics,
    .verify = verify,
    .recipes = recipes,
    .identity_hash = identity_hash,
    .ambiguous_stack = ambiguous_stack,
    .ambiguous_range_add = range_add,
    .ambiguous_range_remove = range_remove,
    .resolve = resolve,
    .weak_load = weak_load,
    .test_cycle_start = no_cycle,
    .test_cycle_step = [](echo_thread*, uint64_t, uint32_t*, echo_error*) { return ECHO_NOT_SUPPORTED; },
    .test_cycle_finish = no_cycle,
    .test_cycle_hold = [](echo_thread*, uint32_t, echo_error*) { return ECHO_NOT_SUPPORTED; },
    .step = [](echo_thread*, uint64_t, uint32_t*) { return ECHO_NOT_SUPPORTED; },
    .finalizer_next = [](echo_thread*, echo_ref*) { return ECHO_NOT_SUPPORTED; },
    .finalizers_due = [](echo_heap*) { return uint64_t{0}; },
    .persistent_new = [](echo_thread*, echo_ref, echo_persistent*,
                         echo_error*) { return ECHO_NOT_SUPPORTED; },
    .persistent_of = [](echo_thread*, echo_handle, echo_persistent*,
                        echo_error*) { return ECHO_NOT_SUPPORTED; },
    .persistent_copy = [](echo_heap*, echo_persistent, echo_persistent*,
                          echo_error*) { return ECHO_NOT_SUPPORTED; },
    .persistent_get = [](echo_thread*, echo_persistent) -> echo_ref { return nullptr; },
    .persistent_set = [](echo_thread*, echo_persistent, echo_ref) { return ECHO_NOT_SUPPORTED; },
    .persistent_destroy = [](echo_heap*, echo_persistent, echo_error*) { return ECHO_NOT_SUPPORTED; },
    .pin_object = [](echo_thread*, echo_ref, echo_error*) { return ECHO_NOT_SUPPORTED; },
    .unpin_object = [](echo_heap*, echo_ref, echo_error*) { return ECHO_NOT_SUPPORTED; },
    .roots_callback_add = [](echo_heap*, echo_roots_fn, void*, echo_error*) { return ECHO_NOT_SUPPORTED; },
    .roots_callback_remove = [](echo_heap*, echo_roots_fn, void*, echo_error*) { return ECHO_NOT_SUPPORTED; },
    .layout_register_traced = [](echo_heap*, const echo_layout*, echo_trace_fn, void*, echo_layout_id*,
                                 echo_error*) { return ECHO_NOT_SUPPORTED; },
    .store_outside = [](echo_thread*, echo_ref*, echo_ref) { return ECHO_NOT_SUPPORTED; },
    .walk_objects = [](echo_thread*, echo_walk*, echo_walk_fn, void*,
                       echo_error*) { return ECHO_NOT_SUPPORTED; },
    .external_memory = [](echo_heap*, int64_t, echo_error*) { return ECHO_NOT_SUPPORTED; },
    .out_of_memory_set = [](echo_heap*, echo_out_of_memory_fn, void*,
                            echo_error*) { return ECHO_NOT_SUPPORTED; },
    .listener_add = [](echo_heap*, uint64_t, echo_listener_fn, void*, uint32_t*,
                       echo_error*) { return ECHO_NOT_SUPPORTED; },
    .listener_remove = [](echo_heap*, uint32_t, echo_error*) { return ECHO_NOT_SUPPORTED; },
    .histogram_export = [](echo_heap*, uint32_t, uint32_t, char*, uint64_t*,
                           echo_error*) { return ECHO_NOT_SUPPORTED; },
    .fork_prepare = [](echo_thread*, echo_error*) { return ECHO_NOT_SUPPORTED; },
    .fork_parent = [](echo_thread*, echo_error*) { return ECHO_NOT_SUPPORTED; },
    .fork_child = [](echo_thread*, echo_error*) { return ECHO_NOT_SUPPORTED; },
};

} // namespace

extern "C" ECHO_EXPORT const echo_heap_api* echo_heap_plugin(uint32_t wanted_major, uint32_t wanted_minor,
                                                             echo_error* why) {
  if (wanted_major == ECHO_ABI_MAJOR && wanted_minor <= ECHO_ABI_MINOR)
    return &table;
  fail(why, ECHO_VERSION_MISMATCH, "the adapter of libgc serves the version that it was built with");
  return nullptr;
}
