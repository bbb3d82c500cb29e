/* SPDX-License-Identifier: MIT
 *
 * lowering_test.cpp - the fast paths, counted in disassembly: allocation 6 instructions, store barrier 2 and
 * the store, poll 2. [jit.poll.3]
 */
#include "jit_fixture.h"

#include <algorithm>

namespace echo::testing {
namespace {

using Lines = std::vector<std::string>;

std::string text_of(const Lines& lines) {
  std::string all;
  for (const std::string& line : lines)
    all += line + "\n";
  return all;
}

/* Does `lines`, from some point on, start with `shape`? "*" at the end of a pattern matches any rest. */
bool contains_shape(const Lines& lines, const Lines& shape) {
  const auto matches = [](const std::string& line, const std::string& pattern) {
    if (pattern.ends_with("*"))
      return line.starts_with(pattern.substr(0, pattern.size() - 1));
    return line == pattern;
  };
  return std::search(lines.begin(), lines.end(), shape.begin(), shape.end(), matches) != lines.end();
}

size_t count_with(const Lines& lines, const std::string& part) {
  return static_cast<size_t>(std::count_if(lines.begin(), lines.end(), [&](const std::string& line) {
    return line.find(part) != std::string::npos;
  }));
}

#define EXPECT_SHAPE(lines, ...) EXPECT_TRUE(contains_shape(lines, __VA_ARGS__)) << text_of(lines)

TEST(Lowering, AllocationIsSixInstructions) {
  const Lines lines = disassemble(R"(
define ptr addrspace(1) @f(ptr addrspace(1) %l, ptr addrspace(1) %r) {
  %n = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %pl = getelementptr i8, ptr addrspace(1) %n, i64 8
  store ptr addrspace(1) %l, ptr addrspace(1) %pl
  %pr = getelementptr i8, ptr addrspace(1) %n, i64 16
  store ptr addrspace(1) %r, ptr addrspace(1) %pr
  ret ptr addrspace(1) %n
})",
                                  "f");
  /* cursor, next, limit, branch; cursor, header; then the two initialising stores: no zeroing, no barrier */
  EXPECT_SHAPE(lines, {"movq\t0x30(%r13), %rax", "leaq\t0x18(%rax), %r*", "cmpq\t0x10(%r13), %r*", "ja\t*",
                       "movq\t%r*", "movq\t$0x*", "movq\t%r*", "movq\t%r*"});
  EXPECT_EQ(0u, count_with(lines, "cmpb")) << text_of(lines);
  EXPECT_EQ(0u, count_with(lines, "xmm")) << text_of(lines);
}

TEST(Lowering, UninitialisedPayloadIsZeroed) {
  const Lines lines = disassemble(R"(
define ptr addrspace(1) @f() {
  %n = call ptr addrspace(1) @echo.gc.new(ptr @node)
  ret ptr addrspace(1) %n
})",
                                  "f");
  EXPECT_EQ(1u, count_with(lines, "movups") + count_with(lines, "$0x0, 0x8(")) << text_of(lines);
}

TEST(Lowering, StoreIsTwoInstructionsAndTheStore) {
  const Lines lines = disassemble(R"(
define void @f(ptr addrspace(1) %o, ptr addrspace(1) %v) {
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  store ptr addrspace(1) %v, ptr addrspace(1) %p
  ret void
})",
                                  "f");
  EXPECT_SHAPE(lines, {"pushq\t%rbp", "movq\t%rsp, %rbp", "cmpb\t$0x0, 0x28(%r13)", "jne\t*",
                       "movq\t%rsi, 0x8(%rdi)", "popq\t%rbp", "retq"});
}

TEST(Lowering, StoreOfNullHasTheBarrier) {
  const Lines lines = disassemble(R"(
define void @f(ptr addrspace(1) %o) {
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  store ptr addrspace(1) null, ptr addrspace(1) %p
  ret void
})",
                                  "f");
  EXPECT_SHAPE(lines, {"cmpb\t$0x0, 0x28(%r13)", "jne\t*", "movq\t$0x0, 0x8(%rdi)"});
}

TEST(Lowering, PollIsTwoInstructions) {
  const Lines lines = disassemble(R"(
define i64 @f(i64 %n) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i1, %loop ]
  %x = phi i64 [ 1, %entry ], [ %x1, %loop ]
  %x0 = mul i64 %x, %x
  %x1 = xor i64 %x0, %i
  %i1 = add i64 %i, 1
  %go = icmp ult i64 %i1, %n
  br i1 %go, label %loop, label %done
done:
  ret i64 %x1
})",
                                  "f");
  EXPECT_SHAPE(lines, {"cmpq\t0x18(%r13), %rbp", "j*"});
  EXPECT_GE(count_with(lines, "cmpq\t0x18(%r13), %rbp"), 2u) << "back-edge and return\n" << text_of(lines);
  EXPECT_EQ(count_with(lines, "cmpq\t0x18(%r13), %rbp"), count_with(lines, "r13")) << text_of(lines);
}

TEST(Lowering, FunctionWithoutSafepointHasNoPoll) {
  const Lines lines = disassemble("define i64 @f(i64 %n) { %r = add i64 %n, 1 ret i64 %r }", "f");
  EXPECT_EQ(0u, count_with(lines, "r13")) << text_of(lines);
}

/* [jit.poll.1] also where the loop has two entries */
TEST(Lowering, IrreducibleCycleHasAPoll) {
  FakeHeap heap;
  TestJit jit(heap);
  ASSERT_EQ(ECHO_OK, jit.add(R"(
define i64 @f(i64 %n, i1 %c) {
entry:
  br i1 %c, label %a, label %b
a:
  %x = phi i64 [ %n, %entry ], [ %y1, %b ]
  %x1 = sub i64 %x, 3
  %ca = icmp slt i64 %x1, 0
  br i1 %ca, label %done, label %b
b:
  %y = phi i64 [ %n, %entry ], [ %x1, %a ]
  %y1 = sub i64 %y, 5
  %cb = icmp slt i64 %y1, 0
  br i1 %cb, label %done, label %a
done:
  ret i64 %n
})")) << jit.error.message;
  EXPECT_EQ(2u, jit.statistics().polls_inserted) << "the cycle and the return";
  heap.set_poll_always(true);
  EXPECT_EQ(100u, jit.call("f", {100, 0}));
  EXPECT_GT(heap.poll_cold, 5u);
}

/* [bar.init.1] an object is fresh until the next safepoint, and below 1 KiB only. */
TEST(Lowering, BarrierElisionEndsAtTheNextSafepoint) {
  const char* const text = R"(
@big.name = private constant [4 x i8] c"big\00"
@big.slots = private constant [2 x %echo_slot] [%echo_slot { i32 1016, i32 0 }, %echo_slot { i32 1024, i32 0 }]
@big = constant %echo_layout { i32 48, i32 1, ptr @big.name, i64 2048, i32 0, i32 0, i32 0, i32 2, ptr @big.slots }
define ptr addrspace(1) @f(ptr addrspace(1) %v) {
  %a = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %b = call ptr addrspace(1) @echo.gc.new(ptr @big)
  %pa = getelementptr i8, ptr addrspace(1) %a, i64 8
  store ptr addrspace(1) %b, ptr addrspace(1) %pa
  %pb = getelementptr i8, ptr addrspace(1) %b, i64 1016
  store ptr addrspace(1) %a, ptr addrspace(1) %pb
  %pc = getelementptr i8, ptr addrspace(1) %b, i64 1024
  store ptr addrspace(1) %v, ptr addrspace(1) %pc
  ret ptr addrspace(1) %a
})";
  FakeHeap heap;
  {
    TestJit jit(heap);
    ASSERT_EQ(ECHO_OK, jit.add(text)) << jit.error.message;
    EXPECT_EQ(2u, jit.statistics().barriers_emitted);
    EXPECT_EQ(1u, jit.statistics().barriers_elided);
  }
  TestJit jit(heap, 2, ECHO_JIT_NO_BARRIER_ELISION);
  ASSERT_EQ(ECHO_OK, jit.add(text)) << jit.error.message;
  EXPECT_EQ(3u, jit.statistics().barriers_emitted);
  EXPECT_EQ(0u, jit.statistics().barriers_elided);
}

TEST(Lowering, OmittedBarriersAreMissing) {
  FakeHeap heap;
  TestJit jit(heap, 2, ECHO_JIT_OMIT_BARRIERS);
  ASSERT_EQ(ECHO_OK, jit.add(R"(
define void @f() {
  %a = call ptr addrspace(1) @echo.gc.new(ptr @node)
  call void @echo.gc.safepoint()
  %pa = getelementptr i8, ptr addrspace(1) %a, i64 8
  store ptr addrspace(1) %a, ptr addrspace(1) %pa
  ret void
})")) << jit.error.message;
  heap.set_phase(1);
  jit.call("f");
  EXPECT_EQ(0u, heap.store_cold);
}

TEST(Lowering, StoreRecipeNoneIsThePlainStore) {
  FakeHeap heap;
  heap.recipes().store_kind = ECHO_STORE_NONE;
  TestJit jit(heap);
  ASSERT_EQ(ECHO_OK, jit.add(R"(
define void @f(ptr addrspace(1) %o, ptr addrspace(1) %v) {
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  store ptr addrspace(1) %v, ptr addrspace(1) %p
  ret void
})")) << jit.error.message;
  EXPECT_EQ(0u, jit.statistics().barriers_emitted);
}

/* The barrier runs before the store, with the slot's address and the new value. */
TEST(Lowering, BarrierSeesSlotAndValue) {
  FakeHeap heap;
  TestJit jit(heap);
  ASSERT_EQ(ECHO_OK, jit.add(R"(
define void @f(ptr addrspace(1) %a, ptr addrspace(1) %b) {
  %pa = getelementptr i8, ptr addrspace(1) %a, i64 16
  store ptr addrspace(1) %b, ptr addrspace(1) %pa
  ret void
})")) << jit.error.message;
  heap.set_phase(1);
  uint64_t a[3] = {3, 0, 77}, b[3] = {3, 0, 0};
  const auto address = [](void* object) { return reinterpret_cast<uint64_t>(object); };
  heap.on_store_cold = [&] { EXPECT_EQ(77u, a[2]) << "the barrier comes before the store"; };
  jit.call("f", {address(a), address(b)});
  ASSERT_EQ(1u, heap.stores.size());
  EXPECT_EQ(address(&a[2]), heap.stores[0].first);
  EXPECT_EQ(address(b), heap.stores[0].second);
  EXPECT_EQ(address(b), a[2]);
}

TEST(Lowering, DeadAllocationsVanish) {
  const Lines lines = disassemble(R"(
define i64 @f(i64 %x) {
  %o = call ptr addrspace(1) @echo.gc.new(ptr @box)
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  store i64 %x, ptr addrspace(1) %p
  %v = load i64, ptr addrspace(1) %p
  ret i64 %v
})",
                                  "f");
  EXPECT_EQ(0u, count_with(lines, "r13")) << text_of(lines);
}

/* Zeroing is still done where a safepoint comes before the program's own stores. [jit.alloc.2] */
TEST(Lowering, PayloadIsZeroAtTheNextSafepoint) {
  for (uint32_t optimise : {0u, 2u}) {
    FakeHeap heap(1 << 20);
    TestJit jit(heap, optimise);
    ASSERT_EQ(ECHO_OK, jit.add(R"(
define i64 @f(i64 %n) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i1, %loop ]
  %o = call ptr addrspace(1) @echo.gc.new(ptr @node)
  call void @echo.gc.safepoint()
  %pa = getelementptr i8, ptr addrspace(1) %o, i64 8
  store ptr addrspace(1) %o, ptr addrspace(1) %pa
  %pb = getelementptr i8, ptr addrspace(1) %o, i64 16
  store ptr addrspace(1) %o, ptr addrspace(1) %pb
  %i1 = add i64 %i, 1
  %go = icmp ult i64 %i1, %n
  br i1 %go, label %loop, label %done
done:
  ret i64 %i1
})")) << jit.error.message;
    heap.set_poll_always(true); /* poisoned memory is reused: a slot that is not zeroed stops the test */
    EXPECT_EQ(200000u, jit.call("f", {200000}));
  }
}

/* Sizes around the bound of inline allocation, constant and variable, all zeroed and of the right length. */
TEST(Lowering, ArraysAroundTheInlineBound) {
  for (uint32_t optimise : {0u, 2u}) {
    FakeHeap heap;
    TestJit jit(heap, optimise);
    ASSERT_EQ(ECHO_OK, jit.add(R"(
define i64 @sum(ptr addrspace(1) %a, i64 %n) noinline {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i1, %body ]
  %acc = phi i64 [ 0, %entry ], [ %acc1, %body ]
  %go = icmp ult i64 %i, %n
  br i1 %go, label %body, label %done
body:
  %o = add i64 %i, 16
  %p = getelementptr i8, ptr addrspace(1) %a, i64 %o
  %b = load i8, ptr addrspace(1) %p
  %z = zext i8 %b to i64
  %acc1 = add i64 %acc, %z
  %i1 = add i64 %i, 1
  br label %loop
done:
  %l = call i64 @echo.gc.length(ptr addrspace(1) %a)
  %l2 = shl i64 %l, 20
  %r = add i64 %l2, %acc
  ret i64 %r
}
define i64 @variable(i64 %n) {
  %a = call ptr addrspace(1) @echo.gc.new_array(ptr @bytes, i64 %n)
  %r = call i64 @sum(ptr addrspace(1) %a, i64 %n)
  ret i64 %r
}
define i64 @constant() {
  %a = call ptr addrspace(1) @echo.gc.new_array(ptr @bytes, i64 4080)
  %r = call i64 @sum(ptr addrspace(1) %a, i64 4080)
  ret i64 %r
}
define i64 @constant_big() {
  %a = call ptr addrspace(1) @echo.gc.new_array(ptr @bytes, i64 4081)
  %r = call i64 @sum(ptr addrspace(1) %a, i64 4081)
  ret i64 %r
})")) << jit.error.message;
    for (int round = 0; round < 3; ++round) {
      heap.collect();
      for (uint64_t n : {0, 1, 7, 8, 9, 100, 4079, 4080, 4081, 100000})
        EXPECT_EQ(n << 20, jit.call("variable", {n})) << n;
      EXPECT_EQ(uint64_t{4080} << 20, jit.call("constant"));
      EXPECT_EQ(uint64_t{4081} << 20, jit.call("constant_big"));
    }
    EXPECT_EQ(3u * 3, heap.allocate_cold) << "4081, 100000 and the constant 4081 take the cold path";
    EXPECT_EQ(ECHO_INVALID_ARGUMENT, jit.try_call("variable", {~uint64_t{0}})) << jit.error.message;
    EXPECT_EQ(ECHO_INVALID_ARGUMENT, jit.try_call("variable", {uint64_t{1} << 61})) << jit.error.message;
  }
}

} // namespace
} // namespace echo::testing
