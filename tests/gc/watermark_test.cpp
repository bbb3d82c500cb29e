// SPDX-License-Identifier: MIT
//
// Purpose     The watermark of a thread's frames: set in a stop, passed by polls in bounded portions, over
//             frames that went away, and together with stops. [roots.frames.1] [roots.frames.5] [roots.frames.6]
#include "gc/watermark.h"

#include "tests/gc/test_heap.h"

#include <algorithm>
#include <gtest/gtest.h>

namespace echo {
namespace {

using test::TestHeap;

// Frames of 16 bytes: number 1 is the oldest, with the highest frame pointer. pc is the number.
constexpr std::uint64_t kTop = 1u << 20;
std::uint64_t fp_of(std::uint64_t number) {
  return kTop - number * 16;
}
echo_frame_cursor frame(std::uint64_t number) {
  return {fp_of(number) - 8, fp_of(number), number};
}

struct Frames final : FrameWalk {
  std::vector<std::uint64_t> visited;
  std::uint32_t most_at_once = UINT32_MAX, most_asked = 0;
  std::uint64_t unmapped = 0;
  echo_status walk(echo_frame_cursor* cursor, std::uint32_t most, std::uint32_t* count,
                   std::string* why) override {
    most_asked = std::max(most_asked, most);
    *count = 0;
    while (cursor->pc != 0 && *count < std::min(most, most_at_once)) {
      if (cursor->pc == unmapped) {
        *why = "no map";
        return ECHO_FRAME_WITHOUT_MAP;
      }
      visited.push_back(cursor->pc);
      *cursor = cursor->pc == 1 ? echo_frame_cursor{} : frame(cursor->pc - 1);
      ++*count;
    }
    return ECHO_OK;
  }
};

struct WatermarkTest : ::testing::Test {
  Watermark mark;
  Frames frames;
  std::string why;
  // As the thread would: a poll in frame `number` is cold if its frame pointer is above the word.
  bool poll(std::uint64_t number) {
    if (fp_of(number) <= mark.word()) {
      return false;
    }
    EXPECT_EQ(mark.pass(frame(number), frames, &why), ECHO_OK) << why;
    return true;
  }
};

TEST_F(WatermarkTest, LiesOnTheOldestFrameVisited) {
  ASSERT_EQ(mark.set(frame(100), frames, &why), ECHO_OK);
  EXPECT_EQ(frames.visited, (std::vector<std::uint64_t>{100, 99, 98, 97}));
  for (std::uint64_t n : {100u, 99u, 98u}) {
    EXPECT_LE(fp_of(n), mark.word()) << n << " returns to a frame that was visited";
  }
  EXPECT_GT(fp_of(97), mark.word()) << "97 returns to one that was not";
}

TEST_F(WatermarkTest, ReturnsVisitEachFrameOnceInPortions) {
  for (const std::uint32_t at_once : {UINT32_MAX, 5u, 1u}) {
    frames = {};
    frames.most_at_once = at_once;
    ASSERT_EQ(mark.set(frame(1000), frames, &why), ECHO_OK);
    for (std::uint64_t n = 1000; n > 0; --n) {
      const std::size_t before = frames.visited.size();
      poll(n);
      EXPECT_LE(frames.visited.size() - before, Watermark::kFramesPerVisit);
      EXPECT_LE(frames.visited.back(), std::max<std::uint64_t>(n, 2) - 1) << "the caller was visited";
    }
    EXPECT_FALSE(mark.is_set());
    EXPECT_EQ(mark.word(), kPollIdle);
    EXPECT_EQ(frames.visited.size(), 1000u);
    EXPECT_LT(frames.most_asked, Watermark::kFramesPerVisit);
  }
}

TEST_F(WatermarkTest, FewFramesNeedNone) {
  for (std::uint64_t n : {1u, 2u, 4u}) {
    ASSERT_EQ(mark.set(frame(n), frames, &why), ECHO_OK);
    EXPECT_FALSE(mark.is_set()) << n;
  }
  ASSERT_EQ(mark.set({}, frames, &why), ECHO_OK);
  EXPECT_FALSE(mark.is_set());
}

TEST_F(WatermarkTest, NewFramesBelowRunFreely) {
  ASSERT_EQ(mark.set(frame(100), frames, &why), ECHO_OK);
  for (std::uint64_t n = 5000; n > 97; --n) {
    EXPECT_FALSE(poll(n));
  }
}

TEST_F(WatermarkTest, DroppedFramesAreNotVisited) { // an exception from 100 to 50; a landing pad polls
  ASSERT_EQ(mark.set(frame(100), frames, &why), ECHO_OK);
  frames.visited.clear();
  EXPECT_TRUE(poll(50));
  EXPECT_EQ(frames.visited.front(), 50u);
  EXPECT_EQ(frames.visited.size(), Watermark::kFramesPerVisit);
  frames.visited.clear();
  EXPECT_EQ(mark.pass({}, frames, &why), ECHO_OK) << "all managed frames are gone";
  EXPECT_FALSE(mark.is_set());
  EXPECT_TRUE(frames.visited.empty());
}

TEST_F(WatermarkTest, MovesAtEachStop) {
  ASSERT_EQ(mark.set(frame(100), frames, &why), ECHO_OK);
  EXPECT_TRUE(poll(97));
  frames.visited.clear();
  ASSERT_EQ(mark.set(frame(5000), frames, &why), ECHO_OK);
  EXPECT_EQ(frames.visited.back(), 4997u);
  EXPECT_GT(fp_of(4997), mark.word());
}

TEST_F(WatermarkTest, AFrameWithoutMapEndsIt) {
  frames.unmapped = 90;
  ASSERT_EQ(mark.set(frame(100), frames, &why), ECHO_OK);
  EXPECT_EQ(mark.pass(frame(97), frames, &why), ECHO_FRAME_WITHOUT_MAP);
  EXPECT_EQ(why, "no map");
  EXPECT_FALSE(mark.is_set());
  frames.unmapped = 0;
  frames.most_at_once = 0;
  EXPECT_EQ(mark.set(frame(100), frames, &why), ECHO_FRAME_WITHOUT_MAP);
  EXPECT_EQ(why, "the frame source makes no progress");
}

// A heap with a thread whose frames hold one reference each; pc of a frame is its number.
struct Stack {
  std::vector<echo_ref> slots;
  std::uint64_t visits = 0;
  static echo_status walk(void* context, echo_thread*, echo_frame_cursor* cursor, std::uint32_t most,
                          std::uint32_t* visited, echo_visit_slot_fn visit, void* visitor, echo_error*) {
    auto& self = *static_cast<Stack*>(context);
    while (cursor->pc != 0 && *visited < most) {
      visit(visitor, &self.slots[cursor->pc - 1], nullptr);
      *cursor = cursor->pc == 1 ? echo_frame_cursor{} : frame(cursor->pc - 1);
      ++*visited;
      ++self.visits;
    }
    return ECHO_OK;
  }
};

class WatermarkHeapTest : public ::testing::Test {
protected:
  static Config config() {
    Config c = test::quiet_config();
    c.stress_frames = true;
    c.poison = true;
    return c;
  }
  void use(TestHeap& heap, std::uint64_t frames) {
    for (std::uint64_t i = 0; i < frames; ++i) {
      stack.slots.push_back(test::as_root(heap.make(heap.bytes, 16)));
    }
    const echo_frame_source source{sizeof source, 0, &stack, Stack::walk};
    std::string why;
    ASSERT_EQ(heap.collector.roots.frames.set(&source, &why), ECHO_OK) << why;
    stand_in(heap, frames);
  }
  static void stand_in(TestHeap& heap, std::uint64_t number) {
    const echo_frame_cursor at = number == 0 ? echo_frame_cursor{} : frame(number);
    heap.mutator->anchor_sp = at.sp;
    heap.mutator->anchor_fp = at.fp;
    heap.mutator->anchor_pc = at.pc;
  }
  // The recipe of a poll in frame `number`.
  static void poll(TestHeap& heap, std::uint64_t number) {
    stand_in(heap, number);
    if (fp_of(number) > heap.mutator->poll_word.load()) {
      heap.collector.poll(*heap.mutator);
    }
  }
  Stack stack;
};

TEST_F(WatermarkHeapTest, TheReturnPollsOfAThreadVisitItsFrames) {
  TestHeap heap(config());
  use(heap, 500);
  heap.collect();
  EXPECT_EQ(heap.mutator->poll_word.load(), heap.mutator->watermark.word());
  EXPECT_EQ(heap.mutator->poll_word.load(), fp_of(497) - 1);
  stack.visits = 0;
  for (std::uint64_t n = 500; n > 0; --n) {
    poll(heap, n);
  }
  EXPECT_EQ(stack.visits, 496u);
  EXPECT_EQ(heap.mutator->poll_word.load(), kPollIdle);
  std::string why;
  EXPECT_EQ(heap.collect(&why), ECHO_OK) << why;
}

TEST_F(WatermarkHeapTest, AStopIsSeenAboveAndBelowTheWatermark) {
  TestHeap heap(config());
  use(heap, 100);
  heap.collect();
  const std::uint64_t cold = heap.mutator->cold_polls;
  poll(heap, 100);
  EXPECT_EQ(heap.mutator->cold_polls, cold) << "below the watermark";
  heap.mutator->poll_word.store(0); // a request
  poll(heap, 100);
  EXPECT_EQ(heap.mutator->cold_polls, cold + 1);
  EXPECT_EQ(heap.mutator->poll_word.load(), fp_of(97) - 1) << "the watermark is back";
  heap.mutator->poll_word.store(0);
  poll(heap, 97);
  EXPECT_EQ(heap.mutator->watermark.word(), fp_of(97 - 32) - 1) << "both at once";
  heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Native);
  heap.mutator->poll_word.store(0);
  heap.collector.safepoints.leave_native(*heap.mutator);
  EXPECT_EQ(heap.mutator->poll_word.load(), heap.mutator->watermark.word());
}

// Broken on purpose: a frame above the watermark changes its reference, as if it had run before its visit.
TEST_F(WatermarkHeapTest, AFrameThatRanUnvisitedIsFoundOut) {
  TestHeap heap(config());
  use(heap, 100);
  heap.collect();
  stack.slots[49] = test::as_root(heap.make(heap.bytes, 16)); // born after the mark
  for (std::uint64_t n = 100; n > 0; --n) {
    poll(heap, n);
  }
  std::string why;
  EXPECT_EQ(heap.collector.failure(&why), ECHO_HEAP_CORRUPT);
  EXPECT_NE(why.find("a frame above the watermark"), std::string::npos) << why;
}

TEST_F(WatermarkHeapTest, WithoutTheOptionNoneIsSet) {
  Config c = test::quiet_config();
  TestHeap heap(c);
  use(heap, 100);
  heap.collect();
  EXPECT_EQ(heap.mutator->poll_word.load(), kPollIdle);
}

} // namespace
} // namespace echo
