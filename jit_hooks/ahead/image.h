/* SPDX-License-Identifier: MIT
 *
 * ahead/image.h - what an object that was compiled ahead of time says of itself when the program starts.
 *
 * Purpose     The pass plugin writes one Image into each module, with a constructor that hands it to the runtime
 *             library. The runtime reads it before any of the code runs: was it compiled for the heap that is loaded,
 *             which layouts does it allocate, where are its roots, functions and stack maps.
 * Drawing     Image --> module, build              strings
 *                   --> cold[kCellCount]           cells the stubs call through; shared by all objects of a program
 *                   --> maps_begin, maps_end       the stack map section of this object, or null
 *                   --> roots[root_count]          runs of root words
 *                   --> ambiguous[], literals[]    variables of the unmodified profile
 *                   --> layouts[layout_count] --> LayoutBinding   numbers, filled at the start
 *                   --> functions[function_count]; their sizes in a section that the linker gathers
 * Invariants  [aot.identity.1] Every constant of the heap that the code holds is in `recipes` and in the bindings, and
 *             compared with the loaded heap before any of the code runs.
 *             [aot.layout.1] No layout number is in the code: it loads numbers and header words from bindings.
 */
#ifndef ECHO_AHEAD_IMAGE_H
#define ECHO_AHEAD_IMAGE_H

#include "echo/layout.h"
#include "echo/recipes.h"

#include <cstddef>
#include <cstdint>

namespace echo::ahead {

/* Raised when the meaning of a field changes. */
inline constexpr uint32_t kImageFormat = 2;

struct LayoutBinding {
  uint64_t header_word; /* filled at the start */
  uint32_t number;      /* filled at the start */
  uint32_t alignment;   /* the next three: what the compiler took from the heap it compiled for */
  uint64_t fixed_bytes;
  uint32_t element_bytes;
  uint32_t kind;
  const echo_layout* descriptor; /* as the program wrote it */
};
static_assert(offsetof(LayoutBinding, header_word) == 0 && offsetof(LayoutBinding, number) == 8 &&
              offsetof(LayoutBinding, descriptor) == 32 && sizeof(LayoutBinding) == 40);

struct ImageRoots {
  echo_ref* first;
  uint64_t words;
};
static_assert(sizeof(ImageRoots) == 16);

struct ImageBytes {
  void* first;
  uint64_t bytes;
};
static_assert(sizeof(ImageBytes) == 16);

struct ImageFunction {
  void* begin;
  const char* name;
  const char* type; /* letters of echo_jit_define_typed */
  uint32_t parameters;
  uint16_t result_bits;
  uint16_t callable;
};
static_assert(sizeof(ImageFunction) == 32);

/* Written by the code generator for each function, in a section of its own. */
struct FunctionSize {
  int32_t begin; /* relative to this field */
  uint32_t bytes;
};
static_assert(sizeof(FunctionSize) == 8);

struct Image {
  uint32_t size;   /* sizeof(Image) */
  uint32_t format; /* kImageFormat */
  Image* next;     /* filled by the runtime: its list */
  const char* module;
  const char* build; /* build_id of the heap it was compiled for */
  uint32_t abi_major;
  uint16_t optimise, operations; /* as in echo_jit_options */
  uint64_t polls, barriers, barriers_elided;
  void** cold; /* kCellCount words */
  const uint8_t* maps_begin;
  const uint8_t* maps_end;
  const ImageRoots* roots;
  uint64_t root_count;
  LayoutBinding* const* layouts;
  uint64_t layout_count;
  const ImageFunction* functions;
  uint64_t function_count;
  const FunctionSize* sizes_begin; /* of all objects that were linked together */
  const FunctionSize* sizes_end;
  const ImageBytes* ambiguous; /* unmodified profile: writable variables */
  uint64_t ambiguous_count;
  const ImageBytes* literals;
  uint64_t literal_count;
  uint32_t profile; /* ECHO_JIT_PROFILE_* */
  uint32_t reserved;
  echo_recipes recipes; /* as compiled for; addresses are null */
};
static_assert(offsetof(Image, recipes) == 192 && sizeof(Image) == 192 + sizeof(echo_recipes));

/* Names in objects. */
inline constexpr const char* kRegisterFunction = "echo_aot_register";
inline constexpr const char* kMainFunction = "echo_aot_main";
inline constexpr const char* kProgramMain = "echo.main"; /* the program's own main */
inline constexpr const char* kMapsBegin = "__LLVM_StackMaps";
inline constexpr const char* kSizesSection = "echo_functions";
inline constexpr const char* kSizesBegin = "__start_echo_functions"; /* defined by the linker */
inline constexpr const char* kSizesEnd = "__stop_echo_functions";
inline constexpr const char* kMapsEnd = "echo.stackmaps.end";

} // namespace echo::ahead

#endif // ECHO_AHEAD_IMAGE_H
