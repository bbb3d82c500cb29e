// SPDX-License-Identifier: MIT
//
// Purpose     Scoped handles of one thread: a stack of cells, cut back when a scope is closed.
// Drawing     echo_handle (64 bits):  | serial of the scope 32 | index of the cell + 1, 32 |
//
// Invariants  [handles.scope.1] A handle is valid iff its cell lies below the top and carries the handle's
//             serial; serials are never reused (2^32 scopes per thread, then opening fails).
//             [handles.scope.2] Scopes close in reverse order. [handles.root.1] Every cell below the top is a
//             root. Creation and closing are O(1).
#pragma once

#include "echo/heap.h"
#include "heap/words.h"

#include <memory>
#include <vector>

namespace echo {

class HandleStack {
public:
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
  echo_status make(ObjectRef object, echo_handle* out) {
    if (scopes_.empty()) {
      return ECHO_HANDLE_MISUSE;
    }
    if (top_ == UINT32_MAX - 1) {
      return ECHO_LIMIT_EXCEEDED;
    }
    if (top_ / kBlockCells == blocks_.size()) {
      blocks_.push_back(std::make_unique<Cell[]>(kBlockCells));
    }
    Cell& cell = cell_at(top_);
    cell = {object, scopes_.back().serial};
    ++top_;
    *out = reinterpret_cast<echo_handle>((std::uint64_t{cell.serial} << 32) | top_);
    return ECHO_OK;
  }
  // Null if the handle is not valid. [handles.scope.1]
  ObjectRef* find(echo_handle handle) {
    const auto bits = reinterpret_cast<std::uint64_t>(handle);
    const auto number = static_cast<std::uint32_t>(bits);
    if (number == 0 || number > top_) {
      return nullptr;
    }
    Cell& cell = cell_at(number - 1);
    return cell.serial == bits >> 32 ? &cell.object : nullptr;
  }
  template <class Visit> void for_each(Visit visit) {
    for (std::uint32_t i = 0; i < top_; ++i) {
      visit(cell_at(i).object);
    }
  }
  std::uint32_t size() const { return top_; }
  bool has_open_scope() const { return !scopes_.empty(); }

private:
  static constexpr std::size_t kBlockCells = 256;
  static constexpr std::size_t kMaxDepth = std::size_t{1} << 20;
  struct Cell {
    ObjectRef object;
    std::uint32_t serial = 0;
  };
  struct Scope {
    std::uint32_t serial, top;
  };
  Cell& cell_at(std::uint32_t i) { return blocks_[i / kBlockCells][i % kBlockCells]; }

  std::vector<std::unique_ptr<Cell[]>> blocks_;
  std::vector<Scope> scopes_;
  std::uint32_t serial_ = 0;
  std::uint32_t top_ = 0;
};

} // namespace echo
