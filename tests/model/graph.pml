/* SPDX-License-Identifier: MIT
 *
 * Purpose     The world of marking.pml and weak.pml: three objects, two threads, colours.
 *
 * Drawing     root (a ROOT cell) --> X     N.next --> root's values     weak ~~> X
 *             thread 0: registers p, q                  attached and managed all the time
 *             thread 1: register p and `sunk`, a slot of a frame older than its watermark;
 *                       unattached, native or managed
 *
 * Invariants  A value is NIL, X or N. Sets of objects are bit sets. A stop is one atomic step which begins while
 *             no thread is between the barrier and the store of one write; that stops are so is what
 *             safepoint.pml shows [stop.state.1].
 */
#define NIL 0
#define X 1 /* old from the beginning */
#define N 2 /* born once, at any time */
#define R 3 /* the ROOT cell, in `grey` only */
#define SET(v) (1 << (v))

/* kinds of the slab in which N lies */
#define UNBORN 0
#define YOUNG 1
#define OLD 2
#define FRESH 3

#define IDLE 0
#define MARKING 1
#define CLEARING 2

#define UNATTACHED 0
#define NATIVE 1
#define MANAGED 2

/* which frames of thread 1 no one has visited since the snapshot */
#define NONE 0
#define OLDER 1 /* that of `sunk` */
#define ALL 2   /* that of the registers, too */

byte phase = IDLE;
bool done;
byte root = X, next, kind = UNBORN;
byte p[2], q, sunk; /* q: of thread 0 */
byte grey, marked, record[2]; /* the marker's queue, M, the deletion logs */
bool hears[2];                /* the phase word of the thread's block */
bool storing[2];              /* between barrier and store */
byte state[2] = MANAGED;
byte unvisited = NONE;
bool barred; /* the collector visits frames of thread 1, which may not leave native meanwhile */

bool m1_reachable_is_marked = true, m2_loaded_is_alive = true, m2_cleared_is_dead = true;

/* [mark.colour.2]: what the marker follows and the barrier logs; YOUNG and FRESH are black by kind. */
#ifdef PROMBLACK
bool black; /* N was promoted black */
#define WHITE(v) ((v) != NIL && !(marked & SET(v)) && ((v) == X || kind == OLD && !black))
#else
#define WHITE(v) ((v) != NIL && !(marked & SET(v)) && ((v) == X || kind == OLD))
#endif
#define STOPPED (!storing[0] && !storing[1])

/* A record of an object that is queued or marked already says nothing new: it is not kept, for fewer states. */
inline forget_records() {
  record[0] = record[0] & ~(grey | marked);
  record[1] = record[1] & ~(grey | marked)
}

inline follow(v) {
  if
  :: WHITE(v) -> grey = grey | SET(v); forget_records()
  :: else
  fi
}

inline hand_over(i) {
  grey = grey | record[i];
  forget_records()
}

inline note(i, v) {
  if
  :: hears[i] && WHITE(v) && !(grey & SET(v)) -> record[i] = record[i] | SET(v)
  :: else
  fi
}

/* [mark.end.1]'s promise: everything that threads can reach is marked or black by kind. */
inline check_reachable() {
  reach = SET(root) | SET(p[0]) | SET(q) | SET(p[1]) | SET(sunk);
  reach = reach | ((reach & SET(N)) -> SET(next) : 0);
  m1_reachable_is_marked = !((reach & SET(X)) && WHITE(X)) && !((reach & SET(N)) && WHITE(N));
#ifdef PROMBLACK
  m1_reachable_is_marked = m1_reachable_is_marked && !((reach & SET(X)) && WHITE(X));
#endif
  reach = 0;
  assert(m1_reachable_is_marked)
}
