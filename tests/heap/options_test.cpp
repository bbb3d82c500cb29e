// SPDX-License-Identifier: MIT
//
// Purpose     The option table: its defaults are Config's, its ranges hold at both ends, a refusal names
//             option, value, type and range and leaves everything as it was.
#include "vm_iface/src/options.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

namespace echo {
namespace {

std::vector<echo_option_info> rows() {
  std::vector<echo_option_info> all;
  echo_option_info row{};
  for (std::uint32_t index = 0; option_row(index, &row); ++index) {
    if (row.type != ECHO_OPTION_PATH) { // options_file_test.cpp
      all.push_back(row);
    }
  }
  return all;
}

// Every field, so that two Configs can be compared.
std::string fields(const Config& c) {
  std::string text;
  for (const std::uint64_t n : {std::uint64_t{c.max_heap},
                                std::uint64_t{c.initial_trigger},
                                c.growth_percent,
                                std::uint64_t(c.policy),
                                c.balance,
                                c.idle_ms,
                                std::uint64_t{c.idle_collect},
                                std::uint64_t{c.reserve_bytes},
                                std::uint64_t{c.keep_free},
                                std::uint64_t{c.populate},
                                std::uint64_t{c.mark_region},
                                std::uint64_t{c.huge_pages},
                                std::uint64_t(c.mode),
                                std::uint64_t{c.permits},
                                std::uint64_t{c.soft_limit},
                                std::uint64_t{c.stepping},
                                std::uint64_t{c.markers},
                                std::uint64_t{c.assists},
                                std::uint64_t{c.census},
                                c.stress_collect,
                                std::uint64_t{c.poison},
                                std::uint64_t{c.verify},
                                std::uint64_t{c.stress_yield},
                                std::uint64_t{c.stress_barriers},
                                std::uint64_t{c.stress_frames},
                                c.seed}) {
    text += std::to_string(n) + " ";
  }
  return text;
}
// A new field without a place here fails in EachOptionSetsItsField.

std::string refused(const std::string& text, echo_status status) {
  Config config;
  config.max_heap = 12345678; // something that is no default
  const std::string before = fields(config);
  std::string why;
  EXPECT_EQ(parse_options(text, &config, &why), status) << text;
  EXPECT_EQ(fields(config), before) << "nothing is half applied: " << text;
  return why;
}

Config parsed(const std::string& text) {
  Config config;
  std::string why;
  EXPECT_EQ(parse_options(text, &config, &why), ECHO_OK) << text << ": " << why;
  return config;
}

TEST(Options, DefaultsOfTheTableAreConfigsDefaults) { // [options.table.1]
  std::string all;
  for (const echo_option_info& row : rows()) {
    all += std::string(row.name) + "=" + row.default_value + ",";
  }
  EXPECT_EQ(fields(parsed(all)), fields(Config{}));
}

TEST(Options, EveryRowIsComplete) {
  std::map<std::string, int> names;
  for (const echo_option_info& row : rows()) {
    EXPECT_EQ(++names[row.name], 1) << row.name;
    EXPECT_LE(row.type, unsigned{ECHO_OPTION_WORD});
    EXPECT_STRNE(row.sentence, "");
    EXPECT_STRNE(row.range, "");
  }
  echo_option_info row{};
  EXPECT_FALSE(option_row(UINT32_MAX, &row));
}

// Every option sets its own field and no other.
TEST(Options, EachOptionSetsItsField) {
  std::map<std::string, int> seen;
  for (const echo_option_info& row : rows()) {
    const bool is_switch = row.type == ECHO_OPTION_SWITCH;
    const std::string words = row.range;
    const std::string value = row.type == ECHO_OPTION_WORD                ? words.substr(words.rfind('|') + 1)
                              : !is_switch                                ? "1048577"
                              : std::strcmp(row.default_value, "on") == 0 ? "off"
                                                                          : "on";
    const std::string name = row.name; // these two have small ranges
    const std::string text = name == "growth"    ? "growth=333"
                             : name == "markers" ? "markers=3"
                                                 : name + "=" + value;
    const std::string result = fields(parsed(text));
    EXPECT_NE(result, fields(Config{})) << text;
    EXPECT_EQ(++seen[result], 1) << text << " sets the field of another option";
  }
}

TEST(Options, RangesHoldAtBothEnds) { // [options.parse.1]
  for (const echo_option_info& row : rows()) {
    if (row.type == ECHO_OPTION_SWITCH || row.type == ECHO_OPTION_WORD) {
      continue;
    }
    const std::string range = row.range;
    const std::string low = range.substr(0, range.find(".."));
    std::string high = range.substr(range.find("..") + 2);
    high = high == "2^64-1" ? "18446744073709551615" : high;
    const std::string name = row.name;
    (void)parsed(name + "=" + low);
    (void)parsed(name + "=" + high);
    const bool bytes = row.type == ECHO_OPTION_BYTES;
    const std::string over = bytes ? "1099511627777" : high + "0";
    EXPECT_EQ(refused(name + "=" + over, ECHO_BAD_OPTION_VALUE),
              "option '" + name + "' has the value '" + over + "': expected " +
                  (bytes ? "bytes with an optional suffix k, m or g" : "a whole number") + " in " + range);
    if (low != "0") {
      const std::string under = low == "101" ? "100" : low == "1m" ? "1048575" : "65535";
      EXPECT_NE(refused(name + "=" + under, ECHO_BAD_OPTION_VALUE).find(range), std::string::npos);
    }
  }
}

TEST(Options, Suffixes) {
  EXPECT_EQ(parsed("max_heap=2g").max_heap, std::size_t{2} << 30);
  EXPECT_EQ(parsed("max_heap=2G").max_heap, std::size_t{2} << 30);
  EXPECT_EQ(parsed("max_heap=3m").max_heap, std::size_t{3} << 20);
  EXPECT_EQ(parsed("max_heap=3M").max_heap, std::size_t{3} << 20);
  EXPECT_EQ(parsed("trigger=64k").initial_trigger, std::size_t{64} << 10);
  EXPECT_EQ(parsed("trigger=64K").initial_trigger, std::size_t{64} << 10);
  EXPECT_EQ(parsed("trigger=70000").initial_trigger, 70000u);
  EXPECT_EQ(refused("growth=1k", ECHO_BAD_OPTION_VALUE),
            "option 'growth' has the value '1k': expected a whole number in 101..10000")
      << "counts have no suffix";
}

TEST(Options, BadValuesAreNamed) {
  for (const char* value :
       {"", "x", "-1", "+1", "0x10", "1.5", "1e9", "1 0", "m", "1mm", "1t", "99999999999999999999",
        "184467440737095516160", "18446744073709551615g", "17179869184g", "on"}) {
    EXPECT_EQ(refused(std::string("max_heap=") + value, ECHO_BAD_OPTION_VALUE),
              std::string("option 'max_heap' has the value '") + value +
                  "': expected bytes with an optional suffix k, m or g in 1m..1024g");
  }
  for (const char* value : {"", "1", "true", "ON", "onn", "of"}) {
    EXPECT_EQ(refused(std::string("poison=") + value, ECHO_BAD_OPTION_VALUE),
              std::string("option 'poison' has the value '") + value + "': expected on or off in on|off");
  }
  EXPECT_NE(refused("verify", ECHO_BAD_OPTION_VALUE).find("option 'verify' has the value ''"),
            std::string::npos)
      << "no equals sign";
}

TEST(Options, UnknownNamesListTheKnownOnes) {
  const std::string why = refused("max_heap=2m,maxheap=3m", ECHO_UNKNOWN_OPTION);
  EXPECT_EQ(why.find("option 'maxheap' is unknown; known are: max_heap trigger"), 0u) << why;
  for (const echo_option_info& row : rows()) {
    EXPECT_NE(why.find(std::string(" ") + row.name), std::string::npos);
  }
  EXPECT_EQ(refused("=1", ECHO_UNKNOWN_OPTION).find("option '' is unknown"), 0u);
  EXPECT_EQ(refused("Max_heap=2m", ECHO_UNKNOWN_OPTION).find("option 'Max_heap' is unknown"), 0u);
  EXPECT_LT(refused(std::string(4000, 'x') + "=1", ECHO_UNKNOWN_OPTION).size(), 500u)
      << "sentences stay short";
}

TEST(Options, WordsAreThoseOfTheRange) { // [options.parse.1]
  EXPECT_EQ(parsed("mode=stw").mode, MarkMode::Stw);
  EXPECT_EQ(parsed("mode=stw,mode=concurrent").mode, MarkMode::Concurrent);
  for (const std::string wrong : {"", "stw2", "st", "concurrent|stw", "|", "Stw", "increment"}) {
    EXPECT_EQ(refused("mode=" + wrong, ECHO_BAD_OPTION_VALUE),
              "option 'mode' has the value '" + wrong +
                  "': expected one of the words in concurrent|stw|incremental");
  }
}

TEST(Options, NothingIsHalfApplied) {
  (void)refused("poison=on,verify=on,max_heap=1", ECHO_BAD_OPTION_VALUE);
  (void)refused("poison=on,nonsense=1,verify=on", ECHO_UNKNOWN_OPTION);
}

TEST(Options, SpacesAndEmptyItems) {
  const Config config = parsed(" max_heap = 2m ,\t, poison=on ,");
  EXPECT_EQ(config.max_heap, std::size_t{2} << 20);
  EXPECT_TRUE(config.poison);
  EXPECT_EQ(fields(parsed("")), fields(Config{}));
  EXPECT_EQ(fields(parsed(" , ,")), fields(Config{}));
}

TEST(Options, TheLastOneWins) {
  EXPECT_EQ(parsed("max_heap=2m,max_heap=4m").max_heap, std::size_t{4} << 20);
}

TEST(Options, LengthIsBounded) {
  const std::string longest = "poison=on" + std::string(4096 - 9, ',');
  EXPECT_TRUE(parsed(longest).poison);
  EXPECT_EQ(refused(longest + ",", ECHO_BAD_OPTION_VALUE), "the options are longer than 4096 bytes");
}

class OptionsEnvironment : public ::testing::Test {
protected:
  void TearDown() override { ::unsetenv("ECHO_HEAP_OPTIONS"); }
};

TEST_F(OptionsEnvironment, IsReadAndNamedInErrors) {
  Config config;
  std::string why;
  ::unsetenv("ECHO_HEAP_OPTIONS");
  EXPECT_EQ(parse_environment(&config, &why), ECHO_OK);
  EXPECT_EQ(fields(config), fields(Config{}));
  ::setenv("ECHO_HEAP_OPTIONS", "max_heap=5m,poison=on", 1);
  EXPECT_EQ(parse_environment(&config, &why), ECHO_OK);
  EXPECT_EQ(config.max_heap, std::size_t{5} << 20);
  EXPECT_TRUE(config.poison);
  ::setenv("ECHO_HEAP_OPTIONS", "max_heap=5q", 1);
  Config untouched;
  EXPECT_EQ(parse_environment(&untouched, &why), ECHO_BAD_OPTION_VALUE);
  EXPECT_EQ(why.find("in ECHO_HEAP_OPTIONS: option 'max_heap' has the value '5q'"), 0u) << why;
  EXPECT_EQ(fields(untouched), fields(Config{}));
  ::setenv("ECHO_HEAP_OPTIONS", std::string(100000, ',').c_str(), 1);
  EXPECT_EQ(parse_environment(&untouched, &why), ECHO_BAD_OPTION_VALUE) << "unbounded input is not parsed";
}

} // namespace
} // namespace echo
