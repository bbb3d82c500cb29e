// SPDX-License-Identifier: MIT
//
// Purpose     The measurements of one allocator in one process.
//
//             pair       allocate, write the first word, free: ns per pair
//             loop       100,000 objects: allocate all and write their first words, then free all: ns per object
//             remote     one thread allocates and writes, another reads and frees: ns per object, both sides
//             sharing    two threads count in objects of their own; in words on two lines; in words on one
//             fragmentation   per cent of a mixed-size random workload: cells against what was asked for (internal),
//                        and everything committed against what is live (all)
//             control    a loop of the same length without an allocator, for what two threads cost by themselves
//
// Figures     are medians of batches measured one by one, so that what else happens on the machine falls out.
#pragma once

#include <functional>
#include <string>

namespace echo::bench {

// Calls `report` with a case's name and its figure in nanoseconds.
using Report = std::function<void(const std::string& name, double ns)>;

// Both sides write the same bytes. `echo`: the slab allocator of libecho_memory_pool, else malloc and free.
struct Settings {
  bool quick = false; // fewer batches
  std::string only;   // cases whose name begins with it; what a case needs is measured with it
};
void run_cases(bool echo, const Settings& settings, const Report& report);

} // namespace echo::bench
