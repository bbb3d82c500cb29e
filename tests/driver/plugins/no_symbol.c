/* SPDX-License-Identifier: MIT
 * A library that is no heap plugin. */
__attribute__((visibility("default"))) int something_else(void) {
  return 1;
}
