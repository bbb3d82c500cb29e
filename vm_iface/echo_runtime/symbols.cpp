// SPDX-License-Identifier: MIT
//
// Purpose     The 60 functions as data.
#include "functions.h"

#include "echo/runtime.h"

#include <cstring>
#include <iterator>

namespace {

struct Row {
  const char *name, *exported;
  void* address;
  const char* type;
};

#define ECHO_RUNTIME_ROW(name, exported, type, result, parameters)                                           \
  {#name, #exported, reinterpret_cast<void*>(&exported), type},
const Row kRows[] = {ECHO_RUNTIME_FUNCTIONS(ECHO_RUNTIME_ROW)};
#undef ECHO_RUNTIME_ROW

static_assert(std::size(kRows) == 60, "[runtime.table.1]");

} // namespace

extern "C" {

void* echo_runtime_symbol(const char* name) {
  if (name != nullptr) {
    for (const Row& row : kRows) {
      if (std::strcmp(name, row.name) == 0 || std::strcmp(name, row.exported) == 0) {
        return row.address;
      }
    }
  }
  return nullptr;
}

echo_status echo_runtime_symbol_at(uint32_t index, echo_runtime_symbol_info* out) {
  if (out == nullptr || out->size < sizeof(echo_runtime_symbol_info) || index >= std::size(kRows)) {
    return ECHO_INVALID_ARGUMENT;
  }
  const Row& row = kRows[index];
  *out = {out->size, 0, row.name, row.exported, row.address, row.type};
  return ECHO_OK;
}

} // extern "C"
