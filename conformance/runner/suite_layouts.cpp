// SPDX-License-Identifier: MIT
//
// suite_layouts.cpp - what a descriptor may say, and that one that lies is refused.
//
// Method      An oracle (first_lie) states the rules of echo/layout.h once more. Fixed examples break one
//             rule each; fuzzed
//         descriptors are judged by plugin and oracle, which must agree.
#include "plugin.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <thread>

namespace conformance {

namespace {

// A descriptor that owns what it points to.
struct Descriptor {
  echo_layout d{sizeof(echo_layout), ECHO_LAYOUT_FIXED, nullptr, 32, 0, 0, 0, 0, nullptr};
  std::string name = "layout";
  bool has_name = true;
  std::vector<echo_slot> slots;
  bool has_slots = true;

  const echo_layout& get() {
    d.name = has_name ? name.c_str() : nullptr;
    d.slot_count = static_cast<std::uint32_t>(slots.size());
    d.slots = has_slots && !slots.empty() ? slots.data() : nullptr;
    return d;
  }
};

bool is_array(const echo_layout& d) {
  return d.kind != ECHO_LAYOUT_FIXED;
}
bool has_reference_elements(const echo_layout& d) {
  return d.kind == ECHO_LAYOUT_REF_ARRAY || d.kind == ECHO_LAYOUT_MIXED_REF;
}
bool is_plain_array(const echo_layout& d) {
  return d.kind == ECHO_LAYOUT_RAW_ARRAY || d.kind == ECHO_LAYOUT_REF_ARRAY ||
         d.kind == ECHO_LAYOUT_AMBIGUOUS;
}

std::optional<std::string> first_lie(const echo_layout& d) {
  const std::uint64_t prefix = is_array(d) ? 16 : 8;
  if (d.size < sizeof(echo_layout))
    return "size";
  if (d.kind < ECHO_LAYOUT_FIXED || d.kind > ECHO_LAYOUT_AMBIGUOUS)
    return "kind";
  if (d.name == nullptr || *d.name == '\0' || std::strlen(d.name) > 255)
    return "name";
  if (d.fixed_bytes < prefix || d.fixed_bytes > 16u << 20)
    return "fixed_bytes";
  if (is_plain_array(d) && d.fixed_bytes != 16)
    return "fixed_bytes of an array";
  if (!is_array(d) && d.element_bytes != 0)
    return "element_bytes of a fixed layout";
  if (has_reference_elements(d) && d.element_bytes != 8)
    return "element_bytes of references";
  if (is_array(d) && (d.element_bytes == 0 || d.element_bytes > 65536))
    return "element_bytes";
  if (d.alignment != 0 && d.alignment != 8 && d.alignment != 16 && d.alignment != 32 && d.alignment != 64)
    return "alignment";
  if ((d.flags & ~7u) != 0)
    return "flags";
  if ((d.flags & ECHO_LAYOUT_LEAF) != 0 &&
      (d.slot_count != 0 || has_reference_elements(d) || d.kind == ECHO_LAYOUT_AMBIGUOUS))
    return "leaf";
  if (d.slot_count != 0 && d.slots == nullptr)
    return "slots";
  std::set<std::uint32_t> offsets;
  for (std::uint32_t i = 0; i < d.slot_count; ++i) {
    const echo_slot& s = d.slots[i];
    if (s.offset % 8 != 0 || s.offset < prefix || s.offset + std::uint64_t{8} > d.fixed_bytes ||
        !offsets.insert(s.offset).second || s.kind > ECHO_SLOT_EPHEMERON_VALUE)
      return "slot " + std::to_string(i);
  }
  // A value right behind each key, a key right before each value.
  const auto has = [&d](std::uint64_t offset, std::uint32_t kind) {
    return std::any_of(d.slots, d.slots + d.slot_count,
                       [&](const echo_slot& s) { return s.offset == offset && s.kind == kind; });
  };
  for (std::uint32_t i = 0; i < d.slot_count; ++i) {
    const echo_slot& s = d.slots[i];
    if ((s.kind == ECHO_SLOT_EPHEMERON_KEY && !has(s.offset + std::uint64_t{8}, ECHO_SLOT_EPHEMERON_VALUE)) ||
        (s.kind == ECHO_SLOT_EPHEMERON_VALUE && !has(s.offset - std::uint64_t{8}, ECHO_SLOT_EPHEMERON_KEY)))
      return "ephemeron at slot " + std::to_string(i);
  }
  return std::nullopt;
}

// Honest, but beyond what every plugin can do.
bool needs_features(const echo_layout& d, const Plugin& plugin) {
  bool weak = false, ephemeron = false;
  for (std::uint32_t i = 0; i < d.slot_count; ++i) {
    weak = weak || d.slots[i].kind == ECHO_SLOT_WEAK;
    ephemeron = ephemeron || d.slots[i].kind > ECHO_SLOT_WEAK;
  }
  return (weak && !plugin.has(ECHO_FEATURE_WEAK)) || (ephemeron && !plugin.has(ECHO_FEATURE_EPHEMERONS)) ||
         (d.kind == ECHO_LAYOUT_AMBIGUOUS && !plugin.has(ECHO_FEATURE_AMBIGUOUS_ROOTS)) ||
         ((d.flags & ECHO_LAYOUT_FINALIZABLE) != 0 && !plugin.has(ECHO_FEATURE_FINALIZERS));
}

std::string describe(const echo_layout& d) {
  std::string text = "kind " + show(d.kind) + ", fixed " + show(d.fixed_bytes) + ", element " +
                     show(d.element_bytes) + ", alignment " + show(d.alignment) + ", flags " + show(d.flags) +
                     ", slots";
  if (d.slot_count > std::max<std::uint64_t>(d.fixed_bytes, d.element_bytes) / 8) // they may not be there
    return text + ": " + show(d.slot_count);
  for (std::uint32_t i = 0; d.slots != nullptr && i < std::min(d.slot_count, 20u); ++i)
    text += " " + show(d.slots[i].offset) + ":" + show(d.slots[i].kind);
  return text + (d.slot_count == 0 ? " none" : "");
}

echo_status try_register(const Heap& heap, const echo_layout& d, echo_layout_id* id) {
  const std::uint32_t before = heap.api().layout_count(heap.get());
  echo_error why = untouched_error();
  const echo_status status = heap.api().layout_register(heap.get(), &d, id, &why);
  if (status == ECHO_OK) {
    EXPECT(is_untouched(why), "a layout was registered, and an error written: " + describe(d));
    return status;
  }
  expect_error(why, status, describe(d));
  EXPECT_EQ(heap.api().layout_count(heap.get()), before, "layouts after a refusal (" + describe(d) + ")");
  return status;
}

void expect_described(const Heap& heap, echo_layout_id id, const echo_layout& d) {
  const echo_layout_info info = heap.info(id);
  EXPECT_EQ(info.id, id, "id");
  EXPECT_EQ(info.kind, d.kind, "kind");
  EXPECT_EQ(info.flags & d.flags, d.flags, "flags");
  EXPECT_EQ(std::string(info.name), d.name, "name");
  EXPECT_EQ(info.fixed_bytes, std::max<std::uint64_t>(d.fixed_bytes, 16), "fixed_bytes"); // [abi.layout.4]
  EXPECT_EQ(info.element_bytes, d.element_bytes, "element_bytes");
  EXPECT_EQ(info.alignment, d.alignment == 0 ? 8u : d.alignment, "alignment");
  EXPECT_EQ(info.slot_count, d.slot_count, "slot_count");
  std::vector<echo_slot> expected(d.slots, d.slots + d.slot_count);
  std::sort(expected.begin(), expected.end(),
            [](const auto& a, const auto& b) { return a.offset < b.offset; });
  for (std::uint32_t i = 0; i < d.slot_count; ++i) {
    echo_slot slot{};
    EXPECT_STATUS(heap.api().layout_slot(heap.get(), id, i, &slot), ECHO_OK, "layout_slot");
    EXPECT(slot.offset == expected[i].offset && slot.kind == expected[i].kind,
           "slot " + show(i) + " of " + describe(d) + " comes back as " + show(slot.offset) + ":" +
               show(slot.kind));
  }
  echo_slot slot{};
  EXPECT_STATUS(heap.api().layout_slot(heap.get(), id, d.slot_count, &slot), ECHO_OUT_OF_BOUNDS,
                "slot past the end");
}

void every_kind_registers(Context& context) {
  const Plugin plugin(context.plugin_path);
  const Heap heap(plugin, "");
  EXPECT_EQ(heap.api().layout_count(heap.get()), 0u, "layouts of a new heap");
  std::vector<Descriptor> all(6);
  all[0].name = "pair";
  all[0].slots = {{16, ECHO_SLOT_TAGGED}, {8, ECHO_SLOT_STRONG}};
  all[1].name = "bytes";
  all[1].d = {sizeof(echo_layout), ECHO_LAYOUT_RAW_ARRAY, nullptr, 16, 1, 0, 0, 0, nullptr};
  all[2].name = "refs";
  all[2].d = {sizeof(echo_layout), ECHO_LAYOUT_REF_ARRAY, nullptr, 16, 8, 0, 0, 0, nullptr};
  all[3].name = "record, then bytes";
  all[3].d = {sizeof(echo_layout), ECHO_LAYOUT_MIXED_RAW, nullptr, 40, 2, 16, 0, 0, nullptr};
  all[3].slots = {{24, ECHO_SLOT_STRONG}};
  all[4].name = "record, then references";
  all[4].d = {sizeof(echo_layout), ECHO_LAYOUT_MIXED_REF, nullptr, 32, 8, 64, ECHO_LAYOUT_PINNED, 0, nullptr};
  all[4].slots = {{24, ECHO_SLOT_STRONG}};
  all[5].name = "leaf";
  all[5].d.flags = ECHO_LAYOUT_LEAF;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const echo_layout_id id = heap.add(all[i].get());
    EXPECT_EQ(id, i + 1, "the numbers of layouts are 1 .. count");
    EXPECT_EQ(heap.api().layout_count(heap.get()), i + 1, "layout_count");
    expect_described(heap, id, all[i].get());
  }
}

void identical_layouts_share(Context& context) {
  const Plugin plugin(context.plugin_path);
  const Heap heap(plugin, "");
  Descriptor a;
  a.slots = {{8, ECHO_SLOT_STRONG}, {24, ECHO_SLOT_STRONG}};
  Descriptor reordered = a;
  std::swap(reordered.slots[0], reordered.slots[1]);
  Descriptor aligned = a;
  aligned.d.alignment = 8; // 0 means 8
  const echo_layout_id id = heap.add(a.get());
  EXPECT_EQ(heap.add(a.get()), id, "number of the same descriptor");
  EXPECT_EQ(heap.add(reordered.get()), id, "number of the descriptor with its slots in another order");
  EXPECT_EQ(heap.add(aligned.get()), id, "number of the descriptor with alignment 8 instead of 0");
  EXPECT_EQ(heap.api().layout_count(heap.get()), 1u, "layouts");
  Descriptor other = a;
  other.name = "another";
  EXPECT(heap.add(other.get()) != id, "another name shares the number");
  other = a;
  other.slots.pop_back();
  EXPECT(heap.add(other.get()) != id, "other slots share the number");
  other = a;
  other.slots[0].kind = ECHO_SLOT_TAGGED;
  EXPECT(heap.add(other.get()) != id, "another kind of slot shares the number");
  other = a;
  other.d.fixed_bytes = 40;
  EXPECT(heap.add(other.get()) != id, "another size shares the number");
  other = a;
  other.d.flags = ECHO_LAYOUT_PINNED;
  EXPECT(heap.add(other.get()) != id, "other flags share the number");
  EXPECT_EQ(heap.api().layout_count(heap.get()), 6u, "layouts");
}

void descriptors_are_copied(Context& context) {
  const Plugin plugin(context.plugin_path);
  const Heap heap(plugin, "");
  Descriptor a;
  a.slots = {{8, ECHO_SLOT_STRONG}};
  const echo_layout_id id = heap.add(a.get());
  Descriptor kept = a;
  std::fill(a.name.begin(), a.name.end(), '!');
  a.slots[0] = {24, ECHO_SLOT_TAGGED};
  expect_described(heap, id, kept.get());
}

void unknown_numbers(Context& context) {
  const Plugin plugin(context.plugin_path);
  const Heap heap(plugin, "");
  const echo_layout_id id = heap.fixed("one", 16, {});
  for (const echo_layout_id wrong : {0u, id + 1, 1000000u, UINT32_MAX}) {
    echo_layout_info info{};
    info.size = sizeof info;
    echo_slot slot{};
    EXPECT_STATUS(heap.api().layout_get(heap.get(), wrong, &info), ECHO_UNKNOWN_LAYOUT,
                  "layout_get of " + show(wrong));
    EXPECT_STATUS(heap.api().layout_slot(heap.get(), wrong, 0, &slot), ECHO_UNKNOWN_LAYOUT,
                  "layout_slot of " + show(wrong));
  }
}

void extremes_register(Context& context) {
  const Plugin plugin(context.plugin_path);
  const Heap heap(plugin, "");
  std::vector<Descriptor> all(7);
  all[0].d.fixed_bytes = 8;
  all[1].d.fixed_bytes = 16u << 20;
  all[1].slots = {{8, ECHO_SLOT_STRONG}, {(16u << 20) - 8, ECHO_SLOT_STRONG}};
  all[2].name = std::string(255, 'n');
  all[3].d = {sizeof(echo_layout), ECHO_LAYOUT_RAW_ARRAY, nullptr, 16, 65536, 64, 0, 0, nullptr};
  all[4].d.fixed_bytes = 65536; // references everywhere
  for (std::uint32_t offset = 8; offset < 65536; offset += 8)
    all[4].slots.push_back({offset, ECHO_SLOT_STRONG});
  all[5].d = {
      sizeof(echo_layout), ECHO_LAYOUT_MIXED_REF, nullptr, 16, 8, 0, 0, 0, nullptr}; // an empty fixed part
  all[5].name = "mixed without a fixed part";
  all[6].d.fixed_bytes = 8 + 64 * 8 + 8; // around the 64th word
  for (std::uint32_t word_index = 61; word_index <= 65; ++word_index)
    all[6].slots.push_back({word_index * 8, ECHO_SLOT_STRONG});
  for (Descriptor& one : all)
    expect_described(heap, heap.add(one.get()), one.get());
}

void lies_are_refused(Context& context) {
  const Plugin plugin(context.plugin_path);
  const Heap heap(plugin, "");
  std::vector<Descriptor> lies;
  const auto lie = [&lies](const auto& change) {
    Descriptor d;
    d.slots = {{8, ECHO_SLOT_STRONG}};
    change(d);
    lies.push_back(d);
  };
  for (const std::uint32_t size : {0u, 8u, std::uint32_t{sizeof(echo_layout)} - 1})
    lie([=](Descriptor& d) { d.d.size = size; });
  for (const std::uint32_t kind : {0u, 7u, 255u, UINT32_MAX})
    lie([=](Descriptor& d) { d.d.kind = kind; });
  lie([](Descriptor& d) { d.has_name = false; });
  lie([](Descriptor& d) { d.name = ""; });
  lie([](Descriptor& d) { d.name = std::string(256, 'n'); });
  lie([](Descriptor& d) { d.name = std::string(100000, 'n'); });
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{7}, std::uint64_t{(16 << 20) + 8},
                                    std::uint64_t{1} << 32, UINT64_MAX, UINT64_MAX - 7})
    lie([=](Descriptor& d) {
      d.d.fixed_bytes = bytes;
      d.slots.clear();
    });
  for (const std::uint32_t alignment : {1u, 2u, 4u, 12u, 24u, 63u, 128u, 4096u, 0x80000000u})
    lie([=](Descriptor& d) { d.d.alignment = alignment; });
  for (const std::uint32_t flags : {8u, 1u << 31})
    lie([=](Descriptor& d) { d.d.flags = flags; });
  lie([](Descriptor& d) { d.d.flags = ECHO_LAYOUT_LEAF; });
  lie([](Descriptor& d) { d.has_slots = false; });
  // slots: in the header, over the end, at the end, misaligned, far out, twice, of no kind
  for (const std::uint32_t offset : {0u, 32u, 40u, 4u, 9u, 28u, 0x7FFFFFF8u, 0xFFFFFFF8u, 0xFFFFFFFFu})
    lie([=](Descriptor& d) { d.slots[0].offset = offset; });
  lie([](Descriptor& d) {
    d.slots = {{8, ECHO_SLOT_STRONG}, {16, ECHO_SLOT_STRONG}, {8, ECHO_SLOT_STRONG}};
  });
  lie([](Descriptor& d) { d.slots = {{8, ECHO_SLOT_STRONG}, {8, ECHO_SLOT_TAGGED}}; });
  // ephemerons: a key or a value alone, apart, the wrong way round
  for (const std::uint32_t kind : {ECHO_SLOT_EPHEMERON_KEY, ECHO_SLOT_EPHEMERON_VALUE})
    lie([=](Descriptor& d) { d.slots[0].kind = kind; });
  lie([](Descriptor& d) { d.slots = {{8, ECHO_SLOT_EPHEMERON_KEY}, {24, ECHO_SLOT_EPHEMERON_VALUE}}; });
  lie([](Descriptor& d) { d.slots = {{8, ECHO_SLOT_EPHEMERON_VALUE}, {16, ECHO_SLOT_EPHEMERON_KEY}}; });
  for (const std::uint32_t kind : {5u, 100u, UINT32_MAX})
    lie([=](Descriptor& d) { d.slots[0].kind = kind; });
  lie([](Descriptor& d) { d.d.fixed_bytes = 8; }); // the slot is behind the object
  lie([](Descriptor& d) { d.d.element_bytes = 8; });
  // arrays
  const auto array = [&lie](std::uint32_t kind, std::uint64_t fixed, std::uint32_t element,
                            std::uint32_t flags = 0) {
    lie([=](Descriptor& d) {
      d.d = {sizeof(echo_layout), kind, nullptr, fixed, element, 0, flags, 0, nullptr};
      d.slots.clear();
    });
  };
  array(ECHO_LAYOUT_RAW_ARRAY, 16, 0);
  array(ECHO_LAYOUT_RAW_ARRAY, 16, 65537);
  array(ECHO_LAYOUT_RAW_ARRAY, 16, UINT32_MAX);
  array(ECHO_LAYOUT_RAW_ARRAY, 8, 1);
  array(ECHO_LAYOUT_RAW_ARRAY, 24, 1);
  array(ECHO_LAYOUT_REF_ARRAY, 16, 4);
  array(ECHO_LAYOUT_REF_ARRAY, 16, 0);
  array(ECHO_LAYOUT_REF_ARRAY, 16, 16);
  array(ECHO_LAYOUT_REF_ARRAY, 0, 8);
  array(ECHO_LAYOUT_REF_ARRAY, 16, 8, ECHO_LAYOUT_LEAF);
  array(ECHO_LAYOUT_MIXED_RAW, 8, 1);
  array(ECHO_LAYOUT_MIXED_REF, 32, 4);
  array(ECHO_LAYOUT_MIXED_REF, 32, 8, ECHO_LAYOUT_LEAF);
  array(ECHO_LAYOUT_AMBIGUOUS, 16, 0);
  array(ECHO_LAYOUT_AMBIGUOUS, 16, 65537);
  array(ECHO_LAYOUT_AMBIGUOUS, 8, 1);
  array(ECHO_LAYOUT_AMBIGUOUS, 24, 1);
  array(ECHO_LAYOUT_AMBIGUOUS, 16, 1, ECHO_LAYOUT_LEAF);
  lie([](Descriptor& d) { // a slot over the length word
    d.d = {sizeof(echo_layout), ECHO_LAYOUT_MIXED_RAW, nullptr, 32, 1, 0, 0, 0, nullptr};
  });
  for (Descriptor& one : lies) {
    const echo_layout& d = one.get();
    EXPECT(first_lie(d).has_value(), "the test itself is wrong: " + describe(d));
    echo_layout_id id = 0;
    EXPECT_STATUS(try_register(heap, d, &id), ECHO_BAD_LAYOUT,
                  "a layout that lies about its " + *first_lie(d) + " (" + describe(d) + ")");
  }
}

void huge_slot_counts(Context& context) {
  const Plugin plugin(context.plugin_path);
  const Heap heap(plugin, "");
  // More slots than the object has words: refused without reading them all (they are not there).
  const echo_slot slot{8, ECHO_SLOT_STRONG};
  for (const std::uint32_t count : {1000000u, UINT32_MAX}) {
    const echo_layout d{sizeof(echo_layout), ECHO_LAYOUT_FIXED, "huge", 32, 0, 0, 0, count, &slot};
    echo_layout_id id = 0;
    EXPECT_STATUS(try_register(heap, d, &id), ECHO_BAD_LAYOUT, show(count) + " slots in 32 bytes");
  }
}

void missing_features_say_so(Context& context) {
  const Plugin plugin(context.plugin_path);
  const Heap heap(plugin, "");
  for (const std::uint32_t kind : {ECHO_SLOT_WEAK, ECHO_SLOT_EPHEMERON_KEY}) {
    Descriptor d;
    d.slots = {{8, kind}};
    if (kind == ECHO_SLOT_EPHEMERON_KEY)
      d.slots.push_back({16, ECHO_SLOT_EPHEMERON_VALUE});
    echo_layout_id id = 0;
    const std::uint64_t feature = kind == ECHO_SLOT_WEAK ? ECHO_FEATURE_WEAK : ECHO_FEATURE_EPHEMERONS;
    const echo_status expected = plugin.has(feature) ? ECHO_OK : ECHO_NOT_SUPPORTED;
    EXPECT_STATUS(try_register(heap, d.get(), &id), expected, "slot kind " + show(kind));
  }
  Descriptor d;
  d.d.flags = ECHO_LAYOUT_FINALIZABLE;
  echo_layout_id id = 0;
  const echo_status expected = plugin.has(ECHO_FEATURE_FINALIZERS) ? ECHO_OK : ECHO_NOT_SUPPORTED;
  EXPECT_STATUS(try_register(heap, d.get(), &id), expected, "a finalizable layout");
  Descriptor unknown;
  unknown.d = {sizeof(echo_layout), ECHO_LAYOUT_AMBIGUOUS, nullptr, 16, 1, 0, 0, 0, nullptr};
  EXPECT_STATUS(try_register(heap, unknown.get(), &id),
                plugin.has(ECHO_FEATURE_AMBIGUOUS_ROOTS) ? ECHO_OK : ECHO_NOT_SUPPORTED,
                "a layout without known references");
}

// A valid descriptor, at random.
Descriptor random_honest(Random& random, const Plugin& plugin) {
  Descriptor d;
  d.name = "random " + std::to_string(random.below(1000000));
  const bool ambiguous = plugin.has(ECHO_FEATURE_AMBIGUOUS_ROOTS);
  d.d.kind = static_cast<std::uint32_t>(
      random.between(ECHO_LAYOUT_FIXED, ambiguous ? ECHO_LAYOUT_AMBIGUOUS : ECHO_LAYOUT_MIXED_REF));
  const bool plain = is_plain_array(d.d);
  const std::uint64_t prefix_words = is_array(d.d) ? 2 : 1;
  const std::uint64_t words = plain ? 2 : prefix_words + random.below(random.chance(8) ? 3000 : 20);
  d.d.fixed_bytes = words * 8;
  if (has_reference_elements(d.d))
    d.d.element_bytes = 8;
  else if (is_array(d.d))
    d.d.element_bytes = static_cast<std::uint32_t>(random.between(1, random.chance(4) ? 65536 : 32));
  constexpr std::uint32_t kAlignments[] = {0, 8, 16, 32, 64};
  d.d.alignment = random.pick(kAlignments);
  if (random.chance(3))
    d.d.flags |= ECHO_LAYOUT_PINNED;
  for (std::uint32_t w = static_cast<std::uint32_t>(prefix_words); w < words; ++w)
    if (random.chance(2))
      d.slots.push_back(
          {w * 8, static_cast<std::uint32_t>(random.chance(4) ? ECHO_SLOT_TAGGED : ECHO_SLOT_STRONG)});
  for (std::size_t i = d.slots.size(); i > 1; --i)
    std::swap(d.slots[i - 1], d.slots[static_cast<std::size_t>(random.below(i))]);
  if (d.slots.empty() && !has_reference_elements(d.d) && d.d.kind != ECHO_LAYOUT_AMBIGUOUS &&
      random.chance(2))
    d.d.flags |= ECHO_LAYOUT_LEAF;
  return d;
}

void fuzzed_honest(Context& context) {
  const Plugin plugin(context.plugin_path);
  const Heap heap(plugin, "");
  for (int i = 0; i < 1000; ++i) {
    Descriptor d = random_honest(context.random, plugin);
    const echo_layout& layout = d.get();
    EXPECT(!first_lie(layout), "the test itself is wrong: " + describe(layout));
    echo_layout_id id = 0;
    const echo_status status = try_register(heap, layout, &id);
    EXPECT_STATUS(status, ECHO_OK, "an honest layout (" + describe(layout) + ")");
    expect_described(heap, id, layout);
  }
}

// One or a few fields of an honest descriptor replaced by something likely to lie.
void fuzzed_noise(Context& context) {
  const Plugin plugin(context.plugin_path);
  const Heap heap(plugin, "");
  Random& random = context.random;
  int refused = 0;
  for (int i = 0; i < 4000; ++i) {
    Descriptor d = random_honest(random, plugin);
    constexpr std::uint64_t kOdd[] = {0,
                                      1,
                                      2,
                                      4,
                                      6,
                                      7,
                                      8,
                                      9,
                                      12,
                                      16,
                                      24,
                                      64,
                                      128,
                                      65536,
                                      65537,
                                      1 << 24,
                                      (1 << 24) + 8,
                                      UINT32_MAX - 7,
                                      UINT32_MAX,
                                      UINT64_MAX - 7,
                                      UINT64_MAX};
    const auto odd32 = [&] { return static_cast<std::uint32_t>(random.pick(kOdd)); };
    for (std::uint64_t changes = random.between(1, 3); changes > 0; --changes)
      switch (random.below(8)) {
      case 0:
        d.d.kind = odd32();
        break;
      case 1:
        d.d.fixed_bytes = random.pick(kOdd) & ~std::uint64_t{7};
        break;
      case 2:
        d.d.element_bytes = odd32();
        break;
      case 3:
        d.d.alignment = odd32();
        break;
      case 4:
        d.d.flags = odd32();
        break;
      case 5:
        d.slots.push_back({odd32(), odd32()});
        break;
      case 6:
        if (!d.slots.empty())
          d.slots.push_back(random.pick(d.slots));
        break;
      default:
        if (!d.slots.empty())
          random.pick(d.slots).offset += static_cast<std::uint32_t>(random.between(1, 9));
        break;
      }
    const echo_layout& layout = d.get();
    const auto lie = first_lie(layout);
    echo_layout_id id = 0;
    const echo_status status = try_register(heap, layout, &id);
    if (lie) {
      // It may also ask for what the plugin does not have: then either refusal is true.
      const bool also_unsupported = needs_features(layout, plugin) && status == ECHO_NOT_SUPPORTED;
      EXPECT(status == ECHO_BAD_LAYOUT || also_unsupported, "a layout that lies about its " + *lie +
                                                                " gives " + echo_status_name(status) + ": " +
                                                                describe(layout));
      ++refused;
    } else {
      EXPECT_STATUS(status, needs_features(layout, plugin) ? ECHO_NOT_SUPPORTED : ECHO_OK, describe(layout));
    }
  }
  EXPECT(refused > 1000, "the noise is too quiet: only " + show(refused) + " of 4000 lie");
}

void many_layouts(Context& context) {
  const Plugin plugin(context.plugin_path);
  const Heap heap(plugin, "");
  constexpr std::uint32_t kCount = 50000;
  for (std::uint32_t i = 0; i < kCount; ++i) {
    const echo_slot slot{8 + 8 * (i % 7), ECHO_SLOT_STRONG};
    const std::string name = "layout " + std::to_string(i);
    const echo_layout d{sizeof(echo_layout), ECHO_LAYOUT_FIXED, name.c_str(), 64, 0, 0, 0, 1, &slot};
    EXPECT_EQ(heap.add(d), i + 1, "number of a layout");
  }
  const Mutator mutator(heap);
  for (int i = 0; i < 1000; ++i) {
    const auto id = static_cast<echo_layout_id>(context.random.between(1, kCount));
    EXPECT_EQ(std::string(heap.info(id).name), "layout " + std::to_string(id - 1), "name");
    EXPECT_EQ(heap.api().object_layout(heap.get(), mutator.allocate(id)), id, "layout of an object");
  }
}

void threads_register(Context& context) {
  const Plugin plugin(context.plugin_path);
  const Heap heap(plugin, "");
  constexpr int kThreads = 4;
  constexpr std::uint32_t kLayouts = 500;
  std::vector<std::vector<echo_layout_id>> ids(kThreads, std::vector<echo_layout_id>(kLayouts));
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&heap, &mine = ids[static_cast<std::size_t>(t)]] {
      try {
        for (std::uint32_t i = 0; i < kLayouts; ++i)
          mine[i] = heap.fixed(("shared " + std::to_string(i)).c_str(), 16 + i * 8, {});
      } catch (const Failed& failed) {
        note_failure(failed.why);
      }
    });
  for (std::thread& thread : threads)
    thread.join();
  if (!noted_failure().empty())
    return;
  for (const auto& mine : ids)
    EXPECT(mine == ids[0], "threads got different numbers for the same layouts");
  EXPECT_EQ(heap.api().layout_count(heap.get()), kLayouts, "layouts");
}

} // namespace

Suite layouts_suite() {
  return {"layouts",
          "descriptors are data; those that lie are refused",
          {
              {"every_kind_registers", "every kind of layout registers and is described as it was given",
               "[abi.layout.1]", every_kind_registers},
              {"identical_layouts_share", "identical descriptors of one name share a number, others do not",
               "[abi.layout.3]", identical_layouts_share},
              {"descriptors_are_copied", "what the descriptor points to is copied", "[abi.layout.3]",
               descriptors_are_copied},
              {"unknown_numbers", "numbers that were never given out are UNKNOWN_LAYOUT", "[abi.error.1]",
               unknown_numbers},
              {"extremes_register", "the largest and smallest of everything register",
               "[abi.layout.1] [abi.layout.4]", extremes_register},
              {"lies_are_refused", "each broken rule is BAD_LAYOUT with a reason, and nothing is registered",
               "[abi.layout.1] [abi.layout.2] [abi.layout.3]", lies_are_refused},
              {"huge_slot_counts", "a slot count beyond the object is refused before the slots are read",
               "[abi.layout.3]", huge_slot_counts},
              {"missing_features_say_so",
               "weak slots and finalizers are NOT_SUPPORTED unless the feature is there", "[abi.feature.1]",
               missing_features_say_so},
              {"fuzzed_honest", "honest layouts register and come back unchanged (random)",
               "[abi.layout.1] [abi.layout.3]", fuzzed_honest},
              {"fuzzed_noise", "a layout is refused exactly if it lies (random)",
               "[abi.layout.1] [abi.layout.3]", fuzzed_noise},
              {"many_layouts", "50 000 layouts, and objects of them", "[abi.layout.3]", many_layouts},
              {"threads_register", "threads that register the same layouts get the same numbers",
               "[abi.layout.3]", threads_register},
          }};
}

} // namespace conformance
