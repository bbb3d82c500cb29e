/* SPDX-License-Identifier: MIT
 *
 * orc/code_generator.h - lowered modules to object files.
 */
#ifndef ECHO_JIT_ORC_CODE_GENERATOR_H
#define ECHO_JIT_ORC_CODE_GENERATOR_H

#include "outcome.h"

#include "llvm/ExecutionEngine/Orc/IRCompileLayer.h"
#include "llvm/ExecutionEngine/Orc/JITTargetMachineBuilder.h"
#include "llvm/IR/DiagnosticHandler.h"

#include <functional>
#include <string>

namespace echo::jit {

/* Keeps the first error LLVM reports for a module; without it LLVM would end the process. */
class DiagnosticRecorder final : public llvm::DiagnosticHandler {
public:
  bool handleDiagnostics(const llvm::DiagnosticInfo& info) override;
  const std::string& error() const { return error_; }
  static const std::string& error_of(llvm::LLVMContext& context);

private:
  std::string error_;
};

/* A failure that travels through ORC as an llvm::Error. */
class FailureError final : public llvm::ErrorInfo<FailureError> {
public:
  static char ID;
  FailureError(echo_status code, std::string message) : failure_{code, std::move(message)} {}
  void log(llvm::raw_ostream& stream) const override { stream << failure_.message; }
  std::error_code convertToErrorCode() const override { return llvm::inconvertibleErrorCode(); }
  const Failure& failure() const { return failure_; }

private:
  Failure failure_;
};

/* Errors of LLVM as an outcome; a FailureError keeps its code. */
Outcome outcome_of(llvm::Error error, echo_status otherwise);

/* File name for a dump: directory/module with its odd characters replaced. */
std::string dump_path(const std::string& directory, llvm::StringRef module, const char* suffix);
Outcome write_dump(const std::string& path, llvm::StringRef bytes);

class CodeGenerator final : public llvm::orc::IRCompileLayer::IRCompiler {
public:
  using Compiled = std::function<void(const std::string& module, llvm::StringRef object)>;
  CodeGenerator(llvm::orc::JITTargetMachineBuilder target, std::string dump_directory, Compiled compiled);
  llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> operator()(llvm::Module& module) override;

private:
  llvm::orc::JITTargetMachineBuilder target_;
  std::string dump_directory_;
  Compiled compiled_; /* told of each object */
};

} // namespace echo::jit

#endif // ECHO_JIT_ORC_CODE_GENERATOR_H
