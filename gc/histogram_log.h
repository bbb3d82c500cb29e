// SPDX-License-Identifier: MIT
//
// Purpose     A histogram as text for the tools of HdrHistogram: log format 1.3, payload V2.
// Drawing     #[Histogram log format version 1.3]
//             #[StartTime: seconds since 1970 (seconds since epoch)]
//             "StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"
//             0.000,12.345,0.678,base64 of:
//
//             | cookie 1c849314 | bytes that follow | zlib stream of: |
//             | cookie 1c849313 | bytes of counts | 0 | digits 2 | lowest 8 | highest 8 | ratio 8 | counts |   big endian
//             counts: zig-zag LEB128; a negative one stands for as many empty buckets
//
// Why so      Buckets of Histogram are those of HdrHistogram with two digits: 256 of width 1, then 128 per octave, so counts
//             are written as they are. The zlib stream has stored blocks: a few KiB need no compression, and no library.
// Invariants  [histogram.log.1] What is written decodes to the same buckets.
#pragma once

#include "gc/histogram.h"

#include <string>

namespace echo {

// Values are nanoseconds; `seconds`: the interval's length; `start`: since 1970; interval_max is in milliseconds.
std::string histogram_log(const Histogram& histogram, const char* tag, double start, double seconds);

} // namespace echo
