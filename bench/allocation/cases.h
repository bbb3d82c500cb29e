// SPDX-License-Identifier: MIT
//
// Purpose     What allocating and reclaiming costs, measured for one allocator in one process.
//
//             batch   a working set's worth of objects: allocate each, write all its bytes, the address of the one
//                     before among them; then give the list up. malloc walks it and frees; the heap is left to find
//                     out, and collects each time a working set's worth has been allocated, so that both recycle the
//                     same amount of memory. Nothing survives: what a tracing collector is made for.
//             live    a ring of objects as large as the working set, all of them alive: each turn replaces the oldest.
//                     Every collection marks the whole ring: what a tracing collector is worst at. The heap's own
//                     trigger decides (default options).
//             fragmentation   per cent of used memory that is not live, of 100,000 objects of 16 to 1024 B: just filled
//                     (what tails of slabs lose), and after a million were replaced at random (holes, which the next
//                     objects fill; nothing is moved).
//
// Figures     Nanoseconds of wall time per object, allocation, writing and reclamation together, whole
//             batches at a time. Both sides write the same bytes. Two threads share the working set and
//             the heap; a figure is the slower thread's.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

namespace echo::bench {

// Calls `report` with a case's name and its figure in nanoseconds.
using Report = std::function<void(const std::string& name, double ns)>;

struct Settings {
  bool quick = false; // fewer sizes and batches
  bool cpu_time =
      false; // processor time of the process instead of wall time, for a machine that is busy otherwise;
             // it does not see threads wait for each other
  std::string only; // cases whose name contains it
};

void run_cases(bool echo, const Settings& settings, const Report& report);

std::string case_name(const char* kind, std::size_t bytes, std::size_t set_bytes, unsigned threads);

} // namespace echo::bench
