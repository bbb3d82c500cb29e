// SPDX-License-Identifier: MIT
//
// break.h - what the files of the faulty plugin share: the fault, the plugin that is broken, and the table with its functions replaced.
#ifndef ECHO_FAULTY_BREAK_H
#define ECHO_FAULTY_BREAK_H

#include "faults.h"

#include "echo/heap.h"

namespace faulty {

extern Fault fault;
extern const echo_heap_api* inner;
extern echo_heap_api table;

inline std::uint64_t& word(echo_ref object, std::uint64_t index) {
  return reinterpret_cast<std::uint64_t*>(object)[index];
}

// Each replaces the functions that its faults concern.
void break_roots();
void break_services();
void break_frames();
void break_ambiguous_roots();
void break_ephemerons_and_finalizers();

} // namespace faulty

#endif // ECHO_FAULTY_BREAK_H
