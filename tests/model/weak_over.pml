/* SPDX-License-Identifier: MIT
 *
 * Purpose     M13: while weak slots are cleared beside the program, and after that, though nobody is stopped when it is over,
 *             no weak load returns an object that the mark found dead, whatever its memory has become; and what a program
 *             stores into the slot stays.
 *
 * Drawing     collector   slot: W -> null by compare-and-swap | over | W marked for its finalizer, or freed and used again
 *             thread      is it over? | word = slot | is word dead? | is it still in the slot?
 *             Kind and mark bit of W say dead at first, and alive when its memory is another object's, or it is resurrected.
 *
 * Invariants  [weak.load.1, weak.clear.1, weak.over.1, weak.final.1]
 *
 * Switches    NORELOAD      the slot is not looked at again        FLAGLATE    the word is loaded before the flag is asked
 *             UNTOLD        the end stop does not tell the thread  EARLYOVER   clearing is called over before it is
 *             MARKFIRST     finalizers are marked for first        CLEARPLAIN  clearing stores instead of comparing
 */
#define NIL 0
#define W 1 /* found dead by the mark */
#define V 2 /* alive */

byte slot = W;
bool clearing = true; /* the heap's */
#ifdef UNTOLD
bool hears;
#else
bool hears = true; /* the thread's phase */
#endif
bool looks_alive; /* W */

bool m13_dead_is_not_loaded = true;
bool m13_stored_stays = true;

inline ask() {
  atomic { asks = hears && clearing; hears = asks }
}

proctype Thread() {
  byte word, loads;
  bool asks, stored;
  do
  :: loads < 3 ->
       loads++;
again:
#ifdef FLAGLATE
       word = slot;
       ask();
#else
       ask();
       word = slot;
#endif
       if
       :: asks && word == W && !looks_alive -> word = NIL
#ifndef NORELOAD
       :: asks && (word == V || (word == W && looks_alive)) ->
            if
            :: slot != word -> goto again
            :: slot == word
            fi
#endif
       :: else
       fi;
       atomic {
         m13_dead_is_not_loaded = (word != W);
         assert(m13_dead_is_not_loaded);
         word = NIL
       }
  :: !stored -> slot = V; stored = true
  :: break
  od
}

active proctype Collector() {
  run Thread();
#ifdef MARKFIRST
  looks_alive = true;
#endif
#ifdef EARLYOVER
  clearing = false;
#endif
  if
#ifdef CLEARPLAIN
  :: slot == W -> skip;
       atomic { m13_stored_stays = (slot == W); slot = NIL };
       assert(m13_stored_stays)
#else
  :: atomic { slot == W -> slot = NIL }
#endif
  :: slot != W
  fi;
  clearing = false;
  looks_alive = true
}
