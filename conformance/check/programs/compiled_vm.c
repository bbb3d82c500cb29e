/* SPDX-License-Identifier: MIT
 *
 * compiled_vm CHECKER LIBECHO_JIT BITCODE OPTIONS - a VM with compiled code, and a native function of its own that uses handles; as small as
 * that gets, to be mutated by check_test.py. Runs `run` of the module on two threads, one after the other.
 */
#include "echo/heap.h"
#include "echo/jit.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static const echo_heap_api* api;
static const echo_jit_api* compiler;
static echo_heap* heap;
static echo_jit* jit;
static void* run;
static echo_thread* first;
static __thread echo_thread* self;
static echo_error why;

static void need(int holds, const char* what) {
  if (!holds) {
    fprintf(stderr, "compiled_vm: %s: %s\n", what, why.message);
    exit(2);
  }
}

/* Called by compiled code: keeps an object over a collection. */
int64_t vm_keep(echo_ref object) {
  echo_scope scope = 0;
  api->scope_open(self, &scope);
  const echo_handle kept = api->handle_new(self, object);
  api->collect(self, ECHO_COLLECT_FULL, NULL);
  const int64_t is_there = api->handle_get(self, kept) != NULL;
  api->scope_close(self, scope);
  return is_there;
}

static void run_once(void) {
  uint64_t result = 0;
  need(compiler->call(jit, self, run, NULL, 0, &result, &why) == ECHO_OK, "call");
  printf("%d\n", (int)result);
}

static void* second(void* unused) {
  need(api->attach(heap, &self, &why) == ECHO_OK, "attach");
  run_once();
  need(api->detach(self, &why) == ECHO_OK, "detach");
  return unused;
}

static void* entry(const char* path, const char* symbol) {
  void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  void* const found = library == NULL ? NULL : dlsym(library, symbol);
  need(found != NULL, path);
  return found;
}

static void load_module(const char* path) {
  static char bytes[1 << 20];
  FILE* const file = fopen(path, "rb");
  need(file != NULL, path);
  const size_t count = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  api->enter_native(self);
  need(compiler->add_module(jit, path, bytes, count, &why) == ECHO_OK, "add_module");
  need(compiler->lookup(jit, "run", &run, &why) == ECHO_OK, "lookup");
  api->leave_native(self);
}

int main(int count, char** arguments) {
  need(count == 5, "compiled_vm CHECKER LIBECHO_JIT BITCODE OPTIONS");
  api = ((__typeof__(&echo_heap_plugin))entry(arguments[1], "echo_heap_plugin"))(ECHO_ABI_MAJOR,
                                                                                 ECHO_ABI_MINOR, &why);
  need(api != NULL, "the checker");
  compiler = ((__typeof__(&echo_jit_plugin))entry(arguments[2], "echo_jit_plugin"))(ECHO_ABI_MAJOR,
                                                                                    ECHO_ABI_MINOR, &why);
  need(compiler != NULL, "the compiler");
  need(api->heap_create(arguments[4], &heap, &why) == ECHO_OK, "heap_create");
  need(api->attach(heap, &self, &why) == ECHO_OK, "attach");
  first = self;
  echo_jit_options options = {.size = sizeof options, .optimise = 2, .tools = ECHO_JIT_TOOL_LINES};
  need(compiler->create(api, heap, &options, &jit, &why) == ECHO_OK, "create");
  need(compiler->define_typed(jit, "vm_keep", (void*)vm_keep, ECHO_JIT_SYMBOL_NATIVE, "lr", &why) == ECHO_OK,
       "define");
  load_module(arguments[3]);
  run_once();
  api->enter_native(self);
  pthread_t thread;
  need(pthread_create(&thread, NULL, second, NULL) == 0 && pthread_join(thread, NULL) == 0,
       "a second thread");
  api->leave_native(self);
  need(compiler->destroy(jit, &why) == ECHO_OK, "destroy");
  need(api->detach(first, &why) == ECHO_OK, "detach");
  need(api->heap_destroy(heap, &why) == ECHO_OK, "heap_destroy");
  return 0;
}
