/* SPDX-License-Identifier: MIT
 *
 * vector_test.cpp - vectors of references in every form, over collections that move every object. [jit.vector.1]
 * [jit.vector.2] [jit.vector.3]
 *
 * Method      Every function makes boxes that hold numbers, brings the references through a form of vector code with
 *             collections in between, and computes a number from what it finds. Boxes of four digits: 1, 20, 300, 4000.
 */
#include "jit_fixture.h"

#include <cstring>

namespace echo::testing {
namespace {

const char* const kText = R"(
@sink = global ptr addrspace(1) null
define void @collect() noinline {
  %junk = call ptr addrspace(1) @echo.gc.new(ptr @box)
  store ptr addrspace(1) %junk, ptr @sink
  ret void
}
define i64 @value(ptr addrspace(1) %o) noinline {
entry:
  %none = icmp eq ptr addrspace(1) %o, null
  br i1 %none, label %out, label %read
read:
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  %x = load volatile i64, ptr addrspace(1) %p
  br label %out
out:
  %r = phi i64 [ 0, %entry ], [ %x, %read ]
  ret i64 %r
}
; a vector comes in and a vector goes out
define <4 x ptr addrspace(1)> @four() noinline {
  %a = call ptr addrspace(1) @make(i64 1)
  %b = call ptr addrspace(1) @make(i64 20)
  %c = call ptr addrspace(1) @make(i64 300)
  %d = call ptr addrspace(1) @make(i64 4000)
  %v0 = insertelement <4 x ptr addrspace(1)> poison, ptr addrspace(1) %a, i64 0
  %v1 = insertelement <4 x ptr addrspace(1)> %v0, ptr addrspace(1) %b, i64 1
  %v2 = insertelement <4 x ptr addrspace(1)> %v1, ptr addrspace(1) %c, i64 2
  %v3 = insertelement <4 x ptr addrspace(1)> %v2, ptr addrspace(1) %d, i64 3
  call void @collect()
  ret <4 x ptr addrspace(1)> %v3
}
; the digit in each lane times 1, 10, 100, 1000 by position: the order of the lanes shows
define i64 @spell(<4 x ptr addrspace(1)> %v) noinline {
  call void @collect()
  %a = extractelement <4 x ptr addrspace(1)> %v, i64 0
  %x = call i64 @value(ptr addrspace(1) %a)
  %b = extractelement <4 x ptr addrspace(1)> %v, i64 1
  %y = call i64 @value(ptr addrspace(1) %b)
  call void @collect()
  %c = extractelement <4 x ptr addrspace(1)> %v, i64 2
  %z = call i64 @value(ptr addrspace(1) %c)
  %d = extractelement <4 x ptr addrspace(1)> %v, i64 3
  %w = call i64 @value(ptr addrspace(1) %d)
  %y1 = mul i64 %y, 10000
  %z1 = mul i64 %z, 100000000
  %w1 = mul i64 %w, 1000000000000
  %s1 = add i64 %x, %y1
  %s2 = add i64 %s1, %z1
  %s3 = add i64 %s2, %w1
  ret i64 %s3
}
define i64 @pass() {
  %v = call <4 x ptr addrspace(1)> @four()
  %r = call i64 @spell(<4 x ptr addrspace(1)> %v)
  ret i64 %r
}
define i64 @by_pointer(ptr %f) {
  %v = call <4 x ptr addrspace(1)> %f()
  call void @collect()
  %r = call i64 @spell(<4 x ptr addrspace(1)> %v)
  ret i64 %r
}
define i64 @indirect() {
  %r = call i64 @by_pointer(ptr @four)
  ret i64 %r
}
define i64 @shuffle() {
  %v = call <4 x ptr addrspace(1)> @four()
  call void @collect()
  %s = shufflevector <4 x ptr addrspace(1)> %v, <4 x ptr addrspace(1)> zeroinitializer, <4 x i32> <i32 3, i32 5, i32 1, i32 0>
  call void @collect()
  %r = call i64 @spell(<4 x ptr addrspace(1)> %s)
  ret i64 %r
}
; lanes 0 and 1 after 2 and 3: through vectors of two
define i64 @halves() {
  %v = call <4 x ptr addrspace(1)> @four()
  %lo = shufflevector <4 x ptr addrspace(1)> %v, <4 x ptr addrspace(1)> poison, <2 x i32> <i32 0, i32 1>
  %hi = shufflevector <4 x ptr addrspace(1)> %v, <4 x ptr addrspace(1)> poison, <2 x i32> <i32 2, i32 3>
  call void @collect()
  %s = shufflevector <2 x ptr addrspace(1)> %hi, <2 x ptr addrspace(1)> %lo, <4 x i32> <i32 0, i32 1, i32 2, i32 3>
  call void @collect()
  %r = call i64 @spell(<4 x ptr addrspace(1)> %s)
  ret i64 %r
}
define i64 @insert_at(i64 %i) {
  %v = call <4 x ptr addrspace(1)> @four()
  %n = call ptr addrspace(1) @make(i64 7)
  %s = insertelement <4 x ptr addrspace(1)> %v, ptr addrspace(1) %n, i64 %i
  call void @collect()
  %r = call i64 @spell(<4 x ptr addrspace(1)> %s)
  ret i64 %r
}
define i64 @extract_at(i64 %i) {
  %v = call <4 x ptr addrspace(1)> @four()
  call void @collect()
  %o = extractelement <4 x ptr addrspace(1)> %v, i64 %i
  call void @collect()
  %r = call i64 @value(ptr addrspace(1) %o)
  ret i64 %r
}
define i64 @select_lanes(i64 %bits) {
  %v = call <4 x ptr addrspace(1)> @four()
  %t = trunc i64 %bits to i4
  %c = bitcast i4 %t to <4 x i1>
  %s = select <4 x i1> %c, <4 x ptr addrspace(1)> %v, <4 x ptr addrspace(1)> zeroinitializer
  call void @collect()
  %r = call i64 @spell(<4 x ptr addrspace(1)> %s)
  ret i64 %r
}
define i64 @select_whole(i1 %c) {
  %v = call <4 x ptr addrspace(1)> @four()
  %w = call <4 x ptr addrspace(1)> @four()
  %x = shufflevector <4 x ptr addrspace(1)> %w, <4 x ptr addrspace(1)> poison, <4 x i32> <i32 3, i32 2, i32 1, i32 0>
  %s = select i1 %c, <4 x ptr addrspace(1)> %v, <4 x ptr addrspace(1)> %x
  call void @collect()
  %r = call i64 @spell(<4 x ptr addrspace(1)> %s)
  ret i64 %r
}
; rotated n times in a loop: a phi over a collection
define i64 @rotate(i64 %n) {
entry:
  %v = call <4 x ptr addrspace(1)> @four()
  br label %loop
loop:
  %x = phi <4 x ptr addrspace(1)> [ %v, %entry ], [ %y, %loop ]
  %i = phi i64 [ 0, %entry ], [ %i1, %loop ]
  %y = shufflevector <4 x ptr addrspace(1)> %x, <4 x ptr addrspace(1)> poison, <4 x i32> <i32 1, i32 2, i32 3, i32 0>
  call void @collect()
  %i1 = add i64 %i, 1
  %go = icmp ult i64 %i1, %n
  br i1 %go, label %loop, label %done
done:
  %r = call i64 @spell(<4 x ptr addrspace(1)> %y)
  ret i64 %r
}
; an array of four references: stored as a vector with its barriers, loaded as one
define ptr addrspace(1) @array() noinline {
  %a = call ptr addrspace(1) @echo.gc.new_array(ptr @refs, i64 4)
  %p = getelementptr i8, ptr addrspace(1) %a, i64 16
  %v = call <4 x ptr addrspace(1)> @four()
  store <4 x ptr addrspace(1)> %v, ptr addrspace(1) %p
  ret ptr addrspace(1) %a
}
define i64 @memory() {
  %a = call ptr addrspace(1) @array()
  call void @collect()
  %p = getelementptr i8, ptr addrspace(1) %a, i64 16
  %v = load <4 x ptr addrspace(1)>, ptr addrspace(1) %p
  call void @collect()
  %r = call i64 @spell(<4 x ptr addrspace(1)> %v)
  ret i64 %r
}
@variable = global <4 x ptr addrspace(1)> zeroinitializer
define i64 @in_variable() {
  %v = call <4 x ptr addrspace(1)> @four()
  store <4 x ptr addrspace(1)> %v, ptr @variable
  call void @collect()
  %w = load <4 x ptr addrspace(1)>, ptr @variable
  store <4 x ptr addrspace(1)> zeroinitializer, ptr @variable
  call void @collect()
  %r = call i64 @spell(<4 x ptr addrspace(1)> %w)
  ret i64 %r
}
declare <4 x ptr addrspace(1)> @llvm.masked.load.v4p1.p1(ptr addrspace(1), i32, <4 x i1>, <4 x ptr addrspace(1)>)
declare void @llvm.masked.store.v4p1.p1(<4 x ptr addrspace(1)>, ptr addrspace(1), i32, <4 x i1>)
declare <4 x ptr addrspace(1)> @llvm.masked.gather.v4p1.v4p1(<4 x ptr addrspace(1)>, i32, <4 x i1>, <4 x ptr addrspace(1)>)
declare void @llvm.masked.scatter.v4p1.v4p1(<4 x ptr addrspace(1)>, <4 x ptr addrspace(1)>, i32, <4 x i1>)
declare <4 x i64> @llvm.masked.gather.v4i64.v4p1(<4 x ptr addrspace(1)>, i32, <4 x i1>, <4 x i64>)
define i64 @masked_load(i64 %bits) {
  %a = call ptr addrspace(1) @array()
  call void @collect()
  %p = getelementptr i8, ptr addrspace(1) %a, i64 16
  %t = trunc i64 %bits to i4
  %c = bitcast i4 %t to <4 x i1>
  %v = call <4 x ptr addrspace(1)> @llvm.masked.load.v4p1.p1(ptr addrspace(1) %p, i32 8, <4 x i1> %c, <4 x ptr addrspace(1)> zeroinitializer)
  call void @collect()
  %r = call i64 @spell(<4 x ptr addrspace(1)> %v)
  ret i64 %r
}
define i64 @masked_store(i64 %bits) {
  %a = call ptr addrspace(1) @echo.gc.new_array(ptr @refs, i64 4)
  %v = call <4 x ptr addrspace(1)> @four()
  %p = getelementptr i8, ptr addrspace(1) %a, i64 16
  %t = trunc i64 %bits to i4
  %c = bitcast i4 %t to <4 x i1>
  call void @llvm.masked.store.v4p1.p1(<4 x ptr addrspace(1)> %v, ptr addrspace(1) %p, i32 8, <4 x i1> %c)
  call void @collect()
  %w = load <4 x ptr addrspace(1)>, ptr addrspace(1) %p
  %r = call i64 @spell(<4 x ptr addrspace(1)> %w)
  ret i64 %r
}
; the elements 3, 1, 2, 0 of an array, through a vector of pointers into it
define i64 @gather(i64 %bits) {
  %a = call ptr addrspace(1) @array()
  %p = getelementptr i8, ptr addrspace(1) %a, <4 x i64> <i64 40, i64 24, i64 32, i64 16>
  call void @collect()
  %t = trunc i64 %bits to i4
  %c = bitcast i4 %t to <4 x i1>
  %v = call <4 x ptr addrspace(1)> @llvm.masked.gather.v4p1.v4p1(<4 x ptr addrspace(1)> %p, i32 8, <4 x i1> %c, <4 x ptr addrspace(1)> zeroinitializer)
  call void @collect()
  %r = call i64 @spell(<4 x ptr addrspace(1)> %v)
  ret i64 %r
}
define i64 @scatter(i64 %bits) {
  %a = call ptr addrspace(1) @echo.gc.new_array(ptr @refs, i64 4)
  %v = call <4 x ptr addrspace(1)> @four()
  %p = getelementptr i8, ptr addrspace(1) %a, <4 x i64> <i64 40, i64 24, i64 32, i64 16>
  call void @collect()
  %t = trunc i64 %bits to i4
  %c = bitcast i4 %t to <4 x i1>
  call void @llvm.masked.scatter.v4p1.v4p1(<4 x ptr addrspace(1)> %v, <4 x ptr addrspace(1)> %p, i32 8, <4 x i1> %c)
  call void @collect()
  %q = getelementptr i8, ptr addrspace(1) %a, i64 16
  %w = load <4 x ptr addrspace(1)>, ptr addrspace(1) %q
  %r = call i64 @spell(<4 x ptr addrspace(1)> %w)
  ret i64 %r
}
; the numbers of four boxes at once
define i64 @fields() {
  %v = call <4 x ptr addrspace(1)> @four()
  %p = getelementptr i8, <4 x ptr addrspace(1)> %v, i64 8
  call void @collect()
  %x = call <4 x i64> @llvm.masked.gather.v4i64.v4p1(<4 x ptr addrspace(1)> %p, i32 8, <4 x i1> splat (i1 true), <4 x i64> zeroinitializer)
  %a = extractelement <4 x i64> %x, i64 0
  %b = extractelement <4 x i64> %x, i64 1
  %c = extractelement <4 x i64> %x, i64 2
  %d = extractelement <4 x i64> %x, i64 3
  %s1 = add i64 %a, %b
  %s2 = add i64 %s1, %c
  %s3 = add i64 %s2, %d
  ret i64 %s3
}
; how many lanes of two vectors differ
define i64 @compare(i64 %i) {
  %v = call <4 x ptr addrspace(1)> @four()
  %n = call ptr addrspace(1) @make(i64 7)
  %w = insertelement <4 x ptr addrspace(1)> %v, ptr addrspace(1) %n, i64 %i
  call void @collect()
  %f = freeze <4 x ptr addrspace(1)> %w
  %d = icmp ne <4 x ptr addrspace(1)> %v, %f
  %e = zext <4 x i1> %d to <4 x i64>
  %r = call i64 @llvm.vector.reduce.add.v4i64(<4 x i64> %e)
  ret i64 %r
}
declare i64 @llvm.vector.reduce.add.v4i64(<4 x i64>)
; a struct that holds a vector
define { <4 x ptr addrspace(1)>, i64 } @pair() noinline {
  %v = call <4 x ptr addrspace(1)> @four()
  %s1 = insertvalue { <4 x ptr addrspace(1)>, i64 } poison, <4 x ptr addrspace(1)> %v, 0
  %s2 = insertvalue { <4 x ptr addrspace(1)>, i64 } %s1, i64 5, 1
  ret { <4 x ptr addrspace(1)>, i64 } %s2
}
define i64 @in_struct() {
  %s = call { <4 x ptr addrspace(1)>, i64 } @pair()
  call void @collect()
  %v = extractvalue { <4 x ptr addrspace(1)>, i64 } %s, 0
  %x = extractvalue { <4 x ptr addrspace(1)>, i64 } %s, 1
  %y = call i64 @spell(<4 x ptr addrspace(1)> %v)
  %r = mul i64 %x, %y
  ret i64 %r
}
)";

/* What @spell makes of the boxes in its lanes. */
uint64_t spelled(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  return a + b * 10000 + c * 100000000 + d * 1000000000000;
}
constexpr uint64_t kDigits[] = {1, 20, 300, 4000};

class Vectors : public ::testing::TestWithParam<uint32_t> {
protected:
  Vectors() : jit(heap, GetParam(), ECHO_JIT_VERIFY) {
    EXPECT_EQ(ECHO_OK, jit.add(std::string(kMake) + kText)) << jit.error.message;
    heap.set_stress(true);
    heap.set_poll_always(true);
  }
  /* Of the digits in `order`, those whose bit is set. */
  static uint64_t masked(uint64_t bits, std::vector<size_t> order = {0, 1, 2, 3}) {
    uint64_t lane[4];
    for (size_t i = 0; i < 4; ++i)
      lane[i] = (bits >> i & 1) != 0 ? kDigits[order[i]] : 0;
    return spelled(lane[0], lane[1], lane[2], lane[3]);
  }
  FakeHeap heap;
  TestJit jit;
};
INSTANTIATE_TEST_SUITE_P(Levels, Vectors, ::testing::Values(0u, 2u),
                         [](const ::testing::TestParamInfo<uint32_t>& level) {
                           return "O" + std::to_string(level.param);
                         });

TEST_P(Vectors, ArgumentsAndResults) {
  EXPECT_EQ(spelled(1, 20, 300, 4000), jit.call("pass"));
  EXPECT_EQ(spelled(1, 20, 300, 4000), jit.call("indirect"));
  EXPECT_EQ(5 * spelled(1, 20, 300, 4000), jit.call("in_struct"));
}

TEST_P(Vectors, InsertAndExtract) {
  EXPECT_EQ(spelled(7, 20, 300, 4000), jit.call("insert_at", {0}));
  EXPECT_EQ(spelled(1, 20, 7, 4000), jit.call("insert_at", {2}));
  for (uint64_t lane = 0; lane < 4; ++lane)
    EXPECT_EQ(kDigits[lane], jit.call("extract_at", {lane}));
}

TEST_P(Vectors, ShuffleSelectAndPhi) {
  EXPECT_EQ(spelled(4000, 0, 20, 1), jit.call("shuffle"));
  EXPECT_EQ(spelled(300, 4000, 1, 20), jit.call("halves"));
  for (uint64_t bits = 0; bits < 16; ++bits)
    EXPECT_EQ(masked(bits), jit.call("select_lanes", {bits}));
  EXPECT_EQ(spelled(1, 20, 300, 4000), jit.call("select_whole", {1}));
  EXPECT_EQ(spelled(4000, 300, 20, 1), jit.call("select_whole", {0}));
  EXPECT_EQ(spelled(20, 300, 4000, 1), jit.call("rotate", {1}));
  EXPECT_EQ(spelled(4000, 1, 20, 300), jit.call("rotate", {7}));
}

TEST_P(Vectors, LoadAndStore) {
  EXPECT_EQ(spelled(1, 20, 300, 4000), jit.call("memory"));
  EXPECT_EQ(spelled(1, 20, 300, 4000), jit.call("in_variable"));
  heap.set_phase(1);
  heap.store_cold = 0;
  jit.call("memory");
  EXPECT_EQ(4u, heap.store_cold) << "one barrier for each element";
}

TEST_P(Vectors, MaskedAccesses) {
  for (uint64_t bits = 0; bits < 16; ++bits) {
    EXPECT_EQ(masked(bits), jit.call("masked_load", {bits})) << bits;
    EXPECT_EQ(masked(bits), jit.call("masked_store", {bits})) << bits;
    EXPECT_EQ(masked(bits, {3, 1, 2, 0}), jit.call("gather", {bits})) << bits;
  }
  EXPECT_EQ(4321u, jit.call("fields"));
}

TEST_P(Vectors, Scatter) {
  EXPECT_EQ(spelled(4000, 20, 300, 1), jit.call("scatter", {15}));
  EXPECT_EQ(spelled(4000, 0, 0, 1), jit.call("scatter", {9}));
  heap.set_phase(1);
  heap.store_cold = 0;
  jit.call("scatter", {7});
  EXPECT_EQ(3u, heap.store_cold) << "lanes that are off have no barrier and no store";
}

TEST_P(Vectors, Compare) {
  for (uint64_t lane = 0; lane < 4; ++lane)
    EXPECT_EQ(1u, jit.call("compare", {lane}));
}

/* LLVM relocates the operands of a call too; nobody uses a vector that was. [jit.vector.1] */
TEST_P(Vectors, NoneIsUsedBehindASafepoint) {
  const std::string ir = lowered(std::string(kMake) + kText, GetParam());
  size_t functions = 0, relocations = 0;
  for (size_t from = ir.find("\ndefine "); from != std::string::npos; ++functions) {
    const size_t next = ir.find("\ndefine ", from + 1);
    const std::string text = ir.substr(from, next - from);
    for (size_t at = text.find("gc.relocate.v"); at != std::string::npos;
         at = text.find("gc.relocate.v", at + 1)) {
      const size_t line = text.rfind("\n  %", at) + 3;
      const std::string name = text.substr(line, text.find(' ', line) - line);
      for (const char* end : {",", ")", " ]", "\n"})
        EXPECT_EQ(std::string::npos, text.find(name + end)) << name << text;
      ++relocations;
    }
    from = next;
  }
  EXPECT_GT(functions, 20u);
  EXPECT_GT(relocations, 5u);
}

/* --- what is refused, by name */

struct Refusal {
  const char *name, *text, *what;
};
const Refusal kRefusals[] = {
    {"native_argument",
     "declare void @n(<2 x ptr addrspace(1)>)\n"
     "define void @f(<2 x ptr addrspace(1)> %v) { call void @n(<2 x ptr addrspace(1)> %v) ret void }",
     "a vector of references goes to or comes from the native function 'n'"},
    {"native_result",
     "declare <2 x ptr addrspace(1)> @n()\n"
     "define void @f() { %v = call <2 x ptr addrspace(1)> @n() ret void }",
     "a vector of references goes to or comes from the native function 'n'"},
    {"scalable",
     "define void @f(<vscale x 2 x ptr addrspace(1)> %v) { %w = freeze <vscale x 2 x ptr addrspace(1)> %v "
     "ret void }",
     "a scalable vector of references"},
    {"vector_predication",
     "declare <2 x ptr addrspace(1)> @llvm.vp.load.v2p1.p1(ptr addrspace(1), <2 x i1>, i32)\n"
     "define void @f(ptr addrspace(1) %p) { %v = call <2 x ptr addrspace(1)> @llvm.vp.load.v2p1.p1(ptr "
     "addrspace(1) %p, <2 x i1> splat (i1 true), i32 2) ret void }",
     "the intrinsic 'llvm.vp.load.v2p1.p1' on references"},
    {"compress_to_a_variable",
     "@v = global [2 x ptr addrspace(1)] zeroinitializer\n"
     "declare void @llvm.masked.compressstore.v2p1(<2 x ptr addrspace(1)>, ptr, <2 x i1>)\n"
     "define void @f(<2 x ptr addrspace(1)> %v, <2 x i1> %m) { call void @llvm.masked.compressstore.v2p1(<2 "
     "x "
     "ptr addrspace(1)> %v, ptr @v, <2 x i1> %m) ret void }",
     "the intrinsic 'llvm.masked.compressstore.v2p1' on references"},
    {"other_intrinsic",
     "declare <2 x ptr addrspace(1)> @llvm.vector.reverse.v2p1(<2 x ptr addrspace(1)>)\n"
     "define void @f(<2 x ptr addrspace(1)> %v) { %w = call <2 x ptr addrspace(1)> "
     "@llvm.vector.reverse.v2p1(<2 x ptr addrspace(1)> %v) ret void }",
     "the intrinsic 'llvm.vector.reverse.v2p1' on references"},
    {"interior_lane_is_stored",
     "define void @f(ptr addrspace(1) %o, ptr addrspace(1) %to) {\n"
     "%p = getelementptr i8, ptr addrspace(1) %o, <2 x i64> <i64 0, i64 8>\n"
     "%s = getelementptr i8, ptr addrspace(1) %to, i64 16\n"
     "store <2 x ptr addrspace(1)> %p, ptr addrspace(1) %s ret void }",
     "a pointer into the middle of an object is stored"},
    {"interior_lane_is_returned",
     "define ptr addrspace(1) @f(<2 x ptr addrspace(1)> %o) {\n"
     "%p = getelementptr i8, <2 x ptr addrspace(1)> %o, i64 8\n"
     "%e = extractelement <2 x ptr addrspace(1)> %p, i64 1 ret ptr addrspace(1) %e }",
     "a pointer into the middle of an object is returned"},
    {"wide_vector_to_a_blocking_native",
     "declare void @n(<4 x i64>) \"echo-blocking\"\n"
     "define void @f(<4 x i64> %v) { call void @n(<4 x i64> %v) ret void }",
     "a vector wider than 16 bytes is passed to the blocking native 'n'"},
};

TEST(VectorRefusals, NameWhatTheyRefuse) {
  for (const Refusal& refusal : kRefusals) {
    FakeHeap heap;
    TestJit jit(heap);
    EXPECT_EQ(ECHO_UNSUPPORTED_OPERATION, jit.add(refusal.text)) << refusal.name << jit.error.message;
    EXPECT_NE(nullptr, std::strstr(jit.error.message, refusal.what))
        << refusal.name << ": " << jit.error.message;
  }
}

/* Masked accesses of references in raw memory are refused as plain ones are. */
TEST(VectorRefusals, RawMemory) {
  FakeHeap heap;
  TestJit jit(heap);
  EXPECT_EQ(ECHO_REF_IN_RAW_MEMORY,
            jit.add("declare <2 x ptr addrspace(1)> @llvm.masked.load.v2p1.p0(ptr, i32, <2 x i1>, <2 x ptr "
                    "addrspace(1)>)\ndefine void @f(ptr %p, <2 x i1> %m) { %v = call <2 x ptr addrspace(1)> "
                    "@llvm.masked.load.v2p1.p0(ptr %p, i32 8, <2 x i1> %m, <2 x ptr addrspace(1)> "
                    "zeroinitializer) ret void }"))
      << jit.error.message;
}

} // namespace
} // namespace echo::testing
