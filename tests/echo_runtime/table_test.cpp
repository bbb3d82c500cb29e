// SPDX-License-Identifier: MIT
//
// The table of the 60: exported, typed, and each tested on its own.
#include "runtime_fixture.h"

#include <dlfcn.h>

#include <fstream>
#include <sstream>

namespace echo::test {
namespace {

std::vector<echo_runtime_symbol_info> all_symbols() {
  std::vector<echo_runtime_symbol_info> found;
  echo_runtime_symbol_info info{};
  info.size = sizeof info;
  while (echo_runtime_symbol_at(static_cast<std::uint32_t>(found.size()), &info) == ECHO_OK) {
    found.push_back(info);
  }
  return found;
}

// [runtime.table.1]
TEST(EchoTable, EachOfThe60IsExportedUnderItsName) {
  void* const library = ::dlopen(ECHO_TEST_RUNTIME, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << ::dlerror();
  const auto symbols = all_symbols();
  ASSERT_EQ(symbols.size(), 60u);
  std::set<std::string> names;
  for (const auto& symbol : symbols) {
    EXPECT_EQ(::dlsym(library, symbol.exported), symbol.address) << symbol.name;
    EXPECT_EQ(echo_runtime_symbol(symbol.name), symbol.address);
    EXPECT_EQ(echo_runtime_symbol(symbol.exported), symbol.address);
    EXPECT_EQ(std::string(symbol.type).find_first_not_of("vzildp?"), std::string::npos) << symbol.type;
    EXPECT_TRUE(names.insert(symbol.name).second);
    if (std::string(symbol.name) != "malloc") {
      EXPECT_STREQ(symbol.name, symbol.exported);
    }
  }
  EXPECT_TRUE(names.contains("malloc"));
  EXPECT_EQ(::dlsym(library, "echo_runtime_literal"), nullptr);
  ::dlclose(library);
}

TEST(EchoTable, OtherNamesAndPlacesAreUnknown) {
  EXPECT_EQ(echo_runtime_symbol("print"), nullptr);
  EXPECT_EQ(echo_runtime_symbol(""), nullptr);
  EXPECT_EQ(echo_runtime_symbol(nullptr), nullptr);
  echo_runtime_symbol_info info{};
  info.size = sizeof info;
  EXPECT_EQ(echo_runtime_symbol_at(60, &info), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_runtime_symbol_at(0, nullptr), ECHO_INVALID_ARGUMENT);
  info.size = 8;
  EXPECT_EQ(echo_runtime_symbol_at(0, &info), ECHO_INVALID_ARGUMENT);
}

// [runtime.table.2] A test of its own: one that has its name; the fixture sees to it that it calls the function.
TEST(EchoTable, EachOfThe60HasATestOfItsOwn) {
  std::set<std::string> tests;
  const auto& all = *::testing::UnitTest::GetInstance();
  for (int i = 0; i < all.total_test_suite_count(); ++i) {
    const auto& suite = *all.GetTestSuite(i);
    for (int j = 0; j < suite.total_test_count(); ++j) {
      tests.insert(suite.GetTestInfo(j)->name());
    }
  }
  for (const auto& symbol : all_symbols()) {
    EXPECT_TRUE(tests.contains(symbol.name)) << symbol.name << " has no test of its own";
  }
}

// Each has its row in the reference.
TEST(EchoTable, EachOfThe60IsDescribed) {
  std::ifstream stream(ECHO_TEST_REFERENCE);
  ASSERT_TRUE(stream);
  std::stringstream reference;
  reference << stream.rdbuf();
  const std::string text = reference.str();
  for (const auto& symbol : all_symbols()) {
    EXPECT_NE(text.find("| `" + std::string(symbol.name) + "` |"), std::string::npos) << symbol.name;
  }
}

} // namespace
} // namespace echo::test
