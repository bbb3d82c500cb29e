// SPDX-License-Identifier: MIT
//
// Purpose     The ring and the deliverer of events.h.
#include "gc/events.h"

#include "heap/os_memory.h"

#include <algorithm>
#include <pthread.h>
#include <sched.h>

namespace echo {

Events::Events() : thread_([this] { deliver(); }) {}

void Events::put(echo_event_kind kind, std::uint32_t cause, std::uint32_t phase, std::uint64_t duration_ns,
                 std::uint64_t first, std::uint64_t second) {
  const std::uint64_t now = os::monotonic_ns();
  const MutexLock lock(mutex_);
  if (count_ == kWaiting) {
    ++lost_;
    return;
  }
  ring_[(first_ + count_) % kWaiting] = {sizeof(echo_event),
                                         static_cast<std::uint32_t>(kind),
                                         cause,
                                         phase,
                                         now,
                                         duration_ns,
                                         {first, second},
                                         lost_};
  lost_ = 0;
  ++count_;
}

bool Events::next(echo_event* out) {
  const MutexLock lock(mutex_);
  if (count_ == 0) {
    return false;
  }
  *out = ring_[first_];
  first_ = (first_ + 1) % kWaiting;
  --count_;
  return true;
}

void Events::deliver() {
  echo_event event{};
  while (next(&event)) {
    for (std::uint32_t after = 0;;) {
      Listener to{};
      {
        const MutexLock lock(mutex_);
        const auto found = std::find_if(listeners_.begin(), listeners_.end(), [&](const Listener& l) {
          return l.number > after && (l.kinds >> event.kind & 1) != 0;
        });
        if (found == listeners_.end()) {
          break;
        }
        to = *found;
        running_ = to.number;
        delivers_ = ::pthread_self();
      }
      after = to.number;
      to.listener(to.context, &event);
      const MutexLock lock(mutex_);
      running_ = 0;
    }
  }
}

void Events::note_kinds() {
  std::uint64_t kinds = 0;
  for (const Listener& l : listeners_) {
    kinds |= l.kinds;
  }
  kinds_.store(kinds, std::memory_order_relaxed);
}

echo_status Events::add(std::uint64_t kinds, echo_listener_fn listener, void* context, std::uint32_t* out,
                        std::string* why) {
  const MutexLock lock(mutex_);
  if (listeners_.size() == kMostListeners || last_number_ == UINT32_MAX) {
    *why = std::to_string(kMostListeners) + " listeners are there already";
    return ECHO_LIMIT_EXCEEDED;
  }
  if (!started_ && !thread_.start()) {
    *why = "the operating system refused the thread that calls listeners";
    return ECHO_SYSTEM_MEMORY;
  }
  started_ = true;
  listeners_.push_back({last_number_ + 1, kinds, listener, context});
  *out = ++last_number_;
  note_kinds();
  return ECHO_OK;
}

echo_status Events::remove(std::uint32_t listener, std::string* why) {
  mutex_.lock();
  const auto found = std::find_if(listeners_.begin(), listeners_.end(),
                                  [&](const Listener& l) { return l.number == listener; });
  if (found == listeners_.end()) {
    mutex_.unlock();
    *why = "no listener has the number " + std::to_string(listener);
    return ECHO_INVALID_ARGUMENT;
  }
  listeners_.erase(found);
  note_kinds();
  while (running_ == listener && ::pthread_equal(delivers_, ::pthread_self()) == 0) {
    mutex_.unlock();
    ::sched_yield();
    mutex_.lock();
  }
  mutex_.unlock();
  return ECHO_OK;
}

void Events::end() {
  thread_.stop();
  deliver();
}

} // namespace echo
