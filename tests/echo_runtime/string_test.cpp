// SPDX-License-Identifier: MIT
#include "runtime_fixture.h"

#include <limits>

namespace echo::test {
namespace {

class EchoString : public RuntimeFixture {
protected:
  static void* broken(std::int64_t length, char* data) {
    auto* const header = static_cast<Text*>(::echo_runtime_malloc(sizeof(Text)));
    *header = {data, length, length};
    return header;
  }
};

TEST_F(EchoString, string_concat) {
  void *const left = text("left "), *const right = text("right");
  void* const both = CALL(string_concat, left, right);
  EXPECT_EQ(bytes_of(both), "left right");
  EXPECT_EQ(bytes_of(left), "left ");
  EXPECT_EQ(bytes_of(right), "right");
  // No alias of an argument, also where it is equal to one.
  void* const same = CALL(string_concat, left, text(""));
  EXPECT_NE(same, left);
  EXPECT_NE(bytes_of(same).data(), bytes_of(left).data());
  EXPECT_EQ(bytes_of(same), "left ");
  EXPECT_EQ(bytes_of(CALL(string_concat, nullptr, nullptr)), ""); // [runtime.text.2]
  EXPECT_EQ(bytes_of(CALL(string_concat, nullptr, right)), "right");
  EXPECT_EQ(bytes_of(CALL(string_concat, left, left)), "left left ");
  const std::string nul("a\0b", 3);
  EXPECT_EQ(bytes_of(CALL(string_concat, text(nul), text(nul))), nul + nul);
}

TEST_F(EchoString, EveryLengthAroundTheInlinePathKeepsItsBytes) {
  for (std::size_t length = 0; length < 140; ++length) {
    const std::string half(length, static_cast<char>('a' + length % 26));
    EXPECT_EQ(bytes_of(::string_concat(text(half), text(half))), half + half);
  }
  const std::string large(4000, 'y'), huge(3 << 20, 'z');
  EXPECT_EQ(bytes_of(::string_concat(text(large), text(large))), large + large);
  EXPECT_EQ(bytes_of(::string_concat(text(huge), text(huge))), huge + huge);
}

// A copy of the three words is as good as the string. [runtime.text.1]
TEST_F(EchoString, ACopyOfTheHeaderKeepsTheBytes) {
  auto* const copy = static_cast<Text*>(::echo_runtime_malloc(sizeof(Text)));
  *copy = *static_cast<Text*>(::string_concat(text("only the words "), text("are copied")));
  collect();
  for (int i = 0; i < 1000; ++i) {
    (void)::string_concat(text("other text in its place"), text("other text in its place"));
  }
  collect();
  EXPECT_EQ(bytes_of(copy), "only the words are copied");
}

// [runtime.text.3]
TEST_F(EchoString, WhatIsNoStringIsRefusedByTheFunctionsName) {
  char some[4] = {};
  EXPECT_EQ(failure_of([&] {
              ::string_concat(text("x"), broken(-1, some));
            }).find("string_concat: the string at 0x"),
            0u);
  EXPECT_NE(failure_of([&] { ::print_string(broken(-5, some)); }).find("print_string: "), std::string::npos);
  EXPECT_NE(failure_of([&] { ::runtime_string_trim(broken(3, nullptr)); }).find("data (nil), len 3"),
            std::string::npos);
  EXPECT_EQ(printed, "");
  // Together over the limit: nothing is read.
  const std::int64_t most = std::int64_t{1} << 47;
  EXPECT_EQ(failure_of([&] { ::string_concat(broken(most, some), broken(most, some)); }),
            "string_concat: a string of 281474976710656 bytes is over the limit of 2^47");
}

TEST_F(EchoString, TheHeapsErrorBecomesTheFunctions) {
  char some[4] = {};
  const std::string sentence =
      failure_of([&] { ::string_concat(broken(100 << 20, some), broken(0, some)); }, ECHO_HEAP_LIMIT);
  EXPECT_EQ(sentence.find("string_concat: "), 0u);
  EXPECT_NE(sentence.find("heap limit"), std::string::npos) << sentence;
}

TEST_F(EchoString, runtime_string_len_utf8) {
  EXPECT_EQ(CALL(runtime_string_len_utf8, nullptr), 0);
  EXPECT_EQ(CALL(runtime_string_len_utf8, text("")), 0);
  EXPECT_EQ(CALL(runtime_string_len_utf8, text("plain")), 5);
  EXPECT_EQ(CALL(runtime_string_len_utf8, text("h\xC3\xA9llo")), 5);
  EXPECT_EQ(CALL(runtime_string_len_utf8, text("\xE2\x82\xAC\xF0\x9F\x98\x80")), 2);
  EXPECT_EQ(CALL(runtime_string_len_utf8, text(std::string_view("\0\0", 2))), 2);
}

TEST_F(EchoString, runtime_string_equals) {
  EXPECT_TRUE(CALL(runtime_string_equals, text("same"), text("same")));
  EXPECT_FALSE(CALL(runtime_string_equals, text("same"), text("sama")));
  EXPECT_FALSE(CALL(runtime_string_equals, text("same"), text("same ")));
  EXPECT_TRUE(CALL(runtime_string_equals, nullptr, nullptr));
  EXPECT_TRUE(CALL(runtime_string_equals, nullptr, text(""))); // [runtime.text.2]
  EXPECT_FALSE(
      CALL(runtime_string_equals, text(std::string_view("a\0b", 3)), text(std::string_view("a\0c", 3))));
}

TEST_F(EchoString, runtime_string_contains) {
  EXPECT_TRUE(CALL(runtime_string_contains, text("haystack"), text("stack")));
  EXPECT_TRUE(CALL(runtime_string_contains, text("haystack"), text("haystack")));
  EXPECT_FALSE(CALL(runtime_string_contains, text("haystack"), text("haystacks")));
  EXPECT_TRUE(CALL(runtime_string_contains, text("haystack"), text("")));
  EXPECT_TRUE(CALL(runtime_string_contains, nullptr, nullptr));
  EXPECT_FALSE(CALL(runtime_string_contains, nullptr, text("x")));
  EXPECT_TRUE(CALL(runtime_string_contains, text(std::string_view("a\0bc", 4)), text("bc")));
}

TEST_F(EchoString, runtime_string_starts_with) {
  EXPECT_TRUE(CALL(runtime_string_starts_with, text("prefix"), text("pre")));
  EXPECT_FALSE(CALL(runtime_string_starts_with, text("prefix"), text("fix")));
  EXPECT_FALSE(CALL(runtime_string_starts_with, text("pre"), text("prefix")));
  EXPECT_TRUE(CALL(runtime_string_starts_with, text("x"), nullptr));
}

TEST_F(EchoString, runtime_string_ends_with) {
  EXPECT_TRUE(CALL(runtime_string_ends_with, text("prefix"), text("fix")));
  EXPECT_FALSE(CALL(runtime_string_ends_with, text("prefix"), text("pre")));
  EXPECT_FALSE(CALL(runtime_string_ends_with, text("fix"), text("prefix")));
  EXPECT_TRUE(CALL(runtime_string_ends_with, nullptr, nullptr));
}

// An i1 result is 0 or 1 in al. [runtime.width.1]
TEST_F(EchoString, AnswersAreZeroOrOneInTheirByte) {
  EXPECT_EQ(call_wide<std::uint8_t>(&::runtime_string_contains, text("abc"), text("b")), 1);
  EXPECT_EQ(call_wide<std::uint8_t>(&::runtime_string_contains, text("abc"), text("d")), 0);
}

TEST_F(EchoString, runtime_string_to_lower) {
  EXPECT_EQ(bytes_of(CALL(runtime_string_to_lower, text("MiXed [@Z`z] \xC3\x84"))), "mixed [@z`z] \xC3\x84");
  EXPECT_EQ(bytes_of(CALL(runtime_string_to_lower, nullptr)), "");
}

TEST_F(EchoString, runtime_string_to_upper) {
  EXPECT_EQ(bytes_of(CALL(runtime_string_to_upper, text("MiXed {@z`a} \xC3\xA4"))), "MIXED {@Z`A} \xC3\xA4");
  void* const before = text("kept");
  (void)CALL(runtime_string_to_upper, before);
  EXPECT_EQ(bytes_of(before), "kept");
}

TEST_F(EchoString, runtime_string_trim) {
  EXPECT_EQ(bytes_of(CALL(runtime_string_trim, text(" \t\n\v\f\r two words \r\f\v\n\t "))), "two words");
  EXPECT_EQ(bytes_of(CALL(runtime_string_trim, text("   "))), "");
  EXPECT_EQ(bytes_of(CALL(runtime_string_trim, nullptr)), "");
  EXPECT_EQ(bytes_of(CALL(runtime_string_trim, text("\xC2\xA0x"))), "\xC2\xA0x"); // no space of the C locale
  void* const untouched = text("x");
  EXPECT_NE(CALL(runtime_string_trim, untouched), untouched);
}

struct Counted {
  void* elements;
  std::int32_t count;
};

TEST_F(EchoString, runtime_string_split) {
  const auto pieces = [&](void* string, void* delimiter) {
    const auto* const result = static_cast<Counted*>(CALL(runtime_string_split, string, delimiter));
    std::string joined = std::to_string(result->count) + ":";
    for (int i = 0; i < result->count; ++i) {
      joined += "<" + std::string(bytes_of(static_cast<void**>(result->elements)[i])) + ">";
    }
    return joined;
  };
  EXPECT_EQ(pieces(text("a,b,c"), text(",")), "3:<a><b><c>");
  EXPECT_EQ(pieces(text(",a,,b,"), text(",")), "5:<><a><><b><>");
  EXPECT_EQ(pieces(text("one--two-three"), text("--")), "2:<one><two-three>");
  EXPECT_EQ(pieces(text("aaaa"), text("aa")), "3:<><><>");
  EXPECT_EQ(pieces(text("whole"), text("")), "1:<whole>");
  EXPECT_EQ(pieces(text("whole"), nullptr), "1:<whole>");
  EXPECT_EQ(pieces(text("whole"), text("missing")), "1:<whole>");
  EXPECT_EQ(pieces(text(""), text(",")), "1:<>");
  EXPECT_EQ(pieces(nullptr, nullptr), "1:<>");
}

TEST_F(EchoString, SplittingManyPiecesKeepsAllOfThem) {
  std::string joined;
  for (int i = 0; i < 2000; ++i) {
    joined += std::to_string(i) + (i < 1999 ? ";" : "");
  }
  const auto* const result = static_cast<Counted*>(::runtime_string_split(text(joined), text(";")));
  collect();
  ASSERT_EQ(result->count, 2000);
  for (int i = 0; i < 2000; ++i) {
    ASSERT_EQ(bytes_of(static_cast<void**>(result->elements)[i]), std::to_string(i));
  }
}

TEST_F(EchoString, runtime_string_to_bytes) {
  const std::string nul("a\0b", 3);
  const auto* const result = static_cast<Counted*>(CALL(runtime_string_to_bytes, text(nul)));
  collect();
  ASSERT_EQ(result->count, 3);
  EXPECT_EQ(std::string(static_cast<char*>(result->elements), 3), nul);
  EXPECT_EQ(static_cast<Counted*>(CALL(runtime_string_to_bytes, nullptr))->count, 0);
}

TEST_F(EchoString, runtime_bytes_to_string) {
  char outside[] = {'x', 0, 'y'};
  EXPECT_EQ(bytes_of(CALL(runtime_bytes_to_string, outside, 3)), std::string_view("x\0y", 3));
  EXPECT_EQ(bytes_of(CALL(runtime_bytes_to_string, outside, 0)), "");
  EXPECT_EQ(bytes_of(CALL(runtime_bytes_to_string, nullptr, 0)), "");
  const auto* const inside = static_cast<Counted*>(::runtime_string_to_bytes(text("from the heap")));
  EXPECT_EQ(bytes_of(CALL(runtime_bytes_to_string, static_cast<char*>(inside->elements) + 5, 8)), "the heap");
  EXPECT_EQ(failure_of([&] {
              ::runtime_bytes_to_string(outside, -1);
            }).find("runtime_bytes_to_string: -1 bytes at "),
            0u);
  EXPECT_NE(failure_of([&] { ::runtime_bytes_to_string(nullptr, 2); }), "");
}

// RFC 4648, section 10, and the two last letters of the alphabet.
TEST_F(EchoString, runtime_base64_encode_string) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"},
                                                         {"\xFB\xEF\xFF", "++//"}};
  for (const auto& [from, to] : vectors) {
    EXPECT_EQ(bytes_of(CALL(runtime_base64_encode_string, text(from))), to);
  }
  EXPECT_EQ(bytes_of(CALL(runtime_base64_encode_string, nullptr)), "");
}

} // namespace
} // namespace echo::test
