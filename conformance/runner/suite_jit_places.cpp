// SPDX-License-Identifier: MIT
//
// suite_jit_places.cpp - where compiled code has objects: beside others, in frames, inside, in globals.
#include "jit_levels.h"

namespace conformance {

namespace {

// Objects of 64-byte alignment between small ones: aligned, zero, and the heap stays walkable.
void aligned_objects(Context& context) {
  at_both_levels(context, stressed_barriers, [](Fixture& f, JitMachine& jit, const std::string& level) {
    jit.add(R"(
@line_name = private constant [5 x i8] c"line\00"
@line_slots = private constant [1 x %echo_slot] [%echo_slot { i32 8, i32 0 }]
@line = private constant %echo_layout { i32 48, i32 1, ptr @line_name, i64 64, i32 0, i32 64, i32 0, i32 1, ptr @line_slots }
define ptr addrspace(1) @lines(i64 %n) {
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %head ]
  %list = phi ptr addrspace(1) [ null, %entry ], [ %line, %head ]
  %leaf = call ptr addrspace(1) @echo.gc.new(ptr @leaf)
  %line = call ptr addrspace(1) @echo.gc.new(ptr @line)
  %link = getelementptr i8, ptr addrspace(1) %line, i64 8
  store ptr addrspace(1) %list, ptr addrspace(1) %link
  %value = getelementptr i8, ptr addrspace(1) %line, i64 56
  %old = load volatile i64, ptr addrspace(1) %value
  %sum = add i64 %old, %i
  store volatile i64 %sum, ptr addrspace(1) %value
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %head, label %exit
exit:
  ret ptr addrspace(1) %line
}
)");
    Scope scope(f.mutator);
    const echo_handle list = f.mutator.root(reinterpret_cast<echo_ref>(jit.call("lines", {500})));
    jit.call("lines", {300});
    f.mutator.verify();
    std::uint64_t count = 0;
    for (echo_ref line = f.mutator.get(list); line != nullptr; line = Nodes::child(line, 1)) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(line) % 64, std::uintptr_t{0}, "alignment " + level);
      EXPECT_EQ(word(line, 7), 499 - count, "value in an aligned object " + level);
      ++count;
    }
    EXPECT_EQ(count, std::uint64_t{500}, "aligned objects in the list " + level);
  });
}

void interior_addresses(Context& context) {
  at_both_levels(context, stressed, [](Fixture&, JitMachine& jit, const std::string& level) {
    jit.add(R"(
define i64 @interior(i64 %n, i64 %k) {
entry:
  %array = call ptr addrspace(1) @echo.gc.new_array(ptr @words, i64 %n)
  %elements = getelementptr i8, ptr addrspace(1) %array, i64 16
  %inside = getelementptr i64, ptr addrspace(1) %elements, i64 %k
  store i64 4711, ptr addrspace(1) %inside
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %head ]
  %garbage = call ptr addrspace(1) @echo.gc.new_array(ptr @words, i64 %n)
  %g = getelementptr i8, ptr addrspace(1) %garbage, i64 24
  store i64 -1, ptr addrspace(1) %g
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, 20
  br i1 %more, label %head, label %exit
exit:
  %v = load i64, ptr addrspace(1) %inside
  ret i64 %v
}
)");
    for (const std::uint64_t k : {0, 1, 17, 99})
      EXPECT_EQ(jit.call("interior", {100, k}), std::uint64_t{4711},
                "a word behind an interior address " + level);
  });
}

void deep_recursion(Context& context) {
  at_both_levels(context, calm, [](Fixture&, JitMachine& jit, const std::string& level) {
    jit.add(R"(
define ptr addrspace(1) @tree(i64 %depth) {
entry:
  %inner = icmp sgt i64 %depth, 0
  br i1 %inner, label %below, label %make
below:
  %less = sub i64 %depth, 1
  %l = call ptr addrspace(1) @tree(i64 %less)
  %r = call ptr addrspace(1) @tree(i64 %less)
  br label %make
make:
  %left = phi ptr addrspace(1) [ null, %entry ], [ %l, %below ]
  %right = phi ptr addrspace(1) [ null, %entry ], [ %r, %below ]
  %node = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %p1 = getelementptr i8, ptr addrspace(1) %node, i64 8
  store ptr addrspace(1) %left, ptr addrspace(1) %p1
  %p2 = getelementptr i8, ptr addrspace(1) %node, i64 16
  store ptr addrspace(1) %right, ptr addrspace(1) %p2
  ret ptr addrspace(1) %node
}
define i64 @count(ptr addrspace(1) %node) {
entry:
  %none = icmp eq ptr addrspace(1) %node, null
  br i1 %none, label %zero, label %some
zero:
  ret i64 0
some:
  %p1 = getelementptr i8, ptr addrspace(1) %node, i64 8
  %left = load ptr addrspace(1), ptr addrspace(1) %p1
  %p2 = getelementptr i8, ptr addrspace(1) %node, i64 16
  %right = load ptr addrspace(1), ptr addrspace(1) %p2
  %a = call i64 @count(ptr addrspace(1) %left)
  %b = call i64 @count(ptr addrspace(1) %right)
  %ab = add i64 %a, %b
  %n = add i64 %ab, 1
  ret i64 %n
}
define i64 @trees(i64 %depth) {
  %t = call ptr addrspace(1) @tree(i64 %depth)
  %n = call i64 @count(ptr addrspace(1) %t)
  ret i64 %n
}
; Each frame holds a node of its own over the call and the allocation.
define i64 @deep(i64 %depth) {
entry:
  %node = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %p = getelementptr i8, ptr addrspace(1) %node, i64 24
  store i64 %depth, ptr addrspace(1) %p
  %inner = icmp sgt i64 %depth, 0
  br i1 %inner, label %below, label %end
below:
  %less = sub i64 %depth, 1
  %sum = call i64 @deep(i64 %less)
  %garbage = call ptr addrspace(1) @echo.gc.new(ptr @leaf)
  %q = getelementptr i8, ptr addrspace(1) %garbage, i64 8
  store volatile i64 -1, ptr addrspace(1) %q
  %mine = load i64, ptr addrspace(1) %p
  %total = add i64 %sum, %mine
  ret i64 %total
end:
  ret i64 0
}
)");
    EXPECT_EQ(jit.call("trees", {15}), std::uint64_t{65535}, "nodes of a tree " + level);
    for (int i = 0; i < 20; ++i)
      EXPECT_EQ(jit.call("deep", {20000}), std::uint64_t{200010000}, "sum over 20 000 frames " + level);
  });
}

void globals_are_roots(Context& context) {
  at_both_levels(context, stressed, [](Fixture&, JitMachine& jit, const std::string& level) {
    jit.add(std::string(kLists) + R"(
@kept = internal global ptr addrspace(1) null
define void @keep(i64 %n) {
  %list = call ptr addrspace(1) @build(i64 %n)
  store ptr addrspace(1) %list, ptr @kept
  ret void
}
define i64 @sum_kept() {
  %list = load ptr addrspace(1), ptr @kept
  %sum = call i64 @sum(ptr addrspace(1) %list)
  ret i64 %sum
}
)");
    EXPECT_EQ(jit.call("sum_kept"), std::uint64_t{0}, "sum of nothing " + level);
    jit.call("keep", {300});
    jit.call("build", {300});
    EXPECT_EQ(jit.call("sum_kept"), std::uint64_t{44850}, "sum of a list in a global " + level);
    jit.call("keep", {10});
    jit.call("build", {300});
    EXPECT_EQ(jit.call("sum_kept"), std::uint64_t{45}, "sum of the next list in a global " + level);
  });
}

void raw_bytes(Context& context) {
  at_both_levels(context, stressed, [](Fixture&, JitMachine& jit, const std::string& level) {
    jit.add(R"(
define i64 @copied(i64 %n) {
  %from = call ptr addrspace(1) @echo.gc.new_array(ptr @bytes, i64 %n)
  %to = call ptr addrspace(1) @echo.gc.new_array(ptr @bytes, i64 %n)
  %source = getelementptr i8, ptr addrspace(1) %from, i64 16
  %target = getelementptr i8, ptr addrspace(1) %to, i64 16
  call void @echo.gc.raw_fill(ptr addrspace(1) %source, i8 7, i64 %n)
  call void @echo.gc.raw_copy(ptr addrspace(1) %target, ptr addrspace(1) %source, i64 %n)
  %last = sub i64 %n, 8
  %p = getelementptr i8, ptr addrspace(1) %target, i64 %last
  %v = load i64, ptr addrspace(1) %p, align 1
  %length = call i64 @echo.gc.length(ptr addrspace(1) %to)
  %sum = add i64 %v, %length
  ret i64 %sum
}
)");
    for (const std::uint64_t n : {8, 9, 64, 1000, 100001})
      EXPECT_EQ(jit.call("copied", {n}), std::uint64_t{0x0707070707070707} + n, "bytes copied " + level);
  });
}

} // namespace

std::vector<Test> jit_place_tests() {
  return {
      {"aligned_objects", "aligned objects made inline, between others", "[jit.alloc.3] [abi.recipe.1]",
       aligned_objects},
      {"interior_addresses", "an address inside an object lives over allocations", "[frames.source.1]",
       interior_addresses},
      {"deep_recursion", "every one of 20 000 frames keeps its object", "[frames.source.1]", deep_recursion},
      {"globals_are_roots", "a module's globals keep their objects", "[jit.refuse.1] [abi.root.1]",
       globals_are_roots},
      {"raw_bytes", "raw_fill and raw_copy", "[jit.thread.1]", raw_bytes},
  };
}

} // namespace conformance
