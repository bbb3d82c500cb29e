/* SPDX-License-Identifier: MIT
 *
 * maps/stack_map_parser.h - LLVM stack map section (version 3) to sites. No LLVM header is needed.
 *
 * Drawing     blob:      [version 1][0][0 2] [functions 4][constants 4][records 4]
 *                        functions x [address 8][frame size 8][records 8]
 *                        constants x [value 8]
 *                        records   x [id 8][offset 4][0 2][locations 2] locations x [kind 1][0 1][size
 * 2][dwarf register 2][0 2][offset 4] pad to 8 [0 2][live outs 2] live outs x 4, pad to 8 locations of a
 * statepoint: calling convention, flags, number of deopt values, those, (base, derived)*, words of the frame*
 *
 * Invariants  [jit.map.1] The parser reads inside the bytes given, whatever they say, and terminates.
 *             [jit.map.2] A root lies in the frame, at rsp or rbp plus an offset; anything else but a
 * constant fails. [jit.map.3] A location of k words is k roots. A pair is listed once per site.
 */
#ifndef ECHO_JIT_STACK_MAP_PARSER_H
#define ECHO_JIT_STACK_MAP_PARSER_H

#include "outcome.h"

#include <cstdint>
#include <span>
#include <vector>

namespace echo::jit {

/* Where one root of a site is: both addresses are `register + offset`. */
struct RootLocation {
  int32_t base_offset, derived_offset;
  uint8_t base_from_fp, derived_from_fp; /* 1: rbp, 0: rsp */

  bool is_derived() const { return base_offset != derived_offset || base_from_fp != derived_from_fp; }
  bool operator==(const RootLocation&) const = default;
};

inline constexpr uint64_t kUnknownFrameSize = ~uint64_t{0};

struct Site {
  uint64_t pc = 0; /* return address of the call */
  uint64_t frame_size = kUnknownFrameSize;
  uint32_t first_root = 0, root_count = 0;
};

struct ParsedMaps {
  std::vector<Site> sites; /* in order of pc */
  std::vector<RootLocation> roots;
  uint64_t functions = 0, derived_pairs = 0;
};

struct StackMapRules {
  bool skip_unknown_registers = false; /* test only: forget roots that [jit.map.2] refuses */
  bool first_word_only = false;        /* test only: forget what [jit.map.3] says */
};

/* Appends the sites of every blob in `bytes`. CODEGEN_FAILED: broken bytes. UNSUPPORTED_FRAME: [jit.map.2];
 * the message holds the address of the function. */
Outcome parse_stack_maps(std::span<const uint8_t> bytes, const StackMapRules& rules, ParsedMaps& out);

} // namespace echo::jit

#endif // ECHO_JIT_STACK_MAP_PARSER_H
