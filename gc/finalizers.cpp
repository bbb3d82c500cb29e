// SPDX-License-Identifier: MIT
//
// Purpose     Registration and sorting.
#include "gc/finalizers.h"

#include "heap/assert.h"

#include <new>

namespace echo {

namespace {
constexpr std::size_t kSpare = 2; // [final.memory.1]
}

bool Finalizers::open() {
  if (refused_) {
    return false;
  }
  for (std::size_t have = (spare_.front() != nullptr ? 1u : 0u) + (spare_.front() != spare_.back() ? 1u : 0u);
       have < kSpare; ++have) {
    auto* const block = new (std::nothrow) FinalizableBlock;
    if (block == nullptr) {
      return false;
    }
    spare_.push_back(block);
  }
  return true;
}

bool Finalizers::make_room(FinalizableBlock*& mine) {
  if (mine != nullptr && !mine->is_full()) {
    return true;
  }
  auto* const block = new (std::nothrow) FinalizableBlock;
  if (block == nullptr) {
    return false;
  }
  hand_over(mine);
  mine = block;
  return true;
}

void Finalizers::hand_over(FinalizableBlock*& mine) {
  if (mine == nullptr) {
    return;
  }
  const MutexLock lock(mutex_);
  if (mine->count != 0) {
    incoming_.push_back(mine);
  } else {
    delete mine;
  }
  mine = nullptr;
}

bool Finalizers::begin_scan() {
  {
    const MutexLock lock(mutex_);
    registered_.append(incoming_);
  }
  if (registered_.front() != nullptr && !open()) {
    return false;
  }
  source_.append(registered_);
  return true;
}

void Finalizers::put(FinalizableList& list, Address object) {
  if (list.back() == nullptr || list.back()->is_full()) {
    ECHO_CHECK(spare_.front() != nullptr, "[final.memory.1] no block is left");
    list.push_back(spare_.pop_front());
  }
  list.add(object);
}

bool Finalizers::scan_some(std::size_t most) {
  for (std::size_t done = 0; done < most && source_.front() != nullptr;) {
    FinalizableBlock* const block = source_.pop_front();
    for (std::size_t i = 0; i < block->count; ++i) {
      const Address object = block->objects[i];
      put(snapshot_.is_dead(object) ? due_ : registered_, object);
    }
    done += block->count;
    block->count = 0;
    // With one spare block left the two lists have room for a block's worth behind their ends.
    if (spare_.front() == nullptr || spare_.front() == spare_.back()) {
      spare_.push_back(block);
    } else {
      delete block;
    }
  }
  registered_count_.store(registered_.objects() + source_.objects(), std::memory_order_relaxed);
  return source_.front() != nullptr;
}

} // namespace echo
