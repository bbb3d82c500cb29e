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
// Invariants  [stop.active.1] A stop deals with active threads: those that were managed since the last stop. At its end no
//             thread is; whoever becomes managed then registers first, under the registry lock. Others have not run.
//             [stop.active.2] The poll word of a thread that is not active is 0, so leaving native by the recipe takes
//             the cold path, and the requester writes nothing into it. [stop.active.3] Threads that want to become managed
//             while a stop works register all the same, and are sent back to rest at its end: the work sees the list as it
//             was when it began.
//             [stop.state.1] Work is done only while no active thread is Managed. Both sides store, then
//             load, with sequential consistency: either the arriver sees Managed, or the returning thread
//             sees the stop. [stop.who.1] Exactly one thread works per stop: the CAS decides. Nobody is woken
//             inside the work. [stop.order.1, thread.1] The thread list is frozen from asked to idle.
//             [stop.rest.1] What belongs to a thread at rest changes in stops, or with the list and the registry locked, so that
//             neither the work of a stop nor the thread itself reads it meanwhile.
//             [stop.wait.1] Waiters yield for 120 us, then sleep on a futex. [stop.poll.1] A poll word of 0
//             never gets lost: its thread writes its watermark back and looks at the stop word after that.
#pragma once

#include "gc/futex.h"
#include "gc/mutator.h"
#include "gc/pauses.h"
#include "gc/run_permits.h"
#include "heap/mutex.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
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
  // `resumed` is called by each thread that becomes managed through a cold path, before it runs on; it does not poll.
  // `deactivated` in every stop, of each thread that was active.
  using Hook = std::function<void(Mutator&)>;
  Safepoints(Pauses& pauses, bool random_yields, std::uint64_t seed, Hook resumed, Hook deactivated,
             std::size_t permits = 0)
      : pauses_(pauses), permits_(permits), random_yields_(random_yields), seed_(seed),
        resumed_(std::move(resumed)), deactivated_(std::move(deactivated)) {}

  // `enter` runs with the list frozen, before the mutator is on it.
  template <class Enter>
  void attach(Mutator* mutator, Enter enter) ECHO_EXCLUDES(list_mutex_, registry_mutex_) {
    {
      const MutexLock frozen(list_mutex_);
      const MutexLock lock(registry_mutex_);
      enter();
      in_stop_.reserve(mutators_.size() + 1); // no stop is on
      mutators_.push_back(mutator);
    }
    leave_native(*mutator);
  }
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
    if (permits_.is_on()) {
      permits_.forget(*mutator);
    }
  }

  void enter_native(Mutator& mutator, ThreadState state);
  void leave_native(Mutator& mutator);
  // Brings a managed thread to rest for as long as `body` runs: it waits for memory, or drives a collection. Returns when
  // no stop is on.
  template <class Body> [[gnu::noinline]] void at_rest(Mutator& mutator, Body body) {
    save_in_place(mutator);
    to_rest(mutator);
    body();
    (void)to_managed(mutator, mutator.state_at_rest());
  }
  // A hold of this thread begins, for work of its own if `works`; it ends with record_hold, on the thread, managed again. The
  // time. [stats.pause.1]
  static std::uint64_t begin_hold(Mutator& mutator, bool works);
  // Since `since`, but for what the thread has waited for its turn to run.
  void record_hold(Mutator& mutator, echo_cause cause, std::uint64_t since);
  static std::uint64_t held_ns(const Mutator& mutator, std::uint64_t since);
  // Behind the recipe's exchange of the state: this thread may have been the last that a stop waited for.
  void entered_native(Mutator& mutator);
  void poll(Mutator& mutator);
  // On a managed thread whose idle poll word has changed: writes it, and waits if a stop is on.
  void rearm(Mutator& mutator) {
    save_in_place(mutator);
    (void)to_managed(mutator, mutator.state_at_rest());
  }
  // Stops the world and has `work` done once. Called managed, or with null from a thread that is not
  // attached. Returns false if the work was not wanted any more once the stop lock was ours.
  bool stop(Mutator* self, StopWork& work) ECHO_EXCLUDES(stop_mutex_, list_mutex_);

  // A stop that the calling managed thread owns itself, over several calls, for a fork: gc/fork.cpp. In this order:
  // lock_stops at rest; hold; release; unlock_stops. [fork.prepare.1]
  void lock_stops() ECHO_NO_THREAD_ANALYSIS {
    stop_mutex_.lock();
    list_mutex_.lock();
  }
  void unlock_stops() ECHO_NO_THREAD_ANALYSIS {
    list_mutex_.unlock();
    stop_mutex_.unlock();
  }
  bool is_lock_of_stops(const Mutex& mutex) const { return &mutex == &stop_mutex_ || &mutex == &list_mutex_; }
  // Returns when every other thread is at rest; none becomes managed until release.
  void hold(Mutator& self) ECHO_EXCLUDES(registry_mutex_);
  void release(Mutator& self) ECHO_EXCLUDES(registry_mutex_);
  // While held, in the child of a fork: the others, which are no longer listed.
  std::vector<Mutator*> keep_only(Mutator& self) ECHO_EXCLUDES(registry_mutex_);

  // In the work of a stop: the threads that were managed since the last one, when the work began. [stop.active.3]
  const std::vector<Mutator*>& active() const { return in_stop_; }
  // Outside stops: visit(mutator) for threads that ran since and are not active, `most` of them: what a stop then need not do.
  // True: there are no more. One at a time, with stops kept away: the work of another stop reads what `visit` changes.
  // [stop.rest.1]
  template <class Visit>
  bool take_those_at_rest(Visit visit, std::size_t most = SIZE_MAX)
      ECHO_EXCLUDES(list_mutex_, registry_mutex_) {
    for (std::size_t i = SIZE_MAX; i > 0; --i) {
      const MutexLock frozen(list_mutex_);
      const MutexLock lock(registry_mutex_);
      i = std::min(i, ran_.size());
      if (i == 0) {
        return true;
      }
      Mutator* const m = ran_[i - 1];
      if (!m->is_active.load()) {
        if (most-- == 0) {
          return false;
        }
        m->has_run = false;
        ran_[i - 1] = ran_.back();
        ran_.pop_back();
        visit(*m);
      }
    }
    return true;
  }
  // In a stop: visit(mutator) for every thread that ran since the last call of this.
  template <class Visit> void take_those_that_ran(Visit visit) ECHO_EXCLUDES(registry_mutex_) {
    const MutexLock lock(registry_mutex_);
    for (Mutator* m : active_) {
      note_run(*m);
    }
    for (Mutator* m : ran_) {
      m->has_run = false;
      visit(*m);
    }
    ran_.clear();
  }
  // Runs visit(mutator) for the thread at `index`, which stays attached, and if it is not active does not become managed
  // meanwhile; false: there are not so many.
  template <class Visit> bool with_thread(std::size_t index, Visit visit) ECHO_EXCLUDES(registry_mutex_) {
    const MutexLock lock(registry_mutex_);
    if (index >= mutators_.size()) {
      return false;
    }
    visit(*mutators_[index]);
    return true;
  }
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
  // Of the threads, how many run managed code just now; `most` if it is more.
  std::size_t managed(std::size_t most) ECHO_EXCLUDES(registry_mutex_) {
    return for_each_managed(most, [](const Mutator&) {});
  }
  // The same, and visits them.
  template <class Visit>
  std::size_t for_each_managed(std::size_t most, Visit visit) ECHO_EXCLUDES(registry_mutex_) {
    const MutexLock lock(registry_mutex_);
    std::size_t found = 0;
    for (auto m = active_.begin(); m != active_.end() && found < most; ++m) {
      if ((*m)->state.load(std::memory_order_relaxed) == ThreadState::Managed) {
        ++found;
        visit(**m);
      }
    }
    return found;
  }
  std::size_t attached() ECHO_EXCLUDES(registry_mutex_) {
    const MutexLock lock(registry_mutex_);
    return mutators_.size();
  }
  bool is_attached(pthread_t thread) ECHO_EXCLUDES(registry_mutex_);
  bool is_at_rest(pthread_t thread) ECHO_EXCLUDES(registry_mutex_);
  // Stress: gives the other threads a chance at every protocol step.
  void maybe_yield();
  RunPermits& permits() { return permits_; }
  // Of the stop that is asked for: how many were noted as those that it waits for.
  std::size_t asked_threads() const { return asked_count_.load(std::memory_order_acquire); }
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
  void wait_for_permit(Mutator& mutator, ThreadState rest);
  void give_up_permit(Mutator& mutator) { // at rest
    if (permits_.is_on() && permits_.are_wanted()) {
      permits_.yield_at_rest(mutator);
    }
  }
  void arrive() ECHO_NO_THREAD_ANALYSIS; // the list is frozen while the work runs
  // `queue`: of the calling thread, or null. The time when it saw the end of the stop; 0: there was none.
  std::uint64_t wait_for_idle(RunQueue* queue);
  void note_idle(Mutator& mutator) {
    if (const std::uint64_t seen = wait_for_idle(&mutator.run_queue); seen != 0) {
      mutator.seen_idle_ns = seen;
    }
  }
  // Ends the stop. Sleepers are counted before they look at the word, and the word is written before they are counted here,
  // so that the call into the kernel is for somebody. [stop.wait.1]
  void set_idle(std::uint32_t word) {
    stop_word_.store((sequence_of(word) + 1) << 2 | kIdle);
    if (sleepers_.load() != 0) {
      futex_wake_all(&stop_word_);
    }
  }
  // How long the critical path of a pause waited for a processor, at least. [pause.net.1]
  std::uint64_t waited(Mutator& mutator, std::uint64_t since);
  void note_asked_threads() ECHO_EXCLUDES(registry_mutex_);
  std::uint64_t waited_to_arrive(const RunQueue* queue, std::uint64_t now) const;
  void note_run(Mutator& mutator) ECHO_REQUIRES(registry_mutex_) {
    if (!mutator.has_run) {
      mutator.has_run = true;
      ran_.push_back(&mutator);
    }
  }
  void register_active(Mutator& mutator) ECHO_EXCLUDES(registry_mutex_);

  Pauses& pauses_;
  RunPermits permits_;
  const bool random_yields_;
  std::atomic<std::uint64_t> seed_;
  const Hook resumed_, deactivated_;
  std::atomic<std::uint32_t> stop_word_{0};
  std::atomic<std::uint32_t> sleepers_{0}; // of those that wait for the end of a stop
  StopWork* work_ = nullptr;               // published by the store of kAsked
  std::uint64_t asked_ns_ = 0;             // likewise
  std::atomic<echo_cause> last_cause_{ECHO_CAUSE_requested};
  // Of the last stop that is over: changes only while no thread is managed.
  struct LastStop {
    std::uint64_t asked = 0, released = 0;
    std::uint64_t waited = 0; // by its last thread, for a processor: until it arrived, and in the work
  } last_stop_;
  // Of threads that were managed when a stop was asked for: written behind that by whoever asks, read by the last to arrive.
  struct AskedThread {
    const RunQueue* queue;
    std::uint64_t ns, waited, cpu_ns;
  };
  static constexpr std::size_t kMostAsked = 8;
  std::array<AskedThread, kMostAsked> asked_{};
  std::atomic<std::size_t> asked_count_{0};
  Mutex stop_mutex_;     // one asker at a time
  Mutex list_mutex_;     // held during a stop: freezes the list
  Mutex registry_mutex_; // held briefly around changes and reads of the list
  std::vector<Mutator*> mutators_ ECHO_GUARDED_BY(registry_mutex_);
  std::vector<Mutator*> active_ ECHO_GUARDED_BY(registry_mutex_);
  std::vector<Mutator*> ran_ ECHO_GUARDED_BY(registry_mutex_);
  std::vector<Mutator*> in_stop_; // written while the list is frozen, by whoever works
};

} // namespace echo
