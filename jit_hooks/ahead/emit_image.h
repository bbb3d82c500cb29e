/* SPDX-License-Identifier: MIT
 *
 * ahead/emit_image.h - what a compiled module needs to stand on its own in an object file.
 */
#ifndef ECHO_AHEAD_EMIT_IMAGE_H
#define ECHO_AHEAD_EMIT_IMAGE_H

#include "compiler/context.h"

namespace echo::ahead {

/* After run_pipeline: the stubs the module uses, its image and the constructor that registers it, its entry. */
jit::Outcome emit_image(jit::ModuleContext& context, bool optimised);

} // namespace echo::ahead

#endif // ECHO_AHEAD_EMIT_IMAGE_H
