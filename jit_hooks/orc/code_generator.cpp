/* SPDX-License-Identifier: MIT
 *
 * orc/code_generator.cpp - lowered modules to object files.
 */
#include "orc/code_generator.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ExecutionEngine/Orc/CompileUtils.h"
#include "llvm/IR/DiagnosticInfo.h"
#include "llvm/IR/DiagnosticPrinter.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/MCContext.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"

namespace echo::jit {

char FailureError::ID = 0;

bool DiagnosticRecorder::handleDiagnostics(const llvm::DiagnosticInfo& info) {
  if (info.getSeverity() == llvm::DS_Error && error_.empty()) {
    llvm::raw_string_ostream stream(error_);
    llvm::DiagnosticPrinterRawOStream printer(stream);
    info.print(printer);
  }
  return true; /* handled: nothing is printed, the process goes on */
}

const std::string& DiagnosticRecorder::error_of(llvm::LLVMContext& context) {
  return static_cast<const DiagnosticRecorder*>(context.getDiagHandlerPtr())->error();
}

Outcome outcome_of(llvm::Error error, echo_status otherwise) {
  Outcome result;
  llvm::handleAllErrors(
      std::move(error),
      [&](const FailureError& known) { result = Outcome(known.failure().code, known.failure().message); },
      [&](const llvm::ErrorInfoBase& other) {
        if (result.ok())
          result = Outcome(otherwise, other.message());
      });
  return result;
}

std::string dump_path(const std::string& directory, llvm::StringRef module, const char* suffix) {
  std::string file = module.substr(module.find_last_of('/') + 1).str();
  for (char& c : file)
    if (!llvm::isAlnum(c) && c != '.' && c != '-' && c != '_')
      c = '_';
  return directory + "/" + file + suffix;
}

Outcome write_dump(const std::string& path, llvm::StringRef bytes) {
  std::error_code error;
  llvm::raw_fd_ostream stream(path, error, llvm::sys::fs::OF_None);
  if (!error) {
    stream << bytes;
    stream.close();
    error = stream.error();
    stream.clear_error();
  }
  if (error)
    return {ECHO_IO_ERROR, "cannot write '" + path + "': " + error.message()};
  return {};
}

CodeGenerator::CodeGenerator(llvm::orc::JITTargetMachineBuilder target, std::string dump_directory,
                             Compiled compiled)
    : IRCompiler(llvm::orc::irManglingOptionsFromTargetOptions(target.getOptions())),
      target_(std::move(target)), dump_directory_(std::move(dump_directory)), compiled_(std::move(compiled)) {
}

llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> CodeGenerator::operator()(llvm::Module& module) {
  auto machine = llvm::orc::JITTargetMachineBuilder(target_).createTargetMachine();
  if (!machine)
    return machine.takeError();
  module.getContext().setDiagnosticHandler(std::make_unique<DiagnosticRecorder>());
  llvm::SmallVector<char, 0> bytes;
  {
    llvm::raw_svector_ostream stream(bytes);
    llvm::legacy::PassManager passes;
    llvm::MCContext* context = nullptr;
    if ((*machine)->addPassesToEmitMC(passes, context, stream))
      return llvm::make_error<FailureError>(ECHO_CODEGEN_FAILED, "this target cannot emit code in memory");
    passes.run(module);
  }
  const std::string& name = module.getModuleIdentifier();
  if (const std::string& error = DiagnosticRecorder::error_of(module.getContext()); !error.empty())
    return llvm::make_error<FailureError>(ECHO_CODEGEN_FAILED, error);
  if (!dump_directory_.empty())
    if (Outcome dump = write_dump(dump_path(dump_directory_, name, ".o"), {bytes.data(), bytes.size()});
        !dump)
      return llvm::make_error<FailureError>(dump.code(), dump.message());
  compiled_(name, {bytes.data(), bytes.size()});
  return std::make_unique<llvm::SmallVectorMemoryBuffer>(std::move(bytes), name, false);
}

} // namespace echo::jit
