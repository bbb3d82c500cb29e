// SPDX-License-Identifier: MIT
//
// Purpose     echo/inline.h: first on a thread block and recipes of the test's own, which count and interfere in the cold
//             paths; then on a heap whose marker is held while each operation removes the last reference to an object.
#include "echo/inline.h"

#include "tests/vm_iface/heap_fixture.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <random>

namespace echo {
namespace {

// A thread block without a heap. Cold paths find their test through the word behind the block.
class FakeBlock {
public:
  explicit FakeBlock(bool listens = false) {
    recipes.granule = 8;
    recipes.max_inline_bytes = 1024;
    recipes.zero_from = 8;
    recipes.length_offset = 8;
    recipes.cursor_offset = 0;
    recipes.limit_offset = 8;
    recipes.poll_offset = 16;
    recipes.phase_offset = 24;
    recipes.state_offset = 28;
    recipes.state_managed = 1;
    recipes.state_native = 2;
    recipes.filler_word = 0x7;
    recipes.filler_shift = 37;
    recipes.store_kind = ECHO_STORE_PHASE_TEST;
    recipes.store_cold = [](echo_thread* t, echo_ref* slot, echo_ref) {
      of(t).overwritten.push_back(*slot);
      of(t).events += 's';
    };
    recipes.weak_load_cold = [](echo_thread* t, echo_ref*) -> echo_ref {
      of(t).events += 'w';
      return nullptr;
    };
    recipes.poll_cold = [](echo_thread* t) {
      of(t).events += 'p';
      if (of(t).at_poll) {
        of(t).at_poll();
      }
    };
    recipes.allocate_cold = [](echo_thread* t, echo_layout_id, std::uint64_t) -> echo_ref {
      of(t).events += 'a';
      return nullptr;
    };
    recipes.enter_native_cold = [](echo_thread* t) { of(t).events += 'n'; };
    recipes.leave_native_cold = [](echo_thread* t) { of(t).events += 'm'; };
    recipes.hash_cold = [](echo_thread* t, echo_ref) -> std::uint64_t {
      of(t).events += 'h';
      return 5;
    };
    recipes.hash_mask = recipes.hash_value = 0x100;
    recipes.hash_multiplier = 3;
    recipes.hash_shift = 1;
    block.self = this;
    block.words[2] = ~std::uint64_t{0}; // no stop
    set_phase(listens);
  }
  void set_phase(bool on) { block.words[3] = on ? 1 : 0; }
  void set_stop(bool on) { block.words[2] = on ? 0 : ~std::uint64_t{0}; }
  std::uint32_t state() const { return static_cast<std::uint32_t>(block.words[3] >> 32); }
  echo_thread* thread() { return reinterpret_cast<echo_thread*>(&block); }

  echo_recipes recipes{};
  struct Block {
    std::array<std::uint64_t, 16> words{};
    FakeBlock* self = nullptr;
  } block;
  std::vector<echo_ref> overwritten;
  std::string events;
  std::function<void()> at_poll;

private:
  static FakeBlock& of(echo_thread* t) { return *reinterpret_cast<Block*>(t)->self; }
};

echo_ref number(std::uint64_t n) {
  return reinterpret_cast<echo_ref>(n * 8);
}

// An array of references as plain memory: header, length, elements.
struct FakeArray {
  explicit FakeArray(std::size_t length, std::uint64_t first = 1) : words(length + 2) {
    words[1] = reinterpret_cast<echo_ref>(length);
    for (std::size_t i = 0; i < length; ++i) {
      words[i + 2] = number(first + i);
    }
  }
  echo_ref ref() { return reinterpret_cast<echo_ref>(words.data()); }
  std::vector<echo_ref> elements() const { return {words.begin() + 2, words.end()}; }
  std::vector<echo_ref> words;
};

TEST(Inline, StoresCallTheColdPathFirstAndOnlyWhileTheHeapListens) { // [abi.inline.1]
  for (const bool listens : {false, true}) {
    FakeBlock fake(listens);
    const echo_recipes* r = &fake.recipes;
    echo_ref slot = number(1);
    echo_inline_store(r, fake.thread(), &slot, number(2));
    EXPECT_EQ(slot, number(2));
    EXPECT_EQ(echo_inline_exchange(r, fake.thread(), &slot, number(3)), number(2));
    EXPECT_EQ(echo_inline_compare_exchange(r, fake.thread(), &slot, number(3), number(4)), number(3));
    EXPECT_EQ(slot, number(4));
    EXPECT_EQ(echo_inline_compare_exchange(r, fake.thread(), &slot, number(3), number(5)), number(4));
    EXPECT_EQ(slot, number(4)) << "the comparison fails";
    echo_inline_tagged_store(r, fake.thread(), &slot, 0x1230, 5);
    EXPECT_EQ(echo_inline_tagged_word(&slot), 0x1235u);
    EXPECT_EQ(echo_inline_tagged_reference(&slot), nullptr);
    echo_inline_store(r, fake.thread(), &slot, number(6));
    EXPECT_EQ(echo_inline_tagged_word(&slot), 0u);
    EXPECT_EQ(echo_inline_tagged_reference(&slot), number(6));
    echo_inline_initialise(&slot, number(7));
    EXPECT_EQ(echo_inline_load(&slot), number(7));
    if (listens) {
      EXPECT_EQ(fake.overwritten, (std::vector<echo_ref>{number(1), number(2), number(3), number(4),
                                                         number(4), reinterpret_cast<echo_ref>(0x1235)}))
          << "each cold path sees what is overwritten";
      EXPECT_EQ(echo_inline_weak_load(r, fake.thread(), &slot), nullptr);
      EXPECT_EQ(fake.events, "ssssssw");
    } else {
      EXPECT_EQ(echo_inline_weak_load(r, fake.thread(), &slot), number(7));
      EXPECT_EQ(fake.events, "");
    }
  }
}

TEST(Inline, AHeapThatNeverListensIsNotAsked) {
  FakeBlock fake(true);
  fake.recipes.store_kind = ECHO_STORE_NONE;
  echo_ref slot = nullptr;
  echo_inline_store(&fake.recipes, fake.thread(), &slot, number(1));
  EXPECT_EQ(slot, number(1));
  EXPECT_EQ(fake.events, "");
}

// Against std::vector, with the heap listening or not, in one array and between two.
TEST(Inline, CopiesAreMoves) { // [abi.inline.2]
  std::mt19937_64 random(1);
  for (int round = 0; round < 400; ++round) {
    const bool listens = round % 2 == 0;
    const bool same = round % 4 < 2;
    FakeBlock fake(listens);
    const std::size_t length = 1 + random() % 1200;
    FakeArray one(length);
    FakeArray other(length, 5000);
    FakeArray& from = same ? one : other;
    const std::size_t count = random() % (length + 1);
    const std::size_t to_index = random() % (length - count + 1);
    const std::size_t from_index = random() % (length - count + 1);
    std::vector<echo_ref> expected = one.elements();
    const std::vector<echo_ref> source = from.elements();
    std::copy_n(source.begin() + static_cast<std::ptrdiff_t>(from_index), count,
                expected.begin() + static_cast<std::ptrdiff_t>(to_index));
    const std::vector<echo_ref> before = one.elements();
    const echo_ref to_root = one.ref();
    const echo_ref from_root = from.ref();
    echo_inline_array_copy(&fake.recipes, fake.thread(), &to_root, 16, to_index, &from_root, 16, from_index,
                           count);
    ASSERT_EQ(one.elements(), expected) << "seed 1, round " << round;
    // While the heap listens, every element that is overwritten is seen once, with the value it had at the start.
    std::vector<echo_ref> overwritten = fake.overwritten;
    std::sort(overwritten.begin(), overwritten.end());
    std::vector<echo_ref> had;
    if (listens) {
      had.assign(before.begin() + static_cast<std::ptrdiff_t>(to_index),
                 before.begin() + static_cast<std::ptrdiff_t>(to_index + count));
      std::sort(had.begin(), had.end());
    }
    ASSERT_EQ(overwritten, had) << "seed 1, round " << round;
  }
}

TEST(Inline, LongCopiesAndFillsPollBetweenSlices) { // [abi.inline.3]
  for (const std::size_t count : {0u, 1u, 255u, 256u, 257u, 512u, 1000u}) {
    FakeBlock fake;
    fake.set_stop(true);
    FakeArray one(count + 1);
    FakeArray other(count + 1, 7000);
    const echo_ref to = one.ref();
    const echo_ref from = other.ref();
    const echo_ref value = number(9);
    echo_inline_array_copy(&fake.recipes, fake.thread(), &to, 16, 0, &from, 16, 1, count);
    const std::size_t polls = count == 0 ? 0 : (count - 1) / ECHO_INLINE_SLICE;
    EXPECT_EQ(fake.events, std::string(polls, 'p')) << count;
    echo_inline_array_fill(&fake.recipes, fake.thread(), &to, 16, 0, count, &value);
    EXPECT_EQ(fake.events, std::string(2 * polls, 'p')) << count;
    EXPECT_TRUE(count == 0 || one.words[2 + count - 1] == value);
    EXPECT_NE(one.words[2 + count], value) << "one behind the last";
  }
}

// At each poll the arrays move, as a collector may move them: the words in which they are rooted change, and what was there
// becomes unreadable. In the second slice the heap begins to listen.
TEST(Inline, ArraysMayMoveAndTheBarrierBeginAtEachPoll) { // [abi.inline.1] [abi.inline.3]
  constexpr std::size_t kLength = 2000;
  for (const bool same : {false, true}) {
    FakeBlock fake;
    fake.set_stop(true);
    auto one = std::make_unique<FakeArray>(kLength);
    auto other = std::make_unique<FakeArray>(kLength, 10000);
    echo_ref to = one->ref();
    echo_ref from = same ? one->ref() : other->ref();
    int polls = 0;
    const auto move = [&](std::unique_ptr<FakeArray>* array) {
      auto moved = std::make_unique<FakeArray>(**array);
      std::fill((*array)->words.begin(), (*array)->words.end(), number(0xdead));
      array->swap(moved);
    };
    fake.at_poll = [&] {
      move(&one);
      move(&other);
      to = one->ref();
      from = same ? to : other->ref();
      fake.set_phase(++polls >= 2);
    };
    std::vector<echo_ref> expected = one->elements();
    const std::vector<echo_ref> source = same ? expected : other->elements();
    std::copy_n(source.begin() + 3, kLength - 100, expected.begin() + 50);
    echo_inline_array_copy(&fake.recipes, fake.thread(), &to, 16, 50, &from, 16, 3, kLength - 100);
    EXPECT_EQ(one->elements(), expected);
    EXPECT_EQ(fake.overwritten.size(), kLength - 100 - 2 * ECHO_INLINE_SLICE)
        << "all but the first two slices";
    echo_ref value = number(77);
    const echo_ref moved_value = number(78);
    const auto move_too = fake.at_poll;
    fake.at_poll = [&] {
      move_too();
      value = moved_value;
    };
    echo_inline_array_fill(&fake.recipes, fake.thread(), &to, 16, 0, 300, &value);
    EXPECT_EQ(one->elements()[255], number(77));
    EXPECT_EQ(one->elements()[256], moved_value);
    EXPECT_EQ(one->elements()[299], moved_value);
  }
}

TEST(Inline, AllocationBumpsFillsGapsAndFallsBack) {
  FakeBlock fake;
  alignas(64) std::array<std::uint64_t, 128> memory{};
  memory.fill(0xaaaaaaaaaaaaaaaau);
  const auto base = reinterpret_cast<std::uint64_t>(memory.data());
  fake.block.words[0] = base;
  fake.block.words[1] = base + 512;
  echo_layout_info cell{};
  cell.fixed_bytes = 20;
  cell.alignment = 8;
  cell.header_word = 0x42;
  const echo_recipes* r = &fake.recipes;
  EXPECT_EQ(reinterpret_cast<std::uint64_t>(echo_inline_allocate(r, fake.thread(), &cell)), base);
  EXPECT_EQ(memory[0], 0x42u);
  EXPECT_EQ(memory[1], 0u);
  EXPECT_EQ(memory[2], 0u) << "rounded up to the granule";
  EXPECT_EQ(memory[3], 0xaaaaaaaaaaaaaaaau);
  echo_layout_info line = cell;
  line.fixed_bytes = 64;
  line.alignment = 64;
  EXPECT_EQ(reinterpret_cast<std::uint64_t>(echo_inline_allocate(r, fake.thread(), &line)), base + 64);
  EXPECT_EQ(memory[3], 0x7u | std::uint64_t{40} << 37) << "a filler over the gap";
  echo_layout_info array = cell;
  array.fixed_bytes = 16;
  array.element_bytes = 8;
  const echo_ref made = echo_inline_allocate_array(r, fake.thread(), &array, 3);
  EXPECT_EQ(reinterpret_cast<std::uint64_t>(made), base + 128);
  EXPECT_EQ(echo_inline_length(r, made), 3u);
  EXPECT_EQ(fake.events, "");
  // What does not fit: the span, the inline bound, any memory; layouts with a finalizer; alignment without filler.
  EXPECT_EQ(echo_inline_allocate_array(r, fake.thread(), &array, 100), nullptr);
  EXPECT_EQ(echo_inline_allocate_array(r, fake.thread(), &array, 1000), nullptr);
  EXPECT_EQ(echo_inline_allocate_array(r, fake.thread(), &array, UINT64_MAX), nullptr);
  EXPECT_EQ(echo_inline_allocate_array(r, fake.thread(), &array, UINT64_MAX / 8 + 1), nullptr);
  cell.flags = ECHO_LAYOUT_FINALIZABLE;
  EXPECT_EQ(echo_inline_allocate(r, fake.thread(), &cell), nullptr);
  fake.recipes.filler_word = 0;
  EXPECT_EQ(echo_inline_allocate(r, fake.thread(), &line), nullptr);
  EXPECT_EQ(fake.events, "aaaaaa");
  EXPECT_EQ(fake.block.words[0], base + 168) << "the cursor stays";
}

TEST(Inline, PollsHashesAndTransitions) {
  FakeBlock fake;
  const echo_recipes* r = &fake.recipes;
  echo_inline_poll(r, fake.thread());
  echo_inline_enter_native(r, fake.thread());
  EXPECT_EQ(fake.state(), 2u);
  echo_inline_leave_native(r, fake.thread());
  EXPECT_EQ(fake.state(), 1u);
  EXPECT_EQ(fake.events, "");
  fake.set_stop(true);
  echo_inline_poll(r, fake.thread());
  echo_inline_enter_native(r, fake.thread());
  echo_inline_leave_native(r, fake.thread());
  EXPECT_EQ(fake.events, "pnm");
  std::array<std::uint64_t, 2> object{0x100, 0};
  const auto ref = reinterpret_cast<echo_ref>(object.data());
  EXPECT_EQ(echo_inline_identity_hash(r, fake.thread(), ref), reinterpret_cast<std::uint64_t>(ref) * 3 >> 1);
  object[0] = 0;
  EXPECT_EQ(echo_inline_identity_hash(r, fake.thread(), ref), 5u);
  EXPECT_EQ(fake.events, "pnmh");
}

// --- on a heap, while the marker is held

class InlineWhileMarking : public test::HeapFixture {
protected:
  InlineWhileMarking() : HeapFixture("max_heap=64m,reserve=1,stepping=on,poison=on,verify=on") {}
  void SetUp() override {
    HeapFixture::SetUp();
    ASSERT_EQ(echo_get_recipes(heap, ECHO_RECIPES_FASTEST, &r), ECHO_OK);
    refs_info.size = sizeof refs_info;
    ASSERT_EQ(echo_layout_get(heap, refs, &refs_info), ECHO_OK);
    ASSERT_EQ(echo_roots_add(heap, roots.data(), roots.size(), &why), ECHO_OK) << why.message;
  }
  void TearDown() override {
    EXPECT_EQ(echo_roots_remove(heap, roots.data(), &why), ECHO_OK);
    HeapFixture::TearDown();
  }
  // roots[0]: an array with `count` new objects, each with its number.
  void fill_array(std::uint64_t count) {
    roots[0] = echo_inline_allocate_array(r, thread, &refs_info, count);
    for (std::uint64_t i = 0; i < count; ++i) {
      const echo_ref object = make(bytes, 8);
      std::memcpy(reinterpret_cast<char*>(object) + 16, &i, 8);
      echo_inline_array_store(r, thread, roots[0], 16, i, object);
    }
  }
  // Begins a mark that stands before it has looked at anything; `remove` moves the last references to objects into the second
  // array, which is new and so not looked at; in the end they must be there.
  void removed(std::uint64_t count, const std::function<void()>& remove) {
    fill_array(count);
    ASSERT_EQ(echo_collect(thread, ECHO_COLLECT_FULL, &why), ECHO_OK) << why.message;
    ASSERT_EQ(echo_test_cycle_start(thread, &why), ECHO_OK) << why.message;
    roots[1] = echo_inline_allocate_array(r, thread, &refs_info, count);
    remove();
    ASSERT_EQ(echo_test_cycle_finish(thread, &why), ECHO_OK) << why.message;
    ASSERT_EQ(echo_verify(thread, 1, &why), ECHO_OK) << why.message;
    for (std::uint64_t i = 0; i < count; ++i) {
      const echo_ref object = *echo_inline_element(roots[1], 16, i);
      std::uint64_t found = 0;
      std::memcpy(&found, reinterpret_cast<char*>(object) + 16, 8);
      ASSERT_EQ(found, i) << "an object was lost";
    }
  }
  const echo_recipes* r = nullptr;
  echo_layout_info refs_info{};
  std::array<echo_ref, 3> roots{};
};

TEST_F(InlineWhileMarking, CopyAndFill) {
  removed(3000, [this] {
    echo_inline_array_copy(r, thread, &roots[1], 16, 0, &roots[0], 16, 0, 3000);
    echo_inline_array_fill(r, thread, &roots[0], 16, 0, 3000, &roots[2]);
  });
}

TEST_F(InlineWhileMarking, OverlappingMove) {
  removed(3000, [this] {
    echo_inline_array_copy(r, thread, &roots[1], 16, 0, &roots[0], 16, 0, 3000);
    echo_inline_array_copy(r, thread, &roots[0], 16, 0, &roots[0], 16, 1500, 1500);
    echo_inline_array_fill(r, thread, &roots[0], 16, 1500, 1500, &roots[2]);
  });
}

TEST_F(InlineWhileMarking, Exchanges) {
  removed(500, [this] {
    for (std::uint64_t i = 0; i < 500; ++i) {
      echo_ref* const slot = echo_inline_element(roots[0], 16, i);
      const echo_ref object =
          i % 2 == 0 ? echo_inline_exchange(r, thread, slot, nullptr)
                     : echo_inline_compare_exchange(r, thread, slot, echo_inline_load(slot), nullptr);
      echo_inline_initialise(echo_inline_element(roots[1], 16, i), object);
    }
  });
}

TEST_F(InlineWhileMarking, StoresAndTaggedStores) {
  removed(500, [this] {
    for (std::uint64_t i = 0; i < 500; ++i) {
      echo_inline_array_store(r, thread, roots[1], 16, i, *echo_inline_element(roots[0], 16, i));
      echo_inline_store(r, thread, echo_inline_element(roots[0], 16, i), nullptr);
    }
  });
}

} // namespace
} // namespace echo
