/* SPDX-License-Identifier: MIT
 *
 * stack_map_parser_test.cpp - well-formed maps are read, all others fail without leaving their bytes.
 * [jit.map.*]
 */
#include "maps/stack_map_parser.h"

#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <random>

namespace echo::jit {
namespace {

/* Writes a stack map section. */
class Blob {
public:
  template <class T> Blob& put(T value) {
    const auto* const bytes = reinterpret_cast<const uint8_t*>(&value);
    for (size_t i = 0; i < sizeof value; ++i)
      bytes_.push_back(bytes[i]);
    return *this;
  }
  Blob& header(uint32_t functions, uint32_t constants, uint32_t records) {
    return put<uint8_t>(3).put<uint8_t>(0).put<uint16_t>(0).put(functions).put(constants).put(records);
  }
  Blob& function(uint64_t address, uint64_t size, uint64_t records) {
    return put(address).put(size).put(records);
  }
  Blob& record(uint32_t offset, uint16_t locations) {
    return put<uint64_t>(2882400000u).put(offset).put<uint16_t>(0).put(locations);
  }
  Blob& location(uint8_t kind, uint16_t size, uint16_t reg, int32_t offset) {
    return put(kind).put<uint8_t>(0).put(size).put(reg).put<uint16_t>(0).put(offset);
  }
  Blob& constants(int32_t deopt = 0) {
    return location(4, 8, 0, 0).location(4, 8, 0, 0).location(4, 8, 0, deopt);
  }
  Blob& slot(uint16_t reg, int32_t offset, uint16_t size = 8) { return location(3, size, reg, offset); }
  Blob& end(uint16_t live_outs = 0) {
    align();
    put<uint16_t>(0).put(live_outs);
    for (int i = 0; i < live_outs; ++i)
      put<uint32_t>(0);
    return align();
  }
  Blob& align() {
    while (bytes_.size() % 8 != 0)
      bytes_.push_back(0);
    return *this;
  }
  std::vector<uint8_t>& bytes() { return bytes_; }

private:
  std::vector<uint8_t> bytes_;
};

Outcome parse(const std::vector<uint8_t>& bytes, ParsedMaps& out, bool skip = false) {
  /* exactly as large as its contents, so that a sanitizer sees one byte too far */
  const std::unique_ptr<uint8_t[]> copy(new uint8_t[bytes.size()]);
  if (!bytes.empty())
    std::memcpy(copy.get(), bytes.data(), bytes.size());
  return parse_stack_maps({copy.get(), bytes.size()}, {skip}, out);
}

std::vector<uint8_t> well_formed() {
  Blob blob;
  blob.header(2, 1, 3).function(0x2000, 24, 2).function(0x1000, ~uint64_t{0}, 1).put<uint64_t>(77);
  blob.record(0x20, 9).constants().slot(7, 8).slot(7, 8).slot(7, 8).slot(7, 16).slot(6, -8).slot(6, -8).end();
  blob.record(0x10, 6).constants(1).location(4, 8, 0, 5).slot(7, 0, 16).slot(7, 0, 16).end(3);
  blob.record(0x08, 5).constants().location(4, 8, 0, 0).location(5, 8, 0, 0).end();
  return blob.bytes();
}

TEST(StackMapParser, ReadsSitesInOrder) {
  ParsedMaps maps;
  const Outcome outcome = parse(well_formed(), maps);
  ASSERT_TRUE(outcome.ok()) << outcome.message();
  ASSERT_EQ(3u, maps.sites.size());
  EXPECT_EQ(2u, maps.functions);
  EXPECT_EQ(0x1008u, maps.sites[0].pc);
  EXPECT_EQ(kUnknownFrameSize, maps.sites[0].frame_size);
  EXPECT_EQ(0u, maps.sites[0].root_count) << "constants are no roots";
  EXPECT_EQ(0x2010u, maps.sites[1].pc);
  EXPECT_EQ(24u, maps.sites[1].frame_size);
  ASSERT_EQ(2u, maps.sites[1].root_count) << "a location of 16 bytes is two roots [jit.map.3]";
  EXPECT_EQ(0, maps.roots[maps.sites[1].first_root].base_offset);
  EXPECT_EQ(8, maps.roots[maps.sites[1].first_root + 1].base_offset);
  EXPECT_EQ(0x2020u, maps.sites[2].pc);
  ASSERT_EQ(3u, maps.sites[2].root_count);
  const RootLocation* const roots = &maps.roots[maps.sites[2].first_root];
  EXPECT_FALSE(roots[0].is_derived());
  EXPECT_TRUE(roots[1].is_derived());
  EXPECT_EQ(16, roots[1].derived_offset);
  EXPECT_EQ(-8, roots[2].base_offset);
  EXPECT_TRUE(roots[2].base_from_fp);
  EXPECT_EQ(1u, maps.derived_pairs);
}

TEST(StackMapParser, DuplicatePairsCountOnce) {
  Blob blob;
  blob.header(1, 0, 1).function(0x1000, 8, 1);
  blob.record(4, 7).constants().slot(7, 8).slot(7, 8).slot(7, 8).slot(7, 8).end();
  ParsedMaps maps;
  ASSERT_TRUE(parse(blob.bytes(), maps).ok());
  EXPECT_EQ(1u, maps.sites[0].root_count);
}

/* What a pad needs is in words that the compiler chose; each is one location. [jit.pad.1] */
TEST(StackMapParser, WordsOfTheFrameAreRoots) {
  Blob blob;
  blob.header(1, 0, 1).function(0x1000, 64, 1);
  blob.record(4, 7).constants().slot(7, 8).slot(7, 8).location(2, 8, 6, -24).location(2, 8, 7, 16).end();
  ParsedMaps maps;
  ASSERT_TRUE(parse(blob.bytes(), maps).ok());
  ASSERT_EQ(3u, maps.sites[0].root_count);
  EXPECT_EQ(-24, maps.roots[1].base_offset);
  EXPECT_TRUE(maps.roots[1].base_from_fp);
  EXPECT_FALSE(maps.roots[1].is_derived());
  EXPECT_EQ(16, maps.roots[2].base_offset);
  EXPECT_FALSE(maps.roots[2].base_from_fp);
  EXPECT_EQ(0u, maps.derived_pairs);
}

TEST(StackMapParser, SeveralBlobsWithPadding) {
  std::vector<uint8_t> two = well_formed();
  two.insert(two.end(), 16, 0);
  const std::vector<uint8_t> one = well_formed();
  two.insert(two.end(), one.begin(), one.end());
  ParsedMaps maps;
  ASSERT_TRUE(parse(two, maps).ok());
  EXPECT_EQ(6u, maps.sites.size());
}

TEST(StackMapParser, EmptySectionHasNoSites) {
  ParsedMaps maps;
  EXPECT_TRUE(parse({}, maps).ok());
  EXPECT_TRUE(maps.sites.empty());
}

TEST(StackMapParser, RefusesPlacesItCannotWalk) {
  struct {
    uint8_t kind;
    uint16_t size, reg;
  } const places[] = {{1, 8, 3}, {2, 8, 3}, {2, 16, 7}, {3, 8, 3}, {3, 4, 7}, {3, 0, 7}, {9, 8, 7}};
  for (const auto& place : places) {
    Blob blob;
    blob.header(1, 0, 1).function(0x1000, 8, 1).record(4, 5).constants();
    blob.location(place.kind, place.size, place.reg, 0).location(place.kind, place.size, place.reg, 0).end();
    ParsedMaps maps;
    EXPECT_EQ(ECHO_UNSUPPORTED_FRAME, parse(blob.bytes(), maps).code()) << int(place.kind);
    EXPECT_NE(std::string::npos, parse(blob.bytes(), maps).message().find("0x1000"));
    EXPECT_TRUE(parse(blob.bytes(), maps, true).ok()) << "the test-only rule forgets the root";
  }
}

TEST(StackMapParser, EveryTruncationFails) {
  const std::vector<uint8_t> whole = well_formed();
  for (size_t length = 1; length < whole.size(); ++length) {
    ParsedMaps maps;
    const Outcome outcome = parse({whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length)}, maps);
    EXPECT_EQ(ECHO_CODEGEN_FAILED, outcome.code()) << length;
  }
}

TEST(StackMapParser, HugeCountsFailAtOnce) {
  for (uint32_t count : {0x7fffffffu, 0xffffffffu}) {
    for (int field = 0; field < 3; ++field) {
      Blob blob;
      blob.header(field == 0 ? count : 0, field == 1 ? count : 0, field == 2 ? count : 0);
      ParsedMaps maps;
      EXPECT_EQ(ECHO_CODEGEN_FAILED, parse(blob.bytes(), maps).code());
    }
  }
  Blob blob;
  blob.header(1, 0, 1).function(0x1000, 8, ~uint64_t{0}).record(4, 3).constants().end();
  ParsedMaps maps;
  EXPECT_EQ(ECHO_CODEGEN_FAILED, parse(blob.bytes(), maps).code()) << "more records than announced";
}

TEST(StackMapParser, RandomDamageNeverEscapes) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::vector<uint8_t> whole = well_formed();
  size_t failures = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<uint8_t> damaged = whole;
    const unsigned flips = 1 + random() % 4;
    for (unsigned i = 0; i < flips; ++i)
      damaged[random() % damaged.size()] = static_cast<uint8_t>(random());
    if (random() % 2 != 0)
      damaged.resize(random() % damaged.size());
    ParsedMaps maps;
    const Outcome outcome = parse(damaged, maps);
    failures += !outcome.ok();
    for (const Site& site : maps.sites)
      ASSERT_LE(site.first_root + site.root_count, maps.roots.size());
  }
  EXPECT_GT(failures, 5000u);
}

} // namespace
} // namespace echo::jit
