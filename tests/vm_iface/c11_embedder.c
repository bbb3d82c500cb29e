/* SPDX-License-Identifier: MIT
 *
 * Purpose     A VM in C11: all it knows are the public headers and the one symbol. Everything goes through
 * the table.
 */
#include "tests/vm_iface/c11_embedder.h"

#include "echo/heap.h"
#include "echo/jit.h"

#include <pthread.h>
#include <string.h>

#define EXPECT(condition)                                                                                    \
  do {                                                                                                       \
    if (!(condition)) {                                                                                      \
      return __LINE__;                                                                                       \
    }                                                                                                        \
  } while (0)

struct vm {
  const echo_heap_api* api;
  echo_heap* heap;
  echo_thread* thread;
  echo_layout_id cell, array;
  echo_error why;
};

static int open_vm(struct vm* vm, const char* options) {
  static const echo_slot slots[] = {{8, ECHO_SLOT_STRONG}};
  const echo_layout cell = {sizeof(echo_layout), ECHO_LAYOUT_FIXED, "cell", 24, 0, 0, 0, 1, slots};
  const echo_layout array = {sizeof(echo_layout), ECHO_LAYOUT_REF_ARRAY, "array", 16, 8, 0, 0, 0, NULL};
  memset(vm, 0, sizeof *vm);
  vm->api = echo_heap_plugin(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, &vm->why);
  EXPECT(vm->api != NULL && vm->api->size >= sizeof(echo_heap_api));
  EXPECT(vm->api->heap_create(options, &vm->heap, &vm->why) == ECHO_OK);
  EXPECT(vm->api->attach(vm->heap, &vm->thread, &vm->why) == ECHO_OK);
  EXPECT(vm->api->layout_register(vm->heap, &cell, &vm->cell, &vm->why) == ECHO_OK);
  EXPECT(vm->api->layout_register(vm->heap, &array, &vm->array, &vm->why) == ECHO_OK);
  return 0;
}

static int close_vm(struct vm* vm) {
  EXPECT(vm->api->detach(vm->thread, &vm->why) == ECHO_OK);
  EXPECT(vm->api->heap_destroy(vm->heap, &vm->why) == ECHO_OK);
  return 0;
}

static uint64_t* words_of(echo_ref object) {
  return (uint64_t*)(void*)object;
}

int c11_lists_survive(void) {
  struct vm vm;
  echo_ref root = NULL;
  uint64_t sum = 0;
  uint64_t length = 0;
  int line = open_vm(&vm, "max_heap=4m,reserve=1,poison=on,verify=on");
  if (line != 0) {
    return line;
  }
  EXPECT(vm.api->roots_add(vm.heap, &root, 1, &vm.why) == ECHO_OK);
  for (uint64_t i = 0; i < 300000; ++i) {
    echo_ref cell = vm.api->allocate(vm.thread, vm.cell, 0);
    EXPECT(cell != NULL);
    words_of(cell)[2] = i;
    if (i % 100 == 0) { /* the others are garbage */
      EXPECT(vm.api->store(vm.thread, cell, 8, root) == ECHO_OK);
      root = cell;
    }
    vm.api->poll(vm.thread);
  }
  for (echo_ref cell = root; cell != NULL; cell = (echo_ref)words_of(cell)[1]) {
    EXPECT(vm.api->object_layout(vm.heap, cell) == vm.cell);
    sum += words_of(cell)[2];
    ++length;
  }
  EXPECT(length == 3000);
  EXPECT(sum == 100u * (2999u * 3000u / 2u));
  EXPECT(vm.api->roots_remove(vm.heap, &root, &vm.why) == ECHO_OK);
  return close_vm(&vm);
}

int c11_errors_are_values(void) {
  struct vm vm;
  echo_error error;
  echo_statistics statistics;
  echo_option_info option;
  const echo_recipes* recipes = NULL;
  int line = open_vm(&vm, "max_heap=1m,reserve=1");
  if (line != 0) {
    return line;
  }
  EXPECT(echo_heap_plugin(ECHO_ABI_MAJOR + 1, 0, &error) == NULL);
  EXPECT(error.code == ECHO_VERSION_MISMATCH && error.message[0] != '\0');
  EXPECT(vm.api->allocate(vm.thread, 12345, 0) == NULL);
  EXPECT(vm.api->last_error(vm.thread, &error) == ECHO_UNKNOWN_LAYOUT);
  EXPECT(strcmp(echo_status_name(error.code), "UNKNOWN_LAYOUT") == 0);
  EXPECT(vm.api->allocate(vm.thread, vm.array, UINT64_MAX) == NULL);
  EXPECT(vm.api->last_error(vm.thread, &error) == ECHO_INVALID_ARGUMENT);
  EXPECT(vm.api->allocate(vm.thread, vm.array, 1000000) == NULL);
  EXPECT(vm.api->last_error(vm.thread, &error) == ECHO_HEAP_LIMIT);
  EXPECT(vm.api->heap_destroy(vm.heap, &error) == ECHO_THREADS_ATTACHED);
  EXPECT(vm.api->enter_native(vm.thread) == ECHO_OK);
  EXPECT(vm.api->collect(vm.thread, ECHO_COLLECT_FULL, &error) == ECHO_WRONG_STATE);
  EXPECT(vm.api->leave_native(vm.thread) == ECHO_OK);
  memset(&statistics, 0, sizeof statistics);
  EXPECT(vm.api->statistics(vm.heap, &statistics) == ECHO_INVALID_ARGUMENT);
  statistics.size = sizeof statistics;
  EXPECT(vm.api->statistics(vm.heap, &statistics) == ECHO_OK && statistics.threads_attached == 1);
  memset(&option, 0, sizeof option);
  option.size = sizeof option;
  EXPECT(vm.api->option_info(0, &option) == ECHO_OK && strcmp(option.name, "max_heap") == 0);
  EXPECT(vm.api->recipes(vm.heap, ECHO_RECIPES_PORTABLE, &recipes) == ECHO_OK);
  EXPECT(recipes->size == sizeof(echo_recipes));
  return close_vm(&vm);
}

int c11_two_heaps(void) {
  struct vm one;
  struct vm two;
  int line = open_vm(&one, "max_heap=2m,reserve=1");
  line = line != 0 ? line : open_vm(&two, "max_heap=2m,reserve=1");
  if (line != 0) {
    return line;
  }
  EXPECT(one.heap != two.heap && one.thread != two.thread);
  EXPECT(one.api->heap_of(one.thread) == one.heap && two.api->heap_of(two.thread) == two.heap);
  for (int i = 0; i < 100000; ++i) {
    EXPECT(one.api->allocate(one.thread, one.cell, 0) != NULL);
  }
  EXPECT(two.api->allocate(two.thread, two.cell, 0) != NULL);
  echo_statistics of_two = {.size = sizeof of_two};
  EXPECT(two.api->statistics(two.heap, &of_two) == ECHO_OK);
  EXPECT(of_two.objects_allocated == 1 && of_two.collections_full == 0);
  line = close_vm(&one);
  return line != 0 ? line : close_vm(&two);
}

struct worker {
  struct vm* vm;
  echo_ref slot;
  int line;
};

static int work(struct worker* w) {
  const echo_heap_api* api = w->vm->api;
  echo_thread* thread = NULL;
  echo_error why;
  echo_scope scope = 0;
  EXPECT(api->attach(w->vm->heap, &thread, &why) == ECHO_OK);
  api->set_vm_word(thread, w);
  EXPECT(api->vm_word(thread) == w);
  for (int round = 0; round < 200; ++round) {
    EXPECT(api->scope_open(thread, &scope) == ECHO_OK);
    const echo_handle array = api->handle_new(thread, api->allocate(thread, w->vm->array, 50));
    EXPECT(array != NULL);
    for (uint64_t i = 0; i < 50; ++i) {
      echo_ref cell = api->allocate(thread, w->vm->cell, 0);
      EXPECT(cell != NULL);
      words_of(cell)[2] = i;
      EXPECT(api->array_store(thread, api->handle_get(thread, array), i, cell) == ECHO_OK);
    }
    for (uint64_t i = 0; i < 50; ++i) {
      EXPECT(words_of((echo_ref)words_of(api->handle_get(thread, array))[2 + i])[2] == i);
    }
    w->slot = api->handle_get(thread, array);
    EXPECT(api->scope_close(thread, scope) == ECHO_OK);
    EXPECT(api->enter_native(thread) == ECHO_OK);
    EXPECT(api->leave_native(thread) == ECHO_OK);
    EXPECT(api->array_length(w->vm->heap, w->slot) == 50);
  }
  EXPECT(api->detach(thread, &why) == ECHO_OK);
  return 0;
}

static void* run_worker(void* context) {
  struct worker* w = context;
  w->line = work(w);
  return NULL;
}

int c11_threads(void) {
  struct vm vm;
  struct worker workers[3];
  pthread_t threads[3];
  int line = open_vm(&vm, "max_heap=2m,trigger=256k,reserve=1,poison=on,stress_yield=on");
  if (line != 0) {
    return line;
  }
  EXPECT(vm.api->enter_blocked(vm.thread) == ECHO_OK);
  for (int i = 0; i < 3; ++i) {
    workers[i] = (struct worker){.vm = &vm};
    EXPECT(vm.api->roots_add(vm.heap, &workers[i].slot, 1, &vm.why) == ECHO_OK);
    EXPECT(pthread_create(&threads[i], NULL, run_worker, &workers[i]) == 0);
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT(pthread_join(threads[i], NULL) == 0);
    line = line != 0 ? line : workers[i].line;
    EXPECT(vm.api->roots_remove(vm.heap, &workers[i].slot, &vm.why) == ECHO_OK);
  }
  EXPECT(vm.api->leave_blocked(vm.thread) == ECHO_OK);
  EXPECT(vm.api->verify(vm.thread, 1, &vm.why) == ECHO_OK);
  return line != 0 ? line : close_vm(&vm);
}
