/* SPDX-License-Identifier: MIT
 * Passes its arguments, as numbers, to the checksum. */
#include <stdlib.h>

#include "echo/cc.h"

int main(int argc, char** argv) {
  for (int index = 1; index < argc; ++index)
    echo_checksum(strtoll(argv[index], 0, 0));
  return 0;
}
