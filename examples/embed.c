/* SPDX-License-Identifier: MIT - four million pairs through a 32 MB heap; the last thousand stay listed. */
#include <echo/heap.h>
#include <stdio.h>

int main(void) {
  echo_error why;
  echo_heap* heap;
  echo_thread* self;
  const echo_slot next = {8, ECHO_SLOT_STRONG}; /* header, reference, one word of data */
  const echo_layout pair = {sizeof pair, ECHO_LAYOUT_FIXED, "pair", 24, 0, 0, 0, 1, &next};
  echo_layout_id id;
  if (echo_heap_create("max_heap=32m", &heap, &why) || echo_layout_register(heap, &pair, &id, &why) ||
      echo_attach(heap, &self, &why))
    return fprintf(stderr, "embed: %s\n", why.message), 1;
  echo_scope scope;
  echo_scope_open(self, &scope);
  echo_handle list = echo_handle_new(self, NULL); /* what native code keeps, it keeps in handles */
  for (int i = 0; i < 4000000; i++) {
    echo_ref fresh = echo_allocate(self, id, 0); /* may collect */
    if (!fresh)
      return echo_last_error(self, &why), fprintf(stderr, "embed: %s\n", why.message), 1;
    echo_store(self, fresh, 8, i % 1000 ? echo_handle_get(self, list) : NULL);
    echo_handle_set(self, list, fresh);
  }
  if (echo_collect(self, ECHO_COLLECT_FULL, &why))
    return fprintf(stderr, "embed: %s\n", why.message), 1;
  echo_statistics s = {.size = sizeof s};
  echo_get_statistics(heap, &s);
  printf("%llu pairs, %llu bytes live\n", (unsigned long long)s.objects_allocated,
         (unsigned long long)s.live_bytes);
  printf("%llu collections, longest pause %.0f us\n", (unsigned long long)s.collections_full, s.pause_us.max);
  return echo_scope_close(self, scope) || echo_detach(self, &why) || echo_heap_destroy(heap, &why);
}
