/* SPDX-License-Identifier: MIT
 *
 * compiler/stack_map_printer.cpp - the stack map section of objects with frames of gc "echo".
 *
 * Purpose     LLVM emits the section read-only, with absolute addresses in it: no linker can put that into a
 *             position-independent executable without writing to read-only pages when it is loaded. So the section is made
 *             writable data, whose addresses the loader relocates like any other. And a symbol marks the section's end in
 *             this object, so that a reader has bounds.
 * Invariants  [jit.section.1] No text relocation comes from stack maps. [jit.section.2] The end symbol stands right
 *             behind the object's own maps.
 */
#include "compiler/gc_strategy.h"

#include "compiler/context.h"

#include "ahead/image.h"

#include "llvm/BinaryFormat/ELF.h"
#include "llvm/CodeGen/AsmPrinter.h"
#include "llvm/CodeGen/GCMetadataPrinter.h"
#include "llvm/CodeGen/StackMaps.h"
#include "llvm/MC/MCContext.h"
#include "llvm/MC/MCObjectFileInfo.h"
#include "llvm/MC/MCSectionELF.h"
#include "llvm/MC/MCStreamer.h"

namespace echo::jit {
namespace {

class StackMapPrinter final : public llvm::GCMetadataPrinter {
public:
  bool emitStackMaps(llvm::StackMaps& maps, llvm::AsmPrinter& printer) override {
    if (maps.getCSInfos().empty())
      return true;
    auto* const section =
        llvm::cast<llvm::MCSectionELF>(printer.OutContext.getObjectFileInfo()->getStackMapSection());
    section->setFlags(section->getFlags() | llvm::ELF::SHF_WRITE);
    maps.serializeToStackMapSection();
    printer.OutStreamer->switchSection(section);
    printer.OutStreamer->emitLabel(printer.OutContext.getOrCreateSymbol(ahead::kMapsEnd));
    return true;
  }
};

const llvm::GCMetadataPrinterRegistry::Add<StackMapPrinter> registration(kStrategy,
                                                                         "stack maps as relocatable data");

} // namespace

void link_stack_map_printer() {
  static_cast<void>(&registration);
}

} // namespace echo::jit
