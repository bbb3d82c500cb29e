// SPDX-License-Identifier: MIT
//
// isolate.h - runs one test in a process of its own.
//
// Invariants  [kit.isolate.1] Whatever a plugin does - crash, hang, exit, corrupt memory - costs one test and
//             not the run. [kit.isolate.2] The runner's own process never loads a plugin and never starts a
//             thread, so that it can fork at any time. [kit.isolate.3] A test that passes has also left its
//             process in order: at its end the process exits normally, and a status other than 0 (a leak
//             found by a sanitizer) fails the test.
#ifndef ECHO_CONFORMANCE_ISOLATE_H
#define ECHO_CONFORMANCE_ISOLATE_H

#include "harness.h"

namespace conformance {

enum class Verdict : char { passed = 'p', failed = 'f', skipped = 's' };

struct Outcome {
  Verdict verdict = Verdict::failed;
  std::string why; // empty for passed
  double seconds = 0;
};

// The time limit is test.seconds * patience.
Outcome run_isolated(const Test& test, Context& context, double patience);

} // namespace conformance

#endif // ECHO_CONFORMANCE_ISOLATE_H
