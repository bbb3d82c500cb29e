// SPDX-License-Identifier: MIT
//
// suites.cpp - the suites in their order. New ones go to the end, so that numbers stay. [kit.run.1]
#include "harness.h"

namespace conformance {

std::vector<Suite> all_suites() {
  return {versioning_suite(), options_suite(),    layouts_suite(),    allocation_suite(), recipes_suite(),
          roots_suite(),      collection_suite(), frames_suite(),     threads_suite(),    heaps_suite(),
          statistics_suite(), jit_suite(),        ambiguous_suite(),  weak_suite(),       stepping_suite(),
          pace_suite(),       ephemerons_suite(), finalizers_suite(), persistent_suite(), services_suite(),
          events_suite(),     fork_suite()};
}

} // namespace conformance
