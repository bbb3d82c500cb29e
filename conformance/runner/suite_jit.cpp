// SPDX-License-Identifier: MIT
//
// suite_jit.cpp - operations as libecho_jit emits them for this plugin, judged from outside.
//
// Method      Each test runs at both optimisation levels, with operations inline and called, and most under a collection at every allocation
//             with poison: what
//         the emitted code forgets to report, zero or log is then gone when the result is checked.
#include "jit_machine.h"
#include "patterns.h"
#include "workers.h"

#include <atomic>
#include <chrono>

namespace conformance {

namespace {

struct Level {
  std::uint32_t optimise, operations;
  const char* name;
};
constexpr Level kLevels[] = {{0, ECHO_JIT_OPERATIONS_INLINE, "at O0"},
                             {2, ECHO_JIT_OPERATIONS_INLINE, "at O2"},
                             {0, ECHO_JIT_OPERATIONS_CALLED, "at O0, operations called"},
                             {2, ECHO_JIT_OPERATIONS_CALLED, "at O2, operations called"}};

std::string stressed(const Plugin& p) {
  return p.options_with("max_heap=32m", {"stress_collect=1", "poison=on", "verify=on"});
}
std::string calm(const Plugin& p) {
  return p.options_with("max_heap=8m", {"poison=on"});
}

// One heap and one machine per level. [jit.level.1]
template <typename Body>
void at_both_levels(Context& context, std::string (*options)(const Plugin&), Body body) {
  if (context.jit_path.empty())
    throw Skipped{"no libecho_jit is given: --jit=PATH"};
  for (const Level& level : kLevels) {
    Fixture f(context, options);
    JitMachine machine(context, f.mutator, level.optimise, level.operations);
    body(f, machine, level.name);
  }
}

const char* const kLists = R"(
define ptr addrspace(1) @build(i64 %n) {
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %list = phi ptr addrspace(1) [ null, %entry ], [ %cell, %body ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %exit
body:
  %cell = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %link = getelementptr i8, ptr addrspace(1) %cell, i64 8
  store ptr addrspace(1) %list, ptr addrspace(1) %link
  %value = getelementptr i8, ptr addrspace(1) %cell, i64 24
  store i64 %i, ptr addrspace(1) %value
  %next = add i64 %i, 1
  br label %head
exit:
  ret ptr addrspace(1) %list
}
define i64 @sum(ptr addrspace(1) %list) {
entry:
  br label %head
head:
  %cell = phi ptr addrspace(1) [ %list, %entry ], [ %rest, %body ]
  %sum = phi i64 [ 0, %entry ], [ %sum1, %body ]
  %end = icmp eq ptr addrspace(1) %cell, null
  br i1 %end, label %exit, label %body
body:
  %value = getelementptr i8, ptr addrspace(1) %cell, i64 24
  %v = load i64, ptr addrspace(1) %value
  %sum1 = add i64 %sum, %v
  %link = getelementptr i8, ptr addrspace(1) %cell, i64 8
  %rest = load ptr addrspace(1), ptr addrspace(1) %link
  br label %head
exit:
  ret i64 %sum
}
define i64 @build_and_sum(i64 %n) {
  %list = call ptr addrspace(1) @build(i64 %n)
  %sum = call i64 @sum(ptr addrspace(1) %list)
  ret i64 %sum
}
)";

void new_objects(Context& context) {
  at_both_levels(context, stressed, [](Fixture& f, JitMachine& jit, const std::string& level) {
    jit.add(kLists);
    EXPECT_EQ(jit.call("build_and_sum", {1000}), std::uint64_t{499500}, "sum of a list " + level);
    // The objects are ordinary ones, seen from C++.
    Scope scope(f.mutator);
    const echo_handle head = f.mutator.root(reinterpret_cast<echo_ref>(jit.call("build", {500})));
    jit.call("build", {100});
    echo_ref cell = f.mutator.get(head);
    const echo_layout_id layout = f.plugin.api().object_layout(f.heap.get(), cell);
    EXPECT_EQ(std::string(f.heap.info(layout).name), "node", "name of the layout");
    for (std::uint64_t i = 500; i > 0; --i, cell = Nodes::child(cell, 1)) {
      EXPECT(cell != nullptr, "the list is too short " + level);
      EXPECT_EQ(f.plugin.api().object_layout(f.heap.get(), cell), layout, "layout " + level);
      EXPECT_EQ(word(cell, 3), i - 1, "value " + level);
      EXPECT_EQ(word(cell, 2), std::uint64_t{0}, "a slot that was never stored " + level);
    }
    EXPECT(cell == nullptr, "the list goes on " + level);
    const std::uint64_t argument = reinterpret_cast<std::uintptr_t>(f.mutator.get(head));
    EXPECT_EQ(jit.call("sum", {argument}), std::uint64_t{124750},
              "sum of a list passed as an argument " + level);
  });
}

void allocation_collects(Context& context) {
  at_both_levels(context, calm, [](Fixture& f, JitMachine& jit, const std::string& level) {
    f.plugin.require(ECHO_FEATURE_COLLECTS);
    jit.add(std::string(kLists) + R"(
define i64 @churn(i64 %turns, i64 %n) {
entry:
  %kept = call ptr addrspace(1) @build(i64 %n)
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %head ]
  %sum = phi i64 [ 0, %entry ], [ %sum1, %head ]
  %s = call i64 @build_and_sum(i64 %n)
  %sum1 = add i64 %sum, %s
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %turns
  br i1 %more, label %head, label %exit
exit:
  %last = call i64 @sum(ptr addrspace(1) %kept)
  %total = add i64 %sum1, %last
  ret i64 %total
}
)");
    // 50 times the limit of 8 MB, in lists of 32 KB.
    EXPECT_EQ(jit.call("churn", {13200, 1000}), std::uint64_t{13201} * 499500,
              "sum of 13 200 lists " + level);
  });
}

void new_arrays(Context& context) {
  at_both_levels(context, stressed, [](Fixture& f, JitMachine& jit, const std::string& level) {
    jit.add(R"(
define ptr addrspace(1) @fill(i64 %n) {
entry:
  %array = call ptr addrspace(1) @echo.gc.new_array(ptr @refs, i64 %n)
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %exit
body:
  %leaf = call ptr addrspace(1) @echo.gc.new(ptr @leaf)
  %value = getelementptr i8, ptr addrspace(1) %leaf, i64 8
  store i64 %i, ptr addrspace(1) %value
  call void @echo.gc.array_store(ptr addrspace(1) %array, i64 %i, ptr addrspace(1) %leaf)
  %next = add i64 %i, 1
  br label %head
exit:
  ret ptr addrspace(1) %array
}
define i64 @total(ptr addrspace(1) %array) {
entry:
  %n = call i64 @echo.gc.length(ptr addrspace(1) %array)
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %sum = phi i64 [ 0, %entry ], [ %sum1, %body ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %exit
body:
  %offset = shl i64 %i, 3
  %element = getelementptr i8, ptr addrspace(1) %array, i64 %offset
  %slot = getelementptr i8, ptr addrspace(1) %element, i64 16
  %leaf = load ptr addrspace(1), ptr addrspace(1) %slot
  %value = getelementptr i8, ptr addrspace(1) %leaf, i64 8
  %v = load i64, ptr addrspace(1) %value
  %sum1 = add i64 %sum, %v
  %next = add i64 %i, 1
  br label %head
exit:
  ret i64 %sum
}
define i64 @length_of(ptr addrspace(1) %array) {
  %n = call i64 @echo.gc.length(ptr addrspace(1) %array)
  ret i64 %n
}
)");
    Scope scope(f.mutator);
    for (const std::uint64_t n : {0, 1, 100, 700}) {
      const echo_handle array = f.mutator.root(reinterpret_cast<echo_ref>(jit.call("fill", {n})));
      const auto argument = [&] { return reinterpret_cast<std::uintptr_t>(f.mutator.get(array)); };
      EXPECT_EQ(f.plugin.api().array_length(f.heap.get(), f.mutator.get(array)), n, "array_length " + level);
      EXPECT_EQ(jit.call("length_of", {argument()}), n, "echo.gc.length " + level);
      EXPECT_EQ(jit.call("total", {argument()}), n * (n - 1) / 2 * (n > 0), "sum of an array " + level);
    }
  });
}

// Fields that the program never stores are zero, also in memory that was used before.
void new_objects_are_zero(Context& context) {
  at_both_levels(context, calm, [](Fixture&, JitMachine& jit, const std::string& level) {
    jit.add(R"(
define i64 @dirty(i64 %turns) {
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %head ]
  %seen = phi i64 [ 0, %entry ], [ %seen4, %head ]
  %node = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %p1 = getelementptr i8, ptr addrspace(1) %node, i64 8
  %p2 = getelementptr i8, ptr addrspace(1) %node, i64 16
  %p3 = getelementptr i8, ptr addrspace(1) %node, i64 24
  %r1 = load volatile i64, ptr addrspace(1) %p1
  %r2 = load volatile i64, ptr addrspace(1) %p2
  %r3 = load volatile i64, ptr addrspace(1) %p3
  %seen1 = or i64 %seen, %r1
  %seen2 = or i64 %seen1, %r2
  %seen3 = or i64 %seen2, %r3
  store volatile i64 -1, ptr addrspace(1) %p3
  %odd = and i64 %i, 31
  %array = call ptr addrspace(1) @echo.gc.new_array(ptr @words, i64 %odd)
  %last = getelementptr i64, ptr addrspace(1) %array, i64 %odd
  %slot = getelementptr i8, ptr addrspace(1) %last, i64 8
  %length = load volatile i64, ptr addrspace(1) %slot
  %wanted = icmp eq i64 %odd, 0
  %r4 = select i1 %wanted, i64 0, i64 %length
  %seen4 = or i64 %seen3, %r4
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %turns
  br i1 %more, label %head, label %exit
exit:
  ret i64 %seen4
}
)");
    EXPECT_EQ(jit.call("dirty", {200000}), std::uint64_t{0}, "bits seen in new objects " + level);
  });
}

void headers(Context& context) {
  at_both_levels(context, stressed, [](Fixture& f, JitMachine& jit, const std::string& level) {
    jit.add(R"(
define ptr addrspace(1) @make() {
  %node = call ptr addrspace(1) @echo.gc.new(ptr @node)
  ret ptr addrspace(1) %node
}
define i64 @header_of(ptr addrspace(1) %object) {
  %h = call i64 @echo.gc.header(ptr addrspace(1) %object)
  ret i64 %h
}
define i64 @header_of_new() {
  %node = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %h = call i64 @echo.gc.header(ptr addrspace(1) %node)
  ret i64 %h
}
)");
    Scope scope(f.mutator);
    const echo_handle node = f.mutator.root(reinterpret_cast<echo_ref>(jit.call("make")));
    const echo_layout_id layout = f.plugin.api().object_layout(f.heap.get(), f.mutator.get(node));
    EXPECT_EQ(jit.call("header_of", {reinterpret_cast<std::uintptr_t>(f.mutator.get(node))}),
              word(f.mutator.get(node), 0), "echo.gc.header " + level);
    EXPECT_EQ(jit.call("header_of_new"), f.heap.info(layout).header_word,
              "the header of a new object " + level);
  });
}

// Both ways of storing, into objects that are older than the store, with the barrier forced on where it can
// be.
void stores_with_barrier(Context& context) {
  const auto options = [](const Plugin& p) {
    return p.options_with("max_heap=32m",
                          {"stress_collect=3", "stress_barriers=on", "poison=on", "verify=on"});
  };
  at_both_levels(context, options, [](Fixture& f, JitMachine& jit, const std::string& level) {
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

const auto stressed_barriers = [](const Plugin& p) {
  return p.options_with("max_heap=32m", {"stress_collect=3", "stress_barriers=on", "poison=on", "verify=on"});
};

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

// --- native functions
// ------------------------------------------------------------------------------------------------

struct Native {
  const Mutator* mutator = nullptr;
  const JitMachine* jit = nullptr;
  std::uint64_t calls = 0;
  std::string failure;
};
Native native;

// Called from managed code; what it does, it does with references of its callers on the stack.
std::uint64_t native_collect(std::uint64_t argument) {
  ++native.calls;
  if (native.mutator->heap().plugin().has(ECHO_FEATURE_COLLECTS))
    native.mutator->collect();
  return argument + 1;
}
// Comes back into managed code, in which collections happen below two groups of managed frames.
std::uint64_t native_nested(std::uint64_t depth) {
  ++native.calls;
  native.mutator->collect();
  return depth == 0 ? 0 : native.jit->call("outer", {depth - 1});
}

const char* const kNative = R"(
declare i64 @native(i64)
define i64 @outer(i64 %depth) {
  %node = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %p = getelementptr i8, ptr addrspace(1) %node, i64 24
  store i64 %depth, ptr addrspace(1) %p
  %r = call i64 @native(i64 %depth)
  %garbage = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %q = getelementptr i8, ptr addrspace(1) %garbage, i64 24
  store volatile i64 -1, ptr addrspace(1) %q
  %mine = load i64, ptr addrspace(1) %p
  %sum = add i64 %r, %mine
  ret i64 %sum
}
)";

void native_calls_may_collect(Context& context) {
  at_both_levels(context, calm, [](Fixture& f, JitMachine& jit, const std::string& level) {
    f.plugin.require(ECHO_FEATURE_COLLECTS);
    native = {&f.mutator, &jit, 0, ""};
    jit.define("native", reinterpret_cast<void*>(&native_collect));
    jit.add(kNative);
    for (std::uint64_t i = 0; i < 20; ++i)
      EXPECT_EQ(jit.call("outer", {i}), 2 * i + 1, "result over a native call that collects " + level);
    EXPECT_EQ(native.calls, std::uint64_t{20}, "native calls " + level);
  });
}

void native_calls_may_nest(Context& context) {
  at_both_levels(context, calm, [](Fixture& f, JitMachine& jit, const std::string& level) {
    f.plugin.require(ECHO_FEATURE_COLLECTS);
    native = {&f.mutator, &jit, 0, ""};
    jit.define("native", reinterpret_cast<void*>(&native_nested));
    jit.add(kNative);
    EXPECT_EQ(jit.call("outer", {50}), std::uint64_t{1275}, "sum over 51 nested entries " + level);
    EXPECT_EQ(native.calls, std::uint64_t{51}, "native calls " + level);
  });
}

// --- polls and threads
// -----------------------------------------------------------------------------------------------

void loops_poll(Context& context) {
  at_both_levels(context, calm, [](Fixture& f, JitMachine& jit, const std::string& level) {
    f.plugin.require(ECHO_FEATURE_COLLECTS);
    jit.add(R"(
define i64 @spin(ptr %flag) {
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %head ]
  %f = load atomic i64, ptr %flag monotonic, align 8
  %next = add i64 %i, 1
  %go = icmp eq i64 %f, 0
  br i1 %go, label %head, label %exit
exit:
  ret i64 %next
}
define i64 @spin_by_hand(ptr %flag) {
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %head ]
  call void @echo.gc.safepoint()
  %f = load atomic i64, ptr %flag monotonic, align 8
  %next = add i64 %i, 1
  %go = icmp eq i64 %f, 0
  br i1 %go, label %head, label %exit
exit:
  ret i64 %next
}
)");
    for (const char* name : {"spin", "spin_by_hand"}) {
      void* function = jit.function(name);
      std::atomic<std::uint64_t> flag{0};
      std::atomic<bool> inside{false};
      Workers workers(f.heap);
      workers.start([&](const Mutator& m) {
        inside = true;
        jit.call_on(m, function, {reinterpret_cast<std::uintptr_t>(&flag)});
      });
      while (!inside)
        std::this_thread::yield();
      const auto began = std::chrono::steady_clock::now();
      for (int i = 0; i < 20; ++i)
        f.mutator.collect();
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
      flag = 1;
      workers.join_from(f.mutator);
      EXPECT(seconds < 20, std::string(name) + ": 20 collections took " + show(seconds) + " s " + level);
    }
  });
}

void mutators_in_parallel(Context& context) {
  const auto options = [](const Plugin& p) {
    return p.options_with("max_heap=32m", {"stress_collect=50", "poison=on", "stress_yield=on"});
  };
  at_both_levels(context, options, [](Fixture& f, JitMachine& jit, const std::string& level) {
    jit.add(kLists);
    void* function = jit.function("build_and_sum");
    Workers workers(f.heap);
    for (std::uint64_t t = 0; t < 3; ++t)
      workers.start([&, t](const Mutator& m) {
        for (std::uint64_t i = 0; i < 30; ++i) {
          const std::uint64_t n = 100 + 10 * t + i;
          EXPECT_EQ(jit.call_on(m, function, {n}), n * (n - 1) / 2, "sum in thread " + show(t) + " " + level);
        }
      });
    workers.join_from(f.mutator);
  });
}

// --- errors
// ----------------------------------------------------------------------------------------------------------

void full_heaps_end_the_call(Context& context) {
  at_both_levels(context, calm, [](Fixture& f, JitMachine& jit, const std::string& level) {
    jit.add(std::string(kLists) + R"(
define i64 @array(i64 %n) {
  %a = call ptr addrspace(1) @echo.gc.new_array(ptr @refs, i64 %n)
  %l = call i64 @echo.gc.length(ptr addrspace(1) %a)
  ret i64 %l
}
)");
    for (int turn = 0; turn < 3; ++turn) {
      std::uint64_t result = 0;
      echo_error why = untouched_error();
      EXPECT_STATUS(jit.try_call("build", {10000000}, &result, &why), ECHO_HEAP_LIMIT,
                    "320 MB in 8 MB " + level);
      expect_error(why, ECHO_HEAP_LIMIT, "320 MB in 8 MB " + level);
      if (f.plugin.has(ECHO_FEATURE_COLLECTS))
        EXPECT_EQ(jit.call("build_and_sum", {1000}), std::uint64_t{499500}, "a call after that " + level);
      why = untouched_error();
      EXPECT_STATUS(jit.try_call("array", {UINT64_MAX}, &result, &why), ECHO_INVALID_ARGUMENT,
                    "length -1 " + level);
      expect_error(why, ECHO_INVALID_ARGUMENT, "length -1 " + level);
    }
  });
}

void bad_modules_are_errors(Context& context) {
  at_both_levels(context, calm, [&context](Fixture&, JitMachine& jit, const std::string& level) {
    const std::string whole = std::string(kJitPrelude) + kLists;
    for (int i = 0; i < 40; ++i) {
      std::string text = whole.substr(0, context.random.below(whole.size()));
      if (context.random.chance(2))
        text = whole.substr(whole.size() - text.size());
      if (!text.empty() && context.random.chance(2))
        text[static_cast<std::size_t>(context.random.below(text.size()))] =
            static_cast<char>(context.random.below(256));
      text += "\n!"; // never a whole module
      echo_error why = untouched_error();
      const echo_status status = jit.try_add(text, &why);
      EXPECT_STATUS(status, ECHO_IR_INVALID, "a torn module " + level);
      expect_error(why, status, "a torn module " + level);
    }
    echo_error why = untouched_error();
    EXPECT_STATUS(jit.try_add(R"(
declare ptr addrspace(1) @echo.gc.new(i64)
define ptr addrspace(1) @make() {
  %n = call ptr addrspace(1) @echo.gc.new(i64 1)
  ret ptr addrspace(1) %n
}
)",
                              &why),
                  ECHO_BAD_ABSTRACT_OPERATION, "echo.gc.new of another type " + level);
    expect_error(why, ECHO_BAD_ABSTRACT_OPERATION, "echo.gc.new of another type " + level);
    jit.add(kLists); // and goes on
    EXPECT_EQ(jit.call("build_and_sum", {100}), std::uint64_t{4950}, "a call after refused modules " + level);
  });
}

void lying_layouts_are_errors(Context& context) {
  at_both_levels(context, calm, [](Fixture&, JitMachine& jit, const std::string& level) {
    std::string text = kJitPrelude;
    const std::string honest = "i64 32, i32 0, i32 0, i32 0, i32 2, ptr @node_slots";
    text.replace(text.find(honest), honest.size(), "i64 16, i32 0, i32 0, i32 0, i32 2, ptr @node_slots");
    echo_error why = untouched_error();
    const echo_status status = jit.try_add(text + kLists, &why);
    EXPECT_STATUS(status, ECHO_BAD_LAYOUT, "a module with a layout whose slot is outside " + level);
    expect_error(why, ECHO_BAD_LAYOUT, "a module with a layout whose slot is outside " + level);
  });
}

} // namespace

Suite jit_suite() {
  return {
      "jit",
      "operations as libecho_jit emits them for this plugin, at O0 and O2, inline and called",
      {
          {"new_objects", "lists built in managed code, with a collection at every allocation",
           "[jit.thread.1] [abi.collect.2]", new_objects},
          {"allocation_collects", "managed code allocates 50 times the heap limit",
           "[abi.collect.1] [abi.recipe.1]", allocation_collects, 120},
          {"new_arrays", "new_array, array_store and length, under stress", "[jit.thread.1] [abi.collect.2]",
           new_arrays},
          {"new_objects_are_zero", "fields and elements that were never stored are zero", "[abi.recipe.1]",
           new_objects_are_zero},
          {"headers", "the header word of an object made inline is its layout's", "[abi.recipe.1]", headers},
          {"stores_with_barrier", "stores into old objects, with the barrier forced on", "[abi.recipe.3]",
           stores_with_barrier},
          {"bulk_and_exchange", "copies, fills, exchanges, with the barrier forced on",
           "[jit.bulk.1] [jit.exchange.1] [abi.recipe.3]", bulk_and_exchange},
          {"tagged_words", "a slot that is an integer and a reference by turns", "[jit.tagged.1]",
           tagged_words},
          {"aligned_objects", "aligned objects made inline, between others", "[jit.alloc.3] [abi.recipe.1]",
           aligned_objects},
          {"interior_addresses", "an address inside an object lives over allocations", "[frames.source.1]",
           interior_addresses},
          {"deep_recursion", "every one of 20 000 frames keeps its object", "[frames.source.1]",
           deep_recursion},
          {"globals_are_roots", "a module's globals keep their objects", "[jit.refuse.1] [abi.root.1]",
           globals_are_roots},
          {"raw_bytes", "raw_fill and raw_copy", "[jit.thread.1]", raw_bytes},
          {"native_calls_may_collect", "a native function collects below managed frames", "[jit.native.1]",
           native_calls_may_collect},
          {"native_calls_may_nest", "managed code below native code below managed code", "[jit.native.1]",
           native_calls_may_nest},
          {"loops_poll", "a loop without calls reaches a safepoint", "[jit.poll.1]", loops_poll},
          {"mutators_in_parallel", "three threads in managed code, under stress",
           "[jit.thread.1] [abi.collect.2]", mutators_in_parallel, 120},
          {"full_heaps_end_the_call", "out of memory ends the call with an error, and the thread goes on",
           "[alloc.slow.1] [abi.alloc.3]", full_heaps_end_the_call},
          {"bad_modules_are_errors", "torn modules and wrong operations are refused in words (random)",
           "[abi.error.1] [jit.refuse.1]", bad_modules_are_errors},
          {"lying_layouts_are_errors", "a layout that lies is refused with the module", "[abi.layout.3]",
           lying_layouts_are_errors},
      }};
}

} // namespace conformance
