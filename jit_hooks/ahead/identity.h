/* SPDX-License-Identifier: MIT
 *
 * ahead/identity.h - is an object compiled for the heap that is loaded? [aot.identity.1]
 */
#ifndef ECHO_AHEAD_IDENTITY_H
#define ECHO_AHEAD_IDENTITY_H

#include "ahead/image.h"
#include "echo/heap.h"
#include "outcome.h"

namespace echo::ahead {

/* VERSION_MISMATCH names the first constant that differs, and both values. */
jit::Outcome check_identity(const Image& image, const echo_recipes& loaded);
/* The same for what the compiler knew of a layout. */
jit::Outcome check_layout(const Image& image, const LayoutBinding& binding, const echo_layout_info& loaded);

} // namespace echo::ahead

#endif // ECHO_AHEAD_IDENTITY_H
