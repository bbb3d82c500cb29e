// SPDX-License-Identifier: MIT
//
// report.h - how a run is told: to a person, as TAP (Test Anything Protocol, version 13), as JUnit's XML.
//
// Invariants  [kit.report.1] Each test is reported once, with its number in the list of all tests, its name,
//             its sentence and its clauses. [kit.report.2] An expected failure is marked as one in TAP and
//             makes no run fail.
#ifndef ECHO_CONFORMANCE_REPORT_H
#define ECHO_CONFORMANCE_REPORT_H

#include "expectations.h"
#include "isolate.h"

#include <memory>

namespace conformance {

struct Result {
  int number = 0;
  const Suite* suite = nullptr;
  const Test* test = nullptr;
  std::uint64_t seed = 0;
  Outcome outcome;
  const Expectation* expected = nullptr; // null: the test is expected to pass or to be skipped

  // Whether this result makes the run fail. [kit.expect.1]
  bool is_wrong() const { return (outcome.verdict == Verdict::failed) != (expected != nullptr); }
};

struct Totals {
  int passed = 0, failed = 0, skipped = 0, expected_failures = 0, wrong = 0;
  double seconds = 0;
  void add(const Result& result);
};

class Report {
public:
  Report() = default;
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;
  virtual ~Report() = default;
  virtual void begin(const std::string& plugin, std::uint64_t seed, int tests) = 0;
  virtual void add(const Result& result) = 0;
  // False if the report could not be written.
  virtual bool end(const Totals& totals) = 0;
};

std::unique_ptr<Report> tap_report();
std::unique_ptr<Report> text_report();
// Collects, and writes the file at end().
std::unique_ptr<Report> junit_report(const std::string& path);

} // namespace conformance

#endif // ECHO_CONFORMANCE_REPORT_H
