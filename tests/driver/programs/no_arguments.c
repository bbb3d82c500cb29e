/* SPDX-License-Identifier: MIT
 * main(void), and a status whose low 8 bits count. */
int main(void) {
  return 256 + 41;
}
