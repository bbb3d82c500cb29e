/* SPDX-License-Identifier: MIT
 *
 * program.h - the running program: its threads, each on a guarded stack, and what they may call.
 *
 * Purpose     Runs main as thread 0 and every function given to echo_spawn() as thread 1, 2, ... A thread
 *             attaches to the heap, enters the compiled code through the JIT's table, and detaches.
 * Invariants  [run.thread.1] A spawned thread's argument is a root from the moment its parent hands it
 *             over until the managed frame that receives it exists: it waits in a mailbox, a word
 *             registered as a root, and both sides touch the word only while managed.
 *             [run.thread.2] No thread waits for a lock or another thread while managed, other than for
 *             locks whose holders never reach a safepoint; so a collection never waits for echo-run.
 *             [run.thread.3] A native function leaves the program (exit, an error) by echo_jit_abandon
 *             from a frame that owns nothing: no lock, no object with a destructor.
 *             [run.thread.4] The last thread to end announces the program's end. exit() or an error in any
 *             thread announces it when that thread has ended, whatever the others do.
 */
#ifndef ECHO_RUN_PROGRAM_H
#define ECHO_RUN_PROGRAM_H

#include <array>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <pthread.h>
#include <string>
#include <vector>

#include "checksum.h"
#include "command_line.h"
#include "ending.h"
#include "guarded_stack.h"
#include "plugins.h"
#include "thread_clock.h"

namespace echo::run {

class EchoLayer;

class Program {
public:
  /* Threads that may live at the same time, main included. */
  static constexpr std::size_t threads_most = 256;

  Program(const Plugins& plugins, echo_heap* heap, echo_jit* jit, const CommandLine& command);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /* The main thread enters it around main. */
  void run_under(EchoLayer& layer) { layer_ = &layer; }
  /* Registers the mailboxes. */
  Failure prepare();
  /* Runs `main_function` on a thread of its own and returns at once. */
  Failure start(void* main_function);
  /* Waits for threads that are past their end and frees their stacks; only after an ending with none inside.
   */
  void reap();
  /* Joins the threads that have ended and frees their stacks; their numbers stay known. */
  void release_finished();

  Ending& ending() { return ending_; }
  const ThreadClock& clock() const { return clock_; }
  const Checksum& checksum() const { return checksum_; }
  /* The status and the error of the ending; valid once it is announced. */
  int exit_status() const { return exit_status_; }
  const Failure& failure() const { return failure_; }
  bool threads_inside() const;
  int64_t threads_started() const;

private:
  friend struct NativeFunctions;

  struct Thread {
    Program* program = nullptr;
    int64_t number = 0;
    void* function = nullptr;
    std::size_t mailbox = 0;
    GuardedStack stack;
    pthread_t handle{};
    bool created = false;            /* the pthread exists and was not joined */
    bool finished = false;           /* it will not touch the program again */
    bool claimed = false;            /* a join waits for it */
    std::vector<uint64_t> arguments; /* main's; a spawned thread's argument is in its mailbox */
  };

  static void* enter(void* thread);
  /* True if this thread brought the ending about: it is announced once the thread is out of the program. */
  bool run(Thread& thread);
  void finish(Thread& thread, bool brought_ending);
  /* Claims the ending and sets its details; false if another ending came first. */
  bool end_with(EndingKind kind, int status, Failure failure);
  Failure launch(Thread& thread);
  Failure spawn(void* function, echo_ref argument, int64_t& number);
  Failure join(int64_t number);

  const Plugins& plugins_;
  echo_heap* const heap_;
  echo_jit* const jit_;
  const CommandLine& command_;
  std::vector<char*> argv_;
  EchoLayer* layer_ = nullptr;

  std::array<echo_ref, threads_most> mailboxes_{}; /* roots [run.thread.1] */
  bool mailboxes_registered_ = false;

  mutable std::mutex mutex_; /* guards the next five */
  std::condition_variable changed_;
  std::array<bool, threads_most> mailbox_taken_{};
  std::map<int64_t, std::unique_ptr<Thread>> threads_;
  int64_t next_number_ = 0;
  std::size_t inside_ = 0;
  int main_result_ = 0;

  Ending ending_;
  int exit_status_ = 0;
  Failure failure_;
  ThreadClock clock_;
  Checksum checksum_;
};

} // namespace echo::run

#endif
