/* SPDX-License-Identifier: MIT
 *
 * Purpose     Checks for the tests in C: count what fails, say where, go on.
 */
#ifndef ECHO_TESTS_NATIVE_CHECK_H
#define ECHO_TESTS_NATIVE_CHECK_H

#include <stdatomic.h>
#include <stdio.h>

static atomic_int failures;

#define CHECK(condition)                                                                                     \
  do {                                                                                                       \
    if (!(condition)) {                                                                                      \
      atomic_fetch_add(&failures, 1);                                                                        \
      fprintf(stderr, "%s:%d: %s: failed: %s\n", __FILE__, __LINE__, __func__, #condition);                  \
    }                                                                                                        \
  } while (0)
/* A check without which the rest of a function has no sense: the function returns. Looked at twice. */
#define REQUIRE(condition)                                                                                   \
  do {                                                                                                       \
    CHECK(condition);                                                                                        \
    if (!(condition)) {                                                                                      \
      return;                                                                                                \
    }                                                                                                        \
  } while (0)
/* The outcome of a call and the error it leaves behind. */
#define CHECK_CALL(condition, error)                                                                         \
  do {                                                                                                       \
    CHECK(condition);                                                                                        \
    CHECK(industrial_memory_pool_get_last_error() == (error));                                               \
  } while (0)

static inline int finish(const char* name) {
  if (failures == 0) {
    printf("%s: all checks passed\n", name);
    return 0;
  }
  printf("%s: %d checks failed\n", name, failures);
  return 1;
}

#endif
