// SPDX-License-Identifier: MIT
//
// Purpose     What the C functions of echo/heap.h share: a heap as the VM knows it, statuses and sentences, the checks of
//             an echo_thread*, and the cold paths that functions call as well.
// Invariants  [abi.error.1] No exception crosses. [abi.thread.2] Functions that belong to a thread check that
//             they are called on it, which costs one compare; those on a compiler's cold path do not.
#pragma once

#include "echo/heap.h"
#include "gc/collector.h"
#include "heap/os_memory.h"
#include "vm_iface/src/self_reference.h"

#include <cstdio>
#include <exception>
#include <new>
#include <string>

// A heap as the VM knows it: the collector and its recipes.
struct echo_heap {
  explicit echo_heap(const echo::Config& config) : collector(config) {}
  echo::Collector collector;
  echo_recipes recipes{};
  echo::SelfReference library; // [abi.unload.2]
  const std::uint64_t created_ns = echo::os::monotonic_ns();
};

namespace echo {

inline echo_status report(echo_error* why, echo_status status, const std::string& message) {
  if (why != nullptr && status != ECHO_OK) {
    why->code = status;
    std::snprintf(why->message, sizeof why->message, "%s", message.c_str());
  }
  return status;
}

// Runs `body`, turning exceptions (only of memory, by construction) into a status. [abi.error.1]
template <class Body> echo_status guarded(echo_error* why, Body body) {
  try {
    std::string message;
    const echo_status status = body(&message);
    return report(why, status, message.empty() ? echo_status_name(status) : message);
  } catch (const std::bad_alloc&) {
    return report(why, ECHO_SYSTEM_MEMORY, "no native memory");
  } catch (const std::exception& e) {
    return report(why, ECHO_SYSTEM_MEMORY, e.what());
  }
}

inline echo_status null_argument(echo_error* why, const char* name) {
  return report(why, ECHO_INVALID_ARGUMENT, std::string(name) + " is null");
}

// Of functions that take a heap and lock something of it: null, or the child of a fork that was not told of. [fork.stranger.1]
inline echo_status unusable(echo_heap* heap, echo_error* why) {
  if (heap == nullptr) {
    return null_argument(why, "heap");
  }
  return heap->collector.guard.is_stranger()
             ? report(why, ECHO_WRONG_STATE,
                      "the process was forked without echo_fork_prepare and echo_fork_child")
             : ECHO_OK;
}

inline ObjectRef ref_of(echo_ref object) {
  return {reinterpret_cast<Address>(object)};
}
inline echo_ref as_ref(ObjectRef object) {
  return reinterpret_cast<echo_ref>(object.address);
}

inline void set_error(Mutator& m, echo_status status, const char* message) {
  m.last_error.code = status;
  std::snprintf(m.last_error.message, sizeof m.last_error.message, "%s", message);
}

// Whether a function that belongs to a thread is called on it, in managed state: what each such call asks first.
inline bool is_managed(echo_thread* thread, Mutator** out) {
  Mutator* const m = Mutator::from(thread);
  if (thread == nullptr || !m->is_current_thread() || m->collector.guard.is_stranger() ||
      m->state.load(std::memory_order_relaxed) != ThreadState::Managed) {
    return false;
  }
  *out = m;
  return true;
}
// Why it is not: calls.cpp.
[[gnu::cold]] echo_status report_unmanaged(echo_thread* thread, echo_error* why);
[[gnu::cold]] void note_unmanaged(echo_thread* thread);

// The mutator behind a thread, if the call comes from that thread in managed state.
inline echo_status managed(echo_thread* thread, Mutator** out, echo_error* why) {
  if (__builtin_expect(is_managed(thread, out), 1)) {
    return ECHO_OK;
  }
  const echo_status status = report_unmanaged(thread, why);
  if (status == ECHO_OK) {
    __builtin_unreachable(); // it says why not
  }
  return status;
}

// The same for functions that return null: the reason becomes the thread's latest error, unless another thread calls.
inline bool managed_or_error(echo_thread* thread, Mutator** out) {
  if (__builtin_expect(is_managed(thread, out), 1)) {
    return true;
  }
  note_unmanaged(thread);
  return false;
}

// The layout of an object; null if the word is no object's header.
inline const LayoutRecord* layout_of(echo_heap* heap, echo_ref object) {
  if (heap == nullptr || object == nullptr) {
    return nullptr;
  }
  const LayoutTable& layouts = heap->collector.memory.layouts;
  const LayoutId id{load_header(ref_of(object)).layout_number()};
  return layouts.knows(id) ? &layouts.record(id) : nullptr;
}

// Cold paths of the recipes: cold_paths.cpp.
echo_ref allocate_cold(echo_thread* thread, echo_layout_id layout, std::uint64_t length);
echo_ref weak_load_cold(echo_thread* thread, echo_ref* slot);
void poll_cold(echo_thread* thread);
echo_recipes plugin_recipes();

} // namespace echo
