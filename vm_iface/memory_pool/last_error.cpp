// SPDX-License-Identifier: MIT
//
// Purpose     industrial_memory_pool_get_last_error().
#include "last_error.h"

pool_error_t industrial_memory_pool_get_last_error(void) {
  return static_cast<pool_error_t>(echo::native::this_thread.word);
}
