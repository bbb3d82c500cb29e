/* SPDX-License-Identifier: MIT
 *
 * Purpose     M10: a stop works only while no active thread is managed, and a thread that leaves native during a stop
 *             does not run. Also: no request is lost, so every stop ends; no thread runs with an old watermark; and whoever
 *             visits a thread that is not active visits one at rest. The steps are those of gc/safepoint.cpp, one per
 *             access to shared memory; what happens under the registry lock begins and ends in one step each.
 *
 * Drawing     Thread 0: attached     Thread 1: attaches, detaches     Asker: a thread of the heap
 *             A thread is active from when it registers, before it becomes managed, to the end of the next stop.
 *             Each store to a state or to the stop word waits in its processor's store buffer until Memory() writes it
 *             or a fence makes its owner wait for that; a compare-and-swap includes the fence.
 *
 * Invariants  [stop.active.1, stop.active.2, stop.state.1, stop.who.1, stop.order.1, stop.poll.1, thread.1,
 *             roots.frames.4, port.order.1]
 *
 * Switches    LEAVENOLOOK    a thread leaves native without a look at the stop word
 *             LEAVENOFENCE   its look may come before its store
 *             ENTERNOFENCE   the same on entering native: nobody does the work (dead end)
 *             ASKNOFENCE     the asker's look at the states may come before its store
 *             STOPAFTERSCAN  the asker looks at the states, then stores
 *             ASKUNLOCKED    a look at the states is possible between the stop word and the poll words
 *             POLLLATE       the poll word is written back after the look at the stop word (dead end)
 *             REGISTERLATE   a thread registers as active after its look at the stop word
 *             REGISTERONCE   it does not ask whether a stop came and went since it registered
 * Thread 0 asks for a stop, too. With BESIDE there is thread 1 only, and the asker visits it between two stops.
 *             VISITUNLOCKED  without the registry lock
 */
#define IDLE 0
#define ASKED 1
#define WORKING 2
#define NATIVE 0
#define MANAGED 1
#define EMPTY 255

byte stop = IDLE, sequence;
byte state[2] = NATIVE;
byte stop_buffer = EMPTY, state_buffer[2] = EMPTY; /* store buffers */
byte poll[2] = 1, watermark[2] = 1;                /* poll: 0, or the watermark */
bool listed[2], is_active[2], list_locked, registry_locked, stop_locked;
bool runs[2]; /* in managed code, not at a poll */
bool collected;

bool m10_nobody_runs = true, watermark_is_current = true, visited_is_at_rest = true;

proctype Memory() {
end:
  do
  :: atomic { stop_buffer != EMPTY -> stop = stop_buffer; stop_buffer = EMPTY }
#ifndef BESIDE
  :: atomic { state_buffer[0] != EMPTY -> state[0] = state_buffer[0]; state_buffer[0] = EMPTY }
#endif
  :: atomic { state_buffer[1] != EMPTY -> state[1] = state_buffer[1]; state_buffer[1] = EMPTY }
  od
}

/* A thread sees its own stores at once. */
#define STATE(who, i) ((who) == (i) && state_buffer[i] != EMPTY -> state_buffer[i] : state[i])
#define STOP_OF_ASKER (stop_buffer != EMPTY -> stop_buffer : stop)

inline store_state(i, value) {
  atomic { state_buffer[i] == EMPTY -> state_buffer[i] = value }
}
inline fence(i) {
  state_buffer[i] == EMPTY
}

/* Safepoints::arrive; who: 0, 1, or 2, the asker. */
inline arrive(who) {
  atomic {
    saw = sequence;
    go = ((who == 2 -> STOP_OF_ASKER : stop) == ASKED);
#ifdef STOPAFTERSCAN
    go = go || who == 2
#endif
  }
  if
  :: go -> atomic { !registry_locked -> registry_locked = true; go = !(is_active[0] && STATE(who, 0) == MANAGED) };
           atomic { go = go && !(is_active[1] && STATE(who, 1) == MANAGED); registry_locked = false }
  :: else
  fi;
#ifdef STOPAFTERSCAN
  if
  :: who == 2 -> stop = ASKED
  :: else
  fi;
#endif
  if
  :: go -> (stop_buffer == EMPTY); /* of the compare-and-swap */
     atomic {
       if
       :: stop == ASKED && sequence == saw -> stop = WORKING
       :: else -> go = false
       fi }
  :: else
  fi;
  if
  :: go -> atomic {
       m10_nobody_runs = !runs[0] && !runs[1];
       assert(m10_nobody_runs) };
     atomic { /* the work, in which nothing moves but what it does itself */
       watermark[0] = (is_active[0] -> 2 : watermark[0]);
       watermark[1] = (is_active[1] -> 2 : watermark[1]) };
     atomic { !registry_locked ->
       poll[0] = (is_active[0] -> 0 : poll[0]); poll[1] = (is_active[1] -> 0 : poll[1]);
       is_active[0] = false; is_active[1] = false };
     atomic { sequence++; stop = IDLE }
  :: else
  fi;
  atomic { saw = 0; go = false }
}

inline wait_for_idle() {
  saw = sequence;
  (stop == IDLE || sequence != saw);
  saw = 0
}

inline register(i) {
  if
  :: is_active[i]
  :: !is_active[i] -> atomic { !registry_locked -> is_active[i] = true }
  fi
}

inline begin_to_run(i) {
  atomic {
    idle = 0; runs[i] = true;
    m10_nobody_runs = (stop != WORKING);
    assert(m10_nobody_runs);
    watermark_is_current = (poll[i] == 0 || poll[i] == watermark[i]);
    assert(watermark_is_current) }
}

/* Safepoints::to_managed */
inline to_managed(i) {
  do
  ::
#ifndef REGISTERLATE
     register(i);
#endif
     store_state(i, MANAGED);
#ifndef LEAVENOFENCE
     fence(i);
#endif
     idle = watermark[i];
#ifndef POLLLATE
     poll[i] = idle;
#endif
     if
#ifdef LEAVENOLOOK
     :: true -> break
#else
     :: stop == IDLE ->
#ifdef POLLLATE
          poll[i] = idle;
#endif
#ifdef REGISTERLATE
          register(i);
#endif
#ifdef REGISTERONCE
          break
#else
          if
          :: is_active[i] -> break
          :: else /* a stop came and went since */
          fi
#endif
     :: stop != IDLE ->
          store_state(i, NATIVE); fence(i);
          arrive(i);
          wait_for_idle()
#endif
     fi
  od;
  begin_to_run(i)
}

inline to_rest(i) {
  atomic { runs[i] = false; state_buffer[i] == EMPTY -> state_buffer[i] = NATIVE };
  fence(i);
  arrive(i)
}

inline lock(which) { atomic { !which -> which = true } }
inline unlock(which) { which = false }

/* Safepoints::stop */
inline ask(who) {
  lock(stop_locked);
  lock(list_locked);
#ifdef STOPAFTERSCAN
  if
  :: who != 2 -> atomic { stop_buffer == EMPTY -> stop_buffer = ASKED }; (stop_buffer == EMPTY)
  :: else
  fi;
#else
#ifndef ASKUNLOCKED
  lock(registry_locked); /* nobody looks at the states before all poll words are 0 */
#endif
  atomic { stop_buffer == EMPTY -> stop_buffer = ASKED };
#ifdef ASKNOFENCE
  if
  :: who != 2 -> (stop_buffer == EMPTY)
  :: else
  fi;
#else
  (stop_buffer == EMPTY);
#endif
#ifdef ASKUNLOCKED
  lock(registry_locked);
#endif
  poll[0] = (is_active[0] -> 0 : poll[0]);
  poll[1] = (is_active[1] -> 0 : poll[1]);
  unlock(registry_locked);
#endif
  arrive(who);
  wait_for_idle();
  unlock(list_locked);
  unlock(stop_locked)
}

#ifdef BESIDE
#define BY_RECIPE(i) true
#else
#define BY_RECIPE(i) (i == 0)
#endif

proctype Thread(byte i) {
  byte saw, idle;
  bool go;
attach:
  lock(list_locked);
  listed[i] = true;
  unlock(list_locked);
  to_managed(i);
  do
  :: atomic { poll[i] == 0 -> runs[i] = false };
       if
       :: stop != IDLE -> to_rest(i); wait_for_idle()
       :: else
       fi;
       to_managed(i)
  /* enter and leave native */
  :: atomic { runs[i] = false; state_buffer[i] == EMPTY -> state_buffer[i] = NATIVE };
#ifndef ENTERNOFENCE
     fence(i);
#endif
     /* thread 0 by the recipe, with looks at its poll word; thread 1 by calls, with looks at the stop word */
     if
     :: (i == 1 || poll[i] == 0) && stop != IDLE -> arrive(i)
     :: else
     fi;
     if
     :: BY_RECIPE(i) ->
        store_state(i, MANAGED);
#ifndef LEAVENOFENCE
        fence(i);
#endif
        if
        :: poll[i] == 0 -> to_managed(i)
        :: else -> begin_to_run(i)
        fi
     :: i == 1 -> to_managed(i)
     :: i == 1 -> goto end_native
     fi
#ifndef BESIDE
  /* a collection that the thread asks for */
  :: atomic { i == 0 && !collected -> collected = true };
     to_rest(i);
     ask(i);
     to_managed(i)
#endif
  /* detach */
  :: i == 1 ->
       to_rest(i);
       lock(list_locked);
       atomic { !registry_locked -> listed[i] = false; is_active[i] = false };
       unlock(list_locked);
       if
       :: goto attach
       :: break
       fi
  /* computes for ever, polling */
  :: goto busy
  od;
  goto gone;
busy:
end_busy:
  do
  :: atomic { poll[i] == 0 -> runs[i] = false };
       if
       :: stop != IDLE -> to_rest(i); wait_for_idle()
       :: else
       fi;
       to_managed(i)
  od;
end_native: /* stays native for ever */
  false;
gone:
  skip
}

active proctype Asker() {
  byte saw;
  bool go;
  run Memory(); run Thread(1);
#ifndef BESIDE
  run Thread(0);
#endif
  ask(2)
#ifdef BESIDE
  ;
  /* beside the program: a thread that is not active */
#ifndef VISITUNLOCKED
  lock(registry_locked);
#endif
  if
  :: listed[1] && !is_active[1] ->
       atomic {
         visited_is_at_rest = !runs[1];
         assert(visited_is_at_rest);
         watermark[1] = 3 };
       visited_is_at_rest = !runs[1];
       assert(visited_is_at_rest)
  :: else
  fi;
#ifndef VISITUNLOCKED
  unlock(registry_locked);
#endif
  ask(2)
#endif
}
