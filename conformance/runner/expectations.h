// SPDX-License-Identifier: MIT
//
// expectations.h - the failures that a plugin is known to have, each with a clause and a reason.
//
// Drawing     one line each, '#' begins a comment:   suite.test  [area.topic.N]  reason, in words
// Invariants  [kit.expect.1] A run with expectations succeeds iff exactly these tests fail: an expected
//             failure that passes or is skipped is as wrong as a failure that nobody expected. [kit.expect.2]
//             A line must name a test that exists and a clause that this test cites.
#ifndef ECHO_CONFORMANCE_EXPECTATIONS_H
#define ECHO_CONFORMANCE_EXPECTATIONS_H

#include "harness.h"

#include <map>
#include <string>

namespace conformance {

struct Expectation {
  std::string clause, reason;
};
// "suite.test" -> why it fails
using Expectations = std::map<std::string, Expectation>;

// False with a sentence in *why that names file and line.
bool read_expectations(const std::string& path, const std::vector<Suite>& suites, Expectations* out,
                       std::string* why);

} // namespace conformance

#endif // ECHO_CONFORMANCE_EXPECTATIONS_H
