/* SPDX-License-Identifier: MIT
 *
 * compiler/where.cpp - names for messages.
 */
#include "compiler/where.h"

#include "llvm/IR/DebugInfo.h"
#include "llvm/IR/Function.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/Support/raw_ostream.h"

namespace echo::jit {
namespace {

constexpr size_t kMaxIrText = 100;

std::string quote(llvm::StringRef text) {
  return "'" + text.str() + "'";
}

std::string ir_text(const llvm::Instruction& instruction) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  instruction.print(stream);
  const llvm::StringRef trimmed = llvm::StringRef(text).ltrim().take_until([](char c) { return c == '\n'; });
  return trimmed.take_front(kMaxIrText).str() + (trimmed.size() > kMaxIrText ? "..." : "");
}

const llvm::DILocalVariable* debug_variable(const llvm::AllocaInst& slot) {
  auto* const value = const_cast<llvm::AllocaInst*>(&slot);
  for (const llvm::DbgVariableRecord* record : llvm::findDVRDeclares(value))
    return record->getVariable();
  for (const llvm::DbgDeclareInst* declare : llvm::findDbgDeclares(value))
    return declare->getVariable();
  return nullptr;
}

} // namespace

std::string name_of(const llvm::Value& value) {
  if (value.hasName())
    return quote(value.getName());
  std::string text;
  llvm::raw_string_ostream stream(text);
  value.printAsOperand(stream, false);
  return quote(text);
}

std::string where(const llvm::Function& function) {
  std::string text = "in function " + name_of(function);
  if (const llvm::DISubprogram* program = function.getSubprogram())
    text += ", line " + std::to_string(program->getLine()) + " (" + program->getFilename().str() + ")";
  return text;
}

std::string where(const llvm::Instruction& instruction) {
  const llvm::Function& function = *instruction.getFunction();
  std::string text = "in function " + name_of(function);
  if (const llvm::DILocation* location = instruction.getDebugLoc().get();
      location != nullptr && location->getLine())
    return text + ", line " + std::to_string(location->getLine()) + " (" + location->getFilename().str() +
           ")";
  return text + ", at " + quote(ir_text(instruction));
}

std::string variable(const llvm::AllocaInst& slot) {
  if (const llvm::DILocalVariable* local = debug_variable(slot);
      local != nullptr && !local->getName().empty())
    return "variable " + quote(local->getName()) + " (line " + std::to_string(local->getLine()) + ")";
  return "the stack slot " + name_of(slot);
}

} // namespace echo::jit
