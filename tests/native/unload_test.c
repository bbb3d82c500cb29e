/* SPDX-License-Identifier: MIT
 *
 * Purpose     The library can be unloaded while threads that used it go on, and leaves nothing mapped; the end of those
 *             threads calls nothing any more.
 */
#include "check.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static pthread_barrier_t used, unloaded;
static void* (*future_create)(void*, size_t);
static void (*future_destroy)(void*);
static int (*last_error)(void);

static void use(void) {
  char data[64] = "a payload";
  void* const future = future_create(data, sizeof data);
  CHECK(future != NULL);
  future_destroy(future);
  CHECK(last_error() == 0);
}

static void* thread(void* unused) {
  (void)unused;
  use();
  pthread_barrier_wait(&used);
  pthread_barrier_wait(&unloaded);
  return NULL; /* its thread-specific value would call into the library */
}

static bool is_mapped(const char* name) {
  FILE* const maps = fopen("/proc/self/maps", "r");
  char line[512];
  bool found = false;
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    found = found || strstr(line, name) != NULL;
  }
  if (maps != NULL) {
    fclose(maps);
  }
  return found;
}

int main(int count, char** arguments) {
  if (count != 2) {
    fprintf(stderr, "usage: %s LIBRARY\n", arguments[0]);
    return 2;
  }
  for (int round = 0; round < 3; ++round) {
    void* const library = dlopen(arguments[1], RTLD_NOW);
    if (library == NULL) {
      fprintf(stderr, "%s\n", dlerror());
      return 1;
    }
    *(void**)&future_create = dlsym(library, "compact_future_create");
    *(void**)&future_destroy = dlsym(library, "compact_future_destroy");
    *(void**)&last_error = dlsym(library, "industrial_memory_pool_get_last_error");
    CHECK(future_create != NULL && future_destroy != NULL && last_error != NULL);
    CHECK(dlsym(library, "_ZN4echo6native4Pool7destroyEPS1_") == NULL); /* nothing else is exported */
    CHECK(is_mapped("libecho_memory_pool"));
    pthread_barrier_init(&used, NULL, 2);
    pthread_barrier_init(&unloaded, NULL, 2);
    pthread_t other;
    CHECK(pthread_create(&other, NULL, thread, NULL) == 0);
    use();
    pthread_barrier_wait(&used);
    CHECK(dlclose(library) == 0);
    CHECK(!is_mapped("libecho_memory_pool"));
    pthread_barrier_wait(&unloaded);
    pthread_join(other, NULL);
    pthread_barrier_destroy(&used);
    pthread_barrier_destroy(&unloaded);
  }
  return finish("unload_test");
}
