// SPDX-License-Identifier: MIT
//
// Purpose     First fit of page runs in chunks sorted by their longest free run.
#include "heap/native/page_runs.h"

#include <algorithm>
#include <bit>
#include <new>

namespace echo::native {

namespace {

// Free runs of a bitmap of kPagesPerChunk bits: calls visit(first, length) until it returns true.
template <class Visit>
bool each_free_run(const std::array<std::uint64_t, kPagesPerChunk / 64>& used, Visit visit) {
  std::size_t page = 0;
  while (page < kPagesPerChunk) {
    const std::uint64_t free = ~used[page / 64] >> (page % 64);
    if (free == 0) {
      page = (page / 64 + 1) * 64;
      continue;
    }
    page += static_cast<std::size_t>(std::countr_zero(free));
    std::size_t end = page;
    while (end < kPagesPerChunk) {
      const std::uint64_t taken = used[end / 64] >> (end % 64);
      if (taken != 0) {
        end += static_cast<std::size_t>(std::countr_zero(taken));
        break;
      }
      end = (end / 64 + 1) * 64;
    }
    if (visit(page, end - page)) {
      return true;
    }
    page = end;
  }
  return false;
}

template <class Bits> void set_range(Bits& bits, std::size_t first, std::size_t count, bool value) {
  for (std::size_t i = first; i < first + count;) {
    const std::size_t width = std::min(64 - i % 64, first + count - i);
    const std::uint64_t mask = (width == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << width) - 1)
                               << (i % 64);
    bits[i / 64] = value ? bits[i / 64] | mask : bits[i / 64] & ~mask;
    i += width;
  }
}

template <class Bits> bool range_is_free(const Bits& bits, std::size_t first, std::size_t count) {
  for (std::size_t i = first; i < first + count; ++i) {
    if ((bits[i / 64] >> (i % 64) & 1) != 0) {
      return false;
    }
  }
  return true;
}

std::size_t bin_of(std::size_t pages) {
  return static_cast<std::size_t>(std::bit_width(pages)) - 1;
}

constexpr std::size_t kMaxBytes = std::size_t{1} << 48;

} // namespace

PageRuns* PageRuns::owner_of(void* note) {
  return static_cast<RunChunk*>(note)->owner.load(std::memory_order_relaxed);
}

// Only chunks of this object have it as their owner while its lock is held, and their note is the record.
PageRuns::RunChunk* PageRuns::mine(void* note, Address p) const {
  auto* const chunk = static_cast<RunChunk*>(note);
  return chunk->owner.load(std::memory_order_relaxed) == this && space_->chunk_owner(p) == note ? chunk
                                                                                                : nullptr;
}

void PageRuns::unlink(RunChunk& chunk) {
  RunChunk*& first = chunk.chunks != 0 ? large_ : chunk.bin == kBins ? full_ : bins_[chunk.bin];
  (chunk.previous == nullptr ? first : chunk.previous->next) = chunk.next;
  if (chunk.next != nullptr) {
    chunk.next->previous = chunk.previous;
  }
}

void PageRuns::put_in_bin(RunChunk& chunk, std::size_t longest) {
  chunk.bin = static_cast<std::uint8_t>(longest == 0 ? kBins : bin_of(longest));
  RunChunk*& first = longest == 0 ? full_ : bins_[chunk.bin];
  chunk.previous = nullptr;
  chunk.next = first;
  if (first != nullptr) {
    first->previous = &chunk;
  }
  first = &chunk;
}

void* PageRuns::take_from(RunChunk& chunk, std::size_t pages) {
  std::size_t at = kPagesPerChunk;
  std::size_t longest = 0;
  each_free_run(chunk.used, [&](std::size_t first, std::size_t length) {
    if (length >= pages) {
      at = first;
      return true;
    }
    longest = std::max(longest, length);
    return false;
  });
  if (at == kPagesPerChunk) {
    unlink(chunk);
    put_in_bin(chunk, longest); // now exact
    return nullptr;
  }
  empty_chunks_ -= chunk.pages == 0 ? 1 : 0;
  set_range(chunk.used, at, pages, true);
  set_range(chunk.starts, at, 1, true);
  chunk.length[at] = static_cast<std::uint16_t>(pages);
  chunk.number[at] = 0;
  chunk.pages += pages;
  if (chunk.pages == kPagesPerChunk) {
    unlink(chunk);
    put_in_bin(chunk, 0);
  }
  return reinterpret_cast<void*>(chunk.start + at * kPageBytes);
}

void* PageRuns::allocate_chunks(std::size_t pages, unsigned node) {
  const std::size_t chunks = (pages + kPagesPerChunk - 1) / kPagesPerChunk;
  void* const memory = space_->arena().take(sizeof(RunChunk));
  if (memory == nullptr) {
    return nullptr;
  }
  auto* const run = new (memory) RunChunk;
  run->owner.store(this, std::memory_order_relaxed);
  run->chunks = chunks;
  run->pages = pages;
  if (!space_->take_chunks(chunks, node, run, &run->start)) {
    run->owner.store(nullptr, std::memory_order_relaxed);
    space_->arena().give(memory, sizeof(RunChunk));
    return nullptr;
  }
  run->next = large_;
  if (large_ != nullptr) {
    large_->previous = run;
  }
  large_ = run;
  counters_.committed_bytes += pages * kPageBytes;
  return reinterpret_cast<void*>(run->start);
}

void* PageRuns::allocate(std::size_t bytes, unsigned node) {
  if (bytes > kMaxBytes) {
    return nullptr;
  }
  const std::size_t pages = (bytes + kPageBytes - 1) / kPageBytes;
  const MutexLock lock(mutex_);
  void* p = nullptr;
  if (pages > kMaxRunPages) {
    p = allocate_chunks(pages, node);
  } else {
    // A chunk of the next higher bin certainly has such a run if the bound is exact; if not, it sinks.
    for (std::size_t bin = bin_of(pages); bin < kBins && p == nullptr;) {
      RunChunk* const chunk = bins_[bin];
      if (chunk == nullptr) {
        ++bin;
        continue;
      }
      p = take_from(*chunk, pages);
      if (p == nullptr && bins_[bin] == chunk) {
        ++bin; // exact and too short, though in the bin: the others of the bin are left alone
      }
    }
    if (p == nullptr) {
      void* const memory = space_->arena().take(sizeof(RunChunk));
      if (memory == nullptr) {
        return nullptr;
      }
      auto* const chunk = new (memory) RunChunk;
      chunk->owner.store(this, std::memory_order_relaxed);
      if (!space_->take_chunks(1, node, chunk, &chunk->start)) {
        chunk->owner.store(nullptr, std::memory_order_relaxed);
        space_->arena().give(memory, sizeof(RunChunk));
        return nullptr;
      }
      ++empty_chunks_;
      counters_.committed_bytes += kChunkBytes;
      put_in_bin(*chunk, kPagesPerChunk);
      p = take_from(*chunk, pages);
    }
  }
  if (p != nullptr) {
    ++counters_.allocations;
    counters_.allocated_pages += pages;
  }
  return p;
}

void PageRuns::drop(RunChunk& chunk) {
  const std::size_t chunks = std::max<std::size_t>(chunk.chunks, 1);
  unlink(chunk);
  counters_.committed_bytes -= chunk.chunks != 0 ? chunk.pages * kPageBytes : kChunkBytes;
  chunk.owner.store(nullptr, std::memory_order_relaxed);
  space_->put_chunks(chunk.start, chunks);
  space_->arena().give(&chunk, sizeof(RunChunk));
}

FreeResult PageRuns::find(RunChunk& chunk, Address p, std::size_t* page, std::size_t* pages) {
  *page = (p - chunk.start) / kPageBytes;
  if (chunk.chunks != 0) {
    *page = 0;
    *pages = chunk.pages;
    return p == chunk.start ? FreeResult::Done : FreeResult::NotAStart;
  }
  const std::uint64_t bit = std::uint64_t{1} << (*page % 64);
  if ((chunk.used[*page / 64] & bit) == 0) {
    return is_aligned(p, kPageBytes) ? FreeResult::AlreadyFree : FreeResult::NotAStart;
  }
  *pages = chunk.length[*page];
  return (chunk.starts[*page / 64] & bit) != 0 && is_aligned(p, kPageBytes) ? FreeResult::Done
                                                                            : FreeResult::NotAStart;
}

FreeResult PageRuns::free(void* p, std::size_t bytes, void* note) {
  const MutexLock lock(mutex_);
  const auto address = reinterpret_cast<Address>(p);
  RunChunk* const chunk = mine(note, address);
  if (chunk == nullptr) {
    return FreeResult::AlreadyFree;
  }
  std::size_t page = 0;
  std::size_t pages = 0;
  const FreeResult found = find(*chunk, address, &page, &pages);
  if (found != FreeResult::Done) {
    return found;
  }
  if (bytes > kMaxBytes || (bytes + kPageBytes - 1) / kPageBytes != pages) {
    return FreeResult::WrongSize;
  }
  ++counters_.frees;
  counters_.freed_pages += pages;
  if (chunk->chunks != 0) {
    drop(*chunk);
    return FreeResult::Done;
  }
  set_range(chunk->used, page, pages, false);
  set_range(chunk->starts, page, 1, false);
  chunk->pages -= pages;
  if (chunk->pages == 0 && empty_chunks_ > 0) {
    drop(*chunk);
    return FreeResult::Done;
  }
  empty_chunks_ += chunk->pages == 0 ? 1 : 0;
  unlink(*chunk);
  put_in_bin(*chunk, kPagesPerChunk - chunk->pages);
  return FreeResult::Done;
}

std::size_t PageRuns::bytes_at(void* p, void* note) {
  const MutexLock lock(mutex_);
  const auto address = reinterpret_cast<Address>(p);
  RunChunk* const chunk = mine(note, address);
  std::size_t page = 0;
  std::size_t pages = 0;
  return chunk != nullptr && find(*chunk, address, &page, &pages) == FreeResult::Done ? pages * kPageBytes
                                                                                      : 0;
}

bool PageRuns::resize(void* p, std::size_t bytes, void* note) {
  const MutexLock lock(mutex_);
  const auto address = reinterpret_cast<Address>(p);
  RunChunk* const chunk = mine(note, address);
  std::size_t page = 0;
  std::size_t old_pages = 0;
  if (bytes == 0 || bytes > kMaxBytes || chunk == nullptr ||
      find(*chunk, address, &page, &old_pages) != FreeResult::Done) {
    return false;
  }
  const std::size_t pages = (bytes + kPageBytes - 1) / kPageBytes;
  if (chunk->chunks != 0) {
    if (pages > chunk->chunks * kPagesPerChunk || pages <= kMaxRunPages) {
      return false;
    }
    counters_.committed_bytes += pages * kPageBytes;
    counters_.committed_bytes -= old_pages * kPageBytes;
    chunk->pages = pages;
  } else if (pages > old_pages) {
    if (page + pages > kPagesPerChunk || pages > kMaxRunPages ||
        !range_is_free(chunk->used, page + old_pages, pages - old_pages)) {
      return false;
    }
    set_range(chunk->used, page + old_pages, pages - old_pages, true);
    chunk->pages += pages - old_pages;
    if (chunk->pages == kPagesPerChunk) {
      unlink(*chunk);
      put_in_bin(*chunk, 0);
    }
    chunk->length[page] = static_cast<std::uint16_t>(pages);
  } else if (pages < old_pages) {
    set_range(chunk->used, page + pages, old_pages - pages, false);
    chunk->pages -= old_pages - pages;
    chunk->length[page] = static_cast<std::uint16_t>(pages);
    unlink(*chunk);
    put_in_bin(*chunk, kPagesPerChunk - chunk->pages);
  }
  counters_.allocated_pages += pages > old_pages ? pages - old_pages : 0;
  counters_.freed_pages += old_pages > pages ? old_pages - pages : 0;
  return true;
}

bool PageRuns::set_note(void* p, std::uint32_t number, void* note) {
  const MutexLock lock(mutex_);
  const auto address = reinterpret_cast<Address>(p);
  RunChunk* const chunk = mine(note, address);
  std::size_t page = 0;
  std::size_t pages = 0;
  if (chunk == nullptr || find(*chunk, address, &page, &pages) != FreeResult::Done) {
    return false;
  }
  chunk->number[page] = number;
  return true;
}

bool PageRuns::get_note(void* p, std::uint32_t* number, void* note) {
  const MutexLock lock(mutex_);
  const auto address = reinterpret_cast<Address>(p);
  RunChunk* const chunk = mine(note, address);
  std::size_t page = 0;
  std::size_t pages = 0;
  if (chunk == nullptr || find(*chunk, address, &page, &pages) != FreeResult::Done) {
    return false;
  }
  *number = chunk->number[page];
  return true;
}

std::size_t PageRuns::release_free_pages() {
  const MutexLock lock(mutex_);
  std::size_t bytes = 0;
  for (RunChunk* const first : bins_) {
    for (RunChunk* chunk = first; chunk != nullptr; chunk = chunk->next) {
      each_free_run(chunk->used, [&](std::size_t page, std::size_t length) {
        bytes += space_->discard(chunk->start + page * kPageBytes, length * kPageBytes);
        return false;
      });
    }
  }
  return bytes;
}

std::size_t PageRuns::trim() {
  const MutexLock lock(mutex_);
  std::size_t bytes = 0;
  for (RunChunk*& first : bins_) {
    for (RunChunk* chunk = first; chunk != nullptr;) {
      RunChunk* const next = chunk->next;
      if (chunk->pages == 0) {
        drop(*chunk);
        --empty_chunks_;
        bytes += kChunkBytes;
      }
      chunk = next;
    }
  }
  return bytes;
}

void PageRuns::close() {
  const MutexLock lock(mutex_);
  while (large_ != nullptr) {
    drop(*large_);
  }
  while (full_ != nullptr) {
    drop(*full_);
  }
  for (RunChunk*& first : bins_) {
    while (first != nullptr) {
      drop(*first);
    }
  }
}

RunCounters PageRuns::counters() {
  const MutexLock lock(mutex_);
  return counters_;
}

const char* PageRuns::check() {
  const MutexLock lock(mutex_);
  std::size_t live = 0;
  for (std::size_t bin = 0; bin <= kBins; ++bin) {
    for (RunChunk* chunk = bin == kBins ? full_ : bins_[bin]; chunk != nullptr; chunk = chunk->next) {
      std::array<std::uint64_t, kWords> expected{};
      std::size_t pages = 0;
      for (std::size_t page = 0; page < kPagesPerChunk; ++page) {
        if ((chunk->starts[page / 64] >> (page % 64) & 1) != 0) {
          if (!range_is_free(expected, page, chunk->length[page])) {
            return "two runs share a page [native.run.1]";
          }
          set_range(expected, page, chunk->length[page], true);
          pages += chunk->length[page];
        }
      }
      std::size_t longest = 0;
      each_free_run(chunk->used, [&](std::size_t, std::size_t length) {
        longest = std::max(longest, length);
        return false;
      });
      if (expected != chunk->used || pages != chunk->pages) {
        return "used pages and runs disagree [native.run.1]";
      }
      if (chunk->bin != bin || (longest != 0 && (bin == kBins || bin_of(longest) > bin))) {
        return "a chunk's bin is below its longest free run [native.run.3]";
      }
      live += pages;
    }
  }
  for (RunChunk* chunk = large_; chunk != nullptr; chunk = chunk->next) {
    live += chunk->pages;
  }
  return live == counters_.allocated_pages - counters_.freed_pages ? "" : "the live pages are miscounted";
}

} // namespace echo::native
