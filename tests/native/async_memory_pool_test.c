/* SPDX-License-Identifier: MIT
 *
 * Purpose     The async part of the C API, in C11: futures, tasks, stacks, channels, the runtime that bundles them, and a
 *             small async workload on all of it.
 */
#include "echo/industrial_memory_pool.h"

#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

/* --- futures ---------------------------------------------------------------------------------------------------- */

static void test_futures(void) {
  char data[100];
  for (size_t size = 0; size <= sizeof data; ++size) {
    memset(data, (int)size + 1, sizeof data);
    compact_future_t* const future = compact_future_create(size == 0 ? NULL : data, size);
    CHECK_CALL(future != NULL, POOL_SUCCESS);
    memset(data, 0, sizeof data); /* the future has a copy */
    CHECK(compact_future_size(future) == size);
    CHECK(compact_future_get_status(future) == FUTURE_PENDING);
    const future_status_t states[] = {FUTURE_WAITING, FUTURE_READY, FUTURE_DROPPED, FUTURE_PENDING};
    for (int i = 0; i < 4; ++i) {
      compact_future_set_status(future, states[i]);
      CHECK(compact_future_get_status(future) == states[i]);
    }
    const char* const copy = compact_future_data(future);
    for (size_t i = 0; i < size; ++i) {
      CHECK(copy[i] == (char)(size + 1));
    }
    compact_future_set_status(future, (future_status_t)9);
    CHECK_CALL(compact_future_get_status(future) == FUTURE_PENDING, POOL_SUCCESS);
    compact_future_destroy(future);
    CHECK(industrial_memory_pool_get_last_error() == POOL_SUCCESS);
    compact_future_destroy(future);
    CHECK(industrial_memory_pool_get_last_error() == POOL_ERROR_DOUBLE_FREE);
  }
  CHECK(FUTURE_READY == 0 && FUTURE_PENDING == 1 && FUTURE_WAITING == 2 && FUTURE_DROPPED == 3);
  CHECK_CALL(compact_future_create(NULL, 4) == NULL, POOL_ERROR_NULL_POINTER);
  CHECK_CALL(compact_future_create(data, (size_t)-1) == NULL, POOL_ERROR_OUT_OF_MEMORY);
  CHECK_CALL(compact_future_get_status(NULL) == FUTURE_DROPPED, POOL_ERROR_NULL_POINTER);
  CHECK_CALL(compact_future_data(NULL) == NULL && compact_future_size(NULL) == 0, POOL_ERROR_NULL_POINTER);
  compact_future_set_status(NULL, FUTURE_READY);
  compact_future_destroy(NULL);
  compact_future_destroy((compact_future_t*)(void*)data);
  CHECK(industrial_memory_pool_get_last_error() == POOL_ERROR_NULL_POINTER);
}

/* --- tasks ------------------------------------------------------------------------------------------------------ */

static void test_tasks(void) {
  task_memory_pool_t* const pool = task_memory_pool_create(65536);
  CHECK_CALL(pool != NULL, POOL_SUCCESS);
  const size_t sizes[] = {1, 56, 57, 128, 1016, 1017, 1024, 8192, 65536};
  enum { COUNT = sizeof sizes / sizeof sizes[0] };
  char* tasks[COUNT];
  for (int i = 0; i < COUNT; ++i) {
    tasks[i] = task_memory_pool_allocate(pool, sizes[i]);
    CHECK_CALL(tasks[i] != NULL, POOL_SUCCESS);
    memset(tasks[i], 0x5A, sizes[i]); /* all of it is the task's */
    task_header_t* const header = task_memory_pool_header(pool, tasks[i]);
    CHECK_CALL(header != NULL, POOL_SUCCESS);
    REQUIRE(header != NULL);
    CHECK(header->body == tasks[i] && header->body_size == sizes[i]);
    CHECK(header->future == NULL && header->waker == NULL && header->status == 0 && header->user == NULL);
    CHECK(sizeof *header == 64 && (size_t)header % 64 == 0);
    header->status = i;
  }
  for (int i = 0; i < COUNT; ++i) {
    CHECK(task_memory_pool_header(pool, tasks[i])->status == i);
    CHECK_CALL(!task_memory_pool_deallocate(pool, tasks[i] + 8), POOL_ERROR_ALIGNMENT);
    CHECK_CALL(task_memory_pool_deallocate(pool, tasks[i]), POOL_SUCCESS);
    CHECK_CALL(!task_memory_pool_deallocate(pool, tasks[i]), POOL_ERROR_DOUBLE_FREE);
    CHECK(task_memory_pool_header(pool, tasks[i]) == NULL);
  }
  /* A task that wrote beyond its end is noticed, not followed. */
  char* const task = task_memory_pool_allocate(pool, 56);
  memset(task, 0x5A, 64);
  CHECK_CALL(!task_memory_pool_deallocate(pool, task), POOL_ERROR_INVALID_SIZE);
  CHECK_CALL(task_memory_pool_allocate(pool, 65537) == NULL, POOL_ERROR_INVALID_SIZE);
  CHECK_CALL(task_memory_pool_allocate(pool, 0) == NULL, POOL_ERROR_INVALID_SIZE);
  CHECK_CALL(!task_memory_pool_deallocate(pool, NULL), POOL_ERROR_NULL_POINTER);
  CHECK_CALL(!task_memory_pool_deallocate(pool, (void*)&pool), POOL_ERROR_NULL_POINTER);
  task_memory_pool_destroy(pool);
  CHECK_CALL(task_memory_pool_create(0) == NULL, POOL_ERROR_INVALID_SIZE);
  CHECK_CALL(task_memory_pool_allocate(NULL, 8) == NULL, POOL_ERROR_NULL_POINTER);
  CHECK_CALL(task_memory_pool_header(NULL, NULL) == NULL, POOL_ERROR_NULL_POINTER);
  task_memory_pool_destroy(NULL);
  task_memory_pool_t* const all = task_memory_pool_create((size_t)-1);
  CHECK_CALL(task_memory_pool_allocate(all, (size_t)-1) == NULL, POOL_ERROR_INVALID_SIZE);
  CHECK_CALL(task_memory_pool_allocate(all, (size_t)-100) == NULL, POOL_ERROR_OUT_OF_MEMORY);
  task_memory_pool_destroy(all);
}

/* --- stacks ----------------------------------------------------------------------------------------------------- */

static void test_stacks(stack_strategy_t strategy) {
  coroutine_stack_manager_t* const manager = coroutine_stack_manager_create(strategy, 4096, 131072);
  CHECK_CALL(manager != NULL, POOL_SUCCESS);
  char* const stack = coroutine_stack_manager_allocate(manager, 4096);
  char* const other = coroutine_stack_manager_allocate(manager, 16384);
  char* const first = coroutine_stack_manager_allocate(manager, 0);
  CHECK(stack != NULL && other != NULL && first != NULL && (size_t)stack % 4096 == 0);
  CHECK(coroutine_stack_manager_stack_size(manager, stack) == 4096);
  CHECK(coroutine_stack_manager_stack_size(manager, other) == (strategy == STACK_COPYING ? 65536u : 16384u));
  CHECK(coroutine_stack_manager_stack_size(manager, first) == 4096);
  memset(stack, 1, 4096);
  memset(other, 2, 16384);
  stack_usage_t usage = {.peak_usage = 4000, .current_usage = 3000, .growth_pattern = 0, .safety_margin = 10};
  CHECK_CALL(!coroutine_stack_manager_adjust_size(manager, stack, &usage), POOL_SUCCESS); /* fits */
  usage =
      (stack_usage_t){.peak_usage = 12000, .current_usage = 4000, .growth_pattern = 1, .safety_margin = 2048};
  const bool grown = coroutine_stack_manager_adjust_size(manager, stack, &usage);
  if (strategy == STACK_COPYING) {
    CHECK_CALL(!grown, POOL_ERROR_OUT_OF_MEMORY); /* its neighbour is in the way; the stack is as it was */
    CHECK(coroutine_stack_manager_stack_size(manager, stack) == 4096);
  } else {
    CHECK_CALL(grown, POOL_SUCCESS);
    CHECK(coroutine_stack_manager_stack_size(manager, stack) == 16384); /* 12000 + 2048, in pages */
    CHECK(stack[0] == 1 && stack[4095] == 1);
    memset(stack + 4096, 3, 12288);
    CHECK(other[0] == 2);
    for (int i = 0; i < 10; ++i) {
      coroutine_stack_manager_adjust_size(manager, stack, &usage);
    }
    CHECK(coroutine_stack_manager_stack_size(manager, stack) == 131072); /* never above the maximum */
    memset(stack, 4, 131072);
    usage =
        (stack_usage_t){.peak_usage = 9000, .current_usage = 9000, .growth_pattern = -1, .safety_margin = 0};
    CHECK(coroutine_stack_manager_adjust_size(manager, stack, &usage));
    CHECK(coroutine_stack_manager_stack_size(manager, stack) == 65536); /* half */
    for (int i = 0; i < 10; ++i) {
      coroutine_stack_manager_adjust_size(manager, stack, &usage);
    }
    const size_t least = coroutine_stack_manager_stack_size(manager, stack);
    CHECK(least >= 9000 && least <= 16384 && stack[8999] == 4); /* never below what is in use */
  }
  usage =
      (stack_usage_t){.peak_usage = 1, .current_usage = (size_t)-1, .growth_pattern = 1, .safety_margin = 1};
  CHECK_CALL(!coroutine_stack_manager_adjust_size(manager, other, &usage), POOL_ERROR_INVALID_SIZE);
  usage =
      (stack_usage_t){.peak_usage = 1, .current_usage = 1, .growth_pattern = 0, .safety_margin = (size_t)-1};
  CHECK(!coroutine_stack_manager_adjust_size(manager, other, &usage) ||
        coroutine_stack_manager_stack_size(manager, other) == 131072);
  CHECK_CALL(!coroutine_stack_manager_adjust_size(manager, other, NULL), POOL_ERROR_NULL_POINTER);
  CHECK_CALL(coroutine_stack_manager_allocate(manager, 131073) == NULL, POOL_ERROR_INVALID_SIZE);
  CHECK_CALL(!coroutine_stack_manager_deallocate(manager, stack + 1), POOL_ERROR_ALIGNMENT);
  CHECK_CALL(coroutine_stack_manager_deallocate(manager, stack), POOL_SUCCESS);
  CHECK_CALL(!coroutine_stack_manager_deallocate(manager, stack), POOL_ERROR_DOUBLE_FREE);
  CHECK_CALL(!coroutine_stack_manager_adjust_size(manager, stack, &usage), POOL_ERROR_DOUBLE_FREE);
  CHECK(coroutine_stack_manager_stack_size(manager, stack) == 0);
  CHECK_CALL(!coroutine_stack_manager_deallocate(manager, NULL), POOL_ERROR_NULL_POINTER);
  CHECK_CALL(!coroutine_stack_manager_deallocate(manager, &usage), POOL_ERROR_NULL_POINTER);
  coroutine_stack_manager_destroy(manager);
}

static void test_stack_managers(void) {
  CHECK(STACK_SEGMENTED == 0 && STACK_COPYING == 1 && STACK_MMAP == 2);
  test_stacks(STACK_SEGMENTED);
  test_stacks(STACK_COPYING);
  test_stacks(STACK_MMAP);
  CHECK_CALL(coroutine_stack_manager_create(STACK_MMAP, 0, 1) == NULL, POOL_ERROR_INVALID_SIZE);
  CHECK_CALL(coroutine_stack_manager_create(STACK_MMAP, 2, 1) == NULL, POOL_ERROR_INVALID_SIZE);
  CHECK_CALL(coroutine_stack_manager_create(STACK_MMAP, 1, (size_t)-1) == NULL, POOL_ERROR_INVALID_SIZE);
  CHECK_CALL(coroutine_stack_manager_create((stack_strategy_t)7, 1, 1) == NULL, POOL_ERROR_INVALID_SIZE);
  CHECK_CALL(coroutine_stack_manager_allocate(NULL, 1) == NULL, POOL_ERROR_NULL_POINTER);
  coroutine_stack_manager_destroy(NULL);
}

/* --- channels --------------------------------------------------------------------------------------------------- */

static void test_channel(void) {
  int values[8];
  void* items[8];
  for (int i = 0; i < 8; ++i) {
    items[i] = &values[i];
  }
  cache_aware_channel_t* const channel = cache_aware_channel_create(5); /* not a power of two */
  CHECK_CALL(channel != NULL, POOL_SUCCESS);
  CHECK_CALL(cache_aware_channel_try_recv_zero_copy(channel) == NULL, POOL_SUCCESS);
  cache_aware_channel_ack_recv(channel);
  CHECK(industrial_memory_pool_get_last_error() == POOL_ERROR_DOUBLE_FREE); /* nothing to acknowledge */
  for (int round = 0; round < 100; ++round) {
    CHECK_CALL(cache_aware_channel_send_batch(channel, items, 3) == 3, POOL_SUCCESS);
    CHECK_CALL(cache_aware_channel_send_batch(channel, items + 3, 5) == 2, POOL_ERROR_OUT_OF_MEMORY);
    CHECK_CALL(cache_aware_channel_send_batch(channel, items, 1) == 0, POOL_ERROR_OUT_OF_MEMORY);
    /* Two receives without an acknowledgement return different items. */
    CHECK(cache_aware_channel_try_recv_zero_copy(channel) == &values[0]);
    CHECK(cache_aware_channel_try_recv_zero_copy(channel) == &values[1]);
    CHECK(cache_aware_channel_send_batch(channel, items, 1) == 0); /* their places are still taken */
    cache_aware_channel_ack_recv(channel);
    CHECK(cache_aware_channel_send_batch(channel, items + 5, 3) == 1); /* one is free */
    CHECK(cache_aware_channel_try_recv_zero_copy(channel) == &values[2]);
    CHECK(cache_aware_channel_try_recv_zero_copy(channel) == &values[3]);
    CHECK(cache_aware_channel_try_recv_zero_copy(channel) == &values[4]);
    CHECK(cache_aware_channel_try_recv_zero_copy(channel) == &values[5]);
    CHECK(cache_aware_channel_try_recv_zero_copy(channel) == NULL);
    for (int i = 0; i < 5; ++i) {
      cache_aware_channel_ack_recv(channel);
      CHECK(industrial_memory_pool_get_last_error() == POOL_SUCCESS);
    }
    cache_aware_channel_ack_recv(channel);
    CHECK(industrial_memory_pool_get_last_error() == POOL_ERROR_DOUBLE_FREE);
  }
  items[1] = NULL;
  CHECK_CALL(cache_aware_channel_send_batch(channel, items, 3) == 1, POOL_ERROR_NULL_POINTER);
  CHECK_CALL(cache_aware_channel_send_batch(channel, NULL, 3) == 0, POOL_ERROR_NULL_POINTER);
  CHECK_CALL(cache_aware_channel_send_batch(channel, items, 0) == 0, POOL_SUCCESS);
  cache_aware_channel_destroy(channel);
  CHECK_CALL(cache_aware_channel_create(0) == NULL, POOL_ERROR_INVALID_SIZE);
  CHECK_CALL(cache_aware_channel_create((size_t)-1) == NULL, POOL_ERROR_OUT_OF_MEMORY);
  CHECK_CALL(cache_aware_channel_try_recv_zero_copy(NULL) == NULL, POOL_ERROR_NULL_POINTER);
  cache_aware_channel_ack_recv(NULL);
  cache_aware_channel_destroy(NULL);
}

enum { MESSAGES = 40000, SENDERS = 2, RECEIVERS = 2 };
static char places[SENDERS * MESSAGES];
static atomic_uchar seen[SENDERS * MESSAGES];
static atomic_int received_in_all;
struct end {
  cache_aware_channel_t* channel;
  int number;
};

static void* send_all(void* argument) {
  const struct end* const end = argument;
  int sent = 0;
  while (sent < MESSAGES) {
    void* batch[32];
    int count = 0;
    while (count < 32 && sent + count < MESSAGES) {
      batch[count] = &places[end->number * MESSAGES + sent + count];
      ++count;
    }
    const int done = (int)cache_aware_channel_send_batch(end->channel, batch, (size_t)count);
    sent += done;
    if (done == 0) {
      sched_yield();
    }
  }
  return NULL;
}

static void* receive_all(void* argument) {
  const struct end* const end = argument;
  long last[SENDERS];
  for (int i = 0; i < SENDERS; ++i) {
    last[i] = -1;
  }
  while (atomic_load(&received_in_all) < SENDERS * MESSAGES) {
    char* const item = cache_aware_channel_try_recv_zero_copy(end->channel);
    if (item == NULL) {
      sched_yield();
      continue;
    }
    const long index = item - places;
    CHECK(atomic_fetch_add(&seen[index], 1) == 0);    /* once */
    CHECK(index % MESSAGES > last[index / MESSAGES]); /* in order */
    last[index / MESSAGES] = index % MESSAGES;
    cache_aware_channel_ack_recv(end->channel);
    atomic_fetch_add(&received_in_all, 1);
  }
  return NULL;
}

static void test_channel_between_threads(void) {
  cache_aware_channel_t* const channel = cache_aware_channel_create(100);
  pthread_t threads[SENDERS + RECEIVERS];
  struct end ends[SENDERS + RECEIVERS];
  for (int i = 0; i < SENDERS + RECEIVERS; ++i) {
    ends[i] = (struct end){channel, i};
    CHECK(pthread_create(&threads[i], NULL, i < SENDERS ? send_all : receive_all, &ends[i]) == 0);
  }
  for (int i = 0; i < SENDERS + RECEIVERS; ++i) {
    pthread_join(threads[i], NULL);
  }
  for (int i = 0; i < SENDERS * MESSAGES; ++i) {
    CHECK(seen[i] == 1);
  }
  cache_aware_channel_destroy(channel);
}

/* --- runtime ---------------------------------------------------------------------------------------------------- */

static void test_runtime(void) {
  async_runtime_memory_pool_t* const pool = async_runtime_memory_pool_create();
  CHECK_CALL(pool != NULL, POOL_SUCCESS);
  void* const task = async_runtime_memory_pool_allocate_task(pool, 256);
  void* const stack = async_runtime_memory_pool_allocate_stack(pool, 8192);
  REQUIRE(task != NULL && stack != NULL);
  memset(task, 1, 256);
  memset(stack, 2, 8192);
  char text[] = "a payload of more than sixteen bytes";
  compact_future_t* const future = async_runtime_memory_pool_create_compact_future(pool, text, sizeof text);
  CHECK_CALL(future != NULL && strcmp(compact_future_data(future), text) == 0, POOL_SUCCESS);
  CHECK_CALL((compact_future_destroy(future), true), POOL_ERROR_NULL_POINTER); /* it belongs to the runtime */
  void* messages[] = {task, stack, future};
  for (int i = 0; i < 2000; ++i) { /* more than the capacity in all: a receive acknowledges */
    CHECK(async_runtime_memory_pool_channel_send_batch(pool, messages, 3) == 3);
    CHECK(async_runtime_memory_pool_channel_try_recv_zero_copy(pool) == task);
    CHECK(async_runtime_memory_pool_channel_try_recv_zero_copy(pool) == stack);
    CHECK(async_runtime_memory_pool_channel_try_recv_zero_copy(pool) == future);
    CHECK(async_runtime_memory_pool_channel_try_recv_zero_copy(pool) == NULL);
  }
  async_runtime_memory_pool_destroy_compact_future(pool, future);
  CHECK(industrial_memory_pool_get_last_error() == POOL_SUCCESS);
  async_runtime_memory_pool_destroy_compact_future(pool, future);
  CHECK(industrial_memory_pool_get_last_error() == POOL_ERROR_DOUBLE_FREE);
  CHECK_CALL(async_runtime_memory_pool_deallocate_stack(pool, stack), POOL_SUCCESS);
  CHECK_CALL(!async_runtime_memory_pool_deallocate_stack(pool, stack), POOL_ERROR_DOUBLE_FREE);
  CHECK_CALL(async_runtime_memory_pool_deallocate_task(pool, task), POOL_SUCCESS);
  CHECK_CALL(!async_runtime_memory_pool_deallocate_task(pool, task), POOL_ERROR_DOUBLE_FREE);
  /* What the original's test does: 100 k tasks and 10 k stacks that are never freed. */
  for (int i = 0; i < 100000; ++i) {
    CHECK(async_runtime_memory_pool_allocate_task(pool, 128) != NULL);
  }
  for (int i = 0; i < 10000; ++i) {
    char* const s = async_runtime_memory_pool_allocate_stack(pool, 4096);
    CHECK(s != NULL);
    s[0] = 1;
  }
  async_runtime_memory_pool_destroy(pool);
  CHECK_CALL(async_runtime_memory_pool_allocate_task(NULL, 1) == NULL, POOL_ERROR_NULL_POINTER);
  CHECK_CALL(async_runtime_memory_pool_allocate_stack(NULL, 1) == NULL, POOL_ERROR_NULL_POINTER);
  CHECK_CALL(async_runtime_memory_pool_create_compact_future(NULL, text, 1) == NULL, POOL_ERROR_NULL_POINTER);
  CHECK_CALL(async_runtime_memory_pool_channel_send_batch(NULL, messages, 3) == 0, POOL_ERROR_NULL_POINTER);
  CHECK_CALL(async_runtime_memory_pool_channel_try_recv_zero_copy(NULL) == NULL, POOL_ERROR_NULL_POINTER);
  async_runtime_memory_pool_destroy_compact_future(NULL, NULL);
  async_runtime_memory_pool_destroy(NULL);
}

/* Tasks made by one thread, run and freed by another, a future for each result. */
struct job {
  long input;
  compact_future_t* result;
};
enum { JOBS = 20000 };
static compact_future_t* results[JOBS];
static async_runtime_memory_pool_t* runtime;

static void* run_jobs(void* unused) {
  (void)unused;
  for (int done = 0; done < JOBS;) {
    struct job* const job = async_runtime_memory_pool_channel_try_recv_zero_copy(runtime);
    if (job == NULL) {
      sched_yield();
      continue;
    }
    *(long*)compact_future_data(job->result) = job->input * job->input;
    compact_future_set_status(job->result, FUTURE_READY);
    CHECK(async_runtime_memory_pool_deallocate_task(runtime, job));
    ++done;
  }
  return NULL;
}

static void test_workload(void) {
  runtime = async_runtime_memory_pool_create();
  pthread_t worker;
  CHECK(pthread_create(&worker, NULL, run_jobs, NULL) == 0);
  for (long i = 0; i < JOBS; ++i) {
    long zero = 0;
    struct job* const job = async_runtime_memory_pool_allocate_task(runtime, sizeof *job);
    job->input = i;
    job->result = results[i] = async_runtime_memory_pool_create_compact_future(runtime, &zero, sizeof zero);
    void* message = job;
    while (async_runtime_memory_pool_channel_send_batch(runtime, &message, 1) == 0) {
      sched_yield();
    }
  }
  pthread_join(worker, NULL);
  for (long i = 0; i < JOBS; ++i) {
    CHECK(compact_future_get_status(results[i]) == FUTURE_READY);
    CHECK(*(long*)compact_future_data(results[i]) == i * i);
    async_runtime_memory_pool_destroy_compact_future(runtime, results[i]);
    CHECK(industrial_memory_pool_get_last_error() == POOL_SUCCESS);
  }
  async_runtime_memory_pool_destroy(runtime);
}

int main(void) {
  test_futures();
  test_tasks();
  test_stack_managers();
  test_channel();
  test_channel_between_threads();
  test_runtime();
  test_workload();
  return finish("async_memory_pool_test");
}
