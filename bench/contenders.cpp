// SPDX-License-Identifier: MIT
//
// Purpose     Workers in turn, and the table of their figures.
#include "contenders.h"
#include "measure.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <cstdlib>
#include <sys/wait.h>
#include <unistd.h>

namespace echo::bench {

namespace {

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
bool run_round(const char* program, const Contender& contender, const std::string& preload,
               const std::vector<std::string>& flags, Figures& out) {
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
    std::vector<std::string> words{program, kind};
    words.insert(words.end(), flags.begin(), flags.end());
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (std::string& word : words) {
      arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    ::execv("/proc/self/exe", arguments.data());
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

} // namespace

bool run_contenders(const char* program, const std::vector<std::string>& flags, int rounds,
                    std::map<std::string, Figures>* out) {
  for (int round = 0; round < rounds; ++round) {
    for (const Contender& contender : kContenders) {
      const std::string preload = contender.library == nullptr ? "" : find_library(contender.library);
      if (contender.library != nullptr && preload.empty()) {
        if (round == 0) {
          std::printf("%s is not installed (package %s): left out\n", contender.name, contender.package);
        }
        continue;
      }
      if (!run_round(program, contender, preload, flags, (*out)[contender.name])) {
        std::fprintf(stderr, "%s: the process of %s failed\n", program, contender.name);
        return false;
      }
    }
  }
  return true;
}

double Table::figure(const std::string& who, const std::string& what) const {
  const auto contender = figures_.find(who);
  if (contender == figures_.end()) {
    return 0;
  }
  const auto found = contender->second.find(what);
  return found == contender->second.end() ? 0 : median(found->second);
}

void Table::head(const char* title) const {
  std::printf("\n%s\n  %-24s", title, "ns");
  for (const Contender& c : kContenders) {
    std::printf(" %9s", c.name);
  }
  std::printf("   ratio\n");
}

void Table::row(const std::string& what, double least, const char* against) {
  if (figure("echo", what) == 0) {
    return; // left out by --only or --quick
  }
  double peer = 0;
  std::printf("  %-24s", what.c_str());
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
  std::printf("   %5.2f of %s", ratio, against == nullptr ? "the fastest" : against);
  (*json_)[what][against == nullptr ? "ratio" : std::string("ratio to ") + against] = ratio;
  if (least > 0) {
    std::printf(", target %.2f%s", least, ratio >= least ? "" : "  NOT MET");
    missed_ += ratio >= least ? 0 : 1;
    ++targets_;
  }
  std::printf("\n");
}

void Table::limit(const std::string& what, const std::string& limit) const {
  const double floor = figure("echo", limit);
  if (floor == 0) {
    return;
  }
  std::printf("  %-24s %9.2f   echo takes %.2f times it\n", limit.c_str(), floor,
              figure("echo", what) / floor);
  (*json_)[what]["limit"] = floor;
}

void Table::judge(const std::string& what, const std::string& figure, bool met) {
  std::printf("  %-24s %s%s\n", what.c_str(), figure.c_str(), met ? "" : "  NOT MET");
  missed_ += met ? 0 : 1;
  ++targets_;
}

void Table::summary() const {
  std::printf("\n%d of %d targets met\n", targets_ - missed_, targets_);
}

} // namespace echo::bench
