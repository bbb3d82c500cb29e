/* SPDX-License-Identifier: MIT
 *
 * identity_test.cpp - identity hashes, and natives that block: at every level, on a heap that moves every object.
 * [jit.hash.1] [jit.native.3] [jit.native.4]
 */
#include "jit_fixture.h"

#include <algorithm>
#include <cstring>
#include <set>

namespace echo::testing {
namespace {

FakeHeap* current_heap = nullptr;

extern "C" void identity_collect() {
  current_heap->collect();
}

const char* const kText = R"(
declare void @test.collect()
declare i64 @test.block(i64, double, i64, i64, i64, i64, i64, i64)
define i64 @hash(ptr addrspace(1) %o) noinline {
  %h = call i64 @echo.gc.identity_hash(ptr addrspace(1) %o)
  ret i64 %h
}
; 0 if an object's hash is the same before and after each of three moves, also where it was asked for late
define i64 @stable() {
  %a = call ptr addrspace(1) @echo.gc.new(ptr @box)
  %b = call ptr addrspace(1) @echo.gc.new(ptr @box)
  call void @test.collect()
  %a1 = call i64 @hash(ptr addrspace(1) %a)
  call void @test.collect()
  %a2 = call i64 @hash(ptr addrspace(1) %a)
  %b1 = call i64 @hash(ptr addrspace(1) %b)
  call void @test.collect()
  %a3 = call i64 @hash(ptr addrspace(1) %a)
  %b2 = call i64 @hash(ptr addrspace(1) %b)
  %x1 = xor i64 %a1, %a2
  %x2 = xor i64 %a1, %a3
  %x3 = xor i64 %b1, %b2
  %y1 = or i64 %x1, %x2
  %y2 = or i64 %y1, %x3
  ret i64 %y2
}
define i64 @fresh() {
  %o = call ptr addrspace(1) @echo.gc.new(ptr @box)
  %h = call i64 @hash(ptr addrspace(1) %o)
  ret i64 %h
}
; the native's result times 1000, and the box that lived over the call
define i64 @blocks(i64 %x) {
  %o = call ptr addrspace(1) @echo.gc.new(ptr @box)
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  store i64 42, ptr addrspace(1) %p
  %r = call i64 @test.block(i64 %x, double 2.5, i64 3, i64 4, i64 5, i64 6, i64 7, i64 8)
  %v = load volatile i64, ptr addrspace(1) %p
  %m = mul i64 %r, 1000
  %s = add i64 %m, %v
  ret i64 %s
}
)";

uint32_t state_inside = 0;
bool collects_inside = false, asks_inside = false;

/* Blocks while another thread collects: here, does what that thread would do. */
extern "C" int64_t identity_block(int64_t a, double b, int64_t c, int64_t d, int64_t e, int64_t f, int64_t g,
                                  int64_t h) {
  state_inside = current_heap->block().state;
  if (collects_inside)
    current_heap->collect();
  if (asks_inside)
    current_heap->block().poll_word = 0;
  return a + static_cast<int64_t>(b * 2) + c + d + e + f + g + h;
}
constexpr uint64_t kSum = 1 + 5 + 3 + 4 + 5 + 6 + 7 + 8;

struct Level {
  uint32_t optimise, operations;
};

class Identity : public ::testing::TestWithParam<Level> {
protected:
  Identity() : jit_(heap_, GetParam().optimise, 0, nullptr, 0, GetParam().operations) {
    current_heap = &heap_;
    collects_inside = asks_inside = false;
    jit_.define("test.collect", reinterpret_cast<void*>(identity_collect));
    jit_.define("test.block", reinterpret_cast<void*>(identity_block), ECHO_JIT_SYMBOL_BLOCKING);
    EXPECT_EQ(ECHO_OK, jit_.add(kText)) << jit_.error.message;
  }
  FakeHeap heap_;
  TestJit jit_;
};
INSTANTIATE_TEST_SUITE_P(Levels, Identity,
                         ::testing::Values(Level{0, 0}, Level{2, 0}, Level{0, ECHO_JIT_OPERATIONS_CALLED},
                                           Level{2, ECHO_JIT_OPERATIONS_CALLED}),
                         [](const ::testing::TestParamInfo<Level>& level) {
                           return "O" + std::to_string(level.param.optimise) +
                                  (level.param.operations != 0 ? "Called" : "");
                         });

TEST_P(Identity, HashIsStableOverMoves) {
  for (int round = 0; round < 3; ++round)
    EXPECT_EQ(0u, jit_.call("stable"));
  EXPECT_GT(heap_.hash_cold, 0u);
}

TEST_P(Identity, HashesDiffer) {
  std::set<uint64_t> hashes;
  for (int i = 0; i < 1000; ++i)
    hashes.insert(jit_.call("fresh"));
  EXPECT_GE(hashes.size(), 999u);
}

TEST_P(Identity, SecondHashTakesTheFastPath) {
  uint64_t object[2] = {3, 0};
  const auto address = reinterpret_cast<uint64_t>(object);
  const uint64_t first = jit_.call("hash", {address});
  EXPECT_EQ(1u, heap_.hash_cold);
  EXPECT_EQ(first, jit_.call("hash", {address}));
  EXPECT_EQ(1u, heap_.hash_cold);
  EXPECT_NE(first, address) << "not the address itself";
}

TEST_P(Identity, BlockingNativesRunNative) {
  EXPECT_EQ(kSum * 1000 + 42, jit_.call("blocks", {1})) << "all arguments arrive";
  EXPECT_EQ(kFakeNative, state_inside);
  EXPECT_EQ(kFakeManaged, heap_.block().state);
  EXPECT_EQ(0u, heap_.enter_cold + heap_.leave_cold) << "without a stop no cold path";
}

TEST_P(Identity, AStopWhileNativeMovesWhatTheFrameHolds) {
  collects_inside = true;
  EXPECT_EQ(kSum * 1000 + 42, jit_.call("blocks", {1}));
  EXPECT_EQ(1u, heap_.collections);
  EXPECT_EQ(1u, heap_.frames);
}

/* A stop that is still on when the native returns is waited for in the cold path; the frame's objects move meanwhile. */
TEST_P(Identity, LeavingWaitsForTheStop) {
  asks_inside = true;
  heap_.on_leave_cold = [&] { heap_.collect(); };
  EXPECT_EQ(kSum * 1000 + 42, jit_.call("blocks", {1})) << "the result and the moved box";
  EXPECT_EQ(1u, heap_.leave_cold);
  EXPECT_EQ(1u, heap_.collections);
  EXPECT_EQ(kFakeManaged, heap_.block().state);
}

/* Asked for before: the thread may be the last that the stop waits for, and does its work on the way out. */
TEST_P(Identity, EnteringArrivesAtTheStop) {
  heap_.block().poll_word = 0;
  heap_.on_enter_cold = [&] {
    EXPECT_EQ(kFakeNative, heap_.block().state);
    heap_.collect();
    heap_.block().poll_word = 0;
    asm volatile("pcmpeqd %%xmm0, %%xmm0" ::: "xmm0");
  };
  EXPECT_EQ(kSum * 1000 + 42, jit_.call("blocks", {1})) << "arguments survive, the double too";
  EXPECT_EQ(1u, heap_.enter_cold);
  EXPECT_EQ(1u, heap_.leave_cold);
}

TEST(IdentityRefusal, WhatTheHeapDoesNotHave) { // [abi.recipe.5]
  {
    FakeHeap heap;
    heap.recipes().hash_cold = nullptr;
    TestJit jit(heap);
    EXPECT_EQ(
        ECHO_NOT_SUPPORTED,
        jit.add(
            "define i64 @f(ptr addrspace(1) %o) { %h = call i64 @echo.gc.identity_hash(ptr addrspace(1) %o) "
            "ret i64 %h }"));
    EXPECT_NE(nullptr, std::strstr(jit.error.message, "no identity hash")) << jit.error.message;
    EXPECT_EQ(ECHO_OK, jit.add("define i64 @f() { ret i64 1 }")) << "declared only: " << jit.error.message;
  }
  FakeHeap heap;
  heap.recipes().leave_native_cold = nullptr;
  TestJit jit(heap);
  EXPECT_EQ(ECHO_NOT_SUPPORTED,
            jit.add("declare void @b() \"echo-blocking\"\ndefine void @f() { call void @b() ret void }"));
  EXPECT_NE(nullptr, std::strstr(jit.error.message, "no native transitions")) << jit.error.message;
}

TEST(IdentityRefusal, MisuseOfBlocking) {
  const std::pair<const char*, const char*> cases[] = {
      {"define void @b() \"echo-blocking\" { ret void }", "only native functions may block"},
      {"declare void @b() \"echo-blocking\" \"gc-leaf-function\"\n", "choose one"},
      {"declare void @b() \"echo-blocking\"\ndefine void @f() \"gc-leaf-function\" { call void @b() ret void "
       "}",
       "may block"},
      {"declare void @b() \"echo-blocking\"\ndeclare i32 @__gxx_personality_v0(...)\n"
       "define void @f() personality ptr @__gxx_personality_v0 {\n invoke void @b() to label %n unwind label "
       "%p\n"
       "n:\n ret void\np:\n %e = landingpad { ptr, i32 } catch ptr null\n ret void }",
       "does not throw"},
  };
  for (const auto& [text, words] : cases) {
    FakeHeap heap;
    TestJit jit(heap);
    EXPECT_EQ(ECHO_UNSUPPORTED_OPERATION, jit.add(text)) << jit.error.message;
    EXPECT_NE(nullptr, std::strstr(jit.error.message, words)) << jit.error.message;
  }
}

TEST(IdentityLowering, LeavingIsAnExchangeATestAndABranch) {
  const std::vector<std::string> lines = disassemble("declare i64 @getpid() \"echo-blocking\"\n"
                                                     "define i64 @f() { %r = call i64 @getpid() ret i64 %r }",
                                                     "f");
  const auto exchange = std::find_if(lines.begin(), lines.end(), [](const std::string& line) {
    return line.starts_with("xchgl") && line.find("0x2c(%r13)") != std::string::npos;
  });
  ASSERT_NE(lines.end(), exchange);
  EXPECT_TRUE(std::any_of(exchange, lines.end(), [](const std::string& line) {
    return line.starts_with("cmpq\t$0x0, 0x18(%r13)");
  }));
}

} // namespace
} // namespace echo::testing
