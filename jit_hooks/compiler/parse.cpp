/* SPDX-License-Identifier: MIT
 *
 * compiler/parse.cpp - bytes to a verified module. Contract: parse.h.
 */
#include "compiler/parse.h"

#include "llvm/IR/DebugInfo.h"
#include "llvm/IR/Verifier.h"
#include "llvm/IRReader/IRReader.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"

namespace echo::jit {
namespace {

std::string first_line(llvm::StringRef text) {
  return text.trim().take_until([](char c) { return c == '\n'; }).str();
}

std::string describe(const llvm::SMDiagnostic& diagnostic) {
  std::string text;
  if (diagnostic.getLineNo() > 0)
    text = "line " + std::to_string(diagnostic.getLineNo()) + ": ";
  return text + first_line(diagnostic.getMessage());
}

/* Same machine, whatever the details of the front end's layout string. */
Outcome check_target(const llvm::Module& module, const llvm::TargetMachine& machine) {
  const llvm::Triple triple(module.getTargetTriple());
  const llvm::Triple& host = machine.getTargetTriple();
  if (!module.getTargetTriple().empty() &&
      (triple.getArch() != host.getArch() || triple.getOS() != host.getOS()))
    return {ECHO_IR_INVALID,
            "it is compiled for '" + module.getTargetTriple() + "', this machine is '" + host.str() + "'"};
  const llvm::DataLayout& layout = module.getDataLayout();
  const std::string& text = layout.getStringRepresentation();
  if (!text.empty() &&
      (!layout.isLittleEndian() || layout.getPointerSize(0) != 8 || layout.getPointerSize(1) != 8))
    return {ECHO_IR_INVALID, "its data layout '" + text + "' is not that of a 64-bit little-endian machine"};
  return {};
}

} // namespace

std::string data_layout_of(const llvm::TargetMachine& machine) {
  return machine.createDataLayout().getStringRepresentation() + "-ni:1";
}

Outcome adopt_module(llvm::Module& module, const llvm::TargetMachine& machine) {
  if (Outcome outcome = check_target(module, machine); !outcome)
    return outcome;
  module.setTargetTriple(machine.getTargetTriple().str());
  module.setDataLayout(data_layout_of(machine));
  std::string text;
  llvm::raw_string_ostream stream(text);
  bool broken_debug_info = false;
  if (llvm::verifyModule(module, &stream, &broken_debug_info))
    return {ECHO_IR_INVALID, first_line(text)};
  if (broken_debug_info)
    llvm::StripDebugInfo(module);
  return {};
}

Outcome parse_module(std::string_view bytes, const std::string& name, const llvm::TargetMachine& machine,
                     llvm::LLVMContext& llvm_context, std::unique_ptr<llvm::Module>& out) {
  if (bytes.empty())
    return {ECHO_IR_INVALID, "it is empty"};
  const auto buffer = llvm::MemoryBuffer::getMemBufferCopy(llvm::StringRef(bytes.data(), bytes.size()), name);
  llvm::SMDiagnostic diagnostic;
  auto module = llvm::parseIR(buffer->getMemBufferRef(), diagnostic, llvm_context);
  if (!module)
    return {ECHO_IR_INVALID, describe(diagnostic)};
  if (Outcome outcome = adopt_module(*module, machine); !outcome)
    return outcome;
  out = std::move(module);
  return {};
}

} // namespace echo::jit
