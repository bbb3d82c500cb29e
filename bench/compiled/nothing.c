/* SPDX-License-Identifier: MIT
 * nothing - what it costs to get to main and back. */
int main(void) {
  return 0;
}
