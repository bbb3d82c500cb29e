/* SPDX-License-Identifier: MIT
 *
 * weak_test.cpp - loads of weak slots, by the recipe. [jit.weak.1] [jit.weak.2]
 */
#include "jit_fixture.h"

#include <algorithm>
#include <cstring>

namespace echo::testing {
namespace {

FakeHeap* current_heap = nullptr;

extern "C" void weak_test_collect() {
  current_heap->collect();
}

const char* const kText = R"(
declare void @test.collect()
define ptr addrspace(1) @holder(ptr addrspace(1) %target) noinline {
  %h = call ptr addrspace(1) @echo.gc.new(ptr @weak)
  %p = getelementptr i8, ptr addrspace(1) %h, i64 8
  call void @echo.gc.store(ptr addrspace(1) %h, ptr addrspace(1) %p, ptr addrspace(1) %target)
  ret ptr addrspace(1) %h
}
define i64 @seen(ptr addrspace(1) %h) noinline {
entry:
  %p = getelementptr i8, ptr addrspace(1) %h, i64 8
  %t = call ptr addrspace(1) @echo.gc.weak_load(ptr addrspace(1) %h, ptr addrspace(1) %p)
  %none = icmp eq ptr addrspace(1) %t, null
  br i1 %none, label %null, label %some
null:
  ret i64 0
some:
  %q = getelementptr i8, ptr addrspace(1) %t, i64 8
  %x = load i64, ptr addrspace(1) %q
  ret i64 %x
}
; the target lives in a variable, then no longer: seen before, with it, and without
define i64 @life(i64 %x) {
  %t = call ptr addrspace(1) @make(i64 %x)
  %h = call ptr addrspace(1) @holder(ptr addrspace(1) %t)
  %a = call i64 @seen(ptr addrspace(1) %h)
  call void @test.collect()
  %b = call i64 @seen(ptr addrspace(1) %h)
  %p = getelementptr i8, ptr addrspace(1) %t, i64 8
  %y = load volatile i64, ptr addrspace(1) %p
  call void @test.collect()
  %c = call i64 @seen(ptr addrspace(1) %h)
  %b10 = mul i64 %b, 1000
  %c10 = mul i64 %c, 1000000
  %s1 = add i64 %a, %b10
  %s2 = add i64 %s1, %c10
  %same = icmp eq i64 %y, %x
  %r = select i1 %same, i64 %s2, i64 -1
  ret i64 %r
}
; what was loaded is held over a collection by nothing but the frame
define i64 @revive(i64 %x) {
  %t = call ptr addrspace(1) @make(i64 %x)
  %h = call ptr addrspace(1) @holder(ptr addrspace(1) %t)
  %p = getelementptr i8, ptr addrspace(1) %h, i64 8
  %w = call ptr addrspace(1) @echo.gc.weak_load(ptr addrspace(1) %h, ptr addrspace(1) %p)
  call void @test.collect()
  call void @test.collect()
  %q = getelementptr i8, ptr addrspace(1) %w, i64 8
  %y = load volatile i64, ptr addrspace(1) %q
  ret i64 %y
}
; two loads with a collection between: the second is a load of its own
define i64 @twice(i64 %x) {
  %t = call ptr addrspace(1) @make(i64 %x)
  %h = call ptr addrspace(1) @holder(ptr addrspace(1) %t)
  %a = call i64 @seen(ptr addrspace(1) %h)
  call void @test.collect()
  %p = getelementptr i8, ptr addrspace(1) %h, i64 8
  %w = call ptr addrspace(1) @echo.gc.weak_load(ptr addrspace(1) %h, ptr addrspace(1) %p)
  %gone = icmp eq ptr addrspace(1) %w, null
  %r = select i1 %gone, i64 %a, i64 -1
  ret i64 %r
}
)";

struct Level {
  uint32_t optimise, operations;
};
class Weak : public ::testing::TestWithParam<Level> {
protected:
  Weak() : jit(heap, GetParam().optimise, ECHO_JIT_VERIFY, nullptr, 0, GetParam().operations) {
    current_heap = &heap;
    jit.define("test.collect", reinterpret_cast<void*>(weak_test_collect));
    EXPECT_EQ(ECHO_OK, jit.add(std::string(kMake) + kText)) << jit.error.message;
  }
  FakeHeap heap;
  TestJit jit;
};
INSTANTIATE_TEST_SUITE_P(Levels, Weak,
                         ::testing::Values(Level{0, 0}, Level{2, 0}, Level{0, ECHO_JIT_OPERATIONS_CALLED},
                                           Level{2, ECHO_JIT_OPERATIONS_CALLED}),
                         [](const ::testing::TestParamInfo<Level>& level) {
                           return "O" + std::to_string(level.param.optimise) +
                                  (level.param.operations != 0 ? "Called" : "");
                         });

TEST_P(Weak, SlotsShowWhatIsAlive) {
  EXPECT_EQ(7007u, jit.call("life", {7})) << "alive, alive, dead";
  EXPECT_EQ(0u, heap.weak_cold) << "idle: plain loads";
}

TEST_P(Weak, WhatWasLoadedIsHeld) {
  EXPECT_EQ(9u, jit.call("revive", {9}));
}

TEST_P(Weak, LoadsAreNotShared) {
  EXPECT_EQ(11u, jit.call("twice", {11}));
}

/* While the collector listens each load is a call, and what it returns is the load's value. */
TEST_P(Weak, TheColdPathLoads) {
  heap.set_phase(1);
  EXPECT_EQ(7007u, jit.call("life", {7}));
  EXPECT_EQ(3u, heap.weak_cold);
  EXPECT_EQ(9u, jit.call("revive", {9}));
}

TEST_P(Weak, UnderStress) {
  heap.set_stress(true);
  heap.set_poll_always(true);
  EXPECT_EQ(7007u, jit.call("life", {7}));
  EXPECT_EQ(9u, jit.call("revive", {9}));
}

TEST(WeakLowering, LoadIsTwoInstructionsAndTheLoad) {
  const std::vector<std::string> lines = disassemble(R"(
define ptr addrspace(1) @f(ptr addrspace(1) %h) {
  %p = getelementptr i8, ptr addrspace(1) %h, i64 8
  %t = call ptr addrspace(1) @echo.gc.weak_load(ptr addrspace(1) %h, ptr addrspace(1) %p)
  ret ptr addrspace(1) %t
})",
                                                     "f");
  const auto test = std::find(lines.begin(), lines.end(), "cmpb\t$0x0, 0x28(%r13)");
  ASSERT_GE(lines.end() - test, 3);
  EXPECT_TRUE(test[1].starts_with("jne\t")) << test[1];
  EXPECT_EQ("movq\t0x8(%rdi), %rax", test[2]);
}

TEST(WeakRefusal, WhatTheHeapDoesNotHave) {
  FakeHeap heap;
  heap.recipes().weak_load_cold = nullptr;
  TestJit jit(heap);
  EXPECT_EQ(
      ECHO_NOT_SUPPORTED,
      jit.add("define ptr addrspace(1) @f(ptr addrspace(1) %h) {\n"
              "%t = call ptr addrspace(1) @echo.gc.weak_load(ptr addrspace(1) %h, ptr addrspace(1) %h)\n"
              "ret ptr addrspace(1) %t }"));
  EXPECT_NE(nullptr, std::strstr(jit.error.message, "no weak slots")) << jit.error.message;
}

} // namespace
} // namespace echo::testing
