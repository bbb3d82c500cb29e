/* SPDX-License-Identifier: MIT
 *
 * compiler/gc_strategy.cpp - gc "echo": statepoints, rewritten by RewriteStatepointsForGC; address space 1 is
 * managed.
 */
#include "compiler/gc_strategy.h"

#include "compiler/context.h"

#include "llvm/IR/DerivedTypes.h"
#include "llvm/IR/GCStrategy.h"

namespace echo::jit {
namespace {

struct EchoStrategy final : llvm::GCStrategy {
  EchoStrategy() {
    UseStatepoints = true;
    UseRS4GC = true;
    NeededSafePoints = false;
    UsesMetadata = true; /* its printer: stack_map_printer.cpp */
  }
  std::optional<bool> isGCManagedPointer(const llvm::Type* type) const override { return is_reference(type); }
};

const llvm::GCRegistry::Add<EchoStrategy> registration(kStrategy, "precise frames of the Echo heap");

} // namespace

void link_gc_strategy() {
  static_cast<void>(&registration);
  link_stack_map_printer();
}

} // namespace echo::jit
