/* SPDX-License-Identifier: MIT
 *
 * Purpose     M14: at mark end the value of a marked ephemeron whose key is alive is alive, and so is what a thread loaded from
 *             the pair, while threads load and overwrite key and value.
 *
 * Drawing     pair: | key -> K | value -> V |   only the pair knows K and V when the mark starts; the thread holds K2
 *             marker: scan the pair -> follow the value, or note it | nothing grey: look at the noted pair -> follow its
 *             value, or it waits for its key | a key becomes marked: follow the value | end stop
 *
 * Invariants  [eph.value.1, eph.key.1, weak.load.1, mark.end.1]
 *
 * Switches    NOKEYLOG     a key is overwritten without a log     NOLOADLOG   a weak load logs nothing
 *             NORELEASE    a key that becomes marked is not asked for
 *             ENDUNLOOKED  the end does not ask whether noted pairs were looked at
 */
#define NIL 0
#define K 1
#define K2 2
#define V 3
#define SET(x) (1 << (x))
#define MARKED(x) ((x) == NIL || (marked & SET(x)))

byte key = K, value = V;
byte p = NIL;         /* what the thread loaded; it holds K2 besides */
byte grey = SET(K2);  /* a root */
byte marked;
byte record;          /* the thread's log */
bool storing, scanned, noted, looked, waiting, done;
byte noted_key;

bool m14_value_is_alive = true;
bool m14_loaded_is_alive = true;

inline note(x) {
  if
  :: !MARKED(x) -> record = record | SET(x)
  :: else
  fi
}

proctype Thread() {
  byte new;
  do
  :: done -> break
  :: atomic { !done ->
       p = key;
#ifndef NOLOADLOG
       note(p)
#endif
     }
  :: atomic { !done ->
       p = value;
#ifndef NOLOADLOG
       note(p)
#endif
     }
  :: atomic { !done -> p = NIL }
  /* the barrier, then the write, with no poll between */
  :: atomic { !done ->
       if :: new = K2 :: p != NIL -> new = p fi;
#ifndef NOKEYLOG
       note(key);
#endif
       storing = true };
     atomic { key = new; new = NIL; storing = false }
  :: atomic { !done ->
       if :: new = K2 :: p != NIL -> new = p fi;
       note(value);
       storing = true };
     atomic { value = new; new = NIL; storing = false }
  od
}

inline mark(x) {
  atomic {
    grey & SET(x) ->
      grey = grey & ~SET(x);
      marked = marked | SET(x);
      record = record & ~SET(x);
#ifndef NORELEASE
      if
      :: waiting && noted_key == x -> waiting = false; grey = grey | (SET(value) & ~(marked | SET(NIL)))
      :: else
      fi
#endif
  }
}

#ifdef ENDUNLOOKED
#define LOOKED true
#else
#define LOOKED (!noted || looked)
#endif

active proctype Collector() {
  run Thread();
  do
  :: mark(K)
  :: atomic { grey & SET(K2) -> grey = grey & ~SET(K2); marked = marked | SET(K2); record = record & ~SET(K2) }
  :: mark(V)
  :: atomic { !scanned ->
       scanned = true;
       if
       :: MARKED(key) -> skip
       :: else -> noted = true; noted_key = key
       fi };
     atomic {
       if
       :: !noted -> grey = grey | (SET(value) & ~(marked | SET(NIL)))
       :: else
       fi }
  :: atomic { scanned && grey == 0 && noted && !looked ->
       looked = true;
       if
       :: MARKED(noted_key) -> grey = grey | (SET(value) & ~(marked | SET(NIL)))
       :: else -> waiting = true
       fi }
  /* the end stop */
  :: atomic { !storing && scanned && grey == 0 && LOOKED ->
       grey = record & ~marked;
       record = 0;
       if
       :: grey == 0 ->
            m14_loaded_is_alive = MARKED(p);
            assert(m14_loaded_is_alive);
            m14_value_is_alive = !(key != NIL && MARKED(key)) || MARKED(value);
            assert(m14_value_is_alive);
            done = true;
            break
       :: else
       fi }
  od
}
