// SPDX-License-Identifier: MIT
//
// Purpose     The real machine: libnuma for nodes and binding, mmap and madvise for pages.
#include "heap/native/topology.h"

#include "heap/words.h"

#include <bit>
#include <cerrno>
#include <linux/mman.h>
#include <new>
#include <numa.h>
#include <numaif.h>
#include <sched.h>
#include <sys/mman.h>

namespace echo::native {

namespace {

class SystemTopology final : public Topology {
public:
  SystemTopology() {
    if (::numa_available() < 0 || ::numa_max_node() < 1) {
      return;
    }
    numa_ = true;
    nodes_ = static_cast<unsigned>(::numa_max_node()) + 1;
  }

  bool has_numa() const override { return numa_; }
  unsigned node_count() const override { return nodes_; }

  unsigned current_node() const override {
    if (!numa_) {
      return 0;
    }
    unsigned cpu = 0;
    unsigned node = 0;
    return ::getcpu(&cpu, &node) == 0 && node < nodes_ ? node : 0;
  }

  bool bind(void* at, std::size_t bytes, unsigned node) override {
    if (!numa_ || node >= nodes_) {
      return !numa_ && node == 0;
    }
    bitmask* const nodes = ::numa_allocate_nodemask();
    if (nodes == nullptr) {
      return false;
    }
    ::numa_bitmask_setbit(nodes, node);
    const long result = ::mbind(at, bytes, MPOL_PREFERRED, nodes->maskp, nodes->size + 1, 0);
    ::numa_bitmask_free(nodes);
    return result == 0;
  }

  void advise_base(void* at, std::size_t bytes) override { (void)::madvise(at, bytes, MADV_NOHUGEPAGE); }

  bool map_huge(void* at, std::size_t bytes, std::size_t page_bytes) override {
    // MAP_FIXED drops the old mapping before it finds out that there are no huge pages: try elsewhere first,
    // then move into place. Without MAP_NORESERVE the kernel sets the pages aside here or refuses.
    const int size_bits = std::countr_zero(page_bytes) << MAP_HUGE_SHIFT;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | size_bits;
    void* const trial = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (trial == MAP_FAILED) {
      return false;
    }
    ::munmap(trial, bytes);
    if (::mmap(at, bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, -1, 0) != MAP_FAILED) {
      return true;
    }
    // Somebody took the pages in between: put the reservation back. [native.topology.1]
    (void)::mmap(at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    return false;
  }

private:
  bool numa_ = false;
  unsigned nodes_ = 1;
};

} // namespace

Topology& system_topology() {
  // In place and never destroyed: threads may still use it while the process ends.
  alignas(SystemTopology) static std::byte place[sizeof(SystemTopology)];
  static SystemTopology* const topology = new (place) SystemTopology;
  return *topology;
}

} // namespace echo::native
