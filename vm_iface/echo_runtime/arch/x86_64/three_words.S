/* SPDX-License-Identifier: MIT
 *
 * arch/x86_64/three_words.S - runtime_char_ptr_to_string: a first-class aggregate {ptr, i64, i64} as LLVM returns it.
 *
 * Purpose     LLVM's convention returns three words in rax, rdx and rcx, where C would pass a hidden pointer. The C
 *             function echo_runtime_literal(literal, out) fills three words in this frame.
 * Invariants  [runtime.words.1] rsp is 16-aligned at the inner call; nothing but the result registers differs from a C call.
 */
	.text
	.globl	runtime_char_ptr_to_string
	.type	runtime_char_ptr_to_string, @function
	.hidden	echo_runtime_literal
	.p2align 4
runtime_char_ptr_to_string:
	.cfi_startproc
	endbr64
	subq	$40, %rsp
	.cfi_adjust_cfa_offset 40
	leaq	8(%rsp), %rsi
	callq	echo_runtime_literal
	movq	8(%rsp), %rax
	movq	16(%rsp), %rdx
	movq	24(%rsp), %rcx
	addq	$40, %rsp
	.cfi_adjust_cfa_offset -40
	retq
	.cfi_endproc
	.size	runtime_char_ptr_to_string, .-runtime_char_ptr_to_string

	.section .note.GNU-stack,"",@progbits
