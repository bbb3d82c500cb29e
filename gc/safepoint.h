// SPDX-License-Identifier: MIT
//
// Purpose     Stops: one thread asks, every managed thread comes to rest at a poll, the last to arrive does
//             the work.
//
// Drawing     stop word:  | sequence | 0 idle / 1 asked / 2 working |
//
//             asker                         mutator at a poll               native thread that returns
//             state = Native                state = Native                  state = Managed
//             stop = asked                  arrive()                        look at stop: not idle?
//             poll words = 0                wait for idle                     state = Native, arrive(),
//             arrive(); wait for idle       state = Managed ...               wait, again; then run
//
//             arrive(): if stop is asked and no thread is Managed: CAS asked -> working; work; idle; wake all
//
// Invariants  [stop.state.1] Work is done only while no attached thread is Managed. Both sides store, then
//             load, with sequential consistency: either the arriver sees Managed, or the returning thread
//             sees the stop. [stop.who.1] Exactly one thread works per stop: the CAS decides. Nobody is woken
//             inside the work. [stop.order.1, thread.1] The thread list is frozen from asked to idle.
//             [stop.wait.1] Waiters yield for 120 us, then sleep on a futex. [stop.poll.1] A poll word of 0
//             never gets lost: its thread writes its watermark back and looks at the stop word after that.
#pragma once

#include "gc/mutator.h"
#include "gc/pauses.h"
#include "heap/mutex.h"

#include <atomic>
#include <vector>

namespace echo {

// What is done while the world is stopped.
class StopWork {
public:
  virtual ~StopWork() = default;
  // Runs on the last thread to arrive; must not allocate from the heap or wait for an attached thread.
  virtual void run(const std::vector<Mutator*>& mutators) = 0;
  // Asked with the stop lock held, before the stop: false cancels it.
  virtual bool still_wanted() { return true; }
  echo_cause cause = ECHO_CAUSE_requested;
};

class Safepoints {
public:
  Safepoints(Pauses& pauses, bool random_yields, std::uint64_t seed)
      : pauses_(pauses), random_yields_(random_yields), seed_(seed) {}

  void attach(Mutator* mutator) ECHO_EXCLUDES(list_mutex_, registry_mutex_);
  // `leave` runs with the list frozen, the mutator native and already off the list.
  template <class Leave>
  void detach(Mutator* mutator, Leave leave) ECHO_EXCLUDES(list_mutex_, registry_mutex_) {
    if (mutator->state.load(std::memory_order_relaxed) == ThreadState::Managed) {
      save_in_place(*mutator);
    }
    to_rest(*mutator);
    const MutexLock frozen(list_mutex_);
    const MutexLock lock(registry_mutex_);
    unlist(mutator);
    leave();
  }

  void enter_native(Mutator& mutator, ThreadState state);
  void leave_native(Mutator& mutator);
  // Behind the recipe's exchange of the state: this thread may have been the last that a stop waited for.
  void entered_native();
  void poll(Mutator& mutator);
  // Stops the world and has `work` done once. Called managed, or with null from a thread that is not
  // attached. Returns false if the work was not wanted any more once the stop lock was ours.
  bool stop(Mutator* self, StopWork& work) ECHO_EXCLUDES(stop_mutex_, list_mutex_);

  // Reads under a short lock that no stop holds: for statistics.
  template <class Visit> void for_each(Visit visit) ECHO_EXCLUDES(registry_mutex_) {
    const MutexLock lock(registry_mutex_);
    for (Mutator* m : mutators_) {
      visit(*m);
    }
  }
  // Runs `read` while what belongs to the calling thread stands still: of a managed thread it does, for one
  // at rest stops are kept away. Not to be called in a stop.
  template <class Read> void with_own_state(Read read) ECHO_EXCLUDES(list_mutex_, registry_mutex_) {
    if (is_at_rest(::pthread_self())) {
      const MutexLock frozen(list_mutex_);
      read();
    } else {
      read();
    }
  }
  // Runs `body` while no stop is on: of a managed thread that is so, for any other stops are kept away. Not to be called in
  // a stop.
  template <class Body> auto excluding_stops(Body body) ECHO_EXCLUDES(list_mutex_, registry_mutex_) {
    if (is_attached(::pthread_self()) && !is_at_rest(::pthread_self())) {
      return body();
    }
    const MutexLock frozen(list_mutex_);
    return body();
  }
  std::size_t attached() ECHO_EXCLUDES(registry_mutex_) {
    const MutexLock lock(registry_mutex_);
    return mutators_.size();
  }
  bool is_attached(pthread_t thread) ECHO_EXCLUDES(registry_mutex_);
  bool is_at_rest(pthread_t thread) ECHO_EXCLUDES(registry_mutex_);
  bool stop_asked() const { return phase_of(stop_word_.load(std::memory_order_relaxed)) != kIdle; }

private:
  static constexpr std::uint32_t kIdle = 0, kAsked = 1, kWorking = 2;
  static constexpr std::uint32_t phase_of(std::uint32_t word) { return word & 3; }
  static constexpr std::uint32_t sequence_of(std::uint32_t word) { return word >> 2; }

  // In the function whose frame stays until the thread is managed again. [stack.rest.1]
  [[gnu::always_inline]] static void save_in_place(Mutator& mutator) {
    if (mutator.stack != nullptr) {
      mutator.stack->save_in_place();
    }
  }
  void to_rest(Mutator& mutator);
  std::uint64_t to_managed(Mutator& mutator, ThreadState rest);
  void unlist(Mutator* mutator) ECHO_REQUIRES(registry_mutex_);
  void arrive() ECHO_NO_THREAD_ANALYSIS; // the list is frozen while the work runs
  void wait_for_idle();
  void maybe_yield();

  Pauses& pauses_;
  const bool random_yields_;
  std::atomic<std::uint64_t> seed_;
  std::atomic<std::uint32_t> stop_word_{0};
  StopWork* work_ = nullptr;   // published by the store of kAsked
  std::uint64_t asked_ns_ = 0; // likewise
  std::atomic<echo_cause> last_cause_{ECHO_CAUSE_requested};
  Mutex stop_mutex_;     // one asker at a time
  Mutex list_mutex_;     // held during a stop: freezes the list
  Mutex registry_mutex_; // held briefly around changes and reads of the list
  std::vector<Mutator*> mutators_ ECHO_GUARDED_BY(registry_mutex_);
};

} // namespace echo
