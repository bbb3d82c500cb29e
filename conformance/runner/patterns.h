// SPDX-License-Identifier: MIT
//
// patterns.h - raw words whose values follow from a key, so that a lost, moved or overwritten object is seen.
#ifndef ECHO_CONFORMANCE_PATTERNS_H
#define ECHO_CONFORMANCE_PATTERNS_H

#include "plugin.h"

namespace conformance {

inline std::uint64_t pattern(std::uint64_t key, std::uint64_t index) {
  return scramble(key * std::uint64_t{0x9E3779B97F4A7C15} + index) |
         1; // odd: never a reference, even to a tagged slot
}
// Words [first, end) of the object.
inline void fill(echo_ref object, std::uint64_t first, std::uint64_t end, std::uint64_t key) {
  for (std::uint64_t i = first; i < end; ++i)
    word(object, i) = pattern(key, i);
}
inline bool has_pattern(echo_ref object, std::uint64_t first, std::uint64_t end, std::uint64_t key) {
  for (std::uint64_t i = first; i < end; ++i)
    if (word(object, i) != pattern(key, i))
      return false;
  return true;
}
inline bool is_zero(echo_ref object, std::uint64_t first_byte, std::uint64_t end_byte) {
  for (std::uint64_t i = first_byte; i < end_byte; ++i)
    if (bytes_of(object)[i] != 0)
      return false;
  return true;
}
inline std::uint64_t round_up(std::uint64_t bytes, std::uint64_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

// A node with two references and a payload: [header][left][right][4 pattern words].
struct Nodes {
  static constexpr std::uint64_t kLeft = 1, kRight = 2, kFirst = 3, kWords = 7, kBytes = kWords * 8;

  const Mutator* mutator;
  echo_layout_id layout;

  explicit Nodes(const Mutator& m) : mutator(&m), layout(m.heap().fixed("node", kBytes, {kLeft, kRight})) {}

  // Children are set afterwards: a reference held over an allocation would be invalid. [kit.refs.1]
  echo_ref make(std::uint64_t key) const {
    const echo_ref node = mutator->allocate(layout);
    fill(node, kFirst, kWords, key);
    return node;
  }
  static echo_ref child(echo_ref node, std::uint64_t which) {
    return reinterpret_cast<echo_ref>(word(node, which));
  }
  void expect(echo_ref node, std::uint64_t key, const std::string& what) const {
    EXPECT(node != nullptr, what + ": the reference is null");
    EXPECT_EQ(mutator->api().object_layout(mutator->heap().get(), node), layout, what + ": layout");
    EXPECT(has_pattern(node, kFirst, kWords, key), what + ": the object was overwritten");
  }
  // A list of `count` nodes through `right`, keys 0 .. count - 1 from its head, rooted in the open scope.
  echo_handle list(std::uint64_t count) const {
    const echo_handle head = mutator->root(nullptr);
    for (std::uint64_t i = count; i > 0; --i) {
      const echo_ref node = make(i - 1);
      mutator->store(node, kRight, mutator->get(head));
      mutator->set(head, node);
    }
    return head;
  }
  void expect_list(echo_handle head, std::uint64_t count, const std::string& what) const {
    echo_ref node = mutator->get(head);
    for (std::uint64_t i = 0; i < count; ++i, node = child(node, kRight))
      expect(node, i, what + ", element " + show(i));
    EXPECT(node == nullptr, what + ": the list goes on");
  }
};

// Allocates `bytes` of garbage in small objects and fills it, so that freed memory is overwritten.
inline void churn(const Mutator& mutator, std::uint64_t bytes, Random& random) {
  const echo_layout_id words = mutator.heap().raw_array("churned words", 8);
  for (std::uint64_t done = 0; done < bytes;) {
    const std::uint64_t length = random.between(1, 64);
    const echo_ref garbage = mutator.allocate(words, length);
    for (std::uint64_t i = 0; i < length; ++i)
      word(garbage, 2 + i) = 0xDEADDEADDEADDEAD;
    done += 16 + length * 8;
  }
}

// A heap of a plugin that has a feature, an open scope, and nodes; the test is skipped where the plugin lacks it.
struct FeatureFixture {
  FeatureFixture(const Context& context, const std::function<std::string(const Plugin&)>& options,
                 std::uint64_t feature)
      : f(context, options), scope(checked(f, feature)), nodes(f.mutator) {}
  Fixture f;
  Scope scope;
  const Nodes nodes;

private:
  static Mutator& checked(Fixture& f, std::uint64_t feature) {
    f.plugin.skip_without(feature);
    return f.mutator;
  }
};

} // namespace conformance

#endif // ECHO_CONFORMANCE_PATTERNS_H
