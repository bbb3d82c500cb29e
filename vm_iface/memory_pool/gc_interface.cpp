// SPDX-License-Identifier: MIT
//
// Purpose     echo_gc_*: the collector interface of existing code on native slabs. Nothing is traced, so
//             nothing is ever found dead; what a collection gives back is what no object uses.
// Invariants  [pool.gc.1] Bytes of live objects, as cells and pages, never exceed max_heap_size.
//             [pool.gc.2] Collections run one at a time; a thread that is in one (in a callback) does not
//             start another. [pool.gc.3] The pool is destroyed when no call uses it any more.
#include "echo/gc.h"
#include "heap/mutex.h"
#include "heap/native/pool.h"
#include "heap/os_memory.h"
#include "reclaimer.h"
#include "spaces.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <new>
#include <pthread.h>
#include <sched.h>

using namespace echo::memory_pool;
using echo::Mutex;
using echo::MutexLock;
using echo::native::Pool;
using echo::native::PoolCounters;
namespace os = echo::os;

namespace {

constexpr std::size_t kPauses = 1024;

constexpr echo_gc_config_t kDefaults{.trigger_ratio = 0.75,
                                     .min_heap_size = std::uint64_t{16} << 20,
                                     .max_heap_size = std::uint64_t{1} << 30,
                                     .target_pause_time_us = 100,
                                     .max_pause_time_us = 100,
                                     .max_concurrent_workers = 4,
                                     .enable_tracing = false,
                                     .enable_profiling = false};

bool is_valid(const echo_gc_config_t& c) {
  return c.trigger_ratio > 0 && c.trigger_ratio < 1 && c.max_heap_size > 0 &&
         c.min_heap_size <= c.max_heap_size && c.target_pause_time_us <= c.max_pause_time_us &&
         c.max_concurrent_workers >= 1;
}

struct Collector {
  // Taken by init, shutdown, configuration and for the statistics. Never while user code runs.
  Mutex mutex;
  echo_gc_config_t config ECHO_GUARDED_BY(mutex){};
  echo_gc_stats_t stats ECHO_GUARDED_BY(mutex){};
  std::array<std::uint32_t, kPauses> pauses_us ECHO_GUARDED_BY(mutex){};
  std::uint64_t last_duration_us ECHO_GUARDED_BY(mutex) = 0;
  std::uint64_t cpu_ns ECHO_GUARDED_BY(mutex) = 0;
  std::uint64_t started_ns ECHO_GUARDED_BY(mutex) = 0;
  std::uint64_t rate_from_ns ECHO_GUARDED_BY(mutex) = 0;
  std::uint64_t rate_from_bytes ECHO_GUARDED_BY(mutex) = 0;

  Mutex collecting; // held by the thread that collects, callbacks included
  std::atomic<Pool*> pool{nullptr};
  std::atomic<std::uint64_t> users{0};
  std::atomic<std::uint64_t> max_heap{0};
  std::atomic<std::uint64_t> trigger{0};     // committed bytes that start a collection
  std::atomic<std::uint64_t> live_bytes{0};  // in cells and pages
  std::atomic<std::uint64_t> asked_bytes{0}; // ever
  std::atomic<std::uint64_t> objects{0};     // ever
  std::atomic<echo_gc_status_t> status{ECHO_GC_STATUS_ERROR};
  std::atomic<echo_gc_phase_t> phase{ECHO_GC_PHASE_IDLE};
  std::atomic<echo_gc_event_callback_t> on_start{nullptr};
  std::atomic<echo_gc_event_callback_t> on_complete{nullptr};
};
constinit Collector collector;
constinit thread_local bool in_collection __attribute__((tls_model("initial-exec"))) = false;

// The pool, held open while this lives; null if the collector is not running. [pool.gc.3]
class Use {
public:
  Use() {
    collector.users.fetch_add(1, std::memory_order_seq_cst);
    pool_ = collector.pool.load(std::memory_order_seq_cst);
  }
  ~Use() { collector.users.fetch_sub(1, std::memory_order_release); }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  explicit operator bool() const { return pool_ != nullptr; }
  Pool* operator->() const { return pool_; }
  Pool& operator*() const { return *pool_; }

private:
  Pool* pool_ = nullptr;
};

timespec now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return time;
}

std::uint64_t first_trigger(const echo_gc_config_t& config) {
  return static_cast<std::uint64_t>(config.trigger_ratio * static_cast<double>(config.max_heap_size));
}

// The child of a fork has one thread: what others held is free, what others used is used no more.
void handle_forks() ECHO_REQUIRES(collector.mutex) {
  static bool handled = false;
  if (!handled) {
    handled = ::pthread_atfork([]() ECHO_NO_THREAD_ANALYSIS { collector.mutex.lock(); },
                               []() ECHO_NO_THREAD_ANALYSIS { collector.mutex.unlock(); },
                               []() ECHO_NO_THREAD_ANALYSIS {
                                 collector.mutex.unlock();
                                 if (!in_collection) { // else this thread holds it, from a callback
                                   new (&collector.collecting) Mutex;
                                 }
                                 collector.users.store(in_collection ? 1 : 0, std::memory_order_relaxed);
                               }) == 0;
  }
}

echo_gc_error_t collect(Pool& pool, echo_gc_trigger_reason_t reason) {
  if (in_collection) {
    return ECHO_GC_ERROR_CONCURRENT_MODIFICATION;
  }
  const MutexLock only(collector.collecting);
  in_collection = true;
  echo_gc_config_t config;
  {
    const MutexLock lock(collector.mutex);
    config = collector.config;
  }
  collector.status.store(ECHO_GC_STATUS_RUNNING, std::memory_order_relaxed);
  if (echo_gc_event_callback_t const call = collector.on_start.load(std::memory_order_acquire);
      call != nullptr) {
    call("gc_start", &reason);
  }
  const bool bounded = reason == ECHO_GC_TRIGGER_HEAP_USAGE || reason == ECHO_GC_TRIGGER_ALLOCATION_RATE;
  const std::uint64_t start = os::monotonic_ns();
  const std::uint64_t cpu_start = config.enable_profiling ? os::thread_cpu_ns() : 0;
  const std::uint64_t deadline = bounded ? deadline_in(config.max_pause_time_us) : kNoDeadline;
  collector.phase.store(ECHO_GC_PHASE_SWEEP, std::memory_order_relaxed);
  pool.trim(deadline);
  const std::uint64_t live = collector.live_bytes.load(std::memory_order_relaxed);
  std::size_t bytes =
      return_free_memory(deadline, config.min_heap_size > live ? config.min_heap_size - live : 0);
  if (!bounded) {
    bytes += pool.release_free_pages(100);
  }
  collector.phase.store(ECHO_GC_PHASE_COMPLETE, std::memory_order_relaxed);
  const std::uint64_t duration_us = (os::monotonic_ns() - start) / 1000;
  echo_gc_stats_t stats;
  {
    const MutexLock lock(collector.mutex);
    echo_gc_stats_t& s = collector.stats;
    collector.pauses_us[s.total_cycles % kPauses] =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(duration_us, UINT32_MAX));
    ++s.total_cycles;
    ++s.successful_cycles;
    s.total_gc_time_us += duration_us;
    s.total_pause_time_us += duration_us;
    s.average_gc_duration_us = s.total_gc_time_us / s.total_cycles;
    s.total_memory_allocated = collector.asked_bytes.load(std::memory_order_relaxed);
    s.total_memory_reclaimed += bytes;
    s.last_completed_at = now();
    collector.last_duration_us = duration_us;
    collector.cpu_ns += config.enable_profiling ? os::thread_cpu_ns() - cpu_start : 0;
    stats = s;
  }
  if (config.enable_tracing) {
    (void)std::fprintf(stderr, "echo gc: %zu bytes given back in %" PRIu64 " us, %" PRIu64 " bytes live\n",
                       bytes, duration_us, collector.live_bytes.load(std::memory_order_relaxed));
  }
  if (echo_gc_event_callback_t const call = collector.on_complete.load(std::memory_order_acquire);
      call != nullptr) {
    call("gc_complete", &stats);
  }
  collector.phase.store(ECHO_GC_PHASE_IDLE, std::memory_order_relaxed);
  collector.status.store(ECHO_GC_STATUS_IDLE, std::memory_order_relaxed);
  in_collection = false;
  return ECHO_GC_SUCCESS;
}

// Reserves room for `bytes` more. [pool.gc.1]
bool reserve(std::uint64_t bytes) {
  std::uint64_t live = collector.live_bytes.load(std::memory_order_relaxed);
  do {
    if (bytes > collector.max_heap.load(std::memory_order_relaxed) ||
        live > collector.max_heap.load(std::memory_order_relaxed) - bytes) {
      return false;
    }
  } while (!collector.live_bytes.compare_exchange_weak(live, live + bytes, std::memory_order_relaxed));
  return true;
}

} // namespace

echo_gc_error_t echo_gc_init(const echo_gc_config_t* config) {
  if (config != nullptr && !is_valid(*config)) {
    return ECHO_GC_ERROR_INVALID_CONFIG;
  }
  const MutexLock lock(collector.mutex);
  if (collector.pool.load(std::memory_order_relaxed) != nullptr) {
    return ECHO_GC_SUCCESS;
  }
  handle_forks();
  Pool* const pool = open_pool({}, {});
  if (pool == nullptr) {
    return ECHO_GC_ERROR_OUT_OF_MEMORY;
  }
  collector.config = config == nullptr ? kDefaults : *config;
  collector.stats = {};
  collector.last_duration_us = collector.cpu_ns = collector.rate_from_bytes = 0;
  collector.started_ns = collector.rate_from_ns = os::monotonic_ns();
  collector.max_heap.store(collector.config.max_heap_size, std::memory_order_relaxed);
  collector.trigger.store(first_trigger(collector.config), std::memory_order_relaxed);
  collector.live_bytes.store(0, std::memory_order_relaxed);
  collector.asked_bytes.store(0, std::memory_order_relaxed);
  collector.objects.store(0, std::memory_order_relaxed);
  collector.phase.store(ECHO_GC_PHASE_IDLE, std::memory_order_relaxed);
  collector.status.store(ECHO_GC_STATUS_IDLE, std::memory_order_relaxed);
  collector.pool.store(pool, std::memory_order_seq_cst);
  return ECHO_GC_SUCCESS;
}

void echo_gc_shutdown(void) {
  if (in_collection) {
    return; // from a callback: the collection still uses the heap
  }
  Pool* pool = nullptr;
  {
    const MutexLock lock(collector.mutex);
    pool = collector.pool.exchange(nullptr, std::memory_order_seq_cst);
    collector.status.store(ECHO_GC_STATUS_ERROR, std::memory_order_relaxed);
  }
  if (pool == nullptr) {
    return;
  }
  while (collector.users.load(std::memory_order_seq_cst) != 0) {
    ::sched_yield();
  }
  close_pool(pool);
}

echo_gc_error_t echo_gc_get_config(echo_gc_config_t* config) {
  if (config == nullptr) {
    return ECHO_GC_ERROR_INVALID_CONFIG;
  }
  const MutexLock lock(collector.mutex);
  if (collector.pool.load(std::memory_order_relaxed) == nullptr) {
    return ECHO_GC_ERROR_SYSTEM_ERROR;
  }
  *config = collector.config;
  return ECHO_GC_SUCCESS;
}

echo_gc_error_t echo_gc_update_config(const echo_gc_config_t* config) {
  if (config == nullptr || !is_valid(*config)) {
    return ECHO_GC_ERROR_INVALID_CONFIG;
  }
  const MutexLock lock(collector.mutex);
  if (collector.pool.load(std::memory_order_relaxed) == nullptr) {
    return ECHO_GC_ERROR_SYSTEM_ERROR;
  }
  collector.config = *config;
  collector.max_heap.store(config->max_heap_size, std::memory_order_relaxed);
  collector.trigger.store(first_trigger(*config), std::memory_order_relaxed);
  return ECHO_GC_SUCCESS;
}

echo_gc_error_t echo_gc_allocate(size_t size, echo_obj_type_t type, void** ptr) {
  if (ptr == nullptr || size == 0) {
    return ECHO_GC_ERROR_INVALID_CONFIG;
  }
  if (static_cast<unsigned>(type) > ECHO_OBJ_TYPE_FUTURE) {
    return ECHO_GC_ERROR_INVALID_OBJECT;
  }
  const Use pool;
  if (!pool) {
    return ECHO_GC_ERROR_SYSTEM_ERROR;
  }
  if (size > std::size_t{1} << 48) {
    return ECHO_GC_ERROR_OUT_OF_MEMORY;
  }
  const std::uint64_t bytes = Pool::rounded_bytes(size);
  if (!reserve(bytes)) {
    return ECHO_GC_ERROR_OUT_OF_MEMORY; // nothing can be proved dead, so no collection would make room
  }
  void* p = pool->allocate(size);
  if (p == nullptr && collect(*pool, ECHO_GC_TRIGGER_EMERGENCY) == ECHO_GC_SUCCESS) {
    p = pool->allocate(size);
  }
  if (p == nullptr) {
    collector.live_bytes.fetch_sub(bytes, std::memory_order_relaxed);
    return ECHO_GC_ERROR_OUT_OF_MEMORY;
  }
  std::memset(p, 0, size);
  collector.asked_bytes.fetch_add(size, std::memory_order_relaxed);
  collector.objects.fetch_add(1, std::memory_order_relaxed);
  // Past the trigger: once, and again after every sixteenth of the heap.
  std::uint64_t trigger = collector.trigger.load(std::memory_order_relaxed);
  if (__builtin_expect(collector.live_bytes.load(std::memory_order_relaxed) >= trigger, 0) &&
      !in_collection) {
    const std::uint64_t step = collector.max_heap.load(std::memory_order_relaxed) / 16 + 1;
    if (collector.trigger.compare_exchange_strong(trigger, trigger + step, std::memory_order_relaxed)) {
      (void)collect(*pool, ECHO_GC_TRIGGER_HEAP_USAGE);
    }
  }
  *ptr = p;
  return ECHO_GC_SUCCESS;
}

echo_gc_error_t echo_gc_collect(void) {
  const Use pool;
  return pool ? collect(*pool, ECHO_GC_TRIGGER_MANUAL) : ECHO_GC_ERROR_SYSTEM_ERROR;
}

echo_gc_status_t echo_gc_get_status(void) {
  return collector.status.load(std::memory_order_relaxed);
}

echo_gc_phase_t echo_gc_get_phase(void) {
  return collector.phase.load(std::memory_order_relaxed);
}

echo_gc_error_t echo_gc_get_stats(echo_gc_stats_t* stats) {
  if (stats == nullptr) {
    return ECHO_GC_ERROR_INVALID_CONFIG;
  }
  const MutexLock lock(collector.mutex);
  if (collector.pool.load(std::memory_order_relaxed) == nullptr) {
    return ECHO_GC_ERROR_SYSTEM_ERROR;
  }
  *stats = collector.stats;
  stats->total_memory_allocated = collector.asked_bytes.load(std::memory_order_relaxed);
  return ECHO_GC_SUCCESS;
}

echo_gc_error_t echo_gc_get_metrics(echo_gc_metrics_t* metrics) {
  if (metrics == nullptr) {
    return ECHO_GC_ERROR_INVALID_CONFIG;
  }
  const Use pool;
  if (!pool) {
    return ECHO_GC_ERROR_SYSTEM_ERROR;
  }
  const PoolCounters counters = pool->counters();
  echo_gc_metrics_t m{};
  std::array<std::uint32_t, kPauses> pauses{};
  std::size_t count = 0;
  {
    const MutexLock lock(collector.mutex);
    const echo_gc_stats_t s = collector.stats;
    count = static_cast<std::size_t>(std::min<std::uint64_t>(s.total_cycles, kPauses));
    std::copy_n(collector.pauses_us.begin(), count, pauses.begin());
    m.total_pause_time_us = s.total_pause_time_us;
    m.gc_duration_us = collector.last_duration_us;
    m.memory_reclaimed_bytes = s.total_memory_reclaimed;
    const std::uint64_t time = os::monotonic_ns();
    const std::uint64_t asked = collector.asked_bytes.load(std::memory_order_relaxed);
    const auto seconds = static_cast<double>(time - collector.rate_from_ns) / 1e9;
    m.allocation_rate_bps =
        seconds > 0
            ? static_cast<std::uint64_t>(static_cast<double>(asked - collector.rate_from_bytes) / seconds)
            : 0;
    collector.rate_from_ns = time;
    collector.rate_from_bytes = asked;
    const auto lifetime = static_cast<double>(std::max<std::uint64_t>(time - collector.started_ns, 1));
    m.gc_cpu_percentage = 100 * static_cast<double>(collector.cpu_ns) / lifetime;
  }
  std::sort(pauses.begin(), pauses.begin() + static_cast<std::ptrdiff_t>(count));
  const auto percentile = [&](std::size_t percent) -> std::uint64_t {
    return count == 0 ? 0 : pauses[std::min(count - 1, count * percent / 100)];
  };
  m.pause_time_p50_us = percentile(50);
  m.pause_time_p95_us = percentile(95);
  m.pause_time_p99_us = percentile(99);
  m.heap_usage_ratio = counters.committed_bytes == 0 ? 0
                                                     : static_cast<double>(counters.live_bytes) /
                                                           static_cast<double>(counters.committed_bytes);
  m.fragmentation_ratio = counters.committed_bytes == 0 ? 0 : 1 - m.heap_usage_ratio;
  m.total_objects = counters.allocations;
  m.live_objects = counters.allocations - counters.frees;
  m.collected_at = now();
  *metrics = m;
  return ECHO_GC_SUCCESS;
}

void echo_gc_write_barrier(void** slot, void* new_value) {
  if (slot != nullptr) {
    __atomic_store_n(slot, new_value, __ATOMIC_RELEASE);
  }
}

void echo_gc_dump_heap(void) {
  echo_gc_metrics_t m;
  if (echo_gc_get_metrics(&m) != ECHO_GC_SUCCESS) {
    (void)std::printf("echo gc: not running\n");
    return;
  }
  const Use pool;
  if (!pool) {
    return;
  }
  const PoolCounters counters = pool->counters();
  (void)std::printf("echo gc heap: %" PRIu64 " objects live of %" PRIu64
                    ", %zu of %zu bytes in use (%.1f %%)\n",
                    m.live_objects, m.total_objects, counters.live_bytes, counters.committed_bytes,
                    100 * m.heap_usage_ratio);
  for (std::size_t i = 0; i < echo::native::kClassCount; ++i) {
    if (counters.class_allocations[i] != 0) {
      (void)std::printf("  up to %4u bytes: %" PRIu64 " allocations\n",
                        unsigned{echo::native::kClassBytes[i]}, counters.class_allocations[i]);
    }
  }
}

void echo_gc_dump_stats(void) {
  echo_gc_stats_t s;
  if (echo_gc_get_stats(&s) != ECHO_GC_SUCCESS) {
    (void)std::printf("echo gc: not running\n");
    return;
  }
  (void)std::printf("echo gc: %" PRIu64 " collections (%" PRIu64 " failed), %" PRIu64 " us in all, %" PRIu64
                    " bytes allocated, %" PRIu64 " bytes given back\n",
                    s.total_cycles, s.failed_cycles, s.total_gc_time_us, s.total_memory_allocated,
                    s.total_memory_reclaimed);
}

bool echo_gc_validate_heap(void) {
  const Use pool;
  return pool && *pool->check() == '\0';
}

echo_gc_error_t echo_gc_register_event_callback(const char* event_type, echo_gc_event_callback_t callback) {
  if (event_type == nullptr) {
    return ECHO_GC_ERROR_INVALID_CONFIG;
  }
  if (std::strcmp(event_type, "gc_start") == 0) {
    collector.on_start.store(callback, std::memory_order_release);
    return ECHO_GC_SUCCESS;
  }
  if (std::strcmp(event_type, "gc_complete") == 0) {
    collector.on_complete.store(callback, std::memory_order_release);
    return ECHO_GC_SUCCESS;
  }
  return ECHO_GC_ERROR_INVALID_CONFIG;
}
