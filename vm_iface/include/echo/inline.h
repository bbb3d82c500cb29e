/* SPDX-License-Identifier: MIT
 *
 * echo/inline.h - the recipes of echo/recipes.h as inline functions, for interpreters, runtimes and compilers in C or C++.
 *
 * Purpose     The fast paths that a compiler emits, for code that no such compiler makes: a VM written in C stores,
 *             allocates and polls at the speed of emitted code, without a call into the plugin but on the cold paths.
 *             Everything is read from the recipes: nothing here depends on the plugin that is loaded.
 * Use         echo_get_recipes(heap, ECHO_RECIPES_FASTEST, &r) once per heap; then r and the thread block are the first
 *             two arguments everywhere. Keep both in local variables, so that the compiler keeps them in registers.
 *             Nothing is checked: slots belong to the object, indices are within its length, kinds match. (echo_store,
 *             echo_array_store and echo_weak_load of the plugin's table check.)
 *
 * Invariants  [abi.inline.1] The test of the phase, the cold path and the store stand in this order with no safepoint in
 *             between. [abi.inline.2] References move one by one and whole: neither the marker nor another thread sees half
 *             of one. [abi.inline.3] A copy or fill of any length polls at least every ECHO_INLINE_SLICE elements, and
 *             reads its arrays again from where they are rooted behind each poll.
 *             Functions that are not marked SAFEPOINT are NO-SAFEPOINT. All are called on the thread itself, managed,
 *             unless they say otherwise. A thread with compiled frames below publishes its anchor before what is marked
 *             SAFEPOINT (echo/recipes.h).
 * Source      The deletion barrier is Yuasa's ("Real-time garbage collection on general-purpose machines", Journal of
 *             Systems and Software, 1990), with the old value read by the cold path.
 */
#ifndef ECHO_INLINE_H
#define ECHO_INLINE_H

#include "echo/layout.h"
#include "echo/recipes.h"

#include <string.h>

#if !defined(__GNUC__)
#error "echo/inline.h: needs the __atomic built-in functions of GCC and clang"
#endif

ECHO_BEGIN_DECLS

/* Elements of an array that are copied or filled between two polls. */
#define ECHO_INLINE_SLICE 256

/* --- the thread block ---------------------------------------------------------------------------------------------- */

static inline unsigned char* echo_inline_byte(echo_thread* thread, uint32_t offset) {
  return (unsigned char*)thread + offset;
}
static inline uint64_t* echo_inline_word(echo_thread* thread, uint32_t offset) {
  return (uint64_t*)(void*)echo_inline_byte(thread, offset);
}
/* Whether the collector wants to hear of stores. */
static inline int echo_inline_listens(const echo_recipes* r, echo_thread* thread) {
  return r->store_kind == ECHO_STORE_PHASE_TEST &&
         __builtin_expect(__atomic_load_n(echo_inline_byte(thread, r->phase_offset), __ATOMIC_RELAXED) != 0,
                          0);
}

/* --- poll ---------------------------------------------------------------------------------------------------------- */

/* To be made at backward jumps and calls: what keeps a thread from it for long keeps every stop waiting. SAFEPOINT. */
static inline void echo_inline_poll(const echo_recipes* r, echo_thread* thread) {
  const uint64_t* const word = echo_inline_word(thread, r->poll_offset);
  if (__builtin_expect(
          (uint64_t)(uintptr_t)__builtin_frame_address(0) > __atomic_load_n(word, __ATOMIC_RELAXED), 0)) {
    r->poll_cold(thread);
  }
}

/* --- allocation ---------------------------------------------------------------------------------------------------- */

/* Allocates `bytes` (unrounded, all of the object: at most r->max_inline_bytes) of a layout, as echo_layout_get described
 * it. Header written, the rest zero. Null: out of memory, echo_last_error says which kind. SAFEPOINT. */
static inline echo_ref echo_inline_allocate_bytes(const echo_recipes* r, echo_thread* thread,
                                                  const echo_layout_info* layout, uint64_t bytes,
                                                  uint64_t length) {
  uint64_t* const cursor = echo_inline_word(thread, r->cursor_offset);
  const uint64_t size = (bytes + r->granule - 1) & ~(uint64_t)(r->granule - 1);
  const uint64_t here = *cursor;
  uint64_t start = here;
  if (layout->alignment > r->granule) {
    start = (here + layout->alignment - 1) & ~(uint64_t)(layout->alignment - 1);
    if (r->filler_word == 0) {
      return r->allocate_cold(thread, layout->id, length);
    }
  }
  if (__builtin_expect((layout->flags & ECHO_LAYOUT_FINALIZABLE) != 0 || size > r->max_inline_bytes ||
                           start + size > *echo_inline_word(thread, r->limit_offset),
                       0)) {
    return r->allocate_cold(thread, layout->id, length);
  }
  *cursor = start + size;
  if (start != here) { /* so that the heap can walk over the gap */
    *(uint64_t*)(uintptr_t)here = r->filler_word | (start - here) << r->filler_shift;
  }
  unsigned char* const object = (unsigned char*)(uintptr_t)start;
  *(uint64_t*)(void*)(object + r->header_offset) = layout->header_word;
  if (size > r->zero_from) {
    memset(object + r->zero_from, 0, size - r->zero_from);
  }
  return (echo_ref)(void*)object;
}

/* An object of a layout of kind FIXED. Null as above. SAFEPOINT. */
static inline echo_ref echo_inline_allocate(const echo_recipes* r, echo_thread* thread,
                                            const echo_layout_info* layout) {
  return echo_inline_allocate_bytes(r, thread, layout, layout->fixed_bytes, 0);
}

/* An array of `length` elements. Null as above, and for a length that is too large. SAFEPOINT. */
static inline echo_ref echo_inline_allocate_array(const echo_recipes* r, echo_thread* thread,
                                                  const echo_layout_info* layout, uint64_t length) {
  if (__builtin_expect(length > r->max_inline_bytes,
                       0)) { /* so the product does not overflow: [abi.layout.2] */
    return r->allocate_cold(thread, layout->id, length);
  }
  const echo_ref array = echo_inline_allocate_bytes(
      r, thread, layout, layout->fixed_bytes + length * layout->element_bytes, length);
  if (__builtin_expect(array != NULL, 1)) {
    *(uint64_t*)(void*)((unsigned char*)(void*)array + r->length_offset) = length;
  }
  return array;
}

/* --- slots --------------------------------------------------------------------------------------------------------- */

/* The slot at byte `offset` of an object. */
static inline echo_ref* echo_inline_slot(echo_ref object, uint64_t offset) {
  return (echo_ref*)(void*)((unsigned char*)(void*)object + offset);
}
/* Element `index` of an array of references whose fixed part has `fixed_bytes`. */
static inline echo_ref* echo_inline_element(echo_ref array, uint64_t fixed_bytes, uint64_t index) {
  return echo_inline_slot(array, fixed_bytes + index * sizeof(echo_ref));
}
static inline uint64_t echo_inline_length(const echo_recipes* r, echo_ref array) {
  return *(const uint64_t*)(const void*)((const unsigned char*)(const void*)array + r->length_offset);
}

/* Reads a slot of kind STRONG, or an element. No barrier. */
static inline echo_ref echo_inline_load(const echo_ref* slot) {
  return __atomic_load_n(slot, __ATOMIC_RELAXED);
}

/* The barrier: what comes before each overwriting of a slot. */
static inline void echo_inline_announce(const echo_recipes* r, echo_thread* thread, echo_ref* slot,
                                        echo_ref value) {
  if (echo_inline_listens(r, thread)) {
    r->store_cold(thread, slot, value);
  }
}

/* Stores into a slot of any kind, with the barrier. */
static inline void echo_inline_store(const echo_recipes* r, echo_thread* thread, echo_ref* slot,
                                     echo_ref value) {
  echo_inline_announce(r, thread, slot, value);
  __atomic_store_n(slot, value, __ATOMIC_RELAXED);
}

/* Stores without the barrier into a slot that is still null, of an object that this thread allocated behind its last
 * safepoint: nothing is overwritten, and the object is in no snapshot. [bar.init.1] */
static inline void echo_inline_initialise(echo_ref* slot, echo_ref value) {
  __atomic_store_n(slot, value, __ATOMIC_RELAXED);
}

/* Exchanges the reference in a slot of kind STRONG for another and returns the old one. Sequentially consistent. */
static inline echo_ref echo_inline_exchange(const echo_recipes* r, echo_thread* thread, echo_ref* slot,
                                            echo_ref value) {
  echo_inline_announce(r, thread, slot, value);
  return __atomic_exchange_n(slot, value, __ATOMIC_SEQ_CST);
}

/* Stores `value` if the slot of kind STRONG has `expected`; returns what it had. Sequentially consistent. The barrier comes
 * first, also where the comparison fails. */
static inline echo_ref echo_inline_compare_exchange(const echo_recipes* r, echo_thread* thread,
                                                    echo_ref* slot, echo_ref expected, echo_ref value) {
  echo_inline_announce(r, thread, slot, value);
  (void)__atomic_compare_exchange_n(slot, &expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return expected;
}

/* --- slots of kind TAGGED: a reference, or an integer whose low three bits are a tag from 1 to 7 ---------------------- */

/* Stores the integer `word`, whose low three bits become `tag`; a reference is stored by echo_inline_store. */
static inline void echo_inline_tagged_store(const echo_recipes* r, echo_thread* thread, echo_ref* slot,
                                            uint64_t word, unsigned tag) {
  echo_inline_store(r, thread, slot, (echo_ref)(uintptr_t)((word & ~(uint64_t)7) | (tag & 7)));
}
/* The integer in the slot, tag included; 0 if it has a reference. */
static inline uint64_t echo_inline_tagged_word(const echo_ref* slot) {
  const uint64_t word = (uint64_t)(uintptr_t)echo_inline_load(slot);
  return (word & 7) != 0 ? word : 0;
}
/* The reference in the slot; null if it has an integer. */
static inline echo_ref echo_inline_tagged_reference(const echo_ref* slot) {
  const echo_ref word = echo_inline_load(slot);
  return ((uintptr_t)word & 7) != 0 ? (echo_ref)NULL : word;
}

/* --- weak slots ---------------------------------------------------------------------------------------------------- */

/* Reads a slot of kind WEAK, EPHEMERON_KEY or EPHEMERON_VALUE: a reference that is alive from then on, or null. The only way
 * to read one. [weak.load.1] */
static inline echo_ref echo_inline_weak_load(const echo_recipes* r, echo_thread* thread, echo_ref* slot) {
  if (__builtin_expect(__atomic_load_n(echo_inline_byte(thread, r->phase_offset), __ATOMIC_RELAXED) != 0,
                       0)) {
    return r->weak_load_cold(thread, slot);
  }
  return echo_inline_load(slot);
}

/* --- arrays of references ------------------------------------------------------------------------------------------ */

/* Stores element `index`, with the barrier. */
static inline void echo_inline_array_store(const echo_recipes* r, echo_thread* thread, echo_ref array,
                                           uint64_t fixed_bytes, uint64_t index, echo_ref value) {
  echo_inline_store(r, thread, echo_inline_element(array, fixed_bytes, index), value);
}

/* Moves up to ECHO_INLINE_SLICE references, `step` 1 upwards or -1 downwards, from the given slots on. */
static inline void echo_inline_move_slice(const echo_recipes* r, echo_thread* thread, echo_ref* to,
                                          const echo_ref* from, uint64_t count, int64_t step) {
  if (echo_inline_listens(r, thread)) {
    for (uint64_t i = 0; i < count; ++i, to += step, from += step) {
      const echo_ref value = echo_inline_load(from);
      r->store_cold(thread, to, value);
      __atomic_store_n(to, value, __ATOMIC_RELAXED);
    }
    return;
  }
  for (uint64_t i = 0; i < count; ++i, to += step, from += step) {
    __atomic_store_n(to, echo_inline_load(from), __ATOMIC_RELAXED);
  }
}

/* Copies `count` elements, as memmove does where both arrays are the same: a copy and a move. `to` and `from` are the words
 * in which the arrays are rooted - of a root range, or variables that the collector knows - and are read again behind each
 * poll. `fixed_bytes`: of the layout of each. SAFEPOINT. */
static inline void echo_inline_array_copy(const echo_recipes* r, echo_thread* thread, const echo_ref* to,
                                          uint64_t to_fixed_bytes, uint64_t to_index, const echo_ref* from,
                                          uint64_t from_fixed_bytes, uint64_t from_index, uint64_t count) {
  const int downwards = *to == *from && to_index > from_index;
  for (uint64_t done = 0; done < count;) {
    const uint64_t some = count - done < ECHO_INLINE_SLICE ? count - done : ECHO_INLINE_SLICE;
    const uint64_t first = downwards ? count - done - 1 : done;
    echo_inline_move_slice(r, thread, echo_inline_element(*to, to_fixed_bytes, to_index + first),
                           echo_inline_element(*from, from_fixed_bytes, from_index + first), some,
                           downwards ? -1 : 1);
    done += some;
    if (done < count) {
      echo_inline_poll(r, thread);
    }
  }
}

/* Stores *value into `count` elements. `array` and `value` are words as above. SAFEPOINT. */
static inline void echo_inline_array_fill(const echo_recipes* r, echo_thread* thread, const echo_ref* array,
                                          uint64_t fixed_bytes, uint64_t index, uint64_t count,
                                          const echo_ref* value) {
  for (uint64_t done = 0; done < count;) {
    const uint64_t some = count - done < ECHO_INLINE_SLICE ? count - done : ECHO_INLINE_SLICE;
    echo_ref* const slots = echo_inline_element(*array, fixed_bytes, index + done);
    const echo_ref stored = *value;
    const int listens = echo_inline_listens(r, thread);
    for (uint64_t i = 0; i < some; ++i) {
      if (listens) {
        r->store_cold(thread, slots + i, stored);
      }
      __atomic_store_n(slots + i, stored, __ATOMIC_RELAXED);
    }
    done += some;
    if (done < count) {
      echo_inline_poll(r, thread);
    }
  }
}

/* --- identity hash ------------------------------------------------------------------------------------------------- */

/* The same number for an object's whole life; not of null. */
static inline uint64_t echo_inline_identity_hash(const echo_recipes* r, echo_thread* thread,
                                                 echo_ref object) {
  const uint64_t* const header =
      (const uint64_t*)(const void*)((const unsigned char*)(const void*)object + r->header_offset);
  if (__builtin_expect((__atomic_load_n(header, __ATOMIC_RELAXED) & r->hash_mask) != r->hash_value, 0)) {
    return r->hash_cold(thread, object);
  }
  return ((uint64_t)(uintptr_t)object * r->hash_multiplier) >> r->hash_shift;
}

/* --- native ---------------------------------------------------------------------------------------------------------- */

/* managed -> native: from then on the heap does not wait for the thread, and the thread touches no reference. */
static inline void echo_inline_enter_native(const echo_recipes* r, echo_thread* thread) {
  uint32_t* const state = (uint32_t*)(void*)echo_inline_byte(thread, r->state_offset);
  (void)__atomic_exchange_n(state, r->state_native, __ATOMIC_SEQ_CST);
  if (__builtin_expect(__atomic_load_n(echo_inline_word(thread, r->poll_offset), __ATOMIC_SEQ_CST) == 0, 0)) {
    r->enter_native_cold(thread);
  }
}
/* native -> managed; waits while a stop is on. SAFEPOINT. */
static inline void echo_inline_leave_native(const echo_recipes* r, echo_thread* thread) {
  uint32_t* const state = (uint32_t*)(void*)echo_inline_byte(thread, r->state_offset);
  (void)__atomic_exchange_n(state, r->state_managed, __ATOMIC_SEQ_CST);
  if (__builtin_expect(__atomic_load_n(echo_inline_word(thread, r->poll_offset), __ATOMIC_SEQ_CST) == 0, 0)) {
    r->leave_native_cold(thread);
  }
}

ECHO_END_DECLS

#endif /* ECHO_INLINE_H */
