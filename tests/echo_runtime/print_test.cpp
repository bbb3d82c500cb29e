// SPDX-License-Identifier: MIT
#include "runtime_fixture.h"

#include <cstdio>
#include <fcntl.h>
#include <limits>
#include <unistd.h>

namespace echo::test {
namespace {

class EchoPrint : public RuntimeFixture {};

TEST_F(EchoPrint, print_int) {
  for (const int value : {0, 41, -7, std::numeric_limits<int>::max(), std::numeric_limits<int>::min()}) {
    CALL(print_int, value);
    EXPECT_EQ(take_printed(), std::to_string(value) + "\n");
  }
}

TEST_F(EchoPrint, print_float) {
  const double values[] = {0.0,
                           -0.0,
                           2.5,
                           0.1,
                           1e5,
                           1e6,
                           123456789.0,
                           1e-4,
                           1e-5,
                           -1e300,
                           5e-324,
                           std::numeric_limits<double>::infinity(),
                           -std::numeric_limits<double>::infinity(),
                           std::numeric_limits<double>::quiet_NaN(),
                           -std::numeric_limits<double>::quiet_NaN()};
  for (const double value : values) {
    char expected[64];
    std::snprintf(expected, sizeof expected, "%g\n", value);
    CALL(print_float, value);
    EXPECT_EQ(take_printed(), expected); // [runtime.number.1]
  }
}

// The bits above an i1 and an i32 are anything. [runtime.width.1]
TEST_F(EchoPrint, print_bool) {
  for (const std::uint32_t value : {1u, 0xFFFFFFFFu, 0xABCDEF01u}) {
    CALL(print_bool, value);
    EXPECT_EQ(take_printed(), "true\n") << value;
  }
  for (const std::uint32_t value : {0u, 0xFFFFFFFEu, 0x100u}) {
    CALL(print_bool, value);
    EXPECT_EQ(take_printed(), "false\n") << value;
  }
}

TEST_F(EchoPrint, AnIntIsTheLowHalfOfItsRegister) {
  call_wide<std::uint64_t>(&::print_int, 0xDEADBEEF'FFFFFFF9u);
  EXPECT_EQ(take_printed(), "-7\n");
}

TEST_F(EchoPrint, print_string) {
  CALL(print_string, text("count=42"));
  CALL(print_string, text(""));
  CALL(print_string, nullptr);
  EXPECT_EQ(take_printed(), "count=42\n\n\n");
  const std::string with_nul("a\0b", 3), large(5000, 'x');
  CALL(print_string, text(with_nul));
  EXPECT_EQ(take_printed(), with_nul + "\n");
  CALL(print_string, text(large));
  EXPECT_EQ(take_printed(), large + "\n");
}

TEST_F(EchoPrint, ShortTextAndItsNewlineAreOneWrite) {
  ::print_string(text("one"));
  EXPECT_EQ(writes, 1u);
}

// [runtime.print.1]
TEST_F(EchoPrint, RawWritesNothingBehindTheText) {
  options.print = ECHO_RUNTIME_PRINT_RAW;
  enter_again();
  ::print_int(1);
  ::print_float(2.5);
  ::print_bool(1);
  ::print_string(text("text"));
  ::print_string(text(""));
  EXPECT_EQ(take_printed(), "12.5truetext");
}

// Standard output in place of a function, as a file.
class EchoStandardOutput : public RuntimeFixture {
protected:
  void SetUp() override {
    RuntimeFixture::SetUp();
    std::fflush(stdout);
    saved_ = ::dup(1);
    options.output = nullptr;
  }
  void redirect(int descriptor) {
    ::dup2(descriptor, 1);
    ::close(descriptor);
  }
  void restore() {
    if (saved_ >= 0) {
      std::fflush(stdout);
      ::dup2(saved_, 1);
      ::close(saved_);
      saved_ = -1;
    }
  }
  void TearDown() override {
    restore();
    RuntimeFixture::TearDown();
  }
  int saved_ = -1;
};

TEST_F(EchoStandardOutput, IsFlushedWhenTheThreadLeaves) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  redirect(ends[1]);
  enter_again();
  ::print_int(5);
  ::print_string(text("six"));
  leave();
  char found[64] = {};
  EXPECT_EQ(::read(ends[0], found, sizeof found), 6);
  restore();
  ::close(ends[0]);
  EXPECT_STREQ(found, "5\nsix\n");
}

// A buffer that is full is written while the thread is native. [runtime.print.2]
TEST_F(EchoStandardOutput, TheThreadIsNativeWhileTheSystemWrites) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  redirect(ends[1]);
  static unsigned transitions;
  transitions = 0;
  static const echo_heap_api* real;
  real = echo_heap_plugin(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, nullptr);
  api.enter_native = [](echo_thread* self) {
    ++transitions;
    return real->enter_native(self);
  };
  enter_again();
  for (int i = 0; i < 1000; ++i) {
    ::print_string(text("ten bytes"));
  }
  leave();
  const unsigned seen = transitions;
  std::string found(20000, '\0');
  std::size_t have = 0;
  while (have < 10000) {
    const ssize_t got = ::read(ends[0], found.data() + have, found.size() - have);
    ASSERT_GT(got, 0);
    have += static_cast<std::size_t>(got);
  }
  restore();
  ::close(ends[0]);
  EXPECT_GE(seen, 1u);
  EXPECT_LE(seen, 20u); // not at every line
  enter();
}

// [runtime.print.3]
TEST_F(EchoStandardOutput, AFailedWriteIsReportedWhenTheThreadLeaves) {
  redirect(::open("/dev/full", O_WRONLY));
  enter_again();
  ::print_int(5);
  const echo_status status = echo_runtime_leave(layer, &why);
  EXPECT_EQ(echo_runtime_destroy(layer, &why), ECHO_OK);
  layer = nullptr;
  std::clearerr(stdout);
  restore();
  EXPECT_EQ(status, ECHO_IO_ERROR);
  EXPECT_NE(std::string(why.message).find("could not be written"), std::string::npos) << why.message;
}

} // namespace
} // namespace echo::test
