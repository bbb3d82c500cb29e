/* SPDX-License-Identifier: MIT
 *
 * jit_fixture.h - a JIT on a fake heap, and what most programs of the tests begin with.
 */
#ifndef ECHO_TESTS_JIT_FIXTURE_H
#define ECHO_TESTS_JIT_FIXTURE_H

#include "echo/jit.h"
#include "fake_heap.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace echo::testing {

/* Layouts @node (two references), @box (one integer), @ints and @refs (arrays); declarations of the
 * operations. */
extern const char* const kPrelude;
/* @make(i64): a box with a number. */
extern const char* const kMake;
/* Functions that compute a number while everything they hold is collected: programs_test.cpp. */
extern const char* const kPrograms;

/* A JIT that is destroyed with the object. */
class TestJit {
public:
  explicit TestJit(FakeHeap& heap, uint32_t optimise = 2, uint32_t switches = 0,
                   const char* dump_objects = nullptr, uint32_t threads = 0,
                   uint32_t operations = ECHO_JIT_OPERATIONS_INLINE);
  ~TestJit();
  TestJit(const TestJit&) = delete;
  TestJit& operator=(const TestJit&) = delete;

  echo_jit* get() { return jit_; }
  /* kPrelude and `text`; the status, the message in `error`. */
  echo_status add(const std::string& text, const char* name = "test");
  echo_status add_raw(const std::string& text, const char* name = "test");
  void define(const char* name, void* address, uint32_t kind = ECHO_JIT_SYMBOL_NATIVE);
  void* lookup(const char* name);
  /* Fails the test if the call fails. */
  uint64_t call(const char* name, std::vector<uint64_t> arguments = {});
  echo_status try_call(const char* name, std::vector<uint64_t> arguments = {});
  echo_jit_statistics statistics();

  echo_error error{};
  uint64_t result = 0;

private:
  FakeHeap& heap_;
  echo_jit* jit_ = nullptr;
};

/* The disassembly of one function of a module, one instruction per line, without addresses. */
std::vector<std::string> disassemble(const std::string& module, const std::string& function,
                                     uint32_t optimise = 2, uint32_t switches = 0);
/* The IR of a module after lowering; empty if it does not compile. */
std::string lowered(const std::string& module, uint32_t optimise = 2, uint32_t switches = 0);

} // namespace echo::testing

#endif // ECHO_TESTS_JIT_FIXTURE_H
