// SPDX-License-Identifier: MIT
//
// Purpose     What allocation owes to marking, so that a mark ends before the memory does.
// Equations   left  = expected edges - edges worked off;  expected: as many as the last mark had, and when these are used
//             up, those of a heap without garbage
//             rate  = left / (7/8 of the room up to the bound that allocation beside a mark has), edges per byte
//             a thread owes rate * what it allocates; what the heap's own thread works off pays for all, up to left / 4
//             in advance; that much is lent to it when a mark starts, so that nobody marks because it has not got a
//             processor yet. So nobody marks for his memory as long as  marking rate / left  >  allocation rate / room.
// Invariants  [assist.rate.1] The rate is set anew after each slice, so an estimate that was wrong is found out before the
//             memory is used up. [assist.off.1] Outside a mark beside the program the rate is 0. It begins and ends in stops:
//             a managed thread that has seen it on may mark until its next safepoint.
// Threads     begin, end and progress: under the lock over marking. The others: any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace echo {

class MarkDebt {
public:
  // Edges are owed in fractions of 2^-16.
  static constexpr unsigned kFraction = 16;

  // `used`: bytes in use when the mark starts; `room`: what may be allocated beside it; `beside`: a thread of the heap's own
  // marks, and is given time.
  void begin(std::uint64_t used, std::uint64_t room, bool beside = false) {
    expected_ = expected_next_ != 0 ? expected_next_ : used / kBytesPerUnknownEdge;
    credit_.store(beside ? expected_ / 4 : 0, std::memory_order_relaxed);
    most_ = std::max<std::uint64_t>(expected_,
                                    static_cast<std::uint64_t>(static_cast<double>(used) * edges_per_byte_));
    on_.store(true, std::memory_order_relaxed);
    progress(0, 0, room);
  }
  // Of another account: `expected` units of work, a guess.
  void begin_with(std::uint64_t expected, std::uint64_t room) {
    credit_.store(0, std::memory_order_relaxed);
    expected_ = most_ = expected;
    on_.store(true, std::memory_order_relaxed);
    progress(0, 0, room);
  }
  // `edges` of the whole mark, which found `live` bytes.
  void end(std::uint64_t edges, std::uint64_t live) {
    on_.store(false, std::memory_order_relaxed);
    rate_.store(0, std::memory_order_relaxed);
    if (live != 0) {
      expected_next_ = edges;
      edges_per_byte_ = static_cast<double>(edges) / static_cast<double>(live);
    }
  }
  void give_up() { end(0, 0); }
  // `done` edges since the mark started, `paid` of them just now by the heap's own thread.
  void progress(std::uint64_t done, std::uint64_t paid, std::uint64_t room) {
    if (!is_on()) {
      return;
    }
    const std::uint64_t expected = done < expected_ ? expected_ : most_;
    const std::uint64_t left = std::max(expected - std::min(done, expected), expected_ / 16 + 1);
    const std::uint64_t usable = std::max<std::uint64_t>(room / 8 * 7, kLeastRoom);
    rate_.store(std::min<std::uint64_t>((left << kFraction) / usable, kMostRate), std::memory_order_relaxed);
    if (paid != 0) {
      const std::uint64_t most = left / 4;
      std::uint64_t credit = credit_.load(std::memory_order_relaxed);
      while (!credit_.compare_exchange_weak(credit, std::max(credit, std::min(credit + paid, most)),
                                            std::memory_order_relaxed)) {
      }
    }
  }
  // Nothing is left to mark, as far as is known: nothing is owed.
  void idle() { rate_.store(0, std::memory_order_relaxed); }

  bool is_idle() const { return rate_.load(std::memory_order_relaxed) == 0; }
  bool is_on() const { return on_.load(std::memory_order_relaxed); }
  // For `bytes` allocated, in fractions of an edge.
  std::uint64_t owed_for(std::uint64_t bytes) const {
    return std::min(bytes, kMostBytes) * rate_.load(std::memory_order_relaxed);
  }
  // Bytes for which `edges` are owed.
  std::uint64_t bytes_for(std::uint64_t edges) const {
    return (edges << kFraction) / std::max<std::uint64_t>(rate_.load(std::memory_order_relaxed), 1);
  }
  bool has_credit() const { return credit_.load(std::memory_order_relaxed) != 0; }
  // Takes up to `edges` of what the heap's own thread worked off in advance.
  std::uint64_t draw(std::uint64_t edges) {
    std::uint64_t credit = credit_.load(std::memory_order_relaxed);
    while (
        !credit_.compare_exchange_weak(credit, credit - std::min(credit, edges), std::memory_order_relaxed)) {
    }
    return std::min(credit, edges);
  }

private:
  static constexpr std::uint64_t kBytesPerUnknownEdge = 16; // before anything was marked
  static constexpr std::uint64_t kLeastRoom = std::uint64_t{64} << 10;
  static constexpr std::uint64_t kMostRate = std::uint64_t{64} << kFraction;
  static constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 36;

  std::atomic<bool> on_{false};
  std::atomic<std::uint64_t> rate_{0}, credit_{0};
  std::uint64_t expected_ = 0, most_ = 0, expected_next_ = 0;
  double edges_per_byte_ = 1.0 / static_cast<double>(kBytesPerUnknownEdge);
};

} // namespace echo
