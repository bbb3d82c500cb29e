// SPDX-License-Identifier: MIT
//
// Purpose     Registration of layouts: every refusal with its sentence, identity, enumeration, limits, sizes.
#include "heap/layout_table.h"

#include "tests/heap/layouts.h"
#include "tests/heap/seed.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <thread>

namespace echo {
namespace {

using test::describe;
using test::fixed_layout;
using test::raw_array_layout;
using test::ref_array_layout;

class LayoutTableTest : public ::testing::Test {
protected:
  void SetUp() override { ASSERT_TRUE(table.open()); }
  LayoutId add(const echo_layout& layout) {
    LayoutId id;
    std::string why;
    EXPECT_EQ(table.add(layout, &id, &why), ECHO_OK) << why;
    return id;
  }
  LayoutTable table;
};

struct Refusal {
  const char* sentence; // behind "layout 'broken': "
  echo_layout layout;
  echo_status status = ECHO_BAD_LAYOUT;
};

echo_layout changed(echo_layout layout, const std::function<void(echo_layout&)>& change) {
  change(layout);
  return layout;
}

// [abi.layout.1] [abi.layout.3] [heap.layout.2]
TEST_F(LayoutTableTest, EveryRefusalNamesItsReason) {
  const std::vector<echo_slot> at8{{8, ECHO_SLOT_STRONG}};
  const std::vector<echo_slot> at0{{0, ECHO_SLOT_STRONG}};
  const std::vector<echo_slot> at12{{12, ECHO_SLOT_STRONG}};
  const std::vector<echo_slot> at24{{24, ECHO_SLOT_STRONG}};
  const std::vector<echo_slot> high{{0xFFFFFFF8u, ECHO_SLOT_STRONG}};
  const std::vector<echo_slot> twice{{16, ECHO_SLOT_STRONG}, {8, ECHO_SLOT_STRONG}, {16, ECHO_SLOT_TAGGED}};
  const std::vector<echo_slot> kind5{{8, 5}};
  const std::vector<echo_slot> key{{8, ECHO_SLOT_EPHEMERON_KEY}};
  const std::vector<echo_slot> value{{8, ECHO_SLOT_EPHEMERON_VALUE}};
  const std::vector<echo_slot> apart{{8, ECHO_SLOT_EPHEMERON_KEY}, {24, ECHO_SLOT_EPHEMERON_VALUE}};
  const std::vector<echo_slot> two_values{
      {8, ECHO_SLOT_EPHEMERON_KEY}, {16, ECHO_SLOT_EPHEMERON_VALUE}, {24, ECHO_SLOT_EPHEMERON_VALUE}};
  const std::vector<echo_slot> two_keys{
      {8, ECHO_SLOT_EPHEMERON_KEY}, {16, ECHO_SLOT_EPHEMERON_KEY}, {24, ECHO_SLOT_EPHEMERON_VALUE}};
  const echo_layout plain = fixed_layout("broken", 24);
  const echo_layout raw = raw_array_layout("broken", 4);
  const echo_layout refs = ref_array_layout("broken");
  const auto mixed = [](std::uint64_t fixed, const std::vector<echo_slot>& slots) {
    return describe("broken", ECHO_LAYOUT_MIXED_RAW, fixed, 4, slots);
  };
  const Refusal refusals[] = {
      {"kind 0 is none of echo_layout_kind", changed(plain, [](echo_layout& l) { l.kind = 0; })},
      {"kind 7 is none of echo_layout_kind", changed(plain, [](echo_layout& l) { l.kind = 7; })},
      {"unknown flags 8", changed(plain, [](echo_layout& l) { l.flags = 8 | ECHO_LAYOUT_PINNED; })},
      {"fixed_bytes is 0, allowed are 8 to 16777216", fixed_layout("broken", 0)},
      {"fixed_bytes is 7, allowed are 8 to 16777216", fixed_layout("broken", 7)},
      {"fixed_bytes is 16777217, allowed are 8 to 16777216", fixed_layout("broken", 16777217)},
      {"fixed_bytes is 18446744073709551615, allowed are 8 to 16777216", fixed_layout("broken", UINT64_MAX)},
      {"fixed_bytes is 8, allowed are 16 to 16777216",
       changed(raw, [](echo_layout& l) { l.fixed_bytes = 8; })},
      {"fixed_bytes of a plain array is 24, it must be 16",
       changed(refs, [](echo_layout& l) { l.fixed_bytes = 24; })},
      {"the part before the elements must be a multiple of 8 bytes, it is 20", mixed(20, {})},
      {"element_bytes of references is 4, it must be 8",
       changed(refs, [](echo_layout& l) { l.element_bytes = 4; })},
      {"element_bytes is 0, allowed are 1 to 65536",
       changed(raw, [](echo_layout& l) { l.element_bytes = 0; })},
      {"element_bytes is 65537, allowed are 1 to 65536",
       changed(raw, [](echo_layout& l) { l.element_bytes = 65537; })},
      {"a fixed layout has element_bytes 1", changed(plain, [](echo_layout& l) { l.element_bytes = 1; })},
      {"alignment is 4, allowed are 8, 16, 32 and 64",
       changed(plain, [](echo_layout& l) { l.alignment = 4; })},
      {"alignment is 24, allowed are 8, 16, 32 and 64",
       changed(plain, [](echo_layout& l) { l.alignment = 24; })},
      {"alignment is 128, allowed are 8, 16, 32 and 64",
       changed(plain, [](echo_layout& l) { l.alignment = 128; })},
      {"a plain array has no slots in its fixed part, 1 are given",
       describe("broken", ECHO_LAYOUT_REF_ARRAY, 16, 8, at8)},
      {"4 slots do not fit 24 bytes", changed(plain, [](echo_layout& l) { l.slot_count = 4; })},
      {"4294967295 slots do not fit 24 bytes",
       changed(plain, [](echo_layout& l) { l.slot_count = UINT32_MAX; })},
      {"slot_count is 2 but slots is null", changed(plain,
                                                    [](echo_layout& l) {
                                                      l.slot_count = 2;
                                                      l.slots = nullptr;
                                                    })},
      {"it is declared a leaf and has references",
       changed(fixed_layout("broken", 24, at8), [](echo_layout& l) { l.flags = ECHO_LAYOUT_LEAF; })},
      {"it is declared a leaf and has references",
       changed(refs, [](echo_layout& l) { l.flags = ECHO_LAYOUT_LEAF; })},
      {"slot at offset 12 is not a multiple of 8", fixed_layout("broken", 24, at12)},
      {"slot at offset 0 lies outside bytes 8 to 24", fixed_layout("broken", 24, at0)},
      {"slot at offset 24 lies outside bytes 8 to 24", fixed_layout("broken", 24, at24)},
      {"slot at offset 24 lies outside bytes 8 to 31", fixed_layout("broken", 31, at24)},
      {"slot at offset 4294967288 lies outside bytes 8 to 24", fixed_layout("broken", 24, high)},
      {"slot at offset 8 lies outside bytes 16 to 24", mixed(24, at8)},
      {"slot at offset 16 is listed twice", fixed_layout("broken", 32, twice)},
      {"slot at offset 8 has the unknown kind 5", fixed_layout("broken", 24, kind5)},
      // [heap.layout.4]
      {"slot at offset 8 is an ephemeron's key, and no value's slot lies right behind it",
       fixed_layout("broken", 24, key)},
      {"slot at offset 8 is an ephemeron's key, and no value's slot lies right behind it",
       fixed_layout("broken", 40, apart)},
      {"slot at offset 8 is an ephemeron's key, and no value's slot lies right behind it",
       fixed_layout("broken", 40, two_keys)},
      {"slot at offset 8 is an ephemeron's value, and no key's slot lies right before it",
       fixed_layout("broken", 24, value)},
      {"slot at offset 24 is an ephemeron's value, and no key's slot lies right before it",
       fixed_layout("broken", 40, two_values)},
  };
  for (const Refusal& refusal : refusals) {
    LayoutId id;
    std::string why;
    EXPECT_EQ(table.add(refusal.layout, &id, &why), refusal.status) << refusal.sentence;
    EXPECT_EQ(why, "layout 'broken': " + std::string(refusal.sentence));
    EXPECT_EQ(id.number, 0u);
    EXPECT_EQ(table.count(), 0u) << "nothing is registered";
  }
}

TEST_F(LayoutTableTest, RefusesNames) {
  std::string long_name(256, 'n');
  for (const char* name :
       {static_cast<const char*>(nullptr), "", static_cast<const char*>(long_name.c_str())}) {
    LayoutId id;
    std::string why;
    EXPECT_EQ(table.add(fixed_layout(name, 16), &id, &why), ECHO_BAD_LAYOUT);
    EXPECT_EQ(why.substr(0, 6), "layout");
    EXPECT_NE(why.find(": the name must have 1 to 255 bytes"), std::string::npos) << why;
  }
  long_name.pop_back();
  EXPECT_STREQ(table.record(add(fixed_layout(long_name.c_str(), 16))).name, long_name.c_str());
}

// A descriptor of an older header is shorter: no byte behind its size is read.
TEST_F(LayoutTableTest, ShortDescriptorIsRefusedUnread) {
  const auto bytes = std::make_unique<std::uint64_t[]>(1);
  const std::uint32_t size = 8;
  std::memcpy(bytes.get(), &size, sizeof size);
  LayoutId id;
  std::string why;
  const auto* descriptor = reinterpret_cast<const echo_layout*>(bytes.get());
  asm("" : "+r"(descriptor)); // as across the ABI: the compiler does not know what it points to
  EXPECT_EQ(table.add(*descriptor, &id, &why), ECHO_BAD_LAYOUT);
  EXPECT_EQ(why, "layout: size is 8, expected at least " + std::to_string(sizeof(echo_layout)));
}

TEST_F(LayoutTableTest, EqualDescriptorsShareANumber) {
  const std::vector<echo_slot> slots{{8, ECHO_SLOT_STRONG}, {16, ECHO_SLOT_TAGGED}};
  const std::vector<echo_slot> reversed{{16, ECHO_SLOT_TAGGED}, {8, ECHO_SLOT_STRONG}};
  const std::vector<echo_slot> other_kind{{8, ECHO_SLOT_STRONG}, {16, ECHO_SLOT_STRONG}};
  const LayoutId first = add(fixed_layout("pair", 24, slots));
  EXPECT_EQ(add(fixed_layout("pair", 24, reversed)), first);
  EXPECT_EQ(add(changed(fixed_layout("pair", 24, slots), [](echo_layout& l) { l.alignment = 8; })), first)
      << "0 means 8";
  EXPECT_EQ(add(changed(fixed_layout("pair", 24, slots), [](echo_layout& l) { l.size += 8; })), first)
      << "a newer caller's longer struct";
  EXPECT_EQ(table.count(), 1u);
  // Whatever differs makes another layout.
  EXPECT_NE(add(fixed_layout("pair2", 24, slots)), first);
  EXPECT_NE(add(fixed_layout("pair", 32, slots)), first);
  EXPECT_NE(add(fixed_layout("pair", 23, {})), first);
  EXPECT_NE(add(fixed_layout("pair", 24, other_kind)), first);
  EXPECT_NE(add(changed(fixed_layout("pair", 24, slots), [](echo_layout& l) { l.alignment = 16; })), first);
  EXPECT_NE(
      add(changed(fixed_layout("pair", 24, slots), [](echo_layout& l) { l.flags = ECHO_LAYOUT_PINNED; })),
      first);
  EXPECT_EQ(table.count(), 7u);
}

TEST_F(LayoutTableTest, CopiesNameAndSlots) {
  char name[] = "mine";
  std::vector<echo_slot> slots{{16, ECHO_SLOT_TAGGED}, {8, ECHO_SLOT_STRONG}};
  const LayoutId id = add(fixed_layout(name, 24, slots));
  std::memset(name, 'x', 4);
  slots.assign(2, {0, 9});
  const LayoutRecord& r = table.record(id);
  EXPECT_STREQ(r.name, "mine");
  EXPECT_EQ(r.slots[0].offset, 8u) << "sorted by offset";
  EXPECT_EQ(r.slots[0].kind, unsigned{ECHO_SLOT_STRONG});
  EXPECT_EQ(r.slots[1].offset, 16u);
  EXPECT_EQ(r.slots[1].kind, unsigned{ECHO_SLOT_TAGGED});
}

TEST_F(LayoutTableTest, RecordsSayWhatWasRegistered) {
  const std::vector<echo_slot> slots{{8, ECHO_SLOT_STRONG},
                                     {63 * 8, ECHO_SLOT_TAGGED},
                                     {64 * 8, ECHO_SLOT_STRONG},
                                     {70 * 8, ECHO_SLOT_TAGGED}};
  const LayoutRecord& r = table.record(add(fixed_layout("long", 1001, slots)));
  EXPECT_EQ(r.strong_map, std::uint64_t{1} << 1);
  EXPECT_EQ(r.tagged_map, std::uint64_t{1} << 63);
  EXPECT_TRUE(r.has_long_slots);
  EXPECT_EQ(r.fixed_bytes, 1008u);
  EXPECT_EQ(r.exact_fixed_bytes, 1001u);
  EXPECT_EQ(r.slot_count, 4u);
  EXPECT_FALSE(r.is_array);
  EXPECT_FALSE(r.is_leaf());
  EXPECT_EQ(r.alignment, 8);

  const LayoutRecord& refs = table.record(add(ref_array_layout("refs")));
  EXPECT_TRUE(refs.is_array);
  EXPECT_TRUE(refs.traced_elements);
  EXPECT_FALSE(refs.is_leaf());
  const LayoutRecord& raw = table.record(add(raw_array_layout("raw", 3)));
  EXPECT_TRUE(raw.is_array);
  EXPECT_FALSE(raw.traced_elements);
  EXPECT_TRUE(raw.is_leaf());
  EXPECT_FALSE(table.knows({0}));
  EXPECT_TRUE(table.knows({3}));
  EXPECT_FALSE(table.knows({4}));
}

TEST_F(LayoutTableTest, SmallObjectsCountAsSixteenBytes) { // [abi.layout.4]
  for (const std::uint64_t bytes : {8u, 9u, 15u, 16u}) {
    const LayoutRecord& r = table.record(add(fixed_layout("small", bytes)));
    EXPECT_EQ(r.fixed_bytes, 16u);
    EXPECT_EQ(r.exact_fixed_bytes, 16u);
    std::uint64_t size = 0;
    EXPECT_TRUE(LayoutTable::checked_object_bytes(r, 0, &size));
    EXPECT_EQ(size, 16u);
  }
}

// The largest slot list: every word of the largest object.
TEST_F(LayoutTableTest, AcceptsTheLargestFixedLayout) {
  std::vector<echo_slot> slots;
  for (std::uint32_t offset = 8; offset < LayoutTable::kMaxFixedBytes; offset += 8) {
    slots.push_back({offset, ECHO_SLOT_STRONG});
  }
  const LayoutRecord& r = table.record(add(fixed_layout("largest", LayoutTable::kMaxFixedBytes, slots)));
  EXPECT_EQ(r.slot_count, LayoutTable::kMaxFixedBytes / 8 - 1);
  EXPECT_EQ(r.strong_map, ~std::uint64_t{1});
}

// [abi.layout.2] [heap.layout.3]
TEST_F(LayoutTableTest, LengthsThatOverflowAreRefused) {
  const LayoutRecord& bytes = table.record(add(raw_array_layout("bytes", 1)));
  const LayoutRecord& refs = table.record(add(ref_array_layout("refs")));
  const LayoutRecord& wide = table.record(add(raw_array_layout("wide", 65536)));
  constexpr std::uint64_t kEnd = std::uint64_t{1} << 47;
  std::uint64_t size = 0;
  EXPECT_TRUE(LayoutTable::checked_object_bytes(bytes, 0, &size));
  EXPECT_EQ(size, 16u);
  EXPECT_TRUE(LayoutTable::checked_object_bytes(bytes, kEnd - 24, &size));
  EXPECT_EQ(size, kEnd - 8);
  EXPECT_FALSE(LayoutTable::checked_object_bytes(bytes, kEnd - 16, &size));
  EXPECT_FALSE(LayoutTable::checked_object_bytes(bytes, UINT64_MAX, &size));
  EXPECT_FALSE(LayoutTable::checked_object_bytes(bytes, UINT64_MAX - 22, &size)) << "the sum wraps";
  EXPECT_FALSE(LayoutTable::checked_object_bytes(refs, UINT64_MAX / 8 + 1, &size)) << "the product wraps";
  EXPECT_FALSE(LayoutTable::checked_object_bytes(refs, (UINT64_MAX / 8) + 2, &size))
      << "the product wraps to 8";
  EXPECT_FALSE(LayoutTable::checked_object_bytes(wide, (std::uint64_t{1} << 48) + 1, &size));
  EXPECT_FALSE(LayoutTable::checked_object_bytes(wide, std::uint64_t{1} << 31, &size));
  EXPECT_TRUE(LayoutTable::checked_object_bytes(wide, (std::uint64_t{1} << 31) - 1, &size));
}

TEST_F(LayoutTableTest, SizesEqualExactArithmetic) {
  SCOPED_TRACE(test::seed_message());
  test::Random random(test::test_seed());
  using Exact = unsigned __int128;
  for (int i = 0; i < 2000; ++i) {
    const auto element = static_cast<std::uint32_t>(random.between(1, 65536));
    const std::uint64_t fixed = 16 + 8 * random.below(64);
    const LayoutId id = add(describe("sized", ECHO_LAYOUT_MIXED_RAW, fixed, element));
    const LayoutRecord& r = table.record(id);
    const std::uint64_t length = random.next() >> random.below(64);
    const Exact exact = (Exact{length} * element + fixed + 7) / 8 * 8;
    std::uint64_t size = 0;
    const bool fits = LayoutTable::checked_object_bytes(r, length, &size);
    ASSERT_EQ(fits, exact < (Exact{1} << 47)) << fixed << " + " << length << " * " << element;
    if (fits) {
      ASSERT_EQ(size, static_cast<std::uint64_t>(exact));
      // An object with that header and length has the same size.
      const std::uint64_t object[2] = {id.number, length};
      ASSERT_EQ(table.object_bytes({reinterpret_cast<Address>(object)}), size);
    }
  }
}

TEST_F(LayoutTableTest, HundredThousandLayoutsInAMoment) {
  constexpr std::uint32_t kCount = 100000;
  const auto start = std::chrono::steady_clock::now();
  const std::vector<echo_slot> slots{{8, ECHO_SLOT_STRONG}};
  for (int round = 0; round < 2; ++round) { // the second time they are found
    for (std::uint32_t i = 0; i < kCount; ++i) {
      const std::string name = "layout" + std::to_string(i);
      ASSERT_EQ(add(fixed_layout(name.c_str(), 16 + i % 64, slots)).number, i + 1);
    }
  }
  EXPECT_EQ(table.count(), kCount);
  EXPECT_STREQ(table.record({kCount}).name, "layout99999");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST_F(LayoutTableTest, TheMillionAndFirstIsRefused) { // [heap.layout.5]
  char name[16];
  for (std::uint32_t i = 0; i < kMaxLayouts; ++i) {
    std::snprintf(name, sizeof name, "%x", i);
    ASSERT_EQ(add(fixed_layout(name, 16)).number, i + 1);
  }
  LayoutId id;
  std::string why;
  EXPECT_EQ(table.add(fixed_layout("one too many", 16), &id, &why), ECHO_LIMIT_EXCEEDED);
  EXPECT_EQ(why, "layout 'one too many': 1048576 layouts are registered already");
  EXPECT_EQ(add(fixed_layout("0", 16)).number, 1u) << "known ones are still found";
  EXPECT_EQ(table.count(), kMaxLayouts);
  EXPECT_LE(table.side_bytes(), std::size_t{kMaxLayouts} * 80) << "of names, slots and index";
}

// [heap.layout.1] Threads register the same layouts in different orders and read while others write.
TEST_F(LayoutTableTest, ThreadsAgree) {
  constexpr std::uint32_t kThreads = 4;
  constexpr std::uint32_t kLayouts = 1000;
  std::vector<std::vector<std::uint32_t>> numbers(kThreads, std::vector<std::uint32_t>(kLayouts));
  std::atomic<bool> done{false};
  std::atomic<std::uint32_t> incomplete{0};
  std::thread reader([&] {
    while (!done.load()) {
      const std::uint32_t count = table.count();
      for (std::uint32_t id = count > 16 ? count - 16 : 1; id <= count; ++id) {
        const LayoutRecord& r = table.record({id});
        incomplete += r.name == nullptr || r.fixed_bytes < 16 || r.slot_count != 1 || r.slots[0].offset != 8;
      }
    }
  });
  std::vector<std::thread> writers;
  for (std::uint32_t t = 0; t < kThreads; ++t) {
    writers.emplace_back([&, t] {
      const std::vector<echo_slot> slots{{8, ECHO_SLOT_STRONG}};
      for (std::uint32_t i = 0; i < kLayouts; ++i) {
        const std::uint32_t which = (i * 7 + t * 331) % kLayouts; // 7 and kLayouts have no common divisor
        const std::string name = "shared" + std::to_string(which);
        numbers[t][which] = add(fixed_layout(name.c_str(), 16, slots)).number;
      }
    });
  }
  for (std::thread& writer : writers) {
    writer.join();
  }
  done = true;
  reader.join();
  EXPECT_EQ(incomplete.load(), 0u);
  EXPECT_EQ(table.count(), kLayouts);
  for (std::uint32_t t = 1; t < kThreads; ++t) {
    EXPECT_EQ(numbers[t], numbers[0]);
  }
}

} // namespace
} // namespace echo
