// SPDX-License-Identifier: MIT
//
// Purpose     The protocol of safepoint.h. Every access to a thread's state or to the stop word is
//             sequentially consistent: the argument of [stop.state.1] is store-then-load on both sides [port.order.1].
#include "gc/safepoint.h"

#include "gc/futex.h"
#include "heap/assert.h"
#include "heap/os_memory.h"

#include <algorithm>
#include <sched.h>

namespace echo {

namespace {
constexpr std::uint64_t kYieldNs = 120'000;
}

void Safepoints::maybe_yield() {
  if (!random_yields_) {
    return;
  }
  std::uint64_t x = seed_.fetch_add(0x9E3779B97F4A7C15u, std::memory_order_relaxed);
  x ^= x >> 31;
  x *= 0xBF58476D1CE4E5B9u;
  if ((x >> 60) < 6) {
    ::sched_yield();
  }
}

void Safepoints::arrive() {
  std::uint32_t word = stop_word_.load();
  if (phase_of(word) != kAsked) {
    return;
  }
  maybe_yield();
  {
    // The stop we saw may end while we look, and a thread leave the list: hence the lock.
    const MutexLock lock(registry_mutex_);
    for (const Mutator* m : active_) {
      if (m->state.load() == ThreadState::Managed) {
        return; // that thread will arrive after us
      }
    }
  }
  if (!stop_word_.compare_exchange_strong(word, (word & ~3u) | kWorking)) {
    return; // another thread works, or the stop is over
  }
  pauses_.record_time_to_safepoint(os::monotonic_ns() - asked_ns_);
  work_->run(mutators_);
  {
    const MutexLock lock(registry_mutex_);
    for (Mutator* m : active_) { // [stop.active.1]
      deactivated_(*m);
      note_run(*m);
      m->is_active.store(false);
      m->poll_word.store(0); // its thread may have written it back just before it saw the stop
    }
    active_.clear();
  }
  last_cause_.store(work_->cause);
  stop_word_.store((sequence_of(word) + 1) << 2 | kIdle);
  futex_wake_all(&stop_word_);
}

void Safepoints::wait_for_idle() {
  const std::uint32_t sequence = sequence_of(stop_word_.load());
  const std::uint64_t start = os::monotonic_ns();
  for (;;) {
    const std::uint32_t word = stop_word_.load();
    if (phase_of(word) == kIdle || sequence_of(word) != sequence) {
      return;
    }
    if (os::monotonic_ns() - start < kYieldNs) {
      ::sched_yield();
    } else {
      futex_wait(&stop_word_, word);
    }
  }
}

void Safepoints::to_rest(Mutator& mutator) {
  if (mutator.state.load(std::memory_order_relaxed) == ThreadState::Managed) {
    mutator.state.store(mutator.state_at_rest());
    maybe_yield();
    arrive();
  }
}

void Safepoints::enter_native(Mutator& mutator, ThreadState state) {
  if (mutator.stack != nullptr) {
    mutator.stack->save_copy();
    state = state == ThreadState::Native ? ThreadState::Captured : state;
  }
  mutator.state.store(state);
  maybe_yield();
  if (phase_of(stop_word_.load()) != kIdle) {
    arrive(); // we may have been the last
  }
  give_up_permit(mutator);
}

void Safepoints::entered_native(Mutator& mutator) {
  maybe_yield();
  if (phase_of(stop_word_.load()) != kIdle) {
    arrive();
  }
  give_up_permit(mutator);
}

void Safepoints::register_active(Mutator& mutator) {
  if (!mutator.is_active.load()) {
    const MutexLock lock(registry_mutex_);
    mutator.is_active.store(true);
    active_.push_back(&mutator);
  }
}

std::uint64_t Safepoints::held_ns(const Mutator& mutator, std::uint64_t since) {
  const std::uint64_t ns = os::monotonic_ns() - since;
  return ns - std::min(ns, mutator.permit_wait_ns);
}

void Safepoints::record_hold(const Mutator& mutator, echo_cause cause, std::uint64_t since) {
  pauses_.record(cause, held_ns(mutator, since));
}

// A permit may have been taken from a thread at rest; until it has one it is at rest again.
void Safepoints::wait_for_permit(Mutator& mutator, ThreadState rest) {
  mutator.state.store(rest); // the recipe has exchanged it already
  maybe_yield();
  arrive();
  if (const std::uint64_t waited = permits_.acquire(mutator); waited != 0) {
    mutator.permit_wait_ns += waited;
    pauses_.record_permit_wait(waited);
  }
}

// From the state `rest` to managed; the time since which a stop held the thread, or 0.
std::uint64_t Safepoints::to_managed(Mutator& mutator, ThreadState rest) {
  std::uint64_t held_since = 0;
  mutator.resumes.store(true, std::memory_order_relaxed);
  for (;;) {
    if (!permits_.may_run(mutator)) {
      wait_for_permit(mutator, rest);
    }
    register_active(mutator); // before the look at the stop word: a stop that does not see it is seen
    mutator.state.store(ThreadState::Managed);
    maybe_yield();
    const std::uint64_t idle = mutator.idle_poll_word();
    if (mutator.poll_word.load(std::memory_order_relaxed) != idle) {
      mutator.poll_word.store(idle); // [stop.poll.1]: before the look at the stop word
    }
    if (phase_of(stop_word_.load()) == kIdle) {
      if (mutator.is_active.load() && permits_.may_run(mutator)) {
        break; // and any later stop waits for this thread
      }
      continue; // a stop came and went between the registration and the look, or the permit was taken
    }
    if (held_since == 0) {
      held_since = os::monotonic_ns();
    }
    mutator.state.store(rest);
    maybe_yield();
    arrive(); // whoever saw us managed for a moment has left the work to us
    wait_for_idle();
  }
  mutator.resumes.store(false, std::memory_order_relaxed);
  resumed_(mutator);
  return held_since;
}

void Safepoints::leave_native(Mutator& mutator) {
  const ThreadState left = mutator.state.load(std::memory_order_relaxed);
  const ThreadState rest = left == ThreadState::Managed ? ThreadState::Native : left; // the recipe's exchange
  mutator.permit_wait_ns = 0;
  if (const std::uint64_t held_since = to_managed(mutator, rest); held_since != 0) {
    record_hold(mutator, last_cause_.load(), held_since);
  }
}

void Safepoints::poll(Mutator& mutator) {
  ++mutator.cold_polls;
  save_in_place(mutator);
  mutator.permit_wait_ns = 0;
  const std::uint64_t held_since = os::monotonic_ns();
  const bool held = phase_of(stop_word_.load()) != kIdle;
  if (held) {
    mutator.resumes.store(true, std::memory_order_relaxed);
    to_rest(mutator);
    wait_for_idle();
  }
  if (mutator.gives_up.load(std::memory_order_relaxed)) {
    to_rest(mutator);
    give_up_permit(mutator);
  }
  // Native if a stop was on; without one this writes the poll word back.
  if (to_managed(mutator, mutator.state_at_rest()) != 0 || held) {
    record_hold(mutator, last_cause_.load(), held_since);
  }
}

bool Safepoints::stop(Mutator* self, StopWork& work) {
  const std::uint64_t held_since = os::monotonic_ns();
  if (self != nullptr) {
    save_in_place(*self);
    to_rest(*self);
  }
  bool done = false;
  {
    const MutexLock one_asker(stop_mutex_);
    if (work.still_wanted()) {
      const MutexLock frozen(list_mutex_);
      work_ = &work;
      asked_ns_ = os::monotonic_ns();
      const std::uint32_t word = stop_word_.load();
      ECHO_CHECK(phase_of(word) == kIdle, "[stop.who.1] a stop begins inside another");
      {
        // Whoever arrives looks at the states under this lock, so after all poll words are 0: the recipe for leaving native
        // looks at them alone.
        const MutexLock lock(registry_mutex_);
        stop_word_.store(word | kAsked);
        for (Mutator* m : active_) {
          m->poll_word.store(0);
        }
      }
      maybe_yield();
      arrive();
      wait_for_idle();
      done = true;
    }
  }
  if (self != nullptr) {
    self->permit_wait_ns = 0;
    (void)to_managed(*self, self->state_at_rest());
    record_hold(*self, work.cause, held_since);
  }
  return done;
}

// Nobody else begins the work: whoever arrives finds this thread managed.
void Safepoints::hold(Mutator& self) {
  const std::uint32_t word = stop_word_.load();
  ECHO_CHECK(phase_of(word) == kIdle, "[stop.who.1] a stop begins inside another");
  work_ = nullptr;
  asked_ns_ = os::monotonic_ns();
  {
    const MutexLock lock(registry_mutex_);
    stop_word_.store(word | kAsked);
    for (Mutator* m : active_) {
      m->poll_word.store(0);
    }
  }
  for (;;) {
    {
      const MutexLock lock(registry_mutex_);
      if (std::none_of(active_.begin(), active_.end(), [&self](const Mutator* m) {
            return m != &self && m->state.load() == ThreadState::Managed;
          })) {
        stop_word_.store((word & ~3u) | kWorking);
        break;
      }
    }
    ::sched_yield();
  }
  pauses_.record_time_to_safepoint(os::monotonic_ns() - asked_ns_);
}

void Safepoints::release(Mutator& self) {
  const std::uint32_t word = stop_word_.load();
  {
    const MutexLock lock(registry_mutex_);
    for (Mutator* m : active_) {
      if (m != &self) {
        deactivated_(*m);
        note_run(*m);
        m->is_active.store(false);
        m->poll_word.store(0);
      }
    }
    active_.assign(1, &self); // it has stayed managed
    self.is_active.store(true);
    self.poll_word.store(self.idle_poll_word());
  }
  last_cause_.store(ECHO_CAUSE_requested);
  stop_word_.store((sequence_of(word) + 1) << 2 | kIdle);
  futex_wake_all(&stop_word_);
}

std::vector<Mutator*> Safepoints::keep_only(Mutator& self) {
  const MutexLock lock(registry_mutex_);
  std::vector<Mutator*> others = mutators_;
  std::erase(others, &self);
  mutators_.assign(1, &self);
  active_.assign(1, &self);
  ran_.clear();
  self.has_run = false;
  note_run(self);
  return others;
}

void Safepoints::unlist(Mutator* mutator) {
  const auto it = std::find(mutators_.begin(), mutators_.end(), mutator);
  ECHO_CHECK(it != mutators_.end(), "[stop.order.1] an unlisted thread detaches");
  mutators_.erase(it);
  std::erase(active_, mutator);
  std::erase(ran_, mutator);
  mutator->is_active.store(false);
}

bool Safepoints::is_at_rest(pthread_t thread) {
  const MutexLock lock(registry_mutex_);
  return std::any_of(mutators_.begin(), mutators_.end(), [thread](const Mutator* m) {
    return ::pthread_equal(m->os_thread, thread) != 0 && m->state.load() != ThreadState::Managed;
  });
}

bool Safepoints::is_attached(pthread_t thread) {
  const MutexLock lock(registry_mutex_);
  return std::any_of(mutators_.begin(), mutators_.end(),
                     [thread](const Mutator* m) { return ::pthread_equal(m->os_thread, thread) != 0; });
}

} // namespace echo
