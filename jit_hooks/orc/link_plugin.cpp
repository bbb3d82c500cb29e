/* SPDX-License-Identifier: MIT
 *
 * orc/link_plugin.cpp - sections of a linked object. Invariants: link_plugin.h.
 */
#include "orc/link_plugin.h"

#include "orc/code_generator.h"
#include "orc/sections.h"
#include "orc/source_lines.h"

#include "llvm/ExecutionEngine/JITLink/JITLink.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace echo::jit {
namespace {

namespace jitlink = llvm::jitlink;

bool is_code(const jitlink::Section& section) {
  using Bits = std::underlying_type_t<llvm::orc::MemProt>;
  return (static_cast<Bits>(section.getMemProt()) & static_cast<Bits>(llvm::orc::MemProt::Exec)) != 0;
}

llvm::Error keep_sections(jitlink::LinkGraph& graph) { /* [jit.link.1] */
  for (const char* name : {kStackMapSection, kRootsSection, kAmbiguousSection, kLiteralsSection})
    if (jitlink::Section* section = graph.findSectionByName(name)) {
      std::vector<jitlink::Block*> blocks(section->blocks().begin(), section->blocks().end());
      for (jitlink::Block* block : blocks)
        graph.addAnonymousSymbol(*block, 0, 0, false, true);
    }
  /* A function that only its own module calls is referred to by offset, not by symbol: without this its name
   * and range would be pruned while its code stays. */
  for (jitlink::Symbol* symbol : graph.defined_symbols())
    if (symbol->hasName() && symbol->getSize() != 0 && is_code(symbol->getBlock().getSection()))
      symbol->setLive(true);
  return llvm::Error::success();
}

/* Pairs of an address and a number, of which a section is a list. */
template <typename Range>
void read_list(jitlink::LinkGraph& graph, const char* name, std::vector<Range>& out) {
  jitlink::Section* const section = graph.findSectionByName(name);
  if (section == nullptr)
    return;
  for (jitlink::Block* block : section->blocks()) {
    const llvm::ArrayRef<char> bytes = block->getContent();
    for (size_t at = 0; at + 16 <= bytes.size(); at += 16) {
      uint64_t words[2];
      std::memcpy(words, bytes.data() + at, sizeof words);
      out.push_back({reinterpret_cast<decltype(Range::first)>(words[0]), words[1]});
    }
  }
}

void append(VariableRanges& to, const VariableRanges& from) {
  to.roots.insert(to.roots.end(), from.roots.begin(), from.roots.end());
  to.ambiguous.insert(to.ambiguous.end(), from.ambiguous.begin(), from.ambiguous.end());
  to.literals.insert(to.literals.end(), from.literals.begin(), from.literals.end());
}

/* The function that a message of the parser names by its address. */
std::string named(const Outcome& outcome, const CodeUnit& unit) {
  std::string message = outcome.message();
  for (const FunctionRange& function : unit.functions) {
    char address[32];
    std::snprintf(address, sizeof address, "at 0x%llx", static_cast<unsigned long long>(function.begin));
    if (const size_t at = message.find(address); at != std::string::npos)
      message.replace(at, std::strlen(address), "'" + function.name + "'");
  }
  return message;
}

} // namespace

LinkPlugin::Alone::Alone(const LinkPlugin& plugin) : plugin_(plugin) {
  if (!plugin.without_lock_) {
    plugin.lock_.lock();
    return;
  }
  if (plugin.inside_.fetch_add(1) != 0) {
    std::fputs("two threads are inside the link plugin at once\n", stderr);
    std::_Exit(1);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(2)); /* so that they meet */
}

LinkPlugin::Alone::~Alone() {
  if (plugin_.without_lock_)
    plugin_.inside_.fetch_sub(1);
  else
    plugin_.lock_.unlock();
}

void LinkPlugin::expect(const std::string& object, std::map<std::string, Signature> signatures) {
  const Alone alone(*this);
  signatures_[object] = std::move(signatures);
}

VariableRanges LinkPlugin::take_variables() {
  const Alone alone(*this);
  return std::exchange(variables_, {});
}

void LinkPlugin::add_to(SessionStatistics& statistics) const {
  const Alone alone(*this);
  statistics.sites += sites_;
  statistics.map_bytes += map_bytes_;
  statistics.code_bytes += code_bytes_;
  statistics.derived_pairs += derived_pairs_;
}

void LinkPlugin::modifyPassConfig(llvm::orc::MaterializationResponsibility& responsibility,
                                  jitlink::LinkGraph&, jitlink::PassConfiguration& config) {
  config.PrePrunePasses.emplace_back(keep_sections);
  if (lines_)
    config.PrePrunePasses.emplace_back(keep_source_lines);
  config.PostFixupPasses.emplace_back(
      [this, key = &responsibility](jitlink::LinkGraph& graph) { return read(*key, graph); });
}

llvm::Error LinkPlugin::read(const llvm::orc::MaterializationResponsibility& responsibility,
                             jitlink::LinkGraph& graph) {
  Pending pending;
  pending.unit = std::make_unique<CodeUnit>();
  CodeUnit& unit = *pending.unit;
  unit.begin = ~uintptr_t{0};
  for (jitlink::Section& section : graph.sections()) {
    if (!is_code(section))
      continue;
    for (jitlink::Block* block : section.blocks()) {
      unit.begin = std::min<uintptr_t>(unit.begin, block->getAddress().getValue());
      unit.end = std::max<uintptr_t>(unit.end, block->getAddress().getValue() + block->getSize());
      pending.code_bytes += block->getSize();
    }
  }
  {
    const Alone alone(*this);
    const auto known = signatures_.find(graph.getName());
    for (jitlink::Symbol* symbol : graph.defined_symbols()) {
      if (!symbol->hasName() || symbol->getSize() == 0 || !is_code(symbol->getBlock().getSection()))
        continue;
      FunctionRange range;
      range.begin = symbol->getAddress().getValue();
      range.end = range.begin + symbol->getSize();
      range.name = symbol->getName().str();
      if (known != signatures_.end())
        if (const auto signature = known->second.find(range.name); signature != known->second.end())
          range.signature = signature->second;
      unit.functions.push_back(std::move(range));
    }
    if (known != signatures_.end())
      signatures_.erase(known);
  }
  std::sort(unit.functions.begin(), unit.functions.end(),
            [](const FunctionRange& a, const FunctionRange& b) { return a.begin < b.begin; });
  if (jitlink::Section* section = graph.findSectionByName(kStackMapSection))
    for (jitlink::Block* block : section->blocks()) {
      const llvm::ArrayRef<char> content = block->getContent();
      pending.map_bytes += content.size();
      const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(content.data()), content.size());
      if (Outcome parsed = parse_stack_maps(bytes, rules_, unit.maps); !parsed)
        return llvm::make_error<FailureError>(parsed.code(), named(parsed, unit));
    }
  if (lines_)
    read_source_lines(graph, unit);
  read_list(graph, kRootsSection, pending.variables.roots);
  read_list(graph, kAmbiguousSection, pending.variables.ambiguous);
  read_list(graph, kLiteralsSection, pending.variables.literals);
  const Alone alone(*this);
  pending_[&responsibility] = std::move(pending);
  return llvm::Error::success();
}

llvm::Error LinkPlugin::notifyEmitted(llvm::orc::MaterializationResponsibility& responsibility) {
  llvm::orc::ResourceKey key{};
  if (llvm::Error error =
          responsibility.withResourceKeyDo([&](llvm::orc::ResourceKey known) { key = known; }))
    return error; /* removed while it was linked */
  const Alone alone(*this);
  const auto found = pending_.find(&responsibility);
  if (found == pending_.end())
    return llvm::Error::success();
  Pending pending = std::move(found->second);
  pending_.erase(found);
  sites_ += pending.unit->maps.sites.size();
  derived_pairs_ += pending.unit->maps.derived_pairs;
  map_bytes_ += pending.map_bytes;
  code_bytes_ += pending.code_bytes;
  append(variables_, pending.variables);
  Linked& linked = linked_[key];
  linked.variables = std::move(pending.variables);
  if (pending.unit->begin < pending.unit->end) {
    write_perf_map(*pending.unit);
    linked.unit = pending.unit.get();
    index_.add(std::move(pending.unit));
  }
  return llvm::Error::success();
}

llvm::Error LinkPlugin::notifyFailed(llvm::orc::MaterializationResponsibility& responsibility) {
  const Alone alone(*this);
  pending_.erase(&responsibility);
  return llvm::Error::success();
}

/* Before the memory goes. [jit.index.3] */
llvm::Error LinkPlugin::notifyRemovingResources(llvm::orc::JITDylib&, llvm::orc::ResourceKey key) {
  const Alone alone(*this);
  const auto found = linked_.find(key);
  if (found == linked_.end())
    return llvm::Error::success();
  if (found->second.unit != nullptr)
    index_.remove(found->second.unit);
  linked_.erase(found);
  return llvm::Error::success();
}

const CodeUnit* LinkPlugin::unit_of(llvm::orc::ResourceKey key) const {
  const Alone alone(*this);
  const auto found = linked_.find(key);
  return found != linked_.end() ? found->second.unit : nullptr;
}

VariableRanges LinkPlugin::variables_of(llvm::orc::ResourceKey key) const {
  const Alone alone(*this);
  const auto found = linked_.find(key);
  return found != linked_.end() ? found->second.variables : VariableRanges();
}

void LinkPlugin::forget(const std::string& object) {
  const Alone alone(*this);
  signatures_.erase(object);
}

/* One line per function: address, size, name. A file that cannot be written is no reason to fail the program. */
void LinkPlugin::write_perf_map(const CodeUnit& unit) const {
  if (perf_map_.empty())
    return;
  std::FILE* const file = std::fopen(perf_map_.c_str(), "a");
  if (file == nullptr)
    return;
  for (const FunctionRange& function : unit.functions)
    std::fprintf(file, "%llx %llx %s\n", static_cast<unsigned long long>(function.begin),
                 static_cast<unsigned long long>(function.end - function.begin), function.name.c_str());
  std::fclose(file);
}

} // namespace echo::jit
