// SPDX-License-Identifier: MIT
//
// Purpose     memory_reclaimer_*: nothing it reports is a constant; every byte was in memory and is not any
//             more.
#include "reclaimer.h"

#include "echo/industrial_memory_pool.h"
#include "heap/mutex.h"
#include "heap/os_memory.h"
#include "last_error.h"
#include "spaces.h"

using namespace echo::memory_pool;
using echo::MutexLock;
using echo::native::Pool;
using echo::native::PoolCounters;
namespace os = echo::os;
namespace registry = echo::native::registry;

namespace echo::memory_pool {

std::uint64_t deadline_in(std::uint64_t microseconds) {
  const std::uint64_t now = os::monotonic_ns();
  return microseconds > (kNoDeadline - now) / 1000 ? kNoDeadline : now + microseconds * 1000;
}

void measure_pools(std::size_t* live, std::size_t* committed) {
  struct Sums {
    std::size_t live = 0, committed = 0;
  } sums;
  registry::for_each_pool(
      [](Pool& pool, void* context) {
        const PoolCounters counters = pool.counters();
        static_cast<Sums*>(context)->live += counters.live_bytes;
        static_cast<Sums*>(context)->committed += counters.committed_bytes;
      },
      &sums);
  *live = sums.live;
  *committed = sums.committed;
}

void trim_all_pools(std::uint64_t deadline_ns) {
  registry::for_each_pool(
      [](Pool& pool, void* context) { pool.trim(*static_cast<const std::uint64_t*>(context)); },
      &deadline_ns);
}

} // namespace echo::memory_pool

struct memory_reclaimer {
  memory_reclamation_config_t config{};
  mutable echo::Mutex mutex;
  std::uint64_t collections ECHO_GUARDED_BY(mutex) = 0;
  std::size_t reclaimed ECHO_GUARDED_BY(mutex) = 0;
  std::uint64_t pause_ns ECHO_GUARDED_BY(mutex) = 0;
};

memory_reclaimer_t* memory_reclaimer_create(const memory_reclamation_config_t* config) {
  if (config == nullptr) {
    return fail<memory_reclaimer_t*>(POOL_ERROR_NULL_POINTER);
  }
  if (!(config->gc_threshold >= 0 && config->gc_threshold <= 1) || config->compaction_threshold > 100) {
    return fail<memory_reclaimer_t*>(POOL_ERROR_INVALID_SIZE);
  }
  auto* const reclaimer = make_handle<memory_reclaimer>();
  if (reclaimer == nullptr) {
    return fail<memory_reclaimer_t*>(POOL_ERROR_OUT_OF_MEMORY);
  }
  reclaimer->config = *config;
  succeed();
  return reclaimer;
}

void memory_reclaimer_destroy(memory_reclaimer_t* reclaimer) {
  if (reclaimer == nullptr) {
    fail<bool>(POOL_ERROR_NULL_POINTER);
    return;
  }
  drop_handle(reclaimer);
  succeed();
}

size_t memory_reclaimer_gc(memory_reclaimer_t* reclaimer, bool force) {
  if (reclaimer == nullptr) {
    return fail<size_t>(POOL_ERROR_NULL_POINTER);
  }
  succeed();
  const std::uint64_t start = os::monotonic_ns();
  if (!force) {
    std::size_t live = 0;
    std::size_t committed = 0;
    measure_pools(&live, &committed);
    if (static_cast<double>(live) >= reclaimer->config.gc_threshold * static_cast<double>(committed)) {
      return 0; // memory is well used
    }
  }
  const bool bounded = !force && reclaimer->config.enable_incremental_gc;
  const std::uint64_t deadline = bounded ? deadline_in(reclaimer->config.max_pause_us) : kNoDeadline;
  trim_all_pools(deadline);
  const std::size_t bytes = return_free_memory(deadline);
  const std::uint64_t pause = os::monotonic_ns() - start;
  const MutexLock lock(reclaimer->mutex);
  ++reclaimer->collections;
  reclaimer->reclaimed += bytes;
  reclaimer->pause_ns += pause;
  return bytes;
}

size_t memory_reclaimer_compact(memory_reclaimer_t* reclaimer) {
  if (reclaimer == nullptr) {
    return fail<size_t>(POOL_ERROR_NULL_POINTER);
  }
  succeed();
  if (!reclaimer->config.enable_compaction) {
    return 0;
  }
  struct Work {
    std::uint32_t percent = 0;
    std::size_t bytes = 0;
  } work{static_cast<std::uint32_t>(reclaimer->config.compaction_threshold)};
  registry::for_each_pool(
      [](Pool& pool, void* context) {
        auto* const w = static_cast<Work*>(context);
        w->bytes += pool.release_free_pages(w->percent);
      },
      &work);
  const MutexLock lock(reclaimer->mutex);
  reclaimer->reclaimed += work.bytes;
  return work.bytes;
}

void memory_reclaimer_get_stats(const memory_reclaimer_t* reclaimer, uint64_t* gc_count,
                                size_t* total_reclaimed, double* avg_pause_us) {
  if (reclaimer == nullptr) {
    fail<bool>(POOL_ERROR_NULL_POINTER);
    return;
  }
  const MutexLock lock(reclaimer->mutex);
  if (gc_count != nullptr) {
    *gc_count = reclaimer->collections;
  }
  if (total_reclaimed != nullptr) {
    *total_reclaimed = reclaimer->reclaimed;
  }
  if (avg_pause_us != nullptr) {
    *avg_pause_us = reclaimer->collections == 0 ? 0
                                                : static_cast<double>(reclaimer->pause_ns) / 1e3 /
                                                      static_cast<double>(reclaimer->collections);
  }
  succeed();
}
