/* SPDX-License-Identifier: MIT
 *
 * catch_test.cpp - references that live over a catch in the same function. [jit.pad.1] [jit.pad.2]
 *
 * Method      Every collection moves every object and poisons what it left. The native that throws collects first, and
 *             so does every allocation on the way: a pad that used a reference as it was before the call reads poison.
 *             The last tests do so on purpose.
 */
#include "jit_fixture.h"

#include <stdexcept>

namespace echo::testing {
namespace {

FakeHeap* current_heap = nullptr;

extern "C" void catch_test_throw(int64_t when) {
  current_heap->collect();
  if (when != 0)
    throw std::runtime_error("thrown by a native");
}

const char* const kText = R"(
declare void @test.throw(i64)
declare i32 @__gxx_personality_v0(...)
declare ptr @__cxa_begin_catch(ptr) "gc-leaf-function"
declare void @__cxa_end_catch()
define i64 @value(ptr addrspace(1) %o) noinline {
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  %x = load volatile i64, ptr addrspace(1) %p
  ret i64 %x
}
define void @thrower(i64 %when) noinline {
  %o = call ptr addrspace(1) @make(i64 5)
  call void @test.throw(i64 %when)
  %x = call i64 @value(ptr addrspace(1) %o)
  ret void
}
define void @end(ptr %e) noinline {
  %b = call ptr @__cxa_begin_catch(ptr %e)
  call void @__cxa_end_catch()
  ret void
}
; two references and null live over the catch, and one more call behind it
define i64 @two(i64 %when) personality ptr @__gxx_personality_v0 {
entry:
  %a = call ptr addrspace(1) @make(i64 40)
  %b = call ptr addrspace(1) @make(i64 2)
  invoke void @thrower(i64 %when) to label %normal unwind label %pad
normal:
  %n = call i64 @value(ptr addrspace(1) %a)
  ret i64 %n
pad:
  %e = landingpad { ptr, i32 } catch ptr null
  %p = extractvalue { ptr, i32 } %e, 0
  call void @end(ptr %p)
  %x = call i64 @value(ptr addrspace(1) %a)
  %y = call i64 @value(ptr addrspace(1) %b)
  %r = add i64 %x, %y
  ret i64 %r
}
; a pointer into the object: where, is known at run time only
define i64 @inside(i64 %when, i64 %offset) personality ptr @__gxx_personality_v0 {
entry:
  %a = call ptr addrspace(1) @make(i64 42)
  br label %loop
loop:
  %p = phi ptr addrspace(1) [ %a, %entry ], [ %q, %loop ]
  %i = phi i64 [ 0, %entry ], [ %i1, %loop ]
  %q = getelementptr i8, ptr addrspace(1) %p, i64 1
  %i1 = add i64 %i, 1
  %go = icmp ult i64 %i1, %offset
  br i1 %go, label %loop, label %call
call:
  invoke void @thrower(i64 %when) to label %normal unwind label %pad
normal:
  ret i64 0
pad:
  %e = landingpad { ptr, i32 } catch ptr null
  %ep = extractvalue { ptr, i32 } %e, 0
  %x = load volatile i64, ptr addrspace(1) %q
  call void @end(ptr %ep)
  %y = load volatile i64, ptr addrspace(1) %q
  %same = icmp eq i64 %x, %y
  %r = select i1 %same, i64 %x, i64 -1
  ret i64 %r
}
; a list that grows by one object per attempt, through as many catches as attempts fail
define i64 @retry(i64 %failures) personality ptr @__gxx_personality_v0 {
entry:
  br label %attempt
attempt:
  %list = phi ptr addrspace(1) [ null, %entry ], [ %cell, %caught ]
  %left = phi i64 [ %failures, %entry ], [ %left1, %caught ]
  %cell = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %slot = getelementptr i8, ptr addrspace(1) %cell, i64 8
  store ptr addrspace(1) %list, ptr addrspace(1) %slot
  invoke void @thrower(i64 %left) to label %done unwind label %pad
pad:
  %e = landingpad { ptr, i32 } catch ptr null
  %p = extractvalue { ptr, i32 } %e, 0
  call void @end(ptr %p)
  br label %caught
caught:
  %left1 = sub i64 %left, 1
  br label %attempt
done:
  br label %count
count:
  %at = phi ptr addrspace(1) [ %cell, %done ], [ %next, %count ]
  %n = phi i64 [ 0, %done ], [ %n1, %count ]
  %np = getelementptr i8, ptr addrspace(1) %at, i64 8
  %next = load ptr addrspace(1), ptr addrspace(1) %np
  %n1 = add i64 %n, 1
  %end = icmp eq ptr addrspace(1) %next, null
  br i1 %end, label %out, label %count
out:
  ret i64 %n1
}
; three calls, one pad: what it uses differs by the call that threw
define i64 @shared(i64 %which) personality ptr @__gxx_personality_v0 {
entry:
  %a = call ptr addrspace(1) @make(i64 100)
  %is1 = icmp eq i64 %which, 1
  %w1 = zext i1 %is1 to i64
  invoke void @thrower(i64 %w1) to label %second unwind label %pad
second:
  %b = call ptr addrspace(1) @make(i64 200)
  %is2 = icmp eq i64 %which, 2
  %w2 = zext i1 %is2 to i64
  invoke void @thrower(i64 %w2) to label %third unwind label %pad
third:
  %c = call ptr addrspace(1) @make(i64 300)
  invoke void @thrower(i64 1) to label %never unwind label %pad
never:
  ret i64 0
pad:
  %o = phi ptr addrspace(1) [ %a, %entry ], [ %b, %second ], [ %c, %third ]
  %e = landingpad { ptr, i32 } catch ptr null
  %p = extractvalue { ptr, i32 } %e, 0
  call void @end(ptr %p)
  %x = call i64 @value(ptr addrspace(1) %o)
  %y = call i64 @value(ptr addrspace(1) %a)
  %r = add i64 %x, %y
  ret i64 %r
}
@cleaned = global i64 0
; a clean-up that uses a reference and lets the exception go on, caught by a caller with references of its own
define void @cleaner(i64 %when) noinline personality ptr @__gxx_personality_v0 {
  %a = call ptr addrspace(1) @make(i64 7)
  invoke void @thrower(i64 %when) to label %normal unwind label %pad
normal:
  ret void
pad:
  %e = landingpad { ptr, i32 } cleanup
  %junk = call ptr addrspace(1) @make(i64 9)
  %x = call i64 @value(ptr addrspace(1) %a)
  %old = load i64, ptr @cleaned
  %new = add i64 %old, %x
  store i64 %new, ptr @cleaned
  resume { ptr, i32 } %e
}
define i64 @nested(i64 %when) personality ptr @__gxx_personality_v0 {
entry:
  %a = call ptr addrspace(1) @make(i64 35)
  invoke void @cleaner(i64 %when) to label %normal unwind label %pad
normal:
  ret i64 0
pad:
  %e = landingpad { ptr, i32 } catch ptr null
  %p = extractvalue { ptr, i32 } %e, 0
  call void @end(ptr %p)
  %x = call i64 @value(ptr addrspace(1) %a)
  %y = load i64, ptr @cleaned
  store i64 0, ptr @cleaned
  %r = add i64 %x, %y
  ret i64 %r
}
; the elements of a vector
define i64 @vector(i64 %when, i64 %i) personality ptr @__gxx_personality_v0 {
entry:
  %a = call ptr addrspace(1) @make(i64 40)
  %b = call ptr addrspace(1) @make(i64 2)
  %v1 = insertelement <2 x ptr addrspace(1)> poison, ptr addrspace(1) %a, i64 0
  %v2 = insertelement <2 x ptr addrspace(1)> %v1, ptr addrspace(1) %b, i64 1
  invoke void @thrower(i64 %when) to label %normal unwind label %pad
normal:
  ret i64 0
pad:
  %e = landingpad { ptr, i32 } catch ptr null
  %p = extractvalue { ptr, i32 } %e, 0
  call void @end(ptr %p)
  %a1 = extractelement <2 x ptr addrspace(1)> %v2, i64 %i
  %j = sub i64 1, %i
  %b1 = extractelement <2 x ptr addrspace(1)> %v2, i64 %j
  %x = call i64 @value(ptr addrspace(1) %a1)
  %y = call i64 @value(ptr addrspace(1) %b1)
  %r = add i64 %x, %y
  ret i64 %r
}
)";

struct Thrown {
  explicit Thrown(uint32_t optimise, uint32_t switches = 0)
      : jit(heap, optimise, switches | ECHO_JIT_VERIFY) {
    current_heap = &heap;
    jit.define("test.throw", reinterpret_cast<void*>(catch_test_throw));
    EXPECT_EQ(ECHO_OK, jit.add(std::string(kMake) + kText)) << jit.error.message;
    heap.set_stress(true);
    heap.set_poll_always(true);
  }
  FakeHeap heap;
  TestJit jit;
};

class Catch : public ::testing::TestWithParam<uint32_t>, public Thrown {
protected:
  Catch() : Thrown(GetParam()) {}
};
INSTANTIATE_TEST_SUITE_P(Levels, Catch, ::testing::Values(0u, 2u),
                         [](const ::testing::TestParamInfo<uint32_t>& level) {
                           return "O" + std::to_string(level.param);
                         });

TEST_P(Catch, ReferencesLiveOverIt) {
  EXPECT_EQ(40u, jit.call("two", {0}));
  for (int round = 0; round < 5; ++round)
    EXPECT_EQ(42u, jit.call("two", {1}));
  heap.set_poll_always(false);
  EXPECT_EQ(42u, jit.call("two", {1}));
}

TEST_P(Catch, PointersIntoObjectsLiveOverIt) {
  EXPECT_EQ(42u, jit.call("inside", {1, 8}));
  EXPECT_EQ(0u, jit.call("inside", {0, 8}));
}

TEST_P(Catch, InALoop) {
  for (uint64_t failures : {0u, 1u, 2u, 17u})
    EXPECT_EQ(failures + 1, jit.call("retry", {failures}));
}

TEST_P(Catch, OneForSeveralCalls) {
  EXPECT_EQ(200u, jit.call("shared", {1}));
  EXPECT_EQ(300u, jit.call("shared", {2}));
  EXPECT_EQ(400u, jit.call("shared", {3}));
}

TEST_P(Catch, CleanUpsUseReferencesToo) {
  EXPECT_EQ(42u, jit.call("nested", {1}));
  EXPECT_EQ(0u, jit.call("nested", {0}));
}

TEST_P(Catch, VectorsLiveOverIt) {
  EXPECT_EQ(42u, jit.call("vector", {1, 0}));
  EXPECT_EQ(42u, jit.call("vector", {1, 1}));
}

/* The collection in the throwing native visits two frames only: the pad's own is visited by its poll. [jit.pad.2] */
TEST_P(Catch, AboveTheWatermark) {
  heap.set_stress(false);
  heap.set_poll_always(false);
  for (uint32_t frames : {0u, 1u, 2u}) {
    heap.frames_per_collection = frames;
    heap.walk_slice = 1;
    EXPECT_EQ(42u, jit.call("two", {1})) << frames;
    EXPECT_EQ(42u, jit.call("nested", {1})) << frames;
    EXPECT_EQ(42u, jit.call("inside", {1, 8})) << frames;
    EXPECT_EQ(42u, jit.call("vector", {1, 1})) << frames;
    EXPECT_EQ(18u, jit.call("retry", {17})) << frames;
    EXPECT_FALSE(heap.watermark_is_set());
  }
  EXPECT_GT(heap.portions, 0u);
}

/* Level 0 takes its calls the same way. */
TEST(CatchLevel0, ReferencesLiveOverIt) {
  FakeHeap heap;
  current_heap = &heap;
  TestJit jit(heap, 2, 0, nullptr, 0, ECHO_JIT_OPERATIONS_CALLED);
  jit.define("test.throw", reinterpret_cast<void*>(catch_test_throw));
  ASSERT_EQ(ECHO_OK, jit.add(std::string(kMake) + kText)) << jit.error.message;
  EXPECT_EQ(42u, jit.call("two", {1}));
  EXPECT_EQ(18u, jit.call("retry", {17}));
}

/* Broken on purpose. */
TEST(CatchFault, OldValuesAreNoticed) {
  for (uint32_t optimise : {0u, 2u}) {
    FakeHeap heap;
    current_heap = &heap;
    TestJit jit(heap, optimise, ECHO_JIT_STALE_IN_PADS);
    jit.define("test.throw", reinterpret_cast<void*>(catch_test_throw));
    ASSERT_EQ(ECHO_OK, jit.add(std::string(kMake) + kText)) << jit.error.message;
    EXPECT_NE(42u, jit.call("two", {1}));
    EXPECT_NE(42u, jit.call("inside", {1, 8}));
  }
}

} // namespace
} // namespace echo::testing
