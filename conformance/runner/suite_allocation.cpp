// SPDX-License-Identifier: MIT
//
// suite_allocation.cpp - what an object is when it comes, and what a refusal is.
#include "patterns.h"

#include <algorithm>
#include <map>

namespace conformance {

namespace {

void expect_new(const Mutator& m, echo_ref object, echo_layout_id layout, std::uint64_t length,
                const std::string& what) {
  const echo_layout_info info = m.heap().info(layout);
  const bool array = info.kind != ECHO_LAYOUT_FIXED;
  const std::uint64_t bytes = round_up(info.fixed_bytes + (array ? length * info.element_bytes : 0), 8);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(object) % info.alignment, std::uintptr_t{0},
            what + ": address modulo alignment");
  EXPECT_EQ(m.api().object_layout(m.heap().get(), object), layout, what + ": object_layout");
  EXPECT_EQ(m.api().array_length(m.heap().get(), object), array ? length : 0, what + ": array_length");
  EXPECT_EQ(m.api().object_bytes(m.heap().get(), object), bytes, what + ": object_bytes");
  EXPECT(word(object, 0) != 0, what + ": the header is 0");
  if (array)
    EXPECT_EQ(word(object, 1), length, what + ": the length word");
  EXPECT(is_zero(object, array ? 16 : 8, bytes), what + ": the payload is not zero");
}

void fixed_objects(Context& context) {
  Fixture f(context, "max_heap=1g");
  for (const std::uint64_t bytes :
       {8,    12,   16,    24,    40,    64,    100,    256,     264,     1000,    1024,
        4096, 8192, 32768, 65528, 65536, 65544, 131072, 1 << 20, 5 << 20, 16 << 20})
    for (const std::uint32_t alignment : {8u, 16u, 32u, 64u}) {
      const echo_layout_id id = f.heap.fixed(("f" + show(bytes)).c_str(), bytes, {}, alignment);
      for (int i = 0; i < 3; ++i)
        expect_new(f.mutator, f.mutator.allocate(id), id, 0,
                   show(bytes) + " bytes, alignment " + show(alignment));
    }
}

void arrays(Context& context) {
  Fixture f(context, "max_heap=512m");
  for (const std::uint32_t element : {1u, 2u, 3u, 8u, 24u, 4096u, 65536u})
    for (const std::uint64_t length : {0, 1, 7, 8, 9, 100, 1000}) {
      const echo_layout_id id = f.heap.raw_array(("raw" + show(element)).c_str(), element);
      expect_new(f.mutator, f.mutator.allocate(id, length), id, length,
                 show(length) + " elements of " + show(element));
    }
  const echo_layout_id refs = f.heap.ref_array();
  for (const std::uint64_t length : {0, 1, 2, 62, 63, 64, 1000, 8190, 100000})
    expect_new(f.mutator, f.mutator.allocate(refs, length), refs, length, show(length) + " references");
}

void mixed_objects(Context& context) {
  Fixture f(context, "max_heap=256m");
  const echo_slot slots[] = {{16, ECHO_SLOT_STRONG}, {32, ECHO_SLOT_TAGGED}};
  const echo_layout raw{sizeof(echo_layout), ECHO_LAYOUT_MIXED_RAW, "mixed raw", 40, 3, 32, 0, 2, slots};
  const echo_layout refs{sizeof(echo_layout), ECHO_LAYOUT_MIXED_REF, "mixed refs", 40, 8, 0, 0, 2, slots};
  for (const echo_layout& layout : {raw, refs}) {
    const echo_layout_id id = f.heap.add(layout);
    for (const std::uint64_t length : {0, 1, 5, 8, 1000, 50000})
      expect_new(f.mutator, f.mutator.allocate(id, length), id, length,
                 std::string(layout.name) + " of " + show(length));
  }
}

void length_of_fixed_is_ignored(Context& context) {
  Fixture f(context);
  const echo_layout_id id = f.heap.fixed("pair", 24, {1, 2});
  for (const std::uint64_t length : {std::uint64_t{1}, std::uint64_t{1} << 40, UINT64_MAX})
    expect_new(f.mutator, f.mutator.allocate(id, length), id, 0,
               "a fixed layout with length " + show(length));
}

void objects_do_not_overlap(Context& context) {
  Fixture f(context, "max_heap=256m");
  Scope scope(f.mutator);
  const echo_layout_id words = f.heap.raw_array("words", 8);
  const echo_layout_id bytes = f.heap.raw_array("bytes", 1);
  const echo_layout_id aligned = f.heap.fixed("aligned", 88, {}, 64);
  constexpr std::uint64_t kCount = 4000;
  const echo_handle table = f.mutator.root(f.mutator.allocate(f.heap.ref_array(), kCount));
  Random& random = context.random;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    const std::uint64_t length = random.chance(200) ? random.between(1, 40000) : random.between(0, 130);
    const echo_ref object = random.chance(3)   ? f.mutator.allocate(aligned)
                            : random.chance(2) ? f.mutator.allocate(bytes, length * 8)
                                               : f.mutator.allocate(words, length);
    const std::uint64_t size = f.mutator.api().object_bytes(f.heap.get(), object);
    fill(object, f.mutator.api().object_layout(f.heap.get(), object) == aligned ? 1 : 2, size / 8, i);
    f.mutator.array_store(f.mutator.get(table), i, object);
  }
  std::map<std::uintptr_t, std::uint64_t> ranges;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    const auto object = reinterpret_cast<echo_ref>(word(f.mutator.get(table), 2 + i));
    const std::uint64_t size = f.mutator.api().object_bytes(f.heap.get(), object);
    EXPECT(has_pattern(object, f.mutator.api().object_layout(f.heap.get(), object) == aligned ? 1 : 2,
                       size / 8, i),
           "object " + show(i) + " was overwritten by another one");
    EXPECT(ranges.emplace(reinterpret_cast<std::uintptr_t>(object), size).second,
           "two objects have one address");
  }
  std::uintptr_t end = 0;
  for (const auto& [begin, size] : ranges) {
    EXPECT(begin >= end, "two objects overlap");
    end = begin + size;
  }
}

void overflowing_lengths(Context& context) {
  Fixture f(context, "max_heap=64m");
  const echo_slot slot{16, ECHO_SLOT_STRONG};
  const echo_layout_id mixed =
      f.heap.add({sizeof(echo_layout), ECHO_LAYOUT_MIXED_REF, "mixed", 4096, 8, 64, 0, 1, &slot});
  // The byte count of each does not fit 64 bits.
  const std::pair<echo_layout_id, std::uint64_t> requests[] = {
      {f.heap.ref_array(), UINT64_MAX},
      {f.heap.ref_array(), UINT64_MAX / 8},
      {f.heap.ref_array(), std::uint64_t{1} << 61},
      {f.heap.ref_array(), UINT64_MAX / 8 - 1},
      {f.heap.raw_array("b1", 1), UINT64_MAX},
      {f.heap.raw_array("b1", 1), UINT64_MAX - 15},
      {f.heap.raw_array("b3", 3), UINT64_MAX / 3 + 1},
      {f.heap.raw_array("b64k", 65536), std::uint64_t{1} << 48},
      {f.heap.raw_array("b64k", 65536), (std::uint64_t{1} << 48) + 1},
      {mixed, (std::uint64_t{1} << 61) - 512}};
  for (const auto& [layout, length] : requests) {
    const echo_error why = f.mutator.allocate_refused(layout, length);
    EXPECT_STATUS(why.code, ECHO_INVALID_ARGUMENT, show(length) + " elements of layout " + show(layout));
  }
  // Each fits 64 bits but no heap.
  for (const std::uint64_t length : {std::uint64_t{1} << 23, std::uint64_t{1} << 30, std::uint64_t{1} << 43,
                                     std::uint64_t{1} << 50, (std::uint64_t{1} << 60)}) {
    const echo_error why = f.mutator.allocate_refused(f.heap.ref_array(), length);
    EXPECT(why.code == ECHO_HEAP_LIMIT || why.code == ECHO_SYSTEM_MEMORY || why.code == ECHO_INVALID_ARGUMENT,
           show(length) + " references: " + echo_status_name(why.code));
  }
  const echo_layout_id pair = f.heap.fixed("pair", 24, {1, 2});
  expect_new(f.mutator, f.mutator.allocate(pair), pair, 0, "an object after refusals");
}

void unknown_layouts(Context& context) {
  Fixture f(context);
  const echo_layout_id known = f.heap.fixed("pair", 24, {1, 2});
  for (const echo_layout_id wrong : {0u, known + 1, 1u << 20, UINT32_MAX})
    EXPECT_STATUS(f.mutator.allocate_refused(wrong).code, ECHO_UNKNOWN_LAYOUT, "layout " + show(wrong));
  expect_new(f.mutator, f.mutator.allocate(known), known, 0, "an object after refusals");
}

void large_objects(Context& context) {
  Fixture f(context, "max_heap=256m");
  Scope scope(f.mutator);
  const echo_layout_id words = f.heap.raw_array("words", 8);
  std::vector<echo_handle> handles;
  std::vector<std::uint64_t> lengths;
  for (const std::uint64_t bytes : {70000, 1 << 20, 2097136, 2 << 20, 2097168, 3000000, 10 << 20, 40 << 20}) {
    const std::uint64_t length = static_cast<std::uint64_t>(bytes) / 8 - 2;
    const echo_ref object = f.mutator.allocate(words, length);
    expect_new(f.mutator, object, words, length, show(bytes) + " bytes");
    fill(object, 2, 2 + length, length);
    handles.push_back(f.mutator.root(object));
    lengths.push_back(length);
  }
  for (std::size_t i = 0; i < handles.size(); ++i)
    EXPECT(has_pattern(f.mutator.get(handles[i]), 2, 2 + lengths[i], lengths[i]),
           "a large object was overwritten");
}

// The live set grows until it hits the limit: null and a code, and everything that exists is intact.
void limit_is_a_value(Context& context) {
  Fixture f(context, "max_heap=8m");
  Scope scope(f.mutator);
  const Nodes nodes(f.mutator);
  const echo_handle head = f.mutator.root(nullptr);
  std::uint64_t count = 0;
  for (;;) {
    const echo_ref node = f.mutator.api().allocate(f.mutator.get(), nodes.layout, 0);
    if (node == nullptr)
      break;
    EXPECT(++count < 10000000, "8 MB hold 560 MB");
    fill(node, Nodes::kFirst, Nodes::kWords, count);
    f.mutator.store(node, Nodes::kRight, f.mutator.get(head));
    f.mutator.set(head, node);
  }
  echo_error why = untouched_error();
  EXPECT_STATUS(f.mutator.api().last_error(f.mutator.get(), &why), ECHO_HEAP_LIMIT,
                "the error of a full heap");
  expect_error(why, ECHO_HEAP_LIMIT, "a full heap");
  EXPECT(count * Nodes::kBytes >= (8u << 20) / 4,
         "the limit of 8 MB came after " + show(count * Nodes::kBytes) + " bytes");
  for (int i = 0; i < 3; ++i) // asking again is refused again
    EXPECT_STATUS(f.mutator.allocate_refused(nodes.layout).code, ECHO_HEAP_LIMIT, "a second attempt");
  echo_ref node = f.mutator.get(head);
  for (std::uint64_t key = count; key > 0; --key, node = Nodes::child(node, Nodes::kRight))
    nodes.expect(node, key, "an object of a full heap");
  EXPECT(node == nullptr, "the list of all objects does not end");
}

void stores_are_checked(Context& context) {
  Fixture f(context);
  Scope scope(f.mutator);
  const echo_heap_api& api = f.plugin.api();
  echo_thread* thread = f.mutator.get();
  const echo_layout_id pair = f.heap.fixed("pair", 40, {1, 3});
  const echo_handle object = f.mutator.root(f.mutator.allocate(pair));
  const echo_handle value = f.mutator.root(f.mutator.allocate(pair));
  const auto o = [&] { return f.mutator.get(object); };
  f.mutator.store(o(), 1, f.mutator.get(value));
  EXPECT(reinterpret_cast<echo_ref>(word(o(), 1)) == f.mutator.get(value),
         "a stored reference is not in its slot");
  f.mutator.store(o(), 3, f.mutator.get(value));
  EXPECT(reinterpret_cast<echo_ref>(word(o(), 3)) == f.mutator.get(value), "a reference in the last slot");
  f.mutator.store(o(), 1, nullptr);
  EXPECT_EQ(word(o(), 1), std::uint64_t{0}, "a stored null");
  EXPECT_STATUS(api.store(thread, nullptr, 8, nullptr), ECHO_INVALID_ARGUMENT, "store into null");
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{4}, std::uint64_t{12}, std::uint64_t{16},
                                     std::uint64_t{40}, std::uint64_t{1} << 40, UINT64_MAX - 7})
    EXPECT_STATUS(api.store(thread, o(), offset, nullptr), ECHO_OUT_OF_BOUNDS,
                  "store at offset " + show(offset));
  const echo_handle array = f.mutator.root(f.mutator.allocate(f.heap.ref_array(), 5));
  const auto a = [&] { return f.mutator.get(array); };
  for (std::uint64_t i = 0; i < 5; ++i) {
    f.mutator.array_store(a(), i, f.mutator.get(value));
    EXPECT(reinterpret_cast<echo_ref>(word(a(), 2 + i)) == f.mutator.get(value), "a stored element");
  }
  for (const std::uint64_t index : {std::uint64_t{5}, std::uint64_t{1} << 61, UINT64_MAX})
    EXPECT_STATUS(api.array_store(thread, a(), index, nullptr), ECHO_OUT_OF_BOUNDS, "element " + show(index));
  EXPECT_STATUS(api.array_store(thread, nullptr, 0, nullptr), ECHO_INVALID_ARGUMENT, "array_store into null");
  const echo_handle raw = f.mutator.root(f.mutator.allocate(f.heap.raw_array("words", 8), 5));
  EXPECT(api.array_store(thread, f.mutator.get(raw), 0, f.mutator.get(value)) != ECHO_OK,
         "a reference was stored into an array of raw words");
  EXPECT(api.array_store(thread, o(), 0, nullptr) != ECHO_OK, "array_store into a fixed object succeeds");
}

void mixed_elements_are_stored(Context& context) {
  Fixture f(context);
  Scope scope(f.mutator);
  const echo_slot slot{24, ECHO_SLOT_STRONG};
  const echo_layout_id mixed =
      f.heap.add({sizeof(echo_layout), ECHO_LAYOUT_MIXED_REF, "mixed", 40, 8, 0, 0, 1, &slot});
  const echo_handle value = f.mutator.root(f.mutator.allocate(mixed, 0));
  const echo_handle object = f.mutator.root(f.mutator.allocate(mixed, 3));
  f.mutator.store(f.mutator.get(object), 3, f.mutator.get(value));
  f.mutator.array_store(f.mutator.get(object), 2, f.mutator.get(value));
  EXPECT(reinterpret_cast<echo_ref>(word(f.mutator.get(object), 3)) == f.mutator.get(value),
         "the slot of the fixed part");
  EXPECT(reinterpret_cast<echo_ref>(word(f.mutator.get(object), 5 + 2)) == f.mutator.get(value), "element 2");
  EXPECT_STATUS(f.plugin.api().array_store(f.mutator.get(), f.mutator.get(object), 3, nullptr),
                ECHO_OUT_OF_BOUNDS, "element 3 of 3");
}

void getters_take_null(Context& context) {
  Fixture f(context);
  const echo_heap_api& api = f.plugin.api();
  EXPECT_EQ(api.object_bytes(f.heap.get(), nullptr), std::uint64_t{0}, "object_bytes of null");
  EXPECT_EQ(api.object_layout(f.heap.get(), nullptr), 0u, "object_layout of null");
  EXPECT_EQ(api.array_length(f.heap.get(), nullptr), std::uint64_t{0}, "array_length of null");
  EXPECT_EQ(api.array_length(f.heap.get(), f.mutator.allocate(f.heap.fixed("leaf", 16, {}))),
            std::uint64_t{0}, "array_length of a fixed object");
}

} // namespace

Suite allocation_suite() {
  return {
      "allocation",
      "what an object is when it comes, and what a refusal is",
      {
          {"fixed_objects", "fixed objects of all sizes and alignments: header, zero payload, address",
           "[abi.alloc.1] [abi.alloc.2]", fixed_objects},
          {"arrays", "arrays: header, length, zero elements, byte count", "[abi.alloc.1]", arrays},
          {"mixed_objects", "a fixed part with elements behind it", "[abi.alloc.1] [abi.alloc.2]",
           mixed_objects},
          {"length_of_fixed_is_ignored", "the length of a fixed layout is ignored", "[abi.alloc.1]",
           length_of_fixed_is_ignored},
          {"objects_do_not_overlap", "thousands of objects of mixed sizes do not overlap (random)",
           "[abi.alloc.2]", objects_do_not_overlap},
          {"large_objects", "objects of 70 KB to 40 MB, around chunk borders", "[abi.alloc.1] [abi.alloc.2]",
           large_objects},
          {"overflowing_lengths",
           "lengths that overflow are INVALID_ARGUMENT, lengths beyond the heap an error",
           "[abi.layout.2] [abi.alloc.3]", overflowing_lengths},
          {"unknown_layouts", "a layout that is not registered is UNKNOWN_LAYOUT", "[abi.alloc.3]",
           unknown_layouts},
          {"limit_is_a_value", "a full heap gives null and HEAP_LIMIT, and loses nothing",
           "[abi.alloc.3] [abi.error.1]", limit_is_a_value},
          {"stores_are_checked", "stores reach slots and elements, and nothing else", "[abi.alloc.4]",
           stores_are_checked},
          {"mixed_elements_are_stored", "slots and elements of mixed objects", "[abi.alloc.4]",
           mixed_elements_are_stored},
          {"getters_take_null", "size, layout and length of null are 0", "[abi.alloc.1]", getters_take_null},
      }};
}

} // namespace conformance
