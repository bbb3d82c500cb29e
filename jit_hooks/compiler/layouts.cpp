/* SPDX-License-Identifier: MIT
 *
 * compiler/layouts.cpp - constant echo_layout variables of a module: read, registered, turned into allocation
 * functions.
 *
 * Purpose     echo.gc.new(@layout) becomes a call of a function that stands for the registered layout, so
 * that no optimisation merges allocations of different layouts into one call with a computed operand.
 * Invariants  [jit.layout.1] Every byte is read through the data layout from the initialiser and within its
 * bounds.
 */
#include "compiler/operations.h"
#include "compiler/where.h"

#include "ahead/layout_bindings.h"

#include "llvm/Analysis/ConstantFolding.h"
#include "llvm/IR/IRBuilder.h"

#include <cstddef>
#include <vector>

namespace echo::jit {
namespace {

constexpr uint64_t kMaxNameBytes = 256; /* with its NUL */
constexpr uint64_t kMaxSlots = (uint64_t{16} << 20) / 8;

/* A position in the initialiser of a constant global. */
struct ConstantPlace {
  const llvm::GlobalVariable* global = nullptr;
  uint64_t offset = 0;
};

class ConstantReader {
public:
  explicit ConstantReader(const llvm::DataLayout& layout) : layout_(layout) {}

  bool holds(const ConstantPlace& place, uint64_t bytes) const {
    const uint64_t size = layout_.getTypeAllocSize(place.global->getValueType());
    return place.offset <= size && bytes <= size - place.offset;
  }
  bool integer(const ConstantPlace& place, unsigned bytes, uint64_t& out) const {
    const auto* value = llvm::dyn_cast_or_null<llvm::ConstantInt>(
        fold(place, llvm::Type::getIntNTy(place.global->getContext(), bytes * 8), bytes));
    if (value == nullptr)
      return false;
    out = value->getZExtValue();
    return true;
  }
  /* The target of a pointer field; a null global for null. */
  bool pointer(const ConstantPlace& place, ConstantPlace& out) const {
    const llvm::Constant* value = fold(place, llvm::PointerType::get(place.global->getContext(), 0), 8);
    if (value == nullptr)
      return false;
    out = {};
    if (value->isNullValue())
      return true;
    return target(value, out);
  }
  bool target(const llvm::Value* value, ConstantPlace& out) const {
    llvm::APInt offset(64, 0);
    const llvm::Value* base = value->stripAndAccumulateConstantOffsets(layout_, offset, true);
    out.global = llvm::dyn_cast<llvm::GlobalVariable>(base);
    out.offset = offset.getZExtValue();
    return out.global != nullptr && out.global->isConstant() && out.global->hasDefinitiveInitializer();
  }

private:
  llvm::Constant* fold(const ConstantPlace& place, llvm::Type* type, uint64_t bytes) const {
    if (!holds(place, bytes))
      return nullptr;
    return llvm::ConstantFoldLoadFromConst(const_cast<llvm::Constant*>(place.global->getInitializer()), type,
                                           llvm::APInt(64, place.offset), layout_);
  }
  const llvm::DataLayout& layout_;
};

/* A descriptor with the storage its pointers point to. */
struct ReadLayout {
  echo_layout descriptor{};
  std::string name;
  std::vector<echo_slot> slots;
};

class LayoutResolver {
public:
  explicit LayoutResolver(ModuleContext& context)
      : context_(context), reader_(context.module.getDataLayout()) {}

  Outcome resolve(llvm::CallInst& call, bool array) {
    ConstantPlace place;
    if (!reader_.target(call.getArgOperand(0), place))
      return {ECHO_BAD_ABSTRACT_OPERATION,
              "the layout operand " + where(call) +
                  ": it must be the address of a constant echo_layout in the module"};
    AllocationLayout layout;
    if (Outcome outcome = layout_of(place, layout); !outcome)
      return std::move(outcome).within("the layout " + name_of(*place.global));
    if (layout.is_array != array)
      return {ECHO_BAD_ABSTRACT_OPERATION,
              "the layout " + name_of(*place.global) + " " + where(call) + ": " +
                  (array ? "it is FIXED; use echo.gc.new" : "it is an array; use echo.gc.new_array")};
    llvm::Function* const allocate = allocation_function(layout, place);
    llvm::SmallVector<llvm::Value*, 1> arguments(llvm::drop_begin(call.args()));
    llvm::IRBuilder<> builder(&call);
    llvm::CallInst* const replacement = builder.CreateCall(allocate, arguments);
    replacement->takeName(&call);
    call.replaceAllUsesWith(replacement);
    call.eraseFromParent();
    return {};
  }

private:
  Outcome read(const ConstantPlace& place, ReadLayout& out) const {
    const auto field = [&](size_t offset, unsigned bytes, uint64_t& value) {
      return reader_.integer({place.global, place.offset + offset}, bytes, value);
    };
    const auto broken = [](const char* what) { return Outcome(ECHO_BAD_LAYOUT, what); };
    uint64_t size = 0, kind = 0, fixed = 0, element = 0, alignment = 0, flags = 0, count = 0;
    if (!reader_.holds(place, sizeof(echo_layout)))
      return broken("it is shorter than an echo_layout; include echo/layout.h of this version");
    if (!field(offsetof(echo_layout, size), 4, size) || !field(offsetof(echo_layout, kind), 4, kind) ||
        !field(offsetof(echo_layout, fixed_bytes), 8, fixed) ||
        !field(offsetof(echo_layout, element_bytes), 4, element) ||
        !field(offsetof(echo_layout, alignment), 4, alignment) ||
        !field(offsetof(echo_layout, flags), 4, flags) || !field(offsetof(echo_layout, slot_count), 4, count))
      return broken("a field is not a constant integer");
    if (size < sizeof(echo_layout))
      return broken("its field 'size' is less than sizeof(echo_layout)");
    if (count > kMaxSlots)
      return broken("its slot_count exceeds what an object of 16 MiB can hold");
    if (Outcome outcome = read_name(place, out.name); !outcome)
      return outcome;
    if (Outcome outcome = read_slots(place, count, out.slots); !outcome)
      return outcome;
    out.descriptor.size = sizeof(echo_layout);
    out.descriptor.kind = static_cast<uint32_t>(kind);
    out.descriptor.name = out.name.c_str();
    out.descriptor.fixed_bytes = fixed;
    out.descriptor.element_bytes = static_cast<uint32_t>(element);
    out.descriptor.alignment = static_cast<uint32_t>(alignment);
    out.descriptor.flags = static_cast<uint32_t>(flags);
    out.descriptor.slot_count = static_cast<uint32_t>(count);
    out.descriptor.slots = out.slots.empty() ? nullptr : out.slots.data();
    return {};
  }

  Outcome read_name(const ConstantPlace& place, std::string& out) const {
    ConstantPlace text;
    if (!reader_.pointer({place.global, place.offset + offsetof(echo_layout, name)}, text))
      return {ECHO_BAD_LAYOUT, "its name is not a constant string"};
    if (text.global == nullptr)
      return {ECHO_BAD_LAYOUT, "its name is null"};
    for (uint64_t i = 0; i < kMaxNameBytes; ++i) {
      uint64_t byte = 0;
      if (!reader_.integer({text.global, text.offset + i}, 1, byte))
        return {ECHO_BAD_LAYOUT, "its name is not a terminated constant string"};
      if (byte == 0)
        return {};
      out.push_back(static_cast<char>(byte));
    }
    return {ECHO_BAD_LAYOUT, "its name has more than 255 bytes"};
  }

  Outcome read_slots(const ConstantPlace& place, uint64_t count, std::vector<echo_slot>& out) const {
    ConstantPlace slots;
    if (!reader_.pointer({place.global, place.offset + offsetof(echo_layout, slots)}, slots))
      return {ECHO_BAD_LAYOUT, "its slots are not a constant array of the module"};
    if (count == 0)
      return {};
    if (slots.global == nullptr || !reader_.holds(slots, count * sizeof(echo_slot)))
      return {ECHO_BAD_LAYOUT, "its slots are fewer than slot_count says"};
    out.reserve(count);
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t at = slots.offset + i * sizeof(echo_slot);
      uint64_t offset = 0, kind = 0;
      if (!reader_.integer({slots.global, at + offsetof(echo_slot, offset)}, 4, offset) ||
          !reader_.integer({slots.global, at + offsetof(echo_slot, kind)}, 4, kind))
        return {ECHO_BAD_LAYOUT, "a slot is not a constant"};
      out.push_back({static_cast<uint32_t>(offset), static_cast<uint32_t>(kind)});
    }
    return {};
  }

  Outcome layout_of(const ConstantPlace& place, AllocationLayout& out) {
    const auto key = std::make_pair(place.global, place.offset);
    if (const auto known = known_.find(key); known != known_.end()) {
      out = known->second;
      return {};
    }
    ReadLayout read_layout;
    if (Outcome outcome = read(place, read_layout); !outcome)
      return outcome;
    echo_error why{};
    echo_layout_id id = 0;
    if (const echo_status status =
            context_.api.layout_register(context_.heap, &read_layout.descriptor, &id, &why);
        status != ECHO_OK)
      return {status, why.message};
    echo_layout_info info{};
    info.size = sizeof info;
    if (const echo_status status = context_.api.layout_get(context_.heap, id, &info); status != ECHO_OK)
      return {status, "the heap registered it but does not describe it"};
    out = {id,
           info.kind != ECHO_LAYOUT_FIXED,
           info.fixed_bytes,
           info.element_bytes,
           info.alignment < 8 ? 8 : info.alignment,
           info.header_word,
           info.kind,
           nullptr,
           (info.flags & ECHO_LAYOUT_FINALIZABLE) != 0};
    known_.try_emplace(key, out);
    return {};
  }

  llvm::Function* allocation_function(AllocationLayout layout, const ConstantPlace& place) {
    const std::string name = (layout.is_array ? kNewArrayOfLayout : kNewOfLayout) + std::to_string(layout.id);
    llvm::Module& module = context_.module;
    if (llvm::Function* known = module.getFunction(name))
      return known;
    llvm::LLVMContext& llvm_context = module.getContext();
    llvm::SmallVector<llvm::Type*, 1> parameters;
    if (layout.is_array)
      parameters.push_back(llvm::Type::getInt64Ty(llvm_context));
    auto* function = llvm::Function::Create(
        llvm::FunctionType::get(llvm::PointerType::get(llvm_context, kReferenceSpace), parameters, false),
        llvm::Function::ExternalLinkage, name, module);
    using llvm::Attribute;
    llvm::AllocFnKind kind = llvm::AllocFnKind::Alloc;
    if (context_.allows(ECHO_JIT_ALLOCATION_IS_ZEROED))
      kind |= llvm::AllocFnKind::Zeroed;
    function->addFnAttr(Attribute::get(llvm_context, Attribute::AllocKind, static_cast<uint64_t>(kind)));
    function->addFnAttr("alloc-family", "echo");
    function->setDoesNotThrow();
    function->addFnAttr(Attribute::WillReturn);
    function->setMemoryEffects(llvm::MemoryEffects::inaccessibleMemOnly());
    function->addRetAttr(Attribute::NoAlias);
    function->addRetAttr(Attribute::NonNull);
    function->addRetAttr(Attribute::getWithAlignment(llvm_context, llvm::Align(layout.alignment)));
    if (context_.ahead_of_time)
      layout.binding = ahead::declare_binding(module, layout, *place.global, place.offset);
    context_.allocations[name] = layout;
    return function;
  }

  ModuleContext& context_;
  ConstantReader reader_;
  llvm::DenseMap<std::pair<const llvm::GlobalVariable*, uint64_t>, AllocationLayout> known_;
};

} // namespace

Outcome resolve_layouts(ModuleContext& context) {
  LayoutResolver resolver(context);
  for (const char* name : {"echo.gc.new", "echo.gc.new_array"}) {
    llvm::Function* const operation = context.module.getFunction(name);
    if (operation == nullptr)
      continue;
    for (llvm::User* user : llvm::make_early_inc_range(operation->users()))
      if (Outcome outcome = resolver.resolve(*llvm::cast<llvm::CallInst>(user),
                                             operation->getName() == "echo.gc.new_array");
          !outcome)
        return outcome;
  }
  return {};
}

} // namespace echo::jit
