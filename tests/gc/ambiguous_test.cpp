// SPDX-License-Identifier: MIT
//
// Purpose     Words of which nobody knows whether they are references, in data ranges and in objects: what they hit lives,
//             is pinned and counted; what they do not hit dies. echo_resolve answers as a mark would. [resolve.hit.1]
//             [roots.ambiguous.1] [roots.ambiguous.2]
#include "tests/gc/test_heap.h"
#include "tests/heap/seed.h"

#include <atomic>
#include <map>
#include <thread>

namespace echo {
namespace {

using test::kMiB;
using test::quiet_config;
using test::TestHeap;

class Ambiguous : public ::testing::Test {
protected:
  explicit Ambiguous(const Config& config = quiet_config()) : heap(config) {
    std::string why;
    EXPECT_EQ(heap.collector.starts.use(&why), ECHO_OK) << why;
    unknown = heap.layout(test::describe("unknown", ECHO_LAYOUT_AMBIGUOUS, 16, 1));
  }
  void add(const void* start, std::uint64_t bytes) {
    std::string why;
    ASSERT_EQ(heap.collector.add_ambiguous_range(start, bytes, &why), ECHO_OK) << why;
  }
  void remove(const void* start) {
    std::string why;
    ASSERT_EQ(heap.collector.remove_ambiguous_range(start, &why), ECHO_OK) << why;
  }
  echo_status add_refused(const void* start, std::uint64_t bytes, std::string* why) {
    return heap.collector.add_ambiguous_range(start, bytes, why);
  }
  ObjectRef resolve(std::uint64_t word) {
    ObjectRef found;
    std::string why;
    EXPECT_EQ(heap.collector.starts.resolve(*heap.mutator, {word}, &found, &why), ECHO_OK) << why;
    return found;
  }
  std::uint64_t live_bytes() { return heap.statistics().live_bytes; }
  // Bytes that a collection finds alive.
  std::uint64_t survivors() {
    heap.collect();
    std::string broken;
    broken = heap.collector.verify(*heap.mutator, true);
    EXPECT_EQ(broken, "");
    return live_bytes();
  }

  TestHeap heap;
  LayoutId unknown;
  std::vector<std::uint64_t> words = std::vector<std::uint64_t>(16);
};

TEST_F(Ambiguous, EveryByteOfAnObjectHitsItAndNoOther) { // [resolve.hit.1]
  add(words.data(), 8);
  const ObjectRef before = heap.make(heap.bytes, 8);
  const ObjectRef object = heap.make(heap.bytes, 40); // 56 bytes
  const ObjectRef behind = heap.make(heap.bytes, 8);
  ASSERT_EQ(behind.address, object.address + 56) << "neighbours";
  for (const ObjectRef each : {before, object, behind}) {
    TestHeap::poke(each, 16, 77);
  }
  heap.root(0, before); // a gap will lie between the neighbours
  heap.root(1, behind);
  for (std::size_t offset = 0; offset < 56; ++offset) {
    words[0] = object.address + offset;
    ASSERT_EQ(survivors(), 24u + 56 + 24) << offset;
    ASSERT_EQ(TestHeap::peek(object, 16), 77u);
    ASSERT_EQ(resolve(words[0]).address, object.address);
    ASSERT_EQ(words[0], object.address + offset) << "never rewritten";
  }
  words[0] = object.address + 56; // one past the end: the neighbour
  EXPECT_EQ(survivors(), 24u + 24);
  EXPECT_EQ(resolve(object.address).address, 0u) << "[resolve.dead.1]";
  EXPECT_EQ(resolve(object.address + 55).address, 0u);
  EXPECT_EQ(resolve(before.address + 23).address, before.address);
  words[0] = object.address; // a stale word brings nothing back
  EXPECT_EQ(survivors(), 24u + 24);
}

TEST_F(Ambiguous, LargeObjects) {
  add(words.data(), 8);
  const ObjectRef large = heap.make(heap.bytes, 100000); // 100016 bytes
  for (const std::size_t offset : {0u, 16u, 50000u, 99999u, 100015u}) {
    words[0] = large.address + offset;
    EXPECT_EQ(resolve(words[0]).address, large.address);
    ASSERT_EQ(survivors(), 100016u) << offset;
  }
  words[0] = large.address + 100016; // in its last page, behind it
  EXPECT_EQ(resolve(words[0]).address, 0u);
  EXPECT_EQ(survivors(), 0u);
  words[0] = large.address;
  EXPECT_EQ(survivors(), 0u) << "stale";
  EXPECT_EQ(resolve(words[0]).address, 0u);
}

// From the end of a mark to the sweep beside the program a dead large object is still in its table.
TEST_F(Ambiguous, LargeObjectsThatTheMarkFoundDeadAreNotHit) { // [resolve.dead.1]
  add(words.data(), 8);
  const ObjectRef dead = heap.make(heap.bytes, 100000);
  const ObjectRef held = heap.make(heap.bytes, 100000);
  heap.root(0, held);
  Collector& collector = heap.collector;
  collector.prepare_cycle(ECHO_CAUSE_requested);
  heap.stopped([&](const std::vector<Mutator*>& m) { collector.begin_mark(m, true); });
  EXPECT_EQ(resolve(dead.address + 50000).address, dead.address) << "while marking it is not known dead";
  const ObjectRef born = heap.make(heap.bytes, 100000);
  bool ended = false;
  do {
    while (collector.mark_slice(64) == Collector::MarkState::More) {
    }
    heap.stopped([&](const std::vector<Mutator*>& m) { ended = collector.end_mark(m); });
  } while (!ended);
  EXPECT_FALSE(resolve(dead.address + 50000)) << "it waits for the sweep";
  EXPECT_EQ(resolve(held.address + 50000).address, held.address);
  EXPECT_EQ(resolve(born.address + 50000).address, born.address);
  collector.finish_cycle();
  EXPECT_FALSE(resolve(dead.address));
}

TEST_F(Ambiguous, WordsThatHitNothing) {
  add(words.data(), words.size() * 8);
  const Address base = heap.collector.memory.pool.slabs().base();
  const std::size_t bytes = heap.collector.memory.pool.slabs().bytes();
  (void)heap.make(heap.bytes, 8); // at the heap's base; dies
  const ObjectRef object = heap.make(heap.bytes, 8);
  heap.root(0, object);
  heap.collect();
  words = {0,
           1,
           base - 1,
           base,
           base + bytes - 1,
           base + bytes,
           ~std::uint64_t{0},
           object.address - 1,
           object.address + 24,
           object.address ^ (std::uint64_t{1} << 60),
           kPoisonWord,
           reinterpret_cast<std::uint64_t>(&words),
           heap.mutator->limit,
           heap.mutator->cursor,
           base + bytes / 2,
           object.address + kSlabBytes};
  for (const std::uint64_t word : words) {
    EXPECT_EQ(resolve(word).address, 0u) << std::hex << word;
  }
  EXPECT_EQ(survivors(), 24u);
  EXPECT_EQ(heap.statistics().ambiguous_hits, 0u);
}

TEST_F(Ambiguous, RangesOfAnySizeAndAlignment) { // [roots.ambiguous.4]
  const ObjectRef object = heap.make(heap.bytes, 8);
  auto* bytes = reinterpret_cast<char*>(words.data());
  words[3] = object.address;
  heap.root(0, object);
  heap.collect();
  heap.root(0, {});
  // Each of these covers word 3 whole, and no other.
  for (const auto& [from, count] : {std::pair{24, 8}, {17, 15}, {23, 9}, {24, 15}, {1, 126}}) {
    add(bytes + from, static_cast<std::uint64_t>(count));
    EXPECT_EQ(survivors(), 24u) << from;
    remove(bytes + from);
  }
  add(bytes + 25, 31); // words 4, 5 and 6
  add(bytes + 17, 8);  // no whole word
  add(bytes + 3, 1);
  EXPECT_EQ(survivors(), 0u);
}

TEST_F(Ambiguous, RangeMisuse) { // [roots.ambiguous.4]
  std::string why;
  auto* bytes = reinterpret_cast<char*>(words.data());
  EXPECT_EQ(add_refused(nullptr, 8, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(why, "an ambiguous range needs an address and a number of bytes over 0");
  EXPECT_EQ(add_refused(bytes, 0, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(add_refused(bytes, ~std::uint64_t{0}, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_NE(why.find("leaves the address space"), std::string::npos) << why;
  add(bytes + 32, 32);
  for (const auto& [from, count] : {std::pair{0, 33}, {32, 1}, {40, 8}, {63, 10}, {0, 128}}) {
    EXPECT_EQ(add_refused(bytes + from, static_cast<std::uint64_t>(count), &why), ECHO_INVALID_ARGUMENT);
    EXPECT_EQ(why, "the range overlaps an ambiguous range that is registered already");
  }
  add(bytes, 32); // neighbours are no overlap
  add(bytes + 64, 64);
  const ObjectRef object = heap.make(heap.bytes, 8);
  EXPECT_EQ(add_refused(reinterpret_cast<void*>(object.address), 8, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(why, "the range overlaps the heap, whose objects are traced by their layouts");
  const Address base = heap.collector.memory.pool.slabs().base();
  EXPECT_EQ(add_refused(reinterpret_cast<void*>(base - 8), 9, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(heap.collector.remove_ambiguous_range(bytes + 8, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(why, "no ambiguous range begins at this address");
  remove(bytes + 32);
  EXPECT_EQ(heap.collector.remove_ambiguous_range(bytes + 32, &why), ECHO_INVALID_ARGUMENT);
}

TEST_F(Ambiguous, ManyMegabytes) {
  std::vector<std::uint64_t> data(kMiB); // 8 MiB
  add(data.data(), data.size() * 8);
  std::uint64_t kept = 0;
  for (std::size_t i = 0; i < data.size(); i += 1021) {
    data[i] = heap.make(heap.bytes, 8).address + i % 24;
    kept += 24;
  }
  EXPECT_EQ(survivors(), kept);
  remove(data.data());
  EXPECT_EQ(survivors(), 0u);
}

TEST_F(Ambiguous, ObjectsWithoutALayout) {
  const ObjectRef holder = heap.make(unknown, 8 * 5 + 7); // five whole words
  heap.root(0, holder);
  std::vector<ObjectRef> held;
  for (std::size_t i = 0; i < 5; ++i) {
    held.push_back(heap.make(heap.pair));
    TestHeap::poke(holder, 16 + 8 * i, held[i].address + 3 * i);
  }
  const std::size_t size = heap.size_of(holder);
  ASSERT_EQ(survivors(), size + std::uint64_t{5} * 24);
  // What is hit is an object like any other: its own references are followed.
  const ObjectRef beyond = heap.make(heap.bytes, 64);
  heap.store(held[2], 8, beyond);
  ASSERT_EQ(survivors(), size + 5u * 24 + 80);
  // Misaligned, or in the rest behind the last whole word: no word.
  for (std::size_t i = 0; i < 5; ++i) {
    TestHeap::poke(holder, 16 + 8 * i, 0);
  }
  std::memcpy(reinterpret_cast<char*>(holder.address) + 16 + 4, &held[0].address, 8);
  std::memcpy(reinterpret_cast<char*>(holder.address) + 16 + 40, &held[1].address, 7);
  EXPECT_EQ(survivors(), size);
}

TEST_F(Ambiguous, LongAndLargeObjectsWithoutALayout) {
  for (const std::size_t count : {256u, 257u, 1000u, 4000u, 100000u}) {
    const ObjectRef holder = heap.make(unknown, count * 8);
    heap.root(0, holder);
    std::uint64_t kept = heap.size_of(holder);
    for (std::size_t i = 0; i < count; i += 37) {
      TestHeap::poke(holder, 16 + 8 * i, heap.make(heap.bytes, 100).address + 50);
      kept += 120;
    }
    TestHeap::poke(holder, 16 + 8 * (count - 1), heap.make(heap.bytes, 100).address + 119);
    ASSERT_EQ(survivors(), kept + 120 - ((count - 1) % 37 == 0 ? 120 : 0)) << count;
    heap.root(0, {});
    ASSERT_EQ(survivors(), 0u);
  }
}

TEST_F(Ambiguous, ALongListThroughInteriorPointers) {
  ObjectRef head;
  for (int i = 0; i < 50000; ++i) {
    const ObjectRef cell = heap.make(unknown, 24);
    TestHeap::poke(cell, 24, head ? head.address + 16 : 0);
    head = cell;
    words[0] = head.address + 8;
    if (i == 0) {
      add(words.data(), 8);
    }
  }
  EXPECT_EQ(survivors(), std::uint64_t{50000} * 40);
  words[0] = 0;
  EXPECT_EQ(survivors(), 0u);
}

TEST_F(Ambiguous, PinsAreCountedOnceAndByTheFirstWord) { // [pins.once.1] [pins.slab.1]
  add(words.data(), words.size() * 8);
  const ObjectRef twice = heap.make(heap.pair);
  const ObjectRef held = heap.make(heap.pair);
  const ObjectRef precise = heap.make(heap.pair);
  const ObjectRef large = heap.make(heap.bytes, 50000);
  const ObjectRef holder = heap.make(unknown, 16);
  words[0] = twice.address;
  words[1] = twice.address + 8;
  words[2] = holder.address;
  words[3] = large.address + 40000;
  heap.root(0, precise);
  TestHeap::poke(holder, 16, held.address);
  TestHeap::poke(holder, 24, twice.address);
  heap.collect();
  const echo_statistics all = heap.statistics();
  EXPECT_EQ(all.pinned_by[ECHO_PIN_range], 3u);
  EXPECT_EQ(all.pinned_by[ECHO_PIN_object], 1u);
  EXPECT_EQ(all.pinned_by[ECHO_PIN_register], 0u);
  EXPECT_EQ(all.pinned_by[ECHO_PIN_stack], 0u);
  EXPECT_EQ(all.pinned_objects, 4u);
  EXPECT_EQ(all.pinned_slabs, 2u) << "the small ones share one, the large one has its own";
  EXPECT_EQ(all.ambiguous_words, words.size() + 2);
  EXPECT_EQ(all.ambiguous_hits, 6u);
  const PinSet& pins = heap.collector.memory.pins;
  EXPECT_TRUE(pins.is_pinned(twice) && pins.is_pinned(held) && pins.is_pinned(large));
  EXPECT_FALSE(pins.is_pinned(precise));
  EXPECT_TRUE(pins.has_pins(heap.collector.memory.pool.slabs().index_of(large.address)));
  words.assign(words.size(), 0);
  heap.collect();
  EXPECT_EQ(heap.statistics().pinned_objects, 0u) << "of the last mark";
  EXPECT_EQ(heap.statistics().pinned_slabs, 0u);
  EXPECT_EQ(heap.statistics().ambiguous_hits, 6u) << "cumulative";
  EXPECT_FALSE(pins.is_pinned(twice));
}

TEST_F(Ambiguous, ObjectsBornSinceTheLastMarkAreFound) { // [starts.mark.1]
  add(words.data(), words.size() * 8);
  heap.collect();
  // In the current span, in the overflow span, in a span given up, and in a span in the holes of a recycled slab.
  std::vector<ObjectRef> kept;
  for (int round = 0; round < 3; ++round) {
    words[0] = heap.make(heap.bytes, 100).address + 60;
    words[1] = heap.make(heap.bytes, 3000).address + 3000;
    for (int i = 0; i < 2000; ++i) {
      (void)heap.make(heap.bytes, 64);
    }
    words[2] = heap.make(heap.bytes, 40).address + 16;
    for (int i = 0; i < 3; ++i) {
      ASSERT_NE(resolve(words[static_cast<std::size_t>(i)]).address, 0u) << i;
    }
    const ObjectRef last = heap.make(heap.bytes, 32);
    EXPECT_EQ(resolve(last.address + 47).address, last.address) << "in the own span";
    EXPECT_EQ(resolve(last.address + 48).address, 0u) << "not allocated yet";
    EXPECT_EQ(survivors(), 120u + 3016 + 56) << round;
  }
}

// Any word against a list of what is alive.
// However many objects are new: the stop only copies words, and whoever marks walks and counts the objects in slices.
TEST_F(Ambiguous, TheStopThatStartsAMarkWalksNoObject) { // [starts.walk.2]
  constexpr std::uint64_t kObjects = 50000;
  add(words.data(), 8);
  ObjectRef held;
  for (std::uint64_t i = 0; i < kObjects; ++i) {
    const ObjectRef object = heap.make(heap.pair);
    held = i == kObjects / 2 ? object : held;
  }
  words[0] = held.address + 9;
  Collector& collector = heap.collector;
  collector.prepare_cycle(ECHO_CAUSE_requested);
  heap.stopped([&](const std::vector<Mutator*>& m) { collector.begin_mark(m, true); });
  EXPECT_FALSE(collector.starts.counted().has_value());
  EXPECT_FALSE(collector.memory.bits.is_marked(held.address)) << "nothing was resolved in the stop";
  unsigned slices = 0;
  bool ended = false;
  do {
    while (collector.mark_slice(64) == Collector::MarkState::More) {
      ++slices;
    }
    heap.stopped([&](const std::vector<Mutator*>& m) { ended = collector.end_mark(m); });
  } while (!ended);
  EXPECT_GT(slices, 10u);
  EXPECT_EQ(collector.starts.counted(), kObjects);
  collector.finish_cycle();
  EXPECT_EQ(resolve(words[0]).address, held.address);
  EXPECT_EQ(heap.statistics().objects_allocated, kObjects);
  EXPECT_EQ(live_bytes(), 24u);
}

TEST_F(Ambiguous, ResolutionAgreesWithAList) {
  SCOPED_TRACE(test::seed_message());
  test::Random random(test::test_seed());
  add(words.data(), 8);
  const LayoutId line =
      heap.layout({sizeof(echo_layout), ECHO_LAYOUT_RAW_ARRAY, "line", 16, 1, 64, 0, 0, nullptr});
  std::map<Address, std::size_t> alive; // start -> bytes
  std::vector<echo_ref> roots(400);
  std::string why;
  ASSERT_EQ(heap.collector.roots.globals.add(roots.data(), roots.size(), &why), ECHO_OK);
  for (int round = 0; round < 12; ++round) {
    std::vector<Address> candidates;
    for (int i = 0; i < 3000; ++i) {
      const std::size_t length = random.chance(2)    ? random.between(20000, 90000)
                                 : random.chance(10) ? random.between(100, 3000)
                                                     : random.below(80);
      const ObjectRef object = heap.make(random.chance(20) ? line : heap.bytes, length);
      alive[object.address] = heap.size_of(object);
      if (random.chance(15)) {
        roots[random.below(roots.size())] = test::as_root(object);
      }
      if (i % 500 == 0 || i == 2999) {
        for (int probe = 0; probe < 300; ++probe) {
          auto near = std::next(alive.begin(), static_cast<std::ptrdiff_t>(random.below(alive.size())));
          const Address word = near->first + random.below(near->second + 64) - 32;
          auto above = alive.upper_bound(word);
          Address expected = 0;
          if (above != alive.begin() && word - std::prev(above)->first < std::prev(above)->second) {
            expected = std::prev(above)->first;
          }
          ASSERT_EQ(resolve(word).address, expected) << round << " " << i;
        }
      }
    }
    heap.collect();
    std::map<Address, std::size_t> survived;
    for (const echo_ref root : roots) {
      if (root != nullptr) {
        survived[test::as_object(root).address] = heap.size_of(test::as_object(root));
      }
    }
    alive = survived;
  }
}

TEST_F(Ambiguous, WordsIntoAnotherThreadsSpans) { // [roots.resolve.1]
  std::atomic<Address> old_object{0};
  std::atomic<Address> object{0};
  std::atomic<bool> done{false};
  std::thread other([&] {
    Mutator* m = nullptr;
    std::string why;
    ASSERT_EQ(heap.collector.attach(&m, &why), ECHO_OK);
    for (int i = 0; i < 5000; ++i) { // several spans, in the thread's own log
      const ObjectRef made = heap.collector.allocate(*m, heap.bytes, 100);
      old_object.store(i == 100 ? made.address : old_object.load());
    }
    object = heap.collector.allocate(*m, heap.bytes, 100).address;
    while (!done.load()) {
      if (m->poll_word.load() == 0) {
        m->collector.poll(*m);
      }
    }
    heap.collector.detach(m);
  });
  while (object.load() == 0) {
    if (heap.mutator->poll_word.load() == 0) {
      heap.collector.poll(*heap.mutator);
    }
  }
  EXPECT_EQ(resolve(object + 115).address, object.load());
  EXPECT_EQ(resolve(object + 120).address, 0u) << "not allocated yet";
  EXPECT_EQ(resolve(old_object + 60).address, old_object.load());
  done = true;
  heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Native);
  other.join();
  heap.collector.safepoints.leave_native(*heap.mutator);
  EXPECT_EQ(resolve(object + 7).address, object.load()) << "its spans are retired";
  heap.collect();
  EXPECT_EQ(resolve(object + 7).address, 0u);
}

// A frame source that cannot map its frame while it is told so.
struct Failing {
  bool fails = true;
  static echo_status walk(void* context, echo_thread*, echo_frame_cursor* cursor, std::uint32_t,
                          std::uint32_t* visited, echo_visit_slot_fn, void*, echo_error*) {
    cursor->pc = 0;
    *visited = 1;
    return static_cast<Failing*>(context)->fails ? ECHO_FRAME_WITHOUT_MAP : ECHO_OK;
  }
};

TEST_F(Ambiguous, AfterAMarkThatWasGivenUp) { // [resolve.base.1]
  Failing source;
  const echo_frame_source frames{sizeof frames, 0, &source, Failing::walk};
  std::string why;
  ASSERT_EQ(heap.collector.roots.frames.set(&frames, &why), ECHO_OK);
  add(words.data(), words.size() * 8);
  words[0] = heap.make(heap.bytes, 100).address + 7;
  heap.collect();
  words[1] = heap.make(heap.bytes, 100).address + 7;
  const Address dropped = heap.make(heap.bytes, 100).address;
  heap.mutator->anchor_pc = 1;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(heap.collect(&why), ECHO_FRAME_WITHOUT_MAP);
    words[2 + static_cast<std::size_t>(i)] = heap.make(heap.bytes, 100).address + 7;
    for (std::size_t w = 0; w < 3; ++w) {
      EXPECT_EQ(resolve(words[w]).address, words[w] - 7) << w;
    }
    EXPECT_EQ(resolve(dropped + 50).address, dropped) << "nothing was found dead";
    EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "")
        << "roots that cannot be read are no corruption";
  }
  source.fails = false;
  EXPECT_EQ(survivors(), 5u * 120);
  EXPECT_EQ(resolve(dropped).address, 0u);
  heap.mutator->anchor_pc = 0;
  ASSERT_EQ(heap.collector.roots.frames.set(nullptr, &why), ECHO_OK);
}

TEST(AmbiguousLate, IsRefusedWhileStartsAreUnknown) { // [resolve.base.1]
  TestHeap heap(quiet_config());
  Failing source;
  const echo_frame_source frames{sizeof frames, 0, &source, Failing::walk};
  std::string why;
  ASSERT_EQ(heap.collector.roots.frames.set(&frames, &why), ECHO_OK);
  const ObjectRef object = heap.make(heap.pair);
  heap.root(0, object);
  heap.mutator->anchor_pc = 1;
  ASSERT_EQ(heap.collect(&why), ECHO_FRAME_WITHOUT_MAP);
  std::uint64_t word = object.address;
  ObjectRef found;
  EXPECT_EQ(heap.collector.add_ambiguous_range(&word, 8, &why), ECHO_WRONG_STATE);
  EXPECT_NE(why.find("could not read every root"), std::string::npos) << why;
  EXPECT_EQ(heap.collector.ambiguous_stack(*heap.mutator, true, &why), ECHO_WRONG_STATE);
  EXPECT_EQ(heap.collector.starts.resolve(*heap.mutator, {word}, &found, &why), ECHO_WRONG_STATE);
  source.fails = false;
  heap.collect();
  EXPECT_EQ(heap.collector.starts.resolve(*heap.mutator, {word}, &found, &why), ECHO_OK);
  EXPECT_EQ(found, object);
  ASSERT_EQ(heap.collector.add_ambiguous_range(&word, 8, &why), ECHO_OK) << why;
  heap.root(0, {});
  heap.collect();
  EXPECT_EQ(heap.statistics().live_bytes, 24u);
  heap.mutator->anchor_pc = 0;
}

TEST(AmbiguousLate, AHeapThatDoesNotAskHasNoneOfIt) { // [starts.use.1] [starts.free.1] [pins.free.1]
  TestHeap heap(quiet_config());
  (void)heap.make(heap.pair);
  heap.collect();
  EXPECT_FALSE(heap.collector.memory.words.starts().is_open());
  EXPECT_FALSE(heap.collector.memory.pins.is_open());
  EXPECT_EQ(heap.statistics().ambiguous_words, 0u);
  const std::size_t before = heap.collector.memory.metadata_bytes();
  std::string why;
  ASSERT_EQ(heap.collector.starts.use(&why), ECHO_OK);
  EXPECT_GT(heap.collector.memory.metadata_bytes(), before) << "and one that does says what it costs";
}

TEST_F(Ambiguous, AnOverwrittenHeaderLosesNothingSilently) { // [starts.walk.1]
  add(words.data(), 8);
  const ObjectRef victim = heap.make(heap.bytes, 8);
  const ObjectRef behind = heap.make(heap.bytes, 8);
  words[0] = behind.address;
  TestHeap::poke(behind, 16, 42);
  TestHeap::poke(victim, 0, 0xFFFFFF);
  std::string why;
  EXPECT_EQ(heap.collect(&why), ECHO_HEAP_CORRUPT);
  EXPECT_NE(why.find("was overwritten: what lies behind it cannot be found"), std::string::npos) << why;
  EXPECT_EQ(TestHeap::peek(behind, 16), 42u);
}

TEST_F(Ambiguous, AHitWithAnOverwrittenHeaderIsCorruption) { // [resolve.corrupt.1]
  add(words.data(), 8);
  const ObjectRef victim = heap.make(heap.bytes, 8);
  words[0] = victim.address + 8;
  heap.collect();
  TestHeap::poke(victim, 0, 0xFFFFFF);
  std::string why;
  EXPECT_EQ(heap.collect(&why), ECHO_HEAP_CORRUPT);
}

class AmbiguousVerified : public Ambiguous {
protected:
  AmbiguousVerified() : Ambiguous(config()) {}
  static Config config() {
    Config c = quiet_config();
    c.verify = c.poison = c.stress_barriers = true;
    return c;
  }
};

TEST_F(AmbiguousVerified, TheVerifierFollowsAmbiguousWordsByItsOwnMeans) { // [verify.start.1] [verify.mark.1]
  add(words.data(), words.size() * 8);
  const ObjectRef holder = heap.make(unknown, 64);
  const ObjectRef held = heap.make(heap.pair);
  words[0] = holder.address + 20;
  TestHeap::poke(holder, 32, held.address + 5);
  for (int i = 0; i < 5; ++i) {
    (void)heap.make(heap.pair);
    ASSERT_EQ(survivors(), 80u + 24);
    words[1] =
        heap.make(heap.bytes, 9).address + 3; // dies at once: the word is overwritten in the next round
    ASSERT_EQ(survivors(), 80u + 24 + 32);
    words[2] = words[1]; // and stale from then on
    words[1] = 0;
    words[3] = i % 2 == 0 ? words[2] : 0;
    words[2] = 0;
    ASSERT_EQ(survivors(), 80u + 24 + (i % 2 == 0 ? 32 : 0));
    words[3] = 0;
  }
  // A marker that overlooks what an ambiguous word hits is found out.
  heap.stopped([&](const std::vector<Mutator*>&) { heap.collector.memory.bits.clear_mark(held.address); });
  EXPECT_NE(heap.verify_after_mark(), "");
}

} // namespace
} // namespace echo
