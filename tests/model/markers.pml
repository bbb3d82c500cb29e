/* SPDX-License-Identifier: MIT
 *
 * Purpose     M15: several markers. When the lead says that nothing is left, every object that is reachable is marked, each
 *             was scanned once, and nobody sleeps for ever.
 *
 * Drawing     objects and edges: 0 -> 1, 2;  1 -> 2;  2 -> 3, or 3 is only found in a log when all is quiet. Roots: 0 and 1.
 *             Object 0 has an ephemeron: key 3, value 4. Region 0: the even ones, region 1: the odd ones; each has a word
 *             of mark bits.
 *             own(m, r): edges that marker m has for region r;  inbox[r]: what waits for it;  has[r]: who has it
 *
 * Invariants  [mark.parallel.1] A region's word is changed by plain loads and stores, by whoever has it. [mark.parallel.2] A second
 *             that leaves holds nothing; the end needs that nothing waits and no second is at work. [mark.parallel.3] Who
 *             sleeps is woken. [mark.parallel.4] Object 0 is handed to the lead. [mark.parallel.5] No second is at work while
 *             the ephemeron is looked at, nor while its key is waited for.
 *             What happens under the lock is one step.
 *
 * Switches    TAKESHARED    a region is taken that another has       LEAVEHOLDING  a second leaves and keeps its edges
 *             ENDBESIDE     the end does not ask for seconds          LEAVESILENT   leaving wakes nobody
 *             SLEEPLATE     the lead reads the signal after the lock   HANDNOTHING   object 0 is not handed on at leaving
 *             COMESHELD     a second comes while a key is waited for  LOOKBESIDE    the ephemeron is looked at beside a second
 */
#define NONE 9
#define LEAD 0
#define SECOND 1
#define SET(o) (1 << (o))
#define REGION(o) ((o) & 1)
#define KEY 3
#define VALUE 4
#define OWN(m, r) own[2 * (m) + (r)]

byte own[4], inbox[2], has[2] = NONE, current[2] = NONE, mark[2], scanned, handed, mine;
bool at_work, called, held, waiting, watching, noted, in_log, finished;
byte signal;

bool m15_all_is_marked = true, m15_scanned_once = true, m15_nobody_beside = true;

#define has_work ((has[0] == NONE && inbox[0] != 0) || (has[1] == NONE && inbox[1] != 0))
#define for_lead (has_work || handed != 0 || !at_work)

/* Who holds the lock: wakes the lead if it sleeps; calls the second, if it is worth a call. */
inline wake_lead() {
  if
  :: waiting && for_lead -> signal = 1 - signal; waiting = false
  :: else
  fi
}
inline call_second() {
  if
  :: has_work && !at_work && !held -> called = true
  :: true
  fi
}

inline hand(m, r) { inbox[r] = inbox[r] | OWN(m, r); OWN(m, r) = 0 }

inline own_it(m, r) {
  has[r] = m; current[m] = r;
  if
  :: OWN(m, r) == 0 -> OWN(m, r) = inbox[r]; inbox[r] = 0
  :: else
  fi
}

#ifdef TAKESHARED
#define FREE(m, r) true
#else
#define FREE(m, r) (has[r] == NONE)
#endif

inline next_region(m, found) {
  found = true;
  if
  :: current[m] != NONE && inbox[current[m]] != 0 ->
       OWN(m, current[m]) = inbox[current[m]]; inbox[current[m]] = 0
  :: else ->
       if
       :: current[m] != NONE -> has[current[m]] = NONE; current[m] = NONE
       :: else
       fi;
       if
       :: FREE(m, 0) && (OWN(m, 0) | inbox[0]) != 0 -> own_it(m, 0)
       :: FREE(m, 1) && (OWN(m, 1) | inbox[1]) != 0 -> own_it(m, 1)
       :: else -> hand(m, 0); hand(m, 1); found = false
       fi
  fi
}

inline push(m, o) { OWN(m, REGION(o)) = OWN(m, REGION(o)) | SET(o) }

inline scan(m, o) {
  m15_scanned_once = m15_scanned_once && (scanned & SET(o)) == 0;
  scanned = scanned | SET(o);
  if
  :: o == 1 -> push(m, 2)
  :: o == 2 && !in_log -> push(m, KEY)
  :: else
  fi
}

/* object 0: its edges, and its pair is noted */
inline look_into() { push(LEAD, 1); push(LEAD, 2); noted = true }

inline lowest(set, o) {
  if
  :: set & SET(0) -> o = 0
  :: set & SET(1) -> o = 1
  :: set & SET(2) -> o = 2
  :: set & SET(3) -> o = 3
  :: set & SET(4) -> o = 4
  fi
}

/* An edge is popped, and the word of its mark bit read. */
inline pop(m, r, o, word) {
  atomic { r = current[m]; lowest(OWN(m, r), o); OWN(m, r) = OWN(m, r) & ~SET(o); word = mark[r] }
}

inline share(m) {
  if
  :: current[m] != 0 -> hand(m, 0)
  :: current[m] != 1 -> hand(m, 1)
  fi
}

/* The lead shares what it has for regions that it has not, or keeps it. */
inline give() {
  if
  :: hand(LEAD, 0); hand(LEAD, 1); call_second()
  :: true
  fi
}

active proctype Lead() {
  byte o, r, word, seen;
  bool found, quiet, sleeps;
  atomic {
    inbox[0] = SET(0); inbox[1] = SET(1);
    if :: in_log = true :: true fi;
    call_second()
  };
  do
  :: atomic { next_region(LEAD, found); call_second() };
     if
     :: found ->
          do
          :: OWN(LEAD, current[LEAD]) != 0 ->
               pop(LEAD, r, o, word);
               if
               :: word & SET(o)
               :: else ->
                    mark[r] = word | SET(o);
                    atomic {
                      scan(LEAD, o);
                      if
                      :: o == 0 -> look_into()
                      :: o == KEY && watching -> watching = false; noted = true /* released */
                      :: else
                      fi
                    }
               fi
          :: OWN(LEAD, current[LEAD]) == 0 -> break
          :: atomic { share(LEAD); call_second() }
          od
     :: else ->
          atomic {
            quiet = false;
            if
            :: handed != 0 -> handed = 0; look_into()
            :: else ->
                 quiet = !has_work && !at_work;
#ifdef ENDBESIDE
                 quiet = quiet || (!has_work && !noted);
#endif
#ifdef LOOKBESIDE
                 quiet = quiet || (!has_work && noted);
#endif
                 if
                 :: quiet
                 :: else -> /* starved */
                      if
                      :: !for_lead -> waiting = true; sleeps = true; seen = signal
                      :: else
                      fi
                 fi
            fi
          };
          if
          :: quiet && noted ->
               atomic { held = true; m15_nobody_beside = m15_nobody_beside && !at_work };
               atomic {
                 noted = false;
                 if
                 :: mark[REGION(KEY)] & SET(KEY) -> push(LEAD, VALUE)
                 :: else -> watching = true
                 fi
               };
               atomic {
#ifdef COMESHELD
                 held = false;
#else
                 held = watching;
#endif
                 give()
               }
          :: quiet && !noted && in_log -> atomic { in_log = false; push(LEAD, KEY) };
               atomic { if :: hand(LEAD, REGION(KEY)) :: true fi }
          :: quiet && !noted && !in_log -> break
          :: !quiet ->
#ifdef SLEEPLATE
               seen = signal;
#endif
               if
               :: sleeps -> signal != seen; sleeps = false /* a futex */
               :: else
               fi
          fi
     fi
  od;
  finished = true;
  m15_all_is_marked = (mark[0] == (SET(0) | SET(2) | SET(4))) && (mark[1] == (SET(1) | SET(3)));
  assert(m15_all_is_marked);
  assert(m15_scanned_once);
  assert(m15_nobody_beside)
}

active proctype Second() {
  byte o, r, word;
  bool found;
  do
  :: atomic { called -> called = false; at_work = has_work && !held };
     if
     :: at_work ->
          do
          :: atomic { next_region(SECOND, found) };
             if
             :: found ->
                  do
                  :: OWN(SECOND, current[SECOND]) != 0 ->
                       pop(SECOND, r, o, word);
                       if
                       :: word & SET(o)
                       :: else ->
                            mark[r] = word | SET(o);
                            atomic {
                              scan(SECOND, o);
                              if
                              :: o == 0 -> mine = SET(0)
                              :: else
                              fi
                            }
                       fi
                  :: OWN(SECOND, current[SECOND]) == 0 -> break
                  :: atomic { share(SECOND); wake_lead() }
                  od
             :: else -> break
             fi
          :: break /* it is to go, whatever it has */
          od;
          atomic {
#ifndef HANDNOTHING
            handed = handed | mine;
#endif
            mine = 0 };
          atomic {
#ifndef LEAVEHOLDING
            hand(SECOND, 0); hand(SECOND, 1);
#endif
            if
            :: current[SECOND] != NONE -> has[current[SECOND]] = NONE; current[SECOND] = NONE
            :: else
            fi;
            at_work = false;
#ifndef LEAVESILENT
            wake_lead();
            call_second()
#endif
          }
     :: else
     fi
  :: finished -> break
  od
}
