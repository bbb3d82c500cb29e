// SPDX-License-Identifier: MIT
//
// Purpose     Ephemerons (Hayes, OOPSLA 1997): a value that is reached only if its key is reached by another way.
// Algorithm   The marker follows the value of a pair whose key is alive, and notes the others. When it has nothing else to
//             do, it looks at each noted pair once: the key is marked by now, and the value is followed, or the pair
//             waits in a table under its key. From then on each object that becomes marked is looked up there; a key that is
//             found releases all its pairs (Barros and Ierusalimschy, SBLP 2008). Each pair is touched a bounded number of
//             times, so a chain of any length takes linear time. While no pair waits, marking looks nothing up.
//             The table grows by one bucket per key (linear hashing: Litwin, VLDB 1980) and a key's pairs are a list: no step
//             costs more than a few cache misses, so the stop that ends a mark may do a few.
// Drawing     noted pairs   | cleared | looked at | to be looked at |        released: keys whose pairs are to be followed
//                                               \__ bucket -> key -> key          key -> pair -> pair
//                                                              \-> pair -> pair
//
// Invariants  [eph.value.1] At the end of a mark the value of each marked pair whose key is alive is alive. [eph.null.1] A null
//             key is not reached: its value is kept by nothing. A key that is no object of the heap's is alive.
//             [eph.clear.1] Behind the mark a key, and a value, that is dead becomes null, by compare-and-swap; until then weak
//             loads answer by liveness. [eph.key.1] Who overwrites a key while marking logs it, as every store does: so the
//             pairs that wait for it are released. [eph.note.1] A pair is noted at most once per mark and takes at least 16
//             bytes: the memory for all is set aside when the first layout with pairs is registered, so noting cannot fail.
// Threads     The marker, and behind the mark who drives the cycle.
#pragma once

#include "barriers/deletion_log.h"
#include "heap/assert.h"
#include "heap/memory.h"

namespace echo {

class Ephemerons {
public:
  static constexpr std::size_t kValueBehindKey = sizeof(Address); // bytes [abi.layout.5]

  explicit Ephemerons(Memory& memory) : snapshot_(memory.pool.slabs(), memory.bits) {}
  ~Ephemerons();
  Ephemerons(const Ephemerons&) = delete;
  Ephemerons& operator=(const Ephemerons&) = delete;
  // Once; false if the operating system refused the address space.
  bool open(std::size_t max_heap);
  bool is_open() const { return pairs_ != nullptr; }
  void reset();

  // While marking: whether the value of a pair with this key has to be followed now; else the pair is noted.
  bool is_reached(Address key_slot, Address key) {
    if (key != 0 && !snapshot_.is_dead(key)) {
      return true;
    }
    ECHO_CHECK(top_ != end_, "[eph.note.1] more ephemerons than fit the heap");
    *top_++ = {key_slot, key, nullptr, nullptr};
    return false;
  }
  // Whether noted pairs are to be looked at, or released ones to be followed.
  bool has_marking_work() const { return released_ != nullptr || next_ != top_; }
  // One of them: a value that is to be followed, or null.
  Address step();
  // Whether some object is a key that pairs wait for.
  bool is_watching() const { return keys_ != 0; }
  // The object has become marked.
  void marked(Address object);

  // Behind the mark: whether noted pairs wait for clear_some, which makes the dead of at most `most` pairs null.
  bool has_clearing_work() const { return uncleared_ != top_; }
  void clear_some(std::size_t most);
  // Keys that were cleared since reset().
  std::size_t cleared() const { return cleared_; }
  std::size_t noted() const { return static_cast<std::size_t>(top_ - pairs_); }
  // Forgets the table, and gives memory back when much was used.
  void trim();

private:
  // The first pair of a key stands for the key.
  struct Pair {
    Address key_slot, key;
    Pair* next_key;
    Pair* next_pair;
  };
  static constexpr std::size_t kFirstBuckets = 1024;

  static std::size_t hash(Address key) { return (key * 0x9e3779b97f4a7c15u) >> 32; }
  Pair** bucket_of(Address key);
  void wait(Pair* pair);
  void split_a_bucket();

  const Snapshot snapshot_;
  void* mapped_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  Pair* pairs_ = nullptr;
  Pair* uncleared_ = nullptr;
  Pair* next_ = nullptr;
  Pair* top_ = nullptr;
  Pair* end_ = nullptr;
  Pair* released_ = nullptr; // keys, by next_key
  Pair** buckets_ = nullptr;
  std::size_t low_buckets_ = kFirstBuckets; // a power of two; the first split_ of them are split
  std::size_t split_ = 0;
  std::size_t most_buckets_ = 0;
  std::size_t keys_ = 0; // in the table
  std::size_t cleared_ = 0;
};

} // namespace echo
