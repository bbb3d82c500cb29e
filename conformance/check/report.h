// SPDX-License-Identifier: MIT
//
// report.h - mistakes of a VM, and how they are told.
//
// Drawing     echo-check: MISSING_BARRIER: offset 8 of a 'node' ...; at push+0x42 (list.c:31)
// Invariants  [check.report.1] A mistake is one line: its kind, what, where. The same kind at the same place is told once, and at
//             most kMost lines per heap; the last line says how many there were.
#ifndef ECHO_CHECK_REPORT_H
#define ECHO_CHECK_REPORT_H

#include "where.h"

#include <cstdint>
#include <cstdio>
#include <mutex>
#include <set>
#include <string>
#include <tuple>

namespace check {

// X(name, what it means)
#define ECHO_MISTAKE_TABLE(X)                                                                                \
  X(MISSING_BARRIER, "a reference slot has another value than the stores that were announced gave it")       \
  X(UNROOTED, "a reference is used to an object that no root led to at a safepoint before")                  \
  X(NO_OBJECT, "a word that is no object's address is used as a reference")                                  \
  X(BAD_STORE, "a store disagrees with the layout of its object")                                            \
  X(MISSING_POLL, "a managed thread does not poll although a stop is asked for")                             \
  X(WRONG_THREAD, "a call is made on another thread than the one that attached")                             \
  X(WRONG_STATE, "a call is made in a state that forbids it")                                                \
  X(HANDLE_MISUSE, "a handle or a scope is used after its end or out of order")

enum class Mistake : std::uint8_t {
#define ECHO_MISTAKE_ENUM(name, meaning) name,
  ECHO_MISTAKE_TABLE(ECHO_MISTAKE_ENUM)
#undef ECHO_MISTAKE_ENUM
};

class Report {
public:
  static constexpr std::size_t kMost = 100;

  // `path` "stderr": standard error. False if the file cannot be written.
  bool open(const std::string& path);
  ~Report();
  Report() = default;
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;

  void add(Mistake mistake, const std::string& what, const Site& site);
  // The last line, if there is anything to say.
  void end();
  std::uint64_t count() const { return count_; }
  // Over a fork.
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

private:
  void line(const std::string& text);

  std::mutex mutex_;
  std::FILE* file_ = nullptr;
  std::uint64_t count_ = 0;
  std::set<std::tuple<Mistake, std::uintptr_t, std::uintptr_t, std::uintptr_t>> told_;
};

} // namespace check

#endif // ECHO_CHECK_REPORT_H
