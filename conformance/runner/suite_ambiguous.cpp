// SPDX-License-Identifier: MIT
//
// suite_ambiguous.cpp - words of which nobody knows whether they are references: what they keep, and what not.
#include "ambiguous_scene.h"
#include "recipe_machine.h"
#include "workers.h"

#include <algorithm>
#include <atomic>
#include <map>

namespace conformance {

namespace {

void feature_bit_tells(Context& context) {
  const Fixture f(context, poisoned);
  const echo_status expected = f.plugin.has(ECHO_FEATURE_AMBIGUOUS_ROOTS) ? ECHO_OK : ECHO_NOT_SUPPORTED;
  const std::uintptr_t words[2] = {};
  const echo_heap_api& api = f.plugin.api();
  const auto answers = [&](const char* what, const auto& call) {
    echo_error why = untouched_error();
    EXPECT_STATUS(call(&why), expected, what);
    if (expected != ECHO_OK)
      expect_error(why, expected, what);
  };
  answers("ambiguous_range_add",
          [&](echo_error* why) { return api.ambiguous_range_add(f.heap.get(), words, sizeof words, why); });
  answers("ambiguous_range_remove",
          [&](echo_error* why) { return api.ambiguous_range_remove(f.heap.get(), words, why); });
  for (const std::uint32_t on : {1u, 1u, 0u, 0u})
    answers("ambiguous_stack",
            [&](echo_error* why) { return api.ambiguous_stack(f.mutator.get(), on, why); });
  answers("a layout without known references", [&](echo_error* why) {
    const echo_layout layout{sizeof layout, ECHO_LAYOUT_AMBIGUOUS, "unknown", kHeader, 1, 0, 0, 0, nullptr};
    echo_layout_id id = 0;
    return api.layout_register(f.heap.get(), &layout, &id, why);
  });
  EXPECT(api.resolve(f.mutator.get(), 0) == nullptr, "0 is resolved to an object");
  if (expected != ECHO_OK)
    EXPECT_EQ(f.mutator.last_error(), ECHO_NOT_SUPPORTED, "resolve without the feature");
}

void ranges_keep_alive(Context& context) {
  Scene s(context);
  std::vector<std::uintptr_t> many(3000);
  EXPECT_STATUS(s.add(many.data(), many.size() * 8), ECHO_OK, "ambiguous_range_add");
  Random& random = context.random;
  std::vector<std::uint64_t> lengths(many.size());
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < many.size(); ++i) {
    lengths[i] = random.below(25) * 8;
    many[i] = address_of(s.make(lengths[i], i)) + random.below(kHeader + lengths[i]);
    bytes += kHeader + lengths[i];
    s.make(lengths[i], ~i); // dies
  }
  const std::vector<std::uintptr_t> before = many;
  for (int turn = 0; turn < 3; ++turn) {
    EXPECT_EQ(s.survivors(), bytes, "live_bytes");
    churn(s.mutator, 4 << 20, random);
    EXPECT(many == before, "an ambiguous word was rewritten");
    for (std::size_t i = 0; i < many.size(); ++i) {
      const echo_ref object = s.resolve(many[i]);
      EXPECT(object != nullptr, "resolve of word " + show(i));
      Scene::expect(object, lengths[i], i, "object " + show(i));
    }
  }
  s.mutator.verify();
}

void interior_words(Context& context) {
  Scene s(context);
  s.add_words();
  // Neighbours that stay, so that there is a gap of one object.
  const std::uint64_t length = 40;
  s.words[1] = address_of(s.make(8, 1));
  const echo_ref object = s.make(length, 2);
  const std::uintptr_t start = address_of(object);
  const echo_ref behind = s.make(8, 3);
  s.words[2] = address_of(behind);
  const std::uint64_t others = 2 * (kHeader + 8);
  for (std::uint64_t offset = 0; offset < kHeader + length; ++offset) {
    s.words[0] = start + offset;
    EXPECT_EQ(s.survivors(), others + kHeader + length, "live_bytes with a word at offset " + show(offset));
    Scene::expect(object, length, 2, "an object with a word at offset " + show(offset));
    EXPECT(s.resolve(start + offset) == object, "resolve at offset " + show(offset));
  }
  s.words[0] = start + kHeader + length;
  EXPECT(s.resolve(s.words[0]) != object, "one past the end is into the object");
  EXPECT_EQ(s.survivors(), others, "live_bytes with a word one past the end");
  EXPECT(s.resolve(start) == nullptr, "a dead object is resolved");
}

void large_objects(Context& context) {
  Scene s(context);
  s.add_words();
  for (const std::uint64_t length : {32768u, 40000u, 1000000u, 5000008u}) {
    const echo_ref object = s.make(length, length);
    const std::uint64_t size = s.heap.api().object_bytes(s.heap.get(), object);
    for (const std::uint64_t offset :
         {std::uint64_t{0}, std::uint64_t{8}, std::uint64_t{4096}, size / 2 + 3, size - 1}) {
      s.words[3] = address_of(object) + offset;
      EXPECT_EQ(s.survivors(), size, "live_bytes with a word at offset " + show(offset));
      EXPECT(s.resolve(s.words[3]) == object, "resolve at offset " + show(offset));
    }
    Scene::expect(object, length, length, "a large object");
    s.words[3] = address_of(object) + size;
    EXPECT(s.resolve(s.words[3]) == nullptr, "one past a large object's end is resolved");
    EXPECT_EQ(s.survivors(), std::uint64_t{0}, "live_bytes with a word one past a large object's end");
  }
}

void stale_words(Context& context) {
  Scene s(context);
  Random& random = context.random;
  std::vector<std::uintptr_t> stale(20000);
  for (std::uintptr_t& word_of : stale) {
    const std::uint64_t length = random.chance(200) ? random.between(33000, 90000) : random.below(200);
    word_of = address_of(s.mutator.allocate(s.bytes, length)) + random.below(kHeader + length);
  }
  EXPECT_EQ(s.survivors(), std::uint64_t{0}, "live_bytes without roots");
  EXPECT_STATUS(s.add(stale.data(), stale.size() * 8), ECHO_OK, "ambiguous_range_add");
  for (const std::uintptr_t word_of : stale)
    EXPECT(s.resolve(word_of) == nullptr, "a word into a dead object is resolved");
  EXPECT_EQ(s.survivors(), std::uint64_t{0}, "live_bytes with words into dead objects");
  s.mutator.verify();
  // New objects in the same memory: stale words hit them and nothing else.
  std::map<std::uintptr_t, std::uint64_t> alive;
  for (int i = 0; i < 3000; ++i) {
    const std::uint64_t length = random.below(300);
    const echo_ref object = s.mutator.allocate(s.bytes, length);
    alive[address_of(object)] = s.heap.api().object_bytes(s.heap.get(), object);
  }
  for (const std::uintptr_t word_of : stale) {
    const auto above = alive.upper_bound(word_of);
    const bool hit = above != alive.begin() && word_of - std::prev(above)->first < std::prev(above)->second;
    EXPECT_EQ(address_of(s.resolve(word_of)), hit ? std::prev(above)->first : 0,
              "a stale word among new objects");
  }
}

void ranges_are_removed(Context& context) {
  Scene s(context);
  s.add_words();
  s.words[5] = address_of(s.make(64, 5)) + 20;
  EXPECT_EQ(s.survivors(), kHeader + 64, "live_bytes while the range is there");
  EXPECT_STATUS(s.remove(s.words.data()), ECHO_OK, "ambiguous_range_remove");
  EXPECT_EQ(s.survivors(), std::uint64_t{0}, "live_bytes after its removal");
  s.add_words(); // and the stale word in it
  EXPECT_EQ(s.survivors(), std::uint64_t{0}, "live_bytes after the range was added again");
}

void big_ranges(Context& context) {
  Scene s(context);
  std::vector<std::uintptr_t> data(std::size_t{1} << 21); // 16 MiB
  EXPECT_STATUS(s.add(data.data(), data.size() * 8), ECHO_OK, "a range of 16 MiB");
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < data.size(); i += 997) {
    data[i] = address_of(s.make(8, i)) + i % 24;
    bytes += kHeader + 8;
  }
  EXPECT_EQ(s.survivors(), bytes, "live_bytes");
}

void misuse_of_ranges(Context& context) {
  Scene s(context);
  auto* first = reinterpret_cast<char*>(s.words.data());
  EXPECT_STATUS(s.add(nullptr, 8), ECHO_INVALID_ARGUMENT, "a range at null");
  EXPECT_STATUS(s.add(first, 0), ECHO_INVALID_ARGUMENT, "a range without bytes");
  EXPECT_STATUS(s.add(first, UINT64_MAX), ECHO_INVALID_ARGUMENT, "a range that wraps around");
  EXPECT_STATUS(s.add(first, UINT64_MAX - address_of(reinterpret_cast<echo_ref>(first)) + 1),
                ECHO_INVALID_ARGUMENT, "a range that ends where addresses end");
  EXPECT_STATUS(s.add(s.make(64, 1), 8), ECHO_INVALID_ARGUMENT, "a range in the heap");
  EXPECT_STATUS(s.add(first + 16, 24), ECHO_OK, "a range");
  for (const auto& [from, size] : {std::pair{16, 24}, {0, 17}, {39, 1}, {24, 8}, {0, 100}})
    EXPECT_STATUS(s.add(first + from, static_cast<std::uint64_t>(size)), ECHO_INVALID_ARGUMENT,
                  "a range that overlaps");
  EXPECT_STATUS(s.add(first, 16), ECHO_OK, "a neighbour");
  EXPECT_STATUS(s.add(first + 40, 3), ECHO_OK, "a neighbour of odd size");
  EXPECT_STATUS(s.remove(first + 24), ECHO_INVALID_ARGUMENT, "removal in the middle of a range");
  EXPECT_STATUS(s.remove(nullptr), ECHO_INVALID_ARGUMENT, "removal at null");
  EXPECT_STATUS(s.remove(first + 16), ECHO_OK, "removal");
  EXPECT_STATUS(s.remove(first + 16), ECHO_INVALID_ARGUMENT, "removal, again");
  echo_error why = untouched_error();
  EXPECT_STATUS(s.heap.api().ambiguous_range_add(nullptr, first, 8, &why), ECHO_INVALID_ARGUMENT,
                "a range of no heap");
  EXPECT_STATUS(s.heap.api().ambiguous_range_remove(nullptr, first, nullptr), ECHO_INVALID_ARGUMENT,
                "removal from no heap");
}

void misuse_of_stacks(Context& context) {
  Scene s(context);
  const echo_heap_api& api = s.heap.api();
  const auto refused = [&](echo_thread* thread, std::uint32_t on, echo_status expected, const char* what) {
    echo_error why = untouched_error();
    EXPECT_STATUS(api.ambiguous_stack(thread, on, &why), expected, what);
    expect_error(why, expected, what);
    EXPECT_STATUS(api.ambiguous_stack(thread, on, nullptr), expected, what);
  };
  refused(nullptr, 1, ECHO_INVALID_ARGUMENT, "no thread");
  refused(s.mutator.get(), 2, ECHO_INVALID_ARGUMENT, "on = 2");
  Workers workers(s.heap);
  workers.start([&](const Mutator&) { refused(s.mutator.get(), 1, ECHO_WRONG_THREAD, "another thread's"); });
  workers.join_from(s.mutator);
  const std::uintptr_t object = address_of(s.make(8, 1));
  EXPECT_STATUS(api.enter_native(s.mutator.get()), ECHO_OK, "enter_native");
  refused(s.mutator.get(), 1, ECHO_WRONG_STATE, "a native thread's");
  EXPECT(s.resolve(object) == nullptr, "a native thread resolves words");
  EXPECT_EQ(s.mutator.last_error(), ECHO_WRONG_STATE, "resolve on a native thread");
  EXPECT_STATUS(api.leave_native(s.mutator.get()), ECHO_OK, "leave_native");
  EXPECT(api.resolve(nullptr, object) == nullptr, "no thread resolves words");
}

void newborn_objects(Context& context) {
  Scene s(context);
  s.add_words();
  const echo_layout_id cell = s.heap.fixed("cell", 32, {});
  const RecipeMachine recipes(s.mutator, ECHO_RECIPES_FASTEST);
  Random& random = context.random;
  for (int round = 0; round < 50; ++round) {
    s.words[0] = address_of(recipes.allocate(cell)) + 31;
    s.words[1] = address_of(s.make(48, 7)) + 40;
    for (std::uint64_t i = random.below(3000); i > 0; --i)
      (void)recipes.allocate(cell);
    s.words[2] = address_of(recipes.allocate(cell)) + 8;
    const echo_ref last = recipes.allocate(cell);
    EXPECT(s.resolve(address_of(last) + 31) == last, "the newest object is not resolved");
    EXPECT(s.resolve(address_of(last) + 32) == nullptr, "memory not allocated yet is resolved");
    for (std::size_t i = 0; i < 3; ++i)
      EXPECT(s.resolve(s.words[i]) != nullptr, "new object " + show(i) + " is not resolved");
    EXPECT_EQ(s.survivors(), 32u + 64 + 32, "live_bytes of objects born since the last collection");
    if (round % 3 == 0)
      churn(s.mutator, 1 << 20, random);
  }
}

void unknown_layouts(Context& context) {
  Scene s(context);
  s.add_words();
  const echo_heap_api& api = s.heap.api();
  // A list through interior pointers, each cell in the middle of its words.
  constexpr std::uint64_t kCell = 40;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    const echo_ref cell = s.mutator.allocate(s.unknown, kCell);
    EXPECT_STATUS(api.store(s.mutator.get(), cell, kHeader + 16, object_at(s.words[0])), ECHO_OK,
                  "store into a word of an object without a known layout");
    word(cell, 2) = i;
    s.words[0] = address_of(cell) + kHeader + i % kCell;
  }
  for (int turn = 0; turn < 2; ++turn) {
    EXPECT_EQ(s.survivors(), 20000 * (kHeader + kCell), "live_bytes of a list through interior pointers");
    churn(s.mutator, 4 << 20, context.random);
  }
  std::uintptr_t at = s.words[0];
  for (std::uint64_t i = 20000; i > 0; --i) {
    const echo_ref cell = s.resolve(at);
    EXPECT(cell != nullptr && word(cell, 2) == i - 1, "element " + show(i) + " of the list");
    at = word(cell, 4);
  }
  EXPECT_EQ(at, std::uintptr_t{0}, "the end of the list");
  // Misaligned words, and the rest behind the last whole word, are no words.
  s.words[0] = 0;
  const echo_ref holder = s.mutator.allocate(s.unknown, 23);
  s.words[1] = address_of(holder);
  const std::uintptr_t dropped = address_of(s.make(8, 1));
  std::memcpy(bytes_of(holder) + kHeader + 4, &dropped, 8);
  std::memcpy(bytes_of(holder) + kHeader + 16, &dropped, 7);
  EXPECT_EQ(s.survivors(), std::uint64_t{40}, "live_bytes with words that are not whole or not aligned");
  for (const std::uint64_t offset : {0u, 8u, 12u, 20u, 28u, 32u, 40u, 1u << 31})
    EXPECT_STATUS(api.store(s.mutator.get(), holder, offset, nullptr), ECHO_OUT_OF_BOUNDS,
                  "store at offset " + show(offset) + " of 23 bytes");
  EXPECT_STATUS(api.array_store(s.mutator.get(), holder, 0, nullptr), ECHO_INVALID_ARGUMENT,
                "array_store into bytes");
}

void long_unknown_objects(Context& context) {
  Scene s(context);
  s.add_words();
  for (const std::uint64_t words : {255u, 256u, 257u, 4000u, 4094u, 4095u, 30000u}) {
    s.words[0] = address_of(s.mutator.allocate(s.unknown, words * 8));
    std::uint64_t bytes = s.heap.api().object_bytes(s.heap.get(), object_at(s.words[0]));
    for (std::uint64_t i = 0; i < words; i += (i + 7 >= words || i == 0) ? 1 : 7) {
      const std::uintptr_t held = address_of(s.make(16, i)) + i % 32;
      EXPECT_STATUS(
          s.heap.api().store(s.mutator.get(), object_at(s.words[0]), kHeader + i * 8, object_at(held)),
          ECHO_OK, "store");
      bytes += kHeader + 16;
    }
    EXPECT_EQ(s.survivors(), bytes,
              "live_bytes of an object of " + show(words) + " words, and what it holds");
  }
}

void resolution_is_exact(Context& context) {
  Scene s(context);
  Random& random = context.random;
  const echo_layout_id line =
      s.heap.add({sizeof(echo_layout), ECHO_LAYOUT_RAW_ARRAY, "line", kHeader, 1, 64, 0, 0, nullptr});
  std::vector<std::uintptr_t> held(300);
  EXPECT_STATUS(s.add(held.data(), held.size() * 8), ECHO_OK, "ambiguous_range_add");
  std::vector<std::uintptr_t> fresh(2000); // of this round: alive whenever a collection comes
  EXPECT_STATUS(s.add(fresh.data(), fresh.size() * 8), ECHO_OK, "ambiguous_range_add");
  std::map<std::uintptr_t, std::uint64_t> alive;
  for (int round = 0; round < 10; ++round) {
    for (std::size_t i = 0; i < fresh.size(); ++i) {
      const std::uint64_t length = random.chance(50) ? random.between(20000, 90000) : random.below(120);
      const echo_ref object = s.mutator.allocate(random.chance(5) ? line : s.bytes, length);
      const std::uint64_t size = s.heap.api().object_bytes(s.heap.get(), object);
      alive[address_of(object)] = size;
      fresh[i] = address_of(object);
      if (random.chance(6))
        random.pick(held) = address_of(object) + random.below(size);
      if (i % 200 == 0)
        for (int probe = 0; probe < 100; ++probe) {
          const auto near = std::next(alive.begin(), static_cast<std::ptrdiff_t>(random.below(alive.size())));
          const std::uintptr_t at = near->first + random.below(near->second + 64) - 32;
          const auto above = alive.upper_bound(at);
          const bool hit = above != alive.begin() && at - std::prev(above)->first < std::prev(above)->second;
          EXPECT_EQ(address_of(s.resolve(at)), hit ? std::prev(above)->first : 0, "resolve");
        }
    }
    std::map<std::uintptr_t, std::uint64_t> survived;
    std::uint64_t bytes = 0;
    for (const std::uintptr_t at : held)
      if (at != 0) {
        const auto holder = std::prev(alive.upper_bound(at));
        bytes += survived.emplace(*holder).second ? holder->second : 0;
      }
    alive = survived;
    std::fill(fresh.begin(), fresh.end(), 0);
    EXPECT_EQ(s.survivors(), bytes, "live_bytes");
  }
}

void words_of_other_threads(Context& context) {
  Scene s(context);
  std::atomic<std::uintptr_t> old_object{0}, new_object{0};
  std::atomic<bool> done{false};
  Workers workers(s.heap);
  workers.start([&](const Mutator& m) {
    for (int i = 0; i < 3000; ++i)
      if (const echo_ref object = m.allocate(s.bytes, 64); i == 1000)
        old_object = address_of(object);
    new_object = address_of(m.allocate(s.bytes, 64));
    while (!done)
      m.api().poll(m.get());
  });
  while (new_object == 0)
    s.heap.api().poll(s.mutator.get());
  EXPECT_EQ(address_of(s.resolve(new_object + 79)), new_object.load(), "another thread's newest object");
  EXPECT(s.resolve(new_object + 80) == nullptr, "memory that another thread has not allocated yet");
  EXPECT_EQ(address_of(s.resolve(old_object + 30)), old_object.load(), "another thread's object");
  done = true;
  workers.join_from(s.mutator);
  EXPECT_EQ(address_of(s.resolve(new_object + 1)), new_object.load(), "a gone thread's newest object");
}

void pins_are_counted(Context& context) {
  Scene s(context);
  s.add_words();
  const echo_ref holder = s.mutator.allocate(s.unknown, 24);
  s.words[0] = address_of(holder);
  s.words[1] = address_of(s.make(8, 1));
  s.words[2] = s.words[1] + 9; // twice
  s.words[3] = address_of(s.make(100000, 2)) + 5000;
  word(holder, 2) = address_of(s.make(8, 3)) + 1;
  word(holder, 3) = s.words[1];
  const echo_statistics before = s.heap.statistics();
  s.mutator.collect();
  const echo_statistics after = s.heap.statistics();
  EXPECT_EQ(after.pinned_by[ECHO_PIN_range], std::uint64_t{3}, "objects pinned by a range");
  EXPECT_EQ(after.pinned_by[ECHO_PIN_object], std::uint64_t{1}, "objects pinned by an object");
  EXPECT_EQ(after.pinned_objects, std::uint64_t{4}, "pinned objects");
  EXPECT_EQ(after.pinned_slabs, std::uint64_t{2}, "pinned slabs");
  // Verification and audits look at words too, but only marks are counted.
  EXPECT_EQ(after.ambiguous_words - before.ambiguous_words, s.words.size() + 3, "ambiguous words");
  EXPECT_EQ(after.ambiguous_hits - before.ambiguous_hits, std::uint64_t{6}, "words that hit an object");
  s.words.fill(0);
  s.mutator.collect();
  EXPECT_EQ(s.heap.statistics().pinned_objects, std::uint64_t{0}, "pinned objects when nothing is hit");
  s.stack(true);
  volatile std::uintptr_t local = address_of(s.make(8, 4));
  s.mutator.collect();
  const echo_statistics last = s.heap.statistics();
  EXPECT(last.pinned_by[ECHO_PIN_stack] + last.pinned_by[ECHO_PIN_register] >= 1 && local != 0,
         "an object on the stack is not counted as pinned");
}

} // namespace

Suite ambiguous_suite() {
  Suite suite{
      "ambiguous",
      "words of which nobody knows whether they are references: what they keep, and what not",
      {
          {"feature_bit_tells", "without its feature bit everything answers NOT_SUPPORTED",
           "[abi.feature.1] [abi.error.1]", feature_bit_tells},
          {"ranges_keep_alive",
           "what words of a data range point into survives, and the words stay as they are",
           "[roots.ambiguous.1] [roots.ambiguous.2]", ranges_keep_alive},
          {"interior_words", "every byte of an object is into it, one past its end is not",
           "[roots.ambiguous.2] [resolve.hit.1]", interior_words},
          {"large_objects", "the same for large objects", "[resolve.hit.1]", large_objects},
          {"stale_words", "words into dead objects keep nothing, and hit what takes their place (random)",
           "[resolve.dead.1]", stale_words},
          {"ranges_are_removed", "a removed range keeps nothing", "[roots.ambiguous.4]", ranges_are_removed},
          {"big_ranges", "a range of 16 MiB", "[roots.ambiguous.4]", big_ranges},
          {"misuse_of_ranges", "null, empty, wrapping, overlapping and unknown ranges are INVALID_ARGUMENT",
           "[roots.ambiguous.4] [abi.error.1]", misuse_of_ranges},
          {"misuse_of_stacks", "another thread, a native one, another value than 0 and 1",
           "[abi.state.1] [abi.error.1]", misuse_of_stacks},
          {"newborn_objects", "objects born since the last collection are found, in the current span too",
           "[roots.ambiguous.2]", newborn_objects},
          {"unknown_layouts", "objects without a known layout are traced word by word",
           "[roots.ambiguous.2] [abi.alloc.4]", unknown_layouts},
          {"long_unknown_objects", "the same for long and for large ones", "[roots.ambiguous.2]",
           long_unknown_objects},
      }};
  const std::vector<Test> stacks = ambiguous_stack_tests();
  suite.tests.insert(suite.tests.end(), stacks.begin(), stacks.end());
  suite.tests.insert(suite.tests.end(),
                     {
                         {"resolution_is_exact", "any word against a list of what is alive (random)",
                          "[roots.resolve.1] [resolve.hit.1]", resolution_is_exact},
                         {"words_of_other_threads", "words into memory in which another thread allocates",
                          "[roots.resolve.1]", words_of_other_threads},
                         {"pins_are_counted", "pinned objects and slabs by cause, words and hits",
                          "[roots.ambiguous.1] [pins.once.1] [pins.slab.1]", pins_are_counted},
                     });
  return suite;
}

} // namespace conformance
