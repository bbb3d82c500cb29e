// SPDX-License-Identifier: MIT
//
// Purpose     What the heap and native memory ask of the machine: NUMA nodes and the page calls that differ between
//             machines. One small interface, so that a test can be a machine with four nodes, one whose mbind
//             fails, or one that has no huge pages. The class itself is a machine without NUMA.
// Invariants  [native.topology.1] Every answer is usable: a machine without NUMA is one node, number 0, and
//             says so; a refusal is false and changes nothing.
#pragma once

#include "heap/os_memory.h"

#include <cstddef>

namespace echo::native {

class Topology {
public:
  Topology() = default;
  Topology(const Topology&) = delete;
  Topology& operator=(const Topology&) = delete;
  virtual ~Topology() = default;

  // False: the kernel has no NUMA; there is one node and bind() is never needed.
  virtual bool has_numa() const { return false; }
  // At least 1. Nodes are numbered from 0.
  virtual unsigned node_count() const { return 1; }
  // The node of the processor the caller runs on; below node_count().
  virtual unsigned current_node() const { return 0; }
  // Prefers `node` for pages of the range that are not there yet. False if refused.
  virtual bool bind(void*, std::size_t, unsigned node) { return node == 0; }
  // Asks for transparent huge pages. False if refused.
  virtual bool advise_huge(void* at, std::size_t bytes) { return os::advise_huge(at, bytes); }
  // Asks for pages of the base size only, where the system would use huge ones by itself.
  virtual void advise_base(void*, std::size_t) {}
  // Brings pages in that nobody has touched. False if refused, or unknown to the kernel.
  virtual bool populate(void* at, std::size_t bytes) { return os::populate(at, bytes); }
  // Replaces a reserved range by explicit huge pages of `page_bytes` (2 MiB or 1 GiB), readable and writable.
  // Range and page size are aligned to each other. False if refused: the range is then as it was.
  virtual bool map_huge(void*, std::size_t, std::size_t) { return false; }
};

// This machine, through libnuma. Never destroyed.
Topology& system_topology();

} // namespace echo::native
