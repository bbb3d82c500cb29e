// SPDX-License-Identifier: MIT
//
// Purpose     The table of waiting pairs, and clearing.
#include "gc/ephemerons.h"

#include "barriers/store_barrier.h"
#include "gc/weak_slots.h"
#include "heap/fault.h"
#include "heap/os_memory.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace echo {

Ephemerons::~Ephemerons() {
  if (mapped_ != nullptr) {
    os::release(mapped_, mapped_bytes_);
  }
}

bool Ephemerons::open(std::size_t max_heap) {
  const std::size_t most = max_heap / (2 * sizeof(Address)) + 1; // [eph.note.1]
  most_buckets_ = std::max(kFirstBuckets, std::bit_ceil(most));
  const std::size_t pair_bytes = round_up(most * sizeof(Pair), kPageBytes);
  mapped_bytes_ = pair_bytes + round_up(most_buckets_ * sizeof(Pair*), kPageBytes);
  mapped_ = os::map_zeroed(mapped_bytes_, kPageBytes);
  if (mapped_ == nullptr) {
    return false;
  }
  pairs_ = static_cast<Pair*>(mapped_);
  end_ = pairs_ + most;
  buckets_ = reinterpret_cast<Pair**>(static_cast<char*>(mapped_) + pair_bytes);
  uncleared_ = next_ = top_ = pairs_;
  return true;
}

// O(1) after trim().
void Ephemerons::reset() {
  if (keys_ != 0) {
    trim();
  }
  uncleared_ = next_ = top_ = pairs_;
  released_ = nullptr;
  cleared_ = 0;
}

Ephemerons::Pair** Ephemerons::bucket_of(Address key) {
  const std::size_t bits = hash(key);
  const std::size_t low = bits & (low_buckets_ - 1);
  return &buckets_[low < split_ ? bits & (2 * low_buckets_ - 1) : low];
}

// Its keys go to it and to the new one behind all others.
void Ephemerons::split_a_bucket() {
  if (low_buckets_ + split_ == most_buckets_) {
    return;
  }
  Pair* keys = buckets_[split_];
  buckets_[split_] = nullptr;
  ++split_;
  while (keys != nullptr) {
    Pair* const key = keys;
    keys = key->next_key;
    Pair** const bucket = bucket_of(key->key);
    key->next_key = *bucket;
    *bucket = key;
  }
  if (split_ == low_buckets_) {
    low_buckets_ *= 2;
    split_ = 0;
  }
}

void Ephemerons::wait(Pair* pair) {
  Pair** const bucket = bucket_of(pair->key);
  for (Pair* key = *bucket; key != nullptr; key = key->next_key) {
    if (key->key == pair->key) {
      pair->next_pair = key->next_pair;
      key->next_pair = pair;
      return;
    }
  }
  pair->next_key = *bucket;
  *bucket = pair;
  if (++keys_ > low_buckets_ + split_) {
    split_a_bucket();
  }
}

void Ephemerons::marked(Address object) {
  for (Pair** at = bucket_of(object); *at != nullptr; at = &(*at)->next_key) {
    Pair* const key = *at;
    if (key->key == object) {
      *at = key->next_key;
      --keys_;
      if (!has_fault(Fault::EphemeronNotReleased)) {
        key->next_key = released_;
        released_ = key;
      }
      return;
    }
  }
}

Address Ephemerons::step() {
  const Pair* pair = released_;
  if (pair != nullptr) {
    Pair* const rest = pair->next_pair;
    if (rest != nullptr) {
      rest->next_key = pair->next_key;
    }
    released_ = rest != nullptr ? rest : pair->next_key;
  } else {
    Pair* const looked_at = next_++;
    if (looked_at->key == 0) {
      return 0; // [eph.null.1]
    }
    if (snapshot_.is_dead(looked_at->key)) {
      wait(looked_at);
      return 0;
    }
    pair = looked_at;
  }
  return load_slot(pair->key_slot + kValueBehindKey);
}

// [eph.clear.1]
void Ephemerons::clear_some(std::size_t most) {
  for (; most != 0 && has_clearing_work(); --most) {
    const Address slot = (uncleared_++)->key_slot;
    const Address key = load_slot(slot);
    cleared_ += snapshot_.is_dead(key) && clear_slot(slot, key) ? 1 : 0;
    const Address value = load_slot(slot + kValueBehindKey);
    if (snapshot_.is_dead(value)) {
      (void)clear_slot(slot + kValueBehindKey, value);
    }
  }
}

void Ephemerons::trim() {
  if (!is_open()) {
    return;
  }
  constexpr std::size_t kKeep = std::size_t{1} << 20;
  const std::size_t used = round_up(noted() * sizeof(Pair), kPageBytes);
  if (used > kKeep) {
    (void)os::discard(reinterpret_cast<char*>(pairs_) + kKeep, used - kKeep);
  }
  std::memset(buckets_, 0, (low_buckets_ + split_) * sizeof(Pair*));
  low_buckets_ = kFirstBuckets;
  split_ = keys_ = 0;
  uncleared_ = next_ = top_ = pairs_;
  released_ = nullptr;
}

} // namespace echo
