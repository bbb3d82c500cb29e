// SPDX-License-Identifier: MIT
//
// suite_pace.cpp - collector work in idle time, and how one collection runs.
#include "graph_model.h"
#include "patterns.h"

#include <chrono>

namespace conformance {

namespace {

struct Paced : Fixture {
  Paced(const Context& context, const char* mode)
      : Fixture(context, [mode](const Plugin& p) {
          p.skip_without(ECHO_FEATURE_INCREMENTAL);
          return p.options_with("max_heap=32m", {mode, "verify=on", "poison=on"});
        }) {}
  // To the end of what is on; false: it does not come.
  bool step_to_the_end(std::uint64_t budget_us) {
    for (int i = 0; i < 200000; ++i) {
      std::uint32_t done = 2;
      EXPECT_STATUS(plugin.api().step(mutator.get(), budget_us, &done), ECHO_OK, "a step");
      EXPECT(done <= 1, "done is " + show(done));
      if (done == 1)
        return true;
    }
    return false;
  }
};

void steps_end_collections(Context& context) {
  Paced f(context, "mode=incremental");
  Scope scope(f.mutator);
  const Nodes nodes(f.mutator);
  const echo_handle kept = nodes.list(5000);
  for (int turn = 0; turn < 5; ++turn) {
    (void)nodes.list(3000);
    EXPECT_STATUS(f.plugin.api().collect(f.mutator.get(), ECHO_COLLECT_FULL | ECHO_COLLECT_BEGIN, nullptr),
                  ECHO_OK, "a collection is begun");
    const std::uint64_t before = f.heap.statistics().collections_full;
    EXPECT(f.step_to_the_end(500), "the collection that was begun does not end");
    EXPECT(f.heap.statistics().collections_full > before, "steps to the end, and no collection was counted");
    nodes.expect_list(kept, 5000, "the live list");
  }
  f.mutator.verify();
}

void allocation_ends_collections(Context& context) {
  Paced f(context, "mode=incremental");
  Scope scope(f.mutator);
  const Nodes nodes(f.mutator);
  const echo_handle kept = nodes.list(5000);
  churn(f.mutator, std::uint64_t{200} << 20, context.random);
  nodes.expect_list(kept, 5000, "the live list");
  EXPECT(f.heap.statistics().collections_full > 2, "200 MB through 32 MB without collections");
}

void short_budgets_are_kept(Context& context) {
  Paced f(context, "mode=incremental");
  Scope scope(f.mutator);
  const Nodes nodes(f.mutator);
  (void)nodes.list(20000);
  EXPECT_STATUS(f.plugin.api().collect(f.mutator.get(), ECHO_COLLECT_FULL | ECHO_COLLECT_BEGIN, nullptr),
                ECHO_OK, "a collection is begun");
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i)
    EXPECT_STATUS(f.plugin.api().step(f.mutator.get(), 1, nullptr), ECHO_OK, "a step of a microsecond");
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
  EXPECT(ms.count() < 1000,
         "1000 steps of a microsecond take " + show(static_cast<std::uint64_t>(ms.count())) + " ms");
  EXPECT_STATUS(f.plugin.api().step(f.mutator.get(), UINT64_MAX, nullptr), ECHO_OK, "a step without end");
}

void each_collection_chooses(Context& context) {
  for (const char* mode : {"mode=concurrent", "mode=stw", "mode=incremental"}) {
    Paced f(context, mode);
    Scope scope(f.mutator);
    const Nodes nodes(f.mutator);
    const echo_handle kept = nodes.list(5000);
    for (const std::uint32_t flag : {0u, unsigned{ECHO_COLLECT_IN_STOP}, unsigned{ECHO_COLLECT_BESIDE}}) {
      (void)nodes.list(1000);
      const std::uint64_t before = f.heap.statistics().collections_full;
      EXPECT_STATUS(f.plugin.api().collect(f.mutator.get(), ECHO_COLLECT_FULL | flag, nullptr), ECHO_OK,
                    "a collection");
      EXPECT(f.heap.statistics().collections_full > before, "it is not over when the call returns");
      nodes.expect_list(kept, 5000, "the live list");
    }
    f.mutator.verify();
  }
}

void misuse_is_noticed(Context& context) {
  Paced f(context, "mode=stw");
  const echo_heap_api& api = f.plugin.api();
  echo_error why{};
  EXPECT_STATUS(api.collect(f.mutator.get(), ECHO_COLLECT_FULL | ECHO_COLLECT_BEGIN, &why),
                ECHO_NOT_SUPPORTED, "a collection of one stop is begun and left");
  EXPECT(std::string(why.message).size() > 10, "the refusal has no sentence");
  EXPECT_STATUS(
      api.collect(f.mutator.get(), ECHO_COLLECT_FULL | ECHO_COLLECT_IN_STOP | ECHO_COLLECT_BESIDE, &why),
      ECHO_INVALID_ARGUMENT, "two flags");
  EXPECT_STATUS(api.collect(f.mutator.get(), 77, &why), ECHO_INVALID_ARGUMENT, "a kind that is none");
  std::uint32_t done = 0;
  EXPECT_STATUS(api.step(f.mutator.get(), 100, &done), ECHO_OK, "a step in mode stw");
  EXPECT(done == 1, "there is work in steps in mode stw");
  EXPECT_STATUS(api.step(nullptr, 100, &done), ECHO_INVALID_ARGUMENT, "a step of no thread");
  EXPECT_STATUS(api.enter_native(f.mutator.get()), ECHO_OK, "enter native");
  EXPECT_STATUS(api.step(f.mutator.get(), 100, &done), ECHO_WRONG_STATE, "a step in native state");
  EXPECT_STATUS(api.leave_native(f.mutator.get()), ECHO_OK, "leave native");
}

} // namespace

Suite pace_suite() {
  return {"pace",
          "collector work in idle time, and how one collection runs",
          {
              {"steps_end_collections", "steps end what was begun, and keep what is reachable",
               "[abi.step.1]", steps_end_collections},
              {"allocation_ends_collections", "an incremental heap collects as the program allocates",
               "[abi.step.1]", allocation_ends_collections},
              {"short_budgets_are_kept", "1000 steps of a microsecond do not take long", "[abi.step.1]",
               short_budgets_are_kept},
              {"each_collection_chooses", "in one stop or beside the program, in each mode",
               "[abi.collect.4]", each_collection_chooses},
              {"misuse_is_noticed", "flags and states that do not go together", "[abi.error.1]",
               misuse_is_noticed},
          }};
}

} // namespace conformance
