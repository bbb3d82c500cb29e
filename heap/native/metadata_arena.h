// SPDX-License-Identifier: MIT
//
// Purpose     Memory for the records of native memory: whole cache lines, kept until the arena closes.
// Invariants  [native.arena.1] A block given back is reused only for blocks of the same number of lines;
//             blocks over a page have a mapping of their own and go back to the system.
#pragma once

#include "heap/mutex.h"
#include "heap/words.h"

#include <array>
#include <cstddef>

namespace echo::native {

class MetadataArena {
public:
  MetadataArena() = default;
  MetadataArena(const MetadataArena&) = delete;
  MetadataArena& operator=(const MetadataArena&) = delete;
  ~MetadataArena();

  // Aligned to a cache line; null if the system refuses. Zeroed if it is used for the first time or if
  // `clear`; else what give() left, but for the first word.
  void* take(std::size_t bytes, bool clear = true) ECHO_EXCLUDES(mutex_);
  void give(void* block, std::size_t bytes) ECHO_EXCLUDES(mutex_);
  // Mapped for blocks of up to a page.
  std::size_t mapped_bytes() ECHO_EXCLUDES(mutex_);

  // Held across a fork.
  Mutex& mutex() { return mutex_; }

private:
  struct FreeBlock {
    FreeBlock* next;
  };
  struct Region {
    Region* next;
  };
  static constexpr std::size_t kRegionBytes = std::size_t{256} << 10;
  static constexpr std::size_t kMaxLines = kPageBytes / kCacheLine;

  Mutex mutex_;
  std::array<FreeBlock*, kMaxLines + 1> free_ ECHO_GUARDED_BY(mutex_){};
  Region* regions_ ECHO_GUARDED_BY(mutex_) = nullptr;
  std::size_t used_ ECHO_GUARDED_BY(mutex_) = kRegionBytes; // of the newest region
  std::size_t mapped_ ECHO_GUARDED_BY(mutex_) = 0;
};

} // namespace echo::native
