/* SPDX-License-Identifier: MIT
 *
 * ahead/images.h - the images of a program's objects, as their constructors hand them over.
 *
 * Invariants  [aot.register.1] Registration allocates nothing and needs no constructor of its own: it works in whatever
 *             order the constructors of a program run. [aot.register.2] An object that comes after the program was started
 *             ends the process with one line: its code is in no map.
 */
#ifndef ECHO_AHEAD_IMAGES_H
#define ECHO_AHEAD_IMAGES_H

#include "ahead/image.h"

namespace echo::ahead {

/* The first of the list, which is complete from now on. */
Image* seal_images();

} // namespace echo::ahead

extern "C" ECHO_EXPORT void echo_aot_register(echo::ahead::Image* image);

#endif // ECHO_AHEAD_IMAGES_H
