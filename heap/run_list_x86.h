// SPDX-License-Identifier: MIT
//
// Purpose     Run listing with the vector instructions of x86-64. On other architectures nothing is supported and
//             the functions list nothing.
// Invariants  A function is called only if its has_ function says true.
#pragma once

#include "heap/run_list.h"

namespace echo::x86 {

bool has_avx2();
bool has_avx512(); // with BW and VBMI2: byte compress
std::size_t list_avx2(const LiveMap& map, FreeRun* out);
std::size_t list_avx512(const LiveMap& map, FreeRun* out);

} // namespace echo::x86
