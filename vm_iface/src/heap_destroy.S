/* SPDX-License-Identifier: MIT
 *
 * Purpose     echo_heap_destroy. When the VM has closed the library already, the heap's hold on it is the last one, and giving it
 *             back unmaps this very code. So the dlclose is a jump: it returns to the VM, with 0, which is ECHO_OK. [abi.unload.3]
 *
 *             {library, status} = echo_heap_destroy_body(heap, why);  in two registers
 *             if (library == NULL) return status;
 *             goto dlclose(library);
 */
        .text
        .globl  echo_heap_destroy
        .type   echo_heap_destroy, %function
        .hidden echo_heap_destroy_body
        .p2align 4
echo_heap_destroy:
        .cfi_startproc
#if defined(__x86_64__)
        endbr64
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    echo_heap_destroy_body
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        testq   %rax, %rax
        je      1f
        movq    %rax, %rdi
        jmp     *dlclose@GOTPCREL(%rip)
1:      movl    %edx, %eax
        ret
#elif defined(__aarch64__)
        hint    #34 /* bti c */
        stp     x29, x30, [sp, #-16]!
        .cfi_adjust_cfa_offset 16
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        mov     x29, sp
        bl      echo_heap_destroy_body
        ldp     x29, x30, [sp], #16
        .cfi_adjust_cfa_offset -16
        .cfi_restore x29
        .cfi_restore x30
        cbz     x0, 1f
        b       dlclose
1:      mov     w0, w1
        ret
#else
#error "echo_heap_destroy is not written for this processor: docs/porting.md"
#endif
        .cfi_endproc
        .size   echo_heap_destroy, . - echo_heap_destroy
        .section .note.GNU-stack, "", %progbits
