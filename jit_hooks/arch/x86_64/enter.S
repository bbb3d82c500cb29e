/* SPDX-License-Identifier: MIT
 *
 * arch/x86_64/enter.S - from C++ into managed code, and out of it without returning.
 *
 * Purpose     echo_jit_enter(record): saves what the C++ caller expects to keep, pins the thread in r13 (swiftself),
 *             loads the arguments and calls. echo_jit_leave(frame): cuts the stack back to an entry frame and returns
 *             from it as if the call had ended.
 * Invariants  [jit.entry.1] The walker recognises an entry frame by its return address echo_jit_entry_return and finds
 *             the record at fp - 48. [jit.entry.2] Both ways out restore rbx, rbp, r12-r15 from the entry frame, so
 *             leaving needs nothing from the frames it drops.
 */
#include "arch/x86_64/entry_record.h"

	.text
	.globl	echo_jit_enter
	.hidden	echo_jit_enter
	.type	echo_jit_enter, @function
	.p2align 4
echo_jit_enter:
	.cfi_startproc
	pushq	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset %rbp, -16
	movq	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	pushq	%rdi			/* the record; rsp is 16-aligned again */
	.cfi_offset %rbx, -24
	.cfi_offset %r12, -32
	.cfi_offset %r13, -40
	.cfi_offset %r14, -48
	.cfi_offset %r15, -56
	movq	%rbp, ECHO_ENTRY_FRAME(%rdi)
	movq	ECHO_ENTRY_THREAD(%rdi), %r13
	movq	ECHO_ENTRY_FUNCTION(%rdi), %r11
	movq	%rdi, %r10
	movq	ECHO_ENTRY_ARGUMENTS+0(%r10), %rdi
	movq	ECHO_ENTRY_ARGUMENTS+8(%r10), %rsi
	movq	ECHO_ENTRY_ARGUMENTS+16(%r10), %rdx
	movq	ECHO_ENTRY_ARGUMENTS+24(%r10), %rcx
	movq	ECHO_ENTRY_ARGUMENTS+32(%r10), %r8
	movq	ECHO_ENTRY_ARGUMENTS+40(%r10), %r9
	xorl	%eax, %eax
	callq	*%r11
	.globl	echo_jit_entry_return
	.hidden	echo_jit_entry_return
echo_jit_entry_return:
	movq	ECHO_ENTRY_FRAME_RECORD(%rbp), %rcx
	movq	%rax, ECHO_ENTRY_RESULT(%rcx)
.Lrestore:
	leaq	-40(%rbp), %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	.cfi_def_cfa %rsp, 8
	retq
	.cfi_endproc
	.size	echo_jit_enter, .-echo_jit_enter

	.globl	echo_jit_leave
	.hidden	echo_jit_leave
	.type	echo_jit_leave, @function
	.p2align 4
echo_jit_leave:
	.cfi_startproc
	movq	%rdi, %rbp
	jmp	.Lrestore
	.cfi_endproc
	.size	echo_jit_leave, .-echo_jit_leave

	.section .note.GNU-stack,"",@progbits
