/* SPDX-License-Identifier: MIT
 *
 * ahead/images.cpp - see images.h.
 */
#include "ahead/images.h"

#include "driver/failure.h"

#include <atomic>
#include <string>
#include <unistd.h>

namespace echo::ahead {
namespace {

constinit std::atomic<Image*> images{nullptr};
constinit std::atomic<bool> sealed{false};

} // namespace

Image* seal_images() {
  sealed.store(true);
  return images.load();
}

} // namespace echo::ahead

void echo_aot_register(echo::ahead::Image* image) {
  namespace ahead = echo::ahead;
  namespace run = echo::run;
  if (ahead::sealed.load()) {
    run::print_failure(
        {ECHO_WRONG_STATE, "code compiled ahead of time was loaded after the program was started, in '" +
                               std::string(image->module) + "', link it into the program"});
    _exit(run::exit_failed);
  }
  image->next = ahead::images.load();
  while (!ahead::images.compare_exchange_weak(image->next, image)) {
  }
}
