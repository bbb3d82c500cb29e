// SPDX-License-Identifier: MIT
//
// Purpose     std::mutex with clang's thread-safety annotations. (Abseil's blocking types are not used: a
//             thread that once blocked in them crashes at its exit if the plugin has been unloaded.)
#pragma once

#include <mutex>

#if defined(__clang__)
#define ECHO_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define ECHO_THREAD_ATTRIBUTE(x)
#endif
#define ECHO_GUARDED_BY(mutex) ECHO_THREAD_ATTRIBUTE(guarded_by(mutex))
#define ECHO_REQUIRES(...) ECHO_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define ECHO_EXCLUDES(...) ECHO_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define ECHO_NO_THREAD_ANALYSIS ECHO_THREAD_ATTRIBUTE(no_thread_safety_analysis)

namespace echo {

class ECHO_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
public:
  void lock() ECHO_THREAD_ATTRIBUTE(acquire_capability()) { mutex_.lock(); }
  bool try_lock() ECHO_THREAD_ATTRIBUTE(try_acquire_capability(true)) { return mutex_.try_lock(); }
  void unlock() ECHO_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }

private:
  std::mutex mutex_;
};

class ECHO_THREAD_ATTRIBUTE(scoped_lockable) MutexLock {
public:
  explicit MutexLock(Mutex& mutex) ECHO_THREAD_ATTRIBUTE(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.lock();
  }
  ~MutexLock() ECHO_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

private:
  Mutex& mutex_;
};

} // namespace echo
