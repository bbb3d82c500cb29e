/* SPDX-License-Identifier: MIT
 *
 * session.h - one program made ready to run: plugins, heap, compiled code, its main.
 *
 * Invariants  [run.session.1] Whatever is refused is refused before any of the program runs, and what was
 *             made until then is given back.
 *             [run.session.2] Destruction is in reverse order: program, JIT, heap.
 */
#ifndef ECHO_RUN_SESSION_H
#define ECHO_RUN_SESSION_H

#include <memory>

#include "command_line.h"
#include "descriptor_io.h"
#include "echo_layer.h"
#include "plugins.h"
#include "program.h"

namespace echo::run {

class Session {
public:
  /* `ahead`: the table of a program that is compiled already; without it the JIT compiles the file. */
  explicit Session(const CommandLine& command, const echo_jit_api* ahead = nullptr)
      : command_(command), ahead_(ahead) {}
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /* Opens the JSON file, if one is wanted, without touching what it holds. */
  Failure open_json();
  /* The heap plugin alone, for its option table. */
  Failure load_plugins();
  /* Everything up to the address of main. */
  Failure prepare();
  Failure start() { return program_->start(main_); }
  /* Gives everything back; only when no thread is inside the program. */
  Failure close();
  /* Replaces the contents of the JSON file. */
  Failure write_json(const std::string& text);

  Program& program() { return *program_; }
  const Plugins& plugins() const { return plugins_; }
  bool json_wanted() const { return json_.open(); }
  void statistics(echo_statistics& heap, echo_jit_statistics& jit) const;

private:
  Failure create_heap();
  Failure create_layer();
  Failure create_jit();
  Failure compile(const std::string& text);
  Failure find_main();
  Failure check_main() const;

  const CommandLine& command_;
  const echo_jit_api* const ahead_;
  Descriptor json_;
  Plugins plugins_;
  echo_heap* heap_ = nullptr;
  echo_jit* jit_ = nullptr;
  std::unique_ptr<EchoLayer> layer_; /* unmodified programs only */
  std::unique_ptr<Program> program_;
  void* main_ = nullptr;
  bool handler_installed_ = false;
};

} // namespace echo::run

#endif
