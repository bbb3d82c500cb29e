// SPDX-License-Identifier: MIT
//
// suite_persistent.cpp - handles that belong to no scope, and pins: what they keep, from which threads they are made and
// destroyed, and what misuse they notice.
#include "instructions.h"
#include "patterns.h"
#include "workers.h"

#include <algorithm>
#include <atomic>
#include <chrono>

namespace conformance {

namespace {

std::string poisoned(const Plugin& p) {
  return p.options_with("max_heap=32m", {"poison=on", "verify=on"});
}

struct PersistentFixture {
  explicit PersistentFixture(Context& context)
      : f(context, poisoned), api(f.plugin.api()), nodes(require(f)) {}
  static Mutator& require(Fixture& f) {
    f.plugin.skip_without(ECHO_FEATURE_PERSISTENT_HANDLES);
    return f.mutator;
  }
  echo_persistent make(echo_ref object) const {
    echo_persistent handle = nullptr;
    echo_error why = untouched_error();
    const echo_status status = api.persistent_new(f.mutator.get(), object, &handle, &why);
    EXPECT(status == ECHO_OK && handle != nullptr, "persistent_new: " + status_text(status, why));
    return handle;
  }
  echo_ref get(echo_persistent handle) const { return api.persistent_get(f.mutator.get(), handle); }
  void destroy(echo_persistent handle) const {
    EXPECT_STATUS(api.persistent_destroy(f.heap.get(), handle, nullptr), ECHO_OK, "persistent_destroy");
  }
  Fixture f;
  const echo_heap_api& api;
  const Nodes nodes;
};

void they_keep_alive(Context& context) {
  PersistentFixture p(context);
  std::vector<echo_persistent> handles;
  for (std::uint64_t i = 0; i < 3000; ++i) {
    handles.push_back(p.make(p.nodes.make(i)));
    p.nodes.make(~i); // dies
  }
  for (int turn = 0; turn < 3; ++turn) {
    p.f.mutator.collect();
    churn(p.f.mutator, 4 << 20, context.random);
    for (std::uint64_t i = 0; i < handles.size(); ++i)
      p.nodes.expect(p.get(handles[i]), i, "persistent handle " + show(i));
  }
  EXPECT_EQ(p.f.heap.statistics().live_bytes, handles.size() * Nodes::kBytes, "live_bytes");
  EXPECT_EQ(p.f.heap.statistics().persistent_handles, std::uint64_t{3000}, "persistent_handles");
  for (std::uint64_t i = 0; i < handles.size(); i += 2)
    p.destroy(handles[i]);
  p.f.mutator.collect();
  EXPECT_EQ(p.f.heap.statistics().live_bytes, handles.size() / 2 * Nodes::kBytes,
            "live_bytes when every second handle is destroyed");
  EXPECT_EQ(p.f.heap.statistics().persistent_handles, std::uint64_t{1500}, "persistent_handles");
  for (std::uint64_t i = 1; i < handles.size(); i += 2) {
    EXPECT_STATUS(p.api.persistent_set(p.f.mutator.get(), handles[i], nullptr), ECHO_OK, "persistent_set");
    EXPECT(p.get(handles[i]) == nullptr, "a handle set to null holds something");
  }
  p.f.mutator.collect();
  EXPECT_EQ(p.f.heap.statistics().live_bytes, std::uint64_t{0}, "live_bytes when all are set to null");
  for (std::uint64_t i = 1; i < handles.size(); i += 2)
    p.destroy(handles[i]);
  p.f.mutator.verify();
}

void from_native_state(Context& context) {
  PersistentFixture p(context);
  echo_thread* const self = p.f.mutator.get();
  Scope scope(p.f.mutator);
  const echo_handle scoped = p.f.mutator.root(p.nodes.make(5));
  const echo_persistent first = p.make(p.nodes.make(6));
  echo_persistent of_scoped = nullptr;
  echo_persistent of_null = nullptr;
  echo_persistent copy = nullptr;
  EXPECT_STATUS(p.api.enter_native(self), ECHO_OK, "enter_native");
  EXPECT_STATUS(p.api.persistent_of(self, scoped, &of_scoped, nullptr), ECHO_OK, "persistent_of");
  EXPECT_STATUS(p.api.persistent_new(self, nullptr, &of_null, nullptr), ECHO_OK, "persistent_new of null");
  EXPECT_STATUS(p.api.persistent_copy(p.f.heap.get(), first, &copy, nullptr), ECHO_OK, "persistent_copy");
  EXPECT_STATUS(p.api.persistent_destroy(p.f.heap.get(), first, nullptr), ECHO_OK, "persistent_destroy");
  EXPECT_STATUS(p.api.persistent_set(self, of_null, nullptr), ECHO_OK, "persistent_set to null");
  EXPECT(p.api.persistent_get(self, copy) == nullptr, "a native thread reads a reference");
  EXPECT_STATUS(p.f.mutator.last_error(), ECHO_WRONG_STATE, "persistent_get in native state");
  // Any thread may copy and destroy, attached or not.
  Workers strangers(p.f.heap);
  strangers.start_bare([&] {
    echo_persistent more = nullptr;
    EXPECT_STATUS(p.api.persistent_copy(p.f.heap.get(), copy, &more, nullptr), ECHO_OK, "persistent_copy");
    EXPECT_STATUS(p.api.persistent_destroy(p.f.heap.get(), copy, nullptr), ECHO_OK, "persistent_destroy");
    copy = more;
  });
  strangers.join();
  EXPECT_STATUS(p.api.leave_native(self), ECHO_OK, "leave_native");
  if (const std::string failure = noted_failure(); !failure.empty())
    throw Failed{failure};
  scope.close();
  p.f.mutator.collect();
  churn(p.f.mutator, 4 << 20, context.random);
  p.nodes.expect(p.get(of_scoped), 5, "a handle that was made of a scoped one, in native state");
  p.nodes.expect(p.get(copy), 6, "a copy of a copy whose originals are destroyed");
  for (const echo_persistent handle : {of_scoped, of_null, copy})
    p.destroy(handle);
}

void misuse_of_persistents(Context& context) {
  PersistentFixture p(context);
  echo_thread* const self = p.f.mutator.get();
  const auto refused = [&](echo_persistent handle, const std::string& what) {
    echo_persistent out = nullptr;
    echo_error why = untouched_error();
    EXPECT(p.get(handle) == nullptr, what + ": it answers");
    EXPECT_STATUS(p.f.mutator.last_error(), ECHO_HANDLE_MISUSE, "persistent_get of " + what);
    EXPECT_STATUS(p.api.persistent_set(self, handle, nullptr), ECHO_HANDLE_MISUSE,
                  "persistent_set of " + what);
    EXPECT_STATUS(p.api.persistent_copy(p.f.heap.get(), handle, &out, &why), ECHO_HANDLE_MISUSE,
                  "persistent_copy of " + what);
    expect_error(why, ECHO_HANDLE_MISUSE, "persistent_copy of " + what);
    why = untouched_error();
    EXPECT_STATUS(p.api.persistent_destroy(p.f.heap.get(), handle, &why), ECHO_HANDLE_MISUSE,
                  "persistent_destroy of " + what);
    expect_error(why, ECHO_HANDLE_MISUSE, "persistent_destroy of " + what);
  };
  refused(nullptr, "null");
  refused(reinterpret_cast<echo_persistent>(std::uintptr_t{0x123456789}), "a number made up");
  std::vector<echo_persistent> gone;
  for (std::uint64_t i = 0; i < 2000; ++i) { // each cell is used again, with another serial
    gone.push_back(p.make(p.nodes.make(i)));
    p.destroy(gone.back());
  }
  const echo_persistent alive = p.make(p.nodes.make(1));
  for (std::size_t i = 0; i < gone.size(); i += 7)
    refused(gone[i], "a handle that was destroyed");
  std::sort(gone.begin(), gone.end());
  EXPECT(std::unique(gone.begin(), gone.end()) == gone.end(), "two handles are the same");
  p.nodes.expect(p.get(alive), 1, "the handle that exists");
  {
    Heap other(p.f.plugin, "max_heap=4m");
    Mutator there(other);
    echo_persistent foreign = nullptr;
    EXPECT_STATUS(p.api.persistent_new(there.get(), nullptr, &foreign, nullptr), ECHO_OK, "persistent_new");
    refused(foreign, "another heap's handle");
    EXPECT_STATUS(p.api.persistent_destroy(other.get(), foreign, nullptr), ECHO_OK, "persistent_destroy");
  }
  echo_persistent out = nullptr;
  echo_error why = untouched_error();
  EXPECT_STATUS(p.api.persistent_new(nullptr, nullptr, &out, &why), ECHO_INVALID_ARGUMENT,
                "without a thread");
  expect_error(why, ECHO_INVALID_ARGUMENT, "persistent_new without a thread");
  EXPECT_STATUS(p.api.persistent_new(self, nullptr, nullptr, nullptr), ECHO_INVALID_ARGUMENT, "without out");
  EXPECT_STATUS(p.api.persistent_destroy(nullptr, alive, nullptr), ECHO_INVALID_ARGUMENT, "without a heap");
  EXPECT_STATUS(p.api.persistent_of(self, nullptr, &out, nullptr), ECHO_HANDLE_MISUSE, "of no scoped handle");
  p.destroy(alive);
}

// Threads make, copy, set and destroy handles while marks run; what each holds it finds again.
void many_threads_use_them(Context& context) {
  PersistentFixture p(context);
  std::atomic<bool> done{false};
  Workers workers(p.f.heap);
  for (std::uint64_t w = 0; w < 3; ++w) {
    workers.start([&, w, seed = context.random.next()](const Mutator& m) {
      const Nodes nodes(m);
      Random random(seed);
      std::vector<std::pair<echo_persistent, std::uint64_t>> held;
      std::uint64_t key = w << 32;
      while (!done.load()) {
        const std::uint64_t choice = random.between(0, 9);
        if (held.size() < 200 && choice < 4) {
          echo_persistent h = nullptr;
          EXPECT_STATUS(m.api().persistent_new(m.get(), nodes.make(++key), &h, nullptr), ECHO_OK, "new");
          held.emplace_back(h, key);
        } else if (!held.empty()) {
          const std::size_t i = random.between(0, held.size() - 1);
          auto& [handle, its] = held[i];
          nodes.expect(m.api().persistent_get(m.get(), handle), its, "a handle among several threads");
          if (choice < 6) {
            EXPECT_STATUS(m.api().persistent_set(m.get(), handle, nodes.make(++key)), ECHO_OK, "set");
            its = key;
          } else { // to another handle, in native state, and the first is destroyed
            echo_persistent copy = nullptr;
            EXPECT_STATUS(m.api().enter_native(m.get()), ECHO_OK, "enter_native");
            if (choice < 9)
              EXPECT_STATUS(m.api().persistent_copy(p.f.heap.get(), handle, &copy, nullptr), ECHO_OK, "copy");
            EXPECT_STATUS(m.api().persistent_destroy(p.f.heap.get(), handle, nullptr), ECHO_OK, "destroy");
            EXPECT_STATUS(m.api().leave_native(m.get()), ECHO_OK, "leave_native");
            if (copy != nullptr)
              handle = copy;
            else
              held.erase(held.begin() + static_cast<std::ptrdiff_t>(i));
          }
        }
        m.api().poll(m.get());
      }
      for (const auto& [handle, its] : held) {
        nodes.expect(m.api().persistent_get(m.get(), handle), its, "a handle at the end");
        EXPECT_STATUS(m.api().persistent_destroy(p.f.heap.get(), handle, nullptr), ECHO_OK, "destroy");
      }
    });
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1500);
  while (std::chrono::steady_clock::now() < end && noted_failure().empty())
    p.f.mutator.collect();
  done = true;
  workers.join_from(p.f.mutator);
  p.f.mutator.collect();
  EXPECT_EQ(p.f.heap.statistics().persistent_handles, std::uint64_t{0}, "persistent_handles at the end");
  EXPECT_EQ(p.f.heap.statistics().live_bytes, std::uint64_t{0}, "live_bytes at the end");
  p.f.mutator.verify();
}

// Creating and destroying cost the same with a million handles as with few: instructions are counted.
void a_million(Context& context) {
  PersistentFixture p(context);
  constexpr std::size_t kMany = 1000000;
  constexpr std::uint64_t kTurns = 15;
  echo_thread* const self = p.f.mutator.get();
  std::vector<echo_persistent> handles;
  handles.reserve(kMany + 2 * kTurns);
  Scope scope(p.f.mutator);
  const echo_handle node = p.f.mutator.root(p.nodes.make(3));
  const auto again = [&](std::uint64_t i) { // of any of them
    echo_persistent& handle = handles[(i * 7919) % handles.size()];
    (void)p.api.persistent_destroy(p.f.heap.get(), handle, nullptr);
    (void)p.api.persistent_of(self, node, &handle, nullptr);
  };
  const auto more = [&](std::uint64_t) {
    (void)p.api.persistent_of(self, node, &handles.emplace_back(), nullptr);
  };
  struct Cost {
    std::uint64_t more, again, native, copies;
  };
  const auto measured = [&] {
    Cost cost{};
    cost.more = instructions_of(kTurns, more);
    cost.again = instructions_of(kTurns, again);
    EXPECT_STATUS(p.api.enter_native(self), ECHO_OK, "enter_native");
    cost.native = instructions_of(kTurns, again);
    cost.copies = instructions_of(kTurns, [&](std::uint64_t i) {
      echo_persistent copy = nullptr;
      (void)p.api.persistent_copy(p.f.heap.get(), handles[(i * 7919) % handles.size()], &copy, nullptr);
      (void)p.api.persistent_destroy(p.f.heap.get(), copy, nullptr);
    });
    EXPECT_STATUS(p.api.leave_native(self), ECHO_OK, "leave_native");
    return cost;
  };
  const Cost few = measured();
  while (handles.size() < kMany)
    more(0);
  p.f.mutator.collect();
  const Cost many = measured();
  expect_same_cost(kTurns, few.more, many.more, "creating");
  expect_same_cost(kTurns, few.again, many.again, "destroying and creating");
  expect_same_cost(kTurns, few.native, many.native, "destroying and creating in native state");
  expect_same_cost(kTurns, few.copies, many.copies, "copying in native state");
  EXPECT_EQ(p.f.heap.statistics().persistent_handles, std::uint64_t{handles.size()}, "persistent_handles");
  for (const echo_persistent handle : handles)
    p.destroy(handle);
  EXPECT_EQ(p.f.heap.statistics().persistent_handles, std::uint64_t{0}, "persistent_handles");
}

void pins_are_counted(Context& context) {
  PersistentFixture p(context);
  p.f.plugin.skip_without(ECHO_FEATURE_PINS);
  echo_thread* const self = p.f.mutator.get();
  const echo_ref node = p.nodes.make(11);
  for (int i = 0; i < 3; ++i)
    EXPECT_STATUS(p.api.pin_object(self, node, nullptr), ECHO_OK, "pin");
  EXPECT_EQ(p.f.heap.statistics().objects_pinned, std::uint64_t{1}, "objects_pinned");
  for (int i = 0; i < 3; ++i) {
    p.f.mutator.collect();
    churn(p.f.mutator, 2 << 20, context.random);
    p.nodes.expect(node, 11, "an object that is pinned, " + show(i));
    EXPECT_STATUS(p.api.enter_native(self), ECHO_OK, "enter_native");
    EXPECT_STATUS(p.api.unpin_object(p.f.heap.get(), node, nullptr), ECHO_OK, "unpin in native state");
    EXPECT_STATUS(p.api.leave_native(self), ECHO_OK, "leave_native");
  }
  EXPECT_EQ(p.f.heap.statistics().objects_pinned, std::uint64_t{0}, "objects_pinned");
  p.f.mutator.collect();
  EXPECT_EQ(p.f.heap.statistics().live_bytes, std::uint64_t{0}, "live_bytes when nothing is pinned");
  echo_error why = untouched_error();
  EXPECT_STATUS(p.api.unpin_object(p.f.heap.get(), node, &why), ECHO_INVALID_ARGUMENT,
                "unpin of an object not pinned");
  expect_error(why, ECHO_INVALID_ARGUMENT, "unpin");
  EXPECT_STATUS(p.api.pin_object(self, nullptr, nullptr), ECHO_INVALID_ARGUMENT, "pin of null");
}

} // namespace

Suite persistent_suite() {
  return {
      "persistent",
      "handles without a scope, and pins",
      {
          {"they_keep_alive", "an object in a persistent handle survives until it is destroyed or set",
           "[handles.persistent.1] [abi.collect.2]", they_keep_alive},
          {"from_native_state", "they are made, copied and destroyed in native state and on other threads",
           "[handles.persistent.3]", from_native_state},
          {"misuse_of_persistents", "destroyed, foreign and made-up handles are HANDLE_MISUSE",
           "[handles.persistent.1] [abi.error.1]", misuse_of_persistents},
          {"many_threads_use_them", "threads make, copy and destroy them while marks run",
           "[handles.persistent.4]", many_threads_use_them},
          {"a_million", "creating and destroying take as many instructions among a million as among few",
           "[handles.persistent.2]", a_million},
          {"pins_are_counted", "an object stays, alive and in place, until it is unpinned as often as pinned",
           "[pin.count.1]", pins_are_counted},
      }};
}

} // namespace conformance
