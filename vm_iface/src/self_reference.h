// SPDX-License-Identifier: MIT
//
// Purpose     A heap's hold on the library that runs it: as long as a heap exists, dlclose unmaps nothing.
// Invariants  [abi.unload.2] The loader's count of the library is at least the number of its heaps. [abi.unload.3] Nothing of the
//             library is executed on a thread after the dlclose that may be the last one: heap_destroy.S jumps there.
#pragma once

#include <string>
#include <utility>

namespace echo {

class SelfReference {
public:
  SelfReference() = default;
  // For a heap that never came to be: its creator's own hold is still there.
  ~SelfReference();
  SelfReference(const SelfReference&) = delete;
  SelfReference& operator=(const SelfReference&) = delete;

  // False with the loader's words.
  bool acquire(std::string* why);
  // The handle, to be closed by whoever takes it.
  void* release() { return std::exchange(library_, nullptr); }

private:
  void* library_ = nullptr;
};

} // namespace echo
