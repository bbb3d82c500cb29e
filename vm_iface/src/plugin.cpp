// SPDX-License-Identifier: MIT
//
// Purpose     The C functions of echo/heap.h: check arguments, translate, let nothing escape but values.
// Invariants  [abi.error.1] No exception crosses. [abi.thread.2] Functions that belong to a thread check that
//             they are called on it, which costs one compare; those on a compiler's cold path do not.
#include "barriers/recipe_data.h"
#include "echo/heap.h"
#include "gc/collector.h"
#include "heap/identity_hash.h"
#include "vm_iface/src/options.h"
#include "vm_iface/src/self_reference.h"

#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <string>

// A heap as the VM knows it: the collector and its recipes.
struct echo_heap {
  explicit echo_heap(const echo::Config& config) : collector(config) {}
  echo::Collector collector;
  echo_recipes recipes{};
  echo::SelfReference library; // [abi.unload.2]
};

namespace echo {
namespace {

// Objects over this size are allocated by the cold path also by compiled code.
constexpr std::size_t kMaxInlineBytes = 4096;

#ifndef ECHO_BUILD_ID
#define ECHO_BUILD_ID "0.1.0"
#endif

constexpr std::uint64_t kFeatures =
    ECHO_FEATURE_COLLECTS | ECHO_FEATURE_STORE_BARRIER | ECHO_FEATURE_SCOPED_HANDLES |
    ECHO_FEATURE_GLOBAL_ROOTS | ECHO_FEATURE_FRAME_SOURCE | ECHO_FEATURE_VERIFIER | ECHO_FEATURE_STRESS |
    ECHO_FEATURE_AMBIGUOUS_ROOTS | ECHO_FEATURE_IDENTITY_HASH | ECHO_FEATURE_CONCURRENT | ECHO_FEATURE_WEAK;

echo_status report(echo_error* why, echo_status status, const std::string& message) {
  if (why != nullptr && status != ECHO_OK) {
    why->code = status;
    std::snprintf(why->message, sizeof why->message, "%s", message.c_str());
  }
  return status;
}

// Runs `body`, turning exceptions (only of memory, by construction) into a status. [abi.error.1]
template <class Body> echo_status guarded(echo_error* why, Body body) {
  try {
    std::string message;
    const echo_status status = body(&message);
    return report(why, status, message.empty() ? echo_status_name(status) : message);
  } catch (const std::bad_alloc&) {
    return report(why, ECHO_SYSTEM_MEMORY, "no native memory");
  } catch (const std::exception& e) {
    return report(why, ECHO_SYSTEM_MEMORY, e.what());
  }
}

echo_status null_argument(echo_error* why, const char* name) {
  return report(why, ECHO_INVALID_ARGUMENT, std::string(name) + " is null");
}

ObjectRef ref_of(echo_ref object) {
  return {reinterpret_cast<Address>(object)};
}
echo_ref as_ref(ObjectRef object) {
  return reinterpret_cast<echo_ref>(object.address);
}

// The mutator behind a thread, if the call comes from that thread in managed state.
echo_status managed(echo_thread* thread, Mutator** out, echo_error* why) {
  if (thread == nullptr) {
    return null_argument(why, "thread");
  }
  Mutator* m = Mutator::from(thread);
  if (!m->is_current_thread()) {
    return report(why, ECHO_WRONG_THREAD, "the call belongs to the thread that attached");
  }
  if (m->state.load(std::memory_order_relaxed) != ThreadState::Managed) {
    return report(why, ECHO_WRONG_STATE, "the thread is not managed: leave native state first");
  }
  *out = m;
  return ECHO_OK;
}

void set_error(Mutator& m, echo_status status, const char* message) {
  m.last_error.code = status;
  std::snprintf(m.last_error.message, sizeof m.last_error.message, "%s", message);
}

// The same for functions that return null: the reason becomes the thread's latest error, unless another thread calls.
bool managed_or_error(echo_thread* thread, Mutator** out) {
  echo_error error{};
  const echo_status status = managed(thread, out, &error);
  if (status == ECHO_WRONG_STATE) {
    set_error(*Mutator::from(thread), status, error.message);
  }
  return status == ECHO_OK;
}

// The layout of an object; null if the word is no object's header.
const LayoutRecord* layout_of(echo_heap* heap, echo_ref object) {
  if (heap == nullptr || object == nullptr) {
    return nullptr;
  }
  const LayoutTable& layouts = heap->collector.memory.layouts;
  const LayoutId id{load_header(ref_of(object)).layout_number()};
  return layouts.knows(id) ? &layouts.record(id) : nullptr;
}

// --- cold paths of the recipes

echo_ref allocate_cold(echo_thread* thread, echo_layout_id layout, std::uint64_t length) {
  Mutator& m = *Mutator::from(thread);
  try {
    return as_ref(m.collector.allocate(m, {layout}, length));
  } catch (const std::exception&) {
    set_error(m, ECHO_SYSTEM_MEMORY, "no native memory for the collector");
    return nullptr;
  }
}

void store_cold(echo_thread* thread, echo_ref* slot, echo_ref) {
  Mutator& m = *Mutator::from(thread);
  store_barrier_cold(m, m.barrier, m.collector.barriers, reinterpret_cast<Address>(slot));
}

echo_ref weak_load_cold(echo_thread* thread, echo_ref* slot) {
  Mutator& m = *Mutator::from(thread);
  return as_ref(
      ObjectRef{weak_load_barrier_cold(m, m.barrier, m.collector.barriers, reinterpret_cast<Address>(slot))});
}

void poll_cold(echo_thread* thread) {
  Mutator& m = *Mutator::from(thread);
  m.collector.poll(m);
}

std::uint64_t hash_cold(echo_thread*, echo_ref object) {
  return identity_hash({reinterpret_cast<Address>(object)});
}

void enter_native_cold(echo_thread* thread) {
  Mutator::from(thread)->collector.safepoints.entered_native();
}

void leave_native_cold(echo_thread* thread) {
  Mutator& m = *Mutator::from(thread);
  m.collector.safepoints.leave_native(m);
}

bool is_slot_of(const LayoutRecord& record, ObjectRef object, std::uint64_t offset) {
  if (record.ambiguous_elements) { // every whole word of the elements
    return offset >= record.fixed_bytes && offset % sizeof(Address) == 0 &&
           (offset - record.fixed_bytes) / sizeof(Address) < record.ambiguous_words(load_length(object));
  }
  for (std::uint32_t i = 0; i < record.slot_count; ++i) {
    if (record.slots[i].offset == offset) {
      return true;
    }
  }
  return false;
}

echo_status transition(echo_thread* thread, ThreadState from, ThreadState to) {
  if (thread == nullptr) {
    return ECHO_INVALID_ARGUMENT;
  }
  Mutator& m = *Mutator::from(thread);
  if (!m.is_current_thread()) {
    return ECHO_WRONG_THREAD;
  }
  const ThreadState state = m.state.load(std::memory_order_relaxed);
  if ((state == ThreadState::Captured ? ThreadState::Native : state) != from) {
    return ECHO_WRONG_STATE;
  }
  if (to == ThreadState::Managed) {
    m.collector.safepoints.leave_native(m);
  } else {
    m.collector.safepoints.enter_native(m, to);
  }
  return ECHO_OK;
}

constexpr echo_heap_api kApi = {
    sizeof(echo_heap_api),
    ECHO_ABI_MAJOR,
    ECHO_ABI_MINOR,
    ECHO_BUILD_ID,
    kFeatures,
    echo_heap_create,
    echo_heap_destroy,
    echo_option_get_info,
    echo_layout_register,
    echo_layout_get,
    echo_layout_get_slot,
    echo_layout_count,
    echo_attach,
    echo_detach,
    echo_enter_native,
    echo_leave_native,
    echo_enter_blocked,
    echo_leave_blocked,
    echo_poll,
    echo_heap_of,
    echo_vm_word,
    echo_set_vm_word,
    echo_last_error,
    echo_allocate,
    echo_store,
    echo_array_store,
    echo_object_bytes,
    echo_object_layout,
    echo_array_length,
    echo_scope_open,
    echo_scope_close,
    echo_handle_new,
    echo_handle_get,
    echo_handle_set,
    echo_roots_add,
    echo_roots_remove,
    echo_frame_source_set,
    echo_collect,
    echo_get_statistics,
    echo_verify,
    echo_get_recipes,
    echo_identity_hash,
    echo_ambiguous_stack,
    echo_ambiguous_range_add,
    echo_ambiguous_range_remove,
    echo_resolve,
    echo_weak_load,
};

} // namespace
} // namespace echo

using echo::guarded;
using echo::managed;
using echo::Mutator;
using echo::null_argument;
using echo::report;

extern "C" {

const echo_heap_api* echo_heap_plugin(uint32_t wanted_major, uint32_t wanted_minor, echo_error* why) {
  if (wanted_major != ECHO_ABI_MAJOR || wanted_minor > ECHO_ABI_MINOR) {
    char text[160];
    std::snprintf(text, sizeof text, "this plugin serves ABI %u.0 to %u.%u, the VM asks for %u.%u",
                  ECHO_ABI_MAJOR, ECHO_ABI_MAJOR, ECHO_ABI_MINOR, wanted_major, wanted_minor);
    (void)report(why, ECHO_VERSION_MISMATCH, text);
    return nullptr;
  }
  return &echo::kApi;
}

// --- heaps

echo_status echo_heap_create(const char* options, echo_heap** out, echo_error* why) {
  if (out == nullptr) {
    return null_argument(why, "out");
  }
  *out = nullptr;
  return guarded(why, [&](std::string* message) {
    echo::Config config;
    echo_status status = echo::parse_environment(&config, message);
    if (status == ECHO_OK && options != nullptr) {
      status = echo::parse_options({options, ::strnlen(options, 8192)}, &config, message);
    }
    if (status != ECHO_OK) {
      return status;
    }
    auto heap = std::make_unique<echo_heap>(config);
    if (!heap->library.acquire(message)) {
      return ECHO_SYSTEM_MEMORY;
    }
    if (status = heap->collector.open(message); status == ECHO_OK) {
      heap->recipes =
          echo::make_recipes({echo::allocate_cold, echo::store_cold, echo::poll_cold, echo::hash_cold,
                              echo::enter_native_cold, echo::leave_native_cold, echo::weak_load_cold},
                             echo::kMaxInlineBytes);
      *out = heap.release();
    }
    return status;
  });
}

// All of echo_heap_destroy but giving back the hold on the library: heap_destroy.S. Two registers.
struct DestroyedHeap {
  void* library;
  std::uint64_t status;
};
DestroyedHeap echo_heap_destroy_body(echo_heap* heap, echo_error* why) {
  if (heap == nullptr) {
    return {nullptr, static_cast<std::uint64_t>(null_argument(why, "heap"))};
  }
  if (const std::size_t threads = heap->collector.safepoints.attached(); threads != 0) {
    return {nullptr, static_cast<std::uint64_t>(
                         report(why, ECHO_THREADS_ATTACHED,
                                std::to_string(threads) + " threads are attached; detach them first"))};
  }
  void* const library = heap->library.release();
  delete heap;
  return {library, ECHO_OK};
}

echo_status echo_option_get_info(uint32_t index, echo_option_info* out) {
  if (out == nullptr || out->size < sizeof(echo_option_info)) {
    return ECHO_INVALID_ARGUMENT;
  }
  return echo::option_row(index, out) ? ECHO_OK : ECHO_INVALID_ARGUMENT;
}

// --- layouts

echo_status echo_layout_register(echo_heap* heap, const echo_layout* layout, echo_layout_id* out,
                                 echo_error* why) {
  if (heap == nullptr || layout == nullptr || out == nullptr) {
    return null_argument(why, heap == nullptr ? "heap" : layout == nullptr ? "layout" : "out");
  }
  return guarded(why, [&](std::string* message) {
    echo::LayoutId id;
    if (layout->size >= sizeof(echo_layout) && layout->kind == ECHO_LAYOUT_AMBIGUOUS) {
      if (const echo_status status = heap->collector.starts.use(message); status != ECHO_OK) {
        return status;
      }
    }
    const echo_status status = heap->collector.memory.layouts.add(*layout, &id, message);
    *out = id.number;
    return status;
  });
}

echo_status echo_layout_get(echo_heap* heap, echo_layout_id id, echo_layout_info* out) {
  if (heap == nullptr || out == nullptr || out->size < sizeof(echo_layout_info)) {
    return ECHO_INVALID_ARGUMENT;
  }
  const echo::LayoutTable& layouts = heap->collector.memory.layouts;
  if (!layouts.knows({id})) {
    return ECHO_UNKNOWN_LAYOUT;
  }
  const echo::LayoutRecord& r = layouts.record({id});
  *out = echo_layout_info{out->size,
                          id,
                          r.kind,
                          r.flags,
                          r.name,
                          r.exact_fixed_bytes,
                          r.element_bytes,
                          r.alignment,
                          r.slot_count,
                          0,
                          echo::HeaderWord::born({id}).bits};
  return ECHO_OK;
}

echo_status echo_layout_get_slot(echo_heap* heap, echo_layout_id id, uint32_t index, echo_slot* out) {
  if (heap == nullptr || out == nullptr) {
    return ECHO_INVALID_ARGUMENT;
  }
  const echo::LayoutTable& layouts = heap->collector.memory.layouts;
  if (!layouts.knows({id})) {
    return ECHO_UNKNOWN_LAYOUT;
  }
  const echo::LayoutRecord& r = layouts.record({id});
  if (index >= r.slot_count) {
    return ECHO_OUT_OF_BOUNDS;
  }
  *out = r.slots[index];
  return ECHO_OK;
}

uint32_t echo_layout_count(echo_heap* heap) {
  return heap == nullptr ? 0 : heap->collector.memory.layouts.count();
}

// --- threads

echo_status echo_attach(echo_heap* heap, echo_thread** out, echo_error* why) {
  if (heap == nullptr || out == nullptr) {
    return null_argument(why, heap == nullptr ? "heap" : "out");
  }
  *out = nullptr;
  return guarded(why, [&](std::string* message) {
    Mutator* m = nullptr;
    const echo_status status = heap->collector.attach(&m, message);
    if (status == ECHO_OK) {
      m->heap = heap;
      *out = m->as_handle();
    }
    return status;
  });
}

echo_status echo_detach(echo_thread* thread, echo_error* why) {
  if (thread == nullptr) {
    return null_argument(why, "thread");
  }
  Mutator* m = Mutator::from(thread);
  if (!m->is_current_thread()) {
    return report(why, ECHO_WRONG_THREAD, "only the thread that attached may detach");
  }
  if (m->handles.has_open_scope()) {
    return report(why, ECHO_WRONG_STATE, "handle scopes are open: close them before detaching");
  }
  return guarded(why, [m](std::string*) {
    m->collector.detach(m);
    return ECHO_OK;
  });
}

echo_status echo_enter_native(echo_thread* thread) {
  return echo::transition(thread, echo::ThreadState::Managed, echo::ThreadState::Native);
}
echo_status echo_leave_native(echo_thread* thread) {
  return echo::transition(thread, echo::ThreadState::Native, echo::ThreadState::Managed);
}
echo_status echo_enter_blocked(echo_thread* thread) {
  return echo::transition(thread, echo::ThreadState::Managed, echo::ThreadState::Blocked);
}
echo_status echo_leave_blocked(echo_thread* thread) {
  return echo::transition(thread, echo::ThreadState::Blocked, echo::ThreadState::Managed);
}

void echo_poll(echo_thread* thread) {
  const Mutator& m = *Mutator::from(thread);
  const std::uint64_t word = m.poll_word.load(std::memory_order_relaxed);
  if (word == 0 || m.anchor_fp > word) { // the recipe, for the frame of the anchor
    echo::poll_cold(thread);
  }
}

echo_ref echo_weak_load(echo_thread* thread, echo_ref object, uint64_t offset) {
  Mutator* m = nullptr;
  if (!echo::managed_or_error(thread, &m)) {
    return nullptr;
  }
  const echo::LayoutRecord* record = echo::layout_of(static_cast<echo_heap*>(m->heap), object);
  for (std::uint32_t i = 0; record != nullptr && i < record->slot_count; ++i) {
    if (record->slots[i].offset == offset && record->slots[i].kind == ECHO_SLOT_WEAK) {
      const echo::Address slot = reinterpret_cast<echo::Address>(object) + offset;
      return m->phase != 0 ? echo::weak_load_cold(thread, reinterpret_cast<echo_ref*>(slot))
                           : reinterpret_cast<echo_ref>(echo::load_slot(slot));
    }
  }
  const std::string why = "no weak slot at offset " + std::to_string(offset);
  echo::set_error(*m, ECHO_INVALID_ARGUMENT, object == nullptr ? "object is null" : why.c_str());
  return nullptr;
}

uint64_t echo_identity_hash(echo_thread*, echo_ref object) {
  return object == nullptr ? 0 : echo::identity_hash({reinterpret_cast<echo::Address>(object)});
}

echo_heap* echo_heap_of(const echo_thread* thread) {
  return thread == nullptr ? nullptr : static_cast<echo_heap*>(Mutator::from(thread)->heap);
}
void* echo_vm_word(const echo_thread* thread) {
  return thread == nullptr ? nullptr : Mutator::from(thread)->vm_word;
}
void echo_set_vm_word(echo_thread* thread, void* word) {
  if (thread != nullptr) {
    Mutator::from(thread)->vm_word = word;
  }
}
echo_status echo_last_error(const echo_thread* thread, echo_error* out) {
  if (thread == nullptr || out == nullptr) {
    return ECHO_INVALID_ARGUMENT;
  }
  const echo_error& error = Mutator::from(thread)->last_error;
  if (error.code != ECHO_OK) {
    *out = error;
  }
  return static_cast<echo_status>(error.code);
}

// --- objects

echo_ref echo_allocate(echo_thread* thread, echo_layout_id layout, uint64_t length) {
  Mutator* m = nullptr;
  return echo::managed_or_error(thread, &m) ? echo::allocate_cold(thread, layout, length) : nullptr;
}

echo_status echo_store(echo_thread* thread, echo_ref object, uint64_t offset, echo_ref value) {
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, nullptr); status != ECHO_OK) {
    return status;
  }
  if (object == nullptr) {
    return ECHO_INVALID_ARGUMENT;
  }
  const echo::LayoutTable& layouts = m->collector.memory.layouts;
  const echo::ObjectRef target = echo::ref_of(object);
  const std::uint32_t number = echo::load_header(target).layout_number();
  if (!layouts.knows({number})) {
    return ECHO_INVALID_ARGUMENT;
  }
  if (!echo::is_slot_of(layouts.record({number}), target, offset)) {
    return ECHO_OUT_OF_BOUNDS;
  }
  echo::store_reference(*m, m->barrier, m->collector.barriers, target.address + offset, echo::ref_of(value));
  return ECHO_OK;
}

echo_status echo_array_store(echo_thread* thread, echo_ref array, uint64_t index, echo_ref value) {
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, nullptr); status != ECHO_OK) {
    return status;
  }
  if (array == nullptr) {
    return ECHO_INVALID_ARGUMENT;
  }
  const echo::LayoutTable& layouts = m->collector.memory.layouts;
  const echo::ObjectRef target = echo::ref_of(array);
  const std::uint32_t number = echo::load_header(target).layout_number();
  if (!layouts.knows({number}) || !layouts.record({number}).traced_elements) {
    return ECHO_INVALID_ARGUMENT;
  }
  if (index >= echo::load_length(target)) {
    return ECHO_OUT_OF_BOUNDS;
  }
  const echo::Address slot =
      target.address + layouts.record({number}).fixed_bytes + index * sizeof(echo::Address);
  echo::store_reference(*m, m->barrier, m->collector.barriers, slot, echo::ref_of(value));
  return ECHO_OK;
}

uint64_t echo_object_bytes(echo_heap* heap, echo_ref object) {
  return echo::layout_of(heap, object) == nullptr
             ? 0
             : heap->collector.memory.layouts.object_bytes(echo::ref_of(object));
}
echo_layout_id echo_object_layout(echo_heap* heap, echo_ref object) {
  return heap == nullptr || object == nullptr ? 0 : echo::load_header(echo::ref_of(object)).layout_number();
}
uint64_t echo_array_length(echo_heap* heap, echo_ref object) {
  const echo::LayoutRecord* r = echo::layout_of(heap, object);
  return r != nullptr && r->is_array ? echo::load_length(echo::ref_of(object)) : 0;
}

// --- roots

echo_status echo_scope_open(echo_thread* thread, echo_scope* out) {
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, nullptr); status != ECHO_OK) {
    return status;
  }
  if (out == nullptr) {
    return ECHO_INVALID_ARGUMENT;
  }
  return guarded(nullptr, [&](std::string*) { return m->handles.open(out); });
}

echo_status echo_scope_close(echo_thread* thread, echo_scope scope) {
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, nullptr); status != ECHO_OK) {
    return status;
  }
  return m->handles.close(scope);
}

echo_handle echo_handle_new(echo_thread* thread, echo_ref object) {
  Mutator* m = nullptr;
  if (!echo::managed_or_error(thread, &m)) {
    return nullptr;
  }
  echo_handle handle = nullptr;
  echo::ObjectRef replaced;
  echo_error error{};
  if (guarded(&error, [&](std::string* message) {
        const echo_status status = m->handles.make(echo::ref_of(object), &handle, &replaced);
        *message = status == ECHO_HANDLE_MISUSE ? "no handle scope is open" : "";
        return status;
      }) != ECHO_OK) {
    m->last_error = error;
    return nullptr;
  }
  echo::log_leaving_root(*m, m->barrier, m->collector.barriers, replaced); // [handles.trace.1]
  return handle;
}

echo_ref echo_handle_get(echo_thread* thread, echo_handle handle) {
  Mutator* m = nullptr;
  if (!echo::managed_or_error(thread, &m)) {
    return nullptr;
  }
  echo::ObjectRef object;
  if (!m->handles.get(handle, &object)) {
    echo::set_error(*m, ECHO_HANDLE_MISUSE,
                    "the handle's scope is closed, or it is not a handle of this thread");
    return nullptr;
  }
  return echo::as_ref(object);
}

echo_status echo_handle_set(echo_thread* thread, echo_handle handle, echo_ref object) {
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, nullptr); status != ECHO_OK) {
    return status;
  }
  echo::ObjectRef replaced;
  if (!m->handles.set(handle, echo::ref_of(object), &replaced)) {
    return ECHO_HANDLE_MISUSE;
  }
  echo::log_leaving_root(*m, m->barrier, m->collector.barriers, replaced);
  return ECHO_OK;
}

echo_status echo_roots_add(echo_heap* heap, echo_ref* first, uint64_t count, echo_error* why) {
  if (heap == nullptr) {
    return null_argument(why, "heap");
  }
  return guarded(
      why, [&](std::string* message) { return heap->collector.roots.globals.add(first, count, message); });
}

echo_status echo_roots_remove(echo_heap* heap, echo_ref* first, echo_error* why) {
  if (heap == nullptr) {
    return null_argument(why, "heap");
  }
  return guarded(why,
                 [&](std::string* message) { return heap->collector.roots.globals.remove(first, message); });
}

echo_status echo_frame_source_set(echo_heap* heap, const echo_frame_source* source, echo_error* why) {
  if (heap == nullptr) {
    return null_argument(why, "heap");
  }
  return guarded(why,
                 [&](std::string* message) { return heap->collector.roots.frames.set(source, message); });
}

// --- ambiguous roots

echo_status echo_ambiguous_stack(echo_thread* thread, uint32_t on, echo_error* why) {
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, why); status != ECHO_OK) {
    return status;
  }
  if (on > 1) {
    return report(why, ECHO_INVALID_ARGUMENT, "on is " + std::to_string(on) + ", it must be 0 or 1");
  }
  return guarded(why,
                 [&](std::string* message) { return m->collector.ambiguous_stack(*m, on != 0, message); });
}

echo_status echo_ambiguous_range_add(echo_heap* heap, const void* start, uint64_t bytes, echo_error* why) {
  if (heap == nullptr) {
    return null_argument(why, "heap");
  }
  return guarded(
      why, [&](std::string* message) { return heap->collector.add_ambiguous_range(start, bytes, message); });
}

echo_status echo_ambiguous_range_remove(echo_heap* heap, const void* start, echo_error* why) {
  if (heap == nullptr) {
    return null_argument(why, "heap");
  }
  return guarded(
      why, [&](std::string* message) { return heap->collector.remove_ambiguous_range(start, message); });
}

echo_ref echo_resolve(echo_thread* thread, uintptr_t word) {
  Mutator* m = nullptr;
  if (!echo::managed_or_error(thread, &m)) {
    return nullptr;
  }
  echo::ObjectRef found;
  echo_error error{};
  if (guarded(&error, [&](std::string* message) {
        return m->collector.starts.resolve(*m, {word}, &found, message);
      }) != ECHO_OK) {
    m->last_error = error;
    return nullptr;
  }
  echo::log_obtained(*m, m->barrier, m->collector.barriers, found); // [resolve.log.1]
  return echo::as_ref(found);
}

// --- collection

echo_status echo_collect(echo_thread* thread, uint32_t kind, echo_error* why) {
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, why); status != ECHO_OK) {
    return status;
  }
  if (kind == ECHO_COLLECT_YOUNG || kind == ECHO_COLLECT_COMPACT) {
    return report(why, ECHO_NOT_SUPPORTED,
                  kind == ECHO_COLLECT_YOUNG ? "this plugin has no young generation"
                                             : "this plugin does not move objects");
  }
  if (kind != ECHO_COLLECT_FULL) {
    return report(why, ECHO_INVALID_ARGUMENT,
                  "kind " + std::to_string(kind) + " is none of echo_collect_kind");
  }
  return guarded(
      why, [&](std::string* message) { return m->collector.collect(*m, ECHO_CAUSE_requested, message); });
}

echo_status echo_get_statistics(echo_heap* heap, echo_statistics* out) {
  if (heap == nullptr || out == nullptr || out->size < sizeof out->size) {
    return ECHO_INVALID_ARGUMENT;
  }
  return guarded(nullptr, [&](std::string*) {
    const std::uint32_t wanted = out->size;
    echo_statistics all{};
    heap->collector.statistics(&all);
    all.size = wanted < sizeof all ? wanted : static_cast<std::uint32_t>(sizeof all);
    std::memcpy(out, &all, all.size);
    return ECHO_OK;
  });
}

echo_status echo_verify(echo_thread* thread, uint32_t level, echo_error* why) {
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, why); status != ECHO_OK) {
    return status;
  }
  return guarded(why, [&](std::string* message) {
    *message = m->collector.verify(*m, level != 0);
    return message->empty() ? ECHO_OK : ECHO_HEAP_CORRUPT;
  });
}

echo_status echo_get_recipes(echo_heap* heap, uint32_t set, const echo_recipes** out) {
  if (heap == nullptr || out == nullptr || set > ECHO_RECIPES_PORTABLE) {
    return ECHO_INVALID_ARGUMENT;
  }
  // One barrier serves every mode of this plugin: the fastest set is portable.
  *out = &heap->recipes;
  return ECHO_OK;
}

} // extern "C"
