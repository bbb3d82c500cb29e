/* SPDX-License-Identifier: MIT
 *
 * Purpose     M16: holes of a slab with an old object are handed out beside a cycle: the object is not overwritten while
 *             anybody may reach it, its start is not mistaken, and what is born in the slab is not swept.
 *
 * Drawing     collector   mark | stop | mark what is due | known = CURRENT | sweep the slab | clear bits: marks, odd
 *             thread      take the slab, if the sweep has not looked at it | known? | copy bits | known still? | born
 *             The slab was swept before the mark: the bits of the cycle before name its one object.
 *             The object is reachable, or due for its finalizer, or dead.
 *
 * Invariants  [heap.mixed.1, heap.mixed.2, heap.mixed.3, heap.mixed.4]
 *
 * Switches    BYMARKS      holes are listed by what is marked so far    DUELATE     the bits change before what is due is marked
 *             CLEARFIRST   bits are cleared before the change           NOAGAIN     nobody asks again
 *             NOTMIXED     the slab keeps the kind OLD                  TAKESWEPT   a slab that the sweep has looked at is taken
 */
#define REACHABLE 1
#define DUE 2
#define DEAD 3

byte object;                      /* which of them */
bool marked;                      /* its bits of this cycle, written at once */
bool before = true, odd = true;   /* its bits of the cycle before */
bool is_current;                  /* known */
bool is_mixed, is_taken, is_swept, is_freed;
bool born;                        /* something, in the slab */

bool m16_old_is_kept = true, m16_born_is_kept = true, m16_start_is_known = true;

proctype Thread() {
  bool current, covers, at_odd;
  if
  :: atomic {
#ifndef TAKESWEPT
       !is_swept ->
#else
       true ->
#endif
       is_taken = true;
#ifndef NOTMIXED
       is_mixed = true
#endif
     };
again:
     current = is_current;
     if
#ifdef BYMARKS
     :: covers = marked; at_odd = marked
#else
     :: current -> atomic { covers = marked; at_odd = marked }
     :: !current -> covers = before; at_odd = odd
#endif
     fi;
#ifndef NOAGAIN
     if
     :: is_current != current -> goto again
     :: is_current == current
     fi;
#endif
     atomic {
       m16_start_is_known = (!covers || at_odd);
       assert(m16_start_is_known);
       m16_old_is_kept = (covers || object == DEAD);
       assert(m16_old_is_kept);
       m16_born_is_kept = !is_freed;
       assert(m16_born_is_kept);
       born = true
     }
  :: true /* it needs no memory */
  fi
}

inline clear() {
  before = false;
  odd = false
}

active proctype Collector() {
  if
  :: object = REACHABLE
  :: object = DUE
  :: object = DEAD
  fi;
  run Thread();
  if
  :: object == REACHABLE -> marked = true
  :: object != REACHABLE
  fi;
#ifdef CLEARFIRST
  clear();
#endif
#ifdef DUELATE
  is_current = true;
#endif
  if
  :: object == DUE -> marked = true
  :: object != DUE
  fi;
  is_current = true;
  atomic { /* the sweep, under the lock of the list */
    is_swept = true;
    if
    :: !is_mixed && !marked ->
         is_freed = true;
         m16_born_is_kept = !(born || is_taken);
         assert(m16_born_is_kept)
    :: else
    fi
  };
#ifndef CLEARFIRST
  clear()
#endif
}
