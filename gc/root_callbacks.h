// SPDX-License-Identifier: MIT
//
// Purpose     Roots that the VM enumerates.
// Invariants  [roots.callback.1] They are called where root words are read: in the stop in which a mark starts, and by
//             the verifier. Registration holds the lock that the calls hold, so that none runs when a removal returns.
#pragma once

#include "echo/services.h"
#include "heap/mutex.h"
#include "heap/words.h"

#include <algorithm>
#include <string>
#include <vector>

namespace echo {

class RootCallbacks {
public:
  static constexpr std::size_t kMost = 64;

  echo_status add(echo_roots_fn roots, void* context, std::string* why) ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    if (find(roots, context) != callbacks_.end()) {
      *why = "the function is registered with this context already";
      return ECHO_INVALID_ARGUMENT;
    }
    if (callbacks_.size() == kMost) {
      *why = std::to_string(kMost) + " root callbacks are registered already";
      return ECHO_LIMIT_EXCEEDED;
    }
    callbacks_.push_back({roots, context});
    return ECHO_OK;
  }
  echo_status remove(echo_roots_fn roots, void* context, std::string* why) ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    const auto found = find(roots, context);
    if (found == callbacks_.end()) {
      *why = "the function is not registered with this context";
      return ECHO_INVALID_ARGUMENT;
    }
    callbacks_.erase(found);
    return ECHO_OK;
  }
  // In a stop: visitor.root(reference) for all of them.
  template <class Visitor> void enumerate(Visitor& visitor) ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    const auto visit = [](void* to, echo_ref root) {
      static_cast<Visitor*>(to)->root(ObjectRef{reinterpret_cast<Address>(root)});
    };
    for (const Callback& c : callbacks_) {
      c.roots(c.context, visit, &visitor);
    }
  }

private:
  struct Callback {
    echo_roots_fn roots;
    void* context;
  };
  std::vector<Callback>::iterator find(echo_roots_fn roots, const void* context) ECHO_REQUIRES(mutex_) {
    return std::find_if(callbacks_.begin(), callbacks_.end(),
                        [&](const Callback& c) { return c.roots == roots && c.context == context; });
  }

  Mutex mutex_;
  std::vector<Callback> callbacks_ ECHO_GUARDED_BY(mutex_);
};

} // namespace echo
