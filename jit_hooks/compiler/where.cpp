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

/* " (list.c:13)"; nothing where the line is unknown. */
std::string source(llvm::StringRef file, unsigned line) {
  if (line == 0)
    return {};
  return " (" + (file.empty() ? std::string("unknown file") : file.str()) + ":" + std::to_string(line) + ")";
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
    text += source(program->getFilename(), program->getLine());
  return text;
}

std::string where(const llvm::Instruction& instruction) {
  const std::string text = "in function " + name_of(*instruction.getFunction());
  if (const llvm::DILocation* location = instruction.getDebugLoc().get();
      location != nullptr && location->getLine() != 0)
    return text + source(location->getFilename(), location->getLine());
  if (const auto* slot = llvm::dyn_cast<llvm::AllocaInst>(&instruction))
    if (const llvm::DILocalVariable* local = debug_variable(*slot); local != nullptr && local->getLine() != 0)
      return text + source(local->getFilename(), local->getLine());
  return text + ", at " + quote(ir_text(instruction));
}

std::string where(const llvm::GlobalVariable& global) {
  std::string text = "in the module variable " + name_of(global);
  llvm::SmallVector<llvm::DIGlobalVariableExpression*, 1> expressions;
  global.getDebugInfo(expressions);
  if (!expressions.empty()) {
    const llvm::DIGlobalVariable& variable = *expressions.front()->getVariable();
    text += source(variable.getFilename(), variable.getLine());
  }
  return text;
}

std::string variable(const llvm::AllocaInst& slot) {
  if (const llvm::DILocalVariable* local = debug_variable(slot);
      local != nullptr && !local->getName().empty())
    return "variable " + quote(local->getName()) + source(local->getFilename(), local->getLine());
  return "the stack slot " + name_of(slot);
}

} // namespace echo::jit
