// SPDX-License-Identifier: MIT
//
// Purpose     The log of spans against a plain list, and what appending to a long one costs.
#include "heap/span_log.h"

#include <gtest/gtest.h>

#include <random>

namespace echo {
namespace {

std::vector<RetiredSpan> some_spans(std::size_t count, Address from) {
  std::vector<RetiredSpan> spans;
  for (std::size_t i = 0; i < count; ++i) {
    spans.push_back({from + 64 * i, from + 64 * i + 16 + i % 3 * 16});
  }
  return spans;
}

void expect_same(const SpanLog& log, const std::vector<RetiredSpan>& expected) {
  ASSERT_EQ(log.size(), expected.size());
  std::uint64_t bytes = 0;
  std::size_t i = 0;
  log.for_each([&](const RetiredSpan& span) {
    ASSERT_EQ(span.start, expected[i].start);
    ASSERT_EQ(span.end, expected[i].end);
    ASSERT_EQ(log[i].start, expected[i].start);
    bytes += span.end - span.start;
    ++i;
  });
  EXPECT_EQ(i, expected.size());
  EXPECT_EQ(log.bytes(), bytes);
}

TEST(SpanLog, HoldsWhatWasAppendedInOrder) { // [spans.order.1]
  std::mt19937_64 random(1);
  SpanLog::Spares spares;
  SpanLog log, other;
  for (int round = 0; round < 20; ++round) {
    std::vector<RetiredSpan> expected;
    for (int i = 0; i < 40; ++i) {
      const std::vector<RetiredSpan> more = some_spans(random() % 1300, (random() % 1000 + 1) << 20);
      log.append(more, spares);
      expected.insert(expected.end(), more.begin(), more.end());
    }
    expect_same(log, expected);
    for (std::size_t first : {std::size_t{0}, random() % (expected.size() + 1), expected.size()}) {
      std::array<RetiredSpan, 700> some;
      const std::size_t count = log.copy(first, some);
      ASSERT_EQ(count, std::min(some.size(), expected.size() - first));
      for (std::size_t i = 0; i < count; ++i) {
        ASSERT_EQ(some[i].start, expected[first + i].start);
      }
    }
    other.append(log, spares);
    expect_same(other, expected);
    log.swap(other);
    expect_same(log, expected);
    log.clear(spares);
    other.clear(spares);
    EXPECT_TRUE(log.empty());
    EXPECT_EQ(log.bytes(), 0u);
  }
}

TEST(SpanLog, AppendingMovesNothingThatIsThere) { // [spans.append.1]
  SpanLog::Spares spares;
  SpanLog log;
  log.append(some_spans(5, 64), spares);
  const RetiredSpan* const first = &log[0];
  for (int i = 0; i < 10'000; ++i) {
    const std::size_t blocks = log.blocks();
    log.append(some_spans(SpanLog::kBlockSpans, 64), spares);
    ASSERT_LE(log.blocks(), blocks + 1);
  }
  EXPECT_EQ(&log[0], first);
}

TEST(SpanLog, BlocksAreUsedAgainAndGivenBackByAndBy) {
  SpanLog::Spares spares;
  SpanLog log;
  log.append(some_spans(100 * SpanLog::kBlockSpans, 64), spares);
  EXPECT_EQ(spares.count(), 0u);
  log.clear(spares);
  EXPECT_EQ(spares.count(), 100u);
  log.append(some_spans(60 * SpanLog::kBlockSpans, 64), spares);
  EXPECT_EQ(spares.count(), 40u);
  spares.provide(50);
  EXPECT_EQ(spares.count(), 50u);
  spares.shrink(10, 16);
  EXPECT_EQ(spares.count(), 34u);
  spares.shrink(30, 16);
  EXPECT_EQ(spares.count(), 30u);
}

} // namespace
} // namespace echo
