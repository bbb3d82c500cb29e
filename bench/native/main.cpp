// SPDX-License-Identifier: MIT
//
// Purpose     echo-bench-native [--quick] [--rounds=N] [--json=FILE]: native slabs against glibc, mimalloc, jemalloc and
//             tcmalloc. Each allocator has a process of its own (the peers by LD_PRELOAD), the processes take turns,
//             every figure is the median of its rounds and stands beside the fastest peer of the same run.
#include "cases.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace {

struct Contender {
  const char* name;
  const char* library; // preloaded; null: none
  const char* package;
};
constexpr std::array<Contender, 5> kContenders{
    Contender{"echo", nullptr, ""}, Contender{"glibc", nullptr, ""},
    Contender{"mimalloc", "libmimalloc.so.2", "libmimalloc2.0"},
    Contender{"jemalloc", "libjemalloc.so.2", "libjemalloc2"},
    Contender{"tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"}};

using Figures = std::map<std::string, std::vector<double>>; // by case, one per round

std::string find_library(const char* name) {
  for (const char* const folder :
       {"/usr/lib/x86_64-linux-gnu/", "/usr/lib/aarch64-linux-gnu/", "/usr/lib64/", "/usr/lib/"}) {
    const std::string path = std::string(folder) + name;
    if (::access(path.c_str(), R_OK) == 0) {
      return path;
    }
  }
  return {};
}

// One round of one contender in a process of its own. False: it failed.
bool run_round(const Contender& contender, const std::string& preload, bool quick, Figures& out) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) {
    return false;
  }
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], 1);
    ::close(ends[0]);
    if (!preload.empty()) {
      ::setenv("LD_PRELOAD", preload.c_str(), 1);
    }
    const char* const kind = contender.name == std::string_view("echo") ? "--worker=echo" : "--worker=malloc";
    ::execl("/proc/self/exe", "echo-bench-native", kind, quick ? "--quick" : nullptr, nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  std::FILE* const stream = ::fdopen(ends[0], "r");
  char line[256];
  while (stream != nullptr && std::fgets(line, sizeof line, stream) != nullptr) {
    const std::string text(line);
    const std::size_t tab = text.find('\t');
    if (tab != std::string::npos) {
      out[text.substr(0, tab)].push_back(std::strtod(text.c_str() + tab + 1, nullptr));
    }
  }
  if (stream != nullptr) {
    std::fclose(stream);
  }
  int status = 0;
  return child > 0 && ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v.empty() ? 0 : v[v.size() / 2];
}

class Table {
public:
  Table(const std::map<std::string, Figures>& figures, nlohmann::json* json)
      : figures_(figures), json_(json) {}

  double figure(const std::string& who, const std::string& what) const {
    const auto contender = figures_.find(who);
    if (contender == figures_.end()) {
      return 0;
    }
    const auto found = contender->second.find(what);
    return found == contender->second.end() ? 0 : median(found->second);
  }

  void head(const char* title) const {
    std::printf("\n%s\n  %-22s", title, "ns");
    for (const Contender& c : kContenders) {
      std::printf(" %9s", c.name);
    }
    std::printf("   ratio\n");
  }

  // Target: peer / echo at least `least`, the peer being the fastest, or the one named.
  void row(const std::string& what, double least, const char* against = nullptr) {
    double peer = 0;
    std::printf("  %-22s", what.c_str());
    for (const Contender& c : kContenders) {
      const double ns = figure(c.name, what);
      ns == 0 ? std::printf(" %9s", "-") : std::printf(" %9.2f", ns);
      const bool counts =
          against == nullptr ? c.name != kContenders[0].name : c.name == std::string_view(against);
      if (ns != 0 && counts && (peer == 0 || ns < peer)) {
        peer = ns;
      }
      (*json_)[what][c.name] = ns;
    }
    const double ratio = peer / figure("echo", what);
    const bool met = ratio >= least;
    std::printf("   %5.2f of %s, target %.2f%s\n", ratio, against == nullptr ? "the fastest" : against, least,
                met ? "" : "  NOT MET");
    (*json_)[what]["ratio"] = ratio;
    missed_ += met ? 0 : 1;
    ++rows_;
  }
  void summary() const { std::printf("\n%d of %d targets met\n", rows_ - missed_, rows_); }

private:
  const std::map<std::string, Figures>& figures_;
  nlohmann::json* json_;
  int rows_ = 0, missed_ = 0;
};

void print(const std::map<std::string, Figures>& figures, nlohmann::json* json) {
  constexpr std::array<int, 12> kSizes{8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024};
  Table table(figures, json);
  const auto rows = [&](const char* title, const std::string& prefix, double least, const char* against) {
    table.head(title);
    for (const int size : kSizes) {
      table.row(prefix + std::to_string(size), least, against);
    }
  };
  rows("Allocate, write a word, free", "pair ", 1, nullptr);
  rows("The same on two threads", "pair 2 threads ", 1, nullptr);
  rows("Freed by another thread", "remote ", 1, nullptr);
  table.head("The original's loop: 100,000 objects of 128 B, freed in order and in random order");
  table.row("loop order 128", 5, "glibc");
  table.row("loop random 128", 5, "glibc");
  table.row("loop cold 128", 1, "glibc");
  for (const char* const part : {"loop order 128 allocate", "loop order 128 free", "loop random 128 free"}) {
    table.row(part, 1, "glibc");
  }
  const double allocate = table.figure("echo", "loop order 128 allocate");
  const double free = table.figure("echo", "loop order 128 free");
  std::printf("  echo: %.1f ns per allocation, %.1f ns per free, %.0f operations per second\n"
              "  the original's published figures: 51.8, 80.0, 7585527\n",
              allocate, free, 2e9 / (allocate + free));
  rows("The same loop per class against mimalloc, in order", "loop order ", 1 / 1.1, "mimalloc");
  rows("The same loop per class against mimalloc, in random order", "loop random ", 1 / 1.1, "mimalloc");

  const auto scaling = [&](const char* who, const std::string& one, const std::string& two) {
    return 2 * table.figure(who, one) / table.figure(who, two);
  };
  const double control = scaling("echo", "control", "control 2 threads");
  std::printf("\nTwo threads: times the work of one; a loop without an allocator: %.2f\n", control);
  for (const int size : kSizes) {
    const std::string s = std::to_string(size);
    const double echo = scaling("echo", "pair " + s, "pair 2 threads " + s);
    std::printf("  %-22s %5.2f = %.0f %% of the bare loop, target 95 %%%s\n", s.c_str(), echo,
                100 * echo / control, echo >= 0.95 * control ? "" : "  NOT MET");
  }
  table.summary();
}

} // namespace

int main(int argc, char** argv) {
  CLI::App app("Native slabs against the allocators of the distribution");
  bool quick = false;
  int rounds = 5;
  std::string json_file;
  std::string worker;
  app.add_flag("--quick", quick, "fewer batches");
  app.add_option("--rounds", rounds, "rounds of each allocator")->check(CLI::Range(1, 100));
  app.add_option("--json", json_file, "also write the figures to this file");
  app.add_option("--worker", worker, "measure in this process: echo or malloc")->group("");
  CLI11_PARSE(app, argc, argv);
  if (!worker.empty()) {
    echo::bench::run_cases(worker == "echo", quick, [](const std::string& name, double ns) {
      std::printf("%s\t%.4f\n", name.c_str(), ns);
    });
    return 0;
  }
  std::map<std::string, Figures> figures;
  for (int round = 0; round < rounds; ++round) {
    for (const Contender& contender : kContenders) {
      const std::string preload = contender.library == nullptr ? "" : find_library(contender.library);
      if (contender.library != nullptr && preload.empty()) {
        if (round == 0) {
          std::printf("%s is not installed (package %s): left out\n", contender.name, contender.package);
        }
        continue;
      }
      if (!run_round(contender, preload, quick, figures[contender.name])) {
        std::fprintf(stderr, "echo-bench-native: the process of %s failed\n", contender.name);
        return 1;
      }
    }
  }
  nlohmann::json json;
  print(figures, &json);
  if (!json_file.empty()) {
    std::ofstream(json_file) << json.dump(2) << '\n';
  }
  return 0;
}
