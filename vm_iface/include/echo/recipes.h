/* SPDX-License-Identifier: MIT
 *
 * echo/recipes.h - the fast paths as data: what a compiler must emit, and where the cold paths are.
 *
 * Purpose     A VM's compiler reads offsets, widths, constants and cold-path addresses here and mirrors no struct.
 *             All offsets are bytes from the thread block (echo_thread*), inside its first two cache lines.
 *
 * Allocate    cur = [t + cursor]; next = cur + size            size: the layout's, rounded up to `granule`
 *             if next > [t + limit] goto cold                  cold: object = allocate_cold(t, layout, length)
 *             [t + cursor] = next; [cur] = header_word         cold null: leave before anything else [alloc.slow.1]
 *             zero [cur + 8, next)                             unless proven initialised before the next safepoint
 *             always cold: objects over max_inline_bytes, and of layouts with ECHO_LAYOUT_FINALIZABLE [abi.final.5]
 *
 *
 * Aligned     start = (cur + alignment - 1) & -alignment           alignment over `granule`, if filler_word is not 0
 *             next = start + size; as above, with the object at start; and if start != cur:
 *             [cur] = filler_word | (start - cur) << filler_shift  so that the heap can walk over the gap
 *
 * Store       PHASE_TEST: if byte[t + phase] != 0: store_cold(t, slot, value);  then *slot = value
 *             NONE:       *slot = value
 *
 * Poll        if frame_pointer > [t + poll word] (unsigned): poll_cold(t)
 *             at loop back-edges, returns and landing pads: the word is 0 when a stop is asked for and
 *             otherwise a watermark: frames older than it were not visited [roots.frames.1].
 *
 * Weak load   if byte[t + phase] != 0: value = weak_load_cold(t, slot);  else value = *slot
 *             the only way to read a slot of kind WEAK, EPHEMERON_KEY or EPHEMERON_VALUE. [weak.load.1]
 *
 * Hash        if ([object + header_offset] & hash_mask) != hash_value: hash = hash_cold(t, object)
 *             else hash = (address of object * hash_multiplier) mod 2^64 >> hash_shift
 *             an object's hash is the same for its whole life, wherever it moves.
 *
 * Native      enter: publish the anchor; exchange [t + state] with state_native; if [t + poll word] == 0:
 *             enter_native_cold(t)
 *             leave: exchange [t + state] with state_managed; if [t + poll word] == 0: leave_native_cold(t)
 *             both exchanges and loads in one order with the stop's (on x86-64 the exchange is the fence). Between them
 *             the thread touches no reference and nobody waits for it.
 *
 * Anchor      whoever calls from managed code into a function that may reach a safepoint publishes
 *             {stack pointer after return, frame pointer, return address} of the managed frame first.
 *
 * Invariants  [abi.recipe.1] A set is constant for the heap's life. [abi.recipe.2] Cold paths use the C calling
 *             convention. [abi.recipe.3] store_cold, weak_load_cold and hash_cold neither poll nor block nor
 *             allocate.
 *             [abi.recipe.5] A cold path that is null: the heap does not have the operation.
 */
#ifndef ECHO_RECIPES_H
#define ECHO_RECIPES_H

#include "echo/base.h"

ECHO_BEGIN_DECLS

typedef enum echo_store_recipe {
  ECHO_STORE_NONE = 0,      /* plain store: the heap never needs to hear of it */
  ECHO_STORE_PHASE_TEST = 1 /* test of one byte of the thread block */
} echo_store_recipe;

typedef enum echo_recipe_set {
  ECHO_RECIPES_FASTEST = 0, /* for this heap's options */
  ECHO_RECIPES_PORTABLE = 1 /* valid for every heap of this plugin: for code compiled ahead of time */
} echo_recipe_set;

/* SAFEPOINT. Allocates an object of `layout` (`length` elements for arrays, else ignored): header written, payload
 * zeroed. Null: out of memory; echo_last_error says which kind. */
typedef echo_ref (*echo_allocate_cold_fn)(echo_thread* thread, echo_layout_id layout, uint64_t length);
/* NO-SAFEPOINT. To be called before the store. */
typedef void (*echo_store_cold_fn)(echo_thread* thread, echo_ref* slot, echo_ref value);
/* SAFEPOINT. */
typedef void (*echo_poll_cold_fn)(echo_thread* thread);
/* NO-SAFEPOINT. In place of the load of a weak slot: a reference that is alive from then on, or null. */
typedef echo_ref (*echo_weak_load_cold_fn)(echo_thread* thread, echo_ref* slot);
/* NO-SAFEPOINT. The identity hash of an object that is not null. */
typedef uint64_t (*echo_hash_cold_fn)(echo_thread* thread, echo_ref object);
/* Behind the exchange of the thread's state. Entering: NO-SAFEPOINT; leaving: SAFEPOINT. */
typedef void (*echo_transition_cold_fn)(echo_thread* thread);

typedef struct echo_recipes {
  uint32_t size;    /* sizeof(echo_recipes) of the plugin: compare before reading later fields */
  uint32_t version; /* raised when the meaning of a field changes: 1 */
  /* allocation */
  uint32_t cursor_offset, limit_offset; /* 8-byte words */
  uint32_t granule;                     /* sizes are rounded up to it */
  uint32_t max_inline_bytes; /* larger objects take the cold path, and aligned ones without filler_word */
  uint32_t header_offset;    /* in the object: 0 */
  uint32_t length_offset;    /* in an array: 8 */
  uint64_t zero_from;        /* obligation: bytes [zero_from, size) are zero before the next safepoint */
  echo_allocate_cold_fn allocate_cold;
  /* reference store */
  uint32_t store_kind; /* echo_store_recipe */
  uint32_t phase_offset;
  echo_store_cold_fn store_cold;
  /* poll */
  uint32_t poll_offset; /* 8-byte word */
  uint32_t reserved;
  echo_poll_cold_fn poll_cold;
  /* anchor: three 8-byte words */
  uint32_t anchor_sp_offset, anchor_fp_offset, anchor_pc_offset;
  uint32_t reserved2;
  /* aligned allocation; 0: alignments over `granule` take the cold path */
  uint64_t filler_word;
  uint32_t filler_shift;
  uint32_t hash_shift; /* identity hash */
  uint64_t hash_mask, hash_value, hash_multiplier;
  echo_hash_cold_fn hash_cold;
  /* native transitions: a 4-byte word and its values */
  uint32_t state_offset, state_managed, state_native, reserved3;
  echo_transition_cold_fn enter_native_cold, leave_native_cold;
  echo_weak_load_cold_fn weak_load_cold; /* test: as the store's */
} echo_recipes;

ECHO_END_DECLS

#endif /* ECHO_RECIPES_H */
