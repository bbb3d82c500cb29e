/* SPDX-License-Identifier: MIT
 *
 * calls_test.cpp - calls out of and into managed code: anchors, registers, nesting, leaving, exceptions, deep
 * stacks.
 */
#include "jit_fixture.h"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <pthread.h>
#include <stdexcept>

namespace echo::testing {
namespace {

FakeHeap* current_heap = nullptr;
TestJit* current_jit = nullptr;

/* A heap and a JIT that natives of a test can reach. */
class Calls : public ::testing::TestWithParam<uint32_t> {
protected:
  Calls() : jit_(heap_, GetParam()) {
    current_heap = &heap_;
    current_jit = &jit_;
  }
  void add(const std::string& text) { ASSERT_EQ(ECHO_OK, jit_.add(text)) << jit_.error.message; }

  FakeHeap heap_;
  TestJit jit_;
};
INSTANTIATE_TEST_SUITE_P(Levels, Calls, ::testing::Values(0u, 2u),
                         [](const ::testing::TestParamInfo<uint32_t>& level) {
                           return "O" + std::to_string(level.param);
                         });

/* A list of n boxes that hold n-1 .. 0, and its sum. */
const char* const kList = R"(
define ptr addrspace(1) @cons(ptr addrspace(1) %tail) noinline {
  %n = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %p = getelementptr i8, ptr addrspace(1) %n, i64 8
  store ptr addrspace(1) %tail, ptr addrspace(1) %p
  ret ptr addrspace(1) %n
}
define i64 @count(ptr addrspace(1) %list) noinline {
entry:
  br label %loop
loop:
  %l = phi ptr addrspace(1) [ %list, %entry ], [ %next, %body ]
  %i = phi i64 [ 0, %entry ], [ %i1, %body ]
  %end = icmp eq ptr addrspace(1) %l, null
  br i1 %end, label %done, label %body
body:
  %p = getelementptr i8, ptr addrspace(1) %l, i64 8
  %next = load ptr addrspace(1), ptr addrspace(1) %p
  %i1 = add i64 %i, 1
  br label %loop
done:
  ret i64 %i
}
)";

extern "C" void test_collect() {
  current_heap->collect();
}

TEST_P(Calls, NativesCollectUnderLiveReferences) {
  jit_.define("test.collect", reinterpret_cast<void*>(test_collect));
  add(std::string(kList) + R"(
declare void @test.collect()
define i64 @inner(ptr addrspace(1) %a) noinline {
  %b = call ptr addrspace(1) @cons(ptr addrspace(1) %a)
  call void @test.collect()
  %c = call ptr addrspace(1) @cons(ptr addrspace(1) %b)
  call void @test.collect()
  %r = call i64 @count(ptr addrspace(1) %c)
  ret i64 %r
}
define i64 @outer() {
  %a = call ptr addrspace(1) @cons(ptr addrspace(1) null)
  %x = call i64 @inner(ptr addrspace(1) %a)
  %y = call i64 @count(ptr addrspace(1) %a)
  %r = add i64 %x, %y
  ret i64 %r
})");
  EXPECT_EQ(4u, jit_.call("outer"));
  EXPECT_EQ(2u, heap_.collections);
  EXPECT_EQ(4u, heap_.frames) << "two managed frames at each collection";
}

/* Variadic natives get al, doubles, stack arguments: everything a C caller passes. [jit.stub.2] */
TEST_P(Calls, VariadicNatives) {
  add(R"(
@text = global [128 x i8] zeroinitializer
@format = private constant [33 x i8] c"%.2f %d %s %.1f %ld %ld %ld %.3f\00"
@word = private constant [3 x i8] c"ok\00"
declare i32 @snprintf(ptr, i64, ptr, ...)
define ptr @f(i64 %x) {
  %d = sitofp i64 %x to double
  %h = fdiv double %d, 2.0
  %n = call i32 (ptr, i64, ptr, ...) @snprintf(ptr @text, i64 128, ptr @format, double %h, i32 7, ptr @word,
       double 4.5, i64 1, i64 2, i64 3, double 0.125)
  ret ptr @text
})");
  EXPECT_STREQ("2.50 7 ok 4.5 1 2 3 0.125", reinterpret_cast<const char*>(jit_.call("f", {5})));
}

struct Triple {
  int64_t a, b, c;
};
extern "C" int64_t test_take(Triple triple, int64_t factor) {
  return (triple.a + triple.b * 10 + triple.c * 100) * factor;
}
extern "C" Triple test_give(int64_t a) {
  return {a, a + 1, a + 2};
}

TEST_P(Calls, StructsInMemory) {
  jit_.define("test.take", reinterpret_cast<void*>(test_take));
  jit_.define("test.give", reinterpret_cast<void*>(test_give));
  add(R"(
%triple = type { i64, i64, i64 }
declare i64 @test.take(ptr byval(%triple) align 8, i64)
declare void @test.give(ptr sret(%triple), i64)
define i64 @f(i64 %x) {
  %t = alloca %triple
  call void @test.give(ptr sret(%triple) %t, i64 %x)
  %r = call i64 @test.take(ptr byval(%triple) align 8 %t, i64 2)
  ret i64 %r
})");
  EXPECT_EQ(2u * (3 + 40 + 500), jit_.call("f", {3}));
}

extern "C" int32_t test_narrow(int8_t a, uint8_t b, int16_t c, bool d) {
  return a + b + c + d;
}

TEST_P(Calls, NarrowArgumentsAreExtended) {
  jit_.define("test.narrow", reinterpret_cast<void*>(test_narrow));
  add(R"(
declare i32 @test.narrow(i8 signext, i8 zeroext, i16 signext, i1 zeroext)
define i32 @f(i64 %x) {
  %a = trunc i64 %x to i8
  %c = trunc i64 %x to i16
  %d = trunc i64 %x to i1
  %r = call i32 @test.narrow(i8 signext %a, i8 zeroext %a, i16 signext %c, i1 zeroext %d)
  ret i32 %r
})");
  EXPECT_EQ(static_cast<uint32_t>(-1 + 255 - 1 + 1), static_cast<uint32_t>(jit_.call("f", {~uint64_t{0}})));
}

extern "C" int64_t test_native_add(int64_t a, int64_t b) {
  current_heap->collect();
  return a + b;
}

/* A function's address is the same for everybody, and calls through it publish the anchor. */
TEST_P(Calls, IndirectCalls) {
  jit_.define("test.add", reinterpret_cast<void*>(test_native_add));
  add(std::string(kList) + R"(
declare i64 @test.add(i64, i64)
define internal i64 @managed(i64 %a, i64 %b) {
  %l = call ptr addrspace(1) @cons(ptr addrspace(1) null)
  %c = call i64 @count(ptr addrspace(1) %l)
  %s = add i64 %a, %b
  %r = add i64 %s, %c
  ret i64 %r
}
@table = global [2 x ptr] [ptr @test.add, ptr @managed]
define i64 @f(i64 %which) {
  %l = call ptr addrspace(1) @cons(ptr addrspace(1) null)
  %p = getelementptr [2 x ptr], ptr @table, i64 0, i64 %which
  %fn = load volatile ptr, ptr %p
  %x = call i64 %fn(i64 40, i64 2)
  %c = call i64 @count(ptr addrspace(1) %l)
  %r = add i64 %x, %c
  ret i64 %r
}
define ptr @address() {
  ret ptr @test.add
})");
  EXPECT_EQ(43u, jit_.call("f", {0}));
  EXPECT_EQ(1u, heap_.collections);
  EXPECT_EQ(1u, heap_.frames);
  heap_.set_stress(true);
  EXPECT_EQ(44u, jit_.call("f", {1}));
  EXPECT_EQ(reinterpret_cast<uint64_t>(test_native_add), jit_.call("address"));
}

/* Cold paths may use every caller-saved register, vector registers included. [jit.stub.1] */
void clobber_registers() {
  asm volatile(
      "pcmpeqd %%xmm0, %%xmm0\n pcmpeqd %%xmm1, %%xmm1\n pcmpeqd %%xmm2, %%xmm2\n pcmpeqd %%xmm3, %%xmm3\n"
      "pcmpeqd %%xmm4, %%xmm4\n pcmpeqd %%xmm5, %%xmm5\n pcmpeqd %%xmm6, %%xmm6\n pcmpeqd %%xmm7, %%xmm7\n"
      "pcmpeqd %%xmm8, %%xmm8\n pcmpeqd %%xmm9, %%xmm9\n pcmpeqd %%xmm10, %%xmm10\n"
      "pcmpeqd %%xmm11, %%xmm11\n pcmpeqd %%xmm12, %%xmm12\n pcmpeqd %%xmm13, %%xmm13\n"
      "pcmpeqd %%xmm14, %%xmm14\n pcmpeqd %%xmm15, %%xmm15\n"
      "movq $-1, %%rcx\n movq $-1, %%rdx\n movq $-1, %%rsi\n movq $-1, %%rdi\n movq $-1, %%r8\n"
      "movq $-1, %%r9\n movq $-1, %%r10\n movq $-1, %%r11\n"
      :
      :
      : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
        "xmm12", "xmm13", "xmm14", "xmm15", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11");
}

TEST_P(Calls, LiveValuesSurviveColdPaths) {
  add(std::string(kList) + R"(
define i64 @f(i64 %n, i64 %a, i64 %b, i64 %c, i64 %d) {
entry:
  %x0 = sitofp i64 %a to double
  %y0 = sitofp i64 %b to double
  %z0 = sitofp i64 %c to double
  %keep = call ptr addrspace(1) @echo.gc.new_array(ptr @refs, i64 %n)
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i1, %loop ]
  %x = phi double [ %x0, %entry ], [ %x1, %loop ]
  %y = phi double [ %y0, %entry ], [ %y1, %loop ]
  %z = phi double [ %z0, %entry ], [ %z1, %loop ]
  %p = phi i64 [ %a, %entry ], [ %p1, %loop ]
  %q = phi i64 [ %b, %entry ], [ %q1, %loop ]
  %r = phi i64 [ %c, %entry ], [ %r1, %loop ]
  %s = phi i64 [ %d, %entry ], [ %s1, %loop ]
  %x1 = fadd double %x, 1.0
  %y1 = fadd double %y, %x
  %z1 = fsub double %z, %y
  %p1 = add i64 %p, %q
  %q1 = xor i64 %q, %r
  %r1 = add i64 %r, %s
  %s1 = add i64 %s, %i
  %o = call ptr addrspace(1) @echo.gc.new(ptr @node)
  call void @echo.gc.array_store(ptr addrspace(1) %keep, i64 %i, ptr addrspace(1) %o)
  %i1 = add i64 %i, 1
  %go = icmp ult i64 %i1, %n
  br i1 %go, label %loop, label %done
done:
  %fx = fptosi double %x1 to i64
  %fy = fptosi double %y1 to i64
  %fz = fptosi double %z1 to i64
  %t1 = add i64 %fx, %fy
  %t2 = add i64 %t1, %fz
  %t3 = add i64 %t2, %p1
  %t4 = add i64 %t3, %q1
  %t5 = add i64 %t4, %r1
  %t6 = add i64 %t5, %s1
  %ps = getelementptr i8, ptr addrspace(1) %keep, i64 400
  %last = load ptr addrspace(1), ptr addrspace(1) %ps
  %l = call i64 @count(ptr addrspace(1) %last)
  %t7 = mul i64 %t6, 10
  %t8 = add i64 %t7, %l
  ret i64 %t8
})");
  const uint64_t quiet = jit_.call("f", {50, 3, 5, 7, 11});
  EXPECT_EQ(1u, quiet % 10);
  EXPECT_EQ(0u, heap_.allocate_cold + heap_.poll_cold + heap_.store_cold);
  heap_.on_allocate_cold = heap_.on_poll_cold = heap_.on_store_cold = clobber_registers;
  heap_.set_stress(true);
  heap_.set_poll_always(true);
  heap_.set_phase(1);
  EXPECT_EQ(quiet, jit_.call("f", {50, 3, 5, 7, 11}));
  EXPECT_GE(heap_.allocate_cold, 51u);
  EXPECT_GE(heap_.poll_cold, 50u);
  EXPECT_EQ(50u, heap_.store_cold);
}

/* --- nesting
 * ------------------------------------------------------------------------------------------------------ */

extern "C" int64_t test_reenter(int64_t depth) {
  const uint64_t result =
      current_jit->try_call("level", {static_cast<uint64_t>(depth)}) == ECHO_OK ? current_jit->result : 0;
  return static_cast<int64_t>(result);
}

TEST_P(Calls, NestedCallsAreWalked) {
  jit_.define("test.reenter", reinterpret_cast<void*>(test_reenter));
  add(std::string(kList) + R"(
declare i64 @test.reenter(i64)
define i64 @level(i64 %depth) {
entry:
  %l = call ptr addrspace(1) @cons(ptr addrspace(1) null)
  %end = icmp eq i64 %depth, 0
  br i1 %end, label %bottom, label %deeper
deeper:
  %d = sub i64 %depth, 1
  %m = call ptr addrspace(1) @cons(ptr addrspace(1) %l)
  %x = call i64 @test.reenter(i64 %d)
  %c = call i64 @count(ptr addrspace(1) %m)
  %r = add i64 %x, %c
  ret i64 %r
bottom:
  %c0 = call i64 @count(ptr addrspace(1) %l)
  ret i64 %c0
})");
  heap_.set_stress(true);
  heap_.walk_slice = 3;
  EXPECT_EQ(2u * 20 + 1, jit_.call("level", {20}));
  EXPECT_GT(heap_.frames, 400u);
}

/* --- leaving
 * ------------------------------------------------------------------------------------------------------- */

extern "C" void test_give_up(int64_t code) {
  echo_error why{};
  why.code = static_cast<int32_t>(code);
  std::snprintf(why.message, sizeof why.message, "gave up with %d", static_cast<int>(code));
  echo_jit_abandon(current_jit->get(), current_heap->thread(), code == 0 ? nullptr : &why);
}

const char* const kGivesUp = R"(
declare void @test.give_up(i64)
define i64 @deep(i64 %n, i64 %code) noinline {
entry:
  %l = call ptr addrspace(1) @cons(ptr addrspace(1) null)
  %end = icmp eq i64 %n, 0
  br i1 %end, label %bottom, label %more
more:
  %m = sub i64 %n, 1
  %r = call i64 @deep(i64 %m, i64 %code)
  %c = call i64 @count(ptr addrspace(1) %l)
  %s = add i64 %r, %c
  ret i64 %s
bottom:
  call void @test.give_up(i64 %code)
  ret i64 0
})";

TEST_P(Calls, AbandonLeavesAllFramesOfTheCall) {
  jit_.define("test.give_up", reinterpret_cast<void*>(test_give_up));
  add(std::string(kList) + kGivesUp);
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(ECHO_HEAP_LIMIT, jit_.try_call("deep", {100, ECHO_HEAP_LIMIT}));
    EXPECT_STREQ("gave up with 2", jit_.error.message);
    EXPECT_EQ(ECHO_HEAP_LIMIT, jit_.error.code);
    EXPECT_EQ(0u, heap_.block().anchor_pc) << "[jit.entry.3]";
  }
  EXPECT_EQ(ECHO_ABANDONED, jit_.try_call("deep", {1, 0})) << "no reason given";
  EXPECT_EQ(
      1u, jit_.call("count", {reinterpret_cast<uint64_t>(heap_.allocate(heap_.layout_by_name("node"), 0))}));
}

TEST_P(Calls, AbandonWithoutACallReturns) {
  test_give_up(ECHO_HEAP_LIMIT);
  SUCCEED();
}

extern "C" int64_t test_try_inner(int64_t code) {
  return current_jit->try_call("deep", {10, static_cast<uint64_t>(code)});
}

TEST_P(Calls, AbandonEndsTheInnermostCallOnly) {
  jit_.define("test.give_up", reinterpret_cast<void*>(test_give_up));
  jit_.define("test.try_inner", reinterpret_cast<void*>(test_try_inner));
  add(std::string(kList) + kGivesUp + R"(
declare i64 @test.try_inner(i64)
define i64 @outer(i64 %a, i64 %b, i64 %c, i64 %d, i64 %e) {
  %l = call ptr addrspace(1) @cons(ptr addrspace(1) null)
  %x = call i64 @test.try_inner(i64 14)
  %n = call i64 @count(ptr addrspace(1) %l)
  %s1 = add i64 %a, %b
  %s2 = add i64 %s1, %c
  %s3 = add i64 %s2, %d
  %s4 = add i64 %s3, %e
  %s5 = mul i64 %s4, 100
  %s6 = add i64 %s5, %x
  %s7 = add i64 %s6, %n
  ret i64 %s7
})");
  heap_.set_stress(true);
  EXPECT_EQ(1500u + 14 + 1, jit_.call("outer", {1, 2, 3, 4, 5}))
      << "callee-saved registers are restored [jit.entry.2]";
}

TEST_P(Calls, OutOfMemoryEndsTheCall) {
  add(std::string(kList) + R"(
define i64 @f(i64 %n) {
entry:
  br label %loop
loop:
  %l = phi ptr addrspace(1) [ null, %entry ], [ %m, %loop ]
  %i = phi i64 [ 0, %entry ], [ %i1, %loop ]
  %m = call ptr addrspace(1) @cons(ptr addrspace(1) %l)
  %i1 = add i64 %i, 1
  %go = icmp ult i64 %i1, %n
  br i1 %go, label %loop, label %done
done:
  %r = call i64 @count(ptr addrspace(1) %m)
  ret i64 %r
})");
  EXPECT_EQ(1000u, jit_.call("f", {1000}));
  EXPECT_EQ(ECHO_HEAP_LIMIT, jit_.try_call("f", {~uint64_t{0}}));
  EXPECT_STREQ("the fake heap is full", jit_.error.message);
  EXPECT_EQ(1000u, jit_.call("f", {1000})) << "the JIT and the heap stay usable";
}

/* --- exceptions
 * --------------------------------------------------------------------------------------------------- */

extern "C" void test_throw(int64_t when) {
  current_heap->collect();
  if (when != 0)
    throw std::runtime_error("thrown by a native");
}

TEST_P(Calls, ExceptionsAreCaughtInManagedCode) {
  jit_.define("test.throw", reinterpret_cast<void*>(test_throw));
  add(std::string(kList) + R"(
declare void @test.throw(i64)
declare i32 @__gxx_personality_v0(...)
declare ptr @__cxa_begin_catch(ptr) "gc-leaf-function"
declare void @__cxa_end_catch()
define void @thrower(i64 %when) noinline {
  %l = call ptr addrspace(1) @cons(ptr addrspace(1) null)
  call void @test.throw(i64 %when)
  %n = call i64 @count(ptr addrspace(1) %l)
  ret void
}
@saved = global ptr addrspace(1) null
define i64 @f(i64 %when) personality ptr @__gxx_personality_v0 {
entry:
  %l = call ptr addrspace(1) @cons(ptr addrspace(1) null)
  %m = call ptr addrspace(1) @cons(ptr addrspace(1) %l)
  store ptr addrspace(1) %m, ptr @saved
  invoke void @thrower(i64 %when) to label %normal unwind label %pad
normal:
  %n = call i64 @count(ptr addrspace(1) %m)
  ret i64 %n
pad:
  %e = landingpad { ptr, i32 } catch ptr null
  %p = extractvalue { ptr, i32 } %e, 0
  %b = call ptr @__cxa_begin_catch(ptr %p)
  call void @__cxa_end_catch()
  %s = load ptr addrspace(1), ptr @saved
  %x = call i64 @count(ptr addrspace(1) %s)
  %y = add i64 %x, 40
  ret i64 %y
})");
  heap_.set_stress(true);
  heap_.set_poll_always(true);
  EXPECT_EQ(2u, jit_.call("f", {0}));
  const uint64_t polls = heap_.poll_cold;
  for (int round = 0; round < 10; ++round)
    EXPECT_EQ(42u, jit_.call("f", {1}));
  EXPECT_GT(heap_.poll_cold, polls);
}

/* Through frames that hold references: those above the catch go on with theirs, those below are gone, and collections
 * on the way down, in the throwing native, in the landing pad and afterwards see the right frames. */
TEST_P(Calls, ExceptionsPassThroughCollectedFrames) {
  jit_.define("test.throw", reinterpret_cast<void*>(test_throw));
  add(std::string(kList) + R"(
declare void @test.throw(i64)
declare i32 @__gxx_personality_v0(...)
declare ptr @__cxa_begin_catch(ptr) "gc-leaf-function"
declare void @__cxa_end_catch()
define i64 @down(i64 %n, ptr addrspace(1) %up) noinline {
entry:
  %mine = call ptr addrspace(1) @cons(ptr addrspace(1) %up)
  %end = icmp eq i64 %n, 0
  br i1 %end, label %bottom, label %more
bottom:
  call void @test.throw(i64 1)
  br label %back
more:
  %n1 = sub i64 %n, 1
  %below = call i64 @down(i64 %n1, ptr addrspace(1) %mine)
  br label %back
back:
  %c = call i64 @count(ptr addrspace(1) %mine)
  ret i64 %c
}
; 1 if an exception came
define i64 @guarded(i64 %n) noinline personality ptr @__gxx_personality_v0 {
entry:
  %r = invoke i64 @down(i64 %n, ptr addrspace(1) null) to label %normal unwind label %pad
normal:
  ret i64 0
pad:
  %e = landingpad { ptr, i32 } catch ptr null
  %p = extractvalue { ptr, i32 } %e, 0
  %b = call ptr @__cxa_begin_catch(ptr %p)
  call void @__cxa_end_catch()
  %junk = call ptr addrspace(1) @cons(ptr addrspace(1) null)
  %one = call i64 @count(ptr addrspace(1) %junk)
  ret i64 %one
}
; the frame above keeps a list of 3 over the exception
define i64 @f(i64 %n) {
  %a = call ptr addrspace(1) @cons(ptr addrspace(1) null)
  %b = call ptr addrspace(1) @cons(ptr addrspace(1) %a)
  %c = call ptr addrspace(1) @cons(ptr addrspace(1) %b)
  %caught = call i64 @guarded(i64 %n)
  %ten = mul i64 %caught, 10
  %count = call i64 @count(ptr addrspace(1) %c)
  %r = add i64 %ten, %count
  ret i64 %r
})");
  for (const bool stress : {false, true}) {
    heap_.set_stress(stress);
    heap_.set_poll_always(stress);
    for (const uint64_t depth : {0u, 1u, 40u})
      EXPECT_EQ(13u, jit_.call("f", {depth})) << depth;
  }
}

TEST_P(Calls, ExceptionThatLeavesTheCallIsAnError) {
  jit_.define("test.throw", reinterpret_cast<void*>(test_throw));
  add("declare void @test.throw(i64)\ndefine void @f() { call void @test.throw(i64 1) ret void }");
  EXPECT_EQ(ECHO_ABANDONED, jit_.try_call("f"));
  EXPECT_NE(nullptr, std::strstr(jit_.error.message, "thrown by a native")) << jit_.error.message;
  EXPECT_EQ(0u, heap_.block().anchor_pc);
}

/* --- deep stacks
 * -------------------------------------------------------------------------------------------------- */

struct DeepRun {
  TestJit* jit;
  FakeHeap* heap;
  uint64_t depth;
};

void* run_deep(void* argument) {
  const auto& run = *static_cast<DeepRun*>(argument);
  EXPECT_EQ(run.depth, run.jit->call("nest", {run.depth, 0}));
  return nullptr;
}

TEST_P(Calls, HundredThousandFrames) {
  jit_.define("test.collect", reinterpret_cast<void*>(test_collect));
  add(std::string(kList) + R"(
declare void @test.collect()
define i64 @nest(i64 %n, ptr addrspace(1) %up) noinline {
entry:
  %end = icmp eq i64 %n, 0
  br i1 %end, label %bottom, label %more
bottom:
  call void @test.collect()
  ret i64 0
more:
  %l = call ptr addrspace(1) @cons(ptr addrspace(1) null)
  %m = sub i64 %n, 1
  %r = call i64 @nest(i64 %m, ptr addrspace(1) %l)
  %c = call i64 @count(ptr addrspace(1) %l)
  %s = add i64 %r, %c
  ret i64 %s
})");
  DeepRun run{&jit_, &heap_, 100000};
  heap_.walk_slice = 128;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, size_t{256} << 20);
  pthread_t thread;
  ASSERT_EQ(0, pthread_create(&thread, &attributes, run_deep, &run));
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  EXPECT_EQ(100001u, heap_.frames);
  EXPECT_EQ(1u, heap_.collections);
}

/* --- leaves
 * ------------------------------------------------------------------------------------------------------- */

extern "C" int64_t test_square(int64_t x) {
  return x * x;
}

TEST_P(Calls, LeavesAreCalledDirectly) {
  jit_.define("test.square", reinterpret_cast<void*>(test_square), ECHO_JIT_SYMBOL_LEAF);
  add(R"(
declare i64 @test.square(i64)
declare i64 @strlen(ptr)
@s = private constant [4 x i8] c"abc\00"
@text = private constant [17 x i8] c"gc-leaf-function\00"
@file = private constant [2 x i8] c"f\00"
@llvm.global.annotations = appending global [1 x { ptr, ptr, ptr, i32, ptr }]
  [{ ptr, ptr, ptr, i32, ptr } { ptr @annotated, ptr @text, ptr @file, i32 1, ptr null }]
define void @annotated(ptr addrspace(1) %o) noinline {
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  store ptr addrspace(1) %o, ptr addrspace(1) %p
  ret void
}
define i64 @f(i64 %x, ptr addrspace(1) %o) {
  %r = call i64 @test.square(i64 %x)
  call void @annotated(ptr addrspace(1) %o)
  %p = load volatile ptr, ptr @sp
  %n = call i64 @strlen(ptr %p)
  %s = add i64 %r, %n
  ret i64 %s
}
@sp = global ptr @s)");
  heap_.set_phase(1);
  EXPECT_EQ(0u, jit_.statistics().sites);
  uint64_t memory[3] = {1, 0, 0};
  EXPECT_EQ(52u, jit_.call("f", {7, reinterpret_cast<uint64_t>(memory)}));
  EXPECT_EQ(0u, jit_.statistics().sites) << "no call of a leaf is a safepoint";
  EXPECT_EQ(0u, jit_.statistics().polls_inserted);
  EXPECT_EQ(1u, heap_.store_cold) << "a leaf's store has its barrier, with the thread";
  EXPECT_EQ(reinterpret_cast<uint64_t>(memory), memory[1]);
}

/* --- several modules
 * ------------------------------------------------------------------------------------------------ */

TEST_P(Calls, ModulesCallEachOther) {
  add(kList);
  ASSERT_EQ(ECHO_OK, jit_.add_raw(R"(
declare ptr addrspace(1) @cons(ptr addrspace(1))
declare i64 @count(ptr addrspace(1))
define i64 @across() {
  %a = call ptr addrspace(1) @cons(ptr addrspace(1) null)
  %b = call ptr addrspace(1) @cons(ptr addrspace(1) %a)
  %r = call i64 @count(ptr addrspace(1) %b)
  ret i64 %r
})",
                                  "second"))
      << jit_.error.message;
  heap_.set_stress(true);
  heap_.set_poll_always(true);
  EXPECT_EQ(2u, jit_.call("across"));
}

/* A front end may name the thread itself. */
TEST_P(Calls, ExplicitThreadParameter) {
  add(R"(
define ptr @inner(ptr swiftself %t, i64 %x) noinline {
  %o = call ptr addrspace(1) @echo.gc.new(ptr @node)
  ret ptr %t
}
define ptr @named(ptr swiftself %t, i64 %x) {
  %r = call ptr @inner(ptr swiftself %t, i64 %x)
  ret ptr %r
}
define i64 @unnamed(i64 %x) {
  %r = call ptr @inner(ptr swiftself null, i64 %x)
  %o = call ptr addrspace(1) @echo.gc.new(ptr @node)
  ret i64 7
})");
  heap_.set_stress(true);
  EXPECT_EQ(reinterpret_cast<uint64_t>(heap_.thread()), jit_.call("named", {1}));
  EXPECT_EQ(7u, jit_.call("unnamed", {1}));
}

/* No page is writable and executable. */
TEST_P(Calls, NoWritableCode) {
  add(kList);
  jit_.lookup("cons");
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line))
    EXPECT_EQ(std::string::npos, line.find(" rwx")) << line;
}

} // namespace
} // namespace echo::testing
