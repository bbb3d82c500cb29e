// SPDX-License-Identifier: MIT
//
// Purpose     Native objects over 1 KiB: runs of pages in chunks, and runs of whole chunks, of any size.
// Invariants  [native.run.1] A page is used by at most one run; used and start bits and the lengths
//             describe the same runs. [native.run.2] A free is checked against them with the lock held:
//             right start, right number of pages, or nothing happens. [native.run.3] A run chunk's bin is
//             an upper bound of its longest free run, so a chunk in a lower bin need not be searched.
// Equations   pages = ceil(bytes / 4096);  bin = floor(log2(longest free run))
#pragma once

#include "heap/mutex.h"
#include "heap/native/free_result.h"
#include "heap/native/native_space.h"

#include <array>
#include <atomic>
#include <cstdint>

namespace echo::native {

struct RunCounters {
  std::uint64_t allocations = 0;
  std::uint64_t frees = 0;
  std::uint64_t allocated_pages = 0;
  std::uint64_t freed_pages = 0;
  std::size_t committed_bytes = 0;
};

class alignas(kCacheLine) PageRuns {
public:
  void open(NativeSpace* space) { space_ = space; }
  // Null: out of memory. bytes > 0.
  void* allocate(std::size_t bytes, unsigned node) ECHO_EXCLUDES(mutex_);
  // p lies in a chunk whose note is `note`; of this object's chunks if it is one.
  FreeResult free(void* p, std::size_t bytes, void* note) ECHO_EXCLUDES(mutex_);
  // The bytes of the run that starts at p; 0 if none does.
  std::size_t bytes_at(void* p, void* note) ECHO_EXCLUDES(mutex_);
  // Makes a run longer or shorter at the same address. False if its neighbours are in the way.
  bool resize(void* p, std::size_t bytes, void* note) ECHO_EXCLUDES(mutex_);
  // A number of the caller's beside the run that starts at p; 0 in a new run. False if none starts there.
  bool set_note(void* p, std::uint32_t number, void* note) ECHO_EXCLUDES(mutex_);
  bool get_note(void* p, std::uint32_t* number, void* note) ECHO_EXCLUDES(mutex_);
  // Gives chunks without runs back to the space; the bytes.
  std::size_t trim() ECHO_EXCLUDES(mutex_);
  void close() ECHO_EXCLUDES(mutex_);
  RunCounters counters() ECHO_EXCLUDES(mutex_);
  // Gives the system the free pages of chunks that are partly in use; the bytes that were in memory.
  std::size_t release_free_pages() ECHO_EXCLUDES(mutex_);
  const char* check() ECHO_EXCLUDES(mutex_);
  Mutex& mutex() { return mutex_; }

  // Whose chunk a note stands for.
  static PageRuns* owner_of(void* note);

private:
  static constexpr std::size_t kWords = kPagesPerChunk / 64;
  static constexpr std::size_t kMaxRunPages = kPagesPerChunk / 2; // longer ones get chunks of their own
  static constexpr std::size_t kBins = 10;

  // One chunk of runs, or one run of chunks (chunks > 0).
  struct RunChunk {
    std::atomic<PageRuns*> owner{nullptr};
    Address start = 0;
    std::size_t chunks = 0;
    std::size_t pages = 0; // of a run of chunks; of a chunk of runs: used pages
    RunChunk* next = nullptr;
    RunChunk* previous = nullptr;
    std::uint8_t bin = 0;
    std::array<std::uint64_t, kWords> used{};
    std::array<std::uint64_t, kWords> starts{};
    std::array<std::uint16_t, kPagesPerChunk> length{};
    std::array<std::uint32_t, kPagesPerChunk> number{}; // the caller's
  };

  RunChunk* mine(void* note, Address p) const ECHO_REQUIRES(mutex_);
  void* take_from(RunChunk& chunk, std::size_t pages) ECHO_REQUIRES(mutex_);
  void* allocate_chunks(std::size_t pages, unsigned node) ECHO_REQUIRES(mutex_);
  FreeResult find(RunChunk& chunk, Address p, std::size_t* page, std::size_t* pages) ECHO_REQUIRES(mutex_);
  void put_in_bin(RunChunk& chunk, std::size_t longest) ECHO_REQUIRES(mutex_);
  void unlink(RunChunk& chunk) ECHO_REQUIRES(mutex_);
  void drop(RunChunk& chunk) ECHO_REQUIRES(mutex_);

  Mutex mutex_;
  NativeSpace* space_ = nullptr;
  std::array<RunChunk*, kBins> bins_ ECHO_GUARDED_BY(mutex_){};
  RunChunk* full_ ECHO_GUARDED_BY(mutex_) = nullptr; // no free page
  RunChunk* large_ ECHO_GUARDED_BY(mutex_) = nullptr;
  std::size_t empty_chunks_ ECHO_GUARDED_BY(mutex_) = 0;
  RunCounters counters_ ECHO_GUARDED_BY(mutex_);
};

} // namespace echo::native
