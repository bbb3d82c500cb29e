/* SPDX-License-Identifier: MIT
 *
 * programs_test.cpp - programs whose every object moves at every collection compute what they should.
 */
#include "jit_fixture.h"

namespace echo::testing {

/* Binary trees and the traps of relocation: two fresh objects, interior pointers in loops, vectors of
 * references, struct values, references in globals. */
extern const char* const kPrograms = R"(
define ptr addrspace(1) @make(i64 %d) noinline {
entry:
  %leaf = icmp eq i64 %d, 0
  br i1 %leaf, label %l, label %r
l:
  %n0 = call ptr addrspace(1) @echo.gc.new(ptr @node)
  ret ptr addrspace(1) %n0
r:
  %d1 = sub i64 %d, 1
  %a = call ptr addrspace(1) @make(i64 %d1)
  %b = call ptr addrspace(1) @make(i64 %d1)
  %n = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %pa = getelementptr i8, ptr addrspace(1) %n, i64 8
  call void @echo.gc.store(ptr addrspace(1) %n, ptr addrspace(1) %pa, ptr addrspace(1) %a)
  %pb = getelementptr i8, ptr addrspace(1) %n, i64 16
  store ptr addrspace(1) %b, ptr addrspace(1) %pb
  ret ptr addrspace(1) %n
}
define i64 @check(ptr addrspace(1) %n) noinline {
entry:
  %pa = getelementptr i8, ptr addrspace(1) %n, i64 8
  %a = load ptr addrspace(1), ptr addrspace(1) %pa
  %nul = icmp eq ptr addrspace(1) %a, null
  br i1 %nul, label %leaf, label %rec
leaf:
  ret i64 1
rec:
  %ca = call i64 @check(ptr addrspace(1) %a)
  %pb = getelementptr i8, ptr addrspace(1) %n, i64 16
  %b = load ptr addrspace(1), ptr addrspace(1) %pb
  %cb = call i64 @check(ptr addrspace(1) %b)
  %s = add i64 %ca, %cb
  %s1 = add i64 %s, 1
  ret i64 %s1
}
define void @mirror(ptr addrspace(1) %n) noinline {
entry:
  %pa = getelementptr i8, ptr addrspace(1) %n, i64 8
  %a = load ptr addrspace(1), ptr addrspace(1) %pa
  %nul = icmp eq ptr addrspace(1) %a, null
  br i1 %nul, label %done, label %rec
rec:
  %pb = getelementptr i8, ptr addrspace(1) %n, i64 16
  %b = load ptr addrspace(1), ptr addrspace(1) %pb
  call void @echo.gc.store(ptr addrspace(1) %n, ptr addrspace(1) %pa, ptr addrspace(1) %b)
  call void @echo.gc.store(ptr addrspace(1) %n, ptr addrspace(1) %pb, ptr addrspace(1) %a)
  call void @mirror(ptr addrspace(1) %a)
  call void @mirror(ptr addrspace(1) %b)
  br label %done
done:
  ret void
}
define i64 @trees(i64 %n) {
entry:
  %long = call ptr addrspace(1) @make(i64 %n)
  br label %inner
inner:
  %i = phi i64 [ 0, %entry ], [ %i1, %inner ]
  %acc = phi i64 [ 0, %entry ], [ %acc1, %inner ]
  %t1 = call ptr addrspace(1) @make(i64 3)
  %c = call i64 @check(ptr addrspace(1) %t1)
  %acc1 = add i64 %acc, %c
  %i1 = add i64 %i, 1
  %go = icmp ult i64 %i1, 10
  br i1 %go, label %inner, label %exit
exit:
  call void @mirror(ptr addrspace(1) %long)
  %cl = call i64 @check(ptr addrspace(1) %long)
  %r = add i64 %acc1, %cl
  ret i64 %r
}
; two fresh objects, both live at a collection: the cursor must not become a base
define i64 @pair(i64 %x) {
  %o1 = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %o2 = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %tree = call ptr addrspace(1) @make(i64 3)
  %a1 = getelementptr i8, ptr addrspace(1) %o1, i64 8
  %b1 = getelementptr i8, ptr addrspace(1) %o1, i64 16
  store ptr addrspace(1) %o2, ptr addrspace(1) %a1
  store ptr addrspace(1) %tree, ptr addrspace(1) %b1
  %r = call i64 @check(ptr addrspace(1) %o1)
  ret i64 %r
}
; an interior pointer that lives over collections
define i64 @interior(i64 %k) {
entry:
  %n = call ptr addrspace(1) @make(i64 4)
  %first = getelementptr i8, ptr addrspace(1) %n, i64 8
  br label %loop
loop:
  %p = phi ptr addrspace(1) [ %first, %entry ], [ %p2, %loop ]
  %i = phi i64 [ 0, %entry ], [ %i1, %loop ]
  %acc = phi i64 [ 0, %entry ], [ %acc1, %loop ]
  %v = load ptr addrspace(1), ptr addrspace(1) %p
  %c = call i64 @check(ptr addrspace(1) %v)
  %junk = call ptr addrspace(1) @make(i64 2)
  %cj = call i64 @check(ptr addrspace(1) %junk)
  %acc0 = add i64 %acc, %c
  %acc1 = add i64 %acc0, %cj
  %p2 = getelementptr i8, ptr addrspace(1) %p, i64 8
  %i1 = add i64 %i, 1
  %go = icmp ult i64 %i1, 2
  br i1 %go, label %loop, label %exit
exit:
  ret i64 %acc1
}
; a vector of references, live over a collection and stored
define i64 @vector(i64 %k) {
  %n = call ptr addrspace(1) @make(i64 4)
  %pa = getelementptr i8, ptr addrspace(1) %n, i64 8
  %m = call ptr addrspace(1) @make(i64 0)
  %qa = getelementptr i8, ptr addrspace(1) %m, i64 8
  %ab = load <2 x ptr addrspace(1)>, ptr addrspace(1) %pa, align 8
  %junk = call ptr addrspace(1) @make(i64 2)
  store <2 x ptr addrspace(1)> %ab, ptr addrspace(1) %qa, align 8
  %c = call i64 @check(ptr addrspace(1) %m)
  %cj = call i64 @check(ptr addrspace(1) %junk)
  %s = add i64 %c, %cj
  ret i64 %s
}
; struct values with references
define { ptr addrspace(1), i64 } @both(i64 %d) noinline {
  %t = call ptr addrspace(1) @make(i64 %d)
  %s0 = insertvalue { ptr addrspace(1), i64 } poison, ptr addrspace(1) %t, 0
  %s1 = insertvalue { ptr addrspace(1), i64 } %s0, i64 %d, 1
  ret { ptr addrspace(1), i64 } %s1
}
define { ptr addrspace(1), i64 } @pass_on(i64 %d, i1 %which) noinline {
  br i1 %which, label %x, label %y
x:
  %vx = call { ptr addrspace(1), i64 } @both(i64 %d)
  br label %z
y:
  %e = add i64 %d, 1
  %vy = call { ptr addrspace(1), i64 } @both(i64 %e)
  br label %z
z:
  %v = phi { ptr addrspace(1), i64 } [ %vx, %x ], [ %vy, %y ]
  %junk = call ptr addrspace(1) @make(i64 2)
  ret { ptr addrspace(1), i64 } %v
}
define i64 @structs(i64 %k) {
  %odd = trunc i64 %k to i1
  %s = call { ptr addrspace(1), i64 } @pass_on(i64 %k, i1 %odd)
  %junk = call ptr addrspace(1) @make(i64 2)
  %t = extractvalue { ptr addrspace(1), i64 } %s, 0
  %d = extractvalue { ptr addrspace(1), i64 } %s, 1
  %c = call i64 @check(ptr addrspace(1) %t)
  %r = add i64 %c, %d
  ret i64 %r
}
; references in globals
@saved = internal global { i64, ptr addrspace(1), [3 x ptr addrspace(1)] } zeroinitializer
@shared = global ptr addrspace(1) null
define i64 @globals(i64 %k) {
entry:
  %t = call ptr addrspace(1) @make(i64 3)
  store ptr addrspace(1) %t, ptr @shared
  %u = call ptr addrspace(1) @make(i64 2)
  store ptr addrspace(1) %u, ptr getelementptr (i8, ptr @saved, i64 8)
  %i = and i64 %k, 1
  %p = getelementptr [3 x ptr addrspace(1)], ptr getelementptr (i8, ptr @saved, i64 16), i64 0, i64 %i
  %v = call ptr addrspace(1) @make(i64 1)
  store ptr addrspace(1) %v, ptr %p
  %junk = call ptr addrspace(1) @make(i64 3)
  %t1 = load ptr addrspace(1), ptr @shared
  %u1 = load ptr addrspace(1), ptr getelementptr (i8, ptr @saved, i64 8)
  %v1 = load ptr addrspace(1), ptr %p
  %ct = call i64 @check(ptr addrspace(1) %t1)
  %cu = call i64 @check(ptr addrspace(1) %u1)
  %cv = call i64 @check(ptr addrspace(1) %v1)
  %s = add i64 %ct, %cu
  %r = add i64 %s, %cv
  ret i64 %r
}
; arrays: constant and variable lengths, elements zero, lengths right
define i64 @arrays(i64 %n) {
entry:
  %a = call ptr addrspace(1) @echo.gc.new_array(ptr @refs, i64 %n)
  br label %fill
fill:
  %i = phi i64 [ 0, %entry ], [ %i1, %fill ]
  %e = call ptr addrspace(1) @make(i64 1)
  call void @echo.gc.array_store(ptr addrspace(1) %a, i64 %i, ptr addrspace(1) %e)
  %i1 = add i64 %i, 1
  %go = icmp ult i64 %i1, %n
  br i1 %go, label %fill, label %filled
filled:
  %small = call ptr addrspace(1) @echo.gc.new_array(ptr @ints, i64 3)
  %q = getelementptr i8, ptr addrspace(1) %small, i64 32
  %zero = load i64, ptr addrspace(1) %q
  %bytes = call ptr addrspace(1) @echo.gc.new_array(ptr @bytes, i64 %n)
  %lb = call i64 @echo.gc.length(ptr addrspace(1) %bytes)
  %la = call i64 @echo.gc.length(ptr addrspace(1) %a)
  %ls = call i64 @echo.gc.length(ptr addrspace(1) %small)
  br label %sum
sum:
  %j = phi i64 [ 0, %filled ], [ %j1, %sum ]
  %acc = phi i64 [ 0, %filled ], [ %acc1, %sum ]
  %off = shl i64 %j, 3
  %off16 = add i64 %off, 16
  %slot = getelementptr i8, ptr addrspace(1) %a, i64 %off16
  %v = load ptr addrspace(1), ptr addrspace(1) %slot
  %c = call i64 @check(ptr addrspace(1) %v)
  %acc1 = add i64 %acc, %c
  %j1 = add i64 %j, 1
  %more = icmp ult i64 %j1, %n
  br i1 %more, label %sum, label %exit
exit:
  %s1 = add i64 %acc1, %zero
  %s2 = mul i64 %lb, 1000
  %s3 = mul i64 %la, 1000000
  %s4 = mul i64 %ls, 1000000000
  %r1 = add i64 %s1, %s2
  %r2 = add i64 %r1, %s3
  %r3 = add i64 %r2, %s4
  ret i64 %r3
}
; plain loads of header and length of fresh objects: never folded to 0
define i64 @plain_header(i64 %n) {
  %o = call ptr addrspace(1) @echo.gc.new(ptr @box)
  %h = load i64, ptr addrspace(1) %o
  %a = call ptr addrspace(1) @echo.gc.new_array(ptr @ints, i64 %n)
  %lp = getelementptr i8, ptr addrspace(1) %a, i64 8
  %l = load i64, ptr addrspace(1) %lp
  %ho = call i64 @echo.gc.header(ptr addrspace(1) %o)
  %d = sub i64 %h, %ho
  %x = mul i64 %l, 100
  %y = add i64 %x, %h
  %r = add i64 %y, %d
  ret i64 %r
}
define i64 @raw(i64 %n) {
  %a = call ptr addrspace(1) @echo.gc.new_array(ptr @bytes, i64 %n)
  %b = call ptr addrspace(1) @echo.gc.new_array(ptr @bytes, i64 %n)
  %pa = getelementptr i8, ptr addrspace(1) %a, i64 16
  %pb = getelementptr i8, ptr addrspace(1) %b, i64 16
  call void @echo.gc.raw_fill(ptr addrspace(1) %pa, i8 7, i64 %n)
  call void @echo.gc.safepoint()
  call void @echo.gc.raw_copy(ptr addrspace(1) %pb, ptr addrspace(1) %pa, i64 %n)
  %last = getelementptr i8, ptr addrspace(1) %b, i64 20
  %v = load i8, ptr addrspace(1) %last
  %r = zext i8 %v to i64
  ret i64 %r
}
)";

namespace {

struct Mode {
  uint32_t optimise;
  bool stress, polls, barriers;
  bool called = false; /* level 0 */
};

class Programs : public ::testing::TestWithParam<Mode> {};

TEST_P(Programs, ComputeTheSame) {
  const Mode mode = GetParam();
  FakeHeap heap;
  TestJit jit(heap, mode.optimise, 0, nullptr, 0, mode.called ? 1 : 0);
  ASSERT_EQ(ECHO_OK, jit.add(kPrograms)) << jit.error.message;
  heap.set_stress(mode.stress);
  heap.set_poll_always(mode.polls);
  heap.set_phase(mode.barriers ? 1 : 0);
  EXPECT_EQ(10u * 15 + 127, jit.call("trees", {6}));
  EXPECT_EQ(1u + 1 + 15, jit.call("pair", {1}));
  EXPECT_EQ(2u * 15 + 2 * 7, jit.call("interior", {1}));
  EXPECT_EQ(31u + 7, jit.call("vector", {1}));
  EXPECT_EQ(15u + 3, jit.call("structs", {3}));
  EXPECT_EQ(63u + 5, jit.call("structs", {4}));
  EXPECT_EQ(15u + 7 + 3, jit.call("globals", {5}));
  EXPECT_EQ(3u * 1000000000 + 20u * 1000000 + 20u * 1000 + 20u * 3, jit.call("arrays", {20}));
  EXPECT_EQ(500u + heap.layout_by_name("box") * 2 + 1, jit.call("plain_header", {5}));
  EXPECT_EQ(7u, jit.call("raw", {50}));
  if (mode.stress || mode.polls) {
    EXPECT_GT(heap.collections, 100u);
    EXPECT_TRUE(mode.optimise != 0 || heap.derived_seen > 0) << "O2 recomputes derived pointers, O0 does not";
  }
  EXPECT_EQ(mode.barriers, heap.store_cold > 50) << heap.store_cold;
  EXPECT_EQ(!mode.barriers, heap.store_cold == 0) << heap.store_cold;
}

INSTANTIATE_TEST_SUITE_P(Modes, Programs,
                         ::testing::Values(Mode{2, false, false, false}, Mode{0, false, false, false},
                                           Mode{2, true, false, false}, Mode{0, true, false, false},
                                           Mode{2, true, true, true}, Mode{0, true, true, true},
                                           Mode{2, false, true, false}, Mode{0, false, true, true},
                                           Mode{2, false, false, false, true},
                                           Mode{0, false, false, true, true}, Mode{2, true, true, true, true},
                                           Mode{0, true, true, true, true},
                                           Mode{2, true, false, false, true}),
                         [](const ::testing::TestParamInfo<Mode>& parameter) {
                           const Mode& mode = parameter.param;
                           return "O" + std::to_string(mode.optimise) + (mode.stress ? "Stress" : "") +
                                  (mode.polls ? "Polls" : "") + (mode.barriers ? "Barriers" : "") +
                                  (mode.called ? "Called" : "");
                         });

} // namespace
} // namespace echo::testing
