// SPDX-License-Identifier: MIT
//
// suite_jit_objects.cpp - objects that compiled code makes.
#include "jit_levels.h"

namespace conformance {

namespace {

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

} // namespace

std::vector<Test> jit_object_tests() {
  return {
      {"new_objects", "lists built in managed code, with a collection at every allocation",
       "[jit.thread.1] [abi.collect.2]", new_objects},
      {"allocation_collects", "managed code allocates 50 times the heap limit",
       "[abi.collect.1] [abi.recipe.1]", allocation_collects, 120},
      {"new_arrays", "new_array, array_store and length, under stress", "[jit.thread.1] [abi.collect.2]",
       new_arrays},
      {"new_objects_are_zero", "fields and elements that were never stored are zero", "[abi.recipe.1]",
       new_objects_are_zero},
      {"headers", "the header word of an object made inline is its layout's", "[abi.recipe.1]", headers},
  };
}

} // namespace conformance
