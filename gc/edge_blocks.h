// SPDX-License-Identifier: MIT
//
// Purpose     The memory of grey edges: blocks of 4 KiB, and stacks that are lists of them.
// Drawing     a block, aligned:  | below (8 bytes) | edge 0 | edge 1 | ... | edge 1021 |
//             below: the top of the full block under this one, or null at the bottom
//             a top: null, or one past the last edge. A multiple of the block's size means: no room above it.
// Invariants  [mark.edge.3] Only the topmost block of a stack is not full.
#pragma once

#include "heap/assert.h"

#include <cstddef>
#include <cstdint>

namespace echo {

class EdgeBlocks {
public:
  using Top = std::uint32_t*;
  static constexpr std::size_t kBytes = 4096;
  static constexpr std::size_t kEdges = (kBytes - sizeof(void*)) / sizeof(std::uint32_t);

  static bool is_boundary(const std::uint32_t* top) {
    return (reinterpret_cast<std::uintptr_t>(top) & (kBytes - 1)) == 0;
  }
  static bool has_emptied_block(const std::uint32_t* top) {
    return (reinterpret_cast<std::uintptr_t>(top) & (kBytes - 1)) == sizeof(void*);
  }
  // The topmost block of a stack, which is not null; what lies below it; the edges in it.
  static char* block_of(const std::uint32_t* top) {
    const std::size_t into = (reinterpret_cast<std::uintptr_t>(top) - 1) & (kBytes - 1);
    return reinterpret_cast<char*>(reinterpret_cast<std::uintptr_t>(top) - 1 - into);
  }
  static Top& below(char* block) { return *reinterpret_cast<Top*>(block); }
  static Top bottom_of(char* block) { return reinterpret_cast<Top>(block + sizeof(Top)); }
  static std::size_t edges_in(Top top) { return static_cast<std::size_t>(top - bottom_of(block_of(top))); }

  // `memory`: zeroed, aligned to a block; it is not owned.
  void use(void* memory, std::size_t bytes) {
    first_ = static_cast<char*>(memory);
    end_ = first_ + bytes / kBytes * kBytes;
    begin();
  }
  void begin() { // all are free
    next_ = first_;
    free_ = nullptr;
  }
  char* take() {
    char* const block = free_;
    if (block != nullptr) {
      free_ = *reinterpret_cast<char**>(block);
      return block;
    }
    ECHO_CHECK(next_ != end_, "[mark.bound.1] more edges than traced slots");
    next_ += kBytes;
    return next_ - kBytes;
  }
  void give(char* block) {
    *reinterpret_cast<char**>(block) = free_;
    free_ = block;
  }
  // Bytes of the memory that were ever touched since begin.
  std::size_t touched_bytes() const { return static_cast<std::size_t>(next_ - first_); }

private:
  char* first_ = nullptr;
  char* next_ = nullptr;
  char* end_ = nullptr;
  char* free_ = nullptr; // linked by their first word
};

} // namespace echo
