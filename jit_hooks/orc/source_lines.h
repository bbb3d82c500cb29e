/* SPDX-License-Identifier: MIT
 *
 * orc/source_lines.h - the lines of a linked object, out of its DWARF line tables.
 */
#ifndef ECHO_JIT_ORC_SOURCE_LINES_H
#define ECHO_JIT_ORC_SOURCE_LINES_H

#include "maps/code_index.h"

#include "llvm/ExecutionEngine/JITLink/JITLink.h"

namespace echo::jit {

/* Before pruning: keeps what lines are read from. */
llvm::Error keep_source_lines(llvm::jitlink::LinkGraph& graph);
/* After fix-up: fills unit.lines and unit.files; leaves them empty where there is no debug information, or it is broken. */
void read_source_lines(llvm::jitlink::LinkGraph& graph, CodeUnit& unit);

} // namespace echo::jit

#endif // ECHO_JIT_ORC_SOURCE_LINES_H
