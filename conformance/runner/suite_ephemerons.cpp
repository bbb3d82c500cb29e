// SPDX-License-Identifier: MIT
//
// suite_ephemerons.cpp - ephemerons: a value lives while its key is reached by another way.
#include "patterns.h"
#include "workers.h"

#include <atomic>
#include <vector>

namespace conformance {

namespace {

std::string poisoned(const Plugin& p) {
  return p.options_with("max_heap=64m", {"poison=on", "verify=on"});
}

// [header][next][key][value]
struct Pairs {
  static constexpr std::uint64_t kNext = 1, kKey = 2, kValue = 3, kBytes = 32;

  const Mutator* mutator;
  echo_layout_id layout;

  explicit Pairs(const Mutator& m) : mutator(&m) {
    static const echo_slot slots[] = {{kNext * 8, ECHO_SLOT_STRONG},
                                      {kKey * 8, ECHO_SLOT_EPHEMERON_KEY},
                                      {kValue * 8, ECHO_SLOT_EPHEMERON_VALUE}};
    layout = m.heap().add({sizeof(echo_layout), ECHO_LAYOUT_FIXED, "pair", kBytes, 0, 0, 0, 3, slots});
  }
  echo_handle make(echo_handle key, echo_handle value) const {
    const echo_handle pair = mutator->root(mutator->allocate(layout));
    mutator->store(mutator->get(pair), kValue, mutator->get(value));
    mutator->store(mutator->get(pair), kKey, mutator->get(key));
    return pair;
  }
  echo_ref load(echo_handle pair, std::uint64_t which) const {
    return mutator->api().weak_load(mutator->get(), mutator->get(pair), which * 8);
  }
  echo_ref key(echo_handle pair) const { return load(pair, kKey); }
  echo_ref value(echo_handle pair) const { return load(pair, kValue); }
};

struct PairFixture : FeatureFixture {
  const Pairs pairs;
  explicit PairFixture(const Context& context)
      : FeatureFixture(context, poisoned, ECHO_FEATURE_EPHEMERONS), pairs(f.mutator) {}
};

void values_live_with_their_keys(Context& context) {
  PairFixture p(context);
  std::vector<echo_handle> pairs, keys;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    pairs.push_back(p.f.mutator.root(nullptr));
    Scope inner(p.f.mutator);
    const echo_handle key = p.f.mutator.root(p.nodes.make(2 * i));
    const echo_handle value = p.f.mutator.root(p.nodes.make(2 * i + 1));
    const echo_handle pair = p.pairs.make(key, value);
    p.f.mutator.set(pairs.back(), p.f.mutator.get(pair));
    inner.close();
    if (i % 3 == 0)
      keys.push_back(p.f.mutator.root(p.pairs.key(pairs.back())));
  }
  for (int turn = 0; turn < 3; ++turn) {
    p.f.mutator.collect();
    churn(p.f.mutator, 4 << 20, context.random);
    for (std::uint64_t i = 0; i < pairs.size(); ++i)
      if (i % 3 == 0) {
        p.nodes.expect(p.pairs.key(pairs[i]), 2 * i, "a key with a handle, " + show(i));
        p.nodes.expect(p.pairs.value(pairs[i]), 2 * i + 1, "the value of a key with a handle, " + show(i));
      } else {
        EXPECT(p.pairs.key(pairs[i]) == nullptr, "pair " + show(i) + " shows a dead key");
        EXPECT(p.pairs.value(pairs[i]) == nullptr, "pair " + show(i) + " keeps the value of a dead key");
      }
  }
  p.f.mutator.verify();
}

void values_do_not_keep_their_keys(Context& context) {
  PairFixture p(context);
  const echo_handle pair = p.f.mutator.root(nullptr), crossed = p.f.mutator.root(nullptr);
  {
    Scope inner(p.f.mutator);
    const echo_handle key = p.f.mutator.root(p.nodes.make(1)), value = p.f.mutator.root(p.nodes.make(2));
    p.f.mutator.store(p.f.mutator.get(value), Nodes::kLeft, p.f.mutator.get(key));
    p.f.mutator.set(pair, p.f.mutator.get(p.pairs.make(key, value)));
    // two pairs, each with the other's key in its value
    const echo_handle a = p.f.mutator.root(p.nodes.make(3)), b = p.f.mutator.root(p.nodes.make(4));
    p.f.mutator.set(crossed, p.f.mutator.get(p.pairs.make(a, b)));
    p.f.mutator.store(p.f.mutator.get(crossed), Pairs::kNext, p.f.mutator.get(p.pairs.make(b, a)));
    inner.close();
  }
  p.f.mutator.collect();
  EXPECT(p.pairs.key(pair) == nullptr && p.pairs.value(pair) == nullptr,
         "a value that refers to its own key keeps both alive");
  EXPECT(p.pairs.key(crossed) == nullptr && p.pairs.value(crossed) == nullptr,
         "two pairs keep each other's keys alive");
  EXPECT_EQ(p.f.heap.statistics().live_bytes, 3 * Pairs::kBytes, "live_bytes of three pairs");
}

// The key of each pair is the value of another one.
void chains_are_followed(Context& context) {
  PairFixture p(context);
  constexpr std::uint64_t kLinks = 8000;
  for (const bool forwards : {true, false}) {
    Scope inner(p.f.mutator);
    const echo_layout_id refs = p.f.heap.ref_array();
    const echo_handle keys = p.f.mutator.root(p.f.mutator.allocate(refs, kLinks + 1));
    for (std::uint64_t i = 0; i <= kLinks; ++i) {
      const echo_ref node = p.nodes.make(i);
      p.f.mutator.array_store(p.f.mutator.get(keys), i, node);
    }
    const echo_handle list = p.f.mutator.root(nullptr);
    for (std::uint64_t i = 0; i < kLinks; ++i) {
      const std::uint64_t link = forwards ? i : kLinks - 1 - i;
      const echo_ref pair = p.f.mutator.allocate(p.pairs.layout);
      const echo_ref all = p.f.mutator.get(keys);
      p.f.mutator.store(pair, Pairs::kKey, reinterpret_cast<echo_ref>(word(all, 2 + link)));
      p.f.mutator.store(pair, Pairs::kValue, reinterpret_cast<echo_ref>(word(all, 3 + link)));
      p.f.mutator.store(pair, Pairs::kNext, p.f.mutator.get(list));
      p.f.mutator.set(list, pair);
    }
    const echo_handle first = p.f.mutator.root(reinterpret_cast<echo_ref>(word(p.f.mutator.get(keys), 2)));
    p.f.mutator.set(keys, nullptr);
    p.f.mutator.collect();
    churn(p.f.mutator, 4 << 20, context.random);
    const auto each = [&](const auto& check) {
      const echo_handle at = p.f.mutator.root(p.f.mutator.get(list));
      for (std::uint64_t i = kLinks; i > 0; --i) {
        check(at, forwards ? i - 1 : kLinks - i);
        p.f.mutator.set(at, reinterpret_cast<echo_ref>(word(p.f.mutator.get(at), Pairs::kNext)));
      }
    };
    each([&](echo_handle at, std::uint64_t link) {
      p.nodes.expect(p.pairs.key(at), link, "the key of link " + show(link));
      p.nodes.expect(p.pairs.value(at), link + 1, "the value of link " + show(link));
    });
    p.f.mutator.set(first, nullptr);
    p.f.mutator.collect();
    each([&](echo_handle at, std::uint64_t link) {
      EXPECT(p.pairs.key(at) == nullptr, "link " + show(link) + " of a chain without a first key is kept");
    });
    p.f.mutator.verify();
    inner.close();
  }
}

void loads_revive(Context& context) {
  PairFixture p(context);
  const echo_handle by_key = p.f.mutator.root(nullptr), by_value = p.f.mutator.root(nullptr);
  for (const echo_handle pair : {by_key, by_value}) {
    Scope inner(p.f.mutator);
    const echo_handle key = p.f.mutator.root(p.nodes.make(1)), value = p.f.mutator.root(p.nodes.make(2));
    p.f.mutator.set(pair, p.f.mutator.get(p.pairs.make(key, value)));
    inner.close();
  }
  const echo_handle key = p.f.mutator.root(p.pairs.key(by_key));
  const echo_handle value = p.f.mutator.root(p.pairs.value(by_value));
  p.f.mutator.collect();
  churn(p.f.mutator, 2 << 20, context.random);
  p.nodes.expect(p.f.mutator.get(key), 1, "a key that was loaded");
  p.nodes.expect(p.pairs.value(by_key), 2, "the value of a key that was loaded");
  p.nodes.expect(p.f.mutator.get(value), 2, "a value that was loaded");
  EXPECT(p.pairs.key(by_value) == nullptr, "a value that was loaded keeps its key alive");
}

void keys_are_replaced(Context& context) {
  PairFixture p(context);
  const echo_handle pair = p.f.mutator.root(nullptr), second = p.f.mutator.root(p.nodes.make(3));
  {
    Scope inner(p.f.mutator);
    const echo_handle key = p.f.mutator.root(p.nodes.make(1)), value = p.f.mutator.root(p.nodes.make(2));
    p.f.mutator.set(pair, p.f.mutator.get(p.pairs.make(key, value)));
    inner.close();
  }
  p.f.mutator.store(p.f.mutator.get(pair), Pairs::kKey, p.f.mutator.get(second));
  p.f.mutator.collect();
  p.nodes.expect(p.pairs.value(pair), 2, "the value of a key that took another one's place");
  p.f.mutator.store(p.f.mutator.get(pair), Pairs::kKey, nullptr);
  p.f.mutator.collect();
  EXPECT(p.pairs.value(pair) == nullptr, "a null key keeps a value alive");
}

void many_pairs_and_large_objects(Context& context) {
  PairFixture p(context);
  // A table of pairs, far behind the first words; keys and values are large.
  static const echo_slot slots[] = {{8, ECHO_SLOT_EPHEMERON_KEY},     {16, ECHO_SLOT_EPHEMERON_VALUE},
                                    {39992, ECHO_SLOT_EPHEMERON_KEY}, {40000, ECHO_SLOT_EPHEMERON_VALUE},
                                    {90000, ECHO_SLOT_EPHEMERON_KEY}, {90008, ECHO_SLOT_EPHEMERON_VALUE}};
  const echo_layout_id layout =
      p.f.heap.add({sizeof(echo_layout), ECHO_LAYOUT_FIXED, "far", 100000, 0, 0, 0, 6, slots});
  const echo_layout_id words = p.f.heap.raw_array("words", 8);
  const echo_handle table = p.f.mutator.root(p.f.mutator.allocate(layout));
  std::vector<echo_handle> keys;
  for (const std::uint64_t offset : {8, 39992, 90000}) {
    keys.push_back(p.f.mutator.root(p.f.mutator.allocate(words, 10000)));
    const echo_ref value = p.f.mutator.allocate(words, 10000);
    word(value, 2) = offset;
    p.f.mutator.store(p.f.mutator.get(table), offset / 8 + 1, value);
    p.f.mutator.store(p.f.mutator.get(table), offset / 8, p.f.mutator.get(keys.back()));
  }
  p.f.mutator.set(keys[1], nullptr);
  p.f.mutator.collect();
  const auto load = [&](std::uint64_t offset) {
    return p.f.plugin.api().weak_load(p.f.mutator.get(), p.f.mutator.get(table), offset);
  };
  for (const std::uint64_t offset : {8, 90000}) {
    EXPECT(load(offset) != nullptr, "a far key with a handle is lost");
    EXPECT(load(offset + 8) != nullptr && word(load(offset + 8), 2) == offset,
           "the value of a far key is lost");
  }
  EXPECT(load(39992) == nullptr && load(40000) == nullptr, "a far key that is dead is shown");
  EXPECT_EQ(p.f.heap.statistics().large_objects, 5u, "large objects");
  p.f.mutator.verify();
}

// A weak map under fire: its thread loads, drops and replaces keys while another one collects.
void collections_beside_the_program(Context& context) {
  PairFixture p(context);
  constexpr std::uint64_t kPairs = 200;
  std::vector<echo_handle> pairs, held;
  std::vector<std::uint64_t> numbers(kPairs);
  std::uint64_t made = 0, revived = 0, lost = 0;
  const auto renew = [&](std::uint64_t i) {
    Scope inner(p.f.mutator);
    numbers[i] = made += 2;
    const echo_handle key = p.f.mutator.root(p.nodes.make(made));
    const echo_handle value = p.f.mutator.root(p.nodes.make(made + 1));
    p.f.mutator.store(p.f.mutator.get(pairs[i]), Pairs::kValue, p.f.mutator.get(value));
    p.f.mutator.store(p.f.mutator.get(pairs[i]), Pairs::kKey, p.f.mutator.get(key));
    p.f.mutator.set(held[i], p.f.mutator.get(key));
    inner.close();
  };
  for (std::uint64_t i = 0; i < kPairs; ++i) {
    pairs.push_back(p.f.mutator.root(p.f.mutator.allocate(p.pairs.layout)));
    held.push_back(p.f.mutator.root(nullptr));
    renew(i);
  }
  std::atomic<bool> over{false};
  Workers workers(p.f.heap);
  workers.start([&](const Mutator& m) {
    for (int turn = 0; turn < 40; ++turn)
      m.collect();
    over = true;
  });
  while (!over) {
    const std::uint64_t i = context.random.below(kPairs);
    const echo_ref key = p.pairs.key(pairs[i]);
    const bool must = p.f.mutator.get(held[i]) != nullptr;
    EXPECT(!must || key == p.f.mutator.get(held[i]), "a pair does not show a key that has a handle");
    if (key != nullptr) {
      p.nodes.expect(key, numbers[i], "a key");
      p.nodes.expect(p.pairs.value(pairs[i]), numbers[i] + 1, "the value of a key that was loaded");
    }
    (key == nullptr ? lost : revived) += must ? 0 : 1;
    switch (context.random.below(4)) {
    case 0:
      p.f.mutator.set(held[i], nullptr);
      break;
    case 1:
      p.f.mutator.set(held[i], key); // what was loaded is alive
      break;
    case 2:
      if (key == nullptr || context.random.below(8) == 0)
        renew(i);
      break;
    default:
      p.f.plugin.api().poll(p.f.mutator.get());
      break;
    }
  }
  workers.join_from(p.f.mutator);
  p.f.mutator.verify();
  EXPECT(revived != 0, "no key was ever seen that only its pair knew");
  (void)lost; // on a plugin that is slow to collect there may be none
}

void misuse_is_noticed(Context& context) {
  PairFixture p(context);
  const echo_handle pair = p.f.mutator.root(p.f.mutator.allocate(p.pairs.layout));
  for (const std::uint64_t offset :
       {std::uint64_t{0}, Pairs::kNext * 8, Pairs::kKey * 8 + 1, std::uint64_t{4096}}) {
    EXPECT(p.f.plugin.api().weak_load(p.f.mutator.get(), p.f.mutator.get(pair), offset) == nullptr,
           "a weak load at offset " + show(offset));
    EXPECT_STATUS(p.f.mutator.last_error(), ECHO_INVALID_ARGUMENT, "a weak load at offset " + show(offset));
  }
  EXPECT_STATUS(p.f.plugin.api().store(p.f.mutator.get(), p.f.mutator.get(pair), 9, nullptr),
                ECHO_OUT_OF_BOUNDS, "a store beside a key");
}

} // namespace

Suite ephemerons_suite() {
  return {
      "ephemerons",
      "ephemerons: a value lives while its key is reached by another way",
      {
          {"values_live_with_their_keys", "a value lives as long as its key, and both are null afterwards",
           "[eph.value.1] [eph.clear.1]", values_live_with_their_keys},
          {"values_do_not_keep_their_keys", "a key that only values reach is dead, also crosswise",
           "[eph.value.1]", values_do_not_keep_their_keys},
          {"chains_are_followed", "chains of pairs live with their first key and die with it",
           "[eph.value.1] [eph.clear.1]", chains_are_followed},
          {"loads_revive", "what was loaded from a pair is alive from then on", "[weak.load.1]",
           loads_revive},
          {"keys_are_replaced", "a value goes with the key that is there; with none it is kept by nothing",
           "[eph.key.1] [eph.null.1]", keys_are_replaced},
          {"many_pairs_and_large_objects", "an object has many pairs, anywhere in it, of any objects",
           "[abi.layout.5] [eph.value.1]", many_pairs_and_large_objects},
          {"collections_beside_the_program", "a weak map stays whole while another thread collects",
           "[eph.value.1] [weak.load.1]", collections_beside_the_program},
          {"misuse_is_noticed", "a weak load of what is no such slot is INVALID_ARGUMENT", "[abi.error.1]",
           misuse_is_noticed},
      }};
}

} // namespace conformance
