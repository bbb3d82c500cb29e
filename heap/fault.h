// SPDX-License-Identifier: MIT
//
// Purpose     Faults that can be built into the heap on purpose, one at a time: -DECHO_FAULT=NAME. The conformance suites
//             must find each of them (tests/faults). A library built without the macro has none: every test of one is a
//             constant false.
// Invariants  [fault.one.1] A build has one fault at most, in the files that its row of tests/faults/CMakeLists.txt names: a
//             fault stands in a .cpp file, so that no other unit has another definition of the same function.
#pragma once

#include <cstdint>

#ifndef ECHO_FAULT
#define ECHO_FAULT None
#endif

namespace echo {

// X(name, what it does wrong)
#define ECHO_FAULT_TABLE(X)                                                                                  \
  X(None, "nothing")                                                                                         \
  X(HandleMissed, "the newest handle of a thread is no root")                                                \
  X(FramesUnvisited, "frames above the watermark of a stop are never visited")                               \
  X(RootWordMissed, "the first registered root word is not read")                                            \
  X(BitmapWordDropped, "a sweep ignores one word of a slab's mark bitmap")                                   \
  X(MarkBitCleared, "the mark bit of some objects is cleared again")                                         \
  X(FarSlotMissed, "slots beyond the layout's bitmaps are not traced")                                       \
  X(LongArrayCut, "of a long array of references only the first slice is traced")                            \
  X(RunOffByOne, "a free run ends one granule too late")                                                     \
  X(FreshSwept, "a slab of objects born since the mark started is swept as an old one")                      \
  X(HolesNotMixed, "holes that are handed out while marking are of a slab that counts as old")               \
  X(HolesByNewMarks, "holes that are handed out while marking are listed by what is marked so far")          \
  X(LargeSweptFresh, "a large object that is published while marking is swept in that cycle")                \
  X(StoreUnrecorded, "the cold path of a store records nothing")                                             \
  X(WeakLoadUnlogged, "what a weak load returns while marking is not logged")                                \
  X(HandleUnlogged, "a reference that leaves a handle while marking is not logged")                          \
  X(RecordDropped, "the last record of each buffer of the deletion log is dropped")                          \
  X(LogLostAtDetach, "a thread that detaches drops its deletion log")                                        \
  X(LogLeftAtEnd, "the stop that ends a mark leaves the logs of threads untaken")                            \
  X(PhaseNotSetAtAttach, "a thread that attaches while marking has its barrier off")                         \
  X(WeakNotCleared, "weak slots keep the addresses of the dead")                                             \
  X(EphemeronNotReleased, "a key that becomes marked late does not release its ephemerons")                  \
  X(FinalizedTwice, "the first object that is due is handed out twice")                                      \
  X(DueNotMarked, "what is due for finalization is freed like anything dead")                                \
  X(InteriorMissed, "an ambiguous word into an object, not at its start, is no root")

enum class Fault : std::uint8_t {
#define ECHO_FAULT_ENUM(name, what) name,
  ECHO_FAULT_TABLE(ECHO_FAULT_ENUM)
#undef ECHO_FAULT_ENUM
};

// Whether this build has the fault.
constexpr bool has_fault(Fault fault) {
  constexpr Fault kBuiltIn = Fault::ECHO_FAULT;
  return kBuiltIn != Fault::None && fault == kBuiltIn;
}

} // namespace echo
