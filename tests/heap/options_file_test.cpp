// SPDX-License-Identifier: MIT
//
// Purpose     Options from a file: what a line may hold, the order of precedence, and refusals that name file, line,
//             option, type and range. [options.file.*]
#include "vm_iface/src/options.h"
#include "vm_iface/src/options_file.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

namespace echo {
namespace {

class OptionsFile : public ::testing::Test {
protected:
  void SetUp() override {
    char name[] = "options-file-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    path_ = folder_ + "/heap.options";
  }
  void TearDown() override {
    ::unsetenv("ECHO_HEAP_OPTIONS");
    ::unsetenv("ECHO_HEAP_OPTIONS_FILE");
    ::unlink(path_.c_str());
    ::rmdir(folder_.c_str());
  }
  void write(const std::string& text) const { std::ofstream(path_, std::ios::binary) << text; }
  Config parsed(const std::string& options) const {
    Config config;
    std::string why;
    EXPECT_EQ(parse_options(options, &config, &why), ECHO_OK) << why;
    return config;
  }
  std::string refused(const std::string& options, echo_status status) const {
    Config config;
    config.max_heap = 12345678;
    std::string why;
    EXPECT_EQ(parse_options(options, &config, &why), status) << why;
    EXPECT_EQ(config.max_heap, 12345678u) << "nothing is half applied";
    EXPECT_FALSE(config.poison) << "nothing is half applied";
    return why;
  }
  std::string file_refused(const std::string& text, echo_status status) const {
    write(text);
    return refused("poison=on,file=" + path_, status);
  }
  std::string folder_, path_;
};

TEST_F(OptionsFile, LinesCommentsAndItems) {
  write(
      "# a comment\n\n  max_heap = 5m  # and another\r\npoison=on,verify=on\n\tseed=7,,\nstress_yield=on"); // no last newline
  const Config config = parsed("file=" + path_);
  EXPECT_EQ(config.max_heap, std::size_t{5} << 20);
  EXPECT_TRUE(config.poison && config.verify && config.stress_yield);
  EXPECT_EQ(config.seed, 7u);
  write("");
  EXPECT_EQ(parsed("file=" + path_).max_heap, Config{}.max_heap);
}

TEST_F(OptionsFile, StandsWhereItIsNamed) { // [abi.options.2]
  write("max_heap=5m\nseed=5\n");
  EXPECT_EQ(parsed("max_heap=6m,file=" + path_).max_heap, std::size_t{5} << 20);
  const Config config = parsed("file=" + path_ + ",max_heap=6m");
  EXPECT_EQ(config.max_heap, std::size_t{6} << 20);
  EXPECT_EQ(config.seed, 5u);
}

TEST_F(OptionsFile, EnvironmentOverItsFile) { // [abi.options.2]
  write("max_heap=5m\nseed=5\n");
  ::setenv("ECHO_HEAP_OPTIONS_FILE", path_.c_str(), 1);
  ::setenv("ECHO_HEAP_OPTIONS", "seed=6", 1);
  Config config;
  std::string why;
  ASSERT_EQ(parse_environment(&config, &why), ECHO_OK) << why;
  EXPECT_EQ(config.max_heap, std::size_t{5} << 20);
  EXPECT_EQ(config.seed, 6u);
  write("max_heap=x\n");
  EXPECT_EQ(parse_environment(&config, &why), ECHO_BAD_OPTION_VALUE);
  EXPECT_EQ(why, "in ECHO_HEAP_OPTIONS_FILE: in the options file '" + path_ +
                     "', line 1: option 'max_heap' has the value 'x': expected bytes with an optional suffix "
                     "k, m or g in "
                     "1m..1024g");
  ::setenv("ECHO_HEAP_OPTIONS_FILE", "", 1);
  EXPECT_EQ(parse_environment(&config, &why), ECHO_OK);
}

TEST_F(OptionsFile, ErrorsNameFileLineOptionTypeAndRange) { // [options.file.3]
  const std::string where = "in the options file '" + path_ + "', line 3: ";
  EXPECT_EQ(file_refused("seed=1\n\nseed=1,growth=7,verify=on\n", ECHO_BAD_OPTION_VALUE),
            where + "option 'growth' has the value '7': expected a whole number in 101..10000");
  EXPECT_EQ(file_refused("seed=1\nmax_heap=3m\nno_such=7", ECHO_UNKNOWN_OPTION)
                .find(where + "option 'no_such' is unknown; known are: max_heap "),
            0u);
  EXPECT_EQ(file_refused(std::string("\n\nmax_heap=\0\x01\xff", 13), ECHO_BAD_OPTION_VALUE).find(where), 0u);
  EXPECT_EQ(file_refused("\n\nfile=" + path_, ECHO_BAD_OPTION_VALUE), // [options.file.4]
            where + "option 'file' stands in an options file, which cannot name another one");
}

TEST_F(OptionsFile, SizeIsBounded) { // [options.file.1]
  write("seed=9\n" + std::string(kMaxOptionsFile - 7, '#'));
  EXPECT_EQ(parsed("file=" + path_).seed, 9u);
  EXPECT_EQ(file_refused("seed=9\n" + std::string(kMaxOptionsFile - 6, '#'), ECHO_BAD_OPTION_VALUE),
            "the options file '" + path_ + "' is longer than 65536 bytes");
  EXPECT_EQ(refused("file=/dev/zero", ECHO_BAD_OPTION_VALUE),
            "the options file '/dev/zero' is no regular file");
}

TEST_F(OptionsFile, WhatCannotBeReadIsNamed) { // [options.file.1]
  EXPECT_EQ(refused("file=" + path_, ECHO_IO_ERROR),
            "the options file '" + path_ + "' cannot be opened: No such file or directory");
  EXPECT_EQ(refused("file=" + folder_, ECHO_BAD_OPTION_VALUE),
            "the options file '" + folder_ + "' is no regular file");
  EXPECT_EQ(refused("file=", ECHO_BAD_OPTION_VALUE).find("option 'file' has the value ''"), 0u);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(refused("file=" + path_, ECHO_BAD_OPTION_VALUE),
            "the options file '" + path_ + "' is no regular file")
      << "a pipe without writer is not waited for";
  const std::string longest = refused("file=/" + std::string(4000, 'x'), ECHO_IO_ERROR);
  EXPECT_LT(longest.size(), 400u) << "sentences stay short";
}

} // namespace
} // namespace echo
