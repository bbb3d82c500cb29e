/* SPDX-License-Identifier: MIT
 *
 * echo/async_memory_pool.h - the async part of the C API that existing Echo code uses: futures, tasks,
 * coroutine stacks, channels, and a runtime that bundles them.
 *
 * Purpose     Source compatible with existing callers; the objects lie in native memory: never moved, freed
 *             explicitly, every free checked. In libecho_memory_pool.so.
 * Errors      A failing call returns null, false or 0 and sets industrial_memory_pool_get_last_error(), per
 *             thread; a succeeding one sets POOL_SUCCESS. Nothing aborts.
 * Threads     Every function may be called from any thread at any time, except that destroying an object or a
 *             pool must not overlap with its use.
 */
#ifndef ECHO_ASYNC_MEMORY_POOL_H
#define ECHO_ASYNC_MEMORY_POOL_H

#include "echo/base.h"

#include <stdbool.h>

ECHO_BEGIN_DECLS

/* --- futures
 * ----------------------------------------------------------------------------------------------------- */

typedef enum future_status ECHO_OPEN_ENUM {
  FUTURE_READY = 0,
  FUTURE_PENDING = 1,
  FUTURE_WAITING = 2,
  FUTURE_DROPPED = 3
} future_status_t;

/* 32 B: a tagged word (payload pointer and status), the size, and up to 16 B of payload inside. */
typedef struct compact_future compact_future_t;

/* Copies `size` bytes of `data` (null only if size is 0); status FUTURE_PENDING. */
ECHO_EXPORT compact_future_t* compact_future_create(void* data, size_t size);
ECHO_EXPORT void compact_future_destroy(compact_future_t* future);
ECHO_EXPORT future_status_t
compact_future_get_status(const compact_future_t* future); /* FUTURE_DROPPED for null */
ECHO_EXPORT void compact_future_set_status(compact_future_t* future, future_status_t status);
/* The payload, writable, valid until the future is destroyed. */
ECHO_EXPORT void* compact_future_data(compact_future_t* future);
ECHO_EXPORT size_t compact_future_size(const compact_future_t* future);

/* --- tasks
 * ------------------------------------------------------------------------------------------------------- */

/* What a scheduler needs of a task, on a cache line of its own, apart from the body. */
typedef struct task_header {
  void* body;
  size_t body_size;
  void* future;
  void* waker;
  void* scheduler_data;
  void* next; /* free for the scheduler's queues */
  int status;
  int priority;
  void* user;
} task_header_t;

typedef struct task_memory_pool task_memory_pool_t;

/* Tasks with bodies of up to max_task_size bytes. */
ECHO_EXPORT task_memory_pool_t* task_memory_pool_create(size_t max_task_size);
ECHO_EXPORT void task_memory_pool_destroy(task_memory_pool_t* pool);
/* A body of `size` usable bytes; its header is zeroed but for body and body_size. A standard task (body up to
 * 56 B) takes 128 B in all. */
ECHO_EXPORT void* task_memory_pool_allocate(task_memory_pool_t* pool, size_t size);
ECHO_EXPORT bool task_memory_pool_deallocate(task_memory_pool_t* pool, void* task);
ECHO_EXPORT task_header_t* task_memory_pool_header(task_memory_pool_t* pool, void* task);

/* --- coroutine stacks
 * -------------------------------------------------------------------------------------------- */

typedef enum stack_strategy ECHO_OPEN_ENUM {
  STACK_SEGMENTED = 0, /* address space for max_size, grows and shrinks in place */
  STACK_COPYING = 1,   /* sizes 4 KiB, 64 KiB and max_size; grows in place only if its neighbours are free */
  STACK_MMAP = 2       /* as large as asked for, rounded to pages; address space for max_size */
} stack_strategy_t;

typedef struct stack_usage {
  size_t peak_usage;
  size_t current_usage;
  int growth_pattern; /* -1 shrinking, 0 stable, 1 growing */
  size_t safety_margin;
} stack_usage_t;

typedef struct coroutine_stack_manager coroutine_stack_manager_t;

/* Sizes in bytes, 0 < initial_size <= max_size. */
ECHO_EXPORT coroutine_stack_manager_t* coroutine_stack_manager_create(stack_strategy_t strategy,
                                                                      size_t initial_size, size_t max_size);
ECHO_EXPORT void coroutine_stack_manager_destroy(coroutine_stack_manager_t* manager);
/* The lowest address of a stack of at least `size` bytes (0: the initial size), page-aligned; its contents
 * are unspecified. */
ECHO_EXPORT void* coroutine_stack_manager_allocate(coroutine_stack_manager_t* manager, size_t size);
ECHO_EXPORT bool coroutine_stack_manager_deallocate(coroutine_stack_manager_t* manager, void* stack);
/* Resizes by what was observed, never below what is in use; the address stays. False with POOL_SUCCESS:
 * nothing to do. */
ECHO_EXPORT bool coroutine_stack_manager_adjust_size(coroutine_stack_manager_t* manager, void* stack,
                                                     const stack_usage_t* usage);
/* The usable bytes of a live stack, 0 for anything else. */
ECHO_EXPORT size_t coroutine_stack_manager_stack_size(coroutine_stack_manager_t* manager, void* stack);

/* --- channels
 * ---------------------------------------------------------------------------------------------------- */

typedef struct cache_aware_channel cache_aware_channel_t;

/* A bounded channel of pointers for any number of senders and receivers. */
ECHO_EXPORT cache_aware_channel_t* cache_aware_channel_create(size_t capacity);
ECHO_EXPORT void cache_aware_channel_destroy(cache_aware_channel_t* channel);
/* Sends the first items, up to the first null one, as far as there is room; their number. */
ECHO_EXPORT size_t cache_aware_channel_send_batch(cache_aware_channel_t* channel, void** items, size_t count);
/* The next item, or null if there is none. Its place stays taken until it is acknowledged; the next receive
 * returns the next item in any case. */
ECHO_EXPORT void* cache_aware_channel_try_recv_zero_copy(cache_aware_channel_t* channel);
/* Frees the place of the oldest item received and not yet acknowledged. */
ECHO_EXPORT void cache_aware_channel_ack_recv(cache_aware_channel_t* channel);

/* --- runtime
 * ----------------------------------------------------------------------------------------------------- */

/* Tasks of up to 64 KiB, segmented stacks of 4 KiB to 1 MiB, a channel for 1024 items, futures. */
typedef struct async_runtime_memory_pool async_runtime_memory_pool_t;

ECHO_EXPORT async_runtime_memory_pool_t* async_runtime_memory_pool_create(void);
/* Frees everything that was allocated from it. */
ECHO_EXPORT void async_runtime_memory_pool_destroy(async_runtime_memory_pool_t* pool);
ECHO_EXPORT void* async_runtime_memory_pool_allocate_task(async_runtime_memory_pool_t* pool, size_t size);
ECHO_EXPORT bool async_runtime_memory_pool_deallocate_task(async_runtime_memory_pool_t* pool, void* task);
ECHO_EXPORT void* async_runtime_memory_pool_allocate_stack(async_runtime_memory_pool_t* pool, size_t size);
ECHO_EXPORT bool async_runtime_memory_pool_deallocate_stack(async_runtime_memory_pool_t* pool, void* stack);
ECHO_EXPORT compact_future_t*
async_runtime_memory_pool_create_compact_future(async_runtime_memory_pool_t* pool, void* data, size_t size);
ECHO_EXPORT void async_runtime_memory_pool_destroy_compact_future(async_runtime_memory_pool_t* pool,
                                                                  compact_future_t* future);
ECHO_EXPORT size_t async_runtime_memory_pool_channel_send_batch(async_runtime_memory_pool_t* pool,
                                                                void** messages, size_t count);
/* Receives and acknowledges. */
ECHO_EXPORT void* async_runtime_memory_pool_channel_try_recv_zero_copy(async_runtime_memory_pool_t* pool);

ECHO_END_DECLS

#endif /* ECHO_ASYNC_MEMORY_POOL_H */
