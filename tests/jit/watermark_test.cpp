/* SPDX-License-Identifier: MIT
 *
 * watermark_test.cpp - frames that a collection left unvisited are visited before control comes back to them, whichever
 * way it comes: by a return, an exception, abandonment, through C++ frames. [roots.frames.1] [jit.poll.2] [jit.entry.5]
 *
 * Method      The heap visits the four youngest frames in a collection and moves every object at once; the older frames
 *             hold addresses of poisoned memory until a poll finds the watermark and has a portion of them visited.
 *             A frame that ran before its visit would read the poison.
 */
#include "jit_fixture.h"

#include <cstdio>
#include <pthread.h>
#include <stdexcept>

namespace echo::testing {
namespace {

constexpr uint64_t kPortion = 32;

FakeHeap* current_heap = nullptr;
TestJit* current_jit = nullptr;

extern "C" void watermark_collect() {
  current_heap->collect();
}
extern "C" void watermark_throw() {
  throw std::runtime_error("thrown below the watermark");
}
extern "C" void watermark_abandon() {
  echo_error why{};
  why.code = ECHO_HEAP_LIMIT;
  std::snprintf(why.message, sizeof why.message, "abandoned below the watermark");
  echo_jit_abandon(current_jit->get(), current_heap->thread(), &why);
}
/* A C++ frame between managed ones: 1000 + the status if the inner call fails. */
extern "C" int64_t watermark_inner(int64_t depth, int64_t end) {
  const echo_status status =
      current_jit->try_call("nest", {static_cast<uint64_t>(depth), static_cast<uint64_t>(end)});
  return status == ECHO_OK ? static_cast<int64_t>(current_jit->result) : 1000 + status;
}

/* nest(n, end): n + 1 frames, each with a box of its own that holds its depth; at the bottom a collection, and then what
 * `end` says: 0 return, 1 throw, 2 abandon. The sum of all boxes. */
const char* const kText = R"(
declare void @test.collect()
declare void @test.throw()
declare void @test.abandon()
declare i64 @test.inner(i64, i64)
declare i32 @__gxx_personality_v0(...)
declare ptr @__cxa_begin_catch(ptr) "gc-leaf-function"
declare void @__cxa_end_catch()
define ptr addrspace(1) @make(i64 %x) noinline {
  %o = call ptr addrspace(1) @echo.gc.new(ptr @box)
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  store i64 %x, ptr addrspace(1) %p
  ret ptr addrspace(1) %o
}
define i64 @value(ptr addrspace(1) %o) noinline {
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  %x = load volatile i64, ptr addrspace(1) %p
  ret i64 %x
}
define void @bottom(i64 %end) noinline {
  call void @test.collect()
  switch i64 %end, label %out [ i64 1, label %throws
                                i64 2, label %abandons ]
throws:
  call void @test.throw()
  ret void
abandons:
  call void @test.abandon()
  ret void
out:
  ret void
}
define i64 @nest(i64 %n, i64 %end) noinline {
entry:
  %o = call ptr addrspace(1) @make(i64 %n)
  %last = icmp eq i64 %n, 0
  br i1 %last, label %stop, label %more
stop:
  call void @bottom(i64 %end)
  %x0 = call i64 @value(ptr addrspace(1) %o)
  ret i64 %x0
more:
  %m = sub i64 %n, 1
  %r = call i64 @nest(i64 %m, i64 %end)
  %x = call i64 @value(ptr addrspace(1) %o)
  %s = add i64 %r, %x
  ret i64 %s
}
; stands still in the middle of the way back, collects again, and descends once more from there
define i64 @again(i64 %n, i64 %turn) noinline {
entry:
  %o = call ptr addrspace(1) @make(i64 %n)
  %last = icmp eq i64 %n, 0
  br i1 %last, label %stop, label %more
stop:
  call void @test.collect()
  br label %out
more:
  %m = sub i64 %n, 1
  %r = call i64 @again(i64 %m, i64 %turn)
  %here = icmp eq i64 %n, %turn
  br i1 %here, label %down, label %out
down:
  %r2 = call i64 @nest(i64 %n, i64 0)
  %both = add i64 %r, %r2
  br label %out
out:
  %below = phi i64 [ 0, %stop ], [ %r, %more ], [ %both, %down ]
  %x = call i64 @value(ptr addrspace(1) %o)
  %s = add i64 %below, %x
  ret i64 %s
}
@saved = global ptr addrspace(1) null
; catches above the watermark; what it then reads comes from a module variable, what the callers read from their frames
define i64 @catches(i64 %n) noinline personality ptr @__gxx_personality_v0 {
  %o = call ptr addrspace(1) @make(i64 5000)
  store ptr addrspace(1) %o, ptr @saved
  %r = invoke i64 @nest(i64 %n, i64 1) to label %normal unwind label %pad
normal:
  ret i64 %r
pad:
  %e = landingpad { ptr, i32 } catch ptr null
  %p = extractvalue { ptr, i32 } %e, 0
  %b = call ptr @__cxa_begin_catch(ptr %p)
  call void @__cxa_end_catch()
  %s = load ptr addrspace(1), ptr @saved
  %x = call i64 @value(ptr addrspace(1) %s)
  ret i64 %x
}
define i64 @around(i64 %depth, i64 %n) noinline {
entry:
  %o = call ptr addrspace(1) @make(i64 %depth)
  %last = icmp eq i64 %depth, 0
  br i1 %last, label %stop, label %more
stop:
  %c = call i64 @catches(i64 %n)
  ret i64 %c
more:
  %d = sub i64 %depth, 1
  %r = call i64 @around(i64 %d, i64 %n)
  %x = call i64 @value(ptr addrspace(1) %o)
  %s = add i64 %r, %x
  ret i64 %s
}
; managed frames above C++ frames above managed frames
define i64 @mixed(i64 %depth, i64 %n, i64 %end) noinline {
entry:
  %o = call ptr addrspace(1) @make(i64 %depth)
  %last = icmp eq i64 %depth, 0
  br i1 %last, label %stop, label %more
stop:
  %c = call i64 @test.inner(i64 %n, i64 %end)
  %x0 = call i64 @value(ptr addrspace(1) %o)
  %s0 = add i64 %c, %x0
  ret i64 %s0
more:
  %d = sub i64 %depth, 1
  %r = call i64 @mixed(i64 %d, i64 %n, i64 %end)
  %x = call i64 @value(ptr addrspace(1) %o)
  %s = add i64 %r, %x
  ret i64 %s
}
)";

uint64_t sum_to(uint64_t n) {
  return n * (n + 1) / 2;
}

class Lazy {
public:
  explicit Lazy(uint32_t optimise, uint32_t switches = 0, uint64_t bytes = uint64_t{8} << 20)
      : heap(bytes), jit(heap, optimise, switches) {
    current_heap = &heap;
    current_jit = &jit;
    jit.define("test.collect", reinterpret_cast<void*>(watermark_collect));
    jit.define("test.throw", reinterpret_cast<void*>(watermark_throw));
    jit.define("test.abandon", reinterpret_cast<void*>(watermark_abandon));
    jit.define("test.inner", reinterpret_cast<void*>(watermark_inner));
    EXPECT_EQ(ECHO_OK, jit.add(kText)) << jit.error.message;
    heap.frames_per_collection = 4;
    heap.walk_slice = kPortion;
  }
  FakeHeap heap;
  TestJit jit;
};

class Watermark : public ::testing::TestWithParam<uint32_t>, public Lazy {
protected:
  Watermark() : Lazy(GetParam()) {}
};
INSTANTIATE_TEST_SUITE_P(Levels, Watermark, ::testing::Values(0u, 2u),
                         [](const ::testing::TestParamInfo<uint32_t>& level) {
                           return "O" + std::to_string(level.param);
                         });

TEST_P(Watermark, IsPassedByReturns) {
  EXPECT_EQ(sum_to(1000), jit.call("nest", {1000, 0}));
  EXPECT_FALSE(heap.watermark_is_set());
  EXPECT_EQ(1002u, heap.frames) << "every frame is visited once: the bottom's and 1001";
  EXPECT_GE(heap.portions, 1000 / kPortion);
  EXPECT_LE(heap.largest_portion, kPortion);
}

TEST_P(Watermark, MovesWithTheNextCollection) {
  EXPECT_EQ(sum_to(1000) + sum_to(700), jit.call("again", {1000, 700}));
  EXPECT_EQ(2u, heap.collections);
  EXPECT_LE(heap.largest_portion, kPortion);
  EXPECT_GE(heap.frames, 1000u + 700) << "both descents, and the frames above the second again";
}

TEST_P(Watermark, IsPassedByExceptions) {
  EXPECT_EQ(5000 + sum_to(300), jit.call("around", {300, 200}));
  EXPECT_FALSE(heap.watermark_is_set());
  EXPECT_LT(heap.frames, 300u + 1 + 1 + 4 + kPortion) << "of the 200 frames that the exception dropped, four";
}

TEST_P(Watermark, IsPassedByAbandonment) {
  const uint64_t status = 1000 + ECHO_HEAP_LIMIT;
  EXPECT_EQ(status + sum_to(300), jit.call("mixed", {300, 200, 2}));
  EXPECT_FALSE(heap.watermark_is_set());
  EXPECT_EQ(ECHO_HEAP_LIMIT, jit.try_call("nest", {300, 2})) << "nothing above: no frame is left to visit";
  EXPECT_FALSE(heap.watermark_is_set());
  EXPECT_EQ(sum_to(10), jit.call("nest", {10, 0}));
}

TEST_P(Watermark, IsPassedByExceptionsThroughCxxFrames) {
  EXPECT_EQ(1000 + ECHO_ABANDONED + sum_to(300), jit.call("mixed", {300, 200, 1}));
  EXPECT_FALSE(heap.watermark_is_set());
}

TEST_P(Watermark, IsPassedByReturnsThroughCxxFrames) {
  EXPECT_EQ(sum_to(200) + sum_to(300), jit.call("mixed", {300, 200, 0}));
  EXPECT_EQ(sum_to(3) + sum_to(300), jit.call("mixed", {300, 3, 0}));
  EXPECT_EQ(sum_to(1) + sum_to(300), jit.call("mixed", {300, 1, 0}))
      << "the fourth frame lies above the C++ frame";
  EXPECT_FALSE(heap.watermark_is_set());
}

/* On a stack large enough for 100 000 frames. */
void on_large_stack(void* (*body)(void*), void* argument) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, size_t{256} << 20);
  pthread_t thread;
  ASSERT_EQ(0, pthread_create(&thread, &attributes, body, argument));
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

/* 100 000 frames; then, from the middle of the way back, 100 000 new ones between two stops. */
TEST_P(Watermark, OfAHundredThousandFrames) {
  on_large_stack(
      [](void* self) -> void* {
        auto& lazy = *static_cast<Lazy*>(static_cast<Watermark*>(self));
        EXPECT_EQ(sum_to(100000), lazy.jit.call("nest", {100000, 0}));
        EXPECT_EQ(100002u, lazy.heap.frames);
        EXPECT_EQ(sum_to(100000) * 2, lazy.jit.call("again", {100000, 100000}));
        return nullptr;
      },
      this);
  EXPECT_EQ(3u, heap.collections);
  EXPECT_LE(heap.largest_portion, kPortion);
  EXPECT_GE(heap.portions, 3 * 100000 / kPortion - 10);
  EXPECT_FALSE(heap.watermark_is_set());
}

/* Broken on purpose: without polls at returns and landing pads the frames run unvisited. */
TEST(WatermarkFault, WithoutReturnPollsFramesRunUnvisited) {
  for (uint32_t optimise : {0u, 2u}) {
    Lazy lazy(optimise, ECHO_JIT_LOOP_POLLS_ONLY);
    EXPECT_NE(sum_to(1000), lazy.jit.call("nest", {1000, 0}));
    EXPECT_TRUE(lazy.heap.watermark_is_set());
  }
}

/* Broken on purpose: without the poll of the entry, abandonment passes the watermark unseen. */
TEST(WatermarkFault, WithoutTheEntrysPollAbandonmentPassesUnseen) {
  Lazy lazy(2, ECHO_JIT_NO_ENTRY_GUARD);
  EXPECT_EQ(ECHO_HEAP_LIMIT, lazy.jit.try_call("nest", {300, 2}));
  EXPECT_TRUE(lazy.heap.watermark_is_set());
}

} // namespace
} // namespace echo::testing
