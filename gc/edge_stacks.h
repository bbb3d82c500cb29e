// SPDX-License-Identifier: MIT
//
// Purpose     Grey edges: words read from traced slots that still have to be looked at, one stack per region of the heap.
// Algorithm   Localized tracing (Chicha and Watt, APLAS 2006): an edge waits with the region it points into, and the
//             marker works on one region until nothing waits there. What is touched together lies together: caches and
//             TLB hold the mark bits and page-table entries of one region, not of the heap. A heap that a cache level
//             covers anyway has one region, whose top stays in a register.
// Drawing     a block of 4 KiB, aligned:  | below (8 bytes) | edge 0 | edge 1 | ... | edge 1021 |
//             an edge: 4 bytes, the distance of the word from the start of its region, which has at most 4 GiB
//             below: the top of the full block under this one, or null at the bottom
//             a top: null, or one past the last edge. A multiple of the block's size means: no room above it.
// Why so      16 M objects with three random edges each: 12 M objects/s from one stack, 19 from stacks of whole words, 23
//             from these; in 64 MiB one stack is the fastest (29 against 21).
//
// Invariants  [mark.edge.1] Only words into the memory where objects lie are kept. Null, immortal objects and module
//             data are dropped when pushed; a word into the rest of the reservation is wrong, and remembered.
//             [mark.edge.2] A region without edges has no block. [mark.edge.3] Only the topmost block of a stack is not
//             full.
// Equations   blocks <= edges / 1022 + regions
#pragma once

#include "heap/assert.h"
#include "heap/words.h"

#include <array>

namespace echo {

class EdgeStacks {
public:
  static constexpr std::size_t kBlockBytes = 4096;
  static constexpr std::size_t kBlockEdges = (kBlockBytes - sizeof(void*)) / sizeof(std::uint32_t);
  static constexpr std::size_t kMaxRegions = 1024;
  // Up to this size a heap is one region; larger ones have regions of kRegionBytes, or larger if there were too many.
  static constexpr std::size_t kOneRegionBytes = std::size_t{256} << 20;
  static constexpr std::size_t kRegionBytes = std::size_t{32} << 20;

  static constexpr std::size_t bytes_for(std::size_t edges) {
    return (edges / kBlockEdges + kMaxRegions + 1) * kBlockBytes;
  }
  EdgeStacks() = default;
  EdgeStacks(const EdgeStacks&) = delete; // a top points inside
  EdgeStacks& operator=(const EdgeStacks&) = delete;
  // `memory`: bytes_for(edges) zeroed bytes, aligned to a block; it is not owned.
  void use(void* memory, std::size_t bytes, Address heap_base, std::size_t heap_bytes);
  // Forgets all edges. Objects lie in the first `high_water` bytes and, where the program allocates beside the marker,
  // in the first `covered` ones before the mark ends; region_bytes 0: as above.
  void begin(std::size_t high_water, std::size_t covered, std::size_t region_bytes);
  void begin(std::size_t high_water, std::size_t region_bytes) {
    begin(high_water, high_water, region_bytes);
  }
  bool has_one_region() const { return last_region_ == 0; }
  bool is_empty() const;
  // A word into the reservation, but beyond all objects; 0: none was pushed.
  Address wild() const { return wild_; }
  // Bytes of the memory that were ever touched since begin.
  std::size_t touched_bytes() const { return static_cast<std::size_t>(next_block_ - first_block_); }

  // The stacks as a marking loop uses them: copies in registers, valid until finish(). `push` takes any word.
  class One;
  class Many;

private:
  using Top = std::uint32_t*;
  static bool is_boundary(const std::uint32_t* top) {
    return (reinterpret_cast<std::uintptr_t>(top) & (kBlockBytes - 1)) == 0;
  }
  static bool has_emptied_block(const std::uint32_t* top) {
    return (reinterpret_cast<std::uintptr_t>(top) & (kBlockBytes - 1)) == sizeof(void*);
  }
  // A new block above a boundary; the end of a block that holds nothing any more, which is freed.
  Top grow(Top below);
  Top shrink(const std::uint32_t* top);

  // What both kinds of stacks know, copied into the registers of a loop.
  struct Common {
    EdgeStacks* stacks;
    Address base;
    std::size_t reserved; // bytes of the reservation
    std::size_t covered;  // bytes below which objects lie
    Address wild;
    // Of a word's distance from the base. Without a branch: nulls come at random.
    void note_wild(std::size_t offset) {
      wild = offset - covered < reserved - covered ? base + offset : wild;
    }
  };
  Common common() { return {this, base_, heap_bytes_, covered_, wild_}; }

  Address base_ = 0;
  std::size_t heap_bytes_ = 0;
  std::size_t covered_ = 0;
  Address wild_ = 0;
  unsigned shift_ = 0;
  std::size_t last_region_ = 0;
  char* first_block_ = nullptr;
  char* next_block_ = nullptr;
  char* end_ = nullptr;
  char* free_blocks_ = nullptr; // linked by their first word
  // One more, for the words that are dropped: its top stays where it is, which is no boundary.
  std::array<Top, kMaxRegions + 1> tops_{};
  alignas(8) std::array<std::uint32_t, 2> dropped_{};
};

// One region.
class EdgeStacks::One {
public:
  static constexpr std::size_t kMarkQueue = 16; // its mark bits are spread over all caches
  explicit One(EdgeStacks& stacks) : common_(stacks.common()), top_(stacks.tops_[0]) {}
  bool is_empty() const { return top_ == nullptr; }
  void push(Address word) {
    const std::size_t offset = word - common_.base;
    common_.note_wild(offset);
    if (__builtin_expect(is_boundary(top_), 0)) {
      if (offset >= common_.covered) {
        return;
      }
      top_ = common_.stacks->grow(top_);
    }
    *top_ = static_cast<std::uint32_t>(offset);
    top_ += offset < common_.covered ? 1 : 0; // [mark.edge.1]
  }
  Address pop() { // not of an empty stack
    ECHO_CHECK(top_ != nullptr, "[mark.edge.2] an edge is popped where none is");
    const Address word = common_.base + *--top_;
    if (__builtin_expect(has_emptied_block(top_), 0)) {
      top_ = common_.stacks->shrink(top_);
    }
    return word;
  }
  bool next_region() const { return false; }
  void finish() const {
    common_.stacks->tops_[0] = top_;
    common_.stacks->wild_ = common_.wild;
  }

private:
  Common common_;
  Top top_;
};

// Any number of regions; pop takes from the current one.
class EdgeStacks::Many {
public:
  static constexpr std::size_t kMarkQueue = 4; // a region's mark bits are near
  explicit Many(EdgeStacks& stacks)
      : common_(stacks.common()), tops_(stacks.tops_.data()), shift_(stacks.shift_),
        last_(stacks.last_region_), region_base_(stacks.base_) {}
  bool is_empty() const { return tops_[current_] == nullptr; }
  void push(Address word) {
    const std::size_t offset = word - common_.base;
    common_.note_wild(offset);
    const std::size_t region = offset < common_.covered ? offset >> shift_ : kMaxRegions;
    Top top = tops_[region];
    if (__builtin_expect(is_boundary(top), 0)) {
      top = common_.stacks->grow(top);
    }
    *top = static_cast<std::uint32_t>(offset & ((std::size_t{1} << shift_) - 1));
    tops_[region] = top + (region != kMaxRegions ? 1 : 0); // [mark.edge.1]
  }
  Address pop() const { // not of an empty stack
    ECHO_CHECK(tops_[current_] != nullptr, "[mark.edge.2] an edge is popped where none is");
    const Top top = tops_[current_] - 1;
    const Address word = region_base_ + *top;
    tops_[current_] = __builtin_expect(has_emptied_block(top), 0) ? common_.stacks->shrink(top) : top;
    return word;
  }
  // The next region with edges, in turn; false: there is none.
  bool next_region() {
    for (std::size_t i = 0; i <= last_; ++i) {
      current_ = current_ < last_ ? current_ + 1 : 0;
      if (tops_[current_] != nullptr) {
        region_base_ = common_.base + (current_ << shift_);
        return true;
      }
    }
    return false;
  }
  void finish() const { common_.stacks->wild_ = common_.wild; }

private:
  Common common_;
  Top* tops_;
  unsigned shift_;
  std::size_t last_;
  std::size_t current_ = 0;
  Address region_base_;
};

} // namespace echo
