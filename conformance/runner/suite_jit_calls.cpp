// SPDX-License-Identifier: MIT
//
// suite_jit_calls.cpp - compiled code and what it calls, waits for and fails with.
#include "jit_levels.h"
#include "workers.h"

#include <atomic>
#include <chrono>

namespace conformance {

namespace {

// --- native functions
// ------------------------------------------------------------------------------------------------

struct Native {
  const Mutator* mutator = nullptr;
  const JitMachine* jit = nullptr;
  std::uint64_t calls = 0;
  std::string failure;
};
Native native;

// Called from managed code; what it does, it does with references of its callers on the stack.
std::uint64_t native_collect(std::uint64_t argument) {
  ++native.calls;
  if (native.mutator->heap().plugin().has(ECHO_FEATURE_COLLECTS))
    native.mutator->collect();
  return argument + 1;
}
// Comes back into managed code, in which collections happen below two groups of managed frames.
std::uint64_t native_nested(std::uint64_t depth) {
  ++native.calls;
  native.mutator->collect();
  return depth == 0 ? 0 : native.jit->call("outer", {depth - 1});
}

const char* const kNative = R"(
declare i64 @native(i64)
define i64 @outer(i64 %depth) {
  %node = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %p = getelementptr i8, ptr addrspace(1) %node, i64 24
  store i64 %depth, ptr addrspace(1) %p
  %r = call i64 @native(i64 %depth)
  %garbage = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %q = getelementptr i8, ptr addrspace(1) %garbage, i64 24
  store volatile i64 -1, ptr addrspace(1) %q
  %mine = load i64, ptr addrspace(1) %p
  %sum = add i64 %r, %mine
  ret i64 %sum
}
)";

void native_calls_may_collect(Context& context) {
  at_both_levels(context, calm, [](Fixture& f, JitMachine& jit, const std::string& level) {
    f.plugin.require(ECHO_FEATURE_COLLECTS);
    native = {&f.mutator, &jit, 0, ""};
    jit.define("native", reinterpret_cast<void*>(&native_collect));
    jit.add(kNative);
    for (std::uint64_t i = 0; i < 20; ++i)
      EXPECT_EQ(jit.call("outer", {i}), 2 * i + 1, "result over a native call that collects " + level);
    EXPECT_EQ(native.calls, std::uint64_t{20}, "native calls " + level);
  });
}

void native_calls_may_nest(Context& context) {
  at_both_levels(context, calm, [](Fixture& f, JitMachine& jit, const std::string& level) {
    f.plugin.require(ECHO_FEATURE_COLLECTS);
    native = {&f.mutator, &jit, 0, ""};
    jit.define("native", reinterpret_cast<void*>(&native_nested));
    jit.add(kNative);
    EXPECT_EQ(jit.call("outer", {50}), std::uint64_t{1275}, "sum over 51 nested entries " + level);
    EXPECT_EQ(native.calls, std::uint64_t{51}, "native calls " + level);
  });
}

// --- polls and threads
// -----------------------------------------------------------------------------------------------

void loops_poll(Context& context) {
  at_both_levels(context, calm, [](Fixture& f, JitMachine& jit, const std::string& level) {
    f.plugin.require(ECHO_FEATURE_COLLECTS);
    jit.add(R"(
define i64 @spin(ptr %flag) {
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %head ]
  %f = load atomic i64, ptr %flag monotonic, align 8
  %next = add i64 %i, 1
  %go = icmp eq i64 %f, 0
  br i1 %go, label %head, label %exit
exit:
  ret i64 %next
}
define i64 @spin_by_hand(ptr %flag) {
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %head ]
  call void @echo.gc.safepoint()
  %f = load atomic i64, ptr %flag monotonic, align 8
  %next = add i64 %i, 1
  %go = icmp eq i64 %f, 0
  br i1 %go, label %head, label %exit
exit:
  ret i64 %next
}
)");
    for (const char* name : {"spin", "spin_by_hand"}) {
      void* function = jit.function(name);
      std::atomic<std::uint64_t> flag{0};
      std::atomic<bool> inside{false};
      Workers workers(f.heap);
      workers.start([&](const Mutator& m) {
        inside = true;
        jit.call_on(m, function, {reinterpret_cast<std::uintptr_t>(&flag)});
      });
      while (!inside)
        std::this_thread::yield();
      const auto began = std::chrono::steady_clock::now();
      for (int i = 0; i < 20; ++i)
        f.mutator.collect();
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
      flag = 1;
      workers.join_from(f.mutator);
      EXPECT(seconds < 20, std::string(name) + ": 20 collections took " + show(seconds) + " s " + level);
    }
  });
}

void mutators_in_parallel(Context& context) {
  const auto options = [](const Plugin& p) {
    return p.options_with("max_heap=32m", {"stress_collect=50", "poison=on", "stress_yield=on"});
  };
  at_both_levels(context, options, [](Fixture& f, JitMachine& jit, const std::string& level) {
    jit.add(kLists);
    void* function = jit.function("build_and_sum");
    Workers workers(f.heap);
    for (std::uint64_t t = 0; t < 3; ++t)
      workers.start([&, t](const Mutator& m) {
        for (std::uint64_t i = 0; i < 30; ++i) {
          const std::uint64_t n = 100 + 10 * t + i;
          EXPECT_EQ(jit.call_on(m, function, {n}), n * (n - 1) / 2, "sum in thread " + show(t) + " " + level);
        }
      });
    workers.join_from(f.mutator);
  });
}

// --- errors
// ----------------------------------------------------------------------------------------------------------

void full_heaps_end_the_call(Context& context) {
  at_both_levels(context, tight, [](Fixture& f, JitMachine& jit, const std::string& level) {
    jit.add(std::string(kLists) + R"(
define i64 @array(i64 %n) {
  %a = call ptr addrspace(1) @echo.gc.new_array(ptr @refs, i64 %n)
  %l = call i64 @echo.gc.length(ptr addrspace(1) %a)
  ret i64 %l
}
)");
    for (int turn = 0; turn < 3; ++turn) {
      std::uint64_t result = 0;
      echo_error why = untouched_error();
      EXPECT_STATUS(jit.try_call("build", {10000000}, &result, &why), ECHO_HEAP_LIMIT,
                    "320 MB in 2 MB " + level);
      expect_error(why, ECHO_HEAP_LIMIT, "320 MB in 2 MB " + level);
      if (f.plugin.has(ECHO_FEATURE_COLLECTS))
        EXPECT_EQ(jit.call("build_and_sum", {1000}), std::uint64_t{499500}, "a call after that " + level);
      why = untouched_error();
      EXPECT_STATUS(jit.try_call("array", {UINT64_MAX}, &result, &why), ECHO_INVALID_ARGUMENT,
                    "length -1 " + level);
      expect_error(why, ECHO_INVALID_ARGUMENT, "length -1 " + level);
    }
  });
}

void bad_modules_are_errors(Context& context) {
  at_both_levels(context, calm, [&context](Fixture&, JitMachine& jit, const std::string& level) {
    const std::string whole = std::string(kJitPrelude) + kLists;
    for (int i = 0; i < 40; ++i) {
      std::string text = whole.substr(0, context.random.below(whole.size()));
      if (context.random.chance(2))
        text = whole.substr(whole.size() - text.size());
      if (!text.empty() && context.random.chance(2))
        text[static_cast<std::size_t>(context.random.below(text.size()))] =
            static_cast<char>(context.random.below(256));
      text += "\n!"; // never a whole module
      echo_error why = untouched_error();
      const echo_status status = jit.try_add(text, &why);
      EXPECT_STATUS(status, ECHO_IR_INVALID, "a torn module " + level);
      expect_error(why, status, "a torn module " + level);
    }
    echo_error why = untouched_error();
    EXPECT_STATUS(jit.try_add(R"(
declare ptr addrspace(1) @echo.gc.new(i64)
define ptr addrspace(1) @make() {
  %n = call ptr addrspace(1) @echo.gc.new(i64 1)
  ret ptr addrspace(1) %n
}
)",
                              &why),
                  ECHO_BAD_ABSTRACT_OPERATION, "echo.gc.new of another type " + level);
    expect_error(why, ECHO_BAD_ABSTRACT_OPERATION, "echo.gc.new of another type " + level);
    jit.add(kLists); // and goes on
    EXPECT_EQ(jit.call("build_and_sum", {100}), std::uint64_t{4950}, "a call after refused modules " + level);
  });
}

void lying_layouts_are_errors(Context& context) {
  at_both_levels(context, calm, [](Fixture&, JitMachine& jit, const std::string& level) {
    std::string text = kJitPrelude;
    const std::string honest = "i64 32, i32 0, i32 0, i32 0, i32 2, ptr @node_slots";
    text.replace(text.find(honest), honest.size(), "i64 16, i32 0, i32 0, i32 0, i32 2, ptr @node_slots");
    echo_error why = untouched_error();
    const echo_status status = jit.try_add(text + kLists, &why);
    EXPECT_STATUS(status, ECHO_BAD_LAYOUT, "a module with a layout whose slot is outside " + level);
    expect_error(why, ECHO_BAD_LAYOUT, "a module with a layout whose slot is outside " + level);
  });
}

} // namespace

std::vector<Test> jit_call_tests() {
  return {
      {"native_calls_may_collect", "a native function collects below managed frames", "[jit.native.1]",
       native_calls_may_collect},
      {"native_calls_may_nest", "managed code below native code below managed code", "[jit.native.1]",
       native_calls_may_nest},
      {"loops_poll", "a loop without calls reaches a safepoint", "[jit.poll.1]", loops_poll},
      {"mutators_in_parallel", "three threads in managed code, under stress",
       "[jit.thread.1] [abi.collect.2]", mutators_in_parallel, 120},
      {"full_heaps_end_the_call", "out of memory ends the call with an error, and the thread goes on",
       "[alloc.slow.1] [abi.alloc.3]", full_heaps_end_the_call},
      {"bad_modules_are_errors", "torn modules and wrong operations are refused in words (random)",
       "[abi.error.1] [jit.refuse.1]", bad_modules_are_errors},
      {"lying_layouts_are_errors", "a layout that lies is refused with the module", "[abi.layout.3]",
       lying_layouts_are_errors},
  };
}

} // namespace conformance
