// SPDX-License-Identifier: MIT
//
// suite_jit.cpp - operations as libecho_jit emits them for this plugin, judged from outside.
//
// Method      Each test runs at both optimisation levels, with operations inline and called, and most under a collection at every
//             allocation with poison: what the emitted code forgets to report, zero or log is then gone when the result is checked.
#include "jit_levels.h"

namespace conformance {

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

Suite jit_suite() {
  Suite suite{
      "jit", "operations as libecho_jit emits them for this plugin, at O0 and O2, inline and called", {}};
  for (const auto& tests : {jit_object_tests(), jit_store_tests(), jit_place_tests(), jit_call_tests()})
    suite.tests.insert(suite.tests.end(), tests.begin(), tests.end());
  return suite;
}

} // namespace conformance
