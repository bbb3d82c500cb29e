/* SPDX-License-Identifier: MIT
 *
 * maps/places.cpp - the indexes of this process. Invariants: places.h.
 */
#include "maps/places.h"

#include "maps/code_index.h"

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <vector>

namespace echo::jit {
namespace {

std::mutex lock;
std::vector<const CodeIndex*>& indexes() {
  static std::vector<const CodeIndex*> all;
  return all;
}

} // namespace

void register_places(const CodeIndex* index) {
  const std::lock_guard<std::mutex> guard(lock);
  indexes().push_back(index);
}

void forget_places(const CodeIndex* index) {
  const std::lock_guard<std::mutex> guard(lock);
  std::erase(indexes(), index);
}

echo_status place_of(uintptr_t return_address, char* text, uint64_t capacity) {
  const uintptr_t pc = return_address - 1; /* in the call, which may be the function's last instruction */
  const std::lock_guard<std::mutex> guard(lock);
  for (const CodeIndex* index : indexes()) {
    const CodeIndex::View view(*index);
    const CodeUnit* const unit = view.unit_at(pc);
    const FunctionRange* const function = unit != nullptr ? unit->function_at(pc) : nullptr;
    if (function == nullptr)
      continue;
    const SourceLine* const line = unit->line_at(pc);
    if (line != nullptr && line->line != 0)
      std::snprintf(text, capacity, "%s (%s:%u)", function->name.c_str(), unit->files[line->file].c_str(),
                    line->line);
    else
      std::snprintf(text, capacity, "%s", function->name.c_str());
    return ECHO_OK;
  }
  return ECHO_MISSING_SYMBOL;
}

} // namespace echo::jit
