// SPDX-License-Identifier: MIT
//
// suite_statistics.cpp - what is counted is what happened.
#include "patterns.h"
#include "workers.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace conformance {

namespace {

void allocation_is_counted(Context& context) {
  Fixture f(context, "max_heap=64m");
  const echo_layout_id small = f.heap.fixed("small", 24, {});
  const echo_layout_id odd = f.heap.raw_array("bytes", 1);
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;
  for (int turn = 0; turn < 50; ++turn) {
    for (int i = 0; i < 300; ++i) {
      const std::uint64_t length = context.random.below(context.random.chance(100) ? 200000 : 300);
      const bool is_small = context.random.chance(2);
      f.mutator.allocate(is_small ? small : odd, length);
      ++objects;
      bytes += is_small ? 24 : round_up(16 + length, 8);
    }
    const echo_statistics s = f.heap.statistics();
    EXPECT_EQ(s.objects_allocated, objects, "objects_allocated");
    EXPECT_EQ(s.bytes_allocated, bytes, "bytes_allocated");
  }
}

void threads_add_up(Context& context) {
  Fixture f(context, "max_heap=64m");
  const echo_layout_id small = f.heap.fixed("small", 24, {});
  Workers workers(f.heap);
  for (int t = 0; t < 4; ++t)
    workers.start([small](const Mutator& m) {
      for (int i = 0; i < 20000; ++i)
        m.allocate(small);
    });
  workers.join_from(f.mutator);
  const echo_statistics s = f.heap.statistics();
  EXPECT_EQ(s.objects_allocated, std::uint64_t{80000}, "objects_allocated by threads that are gone");
  EXPECT_EQ(s.bytes_allocated, std::uint64_t{80000 * 24}, "bytes_allocated by threads that are gone");
  EXPECT_EQ(s.threads_attached, 1u, "threads_attached");
}

void live_bytes_are_reachable_bytes(Context& context) {
  Fixture f(context, "max_heap=64m");
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  const echo_layout_id bytes = f.heap.raw_array("bytes", 1);
  for (int turn = 0; turn < 10; ++turn) {
    Scope scope(f.mutator);
    std::uint64_t live = 0;
    for (int i = 0; i < 2000; ++i) {
      const std::uint64_t length = context.random.below(context.random.chance(100) ? 300000 : 600);
      const echo_ref object = f.mutator.allocate(bytes, length);
      if (context.random.chance(3)) {
        f.mutator.root(object);
        live += round_up(16 + length, 8);
      }
    }
    f.mutator.collect();
    EXPECT_EQ(f.heap.statistics().live_bytes, live, "live_bytes after a collection");
  }
  f.mutator.collect();
  EXPECT_EQ(f.heap.statistics().live_bytes, std::uint64_t{0}, "live_bytes of an empty heap");
}

void collections_are_counted(Context& context) {
  Fixture f(context, "max_heap=16m");
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  const echo_statistics before = f.heap.statistics();
  for (int i = 0; i < 5; ++i)
    f.mutator.collect();
  const echo_statistics asked = f.heap.statistics();
  EXPECT_EQ(asked.collections_full - before.collections_full, std::uint64_t{5}, "collections_full");
  EXPECT_EQ(asked.collections_by_cause[ECHO_CAUSE_requested] -
                before.collections_by_cause[ECHO_CAUSE_requested],
            std::uint64_t{5}, "collections with the cause 'requested'");
  EXPECT(asked.pause_us.count >= before.pause_us.count + 5, "pauses are not counted");
  churn(f.mutator, 200 << 20, context.random);
  const echo_statistics full = f.heap.statistics();
  EXPECT(full.collections_by_cause[ECHO_CAUSE_heap_full] > 0, "no collection has the cause 'heap_full'");
  std::uint64_t sum = 0;
  for (const std::uint64_t count : full.collections_by_cause)
    sum += count;
  EXPECT_EQ(sum, full.collections_full + full.collections_young + full.collections_compact,
            "collections by cause, added up");
  EXPECT(full.gc_cpu_s > 0 && full.mark_s >= 0, "the collector used no time");
}

void pauses_are_distributions(Context& context) {
  Fixture f(context, "max_heap=16m");
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  Scope scope(f.mutator);
  const Nodes nodes(f.mutator);
  nodes.list(20000);
  churn(f.mutator, 100 << 20, context.random);
  const echo_statistics s = f.heap.statistics();
  const auto ordered_but_for_zeroes = [](const echo_distribution& d, const std::string& what) {
    EXPECT(d.p50 <= d.p90 && d.p90 <= d.p99 && d.p99 <= d.p99_9 && d.p99_9 <= d.max * 1.011 + 0.001,
           what + ": the percentiles are not in order");
  };
  const auto ordered = [&](const echo_distribution& d, const std::string& what) {
    ordered_but_for_zeroes(d, what);
    EXPECT(d.sum <= d.max * static_cast<double>(d.count) * 1.011 + 1, what + ": the sum exceeds count * max");
    EXPECT(d.count == 0 || (d.max > 0 && d.sum > 0), what + ": events of no duration");
  };
  EXPECT(s.pause_us.count > 0, "no pause was counted");
  ordered(s.pause_us, "pause_us");
  ordered(s.stall_us, "stall_us");
  ordered(s.time_to_safepoint_us, "time_to_safepoint_us");
  std::uint64_t count = 0;
  for (const echo_distribution& d : s.pause_by_cause_us) {
    ordered(d, "pause_by_cause_us");
    count += d.count;
  }
  for (const echo_distribution& d :
       s.pause_by_later_cause_us) { // none of a plugin with an older, shorter struct
    ordered(d, "pause_by_later_cause_us");
    count += d.count;
  }
  EXPECT_EQ(count, s.pause_us.count, "pauses by cause, added up");
  if (s.pause_net_us.count == 0)
    return; // of a plugin with an older, shorter struct
  ordered_but_for_zeroes(s.pause_net_us, "pause_net_us");
  EXPECT_EQ(s.pause_net_us.count, s.pause_us.count, "net pauses");
  EXPECT(s.pause_net_us.sum <= s.pause_us.sum && s.pause_net_us.max <= s.pause_us.max,
         "net pauses are longer than raw ones");
  EXPECT(s.run_queue_known == 1 || s.pause_net_us.sum == s.pause_us.sum,
         "waits are subtracted that the kernel does not tell");
  count = 0;
  for (const echo_distribution& d : s.pause_net_by_cause_us) {
    ordered_but_for_zeroes(d, "pause_net_by_cause_us");
    count += d.count;
  }
  EXPECT_EQ(count, s.pause_us.count, "net pauses by cause, added up");
  for (const double mmu : {s.mmu_1ms, s.mmu_10ms, s.mmu_100ms})
    EXPECT(mmu >= 0 && mmu <= 1, "a utilisation of " + show(mmu));
  // What a window lost lies in pauses.
  EXPECT((1 - s.mmu_100ms) * 100000 <= s.pause_us.sum + 1,
         "a window of 100 ms lost more than all pauses took");
  EXPECT((1 - s.mmu_1ms) * 1000 >= std::min(s.pause_us.max * 0.99, 1000.0) - 1,
         "the worst window of 1 ms lost less than the longest pause took");
}

void space_adds_up(Context& context) {
  Fixture f(context, "max_heap=64m");
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  Scope scope(f.mutator);
  const Nodes nodes(f.mutator);
  nodes.list(50000);
  f.mutator.root(f.mutator.allocate(f.heap.raw_array("large", 8), 400000));
  churn(f.mutator, 100 << 20, context.random);
  f.mutator.collect();
  const echo_statistics s = f.heap.statistics();
  EXPECT_EQ(s.committed_bytes, s.used_bytes + s.reserve_bytes + s.nursery_bytes + s.metadata_bytes,
            "committed_bytes against its parts");
  EXPECT(s.peak_committed_bytes >= s.committed_bytes, "the peak is below the present");
  EXPECT(s.used_bytes >= s.live_bytes, "used_bytes is below live_bytes");
  EXPECT(s.live_bytes >= 50000 * Nodes::kBytes + 3200000, "live_bytes is below what is reachable");
  EXPECT(s.used_bytes <= 64u << 20, "used_bytes is over the limit");
  EXPECT(s.fragmentation >= 0 && s.fragmentation <= 1, "fragmentation " + show(s.fragmentation));
  EXPECT(s.utilisation >= 0 && s.utilisation <= 1, "utilisation " + show(s.utilisation));
  EXPECT(std::fabs(s.fragmentation + s.utilisation - 1) < 0.001,
         "fragmentation and utilisation do not add up to 1");
  EXPECT_EQ(s.large_objects, std::uint64_t{1}, "large_objects");
  EXPECT(s.large_bytes >= 3200000, "large_bytes " + show(s.large_bytes));
}

void roots_are_counted(Context& context) {
  Fixture f(context);
  std::vector<echo_ref> words(30, nullptr);
  EXPECT_STATUS(f.plugin.api().roots_add(f.heap.get(), words.data(), 30, nullptr), ECHO_OK, "roots_add");
  {
    Scope scope(f.mutator);
    for (int i = 0; i < 17; ++i)
      f.mutator.root(nullptr);
    const echo_statistics s = f.heap.statistics();
    EXPECT_EQ(s.global_root_words, std::uint64_t{30}, "global_root_words");
    EXPECT_EQ(s.scoped_handles, std::uint64_t{17}, "scoped_handles");
  }
  EXPECT_STATUS(f.plugin.api().roots_remove(f.heap.get(), words.data(), nullptr), ECHO_OK, "roots_remove");
  const echo_statistics s = f.heap.statistics();
  EXPECT_EQ(s.global_root_words, std::uint64_t{0}, "global_root_words after roots_remove");
  EXPECT_EQ(s.scoped_handles, std::uint64_t{0}, "scoped_handles after the scope");
}

void older_structs_are_filled(Context& context) {
  Fixture f(context);
  f.mutator.allocate(f.heap.fixed("small", 16, {}));
  echo_statistics s;
  std::memset(&s, 0x5A, sizeof s);
  s.size = offsetof(echo_statistics, collections_full);
  EXPECT_STATUS(f.plugin.api().statistics(f.heap.get(), &s), ECHO_OK,
                "statistics into an older, smaller struct");
  EXPECT_EQ(s.objects_allocated, std::uint64_t{1}, "objects_allocated");
  const auto* bytes = reinterpret_cast<const unsigned char*>(&s);
  for (std::size_t i = offsetof(echo_statistics, collections_full); i < sizeof s; ++i)
    EXPECT(bytes[i] == 0x5A, "statistics wrote behind the size it was given");
}

} // namespace

Suite statistics_suite() {
  return {
      "statistics",
      "what is counted is what happened",
      {
          {"allocation_is_counted", "objects and bytes of the calling thread are exact at any time (random)",
           "[abi.stats.1]", allocation_is_counted},
          {"threads_add_up", "what threads allocated is counted when they are gone", "[abi.stats.1]",
           threads_add_up},
          {"live_bytes_are_reachable_bytes", "live_bytes is exactly the bytes that are reachable (random)",
           "[stats.live.1]", live_bytes_are_reachable_bytes},
          {"collections_are_counted", "collections are counted by kind and by cause", "[abi.stats.1]",
           collections_are_counted},
          {"pauses_are_distributions", "pauses, stalls and times to safepoint are ordered distributions",
           "[stats.pause.1] [pause.net.1] [pause.mmu.1]", pauses_are_distributions},
          {"space_adds_up", "committed, used, live, fragmentation and utilisation agree",
           "[stats.committed.1] [stats.used.1] [stats.frag.1] [stats.util.1]", space_adds_up},
          {"roots_are_counted", "handles and root words are counted", "[abi.stats.1]", roots_are_counted},
          {"older_structs_are_filled", "nothing is written behind the size given", "[abi.table.1]",
           older_structs_are_filled},
      }};
}

} // namespace conformance
