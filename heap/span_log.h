// SPDX-License-Identifier: MIT
//
// Purpose     The log of the spans that objects were allocated into: appended to under a lock and in stops, so a step costs
//             what it appends, whatever the log holds already.
// Drawing     blocks_:  | * | * | * |      a block: 512 spans; all but the last one are full
//                         v   v   v
//             Blocks of a log that is cleared are spares, from which logs take before they ask the system.
// Invariants  [spans.append.1] Appending n spans copies n spans and nothing else; it takes at most n / 512 + 1 blocks.
//             [spans.order.1] Spans keep the order in which they came: a reader that knows how many it has read goes on there.
// Why so      A program that allocates in holes of a large heap logs millions of spans: one array of them stood for tens of
//             milliseconds when it grew, under the lock that every thread needs for memory.
// Threads     By its owner's lock, spares included.
#pragma once

#include "heap/words.h"

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <vector>

namespace echo {

// Objects allocated end to end since the last mark.
struct RetiredSpan {
  Address start = 0, end = 0;
};

class SpanLog {
public:
  static constexpr std::size_t kBlockSpans = 512;
  using Block = std::array<RetiredSpan, kBlockSpans>;

  class Spares {
  public:
    // Up to `count` are there, touched.
    void provide(std::size_t count) {
      while (blocks_.size() < count) {
        blocks_.push_back(std::make_unique<Block>());
      }
    }
    // Gives at most `most` of those beyond `count` back to the system.
    void shrink(std::size_t count, std::size_t most) {
      for (; most != 0 && blocks_.size() > count; --most) {
        blocks_.pop_back();
      }
    }
    std::size_t count() const { return blocks_.size(); }

  private:
    friend class SpanLog;
    std::vector<std::unique_ptr<Block>> blocks_;
  };

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::size_t blocks() const { return blocks_.size(); }
  std::uint64_t bytes() const { return bytes_; } // that they cover
  const RetiredSpan& operator[](std::size_t i) const { return (*blocks_[i / kBlockSpans])[i % kBlockSpans]; }

  void append(std::span<const RetiredSpan> spans, Spares& spares) {
    while (!spans.empty()) {
      const std::size_t at = size_ % kBlockSpans;
      if (at == 0) {
        spares.provide(1);
        blocks_.push_back(std::move(spares.blocks_.back()));
        spares.blocks_.pop_back();
      }
      const std::size_t now = std::min(spans.size(), kBlockSpans - at);
      std::copy_n(spans.begin(), now, blocks_.back()->begin() + static_cast<std::ptrdiff_t>(at));
      for (const RetiredSpan& span : spans.first(now)) {
        bytes_ += span.end - span.start;
      }
      size_ += now;
      spans = spans.subspan(now);
    }
  }
  void append(const SpanLog& other, Spares& spares) {
    other.for_each_block(0, [&](std::span<const RetiredSpan> spans) { append(spans, spares); });
  }
  void clear(Spares& spares) {
    if (spares.blocks_.empty()) {
      spares.blocks_.swap(blocks_);
    }
    for (std::unique_ptr<Block>& block : blocks_) {
      spares.blocks_.push_back(std::move(block));
    }
    blocks_.clear();
    size_ = bytes_ = 0;
  }
  void swap(SpanLog& other) noexcept {
    blocks_.swap(other.blocks_);
    std::swap(size_, other.size_);
    std::swap(bytes_, other.bytes_);
  }
  // body(spans), from the span `first` on, in order.
  template <class Body> void for_each_block(std::size_t first, Body body) const {
    while (first < size_) {
      const std::size_t at = first % kBlockSpans;
      const std::size_t now = std::min(kBlockSpans - at, size_ - first);
      body(std::span<const RetiredSpan>(*blocks_[first / kBlockSpans]).subspan(at, now));
      first += now;
    }
  }
  template <class Body> void for_each(Body body) const {
    for_each_block(0, [&](std::span<const RetiredSpan> spans) {
      for (const RetiredSpan& span : spans) {
        body(span);
      }
    });
  }
  // Of those from `first` on, as many as fit; their number.
  std::size_t copy(std::size_t first, std::span<RetiredSpan> out) const {
    const std::size_t count = std::min(out.size(), size_ - std::min(first, size_));
    for (std::size_t i = 0; i < count; ++i) {
      out[i] = (*this)[first + i];
    }
    return count;
  }
  std::vector<RetiredSpan> to_vector() const {
    std::vector<RetiredSpan> all;
    all.reserve(size_);
    for_each([&](const RetiredSpan& span) { all.push_back(span); });
    return all;
  }

private:
  std::vector<std::unique_ptr<Block>> blocks_;
  std::size_t size_ = 0;
  std::uint64_t bytes_ = 0;
};

} // namespace echo
