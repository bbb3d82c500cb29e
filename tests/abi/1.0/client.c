/* SPDX-License-Identifier: MIT
 *
 * Purpose     A VM built against ABI 1.0: its headers stand beside it, frozen, and nothing here is ever changed [abi.evolve.5].
 *             It must run on every later plugin of major 1. Uses every function of 1.0: through the table, or, built with
 *             ECHO_CLIENT_LINKED, through the symbols of version ECHO_1.0.
 */
#include "echo/heap.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(ECHO_ABI_MAJOR == 1 && ECHO_ABI_MINOR == 0, "the frozen headers are used");

#define CHECK(condition)                                                                                     \
  do {                                                                                                       \
    if (!(condition)) {                                                                                      \
      fprintf(stderr, "client of ABI 1.0: line %d: %s (%s)\n", __LINE__, #condition, why.message);           \
      return 1;                                                                                              \
    }                                                                                                        \
  } while (0)

static echo_error why;
static unsigned walks;

static echo_status no_frames(void* context, echo_thread* thread, echo_frame_cursor* cursor,
                             uint32_t max_frames, uint32_t* visited, echo_visit_slot_fn visit, void* visitor,
                             echo_error* error) {
  (void)context, (void)thread, (void)max_frames, (void)visit, (void)visitor, (void)error;
  cursor->pc = 0;
  *visited = 0;
  walks++;
  return ECHO_OK;
}

static uint64_t* words(echo_ref object) {
  return (uint64_t*)(void*)object;
}

static int versions(const echo_heap_api* api) {
  CHECK(api->size >= sizeof *api && api->abi_major == 1);
  CHECK(api->build_id != NULL);
  const uint64_t needed = ECHO_FEATURE_COLLECTS | ECHO_FEATURE_STORE_BARRIER | ECHO_FEATURE_SCOPED_HANDLES |
                          ECHO_FEATURE_GLOBAL_ROOTS | ECHO_FEATURE_FRAME_SOURCE | ECHO_FEATURE_VERIFIER |
                          ECHO_FEATURE_STRESS | ECHO_FEATURE_IDENTITY_HASH;
  CHECK((api->features & needed) == needed);
  return 0;
}

/* The options of 1.0 are still there, in structs of the size that 1.0 knew. */
static int options(const echo_heap_api* api) {
  static const char* const known[] = {"max_heap",       "trigger",      "growth",          "reserve",
                                      "keep_free",      "populate",     "huge_pages",      "census",
                                      "stress_collect", "stress_yield", "stress_barriers", "stress_frames",
                                      "poison",         "verify",       "mark_region",     "seed"};
  unsigned found = 0;
  struct {
    echo_option_info info;
    uint64_t guard;
  } row = {.guard = 0x5A5A5A5A};
  row.info.size = sizeof row.info;
  for (uint32_t index = 0; api->option_info(index, &row.info) == ECHO_OK; index++) {
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
      found += strcmp(row.info.name, known[k]) == 0;
    }
    CHECK(row.info.size == sizeof row.info && row.guard == 0x5A5A5A5A);
  }
  CHECK(found == sizeof known / sizeof known[0]);
  return 0;
}

static int layouts(const echo_heap_api* api, echo_heap* heap, echo_layout_id* pair, echo_layout_id* array) {
  const echo_slot slots[] = {{8, ECHO_SLOT_STRONG}, {16, ECHO_SLOT_TAGGED}};
  const echo_layout pair_layout = {sizeof(echo_layout), ECHO_LAYOUT_FIXED, "pair", 24, 0, 0, 0, 2, slots};
  const echo_layout array_layout = {
      sizeof(echo_layout), ECHO_LAYOUT_REF_ARRAY, "array", 16, 8, 0, 0, 0, NULL};
  const echo_layout lie = {sizeof(echo_layout), ECHO_LAYOUT_FIXED, "lie", 16, 0, 0, 0, 2, slots};
  echo_layout_id none = 0;
  echo_slot slot;
  struct {
    echo_layout_info info;
    uint64_t guard;
  } known = {.guard = 0x5A5A5A5A};
  known.info.size = sizeof known.info;
  CHECK(api->layout_register(heap, &pair_layout, pair, &why) == ECHO_OK);
  CHECK(api->layout_register(heap, &array_layout, array, &why) == ECHO_OK);
  CHECK(api->layout_register(heap, &lie, &none, &why) == ECHO_BAD_LAYOUT);
  CHECK(api->layout_count(heap) >= 2);
  CHECK(api->layout_get(heap, *pair, &known.info) == ECHO_OK && known.guard == 0x5A5A5A5A);
  CHECK(strcmp(known.info.name, "pair") == 0 && known.info.fixed_bytes == 24 && known.info.slot_count == 2);
  CHECK(api->layout_slot(heap, *pair, 1, &slot) == ECHO_OK && slot.offset == 16 &&
        slot.kind == ECHO_SLOT_TAGGED);
  return 0;
}

/* What a compiler of 1.0 emitted. */
static echo_ref allocate_inline(const echo_recipes* r, echo_thread* self, echo_layout_id layout,
                                uint64_t header) {
  char* const t = (char*)self;
  uint64_t* const cursor = (uint64_t*)(void*)(t + r->cursor_offset);
  const uint64_t limit = *(uint64_t*)(void*)(t + r->limit_offset);
  const uint64_t at = *cursor;
  const uint64_t next = at + 24;
  if (next > limit) {
    return r->allocate_cold(self, layout, 0);
  }
  *cursor = next;
  *(uint64_t*)at = header; /* NOLINT(performance-no-int-to-ptr) */
  memset((char*)at + 8, 0, 16);
  return (echo_ref)at;
}
static void store_inline(const echo_recipes* r, echo_thread* self, echo_ref* slot, echo_ref value) {
  if (r->store_kind == ECHO_STORE_PHASE_TEST && *((uint8_t*)self + r->phase_offset) != 0) {
    r->store_cold(self, slot, value);
  }
  *slot = value;
}

static int recipes(const echo_heap_api* api, echo_heap* heap, echo_thread* self, echo_layout_id pair) {
  for (uint32_t set = ECHO_RECIPES_FASTEST; set <= ECHO_RECIPES_PORTABLE; set++) {
    const echo_recipes* r = NULL;
    echo_layout_info info = {.size = sizeof info};
    CHECK(api->recipes(heap, set, &r) == ECHO_OK && r->size >= sizeof *r && r->version == 1);
    CHECK(r->store_kind <= ECHO_STORE_PHASE_TEST && r->header_offset == 0 && r->length_offset == 8 &&
          r->zero_from == 8);
    CHECK(api->layout_get(heap, pair, &info) == ECHO_OK);
    echo_scope scope;
    CHECK(api->scope_open(self, &scope) == ECHO_OK);
    const echo_handle list = api->handle_new(self, NULL);
    for (int i = 0; i < 100000; i++) {
      const echo_ref fresh = allocate_inline(r, self, pair, info.header_word);
      CHECK(fresh != NULL && words(fresh)[1] == 0);
      store_inline(r, self, (echo_ref*)(void*)&words(fresh)[1],
                   i % 100 != 0 ? api->handle_get(self, list) : NULL);
      CHECK(api->handle_set(self, list, fresh) == ECHO_OK);
      if (*(uint64_t*)(void*)((char*)self + r->poll_offset) == 0) {
        r->poll_cold(self);
      }
    }
    unsigned length = 0;
    for (echo_ref at = api->handle_get(self, list); at != NULL; at = (echo_ref)words(at)[1]) {
      length++;
    }
    CHECK(length == 100);
    CHECK(r->hash_cold == NULL || r->hash_cold(self, api->handle_get(self, list)) ==
                                      api->identity_hash(self, api->handle_get(self, list)));
    CHECK(api->scope_close(self, scope) == ECHO_OK);
  }
  return 0;
}

static int objects(const echo_heap_api* api, echo_heap* heap, echo_thread* self, echo_layout_id pair,
                   echo_layout_id array) {
  echo_ref root = NULL;
  echo_scope scope;
  CHECK(api->roots_add(heap, &root, 1, &why) == ECHO_OK);
  CHECK(api->scope_open(self, &scope) == ECHO_OK);
  root = api->allocate(self, array, 10);
  CHECK(root != NULL && api->array_length(heap, root) == 10 && api->object_layout(heap, root) == array);
  CHECK(api->object_bytes(heap, root) == 96);
  const uint64_t hash = api->identity_hash(self, root);
  const echo_ref small = api->allocate(self, pair, 0);
  CHECK(small != NULL && api->array_store(self, root, 9, small) == ECHO_OK);
  CHECK(api->array_store(self, root, 10, small) == ECHO_OUT_OF_BOUNDS);
  CHECK(api->store(self, small, 8, small) == ECHO_OK &&
        api->store(self, small, 4, small) == ECHO_OUT_OF_BOUNDS);
  words(small)[2] = 7; /* tagged: no reference */
  CHECK(api->collect(self, ECHO_COLLECT_FULL, &why) == ECHO_OK);
  CHECK(api->verify(self, 1, &why) == ECHO_OK);
  CHECK(api->identity_hash(self, root) == hash);
  CHECK(words(root)[11] != 0 && words((echo_ref)words(root)[11])[2] == 7);
  CHECK(api->allocate(self, 12345, 0) == NULL && api->last_error(self, &why) == ECHO_UNKNOWN_LAYOUT);
  CHECK(api->scope_close(self, scope) == ECHO_OK);
  CHECK(api->roots_remove(heap, &root, &why) == ECHO_OK);
  return 0;
}

static int threads(const echo_heap_api* api, echo_heap* heap, echo_thread* self) {
  int word = 0;
  CHECK(api->heap_of(self) == heap);
  api->set_vm_word(self, &word);
  CHECK(api->vm_word(self) == &word);
  CHECK(api->enter_native(self) == ECHO_OK && api->enter_native(self) == ECHO_WRONG_STATE);
  CHECK(api->leave_native(self) == ECHO_OK);
  CHECK(api->enter_blocked(self) == ECHO_OK && api->leave_blocked(self) == ECHO_OK);
  api->poll(self);
  CHECK(api->heap_destroy(heap, &why) == ECHO_THREADS_ATTACHED);
  return 0;
}

static int statistics(const echo_heap_api* api, echo_heap* heap) {
  struct {
    echo_statistics s;
    uint64_t guard;
  } told = {.guard = 0x5A5A5A5A};
  told.s.size = sizeof told.s;
  CHECK(api->statistics(heap, &told.s) == ECHO_OK && told.guard == 0x5A5A5A5A &&
        told.s.size == sizeof told.s);
  CHECK(told.s.objects_allocated > 200000 && told.s.collections_full >= 1 && told.s.pause_us.count >= 1);
  CHECK(told.s.collections_by_cause[ECHO_CAUSE_requested] >= 1 && told.s.threads_attached == 1);
  return 0;
}

static int run(const echo_heap_api* api) {
  echo_heap* heap = NULL;
  echo_thread* self = NULL;
  echo_layout_id pair = 0;
  echo_layout_id array = 0;
  const echo_frame_source source = {sizeof source, 0, NULL, no_frames};
  CHECK(api->heap_create("max_heap=", &heap, &why) == ECHO_BAD_OPTION_VALUE);
  CHECK(api->heap_create("max_heap=4m,poison=on", &heap, &why) == ECHO_OK);
  CHECK(api->frame_source_set(heap, &source, &why) == ECHO_OK);
  CHECK(api->attach(heap, &self, &why) == ECHO_OK);
  if (versions(api) || options(api) || layouts(api, heap, &pair, &array) || recipes(api, heap, self, pair) ||
      objects(api, heap, self, pair, array) || threads(api, heap, self) || statistics(api, heap)) {
    return 1;
  }
  CHECK(api->detach(self, &why) == ECHO_OK);
  CHECK(api->frame_source_set(heap, NULL, &why) == ECHO_OK);
  CHECK(api->heap_destroy(heap, &why) == ECHO_OK);
  printf("client of ABI 1.0: runs\n");
  return 0;
}

#ifdef ECHO_CLIENT_LINKED
int main(void) {
  const echo_heap_api* const served = echo_heap_plugin(1, 0, &why);
  CHECK(served != NULL);
  const echo_heap_api bound = {
      sizeof bound,
      1,
      0,
      served->build_id,
      served->features,
      echo_heap_create,
      echo_heap_destroy,
      echo_option_get_info,
      echo_layout_register,
      echo_layout_get,
      echo_layout_get_slot,
      echo_layout_count,
      echo_attach,
      echo_detach,
      echo_enter_native,
      echo_leave_native,
      echo_enter_blocked,
      echo_leave_blocked,
      echo_poll,
      echo_heap_of,
      echo_vm_word,
      echo_set_vm_word,
      echo_last_error,
      echo_allocate,
      echo_store,
      echo_array_store,
      echo_object_bytes,
      echo_object_layout,
      echo_array_length,
      echo_scope_open,
      echo_scope_close,
      echo_handle_new,
      echo_handle_get,
      echo_handle_set,
      echo_roots_add,
      echo_roots_remove,
      echo_frame_source_set,
      echo_collect,
      echo_get_statistics,
      echo_verify,
      echo_get_recipes,
      echo_identity_hash,
  };
  return run(&bound);
}
#else
int main(int count, char** arguments) {
  const echo_heap_api* (*entry)(uint32_t, uint32_t, echo_error*) = NULL;
  void* const library = count == 2 ? dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  if (library == NULL) {
    fprintf(stderr, "client of ABI 1.0: %s\n", count == 2 ? dlerror() : "usage: client PLUGIN");
    return 2;
  }
  *(void**)&entry = dlsym(library, "echo_heap_plugin");
  CHECK(entry != NULL && entry(2, 0, &why) == NULL && why.code == ECHO_VERSION_MISMATCH);
  const echo_heap_api* const api = entry(1, 0, &why);
  CHECK(api != NULL);
  const int status = run(api);
  return dlclose(library) == 0 ? status : 1;
}
#endif
