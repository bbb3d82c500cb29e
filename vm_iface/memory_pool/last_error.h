// SPDX-License-Identifier: MIT
//
// Purpose     The error of this thread's last call, and what a checked free means in the C API.
// Invariants  [pool.error.1] Every function of the API sets it, success included.
#pragma once

#include "echo/industrial_memory_pool.h"
#include "heap/native/free_result.h"
#include "heap/native/thread_registry.h"

namespace echo::memory_pool {

inline void set_error(pool_error_t error) {
  native::this_thread.word = error;
}
inline void succeed() {
  set_error(POOL_SUCCESS);
}
// The value a failing function returns: null, false or 0.
template <class Result> Result fail(pool_error_t error) {
  set_error(error);
  return Result{};
}

inline pool_error_t error_of(native::FreeResult result) {
  switch (result) {
  case native::FreeResult::Done:
    return POOL_SUCCESS;
  case native::FreeResult::Null:
  case native::FreeResult::Foreign:
    return POOL_ERROR_NULL_POINTER;
  case native::FreeResult::NotAStart:
    return POOL_ERROR_ALIGNMENT;
  case native::FreeResult::WrongSize:
    return POOL_ERROR_INVALID_SIZE;
  case native::FreeResult::AlreadyFree:
    break;
  }
  return POOL_ERROR_DOUBLE_FREE;
}

inline bool finish(native::FreeResult result) {
  if (__builtin_expect(result == native::FreeResult::Done, 1)) {
    succeed();
    return true;
  }
  return fail<bool>(error_of(result));
}

} // namespace echo::memory_pool
