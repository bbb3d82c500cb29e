/* SPDX-License-Identifier: MIT
 *
 * Purpose     The functions of one_place.h for x86-64; nothing elsewhere.
 */
#if defined(__x86_64__)
	.text
	.macro	call_with reg
	.globl	echo_one_place_with_\reg
	.type	echo_one_place_with_\reg, @function
echo_one_place_with_\reg:
	pushq	%\reg
	movq	%rdi, %\reg
	notq	%\reg
	movq	%rdx, %rdi
	callq	*%rsi
	movq	%\reg, %rax
	notq	%rax
	popq	%\reg
	retq
	.size	echo_one_place_with_\reg, .-echo_one_place_with_\reg
	.endm
	call_with rbx
	call_with rbp
	call_with r12
	call_with r13
	call_with r14
	call_with r15

	.globl	echo_one_place_with_stack
	.type	echo_one_place_with_stack, @function
echo_one_place_with_stack:
	notq	%rdi
	pushq	%rdi
	movq	%rdx, %rdi
	callq	*%rsi
	movq	(%rsp), %rax
	movq	$0, (%rsp)
	notq	%rax
	addq	$8, %rsp
	retq
	.size	echo_one_place_with_stack, .-echo_one_place_with_stack

	.globl	echo_one_place_and_move
	.type	echo_one_place_and_move, @function
echo_one_place_and_move:
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	movq	%rdx, %r12		/* second */
	movq	%rcx, %r13		/* argument */
	notq	%rdi
	pushq	%rdi
	subq	$8, %rsp
	movq	%rcx, %rdi
	callq	*%rsi
	movq	8(%rsp), %rbx
	movq	$0, 8(%rsp)
	movq	%r13, %rdi
	callq	*%r12
	movq	%rbx, %rax
	notq	%rax
	addq	$16, %rsp
	popq	%r13
	popq	%r12
	popq	%rbx
	retq
	.size	echo_one_place_and_move, .-echo_one_place_and_move
#endif
	.section .note.GNU-stack,"",@progbits
