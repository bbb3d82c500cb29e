// SPDX-License-Identifier: MIT
//
// Purpose     At most so many threads are managed at a time, so that a stop waits for few threads even if many more than
//             there are processors want to run.
// Drawing     holders (at most `count`)          waiters, first come first served, at rest
//             run; keep the permit at rest  <--  the first takes a free permit, or that of a holder at rest, or asks the
//                                                one that has run longest to give its permit up at its next poll
//
// Algorithm   Entering native state is a store in emitted code, so a permit is not given back there: it is taken from a
//             holder that is at rest, as a stop takes the right to run. Taker: has_permit = false, poll word = 0, look at
//             the state. Holder that returns: state = Managed, look at the poll word (recipe) or at has_permit (cold path).
//             Both store, then load: either the taker sees it managed and lets it be, or the holder takes the cold path.
//
// Invariants  [stop.permit.1] At most `count` threads are managed and past to_managed at a time. A thread waits for a permit at
//             rest, so stops pass. [permit.turn.1] With others waiting a holder gives its permit up at the first poll after
//             kTurnNs. [permit.wait.1] Only the first of the waiters wakes up by itself.
//             [permit.resume.1] A permit is not taken from a thread that was given it, or was held by a stop, and is on its way
//             to managed: else each hand-over would go on to the last of the waiters and wake them all.
// Threads     All under one mutex; permits are off if count is 0, and then nothing is looked at.
#pragma once

#include "gc/mutator.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

namespace echo {

class RunPermits {
public:
  explicit RunPermits(std::size_t count) : count_(count) {}

  bool is_on() const { return count_ != 0; }
  // Whether this managed thread may run on; of others it says nothing.
  bool may_run(const Mutator& mutator) const { return count_ == 0 || mutator.has_permit.load(); }
  // Waits for a permit; the thread is at rest. Nanoseconds waited.
  std::uint64_t acquire(Mutator& mutator);
  // Gives it back, if it has one and another thread waits. The thread is at rest, or about to be.
  void yield_at_rest(Mutator& mutator);
  // The thread goes.
  void forget(Mutator& mutator);
  // Over a fork, every other thread being at rest: what is known of permits stands still from hold() to release(), or in the
  // child to keep_only(). [fork.prepare.1]
  void hold() { mutex_.lock(); }
  void release() { mutex_.unlock(); }
  // The other threads are gone, those that wait with their stacks: the lock is made anew.
  void keep_only(Mutator& self);
  std::size_t waiting() const { return waiting_.load(std::memory_order_relaxed); }
  bool are_wanted() const { return waiting_.load(std::memory_order_relaxed) != 0; }

private:
  static constexpr std::uint64_t kTurnNs = 2'000'000;
  struct Waiter {
    std::condition_variable wake;
    bool granted = false;
  };

  bool find_free(); // a permit that nobody holds, or that could be taken
  void grant(Mutator& mutator);
  void pass_on();         // free permits to the first waiters
  void ask_the_longest(); // holder to give up, if its turn is over
  void drop(Mutator& mutator);

  const std::size_t count_;
  std::mutex mutex_;
  std::vector<Mutator*> holders_;
  struct Entry {
    Mutator* mutator;
    Waiter* waiter;
  };
  std::deque<Entry> waiters_;
  std::atomic<std::size_t> waiting_{0};
};

} // namespace echo
