// SPDX-License-Identifier: MIT
//
// Purpose     Registered root words outside the heap: the VM's globals and module data.
// Invariants  [roots.block.1] At most kMaxWords words in all, so a stop can read them all. [roots.global.1]
//             Ranges are aligned and disjoint.
#pragma once

#include "echo/heap.h"
#include "gc/freeze.h"
#include "heap/mutex.h"
#include "heap/words.h"

#include <map>
#include <string>

namespace echo {

class GlobalRoots {
public:
  static constexpr std::uint64_t kMaxWords = 8192;

  echo_status add(echo_ref* first, std::uint64_t count, std::string* why) ECHO_EXCLUDES(mutex_);
  echo_status remove(echo_ref* first, std::string* why) ECHO_EXCLUDES(mutex_);
  std::uint64_t words() ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return words_;
  }
  // Who adds or removes words waits meanwhile. [verify.mark.1]
  void freeze(bool on) ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    freeze_.set(on);
  }
  template <class Visit> void for_each(Visit visit) ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    for (const auto& [start, count] : ranges_) {
      for (std::uint64_t i = 0; i < count; ++i) {
        visit(ObjectRef{__atomic_load_n(reinterpret_cast<Address*>(start) + i, __ATOMIC_RELAXED)});
      }
    }
  }

private:
  Mutex mutex_;
  Freeze freeze_ ECHO_GUARDED_BY(mutex_);
  std::map<Address, std::uint64_t> ranges_ ECHO_GUARDED_BY(mutex_);
  std::uint64_t words_ ECHO_GUARDED_BY(mutex_) = 0;
};

} // namespace echo
