// SPDX-License-Identifier: MIT
//
// report.cpp - TAP and text.
#include "report.h"

#include <cinttypes>
#include <cstdio>

namespace conformance {

namespace {

// One line of anything: '#' would begin a TAP directive, a line break another line.
std::string one_line(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20)
      c = ' ';
    else if (c == '#')
      c = '%';
  return text;
}

std::string full_name(const Result& r) {
  return std::string(r.suite->name) + "." + r.test->name;
}

class Tap final : public Report {
public:
  void begin(const std::string& plugin, std::uint64_t seed, int tests) override {
    std::printf("TAP version 13\n1..%d\n# plugin: %s\n# seed: %" PRIu64 "\n", tests, one_line(plugin).c_str(),
                seed);
  }
  void add(const Result& r) override {
    const bool failed = r.outcome.verdict == Verdict::failed;
    // TAP takes an expected failure that passes for harmless; here it is a plain failure. [kit.expect.1]
    const bool broken_promise = r.expected != nullptr && !failed;
    std::printf("%s %d - %s: %s %s", failed || broken_promise ? "not ok" : "ok", r.number,
                full_name(r).c_str(), one_line(r.test->sentence).c_str(), r.test->clauses);
    if (failed && r.expected != nullptr)
      std::printf(" # TO"
                  "DO expected: %s %s",
                  r.expected->clause.c_str(), one_line(r.expected->reason).c_str());
    else if (r.outcome.verdict == Verdict::skipped && !broken_promise)
      std::printf(" # SKIP %s", one_line(r.outcome.why).c_str());
    std::printf("\n");
    if (failed)
      std::printf("  ---\n  message: %s\n  seed: %" PRIu64 "\n  seconds: %.2f\n  ...\n",
                  one_line(r.outcome.why).c_str(), r.seed, r.outcome.seconds);
    else if (broken_promise)
      std::printf("  ---\n  message: it was expected to fail (%s) and did not\n  ...\n",
                  one_line(r.expected->reason).c_str());
    std::fflush(stdout);
  }
  void end(const Totals& t) override {
    std::printf("# %d passed, %d failed (%d of them expected), %d skipped, %.1f s\n", t.passed, t.failed,
                t.expected_failures, t.skipped, t.seconds);
  }
};

class Text final : public Report {
public:
  void begin(const std::string& plugin, std::uint64_t seed, int tests) override {
    std::printf("judging %s: %d tests, seed %" PRIu64 "\n", plugin.c_str(), tests, seed);
  }
  void add(const Result& r) override {
    if (r.suite != suite_) {
      suite_ = r.suite;
      std::printf("\n%s - %s\n", suite_->name, suite_->sentence);
    }
    const char* mark = "ok";
    if (r.outcome.verdict == Verdict::failed)
      mark = r.expected != nullptr ? "expected" : "FAILED";
    else if (r.expected != nullptr)
      mark = "FAILED";
    else if (r.outcome.verdict == Verdict::skipped)
      mark = "skipped";
    std::printf("  %-8s %3d %s - %s %s", mark, r.number, r.test->name, r.test->sentence, r.test->clauses);
    if (r.outcome.seconds >= 1)
      std::printf(" (%.1f s)", r.outcome.seconds);
    std::printf("\n");
    if (!r.outcome.why.empty())
      std::printf("               %s\n", one_line(r.outcome.why).c_str());
    if (r.expected != nullptr)
      std::printf("               expected to fail: %s %s\n", r.expected->clause.c_str(),
                  r.expected->reason.c_str());
    if (r.is_wrong())
      std::printf("               again: --suite=%s --seed=%" PRIu64 "\n", full_name(r).c_str(), r.seed);
    std::fflush(stdout);
  }
  void end(const Totals& t) override {
    std::printf("\n%d passed, %d failed (%d of them expected), %d skipped in %.1f s: %s\n", t.passed,
                t.failed, t.expected_failures, t.skipped, t.seconds,
                t.wrong == 0 ? "as it should be" : "the plugin does not keep the contract");
  }

private:
  const Suite* suite_ = nullptr;
};

} // namespace

void Totals::add(const Result& r) {
  seconds += r.outcome.seconds;
  wrong += r.is_wrong() ? 1 : 0;
  switch (r.outcome.verdict) {
  case Verdict::passed:
    ++passed;
    break;
  case Verdict::skipped:
    ++skipped;
    break;
  case Verdict::failed:
    ++failed;
    expected_failures += r.expected != nullptr ? 1 : 0;
    break;
  }
}

std::unique_ptr<Report> tap_report() {
  return std::make_unique<Tap>();
}
std::unique_ptr<Report> text_report() {
  return std::make_unique<Text>();
}

} // namespace conformance
