// SPDX-License-Identifier: MIT
//
// Purpose     The queue of run_permits.h.
#include "gc/run_permits.h"

#include "heap/os_memory.h"

#include <algorithm>
#include <chrono>
#include <new>

namespace echo {

void RunPermits::drop(Mutator& mutator) {
  mutator.has_permit.store(false);
  std::erase(holders_, &mutator);
}

// All accesses are sequentially consistent: see the algorithm.
bool RunPermits::find_free() {
  if (holders_.size() < count_) {
    return true;
  }
  for (Mutator* holder : holders_) {
    if (holder->state.load() == ThreadState::Managed || holder->resumes.load(std::memory_order_relaxed)) {
      continue;
    }
    holder->has_permit.store(false);
    holder->poll_word.store(0);
    if (holder->state.load() != ThreadState::Managed) {
      std::erase(holders_, holder);
      return true;
    }
    holder->has_permit.store(true); // it came back; its next poll is a cold one
  }
  return false;
}

void RunPermits::grant(Mutator& mutator) {
  mutator.has_permit.store(true);
  mutator.gives_up.store(false);
  mutator.permit_since_ns = os::monotonic_ns();
  holders_.push_back(&mutator);
}

void RunPermits::pass_on() {
  while (!waiters_.empty() && find_free()) {
    const Entry first = waiters_.front();
    waiters_.pop_front();
    grant(*first.mutator);
    first.waiter->granted = true;
    first.waiter->wake.notify_one();
  }
  waiting_.store(waiters_.size(), std::memory_order_relaxed);
  if (!waiters_.empty()) {
    waiters_.front().waiter->wake.notify_one(); // it keeps the time from now on
  }
}

void RunPermits::ask_the_longest() {
  const auto longest =
      std::min_element(holders_.begin(), holders_.end(), [](const Mutator* a, const Mutator* b) {
        return a->permit_since_ns < b->permit_since_ns;
      });
  if (longest != holders_.end() && os::monotonic_ns() - (*longest)->permit_since_ns >= kTurnNs) {
    (*longest)->permit_since_ns = os::monotonic_ns(); // the next one is asked next
    (*longest)->gives_up.store(true);
    (*longest)->poll_word.store(0);
  }
}

std::uint64_t RunPermits::acquire(Mutator& mutator) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (mutator.has_permit.load()) {
    return 0;
  }
  if (waiters_.empty() && find_free()) {
    grant(mutator);
    return 0;
  }
  const std::uint64_t start = os::monotonic_ns();
  Waiter self;
  waiters_.push_back({&mutator, &self});
  waiting_.store(waiters_.size(), std::memory_order_relaxed);
  while (!self.granted) {
    if (waiters_.front().waiter == &self) {
      pass_on();
      if (self.granted) {
        break;
      }
      ask_the_longest();
      self.wake.wait_for(lock, std::chrono::nanoseconds(kTurnNs / 2));
    } else {
      self.wake.wait(lock);
    }
  }
  return os::monotonic_ns() - start;
}

void RunPermits::yield_at_rest(Mutator& mutator) {
  const std::lock_guard<std::mutex> lock(mutex_);
  mutator.gives_up.store(false);
  if (mutator.has_permit.load() && !waiters_.empty()) {
    drop(mutator);
    pass_on();
  }
}

void RunPermits::keep_only(Mutator& self) {
  new (&mutex_) std::mutex;
  waiters_.clear();
  waiting_.store(0, std::memory_order_relaxed);
  holders_.clear();
  if (is_on()) {
    grant(self); // it is managed
  }
}

void RunPermits::forget(Mutator& mutator) {
  const std::lock_guard<std::mutex> lock(mutex_);
  drop(mutator);
  pass_on();
}

} // namespace echo
