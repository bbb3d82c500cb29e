/* SPDX-License-Identifier: MIT
 *
 * print_features PLUGIN - one "NAME 0|1" line for each feature bit of a plugin, for tools/check_readme.py.
 */
#include "echo/heap.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

typedef const echo_heap_api* (*plugin_entry)(uint32_t wanted_major, uint32_t wanted_minor, echo_error* why);

int main(int argument_count, char** arguments) {
  if (argument_count != 2) {
    fprintf(stderr, "usage: print_features PLUGIN\n");
    return 2;
  }
  void* library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  void* symbol = library ? dlsym(library, "echo_heap_plugin") : NULL;
  if (!symbol) {
    fprintf(stderr, "print_features: %s\n", dlerror());
    return 1;
  }
  plugin_entry entry;
  memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from void* to a function pointer */
  echo_error why;
  const echo_heap_api* api = entry(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, &why);
  if (!api) {
    fprintf(stderr, "print_features: %s\n", why.message);
    return 1;
  }
#define PRINT_FEATURE(bit, name, sentence) printf("%s %d\n", #name, (int)(api->features >> (bit) & 1u));
  ECHO_FEATURE_TABLE(PRINT_FEATURE)
#undef PRINT_FEATURE
  return 0;
}
