/* SPDX-License-Identifier: MIT
 * Prints its arguments, one per line, and returns their number. */
#include <stdio.h>

int main(int argc, char** argv) {
  for (int index = 0; index < argc; ++index)
    printf("%d:%s\n", index, argv[index]);
  return argv[argc] == 0 ? argc : 99;
}
