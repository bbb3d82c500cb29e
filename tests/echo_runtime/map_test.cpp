// SPDX-License-Identifier: MIT
#include "hashing.h"
#include "map_table.h"
#include "runtime_fixture.h"

#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <random>

namespace echo::test {
namespace {

using runtime::MapHeader;

class EchoMap : public RuntimeFixture {
protected:
  static void* new_map() { return ::runtime_alloc_slice(1, 32); }
  // Steps of a test against a model.
  static int steps() { return under_stress() ? 600 : 20000; }
};

TEST_F(EchoMap, runtime_map_len) {
  EXPECT_EQ(CALL(runtime_map_len, nullptr), 0);
  void* const map = new_map();
  EXPECT_EQ(CALL(runtime_map_len, map), 0); // [runtime.map.1]
  for (int i = 1; i <= 100; ++i) {
    ::runtime_map_set_int_int(map, i, i);
    ::runtime_map_set_int_int(map, i, -i);
    EXPECT_EQ(CALL(runtime_map_len, map), i);
  }
  EXPECT_EQ(failure_of([] { ::runtime_map_len(text("no map")); }).find("runtime_map_len: the block at 0x"),
            0u);
}

TEST_F(EchoMap, runtime_map_set_int_int) {
  CALL(runtime_map_set_int_int, nullptr, 1, 2); // no operation
  void* const map = new_map();
  for (const int key : {0, 1, -1, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()}) {
    CALL(runtime_map_set_int_int, map, key, ~key);
  }
  for (const int key : {0, 1, -1, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()}) {
    EXPECT_EQ(*::runtime_map_get_int_int(map, key), ~key);
  }
  CALL(runtime_map_set_int_int, map, -1, 12);
  EXPECT_EQ(*::runtime_map_get_int_int(map, -1), 12);
  EXPECT_EQ(::runtime_map_len(map), 5);
}

TEST_F(EchoMap, runtime_map_get_int_int) {
  EXPECT_EQ(CALL(runtime_map_get_int_int, nullptr, 1), nullptr);
  void* const map = new_map();
  EXPECT_EQ(CALL(runtime_map_get_int_int, map, 1), nullptr);
  ::runtime_map_set_int_int(map, 1, 10);
  EXPECT_EQ(CALL(runtime_map_get_int_int, map, 2), nullptr);
  // The cell of the value itself. [runtime.map.4]
  std::int32_t* const cell = CALL(runtime_map_get_int_int, map, 1);
  ASSERT_NE(cell, nullptr);
  EXPECT_EQ(*cell, 10);
  *cell = 11;
  EXPECT_EQ(*CALL(runtime_map_get_int_int, map, 1), 11);
}

TEST_F(EchoMap, runtime_map_contains_int_int) {
  EXPECT_EQ(CALL(runtime_map_contains_int_int, nullptr, 1), 0);
  void* const map = new_map();
  EXPECT_EQ(CALL(runtime_map_contains_int_int, map, 1), 0);
  ::runtime_map_set_int_int(map, 1, 0);
  EXPECT_EQ(CALL(runtime_map_contains_int_int, map, 1), 1);
  EXPECT_EQ(CALL(runtime_map_contains_int_int, map, 2), 0);
}

TEST_F(EchoMap, runtime_map_set_int_string) {
  CALL(runtime_map_set_int_string, nullptr, 1, text("dropped"));
  void* const map = new_map();
  CALL(runtime_map_set_int_string, map, -3, text("first"));
  CALL(runtime_map_set_int_string, map, 4, nullptr);
  CALL(runtime_map_set_int_string, map, -3, text("second"));
  EXPECT_EQ(bytes_of(::runtime_map_get_int_string(map, -3)), "second");
  EXPECT_EQ(::runtime_map_get_int_string(map, 4), nullptr);
  EXPECT_EQ(::runtime_map_len(map), 2);
}

TEST_F(EchoMap, runtime_map_get_int_string) {
  EXPECT_EQ(CALL(runtime_map_get_int_string, nullptr, 1), nullptr);
  void *const map = new_map(), *const value = text("value");
  EXPECT_EQ(CALL(runtime_map_get_int_string, map, 1), nullptr);
  ::runtime_map_set_int_string(map, 1, value);
  EXPECT_EQ(CALL(runtime_map_get_int_string, map, 1), value); // the reference itself
}

TEST_F(EchoMap, runtime_map_delete_int_string) {
  CALL(runtime_map_delete_int_string, nullptr, 1);
  void* const map = new_map();
  CALL(runtime_map_delete_int_string, map, 1);
  ::runtime_map_set_int_string(map, 1, text("one"));
  ::runtime_map_set_int_string(map, 2, text("two"));
  CALL(runtime_map_delete_int_string, map, 1);
  CALL(runtime_map_delete_int_string, map, 1);
  EXPECT_EQ(::runtime_map_get_int_string(map, 1), nullptr);
  EXPECT_EQ(bytes_of(::runtime_map_get_int_string(map, 2)), "two");
  EXPECT_EQ(::runtime_map_len(map), 1);
}

// [runtime.width.1]
TEST_F(EchoMap, runtime_map_set_bool_string) {
  CALL(runtime_map_set_bool_string, nullptr, 1, nullptr);
  void* const map = new_map();
  CALL(runtime_map_set_bool_string, map, 0xFFFFFF00u, text("no"));
  CALL(runtime_map_set_bool_string, map, 0xABCDEF01u, text("yes"));
  CALL(runtime_map_set_bool_string, map, 1u, text("YES"));
  EXPECT_EQ(::runtime_map_len(map), 2);
  EXPECT_EQ(bytes_of(::runtime_map_get_bool_string(map, 0)), "no");
  EXPECT_EQ(bytes_of(::runtime_map_get_bool_string(map, 1)), "YES");
}

TEST_F(EchoMap, runtime_map_get_bool_string) {
  EXPECT_EQ(CALL(runtime_map_get_bool_string, nullptr, 0), nullptr);
  void* const map = new_map();
  ::runtime_map_set_bool_string(map, 1, text("yes"));
  EXPECT_EQ(CALL(runtime_map_get_bool_string, map, 0x80000000u), nullptr);
  EXPECT_EQ(bytes_of(CALL(runtime_map_get_bool_string, map, 0xFFFFFFFFu)), "yes");
}

// [runtime.map.5]
TEST_F(EchoMap, runtime_map_set_float_string) {
  CALL(runtime_map_set_float_string, nullptr, 1.5, nullptr);
  void* const map = new_map();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CALL(runtime_map_set_float_string, map, 0.0, text("plus"));
  CALL(runtime_map_set_float_string, map, -0.0, text("minus"));
  CALL(runtime_map_set_float_string, map, nan, text("nan"));
  CALL(runtime_map_set_float_string, map, -std::bit_cast<double>(std::bit_cast<std::uint64_t>(nan) | 5),
       text("NaN"));
  CALL(runtime_map_set_float_string, map, 0.1, text("tenth"));
  CALL(runtime_map_set_float_string, map, std::numeric_limits<double>::infinity(), text("inf"));
  EXPECT_EQ(::runtime_map_len(map), 4);
  EXPECT_EQ(bytes_of(::runtime_map_get_float_string(map, 0.0)), "minus");
  EXPECT_EQ(bytes_of(::runtime_map_get_float_string(map, nan)), "NaN");
  EXPECT_EQ(bytes_of(::runtime_map_get_float_string(map, 0.1)), "tenth");
}

TEST_F(EchoMap, runtime_map_get_float_string) {
  EXPECT_EQ(CALL(runtime_map_get_float_string, nullptr, 0), nullptr);
  void* const map = new_map();
  ::runtime_map_set_float_string(map, 0.1, text("tenth"));
  EXPECT_EQ(CALL(runtime_map_get_float_string, map, std::nextafter(0.1, 1)), nullptr);
  EXPECT_EQ(bytes_of(CALL(runtime_map_get_float_string, map, 0.1)), "tenth");
}

TEST_F(EchoMap, runtime_map_delete_float_string) {
  CALL(runtime_map_delete_float_string, nullptr, 1);
  void* const map = new_map();
  ::runtime_map_set_float_string(map, std::numeric_limits<double>::quiet_NaN(), text("nan"));
  ::runtime_map_set_float_string(map, -0.0, text("zero"));
  CALL(runtime_map_delete_float_string, map, -std::numeric_limits<double>::quiet_NaN());
  CALL(runtime_map_delete_float_string, map, 0.0);
  EXPECT_EQ(::runtime_map_len(map), 0);
}

TEST_F(EchoMap, runtime_map_set_string_int) {
  CALL(runtime_map_set_string_int, nullptr, text("k"), 1);
  void* const map = new_map();
  CALL(runtime_map_set_string_int, map, text("key"), 1);
  CALL(runtime_map_set_string_int, map, text("key"), std::numeric_limits<int>::min());
  CALL(runtime_map_set_string_int, map, text("k"), 3);
  CALL(runtime_map_set_string_int, map, nullptr, 4); // the empty string [runtime.text.2]
  CALL(runtime_map_set_string_int, map, text(""), 5);
  EXPECT_EQ(::runtime_map_len(map), 3);
  EXPECT_EQ(*::runtime_map_get_string_int(map, text("key")), std::numeric_limits<int>::min());
  EXPECT_EQ(*::runtime_map_get_string_int(map, text("k")), 3);
  EXPECT_EQ(*::runtime_map_get_string_int(map, nullptr), 5);
}

TEST_F(EchoMap, runtime_map_get_string_int) {
  EXPECT_EQ(CALL(runtime_map_get_string_int, nullptr, text("k")), nullptr);
  void* const map = new_map();
  EXPECT_EQ(CALL(runtime_map_get_string_int, map, text("k")), nullptr);
  ::runtime_map_set_string_int(map, text("k"), 8);
  EXPECT_EQ(*CALL(runtime_map_get_string_int, map, text("k")), 8);
  EXPECT_EQ(CALL(runtime_map_get_string_int, map, text("K")), nullptr);
}

TEST_F(EchoMap, runtime_map_contains_string_int) {
  EXPECT_EQ(CALL(runtime_map_contains_string_int, nullptr, text("k")), 0);
  void* const map = new_map();
  ::runtime_map_set_string_int(map, text("k"), 0);
  EXPECT_EQ(CALL(runtime_map_contains_string_int, map, text("k")), 1);
  EXPECT_EQ(CALL(runtime_map_contains_string_int, map, text("kk")), 0);
}

TEST_F(EchoMap, runtime_map_delete_string_int) {
  CALL(runtime_map_delete_string_int, nullptr, text("k"));
  void* const map = new_map();
  ::runtime_map_set_string_int(map, text("k"), 1);
  CALL(runtime_map_delete_string_int, map, text("other"));
  EXPECT_EQ(::runtime_map_len(map), 1);
  CALL(runtime_map_delete_string_int, map, text("k"));
  EXPECT_EQ(::runtime_map_len(map), 0);
  EXPECT_EQ(::runtime_map_contains_string_int(map, text("k")), 0);
}

TEST_F(EchoMap, runtime_map_set_string_float) {
  CALL(runtime_map_set_string_float, nullptr, text("k"), 1);
  void* const map = new_map();
  CALL(runtime_map_set_string_float, map, text("pi"), 3.0);
  CALL(runtime_map_set_string_float, map, text("pi"), 3.14159265358979);
  EXPECT_EQ(*::runtime_map_get_string_float(map, text("pi")), 3.14159265358979);
  EXPECT_EQ(::runtime_map_len(map), 1);
}

TEST_F(EchoMap, runtime_map_get_string_float) {
  EXPECT_EQ(CALL(runtime_map_get_string_float, nullptr, text("k")), nullptr);
  void* const map = new_map();
  ::runtime_map_set_string_float(map, text("z"), -0.0);
  EXPECT_TRUE(std::signbit(*CALL(runtime_map_get_string_float, map, text("z"))));
  EXPECT_EQ(CALL(runtime_map_get_string_float, map, text("y")), nullptr);
}

TEST_F(EchoMap, runtime_map_set_string_string) {
  CALL(runtime_map_set_string_string, nullptr, text("k"), text("v"));
  void* const map = new_map();
  CALL(runtime_map_set_string_string, map, text("k"), text("v"));
  CALL(runtime_map_set_string_string, map, text("k"), text("w"));
  EXPECT_EQ(bytes_of(::runtime_map_get_string_string(map, text("k"))), "w");
}

TEST_F(EchoMap, runtime_map_get_string_string) {
  EXPECT_EQ(CALL(runtime_map_get_string_string, nullptr, text("k")), nullptr);
  void *const map = new_map(), *const value = text("v");
  ::runtime_map_set_string_string(map, text("k"), value);
  EXPECT_EQ(CALL(runtime_map_get_string_string, map, text("k")), value);
  EXPECT_EQ(CALL(runtime_map_get_string_string, map, text("j")), nullptr);
}

// Keys and values that nothing but the map holds. Growth and deletion against a model.
TEST_F(EchoMap, AMapOfStringsIsItsModel) {
  void* const map = new_map();
  std::map<std::string, std::string> model;
  std::mt19937 random(3);
  for (int step = 0; step < steps(); ++step) {
    const std::string key = "key " + std::to_string(random() % 700), value = std::to_string(step);
    ::runtime_map_set_string_string(map, text(key), text(value));
    model[key] = value;
    if (step % 1000 == 999) {
      collect();
    }
  }
  ASSERT_EQ(::runtime_map_len(map), static_cast<int>(model.size()));
  for (const auto& [key, value] : model) {
    ASSERT_EQ(bytes_of(::runtime_map_get_string_string(map, text(key))), value);
  }
}

TEST_F(EchoMap, DeletionLeavesEveryOtherKey) {
  void *const by_int = new_map(), *const by_string = new_map(), *const by_float = new_map();
  std::map<int, int> model;
  std::mt19937 random(5);
  for (int step = 0; step < steps(); ++step) {
    const int key = static_cast<int>(random() % 300);
    void* const name = ::int_to_string(key);
    if (random() % 2 == 0) {
      ::runtime_map_set_int_string(by_int, key, ::int_to_string(step));
      ::runtime_map_set_string_int(by_string, name, step);
      ::runtime_map_set_float_string(by_float, key / 7.0, ::int_to_string(step));
      model[key] = step;
    } else {
      ::runtime_map_delete_int_string(by_int, key);
      ::runtime_map_delete_string_int(by_string, name);
      ::runtime_map_delete_float_string(by_float, key / 7.0);
      model.erase(key);
    }
    ASSERT_EQ(::runtime_map_len(by_int), static_cast<int>(model.size()));
    ASSERT_EQ(::runtime_map_len(by_string), static_cast<int>(model.size()));
    ASSERT_EQ(::runtime_map_len(by_float), static_cast<int>(model.size()));
    const int probe = static_cast<int>(random() % 300);
    const auto expected = model.find(probe);
    std::int32_t* const found = ::runtime_map_get_string_int(by_string, ::int_to_string(probe));
    void* const found_int = ::runtime_map_get_int_string(by_int, probe);
    void* const found_float = ::runtime_map_get_float_string(by_float, probe / 7.0);
    if (expected == model.end()) {
      ASSERT_EQ(found, nullptr);
      ASSERT_EQ(found_int, nullptr);
      ASSERT_EQ(found_float, nullptr);
    } else {
      ASSERT_EQ(*found, expected->second);
      ASSERT_EQ(bytes_of(found_int), std::to_string(expected->second));
      ASSERT_EQ(bytes_of(found_float), std::to_string(expected->second));
    }
  }
  // A table that only turns over does not grow: at most 300 keys ever.
  EXPECT_LE(runtime::Memory::length_of(static_cast<MapHeader*>(by_string)->control), 512u);
}

// [runtime.map.1]
TEST_F(EchoMap, AMapOfOneKindIsRefusedToTheOthers) {
  void* const map = new_map();
  ::runtime_map_set_int_int(map, 1, 1);
  const std::string sentence = failure_of([&] { ::runtime_map_set_string_int(map, text("k"), 1); });
  EXPECT_EQ(sentence.find("runtime_map_set_string_int: the map at 0x"), 0u);
  EXPECT_NE(sentence.find("is from int to int, not from string to int"), std::string::npos) << sentence;
  EXPECT_NE(failure_of([&] { ::runtime_map_get_bool_string(map, 1); }), "");
  EXPECT_NE(failure_of([&] { ::runtime_map_delete_int_string(map, 1); }), "");
  EXPECT_EQ(*::runtime_map_get_int_int(map, 1), 1);
}

TEST_F(EchoMap, ABlockThatCannotHoldAMapIsRefused) {
  EXPECT_NE(
      failure_of([] { ::runtime_map_set_int_int(::runtime_alloc_slice(1, 24), 1, 1); }).find("it has 25"),
      std::string::npos);
  auto* const data = static_cast<std::int64_t*>(new_map());
  data[0] = 5;
  EXPECT_NE(failure_of([&] { ::runtime_map_set_int_int(data, 1, 1); }).find("holds other data"),
            std::string::npos);
  EXPECT_NE(failure_of([&] { ::runtime_map_len(reinterpret_cast<char*>(new_map()) + 1); }), "");
  // Bytes are not traced.
  auto* const bytes = *static_cast<void**>(::runtime_string_to_bytes(text(std::string(64, '\0'))));
  EXPECT_NE(failure_of([&] { ::runtime_map_set_int_int(bytes, 1, 1); }).find("it has 0"), std::string::npos);
}

// [runtime.map.2]
TEST_F(EchoMap, AFailureChangesNothing) {
  void* const map = new_map();
  ::runtime_map_set_string_int(map, text("k"), 1);
  auto* const broken = static_cast<Text*>(::echo_runtime_malloc(sizeof(Text)));
  *broken = {nullptr, -1, 0};
  EXPECT_NE(failure_of([&] { ::runtime_map_set_string_int(map, broken, 2); }), "");
  EXPECT_NE(failure_of([&] { ::runtime_map_delete_string_int(map, broken); }), "");
  EXPECT_EQ(::runtime_map_len(map), 1);
  EXPECT_EQ(*::runtime_map_get_string_int(map, text("k")), 1);
}

TEST_F(EchoMap, AMapMayBeginInsideABlock) {
  auto* const block = static_cast<char*>(::runtime_alloc_slice(3, 32));
  for (int i = 0; i < 100; ++i) {
    ::runtime_map_set_int_string(block + 32, i, ::int_to_string(i));
    ::runtime_map_set_int_int(block + 64, i, i);
  }
  collect();
  EXPECT_EQ(bytes_of(::runtime_map_get_int_string(block + 32, 99)), "99");
  EXPECT_EQ(*::runtime_map_get_int_int(block + 64, 99), 99);
}

// --- hashes [runtime.hash.1]

// Appendix A of the paper: 15 bytes 0..14 under the key 0..15.
TEST(EchoHash, SipHashIsItsAuthors) {
  const runtime::HashSeed key{0x0706050403020100, 0x0F0E0D0C0B0A0908};
  char message[16];
  for (int i = 0; i < 16; ++i) {
    message[i] = static_cast<char>(i);
  }
  EXPECT_EQ((runtime::sip_hash<2, 4>(key, {message, 15})), 0xA129CA6149BE45E5u);
  EXPECT_EQ((runtime::sip_hash<2, 4>(key, {message, 0})), 0x726FDB47DD0E0E31u);
  EXPECT_EQ((runtime::sip_hash<2, 4>(key, {message, 8})), 0x93F5F5799A932462u);
}

// The length of the longest run of full cells, for keys chosen to collide under another secret.
TEST_F(EchoMap, KeysThatCollideUnderOneSeedDoNotUnderAnother) {
  runtime::HashSeed known{1, 2};
  std::array<std::int32_t, 512> chosen{};
  std::size_t have = 0;
  for (std::int32_t key = 0; have < chosen.size(); ++key) {
    if ((runtime::hash_word(known, static_cast<std::uint32_t>(key)) & 1023) < 8) {
      chosen[have++] = key;
    }
  }
  const auto longest_run = [&](runtime::HashSeed seed) {
    std::array<bool, 1024> full{};
    std::size_t most = 0;
    for (const std::int32_t key : chosen) {
      std::size_t at = runtime::hash_word(seed, static_cast<std::uint32_t>(key)) & 1023, steps = 1;
      for (; full[at]; at = (at + 1) & 1023) {
        ++steps;
      }
      full[at] = true;
      most = std::max(most, steps);
    }
    return most;
  };
  EXPECT_GT(longest_run(known), 400u);
  std::mt19937_64 random(11);
  for (int i = 0; i < 20; ++i) {
    EXPECT_LT(longest_run({random(), random()}), 100u);
  }
}

TEST_F(EchoMap, RuntimesWithoutASeedHashDifferently) {
  options.seed = 0;
  enter_again();
  const runtime::HashSeed first = layer->seed;
  enter_again();
  EXPECT_NE(first.first, layer->seed.first);
  options.seed = 9;
  enter_again();
  const runtime::HashSeed fixed = layer->seed;
  enter_again();
  EXPECT_EQ(fixed.first, layer->seed.first);
  EXPECT_EQ(fixed.second, layer->seed.second);
}

} // namespace
} // namespace echo::test
