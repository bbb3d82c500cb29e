// SPDX-License-Identifier: MIT
//
// Purpose     mincore, in pieces.
#include "heap/native/resident.h"

#include "heap/os_memory.h"
#include "heap/words.h"

#include <algorithm>
#include <sys/mman.h>

namespace echo::native {

std::size_t resident_bytes(void* at, std::size_t bytes) {
  unsigned char pages[kPagesPerChunk];
  std::size_t resident = 0;
  for (std::size_t done = 0; done < bytes;) {
    const std::size_t part = std::min(bytes - done, kChunkBytes);
    if (::mincore(static_cast<std::byte*>(at) + done, part, pages) != 0) {
      return 0;
    }
    resident += static_cast<std::size_t>(
        std::count_if(pages, pages + part / kPageBytes, [](unsigned char page) { return (page & 1) != 0; }));
    done += part;
  }
  return resident * kPageBytes;
}

std::size_t discard_resident(void* at, std::size_t bytes) {
  const std::size_t resident = resident_bytes(at, bytes);
  return resident != 0 && os::discard(at, bytes) ? resident : 0;
}

} // namespace echo::native
