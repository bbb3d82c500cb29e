/* SPDX-License-Identifier: MIT
 *
 * Purpose     M7: the marker reads no header that was written after the snapshot, on processors that let a thread's
 *             stores become visible in any order (AArch64). Also: it never takes a new object's address for corruption.
 *
 * Drawing     thread: kind, black mark, header  ; fence ;  slot = object       (`waiting`: stores not yet visible)
 *             marker: word = slot;  then, in any order: kind of its slab, its black mark;  header if both allow it
 *             The marker's loads depend on the word by address, so they come after it; they have no order among each
 *             other, and the header may be loaded before the branch that needs it is known.
 *             One object, one of three: SMALL in a slab that its thread opens, LARGE, or a cell of a ROOT block.
 *
 * Invariants  [mark.colour.2] Only OLD, LARGE and ROOT are followed, and no slab becomes OLD. [mark.colour.3] A ROOT
 *             cell's mark byte says the current cycle before the cell is published; a cell that is freed while marking
 *             stays as it is until the end. [bar.order.1] A fence stands between initialisation and publication.
 *             [sweep.hold.1]
 *
 * Switches    FRESHIGNORED  the marker follows fresh slabs       TURNSOLD    a full slab becomes OLD while marking
 *             NOFENCE       no fence before publication           BYTELATE    a ROOT cell is published, then marked
 *             REUSEFREED    a ROOT cell freed while marking is reused at once
 * CLASS=SMALL, LARGE or ROOT restricts the object.
 */
#define SMALL 1
#define LARGE 2
#define ROOT 3

/* kinds */
#define FREE 0
#define FRESH 1
#define OLD 2
#define KIND_LARGE 3
#define KIND_ROOT 4

/* headers */
#define GARBAGE 0
#define BEFORE 1 /* written before the snapshot */
#define AFTER 2

/* locations, and the values on their way to them */
#define KIND 0
#define BLACK 1
#define HEADER 2
#define SLOT 3
#define NOTHING 255

byte memory[4], waiting[4] = NOTHING;
byte class;
bool over;

bool m7_header_is_of_the_snapshot = true, kind_is_known = true;

inline store(where, value) {
  atomic { waiting[where] == NOTHING -> waiting[where] = value }
}
/* What comes later becomes visible later. */
inline fence() {
  (waiting[KIND] == NOTHING && waiting[BLACK] == NOTHING && waiting[HEADER] == NOTHING && waiting[SLOT] == NOTHING)
}
inline publication_fence() {
#ifndef NOFENCE
  fence()
#else
  skip
#endif
}

#define VISIBLE(where) \
  atomic { waiting[where] != NOTHING -> memory[where] = waiting[where]; waiting[where] = NOTHING }

proctype Memory() {
  do
  :: VISIBLE(KIND)
  :: VISIBLE(BLACK)
  :: VISIBLE(HEADER)
  :: VISIBLE(SLOT)
  :: over -> break
  od
}

proctype Thread() {
  if
  :: class != ROOT && memory[SLOT] -> goto gone /* it was there at the snapshot, and stays */
  :: class == SMALL && !memory[SLOT] ->
       store(KIND, FRESH);
       store(HEADER, AFTER);
       publication_fence();
       store(SLOT, 1);
#ifdef TURNSOLD
       fence(); store(KIND, OLD)
#endif
  :: class == LARGE && !memory[SLOT] ->
       store(KIND, KIND_LARGE);
       store(BLACK, 1);
       store(HEADER, AFTER);
       publication_fence();
       store(SLOT, 1)
  :: class == ROOT ->
       if
       :: memory[SLOT] -> /* in use at the snapshot: taken out of its slot, which logs it, and freed */
            store(SLOT, 0);
#ifndef REUSEFREED
            goto gone
#endif
       :: else /* free since before the snapshot */
       fi;
       fence();
#ifdef BYTELATE
       store(HEADER, AFTER); fence(); store(SLOT, 1); fence(); store(BLACK, 1)
#else
       store(BLACK, 1);
       publication_fence();
       store(HEADER, AFTER);
       publication_fence();
       store(SLOT, 1)
#endif
  fi;
gone:
  fence();
  over = true
}

proctype Marker() {
  byte kind = NOTHING, black = NOTHING, header = NOTHING;
look:
  do
  :: memory[SLOT] == 0 && !over -> skip
  :: memory[SLOT] == 0 && over -> goto done
  :: memory[SLOT] == 1 -> break
  od;
  do
  :: kind == NOTHING -> kind = memory[KIND]
  :: black == NOTHING -> black = memory[BLACK]
  :: header == NOTHING -> header = memory[HEADER]
  :: kind != NOTHING && black != NOTHING && header != NOTHING -> break
  od;
  kind_is_known = (kind != FREE);
  assert(kind_is_known);
  if
#ifdef FRESHIGNORED
  :: kind == FRESH || kind == OLD ->
#else
  :: kind == OLD ->
#endif
       m7_header_is_of_the_snapshot = (header == BEFORE);
       assert(m7_header_is_of_the_snapshot)
  :: (kind == KIND_LARGE || kind == KIND_ROOT) && !black ->
       m7_header_is_of_the_snapshot = (header == BEFORE);
       assert(m7_header_is_of_the_snapshot)
  :: else
  fi;
done:
  skip
}

active proctype Snapshot() {
  atomic {
#ifdef CLASS
    class = CLASS;
#else
    if
    :: class = SMALL
    :: class = LARGE
    :: class = ROOT
    fi;
#endif
    /* born since, or there before */
    if
    :: class == ROOT -> memory[KIND] = KIND_ROOT
    :: class != ROOT
    :: memory[KIND] = (class == SMALL -> OLD : (class == LARGE -> KIND_LARGE : KIND_ROOT));
       memory[HEADER] = BEFORE; memory[SLOT] = 1
    fi
  };
  run Memory(); run Thread(); run Marker()
}
