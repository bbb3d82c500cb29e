/* SPDX-License-Identifier: MIT
 *
 * fake_heap.cpp - Cheney's copying collector over two spaces. Purpose: fake_heap.h.
 *
 * Drawing     header: layout number * 2 + 1; a copied object's old header is its new address (even).
 */
#include "fake_heap.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace echo::testing {
namespace {

constexpr uint64_t kFiller = 0xf1; /* and the bytes it covers from bit 16 on */
constexpr uint64_t kPoison = 0xdbdbdbdbdbdbdbdbu;
constexpr uint64_t kHashed = uint64_t{1} << 40, kHashMoved = uint64_t{1} << 41;
constexpr uint64_t kHashMultiplier = 0xd1342543de82ef95u;
constexpr uint32_t kHashShift = 13;

uint64_t layout_number(uint64_t header) {
  return (header & 0xffffffff) / 2;
}
uint64_t hash_of_address(uint64_t address) {
  return (address * kHashMultiplier) >> kHashShift;
}

FakeHeap& of(echo_heap* heap) {
  return *reinterpret_cast<FakeHeap*>(heap);
}
FakeThread& of(echo_thread* thread) {
  return *reinterpret_cast<FakeThread*>(thread);
}
uint64_t& word(uint64_t address) {
  return *reinterpret_cast<uint64_t*>(address);
}

/* Of layouts, which any thread may register and read. */
std::mutex tables;

[[noreturn]] void fatal(const char* what, uint64_t value) {
  std::fprintf(stderr, "fake heap: %s: 0x%llx\n", what, static_cast<unsigned long long>(value));
  std::abort();
}

void fill(echo_error* why, echo_status code, const std::string& text) {
  if (why == nullptr)
    return;
  why->code = code;
  std::snprintf(why->message, sizeof why->message, "%s", text.c_str());
}

} // namespace

/* The functions of the table. */
struct FakeApi {
  static echo_status layout_register(echo_heap* heap, const echo_layout* layout, echo_layout_id* out,
                                     echo_error* why) {
    const std::lock_guard<std::mutex> guard(tables);
    FakeHeap& fake = of(heap);
    for (uint32_t i = 0; i < layout->slot_count; ++i)
      if (layout->slots[i].offset % 8 != 0 || layout->slots[i].offset + 8 > layout->fixed_bytes) {
        fill(why, ECHO_BAD_LAYOUT, "slot " + std::to_string(i) + " lies outside the fixed part");
        return ECHO_BAD_LAYOUT;
      }
    for (size_t i = 0; i < fake.layouts_.size(); ++i)
      if (fake.layouts_[i].name == layout->name &&
          fake.layouts_[i].descriptor.fixed_bytes == layout->fixed_bytes) {
        *out = static_cast<echo_layout_id>(i + 1);
        return ECHO_OK;
      }
    fake.layouts_.push_back({layout->name, *layout, {layout->slots, layout->slots + layout->slot_count}});
    *out = static_cast<echo_layout_id>(fake.layouts_.size());
    return ECHO_OK;
  }
  static echo_status layout_get(echo_heap* heap, echo_layout_id id, echo_layout_info* out) {
    const std::lock_guard<std::mutex> guard(tables);
    FakeHeap& fake = of(heap);
    if (id == 0 || id > fake.layouts_.size())
      return ECHO_UNKNOWN_LAYOUT;
    const FakeHeap::Layout& layout = fake.layouts_[id - 1];
    out->id = id;
    out->kind = layout.descriptor.kind;
    out->flags = layout.descriptor.flags;
    out->name = layout.name.c_str();
    out->fixed_bytes = layout.descriptor.fixed_bytes;
    out->element_bytes = layout.descriptor.element_bytes;
    out->alignment = layout.descriptor.alignment == 0 ? 8 : layout.descriptor.alignment;
    out->slot_count = layout.descriptor.slot_count;
    out->header_word = uint64_t{id} * 2 + 1;
    return ECHO_OK;
  }
  static echo_status layout_slot(echo_heap* heap, echo_layout_id id, uint32_t index, echo_slot* out) {
    const std::lock_guard<std::mutex> guard(tables);
    FakeHeap& fake = of(heap);
    if (id == 0 || id > fake.layouts_.size() || index >= fake.layouts_[id - 1].slots.size())
      return ECHO_OUT_OF_BOUNDS;
    *out = fake.layouts_[id - 1].slots[index];
    return ECHO_OK;
  }
  static echo_status last_error(const echo_thread* thread, echo_error* out) {
    const auto& fake = *reinterpret_cast<const FakeThread*>(thread);
    *out = fake.error;
    return static_cast<echo_status>(fake.error.code);
  }
  static echo_status roots_add(echo_heap* heap, echo_ref* first, uint64_t count, echo_error*) {
    of(heap).root_ranges.emplace_back(first, count);
    return ECHO_OK;
  }
  static echo_status roots_remove(echo_heap* heap, echo_ref* first, echo_error*) {
    auto& ranges = of(heap).root_ranges;
    for (size_t i = 0; i < ranges.size(); ++i)
      if (ranges[i].first == first) {
        ranges.erase(ranges.begin() + static_cast<ptrdiff_t>(i));
        return ECHO_OK;
      }
    return ECHO_INVALID_ARGUMENT;
  }
  static echo_status frame_source_set(echo_heap* heap, const echo_frame_source* source, echo_error* why) {
    FakeHeap& fake = of(heap);
    if (source != nullptr && fake.has_source) {
      fill(why, ECHO_WRONG_STATE, "the heap has a frame source already");
      return ECHO_WRONG_STATE;
    }
    fake.has_source = source != nullptr;
    if (source != nullptr)
      fake.source_ = *source;
    return ECHO_OK;
  }
  static echo_status recipes(echo_heap* heap, uint32_t, const echo_recipes** out) {
    *out = &of(heap).recipes_;
    return ECHO_OK;
  }
  static echo_status collect(echo_thread* thread, uint32_t, echo_error* why) {
    FakeHeap& heap = *of(thread).heap;
    heap.collect();
    if (heap.walk_error.code == ECHO_OK)
      return ECHO_OK;
    *why = heap.walk_error;
    return static_cast<echo_status>(heap.walk_error.code);
  }
  static echo_ref allocate_cold(echo_thread* thread, echo_layout_id layout, uint64_t length) {
    FakeHeap& heap = *of(thread).heap;
    ++heap.allocate_cold;
    if (heap.on_allocate_cold)
      heap.on_allocate_cold();
    if (heap.allocate_cold > heap.fail_after) {
      fill(&of(thread).error, ECHO_HEAP_LIMIT, "the fake heap is told to be full");
      return nullptr;
    }
    return heap.allocate(layout, length);
  }
  static void store_cold(echo_thread* thread, echo_ref* slot, echo_ref value) {
    FakeHeap& heap = *of(thread).heap;
    ++heap.store_cold;
    if (heap.on_store_cold)
      heap.on_store_cold();
    heap.stores.emplace_back(reinterpret_cast<uint64_t>(slot), reinterpret_cast<uint64_t>(value));
  }
  static void poll_cold(echo_thread* thread) {
    FakeHeap& heap = *of(thread).heap;
    ++heap.poll_cold;
    if (heap.on_poll_cold)
      heap.on_poll_cold();
    if (heap.frames_per_collection == ~0u || of(thread).poll_word == 0)
      heap.collect();
    else
      heap.visit_above_watermark();
  }
  static uint64_t hash_cold(echo_thread* thread, echo_ref object) {
    FakeHeap& heap = *of(thread).heap;
    ++heap.hash_cold;
    const auto address = reinterpret_cast<uint64_t>(object);
    if ((word(address) & kHashMoved) != 0)
      return heap.moved_hashes_.at(address);
    word(address) |= kHashed;
    return hash_of_address(address);
  }
  static echo_ref weak_load_cold(echo_thread* thread, echo_ref* slot) {
    ++of(thread).heap->weak_cold;
    return *slot;
  }
  static void enter_native_cold(echo_thread* thread) {
    FakeHeap& heap = *of(thread).heap;
    ++heap.enter_cold;
    if (heap.on_enter_cold)
      heap.on_enter_cold();
  }
  static void leave_native_cold(echo_thread* thread) {
    FakeHeap& heap = *of(thread).heap;
    ++heap.leave_cold;
    if (heap.on_leave_cold)
      heap.on_leave_cold();
    of(thread).state = kFakeManaged;
    of(thread).poll_word = heap.poll_always_ ? 0 : heap.watermark_;
  }
  static void visit(void* visitor, echo_ref* base, uintptr_t* derived) {
    struct Seen {
      std::vector<echo_ref*>* bases;
      std::vector<std::pair<uintptr_t*, std::pair<echo_ref*, uint64_t>>>* derived;
    };
    auto* seen = static_cast<Seen*>(visitor);
    seen->bases->push_back(base);
    if (derived != nullptr)
      seen->derived->push_back({derived, {base, *derived - reinterpret_cast<uint64_t>(*base)}});
  }
};

FakeHeap::FakeHeap(uint64_t space_bytes) : space_bytes_(space_bytes) {
  for (auto& space : spaces_)
    space.assign(space_bytes_ / 8, 0);
  api_.size = sizeof api_;
  api_.abi_major = ECHO_ABI_MAJOR;
  api_.abi_minor = ECHO_ABI_MINOR;
  api_.build_id = "fake";
  api_.layout_register = FakeApi::layout_register;
  api_.layout_get = FakeApi::layout_get;
  api_.layout_slot = FakeApi::layout_slot;
  api_.last_error = FakeApi::last_error;
  api_.roots_add = FakeApi::roots_add;
  api_.roots_remove = FakeApi::roots_remove;
  api_.frame_source_set = FakeApi::frame_source_set;
  api_.recipes = FakeApi::recipes;
  api_.collect = FakeApi::collect;
  recipes_.size = sizeof recipes_;
  recipes_.version = 1;
  recipes_.cursor_offset = offsetof(FakeThread, cursor);
  recipes_.limit_offset = offsetof(FakeThread, limit);
  recipes_.granule = 8;
  recipes_.max_inline_bytes = 4096;
  recipes_.header_offset = 0;
  recipes_.length_offset = 8;
  recipes_.zero_from = 8;
  recipes_.allocate_cold = FakeApi::allocate_cold;
  recipes_.store_kind = ECHO_STORE_PHASE_TEST;
  recipes_.phase_offset = offsetof(FakeThread, phase);
  recipes_.store_cold = FakeApi::store_cold;
  recipes_.poll_offset = offsetof(FakeThread, poll_word);
  recipes_.poll_cold = FakeApi::poll_cold;
  recipes_.anchor_sp_offset = offsetof(FakeThread, anchor_sp);
  recipes_.anchor_fp_offset = offsetof(FakeThread, anchor_fp);
  recipes_.anchor_pc_offset = offsetof(FakeThread, anchor_pc);
  recipes_.filler_word = kFiller;
  recipes_.filler_shift = 16;
  recipes_.hash_mask = kHashed | kHashMoved;
  recipes_.hash_value = kHashed;
  recipes_.hash_multiplier = kHashMultiplier;
  recipes_.hash_shift = kHashShift;
  recipes_.hash_cold = FakeApi::hash_cold;
  recipes_.weak_load_cold = FakeApi::weak_load_cold;
  recipes_.state_offset = offsetof(FakeThread, state);
  recipes_.state_managed = kFakeManaged;
  recipes_.state_native = kFakeNative;
  recipes_.enter_native_cold = FakeApi::enter_native_cold;
  recipes_.leave_native_cold = FakeApi::leave_native_cold;
  thread_.state = kFakeManaged;
  thread_.heap = this;
  thread_.poll_word = ~uint64_t{0};
  thread_.cursor = reinterpret_cast<uint64_t>(spaces_[0].data());
  set_limit();
}

FakeHeap::~FakeHeap() = default;

void FakeHeap::set_limit() {
  const uint64_t end = reinterpret_cast<uint64_t>(spaces_[current_].data()) + space_bytes_;
  thread_.limit = stress_ ? thread_.cursor : end;
}
void FakeHeap::set_stress(bool on) {
  stress_ = on;
  set_limit();
}
void FakeHeap::set_poll_always(bool on) {
  poll_always_ = on;
  thread_.poll_word = on ? 0 : ~uint64_t{0};
}

void FakeHeap::align(uint64_t& cursor, uint64_t alignment) {
  const uint64_t start = (cursor + alignment - 1) & ~(alignment - 1);
  if (start != cursor)
    word(cursor) = kFiller | (start - cursor) << 16;
  cursor = start;
}

/* Every word from the beginning of the space to the cursor belongs to an object or a filler. */
void FakeHeap::walk_space() {
  for (auto at = reinterpret_cast<uint64_t>(spaces_[current_].data()); at < thread_.cursor;) {
    const uint64_t header = word(at);
    if ((header & 0xffff) == kFiller && header >> 16 != 0) {
      at += header >> 16;
      ++fillers_seen;
      continue;
    }
    if ((header & 1) == 0 || layout_number(header) == 0 || layout_number(header) > layouts_.size())
      fatal("neither object nor filler", header);
    const Layout& layout = layouts_[layout_number(header) - 1];
    const uint64_t alignment = layout.descriptor.alignment == 0 ? 8 : layout.descriptor.alignment;
    if (at % alignment != 0)
      fatal("an object that is not aligned", at);
    at += object_bytes(layout, layout.descriptor.kind != ECHO_LAYOUT_FIXED ? word(at + 8) : 0);
  }
}

uint64_t FakeHeap::object_bytes(const Layout& layout, uint64_t length) const {
  const bool array = layout.descriptor.kind != ECHO_LAYOUT_FIXED;
  return (layout.descriptor.fixed_bytes + (array ? length * layout.descriptor.element_bytes : 0) + 7) / 8 * 8;
}

echo_ref FakeHeap::allocate(echo_layout_id id, uint64_t length) {
  const Layout& layout = layouts_[id - 1];
  if (length > space_bytes_) {
    fill(&thread_.error, ECHO_INVALID_ARGUMENT, "the length overflows");
    return nullptr;
  }
  const uint64_t bytes = object_bytes(layout, length);
  const uint64_t end = reinterpret_cast<uint64_t>(spaces_[current_].data()) + space_bytes_;
  const uint64_t alignment = layout.descriptor.alignment == 0 ? 8 : layout.descriptor.alignment;
  if (stress_ || thread_.cursor + bytes + alignment > end)
    collect();
  const uint64_t new_end = reinterpret_cast<uint64_t>(spaces_[current_].data()) + space_bytes_;
  align(thread_.cursor, alignment);
  if (thread_.cursor + bytes > new_end) {
    fill(&thread_.error, ECHO_HEAP_LIMIT, "the fake heap is full");
    return nullptr;
  }
  const uint64_t object = thread_.cursor;
  thread_.cursor += bytes;
  set_limit();
  std::memset(reinterpret_cast<void*>(object), 0, bytes);
  word(object) = uint64_t{id} * 2 + 1;
  if (layout.descriptor.kind != ECHO_LAYOUT_FIXED)
    word(object + 8) = length;
  return reinterpret_cast<echo_ref>(object);
}

bool FakeHeap::contains(echo_ref object) const {
  const auto address = reinterpret_cast<uint64_t>(object);
  const auto begin = reinterpret_cast<uint64_t>(spaces_[current_].data());
  return address >= begin && address < begin + space_bytes_;
}

echo_layout_id FakeHeap::layout_by_name(const std::string& name) const {
  for (size_t i = 0; i < layouts_.size(); ++i)
    if (layouts_[i].name == name)
      return static_cast<echo_layout_id>(i + 1);
  return 0;
}

echo_ref FakeHeap::copy(echo_ref object) {
  const auto address = reinterpret_cast<uint64_t>(object);
  if (address == 0)
    return nullptr;
  if (contains(object))
    return object; /* copied already */
  const auto from = reinterpret_cast<uint64_t>(spaces_[1 - current_].data());
  if (address < from || address >= from + space_bytes_)
    fatal("a root outside the space in use", address);
  const size_t at = (address - from) / 8;
  if (at >= limbo_.size())
    fatal("a root into free memory", address);
  const uint64_t header = limbo_[at];
  if ((header & 1) == 0)
    return reinterpret_cast<echo_ref>(header);
  if (layout_number(header) == 0 || layout_number(header) > layouts_.size())
    fatal("a header that is none", header);
  const Layout& layout = layouts_[layout_number(header) - 1];
  const bool array = layout.descriptor.kind != ECHO_LAYOUT_FIXED;
  const uint64_t bytes = object_bytes(layout, array ? limbo_[at + 1] : 0);
  align(to_, layout.descriptor.alignment == 0 ? 8 : layout.descriptor.alignment);
  std::memcpy(reinterpret_cast<void*>(to_), &limbo_[at], bytes);
  if ((header & (kHashed | kHashMoved)) != 0) { /* the hash goes with the object */
    const uint64_t hash = (header & kHashMoved) != 0 ? moved_hashes_.at(address) : hash_of_address(address);
    moved_hashes_.erase(address);
    moved_hashes_[to_] = hash;
    word(to_) |= kHashMoved;
  }
  limbo_[at] = to_;
  to_ += bytes;
  return reinterpret_cast<echo_ref>(to_ - bytes);
}

void FakeHeap::scan(uint64_t object) {
  const Layout& layout = layouts_[layout_number(word(object)) - 1];
  const auto visit = [&](uint64_t slot) {
    word(slot) = reinterpret_cast<uint64_t>(copy(reinterpret_cast<echo_ref>(word(slot))));
  };
  for (const echo_slot& slot : layout.slots)
    if (slot.kind == ECHO_SLOT_WEAK)
      weak_slots_.push_back(object + slot.offset);
    else if (slot.kind != ECHO_SLOT_TAGGED || (word(object + slot.offset) & 7) == 0)
      visit(object + slot.offset);
  if (layout.descriptor.kind == ECHO_LAYOUT_REF_ARRAY || layout.descriptor.kind == ECHO_LAYOUT_MIXED_REF)
    for (uint64_t i = 0; i < word(object + 8); ++i)
      visit(object + layout.descriptor.fixed_bytes + i * 8);
}

/* A collection that visits every frame at once knows here what is dead. */
void FakeHeap::finish_weak_slots() {
  const auto from = reinterpret_cast<uint64_t>(spaces_[1 - current_].data());
  for (const uint64_t slot : weak_slots_)
    if (word(slot) != 0) {
      const uint64_t header = limbo_.at((word(slot) - from) / 8);
      word(slot) = (header & 1) == 0 ? header : 0;
    }
  weak_slots_.clear();
}

/* Visits the next frames from unvisited_ on; their number. */
uint64_t FakeHeap::visit_portion(uint32_t most) {
  std::vector<echo_ref*> bases;
  std::vector<std::pair<uintptr_t*, std::pair<echo_ref*, uint64_t>>> derived;
  struct {
    decltype(bases)* first;
    decltype(derived)* second;
  } visitor{&bases, &derived};
  uint32_t visited = 0;
  if (source_.walk(source_.context, thread(), &unvisited_, most, &visited, FakeApi::visit, &visitor,
                   &walk_error) != ECHO_OK)
    unvisited_.pc = 0;
  frames += visited;
  roots_seen += bases.size();
  derived_seen += derived.size();
  std::vector<echo_ref> old;
  old.reserve(bases.size());
  for (echo_ref* base : bases)
    old.push_back(*base);
  for (size_t i = 0; i < bases.size(); ++i)
    if (*bases[i] == old[i])
      *bases[i] = copy(old[i]);
  for (auto& [slot, from] : fix_derived ? derived : decltype(derived){})
    *slot = reinterpret_cast<uint64_t>(*from.first) + from.second;
  return visited;
}

/* At least one frame and at most `most`; then the watermark lies on the last of them. */
void FakeHeap::visit_frames(uint32_t most) {
  while (unvisited_.pc != 0 && most > 1) {
    const uint64_t visited = visit_portion(std::min(most - 1, walk_slice));
    if (visited == 0)
      break;
    most -= static_cast<uint32_t>(visited);
  }
  watermark_ = unvisited_.fp - 1;
  if (unvisited_.pc != 0)
    visit_portion(1);
  if (unvisited_.pc == 0)
    watermark_ = ~uint64_t{0};
}

void FakeHeap::visit_above_watermark() {
  if (thread_.anchor_pc == 0)
    unvisited_.pc = 0; /* every managed frame is gone */
  else if (unvisited_.pc != 0 && unvisited_.fp <= thread_.anchor_fp)
    unvisited_ = {thread_.anchor_sp, thread_.anchor_fp, thread_.anchor_pc}; /* frames were dropped */
  const uint64_t before = frames;
  to_ = scanned_ = thread_.cursor;
  if (unvisited_.pc != 0) {
    visit_frames(walk_slice);
    scan_copies();
    ++portions;
    largest_portion = std::max(largest_portion, frames - before);
  } else {
    watermark_ = ~uint64_t{0};
  }
  thread_.cursor = to_;
  set_limit();
  thread_.poll_word = poll_always_ ? 0 : watermark_;
}

void FakeHeap::scan_copies() {
  while (scanned_ < to_) {
    if ((word(scanned_) & 0xffff) == kFiller) {
      scanned_ += word(scanned_) >> 16;
      continue;
    }
    const Layout& layout = layouts_[layout_number(word(scanned_)) - 1];
    const uint64_t bytes =
        object_bytes(layout, layout.descriptor.kind != ECHO_LAYOUT_FIXED ? word(scanned_ + 8) : 0);
    scan(scanned_);
    scanned_ += bytes;
  }
  /* What the program allocates from here on holds no old address. */
}

void FakeHeap::begin_collection() {
  if (unvisited_.pc != 0) { /* frames of the collection before, from where they stand now */
    if (unvisited_.fp <= thread_.anchor_fp)
      unvisited_ = {thread_.anchor_sp, thread_.anchor_fp, thread_.anchor_pc};
    to_ = thread_.cursor;
    scanned_ = to_;
    while (unvisited_.pc != 0 && visit_portion(walk_slice) != 0)
      ;
    scan_copies();
    thread_.cursor = to_;
  }
  const auto begin = reinterpret_cast<uint64_t>(spaces_[current_].data());
  const size_t used = (thread_.cursor - begin) / 8;
  limbo_.assign(spaces_[current_].begin(), spaces_[current_].begin() + static_cast<ptrdiff_t>(used));
  std::fill_n(spaces_[current_].begin(), used, kPoison);
  weak_slots_.clear();
  current_ = 1 - current_;
  to_ = scanned_ = reinterpret_cast<uint64_t>(spaces_[current_].data());
}

void FakeHeap::collect() {
  ++collections;
  begin_collection();
  unvisited_ = {thread_.anchor_sp, thread_.anchor_fp, has_source ? thread_.anchor_pc : 0};
  visit_frames(frames_per_collection);
  for (auto& [first, count] : root_ranges)
    for (uint64_t i = 0; i < count; ++i)
      first[i] = copy(first[i]);
  for (echo_ref& handle : handles)
    handle = copy(handle);
  scan_copies();
  finish_weak_slots();
  thread_.cursor = to_;
  set_limit();
  thread_.poll_word = poll_always_ ? 0 : watermark_;
}

} // namespace echo::testing
