// SPDX-License-Identifier: MIT
//
// Purpose     Proves that no store went round the barrier: a check of the VM's compiler and of our own
//             recipes.
// Algorithm   In a stop, remember the value of every reference slot of every reachable object, and of every
//             ambiguous word in one that hits an object. At the next stop, each slot of an object that still
//             exists and whose value differs must have a deletion record since the last stop that holds the
//             remembered value.
// Invariants  [audit.store.1] Objects do not move between the two stops. Initialising stores concern objects
//             that were born after the first stop, or before it and not stored to since: neither is in the
//             snapshot. By [bar.log.2] the oldest record of a slot holds the remembered value; which one is the
//             oldest is not known, since threads log apart, so it may be any of them.
#pragma once

#include "barriers/deletion_log.h"
#include "gc/verifier.h"

#include <string>
#include <unordered_map>

namespace echo {

class BarrierAudit {
public:
  BarrierAudit(Memory& memory, RootSet& roots) : memory_(memory), roots_(roots) {}

  // In a stop, before anything is freed; logs flushed. "" or the first store that was not announced.
  std::string compare(const std::vector<DeletionRecord>& log);
  // In a stop, after freeing.
  void remember(const std::vector<Mutator*>& mutators);

private:
  struct Remembered {
    Address value;
    Address object;
  };
  Memory& memory_;
  RootSet& roots_;
  std::unordered_map<Address, Remembered> slots_;
};

} // namespace echo
