// SPDX-License-Identifier: MIT
//
// Purpose     The protocol of safepoint.h. Every access to a thread's state or to the stop word is
//             sequentially consistent: the argument of [stop.state.1] is store-then-load on both sides [port.order.1].
#include "gc/safepoint.h"

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
  const std::uint64_t arrived = os::monotonic_ns();
  pauses_.record_time_to_safepoint(arrived - asked_ns_);
  {
    const MutexLock lock(registry_mutex_);
    in_stop_.assign(active_.begin(), active_.end()); // [stop.active.3]
  }
  RunQueue* const queue = RunQueue::mine();
  std::uint64_t waited = waited_to_arrive(queue, arrived);
  if (queue != nullptr) {
    queue->look_anew();
  }
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
  if (queue != nullptr && os::monotonic_ns() - arrived >= RunQueue::kWorthNs) {
    waited += queue->waited_since(arrived);
  }
  last_stop_ = {asked_ns_, os::monotonic_ns(), waited};
  last_cause_.store(work_->cause);
  set_idle(word);
}

std::uint64_t Safepoints::wait_for_idle(RunQueue* queue) {
  const std::uint32_t first = stop_word_.load();
  if (phase_of(first) == kIdle) {
    return 0;
  }
  const std::uint64_t start = os::monotonic_ns();
  if (queue != nullptr) {
    queue->look(); // nobody waits for this thread now
  }
  for (;;) {
    const std::uint32_t word = stop_word_.load();
    if (phase_of(word) == kIdle || sequence_of(word) != sequence_of(first)) {
      return os::monotonic_ns();
    }
    if (os::monotonic_ns() - start < kYieldNs) {
      ::sched_yield();
      continue;
    }
    if (queue != nullptr) {
      queue->look();
    }
    sleepers_.fetch_add(1);
    futex_wait(&stop_word_, word);
    sleepers_.fetch_sub(1);
  }
}

// --- what a pause owes to the machine

// Behind the request: whoever is managed now may be the last to arrive. One that waits for a processor now has waited longer than
// the kernel says: hence its processor time too.
void Safepoints::note_asked_threads() {
  std::array<const Mutator*, kMostAsked> managed{};
  std::size_t count = 0;
  {
    const MutexLock lock(registry_mutex_);
    for (const Mutator* m : active_) {
      if (count < managed.size() && m->run_queue.is_open() && m->state.load() == ThreadState::Managed) {
        managed[count++] = m; // it stays attached: the list is frozen
      }
    }
  }
  for (std::size_t i = 0; i < count && phase_of(stop_word_.load()) == kAsked; ++i) {
    const std::uint64_t cpu_ns = os::cpu_ns_of(managed[i]->os_thread);
    asked_[i] = {&managed[i]->run_queue, os::monotonic_ns(), managed[i]->run_queue.read(), cpu_ns};
    asked_count_.store(i + 1, std::memory_order_release);
  }
}

// Of the thread itself: not more than it did not run since it was asked, nor more than the kernel says.
std::uint64_t Safepoints::waited_to_arrive(const RunQueue* queue, std::uint64_t now) const {
  if (queue == nullptr || now - asked_ns_ < RunQueue::kWorthNs) {
    return 0;
  }
  const auto end = asked_.begin() + static_cast<std::ptrdiff_t>(asked_count_.load(std::memory_order_acquire));
  const auto self =
      std::find_if(asked_.begin(), end, [queue](const AskedThread& t) { return t.queue == queue; });
  if (self == end || self->cpu_ns == 0) {
    return 0;
  }
  const std::uint64_t ran = os::thread_cpu_ns() - self->cpu_ns;
  const std::uint64_t since = now - std::min(now, self->ns);
  const std::uint64_t counted = queue->read();
  return std::min(since - std::min(since, ran), counted - std::min(counted, self->waited));
}

std::uint64_t Safepoints::waited(Mutator& mutator, std::uint64_t since) {
  const LastStop last = last_stop_;
  if (last.released <= since) {
    return mutator.run_queue.waited_since(since);
  }
  // A stop, of which this thread may have missed the beginning; then its own way back.
  const std::uint64_t missed = since - std::min(since, last.asked);
  const std::uint64_t in_stop = last.waited - std::min(last.waited, missed);
  if (mutator.seen_idle_ns > last.released) {
    return in_stop + std::min(mutator.run_queue.since_look(), mutator.seen_idle_ns - last.released);
  }
  return in_stop + mutator.run_queue.waited_since(last.released);
}

std::uint64_t Safepoints::begin_hold(Mutator& mutator, bool works) {
  mutator.permit_wait_ns = 0;
  mutator.seen_idle_ns = 0;
  const std::uint64_t now = os::monotonic_ns();
  if (works) {
    mutator.run_queue.look();
  }
  return now;
}

void Safepoints::record_hold(Mutator& mutator, echo_cause cause, std::uint64_t since) {
  const std::uint64_t end = os::monotonic_ns();
  const std::uint64_t held = end - since - std::min(end - since, mutator.permit_wait_ns);
  const std::uint64_t queued = held < RunQueue::kWorthNs ? 0 : waited(mutator, since);
  pauses_.record(mutator.utilisation, {cause, since, end, held, queued});
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
    note_idle(mutator);
  }
  mutator.resumes.store(false, std::memory_order_relaxed);
  resumed_(mutator);
  return held_since;
}

void Safepoints::leave_native(Mutator& mutator) {
  const ThreadState left = mutator.state.load(std::memory_order_relaxed);
  const ThreadState rest = left == ThreadState::Managed ? ThreadState::Native : left; // the recipe's exchange
  (void)begin_hold(mutator, false);
  if (const std::uint64_t held_since = to_managed(mutator, rest); held_since != 0) {
    record_hold(mutator, last_cause_.load(), held_since);
  }
}

void Safepoints::poll(Mutator& mutator) {
  ++mutator.cold_polls;
  save_in_place(mutator);
  const std::uint64_t held_since = begin_hold(mutator, false);
  const bool held = phase_of(stop_word_.load()) != kIdle;
  if (held) {
    mutator.resumes.store(true, std::memory_order_relaxed);
    to_rest(mutator);
    note_idle(mutator);
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
  const std::uint64_t held_since = self == nullptr ? 0 : begin_hold(*self, false);
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
      asked_count_.store(0);
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
      note_asked_threads();
      arrive();
      RunQueue* const queue = RunQueue::mine();
      const std::uint64_t seen = wait_for_idle(queue);
      if (self != nullptr) {
        self->seen_idle_ns = seen;
      } else if (seen != 0 && queue != nullptr) {
        queue->look(); // what it waited beside the work is not on anybody's way
      }
      done = true;
    }
  }
  if (self != nullptr) {
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
  asked_count_.store(0);
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
  last_stop_ = {asked_ns_, os::monotonic_ns(), 0};
  last_cause_.store(ECHO_CAUSE_requested);
  set_idle(word);
}

std::vector<Mutator*> Safepoints::keep_only(Mutator& self) {
  const MutexLock lock(registry_mutex_);
  std::vector<Mutator*> others = mutators_;
  std::erase(others, &self);
  mutators_.assign(1, &self);
  active_.assign(1, &self);
  in_stop_.assign(1, &self); // the child drops the cycle as in the work of a stop
  ran_.clear();
  sleepers_.store(0);
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
