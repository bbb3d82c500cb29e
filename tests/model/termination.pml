/* SPDX-License-Identifier: MIT
 *
 * Purpose     M11: from the start of a mark its end is reached under weakly fair scheduling, though threads store and
 *             allocate for ever. A liveness property: no fair run avoids the end.
 *
 * Drawing     thread 0: stores A or B into a slot, for ever         thread 1: allocates for ever; out of memory it
 *                                                                    waits for the end of the cycle
 *             collector: marks; takes logs; asks for the end stop; logs that came meanwhile: goes on
 *
 * Invariants  [bar.cold.1] A value is logged only while unmarked: so logs run dry. [mark.end.1, mark.pace.1]
 *             A thread that waits for memory waits at rest.
 *
 * Switches    NOUNMARKED    the barrier logs what is marked, too   STALLMANAGED  a stalled thread waits managed
 */
#define NIL 0
#define A 1
#define B 2
#define SET(v) (1 << (v))

byte slot = A, logged, grey, marked;
bool asked, at_rest[2], ended;
byte room = 2;

inline note(v) {
#ifdef NOUNMARKED
  logged = logged | SET(v)
#else
  logged = logged | (SET(v) & ~marked)
#endif
}

inline poll(i) {
  if
  :: asked -> at_rest[i] = true; (!asked || ended); at_rest[i] = false
  :: else
  fi
}

active proctype Stores() {
  byte v;
  do
  :: if :: v = A :: v = B fi;
     atomic { /* the barrier */
       if
       :: !ended && slot != NIL -> note(slot)
       :: else
       fi };
     atomic { slot = v; v = 0 };
     poll(0)
  od
}

active proctype Allocates() {
  do
  :: room > 0 -> room--; poll(1)
  :: room == 0 ->
#ifndef STALLMANAGED
       at_rest[1] = true;
#endif
       ended; /* the cycle gives memory back */
       at_rest[1] = false;
       room = 2
  od
}

active proctype Collector() {
  grey = SET(A) | SET(B);
  do
  :: grey & SET(A) -> atomic { grey = grey & ~SET(A); marked = marked | SET(A) }
  :: grey & SET(B) -> atomic { grey = grey & ~SET(B); marked = marked | SET(B) }
  :: grey == 0 ->
       asked = true;
       (at_rest[0] && at_rest[1]);
       atomic { /* the stop */
         grey = logged; logged = 0;
         if
         :: grey == 0 -> ended = true; asked = false; break
         :: else -> asked = false
         fi }
  od
}

ltl m11_mark_ends { <> ended }
