/* SPDX-License-Identifier: MIT
 * A plugin that serves only the next major version: it refuses, with a sentence. */
#include <stdio.h>

#include "echo/heap.h"

const echo_heap_api* echo_heap_plugin(uint32_t wanted_major, uint32_t wanted_minor, echo_error* why) {
  if (why) {
    why->code = ECHO_VERSION_MISMATCH;
    snprintf(why->message, sizeof why->message, "this plugin serves version 2.0 only, not %u.%u.\n",
             wanted_major, wanted_minor);
  }
  return 0;
}
