// SPDX-License-Identifier: MIT
//
// Purpose     Opening and closing the process's spaces.
#include "spaces.h"

#include "heap/mutex.h"
#include "heap/native/topology.h"
#include "heap/os_memory.h"

#include <array>
#include <pthread.h>

namespace echo::memory_pool {

using native::NativeSpace;
using native::PageKind;
using native::Pool;
using native::PoolConfig;
using native::Topology;

namespace {

// The machine without its nodes, for callers that did not ask for NUMA.
class FlatTopology final : public Topology {
public:
  bool has_numa() const override { return false; }
  unsigned node_count() const override { return 1; }
  unsigned current_node() const override { return 0; }
  bool bind(void*, std::size_t, unsigned node) override { return node == 0; }
  bool advise_huge(void* at, std::size_t bytes) override {
    return native::system_topology().advise_huge(at, bytes);
  }
  void advise_base(void* at, std::size_t bytes) override { native::system_topology().advise_base(at, bytes); }
  bool map_huge(void* at, std::size_t bytes, std::size_t page_bytes) override {
    return native::system_topology().map_huge(at, bytes, page_bytes);
  }
};

constexpr std::size_t kKinds = 6;

struct Slot {
  NativeSpace* space = nullptr;
  std::size_t pools = 0;
  alignas(NativeSpace) std::byte place[sizeof(NativeSpace)];
};

struct Spaces {
  Mutex mutex;
  std::array<Slot, kKinds> slots ECHO_GUARDED_BY(mutex);
  Pool* common ECHO_GUARDED_BY(mutex) = nullptr;
  std::size_t handles ECHO_GUARDED_BY(mutex) = 0;
};
constinit Spaces spaces{};

std::size_t index_of(SpaceKind kind) {
  return static_cast<std::size_t>(kind.pages) * 2 + (kind.numa_aware ? 1 : 0);
}
constexpr SpaceKind kCommon{PageKind::Transparent, false};

// The child of a fork finds the mutex free.
void handle_forks() ECHO_REQUIRES(spaces.mutex) {
  static bool handled = false;
  if (!handled) {
    handled = ::pthread_atfork([]() ECHO_NO_THREAD_ANALYSIS { spaces.mutex.lock(); },
                               []() ECHO_NO_THREAD_ANALYSIS { spaces.mutex.unlock(); },
                               []() ECHO_NO_THREAD_ANALYSIS { spaces.mutex.unlock(); }) == 0;
  }
}

NativeSpace* open_locked(SpaceKind kind) ECHO_REQUIRES(spaces.mutex) {
  handle_forks();
  Slot& slot = spaces.slots[index_of(kind)];
  if (slot.space == nullptr) {
    alignas(FlatTopology) static std::byte flat_place[sizeof(FlatTopology)];
    static FlatTopology* const flat = new (flat_place) FlatTopology;
    auto* const space = new (slot.place)
        NativeSpace(kind.numa_aware ? native::system_topology() : static_cast<Topology&>(*flat));
    if (!space->open({.pages = kind.pages})) {
      space->~NativeSpace();
      return nullptr;
    }
    slot.space = space;
  }
  return slot.space;
}

__attribute__((destructor)) void close_spaces() {
  const MutexLock lock(spaces.mutex);
  std::size_t pools = 0;
  for (const Slot& slot : spaces.slots) {
    pools += slot.pools;
  }
  // The common pool is the library's own: it goes if nothing else is left.
  if (spaces.common != nullptr && pools == 1 && spaces.handles == 0) {
    const native::PoolCounters counters = spaces.common->counters();
    if (counters.allocations == counters.frees) {
      Pool::destroy(spaces.common);
      spaces.common = nullptr;
      --spaces.slots[index_of(kCommon)].pools;
    }
  }
  for (std::size_t i = 0; i < kKinds; ++i) {
    Slot& slot = spaces.slots[i];
    const bool used = slot.pools != 0 || (i == index_of(kCommon) && spaces.handles != 0);
    if (slot.space != nullptr && !used) {
      slot.space->~NativeSpace();
      slot.space = nullptr;
    }
  }
}

} // namespace

NativeSpace* space_of(SpaceKind kind) {
  const MutexLock lock(spaces.mutex);
  return open_locked(kind);
}

Pool* open_pool(SpaceKind kind, const PoolConfig& config) {
  NativeSpace* space = nullptr;
  {
    const MutexLock lock(spaces.mutex);
    space = open_locked(kind);
    if (space == nullptr) {
      return nullptr;
    }
    ++spaces.slots[index_of(kind)].pools;
  }
  Pool* const pool = Pool::create(*space, config);
  if (pool == nullptr) {
    const MutexLock lock(spaces.mutex);
    --spaces.slots[index_of(kind)].pools;
  }
  return pool;
}

void close_pool(Pool* pool) {
  if (pool == nullptr) {
    return;
  }
  NativeSpace* const space = &pool->space();
  Pool::destroy(pool);
  space->settle();
  const MutexLock lock(spaces.mutex);
  for (Slot& slot : spaces.slots) {
    slot.pools -= slot.space == space ? 1 : 0;
  }
}

std::size_t return_free_memory(std::uint64_t deadline_ns, std::size_t keep) {
  std::array<NativeSpace*, kKinds> open{};
  {
    const MutexLock lock(spaces.mutex);
    for (std::size_t i = 0; i < kKinds; ++i) {
      open[i] = spaces.slots[i].space;
    }
  }
  std::size_t bytes = 0;
  for (NativeSpace* const space : open) {
    if (space != nullptr && (bytes == 0 || os::monotonic_ns() < deadline_ns)) {
      bytes += space->return_all(deadline_ns, keep);
    }
  }
  return bytes;
}

Pool* common_pool() {
  {
    const MutexLock lock(spaces.mutex);
    if (spaces.common != nullptr) {
      return spaces.common;
    }
  }
  Pool* const pool = open_pool(kCommon, {});
  Pool* loser = nullptr;
  Pool* winner = nullptr;
  {
    const MutexLock lock(spaces.mutex);
    if (spaces.common == nullptr) {
      spaces.common = pool;
    } else {
      loser = pool;
    }
    winner = spaces.common;
  }
  close_pool(loser);
  return winner;
}

void* take_handle(std::size_t bytes) {
  NativeSpace* const space = space_of(kCommon);
  void* const handle = space == nullptr ? nullptr : space->arena().take(bytes);
  if (handle != nullptr) {
    const MutexLock lock(spaces.mutex);
    ++spaces.handles;
  }
  return handle;
}

void give_handle(void* handle, std::size_t bytes) {
  NativeSpace* const space = space_of(kCommon);
  space->arena().give(handle, bytes);
  const MutexLock lock(spaces.mutex);
  --spaces.handles;
}

} // namespace echo::memory_pool
