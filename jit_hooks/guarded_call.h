/* SPDX-License-Identifier: MIT
 *
 * guarded_call.h - the C boundary: nothing thrown passes it. [abi.error.1]
 */
#ifndef ECHO_JIT_GUARDED_CALL_H
#define ECHO_JIT_GUARDED_CALL_H

#include "outcome.h"

#include <exception>
#include <new>

namespace echo::jit {

/* Runs `body`; nothing it throws leaves. */
template <class Body> echo_status guarded(echo_error* why, Body body) {
  try {
    return body().report(why);
  } catch (const std::bad_alloc&) {
    fill_error(why, ECHO_SYSTEM_MEMORY, "the operating system refused memory");
    return ECHO_SYSTEM_MEMORY;
  } catch (const std::exception& error) {
    fill_error(why, ECHO_CODEGEN_FAILED, error.what());
    return ECHO_CODEGEN_FAILED;
  } catch (...) {
    fill_error(why, ECHO_CODEGEN_FAILED, "an unknown exception");
    return ECHO_CODEGEN_FAILED;
  }
}

} // namespace echo::jit

#endif // ECHO_JIT_GUARDED_CALL_H
