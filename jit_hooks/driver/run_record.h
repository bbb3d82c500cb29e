/* SPDX-License-Identifier: MIT
 *
 * run_record.h - everything one run is reported by, gathered once, shown as text and as JSON.
 *
 * Equations   [run.mutator.1] mutator_s = time threads spent in the program - pause_us.sum
 *             where a thread is in the program from entering its first compiled function to leaving it,
 *             except while it waits in echo_join. With one thread that is the wall time of main minus its
 *             pauses; with several it is a sum over the threads (thread-seconds).
 *             rates = totals / mutator_s
 */
#ifndef ECHO_RUN_RUN_RECORD_H
#define ECHO_RUN_RUN_RECORD_H

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>

#include "command_line.h"
#include "ending.h"
#include "plugins.h"

namespace echo::run {

struct RunRecord {
  const CommandLine* command = nullptr;
  const Plugins* plugins = nullptr;
  EndingKind ending = EndingKind::running;
  int exit_status = 0;
  Failure failure;
  uint64_t checksum = 0, checksum_values = 0;
  int64_t threads = 0;
  double prepare_s = 0; /* loading, parsing and compiling: until main is entered */
  double wall_s = 0;    /* from there to the ending */
  double mutator_s = 0;
  double user_s = 0, system_s = 0; /* CPU time of the whole process */
  echo_statistics heap{};
  echo_jit_statistics jit{};

  double per_mutator_second(uint64_t total) const {
    return mutator_s > 0 ? static_cast<double>(total) / mutator_s : 0;
  }
};

inline constexpr std::array<const char*, ECHO_CAUSE_COUNT> cause_names{
#define ECHO_RUN_CAUSE_NAME(name, sentence) #name,
    ECHO_CAUSE_TABLE(ECHO_RUN_CAUSE_NAME)
#undef ECHO_RUN_CAUSE_NAME
};
inline constexpr std::array<const char*, ECHO_PIN_COUNT> pin_names{
#define ECHO_RUN_PIN_NAME(name, sentence) #name,
    ECHO_PIN_TABLE(ECHO_RUN_PIN_NAME)
#undef ECHO_RUN_PIN_NAME
};
static_assert(pin_names.size() <= std::size(echo_statistics{}.pinned_by), "one counter per kind of word");
// The causes that may begin a collection are the first ones.
inline constexpr std::size_t first_causes = std::size(echo_statistics{}.collections_by_cause);
static_assert(cause_names.size() <= first_causes + std::size(echo_statistics{}.pause_by_later_cause_us),
              "a place for every cause");
inline const echo_distribution& pauses_of(const echo_statistics& heap, std::size_t cause) {
  return cause < first_causes ? heap.pause_by_cause_us[cause]
                              : heap.pause_by_later_cause_us[cause - first_causes];
}

} // namespace echo::run

#endif
