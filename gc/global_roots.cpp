// SPDX-License-Identifier: MIT
//
// Purpose     Registration of root words.
#include "gc/global_roots.h"

namespace echo {

echo_status GlobalRoots::add(echo_ref* first, std::uint64_t count, std::string* why) {
  const auto start = reinterpret_cast<Address>(first);
  if (first == nullptr || count == 0 || !is_aligned(start, sizeof(echo_ref))) {
    *why = "a root range needs an address aligned to 8 and a count over 0";
    return ECHO_INVALID_ARGUMENT;
  }
  const MutexLock lock(mutex_);
  freeze_.wait(mutex_);
  if (count > kMaxWords - words_) {
    *why = std::to_string(words_) + " root words are registered, " + std::to_string(count) +
           " more exceed the bound of " + std::to_string(kMaxWords) +
           ": keep references in a heap object instead";
    return ECHO_LIMIT_EXCEEDED;
  }
  const auto next = ranges_.lower_bound(start);
  const bool hits_next = next != ranges_.end() && next->first < start + count * sizeof(echo_ref);
  bool hits_previous = false;
  if (next != ranges_.begin()) {
    const auto previous = std::prev(next);
    hits_previous = previous->first + previous->second * sizeof(echo_ref) > start;
  }
  if (hits_next || hits_previous) {
    *why = "the range overlaps root words that are registered already";
    return ECHO_INVALID_ARGUMENT;
  }
  ranges_.emplace(start, count);
  words_ += count;
  return ECHO_OK;
}

echo_status GlobalRoots::remove(echo_ref* first, std::string* why) {
  const MutexLock lock(mutex_);
  freeze_.wait(mutex_);
  const auto it = ranges_.find(reinterpret_cast<Address>(first));
  if (it == ranges_.end()) {
    *why = "no root range begins at this address";
    return ECHO_INVALID_ARGUMENT;
  }
  words_ -= it->second;
  ranges_.erase(it);
  return ECHO_OK;
}

} // namespace echo
