// SPDX-License-Identifier: MIT
//
// Purpose     Root enumeration.
#include "gc/roots.h"

#include "heap/fault.h"

#include <utility>

namespace echo {

namespace {
constexpr std::uint32_t kFramesPerSlice = 1024;
}

echo_status FrameSource::set(const echo_frame_source* source, std::string* why) {
  const MutexLock lock(mutex_);
  if (source == nullptr) {
    source_ = echo_frame_source{};
    polled_.store(false, std::memory_order_relaxed);
    return ECHO_OK;
  }
  if (source->size < sizeof(echo_frame_source) || source->walk == nullptr) {
    *why = "the frame source has no walk function, or its size field is too small";
    return ECHO_INVALID_ARGUMENT;
  }
  if ((source->reserved & ~std::uint32_t{ECHO_FRAMES_POLLED_RETURNS}) != 0) {
    *why = "the frame source has flags that are not known: " + std::to_string(source->reserved);
    return ECHO_INVALID_ARGUMENT;
  }
  if (source_.walk != nullptr) {
    *why = "the heap has a frame source already; remove it first by setting null";
    return ECHO_WRONG_STATE;
  }
  source_ = *source;
  polled_.store((source->reserved & ECHO_FRAMES_POLLED_RETURNS) != 0, std::memory_order_relaxed);
  return ECHO_OK;
}

echo_status FrameSource::walk_some(Mutator& mutator, echo_frame_cursor* cursor, std::uint32_t most,
                                   echo_visit_slot_fn visit, void* visitor, std::uint32_t* visited,
                                   std::string* why) {
  const MutexLock lock(mutex_);
  return walk_locked(mutator, cursor, most, visit, visitor, visited, why);
}

echo_status FrameSource::walk(Mutator& mutator, echo_visit_slot_fn visit, void* visitor,
                              std::uint64_t* frames, std::string* why) {
  const MutexLock lock(mutex_);
  echo_frame_cursor cursor = mutator.anchor();
  while (cursor.pc != 0) {
    std::uint32_t visited = 0;
    const echo_status status = walk_locked(mutator, &cursor, kFramesPerSlice, visit, visitor, &visited, why);
    *frames += visited;
    if (status != ECHO_OK) {
      return status;
    }
    if (visited == 0 && cursor.pc != 0) {
      *why = "the frame source makes no progress";
      return ECHO_FRAME_WITHOUT_MAP;
    }
  }
  return ECHO_OK;
}

echo_status FrameSource::walk_locked(Mutator& mutator, echo_frame_cursor* cursor, std::uint32_t most,
                                     echo_visit_slot_fn visit, void* visitor, std::uint32_t* visited,
                                     std::string* why) {
  *visited = 0;
  if (source_.walk == nullptr) {
    *why = "a thread has managed frames but no frame source is set";
    return ECHO_FRAME_WITHOUT_MAP;
  }
  echo_error error{};
  const echo_status status =
      source_.walk(source_.context, mutator.as_handle(), cursor, most, visited, visit, visitor, &error);
  if (status != ECHO_OK) {
    *why = error.message;
  }
  return status;
}

echo_status enumerate_roots(RootSet& roots, const std::vector<Mutator*>& mutators, RootVisitor& visitor,
                            std::string* why) {
  std::uint64_t frames = 0;
  for (Mutator* m : mutators) {
    m->handles.for_each([&visitor](ObjectRef ref) { visitor.root(ref); });
    // Objects do not move: derived pointers need no correction.
    const auto visit = [](void* v, echo_ref* base, std::uintptr_t*) {
      static_cast<RootVisitor*>(v)->root({reinterpret_cast<Address>(*base)});
    };
    if (const echo_status status = roots.frames.walk(*m, visit, &visitor, &frames, why); status != ECHO_OK) {
      return status;
    }
  }
  roots.finalizers.for_each([&visitor](ObjectRef ref) { visitor.root(ref); });
  roots.persistent.for_each([&visitor](ObjectRef ref) { visitor.root(ref); });
  return enumerate_words(roots, mutators, true, visitor, why);
}

echo_status enumerate_words(RootSet& roots, const std::vector<Mutator*>& mutators, bool ambiguous,
                            RootVisitor& visitor, std::string* why) {
  bool skip = has_fault(Fault::RootWordMissed);
  roots.globals.for_each([&](ObjectRef ref) {
    if (!std::exchange(skip, false)) {
      visitor.root(ref);
    }
  });
  visitor.end_of_words();
  roots.callbacks.enumerate(visitor);
  return ambiguous ? roots.ambiguous.enumerate(mutators, visitor, why) : ECHO_OK;
}

} // namespace echo
