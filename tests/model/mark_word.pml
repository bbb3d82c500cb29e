/* SPDX-License-Identifier: MIT
 *
 * Purpose     M6: no mark is lost. The marker reads, changes and writes back whole words of M without an atomic
 *             operation, and stops do not stop it; so nobody else may write such a word.
 *
 * Drawing     one word of M:  | X | Y | hole |      X, Y: old objects that the marker finds; hole: a free run
 *             Births while marking go to slabs of the fresh kind; the marker does not look at their bits. A large
 *             object is black by its bit, which its birth sets: its word is nobody else's.
 *
 * Invariants  [mark.colour.1] Only markers write M of small objects; births and promotions take fresh slabs.
 *             [mark.start.1] M is clear when a mark starts. [heap.meta.1]
 *
 * Switches    EVACWRITES    the evacuator promotes into the hole and sets M
 *             ALLOCOLD      allocation into the hole of an old slab, which sets M
 *             ALLOCWHITE    the same, but nobody sets M
 *             LARGESHARED   a large object's bit lies in a word of small objects
 *             CLEARLATE     the word is cleared beside the marker
 */
#define X 1
#define Y 2
#define BORN 4
#define PROMOTED 8
#define LARGE 16

byte word = 255;  /* M, with what the last cycle left */
byte large_word;  /* M of the large object */
byte fresh;       /* black by kind */
byte black;       /* everything that was marked or born black */
byte grey = X | Y;
bool cleared;

bool m6_no_mark_is_lost = true;

/* Load and store, plain. */
inline set_bit(mask) {
  seen = word;
  atomic { word = seen | mask; seen = 0; black = black | mask }
}

proctype Marker() {
  byte seen;
#ifndef CLEARLATE
  cleared;
#endif
  do
  :: grey & X -> set_bit(X); grey = grey & ~X
  :: grey & Y -> set_bit(Y); grey = grey & ~Y
  :: !(grey & (X | Y)) -> break
  od
}

/* Clears M, before the mark starts. */
proctype Clearer() {
  word = 0;
  cleared = true
}

proctype Mutator() {
  byte seen;
  cleared;
#ifdef ALLOCOLD
  set_bit(BORN);
#else
#ifdef ALLOCWHITE
  black = black | BORN;
#else
  atomic { fresh = fresh | BORN; black = black | BORN };
#endif
#endif
  /* birth of a large object: an atomic or */
#ifdef LARGESHARED
  atomic { word = word | LARGE; black = black | LARGE };
#else
  atomic { large_word = large_word | LARGE; black = black | LARGE }
#endif
}

/* In a stop: mutators stand, the marker does not. */
proctype Evacuator() {
  byte seen;
  cleared;
#ifdef EVACWRITES
  set_bit(PROMOTED)
#else
  atomic { fresh = fresh | PROMOTED; black = black | PROMOTED }
#endif
}

active proctype Cycle() {
  run Clearer(); run Marker(); run Mutator(); run Evacuator();
  (_nr_pr == 1);
  m6_no_mark_is_lost = (((word | large_word | fresh) & black) == black);
  assert(m6_no_mark_is_lost);
  assert(black == (X | Y | BORN | PROMOTED | LARGE))
}
