// SPDX-License-Identifier: MIT
//
// Purpose     One benchmark, five allocators: each has a process of its own (the peers of echo by LD_PRELOAD), the
//             processes take turns, a figure is the median of its rounds.
// Protocol    A program starts itself with --worker=echo or --worker=malloc and the flags given; the worker prints
//             lines of a case's name, a tab and its figure in nanoseconds.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <array>
#include <map>
#include <string>
#include <vector>

namespace echo::bench {

struct Contender {
  const char* name;
  const char* library; // preloaded; null: none
  const char* package;
};
inline constexpr std::array<Contender, 5> kContenders{
    Contender{"echo", nullptr, ""}, Contender{"glibc", nullptr, ""},
    Contender{"mimalloc", "libmimalloc.so.2", "libmimalloc2.0"},
    Contender{"jemalloc", "libjemalloc.so.2", "libjemalloc2"},
    Contender{"tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"}};

using Figures = std::map<std::string, std::vector<double>>; // by case, one per round

// Rounds of all contenders whose library is installed; a missing one is named on standard output. False: a worker
// failed; it has been named on standard error.
bool run_contenders(const char* program, const std::vector<std::string>& flags, int rounds,
                    std::map<std::string, Figures>* out);

// Rows of figures, each with echo's ratio to a peer.
class Table {
public:
  Table(const std::map<std::string, Figures>& figures, nlohmann::json* json)
      : figures_(figures), json_(json) {}

  // The median; 0 if there is none.
  double figure(const std::string& who, const std::string& what) const;
  void head(const char* title) const;
  // Target: peer / echo at least `least`, the peer being the fastest, or the one named; 0: no target.
  void row(const std::string& what, double least, const char* against = nullptr);
  // Beside it what no allocator can beat: echo's figure of the case `limit`.
  void limit(const std::string& what, const std::string& limit) const;
  // A target that is not a ratio of two figures.
  void judge(const std::string& what, const std::string& figure, bool met);
  void summary() const;

private:
  const std::map<std::string, Figures>& figures_;
  nlohmann::json* json_;
  int targets_ = 0, missed_ = 0;
};

} // namespace echo::bench
