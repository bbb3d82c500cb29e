/* SPDX-License-Identifier: MIT
 *
 * code_index_test.cpp - lookups beside a writer that publishes. [jit.index.1] [jit.index.2]
 */
#include "maps/code_index.h"
#include "maps/places.h"

#include <gtest/gtest.h>
#include <thread>

namespace echo::jit {
namespace {

std::unique_ptr<CodeUnit> unit_at(uintptr_t begin) {
  auto unit = std::make_unique<CodeUnit>();
  unit->begin = begin;
  unit->end = begin + 0x100;
  unit->functions.push_back({begin, begin + 0x40, "first", {}});
  unit->functions.push_back({begin + 0x80, begin + 0x100, "second", {}});
  unit->maps.sites.push_back({begin + 0x10, 16, 0, 0});
  return unit;
}

TEST(CodeIndex, FindsUnitsFunctionsAndSites) {
  CodeIndex index;
  for (uintptr_t begin : {0x3000u, 0x1000u, 0x2000u})
    index.add(unit_at(begin));
  const CodeIndex::View view(index);
  EXPECT_EQ(nullptr, view.unit_at(0xfff));
  EXPECT_EQ(nullptr, view.unit_at(0x1101));
  const CodeUnit* const unit = view.unit_at(0x2010);
  ASSERT_NE(nullptr, unit);
  EXPECT_EQ(0x2000u, unit->begin);
  EXPECT_EQ("first", unit->function_at(0x203f)->name);
  EXPECT_EQ(nullptr, unit->function_at(0x2040));
  EXPECT_EQ("second", unit->function_at(0x2080)->name);
  EXPECT_NE(nullptr, unit->site_at(0x2010));
  EXPECT_EQ(nullptr, unit->site_at(0x2011));
}

/* [jit.where.1] */
TEST(CodeIndex, PlacesAreFoundInAnyIndexOfTheProcess) {
  char text[64] = "";
  EXPECT_EQ(ECHO_MISSING_SYMBOL, place_of(0x5010, text, sizeof text));
  {
    CodeIndex first, second;
    auto unit = unit_at(0x5000);
    unit->files = {"list.c"};
    unit->lines = {{0x5000, 7, 0}, {0x5020, 8, 0}, {0x5040, 0, 0}};
    second.add(std::move(unit));
    first.add(unit_at(0x6000));
    EXPECT_EQ(ECHO_OK, place_of(0x5010, text, sizeof text));
    EXPECT_STREQ("first (list.c:7)", text);
    EXPECT_EQ(ECHO_OK, place_of(0x5020, text, sizeof text)) << "a return address: the call lies before it";
    EXPECT_STREQ("first (list.c:7)", text);
    EXPECT_EQ(ECHO_OK, place_of(0x5021, text, sizeof text));
    EXPECT_STREQ("first (list.c:8)", text);
    EXPECT_EQ(ECHO_OK, place_of(0x5090, text, sizeof text));
    EXPECT_STREQ("second", text) << "no line";
    EXPECT_EQ(ECHO_OK, place_of(0x6010, text, sizeof text));
    EXPECT_STREQ("first", text);
    EXPECT_EQ(ECHO_OK, place_of(0x5010, text, 4));
    EXPECT_STREQ("fir", text);
    EXPECT_EQ(ECHO_MISSING_SYMBOL, place_of(0x5060, text, sizeof text)) << "between functions";
  }
  EXPECT_EQ(ECHO_MISSING_SYMBOL, place_of(0x5010, text, sizeof text)) << "forgotten with its index";
}

/* P20: what a reader may still see waits for it. */
TEST(CodeIndex, RemovedUnitsWaitForReaders) {
  const auto waiting = [](bool free_under_readers) {
    CodeIndex index(free_under_readers);
    index.add(unit_at(0x1000));
    index.add(unit_at(0x2000));
    size_t under_reader = 0;
    {
      const CodeIndex::View view(index);
      const CodeUnit* const unit = view.unit_at(0x1010);
      index.remove(unit);
      EXPECT_EQ(nullptr, CodeIndex::View(index).unit_at(0x1010)) << "new readers do not find it";
      under_reader = index.units_waiting();
      if (!free_under_readers) {
        EXPECT_EQ("first", unit->function_at(0x1010)->name) << "the reader from before still does";
      }
    }
    index.add(unit_at(0x3000));
    EXPECT_EQ(0u, index.units_waiting()) << "freed at the next change without a reader";
    return under_reader;
  };
  EXPECT_EQ(1u, waiting(false));
  EXPECT_EQ(0u, waiting(true)) << "broken on purpose: freed under the reader";
}

TEST(CodeIndex, ReadersRunBesideTheWriter) {
  CodeIndex index;
  index.add(unit_at(0x1000));
  std::atomic<bool> done{false};
  std::atomic<uint64_t> reads{0};
  std::thread reader([&] {
    while (!done.load()) {
      const CodeIndex::View view(index);
      const CodeUnit* const unit = view.unit_at(0x1010);
      ASSERT_NE(nullptr, unit);
      ASSERT_EQ("first", unit->function_at(0x1010)->name);
      reads.fetch_add(1);
    }
  });
  for (uintptr_t i = 2; i < 2000; ++i)
    index.add(unit_at(i * 0x1000));
  while (reads.load() < 1000)
    std::this_thread::yield();
  done.store(true);
  reader.join();
  const CodeIndex::View view(index);
  for (uintptr_t i = 1; i < 2000; ++i)
    ASSERT_NE(nullptr, view.unit_at(i * 0x1000 + 0x10));
}

} // namespace
} // namespace echo::jit
