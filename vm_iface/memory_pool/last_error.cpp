// SPDX-License-Identifier: MIT
//
// Purpose     The one thread-local word of the API. It is trivial: nothing runs when a thread ends.
#include "last_error.h"

namespace echo::memory_pool {

constinit thread_local pool_error_t last_error __attribute__((tls_model("initial-exec"))) = POOL_SUCCESS;

} // namespace echo::memory_pool

pool_error_t industrial_memory_pool_get_last_error(void) {
  return echo::memory_pool::last_error;
}
