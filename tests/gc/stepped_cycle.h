// SPDX-License-Identifier: MIT
//
// Purpose     A cycle whose driver is the test: it is held between any two of its steps while the test does to the heap what
//             a program might do.
#pragma once

#include "tests/gc/test_heap.h"

#include <functional>
#include <thread>

namespace echo::test {

class SteppedCycle {
public:
  explicit SteppedCycle(TestHeap& of) : heap(of) {}
  void begin() const {
    heap.collector.prepare_cycle(ECHO_CAUSE_requested);
    heap.stopped([this](const std::vector<Mutator*>& m) { heap.collector.begin_mark(m, true); });
  }
  // Until nothing is left but what threads have not handed over.
  void mark() const {
    while (heap.collector.mark_slice(1) == Collector::MarkState::More) {
    }
  }
  bool end() const {
    bool ended = false;
    heap.stopped([&](const std::vector<Mutator*>& m) { ended = heap.collector.end_mark(m); });
    return ended;
  }
  // Everything up to the stop that ends the mark, that included.
  void end_marking() const {
    do {
      heap.collector.poll(*heap.mutator);
      mark();
    } while (!end());
  }
  // The rest: "" or why nothing was freed.
  std::string finish() const {
    heap.collector.finish_cycle();
    heap.keep_quiet();
    std::string why;
    (void)heap.collector.failure(&why);
    return why;
  }
  std::string finish_marking_and_sweep() const {
    end_marking();
    return finish();
  }
  Address weak_load(Address slot) const {
    Mutator& m = *heap.mutator;
    return m.phase == 0 ? load_slot(slot)
                        : weak_load_barrier_cold(m, m.barrier, heap.collector.barriers, slot);
  }
  // On another thread, which attaches now, does `body` and detaches.
  void on_another_thread(const std::function<void(Mutator&)>& body) const {
    heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
    std::thread([&] {
      Mutator* m = nullptr;
      std::string why;
      ASSERT_EQ(heap.collector.attach(&m, &why), ECHO_OK) << why;
      body(*m);
      heap.collector.detach(m);
    }).join();
    heap.collector.safepoints.leave_native(*heap.mutator);
  }

  TestHeap& heap;
};

} // namespace echo::test
