/* SPDX-License-Identifier: MIT
 *
 * merged_test.cpp - several allocations behind one comparison with the limit. [jit.alloc.4] [jit.alloc.5]
 */
#include "jit_fixture.h"

#include <algorithm>

namespace echo::testing {
namespace {

FakeHeap* current_heap = nullptr;

extern "C" void merged_test_collect() {
  current_heap->collect();
}

/* %parent(%left(%a), %right), three nodes; and a box with a number, so that the order of the fields shows. */
const char* const kFamily = R"(
define ptr addrspace(1) @family(ptr addrspace(1) %a) noinline {
  %left = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %pa = getelementptr i8, ptr addrspace(1) %left, i64 8
  store ptr addrspace(1) %a, ptr addrspace(1) %pa
  %right = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %parent = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %pl = getelementptr i8, ptr addrspace(1) %parent, i64 8
  store ptr addrspace(1) %left, ptr addrspace(1) %pl
  %pr = getelementptr i8, ptr addrspace(1) %parent, i64 16
  store ptr addrspace(1) %right, ptr addrspace(1) %pr
  %pb = getelementptr i8, ptr addrspace(1) %left, i64 16
  store ptr addrspace(1) %right, ptr addrspace(1) %pb
  ret ptr addrspace(1) %parent
}
)";
const char* const kUse = R"(
declare void @test.collect()
; the number in the box behind parent.left.left, if all else is as built
define i64 @check(ptr addrspace(1) %parent) noinline {
  %pl = getelementptr i8, ptr addrspace(1) %parent, i64 8
  %left = load ptr addrspace(1), ptr addrspace(1) %pl
  %pr = getelementptr i8, ptr addrspace(1) %parent, i64 16
  %right = load ptr addrspace(1), ptr addrspace(1) %pr
  %pa = getelementptr i8, ptr addrspace(1) %left, i64 8
  %a = load ptr addrspace(1), ptr addrspace(1) %pa
  %pb = getelementptr i8, ptr addrspace(1) %left, i64 16
  %b = load ptr addrspace(1), ptr addrspace(1) %pb
  %same = icmp eq ptr addrspace(1) %b, %right
  %rl = getelementptr i8, ptr addrspace(1) %right, i64 8
  %n1 = load ptr addrspace(1), ptr addrspace(1) %rl
  %null1 = icmp eq ptr addrspace(1) %n1, null
  %rr = getelementptr i8, ptr addrspace(1) %right, i64 16
  %n2 = load ptr addrspace(1), ptr addrspace(1) %rr
  %null2 = icmp eq ptr addrspace(1) %n2, null
  %ok1 = and i1 %same, %null1
  %ok = and i1 %ok1, %null2
  %px = getelementptr i8, ptr addrspace(1) %a, i64 8
  %x = load i64, ptr addrspace(1) %px
  %r = select i1 %ok, i64 %x, i64 -1
  ret i64 %r
}
define i64 @round(i64 %x) {
  %a = call ptr addrspace(1) @make(i64 %x)
  %p = call ptr addrspace(1) @family(ptr addrspace(1) %a)
  call void @test.collect()
  %r = call i64 @check(ptr addrspace(1) %p)
  ret i64 %r
}
define i64 @rounds(i64 %n) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i1, %loop ]
  %s = phi i64 [ 0, %entry ], [ %s1, %loop ]
  %a = call ptr addrspace(1) @make(i64 %i)
  %p = call ptr addrspace(1) @family(ptr addrspace(1) %a)
  %x = call i64 @check(ptr addrspace(1) %p)
  %s1 = add i64 %s, %x
  %i1 = add i64 %i, 1
  %go = icmp ult i64 %i1, %n
  br i1 %go, label %loop, label %done
done:
  ret i64 %s1
}
)";

struct Family {
  explicit Family(uint32_t optimise, uint32_t switches = 0, uint64_t space = uint64_t{8} << 20)
      : heap(space), jit(heap, optimise, switches | ECHO_JIT_VERIFY) {
    current_heap = &heap;
    jit.define("test.collect", reinterpret_cast<void*>(merged_test_collect));
    EXPECT_EQ(ECHO_OK, jit.add(std::string(kMake) + kFamily + kUse)) << jit.error.message;
  }
  FakeHeap heap;
  TestJit jit;
};

size_t count_with(const std::vector<std::string>& lines, const std::string& part) {
  return static_cast<size_t>(std::count_if(lines.begin(), lines.end(), [&](const std::string& line) {
    return line.find(part) != std::string::npos;
  }));
}
std::string text_of(const std::vector<std::string>& lines) {
  std::string all;
  for (const std::string& line : lines)
    all += line + "\n";
  return all;
}

/* Up to the return: what runs when there is room. */
std::vector<std::string> fast_path(const std::vector<std::string>& lines) {
  const auto end = std::find(lines.begin(), lines.end(), "retq");
  return {lines.begin(), end};
}

/* By itself an allocation takes 6 instructions: load, add, compare, branch, store of the cursor, header. Three behind one
 * comparison: 4 + the cursor's store + 3 headers + 2 addresses, and nothing for barriers or zeroing of what is stored. */
TEST(Merged, ThreeAllocationsInTenInstructions) {
  const std::vector<std::string> all = disassemble(kFamily, "family");
  const std::vector<std::string> lines = fast_path(all);
  EXPECT_EQ(1u, count_with(lines, "movq\t0x30(%r13)")) << text_of(all);
  EXPECT_EQ(1u, count_with(lines, "cmpq\t0x10(%r13)")) << text_of(all);
  EXPECT_EQ(1u, count_with(lines, ", 0x30(%r13)")) << "the cursor is stored once\n" << text_of(all);
  EXPECT_EQ(3u, count_with(lines, "movq\t$0x3, ")) << "headers\n" << text_of(all);
  EXPECT_EQ(3u, count_with(lines, "leaq")) << "the end, and two objects\n" << text_of(all);
  EXPECT_EQ(0u, count_with(lines, "cmpb")) << "no barrier\n" << text_of(all);
  EXPECT_EQ(1u, count_with(lines, "%xmm0, 0x")) << "only the right node is zeroed: nothing is stored in it\n"
                                                << text_of(all);
  EXPECT_EQ(0u, count_with(lines, "callq")) << text_of(all);
}

class MergedRun : public ::testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Levels, MergedRun, ::testing::Values(0u, 2u),
                         [](const ::testing::TestParamInfo<uint32_t>& level) {
                           return "O" + std::to_string(level.param);
                         });

TEST_P(MergedRun, Inline) {
  Family family(GetParam());
  family.heap.set_phase(1);
  EXPECT_EQ(42u, family.jit.call("round", {42}));
  EXPECT_EQ(0u, family.heap.allocate_cold);
  EXPECT_EQ(0u, family.heap.store_cold) << "all three count as new";
  family.heap.walk_space();
}

/* Stress keeps inline allocation off: the copy makes each object by its cold path, which collects and moves the others. */
TEST_P(MergedRun, AloneUnderStress) {
  Family family(GetParam());
  family.heap.set_stress(true);
  family.heap.set_phase(1);
  EXPECT_EQ(42u, family.jit.call("round", {42}));
  EXPECT_EQ(4u, family.heap.allocate_cold);
  EXPECT_EQ(1u, family.heap.store_cold) << "left is no longer new when right is stored in it";
  for (uint64_t x = 0; x < 50; ++x)
    EXPECT_EQ(x, family.jit.call("round", {x}));
}

/* The end of a space comes between the three in every way. */
TEST_P(MergedRun, WhereTheLimitFallsInside) {
  for (uint64_t space = 4096; space < 4096 + 160; space += 8) {
    Family family(GetParam(), 0, space);
    EXPECT_EQ(1000u * 999 / 2, family.jit.call("rounds", {1000})) << space;
    EXPECT_GT(family.heap.collections, 10u);
    family.heap.walk_space();
  }
}

/* Each of the cold paths may fail; what was made before stays whole. */
TEST_P(MergedRun, AFailureLeavesAtItsAllocation) {
  for (uint64_t good = 0; good < 4; ++good) {
    Family family(GetParam());
    family.heap.set_stress(true);
    family.heap.fail_after = good;
    EXPECT_EQ(ECHO_HEAP_LIMIT, family.jit.try_call("round", {1})) << good;
    EXPECT_EQ(good + 1, family.heap.allocate_cold);
    family.heap.walk_space();
  }
}

/* A safepoint between ends the region; so do sizes that are not constant, large, or aligned. */
TEST(Merged, WhatIsNotMerged) {
  const auto checks = [](const std::string& between, const std::string& second) {
    const std::vector<std::string> lines =
        disassemble("define void @stop() noinline { call void @echo.gc.safepoint() ret void }\n@out = global "
                    "ptr addrspace(1) null\n"
                    "define ptr addrspace(1) @f(i64 %n) {\n"
                    "%a = call ptr addrspace(1) @echo.gc.new(ptr @node)\n" +
                        between + "%b = call ptr addrspace(1) " + second +
                        "\n store ptr addrspace(1) %b, ptr @out\n ret ptr addrspace(1) %a }",
                    "f");
    return count_with(lines, "cmpq\t0x10(%r13)");
  };
  const char* const node = "@echo.gc.new(ptr @node)";
  EXPECT_EQ(1u, checks("", node));
  EXPECT_EQ(1u, checks("", "@echo.gc.new_array(ptr @ints, i64 4)")) << "a constant length is a constant size";
  EXPECT_EQ(2u, checks("call void @stop()\n", node));
  EXPECT_EQ(2u, checks("call void @echo.gc.safepoint()\n", node));
  EXPECT_EQ(2u, checks("", "@echo.gc.new_array(ptr @ints, i64 %n)")) << "variable";
  EXPECT_EQ(2u, checks("", "@echo.gc.new_array(ptr @ints, i64 100)")) << "over 512 bytes together";
  EXPECT_EQ(1u, checks("", "@echo.gc.new_array(ptr @ints, i64 100000)")) << "large: no check at all";
  EXPECT_EQ(2u, checks("", "@echo.gc.new(ptr @wide_box)")) << "aligned";
}

/* Broken on purpose: over a collection the cursor of the first allocation is not the heap's any more. */
TEST(Merged, OverASafepointTheSecondObjectIsLost) {
  const char* const text = R"(
declare void @test.collect()
@out = global ptr addrspace(1) null
define ptr addrspace(1) @f() {
  %a = call ptr addrspace(1) @echo.gc.new(ptr @node)
  store ptr addrspace(1) %a, ptr @out
  call void @test.collect()
  %b = call ptr addrspace(1) @echo.gc.new(ptr @node)
  ret ptr addrspace(1) %b
})";
  for (const uint32_t switches : {0u, uint32_t{ECHO_JIT_ELIDE_OVER_SAFEPOINTS}}) {
    FakeHeap heap;
    current_heap = &heap;
    TestJit jit(heap, 2, switches);
    jit.define("test.collect", reinterpret_cast<void*>(merged_test_collect));
    ASSERT_EQ(ECHO_OK, jit.add(text)) << jit.error.message;
    const uint64_t b = jit.call("f");
    EXPECT_EQ(switches == 0, heap.contains(reinterpret_cast<echo_ref>(b)));
  }
}

} // namespace
} // namespace echo::testing
