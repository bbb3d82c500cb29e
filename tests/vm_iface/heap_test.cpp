// SPDX-License-Identifier: MIT
//
// Purpose     Heaps, options and layouts through the C ABI: what is documented to fail fails with its status
// and a
//             sentence, and nothing else changes.
#include "tests/vm_iface/heap_fixture.h"

#include <cstdlib>
#include <cstring>

namespace echo {
namespace {

using test::HeapFixture;
using test::untouched;

TEST(HeapCreate, NullAndBadOptions) {
  echo_error why = untouched();
  echo_heap* heap = reinterpret_cast<echo_heap*>(&why);
  EXPECT_EQ(echo_heap_create(nullptr, nullptr, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_STREQ(why.message, "out is null");
  EXPECT_EQ(echo_heap_create("max_heap=1q", &heap, &why), ECHO_BAD_OPTION_VALUE);
  EXPECT_EQ(heap, nullptr);
  EXPECT_EQ(why.code, ECHO_BAD_OPTION_VALUE);
  EXPECT_STREQ(
      why.message,
      "option 'max_heap' has the value '1q': expected bytes with an optional suffix k, m or g in 1m..1024g");
  EXPECT_EQ(echo_heap_create("colour=red", &heap, &why), ECHO_UNKNOWN_OPTION);
  EXPECT_EQ(std::string(why.message).find("option 'colour' is unknown; known are: max_heap "), 0u);
  EXPECT_EQ(echo_heap_create(std::string(100000, ',').c_str(), &heap, &why), ECHO_BAD_OPTION_VALUE);
  EXPECT_EQ(echo_heap_create("colour=red", &heap, nullptr), ECHO_UNKNOWN_OPTION) << "why may be null";
  EXPECT_EQ(echo_heap_destroy(nullptr, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_STREQ(why.message, "heap is null");
}

TEST(HeapCreate, OptionsOverrideTheEnvironment) {
  ::setenv("ECHO_HEAP_OPTIONS", "max_heap=2m,trigger=2m,stress_collect=1", 1);
  echo_heap* heap = nullptr;
  echo_thread* thread = nullptr;
  echo_error why{};
  ASSERT_EQ(echo_heap_create("stress_collect=0", &heap, &why), ECHO_OK) << why.message;
  ASSERT_EQ(echo_attach(heap, &thread, &why), ECHO_OK);
  const echo_layout layout{sizeof(echo_layout), ECHO_LAYOUT_RAW_ARRAY, "bytes", 16, 1, 0, 0, 0, nullptr};
  echo_layout_id bytes = 0;
  ASSERT_EQ(echo_layout_register(heap, &layout, &bytes, &why), ECHO_OK);
  EXPECT_NE(echo_allocate(thread, bytes, 100), nullptr);
  echo_statistics s{};
  s.size = sizeof s;
  ASSERT_EQ(echo_get_statistics(heap, &s), ECHO_OK);
  EXPECT_EQ(s.collections_full, 0u) << "the string wins";
  EXPECT_EQ(echo_allocate(thread, bytes, 3 << 20), nullptr) << "the environment's limit holds";
  ASSERT_EQ(echo_detach(thread, &why), ECHO_OK);
  ASSERT_EQ(echo_heap_destroy(heap, &why), ECHO_OK);
  ::setenv("ECHO_HEAP_OPTIONS", "nonsense", 1);
  EXPECT_EQ(echo_heap_create(nullptr, &heap, &why), ECHO_UNKNOWN_OPTION);
  EXPECT_EQ(std::string(why.message).find("in ECHO_HEAP_OPTIONS: option 'nonsense' is unknown"), 0u);
  ::unsetenv("ECHO_HEAP_OPTIONS");
}

TEST(HeapCreate, TheOptionTableEnumerates) {
  echo_option_info info{};
  EXPECT_EQ(echo_option_get_info(0, nullptr), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_option_get_info(0, &info), ECHO_INVALID_ARGUMENT) << "size is not set";
  std::string all;
  std::uint32_t count = 0;
  for (;; ++count) {
    info = {};
    info.size = sizeof info;
    if (echo_option_get_info(count, &info) != ECHO_OK) {
      break;
    }
    EXPECT_EQ(info.size, sizeof info);
    if (info.type != ECHO_OPTION_PATH) { // there is no default file
      all += std::string(info.name) + "=" + info.default_value + ",";
    }
  }
  EXPECT_GE(count, 10u);
  EXPECT_EQ(echo_option_get_info(count, &info), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_option_get_info(UINT32_MAX, &info), ECHO_INVALID_ARGUMENT);
  echo_heap* heap = nullptr;
  echo_error why{};
  EXPECT_EQ(echo_heap_create(all.c_str(), &heap, &why), ECHO_OK) << why.message;
  EXPECT_EQ(echo_heap_destroy(heap, &why), ECHO_OK);
}

TEST(HeapCreate, ManyHeapsAtOnce) {
  std::vector<echo_heap*> heaps(20);
  echo_error why{};
  for (echo_heap*& heap : heaps) {
    ASSERT_EQ(echo_heap_create("max_heap=1m", &heap, &why), ECHO_OK) << why.message;
  }
  for (echo_heap* heap : heaps) {
    EXPECT_EQ(echo_heap_destroy(heap, &why), ECHO_OK);
  }
}

class HeapAbi : public HeapFixture {};

TEST_F(HeapAbi, ThreadsKeepAHeapAlive) {
  EXPECT_EQ(echo_heap_destroy(heap, &why), ECHO_THREADS_ATTACHED);
  EXPECT_STREQ(why.message, "1 threads are attached; detach them first");
  EXPECT_NE(make(pair), nullptr) << "nothing was freed";
  EXPECT_EQ(echo_enter_native(thread), ECHO_OK);
  EXPECT_EQ(echo_heap_destroy(heap, &why), ECHO_THREADS_ATTACHED) << "native ones too";
  EXPECT_EQ(echo_leave_native(thread), ECHO_OK);
}

// --- layouts

TEST_F(HeapAbi, LayoutsAreRefusedWithTheReason) { // [abi.layout.3]
  const echo_slot outside[] = {{24, ECHO_SLOT_STRONG}};
  const echo_layout bad{sizeof(echo_layout), ECHO_LAYOUT_FIXED, "bad", 24, 0, 0, 0, 1, outside};
  echo_layout_id id = 77;
  const std::uint32_t count = echo_layout_count(heap);
  EXPECT_EQ(echo_layout_register(heap, &bad, &id, &why), ECHO_BAD_LAYOUT);
  EXPECT_STREQ(why.message, "layout 'bad': slot at offset 24 lies outside bytes 8 to 24");
  EXPECT_EQ(id, 0u);
  EXPECT_EQ(echo_layout_count(heap), count);
  why = untouched();
  EXPECT_EQ(echo_layout_register(nullptr, &bad, &id, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_STREQ(why.message, "heap is null");
  EXPECT_EQ(echo_layout_register(heap, nullptr, &id, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_STREQ(why.message, "layout is null");
  EXPECT_EQ(echo_layout_register(heap, &bad, nullptr, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_STREQ(why.message, "out is null");
}

TEST_F(HeapAbi, LayoutsEnumerate) {
  const echo_slot slots[] = {{24, ECHO_SLOT_TAGGED}, {16, ECHO_SLOT_STRONG}};
  const echo_layout_id mixed =
      add({sizeof(echo_layout), ECHO_LAYOUT_MIXED_RAW, "mixed", 32, 4, 16, ECHO_LAYOUT_PINNED, 2, slots});
  EXPECT_EQ(echo_layout_count(heap), 4u);
  EXPECT_EQ(mixed, 4u);
  echo_layout_info info{};
  EXPECT_EQ(echo_layout_get(heap, mixed, &info), ECHO_INVALID_ARGUMENT) << "size is not set";
  info.size = sizeof info;
  ASSERT_EQ(echo_layout_get(heap, mixed, &info), ECHO_OK);
  EXPECT_EQ(info.id, mixed);
  EXPECT_EQ(info.kind, unsigned{ECHO_LAYOUT_MIXED_RAW});
  EXPECT_EQ(info.flags, unsigned{ECHO_LAYOUT_PINNED});
  EXPECT_STREQ(info.name, "mixed");
  EXPECT_EQ(info.fixed_bytes, 32u);
  EXPECT_EQ(info.element_bytes, 4u);
  EXPECT_EQ(info.alignment, 16u);
  EXPECT_EQ(info.slot_count, 2u);
  const echo_ref object = make(mixed, 3);
  EXPECT_EQ(info.header_word, *reinterpret_cast<std::uint64_t*>(object)) << "what an allocation stores";
  echo_slot slot{};
  ASSERT_EQ(echo_layout_get_slot(heap, mixed, 0, &slot), ECHO_OK);
  EXPECT_EQ(slot.offset, 16u) << "in order of offset";
  ASSERT_EQ(echo_layout_get_slot(heap, mixed, 1, &slot), ECHO_OK);
  EXPECT_EQ(slot.offset, 24u);
  EXPECT_EQ(slot.kind, unsigned{ECHO_SLOT_TAGGED});
  EXPECT_EQ(echo_layout_get_slot(heap, mixed, 2, &slot), ECHO_OUT_OF_BOUNDS);
  for (const echo_layout_id unknown : {0u, 5u, UINT32_MAX}) {
    EXPECT_EQ(echo_layout_get(heap, unknown, &info), ECHO_UNKNOWN_LAYOUT);
    EXPECT_EQ(echo_layout_get_slot(heap, unknown, 0, &slot), ECHO_UNKNOWN_LAYOUT);
  }
  EXPECT_EQ(echo_layout_get(nullptr, mixed, &info), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_layout_get(heap, mixed, nullptr), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_layout_get_slot(nullptr, mixed, 0, &slot), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_layout_get_slot(heap, mixed, 0, nullptr), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_layout_count(nullptr), 0u);
}

// --- statistics

TEST_F(HeapAbi, StatisticsFillWhatTheCallerKnows) {
  (void)make(pair);
  union {
    echo_statistics all;
    unsigned char raw[sizeof(echo_statistics) + 64];
  } space;
  for (const std::uint32_t size :
       {4u, 8u, 16u, 24u, 100u, static_cast<std::uint32_t>(sizeof(echo_statistics))}) {
    std::memset(space.raw, 0xEE, sizeof space.raw);
    space.all.size = size;
    ASSERT_EQ(echo_get_statistics(heap, &space.all), ECHO_OK);
    EXPECT_EQ(space.all.size, size);
    for (std::size_t i = size; i < sizeof space.raw; ++i) {
      ASSERT_EQ(space.raw[i], 0xEE) << "wrote behind the caller's struct of " << size << " bytes";
    }
    if (size >= 16) {
      EXPECT_EQ(space.all.objects_allocated, 1u);
    }
  }
  std::memset(space.raw, 0xEE, sizeof space.raw);
  space.all.size = sizeof space.raw; // a newer caller
  ASSERT_EQ(echo_get_statistics(heap, &space.all), ECHO_OK);
  EXPECT_EQ(space.all.size, sizeof(echo_statistics)) << "how much was filled";
  EXPECT_EQ(space.raw[sizeof(echo_statistics)], 0xEE);
  for (const std::uint32_t size : {0u, 3u}) {
    space.all.size = size;
    EXPECT_EQ(echo_get_statistics(heap, &space.all), ECHO_INVALID_ARGUMENT);
  }
  EXPECT_EQ(echo_get_statistics(nullptr, &space.all), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_get_statistics(heap, nullptr), ECHO_INVALID_ARGUMENT);
}

TEST_F(HeapAbi, StatisticsFromAnyThreadInAnyState) {
  (void)make(pair);
  EXPECT_EQ(statistics().objects_allocated, 1u);
  ASSERT_EQ(echo_enter_native(thread), ECHO_OK);
  EXPECT_EQ(statistics().objects_allocated, 1u) << "native";
  ASSERT_EQ(echo_leave_native(thread), ECHO_OK);
  elsewhere([this] { EXPECT_EQ(statistics().threads_attached, 1u); });
}

} // namespace
} // namespace echo
