// SPDX-License-Identifier: MIT
#include "literals.h"
#include "runtime_fixture.h"

// A sanitizer makes globals larger than they are.
#ifdef __clang__
#define ECHO_TEST_GLOBAL [[gnu::visibility("default"), clang::no_sanitize("address")]]
#else
#define ECHO_TEST_GLOBAL [[gnu::visibility("default")]]
#endif

// As a module has them: writable, with external linkage, some without a NUL behind them.
extern "C" {
ECHO_TEST_GLOBAL char echo_test_plain[5] = {'a', 'l', 'p', 'h', 'a'};
ECHO_TEST_GLOBAL char echo_test_neighbour[5] = {'w', 'r', 'o', 'n', 'g'};
ECHO_TEST_GLOBAL char echo_test_terminated[8] = "with";

// Stores the three registers in which LLVM returns a first-class aggregate of three words.
void echo_test_three_words(void* literal, echo::runtime::Text* words);
}
asm(".text\n"
    "echo_test_three_words:\n"
    "  .cfi_startproc\n"
    "  pushq %rbx\n"
    "  .cfi_def_cfa_offset 16\n"
    "  .cfi_offset %rbx, -16\n"
    "  movq %rsi, %rbx\n"
    "  callq runtime_char_ptr_to_string@PLT\n"
    "  movq %rax, (%rbx)\n"
    "  movq %rdx, 8(%rbx)\n"
    "  movq %rcx, 16(%rbx)\n"
    "  popq %rbx\n"
    "  .cfi_def_cfa_offset 8\n"
    "  retq\n"
    "  .cfi_endproc\n");

namespace echo::test {
namespace {

using runtime::Literals;

Text called_as_llvm_does(void* literal) {
  Text words{};
  echo_test_three_words(literal, &words);
  return words;
}

class EchoLiteral : public RuntimeFixture {
protected:
  std::string read(void* literal) {
    const Text words = called_as_llvm_does(literal);
    EXPECT_EQ(words.cap, words.len);
    return {words.data, static_cast<std::size_t>(words.len)};
  }
  void add(void* address, std::uint64_t bytes, echo_status expected = ECHO_OK) {
    EXPECT_EQ(echo_runtime_literals_add(layer, address, bytes, &why), expected) << why.message;
  }
  void remove(void* address, echo_status expected = ECHO_OK) {
    EXPECT_EQ(echo_runtime_literals_remove(layer, address, &why), expected) << why.message;
  }
};

// [runtime.words.1] [runtime.literal.1]
TEST_F(EchoLiteral, runtime_char_ptr_to_string) {
  noted("runtime_char_ptr_to_string", &::runtime_char_ptr_to_string);
  char buffer[] = "alphabetagamma";
  add(buffer, 5);
  add(buffer + 5, 4);
  const Text words = called_as_llvm_does(buffer);
  EXPECT_EQ(words.data, buffer);
  EXPECT_EQ(words.len, 5);
  EXPECT_EQ(words.cap, 5);
  EXPECT_EQ(read(buffer + 5), "beta");
  EXPECT_EQ(called_as_llvm_does(nullptr).len, 0);
}

TEST_F(EchoLiteral, ALiteralEndsAtItsFirstNul) {
  char buffer[] = "one\0two";
  add(buffer, 4);
  add(buffer + 4, 4);
  EXPECT_EQ(read(buffer), "one");
  EXPECT_EQ(read(buffer + 4), "two");
  EXPECT_EQ(read(buffer + 5), "wo"); // from the middle
}

TEST_F(EchoLiteral, AnEmptyLiteralSharesItsAddress) {
  char buffer[] = "next";
  add(buffer, 0);
  EXPECT_EQ(read(buffer), "");
  add(buffer, 4);
  add(buffer, 0);
  EXPECT_EQ(read(buffer), "next");
  remove(buffer);
  EXPECT_EQ(read(buffer), "");
  remove(buffer);
  remove(buffer);
  remove(buffer, ECHO_INVALID_ARGUMENT);
}

TEST_F(EchoLiteral, OverlapsAndNonsenseAreRefused) {
  char buffer[16] = {};
  add(buffer + 4, 4);
  add(buffer + 4, 4, ECHO_INVALID_ARGUMENT);
  add(buffer + 2, 3, ECHO_INVALID_ARGUMENT);
  add(buffer + 7, 1, ECHO_INVALID_ARGUMENT);
  add(buffer + 7, 0, ECHO_INVALID_ARGUMENT);
  add(buffer + 2, 2);
  add(buffer + 8, 8);
  add(nullptr, 4, ECHO_INVALID_ARGUMENT);
  add(buffer, ~std::uint64_t{0}, ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_runtime_literals_add(nullptr, buffer, 1, &why), ECHO_INVALID_ARGUMENT);
  remove(buffer + 5, ECHO_INVALID_ARGUMENT);
  remove(buffer + 4);
  add(buffer + 5, 2);
}

// Nobody registered these: the dynamic symbols of this program tell their sizes. [runtime.literal.2]
TEST_F(EchoLiteral, UnregisteredOnesAreFoundByTheirSymbols) {
  EXPECT_EQ(read(echo_test_plain), "alpha");
  EXPECT_EQ(read(echo_test_neighbour), "wrong");
  EXPECT_EQ(read(echo_test_terminated), "with");
  EXPECT_EQ(read(echo_test_plain), "alpha"); // as remembered
  EXPECT_EQ(read(echo_test_plain + 2), "pha");
  add(echo_test_plain, 2); // a registered one comes first
  EXPECT_EQ(read(echo_test_plain), "al");
}

TEST_F(EchoLiteral, AnAddressOfNothingIsRefused) {
  char buffer[] = "nobody's";
  const std::string sentence = failure_of([&] { (void)called_as_llvm_does(buffer); });
  EXPECT_EQ(sentence.find("runtime_char_ptr_to_string: no literal is registered at 0x"), 0u) << sentence;
}

TEST_F(EchoLiteral, ManyAreFoundAgain) {
  static char buffer[30000];
  std::memset(buffer, 'x', sizeof buffer);
  for (int i = 0; i < 10000; ++i) {
    add(buffer + 3 * i, static_cast<std::uint64_t>(1 + i % 3));
  }
  for (int i = 0; i < 10000; ++i) {
    ASSERT_EQ(called_as_llvm_does(buffer + 3 * i).len, 1 + i % 3);
  }
}

} // namespace
} // namespace echo::test
