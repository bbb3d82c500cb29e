// SPDX-License-Identifier: MIT
//
// fork_mark.h - a mark that a fork takes away: a page that the kernel wipes in the child.
#ifndef ECHO_CHECK_FORK_MARK_H
#define ECHO_CHECK_FORK_MARK_H

#include <atomic>
#include <cstddef>
#include <sys/mman.h>

namespace check {

class ForkMark {
public:
  ForkMark() {
    void* const page = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
      return;
    mark_ = static_cast<std::atomic<int>*>(page);
    (void)::madvise(page, kBytes, MADV_WIPEONFORK); // without it: no child is told apart
    put();
  }
  ~ForkMark() {
    if (mark_ != nullptr)
      ::munmap(mark_, kBytes);
  }
  ForkMark(const ForkMark&) = delete;
  ForkMark& operator=(const ForkMark&) = delete;

  bool is_there() const { return mark_ == nullptr || mark_->load(std::memory_order_relaxed) != 0; }
  void put() {
    if (mark_ != nullptr)
      mark_->store(1, std::memory_order_relaxed);
  }

private:
  static constexpr std::size_t kBytes = 4096;
  std::atomic<int>* mark_ = nullptr;
};

} // namespace check

#endif // ECHO_CHECK_FORK_MARK_H
