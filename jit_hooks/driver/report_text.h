/* SPDX-License-Identifier: MIT
 *
 * report_text.h - the report for people, and the progress line.
 */
#ifndef ECHO_RUN_REPORT_TEXT_H
#define ECHO_RUN_REPORT_TEXT_H

#include <string>

#include "run_record.h"

namespace echo::run {

std::string report_text(const RunRecord& record);

/* One line without its newline, for a run that has gone on for `seconds`. */
std::string progress_text(double seconds, const echo_statistics& now);

} // namespace echo::run

#endif
