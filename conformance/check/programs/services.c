/* SPDX-License-Identifier: MIT
 *
 * services CHECKER OPTIONS - a VM with objects that it traces itself, an out-of-memory handler and a fork, to be mutated by check_test.py.
 */
#include "echo/heap.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS = 64 };

static const echo_heap_api* api;
static echo_heap* heap;
static echo_thread* self;
static echo_layout_id node, bytes;
static echo_ref outside[WORDS]; /* what the traced object holds */
static echo_handle ballast;     /* what the handler drops */
static echo_error why;

static void need(int holds, const char* what) {
  if (!holds) {
    fprintf(stderr, "services: %s: %s\n", what, why.message);
    exit(2);
  }
}

static void trace(void* context, echo_ref object, echo_visit_ref_fn visit, void* visitor) {
  (void)context;
  (void)object;
  for (int i = 0; i < WORDS; i++) {
    visit(visitor, __atomic_load_n(&outside[i], __ATOMIC_RELAXED));
  }
}

static uint32_t drop_ballast(void* context, echo_thread* thread, uint64_t size, uint32_t status) {
  (void)context;
  (void)size;
  (void)status;
  const uint32_t helps = thread == self && api->handle_get(thread, ballast) != NULL;
  api->handle_set(thread, ballast, NULL);
  return helps;
}

static uint64_t value(echo_ref object) {
  return ((uint64_t*)(void*)object)[1];
}

static void put(int at, uint64_t number) {
  const echo_ref fresh = api->allocate(self, node, 0);
  need(fresh != NULL, "allocate");
  ((uint64_t*)(void*)fresh)[1] = number;
  api->store_outside(self, &outside[at], fresh);
}

static void churn(uint64_t turns) {
  for (uint64_t i = 0; i < turns; i++) {
    put((int)(i * 7 % WORDS), i);
    api->poll(self);
  }
  for (int i = 0; i < WORDS; i++) {
    need(outside[i] == NULL || value(outside[i]) < turns, "a traced object was lost");
  }
}

int main(int count, char** arguments) {
  need(count == 3, "services CHECKER OPTIONS");
  void* const library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  void* const entry = library == NULL ? NULL : dlsym(library, "echo_heap_plugin");
  need(entry != NULL, arguments[1]);
  api = ((__typeof__(&echo_heap_plugin))entry)(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, &why);
  need(api != NULL, "the checker");
  need(api->heap_create(arguments[2], &heap, &why) == ECHO_OK, "heap_create");
  need(api->attach(heap, &self, &why) == ECHO_OK, "attach");
  const echo_layout of_node = {sizeof of_node, ECHO_LAYOUT_FIXED, "node", 16, 0, 0, 0, 0, NULL};
  const echo_layout of_bytes = {sizeof of_bytes, ECHO_LAYOUT_RAW_ARRAY, "bytes", 16, 1, 0, 0, 0, NULL};
  const echo_layout of_table = {sizeof of_table, ECHO_LAYOUT_FIXED, "table", 16, 0, 0, 0, 0, NULL};
  echo_layout_id table = 0;
  need(api->layout_register(heap, &of_node, &node, &why) == ECHO_OK, "node");
  need(api->layout_register(heap, &of_bytes, &bytes, &why) == ECHO_OK, "bytes");
  need(api->layout_register_traced(heap, &of_table, trace, NULL, &table, &why) == ECHO_OK, "table");
  need(api->out_of_memory_set(heap, drop_ballast, NULL, &why) == ECHO_OK, "out_of_memory_set");
  echo_scope scope = 0;
  api->scope_open(self, &scope);
  const echo_handle kept = api->handle_new(self, api->allocate(self, table, 0));
  churn(500);
  ballast = api->handle_new(self, api->allocate(self, bytes, 20 << 20));
  need(api->handle_get(self, ballast) != NULL, "20 MiB");
  need(api->allocate(self, bytes, 22 << 20) != NULL, "the handler was not asked");
  need(api->handle_get(self, ballast) == NULL, "the handler has not run");

  need(api->fork_prepare(self, &why) == ECHO_OK, "fork_prepare");
  const pid_t child = fork();
  need((child == 0 ? api->fork_child(self, &why) : api->fork_parent(self, &why)) == ECHO_OK, "after fork");
  churn(500);
  int status = 0;
  need(child == 0 || (waitpid(child, &status, 0) == child && status == 0), "the child");
  if (child == 0) {
    fprintf(stderr, "in the child\n");
  }
  need(api->handle_get(self, kept) != NULL, "the traced object");
  api->scope_close(self, scope);
  need(api->detach(self, &why) == ECHO_OK, "detach");
  need(api->heap_destroy(heap, &why) == ECHO_OK, "heap_destroy");
  return 0;
}
