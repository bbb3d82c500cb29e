; SPDX-License-Identifier: MIT
; concat_churn.eo in the precise profile, converted by hand: references are ptr addrspace(1), allocation is an abstract
; operation, and nothing is left for a collector to guess. docs/echo-profiles.md compares both, function by function.
;
; A string is one array of bytes: the heap's header, its length, the text. The runtime functions that the program uses are
; here too, since they handle references: string_concat, runtime_string_len_utf8, print_string, string_of_literal.

%echo_layout = type { i32, i32, ptr, i64, i32, i32, i32, i32, ptr }
@string.name = private constant [7 x i8] c"string\00"
@string = private constant %echo_layout { i32 48, i32 2, ptr @string.name, i64 16, i32 1, i32 0, i32 0, i32 0, ptr null }

@.str.1 = private constant [0 x i8] zeroinitializer
@.str.2 = private constant [2 x i8] c"ab"
@.str.3 = private constant [18 x i8] c"concat_churn total"
@.str.4 = private constant [3 x i8] c"xyz"
@int_line = private constant [4 x i8] c"%d\0A\00"

declare ptr addrspace(1) @echo.gc.new_array(ptr, i64)
declare i64 @echo.gc.length(ptr addrspace(1))
declare void @echo.gc.raw_copy(ptr addrspace(1), ptr addrspace(1), i64)
declare i32 @printf(ptr, ...)
declare i32 @putchar(i32)

; --- the runtime functions

define internal ptr addrspace(1) @string_of_literal(ptr %text, i64 %bytes) {
entry:
  %s = call ptr addrspace(1) @echo.gc.new_array(ptr @string, i64 %bytes)
  br label %next
next:
  %i = phi i64 [ 0, %entry ], [ %more, %copy ]
  %left = icmp slt i64 %i, %bytes
  br i1 %left, label %copy, label %done
copy:
  %from = getelementptr i8, ptr %text, i64 %i
  %byte = load i8, ptr %from
  %at = add i64 %i, 16
  %to = getelementptr i8, ptr addrspace(1) %s, i64 %at
  store i8 %byte, ptr addrspace(1) %to
  %more = add i64 %i, 1
  br label %next
done:
  ret ptr addrspace(1) %s
}

define internal ptr addrspace(1) @string_concat(ptr addrspace(1) %left, ptr addrspace(1) %right) {
  %l = call i64 @echo.gc.length(ptr addrspace(1) %left)
  %r = call i64 @echo.gc.length(ptr addrspace(1) %right)
  %n = add i64 %l, %r
  %s = call ptr addrspace(1) @echo.gc.new_array(ptr @string, i64 %n)
  %to = getelementptr i8, ptr addrspace(1) %s, i64 16
  %from = getelementptr i8, ptr addrspace(1) %left, i64 16
  call void @echo.gc.raw_copy(ptr addrspace(1) %to, ptr addrspace(1) %from, i64 %l)
  %behind = getelementptr i8, ptr addrspace(1) %to, i64 %l
  %second = getelementptr i8, ptr addrspace(1) %right, i64 16
  call void @echo.gc.raw_copy(ptr addrspace(1) %behind, ptr addrspace(1) %second, i64 %r)
  ret ptr addrspace(1) %s
}

define internal i32 @runtime_string_len_utf8(ptr addrspace(1) %s) {
entry:
  %n = call i64 @echo.gc.length(ptr addrspace(1) %s)
  br label %next
next:
  %i = phi i64 [ 0, %entry ], [ %more, %look ]
  %count = phi i32 [ 0, %entry ], [ %sum, %look ]
  %left = icmp slt i64 %i, %n
  br i1 %left, label %look, label %done
look:
  %at = add i64 %i, 16
  %p = getelementptr i8, ptr addrspace(1) %s, i64 %at
  %byte = load i8, ptr addrspace(1) %p
  %top = and i8 %byte, -64
  %starts = icmp ne i8 %top, -128
  %one = zext i1 %starts to i32
  %sum = add i32 %count, %one
  %more = add i64 %i, 1
  br label %next
done:
  ret i32 %count
}

define internal void @print_string(ptr addrspace(1) %s) {
entry:
  %n = call i64 @echo.gc.length(ptr addrspace(1) %s)
  br label %next
next:
  %i = phi i64 [ 0, %entry ], [ %more, %put ]
  %left = icmp slt i64 %i, %n
  br i1 %left, label %put, label %done
put:
  %at = add i64 %i, 16
  %p = getelementptr i8, ptr addrspace(1) %s, i64 %at
  %byte = load i8, ptr addrspace(1) %p
  %wide = zext i8 %byte to i32
  %p1 = call i32 @putchar(i32 %wide)
  %more = add i64 %i, 1
  br label %next
done:
  %p2 = call i32 @putchar(i32 10)
  ret void
}

define internal void @print_int(i32 %value) {
  %p = call i32 (ptr, ...) @printf(ptr @int_line, i32 %value)
  ret void
}

; --- the program

define i32 @main() {
entry:
  call void @run()
  ret i32 0
}

define ptr addrspace(1) @grow(i32 %param0, ptr addrspace(1) %param1) {
entry:
  %n_addr_0 = alloca i32
  store i32 %param0, ptr %n_addr_0
  %piece_addr_0 = alloca ptr addrspace(1)
  store ptr addrspace(1) %param1, ptr %piece_addr_0
  %s_0 = alloca ptr addrspace(1)
  %0 = call ptr addrspace(1) @string_of_literal(ptr @.str.1, i64 0)
  store ptr addrspace(1) %0, ptr %s_0
  %i_0 = alloca i32
  store i32 0, ptr %i_0
  br label %while.cond

while.cond:
  %i_load_0 = load i32, ptr %i_0
  %n_load_0 = load i32, ptr %n_addr_0
  %binop_1_0 = icmp slt i32 %i_load_0, %n_load_0
  br i1 %binop_1_0, label %while.body, label %while.end

while.body:
  %s_load_0 = load ptr addrspace(1), ptr %s_0
  %piece_load_0 = load ptr addrspace(1), ptr %piece_addr_0
  %binop_2_0 = call ptr addrspace(1) @string_concat(ptr addrspace(1) %s_load_0, ptr addrspace(1) %piece_load_0)
  store ptr addrspace(1) %binop_2_0, ptr %s_0
  %i_load_1 = load i32, ptr %i_0
  %binop_3_0 = add i32 %i_load_1, 1
  store i32 %binop_3_0, ptr %i_0
  br label %while.cond

while.end:
  %s_load_1 = load ptr addrspace(1), ptr %s_0
  ret ptr addrspace(1) %s_load_1
}

define i32 @step(i32 %param0, i32 %param1) {
entry:
  %0 = call ptr addrspace(1) @string_of_literal(ptr @.str.2, i64 2)
  %1 = call ptr addrspace(1) @grow(i32 64, ptr addrspace(1) %0)
  %2 = call i32 @runtime_string_len_utf8(ptr addrspace(1) %1)
  %binop_4_0 = add i32 %param1, %2
  %binop_5_0 = srem i32 %param0, 3
  %binop_6_0 = add i32 %binop_4_0, %binop_5_0
  ret i32 %binop_6_0
}

define i32 @rounds(i32 %param0) {
entry:
  %k_addr_0 = alloca i32
  store i32 %param0, ptr %k_addr_0
  %r_0 = alloca i32
  store i32 0, ptr %r_0
  %t_0 = alloca i32
  store i32 0, ptr %t_0
  br label %while.cond

while.cond:
  %r_load_0 = load i32, ptr %r_0
  %k_load_0 = load i32, ptr %k_addr_0
  %binop_7_0 = icmp slt i32 %r_load_0, %k_load_0
  br i1 %binop_7_0, label %while.body, label %while.end

while.body:
  %r_load_1 = load i32, ptr %r_0
  %t_load_0 = load i32, ptr %t_0
  %0 = call i32 @step(i32 %r_load_1, i32 %t_load_0)
  store i32 %0, ptr %t_0
  %r_load_2 = load i32, ptr %r_0
  %binop_8_0 = add i32 %r_load_2, 1
  store i32 %binop_8_0, ptr %r_0
  br label %while.cond

while.end:
  %t_load_1 = load i32, ptr %t_0
  ret i32 %t_load_1
}

define void @run() {
entry:
  %0 = call i32 @rounds(i32 40000)
  %1 = call ptr addrspace(1) @string_of_literal(ptr @.str.3, i64 18)
  call void @print_string(ptr addrspace(1) %1)
  call void @print_int(i32 %0)
  %2 = call ptr addrspace(1) @string_of_literal(ptr @.str.4, i64 3)
  %3 = call ptr addrspace(1) @grow(i32 5, ptr addrspace(1) %2)
  call void @print_string(ptr addrspace(1) %3)
  ret void
}
