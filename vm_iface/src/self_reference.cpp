// SPDX-License-Identifier: MIT
//
// Purpose     See self_reference.h.
#include "vm_iface/src/self_reference.h"

#include <dlfcn.h>

namespace echo {

SelfReference::~SelfReference() {
  if (library_ != nullptr) {
    (void)::dlclose(library_);
  }
}

bool SelfReference::acquire(std::string* why) {
  static const char here = 0;
  Dl_info info{};
  if (::dladdr(&here, &info) != 0 && info.dli_fname != nullptr) {
    library_ =
        ::dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD); // by the name it was loaded under: opens no file
  }
  if (library_ == nullptr) {
    const char* const told = ::dlerror();
    *why = std::string("the library cannot hold itself in memory: ") +
           (told != nullptr ? told : "the loader does not know it");
  }
  return library_ != nullptr;
}

} // namespace echo
