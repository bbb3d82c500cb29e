// SPDX-License-Identifier: MIT
//
// Purpose     Scoped handles of one thread: a stack of cells, cut back when a scope is closed.
// Drawing     echo_handle (64 bits):  | serial of the scope 32 | index of the cell + 1, 32 |
//
// Invariants  [handles.scope.1] A handle is valid iff its cell lies below the top and carries the handle's
//             serial; serials are never reused (2^32 scopes per thread, then opening fails).
//             [handles.scope.2] Scopes close in reverse order. [handles.root.1] Every cell below the top is a
//             root. Creation and closing are O(1). [handles.trace.1] Cells below snapshot_top_ are traced beside the
//             program, whether their scope is still open or not. A closed scope leaves its cells as they are; whoever
//             writes over one of those cells while marking logs what it held.
#pragma once

#include "echo/heap.h"
#include "heap/words.h"

#include <array>
#include <atomic>
#include <memory>
#include <vector>

namespace echo {

class HandleStack {
public:
  static constexpr std::size_t kBlockCells = 256;
  struct Cell {
    Address object = 0; // read by the marker: relaxed atomics
    std::uint32_t serial = 0;
  };
  // Linked, so that the marker needs no list that may grow meanwhile.
  struct Block {
    std::array<Cell, kBlockCells> cells{};
    std::atomic<Block*> next{nullptr};
  };

  // ECHO_LIMIT_EXCEEDED after 2^32 - 1 scopes or kMaxDepth nested ones.
  echo_status open(echo_scope* out) {
    if (serial_ == UINT32_MAX || scopes_.size() == kMaxDepth) {
      return ECHO_LIMIT_EXCEEDED;
    }
    scopes_.push_back({++serial_, top_});
    *out = serial_;
    return ECHO_OK;
  }
  echo_status close(echo_scope scope) {
    if (scopes_.empty() || scopes_.back().serial != scope) {
      return ECHO_HANDLE_MISUSE;
    }
    top_ = scopes_.back().top;
    scopes_.pop_back();
    return ECHO_OK;
  }
  // *replaced: what left the snapshot, to be logged while marking. [handles.trace.1]
  echo_status make(ObjectRef object, echo_handle* out, ObjectRef* replaced) {
    if (scopes_.empty()) {
      return ECHO_HANDLE_MISUSE;
    }
    if (top_ == UINT32_MAX - 1) {
      return ECHO_LIMIT_EXCEEDED;
    }
    if (top_ / kBlockCells == blocks_.size()) {
      blocks_.push_back(std::make_unique<Block>());
      if (blocks_.size() > 1) {
        blocks_[blocks_.size() - 2]->next.store(blocks_.back().get(), std::memory_order_release);
      }
    }
    Cell& cell = cell_at(top_);
    *replaced = write(top_, object);
    cell.serial = scopes_.back().serial;
    ++top_;
    *out = reinterpret_cast<echo_handle>((std::uint64_t{cell.serial} << 32) | top_);
    return ECHO_OK;
  }
  // What a handle refers to; false if it is not valid. [handles.scope.1]
  bool get(echo_handle handle, ObjectRef* out) {
    const std::uint32_t index = index_of(handle);
    if (index != kNone) {
      *out = {cell_at(index).object};
    }
    return index != kNone;
  }
  bool set(echo_handle handle, ObjectRef object, ObjectRef* replaced) {
    const std::uint32_t index = index_of(handle);
    if (index != kNone) {
      *replaced = write(index, object);
    }
    return index != kNone;
  }
  template <class Visit> void for_each(Visit visit) {
    for (std::uint32_t i = 0; i < top_; ++i) {
      visit(ObjectRef{cell_at(i).object});
    }
  }
  std::uint32_t size() const { return top_; }
  bool has_open_scope() const { return !scopes_.empty(); }

  // What is left to trace of a snapshot: blocks from `block` on, cells [next, end).
  struct Trace {
    Block* block = nullptr;
    std::uint32_t next = 0, end = 0;
    bool is_done() const { return next == end; }
    // At most `most` cells.
    template <class Visit> void step(std::uint32_t most, Visit visit) {
      for (; most > 0 && !is_done(); --most) {
        visit(ObjectRef{__atomic_load_n(&block->cells[next % kBlockCells].object, __ATOMIC_RELAXED)});
        if (++next % kBlockCells == 0 && !is_done()) {
          block = block->next.load(std::memory_order_acquire);
        }
      }
    }
  };
  // The cells that there are become the snapshot. The thread stands still, or calls.
  Trace begin_snapshot() {
    snapshot_top_ = top_;
    return {blocks_.empty() ? nullptr : blocks_.front().get(), 0, top_};
  }
  // Of a thread that goes: its cells, for as long as their trace lasts.
  std::vector<std::unique_ptr<Block>> release_blocks() { return std::move(blocks_); }

private:
  static constexpr std::size_t kMaxDepth = std::size_t{1} << 20;
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Scope {
    std::uint32_t serial, top;
  };
  Cell& cell_at(std::uint32_t i) { return blocks_[i / kBlockCells]->cells[i % kBlockCells]; }
  std::uint32_t index_of(echo_handle handle) {
    const auto bits = reinterpret_cast<std::uint64_t>(handle);
    const auto number = static_cast<std::uint32_t>(bits);
    return number != 0 && number <= top_ && cell_at(number - 1).serial == bits >> 32 ? number - 1 : kNone;
  }
  ObjectRef write(std::uint32_t index, ObjectRef object) {
    Cell& cell = cell_at(index);
    const ObjectRef before{index < snapshot_top_ ? cell.object : 0};
    __atomic_store_n(&cell.object, object.address, __ATOMIC_RELAXED);
    return before;
  }

  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<Scope> scopes_;
  std::uint32_t serial_ = 0;
  std::uint32_t top_ = 0;
  std::uint32_t snapshot_top_ = 0;
};

} // namespace echo
