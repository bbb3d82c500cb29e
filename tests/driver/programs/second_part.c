/* SPDX-License-Identifier: MIT */
int second_part(int value) {
  return value * FACTOR + 2;
}
