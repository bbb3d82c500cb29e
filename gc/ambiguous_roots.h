// SPDX-License-Identifier: MIT
//
// Purpose     Words of which nobody knows whether they are references: of stacks, of the registers of threads at rest, and
//             of data ranges.
// Invariants  [roots.ambiguous.1] They are read in the stop; what they hit is pinned until the next mark.
//             [roots.ambiguous.3] Of a thread whose stack is ambiguous: machine_stack.h. [roots.ambiguous.4] Ranges are
//             disjoint, do not wrap and lie outside the heap; they change while no stop is on, so that all looks of one
//             stop see the same.
#pragma once

#include "echo/heap.h"
#include "gc/mutator.h"
#include "heap/mutex.h"

#include <map>
#include <string>
#include <vector>

namespace echo {

struct RootVisitor;

class AmbiguousRoots {
public:
  // Once, before any use: the heap's reservation.
  void open(Address heap_base, std::size_t heap_bytes) {
    heap_base_ = heap_base;
    heap_bytes_ = heap_bytes;
  }

  // Outside stops. INVALID_ARGUMENT.
  echo_status add(const void* start, std::uint64_t bytes, std::string* why) ECHO_EXCLUDES(mutex_);
  echo_status remove(const void* start, std::string* why) ECHO_EXCLUDES(mutex_);

  // In a stop: every word that points into the heap's reservation. ECHO_OK; WRONG_STATE: a stack cannot be read.
  echo_status enumerate(const std::vector<Mutator*>& mutators, RootVisitor& visitor, std::string* why)
      ECHO_EXCLUDES(mutex_);

private:
  void scan(std::span<const std::uint64_t> words, echo_pin where, RootVisitor& visitor) const;

  Address heap_base_ = 0;
  std::size_t heap_bytes_ = 0;
  Mutex mutex_;
  std::map<Address, std::uint64_t> ranges_ ECHO_GUARDED_BY(mutex_); // start -> bytes
};

} // namespace echo
