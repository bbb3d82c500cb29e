# SPDX-License-Identifier: MIT
# One interface target with every flag of our own code: warnings are errors, hardened, nothing exported by default,
# no unique symbols (they would keep the plugin mapped after dlclose).
add_library(echo_flags INTERFACE)
target_compile_options(echo_flags INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wconversion -Wno-sign-conversion
  -fvisibility=hidden -fstack-protector-strong -fno-strict-aliasing
  $<$<COMPILE_LANGUAGE:CXX>:-fvisibility-inlines-hidden>
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<COMPILE_LANGUAGE:CXX>>:-fno-gnu-unique>
  # g++ 12 sees overlaps in std::string's operator+ that are not there (GCC PR 105651).
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<COMPILE_LANGUAGE:CXX>>:-Wno-restrict>
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>)
if(NOT ECHO_SANITIZE)
  target_compile_definitions(echo_flags INTERFACE $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
endif()
target_link_options(echo_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--no-undefined-version)
if(ECHO_CHECKS)
  target_compile_definitions(echo_flags INTERFACE ECHO_DEEP_CHECKS=1)
endif()
if(ECHO_SANITIZE)
  string(REPLACE "," ";" echo_sanitizers "${ECHO_SANITIZE}")
  target_compile_options(echo_flags INTERFACE -fsanitize=${ECHO_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  # A program in C loads libraries in C++, and the sanitizer's run time is in the program.
  target_link_options(echo_flags INTERFACE -fsanitize=${ECHO_SANITIZE}
    $<$<AND:$<LINK_LANGUAGE:C>,$<C_COMPILER_ID:Clang>>:-fsanitize-link-c++-runtime>)
  target_link_libraries(echo_flags INTERFACE $<$<LINK_LANGUAGE:C>:stdc++>)
endif()

# Headers that most files of a target include, read once. The other presets go without, so every file includes what it uses.
function(echo_precompile target)
  if(ECHO_PRECOMPILE)
    list(TRANSFORM ARGN REPLACE "(.+)" "$<$<COMPILE_LANGUAGE:CXX>:\\1>" OUTPUT_VARIABLE headers)
    target_precompile_headers(${target} PRIVATE ${headers})
    # g++ 12 takes the inline functions of a precompiled system header for ours, and warns of a length that no string has.
    target_compile_options(${target} PRIVATE -Wno-stringop-overflow -Wno-stringop-overread -Wno-array-bounds)
  endif()
endfunction()
