// SPDX-License-Identifier: MIT
//
// workers.h - threads of a test: each is attached, and a failure in one fails the test.
#ifndef ECHO_CONFORMANCE_WORKERS_H
#define ECHO_CONFORMANCE_WORKERS_H

#include "plugin.h"

#include <functional>
#include <thread>

namespace conformance {

class Workers {
public:
  explicit Workers(const Heap& heap) : heap_(&heap) {}
  ~Workers() { join(); }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Runs `body` on a thread that is attached for its duration.
  void start(std::function<void(const Mutator&)> body) {
    start_bare([this, work = std::move(body)] {
      const Mutator mutator(*heap_);
      work(mutator);
    });
  }
  // Runs `body` on a thread that attaches itself, or does not.
  void start_bare(std::function<void()> body) {
    threads_.emplace_back([work = std::move(body)] {
      try {
        work();
      } catch (const Failed& failed) {
        note_failure(failed.why);
      }
    });
  }
  void join() {
    for (std::thread& thread : threads_)
      thread.join();
    threads_.clear();
  }
  // Joins on an attached thread: blocked meanwhile, so that no stop waits for it.
  void join_from(const Mutator& mutator) {
    EXPECT_STATUS(mutator.api().enter_blocked(mutator.get()), ECHO_OK, "enter_blocked");
    join();
    EXPECT_STATUS(mutator.api().leave_blocked(mutator.get()), ECHO_OK, "leave_blocked");
    if (const std::string failure = noted_failure(); !failure.empty())
      throw Failed{failure};
  }

private:
  const Heap* heap_;
  std::vector<std::thread> threads_;
};

} // namespace conformance

#endif // ECHO_CONFORMANCE_WORKERS_H
