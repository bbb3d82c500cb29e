// SPDX-License-Identifier: MIT
//
// Purpose     Runs the scenarios of the C11 translation unit.
#include "tests/vm_iface/c11_embedder.h"

#include <gtest/gtest.h>

namespace {

constexpr const char* kWhere = "the line of c11_embedder.c that failed";

TEST(C11, ListsSurvive) {
  EXPECT_EQ(c11_lists_survive(), 0) << kWhere;
}
TEST(C11, ErrorsAreValues) {
  EXPECT_EQ(c11_errors_are_values(), 0) << kWhere;
}
TEST(C11, TwoHeaps) {
  EXPECT_EQ(c11_two_heaps(), 0) << kWhere;
}
TEST(C11, Threads) {
  EXPECT_EQ(c11_threads(), 0) << kWhere;
}

} // namespace
