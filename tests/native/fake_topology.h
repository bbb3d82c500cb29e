// SPDX-License-Identifier: MIT
//
// Purpose     A machine to a test's liking: any number of nodes, binding and huge pages that fail.
#pragma once

#include "heap/native/topology.h"

#include <atomic>
#include <cstddef>
#include <mutex>
#include <sys/mman.h>
#include <vector>

namespace echo::native::test {

class FakeTopology final : public Topology {
public:
  explicit FakeTopology(unsigned nodes = 1) : nodes_(nodes) {}

  bool has_numa() const override { return nodes_ > 1; }
  unsigned node_count() const override { return nodes_; }
  unsigned current_node() const override { return here; }
  bool bind(void* at, std::size_t bytes, unsigned node) override {
    const std::lock_guard lock(mutex_);
    bindings.push_back({at, bytes, node});
    return !refuse_bind;
  }
  bool advise_huge(void*, std::size_t) override {
    ++huge_asked;
    return !refuse_huge;
  }
  bool populate(void* at, std::size_t bytes) override {
    ++populate_asked;
    return !refuse_populate && Topology::populate(at, bytes);
  }
  void advise_base(void*, std::size_t) override { ++base_asked; }
  bool map_huge(void* at, std::size_t bytes, std::size_t page_bytes) override {
    ++gigantic_asked;
    // Stands for explicit huge pages: readable and writable at once, over the whole range.
    return !refuse_gigantic && page_bytes == std::size_t{1} << 30 &&
           ::mprotect(at, bytes, PROT_READ | PROT_WRITE) == 0;
  }

  struct Binding {
    void* at;
    std::size_t bytes;
    unsigned node;
  };
  static thread_local unsigned here; // the node of the calling thread
  std::vector<Binding> bindings;
  std::atomic<unsigned> huge_asked{0}, base_asked{0}, gigantic_asked{0}, populate_asked{0};
  bool refuse_bind = false;
  bool refuse_huge = false;
  bool refuse_gigantic = false;
  bool refuse_populate = false;

private:
  unsigned nodes_;
  std::mutex mutex_;
};

inline thread_local unsigned FakeTopology::here = 0;

} // namespace echo::native::test
