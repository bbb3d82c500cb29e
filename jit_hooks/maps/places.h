/* SPDX-License-Identifier: MIT
 *
 * maps/places.h - what stands at an address of compiled code, of any JIT of this process, in words: "push (list.c:31)".
 *
 * Invariants  [jit.where.1] An index is asked between its registration and its end only: both, and each question, hold the lock.
 */
#ifndef ECHO_JIT_PLACES_H
#define ECHO_JIT_PLACES_H

#include "echo/base.h"

#include <cstdint>

namespace echo::jit {

class CodeIndex;

void register_places(const CodeIndex* index);
void forget_places(const CodeIndex* index);
/* The function that the call with this return address stands in, and its line where that is known. MISSING_SYMBOL. */
echo_status place_of(uintptr_t return_address, char* text, uint64_t capacity);

} // namespace echo::jit

#endif // ECHO_JIT_PLACES_H
