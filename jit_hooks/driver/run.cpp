/* SPDX-License-Identifier: MIT
 *
 * run.cpp - see run.h.
 */
#include "run.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

#include "overflow_handler.h"
#include "report_json.h"
#include "report_text.h"
#include "session.h"

namespace echo::run {

namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned tick_ms = 500;             /* between progress lines */
constexpr double progress_after_s = 2.0;      /* shorter runs show none */
constexpr unsigned patience_s = 5;            /* for a report beside threads that cannot be stopped */
constexpr std::chrono::seconds flush_wait{1}; /* for streams such threads may hold locked */

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

/* --- progress
 * ------------------------------------------------------------------------------------------------------ */

void show_progress(const Session& session, double elapsed) {
  echo_statistics heap{};
  echo_jit_statistics jit{};
  session.statistics(heap, jit);
  std::string line = progress_text(elapsed, heap);
  winsize window{};
  const std::size_t columns = ioctl(2, TIOCGWINSZ, &window) == 0 && window.ws_col > 1 ? window.ws_col : 80U;
  line.resize(std::min(line.size(), columns - 1));
  progress_line_shown.store(true, std::memory_order_relaxed);
  write_all(2, "\r\033[K" + line);
}

void wait_for_ending(Session& session, bool progress) {
  const Clock::time_point start = Clock::now();
  while (!session.program().ending().wait_for(tick_ms))
    if (progress && seconds_since(start) >= progress_after_s)
      show_progress(session, seconds_since(start));
  /* After an overflow the handler has cleared the line already, before its own. */
  if (progress_line_shown.exchange(false) && session.program().ending().kind() != EndingKind::stack_overflow)
    write_all(2, "\r\033[K");
}

/* --- the end
 * ------------------------------------------------------------------------------------------------------- */

std::atomic<int> status_when_impatient{exit_failed};

extern "C" void echo_run_out_of_patience(int) {
  _exit(status_when_impatient.load(std::memory_order_relaxed));
}

/* [run.exit.3] A signal, because a watching thread could itself need a lock that a dead thread holds. */
void limit_patience(int status) {
  status_when_impatient.store(status, std::memory_order_relaxed);
  struct sigaction action{};
  action.sa_handler = &echo_run_out_of_patience;
  sigemptyset(&action.sa_mask);
  sigaction(SIGALRM, &action, nullptr);
  alarm(patience_s);
}

/* Flushes the program's streams; beside running threads only as long as `flush_wait`, since a thread that
 * waits for input holds its stream's lock. */
void flush_streams(bool threads_inside) {
  if (!threads_inside) {
    std::fflush(nullptr);
    return;
  }
  static std::atomic<bool> flushed{false};
  std::thread([] {
    std::fflush(stdout);
    std::fflush(nullptr);
    flushed.store(true, std::memory_order_release);
  }).detach();
  const Clock::time_point start = Clock::now();
  while (!flushed.load(std::memory_order_acquire) && Clock::now() - start < flush_wait)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void fill_record(RunRecord& record, Session& session) {
  Program& program = session.program();
  record.plugins = &session.plugins();
  record.ending = program.ending().kind();
  const bool overflow = record.ending == EndingKind::stack_overflow;
  record.exit_status = overflow ? exit_failed : program.exit_status();
  record.failure = overflow ? overflow_failure() : program.failure();
  record.checksum = program.checksum().sum();
  record.checksum_values = program.checksum().values();
  record.threads = program.threads_started();
  const double inside = program.clock().seconds();
  session.statistics(record.heap, record.jit);
  record.mutator_s = std::max(0.0, inside - record.heap.pause_us.sum * 1e-6);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  record.user_s = seconds(usage.ru_utime);
  record.system_s = seconds(usage.ru_stime);
}

/* Reports, and returns the exit status; does not return if threads are inside. */
int finish(Session& session, RunRecord& record, bool quiet) {
  const EndingKind kind = session.program().ending().kind();
  const bool overflow = kind == EndingKind::stack_overflow;
  const bool threads_inside = session.program().threads_inside() && kind != EndingKind::returned;
  if (threads_inside)
    limit_patience(overflow ? exit_failed : session.program().exit_status());
  flush_streams(threads_inside);
  fill_record(record, session);
  int status = record.exit_status;
  if (record.failure && !overflow)
    print_failure(record.failure);
  if (session.json_wanted())
    if (const Failure failure = session.write_json(report_json(record))) {
      status = exit_failed;
      if (!record.failure)
        print_failure(failure);
    }
  if (!quiet)
    write_all(2, report_text(record));
  if (threads_inside) {
    session.program().release_finished();
    _exit(status);
  }
  if (const Failure failure = session.close()) {
    if (status != exit_failed)
      print_failure(failure);
    status = exit_failed;
  }
  return status;
}

int refuse(Session& session, const CommandLine& command, const Failure& failure) {
  print_failure(failure);
  /* The line above says what is wrong; that the file cannot tell it as well is not worth a second one. */
  if (session.json_wanted())
    static_cast<void>(session.write_json(refusal_json(command, failure)));
  return exit_refused;
}

std::atomic<bool> program_started{false};

} // namespace

bool run_started() {
  return program_started.load();
}

int run(const CommandLine& command, const echo_jit_api* ahead) {
  const Clock::time_point begin = Clock::now();
  Session session(command, ahead);
  if (Failure failure = session.open_json())
    return refuse(session, command, failure);
  if (Failure failure = session.prepare())
    return refuse(session, command, failure);
  RunRecord record;
  record.command = &command;
  record.prepare_s = seconds_since(begin);
  const Clock::time_point start = Clock::now();
  if (Failure failure = session.start())
    return refuse(session, command, failure);
  program_started.store(true);
  wait_for_ending(session, !command.quiet && isatty(2) == 1);
  record.wall_s = seconds_since(start);
  return finish(session, record, command.quiet);
}

} // namespace echo::run
