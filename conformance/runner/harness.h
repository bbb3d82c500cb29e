// SPDX-License-Identifier: MIT
//
// harness.h - what a test is: a function that returns, throws Failed, or throws Skipped.
//
// Purpose     The smallest test harness that fits judging a library one has not linked: tests are rows of a
//             table that can be listed without loading anything, and each runs in a process of its own
//             (isolate.h).
// Invariants  [kit.run.1] A test's number, name and clauses do not depend on the plugin. [kit.run.2]
//             Everything random in a test comes from Context::random, which depends on the seed and the
//             test's name only.
#ifndef ECHO_CONFORMANCE_HARNESS_H
#define ECHO_CONFORMANCE_HARNESS_H

#include "random.h"

#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace conformance {

struct Failed {
  std::string why;
};
struct Skipped {
  std::string why;
};

// What a test is given.
struct Context {
  std::string plugin_path; // to be loaded by the test, in its own process
  std::string jit_path;    // empty: no libecho_jit
  Random random{0};
};

struct Test {
  const char* name;     // words_with_underscores; unique in its suite
  const char* sentence; // what holds if the test passes
  const char* clauses;  // "[abi.layout.1] [abi.error.1]"
  void (*run)(Context&);
  int seconds = 60; // then the test's process is killed and the test has failed
};

struct Suite {
  const char* name;
  const char* sentence;
  std::vector<Test> tests;
};

// All suites, in the order in which they run. [kit.run.1]
std::vector<Suite> all_suites();

Suite versioning_suite();
Suite options_suite();
Suite layouts_suite();
Suite allocation_suite();
Suite recipes_suite();
Suite collection_suite();
Suite roots_suite();
Suite frames_suite();
Suite threads_suite();
Suite heaps_suite();
Suite statistics_suite();
Suite jit_suite();
Suite ambiguous_suite();
Suite weak_suite();
Suite pace_suite();
Suite stepping_suite();
Suite ephemerons_suite();
Suite finalizers_suite();
Suite persistent_suite();
Suite services_suite();
Suite events_suite();
Suite fork_suite();

// Ends the running test. The text says what was found; `where` is the line of the check.
[[noreturn]] void fail_at(const char* file, int line, const std::string& what);

// Fails the running test at its end: for destructors and other threads, which cannot throw. First one wins.
void note_failure(const std::string& what);
// What was noted, or empty.
std::string noted_failure();

// Any value as text, for messages.
template <typename T> std::string show(const T& value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

template <typename A, typename B>
void expect_equal_at(const char* file, int line, const A& found, const B& expected, std::string_view what) {
  if (!(found == expected))
    fail_at(file, line, std::string(what) + ": found " + show(found) + ", expected " + show(expected));
}

} // namespace conformance

#define EXPECT(condition, what)                                                                              \
  do {                                                                                                       \
    if (!(condition))                                                                                        \
      ::conformance::fail_at(__FILE__, __LINE__, (what));                                                    \
  } while (false)
#define EXPECT_EQ(found, expected, what)                                                                     \
  ::conformance::expect_equal_at(__FILE__, __LINE__, (found), (expected), (what))

#endif // ECHO_CONFORMANCE_HARNESS_H
