// SPDX-License-Identifier: MIT
//
// where.h - which place in the VM's program called.
//
// Drawing     caller   the return address of the call: in the VM, or in a stub of compiled code
//             beyond   that of the stub, which has a frame of its own: in the function that was compiled
//             managed  for native code below compiled code: where that was left, from the anchor
// Invariants  [check.site.1] Taking a site reads two words of the stack, and the anchor, and asks nobody; words are made of it when
//             it is told.
#ifndef ECHO_CHECK_WHERE_H
#define ECHO_CHECK_WHERE_H

#include "echo/base.h"

#include <cstdint>
#include <string>

namespace check {

struct Site {
  std::uintptr_t caller = 0, beyond = 0, managed = 0;
};

// Where the compiled code of a thread was left last; 0: null, or it never ran.
std::uintptr_t managed_frame(const echo_thread* thread);
// Of the function that it is written in, which has a frame pointer. A caller's frame that is no neighbour's is not believed.
#define ECHO_CHECK_SITE(thread)                                                                              \
  ::check::site_of(__builtin_return_address(0), __builtin_frame_address(0), ::check::managed_frame(thread))
inline Site site_of(void* caller, void* frame, std::uintptr_t managed) {
  constexpr std::uintptr_t kNear = 512;
  const auto here = reinterpret_cast<std::uintptr_t>(frame);
  const std::uintptr_t next = *static_cast<const std::uintptr_t*>(frame);
  const bool is_near = next > here && next - here < kNear && next % 8 == 0;
  return {reinterpret_cast<std::uintptr_t>(caller),
          is_near ? reinterpret_cast<const std::uintptr_t*>(next)[1] : 0, managed};
}

// Who knows compiled code: the library that this address lies in exports echo_jit_where, or it does not.
void learn_compiler(const void* address_in_library);
// "push (list.c:31)", "vm(+0x1234)", "keep+0x42 in vm, called from push (list.c:31)", or the bare address.
std::string describe(const Site& site);

} // namespace check

#endif // ECHO_CHECK_WHERE_H
