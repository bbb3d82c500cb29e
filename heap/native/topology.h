// SPDX-License-Identifier: MIT
//
// Purpose     What native memory asks of the machine: NUMA nodes and the page calls that differ between
//             machines. One small interface, so that a test can be a machine with four nodes, one whose mbind
//             fails, or one that has no huge pages.
// Invariants  [native.topology.1] Every answer is usable: a machine without NUMA is one node, number 0, and
//             says so; a refusal is false and changes nothing.
#pragma once

#include <cstddef>

namespace echo::native {

class Topology {
public:
  Topology() = default;
  Topology(const Topology&) = delete;
  Topology& operator=(const Topology&) = delete;
  virtual ~Topology() = default;

  // False: the kernel has no NUMA; there is one node and bind() is never needed.
  virtual bool has_numa() const = 0;
  // At least 1. Nodes are numbered from 0.
  virtual unsigned node_count() const = 0;
  // The node of the processor the caller runs on; below node_count().
  virtual unsigned current_node() const = 0;
  // Prefers `node` for pages of the range that are not there yet. False if refused.
  virtual bool bind(void* at, std::size_t bytes, unsigned node) = 0;
  // Asks for transparent huge pages. False if refused.
  virtual bool advise_huge(void* at, std::size_t bytes) = 0;
  // Asks for pages of the base size only, where the system would use huge ones by itself.
  virtual void advise_base(void* at, std::size_t bytes) = 0;
  // Replaces a reserved range by explicit huge pages of `page_bytes` (2 MiB or 1 GiB), readable and writable.
  // Range and page size are aligned to each other. False if refused: the range is then as it was.
  virtual bool map_huge(void* at, std::size_t bytes, std::size_t page_bytes) = 0;
};

// This machine, through libnuma. Never destroyed.
Topology& system_topology();

} // namespace echo::native
