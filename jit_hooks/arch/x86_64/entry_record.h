/* SPDX-License-Identifier: MIT
 *
 * arch/x86_64/entry_record.h - offsets that the entry stub (assembly) and entry.h (C++) share.
 *
 * Drawing     entry frame of echo_jit_enter, as the walker sees it:
 *
 *             fp + 8   return address into echo_jit_call
 *             fp       caller's rbp
 *             fp - 8 .. fp - 40   rbx r12 r13 r14 r15
 *             fp - 48  address of the entry record
 */
#ifndef ECHO_JIT_ENTRY_RECORD_H
#define ECHO_JIT_ENTRY_RECORD_H

#define ECHO_ENTRY_THREAD 0
#define ECHO_ENTRY_FUNCTION 8
#define ECHO_ENTRY_ARGUMENTS 16
#define ECHO_ENTRY_RESULT 64
#define ECHO_ENTRY_FRAME 72

#define ECHO_ENTRY_FRAME_RECORD (-48)

#endif /* ECHO_JIT_ENTRY_RECORD_H */
