/* SPDX-License-Identifier: MIT - the functions that the output of the Echo compiler calls, from C: a map of a million
 * strings of which ten stay, and a task, in a heap of 16 MB. */
#include <echo/runtime.h>
#include <stdio.h>

void print_string(void* string);
void print_int(int32_t value);
void* int_to_string(int32_t value);
void* string_concat(void* left, void* right);
void* runtime_bytes_to_string(void* bytes, int32_t length);
void* runtime_alloc_slice(int32_t capacity, int32_t element_bytes);
int32_t runtime_map_len(void* map);
void runtime_map_set_int_string(void* map, int32_t key, void* value);
void* runtime_map_get_int_string(void* map, int32_t key);
void* coroutine_spawn(void (*entry)(void*), int32_t argument_count, void* arguments, void* future);
void* coroutine_await(void* future);
void* future_new(void);
void run_scheduler(void);

static void task(void* argument) {
  print_string(argument);
}

static void program(void) {               /* references in locals, as the compiler's code has them */
  void* map = runtime_alloc_slice(1, 32); /* zeroed: an empty map */
  void* name = runtime_bytes_to_string("value ", 6);
  for (int32_t i = 0; i < 1000000; i++)
    runtime_map_set_int_string(map, i % 10, string_concat(name, int_to_string(i)));
  print_int(runtime_map_len(map));
  void* done = future_new();
  coroutine_spawn(task, 1, runtime_map_get_int_string(map, 7), done);
  coroutine_await(done);
  run_scheduler();
}

int main(void) {
  echo_error why;
  echo_heap* heap;
  echo_thread* self;
  echo_runtime* runtime;
  const echo_heap_api* api = echo_heap_plugin(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, &why);
  if (!api || api->heap_create("max_heap=16m", &heap, &why) || api->attach(heap, &self, &why) ||
      echo_runtime_create(api, heap, NULL, &runtime, &why) || echo_runtime_enter(runtime, self, &why))
    return fprintf(stderr, "echo_functions: %s\n", why.message), 1;
  program();
  if (echo_runtime_leave(runtime, &why) || echo_runtime_destroy(runtime, &why) || api->detach(self, &why) ||
      api->heap_destroy(heap, &why))
    return fprintf(stderr, "echo_functions: %s\n", why.message), 1;
  return 0;
}
