// SPDX-License-Identifier: MIT
//
// Purpose     Registered root words: refusals with their sentence, disjointness against a naive model, the
//             bound.
#include "gc/global_roots.h"

#include "tests/heap/seed.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <thread>
#include <vector>

namespace echo {
namespace {

TEST(GlobalRoots, RefusesWhatIsNoRange) {
  GlobalRoots roots;
  std::vector<echo_ref> words(4);
  std::string why;
  const std::string sentence = "a root range needs an address aligned to 8 and a count over 0";
  EXPECT_EQ(roots.add(nullptr, 1, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(why, sentence);
  EXPECT_EQ(roots.add(words.data(), 0, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(why, sentence);
  auto* misaligned = reinterpret_cast<echo_ref*>(reinterpret_cast<char*>(words.data()) + 4);
  EXPECT_EQ(roots.add(misaligned, 1, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(why, sentence);
  EXPECT_EQ(roots.remove(words.data(), &why), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(why, "no root range begins at this address");
  EXPECT_EQ(roots.words(), 0u);
}

TEST(GlobalRoots, TheBoundHoldsAndSaysWhatToDo) { // [roots.block.1]
  GlobalRoots roots;
  std::vector<echo_ref> words(GlobalRoots::kMaxWords + 1);
  std::string why;
  EXPECT_EQ(roots.add(words.data(), GlobalRoots::kMaxWords + 1, &why), ECHO_LIMIT_EXCEEDED);
  EXPECT_EQ(roots.add(words.data(), UINT64_MAX, &why), ECHO_LIMIT_EXCEEDED) << "no sum wraps";
  EXPECT_EQ(roots.add(words.data(), 8000, &why), ECHO_OK);
  EXPECT_EQ(roots.add(&words[8000], 193, &why), ECHO_LIMIT_EXCEEDED);
  EXPECT_EQ(
      why,
      "8000 root words are registered, 193 more exceed the bound of 8192: keep references in a heap object "
      "instead");
  EXPECT_EQ(roots.add(&words[8000], 192, &why), ECHO_OK);
  EXPECT_EQ(roots.words(), GlobalRoots::kMaxWords);
  EXPECT_EQ(roots.remove(words.data(), &why), ECHO_OK);
  EXPECT_EQ(roots.words(), 192u);
}

TEST(GlobalRoots, OverlapsAgainstAModel) { // [roots.global.1]
  SCOPED_TRACE(test::seed_message());
  test::Random random(test::test_seed());
  GlobalRoots roots;
  std::vector<echo_ref> words(256);
  std::vector<std::size_t> owner(words.size(), SIZE_MAX);
  std::map<std::size_t, std::size_t> ranges;
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[i] = reinterpret_cast<echo_ref>(8 * (i + 1));
  }
  for (int step = 0; step < 20000; ++step) {
    std::string why;
    const std::size_t first = random.below(words.size());
    if (random.chance(60)) {
      const std::size_t count = random.between(1, std::min<std::size_t>(words.size() - first, 20));
      bool free = true;
      for (std::size_t i = first; i < first + count; ++i) {
        free = free && owner[i] == SIZE_MAX;
      }
      const echo_status status = roots.add(&words[first], count, &why);
      ASSERT_EQ(status, free ? ECHO_OK : ECHO_INVALID_ARGUMENT);
      if (free) {
        std::fill_n(owner.begin() + static_cast<std::ptrdiff_t>(first), count, first);
        ranges[first] = count;
      } else {
        ASSERT_EQ(why, "the range overlaps root words that are registered already");
      }
    } else {
      const auto it = ranges.find(first);
      ASSERT_EQ(roots.remove(&words[first], &why), it != ranges.end() ? ECHO_OK : ECHO_INVALID_ARGUMENT);
      if (it != ranges.end()) {
        std::fill_n(owner.begin() + static_cast<std::ptrdiff_t>(first), it->second, SIZE_MAX);
        ranges.erase(it);
      }
    }
    if (step % 100 == 0) {
      std::vector<bool> seen(words.size());
      roots.for_each([&](ObjectRef o) { seen.at(o.address / 8 - 1) = true; });
      for (std::size_t i = 0; i < words.size(); ++i) {
        ASSERT_EQ(seen[i], owner[i] != SIZE_MAX) << i;
      }
    }
  }
}

// While marks are compared with roots nobody changes them from outside the stop. [verify.mark.1]
TEST(GlobalRoots, FrozenRootsChangeLater) {
  GlobalRoots roots;
  std::vector<echo_ref> words(4);
  std::string why;
  ASSERT_EQ(roots.add(words.data(), 2, &why), ECHO_OK);
  roots.freeze(true);
  std::atomic<int> changed{0};
  std::thread outside([&] {
    std::string reason;
    EXPECT_EQ(roots.remove(words.data(), &reason), ECHO_OK);
    ++changed;
    EXPECT_EQ(roots.add(words.data(), 4, &reason), ECHO_OK);
    ++changed;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(changed, 0);
  EXPECT_EQ(roots.words(), 2u);
  roots.freeze(false);
  outside.join();
  EXPECT_EQ(roots.words(), 4u);
}

} // namespace
} // namespace echo
