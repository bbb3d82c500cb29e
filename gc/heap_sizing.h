// SPDX-License-Identifier: MIT
//
// Purpose     How much the program may use until the next collection is over: the policies of the option `policy`.
// Equations   headroom: what may be allocated from the end of one collection to the end of the next. In each policy
//               growth       max(live * (growth - 100 %), least)
//               fixed        T - used, at least max(1 MiB, live / 16);  T = the option trigger, or all there is
//               membalancer  max(sqrt(live * g / (c * s)), least)                                     [size.policy.1]
//             least = the option trigger, or min(32 MiB, max(1 MiB, kBytesPerGcNs * t)) with t the CPU time of the last
//             collection. It keeps a program with little alive in the caches: while a collection costs 10 us, one per MiB
//             is cheaper than streaming through memory (measured, 24-byte objects: 2.4 ns each at 512 KiB, 4.6 at 32 MiB).
//             kBytesPerGcNs bounds what that costs: at 5 bytes allocated per ns, 100 is 5 % of the time.
//             target = used + max(0, headroom - holes), at most the end;  in fixed without the holes
//             external memory that counts as used: what was announced beyond base * growth, in the other policies beyond
//             base;  base = what there was at the end of the last collection                        [size.external.1]
// Algorithm   membalancer: Kirisame, Shenoy, Panchekha, "Optimal heap limits for reducing browser memory use", OOPSLA 2022.
//             g: bytes allocated per ns, from one collection's start to the next one's; s: live bytes per ns of the processor
//             time of a collection; each a quotient of two exponential averages (half of what was known stays), so that
//             long intervals weigh more. With a headroom of E the program allocates E in E / g, and one collection costs
//             live / s: a share of time of live * g / (s * E). Its derivative by E is what a byte more saves; where
//             that has come down to c, the heap is large enough: E = sqrt(live * g / (c * s)). c is the option `balance`, in
//             millionths of the time per MiB. Heaps of one c together collect least for the memory that they have together.
// Threads     One at a time: who drives the cycle.
#pragma once

#include "heap/config.h"

#include <cstddef>
#include <cstdint>

namespace echo {

// One finished cycle.
struct CycleMeasure {
  std::uint64_t live = 0;            // bytes marked
  std::uint64_t used = 0;            // after the sweep
  std::uint64_t holes = 0;           // recyclable
  std::uint64_t cpu_ns = 0;          // without counting objects
  std::uint64_t start_ns = 0;        // monotonic
  std::uint64_t mark_ns = 0;         // from the start to the end of marking
  std::uint64_t total_ns = 0;        // from the start to the end of sweeping
  std::uint64_t allocated_start = 0; // cumulative bytes when it started and when it ended
  std::uint64_t allocated_end = 0;
  std::uint64_t taken_start =
      0; // likewise of memory: empty slabs, holes and pages, of which small holes may not serve
  std::uint64_t taken_end = 0;
  bool at_once = false;    // the program was held from its start to its end [cycle.once.1]
  bool while_idle = false; // the program had stopped to allocate: what lies before says nothing of its rate
};

class HeapSizing {
public:
  struct Options {
    HeapPolicy policy = HeapPolicy::Growth;
    std::uint64_t growth_percent = 200;
    std::uint64_t balance = 0; // c: millionths of the time per MiB
    std::size_t trigger = 0;   // 0: adapts, or all there is
  };
  explicit HeapSizing(const Options& options) : options_(options) {}

  // Used bytes at which the next cycle should be over, at most `end`.
  std::uint64_t target(const CycleMeasure& cycle, std::uint64_t end);
  // Announced external memory up to which nothing counts as used.
  std::uint64_t external_allowed(std::uint64_t base) const;
  // Of membalancer, as far as it is known: bytes per ns.
  double allocation_rate() const { return allocated_.rate(); }
  double collection_rate() const { return collected_.rate(); }

private:
  // A quotient of two exponential averages.
  struct Rate {
    double bytes = 0, ns = 0;
    void note(double more_bytes, double more_ns) {
      bytes = ns == 0 ? more_bytes : (bytes + more_bytes) / 2;
      ns = ns == 0 ? more_ns : (ns + more_ns) / 2;
    }
    double rate() const { return ns > 0 ? bytes / ns : 0; }
  };
  void learn(const CycleMeasure& cycle);
  std::uint64_t grown(const CycleMeasure& cycle) const;
  std::uint64_t balanced(const CycleMeasure& cycle) const;
  std::uint64_t least(const CycleMeasure& cycle) const;

  const Options options_;
  Rate allocated_, collected_;
  std::uint64_t last_start_ns_ = 0, last_allocated_ = 0; // at the last start
};

} // namespace echo
