/* SPDX-License-Identifier: MIT
 *
 * echo/layout.h - object layout descriptors: where an object's references are.
 *
 * Purpose     A layout is data, registered at run time before the first object of it exists.
 * Drawing     every object begins with one header word; arrays carry their length in the second word:
 *
 *             fixed   [header 8][payload ........................ fixed_bytes)
 *             array   [header 8][length 8][element 0][element 1] ...
 *             mixed   [header 8][length 8][payload ... fixed_bytes)[element 0] ...
 *
 * Invariants  [abi.layout.1] A slot lies inside the fixed part, behind header and length, 8-aligned, and no two
 *             slots overlap. [abi.layout.2] Sizes never overflow 64 bits, whatever the length asked for.
 *             [abi.layout.4] An object takes at least 16 bytes: a smaller fixed_bytes counts as 16.
 *             [abi.layout.3] A descriptor that breaks a rule is refused with the reason; nothing is registered.
 */
#ifndef ECHO_LAYOUT_H
#define ECHO_LAYOUT_H

#include "echo/base.h"

ECHO_BEGIN_DECLS

typedef enum echo_layout_kind {
  ECHO_LAYOUT_FIXED = 1,     /* fixed_bytes, slots anywhere in it */
  ECHO_LAYOUT_RAW_ARRAY = 2, /* element_bytes each, never traced; fixed_bytes is 16 */
  ECHO_LAYOUT_REF_ARRAY = 3, /* strong references, element_bytes is 8; fixed_bytes is 16 */
  ECHO_LAYOUT_MIXED_RAW = 4, /* fixed part with slots, then raw elements */
  ECHO_LAYOUT_MIXED_REF = 5, /* fixed part with slots, then strong references */
  ECHO_LAYOUT_AMBIGUOUS =
      6 /* as RAW_ARRAY, but every aligned word may be a reference; feature AMBIGUOUS_ROOTS */
} echo_layout_kind;

typedef enum echo_slot_kind {
  ECHO_SLOT_STRONG = 0,
  ECHO_SLOT_TAGGED = 1, /* the low 3 bits belong to the VM; a reference iff they are 0 */
  ECHO_SLOT_WEAK = 2,   /* feature ECHO_FEATURE_WEAK: keeps nothing alive, null once its object is dead */
  ECHO_SLOT_EPHEMERON_KEY =
      3, /* feature ECHO_FEATURE_EPHEMERONS: keeps nothing alive, null once its object is dead */
  ECHO_SLOT_EPHEMERON_VALUE =
      4 /* the 8 bytes behind a key: keeps its object alive while the key's object is reached by
                                   another way; null once it is dead */
} echo_slot_kind;

enum {
  ECHO_LAYOUT_FINALIZABLE =
      1u << 0, /* feature ECHO_FEATURE_FINALIZERS: echo/finalizers.h; never allocated inline */
  ECHO_LAYOUT_PINNED = 1u << 1, /* its objects never move */
  ECHO_LAYOUT_LEAF = 1u << 2    /* asserts that there is no slot; refused if there is one */
};

typedef struct echo_slot {
  uint32_t offset; /* bytes from the header, a multiple of 8 */
  uint32_t kind;   /* echo_slot_kind */
} echo_slot;

/* X(first bit, bits, name, meaning) - the header word of an object. */
#define ECHO_HEADER_TABLE(X)                                                                                 \
  X(0, 24, LAYOUT, "number of the layout: at birth the whole word")                                          \
  X(24, 8, FLAGS, "the heap's own; 0 at birth")                                                              \
  X(32, 8, VM, "the VM's own; 0 at birth")                                                                   \
  X(40, 24, RESERVED, "0 in an object; in a filler its size in granules")

/* ECHO_LAYOUT_AMBIGUOUS: for objects of which nobody knows where their references are. Each whole 8 bytes of the
 * elements, counted from the first, is an ambiguous word (echo/heap.h): interior pointers count, what is hit stays in
 * place, nothing is rewritten. LEAF contradicts it: elements without references are a RAW_ARRAY. Stores of pointers into
 * it are announced like any other (the store recipe, or echo_store at offset 16 + 8 i).
 *
 * The same struct, as a constant, is what a program's module holds and its compiler reads. */
typedef struct echo_layout {
  uint32_t size;          /* sizeof(echo_layout): later versions add at the end */
  uint32_t kind;          /* echo_layout_kind */
  const char* name;       /* for tools; copied; at most 255 bytes; not empty */
  uint64_t fixed_bytes;   /* the whole object, or the part before the elements; 8 .. 16 MiB */
  uint32_t element_bytes; /* 0 for FIXED; 1 .. 65536 for raw elements; 8 for references */
  uint32_t alignment;     /* of the object's start: 8, 16, 32 or 64; 0 means 8 */
  uint32_t flags;         /* ECHO_LAYOUT_* */
  uint32_t slot_count;    /* number of entries at slots */
  const echo_slot* slots; /* in any order; copied */
} echo_layout;

/* What the heap knows of a registered layout. Strings live as long as the heap. */
typedef struct echo_layout_info {
  uint32_t size; /* set by the caller: sizeof(echo_layout_info) */
  echo_layout_id id;
  uint32_t kind, flags;
  const char* name;
  uint64_t fixed_bytes;
  uint32_t element_bytes, alignment;
  uint32_t slot_count;
  uint32_t reserved;
  uint64_t header_word; /* what an inline allocation stores at offset 0 */
} echo_layout_info;

ECHO_END_DECLS

#endif /* ECHO_LAYOUT_H */
