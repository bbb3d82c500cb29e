// SPDX-License-Identifier: MIT
//
// suite_jit_stores.cpp - stores of compiled code: plain, in bulk, exchanged, tagged.
#include "jit_levels.h"

namespace conformance {

namespace {

// Both ways of storing, into objects that are older than the store, with the barrier forced on where it can
// be.
void stores_with_barrier(Context& context) {
  at_both_levels(context, stressed_barriers, [](Fixture& f, JitMachine& jit, const std::string& level) {
    jit.add(R"(
define void @link(ptr addrspace(1) %from, ptr addrspace(1) %to) {
  %left = getelementptr i8, ptr addrspace(1) %from, i64 8
  call void @echo.gc.store(ptr addrspace(1) %from, ptr addrspace(1) %left, ptr addrspace(1) %to)
  %right = getelementptr i8, ptr addrspace(1) %from, i64 16
  store ptr addrspace(1) %to, ptr addrspace(1) %right
  ret void
}
define ptr addrspace(1) @ring(i64 %n) {
entry:
  %first = call ptr addrspace(1) @echo.gc.new(ptr @node)
  br label %head
head:
  %i = phi i64 [ 1, %entry ], [ %next, %body ]
  %last = phi ptr addrspace(1) [ %first, %entry ], [ %node, %body ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %exit
body:
  %node = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %value = getelementptr i8, ptr addrspace(1) %node, i64 24
  store i64 %i, ptr addrspace(1) %value
  call void @link(ptr addrspace(1) %last, ptr addrspace(1) %node)
  call void @link(ptr addrspace(1) %node, ptr addrspace(1) null)
  %next = add i64 %i, 1
  br label %head
exit:
  call void @link(ptr addrspace(1) %last, ptr addrspace(1) %first)
  ret ptr addrspace(1) %first
}
)");
    Scope scope(f.mutator);
    const echo_handle ring = f.mutator.root(reinterpret_cast<echo_ref>(jit.call("ring", {400})));
    jit.call("ring", {200});
    echo_ref node = f.mutator.get(ring);
    for (std::uint64_t i = 0; i < 400; ++i) {
      EXPECT_EQ(word(node, 3), i, "value in the ring " + level);
      EXPECT(Nodes::child(node, 1) == Nodes::child(node, 2), "the two ways of storing differ " + level);
      node = Nodes::child(node, 2);
    }
    EXPECT(node == f.mutator.get(ring), "the ring is open " + level);
    f.mutator.verify();
  });
}

// Copies that overlap, fills and exchanges, in arrays and nodes that are older than the operation.
void bulk_and_exchange(Context& context) {
  at_both_levels(context, stressed_barriers, [](Fixture& f, JitMachine& jit, const std::string& level) {
    jit.add(R"(
declare ptr addrspace(1) @echo.gc.exchange(ptr addrspace(1), ptr addrspace(1), ptr addrspace(1))
declare ptr addrspace(1) @echo.gc.compare_exchange(ptr addrspace(1), ptr addrspace(1), ptr addrspace(1), ptr addrspace(1))
declare void @echo.gc.array_copy(ptr addrspace(1), i64, ptr addrspace(1), i64, i64)
declare void @echo.gc.array_fill(ptr addrspace(1), i64, i64, ptr addrspace(1))
define ptr addrspace(1) @leaf_of(i64 %v) noinline {
  %leaf = call ptr addrspace(1) @echo.gc.new(ptr @leaf)
  %p = getelementptr i8, ptr addrspace(1) %leaf, i64 8
  store i64 %v, ptr addrspace(1) %p
  ret ptr addrspace(1) %leaf
}
define ptr addrspace(1) @sequence(i64 %n) noinline {
entry:
  %array = call ptr addrspace(1) @echo.gc.new_array(ptr @refs, i64 %n)
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %head ]
  %leaf = call ptr addrspace(1) @leaf_of(i64 %i)
  call void @echo.gc.array_store(ptr addrspace(1) %array, i64 %i, ptr addrspace(1) %leaf)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %head, label %exit
exit:
  ret ptr addrspace(1) %array
}
define ptr addrspace(1) @moved(i64 %n, i64 %to, i64 %from, i64 %count) {
  %array = call ptr addrspace(1) @sequence(i64 %n)
  call void @echo.gc.array_copy(ptr addrspace(1) %array, i64 %to, ptr addrspace(1) %array, i64 %from, i64 %count)
  ret ptr addrspace(1) %array
}
define ptr addrspace(1) @filled(i64 %n, i64 %index, i64 %count) {
  %array = call ptr addrspace(1) @sequence(i64 %n)
  %leaf = call ptr addrspace(1) @leaf_of(i64 4711)
  call void @echo.gc.array_fill(ptr addrspace(1) %array, i64 %index, i64 %count, ptr addrspace(1) %leaf)
  ret ptr addrspace(1) %array
}
; the sum of the old references' values over `turns` exchanges of one slot; every other one compares, and fails then
define i64 @exchanges(i64 %turns) {
entry:
  %node = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %slot = getelementptr i8, ptr addrspace(1) %node, i64 16
  %first = call ptr addrspace(1) @leaf_of(i64 0)
  store ptr addrspace(1) %first, ptr addrspace(1) %slot
  br label %head
head:
  %i = phi i64 [ 1, %entry ], [ %next, %head ]
  %sum = phi i64 [ 0, %entry ], [ %sum1, %head ]
  %new = call ptr addrspace(1) @leaf_of(i64 %i)
  %old = call ptr addrspace(1) @echo.gc.exchange(ptr addrspace(1) %node, ptr addrspace(1) %slot, ptr addrspace(1) %new)
  %never = call ptr addrspace(1) @leaf_of(i64 -1)
  %same = call ptr addrspace(1) @echo.gc.compare_exchange(ptr addrspace(1) %node, ptr addrspace(1) %slot, ptr addrspace(1) %old, ptr addrspace(1) %never)
  %p = getelementptr i8, ptr addrspace(1) %old, i64 8
  %v = load i64, ptr addrspace(1) %p
  %q = getelementptr i8, ptr addrspace(1) %same, i64 8
  %w = load i64, ptr addrspace(1) %q
  %vw = add i64 %v, %w
  %sum1 = add i64 %sum, %vw
  %next = add i64 %i, 1
  %more = icmp sle i64 %next, %turns
  br i1 %more, label %head, label %exit
exit:
  ret i64 %sum1
}
)");
    Scope scope(f.mutator);
    const auto element = [&](echo_handle array, std::uint64_t index) {
      return word(Nodes::child(f.mutator.get(array), index + 2), 1);
    };
    struct Move {
      std::uint64_t to, from, count;
    };
    for (const Move& m : {Move{10, 0, 80}, Move{0, 10, 80}, Move{3, 3, 50}, Move{60, 0, 40}, Move{5, 9, 0}}) {
      const echo_handle array =
          f.mutator.root(reinterpret_cast<echo_ref>(jit.call("moved", {100, m.to, m.from, m.count})));
      for (std::uint64_t i = 0; i < 100; ++i) {
        const bool inside = i >= m.to && i < m.to + m.count;
        EXPECT_EQ(element(array, i), inside ? i - m.to + m.from : i, "an element of a moved array " + level);
      }
    }
    const echo_handle array = f.mutator.root(reinterpret_cast<echo_ref>(jit.call("filled", {100, 20, 30})));
    for (std::uint64_t i = 0; i < 100; ++i)
      EXPECT_EQ(element(array, i), i >= 20 && i < 50 ? std::uint64_t{4711} : i, "a filled array " + level);
    // Old values are 0 .. 99, those that the failing comparisons return 1 .. 100.
    EXPECT_EQ(jit.call("exchanges", {100}), std::uint64_t{4950 + 5050}, "sum of exchanged values " + level);
    f.mutator.verify();
  });
}

// A word that is an integer, then a reference, then an integer again.
void tagged_words(Context& context) {
  at_both_levels(context, stressed_barriers, [](Fixture& f, JitMachine& jit, const std::string& level) {
    jit.add(R"(
@cell_name = private constant [5 x i8] c"cell\00"
@cell_slots = private constant [1 x %echo_slot] [%echo_slot { i32 8, i32 1 }]
@cell = private constant %echo_layout { i32 48, i32 1, ptr @cell_name, i64 16, i32 0, i32 0, i32 0, i32 1, ptr @cell_slots }
declare void @echo.gc.tagged_store(ptr addrspace(1), ptr addrspace(1), i64, i64)
declare i64 @echo.gc.tagged_word(ptr addrspace(1))
declare ptr addrspace(1) @echo.gc.tagged_reference(ptr addrspace(1))
define i64 @tagged(i64 %turns) {
entry:
  %cell = call ptr addrspace(1) @echo.gc.new(ptr @cell)
  %slot = getelementptr i8, ptr addrspace(1) %cell, i64 8
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %head ]
  %sum = phi i64 [ 0, %entry ], [ %sum2, %head ]
  %word = shl i64 %i, 3
  call void @echo.gc.tagged_store(ptr addrspace(1) %cell, ptr addrspace(1) %slot, i64 %word, i64 3)
  %garbage = call ptr addrspace(1) @echo.gc.new(ptr @leaf)
  %none = call ptr addrspace(1) @echo.gc.tagged_reference(ptr addrspace(1) %slot)
  %isnull = icmp eq ptr addrspace(1) %none, null
  %integer = call i64 @echo.gc.tagged_word(ptr addrspace(1) %slot)
  %back = lshr i64 %integer, 3
  %leaf = call ptr addrspace(1) @echo.gc.new(ptr @leaf)
  %p = getelementptr i8, ptr addrspace(1) %leaf, i64 8
  store i64 %back, ptr addrspace(1) %p
  store ptr addrspace(1) %leaf, ptr addrspace(1) %slot
  %more.garbage = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %zero = call i64 @echo.gc.tagged_word(ptr addrspace(1) %slot)
  %reference = call ptr addrspace(1) @echo.gc.tagged_reference(ptr addrspace(1) %slot)
  %q = getelementptr i8, ptr addrspace(1) %reference, i64 8
  %v = load i64, ptr addrspace(1) %q
  %one = zext i1 %isnull to i64
  %sum0 = add i64 %sum, %v
  %sum1 = add i64 %sum0, %zero
  %sum2 = add i64 %sum1, %one
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %turns
  br i1 %more, label %head, label %exit
exit:
  ret i64 %sum2
}
)");
    EXPECT_EQ(jit.call("tagged", {300}), std::uint64_t{300 * 299 / 2 + 300},
              "sum of integers and references of one slot " + level);
    f.mutator.verify();
  });
}

} // namespace

std::vector<Test> jit_store_tests() {
  return {
      {"stores_with_barrier", "stores into old objects, with the barrier forced on", "[abi.recipe.3]",
       stores_with_barrier},
      {"bulk_and_exchange", "copies, fills, exchanges, with the barrier forced on",
       "[jit.bulk.1] [jit.exchange.1] [abi.recipe.3]", bulk_and_exchange},
      {"tagged_words", "a slot that is an integer and a reference by turns", "[jit.tagged.1]", tagged_words},
  };
}

} // namespace conformance
