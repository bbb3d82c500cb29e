// SPDX-License-Identifier: MIT
//
// objects.cpp - heaps, layouts, allocation, stores and recipes of the null plugin.
#include "null_heap.h"
#include "report.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

using null_heap::fail;
using null_heap::guarded;
using null_heap::Layout;
using null_heap::may_touch;
using null_heap::remember;
using null_heap::word;

namespace {

echo_ref next_object(echo_ref object) {
  return reinterpret_cast<echo_ref*>(object)[-2];
}

void free_list(echo_ref object) {
  while (object != nullptr) {
    const echo_ref next = next_object(object);
    std::free(reinterpret_cast<void**>(object)[-1]);
    object = next;
  }
}

bool starts_with_elevated_rights() {
  return getuid() != geteuid() || getgid() != getegid();
}

void cold_store(echo_thread*, echo_ref*, echo_ref) {} // the phase byte is never set
void cold_poll(echo_thread*) {}

echo_ref cold_allocate(echo_thread* thread, echo_layout_id layout, std::uint64_t length) {
  thread->cold.fetch_add(1, std::memory_order_relaxed);
  return echo_allocate(thread, layout, length);
}

constexpr std::uint64_t kHashMultiplier = 0x9E3779B97F4A7C15u;
constexpr std::uint32_t kHashShift = 16;

echo_recipes make_recipes() {
  echo_recipes r{};
  r.size = sizeof r;
  r.version = 1;
  r.cursor_offset = offsetof(echo_thread, cursor);
  r.limit_offset = offsetof(echo_thread, limit);
  r.granule = 8;
  r.max_inline_bytes = 256; // whatever the size: [null.cold.1]
  r.header_offset = 0;
  r.length_offset = 8;
  r.zero_from = 8;
  r.allocate_cold = cold_allocate;
  r.store_kind = ECHO_STORE_NONE;
  r.phase_offset = offsetof(echo_thread, phase);
  r.store_cold = cold_store;
  r.poll_offset = offsetof(echo_thread, poll_word);
  r.poll_cold = cold_poll;
  r.anchor_sp_offset = offsetof(echo_thread, anchor_sp);
  r.anchor_fp_offset = offsetof(echo_thread, anchor_fp);
  r.anchor_pc_offset = offsetof(echo_thread, anchor_pc);
  r.hash_multiplier =
      kHashMultiplier; // objects never move: no header bit is needed, every hash is the fast path
  r.hash_shift = kHashShift;
  r.hash_cold = echo_identity_hash;
  return r;
}
const echo_recipes recipes_of_all = make_recipes();

} // namespace

const Layout* echo_heap::layout(echo_layout_id id) const {
  if (id == 0 || id > layout_count.load(std::memory_order_acquire))
    return nullptr;
  const std::lock_guard lock(mutex);
  return &layouts[id - 1];
}

echo_status echo_heap_create(const char* options, echo_heap** out, echo_error* why) {
  if (out == nullptr)
    return fail(why, ECHO_INVALID_ARGUMENT, "out is null");
  return guarded(why, [&] {
    null_heap::Options read;
    std::string reason;
    if (const char* environment = std::getenv("ECHO_HEAP_OPTIONS");
        environment != nullptr && !starts_with_elevated_rights())
      if (const echo_status status = null_heap::read_options(environment, &read, &reason); status != ECHO_OK)
        return fail(why, status, "ECHO_HEAP_OPTIONS: " + reason);
    if (options != nullptr)
      if (const echo_status status = null_heap::read_options(options, &read, &reason); status != ECHO_OK)
        return fail(why, status, reason);
    auto heap = std::make_unique<echo_heap>();
    heap->options = read;
    *out = heap.release();
    return ECHO_OK;
  });
}

echo_status echo_heap_destroy(echo_heap* heap, echo_error* why) {
  if (heap == nullptr)
    return fail(why, ECHO_INVALID_ARGUMENT, "heap is null");
  {
    const std::lock_guard lock(heap->mutex);
    if (!heap->threads.empty())
      return fail(why, ECHO_THREADS_ATTACHED, std::to_string(heap->threads.size()) + " threads are attached");
  }
  for (const echo_ref list : heap->orphans)
    free_list(list);
  delete heap;
  return ECHO_OK;
}

echo_status echo_option_get_info(std::uint32_t index, echo_option_info* out) {
  return null_heap::describe_option(index, out);
}

echo_status echo_layout_register(echo_heap* heap, const echo_layout* layout, echo_layout_id* out,
                                 echo_error* why) {
  if (heap == nullptr || layout == nullptr || out == nullptr)
    return fail(why, ECHO_INVALID_ARGUMENT, "heap, layout or out is null");
  return guarded(why, [&] {
    Layout read;
    std::string reason;
    if (const echo_status status = null_heap::read_layout(*layout, &read, &reason); status != ECHO_OK)
      return fail(why, status, reason);
    const std::lock_guard lock(heap->mutex);
    const auto found = heap->layout_numbers.find(read.key());
    if (found != heap->layout_numbers.end()) {
      *out = found->second;
      return ECHO_OK;
    }
    if (heap->layouts.size() >= null_heap::kMaxLayouts)
      return fail(why, ECHO_LIMIT_EXCEEDED, "too many layouts");
    const auto id = static_cast<echo_layout_id>(heap->layouts.size() + 1);
    const std::string key = read.key();
    heap->layouts.push_back(std::move(read));
    heap->layout_numbers.emplace(key, id);
    heap->layout_count.store(id, std::memory_order_release);
    *out = id;
    return ECHO_OK;
  });
}

echo_status echo_layout_get(echo_heap* heap, echo_layout_id id, echo_layout_info* out) {
  if (heap == nullptr || out == nullptr || out->size < sizeof(echo_layout_info))
    return ECHO_INVALID_ARGUMENT;
  const Layout* layout = heap->layout(id);
  if (layout == nullptr)
    return ECHO_UNKNOWN_LAYOUT;
  out->id = id;
  out->kind = layout->kind;
  out->flags = layout->flags;
  out->name = layout->name.c_str();
  out->fixed_bytes = layout->fixed_bytes;
  out->element_bytes = layout->element_bytes;
  out->alignment = layout->alignment;
  out->slot_count = static_cast<std::uint32_t>(layout->slots.size());
  out->reserved = 0;
  out->header_word = null_heap::header_word(id);
  return ECHO_OK;
}

echo_status echo_layout_get_slot(echo_heap* heap, echo_layout_id id, std::uint32_t index, echo_slot* out) {
  if (heap == nullptr || out == nullptr)
    return ECHO_INVALID_ARGUMENT;
  const Layout* layout = heap->layout(id);
  if (layout == nullptr)
    return ECHO_UNKNOWN_LAYOUT;
  if (index >= layout->slots.size())
    return ECHO_OUT_OF_BOUNDS;
  *out = layout->slots[index];
  return ECHO_OK;
}

std::uint32_t echo_layout_count(echo_heap* heap) {
  return heap == nullptr ? 0 : heap->layout_count.load(std::memory_order_acquire);
}

echo_ref echo_allocate(echo_thread* thread, echo_layout_id id, std::uint64_t length) {
  if (!may_touch(thread))
    return nullptr;
  echo_heap* heap = thread->heap;
  const Layout* layout = heap->layout(id);
  if (layout == nullptr) {
    remember(thread, ECHO_UNKNOWN_LAYOUT, "no layout has number " + std::to_string(id));
    return nullptr;
  }
  std::uint64_t bytes = 0;
  if (!layout->bytes(length, &bytes)) {
    remember(thread, ECHO_INVALID_ARGUMENT, std::to_string(length) + " elements overflow 64 bits");
    return nullptr;
  }
  const std::uint64_t limit = heap->options.max_heap;
  if (bytes > limit || heap->used_bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes > limit) {
    if (bytes <= limit)
      heap->used_bytes.fetch_sub(bytes, std::memory_order_relaxed);
    remember(thread, ECHO_HEAP_LIMIT, "max_heap is reached and this heap never frees");
    return nullptr;
  }
  const std::size_t alignment = std::max<std::size_t>(layout->alignment, 16);
  const std::size_t block_bytes = (alignment + bytes + alignment - 1) / alignment * alignment;
  auto* block = static_cast<std::byte*>(std::aligned_alloc(alignment, block_bytes));
  if (block == nullptr) {
    heap->used_bytes.fetch_sub(bytes, std::memory_order_relaxed);
    remember(thread, ECHO_SYSTEM_MEMORY, "malloc gave no block of " + std::to_string(block_bytes) + " bytes");
    return nullptr;
  }
  std::memset(block, 0, block_bytes);
  const auto object = reinterpret_cast<echo_ref>(block + alignment);
  reinterpret_cast<echo_ref*>(object)[-2] = thread->newest;
  reinterpret_cast<void**>(object)[-1] = block;
  thread->newest = object;
  word(object, 0) = null_heap::header_word(id);
  if (layout->is_array())
    word(object, 1) = length;
  thread->objects.fetch_add(1, std::memory_order_relaxed);
  thread->bytes.fetch_add(bytes, std::memory_order_relaxed);
  return object;
}

echo_status echo_store(echo_thread* thread, echo_ref object, std::uint64_t offset, echo_ref value) {
  if (!may_touch(thread))
    return static_cast<echo_status>(thread->last_error.code);
  if (object == nullptr)
    return remember(thread, ECHO_INVALID_ARGUMENT, "object is null");
  const Layout* layout = thread->heap->layout(null_heap::layout_of(object));
  if (layout == nullptr)
    return remember(thread, ECHO_UNKNOWN_LAYOUT, "the object's header names no layout");
  const auto slot =
      std::lower_bound(layout->slots.begin(), layout->slots.end(), offset,
                       [](const echo_slot& s, std::uint64_t wanted) { return s.offset < wanted; });
  if (slot == layout->slots.end() || slot->offset != offset)
    return remember(thread, ECHO_OUT_OF_BOUNDS,
                    "offset " + std::to_string(offset) + " is no slot of " + layout->name);
  reinterpret_cast<echo_ref*>(object)[offset / 8] = value;
  return ECHO_OK;
}

echo_status echo_array_store(echo_thread* thread, echo_ref array, std::uint64_t index, echo_ref value) {
  if (!may_touch(thread))
    return static_cast<echo_status>(thread->last_error.code);
  if (array == nullptr)
    return remember(thread, ECHO_INVALID_ARGUMENT, "array is null");
  const Layout* layout = thread->heap->layout(null_heap::layout_of(array));
  if (layout == nullptr || !layout->has_reference_elements())
    return remember(thread, ECHO_INVALID_ARGUMENT, "the object is no array of references");
  if (index >= word(array, 1))
    return remember(thread, ECHO_OUT_OF_BOUNDS, "the array has no element " + std::to_string(index));
  reinterpret_cast<echo_ref*>(array)[layout->fixed_bytes / 8 + index] = value;
  return ECHO_OK;
}

std::uint64_t echo_object_bytes(echo_heap* heap, echo_ref object) {
  std::uint64_t bytes = 0;
  if (heap == nullptr || object == nullptr)
    return 0;
  const Layout* layout = heap->layout(null_heap::layout_of(object));
  return layout != nullptr && layout->bytes(layout->is_array() ? word(object, 1) : 0, &bytes) ? bytes : 0;
}

echo_layout_id echo_object_layout(echo_heap* heap, echo_ref object) {
  return heap == nullptr || object == nullptr ? 0 : null_heap::layout_of(object);
}

std::uint64_t echo_array_length(echo_heap* heap, echo_ref object) {
  if (heap == nullptr || object == nullptr)
    return 0;
  const Layout* layout = heap->layout(null_heap::layout_of(object));
  return layout != nullptr && layout->is_array() ? word(object, 1) : 0;
}

uint64_t echo_identity_hash(echo_thread*, echo_ref object) {
  return (reinterpret_cast<std::uintptr_t>(object) * kHashMultiplier) >> kHashShift;
}

echo_status echo_get_recipes(echo_heap* heap, std::uint32_t set, const echo_recipes** out) {
  if (heap == nullptr || out == nullptr || set > ECHO_RECIPES_PORTABLE)
    return ECHO_INVALID_ARGUMENT;
  *out = &recipes_of_all;
  return ECHO_OK;
}

namespace null_heap {

void retire(echo_heap* heap, echo_thread* thread) {
  if (thread->newest != nullptr)
    heap->orphans.push_back(thread->newest);
  heap->gone_objects += thread->objects.load(std::memory_order_relaxed);
  heap->gone_bytes += thread->bytes.load(std::memory_order_relaxed);
  heap->gone_cold += thread->cold.load(std::memory_order_relaxed);
}

} // namespace null_heap
