/* SPDX-License-Identifier: MIT
 * A plugin that returns a table whatever is asked for; ECHO_LIE says what is wrong with it. */
#include "echo/heap.h"

const echo_heap_api* echo_heap_plugin(uint32_t wanted_major, uint32_t wanted_minor, echo_error* why) {
  (void)wanted_major, (void)wanted_minor, (void)why;
#if ECHO_LIE == 1 /* another major version */
  static const echo_heap_api table = {.size = sizeof table, .abi_major = 7};
#elif ECHO_LIE == 2 /* a table that ends early */
  static const echo_heap_api table = {.size = 24, .abi_major = ECHO_ABI_MAJOR, .abi_minor = ECHO_ABI_MINOR};
#elif ECHO_LIE == 3 /* functions that are not there */
  static const echo_heap_api table = {
      .size = sizeof table, .abi_major = ECHO_ABI_MAJOR, .abi_minor = ECHO_ABI_MINOR};
#endif
  return &table;
}
