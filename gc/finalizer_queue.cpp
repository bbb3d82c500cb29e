// SPDX-License-Identifier: MIT
//
// Purpose     Lists of blocks, and the queue.
#include "gc/finalizer_queue.h"

#include "heap/fault.h"

namespace echo {

FinalizableList::~FinalizableList() {
  while (first_ != nullptr) {
    delete pop_front();
  }
}

void FinalizableList::push_back(FinalizableBlock* block) {
  block->next = nullptr;
  (last_ != nullptr ? last_->next : first_) = block;
  last_ = block;
  objects_ += block->count;
}

FinalizableBlock* FinalizableList::pop_front() {
  FinalizableBlock* const block = first_;
  first_ = block->next;
  last_ = first_ == nullptr ? nullptr : last_;
  objects_ -= block->count;
  return block;
}

void FinalizableList::append(FinalizableList& other) {
  if (other.first_ == nullptr) {
    return;
  }
  (last_ != nullptr ? last_->next : first_) = other.first_;
  last_ = other.last_;
  objects_ += other.objects_;
  other.first_ = other.last_ = nullptr;
  other.objects_ = 0;
}

void FinalizerQueue::append(FinalizableList& due) {
  const MutexLock lock(mutex_);
  size_.fetch_add(due.objects(), std::memory_order_relaxed);
  due_.append(due);
}

bool FinalizerQueue::take(ObjectRef* out) {
  const MutexLock lock(mutex_);
  FinalizableBlock* const block = due_.front();
  if (block == nullptr) {
    return false;
  }
  *out = {block->objects[head_++]};
  if (has_fault(Fault::FinalizedTwice) && taken_.fetch_add(1) == 0) {
    --head_;
    return true;
  }
  if (traced_ == block && next_ < head_) {
    next_ = head_;
  }
  if (head_ == block->count) {
    if (traced_ == block) {
      traced_ = block->next;
      next_ = 0;
    }
    delete due_.pop_front();
    head_ = 0;
  }
  size_.fetch_sub(1, std::memory_order_relaxed);
  taken_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

} // namespace echo
