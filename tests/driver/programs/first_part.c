/* SPDX-License-Identifier: MIT
 * Needs second_part.c. */
#include <stdio.h>

int second_part(int);

int main(void) {
  printf("%d\n", second_part(20));
  return 0;
}
