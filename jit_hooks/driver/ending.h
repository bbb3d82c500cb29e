/* SPDX-License-Identifier: MIT
 *
 * ending.h - how the program came to its end: decided once, by whoever is first, even a signal handler.
 *
 * Invariants  [run.ending.1] Exactly one ending wins; later ones (another thread's error, a second
 *             overflow) are ignored, so there is at most one error line.
 *             [run.ending.2] claim(), and announce() after it, are async-signal-safe. What the claimer
 *             wrote before announce() is visible to the waiter.
 */
#ifndef ECHO_RUN_ENDING_H
#define ECHO_RUN_ENDING_H

#include <atomic>
#include <cstdint>
#include <semaphore.h>

namespace echo::run {

enum class EndingKind : uint32_t {
  running = 0,
  returned,      /* main returned and all threads ended */
  exited,        /* the program called exit() */
  failed,        /* an error ended a program thread */
  stack_overflow /* a stack was exhausted; the line is already written */
};

class Ending {
public:
  Ending();
  ~Ending();
  Ending(const Ending&) = delete;
  Ending& operator=(const Ending&) = delete;

  /* True for the one caller whose ending holds; it must call announce() when its details are in place. */
  bool claim(EndingKind kind);
  void announce();
  /* Waits for the announcement; false after `milliseconds`. One waiter. */
  bool wait_for(unsigned milliseconds);
  EndingKind kind() const { return kind_.load(std::memory_order_acquire); }

private:
  std::atomic<EndingKind> kind_{EndingKind::running};
  std::atomic<bool> complete_{false};
  sem_t announced_{};
};

} // namespace echo::run

#endif
