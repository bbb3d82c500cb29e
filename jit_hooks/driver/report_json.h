/* SPDX-License-Identifier: MIT
 *
 * report_json.h - the report for programs: docs/echo-run.md has the schema.
 *
 * Invariants  [run.json.1] Names and units never change under one `schema` number; fields may be added.
 */
#ifndef ECHO_RUN_REPORT_JSON_H
#define ECHO_RUN_REPORT_JSON_H

#include <string>

#include "run_record.h"

namespace echo::run {

constexpr int json_schema = 1;

/* A run that reached main. */
std::string report_json(const RunRecord& record);

/* Refused input: only schema, program, exit and error. */
std::string refusal_json(const CommandLine& command, const Failure& failure);

} // namespace echo::run

#endif
