/* SPDX-License-Identifier: MIT
 *
 * Purpose     What the C11 translation unit offers to its driver: each runs a scenario and returns 0, or the
 * line of the first expectation that failed.
 */
#ifndef ECHO_TESTS_C11_EMBEDDER_H
#define ECHO_TESTS_C11_EMBEDDER_H

#ifdef __cplusplus
extern "C" {
#endif

int c11_lists_survive(void);
int c11_errors_are_values(void);
int c11_two_heaps(void);
int c11_threads(void);

#ifdef __cplusplus
}
#endif

#endif
