/* SPDX-License-Identifier: MIT
 *
 * api.cpp - the exported functions of echo/jit.h and their table.
 *
 * Invariants  [abi.error.1] Null arguments are refused, exceptions become values.
 */
#include "guarded_call.h"
#include "jit.h"
#include "maps/places.h"

namespace {

using echo::jit::guarded;
using echo::jit::Jit;
using echo::jit::Outcome;

Outcome null_argument(const char* name) {
  return {ECHO_INVALID_ARGUMENT, std::string(name) + " is null"};
}

const echo_jit_api table = {sizeof(echo_jit_api),  ECHO_ABI_MAJOR,         ECHO_ABI_MINOR,
                            echo_jit_create,       echo_jit_destroy,       echo_jit_add_module,
                            echo_jit_define,       echo_jit_lookup,        echo_jit_call,
                            echo_jit_abandon,      echo_jit_function_at,   echo_jit_get_statistics,
                            echo_jit_define_typed, echo_jit_function_type, echo_jit_remove_module};

} // namespace

extern "C" {

const echo_jit_api* echo_jit_plugin(uint32_t wanted_major, uint32_t wanted_minor, echo_error* why) {
  if (wanted_major == ECHO_ABI_MAJOR && wanted_minor <= ECHO_ABI_MINOR)
    return &table;
  guarded(why, [&]() -> Outcome {
    return {ECHO_VERSION_MISMATCH, "this JIT serves version " + std::to_string(ECHO_ABI_MAJOR) + "." +
                                       std::to_string(ECHO_ABI_MINOR) + ", not " +
                                       std::to_string(wanted_major) + "." + std::to_string(wanted_minor)};
  });
  return nullptr;
}

echo_status echo_jit_create(const echo_heap_api* api, echo_heap* heap, const echo_jit_options* options,
                            echo_jit** out, echo_error* why) {
  return guarded(why, [&]() -> Outcome {
    if (out == nullptr)
      return null_argument("out");
    auto jit = std::make_unique<echo_jit>();
    if (Outcome outcome = Jit::create(api, heap, options, jit->jit); !outcome)
      return outcome;
    *out = jit.release();
    return {};
  });
}

echo_status echo_jit_destroy(echo_jit* jit, echo_error* why) {
  return guarded(why, [&]() -> Outcome {
    if (jit == nullptr)
      return null_argument("jit");
    if (Outcome outcome = jit->jit->close(); !outcome)
      return outcome;
    delete jit;
    return {};
  });
}

echo_status echo_jit_add_module(echo_jit* jit, const char* name, const void* bytes, uint64_t length,
                                echo_error* why) {
  return guarded(why, [&]() -> Outcome {
    if (jit == nullptr || name == nullptr || (bytes == nullptr && length > 0))
      return null_argument("jit, name or bytes");
    return jit->jit->add_module(name, {static_cast<const char*>(bytes), length});
  });
}

echo_status echo_jit_define(echo_jit* jit, const char* name, void* address, uint32_t kind, echo_error* why) {
  return guarded(why, [&]() -> Outcome {
    if (jit == nullptr)
      return null_argument("jit");
    return jit->jit->define(name, address, kind);
  });
}

echo_status echo_jit_define_typed(echo_jit* jit, const char* name, void* address, uint32_t kind,
                                  const char* type, echo_error* why) {
  return guarded(why, [&]() -> Outcome {
    if (jit == nullptr || type == nullptr || *type == '\0')
      return {ECHO_INVALID_ARGUMENT, "jit or type is null or empty"};
    return jit->jit->define(name, address, kind, type);
  });
}

echo_status echo_jit_function_type(echo_jit* jit, const void* function, char* type, uint64_t capacity) {
  if (jit == nullptr || function == nullptr || type == nullptr)
    return ECHO_INVALID_ARGUMENT;
  return jit->jit->code().function_type(function, type, capacity);
}

echo_status echo_jit_remove_module(echo_jit* jit, echo_thread* thread, const char* name, echo_error* why) {
  return guarded(why, [&]() -> Outcome {
    if (jit == nullptr)
      return null_argument("jit");
    return jit->jit->remove_module(thread, name);
  });
}

echo_status echo_jit_lookup(echo_jit* jit, const char* name, void** out, echo_error* why) {
  return guarded(why, [&]() -> Outcome {
    if (jit == nullptr || out == nullptr)
      return null_argument("jit or out");
    return jit->jit->lookup(name, *out);
  });
}

echo_status echo_jit_call(echo_jit* jit, echo_thread* thread, void* function, const uint64_t* arguments,
                          uint32_t argument_count, uint64_t* result, echo_error* why) {
  return guarded(why, [&]() -> Outcome {
    if (jit == nullptr)
      return null_argument("jit");
    uint64_t word = 0;
    if (Outcome outcome = jit->jit->code().call(thread, function, arguments, argument_count, word); !outcome)
      return outcome;
    if (result != nullptr)
      *result = word;
    return {};
  });
}

void echo_jit_abandon(echo_jit* jit, echo_thread* thread, const echo_error* why) {
  if (jit != nullptr)
    jit->jit->code().abandon(thread, why);
}

echo_status echo_jit_function_at(echo_jit* jit, uintptr_t pc, char* name, uint64_t capacity) {
  if (jit == nullptr || name == nullptr || capacity == 0)
    return ECHO_INVALID_ARGUMENT;
  return jit->jit->code().function_at(pc, name, capacity);
}

echo_status echo_jit_where(uintptr_t return_address, char* text, uint64_t capacity) {
  if (text == nullptr || capacity == 0)
    return ECHO_INVALID_ARGUMENT;
  return echo::jit::place_of(return_address, text, capacity);
}

echo_status echo_jit_get_statistics(echo_jit* jit, echo_jit_statistics* out) {
  if (jit == nullptr || out == nullptr || out->size < sizeof(uint32_t))
    return ECHO_INVALID_ARGUMENT;
  return guarded(nullptr, [&]() -> Outcome {
    jit->jit->statistics(*out);
    return {};
  });
}

} // extern "C"
