// SPDX-License-Identifier: MIT
#include "runtime_fixture.h"

#include <cerrno>
#include <clocale>
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>

namespace echo::test {
namespace {

using Limits = std::numeric_limits<double>;

class EchoConversion : public RuntimeFixture {};

TEST_F(EchoConversion, int_to_string) {
  EXPECT_EQ(bytes_of(CALL(int_to_string, 0)), "0");
  EXPECT_EQ(bytes_of(CALL(int_to_string, -7)), "-7");
  EXPECT_EQ(bytes_of(CALL(int_to_string, std::numeric_limits<int>::max())), "2147483647");
  EXPECT_EQ(bytes_of(CALL(int_to_string, std::numeric_limits<int>::min())), "-2147483648");
}

// [runtime.number.2]
TEST_F(EchoConversion, runtime_f64_to_string) {
  const std::pair<double, const char*> rows[] = {{0.125, "0.125"},
                                                 {0.0, "0"},
                                                 {-0.0, "-0"},
                                                 {42.0, "42"},
                                                 {-42.0, "-42"},
                                                 {0.1, "0.1"},
                                                 {1.0 / 3, "0.333333333333333"},
                                                 {1e15, "1000000000000000"},
                                                 {123456789012345678.0, "123456789012345680"},
                                                 {-0x1p63, "-9223372036854775808"},
                                                 {0x1p63, "9.22337203685478e+18"},
                                                 {1e300, "1e+300"},
                                                 {5e-324, "4.94065645841247e-324"},
                                                 {Limits::infinity(), "inf"},
                                                 {-Limits::infinity(), "-inf"},
                                                 {Limits::quiet_NaN(), "nan"},
                                                 {-Limits::quiet_NaN(), "-nan"}};
  for (const auto& [value, expected] : rows) {
    EXPECT_EQ(bytes_of(CALL(runtime_f64_to_string, value)), expected);
  }
}

// [runtime.number.1]
TEST_F(EchoConversion, TextOfAnyBitsIsThatOfPrintf) {
  std::mt19937_64 random(7);
  for (int i = 0; i < (under_stress() ? 100 : 20000); ++i) {
    const auto value = std::bit_cast<double>(random());
    char general[64], full[64];
    std::snprintf(general, sizeof general, "%g\n", value);
    ::print_float(value);
    ASSERT_EQ(take_printed(), general);
    if (std::trunc(value) != value) {
      std::snprintf(full, sizeof full, "%.15g", value);
      ASSERT_EQ(bytes_of(::runtime_f64_to_string(value)), full);
    }
  }
}

TEST_F(EchoConversion, TheProcesssLocaleChangesNothing) {
  const char* const before = std::setlocale(LC_ALL, nullptr);
  const std::string saved = before == nullptr ? "C" : before;
  bool found = false;
  for (const char* const name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "C.UTF-8"}) {
    found = found || std::setlocale(LC_ALL, name) != nullptr;
  }
  ::print_float(2.5);
  const double back = ::runtime_string_to_f64(text("2.5"));
  std::setlocale(LC_ALL, saved.c_str());
  EXPECT_EQ(take_printed(), "2.5\n");
  EXPECT_EQ(back, 2.5);
}

TEST_F(EchoConversion, runtime_string_to_f64) {
  const std::pair<const char*, double> rows[] = {{"2.5", 2.5},
                                                 {"  -17", -17},
                                                 {"+1e3", 1000},
                                                 {"0x10", 16},
                                                 {"12abc", 12},
                                                 {"1.5.2", 1.5},
                                                 {"-0", -0.0},
                                                 {"inf", Limits::infinity()},
                                                 {"1e999", Limits::infinity()},
                                                 {".5", 0.5},
                                                 {"5.", 5}};
  for (const auto& [from, expected] : rows) {
    const double value = CALL(runtime_string_to_f64, text(from));
    EXPECT_EQ(value, expected) << from;
    EXPECT_EQ(std::signbit(value), std::signbit(expected)) << from;
  }
  for (const char* const none : {"", "   ", "word", "--1", ".", "e5"}) {
    EXPECT_TRUE(std::isnan(CALL(runtime_string_to_f64, text(none)))) << none;
  }
  EXPECT_TRUE(std::isnan(CALL(runtime_string_to_f64, nullptr)));
  EXPECT_TRUE(std::isnan(CALL(runtime_string_to_f64, text("nan"))));
  // No NUL behind the text: what follows it does not count.
  char digits[] = "123456";
  auto* const header = static_cast<Text*>(::echo_runtime_malloc(sizeof(Text)));
  *header = {digits, 3, 3};
  EXPECT_EQ(CALL(runtime_string_to_f64, header), 123);
  // Longer than any buffer.
  EXPECT_EQ(CALL(runtime_string_to_f64, text(std::string(3000, '0') + "7.25")), 7.25);
  errno = 5;
  (void)CALL(runtime_string_to_f64, text("1e999"));
  EXPECT_EQ(errno, 5);
}

TEST_F(EchoConversion, runtime_math_sqrt) {
  EXPECT_EQ(CALL(runtime_math_sqrt, 2.25), 1.5);
  EXPECT_TRUE(std::isnan(CALL(runtime_math_sqrt, -1)));
  EXPECT_EQ(CALL(runtime_math_sqrt, Limits::infinity()), Limits::infinity());
  EXPECT_TRUE(std::signbit(CALL(runtime_math_sqrt, -0.0)));
}

TEST_F(EchoConversion, runtime_null_ptr) {
  EXPECT_EQ(CALL(runtime_null_ptr), nullptr);
}

} // namespace
} // namespace echo::test
