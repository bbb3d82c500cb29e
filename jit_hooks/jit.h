/* SPDX-License-Identifier: MIT
 *
 * jit.h - a JIT of echo/jit.h: modules, native symbols, roots and calls of one heap.
 *
 * Invariants  [jit.symbol.1] Missing symbols are found before anything is
 * linked, all at once; defining them later makes the lookup succeed.
 */
#ifndef ECHO_JIT_JIT_H
#define ECHO_JIT_JIT_H

#include "echo/jit.h"
#include "managed_code.h"
#include "orc/session.h"
#include "outcome.h"

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace echo::jit {

class Jit {
public:
  static Outcome create(const echo_heap_api* api, echo_heap* heap, const echo_jit_options* options,
                        std::unique_ptr<Jit>& out);
  ~Jit() { code_.release(); } /* before the session frees the memory */
  Jit(const Jit&) = delete;
  Jit& operator=(const Jit&) = delete;

  /* WRONG_STATE while a call is active; else the JIT may be deleted. */
  Outcome close();
  Outcome add_module(const char* name, std::string_view bytes);
  /* `type`: letters of echo_jit_define_typed, or empty where it is unknown. */
  Outcome define(const char* name, void* address, uint32_t kind, std::string_view type = {});
  Outcome lookup(const char* name, void*& out);
  Outcome remove_module(echo_thread* thread, const char* name);
  ManagedCode& code() { return code_; }
  void statistics(echo_jit_statistics& out) const;

private:
  Jit(const echo_heap_api& api, echo_heap* heap) : code_(api, heap) {}
  Outcome start(const echo_jit_options& options);
  Outcome check_symbols(const std::string& root) const;
  Outcome check_unused(const ModuleSummary& module) const;
  Outcome check_frames(echo_thread* thread, const ModuleSummary& module);

  bool closed_ = false; /* [unmod.symbol.1] symbols are those that the VM defined and no others */
  ManagedCode code_;
  std::unique_ptr<Session> session_;

  bool remove_under_frames_ = false; /* test only */
  std::mutex removal_lock_;
  mutable std::mutex symbols_lock_;
  NativeSymbols natives_;
  std::vector<ModuleSummary> modules_;
  std::map<std::string, size_t, std::less<>> owners_; /* symbol to module */
};

} // namespace echo::jit

struct echo_jit {
  std::unique_ptr<echo::jit::Jit> jit;
};

#endif // ECHO_JIT_JIT_H
