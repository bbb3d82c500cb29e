/* SPDX-License-Identifier: MIT
 *
 * ahead/ahead_code.h - the code of a program that was compiled ahead of time, on one heap.
 *
 * Purpose     What the JIT does when it links: check, register layouts and roots, publish functions and stack maps,
 *             become the frame source. All before any of the code runs.
 * Invariants  [aot.start.1] Nothing of the code runs unless every object of the program passed every check.
 *             [aot.index.1] All objects are one unit of the code index: the linker may have mixed their functions.
 *             [aot.map.1] Of an object's stack maps no byte outside its own section is read.
 */
#ifndef ECHO_AHEAD_AHEAD_CODE_H
#define ECHO_AHEAD_AHEAD_CODE_H

#include "ahead/image.h"
#include "echo/jit.h"
#include "managed_code.h"

#include <memory>

namespace echo::ahead {

class AheadCode {
public:
  static jit::Outcome create(const echo_heap_api* api, echo_heap* heap, const echo_jit_options* options,
                             Image* images, std::unique_ptr<AheadCode>& out);
  AheadCode(const AheadCode&) = delete;
  AheadCode& operator=(const AheadCode&) = delete;

  jit::ManagedCode& code() { return code_; }
  jit::Outcome lookup(const char* name, void*& out) const;
  void statistics(echo_jit_statistics& out) const;

private:
  AheadCode(const echo_heap_api& api, echo_heap* heap, Image* images) : code_(api, heap), images_(images) {}
  jit::Outcome start();
  jit::Outcome bind_layouts(const Image& image);
  jit::Outcome read(const Image& image, jit::CodeUnit& unit);
  void fill_cells(const Image& image);

  jit::ManagedCode code_;
  Image* const images_;
  echo_jit_statistics counts_{};
};

/* The table of echo/jit.h for the images of this process; modules cannot be added to it. */
const echo_jit_api& ahead_table();

} // namespace echo::ahead

#endif // ECHO_AHEAD_AHEAD_CODE_H
