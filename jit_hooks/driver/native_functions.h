/* SPDX-License-Identifier: MIT
 *
 * native_functions.h - the functions of echo/cc.h, and exit(), as the compiled program calls them.
 */
#ifndef ECHO_RUN_NATIVE_FUNCTIONS_H
#define ECHO_RUN_NATIVE_FUNCTIONS_H

#include "failure.h"
#include "plugins.h"

namespace echo::run {

/* Defines them in the JIT, for modules added later. */
Failure define_native_functions(const Plugins& plugins, echo_jit* jit);

} // namespace echo::run

#endif
