// SPDX-License-Identifier: MIT
//
// Purpose     echo-bench-native [--quick] [--only=CASES] [--rounds=N] [--json=FILE]: native slabs against glibc, mimalloc, jemalloc and
//             tcmalloc (contenders.h).
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

using echo::bench::Figures;
using echo::bench::Table;

constexpr std::array<int, 12> kSizes{8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024};

void rows(Table& table, const char* title, const std::string& prefix, double least,
          const char* against = nullptr) {
  table.head(title);
  for (const int size : kSizes) {
    table.row(prefix + std::to_string(size), least, against);
  }
}

void print_loops(Table& table) {
  table.head("The original's loop: 100,000 objects of 128 B, freed in order and in random order");
  table.row("loop order 128", 5, "glibc");
  table.row("loop random 128", 5, "glibc");
  table.row("loop cold 128", 5, "glibc");
  for (const char* const part : {"loop order 128 allocate", "loop order 128 free", "loop random 128 free"}) {
    table.row(part, 1, "glibc");
  }
  const double allocate = table.figure("echo", "loop order 128 allocate");
  const double free = table.figure("echo", "loop order 128 free");
  std::printf("  echo: %.1f ns per allocation, %.1f ns per free, %.0f operations per second\n"
              "  the original's published figures: 51.8, 80.0, 7585527\n",
              allocate, free, 2e9 / (allocate + free));
  rows(table, "The same loop per class against mimalloc, in order", "loop order ", 1 / 1.1, "mimalloc");
  rows(table, "The same loop per class against mimalloc, in random order", "loop random ", 1 / 1.1,
       "mimalloc");
}

void print_sharing(Table& table) {
  table.head("Two threads, each counting in an object of 8 B of its own (8 stores)");
  table.row("sharing own objects", 0);
  const double own = table.figure("echo", "sharing own objects");
  const double apart = table.figure("echo", "sharing lines apart");
  const double shared = table.figure("echo", "sharing one line");
  char text[120];
  std::snprintf(text, sizeof text, "%.2f times words on two lines (target 1.25); on one line %.2f times",
                own / apart, shared / apart);
  table.judge("no false sharing", text, own <= 1.25 * apart);
}

void print_fragmentation(Table& table, nlohmann::json* json) {
  std::printf("\nFragmentation of a mixed-size random workload, 100,000 live objects, a million replaced\n");
  const double internal = table.figure("echo", "fragmentation internal");
  const double all = table.figure("echo", "fragmentation all");
  char text[120];
  std::snprintf(text, sizeof text, "%.2f %% internal, target 5 %%; %.2f %% with slab tails and caches",
                internal, all);
  table.judge("fragmentation", text, internal < 5);
  (*json)["fragmentation"] = {{"internal_percent", internal}, {"all_percent", all}};
}

void print_scaling(Table& table, nlohmann::json* json) {
  const auto scaling = [&table](const std::string& one, const std::string& two) {
    return 2 * table.figure("echo", one) / table.figure("echo", two);
  };
  const double control = scaling("control", "control 2 threads");
  std::printf("\nTwo threads: times the work of one; a loop without an allocator: %.2f\n", control);
  for (const int size : kSizes) {
    const std::string s = std::to_string(size);
    const double echo = scaling("pair " + s, "pair 2 threads " + s);
    char text[120];
    std::snprintf(text, sizeof text, "%5.2f = %.0f %% of the bare loop, target 95 %%", echo,
                  100 * echo / control);
    table.judge(s, text, echo >= 0.95 * control);
    (*json)["two threads " + s] = {{"echo", echo}, {"control", control}};
  }
}

void print(const std::map<std::string, Figures>& figures, const std::string& only, nlohmann::json* json) {
  const auto wanted = [&only](const std::string& kind) { return kind.starts_with(only); };
  Table table(figures, json);
  if (wanted("pair")) {
    rows(table, "Allocate, write a word, free", "pair ", 1);
    rows(table, "The same on two threads", "pair 2 threads ", 1);
  }
  if (wanted("remote")) {
    rows(table, "Freed by another thread", "remote ", 1);
  }
  if (wanted("loop")) {
    print_loops(table);
  }
  if (wanted("sharing")) {
    print_sharing(table);
  }
  if (wanted("fragmentation")) {
    print_fragmentation(table, json);
  }
  if (wanted("pair")) {
    print_scaling(table, json);
  }
  table.summary();
}

} // namespace

int main(int argc, char** argv) {
  CLI::App app("Native slabs against the allocators of the distribution");
  echo::bench::Settings settings;
  int rounds = 5;
  std::string json_file;
  std::string worker;
  app.add_flag("--quick", settings.quick, "fewer batches");
  app.add_option("--only", settings.only,
                 "cases whose name begins with this: pair, remote, loop, sharing, fragmentation");
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
  if (!settings.only.empty()) {
    flags.push_back("--only=" + settings.only);
  }
  if (!echo::bench::run_contenders("echo-bench-native", flags, rounds, &figures)) {
    return 1;
  }
  nlohmann::json json;
  print(figures, settings.only, &json);
  if (!json_file.empty()) {
    std::ofstream(json_file) << json.dump(2) << '\n';
  }
  return 0;
}
