/* SPDX-License-Identifier: MIT
 *
 * ahead/identity.cpp - see identity.h.
 */
#include "ahead/identity.h"

#include <cstring>

namespace echo::ahead {
namespace {

using jit::Outcome;

/* Every field of echo_recipes that is a constant in compiled code. */
struct RecipeField {
  const char* name;
  size_t offset, bytes;
};
#define ECHO_RECIPE_FIELD(field) {#field, offsetof(echo_recipes, field), sizeof(echo_recipes::field)}
constexpr RecipeField kFields[] = {ECHO_RECIPE_FIELD(version),          ECHO_RECIPE_FIELD(cursor_offset),
                                   ECHO_RECIPE_FIELD(limit_offset),     ECHO_RECIPE_FIELD(granule),
                                   ECHO_RECIPE_FIELD(max_inline_bytes), ECHO_RECIPE_FIELD(header_offset),
                                   ECHO_RECIPE_FIELD(length_offset),    ECHO_RECIPE_FIELD(zero_from),
                                   ECHO_RECIPE_FIELD(store_kind),       ECHO_RECIPE_FIELD(phase_offset),
                                   ECHO_RECIPE_FIELD(poll_offset),      ECHO_RECIPE_FIELD(anchor_sp_offset),
                                   ECHO_RECIPE_FIELD(anchor_fp_offset), ECHO_RECIPE_FIELD(anchor_pc_offset),
                                   ECHO_RECIPE_FIELD(filler_word),      ECHO_RECIPE_FIELD(filler_shift),
                                   ECHO_RECIPE_FIELD(hash_shift),       ECHO_RECIPE_FIELD(hash_mask),
                                   ECHO_RECIPE_FIELD(hash_value),       ECHO_RECIPE_FIELD(hash_multiplier),
                                   ECHO_RECIPE_FIELD(state_offset),     ECHO_RECIPE_FIELD(state_managed),
                                   ECHO_RECIPE_FIELD(state_native)};
#undef ECHO_RECIPE_FIELD

uint64_t value_of(const echo_recipes& recipes, const RecipeField& field) {
  uint64_t value = 0; /* little-endian, as the code itself is */
  std::memcpy(&value, reinterpret_cast<const char*>(&recipes) + field.offset, field.bytes);
  return value;
}

Outcome differs(const Image& image, const std::string& what, uint64_t compiled, uint64_t loaded) {
  return {ECHO_VERSION_MISMATCH, "it is compiled for a heap whose " + what + " is " +
                                     std::to_string(compiled) + " (build '" + image.build +
                                     "'), that of the loaded heap is " + std::to_string(loaded) +
                                     ": compile it for this heap"};
}

} // namespace

Outcome check_identity(const Image& image, const echo_recipes& loaded) {
  if (image.format != kImageFormat || image.size != sizeof(Image))
    return {ECHO_VERSION_MISMATCH, "it has image format " + std::to_string(image.format) + " of " +
                                       std::to_string(image.size) + " bytes, this libecho_aot reads format " +
                                       std::to_string(kImageFormat) + " of " + std::to_string(sizeof(Image)) +
                                       ": compile it with the tools of this version"};
  if (image.abi_major != ECHO_ABI_MAJOR)
    return differs(image, "ABI version", image.abi_major, ECHO_ABI_MAJOR);
  for (const RecipeField& field : kFields)
    if (const uint64_t compiled = value_of(image.recipes, field), now = value_of(loaded, field);
        compiled != now)
      return differs(image, field.name, compiled, now);
  return {};
}

Outcome check_layout(const Image& image, const LayoutBinding& binding, const echo_layout_info& loaded) {
  const auto named = [&](const char* what) { return std::string(what) + " of layout '" + loaded.name + "'"; };
  const uint32_t alignment = loaded.alignment < 8 ? 8 : loaded.alignment;
  if (binding.kind != loaded.kind)
    return differs(image, named("kind"), binding.kind, loaded.kind);
  if (binding.fixed_bytes != loaded.fixed_bytes)
    return differs(image, named("size"), binding.fixed_bytes, loaded.fixed_bytes);
  if (binding.element_bytes != loaded.element_bytes)
    return differs(image, named("element size"), binding.element_bytes, loaded.element_bytes);
  if (binding.alignment != alignment)
    return differs(image, named("alignment"), binding.alignment, alignment);
  return {};
}

} // namespace echo::ahead
