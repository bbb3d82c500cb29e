/* SPDX-License-Identifier: MIT
 *
 * driver/words.h - how messages name the tool and its options: echo-run's own, or those of a compiled program.
 *
 * Invariants  [run.words.1] Set before any thread is started, read-only afterwards, also in the signal handler.
 */
#ifndef ECHO_RUN_WORDS_H
#define ECHO_RUN_WORDS_H

namespace echo::run {

struct Words {
  const char* tool = "echo-run";
  const char* heap_options = "--heap";
  const char* list_options = "--heap=help lists the options";
  const char* heap_plugin = "--heap-plugin=PATH";
  const char* stack = "--stack=SIZE";
  const char* json = "--json";
  const char* missing_symbol = "define it in the program (the C library and echo/cc.h are there already)";
};

inline constinit Words words{};

} // namespace echo::run

#endif
