/* SPDX-License-Identifier: MIT
 *
 * ahead/table.cpp - the table of echo/jit.h over code compiled ahead of time: who runs a program sees no difference.
 *
 * Invariants  [abi.error.1] Null arguments are refused, exceptions become values.
 */
#include "ahead/ahead_code.h"

#include "ahead/images.h"
#include "guarded_call.h"

struct echo_jit {
  std::unique_ptr<echo::ahead::AheadCode> program;
};

namespace echo::ahead {
namespace {

using jit::guarded;
using jit::Outcome;

Outcome compiled_already() {
  return {ECHO_NOT_SUPPORTED, "the program is compiled ahead of time: nothing can be added to it"};
}

echo_status create(const echo_heap_api* api, echo_heap* heap, const echo_jit_options* options, echo_jit** out,
                   echo_error* why) {
  return guarded(why, [&]() -> Outcome {
    auto made = std::make_unique<echo_jit>();
    if (Outcome outcome = AheadCode::create(api, heap, options, seal_images(), made->program); !outcome)
      return outcome;
    *out = made.release();
    return {};
  });
}

echo_status destroy(echo_jit* jit, echo_error* why) {
  return guarded(why, [&]() -> Outcome {
    if (jit->program->code().active())
      return {ECHO_WRONG_STATE, "a thread is inside the compiled code"};
    delete jit;
    return {};
  });
}

echo_status add_module(echo_jit*, const char*, const void*, uint64_t, echo_error* why) {
  return guarded(why, compiled_already);
}

echo_status define(echo_jit*, const char*, void*, uint32_t, echo_error* why) {
  return guarded(why, compiled_already);
}

echo_status define_typed(echo_jit*, const char*, void*, uint32_t, const char*, echo_error* why) {
  return guarded(why, compiled_already);
}

echo_status remove_module(echo_jit*, echo_thread*, const char*, echo_error* why) {
  return guarded(why, []() -> Outcome {
    return {ECHO_NOT_SUPPORTED, "the program is compiled ahead of time: nothing can be removed from it"};
  });
}

echo_status lookup(echo_jit* jit, const char* name, void** out, echo_error* why) {
  return guarded(why, [&] { return jit->program->lookup(name, *out); });
}

echo_status call(echo_jit* jit, echo_thread* thread, void* function, const uint64_t* arguments,
                 uint32_t count, uint64_t* result, echo_error* why) {
  return guarded(why, [&] { return jit->program->code().call(thread, function, arguments, count, *result); });
}

void abandon(echo_jit* jit, echo_thread* thread, const echo_error* why) {
  jit->program->code().abandon(thread, why);
}

echo_status function_at(echo_jit* jit, uintptr_t pc, char* name, uint64_t capacity) {
  return jit->program->code().function_at(pc, name, capacity);
}

echo_status function_type(echo_jit* jit, const void* function, char* type, uint64_t capacity) {
  return jit->program->code().function_type(function, type, capacity);
}

echo_status statistics(echo_jit* jit, echo_jit_statistics* out) {
  jit->program->statistics(*out);
  return ECHO_OK;
}

} // namespace

const echo_jit_api& ahead_table() {
  static const echo_jit_api table = {
      sizeof(echo_jit_api), ECHO_ABI_MAJOR, ECHO_ABI_MINOR, create,        destroy,
      add_module,           define,         lookup,         call,          abandon,
      function_at,          statistics,     define_typed,   function_type, remove_module};
  return table;
}

} // namespace echo::ahead
