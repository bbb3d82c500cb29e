// SPDX-License-Identifier: MIT
//
// Purpose     Whether echo_step keeps its budget: a program that allocates a little, as in a frame, and gives the rest of it to
//             the collector. Overshoot: what a call took beyond its budget; at 0 it took less.
// Method      A list of nodes is replaced piece by piece. control: a call that only looks at the clock until the budget is over: its
//             overshoot is the machine's.
// Use         echo-bench-steps [--live=64] [--seconds=2]; one line per mode and budget
#include "measure.h"

#include "echo/heap.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace {

constexpr std::uint64_t kNodeBytes = 24, kLeafBytes = 104, kRow = 1024;
constexpr unsigned kOperations = 400; // between two steps

[[noreturn]] void fail(const echo_error& why) {
  std::fprintf(stderr, "echo-bench-steps: %s\n", why.message);
  std::exit(1);
}

std::uint64_t now() {
  return static_cast<std::uint64_t>(echo::bench::now_ns());
}

struct World {
  World(const std::string& options, std::uint64_t live)
      : rows(live / (8 + kNodeBytes + kLeafBytes) / kRow + 1) {
    echo_error why{};
    if (echo_heap_create(options.c_str(), &heap, &why) != ECHO_OK ||
        echo_attach(heap, &self, &why) != ECHO_OK) {
      fail(why);
    }
    (void)echo_scope_open(self, &scope);
    const echo_slot leaf_slot{8, ECHO_SLOT_STRONG};
    const echo_layout array_layout{
        sizeof array_layout, ECHO_LAYOUT_REF_ARRAY, "row", 16, 8, 0, 0, 0, nullptr};
    const echo_layout node_layout{sizeof node_layout, ECHO_LAYOUT_FIXED, "node", kNodeBytes, 0, 0, 0, 1,
                                  &leaf_slot};
    const echo_layout leaf_layout{
        sizeof leaf_layout, ECHO_LAYOUT_FIXED, "leaf", kLeafBytes, 0, 0, 0, 0, nullptr};
    for (const auto& [layout, id] :
         {std::pair{&array_layout, &array}, {&node_layout, &node}, {&leaf_layout, &leaf}}) {
      if (echo_layout_register(heap, layout, id, &why) != ECHO_OK) {
        fail(why);
      }
    }
    fresh = echo_handle_new(self, nullptr);
    table = echo_handle_new(self, make(array, rows));
    for (std::uint64_t r = 0; r < rows; ++r) {
      (void)echo_handle_set(self, fresh, make(array, kRow));
      (void)echo_array_store(self, echo_handle_get(self, table), r, echo_handle_get(self, fresh));
      for (std::uint64_t c = 0; c < kRow; ++c) {
        replace(r, c);
      }
    }
  }
  ~World() {
    echo_error why{};
    (void)echo_scope_close(self, scope);
    (void)echo_detach(self, &why);
    (void)echo_heap_destroy(heap, &why);
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  echo_ref make(echo_layout_id layout, std::uint64_t length) {
    const echo_ref made = echo_allocate(self, layout, length);
    if (made == nullptr) {
      echo_error why{};
      (void)echo_last_error(self, &why);
      fail(why);
    }
    return made;
  }
  void replace(std::uint64_t r, std::uint64_t c) {
    (void)echo_handle_set(self, fresh, make(node, 0));
    const echo_ref made = make(leaf, 0);
    const echo_ref at = echo_handle_get(self, fresh);
    (void)echo_store(self, at, 8, made);
    const echo_ref row = reinterpret_cast<echo_ref*>(echo_handle_get(self, table))[2 + r];
    (void)echo_array_store(self, row, c, at);
  }
  void operate() {
    for (unsigned i = 0; i < kOperations; ++i) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      replace((state >> 32) * rows >> 32, state % kRow);
    }
  }

  const std::uint64_t rows;
  std::uint64_t state = 88172645463325252u;
  echo_heap* heap = nullptr;
  echo_thread* self = nullptr;
  echo_scope scope = 0;
  echo_layout_id array = 0, node = 0, leaf = 0;
  echo_handle table = nullptr, fresh = nullptr;
};

void print(const std::string& name, std::uint64_t budget_us, std::vector<std::uint64_t> taken,
           const std::string& more) {
  std::sort(taken.begin(), taken.end());
  const auto over = [&](double part) {
    const std::uint64_t ns = taken[static_cast<std::size_t>(part * static_cast<double>(taken.size() - 1))];
    return static_cast<double>(ns - std::min(ns, budget_us * 1000)) / 1e3;
  };
  const auto late =
      std::count_if(taken.begin(), taken.end(), [&](std::uint64_t ns) { return ns > budget_us * 1000; });
  std::printf("%-12s budget %5llu us  %8zu calls  overshoot us p50 %6.1f  p99 %6.1f  p99.9 %7.1f  max %8.1f  "
              "late %5.2f %%  %s\n",
              name.c_str(), static_cast<unsigned long long>(budget_us), taken.size(), over(0.5), over(0.99),
              over(0.999), over(1), 100 * static_cast<double>(late) / static_cast<double>(taken.size()),
              more.c_str());
  std::fflush(stdout);
}

void run(const std::string& mode, std::uint64_t budget_us, std::uint64_t live, double seconds,
         const std::string& more) {
  World world("max_heap=" + std::to_string(3 * live) + ",census=off,mode=" + mode + "," + more, live);
  std::vector<std::uint64_t> taken;
  for (const std::uint64_t end = now() + static_cast<std::uint64_t>(seconds * 1e9); now() < end;) {
    world.operate();
    const std::uint64_t start = now();
    std::uint32_t done = 0;
    if (echo_step(world.self, budget_us, &done) != ECHO_OK) {
      std::exit(1);
    }
    const std::uint64_t ns = now() - start;
    if (done == 0 || ns > 10'000) { // others had nothing to do
      taken.push_back(ns);
    }
  }
  echo_statistics s{};
  s.size = sizeof s;
  (void)echo_get_statistics(world.heap, &s);
  taken.push_back(0);
  print(mode, budget_us, std::move(taken),
        std::to_string(s.collections_full) + " collections, " +
            std::to_string(s.pause_by_later_cause_us[ECHO_CAUSE_assist - 8].count) + " assists, " +
            std::to_string(s.stall_us.count) + " stalls");
}

void control(std::uint64_t budget_us, double seconds) {
  std::vector<std::uint64_t> taken;
  for (const std::uint64_t end = now() + static_cast<std::uint64_t>(seconds * 1e9); now() < end;) {
    const std::uint64_t start = now();
    std::uint64_t t = start;
    while (t - start < budget_us * 1000) {
      t = now();
    }
    taken.push_back(t - start);
  }
  print("control", budget_us, std::move(taken), "");
}

} // namespace

int main(int argc, char** argv) {
  std::uint64_t live = 64;
  double seconds = 2;
  std::string options;
  CLI::App app("whether echo_step keeps its budget");
  app.add_option("--live", live, "MiB alive");
  app.add_option("--seconds", seconds);
  app.add_option("--options", options, "more options of the heap");
  CLI11_PARSE(app, argc, argv);
  for (const std::uint64_t budget : {50u, 100u, 500u, 1000u}) {
    control(budget, seconds / 2);
    run("incremental", budget, live << 20, seconds, options);
    run("concurrent", budget, live << 20, seconds, options);
  }
  return 0;
}
