// SPDX-License-Identifier: MIT
//
// Purpose     The free cells of one word of live bits, set aside to be handed out one after the other: their bits are set at
//             once, and an allocation finds its cell in a mask in the cache's own memory.
// Drawing     live bits   1 1 1 1 1 1 1 1     all set when the word was reserved
//             mask        0 0 1 0 1 1 0 1     cells that are free although their bit is set; handed out from the right
//
// Invariants  [native.word.1] A cell whose bit is in the mask is free: no free of it succeeds. Within a turn bits of the mask
//             are only cleared, each before its cell is handed out. A Shared slab has none: words of biased slabs are
//             reserved only, and what is reserved goes back before the owner makes a slab Shared.
//             [native.word.2] Whoever frees a cell of another thread's slab reads its live bit and the mask in one turn. A word is shown as reserved before its bits are set, and its
//             bits are cleared before it is shown as another's: so in the turns in which it is not shown no bit of it is
//             set that was set to reserve a cell.
// Threads     The owner; is_handed_out(): any. The number of the turn is odd while word and mask are out of step: 3 stores.
#pragma once

#include "heap/native/slab_record.h"

#include <bit>
#include <sched.h>

namespace echo::native {

class ReservedWord {
public:
  // What other threads look at first: on a line that the owner writes once per word.
  struct alignas(kCacheLine) Shown {
    std::atomic<const BitWord*> word{nullptr};
    std::atomic<std::uint32_t> turn{0};
  };

  // Null: the mask is empty.
  void* take(std::uint32_t cell_bytes) {
    const std::uint64_t mask = mask_.load(std::memory_order_relaxed);
    if (__builtin_expect(mask == 0, 0)) {
      return nullptr;
    }
    mask_.store(mask & (mask - 1), std::memory_order_relaxed);
    return reinterpret_cast<void*>(first_ + static_cast<std::size_t>(std::countr_zero(mask)) * cell_bytes);
  }
  // On the owner's thread: whether the cell is in the mask.
  bool has(const BitWord* word, std::uint64_t index) const {
    return word == word_ && (mask_.load(std::memory_order_relaxed) >> (index % 64) & 1) != 0;
  }
  std::uint32_t left() const {
    return static_cast<std::uint32_t>(std::popcount(mask_.load(std::memory_order_relaxed)));
  }
  // The start of the word's first cell, of the last word that was reserved.
  Address first() const { return first_; }

  // Reserves `free`, cells whose bits in `word` are clear. Nothing is left of the word before.
  void open(Shown& shown, BitWord* word, Address first, std::uint64_t free) {
    first_ = first;
    show(shown, word, free);
    word->store(word->load(std::memory_order_relaxed) | free, std::memory_order_release);
  }
  // What is left becomes ordinary free cells of their slab.
  void close(Shown& shown) {
    if (word_ != nullptr) {
      const std::uint64_t left = mask_.load(std::memory_order_relaxed);
      word_->store(word_->load(std::memory_order_relaxed) & ~left, std::memory_order_release);
      show(shown, nullptr, 0);
    }
  }

  // Whether the cell of this live bit was handed out and no free of it by the owner has succeeded. Any thread.
  // [native.word.2]
  bool is_handed_out(const Shown& shown, const BitWord* word, std::uint64_t bit) const {
    for (unsigned tries = 1;; ++tries) {
      const std::uint32_t turn = shown.turn.load(std::memory_order_acquire);
      const bool is_live = (word->load(std::memory_order_seq_cst) & bit) != 0;
      const bool is_it = shown.word.load(std::memory_order_relaxed) == word;
      const std::uint64_t mask = is_it ? mask_.load(std::memory_order_relaxed) : 0;
      std::atomic_thread_fence(std::memory_order_acquire);
      if (turn % 2 == 0 && shown.turn.load(std::memory_order_relaxed) == turn) {
        return is_live && (mask & bit) == 0;
      }
      if (tries % 64 == 0) {
        ::sched_yield(); // the owner has lost its processor
      }
    }
  }

private:
  void show(Shown& shown, BitWord* word, std::uint64_t mask) {
    const std::uint32_t changing = shown.turn.load(std::memory_order_relaxed) | 1;
    shown.turn.store(changing, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    word_ = word;
    shown.word.store(word, std::memory_order_relaxed);
    mask_.store(mask, std::memory_order_relaxed);
    shown.turn.store(changing + 1, std::memory_order_release);
  }

  std::atomic<std::uint64_t> mask_{0};
  Address first_ = 0;
  BitWord* word_ = nullptr;
};

} // namespace echo::native
