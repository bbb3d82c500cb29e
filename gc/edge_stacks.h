// SPDX-License-Identifier: MIT
//
// Purpose     Grey edges: words read from traced slots that still have to be looked at, one stack per region of the heap.
// Algorithm   Localized tracing (Chicha and Watt, APLAS 2006): an edge waits with the region it points into, and the
//             marker works on one region until nothing waits there. What is touched together lies together: caches and
//             TLB hold the mark bits and page-table entries of one region, not of the heap. A heap that a cache level
//             covers anyway has one region, whose top stays in a register.
// Drawing     an edge: 4 bytes, the distance of the word from the start of its region, which has at most 4 GiB; its blocks:
//             gc/edge_blocks.h
// Why so      16 M objects with three random edges each: 12 M objects/s from one stack, 19 from stacks of whole words, 23
//             from these; in 64 MiB one stack is the fastest (29 against 21).
//
// Invariants  [mark.edge.1] Only words into the memory where objects lie are kept. Null, immortal objects and module
//             data are dropped when pushed; a word into the rest of the reservation is wrong, and remembered.
//             [mark.edge.2] A region without edges has no block.
// Equations   blocks <= edges / 1022 + regions
#pragma once

#include "gc/edge_blocks.h"
#include "heap/assert.h"
#include "heap/words.h"

#include <array>

namespace echo {

class EdgeStacks {
public:
  static constexpr std::size_t kBlockBytes = EdgeBlocks::kBytes;
  static constexpr std::size_t kBlockEdges = EdgeBlocks::kEdges;
  static constexpr std::size_t kMaxRegions = 1024;
  // Up to this size a heap is one region; larger ones have regions of kRegionBytes, or larger if there were too many.
  static constexpr std::size_t kOneRegionBytes = std::size_t{256} << 20;
  static constexpr std::size_t kRegionBytes = std::size_t{32} << 20;

  // `stacks`: how many stacks a region has.
  static constexpr std::size_t bytes_for(std::size_t edges, std::size_t stacks = 1) {
    return (edges / kBlockEdges + stacks * kMaxRegions + 1) * kBlockBytes;
  }
  EdgeStacks() = default;
  EdgeStacks(const EdgeStacks&) = delete; // a top points inside
  EdgeStacks& operator=(const EdgeStacks&) = delete;
  // `blocks`: of bytes_for(edges) bytes; they are not owned, and may be those of other stacks too.
  void use(EdgeBlocks& blocks, Address heap_base, std::size_t heap_bytes);
  // Forgets all edges; the blocks are begun anew by whoever has them. Objects lie in the first `high_water` bytes and, where the program allocates beside the marker,
  // in the first `covered` ones before the mark ends; region_bytes 0: as above.
  void begin(std::size_t high_water, std::size_t covered, std::size_t region_bytes);
  void begin(std::size_t high_water, std::size_t region_bytes) {
    begin(high_water, high_water, region_bytes);
  }
  // The same regions as others, without edges.
  void begin_like(const EdgeStacks& other);
  bool has_one_region() const { return last_region_ == 0; }
  bool is_empty() const;
  // A word into the reservation, but beyond all objects; 0: none was pushed.
  Address wild() const { return wild_; }
  // The stacks as a marking loop uses them: copies in registers, valid until finish(). `push` takes any word. Of several
  // regions: SharedEdges of gc/edge_pool.h.
  class One;

private:
  friend class EdgePool;
  friend class SharedEdges;
  using Top = EdgeBlocks::Top;
  static bool is_boundary(const std::uint32_t* top) { return EdgeBlocks::is_boundary(top); }
  static bool has_emptied_block(const std::uint32_t* top) { return EdgeBlocks::has_emptied_block(top); }
  // A new block above a boundary; the end of a block that holds nothing any more, which is freed.
  Top grow(Top below);
  Top shrink(Top top);
  void forget(std::size_t last_before);

  // What a loop knows of the stacks, copied into the registers of a loop.
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
  EdgeBlocks* blocks_ = nullptr;
  // Of several regions: the one that is worked on, kNone or owned; free blocks at hand, linked by their first word.
  static constexpr std::size_t kNone = kMaxRegions + 1;
  std::size_t current_ = kNone;
  std::size_t from_ = 0; // behind it the next is looked for
  char* spare_ = nullptr;
  std::size_t spares_ = 0;
  unsigned turns_ = 0; // between regions
  // Two more: for the words that are dropped, a top that stays where it is, which is no boundary; and one without edges.
  std::array<Top, kMaxRegions + 2> tops_{};
  alignas(8) std::array<std::uint32_t, 2> dropped_{};
};

// One region.
class EdgeStacks::One {
public:
  static constexpr bool kIsShared = false;
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

} // namespace echo
