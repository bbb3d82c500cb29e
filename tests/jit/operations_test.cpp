/* SPDX-License-Identifier: MIT
 *
 * operations_test.cpp - exchange, compare-exchange, bulk copies and fills, tagged slots and aligned objects: results
 * while every object moves at every collection, barriers heard, instructions counted.
 */
#include "jit_fixture.h"

#include <algorithm>
#include <cstring>

namespace echo::testing {
namespace {

const char* const kText = R"(
@kept = global ptr addrspace(1) null
define ptr addrspace(1) @boxed(i64 %v) noinline {
  %o = call ptr addrspace(1) @echo.gc.new(ptr @box)
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  store i64 %v, ptr addrspace(1) %p
  ret ptr addrspace(1) %o
}
define i64 @value(ptr addrspace(1) %o) noinline {
entry:
  %none = icmp eq ptr addrspace(1) %o, null
  br i1 %none, label %zero, label %some
zero:
  ret i64 0
some:
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  %v = load i64, ptr addrspace(1) %p
  ret i64 %v
}
define void @collect() noinline {
  %junk = call ptr addrspace(1) @echo.gc.new(ptr @box)
  store ptr addrspace(1) %junk, ptr @kept
  ret void
}
; node.left = box(1); old = exchange(left, box(2)); 10 * old + new
define i64 @exchange() {
  %n = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %b1 = call ptr addrspace(1) @boxed(i64 1)
  %slot = getelementptr i8, ptr addrspace(1) %n, i64 8
  store ptr addrspace(1) %b1, ptr addrspace(1) %slot
  %b2 = call ptr addrspace(1) @boxed(i64 2)
  %old = call ptr addrspace(1) @echo.gc.exchange(ptr addrspace(1) %n, ptr addrspace(1) %slot, ptr addrspace(1) %b2)
  call void @collect()
  %now = load ptr addrspace(1), ptr addrspace(1) %slot
  %vo = call i64 @value(ptr addrspace(1) %old)
  %vn = call i64 @value(ptr addrspace(1) %now)
  %t = mul i64 %vo, 10
  %r = add i64 %t, %vn
  ret i64 %r
}
; as the instruction itself, with an ordering of its own
define i64 @exchange_instruction() {
  %n = call ptr addrspace(1) @boxed(i64 0)
  %node = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %slot = getelementptr i8, ptr addrspace(1) %node, i64 16
  %old = atomicrmw xchg ptr addrspace(1) %slot, ptr addrspace(1) %n acq_rel, align 8
  call void @collect()
  %isnull = icmp eq ptr addrspace(1) %old, null
  %r = zext i1 %isnull to i64
  ret i64 %r
}
; exchanges if the slot holds box(1), which it does at the first time only: 100 * first + 10 * second + value
define i64 @compare_exchange() {
  %n = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %b1 = call ptr addrspace(1) @boxed(i64 1)
  %slot = getelementptr i8, ptr addrspace(1) %n, i64 8
  store ptr addrspace(1) %b1, ptr addrspace(1) %slot
  %b2 = call ptr addrspace(1) @boxed(i64 2)
  %old1 = call ptr addrspace(1) @echo.gc.compare_exchange(ptr addrspace(1) %n, ptr addrspace(1) %slot, ptr addrspace(1) %b1, ptr addrspace(1) %b2)
  %b3 = call ptr addrspace(1) @boxed(i64 3)
  %old2 = call ptr addrspace(1) @echo.gc.compare_exchange(ptr addrspace(1) %n, ptr addrspace(1) %slot, ptr addrspace(1) %b1, ptr addrspace(1) %b3)
  call void @collect()
  %now = load ptr addrspace(1), ptr addrspace(1) %slot
  %v1 = call i64 @value(ptr addrspace(1) %old1)
  %v2 = call i64 @value(ptr addrspace(1) %old2)
  %v = call i64 @value(ptr addrspace(1) %now)
  %t1 = mul i64 %v1, 100
  %t2 = mul i64 %v2, 10
  %t = add i64 %t1, %t2
  %r = add i64 %t, %v
  ret i64 %r
}
; an array of the boxes 1..n
define ptr addrspace(1) @sequence(i64 %n) noinline {
entry:
  %a = call ptr addrspace(1) @echo.gc.new_array(ptr @refs, i64 %n)
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i1, %loop ]
  %i1 = add i64 %i, 1
  %b = call ptr addrspace(1) @boxed(i64 %i1)
  call void @echo.gc.array_store(ptr addrspace(1) %a, i64 %i, ptr addrspace(1) %b)
  %more = icmp slt i64 %i1, %n
  br i1 %more, label %loop, label %done
done:
  ret ptr addrspace(1) %a
}
; its boxes as the digits of a number
define i64 @digits(ptr addrspace(1) %a) noinline {
entry:
  %n = call i64 @echo.gc.length(ptr addrspace(1) %a)
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i1, %loop ]
  %sum = phi i64 [ 0, %entry ], [ %sum1, %loop ]
  %o8 = shl i64 %i, 3
  %o16 = add i64 %o8, 16
  %slot = getelementptr i8, ptr addrspace(1) %a, i64 %o16
  %b = load ptr addrspace(1), ptr addrspace(1) %slot
  %v = call i64 @value(ptr addrspace(1) %b)
  %ten = mul i64 %sum, 10
  %sum1 = add i64 %ten, %v
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %n
  br i1 %more, label %loop, label %done
done:
  ret i64 %sum1
}
define i64 @move(i64 %n, i64 %to, i64 %from, i64 %count) {
  %a = call ptr addrspace(1) @sequence(i64 %n)
  call void @echo.gc.array_copy(ptr addrspace(1) %a, i64 %to, ptr addrspace(1) %a, i64 %from, i64 %count)
  %r = call i64 @digits(ptr addrspace(1) %a)
  ret i64 %r
}
define i64 @copy(i64 %to, i64 %from, i64 %count) {
  %a = call ptr addrspace(1) @sequence(i64 9)
  %b = call ptr addrspace(1) @echo.gc.new_array(ptr @refs, i64 9)
  call void @echo.gc.array_copy(ptr addrspace(1) %b, i64 %to, ptr addrspace(1) %a, i64 %from, i64 %count)
  %r = call i64 @digits(ptr addrspace(1) %b)
  ret i64 %r
}
define i64 @fill(i64 %index, i64 %count) {
  %a = call ptr addrspace(1) @sequence(i64 9)
  %b = call ptr addrspace(1) @boxed(i64 0)
  call void @echo.gc.array_fill(ptr addrspace(1) %a, i64 %index, i64 %count, ptr addrspace(1) %b)
  %r = call i64 @digits(ptr addrspace(1) %a)
  ret i64 %r
}
; an integer, then a reference, then null in the same slot: what each read sees
define i64 @tagged(i64 %word) {
  %o = call ptr addrspace(1) @echo.gc.new(ptr @tagged_box)
  %slot = getelementptr i8, ptr addrspace(1) %o, i64 8
  call void @echo.gc.tagged_store(ptr addrspace(1) %o, ptr addrspace(1) %slot, i64 %word, i64 5)
  call void @collect()
  %w1 = call i64 @echo.gc.tagged_word(ptr addrspace(1) %slot)
  %r1 = call ptr addrspace(1) @echo.gc.tagged_reference(ptr addrspace(1) %slot)
  call void @collect()
  %v1 = call i64 @value(ptr addrspace(1) %r1)
  %b = call ptr addrspace(1) @boxed(i64 7)
  call void @echo.gc.store(ptr addrspace(1) %o, ptr addrspace(1) %slot, ptr addrspace(1) %b)
  call void @collect()
  %w2 = call i64 @echo.gc.tagged_word(ptr addrspace(1) %slot)
  %r2 = call ptr addrspace(1) @echo.gc.tagged_reference(ptr addrspace(1) %slot)
  call void @collect()
  %v2 = call i64 @value(ptr addrspace(1) %r2)
  %t1 = mul i64 %w1, 10000
  %t2 = mul i64 %v1, 1000
  %t3 = mul i64 %w2, 100
  %s1 = add i64 %t1, %t2
  %s2 = add i64 %s1, %t3
  %s3 = add i64 %s2, %v2
  ret i64 %s3
}
; aligned objects between others: 0 if all are aligned and keep what is stored in them
define i64 @aligned(i64 %n) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i1, %loop ]
  %bad = phi i64 [ 0, %entry ], [ %bad1, %loop ]
  %b = call ptr addrspace(1) @boxed(i64 %i)
  %w = call ptr addrspace(1) @echo.gc.new(ptr @wide_box)
  %last = getelementptr i8, ptr addrspace(1) %w, i64 56
  %zero = load volatile i64, ptr addrspace(1) %last
  store volatile i64 %i, ptr addrspace(1) %last
  %n1 = call ptr addrspace(1) @echo.gc.new(ptr @node)
  store ptr addrspace(1) %n1, ptr @kept
  %v = call i64 @value(ptr addrspace(1) %b)
  %lost = sub i64 %v, %i
  %read = load volatile i64, ptr addrspace(1) %last
  %changed = sub i64 %read, %i
  %x1 = or i64 %bad, %zero
  %x2 = or i64 %x1, %lost
  %bad1 = or i64 %x2, %changed
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %n
  br i1 %more, label %loop, label %done
done:
  ret i64 %bad1
}
)";

struct Mode {
  uint32_t optimise;
  bool stress, polls, barriers;
  bool called = false; /* level 0 */
};

class Operation : public ::testing::TestWithParam<Mode> {
protected:
  Operation() : jit_(heap_, GetParam().optimise, 0, nullptr, 0, GetParam().called ? 1 : 0) {
    EXPECT_EQ(ECHO_OK, jit_.add(kText)) << jit_.error.message;
    heap_.set_stress(GetParam().stress);
    heap_.set_poll_always(GetParam().polls);
    heap_.set_phase(GetParam().barriers ? 1 : 0);
  }
  /* Barriers heard by `call`. */
  template <class Call> uint64_t heard(Call call) {
    const uint64_t before = heap_.store_cold;
    call();
    return heap_.store_cold - before;
  }
  FakeHeap heap_;
  TestJit jit_;
};
INSTANTIATE_TEST_SUITE_P(Modes, Operation,
                         ::testing::Values(Mode{0, false, false, true}, Mode{2, false, false, true},
                                           Mode{0, true, true, false}, Mode{2, true, true, false},
                                           Mode{0, true, false, true}, Mode{2, true, false, true},
                                           Mode{0, true, true, true, true}, Mode{2, true, true, true, true},
                                           Mode{2, false, false, true, true},
                                           Mode{2, true, true, false, true}),
                         [](const ::testing::TestParamInfo<Mode>& parameter) {
                           const Mode& mode = parameter.param;
                           return "O" + std::to_string(mode.optimise) + (mode.stress ? "Stress" : "") +
                                  (mode.polls ? "Polls" : "") + (mode.barriers ? "Barriers" : "") +
                                  (mode.called ? "Called" : "");
                         });

TEST_P(Operation, Exchange) {
  const uint64_t barriers = heard([&] { EXPECT_EQ(12u, jit_.call("exchange")); });
  EXPECT_EQ(GetParam().barriers, barriers >= 1) << barriers;
  if (GetParam().barriers) {
    EXPECT_EQ(1u, heard([&] { EXPECT_EQ(1u, jit_.call("exchange_instruction")); }));
  }
}

TEST_P(Operation, CompareExchange) {
  EXPECT_EQ(122u, jit_.call("compare_exchange"));
  if (GetParam().barriers) {
    EXPECT_LE(2u, heard([&] { EXPECT_EQ(122u, jit_.call("compare_exchange")); }))
        << "also for the one that fails";
  }
}

TEST_P(Operation, ArrayCopiesMayOverlap) {
  EXPECT_EQ(123456789u, jit_.call("move", {9, 3, 3, 6}));
  EXPECT_EQ(112345678u, jit_.call("move", {9, 1, 0, 8})) << "upwards";
  EXPECT_EQ(234567899u, jit_.call("move", {9, 0, 1, 8})) << "downwards";
  EXPECT_EQ(123451239u, jit_.call("move", {9, 5, 0, 3})) << "apart";
  EXPECT_EQ(123456789u, jit_.call("move", {9, 0, 5, 0})) << "nothing";
  EXPECT_EQ(123456789u, jit_.call("move", {9, 0, 5, static_cast<uint64_t>(-3)})) << "less than nothing";
  EXPECT_EQ(123400000u, jit_.call("copy", {0, 0, 4}));
  EXPECT_EQ(789u, jit_.call("copy", {6, 6, 3}));
  if (GetParam().barriers) {
    const uint64_t without = heard([&] { jit_.call("copy", {0, 0, 0}); });
    EXPECT_EQ(without + 7, heard([&] { jit_.call("copy", {1, 0, 7}); })) << "one for each element";
  }
}

TEST_P(Operation, ArrayFill) {
  EXPECT_EQ(120000789u, jit_.call("fill", {2, 4}));
  EXPECT_EQ(123456789u, jit_.call("fill", {2, 0}));
  EXPECT_EQ(0u, jit_.call("fill", {0, 9}));
  if (GetParam().barriers) {
    const uint64_t without = heard([&] { jit_.call("fill", {0, 0}); });
    EXPECT_EQ(without + 9, heard([&] { jit_.call("fill", {0, 9}); }));
  }
}

TEST_P(Operation, TaggedSlots) {
  EXPECT_EQ(85u * 10000 + 7, jit_.call("tagged", {80})) << "the integer with its tag; then the box";
  EXPECT_EQ(85u * 10000 + 7, jit_.call("tagged", {82})) << "low bits of the word give way to the tag";
  if (GetParam().barriers) {
    EXPECT_EQ(2u, heard([&] { jit_.call("tagged", {0}); })) << "the integer's store and the reference's";
  }
}

TEST_P(Operation, AlignedObjects) {
  heap_.fillers_seen = 0;
  EXPECT_EQ(0u, jit_.call("aligned", {100}));
  heap_.walk_space();
  if (!GetParam().stress && !GetParam().polls && !GetParam().called) {
    EXPECT_GT(heap_.fillers_seen, 50u) << "[jit.alloc.3]";
    EXPECT_EQ(0u, heap_.allocate_cold) << "inline";
  }
}

TEST(Operations, ACopyOfAnyLengthDoesNotDelayAStop) {
  FakeHeap heap;
  TestJit jit(heap);
  ASSERT_EQ(ECHO_OK, jit.add(kText)) << jit.error.message;
  jit.call("move", {100000, 1, 0, 99999});
  const uint64_t before = heap.poll_cold;
  unsigned answered = 0;
  heap.on_poll_cold = [&] { ++answered; };
  heap.set_poll_always(true);
  EXPECT_EQ(120000789u, jit.call("fill", {2, 4}));
  EXPECT_GT(heap.poll_cold, before + 4);
  EXPECT_GT(answered, 4u);
}

TEST(Operations, WithoutFillersAlignedObjectsTakeTheColdPath) {
  FakeHeap heap;
  heap.recipes().filler_word = 0;
  TestJit jit(heap);
  ASSERT_EQ(ECHO_OK, jit.add(kText)) << jit.error.message;
  EXPECT_EQ(0u, jit.call("aligned", {10}));
  EXPECT_EQ(10u, heap.allocate_cold);
  heap.walk_space();
}

/* A plugin whose recipes end before the fillers. */
TEST(Operations, ShorterRecipesAreServed) {
  FakeHeap heap;
  heap.recipes().size = offsetof(echo_recipes, filler_word);
  TestJit jit(heap);
  ASSERT_EQ(ECHO_OK, jit.add(kText)) << jit.error.message;
  EXPECT_EQ(0u, jit.call("aligned", {10}));
  EXPECT_EQ(10u, heap.allocate_cold) << "filler_word counts as 0";
}

TEST(Operations, WrongUsesAreRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {"define void @f(ptr addrspace(1) %o, i64 %t) { call void @echo.gc.tagged_store(ptr addrspace(1) %o, "
       "ptr addrspace(1) %o, i64 1, i64 %t) ret void }",
       "constant from 1 to 7 in function 'f'"},
      {"define void @f(ptr addrspace(1) %o) { call void @echo.gc.tagged_store(ptr addrspace(1) %o, "
       "ptr addrspace(1) %o, i64 1, i64 0) ret void }",
       "constant from 1 to 7"},
      {"define void @f(ptr addrspace(1) %o) { call void @echo.gc.tagged_store(ptr addrspace(1) %o, "
       "ptr addrspace(1) %o, i64 1, i64 8) ret void }",
       "constant from 1 to 7"},
      {"define void @f(ptr addrspace(1) %o) \"gc-leaf-function\" { call void @echo.gc.array_fill(ptr "
       "addrspace(1) %o, "
       "i64 0, i64 1, ptr addrspace(1) %o) ret void }",
       "may collect"},
      {"define void @echo.bulk.copy() { ret void }", "reserved name"},
  };
  for (const auto& [text, words] : cases) {
    FakeHeap heap;
    TestJit jit(heap);
    EXPECT_EQ(ECHO_BAD_ABSTRACT_OPERATION, jit.add(text)) << text;
    EXPECT_NE(nullptr, std::strstr(jit.error.message, words)) << jit.error.message;
  }
}

/* --- instructions
 * -------------------------------------------------------------------------------------------------- */

size_t count_with(const std::vector<std::string>& lines, const char* part) {
  return static_cast<size_t>(std::count_if(lines.begin(), lines.end(), [&](const std::string& line) {
    return line.find(part) != std::string::npos;
  }));
}
std::string all(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines)
    text += line + "\n";
  return text;
}

TEST(OperationLowering, ExchangeIsTwoInstructionsAndTheExchange) {
  const auto lines = disassemble(R"(
define ptr addrspace(1) @f(ptr addrspace(1) %o, ptr addrspace(1) %v) {
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  %old = call ptr addrspace(1) @echo.gc.exchange(ptr addrspace(1) %o, ptr addrspace(1) %p, ptr addrspace(1) %v)
  ret ptr addrspace(1) %old
})",
                                 "f");
  EXPECT_EQ(1u, count_with(lines, "cmpb\t$0x0, 0x28(%r13)")) << all(lines);
  EXPECT_EQ(1u, count_with(lines, "xchgq")) << all(lines);
}

TEST(OperationLowering, CompareExchangeIsTwoInstructionsAndTheExchange) {
  const auto lines = disassemble(R"(
define ptr addrspace(1) @f(ptr addrspace(1) %o, ptr addrspace(1) %e, ptr addrspace(1) %v) {
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  %old = call ptr addrspace(1) @echo.gc.compare_exchange(ptr addrspace(1) %o, ptr addrspace(1) %p, ptr addrspace(1) %e, ptr addrspace(1) %v)
  ret ptr addrspace(1) %old
})",
                                 "f");
  EXPECT_EQ(1u, count_with(lines, "cmpb\t$0x0, 0x28(%r13)")) << all(lines);
  EXPECT_EQ(1u, count_with(lines, "lock")) << all(lines);
}

TEST(OperationLowering, TaggedAccess) {
  const auto store = disassemble(R"(
define void @f(ptr addrspace(1) %o, i64 %payload) {
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  %word = shl i64 %payload, 3
  call void @echo.gc.tagged_store(ptr addrspace(1) %o, ptr addrspace(1) %p, i64 %word, i64 1)
  ret void
})",
                                 "f");
  EXPECT_EQ(1u, count_with(store, "cmpb\t$0x0, 0x28(%r13)")) << all(store);
  EXPECT_EQ(0u, count_with(store, "and")) << "a word with its low bits clear is not masked\n" << all(store);
  const auto load = disassemble(R"(
define ptr addrspace(1) @f(ptr addrspace(1) %o) {
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  %r = call ptr addrspace(1) @echo.gc.tagged_reference(ptr addrspace(1) %p)
  ret ptr addrspace(1) %r
})",
                                "f");
  EXPECT_EQ(0u, count_with(load, "call")) << all(load);
  EXPECT_EQ(1u, count_with(load, "cmov")) << all(load);
  EXPECT_LE(load.size(), 4u + 4) << "load, test, zero, choice\n" << all(load);
}

TEST(OperationLowering, AlignedAllocationIsInline) {
  const auto lines = disassemble(R"(
@kept = global ptr addrspace(1) null
define void @f() {
  %w = call ptr addrspace(1) @echo.gc.new(ptr @wide_box)
  store ptr addrspace(1) %w, ptr @kept
  ret void
})",
                                 "f");
  EXPECT_EQ(1u, count_with(lines, "0x10(%r13)")) << "one limit check\n" << all(lines);
  EXPECT_EQ(1u, count_with(lines, "$-0x40")) << "one rounding\n" << all(lines);
}

/* --- level 0
 * --------------------------------------------------------------------------------------------------------- */

const char* const kCalled = "\n!llvm.module.flags = !{!0}\n!0 = !{i32 1, !\"echo.operations\", i32 1}\n";

/* [jit.level.2] */
TEST(LevelZero, EachOperationIsOneCall) {
  const auto lines = disassemble(std::string(R"(
define ptr addrspace(1) @f(ptr addrspace(1) %a, ptr addrspace(1) %v) {
  %n = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %p = getelementptr i8, ptr addrspace(1) %n, i64 8
  store ptr addrspace(1) %a, ptr addrspace(1) %p
  call void @echo.gc.tagged_store(ptr addrspace(1) %a, ptr addrspace(1) %a, i64 8, i64 1)
  %old = call ptr addrspace(1) @echo.gc.exchange(ptr addrspace(1) %n, ptr addrspace(1) %p, ptr addrspace(1) %v)
  %o2 = call ptr addrspace(1) @echo.gc.compare_exchange(ptr addrspace(1) %n, ptr addrspace(1) %p, ptr addrspace(1) %v, ptr addrspace(1) %old)
  ret ptr addrspace(1) %o2
})") + kCalled,
                                 "f");
  /* allocation, raise, store, tagged store, two exchanges, the poll of the return */
  EXPECT_EQ(7u, count_with(lines, "call")) << all(lines);
  EXPECT_EQ(0u, count_with(lines, "(%r13)")) << "the thread block is not touched\n" << all(lines);
  EXPECT_EQ(0u, count_with(lines, "xchg")) << all(lines);
}

TEST(LevelZero, IsChosenByTheModule) {
  FakeHeap heap;
  TestJit jit(heap);
  ASSERT_EQ(ECHO_OK, jit.add(std::string(kText) + kCalled, "called")) << jit.error.message;
  EXPECT_EQ(0u, jit.call("aligned", {10}));
  EXPECT_EQ(30u, heap.allocate_cold) << "every allocation is a call";
  /* a module of the other level works with it */
  ASSERT_EQ(ECHO_OK, jit.add_raw(R"(
%echo_layout = type { i32, i32, ptr, i64, i32, i32, i32, i32, ptr }
@own.name = private constant [4 x i8] c"own\00"
@own = private constant %echo_layout { i32 48, i32 1, ptr @own.name, i64 16, i32 0, i32 0, i32 4, i32 0, ptr null }
declare ptr addrspace(1) @echo.gc.new(ptr)
declare i64 @value(ptr addrspace(1))
define i64 @g() {
  %o = call ptr addrspace(1) @echo.gc.new(ptr @own)
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  store i64 41, ptr addrspace(1) %p
  %v = call i64 @value(ptr addrspace(1) %o)
  ret i64 %v
})",
                                 "inline"))
      << jit.error.message;
  EXPECT_EQ(41u, jit.call("g"));
  EXPECT_EQ(30u, heap.allocate_cold);
}

TEST(LevelZero, TheModuleOverridesTheOption) {
  FakeHeap heap;
  TestJit jit(heap, 2, 0, nullptr, 0, ECHO_JIT_OPERATIONS_CALLED);
  ASSERT_EQ(ECHO_OK, jit.add(std::string(kText) +
                             "\n!llvm.module.flags = !{!0}\n!0 = !{i32 1, !\"echo.operations\", i32 0}\n"))
      << jit.error.message;
  EXPECT_EQ(0u, jit.call("aligned", {10}));
  EXPECT_EQ(0u, heap.allocate_cold);
}

TEST(LevelZero, UnknownLevelsAreRefused) {
  FakeHeap heap;
  TestJit jit(heap);
  EXPECT_EQ(ECHO_BAD_ABSTRACT_OPERATION,
            jit.add("!llvm.module.flags = !{!0}\n!0 = !{i32 1, !\"echo.operations\", i32 2}\n"));
  EXPECT_NE(nullptr, std::strstr(jit.error.message, "echo.operations")) << jit.error.message;
}

} // namespace
} // namespace echo::testing
