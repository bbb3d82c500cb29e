// SPDX-License-Identifier: MIT
//
// Purpose     How a collector interrupts a program: churn and mutation over a live set of a given size, seen by its threads.
// Method      Each thread keeps a table: an array of rows of 512 nodes, each node (24 B) with a leaf of 16-512 B.
//             An operation replaces a random node with its leaf (half of them), gives a random node a new leaf (a
//             quarter), or swaps two random nodes (a quarter). Everything through the public C ABI.
//             mode heap     max_heap = ratio x live
//             mode off      the same program in a heap so large that it never collects, for as long as memory lasts
//             mode control  no heap: the threads touch as much memory at random; what interrupts them is the machine
//             beside        with any mode: one more thread reads and marks as much memory as lives, of its own, in the way
//                           a marker does: what a busy neighbour costs, whatever it is busy with
// Output      one JSON object on standard output; times in microseconds
#include "measure.h"
#include "pauses/gaps.h"

#include "echo/heap.h"
#include "echo/inline.h"

#include <CLI/CLI.hpp>
#include <array>
#include <atomic>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <utility>
#include <vector>

namespace {

using echo::bench::Gap;
using echo::bench::Gaps;
using echo::bench::Histogram;
using nlohmann::json;

constexpr std::uint64_t kRow = 512;
constexpr std::array<std::uint64_t, 8> kLeafBytes = {16, 24, 32, 48, 96, 128, 256, 512};
constexpr std::uint64_t kMeanLeaf = (16 + 24 + 32 + 48 + 96 + 128 + 256 + 512) / 8;
constexpr std::uint64_t kNodeBytes = 24;
constexpr std::uint64_t kLiveBytes = 8 + kNodeBytes + kMeanLeaf; // of a table entry
constexpr std::uint64_t kMiB = 1u << 20;

struct Settings {
  std::uint64_t live_mib = 64;
  unsigned threads = 1;
  double seconds = 3, ratio = 2.5;
  std::uint64_t off_mib = 2048; // what mode off may allocate besides what lives
  std::string mode = "heap", options;
  bool beside = false;
};

[[noreturn]] void fail(const char* what, const echo_error& error) {
  std::fprintf(stderr, "echo-bench-pauses: %s: %s: %s\n", what, echo_status_name(error.code), error.message);
  std::exit(1);
}

class Random {
public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
  std::uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  // n < 2^32
  std::uint64_t below(std::uint64_t n) { return ((next() >> 32) * n) >> 32; }

private:
  std::uint64_t state_;
};

std::uint64_t now() {
  return static_cast<std::uint64_t>(echo::bench::now_ns());
}

struct Layouts {
  echo_layout_id array = 0, node = 0;
  std::array<echo_layout_id, kLeafBytes.size()> leaf{};
};

Layouts register_layouts(echo_heap* heap) {
  const auto make = [heap](std::uint32_t kind, const std::string& name, std::uint64_t bytes,
                           std::uint32_t element, std::uint32_t slots, const echo_slot* slot) {
    const echo_layout layout = {sizeof layout, kind, name.c_str(), bytes, element, 0, 0, slots, slot};
    echo_layout_id id = 0;
    echo_error error{};
    if (echo_layout_register(heap, &layout, &id, &error) != ECHO_OK) {
      fail("registering a layout", error);
    }
    return id;
  };
  const echo_slot leaf = {8, ECHO_SLOT_STRONG};
  Layouts layouts;
  layouts.array = make(ECHO_LAYOUT_REF_ARRAY, "row", 16, 8, 0, nullptr);
  layouts.node = make(ECHO_LAYOUT_FIXED, "node", kNodeBytes, 0, 1, &leaf);
  for (std::size_t i = 0; i < kLeafBytes.size(); ++i) {
    layouts.leaf.at(i) =
        make(ECHO_LAYOUT_FIXED, "leaf " + std::to_string(kLeafBytes.at(i)), kLeafBytes.at(i), 0, 0, nullptr);
  }
  return layouts;
}

echo_ref element(echo_ref array, std::uint64_t index) {
  return reinterpret_cast<echo_ref*>(array)[2 + index];
}

// A thread's table in the heap.
class Table {
public:
  Table(echo_heap* heap, const Layouts& layouts, std::uint64_t entries, std::uint64_t seed)
      : layouts_(layouts), rows_(std::max<std::uint64_t>(1, entries / kRow)), random_(seed) {
    echo_error error{};
    if (echo_attach(heap, &self_, &error) != ECHO_OK || echo_scope_open(self_, &scope_) != ECHO_OK) {
      fail("attaching", error);
    }
    if ((error.code = echo_get_recipes(heap, ECHO_RECIPES_FASTEST, &recipes_)) != ECHO_OK) {
      fail("reading the recipes", error);
    }
    fresh_ = echo_handle_new(self_, nullptr);
    row_ = echo_handle_new(self_, nullptr);
    table_ = echo_handle_new(self_, allocate(layouts_.array, rows_));
  }
  ~Table() {
    echo_error error{};
    (void)echo_scope_close(self_, scope_);
    (void)echo_detach(self_, &error);
  }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  void fill() {
    for (std::uint64_t r = 0; r < rows_; ++r) {
      (void)echo_handle_set(self_, row_, allocate(layouts_.array, kRow));
      (void)echo_array_store(self_, echo_handle_get(self_, table_), r, echo_handle_get(self_, row_));
      for (std::uint64_t c = 0; c < kRow; ++c) {
        replace(r, c);
      }
    }
  }
  // Bytes allocated.
  std::uint64_t operate() {
    const std::uint64_t r = random_.below(rows_);
    const std::uint64_t c = random_.below(kRow);
    const std::uint64_t kind = random_.below(4);
    if (kind < 2) {
      return kNodeBytes + replace(r, c);
    }
    if (kind == 2) {
      std::uint64_t bytes = 0;
      const echo_ref leaf = new_leaf(&bytes);
      (void)echo_store(self_, element(row(r), c), 8, leaf);
      return bytes;
    }
    const std::uint64_t other_r = random_.below(rows_);
    const std::uint64_t other_c = random_.below(kRow);
    const echo_ref one = element(row(r), c);
    (void)echo_array_store(self_, row(r), c, element(row(other_r), other_c));
    (void)echo_array_store(self_, row(other_r), other_c, one);
    echo_poll(self_);
    return 0;
  }
  bool is_marking() const { return echo_inline_listens(recipes_, self_) != 0; }
  void enter_blocked() { (void)echo_enter_blocked(self_); }
  void leave_blocked() { (void)echo_leave_blocked(self_); }

private:
  echo_ref row(std::uint64_t r) { return element(echo_handle_get(self_, table_), r); }
  echo_ref allocate(echo_layout_id layout, std::uint64_t length) {
    const echo_ref made = echo_allocate(self_, layout, length);
    if (__builtin_expect(made == nullptr, 0)) {
      echo_error error{};
      (void)echo_last_error(self_, &error);
      fail("allocating", error);
    }
    return made;
  }
  echo_ref new_leaf(std::uint64_t* bytes) {
    const std::uint64_t which = random_.below(kLeafBytes.size());
    *bytes = kLeafBytes.at(which);
    const echo_ref leaf = allocate(layouts_.leaf.at(which), 0);
    reinterpret_cast<std::uint64_t*>(leaf)[1] = which;
    return leaf;
  }
  std::uint64_t replace(std::uint64_t r, std::uint64_t c) {
    std::uint64_t bytes = 0;
    (void)echo_handle_set(self_, fresh_, allocate(layouts_.node, 0));
    const echo_ref leaf = new_leaf(&bytes);
    const echo_ref node = echo_handle_get(self_, fresh_);
    (void)echo_store(self_, node, 8, leaf);
    (void)echo_array_store(self_, row(r), c, node);
    return bytes;
  }

  const Layouts& layouts_;
  const std::uint64_t rows_;
  Random random_;
  echo_thread* self_ = nullptr;
  const echo_recipes* recipes_ = nullptr;
  echo_scope scope_ = 0;
  echo_handle table_ = nullptr, fresh_ = nullptr, row_ = nullptr;
};

// As much memory, touched as randomly, with nothing that could hold the thread.
class Bare {
public:
  explicit Bare(std::uint64_t bytes, std::uint64_t seed) : words_(bytes / 8, seed), random_(seed) {}
  void fill() {}
  std::uint64_t operate() {
    for (int i = 0; i < 4; ++i) {
      std::swap(words_[random_.below(words_.size())], words_[random_.below(words_.size())]);
    }
    return 0;
  }
  bool is_marking() const { return false; }
  void enter_blocked() {}
  void leave_blocked() {}

private:
  std::vector<std::uint64_t> words_;
  Random random_;
};

// Time and operations while the heap is not marking, and while it is. An operation counts where it ends: what marking
// begins with is part of it.
struct ByPhase {
  std::array<std::uint64_t, 2> ns{}, operations{};
  void note(bool marking, std::uint64_t elapsed) {
    ns[marking ? 1 : 0] += elapsed;
    ++operations[marking ? 1 : 0];
  }
};

// Reads words at random, each asked for some turns ahead, and sets a bit for each.
class Neighbour {
public:
  explicit Neighbour(std::uint64_t bytes)
      : words_(bytes / 8, 1), bits_(words_.size() / 128 + 1), thread_([this] { run(); }) {}
  ~Neighbour() {
    done_ = true;
    thread_.join();
  }
  Neighbour(const Neighbour&) = delete;
  Neighbour& operator=(const Neighbour&) = delete;

private:
  void run() {
    std::array<std::uint64_t, 16> queue{};
    Random random(99);
    for (std::uint64_t turn = 0; !done_.load(std::memory_order_relaxed); ++turn) {
      const std::uint64_t next = random.below(words_.size());
      __builtin_prefetch(&words_[next]);
      const std::uint64_t due = std::exchange(queue.at(turn % queue.size()), next);
      bits_[due / 128] |= words_[due] << (due / 2 % 64);
    }
  }

  std::vector<std::uint64_t> words_, bits_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

struct ThreadResult {
  Gaps gaps;
  ByPhase by_phase;
  std::uint64_t operations = 0, bytes = 0, elapsed_ns = 0, max_bytes = 0;
};

// All threads fill, then work from a common start.
class Start {
public:
  explicit Start(unsigned threads) : missing_(threads) {}
  template <class World> void wait(World& world) {
    world.enter_blocked();
    for (--missing_; missing_ != 0;) {
      ::sched_yield();
    }
    world.leave_blocked();
  }

private:
  std::atomic<unsigned> missing_;
};

template <class World> void work(World& world, Start& start, const Settings& settings, ThreadResult* result) {
  world.fill();
  start.wait(world);
  const std::uint64_t begin = now();
  const auto end = begin + static_cast<std::uint64_t>(settings.seconds * 1e9);
  result->gaps.begin(begin);
  for (std::uint64_t t = begin; t < end && result->bytes < result->max_bytes;) {
    result->bytes += world.operate();
    ++result->operations;
    const std::uint64_t before = t;
    t = now();
    result->gaps.note(t);
    result->by_phase.note(world.is_marking(), t - before);
    result->elapsed_ns = t - begin;
  }
  result->gaps.end();
}

json distribution(const echo_distribution& d) {
  return {{"count", d.count}, {"p50", d.p50}, {"p90", d.p90}, {"p99", d.p99},
          {"p99.9", d.p99_9}, {"max", d.max}, {"sum", d.sum}};
}

// Logs of HdrHistogram: report.py adds up the buckets of several runs.
std::string exported(echo_heap* heap, std::uint32_t which, std::uint32_t cause) {
  std::string text(std::size_t{1} << 18, '\0');
  std::uint64_t bytes = text.size();
  echo_error error{};
  if (echo_histogram_export(heap, which, cause, text.data(), &bytes, &error) != ECHO_OK) {
    fail("exporting a histogram", error);
  }
  text.resize(bytes - 1);
  return text;
}

json heap_figures(echo_heap* heap, const echo_statistics& s, const echo_statistics& before) {
  constexpr std::array<const char*, ECHO_CAUSE_COUNT> kNames = {
#define ECHO_CAUSE_NAME(name, sentence) #name,
      ECHO_CAUSE_TABLE(ECHO_CAUSE_NAME)
#undef ECHO_CAUSE_NAME
  };
  json causes = json::object();
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    const echo_distribution& one = i < 8 ? s.pause_by_cause_us[i] : s.pause_by_later_cause_us[i - 8];
    if (one.count != 0) {
      json& figures = causes[kNames.at(i)] = distribution(one);
      figures["net"] = distribution(s.pause_net_by_cause_us[i]);
      figures["log"] = exported(heap, ECHO_HISTOGRAM_PAUSES_BY_CAUSE, static_cast<std::uint32_t>(i));
      figures["net_log"] = exported(heap, ECHO_HISTOGRAM_PAUSES_NET_BY_CAUSE, static_cast<std::uint32_t>(i));
    }
  }
  return {{"pauses", distribution(s.pause_us)},
          {"pauses_by_cause", causes},
          {"net_pauses", distribution(s.pause_net_us)},
          {"run_queue_known", s.run_queue_known},
          {"mmu", {{"1ms", s.mmu_1ms}, {"10ms", s.mmu_10ms}, {"100ms", s.mmu_100ms}}},
          {"units",
           {{"mark_start", s.units_at_mark_start},
            {"mark_end", s.units_at_mark_end},
            {"frames", s.units_of_frames},
            {"assist", s.units_of_assists}}},
          {"holds_over_cap", s.holds_over_cap},
          {"edges_assisted", s.edges_assisted},
          {"stalls", distribution(s.stall_us)},
          {"time_to_safepoint", distribution(s.time_to_safepoint_us)},
          {"collections", s.collections_full - before.collections_full},
          {"collector_cpu_s", s.gc_cpu_s - before.gc_cpu_s},
          {"live_bytes", s.live_bytes},
          {"peak_committed_bytes", s.peak_committed_bytes}};
}

json figures(const Settings& settings, const std::vector<ThreadResult>& threads) {
  Histogram operations;
  std::vector<std::uint64_t> net;
  std::uint64_t count = 0;
  std::uint64_t longest_ns = 0;
  std::uint64_t over_100 = 0;
  std::uint64_t net_over_100 = 0;
  double ns_per_operation = 0;
  double seconds = 0;
  std::array<double, 3> mmu = {1, 1, 1};
  ByPhase by_phase;
  for (const ThreadResult& t : threads) {
    for (std::size_t i = 0; i < 2; ++i) {
      by_phase.ns.at(i) += t.by_phase.ns.at(i);
      by_phase.operations.at(i) += t.by_phase.operations.at(i);
    }
    operations.add(t.gaps.operations());
    count += t.operations;
    seconds += static_cast<double>(t.elapsed_ns) / 1e9;
    ns_per_operation =
        std::max(ns_per_operation, static_cast<double>(t.elapsed_ns) /
                                       static_cast<double>(std::max<std::uint64_t>(1, t.operations)));
    for (const Gap& gap : t.gaps.all()) {
      net.push_back(gap.net());
      longest_ns = std::max(longest_ns, gap.net());
      over_100 += gap.length >= 100'000 ? 1 : 0;
      net_over_100 += gap.net() >= 100'000 ? 1 : 0;
    }
    for (std::size_t i = 0; i < mmu.size(); ++i) {
      mmu.at(i) = std::min(mmu.at(i), t.gaps.mmu(std::array<std::uint64_t, 3>{1, 10, 100}.at(i) * 1'000'000));
    }
  }
  rusage usage{};
  (void)::getrusage(RUSAGE_SELF, &usage);
  const auto us = [](std::uint64_t ns) { return static_cast<double>(ns) / 1e3; };
  return {{"mode", settings.mode},
          {"live_mib", settings.live_mib},
          {"threads", settings.threads},
          {"operations", count},
          {"thread_seconds", seconds},
          {"ns_per_operation", ns_per_operation},
          {"idle", {{"ns", by_phase.ns[0]}, {"operations", by_phase.operations[0]}}},
          {"marking", {{"ns", by_phase.ns[1]}, {"operations", by_phase.operations[1]}}},
          {"operation_us",
           {{"p50", us(operations.quantile(0.5))},
            {"p99", us(operations.quantile(0.99))},
            {"p99.9", us(operations.quantile(0.999))},
            {"p99.99", us(operations.quantile(0.9999))},
            {"max", us(operations.max())}}},
          {"gaps_over_100us", over_100},
          {"net_gaps_over_100us", net_over_100},
          {"longest_net_gap_us", us(longest_ns)},
          {"mmu", {{"1ms", mmu[0]}, {"10ms", mmu[1]}, {"100ms", mmu[2]}}},
          {"peak_rss_bytes", static_cast<std::uint64_t>(usage.ru_maxrss) * 1024}};
}

template <class Make>
std::vector<ThreadResult> run_threads(const Settings& settings, std::uint64_t max_bytes, Make make) {
  std::vector<ThreadResult> results(settings.threads);
  std::vector<std::thread> threads;
  Start start(settings.threads);
  for (unsigned t = 0; t < settings.threads; ++t) {
    results[t].max_bytes = max_bytes;
    threads.emplace_back([&, t] { make(t, start, &results[t]); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  return results;
}

json run_control(const Settings& settings) {
  const std::uint64_t bytes = settings.live_mib * kMiB / settings.threads;
  return figures(settings,
                 run_threads(settings, UINT64_MAX, [&](unsigned t, Start& start, ThreadResult* result) {
                   Bare world(bytes, t + 1);
                   work(world, start, settings, result);
                 }));
}

json run_heap(const Settings& settings) {
  const bool off = settings.mode == "off";
  const std::uint64_t live = settings.live_mib * kMiB;
  const std::uint64_t entries = live / kLiveBytes / settings.threads;
  // Off: nothing is freed; a program that allocates no more than `off_mib` never reaches the trigger.
  const std::uint64_t limit = off ? 2 * (live + settings.off_mib * kMiB)
                                  : static_cast<std::uint64_t>(settings.ratio * static_cast<double>(live));
  std::string options = "census=off,max_heap=" + std::to_string(limit) +
                        ",growth=" + std::to_string(static_cast<int>(settings.ratio * 100));
  if (off) {
    options += ",trigger=" + std::to_string(limit);
  }
  if (!settings.options.empty()) {
    options += "," + settings.options;
  }
  echo_error error{};
  echo_heap* heap = nullptr;
  if (echo_heap_create(options.c_str(), &heap, &error) != ECHO_OK) {
    fail("creating the heap", error);
  }
  const Layouts layouts = register_layouts(heap);
  echo_statistics before{};
  echo_statistics after{};
  before.size = after.size = sizeof before;
  const std::uint64_t max_bytes = off ? settings.off_mib * kMiB / settings.threads : UINT64_MAX;
  const std::vector<ThreadResult> results =
      run_threads(settings, max_bytes, [&](unsigned t, Start& start, ThreadResult* result) {
        Table world(heap, layouts, entries, t + 1);
        work(world, start, settings, result);
      });
  (void)echo_get_statistics(heap, &after);
  json out = figures(settings, results);
  out["options"] = options;
  out["heap"] = heap_figures(heap, after, before);
  if (off && after.collections_full != 0) {
    std::fprintf(stderr, "echo-bench-pauses: the heap collected although collection is off\n");
    std::exit(1);
  }
  if (echo_heap_destroy(heap, &error) != ECHO_OK) {
    fail("destroying the heap", error);
  }
  return out;
}

} // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Churn and mutation over a live set: gaps, pauses, utilisation, throughput");
  app.add_option("--live", settings.live_mib, "MiB alive")->check(CLI::Range(1, 1 << 16));
  app.add_option("--threads", settings.threads)->check(CLI::Range(1, 256));
  app.add_option("--seconds", settings.seconds)->check(CLI::Range(0.1, 3600.0));
  app.add_option("--ratio", settings.ratio, "heap limit / live")->check(CLI::Range(1.2, 100.0));
  app.add_option("--off-mib", settings.off_mib, "what mode off allocates")->check(CLI::Range(1, 1 << 20));
  app.add_option("--mode", settings.mode)->check(CLI::IsMember({"heap", "off", "control"}));
  app.add_flag("--beside", settings.beside, "a thread that reads memory of its own meanwhile");
  app.add_option("--options", settings.options, "more options of the heap");
  CLI11_PARSE(app, argc, argv);
  try {
    const std::unique_ptr<Neighbour> neighbour =
        settings.beside ? std::make_unique<Neighbour>(settings.live_mib * kMiB) : nullptr;
    const json out = settings.mode == "control" ? run_control(settings) : run_heap(settings);
    std::printf("%s\n", out.dump(1).c_str());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "echo-bench-pauses: %s\n", e.what());
    return 1;
  }
  return 0;
}
