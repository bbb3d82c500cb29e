// SPDX-License-Identifier: MIT
//
// echo-conformance - judges any plugin that exports the ABI of echo/heap.h.
//
// Exit status 0: every test passed, was skipped, or failed as expected; 1: not; 2: the command line is wrong.
#include "report.h"

#include <CLI/CLI.hpp>
#include <cinttypes>
#include <cstdio>
#include <random>
#include <unistd.h>

namespace {

using namespace conformance;

struct Chosen {
  int number;
  const Suite* suite;
  const Test* test;
};

// True if `wanted` is empty or names the suite or the test ("roots", "roots.handles_keep_alive").
bool is_wanted(const std::vector<std::string>& wanted, const Suite& suite, const Test& test) {
  const std::string name = std::string(suite.name) + "." + test.name;
  for (const std::string& one : wanted)
    if (one == suite.name || one == name)
      return true;
  return wanted.empty();
}

bool names_something(const std::string& wanted, const std::vector<Suite>& suites) {
  for (const Suite& suite : suites)
    for (const Test& test : suite.tests)
      if (is_wanted({wanted}, suite, test))
        return true;
  return false;
}

void list(const std::vector<Chosen>& chosen) {
  for (const Chosen& c : chosen)
    std::printf("%3d %s.%s - %s %s\n", c.number, c.suite->name, c.test->name, c.test->sentence,
                c.test->clauses);
}

int complain(const std::string& what) {
  std::fprintf(stderr, "echo-conformance: %s\n", what.c_str());
  return 2;
}

} // namespace

int main(int argc, char** argv) {
  std::string plugin;
  std::string jit;
  std::string expect;
  std::string junit;
  std::vector<std::string> wanted;
  std::uint64_t seed = (std::uint64_t{std::random_device{}()} << 32 | std::random_device{}()) >> 16;
  int repeat = 1;
  double patience = 1;
  bool only_list = false;
  bool tap = false;
  CLI::App app{
      "Judges a garbage-collected heap: loads PLUGIN.so and runs the numbered tests of its contract."};
  app.add_option("PLUGIN.so,--plugin", plugin, "the plugin, a shared library that exports echo_heap_plugin");
  app.add_option("--jit", jit, "libecho_jit.so: needed by the suite jit, which is skipped without it");
  app.add_option("--suite", wanted, "only these suites or tests: roots,jit,heaps.second_heap")
      ->delimiter(',');
  app.add_option("--seed", seed, "seed of everything random (default: a new one each time)");
  app.add_option("--repeat", repeat, "run all of it N times, with seeds SEED, SEED + 1 ...")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--expect", expect, "file of expected failures: succeed if exactly these tests fail");
  app.add_option("--patience", patience, "multiply all time limits by this")->check(CLI::Range(0.01, 1000.0));
  app.add_flag("--list", only_list, "list the tests and load nothing");
  app.add_option("--junit", junit, "also write the results to this file, as JUnit's XML");
  app.add_flag("--tap", tap, "report in the Test Anything Protocol, version 13");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  const std::vector<Suite> suites = all_suites();
  for (const std::string& one : wanted)
    if (!names_something(one, suites))
      return complain("no suite and no test is named '" + one + "'; --list shows them");
  std::vector<Chosen> chosen;
  int number = 0;
  for (const Suite& suite : suites)
    for (const Test& test : suite.tests) {
      ++number;
      if (is_wanted(wanted, suite, test))
        chosen.push_back({number, &suite, &test});
    }
  if (only_list)
    return list(chosen), 0;
  if (plugin.empty())
    return complain("no plugin is given: echo-conformance PLUGIN.so; --help shows more");
  if (access(plugin.c_str(), R_OK) != 0)
    return complain("cannot read the plugin " + plugin);
  if (!jit.empty() && access(jit.c_str(), R_OK) != 0)
    return complain("cannot read " + jit);
  // dlopen searches its path for a name without a slash.
  if (plugin.find('/') == std::string::npos)
    plugin.insert(0, "./");
  Expectations expectations;
  std::string why;
  if (!expect.empty() && !read_expectations(expect, suites, &expectations, &why))
    return complain(why);

  std::vector<std::unique_ptr<Report>> reports;
  reports.push_back(tap ? tap_report() : text_report());
  if (!junit.empty())
    reports.push_back(junit_report(junit));
  for (const auto& report : reports)
    report->begin(plugin, seed, static_cast<int>(chosen.size()) * repeat);
  Totals totals;
  for (int turn = 0; turn < repeat; ++turn)
    for (const Chosen& c : chosen) {
      const std::uint64_t turn_seed = seed + static_cast<std::uint64_t>(turn);
      const std::string name = std::string(c.suite->name) + "." + c.test->name;
      Context context{plugin, jit, Random(turn_seed, name)};
      const auto expected = expectations.find(name);
      // TAP numbers a run from 1 on; in one turn of everything these are the numbers of --list.
      const int shown =
          wanted.empty() ? turn * number + c.number : totals.passed + totals.failed + totals.skipped + 1;
      const Result result{shown,
                          c.suite,
                          c.test,
                          turn_seed,
                          run_isolated(*c.test, context, patience),
                          expected == expectations.end() ? nullptr : &expected->second};
      totals.add(result);
      for (const auto& report : reports)
        report->add(result);
    }
  bool written = true;
  for (const auto& report : reports)
    written = report->end(totals) && written;
  if (!written)
    return complain("the report could not be written");
  return totals.wrong == 0 ? 0 : 1;
}
