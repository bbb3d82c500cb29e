/* SPDX-License-Identifier: MIT
 *
 * orc/link_plugin.h - reads code ranges, stack maps and global roots out of each object as it is linked.
 *
 * Invariants  [jit.link.1] The sections of stack maps and roots survive dead-stripping. [jit.link.2] They are
 * read after fix-up: their addresses are final. [jit.link.3] What was read is published when the object is
 *             emitted, and dropped if it fails. [jit.link.4] One thread at a time reads or changes what was linked.
 */
#ifndef ECHO_JIT_ORC_LINK_PLUGIN_H
#define ECHO_JIT_ORC_LINK_PLUGIN_H

#include "maps/code_index.h"
#include "orc/session.h"

#include "llvm/ExecutionEngine/Orc/ObjectLinkingLayer.h"

#include <atomic>
#include <map>
#include <mutex>

namespace echo::jit {

class LinkPlugin final : public llvm::orc::ObjectLinkingLayer::Plugin {
public:
  /* `without_lock`, test only: what [jit.link.4] forbids ends the process with one line. */
  LinkPlugin(CodeIndex& index, StackMapRules rules, std::string perf_map, bool lines, bool without_lock)
      : index_(index), rules_(rules), perf_map_(std::move(perf_map)), lines_(lines),
        without_lock_(without_lock) {}

  /* Signatures of the functions of the module that becomes the object of this name. */
  void expect(const std::string& object, std::map<std::string, Signature> signatures);
  VariableRanges take_variables();
  /* What was linked under this key: its code, or null, and its variables. */
  const CodeUnit* unit_of(llvm::orc::ResourceKey key) const;
  VariableRanges variables_of(llvm::orc::ResourceKey key) const;
  void forget(const std::string& object);
  void add_to(SessionStatistics& statistics) const;

  void modifyPassConfig(llvm::orc::MaterializationResponsibility& responsibility,
                        llvm::jitlink::LinkGraph& graph, llvm::jitlink::PassConfiguration& config) override;
  llvm::Error notifyEmitted(llvm::orc::MaterializationResponsibility& responsibility) override;
  llvm::Error notifyFailed(llvm::orc::MaterializationResponsibility& responsibility) override;
  llvm::Error notifyRemovingResources(llvm::orc::JITDylib&, llvm::orc::ResourceKey) override;
  void notifyTransferringResources(llvm::orc::JITDylib&, llvm::orc::ResourceKey,
                                   llvm::orc::ResourceKey) override {}

private:
  struct Pending {
    std::unique_ptr<CodeUnit> unit;
    VariableRanges variables;
    uint64_t map_bytes = 0, code_bytes = 0;
  };
  llvm::Error read(const llvm::orc::MaterializationResponsibility& responsibility,
                   llvm::jitlink::LinkGraph& graph);

  struct Linked {
    const CodeUnit* unit = nullptr;
    VariableRanges variables;
  };
  class Alone {
  public:
    explicit Alone(const LinkPlugin& plugin);
    ~Alone();
    Alone(const Alone&) = delete;
    Alone& operator=(const Alone&) = delete;

  private:
    const LinkPlugin& plugin_;
  };
  void write_perf_map(const CodeUnit& unit) const;

  CodeIndex& index_;
  const StackMapRules rules_;
  const std::string perf_map_; /* file, or empty */
  const bool lines_;           /* keep source lines */
  const bool without_lock_;
  mutable std::mutex lock_;
  mutable std::atomic<int> inside_{0};
  std::map<std::string, std::map<std::string, Signature>> signatures_;
  std::map<const llvm::orc::MaterializationResponsibility*, Pending> pending_;
  std::map<llvm::orc::ResourceKey, Linked> linked_;
  VariableRanges variables_;
  uint64_t sites_ = 0, map_bytes_ = 0, code_bytes_ = 0, derived_pairs_ = 0;
};

} // namespace echo::jit

#endif // ECHO_JIT_ORC_LINK_PLUGIN_H
