// SPDX-License-Identifier: MIT
//
// Purpose     std::mutex with clang's thread-safety annotations. (Abseil's blocking types are not used: a
//             thread that once blocked in them crashes at its exit if the plugin has been unloaded.)
#pragma once

#include <mutex>
#include <new>
#include <type_traits>
#include <vector>

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

// Enters the list of the heap that is being made on this thread, if one is. [fork.prepare.1]
class ECHO_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
public:
  constexpr Mutex() {
    if (!std::is_constant_evaluated()) { // statics belong to no heap
      enlist();
    }
  }
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  void lock() ECHO_THREAD_ATTRIBUTE(acquire_capability()) { mutex_.lock(); }
  bool try_lock() ECHO_THREAD_ATTRIBUTE(try_acquire_capability(true)) { return mutex_.try_lock(); }
  void unlock() ECHO_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }
  // In the child of a fork, where its holder may be gone: free again.
  void renew() { new (&mutex_) std::mutex; }

private:
  void enlist();

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

// All mutexes of one heap.
class MutexList {
public:
  // From here to end() every mutex that this thread makes enters the list. Members of the heap stand between both.
  class Registering {
  public:
    explicit Registering(MutexList& list);
    ~Registering(); // the heap's maker threw
    Registering(const Registering&) = delete;
    Registering& operator=(const Registering&) = delete;
    void end();

  private:
    MutexList* const outer_;
    bool ended_ = false;
  };
  void add(Mutex& mutex) { all_.push_back(&mutex); }
  std::size_t size() const { return all_.size(); }
  // All but those that `skip` says; false: one is taken, and none is held.
  template <class Skip> bool try_lock_all(Skip skip) ECHO_NO_THREAD_ANALYSIS {
    for (std::size_t i = 0; i < all_.size(); ++i) {
      if (!skip(*all_[i]) && !all_[i]->try_lock()) {
        while (i > 0) {
          if (!skip(*all_[--i])) {
            all_[i]->unlock();
          }
        }
        return false;
      }
    }
    return true;
  }
  template <class Skip> void unlock_all(Skip skip) ECHO_NO_THREAD_ANALYSIS {
    for (Mutex* mutex : all_) {
      if (!skip(*mutex)) {
        mutex->unlock();
      }
    }
  }
  void renew_all() {
    for (Mutex* mutex : all_) {
      mutex->renew();
    }
  }

private:
  std::vector<Mutex*> all_;
};

} // namespace echo
