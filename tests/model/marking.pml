/* SPDX-License-Identifier: MIT
 *
 * Purpose     M1: at mark end every object that threads can reach is marked, FRESH or YOUNG. M2: the same with weak
 *             loads. Snapshot at the beginning, taken in one stop; deletion barrier; end in a stop.
 *
 * Invariants  [mark.start.1, mark.start.3, mark.colour.1, mark.log.1, mark.end.1, bar.cold.1, roots.frames.1,
 *             roots.frames.4, thread.1]
 *
 * Switches    each breaks one rule and must lose an object:
 *   PROMBLACK     young objects become black in the start stop [mark.start.2]
 *   RAGGED        the snapshot is taken thread by thread, between two handshakes, with a hybrid barrier
 *   RAGGEDBAR     RAGGED, and stores into young objects take the barrier, too
 *   NODEL         no deletion barrier                     BAROFF        thread 1 does not hear of the start
 *   ENDNOFLUSH    the end stop takes no logs              DETACHDROP    detach drops its log
 *   ATTACHOLD     attach without copying the phase        PASSNOVISIT   control passes the watermark, no visit
 *   ENDUNVISITED  the end does not ask for visits         NOBAR         native frames visited, leaving not barred
 *   PROMOLD       a minor during marking promotes to OLD slabs
 * With WEAK (a weak slot; the cycle goes on until X is swept or kept) [mark.end.2, weak.load.1, weak.clear.1]:
 *   NOWEAKBAR     a weak load while marking logs nothing  RAGEND        marking ends by a handshake
 *   CLEARFIRST    weak slots are cleared, then the end stop
 *   CLEARLOADS    weak loads while clearing do not test   CLEARPLAIN    clearing stores instead of comparing
 */
#include "graph.pml"

#ifdef WEAK
byte weak = X;
bool cleared; /* a reference to X was cleared */
#endif
#ifdef RAGGED
bool scanned[2];
byte handshake, answered[2];
#endif
#ifdef RAGEND
bool asked[2], found;
#endif

/* Overwriting `old` by `new`. */
inline barrier(i, old, new) {
#ifndef NODEL
  note(i, old);
#endif
#ifdef RAGGED
  if
  :: !scanned[i] -> note(i, new)
  :: else
  fi
#else
  skip
#endif
}

inline visit_own(i, v) {
#ifndef PASSNOVISIT
  note(i, v)
#else
  skip
#endif
}

#define MAY(i) (!done && state[i] == MANAGED)
#ifdef RAGGED
#define BORN_OLD (phase == IDLE && handshake == 0)
#else
#define BORN_OLD (phase == IDLE)
#endif
#define HELD(i) ((i) == 0 -> q : p[1])

proctype Thread(byte i) {
  byte v;
  do
  :: done -> break

  /* loads, moves */
  :: atomic { MAY(i) -> p[i] = root }
  :: atomic { MAY(i) && p[i] == N -> if :: i == 0 -> q = next :: else -> p[1] = next fi }
  :: atomic { i == 0 && MAY(0) -> q = p[0] }
  :: atomic { i == 0 && MAY(0) -> p[0] = q }
  :: atomic { MAY(i) -> p[i] = NIL }

  /* stores: the barrier, then the write, with no poll between */
  :: atomic { MAY(i) ->
       if :: v = HELD(i) :: v = NIL fi;
       barrier(i, root, v); storing[i] = true };
     atomic { root = v; v = NIL; storing[i] = false }
  :: atomic { MAY(i) && p[i] == N ->
       if :: v = HELD(i) :: v = NIL fi;
       if
#ifdef RAGGEDBAR
       :: true -> barrier(i, next, v)
#else
       :: kind == OLD -> barrier(i, next, v)
       :: else /* YOUNG, FRESH */
#endif
       fi;
       storing[i] = true };
     atomic { next = v; v = NIL; storing[i] = false }

  /* a full log */
  :: atomic { MAY(i) && record[i] != 0 -> hand_over(i) }

#ifdef WEAK
  :: atomic { MAY(i) && phase != CLEARING -> p[i] = weak;
#ifndef NOWEAKBAR
       note(i, p[i])
#endif
     }
  :: atomic { MAY(i) && phase == CLEARING ->
       p[i] = weak;
#ifndef CLEARLOADS
       if :: WHITE(p[i]) -> p[i] = NIL :: else fi;
#endif
       m2_loaded_is_alive = !WHITE(p[i]);
       assert(m2_loaded_is_alive) }
  :: atomic { MAY(i) -> weak = p[i] }
#endif

  /* allocation and its initialising store: OLD and YOUNG while idle, FRESH and YOUNG while marking */
  :: atomic { i == 0 && MAY(0) && kind == UNBORN ->
       if
       :: kind = YOUNG
       :: BORN_OLD -> kind = OLD
       :: hears[0] -> kind = FRESH
       fi;
       next = q; p[0] = N }

#ifndef NOFRAMES
  /* thread 1 calls, and comes back to the frame that sank below its watermark */
  :: atomic { i == 1 && MAY(1) && sunk == NIL && p[1] != NIL -> sunk = p[1]; p[1] = NIL }
  :: atomic { i == 1 && MAY(1) && sunk != NIL ->
       if
       :: unvisited == OLDER -> visit_own(1, sunk); unvisited = NONE
       :: else
       fi;
       p[1] = sunk; sunk = NIL }
  :: atomic { i == 1 && MAY(1) && unvisited == OLDER -> visit_own(1, sunk); unvisited = NONE }

#endif
#ifndef NOTHREADS
  :: atomic { i == 1 && MAY(1) -> state[1] = NATIVE }
  :: atomic { i == 1 && !done && state[1] == NATIVE && !barred ->
       if
       :: unvisited == ALL ->
            visit_own(1, p[1]);
            unvisited = (sunk == NIL -> NONE : OLDER)
       :: else
       fi;
       state[1] = MANAGED }

  :: atomic { i == 1 && MAY(1) ->
       p[1] = NIL; sunk = NIL; unvisited = NONE;
#ifdef DETACHDROP
       record[1] = 0;
#else
       hand_over(1);
#endif
       hears[1] = false; state[1] = UNATTACHED }
  :: atomic { i == 1 && !done && state[1] == UNATTACHED ->
#ifndef ATTACHOLD
       hears[1] = (phase == MARKING);
#ifdef RAGGED
       hears[1] = (handshake != 0);
#endif
#endif
       state[1] = MANAGED }
#endif

#ifdef RAGGED
  :: atomic { answered[i] != handshake -> /* for a native thread the collector does it */
       answered[i] = handshake;
       if
       :: handshake == 1 -> hears[i] = true
       :: else -> follow(p[i]); if :: i == 0 -> follow(q) :: else -> follow(sunk) fi; scanned[i] = true
       fi }
#endif
#ifdef RAGEND
  :: atomic { asked[i] -> /* native threads: the collector answers for them */
       asked[i] = false; found = found || record[i] != 0; hand_over(i) }
#endif
  od
}

/* minor evacuations: of the start stop, and later ones */
inline promote_white() {
  if
  :: kind == YOUNG ->
       kind = OLD
#ifdef PROMBLACK
       ; black = true
#endif
  :: else
  fi
}

inline promote_fresh() {
#ifdef PROMOLD
  kind = OLD
#else
  kind = FRESH
#endif
}

inline start() {
#ifdef RAGGED
  handshake = 1;
  (answered[0] == 1 && answered[1] == 1);
  atomic { STOPPED -> promote_white() };
  handshake = 2;
  (answered[0] == 2 && answered[1] == 2);
  atomic { phase = MARKING; grey = grey | SET(R) }
#else
  atomic { STOPPED ->
    promote_white();
    phase = MARKING;
    hears[0] = true;
#ifndef BAROFF
    hears[1] = (state[1] != UNATTACHED);
#endif
    grey = SET(R);
    follow(p[0]); follow(q);
    if
#ifndef NOTHREADS
    :: state[1] == NATIVE -> unvisited = ALL
#endif
    :: state[1] != UNATTACHED ->
         follow(p[1]);
         unvisited = (sunk == NIL -> NONE : OLDER)
    :: state[1] == UNATTACHED
    fi }
#endif
}

#ifdef ENDUNVISITED
#define VISITED true
#else
#define VISITED (unvisited == NONE)
#endif

inline finish() {
  phase = CLEARING; hears[0] = false; hears[1] = false;
  check_reachable();
#ifdef WEAK
  m2_cleared_is_dead = !cleared || WHITE(X);
  assert(m2_cleared_is_dead)
#else
  done = true
#endif
}

active proctype Collector() {
  byte reach;
  run Thread(0); run Thread(1);
  start();
  do
  :: atomic { grey & SET(R) -> grey = grey & ~SET(R); follow(root) }
  :: atomic { grey & SET(X) -> grey = grey & ~SET(X); marked = marked | SET(X); forget_records() }
  :: atomic { grey & SET(N) ->
       grey = grey & ~SET(N);
       if
       :: !(marked & SET(N)) -> marked = marked | SET(N); forget_records()
       :: else
       fi };
     atomic { follow(next) }

  /* a minor evacuation while marking */
  :: atomic { STOPPED && kind == YOUNG -> promote_fresh() }

#ifndef NOTHREADS
  /* frames of a native thread, leaving barred, slot by slot [roots.frames.4] */
#ifdef NOBAR
  :: atomic { state[1] == NATIVE && unvisited != NONE -> unvisited = NONE };
#else
  :: atomic { state[1] == NATIVE && unvisited != NONE -> barred = true };
#endif
     atomic { follow(p[1]) };
#ifndef NOFRAMES
     atomic { follow(sunk) };
#endif
     atomic { unvisited = NONE; barred = false }
#endif

#ifdef CLEARFIRST
  :: atomic { grey == 0 && weak == X && WHITE(X) -> weak = NIL; cleared = true }
#endif
#ifdef RAGEND
  :: atomic { grey == 0 -> found = false; asked[0] = true; asked[1] = (state[1] == MANAGED) };
     atomic { !asked[0] && !asked[1] ->
       if
       :: !found && grey == 0 && VISITED && record[1] == 0 -> finish(); break
       :: else
       fi }
#else
  /* the end stop */
  :: atomic { STOPPED && grey == 0 && VISITED ->
#ifndef ENDNOFLUSH
       hand_over(0); hand_over(1);
#endif
       if
       :: grey == 0 -> finish(); break
       :: else
       fi }
#endif
  od;
#ifdef WEAK
  if
#ifdef CLEARPLAIN
  :: atomic { weak == X && WHITE(X) -> skip };
     atomic { m2_cleared_is_dead = (weak == NIL || WHITE(weak)); weak = NIL }
     assert(m2_cleared_is_dead)
#else
  :: atomic { weak == X && WHITE(X) -> weak = NIL }
#endif
  :: else
  fi;
  done = true
#endif
}
