// SPDX-License-Identifier: MIT
//
// Purpose     What a checked free found.
// Invariants  [native.free.1] A free that is not Done changes nothing.
#pragma once

#include <cstdint>

namespace echo::native {

enum class FreeResult : std::uint8_t {
  Done,
  Null,       // a null pointer
  Foreign,    // no memory of this pool
  NotAStart,  // inside an object or between objects
  WrongSize,  // an object of another size
  AlreadyFree // memory of the pool in which no object lives
};

} // namespace echo::native
