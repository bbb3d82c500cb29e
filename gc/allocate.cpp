// SPDX-License-Identifier: MIT
//
// Purpose     The cold path of allocation: room, header, zeroes; collections on the way; out of memory as a
//             value.
// Invariants  [alloc.slow.1] Null leaves the thread's state as it was. [alloc.large.1] A large object is
//             zeroed in slices with polls between; it becomes an object only when complete. [cycle.oom.1]
#include "gc/collector.h"
#include "heap/os_memory.h"

#include <cstdio>
#include <cstring>

namespace echo {

namespace {

constexpr std::size_t kZeroSlice = std::size_t{64} << 10;
constexpr std::size_t kPopulateBytes = std::size_t{1} << 20; // less costs less than waking a thread
constexpr std::uint64_t kPoorCyclesAllowed = 8;
constexpr unsigned kStarvedAttempts = 64;
constexpr unsigned kMostRescues = 16;

void write_object(Address at, LayoutId layout, bool is_array, std::uint64_t length) {
  store_header(at, HeaderWord::born(layout));
  if (is_array) {
    *reinterpret_cast<std::uint64_t*>(at + 8) = length;
  }
}

std::string megabytes(std::size_t bytes) {
  char text[40];
  std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

} // namespace

void Collector::fail(Mutator& mutator, echo_status status, const std::string& message) {
  mutator.last_error.code = status;
  std::snprintf(mutator.last_error.message, sizeof mutator.last_error.message, "%s", message.c_str());
}

// The last mark left room for the request: if it failed all the same, other threads took the room first.
bool Collector::room_was_left(std::size_t bytes) {
  const std::size_t limit = memory.pool.limit();
  const MutexLock lock(result_mutex_);
  return result_.live_bytes + bytes <= limit - limit / 8;
}

// [oom.handler.1]
template <class Attempt>
bool Collector::with_collections(Mutator& mutator, std::size_t bytes, Attempt attempt) {
  for (unsigned turn = 0; !collect_and_try(mutator, bytes, attempt); ++turn) {
    if (turn == kMostRescues || !is_rescued(mutator, bytes)) {
      return false;
    }
  }
  return true;
}

// attempt(urgency) -> Grant. Order: up to the trigger; the same after a collection in one stop; beside a collection up to its
// bound, in densely filled slabs last; after a collection up to the limit; also densely filled slabs; once more after an
// emergency collection.
template <class Attempt>
bool Collector::collect_and_try(Mutator& mutator, std::size_t bytes, Attempt attempt) {
  Grant grant = attempt(Urgency::Normal);
  const bool is_large = bytes > kLargeBytes;
  const auto may_go_on = [&] {
    return grant == Grant::OverTrigger && config.mode != MarkMode::Stw &&
           !failed_.load(std::memory_order_relaxed);
  };
  AtOnce at_once = AtOnce::No;
  if (may_go_on()) {
    at_once = collect_at_once(mutator);
    if (at_once == AtOnce::Served) {
      grant = attempt(Urgency::Normal);
    }
  }
  if (may_go_on()) {
    if (at_once != AtOnce::Begun) {
      request_cycle(mutator); // and the program goes on
    }
    grant = attempt(is_large ? Urgency::Forced : Urgency::Beside);
    if (grant != Grant::Ok && !is_large &&
        memory.supply.admit_dense()) { // slow memory is better than waiting
      grant = attempt(Urgency::Beside);
    }
  }
  if (grant == Grant::Ok) {
    return true;
  }
  echo_cause cause = ECHO_CAUSE_heap_full;
  for (unsigned attempts = 0; attempts < 2 || (attempts < kStarvedAttempts && room_was_left(bytes));
       ++attempts) {
    if (bytes > memory.pool.limit()) {
      break; // no collection makes room for it
    }
    std::string why;
    if (const echo_status status = collect(mutator, cause, &why); status != ECHO_OK) {
      fail(mutator, status, why);
      return false;
    }
    if (poor_cycles_.load(std::memory_order_relaxed) > kPoorCyclesAllowed) {
      fail(mutator, ECHO_HEAP_LIMIT,
           "the live set fills the heap limit of " + megabytes(memory.pool.limit()) + ": " +
               std::to_string(kPoorCyclesAllowed) + " collections in a row freed less than 1/64 of it");
      return false;
    }
    const Urgency most = is_large || config.mode == MarkMode::Stw || cause == ECHO_CAUSE_emergency
                             ? Urgency::Forced
                             : Urgency::Beside;
    grant = attempt(Urgency::Normal);
    if (grant != Grant::Ok) {
      grant = attempt(most);
    }
    if ((grant == Grant::OverLimit || grant == Grant::OverTrigger) && memory.supply.admit_dense()) {
      grant = attempt(most);
    }
    if (grant == Grant::Ok) {
      return true;
    }
    cause = ECHO_CAUSE_emergency;
  }
  if (grant == Grant::Refused) {
    fail(mutator, ECHO_SYSTEM_MEMORY,
         "the operating system refused memory for an object of " + megabytes(bytes));
  } else if (grant == Grant::Fragmented) {
    fail(mutator, ECHO_HEAP_LIMIT,
         "no free run of " + std::to_string(bytes) + " bytes is left in the heap's address space (" +
             megabytes(memory.pool.used_bytes()) + " of " + megabytes(memory.pool.limit()) +
             " in use after a full collection); a larger 'reserve' leaves more");
  } else {
    fail(mutator, ECHO_HEAP_LIMIT,
         "an object of " + std::to_string(bytes) + " bytes does not fit the heap limit of " +
             megabytes(memory.pool.limit()) + " (" + megabytes(memory.pool.used_bytes()) +
             " in use after a full collection)");
  }
  return false;
}

ObjectRef Collector::allocate(Mutator& mutator, LayoutId layout, std::uint64_t length) {
  ++mutator.cold_allocations;
  if (guard.is_stranger()) {
    fail(mutator, ECHO_WRONG_STATE, "the process was forked without echo_fork_prepare and echo_fork_child");
    return {};
  }
  if (mutator.poll_word.load(std::memory_order_relaxed) == 0) {
    poll(mutator); // a thread that only allocates must come to rest too
  }
  if (!memory.layouts.knows(layout)) {
    fail(mutator, ECHO_UNKNOWN_LAYOUT, "no layout has the number " + std::to_string(layout.number));
    return {};
  }
  const LayoutRecord& record = memory.layouts.record(layout);
  std::uint64_t bytes = 0;
  if (!LayoutTable::checked_object_bytes(record, length, &bytes)) {
    fail(mutator, ECHO_INVALID_ARGUMENT,
         "an array of layout '" + std::string(record.name) + "' with " + std::to_string(length) +
             " elements overflows the address space");
    return {};
  }
  if (config.stress_collect != 0 && ++mutator.allocations_seen % config.stress_collect == 0) {
    std::string why;
    if (const echo_status status = collect(mutator, ECHO_CAUSE_stress, &why); status != ECHO_OK) {
      fail(mutator, status, why);
      return {};
    }
  }
  pay_for_allocation(mutator, bytes);
  const ObjectRef object = bytes > kLargeBytes ? allocate_large(mutator, layout, length, bytes)
                                               : allocate_small(mutator, record, layout, length, bytes);
  if (record.is_finalizable() && object) {
    if (!finalizers.make_room(mutator.finalizable)) {
      fail(mutator, ECHO_SYSTEM_MEMORY, "no native memory to register a finalizable object");
      return {};
    }
    mutator.finalizable->objects[mutator.finalizable->count++] = object.address;
  }
  return object;
}

ObjectRef Collector::allocate_small(Mutator& mutator, const LayoutRecord& record, LayoutId layout,
                                    std::uint64_t length, std::size_t bytes) {
  Address at = 0;
  const bool ok = with_collections(mutator, bytes, [&](Urgency urgency) {
    mutator.take_back_span();
    const Grant grant = mutator.allocator.allocate(bytes, record.alignment, urgency, &at);
    mutator.lend_span();
    return grant;
  });
  if (!ok) {
    return {};
  }
  if (memory.pool.is_behind()) {
    service_.wake();
  }
  std::memset(reinterpret_cast<void*>(at + kGranule), 0, bytes - kGranule);
  write_object(at, layout, record.is_array, length);
  return {at};
}

ObjectRef Collector::allocate_large(Mutator& mutator, LayoutId layout, std::uint64_t length,
                                    std::size_t bytes) {
  Address at = 0;
  bool zeroed = false;
  const bool ok = with_collections(
      mutator, bytes, [&](Urgency urgency) { return memory.large.reserve(bytes, urgency, &at, &zeroed); });
  if (!ok) {
    return {};
  }
  if (zeroed && bytes >= kPopulateBytes) {
    memory.pool.request_populate(at, bytes);
    service_.wake();
  }
  for (std::size_t done = 0; !zeroed && done < bytes; done += kZeroSlice) {
    const std::uint64_t start = Safepoints::begin_hold(mutator, true);
    std::memset(reinterpret_cast<void*>(at + done), 0, bytes - done < kZeroSlice ? bytes - done : kZeroSlice);
    safepoints.record_hold(mutator, ECHO_CAUSE_large_object, start);
    if (mutator.poll_word.load(std::memory_order_relaxed) == 0) {
      safepoints.poll(mutator);
    }
  }
  write_object(at, layout, memory.layouts.record(layout).is_array, length);
  large_objects_allocated_.fetch_add(1, std::memory_order_relaxed);
  large_bytes_allocated_.fetch_add(bytes, std::memory_order_relaxed);
  memory.mark_born(at); // and nobody polls until it is published
  memory.large.publish(at);
  return {at};
}

} // namespace echo
