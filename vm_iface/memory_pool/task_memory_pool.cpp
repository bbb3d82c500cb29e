// SPDX-License-Identifier: MIT
//
// Purpose     task_memory_pool_*: a header on a cache line of its own, apart from a body of any size.
//
// Drawing     header (64 B)  [ body | size | future | ... ]
//                                |                                        the last word of the body's cell
//             body (cell)    [   v  size usable bytes                ...  | header address ]
//
// Invariants  [pool.task.1] The header's body and the body's last word name each other. A body whose last
//             word was overwritten is not freed: the owner wrote beyond its end.
// Equations   standard task: 64 + (56 + 8) = 128 B
#include "echo/async_memory_pool.h"
#include "heap/native/pool.h"
#include "last_error.h"
#include "spaces.h"

#include <cstring>
#include <new>

using namespace echo::memory_pool;
using echo::native::FreeResult;
using echo::native::Pool;

static_assert(sizeof(task_header_t) == CACHE_LINE_SIZE);

struct task_memory_pool {
  Pool* headers = nullptr;
  Pool* bodies = nullptr;
  std::size_t max_size = 0;
};

namespace {

task_header_t** header_word(void* body, std::size_t cell_bytes) {
  return reinterpret_cast<task_header_t**>(static_cast<std::byte*>(body) + cell_bytes) - 1;
}

// The header of a live task, else null with the error set.
task_header_t* find_header(task_memory_pool_t* pool, void* task, std::size_t* cell_bytes) {
  *cell_bytes = pool->bodies->usable_bytes(task);
  if (*cell_bytes == 0) {
    // Not live: a free of it fails and says why.
    return fail<task_header_t*>(error_of(pool->bodies->free(task, sizeof(void*))));
  }
  task_header_t* header = nullptr;
  std::memcpy(&header, header_word(task, *cell_bytes), sizeof header);
  if (pool->headers->usable_bytes(header) == 0 || header->body != task) {
    return fail<task_header_t*>(POOL_ERROR_INVALID_SIZE); // [pool.task.1]
  }
  return header;
}

} // namespace

task_memory_pool_t* task_memory_pool_create(size_t max_task_size) {
  if (max_task_size == 0) {
    return fail<task_memory_pool_t*>(POOL_ERROR_INVALID_SIZE);
  }
  auto* const pool = make_handle<task_memory_pool>();
  if (pool == nullptr) {
    return fail<task_memory_pool_t*>(POOL_ERROR_OUT_OF_MEMORY);
  }
  pool->headers = open_pool({}, {.only_size = sizeof(task_header_t)});
  pool->bodies = open_pool({}, {});
  pool->max_size = max_task_size;
  if (pool->headers == nullptr || pool->bodies == nullptr) {
    task_memory_pool_destroy(pool);
    return fail<task_memory_pool_t*>(POOL_ERROR_OUT_OF_MEMORY);
  }
  succeed();
  return pool;
}

void task_memory_pool_destroy(task_memory_pool_t* pool) {
  if (pool == nullptr) {
    fail<bool>(POOL_ERROR_NULL_POINTER);
    return;
  }
  close_pool(pool->headers);
  close_pool(pool->bodies);
  drop_handle(pool);
  succeed();
}

void* task_memory_pool_allocate(task_memory_pool_t* pool, size_t size) {
  if (pool == nullptr) {
    return fail<void*>(POOL_ERROR_NULL_POINTER);
  }
  std::uint64_t with_word = 0;
  if (size == 0 || size > pool->max_size || !echo::checked_add(size, sizeof(void*), &with_word)) {
    return fail<void*>(POOL_ERROR_INVALID_SIZE);
  }
  void* const body = pool->bodies->allocate(with_word);
  void* const memory = body == nullptr ? nullptr : pool->headers->allocate_object();
  if (memory == nullptr) {
    if (body != nullptr) {
      (void)pool->bodies->free(body, with_word);
    }
    return fail<void*>(POOL_ERROR_OUT_OF_MEMORY);
  }
  auto* const header = new (memory) task_header_t{};
  header->body = body;
  header->body_size = size;
  std::memcpy(header_word(body, Pool::rounded_bytes(with_word)), &header, sizeof header);
  succeed();
  return body;
}

bool task_memory_pool_deallocate(task_memory_pool_t* pool, void* task) {
  if (pool == nullptr || task == nullptr) {
    return fail<bool>(POOL_ERROR_NULL_POINTER);
  }
  std::size_t cell_bytes = 0;
  task_header_t* const header = find_header(pool, task, &cell_bytes);
  if (header == nullptr) {
    return false;
  }
  // Of several threads that come here with one task, one frees the body, and the header with it.
  const FreeResult result = pool->bodies->free(task, cell_bytes);
  if (result == FreeResult::Done) {
    (void)pool->headers->free_object(header);
  }
  return finish(result);
}

task_header_t* task_memory_pool_header(task_memory_pool_t* pool, void* task) {
  if (pool == nullptr || task == nullptr) {
    return fail<task_header_t*>(POOL_ERROR_NULL_POINTER);
  }
  std::size_t cell_bytes = 0;
  task_header_t* const header = find_header(pool, task, &cell_bytes);
  if (header != nullptr) {
    succeed();
  }
  return header;
}
