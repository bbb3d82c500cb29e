/* SPDX-License-Identifier: MIT
 *
 * derived_test.cpp - pointers into the middle of objects follow their objects when a collection moves them.
 *
 * Method      The programs keep interior pointers that cannot be computed again from the object: a walk with a step
 *             known at run time only, and a choice between two objects at different offsets. Every allocation
 *             moves every object and poisons what it left, so a stale pointer reads the poison. The last
 *             test leaves derived pointers behind on purpose and sees the programs go wrong.
 */
#include "jit_fixture.h"

namespace echo::testing {
namespace {

const char* const kText = R"(
@sink = global ptr addrspace(1) null
define void @collect() noinline {
  %junk = call ptr addrspace(1) @echo.gc.new(ptr @box)
  store ptr addrspace(1) %junk, ptr @sink
  ret void
}
; words[0..n) = 1000, 1001, ...; then every `step`-th is summed through a pointer that only moves forward
define i64 @walk(i64 %n, i64 %step) {
entry:
  %a = call ptr addrspace(1) @echo.gc.new_array(ptr @ints, i64 %n)
  %first = getelementptr i8, ptr addrspace(1) %a, i64 16
  br label %fill
fill:
  %i = phi i64 [ 0, %entry ], [ %i1, %fill ]
  %v = add i64 %i, 1000
  %to = getelementptr i64, ptr addrspace(1) %first, i64 %i
  store i64 %v, ptr addrspace(1) %to
  %i1 = add i64 %i, 1
  %more = icmp ult i64 %i1, %n
  br i1 %more, label %fill, label %sum
sum:
  %p = phi ptr addrspace(1) [ %first, %fill ], [ %p1, %sum ]
  %at = phi i64 [ 0, %fill ], [ %at1, %sum ]
  %total = phi i64 [ 0, %fill ], [ %total1, %sum ]
  call void @collect()
  %w = load i64, ptr addrspace(1) %p
  %total1 = add i64 %total, %w
  %p1 = getelementptr i64, ptr addrspace(1) %p, i64 %step
  %at1 = add i64 %at, %step
  %go = icmp ult i64 %at1, %n
  br i1 %go, label %sum, label %done
done:
  ret i64 %total1
}
define ptr addrspace(1) @make_words() noinline {
  %a = call ptr addrspace(1) @echo.gc.new_array(ptr @ints, i64 4)
  %pa = getelementptr i8, ptr addrspace(1) %a, i64 32
  store i64 33, ptr addrspace(1) %pa
  ret ptr addrspace(1) %a
}
define ptr addrspace(1) @make_box() noinline {
  %b = call ptr addrspace(1) @echo.gc.new(ptr @box)
  %pb = getelementptr i8, ptr addrspace(1) %b, i64 8
  store i64 77, ptr addrspace(1) %pb
  ret ptr addrspace(1) %b
}
; the third word of a or the first of b: whose object it is, is known at run time only
define i64 @choose(i64 %which, i1 %again) {
entry:
  %a = call ptr addrspace(1) @make_words()
  %b = call ptr addrspace(1) @make_box()
  %one = icmp eq i64 %which, 1
  br i1 %one, label %left, label %right
left:
  %pa = getelementptr i8, ptr addrspace(1) %a, i64 32
  call void @collect()
  br label %both
right:
  %pb = getelementptr i8, ptr addrspace(1) %b, i64 8
  call void @collect()
  br label %both
both:
  %p = phi ptr addrspace(1) [ %pa, %left ], [ %pb, %right ]
  call void @collect()
  br i1 %again, label %more, label %done
more:
  call void @collect()
  br label %done
done:
  %v = load i64, ptr addrspace(1) %p
  ret i64 %v
}
)";

class Derived : public ::testing::TestWithParam<uint32_t> {
protected:
  Derived() : jit_(heap_, GetParam()) {
    EXPECT_EQ(ECHO_OK, jit_.add(kText)) << jit_.error.message;
    heap_.set_stress(true);
  }
  FakeHeap heap_;
  TestJit jit_;
};
INSTANTIATE_TEST_SUITE_P(Levels, Derived, ::testing::Values(0u, 2u),
                         [](const ::testing::TestParamInfo<uint32_t>& level) {
                           return "O" + std::to_string(level.param);
                         });

TEST_P(Derived, PointersFollowTheirObjects) {
  EXPECT_EQ(1000u + 1003 + 1006 + 1009, jit_.call("walk", {10, 3}));
  for (uint64_t again : {0u, 1u}) {
    EXPECT_EQ(33u, jit_.call("choose", {1, again}));
    EXPECT_EQ(77u, jit_.call("choose", {2, again}));
  }
  EXPECT_GT(heap_.collections, 10u);
  EXPECT_GT(heap_.derived_seen, 3u) << "interior pointers were live over collections";
  EXPECT_GT(jit_.statistics().derived_pairs, 1u);
}

/* Slices of one frame report the same. */
TEST_P(Derived, PointersFollowInSlices) {
  heap_.walk_slice = 1;
  EXPECT_EQ(1000u + 1001 + 1002 + 1003, jit_.call("walk", {4, 1}));
  EXPECT_GT(heap_.derived_seen, 2u);
}

TEST_P(Derived, PointersLeftBehindAreNoticed) {
  heap_.fix_derived = false;
  EXPECT_NE(1000u + 1003 + 1006 + 1009, jit_.call("walk", {10, 3}));
  if (GetParam() != 0)
    return; /* O2 makes the choice between the objects and computes the address again from the chosen one */
  /* an even number of moves between two spaces brings an object back to where the stale pointer points */
  EXPECT_TRUE(jit_.call("choose", {1, 0}) != 33 || jit_.call("choose", {1, 1}) != 33);
  EXPECT_TRUE(jit_.call("choose", {2, 0}) != 77 || jit_.call("choose", {2, 1}) != 77);
}

} // namespace
} // namespace echo::testing
