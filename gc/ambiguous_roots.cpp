// SPDX-License-Identifier: MIT
//
// Purpose     Registration and enumeration of ambiguous words, and what a collector answers to those who ask for them.
#include "gc/ambiguous_roots.h"

#include "gc/collector.h"

namespace echo {

echo_status AmbiguousRoots::add(const void* first, std::uint64_t bytes, std::string* why) {
  const auto start = reinterpret_cast<Address>(first);
  std::uint64_t end = 0;
  if (first == nullptr || bytes == 0) {
    *why = "an ambiguous range needs an address and a number of bytes over 0";
    return ECHO_INVALID_ARGUMENT;
  }
  if (!checked_add(start, bytes, &end)) {
    *why = "a range of " + std::to_string(bytes) + " bytes that begins there leaves the address space";
    return ECHO_INVALID_ARGUMENT;
  }
  if (start < heap_base_ + heap_bytes_ && heap_base_ < end) {
    *why = "the range overlaps the heap, whose objects are traced by their layouts";
    return ECHO_INVALID_ARGUMENT;
  }
  const MutexLock lock(mutex_);
  const auto next = ranges_.lower_bound(start);
  const bool hits_next = next != ranges_.end() && next->first < end;
  if (hits_next || (next != ranges_.begin() && std::prev(next)->first + std::prev(next)->second > start)) {
    *why = "the range overlaps an ambiguous range that is registered already";
    return ECHO_INVALID_ARGUMENT;
  }
  ranges_.emplace(start, bytes);
  return ECHO_OK;
}

echo_status AmbiguousRoots::remove(const void* start, std::string* why) {
  const MutexLock lock(mutex_);
  if (ranges_.erase(reinterpret_cast<Address>(start)) == 0) {
    *why = "no ambiguous range begins at this address";
    return ECHO_INVALID_ARGUMENT;
  }
  return ECHO_OK;
}

// The gaps between a stack's variables are read too, and words that unattached threads write meanwhile. Volatile, not atomic: clang
// instruments atomic accesses all the same.
__attribute__((no_sanitize("address", "thread"))) void
AmbiguousRoots::scan(std::span<const std::uint64_t> words, echo_pin where, RootVisitor& visitor) const {
  visitor.looked_at(words.size());
  for (const volatile std::uint64_t& at : words) {
    const std::uint64_t word = at;
    if (word - heap_base_ < heap_bytes_) {
      visitor.ambiguous({word}, where);
    }
  }
}

echo_status AmbiguousRoots::enumerate(const std::vector<Mutator*>& mutators, RootVisitor& visitor,
                                      std::string* why) {
  for (const Mutator* m : mutators) {
    if (m->stack == nullptr) {
      continue;
    }
    MachineStack::Words words;
    if (const echo_status status = m->stack->words(m->state.load(), m->anchor_sp, &words, why);
        status != ECHO_OK) {
      return status;
    }
    scan(words.registers, ECHO_PIN_register, visitor);
    scan(words.copy, ECHO_PIN_stack, visitor);
    scan(words.stack, ECHO_PIN_stack, visitor);
  }
  const MutexLock lock(mutex_);
  for (const auto& [start, bytes] : ranges_) {
    const Address from = round_up(start, sizeof(Address));
    const Address end = start + bytes;
    if (from < end) {
      scan({reinterpret_cast<const std::uint64_t*>(from), (end - from) / sizeof(Address)}, ECHO_PIN_range,
           visitor);
    }
  }
  return ECHO_OK;
}

echo_status Collector::ambiguous_stack(Mutator& mutator, bool on, std::string* why) {
  if (!on) {
    mutator.stack.reset();
    return ECHO_OK;
  }
  if (mutator.stack != nullptr) {
    return ECHO_OK;
  }
  const echo_status status = starts.use(why);
  return status == ECHO_OK ? MachineStack::make(&mutator.stack, why) : status;
}

echo_status Collector::add_ambiguous_range(const void* start, std::uint64_t bytes, std::string* why) {
  const echo_status status = starts.use(why);
  return status == ECHO_OK
             ? safepoints.excluding_stops([&] { return roots.ambiguous.add(start, bytes, why); })
             : status;
}

echo_status Collector::remove_ambiguous_range(const void* start, std::string* why) {
  return safepoints.excluding_stops([&] { return roots.ambiguous.remove(start, why); });
}

} // namespace echo
