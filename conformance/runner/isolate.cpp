// SPDX-License-Identifier: MIT
//
// isolate.cpp - fork, a pipe for the verdict, a deadline.
#include "isolate.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace conformance {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kMostText = 4096;

// One write, at most a page: atomic, and never blocks on an empty pipe.
void send(int fd, Verdict verdict, std::string text) {
  text.resize(std::min(text.size(), kMostText - 1));
  text.insert(text.begin(), static_cast<char>(verdict));
  const ssize_t written = write(fd, text.data(), text.size());
  if (written != static_cast<ssize_t>(text.size()))
    _exit(3);
}

[[noreturn]] void child(const Test& test, Context& context, int fd) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  dup2(STDERR_FILENO, STDOUT_FILENO); // what a plugin prints must not mix with the report
  try {
    test.run(context);
    if (const std::string noted = noted_failure(); !noted.empty())
      throw Failed{noted};
    send(fd, Verdict::passed, "");
  } catch (const Failed& failed) {
    send(fd, Verdict::failed, failed.why);
    _exit(0); // threads may hang
  } catch (const Skipped& skipped) {
    send(fd, Verdict::skipped, skipped.why);
  } catch (const std::exception& thrown) {
    send(fd, Verdict::failed,
         std::string("an exception crossed the C interface or the test ran out of memory: ") + thrown.what());
    _exit(0);
  }
  std::exit(0); // [kit.isolate.3]
}

std::string read_verdict(int fd) {
  std::string text(kMostText, '\0');
  ssize_t got = 0;
  do
    got = read(fd, text.data(), text.size());
  while (got < 0 && errno == EINTR);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

// True if the child ended before the deadline; waits without signals, by the pipe that ends with the child.
bool wait_until(int fd, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd wanted{fd, POLLIN, 0};
    const int ready = ::poll(&wanted, 1, left > 0 ? static_cast<int>(left) : 0);
    if (ready > 0)
      return true;
    if (ready == 0)
      return false;
    if (errno != EINTR)
      return true;
  }
}

} // namespace

Outcome run_isolated(const Test& test, Context& context, double patience) {
  Outcome outcome;
  const auto began = Clock::now();
  const auto deadline =
      began + std::chrono::milliseconds(static_cast<long long>(test.seconds * 1000 * patience));
  int verdict_pipe[2];
  int life_pipe[2]; // open for writing in the child only: its end is the child's end
  if (pipe(verdict_pipe) != 0 || pipe(life_pipe) != 0)
    return {Verdict::failed, std::string("the runner has no pipe: ") + std::strerror(errno), 0};
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid < 0)
    return {Verdict::failed, std::string("the runner cannot fork: ") + std::strerror(errno), 0};
  if (pid == 0) {
    close(verdict_pipe[0]);
    close(life_pipe[0]);
    child(test, context, verdict_pipe[1]);
  }
  close(verdict_pipe[1]);
  close(life_pipe[1]);
  const bool ended = wait_until(life_pipe[0], deadline);
  if (!ended)
    kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  const std::string text = read_verdict(verdict_pipe[0]);
  close(verdict_pipe[0]);
  close(life_pipe[0]);
  outcome.seconds = std::chrono::duration<double>(Clock::now() - began).count();

  const std::string said = text.empty() ? "" : text.substr(1);
  if (!ended)
    outcome.why = "still running after " + std::to_string(static_cast<long long>(test.seconds * patience)) +
                  " seconds: killed" + (said.empty() ? "" : "; it had said: " + said);
  else if (WIFSIGNALED(status))
    outcome.why = std::string("crashed: ") + strsignal(WTERMSIG(status)) +
                  (text.empty() ? "" : " (at its end)" + (said.empty() ? "" : "; it had said: " + said));
  else if (text.empty())
    outcome.why =
        "the process ended with status " + std::to_string(WEXITSTATUS(status)) + " in the middle of the test";
  else if (WEXITSTATUS(status) != 0)
    outcome.why = "the process ended with status " + std::to_string(WEXITSTATUS(status)) + " after the test" +
                  (said.empty() ? "" : "; it had said: " + said);
  else {
    outcome.verdict = static_cast<Verdict>(text[0]);
    outcome.why = said;
  }
  return outcome;
}

} // namespace conformance
