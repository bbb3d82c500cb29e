// SPDX-License-Identifier: MIT
//
// Purpose     Random graphs of objects of every shape, with the same edges kept beside the heap: what a naive
//             traversal of the shadow reaches is what the collector must find.
#pragma once

#include "tests/gc/test_heap.h"
#include "tests/heap/seed.h"

#include <utility>
#include <vector>

namespace echo::test {

class ObjectGraph {
public:
  struct Node {
    ObjectRef ref;
    std::size_t bytes = 0;
    std::vector<std::size_t> slots;            // offsets of reference slots
    std::vector<std::size_t> targets;          // nodes, or kNone; one per slot
    std::vector<bool> tagged;                  // one per slot
    std::size_t payload_from = 0, payload = 0; // bytes without references, filled with the pattern
  };
  static constexpr std::size_t kNone = SIZE_MAX;

  ObjectGraph(TestHeap& heap, Random& random) : heap_(heap), random_(random) {
    std::vector<echo_slot> wide;
    for (const std::uint32_t word : {1u, 62u, 63u, 64u, 65u, 80u, 98u}) { // around the bitmap's end
      wide.push_back({word * 8, word == 63 || word == 80 ? ECHO_SLOT_TAGGED : ECHO_SLOT_STRONG});
    }
    const auto shape = [&](const echo_layout& layout, std::uint64_t most) {
      shapes_.push_back({heap_.layout(layout), most});
    };
    shape(fixed_layout("cell", 16), 0);
    shape(fixed_layout("pair", 24, {{8, ECHO_SLOT_STRONG}, {16, ECHO_SLOT_STRONG}}), 0);
    shape(fixed_layout("tagged", 24, {{8, ECHO_SLOT_TAGGED}, {16, ECHO_SLOT_STRONG}}), 0);
    shape(fixed_layout("wide", std::uint64_t{99} * 8, wide), 0);
    shape(ref_array_layout("refs"), 700); // several slices
    shape(describe("mixed refs", ECHO_LAYOUT_MIXED_REF, 40, 8,
                   {{24, ECHO_SLOT_STRONG}, {16, ECHO_SLOT_TAGGED}}),
          40);
    shape(describe("mixed raw", ECHO_LAYOUT_MIXED_RAW, 24, 2, {{16, ECHO_SLOT_STRONG}}), 200);
    shape(raw_array_layout("bytes", 1), 3000);
    shape(ref_array_layout("large refs"), 20000);
    shape(raw_array_layout("large bytes", 8), 10000);
    const std::vector<echo_slot> last{{56, ECHO_SLOT_STRONG}};
    echo_layout line = fixed_layout("line", 64, last);
    line.alignment = 64;
    shape(line, 0);
  }

  std::size_t add() {
    // The large shapes seldom.
    const Shape& shape = shapes_[random_.chance(2)    ? random_.between(8, 9)
                                 : random_.chance(10) ? 10
                                                      : random_.below(8)];
    const std::uint64_t length = shape.most == 0 ? 0 : random_.below(shape.most + 1);
    Node node;
    node.ref = heap_.make(shape.id, length);
    node.bytes = heap_.size_of(node.ref);
    const LayoutRecord& record = heap_.collector.memory.layouts.record(shape.id);
    node.payload_from = record.is_array ? 16 : 8;
    for (std::uint32_t i = 0; i < record.slot_count; ++i) {
      node.slots.push_back(record.slots[i].offset);
      node.tagged.push_back(record.slots[i].kind == ECHO_SLOT_TAGGED);
    }
    for (std::uint64_t i = 0; record.traced_elements && i < length; ++i) {
      node.slots.push_back(record.fixed_bytes + i * 8);
      node.tagged.push_back(false);
    }
    node.targets.assign(node.slots.size(), kNone);
    node.payload = record.traced_elements || record.slot_count != 0 ? 0 : node.bytes - node.payload_from;
    for (std::size_t i = 0; i < node.payload; i += 8) {
      TestHeap::poke(node.ref, node.payload_from + i, pattern(nodes.size()));
    }
    nodes.push_back(std::move(node));
    return nodes.size() - 1;
  }
  void connect(std::size_t from, std::size_t slot, std::size_t to) {
    Node& node = nodes[from];
    node.targets[slot] = to;
    heap_.store(node.ref, node.slots[slot], to == kNone ? ObjectRef{} : nodes[to].ref);
  }
  // Gives a share of all slots a target; some of the others get words that the collector must not follow.
  void connect_randomly(unsigned percent) {
    static const std::uint64_t outside[4] = {}; // an object outside the heap: module data
    for (std::size_t n = 0; n < nodes.size(); ++n) {
      for (std::size_t s = 0; s < nodes[n].slots.size(); ++s) {
        if (random_.chance(percent)) {
          connect(n, s, random_.below(nodes.size()));
        } else if (nodes[n].tagged[s] && random_.chance(50)) {
          heap_.store(nodes[n].ref, nodes[n].slots[s], {random_.next() | 1});
        } else if (random_.chance(10)) {
          heap_.store(nodes[n].ref, nodes[n].slots[s], {reinterpret_cast<Address>(outside)});
        }
      }
    }
  }
  std::vector<bool> reachable(const std::vector<std::size_t>& roots) const {
    std::vector<bool> seen(nodes.size(), false);
    std::vector<std::size_t> grey;
    const auto reach = [&](std::size_t n) {
      if (n != kNone && !seen[n]) {
        seen[n] = true;
        grey.push_back(n);
      }
    };
    for (const std::size_t root : roots) {
      reach(root);
    }
    while (!grey.empty()) {
      const std::size_t n = grey.back();
      grey.pop_back();
      for (const std::size_t target : nodes[n].targets) {
        reach(target);
      }
    }
    return seen;
  }
  // Everything that was written is still there.
  ::testing::AssertionResult intact(std::size_t n) const {
    const Node& node = nodes[n];
    for (std::size_t s = 0; s < node.slots.size(); ++s) {
      if (node.targets[s] != kNone &&
          TestHeap::peek(node.ref, node.slots[s]) != nodes[node.targets[s]].ref.address) {
        return ::testing::AssertionFailure() << "slot " << s << " of node " << n << " changed";
      }
    }
    for (std::size_t i = 0; i < node.payload; i += 8) {
      if (TestHeap::peek(node.ref, node.payload_from + i) != pattern(n)) {
        return ::testing::AssertionFailure() << "byte " << i << " of node " << n << " changed";
      }
    }
    return ::testing::AssertionSuccess();
  }

  std::vector<Node> nodes;

private:
  struct Shape {
    LayoutId id;
    std::uint64_t most; // elements
  };
  static std::uint64_t pattern(std::size_t n) { return n * 0x9E3779B97F4A7C15u; }

  TestHeap& heap_;
  Random& random_;
  std::vector<Shape> shapes_;
};

} // namespace echo::test
