/* SPDX-License-Identifier: MIT
 *
 * Purpose     M9: what was in a queue of tasks at the snapshot, or had a hold on it, is marked at the end.
 *
 * Drawing     head[A] --> T1 --> T2 --> nil     head[B] --> nil        H: a task without queue, held from outside
 *             Two workers pop and push under the queue's lock; the marker takes no lock and sees every single store.
 *             A thread that is not attached ends the operation that H waits for: it posts H to an inbox.
 *
 * Invariants  [roots.queue.1] Links and heads are slots: whoever overwrites one logs what was there. [roots.native.2]
 *             Threads that are not attached only raise holds; a worker lowers them, with the deletion barrier.
 *             [mark.end.1, weak.load.2]
 *
 * Switches    NOLINKLOG      pop clears the link, unlogged       NOHEADLOG  pop and push write heads, unlogged
 *             HOLDUNATTACHED the thread that posts lowers the hold
 *             HOLDNOLOG      the worker lowers it without barrier, resolving without a weak load
 * With HOLD there is H and no other task, without it T1 and T2 only.
 */
#define NIL 0
#define T1 1
#define T2 2
#define H 3
#define SET(v) (1 << (v))
#define A 0
#define B 1

bool marking, over;
byte head[2] = NIL, link[4] = NIL;
byte in_hand[2]; /* a worker's register */
bool hold, posted, resolved;
byte grey, marked = SET(NIL), logged;
byte heads_to_scan;
bool lock_taken, hold_to_scan;

bool m9_queued_is_marked = true, m9_held_is_marked = true;

inline follow(v) { grey = grey | (SET(v) & ~marked) }
inline note(v) {
  if
  :: marking -> logged = logged | (SET(v) & ~marked)
  :: else
  fi
}

/* The marker sees what is between two of these steps; a stop does not: workers poll between operations. */
inline write_head(q, v) {
#ifndef NOHEADLOG
  note(head[q]);
#endif
  head[q] = v
}
inline write_link(t, v) {
#ifndef NOLINKLOG
  note(link[t]);
#endif
  link[t] = v
}

bool working[2];
inline lock(i) { lock_taken = true; working[i] = true }
inline unlock(i) { lock_taken = false; working[i] = false }

proctype Worker(byte i) {
  byte q, next;
  do
  :: over -> break
  :: atomic { in_hand[i] == NIL && !over && !lock_taken -> if :: q = A :: q = B fi; lock(i) };
     if
     :: head[q] != NIL ->
          in_hand[i] = head[q];
          next = link[in_hand[i]];
          atomic { write_head(q, next) };
          atomic { write_link(in_hand[i], NIL) }
     :: else
     fi;
     atomic { next = 0; q = 0; unlock(i) }
  :: atomic { in_hand[i] != NIL && !over && !lock_taken -> if :: q = A :: q = B fi; lock(i) };
     atomic { write_link(in_hand[i], head[q]) };
     atomic { write_head(q, in_hand[i]) };
     atomic { in_hand[i] = NIL; q = 0; unlock(i) }
  /* a task ends */
  :: atomic { in_hand[i] != NIL && !over -> in_hand[i] = NIL }
#ifdef HOLD
  /* the inbox: resolve, keep, lower the hold */
  :: atomic { i == 0 && posted && !resolved && in_hand[0] == NIL && !over ->
       resolved = true; working[0] = true; in_hand[0] = H;
#ifndef HOLDNOLOG
       note(H)
#endif
     };
     atomic {
#ifndef HOLDNOLOG
       note(H);
#endif
       hold = false; working[0] = false }
#endif
  od
}

#ifdef HOLD
/* Not attached: no stop waits for it. */
proctype Outside() {
  posted = true;
#ifdef HOLDUNATTACHED
  hold = false
#endif
}
#endif

/* what lies in a queue */
inline add_link(set, t) { set = set | ((set & SET(t)) -> SET(link[t]) : 0) }
inline reach(set) {
  set = SET(head[A]) | SET(head[B]);
  add_link(set, T1); add_link(set, T2);
  add_link(set, T1)
}

#define MARK(t) \
  :: atomic { grey & SET(t) -> grey = grey & ~SET(t); marked = marked | SET(t) }; atomic { follow(link[t]) }

active proctype Marker() {
  byte inside;
  atomic {
#ifdef HOLD
    hold = true;
    run Outside();
#else
    head[A] = T1; link[T1] = T2;
#endif
    run Worker(0); run Worker(1) };
  /* the start stop: registers are visited, ROOT blocks are queued by pointer */
  atomic { !working[0] && !working[1] ->
    marking = true;
    reach(inside);
#ifdef HOLD
    if
    :: hold -> inside = inside | SET(H)
    :: else
    fi;
#endif
    heads_to_scan = SET(A) | SET(B); hold_to_scan = hold;
    follow(in_hand[0]); follow(in_hand[1]) };
  do
  :: atomic { heads_to_scan & SET(A) -> heads_to_scan = heads_to_scan & ~SET(A); follow(head[A]) }
  :: atomic { heads_to_scan & SET(B) -> heads_to_scan = heads_to_scan & ~SET(B); follow(head[B]) }
#ifdef HOLD
  :: atomic { hold_to_scan ->
       hold_to_scan = false;
       if
       :: hold -> follow(H)
       :: else
       fi }
#endif
#ifdef HOLD
  MARK(H)
#else
  MARK(T1)
  MARK(T2)
#endif
  /* logs taken beside the program, and in the end stop */
  :: atomic { logged != 0 && grey == 0 -> grey = logged & ~marked; logged = 0 }
  :: atomic { grey == 0 && heads_to_scan == 0 && !hold_to_scan && !working[0] && !working[1] ->
       grey = logged & ~marked; logged = 0;
       if
       :: grey == 0 ->
            over = true;
            m9_held_is_marked = !(inside & SET(H) & ~marked);
            assert(m9_held_is_marked);
            m9_queued_is_marked = !(inside & ~marked);
            assert(m9_queued_is_marked);
            inside = 0;
            break
       :: else
       fi }
  od
}
