// SPDX-License-Identifier: MIT
//
// Purpose     Scoped handles against a model: last opened, first closed; stale ones are known for ever.
#include "gc/handles.h"

#include "tests/heap/seed.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

namespace echo {
namespace {

ObjectRef object(std::uint64_t n) {
  return {static_cast<Address>(n * 8)};
}
echo_handle make(HandleStack& stack, ObjectRef o) {
  echo_handle handle = nullptr;
  ObjectRef replaced;
  EXPECT_EQ(stack.make(o, &handle, &replaced), ECHO_OK);
  return handle;
}
// Null: the handle is not valid.
ObjectRef find(HandleStack& stack, echo_handle handle) {
  ObjectRef found;
  return stack.get(handle, &found) ? found : ObjectRef{};
}
echo_scope open(HandleStack& stack) {
  echo_scope scope = 0;
  EXPECT_EQ(stack.open(&scope), ECHO_OK);
  return scope;
}

TEST(Handles, NeedAScope) {
  HandleStack stack;
  echo_handle handle = nullptr;
  ObjectRef replaced;
  EXPECT_EQ(stack.make(object(1), &handle, &replaced), ECHO_HANDLE_MISUSE);
  EXPECT_EQ(handle, nullptr);
  EXPECT_FALSE(find(stack, nullptr));
  EXPECT_EQ(stack.close(0), ECHO_HANDLE_MISUSE);
  EXPECT_EQ(stack.close(1), ECHO_HANDLE_MISUSE);
  EXPECT_FALSE(stack.has_open_scope());
}

TEST(Handles, ScopesCloseInReverseOrder) { // [handles.scope.2]
  HandleStack stack;
  const echo_scope outer = open(stack);
  const echo_scope inner = open(stack);
  EXPECT_NE(outer, inner);
  EXPECT_EQ(stack.close(outer), ECHO_HANDLE_MISUSE) << "the inner one is open";
  EXPECT_EQ(stack.close(inner), ECHO_OK);
  EXPECT_EQ(stack.close(inner), ECHO_HANDLE_MISUSE) << "closed already";
  EXPECT_EQ(stack.close(outer), ECHO_OK);
  EXPECT_FALSE(stack.has_open_scope());
}

TEST(Handles, StaleOnesAreKnownAlsoWhenTheCellIsReused) { // [handles.scope.1]
  HandleStack stack;
  const echo_scope first = open(stack);
  const echo_handle stale = make(stack, object(1));
  ASSERT_EQ(stack.close(first), ECHO_OK);
  EXPECT_FALSE(find(stack, stale));
  const echo_scope second = open(stack);
  const echo_handle fresh = make(stack, object(2));
  EXPECT_FALSE(find(stack, stale)) << "the cell belongs to another scope";
  EXPECT_EQ(find(stack, fresh), object(2));
  ASSERT_EQ(stack.close(second), ECHO_OK);
}

TEST(Handles, FabricatedOnesAreRefused) {
  HandleStack stack;
  (void)open(stack);
  const auto bits = reinterpret_cast<std::uint64_t>(make(stack, object(1)));
  for (const std::uint64_t wrong :
       {bits + 1, bits - 1, bits + (std::uint64_t{1} << 32), bits ^ (std::uint64_t{1} << 63),
        std::uint64_t{0xFFFFFFFF}, ~std::uint64_t{0}}) {
    EXPECT_FALSE(find(stack, reinterpret_cast<echo_handle>(wrong))) << wrong;
  }
}

TEST(Handles, DepthIsBounded) {
  HandleStack stack;
  echo_scope scope = 0;
  std::size_t depth = 0;
  while (stack.open(&scope) == ECHO_OK) {
    ++depth;
  }
  EXPECT_EQ(depth, std::size_t{1} << 20);
  EXPECT_EQ(stack.open(&scope), ECHO_LIMIT_EXCEEDED);
  EXPECT_EQ(stack.close(scope), ECHO_OK);
  EXPECT_EQ(stack.open(&scope), ECHO_OK) << "closing makes room";
}

TEST(Handles, PropertyAgainstAModel) { // [handles.root.1]
  SCOPED_TRACE(test::seed_message());
  test::Random random(test::test_seed());
  HandleStack stack;
  struct Scope {
    echo_scope id;
    std::vector<echo_handle> handles;
  };
  std::vector<Scope> scopes;
  std::map<echo_handle, ObjectRef> valid;
  std::set<echo_handle> stale;
  for (std::uint64_t step = 1; step <= 30000; ++step) {
    const std::size_t dice = random.below(100);
    if (dice < 8) {
      scopes.push_back({open(stack), {}});
    } else if (dice < 15 && !scopes.empty()) {
      ASSERT_EQ(stack.close(scopes.back().id), ECHO_OK);
      for (const echo_handle h : scopes.back().handles) {
        valid.erase(h);
        if (stale.size() < 2000) {
          stale.insert(h);
        }
      }
      scopes.pop_back();
    } else if (dice < 80 && !scopes.empty()) {
      const echo_handle h = make(stack, object(step));
      ASSERT_TRUE(valid.emplace(h, object(step)).second) << "handles are distinct";
      scopes.back().handles.push_back(h);
    } else if (!valid.empty()) {
      auto it = valid.lower_bound(reinterpret_cast<echo_handle>(random.next()));
      it = it == valid.end() ? valid.begin() : it;
      ASSERT_EQ(find(stack, it->first), it->second);
      ObjectRef replaced;
      it->second = object(step);
      ASSERT_TRUE(stack.set(it->first, it->second, &replaced));
    }
    if (step % 500 == 0) {
      std::size_t seen = 0;
      std::multiset<Address> roots;
      stack.for_each([&](ObjectRef o) {
        ++seen;
        roots.insert(o.address);
      });
      ASSERT_EQ(seen, valid.size());
      ASSERT_EQ(stack.size(), valid.size());
      for (const auto& [h, o] : valid) {
        ASSERT_EQ(roots.count(o.address), 1u);
      }
      for (const echo_handle h : stale) {
        ASSERT_FALSE(find(stack, h));
      }
    }
  }
}

// What a snapshot held is traced, or handed out when it is written over; closing a scope loses nothing. [handles.trace.1]
TEST(Handles, ASnapshotIsTracedWhateverHappensMeanwhile) {
  SCOPED_TRACE(test::seed_message());
  test::Random random(test::test_seed());
  for (int round = 0; round < 30; ++round) {
    HandleStack stack;
    std::vector<std::pair<echo_scope, std::vector<echo_handle>>> scopes;
    std::uint64_t made = 0;
    std::set<Address> replaced_ones;
    const auto mutate = [&] {
      ObjectRef replaced;
      echo_handle handle = nullptr;
      if (scopes.empty() || random.chance(5)) {
        scopes.push_back({open(stack), {}});
      } else if (random.chance(5)) {
        ASSERT_EQ(stack.close(scopes.back().first), ECHO_OK);
        scopes.pop_back();
      } else if (random.chance(30) && !scopes.back().second.empty()) {
        ASSERT_TRUE(stack.set(scopes.back().second.front(), object(++made), &replaced));
      } else {
        ASSERT_EQ(stack.make(object(++made), &handle, &replaced), ECHO_OK);
        scopes.back().second.push_back(handle);
      }
      if (replaced) {
        replaced_ones.insert(replaced.address);
      }
    };
    for (std::size_t i = random.below(3000); i > 0; --i) {
      mutate();
    }
    std::set<Address> expected;
    stack.for_each([&](ObjectRef o) { expected.insert(o.address); });
    replaced_ones.clear();
    HandleStack::Trace trace = stack.begin_snapshot();
    std::set<Address> seen;
    while (!trace.is_done()) {
      trace.step(static_cast<std::uint32_t>(random.below(100)), [&](ObjectRef o) { seen.insert(o.address); });
      for (std::size_t i = random.below(200); i > 0; --i) {
        mutate();
      }
    }
    seen.insert(replaced_ones.begin(), replaced_ones.end());
    for (const Address address : expected) {
      ASSERT_TRUE(seen.contains(address)) << address;
    }
  }
}

} // namespace
} // namespace echo
