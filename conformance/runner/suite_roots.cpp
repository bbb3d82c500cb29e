// SPDX-License-Identifier: MIT
//
// suite_roots.cpp - handles, scopes and root words: what they keep, and what misuse they notice.
#include "instructions.h"
#include "patterns.h"

#include <algorithm>
#include <array>

namespace conformance {

namespace {

std::string poisoned(const Plugin& p) {
  return p.options_with("max_heap=32m", {"poison=on", "verify=on"});
}

void handles_keep_alive(Context& context) {
  Fixture f(context, poisoned);
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  Scope scope(f.mutator);
  const Nodes nodes(f.mutator);
  std::vector<echo_handle> handles;
  for (std::uint64_t i = 0; i < 3000; ++i) {
    handles.push_back(f.mutator.root(nodes.make(i)));
    nodes.make(~i); // dies
  }
  for (int turn = 0; turn < 3; ++turn) {
    f.mutator.collect();
    churn(f.mutator, 4 << 20, context.random);
    for (std::uint64_t i = 0; i < handles.size(); ++i)
      nodes.expect(f.mutator.get(handles[i]), i, "handle " + show(i));
  }
  f.mutator.verify();
}

void handles_are_set(Context& context) {
  Fixture f(context, poisoned);
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  Scope scope(f.mutator);
  const Nodes nodes(f.mutator);
  const echo_handle handle = f.mutator.root(nodes.make(1));
  f.mutator.set(handle, nodes.make(2));
  f.mutator.collect();
  nodes.expect(f.mutator.get(handle), 2, "a handle that was set");
  f.mutator.set(handle, nullptr);
  f.mutator.collect();
  EXPECT(f.mutator.get(handle) == nullptr, "a handle set to null holds something");
  EXPECT_EQ(f.heap.statistics().live_bytes, std::uint64_t{0}, "live_bytes when no root holds anything");
}

void closing_frees(Context& context) {
  Fixture f(context, poisoned);
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  const Nodes nodes(f.mutator);
  Scope outer(f.mutator);
  const echo_handle kept = f.mutator.root(nodes.make(7));
  Scope inner(f.mutator);
  for (std::uint64_t i = 0; i < 100; ++i)
    f.mutator.root(nodes.make(i));
  f.mutator.collect();
  EXPECT_EQ(f.heap.statistics().live_bytes, 101 * Nodes::kBytes, "live_bytes with both scopes open");
  inner.close();
  f.mutator.collect();
  EXPECT_EQ(f.heap.statistics().live_bytes, Nodes::kBytes, "live_bytes with the inner scope closed");
  nodes.expect(f.mutator.get(kept), 7, "a handle of the outer scope");
}

void scopes_nest(Context& context) {
  Fixture f(context, "max_heap=32m");
  const Nodes nodes(f.mutator);
  std::vector<echo_scope> scopes;
  std::vector<std::vector<echo_handle>> handles;
  std::uint64_t key = 0;
  for (int step = 0; step < 20000; ++step) {
    const std::uint64_t depth = scopes.size();
    if (depth < 60 && (depth == 0 || context.random.chance(3))) {
      echo_scope scope = 0;
      EXPECT_STATUS(f.plugin.api().scope_open(f.mutator.get(), &scope), ECHO_OK, "scope_open");
      scopes.push_back(scope);
      handles.emplace_back();
    } else if (context.random.chance(3)) {
      EXPECT_STATUS(f.plugin.api().scope_close(f.mutator.get(), scopes.back()), ECHO_OK, "scope_close");
      scopes.pop_back();
      handles.pop_back();
    } else {
      handles.back().push_back(f.mutator.root(nodes.make(key++)));
    }
  }
  // Every handle that is left holds the node it was made with: keys rise in the order in which handles were
  // made.
  std::uint64_t last = 0;
  for (const auto& level : handles)
    for (const echo_handle handle : level) {
      const echo_ref node = f.mutator.get(handle);
      EXPECT(node != nullptr, "a handle of an open scope is null");
      std::uint64_t found = last;
      while (found < key && !has_pattern(node, Nodes::kFirst, Nodes::kWords, found))
        ++found;
      EXPECT(found < key, "a handle of an open scope holds another object");
      last = found + 1;
    }
  for (; !scopes.empty(); scopes.pop_back())
    EXPECT_STATUS(f.plugin.api().scope_close(f.mutator.get(), scopes.back()), ECHO_OK, "scope_close");
}

void misuse_of_scopes(Context& context) {
  Fixture f(context);
  const echo_heap_api& api = f.plugin.api();
  echo_thread* thread = f.mutator.get();
  echo_scope outer = 0;
  echo_scope inner = 0;
  EXPECT_STATUS(api.scope_close(thread, 0), ECHO_HANDLE_MISUSE, "scope_close(0) without a scope");
  EXPECT_STATUS(api.scope_close(thread, 12345), ECHO_HANDLE_MISUSE, "scope_close of a number made up");
  EXPECT_STATUS(api.scope_open(thread, &outer), ECHO_OK, "scope_open");
  EXPECT_STATUS(api.scope_open(thread, &inner), ECHO_OK, "scope_open");
  EXPECT(outer != inner, "two open scopes are the same");
  EXPECT_STATUS(api.scope_close(thread, outer), ECHO_HANDLE_MISUSE, "closing the outer scope first");
  EXPECT_STATUS(api.scope_close(thread, inner), ECHO_OK, "closing the inner scope");
  EXPECT_STATUS(api.scope_close(thread, inner), ECHO_HANDLE_MISUSE, "closing the inner scope again");
  EXPECT_STATUS(api.scope_close(thread, outer), ECHO_OK, "closing the outer scope");
  EXPECT_STATUS(api.scope_close(thread, outer), ECHO_HANDLE_MISUSE, "closing the outer scope again");
}

void misuse_of_handles(Context& context) {
  Fixture f(context);
  const echo_heap_api& api = f.plugin.api();
  echo_thread* thread = f.mutator.get();
  const Nodes nodes(f.mutator);
  EXPECT(api.handle_new(thread, nullptr) == nullptr, "a handle without a scope");
  EXPECT_STATUS(f.mutator.last_error(), ECHO_HANDLE_MISUSE, "a handle without a scope");
  echo_handle handle = nullptr;
  {
    Scope scope(f.mutator);
    handle = f.mutator.root(nodes.make(1));
    EXPECT(f.mutator.get(handle) != nullptr, "a new handle is null");
    scope.close();
  }
  EXPECT(api.handle_get(thread, handle) == nullptr, "a handle whose scope is closed still gives a reference");
  echo_error why = untouched_error();
  EXPECT_STATUS(api.last_error(thread, &why), ECHO_HANDLE_MISUSE, "a handle after its scope");
  expect_error(why, ECHO_HANDLE_MISUSE, "a handle after its scope");
  EXPECT_STATUS(api.handle_set(thread, handle, nullptr), ECHO_HANDLE_MISUSE, "handle_set after the scope");
}

void open_scopes_hold_the_thread(Context& context) {
  Fixture f(context);
  echo_scope scope = 0;
  EXPECT_STATUS(f.plugin.api().scope_open(f.mutator.get(), &scope), ECHO_OK, "scope_open");
  echo_error why = untouched_error();
  EXPECT_STATUS(f.plugin.api().detach(f.mutator.get(), &why), ECHO_WRONG_STATE, "detach with a scope open");
  expect_error(why, ECHO_WRONG_STATE, "detach with a scope open");
  EXPECT_STATUS(f.plugin.api().scope_close(f.mutator.get(), scope), ECHO_OK, "scope_close");
}

// What a handle costs does not depend on how many there are: instructions are counted.
void many_handles(Context& context) {
  Fixture f(context, "max_heap=64m");
  const Nodes nodes(f.mutator);
  const echo_heap_api& api = f.plugin.api();
  echo_thread* const self = f.mutator.get();
  const auto make = [&](std::uint64_t) { (void)api.handle_new(self, nullptr); };
  const auto scope_of_one = [&](std::uint64_t) {
    echo_scope inner = 0;
    (void)api.scope_open(self, &inner);
    (void)api.handle_new(self, nullptr);
    (void)api.scope_close(self, inner);
  };
  constexpr std::uint64_t kHandles = 40, kScopes = 10;
  Scope scope(f.mutator);
  const echo_handle first = f.mutator.root(nodes.make(1));
  const std::uint64_t few = instructions_of(kHandles, make),
                      few_scopes = instructions_of(kScopes, scope_of_one);
  for (int i = 0; i < 500000; ++i)
    f.mutator.root(nullptr);
  const std::uint64_t many = instructions_of(kHandles, make),
                      many_scopes = instructions_of(kScopes, scope_of_one);
  expect_same_cost(kHandles, few, many, "a handle");
  expect_same_cost(kScopes, few_scopes, many_scopes, "a scope with a handle");
  nodes.expect(f.mutator.get(first), 1, "the first of 500 000 handles");
  scope.close();
}

// Root words: written by plain stores at any time, read at every collection.
void root_words_keep_alive(Context& context) {
  Fixture f(context, poisoned);
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  const Nodes nodes(f.mutator);
  std::array<echo_ref, 100> words{};
  EXPECT_STATUS(f.plugin.api().roots_add(f.heap.get(), words.data(), words.size(), nullptr), ECHO_OK,
                "roots_add");
  for (int turn = 0; turn < 4; ++turn) {
    for (std::uint64_t i = 0; i < words.size(); ++i)
      if ((i + static_cast<std::uint64_t>(turn)) % 2 == 0 || words[i] == nullptr)
        words[i] = nodes.make(i); // no barrier
    f.mutator.collect();
    churn(f.mutator, 4 << 20, context.random);
    for (std::uint64_t i = 0; i < words.size(); ++i)
      nodes.expect(words[i], i, "root word " + show(i));
    words[static_cast<std::size_t>(turn) * 3] = nullptr;
  }
  f.mutator.collect();
  EXPECT_EQ(f.heap.statistics().live_bytes, 99 * Nodes::kBytes, "live_bytes of 99 root words");
  EXPECT_STATUS(f.plugin.api().roots_remove(f.heap.get(), words.data(), nullptr), ECHO_OK, "roots_remove");
  f.mutator.collect();
  EXPECT_EQ(f.heap.statistics().live_bytes, std::uint64_t{0}, "live_bytes after roots_remove");
}

void misuse_of_root_words(Context& context) {
  Fixture f(context);
  const echo_heap_api& api = f.plugin.api();
  std::vector<echo_ref> words(9000, nullptr);
  echo_ref* base = words.data();
  const auto add = [&](echo_ref* first, std::uint64_t count) {
    echo_error why = untouched_error();
    const echo_status status = api.roots_add(f.heap.get(), first, count, &why);
    if (status != ECHO_OK)
      expect_error(why, status, "roots_add of " + show(count) + " words");
    return status;
  };
  auto* misaligned = reinterpret_cast<echo_ref*>(reinterpret_cast<char*>(base) + 4);
  EXPECT_STATUS(add(nullptr, 1), ECHO_INVALID_ARGUMENT, "null");
  EXPECT_STATUS(add(misaligned, 1), ECHO_INVALID_ARGUMENT, "a misaligned range");
  EXPECT_STATUS(add(base + 10, 20), ECHO_OK, "a range");
  for (const std::uint64_t first : {10u, 0u, 29u, 15u})
    EXPECT_STATUS(add(base + first, 11), ECHO_INVALID_ARGUMENT,
                  "a range that overlaps, from word " + show(first));
  EXPECT_STATUS(add(base, 100), ECHO_INVALID_ARGUMENT, "a range around another");
  EXPECT_STATUS(add(base, 10), ECHO_OK, "a range just before another");
  EXPECT_STATUS(add(base + 30, 10), ECHO_OK, "a range just behind another");
  echo_error why = untouched_error();
  for (echo_ref* wrong : {base + 11, base + 5000, static_cast<echo_ref*>(nullptr)})
    EXPECT_STATUS(api.roots_remove(f.heap.get(), wrong, &why), ECHO_INVALID_ARGUMENT,
                  "removing a range that is none");
  expect_error(why, ECHO_INVALID_ARGUMENT, "roots_remove");
  EXPECT_STATUS(api.roots_remove(f.heap.get(), base + 10, nullptr), ECHO_OK, "roots_remove");
  EXPECT_STATUS(api.roots_remove(f.heap.get(), base + 10, nullptr), ECHO_INVALID_ARGUMENT,
                "roots_remove again");
  EXPECT_STATUS(add(base + 10, 20), ECHO_OK, "the same range again");
}

void root_words_are_bounded(Context& context) {
  Fixture f(context);
  std::vector<echo_ref> words(9000, nullptr);
  const auto add = [&](std::uint64_t first, std::uint64_t count) {
    return f.plugin.api().roots_add(f.heap.get(), words.data() + first, count, nullptr);
  };
  EXPECT_STATUS(add(0, 8193), ECHO_LIMIT_EXCEEDED, "8193 words");
  EXPECT_STATUS(add(0, UINT64_MAX), ECHO_LIMIT_EXCEEDED, "2^64 - 1 words");
  EXPECT_STATUS(add(0, UINT64_MAX / 8 + 1), ECHO_LIMIT_EXCEEDED, "2^61 words");
  EXPECT_STATUS(add(0, 8000), ECHO_OK, "8000 words");
  EXPECT_STATUS(add(8000, 193), ECHO_LIMIT_EXCEEDED, "8193 words in two ranges");
  EXPECT_STATUS(add(8000, 192), ECHO_OK, "8192 words in two ranges");
  EXPECT_STATUS(f.plugin.api().roots_remove(f.heap.get(), words.data(), nullptr), ECHO_OK, "roots_remove");
  EXPECT_STATUS(add(0, 8000), ECHO_OK, "8000 words again");
}

} // namespace

Suite roots_suite() {
  return {
      "roots",
      "handles, scopes and root words: what they keep, and what misuse they notice",
      {
          {"handles_keep_alive", "an object in a handle survives collections, with poison", "[abi.handle.1]",
           handles_keep_alive},
          {"handles_are_set", "a handle holds what it was last set to, and nothing else", "[abi.handle.1]",
           handles_are_set},
          {"closing_frees", "closing a scope frees its handles and no others", "[abi.handle.1]",
           closing_frees},
          {"scopes_nest", "scopes and handles in any properly nested order (random)", "[abi.handle.1]",
           scopes_nest},
          {"misuse_of_scopes", "closing in the wrong order, twice, or what is no scope is HANDLE_MISUSE",
           "[abi.handle.2]", misuse_of_scopes},
          {"misuse_of_handles", "a handle without or after its scope is HANDLE_MISUSE", "[abi.handle.2]",
           misuse_of_handles},
          {"open_scopes_hold_the_thread", "detach with an open scope is WRONG_STATE", "[abi.handle.2]",
           open_scopes_hold_the_thread},
          {"many_handles", "among half a million a handle takes as many instructions as among few",
           "[abi.handle.1]", many_handles},
          {"root_words_keep_alive", "root words, written by plain stores, keep their objects until removed",
           "[abi.root.1]", root_words_keep_alive},
          {"misuse_of_root_words", "null, misaligned, overlapping and unknown ranges are INVALID_ARGUMENT",
           "[abi.root.2]", misuse_of_root_words},
          {"root_words_are_bounded", "more than 8192 root words are LIMIT_EXCEEDED", "[abi.root.2]",
           root_words_are_bounded},
      }};
}

} // namespace conformance
