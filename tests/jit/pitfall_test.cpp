/* SPDX-License-Identifier: MIT
 *
 * pitfall_test.cpp - the safeguards against LLVM's pitfalls, each with its switch: with the safeguard the program is
 * right, without it the fault shows. The table in docs/jit.md names the test of each pitfall.
 */
#include "jit_fixture.h"

#include <algorithm>
#include <stdexcept>

namespace echo::testing {
namespace {

FakeHeap* current_heap = nullptr;

extern "C" void pitfall_collect() {
  current_heap->collect();
}
extern "C" void pitfall_throw() {
  throw std::runtime_error("thrown by a native");
}

/* One program on a fresh heap and JIT. */
class Program {
public:
  Program(const std::string& text, uint32_t switches, uint32_t optimise = 2) : jit(heap, optimise, switches) {
    current_heap = &heap;
    jit.define("test.collect", reinterpret_cast<void*>(pitfall_collect));
    jit.define("test.throw", reinterpret_cast<void*>(pitfall_throw));
    EXPECT_EQ(ECHO_OK, jit.add("declare void @test.collect()\n" + text)) << jit.error.message;
  }
  FakeHeap heap;
  TestJit jit;
};

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

/* P1: as a reference, the cursor of the second object is a pointer derived from the first: it moves with it. */
TEST(Pitfalls, P01CursorAsReferenceHasTheWrongBase) {
  /* Read by a function of its own, so that no pointer into an object is live over the collection. */
  const char* const text = R"(
define i64 @get(ptr addrspace(1) %o) noinline {
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  %x = load volatile i64, ptr addrspace(1) %p
  ret i64 %x
}
define i64 @f() {
  %a = call ptr addrspace(1) @echo.gc.new(ptr @box)
  %b = call ptr addrspace(1) @echo.gc.new(ptr @box)
  %pa = getelementptr i8, ptr addrspace(1) %a, i64 8
  store i64 40, ptr addrspace(1) %pa
  %pb = getelementptr i8, ptr addrspace(1) %b, i64 8
  store i64 2, ptr addrspace(1) %pb
  call void @test.collect()
  %x = call i64 @get(ptr addrspace(1) %a)
  %y = call i64 @get(ptr addrspace(1) %b)
  %r = add i64 %x, %y
  ret i64 %r
})";
  Program right(text, 0);
  EXPECT_EQ(42u, right.jit.call("f"));
  Program wrong(text, ECHO_JIT_CURSOR_AS_REFERENCE);
  EXPECT_NE(42u, wrong.jit.call("f"));
  EXPECT_GT(wrong.heap.derived_seen, right.heap.derived_seen) << "the second object hangs on the first";
}

/* P2: a parameter that no operation names is dead to O2, which passes poison in its place. */
TEST(Pitfalls, P02ThreadIsDroppedAsDead) {
  const char* const text = R"(
define i64 @callee(i64 %x) noinline { %r = mul i64 %x, 3 ret i64 %r }
define i64 @caller(i64 %x) { %y = add i64 %x, 1 %r = call i64 @callee(i64 %y) ret i64 %r }
)";
  EXPECT_FALSE(contains(lowered(text), "swiftself poison"));
  EXPECT_TRUE(contains(lowered(text), "swiftself %thread")) << lowered(text);
  EXPECT_TRUE(contains(lowered(text, 2, ECHO_JIT_THREAD_BEFORE_OPTIMISER), "swiftself poison"));
}

/* P3: "zeroed" covers the header too. */
TEST(Pitfalls, P03ZeroedAllocationFoldsTheHeader) {
  const char* const text = R"(
define i64 @f() {
  %o = call ptr addrspace(1) @echo.gc.new(ptr @box)
  %h = load i64, ptr addrspace(1) %o
  ret i64 %h
})";
  Program right(text, 0);
  EXPECT_EQ(uint64_t{right.heap.layout_by_name("box")} * 2 + 1, right.jit.call("f"));
  Program wrong(text, ECHO_JIT_ALLOCATION_IS_ZEROED);
  EXPECT_EQ(0u, wrong.jit.call("f"));
}

/* P4: from its tenth round on the loop asks for a stop, behind the optimiser's back. */
TEST(Pitfalls, P04HoistedPollMissesTheStop) {
  const char* const text = R"(
define i64 @f(i64 %n, ptr %word, i64 %none) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i1, %loop ]
  %ask = icmp uge i64 %i, 10
  %value = select i1 %ask, i64 0, i64 -1
  %where = and i64 %i, %none
  %at = getelementptr i64, ptr %word, i64 %where
  store i64 %value, ptr %at
  %i1 = add i64 %i, 1
  %go = icmp ult i64 %i1, %n
  br i1 %go, label %loop, label %done
done:
  ret i64 %i1
})";
  const auto polls = [&](uint32_t switches) {
    Program run(text, switches);
    run.jit.call("f", {100, reinterpret_cast<uint64_t>(&run.heap.block().poll_word), 0});
    return run.heap.poll_cold;
  };
  EXPECT_GT(polls(0), 1u);
  EXPECT_EQ(0u, polls(ECHO_JIT_OPTIMISE_POLLS));
}

const char* const kStore = R"(
define void @f(ptr addrspace(1) %a, ptr addrspace(1) %b) {
  %pa = getelementptr i8, ptr addrspace(1) %a, i64 16
  store ptr addrspace(1) %b, ptr addrspace(1) %pa
  ret void
})";

/* P5: the barrier reads the old value. */
TEST(Pitfalls, P05LateBarrierSeesTheNewValue) {
  const auto seen = [](uint32_t switches) {
    Program run(kStore, switches);
    run.heap.set_phase(1);
    uint64_t a[3] = {3, 0, 77}, b[3] = {3, 0, 0}, value = 0;
    run.heap.on_store_cold = [&] { value = a[2]; };
    run.jit.call("f", {reinterpret_cast<uint64_t>(a), reinterpret_cast<uint64_t>(b)});
    return value;
  };
  EXPECT_EQ(77u, seen(0));
  EXPECT_NE(77u, seen(ECHO_JIT_BARRIER_AFTER_STORE));
}

const char* const kCopyTwo = R"(
define void @f(ptr addrspace(1) %to, ptr addrspace(1) %from) {
  %p1 = getelementptr i8, ptr addrspace(1) %from, i64 8
  %v1 = load ptr addrspace(1), ptr addrspace(1) %p1
  %p2 = getelementptr i8, ptr addrspace(1) %from, i64 16
  %v2 = load ptr addrspace(1), ptr addrspace(1) %p2
  %q1 = getelementptr i8, ptr addrspace(1) %to, i64 8
  store ptr addrspace(1) %v1, ptr addrspace(1) %q1
  %q2 = getelementptr i8, ptr addrspace(1) %to, i64 16
  store ptr addrspace(1) %v2, ptr addrspace(1) %q2
  ret void
})";

/* P6: two plain stores side by side become one of 16 bytes, which another thread may see in halves. */
TEST(Pitfalls, P06PlainStoresAreMerged) {
  const auto wide_stores = [](uint32_t switches) {
    const std::vector<std::string> lines = disassemble(kCopyTwo, "f", 2, switches | ECHO_JIT_OMIT_BARRIERS);
    return std::count_if(lines.begin(), lines.end(), [](const std::string& line) {
      return line.find("movup") != std::string::npos && line.find("xmm") < line.find('(');
    });
  };
  EXPECT_EQ(0, wide_stores(0));
  EXPECT_EQ(1, wide_stores(ECHO_JIT_PLAIN_STORES));
}

/* P7: after a safepoint the object is no longer new to the heap, and its stores need the barrier. */
TEST(Pitfalls, P07ElisionOverASafepointHidesAStore) {
  const char* const text = R"(
define ptr addrspace(1) @f() {
  %n = call ptr addrspace(1) @echo.gc.new(ptr @node)
  call void @test.collect()
  %p = getelementptr i8, ptr addrspace(1) %n, i64 8
  store ptr addrspace(1) %n, ptr addrspace(1) %p
  ret ptr addrspace(1) %n
})";
  const auto barriers = [&](uint32_t switches) {
    Program run(text, switches);
    run.heap.set_phase(1);
    run.jit.call("f");
    return run.heap.store_cold;
  };
  EXPECT_EQ(1u, barriers(0));
  EXPECT_EQ(0u, barriers(ECHO_JIT_ELIDE_OVER_SAFEPOINTS));
}

/* P8: two barriers test the phase twice, since the first may change it. "Fixing" that drops them. */
TEST(Pitfalls, P08BarriersWithoutEffectVanish) {
  const char* const text = R"(
define void @f(ptr addrspace(1) %a, ptr addrspace(1) %b) {
  %p = getelementptr i8, ptr addrspace(1) %a, i64 8
  store ptr addrspace(1) %b, ptr addrspace(1) %p
  %q = getelementptr i8, ptr addrspace(1) %a, i64 16
  store ptr addrspace(1) %b, ptr addrspace(1) %q
  ret void
})";
  const auto barriers = [&](uint32_t switches) {
    Program run(text, switches);
    run.heap.set_phase(1);
    uint64_t a[3] = {3, 0, 0};
    run.jit.call("f", {reinterpret_cast<uint64_t>(a), reinterpret_cast<uint64_t>(a)});
    return run.heap.store_cold;
  };
  EXPECT_EQ(2u, barriers(0));
  EXPECT_EQ(0u, barriers(ECHO_JIT_BARRIER_WITHOUT_EFFECT));
  const std::vector<std::string> lines = disassemble(text, "f");
  EXPECT_EQ(2, std::count_if(lines.begin(), lines.end(), [](const std::string& line) {
              return line.starts_with("cmpb\t$0x0, 0x28(%r13)");
            }));
}

/* P9: twelve values live over a poll fill every register that preserve_most promises to keep, rax among them. */
TEST(Pitfalls, P09PollKeepsRax) {
  std::string text = "@in = global i64 1\ndefine i64 @f() {\n";
  for (int i = 0; i < 14; ++i)
    text += "%v" + std::to_string(i) + " = load volatile i64, ptr @in\n";
  text += "call void @echo.gc.safepoint()\n%s0 = add i64 0, 0\n";
  for (int i = 0; i < 14; ++i)
    text += "%m" + std::to_string(i) + " = mul i64 %s" + std::to_string(i) + ", 10\n%s" +
            std::to_string(i + 1) + " = add i64 %m" + std::to_string(i) + ", %v" + std::to_string(i) + "\n";
  text += "ret i64 %s14 }";
  const auto sum = [&](uint32_t switches) {
    Program run(text, switches);
    run.heap.set_poll_always(true);
    return run.jit.call("f");
  };
  EXPECT_EQ(11111111111111u, sum(0));
  EXPECT_NE(11111111111111u, sum(ECHO_JIT_STUBS_LOSE_RAX));
}

/* P11, rule: no vectoriser runs. */
TEST(Pitfalls, P11VectorisersMakeVectorsOfReferences) {
  EXPECT_FALSE(contains(lowered(kCopyTwo), "<2 x ptr addrspace(1)>"));
  EXPECT_TRUE(contains(lowered(kCopyTwo, 2, ECHO_JIT_VECTORISE | ECHO_JIT_VECTOR_IS_ONE_ROOT),
                       "<2 x ptr addrspace(1)>"));
}

/* P11, code: vectors are split before statepoints, and a location of two words would be two roots. */
TEST(Pitfalls, P11VectorOfReferencesIsTwoRoots) {
  const std::string text = std::string(kMake) + R"(
define i64 @f(i64 %i) {
  %a = call ptr addrspace(1) @make(i64 40)
  %b = call ptr addrspace(1) @make(i64 2)
  %v1 = insertelement <2 x ptr addrspace(1)> poison, ptr addrspace(1) %a, i64 0
  %v2 = insertelement <2 x ptr addrspace(1)> %v1, ptr addrspace(1) %b, i64 1
  call void @test.collect()
  %a1 = extractelement <2 x ptr addrspace(1)> %v2, i64 %i
  %j = sub i64 1, %i
  %b1 = extractelement <2 x ptr addrspace(1)> %v2, i64 %j
  %pa = getelementptr i8, ptr addrspace(1) %a1, i64 8
  %pb = getelementptr i8, ptr addrspace(1) %b1, i64 8
  %x = load i64, ptr addrspace(1) %pa
  %y = load i64, ptr addrspace(1) %pb
  %r = add i64 %x, %y
  ret i64 %r
})";
  for (uint32_t optimise : {0u, 2u}) {
    Program right(text, 0, optimise);
    EXPECT_EQ(42u, right.jit.call("f", {0}));
    Program wrong(text, ECHO_JIT_VECTOR_IS_ONE_ROOT, optimise);
    EXPECT_NE(42u, wrong.jit.call("f", {0}));
  }
}

/* P14: an integer that became a reference is reported, and moved, as one. */
TEST(PitfallsDeathTest, P14IntegerAsReferenceIsARoot) {
  const char* const text = R"(
define ptr addrspace(1) @f(i64 %x) {
  %p = inttoptr i64 %x to ptr addrspace(1)
  call void @test.collect()
  ret ptr addrspace(1) %p
})";
  FakeHeap heap;
  TestJit refusing(heap);
  EXPECT_EQ(ECHO_REF_AS_INTEGER, refusing.add("declare void @test.collect()\n" + std::string(text)));
  EXPECT_DEATH(
      {
        Program run(text, ECHO_JIT_ALLOW_REF_AS_INTEGER);
        run.jit.call("f", {0x123451});
      },
      "a root outside the space in use: 0x123451");
}

/* P15: LLVM's assertions are off: a stale reference compiles without a word, but for the verifier. */
TEST(PitfallsDeathTest, P15StaleReferenceIsSeenByTheVerifierOnly) {
  const char* const text = R"(
define i64 @f() {
  %o = call ptr addrspace(1) @echo.gc.new(ptr @box)
  call void @test.collect()
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  %x = load i64, ptr addrspace(1) %p
  ret i64 %x
})";
  Program right(text, ECHO_JIT_VERIFY);
  EXPECT_EQ(0u, right.jit.call("f"));
  EXPECT_DEATH(Program(text, ECHO_JIT_VERIFY | ECHO_JIT_STALE_REFERENCE), "Illegal use of unrelocated value");
}

/* P17: an exception passes the entry's own code by. */
TEST(Pitfalls, P17ExceptionLeavesTheAnchorBehind) {
  const char* const text =
      "declare void @test.throw()\ndefine void @f() { call void @test.throw() ret void }";
  const auto anchor_after = [&](uint32_t switches) {
    Program run(text, switches);
    EXPECT_EQ(ECHO_ABANDONED, run.jit.try_call("f"));
    const uint64_t pc = run.heap.block().anchor_pc;
    run.heap.block().anchor_pc = 0;
    return pc;
  };
  EXPECT_EQ(0u, anchor_after(0));
  EXPECT_NE(0u, anchor_after(ECHO_JIT_NO_ENTRY_GUARD));
}

/* P18: a native that collects finds the frames below it by the anchor only. */
TEST(Pitfalls, P18NativeWithoutAnchorLosesTheCallersObjects) {
  const char* const text = R"(
define i64 @f() {
  %o = call ptr addrspace(1) @echo.gc.new(ptr @box)
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  store i64 42, ptr addrspace(1) %p
  call void @test.collect()
  %x = load volatile i64, ptr addrspace(1) %p
  ret i64 %x
})";
  Program right(text, 0);
  EXPECT_EQ(42u, right.jit.call("f"));
  EXPECT_EQ(1u, right.heap.frames);
  Program wrong(text, ECHO_JIT_NATIVE_WITHOUT_ANCHOR);
  EXPECT_NE(42u, wrong.jit.call("f"));
  EXPECT_EQ(0u, wrong.heap.frames);
}

/* P24: a local variable as front ends write it. */
TEST(Pitfalls, P24WithoutPromotionLocalVariablesAreLost) {
  const char* const text = R"(
define i64 @f() {
  %slot = alloca ptr addrspace(1)
  %o = call ptr addrspace(1) @echo.gc.new(ptr @box)
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  store i64 42, ptr addrspace(1) %p
  store ptr addrspace(1) %o, ptr %slot
  call void @test.collect()
  %o1 = load ptr addrspace(1), ptr %slot
  %p1 = getelementptr i8, ptr addrspace(1) %o1, i64 8
  %x = load i64, ptr addrspace(1) %p1
  ret i64 %x
})";
  Program right(text, 0, 0);
  EXPECT_EQ(42u, right.jit.call("f"));
  FakeHeap heap;
  TestJit refusing(heap, 0, ECHO_JIT_SKIP_PROMOTION);
  EXPECT_EQ(ECHO_REF_IN_STACK_SLOT, refusing.add("declare void @test.collect()\n" + std::string(text)))
      << "what promotion leaves is refused";
  Program wrong(text, ECHO_JIT_SKIP_PROMOTION | ECHO_JIT_ALLOW_REF_IN_STACK, 0);
  EXPECT_NE(42u, wrong.jit.call("f"));
}

} // namespace
} // namespace echo::testing
