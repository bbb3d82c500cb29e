/* SPDX-License-Identifier: MIT
 *
 * compiler/unmodified/marks.cpp - polls and announced stores: marks before optimisation, instructions after it.
 *
 * Method      A poll's mark may do anything, as far as optimisers know: no load or store moves over it. A store's mark
 *             reads the slot, so the store stays behind it and in front of the next mark of that slot; two marks never
 *             become one.
 * Invariants  [unmod.poll.1] Every cycle of a function has a poll, and every return of one that calls or loops.
 *             [unmod.poll.2] A poll publishes no anchor: the frames below have no map, their stack is read whole.
 *             [unmod.announce.1] The announcement of a range reads only words of the range, and bytes of what is copied
 *             there; it does not poll.
 */
#include "compiler/lowering.h"
#include "compiler/unmodified/steps.h"

#include "arch/x86_64/stubs.h"

#include "llvm/IR/InstIterator.h"

namespace echo::jit::unmodified {
namespace {

/* A word that the copy writes only in part has no value to tell. */
const char* const kAnnounceText = R"(
declare void @echo.unmodified.store(ptr, ptr)
declare i1 @echo.unmodified.listening()
define void @echo.unmodified.announce(ptr %to, ptr %from, i64 %bytes) {
entry:
  %listening = call i1 @echo.unmodified.listening()
  %any = icmp ne i64 %bytes, 0
  %go = and i1 %listening, %any
  br i1 %go, label %begin, label %done
begin:
  %start = ptrtoint ptr %to to i64
  %end = add i64 %start, %bytes
  %first = and i64 %start, -8
  %copied = icmp ne ptr %from, null
  br label %loop
loop:
  %word = phi i64 [ %first, %begin ], [ %next, %mark ]
  %offset = sub i64 %word, %start
  %slot = getelementptr i8, ptr %to, i64 %offset
  %left = sub i64 %end, %word
  %after = icmp uge i64 %left, 8
  %before = icmp uge i64 %word, %start
  %whole = and i1 %before, %after
  %known = and i1 %whole, %copied
  br i1 %known, label %read, label %mark
read:
  %source = getelementptr i8, ptr %from, i64 %offset
  %value = load ptr, ptr %source, align 1
  br label %mark
mark:
  %new = phi ptr [ null, %loop ], [ %value, %read ]
  call void @echo.unmodified.store(ptr %slot, ptr %new)
  %next = add i64 %word, 8
  %more = icmp ult i64 %next, %end
  br i1 %more, label %loop, label %done
done:
  ret void
}
)";

llvm::Function* mark(llvm::Module& module, const char* name, llvm::Type* result,
                     llvm::ArrayRef<llvm::Type*> parameters) {
  llvm::FunctionCallee callee =
      module.getOrInsertFunction(name, llvm::FunctionType::get(result, parameters, false));
  auto* const function = llvm::cast<llvm::Function>(callee.getCallee());
  function->setDoesNotThrow();
  return function;
}

llvm::Function* store_mark(llvm::Module& module) {
  llvm::LLVMContext& context = module.getContext();
  llvm::Type* const pointer = llvm::PointerType::get(context, 0);
  llvm::Function* const function =
      mark(module, kStoreMark, llvm::Type::getVoidTy(context), {pointer, pointer});
  function->addFnAttr(kLeafAttribute);
  function->addFnAttr(llvm::Attribute::WillReturn);
  function->setMemoryEffects(llvm::MemoryEffects::inaccessibleMemOnly() |
                             llvm::MemoryEffects::argMemOnly(llvm::ModRefInfo::Ref));
  function->addParamAttr(0, llvm::Attribute::NoCapture);
  return function;
}

llvm::Function* listening_mark(llvm::Module& module) {
  llvm::Function* const function =
      mark(module, kListeningMark, llvm::Type::getInt1Ty(module.getContext()), {});
  function->addFnAttr(kLeafAttribute);
  function->addFnAttr(llvm::Attribute::WillReturn);
  function->setMemoryEffects(llvm::MemoryEffects::inaccessibleMemOnly());
  return function;
}

Outcome announcement(llvm::Module& module, llvm::Function*& out) {
  out = module.getFunction(kAnnounce);
  if (out != nullptr)
    return {};
  if (Outcome outcome = link_function(module, kAnnounce, kAnnounceText); !outcome)
    return outcome;
  store_mark(module); /* their attributes */
  listening_mark(module);
  out = module.getFunction(kAnnounce);
  out->addFnAttr(kLeafAttribute);
  set_frame_attributes(*out);
  return {};
}

/* Replaces each call of a mark. */
template <typename Expand> void expand_all(llvm::Module& module, const char* name, Expand&& expand) {
  llvm::Function* const function = module.getFunction(name);
  if (function == nullptr)
    return;
  for (llvm::User* user : llvm::make_early_inc_range(function->users()))
    expand(*llvm::cast<llvm::CallInst>(user));
  function->eraseFromParent();
}

} // namespace

void mark_store(ModuleContext& context, llvm::IRBuilder<>& builder, llvm::Value* slot, llvm::Value* value) {
  if (wants_barriers(context))
    builder.CreateCall(store_mark(context.module), {slot, value});
}

Outcome announce_range(ModuleContext& context, llvm::IRBuilder<>& builder, llvm::Value* to, llvm::Value* from,
                       llvm::Value* bytes) {
  if (!wants_barriers(context))
    return {};
  llvm::Function* announce = nullptr;
  if (Outcome outcome = announcement(context.module, announce); !outcome)
    return outcome;
  builder.CreateCall(announce, {to, from, bytes});
  return {};
}

void mark_polls(ModuleContext& context) {
  if (context.allows(ECHO_JIT_OMIT_POLLS))
    return;
  llvm::Type* const nothing = llvm::Type::getVoidTy(context.module.getContext());
  llvm::Function* const poll = mark(context.module, kPollMark, nothing, {});
  for (llvm::Function& function : context.module) {
    if (function.isDeclaration())
      continue;
    for (llvm::Instruction* point : poll_points(context, function))
      llvm::IRBuilder<>(point).CreateCall(poll)->setDebugLoc(point->getDebugLoc());
  }
}

void expand_marks(ModuleContext& context) {
  llvm::Module& module = context.module;
  expand_all(module, kStoreMark, [&](llvm::CallInst& call) {
    llvm::Value* const slot = call.getArgOperand(0);
    if (is_local(slot)) { /* known only since a function was inlined into its caller */
      ++context.counters.barriers_elided;
      call.eraseFromParent();
      return;
    }
    ++context.counters.barriers;
    expand_barrier(context, call, thread_of(*call.getFunction()), slot, call.getArgOperand(1));
  });
  expand_all(module, kListeningMark, [&](llvm::CallInst& call) {
    llvm::IRBuilder<> builder(&call);
    llvm::Value* const phase = builder.CreateAlignedLoad(
        builder.getInt8Ty(),
        thread_field(builder, thread_of(*call.getFunction()), context.recipes.phase_offset), llvm::Align(1),
        "phase");
    call.replaceAllUsesWith(builder.CreateICmpNE(phase, builder.getInt8(0)));
    call.eraseFromParent();
  });
  expand_all(module, kPollMark, [&](llvm::CallInst& call) {
    expand_poll(context, call, thread_of(*call.getFunction()), kPollUnanchoredStub);
  });
}

} // namespace echo::jit::unmodified
