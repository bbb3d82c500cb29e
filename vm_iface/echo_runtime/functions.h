// SPDX-License-Identifier: MIT
//
// Purpose     The one table of the 60 functions, and their declarations from it: the version script, echo_runtime_symbol,
//             the tests and docs/echo-runtime.md are held against it.
// Invariants  [runtime.table.1] The names and types are those that the compiler's modules declare; `malloc` alone is
//             exported under another name. [runtime.width.1] An i1 argument is declared as 32 bits of which only the
//             lowest counts, and an i32 argument as int32_t: what lies above them in the register is never read.
#pragma once

#include "echo/base.h"

#include <cstdint>

// X(name in the module, exported name, type letters as in echo/runtime.h, C result, C parameters)
#define ECHO_RUNTIME_FUNCTIONS(X)                                                                            \
  X(print_int, print_int, "vi", void, (std::int32_t value))                                                  \
  X(print_float, print_float, "vd", void, (double value))                                                    \
  X(print_bool, print_bool, "vz", void, (std::uint32_t value))                                               \
  X(print_string, print_string, "vp", void, (void* string))                                                  \
  X(malloc, echo_runtime_malloc, "pl", void*, (std::int64_t bytes))                                          \
  X(runtime_char_ptr_to_string, runtime_char_ptr_to_string, "?p", void, (void* literal))                     \
  X(string_concat, string_concat, "ppp", void*, (void* left, void* right))                                   \
  X(int_to_string, int_to_string, "pi", void*, (std::int32_t value))                                         \
  X(runtime_f64_to_string, runtime_f64_to_string, "pd", void*, (double value))                               \
  X(runtime_string_to_f64, runtime_string_to_f64, "dp", double, (void* string))                              \
  X(runtime_string_len_utf8, runtime_string_len_utf8, "ip", std::int32_t, (void* string))                    \
  X(runtime_string_equals, runtime_string_equals, "zpp", bool, (void* left, void* right))                    \
  X(runtime_string_contains, runtime_string_contains, "zpp", bool, (void* string, void* part))               \
  X(runtime_string_starts_with, runtime_string_starts_with, "zpp", bool, (void* string, void* prefix))       \
  X(runtime_string_ends_with, runtime_string_ends_with, "zpp", bool, (void* string, void* suffix))           \
  X(runtime_string_to_lower, runtime_string_to_lower, "pp", void*, (void* string))                           \
  X(runtime_string_to_upper, runtime_string_to_upper, "pp", void*, (void* string))                           \
  X(runtime_string_trim, runtime_string_trim, "pp", void*, (void* string))                                   \
  X(runtime_string_split, runtime_string_split, "ppp", void*, (void* string, void* delimiter))               \
  X(runtime_string_to_bytes, runtime_string_to_bytes, "pp", void*, (void* string))                           \
  X(runtime_bytes_to_string, runtime_bytes_to_string, "ppi", void*, (void* bytes, std::int32_t length))      \
  X(runtime_base64_encode_string, runtime_base64_encode_string, "pp", void*, (void* string))                 \
  X(runtime_math_sqrt, runtime_math_sqrt, "dd", double, (double value))                                      \
  X(runtime_null_ptr, runtime_null_ptr, "p", void*, ())                                                      \
  X(runtime_alloc_slice, runtime_alloc_slice, "pii", void*, (std::int32_t capacity, std::int32_t element))   \
  X(runtime_realloc_slice, runtime_realloc_slice, "ppiii", void*,                                            \
    (void* slice, std::int32_t old_capacity, std::int32_t new_capacity, std::int32_t element))               \
  X(runtime_free_slice, runtime_free_slice, "vp", void, (void* slice))                                       \
  X(runtime_map_len, runtime_map_len, "ip", std::int32_t, (void* map))                                       \
  X(runtime_map_set_int_int, runtime_map_set_int_int, "vpii", void,                                          \
    (void* map, std::int32_t key, std::int32_t value))                                                       \
  X(runtime_map_get_int_int, runtime_map_get_int_int, "ppi", std::int32_t*, (void* map, std::int32_t key))   \
  X(runtime_map_contains_int_int, runtime_map_contains_int_int, "ipi", std::int32_t,                         \
    (void* map, std::int32_t key))                                                                           \
  X(runtime_map_set_int_string, runtime_map_set_int_string, "vpip", void,                                    \
    (void* map, std::int32_t key, void* value))                                                              \
  X(runtime_map_get_int_string, runtime_map_get_int_string, "ppi", void*, (void* map, std::int32_t key))     \
  X(runtime_map_delete_int_string, runtime_map_delete_int_string, "vpi", void,                               \
    (void* map, std::int32_t key))                                                                           \
  X(runtime_map_set_bool_string, runtime_map_set_bool_string, "vpzp", void,                                  \
    (void* map, std::uint32_t key, void* value))                                                             \
  X(runtime_map_get_bool_string, runtime_map_get_bool_string, "ppz", void*, (void* map, std::uint32_t key))  \
  X(runtime_map_set_float_string, runtime_map_set_float_string, "vpdp", void,                                \
    (void* map, double key, void* value))                                                                    \
  X(runtime_map_get_float_string, runtime_map_get_float_string, "ppd", void*, (void* map, double key))       \
  X(runtime_map_delete_float_string, runtime_map_delete_float_string, "vpd", void, (void* map, double key))  \
  X(runtime_map_set_string_int, runtime_map_set_string_int, "vppi", void,                                    \
    (void* map, void* key, std::int32_t value))                                                              \
  X(runtime_map_get_string_int, runtime_map_get_string_int, "ppp", std::int32_t*, (void* map, void* key))    \
  X(runtime_map_contains_string_int, runtime_map_contains_string_int, "ipp", std::int32_t,                   \
    (void* map, void* key))                                                                                  \
  X(runtime_map_delete_string_int, runtime_map_delete_string_int, "vpp", void, (void* map, void* key))       \
  X(runtime_map_set_string_float, runtime_map_set_string_float, "vppd", void,                                \
    (void* map, void* key, double value))                                                                    \
  X(runtime_map_get_string_float, runtime_map_get_string_float, "ppp", double*, (void* map, void* key))      \
  X(runtime_map_set_string_string, runtime_map_set_string_string, "vppp", void,                              \
    (void* map, void* key, void* value))                                                                     \
  X(runtime_map_get_string_string, runtime_map_get_string_string, "ppp", void*, (void* map, void* key))      \
  X(run_scheduler, run_scheduler, "v", void, ())                                                             \
  X(scheduler_yield, scheduler_yield, "v", void, ())                                                         \
  X(future_new, future_new, "p", void*, ())                                                                  \
  X(future_resolve, future_resolve, "vpp", void, (void* future, void* value))                                \
  X(coroutine_spawn, coroutine_spawn, "ppipp", void*,                                                        \
    (void (*entry)(void*), std::int32_t argument_count, void* arguments, void* future))                      \
  X(coroutine_await, coroutine_await, "pp", void*, (void* future))                                           \
  X(channel_create, channel_create, "p", void*, ())                                                          \
  X(channel_send, channel_send, "vpp", void, (void* channel, void* value))                                   \
  X(channel_receive, channel_receive, "pp", void*, (void* channel))                                          \
  X(channel_close, channel_close, "vp", void, (void* channel))                                               \
  X(runtime_create_channel_buffered, runtime_create_channel_buffered, "ii", std::int32_t,                    \
    (std::int32_t capacity))                                                                                 \
  X(runtime_channel_send, runtime_channel_send, "pipi", void*,                                               \
    (std::int32_t handle, void* item, std::int32_t bytes))                                                   \
  X(runtime_channel_recv, runtime_channel_recv, "pipi", void*,                                               \
    (std::int32_t handle, void* item, std::int32_t bytes))

extern "C" {
#define ECHO_RUNTIME_DECLARE(name, exported, type, result, parameters) ECHO_EXPORT result exported parameters;
ECHO_RUNTIME_FUNCTIONS(ECHO_RUNTIME_DECLARE)
#undef ECHO_RUNTIME_DECLARE
}
