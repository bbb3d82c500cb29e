/* SPDX-License-Identifier: MIT
 *
 * ahead/ahead_code.cpp - see ahead_code.h.
 */
#include "ahead/ahead_code.h"

#include "ahead/identity.h"
#include "arch/x86_64/stubs.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <unordered_map>

namespace echo::ahead {

using jit::CodeUnit;
using jit::FunctionRange;
using jit::Outcome;

namespace {

std::unordered_map<uintptr_t, uint32_t> function_sizes(const Image& image) {
  std::unordered_map<uintptr_t, uint32_t> sizes;
  for (const FunctionSize* size = image.sizes_begin; size < image.sizes_end; ++size)
    sizes[reinterpret_cast<uintptr_t>(&size->begin) +
          static_cast<uintptr_t>(static_cast<intptr_t>(size->begin))] = size->bytes;
  return sizes;
}

} // namespace

Outcome AheadCode::create(const echo_heap_api* api, echo_heap* heap, const echo_jit_options* options,
                          Image* images, std::unique_ptr<AheadCode>& out) {
  if (Outcome outcome = jit::ManagedCode::check_heap(api, heap); !outcome)
    return outcome;
  std::unique_ptr<AheadCode> made(new AheadCode(*api, heap, images));
  if (options != nullptr && options->size >= sizeof *options)
    made->code_.tell_literals(options->literal, options->literal_context);
  if (Outcome outcome = made->start(); !outcome)
    return outcome;
  out = std::move(made);
  return {};
}

Outcome AheadCode::start() {
  if (Outcome outcome = code_.take_recipes(ECHO_RECIPES_PORTABLE); !outcome)
    return outcome;
  auto unit = std::make_unique<CodeUnit>();
  jit::VariableRanges variables;
  for (const Image* image = images_; image != nullptr; image = image->next) {
    Outcome outcome = check_identity(*image, code_.recipes());
    if (outcome)
      outcome = bind_layouts(*image);
    if (outcome)
      outcome = read(*image, *unit);
    if (!outcome)
      return std::move(outcome).within(image->module);
    for (uint64_t i = 0; i < image->root_count; ++i)
      variables.roots.push_back({image->roots[i].first, image->roots[i].words});
    for (uint64_t i = 0; i < image->ambiguous_count; ++i)
      variables.ambiguous.push_back({image->ambiguous[i].first, image->ambiguous[i].bytes});
    for (uint64_t i = 0; i < image->literal_count; ++i)
      variables.literals.push_back({image->literals[i].first, image->literals[i].bytes});
    if (image->profile != images_->profile)
      return {ECHO_NOT_SUPPORTED,
              std::string("it and '") + images_->module +
                  "' are of different profiles: link objects of one profile into a program"};
    fill_cells(*image);
  }
  if (unit->functions.empty())
    return {ECHO_MISSING_SYMBOL, "the program holds no compiled code: link objects made by the pass plugin"};
  std::sort(unit->functions.begin(), unit->functions.end(),
            [](const FunctionRange& a, const FunctionRange& b) { return a.begin < b.begin; });
  unit->begin = unit->functions.front().begin;
  for (const FunctionRange& function : unit->functions)
    unit->end = std::max(unit->end, function.end);
  for (const FunctionRange& function : unit->functions)
    counts_.code_bytes += function.end - function.begin;
  counts_.sites = static_cast<uint32_t>(unit->maps.sites.size());
  counts_.derived_pairs = unit->maps.derived_pairs;
  code_.index().add(std::move(unit));
  if (Outcome outcome = code_.add_variables(variables); !outcome)
    return outcome;
  return code_.provide_frames();
}

Outcome AheadCode::bind_layouts(const Image& image) {
  for (uint64_t i = 0; i < image.layout_count; ++i) {
    LayoutBinding& binding = *image.layouts[i];
    echo_error why{};
    echo_layout_id number = 0;
    if (const echo_status status =
            code_.api().layout_register(code_.heap(), binding.descriptor, &number, &why);
        status != ECHO_OK)
      return {status, std::string("the layout '") + binding.descriptor->name + "': " + why.message};
    echo_layout_info info{};
    info.size = sizeof info;
    if (const echo_status status = code_.api().layout_get(code_.heap(), number, &info); status != ECHO_OK)
      return {status, std::string("the layout '") + binding.descriptor->name +
                          "': the heap registered it but does not describe it"};
    if (Outcome outcome = check_layout(image, binding, info); !outcome)
      return outcome;
    binding.number = number;
    binding.header_word = info.header_word;
  }
  return {};
}

Outcome AheadCode::read(const Image& image, CodeUnit& unit) {
  const std::unordered_map<uintptr_t, uint32_t> sizes = function_sizes(image);
  for (uint64_t i = 0; i < image.function_count; ++i) {
    const ImageFunction& function = image.functions[i];
    FunctionRange range;
    range.begin = reinterpret_cast<uintptr_t>(function.begin);
    const auto bytes = sizes.find(range.begin);
    if (bytes == sizes.end())
      return {ECHO_CODEGEN_FAILED, std::string("the size of the function '") + function.name +
                                       "' is not in its section: compile it again"};
    range.end = range.begin + bytes->second;
    range.name = function.name;
    range.signature.callable = function.callable != 0;
    range.signature.parameters = static_cast<uint8_t>(std::min<uint32_t>(function.parameters, 255));
    range.signature.result_bits = static_cast<uint8_t>(std::min<uint32_t>(function.result_bits, 255));
    range.signature.type = function.type;
    unit.functions.push_back(std::move(range));
  }
  counts_.functions += static_cast<uint32_t>(image.function_count);
  counts_.polls_inserted += image.polls;
  counts_.barriers_emitted += image.barriers;
  counts_.barriers_elided += image.barriers_elided;
  if (image.maps_begin == nullptr)
    return {};
  const std::span<const uint8_t> maps(image.maps_begin, image.maps_end);
  counts_.map_bytes += maps.size();
  return jit::parse_stack_maps(maps, {}, unit.maps);
}

void AheadCode::fill_cells(const Image& image) {
  const echo_recipes& recipes = code_.recipes();
  image.cold[jit::kAllocateCell] = reinterpret_cast<void*>(recipes.allocate_cold);
  image.cold[jit::kStoreCell] = reinterpret_cast<void*>(recipes.store_cold);
  image.cold[jit::kPollCell] = reinterpret_cast<void*>(recipes.poll_cold);
  image.cold[jit::kEnterNativeCell] = reinterpret_cast<void*>(recipes.enter_native_cold);
  image.cold[jit::kLeaveNativeCell] = reinterpret_cast<void*>(recipes.leave_native_cold);
  image.cold[jit::kHashCell] = reinterpret_cast<void*>(recipes.hash_cold);
  image.cold[jit::kWeakLoadCell] = reinterpret_cast<void*>(recipes.weak_load_cold);
  image.cold[jit::kRaiseCell] = reinterpret_cast<void*>(&jit::ManagedCode::raise);
  image.cold[jit::kRaiseContextCell] = &code_;
}

Outcome AheadCode::lookup(const char* name, void*& out) const {
  for (const Image* image = images_; image != nullptr; image = image->next)
    for (uint64_t i = 0; i < image->function_count; ++i)
      if (std::strcmp(image->functions[i].name, name) == 0) {
        out = image->functions[i].begin;
        return {};
      }
  return {ECHO_MISSING_SYMBOL, std::string("no compiled object defines a function '") + name + "'"};
}

void AheadCode::statistics(echo_jit_statistics& out) const {
  echo_jit_statistics all = counts_;
  all.size = out.size;
  std::memcpy(&out, &all, std::min<size_t>(out.size, sizeof all));
}

} // namespace echo::ahead
