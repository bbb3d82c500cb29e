// SPDX-License-Identifier: MIT
//
// Purpose     How much of a range is in memory, so that "given back" counts what was there.
#pragma once

#include <cstddef>

namespace echo::native {

// Bytes of the pages of [at, at + bytes) that are in memory; page-aligned, mapped.
std::size_t resident_bytes(void* at, std::size_t bytes);
// Gives the range back to the system; the bytes that were in memory, 0 if refused.
std::size_t discard_resident(void* at, std::size_t bytes);

} // namespace echo::native
