// SPDX-License-Identifier: MIT
//
// Purpose     echo-bench-allocation [--quick] [--rounds=N] [--json=FILE]: the heap's allocation, reclamation included,
//             against malloc and free of glibc, mimalloc, jemalloc and tcmalloc (contenders.h).
#include "cases.h"
#include "contenders.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <array>
#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace {

using echo::bench::case_name;
using echo::bench::Figures;
using echo::bench::Table;

constexpr std::array<std::size_t, 5> kSizes{16, 32, 64, 128, 256};
constexpr std::size_t kMiB = std::size_t{1} << 20;

double least_of_fastest(std::size_t bytes) {
  return bytes <= 64 ? 6 : bytes <= 128 ? 3 : 2;
}

void print(const std::map<std::string, Figures>& figures, bool quick, nlohmann::json* json) {
  Table table(figures, json);
  table.head("Small set, against the fastest: objects that die together");
  for (const unsigned threads : {1u, 2u}) {
    for (const std::size_t size : kSizes) {
      table.row(case_name("batch", size, kMiB, threads), least_of_fastest(size));
    }
  }
  table.head("The same, the memory that comes next prefetched by the allocating code");
  for (const unsigned threads : {1u, 2u}) {
    for (const std::size_t size : kSizes) {
      table.row(case_name("ahead", size, kMiB, threads), least_of_fastest(size));
    }
  }
  table.head("The first against glibc, both sets");
  for (const std::size_t set : {kMiB, 256 * kMiB}) {
    for (const unsigned threads : {1u, 2u}) {
      for (const std::size_t size : kSizes) {
        if (!quick || set == kMiB || size == 64) {
          table.row(case_name("batch", size, set, threads), 5, "glibc");
          table.row(case_name("ahead", size, set, threads), 5, "glibc");
        }
      }
    }
  }
  std::printf("\nThe limit: the same loop over a ring of memory, without an allocator\n");
  for (const std::size_t set : {kMiB, 256 * kMiB}) {
    for (const unsigned threads : {1u, 2u}) {
      for (const std::size_t size : kSizes) {
        if (!quick || set == kMiB || size == 64) {
          table.limit(case_name("batch", size, set, threads), case_name("limit", size, set, threads));
          table.limit(case_name("ahead", size, set, threads), case_name("ahead limit", size, set, threads));
        }
      }
    }
  }
  if (!quick) {
    table.head("A set that is alive as a whole, each object replaced in turn: a collector's worst case");
    for (const std::size_t set : {kMiB, 256 * kMiB}) {
      for (const unsigned threads : {1u, 2u}) {
        for (const std::size_t size : kSizes) {
          table.row(case_name("live", size, set, threads), 0, "glibc");
        }
      }
    }
  }
  if (const double replaced = table.figure("echo", "fragmentation replaced"); replaced != 0) {
    const double filled = table.figure("echo", "fragmentation filled");
    std::printf(
        "\nFragmentation of a mixed-size random workload, 100,000 live objects, a million replaced\n");
    char text[160];
    std::snprintf(text, sizeof text,
                  "%.2f %% lost in tails of slabs, target 5 %%; %.1f %% holes after replacing", filled,
                  replaced);
    table.judge("fragmentation", text, filled < 5);
    (*json)["fragmentation"] = {{"filled_percent", filled}, {"replaced_percent", replaced}};
  }
  table.summary();
}

} // namespace

int main(int argc, char** argv) {
  CLI::App app("Collected allocation against the allocators of the distribution");
  echo::bench::Settings settings;
  int rounds = 3;
  std::string json_file;
  std::string worker;
  app.add_flag("--quick", settings.quick, "fewer sizes and batches");
  app.add_flag("--cpu-time", settings.cpu_time, "processor time instead of wall time");
  app.add_option("--only", settings.only, "cases whose name contains this");
  app.add_option("--rounds", rounds, "rounds of each allocator")->check(CLI::Range(1, 100));
  app.add_option("--json", json_file, "also write the figures to this file");
  app.add_option("--worker", worker, "measure in this process: echo or malloc")->group("");
  CLI11_PARSE(app, argc, argv);
  if (!worker.empty()) {
    echo::bench::run_cases(worker == "echo", settings, [](const std::string& name, double ns) {
      std::printf("%s\t%.4f\n", name.c_str(), ns);
    });
    return 0;
  }
  std::map<std::string, Figures> figures;
  std::vector<std::string> flags;
  if (settings.quick) {
    flags.emplace_back("--quick");
  }
  if (settings.cpu_time) {
    flags.emplace_back("--cpu-time");
  }
  if (!settings.only.empty()) {
    flags.push_back("--only=" + settings.only);
  }
  if (!echo::bench::run_contenders("echo-bench-allocation", flags, rounds, &figures)) {
    return 1;
  }
  nlohmann::json json;
  print(figures, settings.quick, &json);
  if (!json_file.empty()) {
    std::ofstream(json_file) << json.dump(2) << '\n';
  }
  return 0;
}
