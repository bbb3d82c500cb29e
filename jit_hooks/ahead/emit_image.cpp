/* SPDX-License-Identifier: MIT
 *
 * ahead/emit_image.cpp - a module that is ready for code generation becomes one that is ready for a linker.
 *
 * Method      Stubs are inline functions of each object (linkonce_odr, hidden): their text is that of the JIT, but they
 *             reach cold paths through five words that the runtime fills. The image refers to what the module has of
 *             functions, layouts, roots and stack maps; a constructor hands it to the runtime.
 * Invariants  [aot.symbol.1] Compiled functions and variables are hidden: no shared library binds to a function that
 *             wants its thread in a register because it has the name of one that does not.
 *             [aot.main.1] The program's main and exit are renamed; a module that defines main gets a C main that
 *             starts the runtime.
 */
#include "ahead/emit_image.h"

#include "ahead/constants.h"
#include "ahead/image.h"
#include "arch/x86_64/stubs.h"
#include "compiler/signatures.h"
#include "compiler/stub_functions.h"

#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Intrinsics.h"
#include "llvm/Transforms/Utils/ModuleUtils.h"

#include <cstring>

namespace echo::ahead {
namespace {

using jit::ModuleContext;
using jit::Outcome;

class ImageEmitter {
public:
  ImageEmitter(ModuleContext& context, bool optimised)
      : unit_(context), module_(context.module), context_(module_.getContext()), optimised_(optimised),
        pointer_(llvm::PointerType::get(context_, 0)) {}

  Outcome run() {
    for (const llvm::Function& function : module_)
      if (!function.isDeclaration())
        compiled_.push_back(const_cast<llvm::Function*>(&function));
    rename("main", kProgramMain);
    rename("exit", "echo.exit");
    hide();
    llvm::Constant* const functions = function_table();
    llvm::GlobalVariable* const cells = cold_cells();
    llvm::GlobalVariable* const image = emit(functions, cells);
    if (module_.getDataLayout().getTypeAllocSize(image->getValueType()) != sizeof(Image))
      return {ECHO_CODEGEN_FAILED, "the image of the module has another size than ahead/image.h says"};
    define_stubs();
    define_registration(*image);
    if (const llvm::Function* main = module_.getFunction(kProgramMain);
        main != nullptr && !main->isDeclaration())
      define_main();
    return {};
  }

private:
  /* Also where it is only declared: another module of the program defines it. */
  void rename(const char* from, const char* to) {
    llvm::Function* const function = module_.getFunction(from);
    if (function == nullptr || function->hasLocalLinkage())
      return;
    if (llvm::Function* const known = module_.getFunction(to)) {
      function->replaceAllUsesWith(known);
      function->eraseFromParent();
      return;
    }
    function->setName(to);
  }

  void hide() { /* [aot.symbol.1] */
    for (llvm::Function* function : compiled_)
      if (!function->hasLocalLinkage()) {
        function->setVisibility(llvm::GlobalValue::HiddenVisibility);
        function->setDSOLocal(true);
      }
    for (llvm::GlobalVariable& global : module_.globals())
      if (!global.isDeclaration() && !global.hasLocalLinkage() && !global.hasAppendingLinkage()) {
        global.setVisibility(llvm::GlobalValue::HiddenVisibility);
        global.setDSOLocal(true);
      }
    for (llvm::GlobalAlias& alias : module_.aliases())
      if (!alias.hasLocalLinkage()) {
        alias.setVisibility(llvm::GlobalValue::HiddenVisibility);
        alias.setDSOLocal(true);
      }
  }

  llvm::Constant* array(llvm::ArrayRef<llvm::Constant*> members, const char* name) {
    if (members.empty())
      return nullptr;
    auto* const type = llvm::ArrayType::get(members.front()->getType(), members.size());
    return private_global(module_, llvm::ConstantArray::get(type, members), true, name);
  }

  llvm::Constant* function_table() {
    llvm::MDNode* const record_size =
        llvm::MDNode::get(context_, {llvm::MDString::get(context_, kSizesSection)});
    llvm::SmallVector<llvm::Constant*> rows;
    for (llvm::Function* function : compiled_) {
      const jit::Signature signature = jit::signature_of(*function);
      function->setMetadata(llvm::LLVMContext::MD_pcsections, record_size);
      const llvm::StringRef name = function->getName() == kProgramMain ? "main" : function->getName();
      rows.push_back(StructBuilder(context_)
                         .pointer(function)
                         .pointer(text(module_, name))
                         .pointer(text(module_, signature.type))
                         .u32(signature.parameters)
                         .u16(signature.result_bits)
                         .u16(signature.callable ? 1 : 0)
                         .finish());
    }
    return array(rows, "echo.functions");
  }

  /* One for the whole program: hidden, merged by the linker. */
  llvm::GlobalVariable* cold_cells() {
    auto* const type = llvm::ArrayType::get(pointer_, jit::kCellCount);
    auto* const cells = new llvm::GlobalVariable(module_, type, false, llvm::GlobalValue::LinkOnceODRLinkage,
                                                 llvm::ConstantAggregateZero::get(type), jit::kColdCells);
    make_shared(*cells);
    cells->setAlignment(llvm::Align(8));
    return cells;
  }

  void make_shared(llvm::GlobalObject& object) {
    object.setLinkage(llvm::GlobalValue::LinkOnceODRLinkage);
    object.setVisibility(llvm::GlobalValue::HiddenVisibility);
    object.setDSOLocal(true);
    object.setComdat(module_.getOrInsertComdat(object.getName()));
  }

  /* A symbol that the code generator defines in this object, or the linker in its output. */
  llvm::Constant* local_symbol(const char* name) {
    auto* const symbol =
        llvm::cast<llvm::GlobalVariable>(module_.getOrInsertGlobal(name, llvm::Type::getInt8Ty(context_)));
    symbol->setVisibility(llvm::GlobalValue::HiddenVisibility);
    symbol->setDSOLocal(true);
    return symbol;
  }

  bool has_statepoints() const {
    for (const llvm::Function& function : module_)
      if (function.getIntrinsicID() == llvm::Intrinsic::experimental_gc_statepoint && !function.use_empty())
        return true;
    return false;
  }

  /* The bytes of the recipes that the code was lowered by, without addresses. */
  llvm::Constant* recipes() {
    echo_recipes known = unit_.recipes;
    known.allocate_cold = nullptr;
    known.store_cold = nullptr;
    known.poll_cold = nullptr;
    known.hash_cold = nullptr;
    known.enter_native_cold = nullptr;
    known.leave_native_cold = nullptr;
    known.weak_load_cold = nullptr;
    static_assert(sizeof known % 8 == 0);
    uint64_t words[sizeof known / 8];
    std::memcpy(words, &known, sizeof known);
    return llvm::ConstantDataArray::get(context_, words);
  }

  llvm::GlobalVariable* emit(llvm::Constant* functions, llvm::GlobalVariable* cells) {
    const bool maps = has_statepoints();
    llvm::GlobalVariable* const roots = module_.getNamedGlobal(jit::kRootsList);
    const auto pairs_in = [](const llvm::GlobalVariable* list) {
      return list != nullptr ? list->getValueType()->getArrayNumElements() / 2 : 0;
    };
    llvm::GlobalVariable* const ambiguous = module_.getNamedGlobal(jit::kAmbiguousList);
    llvm::GlobalVariable* const literals = module_.getNamedGlobal(jit::kLiteralsList);
    llvm::SmallVector<llvm::Constant*> bindings;
    for (const auto& allocation : unit_.allocations)
      bindings.push_back(allocation.second.binding);
    const char* const build = unit_.api.build_id != nullptr ? unit_.api.build_id : "unknown";
    llvm::Constant* const value = StructBuilder(context_)
                                      .u32(sizeof(Image))
                                      .u32(kImageFormat)
                                      .pointer(nullptr)
                                      .pointer(text(module_, unit_.name))
                                      .pointer(text(module_, build))
                                      .u32(ECHO_ABI_MAJOR)
                                      .u16(optimised_ ? 2 : 0)
                                      .u16(unit_.called_operations ? 1 : 0)
                                      .u64(unit_.counters.polls)
                                      .u64(unit_.counters.barriers)
                                      .u64(unit_.counters.barriers_elided)
                                      .pointer(cells)
                                      .pointer(maps ? local_symbol(kMapsBegin) : nullptr)
                                      .pointer(maps ? local_symbol(kMapsEnd) : nullptr)
                                      .pointer(roots)
                                      .u64(pairs_in(roots))
                                      .pointer(array(bindings, "echo.layouts"))
                                      .u64(bindings.size())
                                      .pointer(functions)
                                      .u64(compiled_.size())
                                      .pointer(functions != nullptr ? local_symbol(kSizesBegin) : nullptr)
                                      .pointer(functions != nullptr ? local_symbol(kSizesEnd) : nullptr)
                                      .pointer(ambiguous)
                                      .u64(pairs_in(ambiguous))
                                      .pointer(literals)
                                      .u64(pairs_in(literals))
                                      .u32(unit_.profile)
                                      .u32(0)
                                      .add(recipes())
                                      .finish();
    return private_global(module_, value, false, "echo.image");
  }

  void define_stubs() {
    for (const jit::Stub& stub : jit::make_stubs(unit_.recipes, jit::targets_in_cells()))
      if (module_.getFunction(stub.name) != nullptr)
        make_shared(*jit::define_stub(module_, stub));
  }

  void define_registration(llvm::GlobalVariable& image) {
    llvm::Type* const nothing = llvm::Type::getVoidTy(context_);
    llvm::FunctionCallee target =
        module_.getOrInsertFunction(kRegisterFunction, llvm::FunctionType::get(nothing, {pointer_}, false));
    auto* const function =
        llvm::Function::Create(llvm::FunctionType::get(nothing, false), llvm::GlobalValue::InternalLinkage,
                               "echo.register", module_);
    function->setUWTableKind(llvm::UWTableKind::Async);
    llvm::IRBuilder<> builder(llvm::BasicBlock::Create(context_, "", function));
    builder.CreateCall(target, {&image});
    builder.CreateRetVoid();
    llvm::appendToGlobalCtors(module_, function, 65535);
  }

  /* int main(int argc, char** argv, char** environ) { return echo_aot_main(argc, argv, environ); } */
  void define_main() {
    llvm::Type* const number = llvm::Type::getInt32Ty(context_);
    auto* const type = llvm::FunctionType::get(number, {number, pointer_, pointer_}, false);
    llvm::FunctionCallee target = module_.getOrInsertFunction(kMainFunction, type);
    auto* const function = llvm::Function::Create(type, llvm::GlobalValue::ExternalLinkage, "main", module_);
    function->setUWTableKind(llvm::UWTableKind::Async);
    llvm::IRBuilder<> builder(llvm::BasicBlock::Create(context_, "", function));
    builder.CreateRet(
        builder.CreateCall(target, {function->getArg(0), function->getArg(1), function->getArg(2)}));
  }

  ModuleContext& unit_;
  llvm::Module& module_;
  llvm::LLVMContext& context_;
  const bool optimised_;
  llvm::PointerType* const pointer_;
  llvm::SmallVector<llvm::Function*> compiled_;
};

} // namespace

Outcome emit_image(ModuleContext& context, bool optimised) {
  return ImageEmitter(context, optimised).run();
}

} // namespace echo::ahead
