/* SPDX-License-Identifier: MIT
 *
 * Purpose     echo/gc.h in C11: life cycle, configuration, allocation, counts, collections, events, threads.
 */
#include "echo/gc.h"

#include "check.h"

#include <pthread.h>
#include <string.h>

static int starts;
static int completes;
static echo_gc_error_t nested = ECHO_GC_SUCCESS;

static void on_start(const char* type, const void* data) {
  CHECK(strcmp(type, "gc_start") == 0);
  CHECK(*(const echo_gc_trigger_reason_t*)data == ECHO_GC_TRIGGER_MANUAL);
  CHECK(echo_gc_get_status() == ECHO_GC_STATUS_RUNNING);
  nested = echo_gc_collect();
  void* p = NULL;
  CHECK(echo_gc_allocate(8, ECHO_OBJ_TYPE_STRUCT, &p) == ECHO_GC_SUCCESS);
  echo_gc_shutdown(); /* refused: the collection is under way */
  ++starts;
}
static void on_complete(const char* type, const void* data) {
  CHECK(strcmp(type, "gc_complete") == 0);
  CHECK(((const echo_gc_stats_t*)data)->total_cycles >= 1);
  CHECK(echo_gc_get_phase() == ECHO_GC_PHASE_COMPLETE);
  ++completes;
}

static void test_not_running(void) {
  echo_gc_config_t config;
  echo_gc_stats_t stats;
  echo_gc_metrics_t metrics;
  void* p = &config;
  CHECK(echo_gc_get_status() == ECHO_GC_STATUS_ERROR);
  CHECK(echo_gc_get_phase() == ECHO_GC_PHASE_IDLE);
  CHECK(echo_gc_get_config(&config) == ECHO_GC_ERROR_SYSTEM_ERROR);
  CHECK(echo_gc_allocate(8, ECHO_OBJ_TYPE_STRUCT, &p) == ECHO_GC_ERROR_SYSTEM_ERROR && p == &config);
  CHECK(echo_gc_collect() == ECHO_GC_ERROR_SYSTEM_ERROR);
  CHECK(echo_gc_get_stats(&stats) == ECHO_GC_ERROR_SYSTEM_ERROR);
  CHECK(echo_gc_get_metrics(&metrics) == ECHO_GC_ERROR_SYSTEM_ERROR);
  CHECK(!echo_gc_validate_heap());
  echo_gc_dump_heap();
  echo_gc_dump_stats();
  echo_gc_shutdown();
}

static void test_configuration(void) {
  CHECK(echo_gc_init(NULL) == ECHO_GC_SUCCESS);
  CHECK(echo_gc_init(NULL) == ECHO_GC_SUCCESS); /* a second time */
  CHECK(echo_gc_get_status() == ECHO_GC_STATUS_IDLE);
  echo_gc_config_t config;
  CHECK(echo_gc_get_config(&config) == ECHO_GC_SUCCESS);
  CHECK(config.trigger_ratio == 0.75 && config.min_heap_size == 16u << 20 &&
        config.max_heap_size == 1u << 30);
  CHECK(config.target_pause_time_us == 100 && config.max_pause_time_us == 100);
  CHECK(config.max_concurrent_workers == 4 && !config.enable_tracing && !config.enable_profiling);
  config.trigger_ratio = 0.5;
  config.enable_profiling = true;
  CHECK(echo_gc_update_config(&config) == ECHO_GC_SUCCESS);
  echo_gc_config_t read;
  CHECK(echo_gc_get_config(&read) == ECHO_GC_SUCCESS);
  CHECK(read.trigger_ratio == 0.5 && read.enable_profiling);
  config.trigger_ratio = 0;
  CHECK(echo_gc_update_config(&config) == ECHO_GC_ERROR_INVALID_CONFIG);
  config.trigger_ratio = 1;
  CHECK(echo_gc_update_config(&config) == ECHO_GC_ERROR_INVALID_CONFIG);
  config = read;
  config.min_heap_size = config.max_heap_size + 1;
  CHECK(echo_gc_update_config(&config) == ECHO_GC_ERROR_INVALID_CONFIG);
  config = read;
  config.max_concurrent_workers = 0;
  CHECK(echo_gc_update_config(&config) == ECHO_GC_ERROR_INVALID_CONFIG);
  CHECK(echo_gc_update_config(NULL) == ECHO_GC_ERROR_INVALID_CONFIG);
  CHECK(echo_gc_get_config(NULL) == ECHO_GC_ERROR_INVALID_CONFIG);
  CHECK(echo_gc_get_config(&config) == ECHO_GC_SUCCESS && config.trigger_ratio == 0.5); /* as it was */
  echo_gc_shutdown();
}

static void test_allocation_and_counts(void) {
  CHECK(echo_gc_init(NULL) == ECHO_GC_SUCCESS);
  echo_gc_metrics_t metrics;
  echo_gc_stats_t stats;
  size_t asked = 0;
  for (int i = 0; i < 1000; ++i) {
    const size_t size = (size_t)i * 7 + 1;
    unsigned char* p = NULL;
    CHECK(echo_gc_allocate(size, (echo_obj_type_t)(i % 10), (void**)&p) == ECHO_GC_SUCCESS);
    for (size_t k = 0; k < size; ++k) {
      CHECK(p[k] == 0);
    }
    memset(p, 0xFF, size);
    asked += size;
  }
  CHECK(echo_gc_get_metrics(&metrics) == ECHO_GC_SUCCESS);
  CHECK(metrics.total_objects == 1000 && metrics.live_objects == 1000 && metrics.marked_objects == 0);
  CHECK(metrics.heap_usage_ratio > 0 && metrics.heap_usage_ratio <= 1);
  CHECK(metrics.fragmentation_ratio == 1 - metrics.heap_usage_ratio);
  CHECK(metrics.allocation_rate_bps > 0);
  CHECK(metrics.collected_at.tv_sec != 0 || metrics.collected_at.tv_nsec != 0);
  CHECK(metrics.pause_time_p50_us == 0 && metrics.memory_reclaimed_bytes == 0);
  CHECK(echo_gc_get_stats(&stats) == ECHO_GC_SUCCESS);
  CHECK(stats.total_memory_allocated == asked && stats.total_cycles == 0);
  CHECK(stats.last_completed_at.tv_sec == 0 && stats.last_completed_at.tv_nsec == 0);
  CHECK(echo_gc_validate_heap());
  void* p = &p;
  CHECK(echo_gc_allocate(0, ECHO_OBJ_TYPE_STRUCT, &p) == ECHO_GC_ERROR_INVALID_CONFIG);
  CHECK(echo_gc_allocate(8, ECHO_OBJ_TYPE_STRUCT, NULL) == ECHO_GC_ERROR_INVALID_CONFIG);
  CHECK(echo_gc_allocate(8, (echo_obj_type_t)10, &p) == ECHO_GC_ERROR_INVALID_OBJECT);
  CHECK(echo_gc_allocate((size_t)-1, ECHO_OBJ_TYPE_STRUCT, &p) == ECHO_GC_ERROR_OUT_OF_MEMORY);
  CHECK(echo_gc_allocate((size_t)2 << 30, ECHO_OBJ_TYPE_STRUCT, &p) == ECHO_GC_ERROR_OUT_OF_MEMORY);
  CHECK(p == (void*)&p); /* untouched */
  echo_gc_write_barrier(&p, &stats);
  CHECK(p == (void*)&stats);
  echo_gc_write_barrier(NULL, &stats);
  echo_gc_dump_heap();
  echo_gc_dump_stats();
  echo_gc_shutdown();
  CHECK(echo_gc_init(NULL) == ECHO_GC_SUCCESS); /* a new life starts at nothing */
  CHECK(echo_gc_get_metrics(&metrics) == ECHO_GC_SUCCESS && metrics.total_objects == 0);
  echo_gc_shutdown();
}

static void test_limit(void) {
  echo_gc_config_t config = {0.9, 0, 1u << 20, 100, 100, 1, false, false};
  CHECK(echo_gc_init(&config) == ECHO_GC_SUCCESS);
  void* p = NULL;
  size_t count = 0;
  while (count < 5000 && echo_gc_allocate(1024, ECHO_OBJ_TYPE_ARRAY, &p) == ECHO_GC_SUCCESS) {
    ++count;
  }
  CHECK(count == 1024);
  CHECK(echo_gc_allocate(1, ECHO_OBJ_TYPE_ARRAY, &p) == ECHO_GC_ERROR_OUT_OF_MEMORY);
  echo_gc_stats_t stats;
  CHECK(echo_gc_get_stats(&stats) == ECHO_GC_SUCCESS);
  CHECK(stats.total_cycles == 2); /* at 90 % of the limit and one sixteenth later */
  config.max_heap_size = 2u << 20;
  CHECK(echo_gc_update_config(&config) == ECHO_GC_SUCCESS);
  CHECK(echo_gc_allocate(1024, ECHO_OBJ_TYPE_ARRAY, &p) == ECHO_GC_SUCCESS);
  echo_gc_shutdown();
}

static void test_collection(void) {
  echo_gc_config_t config = {0.75, 16u << 20, 1u << 30, 100, 100, 4, false, true};
  CHECK(echo_gc_init(&config) == ECHO_GC_SUCCESS);
  CHECK(echo_gc_register_event_callback("gc_start", on_start) == ECHO_GC_SUCCESS);
  CHECK(echo_gc_register_event_callback("gc_complete", on_complete) == ECHO_GC_SUCCESS);
  CHECK(echo_gc_register_event_callback("nothing", on_complete) == ECHO_GC_ERROR_INVALID_CONFIG);
  CHECK(echo_gc_register_event_callback(NULL, on_complete) == ECHO_GC_ERROR_INVALID_CONFIG);
  unsigned char* held[100];
  for (int i = 0; i < 100; ++i) {
    CHECK(echo_gc_allocate(500, ECHO_OBJ_TYPE_SLICE, (void**)&held[i]) == ECHO_GC_SUCCESS);
    memset(held[i], i, 500);
  }
  for (int i = 0; i < 3; ++i) {
    CHECK(echo_gc_collect() == ECHO_GC_SUCCESS);
  }
  CHECK(starts == 3 && completes == 3 && nested == ECHO_GC_ERROR_CONCURRENT_MODIFICATION);
  for (int i = 0; i < 100; ++i) { /* nothing can be proved dead: all of it lives */
    CHECK(held[i][0] == i && held[i][499] == i);
  }
  echo_gc_stats_t stats;
  CHECK(echo_gc_get_stats(&stats) == ECHO_GC_SUCCESS);
  CHECK(stats.total_cycles == 3 && stats.successful_cycles == 3 && stats.failed_cycles == 0);
  CHECK(stats.last_completed_at.tv_sec != 0 || stats.last_completed_at.tv_nsec != 0);
  CHECK(stats.average_gc_duration_us == stats.total_gc_time_us / 3);
  echo_gc_metrics_t metrics;
  CHECK(echo_gc_get_metrics(&metrics) == ECHO_GC_SUCCESS);
  CHECK(metrics.live_objects == 103 && metrics.total_objects == 103);
  CHECK(metrics.pause_time_p50_us <= metrics.pause_time_p95_us &&
        metrics.pause_time_p95_us <= metrics.pause_time_p99_us);
  CHECK(metrics.total_pause_time_us == stats.total_pause_time_us);
  CHECK(metrics.memory_reclaimed_bytes == stats.total_memory_reclaimed);
  CHECK(metrics.gc_cpu_percentage >= 0 && metrics.gc_cpu_percentage <= 100);
  CHECK(echo_gc_get_status() == ECHO_GC_STATUS_IDLE && echo_gc_get_phase() == ECHO_GC_PHASE_IDLE);
  CHECK(echo_gc_register_event_callback("gc_start", NULL) == ECHO_GC_SUCCESS);
  CHECK(echo_gc_collect() == ECHO_GC_SUCCESS);
  CHECK(starts == 3 && completes == 4);
  CHECK(echo_gc_register_event_callback("gc_complete", NULL) == ECHO_GC_SUCCESS);
  echo_gc_shutdown();
}

static void* allocate_many(void* unused) {
  (void)unused;
  for (int i = 0; i < 10000; ++i) {
    int* p = NULL;
    CHECK(echo_gc_allocate(64, ECHO_OBJ_TYPE_STRUCT, (void**)&p) == ECHO_GC_SUCCESS);
    CHECK(p != NULL && p[0] == 0 && p[15] == 0);
    p[0] = p[15] = i;
    if (i % 2500 == 0) {
      CHECK(echo_gc_collect() == ECHO_GC_SUCCESS);
    }
  }
  return NULL;
}

static void test_threads(void) {
  CHECK(echo_gc_init(NULL) == ECHO_GC_SUCCESS);
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i) {
    CHECK(pthread_create(&threads[i], NULL, allocate_many, NULL) == 0);
  }
  for (int i = 0; i < 4; ++i) {
    pthread_join(threads[i], NULL);
  }
  echo_gc_metrics_t metrics;
  CHECK(echo_gc_get_metrics(&metrics) == ECHO_GC_SUCCESS);
  CHECK(metrics.total_objects == 40000 && metrics.live_objects == 40000);
  echo_gc_stats_t stats;
  CHECK(echo_gc_get_stats(&stats) == ECHO_GC_SUCCESS && stats.total_cycles == 16);
  CHECK(stats.total_memory_allocated == 40000u * 64);
  CHECK(echo_gc_validate_heap());
  echo_gc_shutdown();
}

int main(void) {
  test_not_running();
  test_configuration();
  test_allocation_and_counts();
  test_limit();
  test_collection();
  test_threads();
  test_not_running();
  return finish("gc_interface_test");
}
