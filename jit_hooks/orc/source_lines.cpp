/* SPDX-License-Identifier: MIT
 *
 * orc/source_lines.cpp - see source_lines.h.
 */
#include "orc/source_lines.h"

#include "llvm/DebugInfo/DWARF/DWARFContext.h"
#include "llvm/DebugInfo/DWARF/DWARFDebugLine.h"
#include "llvm/ExecutionEngine/Orc/Debugging/DebugInfoSupport.h"

#include <algorithm>

namespace echo::jit {
namespace {

/* The number of a name in unit.files; its last part, as compilers print it. */
uint32_t number_of(CodeUnit& unit, const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  const auto found = std::find(unit.files.begin(), unit.files.end(), name);
  if (found == unit.files.end())
    unit.files.push_back(name);
  return static_cast<uint32_t>(std::find(unit.files.begin(), unit.files.end(), name) - unit.files.begin());
}

} // namespace

llvm::Error keep_source_lines(llvm::jitlink::LinkGraph& graph) {
  return llvm::orc::preserveDebugSections(graph);
}

void read_source_lines(llvm::jitlink::LinkGraph& graph, CodeUnit& unit) {
  auto made = llvm::orc::createDWARFContext(graph);
  if (!made) {
    llvm::consumeError(made.takeError());
    return;
  }
  llvm::DWARFContext& context = *made->first;
  struct Row {
    SourceLine line;
    size_t place;
  };
  std::vector<Row> rows;
  const auto ignore = [](llvm::Error error) { llvm::consumeError(std::move(error)); };
  for (const auto& compiled : context.compile_units()) {
    auto table = context.getLineTableForUnit(compiled.get(), ignore);
    if (!table || *table == nullptr) {
      if (!table)
        llvm::consumeError(table.takeError());
      continue;
    }
    for (const llvm::DWARFDebugLine::Row& row : (*table)->Rows) {
      std::string path;
      if (!(*table)->getFileNameByIndex(row.File, compiled->getCompilationDir(),
                                        llvm::DILineInfoSpecifier::FileLineInfoKind::RawValue, path))
        path = "?";
      rows.push_back({{static_cast<uintptr_t>(row.Address.Address), row.EndSequence ? 0 : row.Line,
                       number_of(unit, path)},
                      rows.size()});
    }
  }
  // Rows of one address stay in their order: the last one counts.
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return a.line.pc != b.line.pc ? a.line.pc < b.line.pc : a.place < b.place;
  });
  unit.lines.reserve(rows.size());
  for (const Row& row : rows)
    unit.lines.push_back(row.line);
}

} // namespace echo::jit
