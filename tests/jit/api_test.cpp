/* SPDX-License-Identifier: MIT
 *
 * api_test.cpp - the C functions: versions, options, bad input, symbols, statistics, life time.
 */
#include "jit_fixture.h"

#include <cstring>
#include <random>

namespace echo::testing {
namespace {

TEST(Api, TableIsServedByVersion) {
  echo_error error{};
  const echo_jit_api* const table = echo_jit_plugin(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, &error);
  ASSERT_NE(nullptr, table);
  EXPECT_EQ(sizeof(echo_jit_api), table->size);
  EXPECT_EQ(&echo_jit_create, table->create);
  EXPECT_EQ(&echo_jit_get_statistics, table->statistics);
  EXPECT_EQ(nullptr, echo_jit_plugin(ECHO_ABI_MAJOR + 1, 0, &error));
  EXPECT_EQ(ECHO_VERSION_MISMATCH, error.code);
  EXPECT_EQ(nullptr, echo_jit_plugin(ECHO_ABI_MAJOR, ECHO_ABI_MINOR + 1, nullptr));
}

TEST(Api, NullArgumentsAreRefused) {
  FakeHeap heap;
  echo_jit* jit = nullptr;
  void* address = nullptr;
  echo_error error{};
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_create(nullptr, heap.handle(), nullptr, &jit, &error));
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_create(heap.api(), nullptr, nullptr, &jit, &error));
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_create(heap.api(), heap.handle(), nullptr, nullptr, nullptr));
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_destroy(nullptr, &error));
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_add_module(nullptr, "m", "", 0, &error));
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_lookup(nullptr, "f", &address, &error));
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_define(nullptr, "f", &address, 0, &error));
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_get_statistics(nullptr, nullptr));
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_function_at(nullptr, 0, nullptr, 0));
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_define_typed(nullptr, "f", &address, 0, "v", &error));
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_function_type(nullptr, &address, nullptr, 0));
  echo_jit_abandon(nullptr, nullptr, nullptr);
}

TEST(Api, OptionsAreChecked) {
  FakeHeap heap;
  const auto create = [&](echo_jit_options options) {
    echo_jit* jit = nullptr;
    echo_error error{};
    options.size = sizeof options;
    const echo_status status = echo_jit_create(heap.api(), heap.handle(), &options, &jit, &error);
    EXPECT_EQ(nullptr, jit);
    EXPECT_NE('\0', error.message[0]);
    return status;
  };
  echo_jit_options options{};
  options.optimise = 1;
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, create(options));
  options = {};
  options.switches = 1u << 31;
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, create(options));
  options = {};
  options.compile_threads = 1000000;
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, create(options));
  options = {};
  options.operations = 2;
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, create(options));
  options = {};
  options.dump_ir = "/nowhere/at/all";
  EXPECT_EQ(ECHO_IO_ERROR, create(options));
}

TEST(Api, RecipesAreChecked) {
  const auto status = [](auto change) {
    FakeHeap heap;
    change(heap.recipes());
    echo_jit* jit = nullptr;
    echo_error error{};
    return echo_jit_create(heap.api(), heap.handle(), nullptr, &jit, &error);
  };
  EXPECT_EQ(ECHO_VERSION_MISMATCH, status([](echo_recipes& recipes) { recipes.version = 2; }));
  EXPECT_EQ(ECHO_VERSION_MISMATCH, status([](echo_recipes& recipes) { recipes.size = 8; }));
  EXPECT_EQ(ECHO_VERSION_MISMATCH, status([](echo_recipes& recipes) { recipes.granule = 12; }));
  EXPECT_EQ(ECHO_VERSION_MISMATCH, status([](echo_recipes& recipes) { recipes.store_kind = 9; }));
  EXPECT_EQ(ECHO_VERSION_MISMATCH, status([](echo_recipes& recipes) { recipes.poll_cold = nullptr; }));
  EXPECT_EQ(ECHO_VERSION_MISMATCH, status([](echo_recipes& recipes) { recipes.poll_offset = 3; }));
}

TEST(Api, OneJitPerHeap) {
  FakeHeap heap;
  {
    TestJit first(heap);
    echo_jit* second = nullptr;
    echo_error error{};
    EXPECT_EQ(ECHO_WRONG_STATE, echo_jit_create(heap.api(), heap.handle(), nullptr, &second, &error));
    EXPECT_TRUE(heap.has_source);
  }
  EXPECT_FALSE(heap.has_source);
  TestJit third(heap);
}

TEST(Api, TypesOfFunctionsAreTold) {
  FakeHeap heap;
  TestJit jit(heap);
  ASSERT_EQ(
      ECHO_OK,
      jit.add("define void @a() { ret void }\n"
              "define ptr addrspace(1) @b(i1 %a, i8 %b, i16 %c, i32 %d, i64 %e, ptr %f) {\n"
              "ret ptr addrspace(1) null }\n"
              "define internal i64 @c(ptr addrspace(1) %o) noinline { ret i64 7 }\n"
              "define i64 @d(ptr addrspace(1) %o) { %r = call i64 @c(ptr addrspace(1) %o) ret i64 %r }"))
      << jit.error.message;
  const auto type = [&](void* function) {
    char text[16] = "";
    const echo_status status = echo_jit_function_type(jit.get(), function, text, sizeof text);
    return status == ECHO_OK ? std::string(text) : "none";
  };
  EXPECT_EQ("v", type(jit.lookup("a")));
  EXPECT_EQ("rzbsilp", type(jit.lookup("b")));
  EXPECT_EQ("lr", type(jit.lookup("d")));
  EXPECT_EQ("none", type(static_cast<char*>(jit.lookup("d")) + 1));
  EXPECT_EQ("none", type(&heap));
  char small[2];
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_function_type(jit.get(), jit.lookup("d"), small, sizeof small));
}

TEST(Api, NativesAreDeclaredWithTheirTypes) {
  FakeHeap heap;
  TestJit jit(heap);
  const auto define = [&](const char* name, const char* type) {
    return echo_jit_define_typed(jit.get(), name, reinterpret_cast<void*>(&std::abort), ECHO_JIT_SYMBOL_LEAF,
                                 type, &jit.error);
  };
  for (const char* bad : {"", "x", "vv", "lv", "v."})
    EXPECT_EQ(ECHO_INVALID_ARGUMENT, define("vm.bad", bad)) << bad;
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, define("vm.bad", nullptr));
  ASSERT_EQ(ECHO_OK, define("vm.all", "rzbsilfdp")) << jit.error.message;
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, define("vm.all", "v")) << "defined already";
  const char* const right = "declare ptr addrspace(1) @vm.all(i1, i8, i16, i32, i64, float, double, ptr)\n"
                            "define ptr @address() { ret ptr @vm.all }";
  EXPECT_EQ(ECHO_OK, jit.add(right, "right")) << jit.error.message;
  EXPECT_EQ(ECHO_BAD_ABSTRACT_OPERATION, jit.add("declare void @vm.all(i64)", "wrong"));
  EXPECT_NE(nullptr,
            std::strstr(jit.error.message, "wrong: 'vm.all' is declared as 'void (i64)'; its type is "
                                           "'ptr addrspace(1) (i1, i8, i16, i32, i64, float, double, ptr)'"))
      << jit.error.message;
  /* called with another type than declared, in a function that is named */
  EXPECT_EQ(ECHO_BAD_ABSTRACT_OPERATION,
            jit.add("declare ptr addrspace(1) @vm.all(i1, i8, i16, i32, i64, float, double, ptr)\n"
                    "define void @caller() { call void @vm.all(i64 1) ret void }",
                    "wrong"));
  EXPECT_NE(nullptr,
            std::strstr(jit.error.message, "'vm.all' is called as 'void (i64)' in function 'caller'"))
      << jit.error.message;
}

/* --- bad input
 * ---------------------------------------------------------------------------------------------------- */

TEST(Api, InvalidIrNamesThePlace) {
  FakeHeap heap;
  TestJit jit(heap);
  const std::pair<const char*, const char*> cases[] = {
      {"", "bad.ll: it is empty"},
      {"define i64 @f( {", "line 1"},
      {"\n\ndefine i64 @f() { ret i32 0 }", "line 3"},
      {"define i64 @f() { %a = add i64 %b, 1 ret i64 %a }", "line 1"},
      {"target triple = \"aarch64-linux-gnu\"\ndefine void @f() { ret void }", "aarch64"},
      {"target datalayout = \"E-p:32:32\"\ndefine void @f() { ret void }", "data layout"},
      {"BC\xC0\xDE garbage", "bad.ll"},
  };
  for (const auto& [text, words] : cases) {
    EXPECT_EQ(ECHO_IR_INVALID, jit.add_raw(text, "bad.ll")) << text;
    EXPECT_NE(nullptr, std::strstr(jit.error.message, words)) << jit.error.message;
  }
  /* parses, but the verifier objects */
  EXPECT_EQ(ECHO_IR_INVALID,
            jit.add_raw("define i64 @f() {\na:\n %x = add i64 %y, 1\n %y = add i64 1, 1\n ret i64 %x\n}"))
      << jit.error.message;
}

TEST(Api, EveryTruncationOfTextIsAValue) {
  FakeHeap heap;
  TestJit jit(heap);
  const std::string whole = std::string(kPrelude) + "define ptr addrspace(1) @f() {\n"
                                                    "%o = call ptr addrspace(1) @echo.gc.new(ptr @node)\n"
                                                    "ret ptr addrspace(1) %o\n}\n";
  size_t refused = 0;
  for (size_t length = 0; length + 2 < whole.size(); length += 7)
    refused += jit.add_raw(whole.substr(0, length), "cut") == ECHO_IR_INVALID;
  EXPECT_GT(refused, 100u);
}

TEST(Api, InvalidAssemblyIsAValue) {
  FakeHeap heap;
  TestJit jit(heap);
  EXPECT_EQ(ECHO_CODEGEN_FAILED,
            jit.add("define void @f() { call void asm sideeffect \"nonsense here\", \"\"() ret void }"));
  EXPECT_NE(nullptr, std::strstr(jit.error.message, "nonsense")) << jit.error.message;
  ASSERT_EQ(ECHO_OK, jit.add("define i64 @g() { ret i64 3 }", "good"));
  EXPECT_EQ(3u, jit.call("g"));
}

/* --- symbols
 * ------------------------------------------------------------------------------------------------------ */

extern "C" int64_t test_late() {
  return 11;
}

TEST(Api, MissingSymbolsAreAllNamed) {
  FakeHeap heap;
  TestJit jit(heap);
  ASSERT_EQ(ECHO_OK,
            jit.add("declare i64 @late_a()\ndeclare i64 @late_b()\n@late_c = external global i64\n"
                    "define i64 @f() { %a = call i64 @late_a() %b = call i64 @late_b()\n"
                    "%c = load i64, ptr @late_c %s = add i64 %a, %b %t = add i64 %s, %c ret i64 %t }",
                    "one"));
  ASSERT_EQ(ECHO_OK, jit.add_raw("declare i64 @f()\ndefine i64 @g() { %a = call i64 @f() ret i64 %a }\n"
                                 "define i64 @h() { ret i64 4 }",
                                 "two"));
  void* address = nullptr;
  EXPECT_EQ(ECHO_MISSING_SYMBOL, echo_jit_lookup(jit.get(), "g", &address, &jit.error));
  for (const char* word : {"'late_a' (module one)", "'late_b' (module one)", "'late_c' (module one)"})
    EXPECT_NE(nullptr, std::strstr(jit.error.message, word)) << jit.error.message;
  EXPECT_EQ(ECHO_MISSING_SYMBOL, echo_jit_lookup(jit.get(), "nobody", &address, &jit.error));
  EXPECT_NE(nullptr, std::strstr(jit.error.message, "'nobody'"));
  /* defined later, the lookup succeeds [jit.symbol.1] */
  static int64_t late_c = 20;
  jit.define("late_a", reinterpret_cast<void*>(test_late));
  jit.define("late_b", reinterpret_cast<void*>(test_late));
  jit.define("late_c", &late_c);
  EXPECT_EQ(42u, jit.call("g"));
}

TEST(Api, DefinitionsAreChecked) {
  FakeHeap heap;
  TestJit jit(heap);
  int word = 0;
  echo_error error{};
  EXPECT_EQ(ECHO_OK, echo_jit_define(jit.get(), "x", &word, ECHO_JIT_SYMBOL_NATIVE, &error));
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_define(jit.get(), "x", &word, ECHO_JIT_SYMBOL_NATIVE, &error));
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_define(jit.get(), "y", nullptr, ECHO_JIT_SYMBOL_NATIVE, &error));
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_define(jit.get(), "y", &word, 7, &error));
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_define(jit.get(), "", &word, 0, &error));
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_define(jit.get(), "echo.gc.new", &word, 0, &error));
}

TEST(Api, SymbolsOfTheVmComeBeforeThoseOfTheProcess) {
  FakeHeap heap;
  TestJit jit(heap);
  jit.define("getpid", reinterpret_cast<void*>(test_late));
  ASSERT_EQ(ECHO_OK,
            jit.add("declare i64 @getpid()\ndefine i64 @f() { %r = call i64 @getpid() ret i64 %r }"));
  EXPECT_EQ(11u, jit.call("f"));
}

TEST(Api, DoubleDefinitionsAreRefused) {
  FakeHeap heap;
  TestJit jit(heap);
  ASSERT_EQ(ECHO_OK, jit.add_raw("define i64 @f() { ret i64 1 }"));
  EXPECT_NE(ECHO_OK, jit.add_raw("define i64 @f() { ret i64 2 }"));
  EXPECT_NE(nullptr, std::strstr(jit.error.message, "f")) << jit.error.message;
  EXPECT_EQ(1u, jit.call("f"));
}

/* --- calls
 * -------------------------------------------------------------------------------------------------------- */

TEST(Api, CallsAreChecked) {
  FakeHeap heap;
  TestJit jit(heap);
  ASSERT_EQ(ECHO_OK,
            jit.add_raw("define i64 @two(i64 %a, i64 %b) { %r = sub i64 %a, %b ret i64 %r }\n"
                        "define double @real(double %x) { ret double %x }\n"
                        "define i8 @narrow(i64 %x) { %r = trunc i64 %x to i8 ret i8 %r }\n"
                        "define void @nothing() { ret void }\n"
                        "define i64 @six(i64 %a, i64 %b, i64 %c, i64 %d, i64 %e, i64 %f) {\n"
                        "%1 = mul i64 %a, 10 %2 = add i64 %1, %b %3 = mul i64 %2, 10 %4 = add i64 %3, %c\n"
                        "%5 = mul i64 %4, 10 %6 = add i64 %5, %d %7 = mul i64 %6, 10 %8 = add i64 %7, %e\n"
                        "%9 = mul i64 %8, 10 %10 = add i64 %9, %f ret i64 %10 }"));
  EXPECT_EQ(123456u, jit.call("six", {1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, jit.try_call("two", {1}));
  EXPECT_EQ(4u, jit.call("two", {7, 3}));
  EXPECT_EQ(0x34u, jit.call("narrow", {0x1234}));
  EXPECT_EQ(0u, jit.call("nothing"));
  void* address = nullptr;
  EXPECT_EQ(ECHO_UNSUPPORTED_OPERATION, echo_jit_lookup(jit.get(), "real", &address, &jit.error));
  uint64_t result = 0, arguments[7] = {};
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_call(jit.get(), heap.thread(), reinterpret_cast<void*>(test_late),
                                                 nullptr, 0, &result, &jit.error))
      << "not compiled by this JIT";
  void* const two = jit.lookup("two");
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_call(jit.get(), heap.thread(), static_cast<char*>(two) + 1,
                                                 arguments, 2, &result, &jit.error));
  EXPECT_EQ(ECHO_INVALID_ARGUMENT,
            echo_jit_call(jit.get(), heap.thread(), two, arguments, 7, &result, &jit.error));
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_call(jit.get(), nullptr, two, arguments, 2, &result, &jit.error));
}

TEST(Api, FunctionsAreFoundByAddress) {
  FakeHeap heap;
  TestJit jit(heap);
  ASSERT_EQ(ECHO_OK,
            jit.add_raw("define i64 @long_function_name(i64 %a) { %b = mul i64 %a, %a ret i64 %b }"));
  const auto pc = reinterpret_cast<uintptr_t>(jit.lookup("long_function_name"));
  char name[64];
  EXPECT_EQ(ECHO_OK, echo_jit_function_at(jit.get(), pc + 3, name, sizeof name));
  EXPECT_STREQ("long_function_name", name);
  EXPECT_EQ(ECHO_OK, echo_jit_function_at(jit.get(), pc, name, 5));
  EXPECT_STREQ("long", name);
  EXPECT_EQ(ECHO_MISSING_SYMBOL, echo_jit_function_at(jit.get(), 16, name, sizeof name));
}

TestJit* destroyed_inside = nullptr;
extern "C" int64_t test_destroy_inside() {
  echo_error error{};
  return echo_jit_destroy(destroyed_inside->get(), &error);
}

TEST(Api, DestroyWaitsForNobody) {
  FakeHeap heap;
  TestJit jit(heap);
  destroyed_inside = &jit;
  jit.define("test.destroy", reinterpret_cast<void*>(test_destroy_inside));
  ASSERT_EQ(ECHO_OK, jit.add_raw("declare i64 @test.destroy()\n"
                                 "define i64 @f() { %r = call i64 @test.destroy() ret i64 %r }"));
  EXPECT_EQ(uint64_t{ECHO_WRONG_STATE}, jit.call("f"));
}

TEST(Api, GlobalRootsAreRegisteredAndRemoved) {
  FakeHeap heap;
  {
    TestJit jit(heap);
    ASSERT_EQ(ECHO_OK,
              jit.add("@a = global ptr addrspace(1) null\n"
                      "@b = internal global [5 x { i64, ptr addrspace(1) }] zeroinitializer\n"
                      "@c = internal constant ptr addrspace(1) null\n"
                      "define void @f(i64 %i, ptr addrspace(1) %x) {\n"
                      "%p = getelementptr [5 x { i64, ptr addrspace(1) }], ptr @b, i64 0, i64 %i, i32 1\n"
                      "store ptr addrspace(1) %x, ptr %p\n store ptr addrspace(1) %x, ptr @a ret void }\n"
                      "define ptr addrspace(1) @g(i64 %i) {\n"
                      "%p = getelementptr [5 x { i64, ptr addrspace(1) }], ptr @b, i64 0, i64 %i, i32 1\n"
                      "%x = load ptr addrspace(1), ptr %p ret ptr addrspace(1) %x }"))
        << jit.error.message;
    EXPECT_TRUE(heap.root_ranges.empty());
    jit.lookup("f");
    uint64_t words = 0;
    for (const auto& [first, count] : heap.root_ranges)
      words += count;
    EXPECT_EQ(6u, words);
  }
  EXPECT_TRUE(heap.root_ranges.empty());
}

TEST(Api, CompileThreads) {
  FakeHeap heap;
  TestJit jit(heap, 2, 0, nullptr, 2);
  for (int i = 0; i < 8; ++i) {
    const std::string n = std::to_string(i);
    ASSERT_EQ(ECHO_OK, jit.add_raw("declare i64 @f" + std::to_string(i + 1) + "(i64)\ndefine i64 @f" + n +
                                   "(i64 %x) { %y = add i64 %x, 1 %r = call i64 @f" + std::to_string(i + 1) +
                                   "(i64 %y) ret i64 %r }"))
        << jit.error.message;
  }
  ASSERT_EQ(ECHO_OK, jit.add_raw("define i64 @f8(i64 %x) { ret i64 %x }"));
  EXPECT_EQ(8u, jit.call("f0", {0}));
}

TEST(Api, StatisticsCount) {
  FakeHeap heap;
  TestJit jit(heap);
  ASSERT_EQ(ECHO_OK, jit.add("define ptr addrspace(1) @f() {\n"
                             "%o = call ptr addrspace(1) @echo.gc.new(ptr @node) ret ptr addrspace(1) %o }\n"
                             "define internal void @unused() { ret void }"));
  jit.lookup("f");
  const echo_jit_statistics all = jit.statistics();
  EXPECT_EQ(2u, all.functions);
  EXPECT_EQ(2u, all.sites) << "allocation and poll";
  EXPECT_EQ(1u, all.polls_inserted);
  EXPECT_GT(all.map_bytes, 50u);
  EXPECT_GT(all.code_bytes, 50u);
  EXPECT_GT(all.parse_ms + all.optimise_ms + all.lower_ms + all.link_ms, 0.0);
  echo_jit_statistics small{};
  small.size = 8;
  small.sites = 99;
  EXPECT_EQ(ECHO_OK, echo_jit_get_statistics(jit.get(), &small));
  EXPECT_EQ(99u, small.sites) << "not written past the size";
  EXPECT_EQ(8u, small.size);
}

} // namespace
} // namespace echo::testing
