// SPDX-License-Identifier: MIT
//
// Purpose     coroutine_stack_manager_*: stacks as native page runs.
// Invariants  [pool.stack.1] A stack's address never changes. [pool.stack.2] Its size in pages is the
//             number beside its run; the run is at least as long. Pages behind the size hold no memory
//             after shrinking.
//             [pool.stack.3] A stack is never made smaller than what is in use.
#include "echo/async_memory_pool.h"
#include "heap/native/pool.h"
#include "last_error.h"
#include "spaces.h"

#include <algorithm>

using namespace echo::memory_pool;
using echo::kPageBytes;
using echo::native::PageKind;
using echo::native::Pool;

namespace {

constexpr std::size_t kLargestStack = std::size_t{1} << 40;
constexpr std::size_t kMiddle = std::size_t{64} << 10;

std::size_t to_pages(std::size_t bytes) {
  return bytes / kPageBytes + (bytes % kPageBytes != 0 ? 1 : 0);
}

} // namespace

struct coroutine_stack_manager {
  Pool* pool = nullptr;
  stack_strategy_t strategy = STACK_SEGMENTED;
  std::size_t initial_pages = 0;
  std::size_t max_pages = 0;
  std::size_t max_bytes = 0;

  // Runs are over 1 KiB by the pool's rule, so one page or more.
  static std::size_t run_bytes(std::size_t pages) { return pages * kPageBytes; }
  std::size_t pages_for(std::size_t pages) const {
    if (strategy != STACK_COPYING) {
      return std::max(pages, strategy == STACK_SEGMENTED ? initial_pages : 1);
    }
    return pages <= 1 ? 1 : std::min(pages <= to_pages(kMiddle) ? to_pages(kMiddle) : max_pages, max_pages);
  }
  // Segmented and mapped stacks keep address space for their largest size.
  std::size_t run_pages(std::size_t pages) const { return strategy == STACK_COPYING ? pages : max_pages; }
  std::size_t adjusted(std::size_t pages, const stack_usage_t& usage) const;
};

// Grows to twice the size or what the peak asks for, shrinks to half of it or what the peak asks for.
std::size_t coroutine_stack_manager::adjusted(std::size_t pages, const stack_usage_t& usage) const {
  const std::size_t bytes = pages * kPageBytes;
  const std::size_t used = std::max(usage.peak_usage, usage.current_usage);
  const std::size_t needed = to_pages(usage.safety_margin > kLargestStack - std::min(used, kLargestStack)
                                          ? kLargestStack
                                          : used + usage.safety_margin);
  if (usage.growth_pattern > 0 || needed > pages) {
    return std::min(std::max(usage.growth_pattern > 0 ? 2 * pages : pages, needed), max_pages);
  }
  if (usage.growth_pattern < 0 && usage.peak_usage < bytes / 2) {
    return std::max({pages / 2, needed, std::size_t{1}});
  }
  return pages;
}

coroutine_stack_manager_t* coroutine_stack_manager_create(stack_strategy_t strategy, size_t initial_size,
                                                          size_t max_size) {
  const bool known = strategy == STACK_SEGMENTED || strategy == STACK_COPYING || strategy == STACK_MMAP;
  if (!known || initial_size == 0 || initial_size > max_size || max_size > kLargestStack) {
    return fail<coroutine_stack_manager_t*>(POOL_ERROR_INVALID_SIZE);
  }
  auto* const manager = make_handle<coroutine_stack_manager>();
  if (manager == nullptr) {
    return fail<coroutine_stack_manager_t*>(POOL_ERROR_OUT_OF_MEMORY);
  }
  manager->strategy = strategy;
  manager->initial_pages = to_pages(initial_size);
  manager->max_pages = to_pages(max_size);
  manager->max_bytes = max_size;
  // Base pages: a huge page under the first page in use would be memory for hundreds of stacks.
  manager->pool = open_pool({.pages = PageKind::Base}, {});
  if (manager->pool == nullptr) {
    drop_handle(manager);
    return fail<coroutine_stack_manager_t*>(POOL_ERROR_OUT_OF_MEMORY);
  }
  succeed();
  return manager;
}

void coroutine_stack_manager_destroy(coroutine_stack_manager_t* manager) {
  if (manager == nullptr) {
    fail<bool>(POOL_ERROR_NULL_POINTER);
    return;
  }
  close_pool(manager->pool);
  drop_handle(manager);
  succeed();
}

void* coroutine_stack_manager_allocate(coroutine_stack_manager_t* manager, size_t size) {
  if (manager == nullptr) {
    return fail<void*>(POOL_ERROR_NULL_POINTER);
  }
  if (size > manager->max_bytes) {
    return fail<void*>(POOL_ERROR_INVALID_SIZE);
  }
  const std::size_t pages = manager->pages_for(size == 0 ? manager->initial_pages : to_pages(size));
  void* const stack = manager->pool->allocate(manager->run_bytes(manager->run_pages(pages)));
  if (stack == nullptr || !manager->pool->set_note(stack, static_cast<std::uint32_t>(pages))) {
    return fail<void*>(POOL_ERROR_OUT_OF_MEMORY);
  }
  succeed();
  return stack;
}

bool coroutine_stack_manager_deallocate(coroutine_stack_manager_t* manager, void* stack) {
  if (manager == nullptr) {
    return fail<bool>(POOL_ERROR_NULL_POINTER);
  }
  const std::size_t bytes = manager->pool->usable_bytes(stack);
  // Not live: the free fails and says why.
  return finish(manager->pool->free(stack, bytes == 0 ? kPageBytes : bytes));
}

bool coroutine_stack_manager_adjust_size(coroutine_stack_manager_t* manager, void* stack,
                                         const stack_usage_t* usage) {
  if (manager == nullptr || stack == nullptr || usage == nullptr) {
    return fail<bool>(POOL_ERROR_NULL_POINTER);
  }
  std::uint32_t pages = 0;
  if (!manager->pool->get_note(stack, &pages)) {
    return fail<bool>(POOL_ERROR_DOUBLE_FREE);
  }
  if (usage->current_usage > std::size_t{pages} * kPageBytes) {
    return fail<bool>(POOL_ERROR_INVALID_SIZE);
  }
  const std::size_t wanted = manager->adjusted(pages, *usage);
  succeed();
  if (wanted == pages) {
    return false;
  }
  if (manager->strategy == STACK_COPYING && !manager->pool->resize(stack, wanted * kPageBytes)) {
    return fail<bool>(POOL_ERROR_OUT_OF_MEMORY);
  }
  if (wanted < pages && manager->strategy != STACK_COPYING) {
    (void)manager->pool->space().discard(reinterpret_cast<echo::Address>(stack) + wanted * kPageBytes,
                                         (pages - wanted) * kPageBytes);
  }
  return manager->pool->set_note(stack, static_cast<std::uint32_t>(wanted));
}

size_t coroutine_stack_manager_stack_size(coroutine_stack_manager_t* manager, void* stack) {
  if (manager == nullptr || stack == nullptr) {
    return fail<size_t>(POOL_ERROR_NULL_POINTER);
  }
  std::uint32_t pages = 0;
  if (!manager->pool->get_note(stack, &pages)) {
    return fail<size_t>(POOL_ERROR_DOUBLE_FREE);
  }
  succeed();
  return std::size_t{pages} * kPageBytes;
}
