// SPDX-License-Identifier: MIT
//
// report.cpp - TAP, text and JUnit.
#include "report.h"

#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <map>

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
  bool end(const Totals& t) override {
    std::printf("# %d passed, %d failed (%d of them expected), %d skipped, %.1f s\n", t.passed, t.failed,
                t.expected_failures, t.skipped, t.seconds);
    return std::fflush(stdout) == 0;
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
  bool end(const Totals& t) override {
    std::printf("\n%d passed, %d failed (%d of them expected), %d skipped in %.1f s: %s\n", t.passed,
                t.failed, t.expected_failures, t.skipped, t.seconds,
                t.wrong == 0 ? "as it should be" : "the plugin does not keep the contract");
    return std::fflush(stdout) == 0;
  }

private:
  const Suite* suite_ = nullptr;
};

// One <testsuite> per suite. An expected failure counts as skipped: JUnit has no word for it.
class JUnit final : public Report {
public:
  explicit JUnit(std::string path) : path_(std::move(path)) {}

  void begin(const std::string& plugin, std::uint64_t seed, int) override {
    plugin_ = plugin;
    seed_ = seed;
  }
  void add(const Result& r) override {
    Written& suite = suites_[r.suite->name];
    suite.seconds += r.outcome.seconds;
    ++suite.tests;
    std::string inside;
    if (r.is_wrong()) {
      ++suite.failures;
      const std::string why = r.expected == nullptr ? r.outcome.why : "it was expected to fail and did not";
      inside = "<failure message=\"" + escaped(why) + "\">again: --suite=" + escaped(full_name(r)) +
               " --seed=" + std::to_string(r.seed) + "</failure>";
    } else if (r.outcome.verdict != Verdict::passed) {
      ++suite.skipped;
      const std::string why =
          r.expected == nullptr ? r.outcome.why : "expected to fail: " + r.expected->reason;
      inside = "<skipped message=\"" + escaped(why) + "\"/>";
    }
    suite.cases += "    <testcase classname=\"" + escaped(r.suite->name) + "\" name=\"" +
                   escaped(std::string(r.test->name) + " " + r.test->clauses) + "\" time=\"" +
                   seconds(r.outcome.seconds) + "\">" + inside + "</testcase>\n";
  }
  bool end(const Totals& t) override {
    std::ofstream file(path_);
    file << "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"" << escaped(plugin_)
         << "\" tests=\"" << t.passed + t.failed + t.skipped << "\" failures=\"" << t.wrong << "\" time=\""
         << seconds(t.seconds) << "\">\n";
    for (const auto& [name, suite] : suites_)
      file << "  <testsuite name=\"" << name << "\" tests=\"" << suite.tests << "\" failures=\""
           << suite.failures << "\" skipped=\"" << suite.skipped << "\" time=\"" << seconds(suite.seconds)
           << "\">\n    <properties><property name=\"seed\" value=\"" << seed_ << "\"/></properties>\n"
           << suite.cases << "  </testsuite>\n";
    file << "</testsuites>\n";
    file.close();
    return file.good();
  }

private:
  struct Written {
    int tests = 0, failures = 0, skipped = 0;
    double seconds = 0;
    std::string cases;
  };

  // Attribute text: XML allows no other control characters, and what is not ASCII may not be UTF-8.
  static std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text)
      switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7F ? '?' : c;
        break;
      }
    return out;
  }
  static std::string seconds(double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.3f", value);
    return text;
  }

  std::string path_, plugin_;
  std::uint64_t seed_ = 0;
  std::map<std::string, Written> suites_;
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
std::unique_ptr<Report> junit_report(const std::string& path) {
  return std::make_unique<JUnit>(path);
}

} // namespace conformance
