/* SPDX-License-Identifier: MIT
 *
 * jit.h - a JIT of echo/jit.h: modules, native symbols, roots and calls of one heap.
 *
 * Invariants  [jit.roots.2] The root words of a linked module are registered before an address in it is
 * handed out, and removed before its memory is. [jit.symbol.1] Missing symbols are found before anything is
 * linked, all at once; defining them later makes the lookup succeed.
 */
#ifndef ECHO_JIT_JIT_H
#define ECHO_JIT_JIT_H

#include "echo/jit.h"
#include "entry/entry.h"
#include "maps/code_index.h"
#include "orc/session.h"
#include "outcome.h"

#include <atomic>
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
  ~Jit();
  Jit(const Jit&) = delete;
  Jit& operator=(const Jit&) = delete;

  /* WRONG_STATE while a call is active; else the JIT may be deleted. */
  Outcome close();
  Outcome add_module(const char* name, std::string_view bytes);
  /* `type`: letters of echo_jit_define_typed, or empty where it is unknown. */
  Outcome define(const char* name, void* address, uint32_t kind, std::string_view type = {});
  Outcome lookup(const char* name, void*& out);
  Outcome remove_module(echo_thread* thread, const char* name);
  Outcome call(echo_thread* thread, void* function, const uint64_t* arguments, uint32_t count,
               uint64_t& result);
  void abandon(echo_thread* thread, const echo_error* why);
  echo_status function_at(uintptr_t pc, char* name, uint64_t capacity) const;
  echo_status function_type(const void* function, char* type, uint64_t capacity) const;
  void statistics(echo_jit_statistics& out) const;

private:
  Jit(const echo_heap_api& api, echo_heap* heap) : api_(api), heap_(heap) {}
  Outcome start(const echo_jit_options& options);
  Outcome read_recipes();
  Outcome check_symbols(const std::string& root) const;
  Outcome register_roots();
  Outcome check_unused(const ModuleSummary& module) const;
  Outcome check_frames(echo_thread* thread, const ModuleSummary& module);
  static void raise(echo_thread* thread, void* context);

  const echo_heap_api& api_;
  echo_heap* const heap_;
  echo_recipes recipes_{}; /* as far as the plugin knows them */
  bool is_source_ = false;
  bool unguarded_entries_ = false; /* test only */
  CodeIndex index_;
  std::unique_ptr<Session> session_;

  std::mutex removal_lock_;
  mutable std::mutex symbols_lock_;
  NativeSymbols natives_;
  std::vector<ModuleSummary> modules_;
  std::map<std::string, size_t, std::less<>> owners_; /* symbol to module */

  std::mutex roots_lock_;
  std::vector<RootRange> roots_;

  std::atomic<uint64_t> active_calls_{0};
};

} // namespace echo::jit

struct echo_jit {
  std::unique_ptr<echo::jit::Jit> jit;
};

#endif // ECHO_JIT_JIT_H
