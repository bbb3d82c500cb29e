// SPDX-License-Identifier: MIT
//
// Purpose     Allocation, stores, handles, roots and collections through the C ABI, with every documented
// error.
#include "tests/vm_iface/heap_fixture.h"

#include <cstring>
#include <set>
#include <vector>

namespace echo {
namespace {

using test::HeapFixture;
using test::untouched;

class ObjectAbi : public HeapFixture {};

std::uint64_t word(echo_ref object, std::size_t i) {
  return reinterpret_cast<std::uint64_t*>(object)[i];
}

TEST_F(ObjectAbi, AllocationErrors) {
  EXPECT_EQ(echo_allocate(thread, 0, 0), nullptr);
  EXPECT_EQ(last_error(ECHO_UNKNOWN_LAYOUT), "no layout has the number 0");
  EXPECT_EQ(echo_allocate(thread, 99, 0), nullptr);
  EXPECT_EQ(last_error(ECHO_UNKNOWN_LAYOUT), "no layout has the number 99");
  EXPECT_EQ(echo_allocate(thread, refs, UINT64_MAX), nullptr);
  EXPECT_EQ(last_error(ECHO_INVALID_ARGUMENT),
            "an array of layout 'refs' with 18446744073709551615 elements overflows the address space");
  EXPECT_EQ(echo_allocate(thread, bytes, std::uint64_t{1} << 46), nullptr);
  EXPECT_EQ(last_error(ECHO_HEAP_LIMIT).find("an object of 70368744177680 bytes does not fit the heap limit"),
            0u);
  EXPECT_EQ(statistics().objects_allocated, 0u);
}

TEST_F(ObjectAbi, HeaderLengthAndZeroes) {
  const echo_ref fixed = make(pair, 12345); // the length is ignored
  EXPECT_EQ(echo_object_layout(heap, fixed), pair);
  EXPECT_EQ(echo_object_bytes(heap, fixed), 24u);
  EXPECT_EQ(echo_array_length(heap, fixed), 0u);
  EXPECT_EQ(word(fixed, 1), 0u);
  EXPECT_EQ(word(fixed, 2), 0u);
  const echo_ref array = make(bytes, 13);
  EXPECT_EQ(echo_object_layout(heap, array), bytes);
  EXPECT_EQ(echo_object_bytes(heap, array), 32u) << "rounded to the granule";
  EXPECT_EQ(echo_array_length(heap, array), 13u);
  EXPECT_EQ(word(array, 1), 13u);
  const echo_ref large = make(refs, 100000);
  EXPECT_EQ(echo_object_bytes(heap, large), 800016u);
  EXPECT_EQ(echo_array_length(heap, large), 100000u);
  for (const auto ask : {echo_object_bytes, echo_array_length}) {
    EXPECT_EQ(ask(heap, nullptr), 0u);
    EXPECT_EQ(ask(nullptr, fixed), 0u);
  }
  EXPECT_EQ(echo_object_layout(heap, nullptr), 0u);
  EXPECT_EQ(echo_object_layout(nullptr, fixed), 0u);
}

// [heap.hash.1]
TEST_F(ObjectAbi, IdentityHash) {
  echo_scope scope = 0;
  ASSERT_EQ(echo_scope_open(thread, &scope), ECHO_OK);
  std::set<std::uint64_t> hashes;
  std::vector<std::pair<echo_handle, std::uint64_t>> kept;
  for (int i = 0; i < 2000; ++i) {
    const echo_handle handle = echo_handle_new(thread, make(i % 2 == 0 ? pair : bytes, 5));
    kept.emplace_back(handle, echo_identity_hash(thread, echo_handle_get(thread, handle)));
    hashes.insert(kept.back().second);
  }
  EXPECT_EQ(hashes.size(), 2000u);
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(echo_collect(thread, ECHO_COLLECT_FULL, &why), ECHO_OK) << why.message;
    ASSERT_EQ(echo_verify(thread, 1, &why), ECHO_OK) << why.message;
    for (const auto& [handle, hash] : kept) {
      const echo_ref object = echo_handle_get(thread, handle);
      ASSERT_EQ(echo_identity_hash(thread, object), hash);
      ASSERT_TRUE(echo_object_layout(heap, object) == pair || echo_object_layout(heap, object) == bytes);
    }
  }
  EXPECT_EQ(echo_identity_hash(thread, nullptr), 0u);
  const echo_recipes* recipes = nullptr;
  ASSERT_EQ(echo_get_recipes(heap, ECHO_RECIPES_FASTEST, &recipes), ECHO_OK);
  const echo_ref object = echo_handle_get(thread, kept[0].first);
  EXPECT_EQ(word(object, 0) & recipes->hash_mask, recipes->hash_value) << "the recipe's fast path";
  EXPECT_EQ((reinterpret_cast<std::uint64_t>(object) * recipes->hash_multiplier) >> recipes->hash_shift,
            kept[0].second);
  EXPECT_EQ(recipes->hash_cold(thread, object), kept[0].second);
  EXPECT_EQ(echo_scope_close(thread, scope), ECHO_OK);
}

// A word that is no object's header has no size and no length.
TEST_F(ObjectAbi, WordsThatAreNoHeaders) {
  for (const std::uint64_t header :
       {std::uint64_t{0}, std::uint64_t{999}, std::uint64_t{0xDBDBDBDBDBDBDBDB}}) {
    std::uint64_t wrong[4] = {header, 1, 2, 3};
    const auto object = reinterpret_cast<echo_ref>(wrong);
    EXPECT_EQ(echo_object_bytes(heap, object), 0u);
    EXPECT_EQ(echo_array_length(heap, object), 0u);
    EXPECT_EQ(echo_store(thread, object, 8, nullptr), ECHO_INVALID_ARGUMENT);
    EXPECT_EQ(echo_array_store(thread, object, 0, nullptr), ECHO_INVALID_ARGUMENT);
    EXPECT_EQ(wrong[1], 1u);
  }
}

TEST_F(ObjectAbi, Alignment) {
  for (const std::uint32_t alignment : {8u, 16u, 32u, 64u}) {
    const std::string name = "aligned" + std::to_string(alignment);
    const echo_layout_id id =
        add({sizeof(echo_layout), ECHO_LAYOUT_FIXED, name.c_str(), 40, 0, alignment, 0, 0, nullptr});
    for (int i = 0; i < 100; ++i) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(make(id)) % alignment, 0u);
      (void)make(pair);
    }
  }
}

TEST_F(ObjectAbi, StoreErrors) {
  const echo_ref object = make(pair);
  const echo_ref raw = make(bytes, 64);
  EXPECT_EQ(echo_store(thread, object, 8, raw), ECHO_OK);
  EXPECT_EQ(word(object, 1), reinterpret_cast<std::uint64_t>(raw));
  EXPECT_EQ(echo_store(thread, nullptr, 8, raw), ECHO_INVALID_ARGUMENT);
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{4}, std::uint64_t{9}, std::uint64_t{24},
                                     UINT64_MAX, UINT64_MAX - 7}) {
    EXPECT_EQ(echo_store(thread, object, offset, raw), ECHO_OUT_OF_BOUNDS) << offset;
  }
  EXPECT_EQ(echo_store(thread, raw, 16, object), ECHO_OUT_OF_BOUNDS) << "raw bytes are no slot";
  EXPECT_EQ(echo_store(thread, object, 8, nullptr), ECHO_OK);
  EXPECT_EQ(word(object, 1), 0u);
}

TEST_F(ObjectAbi, ArrayStoreErrors) {
  const echo_ref array = make(refs, 3);
  const echo_ref raw = make(bytes, 64);
  const echo_ref object = make(pair);
  EXPECT_EQ(echo_array_store(thread, array, 2, object), ECHO_OK);
  EXPECT_EQ(word(array, 4), reinterpret_cast<std::uint64_t>(object));
  for (const std::uint64_t index : {std::uint64_t{3}, UINT64_MAX, std::uint64_t{1} << 61}) {
    EXPECT_EQ(echo_array_store(thread, array, index, object), ECHO_OUT_OF_BOUNDS) << index;
  }
  EXPECT_EQ(echo_array_store(thread, nullptr, 0, object), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_array_store(thread, raw, 0, object), ECHO_INVALID_ARGUMENT) << "no references in it";
  EXPECT_EQ(echo_array_store(thread, object, 0, object), ECHO_INVALID_ARGUMENT);
  const echo_slot one[] = {{16, ECHO_SLOT_STRONG}};
  const echo_ref mixed =
      make(add({sizeof(echo_layout), ECHO_LAYOUT_MIXED_REF, "mixed", 24, 8, 0, 0, 1, one}), 2);
  EXPECT_EQ(echo_array_store(thread, mixed, 1, object), ECHO_OK);
  EXPECT_EQ(echo_store(thread, mixed, 16, array), ECHO_OK);
  EXPECT_EQ(word(mixed, 4), reinterpret_cast<std::uint64_t>(object)) << "behind the fixed part";
  EXPECT_EQ(word(mixed, 2), reinterpret_cast<std::uint64_t>(array));
}

// --- handles and scopes

TEST_F(ObjectAbi, HandleErrors) {
  const echo_ref object = make(pair);
  EXPECT_EQ(echo_handle_new(thread, object), nullptr);
  EXPECT_EQ(last_error(ECHO_HANDLE_MISUSE), "no handle scope is open");
  echo_scope outer = 0;
  echo_scope inner = 0;
  ASSERT_EQ(echo_scope_open(thread, &outer), ECHO_OK);
  const echo_handle kept = echo_handle_new(thread, object);
  ASSERT_EQ(echo_scope_open(thread, &inner), ECHO_OK);
  const echo_handle stale = echo_handle_new(thread, object);
  EXPECT_EQ(echo_scope_close(thread, outer), ECHO_HANDLE_MISUSE);
  EXPECT_EQ(echo_scope_close(thread, 0), ECHO_HANDLE_MISUSE);
  EXPECT_EQ(echo_scope_close(thread, UINT64_MAX), ECHO_HANDLE_MISUSE);
  EXPECT_EQ(echo_scope_close(thread, inner), ECHO_OK);
  EXPECT_EQ(echo_handle_get(thread, stale), nullptr);
  EXPECT_EQ(last_error(ECHO_HANDLE_MISUSE),
            "the handle's scope is closed, or it is not a handle of this thread");
  EXPECT_EQ(echo_handle_set(thread, stale, object), ECHO_HANDLE_MISUSE);
  EXPECT_EQ(echo_handle_get(thread, nullptr), nullptr);
  EXPECT_EQ(echo_handle_get(thread, kept), object);
  EXPECT_EQ(echo_handle_set(thread, kept, nullptr), ECHO_OK);
  EXPECT_EQ(echo_handle_get(thread, kept), nullptr) << "a handle of null";
  EXPECT_EQ(echo_scope_open(thread, nullptr), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_scope_close(thread, outer), ECHO_OK);
}

TEST_F(ObjectAbi, HandlesKeepObjects) {
  echo_scope scope = 0;
  ASSERT_EQ(echo_scope_open(thread, &scope), ECHO_OK);
  const echo_handle handle = echo_handle_new(thread, make(bytes, 100));
  ASSERT_EQ(echo_collect(thread, ECHO_COLLECT_FULL, &why), ECHO_OK);
  EXPECT_EQ(statistics().live_bytes, 120u);
  EXPECT_EQ(statistics().scoped_handles, 1u);
  EXPECT_EQ(echo_array_length(heap, echo_handle_get(thread, handle)), 100u);
  ASSERT_EQ(echo_scope_close(thread, scope), ECHO_OK);
  ASSERT_EQ(echo_collect(thread, ECHO_COLLECT_FULL, &why), ECHO_OK);
  EXPECT_EQ(statistics().live_bytes, 0u);
}

// --- roots

TEST_F(ObjectAbi, RootErrors) {
  echo_ref words[4] = {};
  EXPECT_EQ(echo_roots_add(nullptr, words, 1, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_STREQ(why.message, "heap is null");
  EXPECT_EQ(echo_roots_add(heap, nullptr, 1, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_roots_add(heap, words, 0, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_roots_add(heap, words, 8193, &why), ECHO_LIMIT_EXCEEDED);
  EXPECT_EQ(echo_roots_add(heap, words, 3, &why), ECHO_OK);
  EXPECT_EQ(echo_roots_add(heap, words + 2, 2, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_STREQ(why.message, "the range overlaps root words that are registered already");
  EXPECT_EQ(echo_roots_remove(heap, words + 1, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_STREQ(why.message, "no root range begins at this address");
  EXPECT_EQ(echo_roots_remove(nullptr, words, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(statistics().global_root_words, 3u);
  EXPECT_EQ(echo_roots_remove(heap, words, &why), ECHO_OK);
}

TEST_F(ObjectAbi, RootWordsNeedNoBarrier) {
  echo_ref words[2] = {make(pair), nullptr};
  ASSERT_EQ(echo_roots_add(heap, words, 2, &why), ECHO_OK);
  words[1] = make(bytes, 8);
  ASSERT_EQ(echo_collect(thread, ECHO_COLLECT_FULL, &why), ECHO_OK);
  EXPECT_EQ(statistics().live_bytes, 48u);
  words[0] = words[1] = nullptr;
  ASSERT_EQ(echo_collect(thread, ECHO_COLLECT_FULL, &why), ECHO_OK);
  EXPECT_EQ(statistics().live_bytes, 0u);
  ASSERT_EQ(echo_roots_remove(heap, words, &why), ECHO_OK);
}

TEST_F(ObjectAbi, FrameSourceErrors) {
  echo_frame_source source{};
  EXPECT_EQ(echo_frame_source_set(nullptr, &source, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_frame_source_set(heap, &source, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_STREQ(why.message, "the frame source has no walk function, or its size field is too small");
  source.size = sizeof source;
  source.walk = [](void*, echo_thread*, echo_frame_cursor* cursor, std::uint32_t, std::uint32_t*,
                   echo_visit_slot_fn, void*, echo_error*) {
    cursor->pc = 0;
    return ECHO_OK;
  };
  EXPECT_EQ(echo_frame_source_set(heap, &source, &why), ECHO_OK);
  EXPECT_EQ(echo_frame_source_set(heap, &source, &why), ECHO_WRONG_STATE);
  EXPECT_EQ(echo_frame_source_set(heap, nullptr, &why), ECHO_OK);
  EXPECT_EQ(echo_frame_source_set(heap, nullptr, &why), ECHO_OK) << "removing none is fine";
}

// --- collection

TEST_F(ObjectAbi, CollectAndVerifyErrors) {
  why = untouched();
  EXPECT_EQ(echo_collect(thread, 3, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_STREQ(why.message, "kind 3 is none of echo_collect_kind");
  EXPECT_EQ(echo_collect(thread, UINT32_MAX, nullptr), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(statistics().collections_full, 0u);
  why = untouched();
  for (const std::uint32_t level : {0u, 1u, 99u}) {
    EXPECT_EQ(echo_verify(thread, level, &why), ECHO_OK);
  }
  EXPECT_EQ(why.code, -1) << "left alone on success";
}

TEST_F(ObjectAbi, CorruptionIsAValue) {
  echo_ref root = make(pair);
  ASSERT_EQ(echo_roots_add(heap, &root, 1, &why), ECHO_OK);
  const auto misaligned = reinterpret_cast<echo_ref>(reinterpret_cast<std::uintptr_t>(make(pair)) + 4);
  ASSERT_EQ(echo_store(thread, root, 8, misaligned), ECHO_OK);
  EXPECT_EQ(echo_verify(thread, 1, &why), ECHO_HEAP_CORRUPT);
  EXPECT_NE(std::string(why.message).find("is not aligned to 8 bytes"), std::string::npos);
  EXPECT_EQ(echo_verify(thread, 0, &why), ECHO_OK) << "the structure is sound";
  EXPECT_EQ(echo_collect(thread, ECHO_COLLECT_FULL, &why), ECHO_HEAP_CORRUPT);
  EXPECT_EQ(why.code, ECHO_HEAP_CORRUPT);
  EXPECT_EQ(echo_verify(thread, 0, &why), ECHO_HEAP_CORRUPT) << "a corrupt heap stays corrupt";
  ASSERT_EQ(echo_roots_remove(heap, &root, &why), ECHO_OK);
}

class SmallHeapAbi : public HeapFixture {
protected:
  SmallHeapAbi() : HeapFixture("max_heap=1m,reserve=1") {}
};

TEST_F(SmallHeapAbi, OutOfMemoryIsAValue) { // [abi.error.1]
  echo_ref root = nullptr;
  ASSERT_EQ(echo_roots_add(heap, &root, 1, &why), ECHO_OK);
  std::size_t count = 0;
  while (const echo_ref object = echo_allocate(thread, pair, 0)) {
    ASSERT_EQ(echo_store(thread, object, 8, root), ECHO_OK);
    root = object;
    ++count;
  }
  EXPECT_GT(count * 24, (std::size_t{1} << 20) * 9 / 10);
  EXPECT_NE(last_error(ECHO_HEAP_LIMIT).find("heap limit of 1.0 MiB"), std::string::npos);
  EXPECT_EQ(echo_verify(thread, 1, &why), ECHO_OK) << why.message;
  root = nullptr;
  EXPECT_NE(echo_allocate(thread, pair, 0), nullptr);
  ASSERT_EQ(echo_roots_remove(heap, &root, &why), ECHO_OK);
}

} // namespace
} // namespace echo
