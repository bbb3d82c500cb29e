/* SPDX-License-Identifier: MIT
 *
 * jit_fixture.cpp - a JIT on a fake heap.
 */
#include "jit_fixture.h"

#include "temporary_folder.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace echo::testing {

const char* const kPrelude = R"(
%echo_layout = type { i32, i32, ptr, i64, i32, i32, i32, i32, ptr }
%echo_slot = type { i32, i32 }
@node.name = private constant [5 x i8] c"node\00"
@node.slots = private constant [2 x %echo_slot] [%echo_slot { i32 8, i32 0 }, %echo_slot { i32 16, i32 0 }]
@node = constant %echo_layout { i32 48, i32 1, ptr @node.name, i64 24, i32 0, i32 0, i32 0, i32 2, ptr @node.slots }
@box.name = private constant [4 x i8] c"box\00"
@box = constant %echo_layout { i32 48, i32 1, ptr @box.name, i64 16, i32 0, i32 0, i32 4, i32 0, ptr null }
@ints.name = private constant [5 x i8] c"ints\00"
@ints = constant %echo_layout { i32 48, i32 2, ptr @ints.name, i64 16, i32 8, i32 0, i32 0, i32 0, ptr null }
@bytes.name = private constant [6 x i8] c"bytes\00"
@bytes = constant %echo_layout { i32 48, i32 2, ptr @bytes.name, i64 16, i32 1, i32 0, i32 0, i32 0, ptr null }
@refs.name = private constant [5 x i8] c"refs\00"
@refs = constant %echo_layout { i32 48, i32 3, ptr @refs.name, i64 16, i32 8, i32 0, i32 0, i32 0, ptr null }
declare ptr addrspace(1) @echo.gc.new(ptr)
declare ptr addrspace(1) @echo.gc.new_array(ptr, i64)
declare void @echo.gc.store(ptr addrspace(1), ptr addrspace(1), ptr addrspace(1))
declare void @echo.gc.array_store(ptr addrspace(1), i64, ptr addrspace(1))
declare i64 @echo.gc.header(ptr addrspace(1))
declare i64 @echo.gc.length(ptr addrspace(1))
declare void @echo.gc.safepoint()
declare void @echo.gc.raw_copy(ptr addrspace(1), ptr addrspace(1), i64)
declare void @echo.gc.raw_fill(ptr addrspace(1), i8, i64)
declare ptr addrspace(1) @echo.gc.exchange(ptr addrspace(1), ptr addrspace(1), ptr addrspace(1))
declare ptr addrspace(1) @echo.gc.compare_exchange(ptr addrspace(1), ptr addrspace(1), ptr addrspace(1), ptr addrspace(1))
declare void @echo.gc.array_copy(ptr addrspace(1), i64, ptr addrspace(1), i64, i64)
declare void @echo.gc.array_fill(ptr addrspace(1), i64, i64, ptr addrspace(1))
declare void @echo.gc.tagged_store(ptr addrspace(1), ptr addrspace(1), i64, i64)
declare i64 @echo.gc.tagged_word(ptr addrspace(1))
declare ptr addrspace(1) @echo.gc.tagged_reference(ptr addrspace(1))
declare i64 @echo.gc.identity_hash(ptr addrspace(1))
declare ptr addrspace(1) @echo.gc.weak_load(ptr addrspace(1), ptr addrspace(1))
@weak.name = private constant [5 x i8] c"weak\00"
@weak.slots = private constant [2 x %echo_slot] [%echo_slot { i32 8, i32 2 }, %echo_slot { i32 16, i32 0 }]
@weak = constant %echo_layout { i32 48, i32 1, ptr @weak.name, i64 24, i32 0, i32 0, i32 0, i32 2, ptr @weak.slots }
@tagged.name = private constant [7 x i8] c"tagged\00"
@tagged.slots = private constant [1 x %echo_slot] [%echo_slot { i32 8, i32 1 }]
@tagged_box = constant %echo_layout { i32 48, i32 1, ptr @tagged.name, i64 16, i32 0, i32 0, i32 0, i32 1, ptr @tagged.slots }
@wide.name = private constant [5 x i8] c"wide\00"
@wide_box = constant %echo_layout { i32 48, i32 1, ptr @wide.name, i64 64, i32 0, i32 64, i32 0, i32 0, ptr null }
)";

const char* const kMake = R"(
define ptr addrspace(1) @make(i64 %x) noinline {
  %o = call ptr addrspace(1) @echo.gc.new(ptr @box)
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  store i64 %x, ptr addrspace(1) %p
  ret ptr addrspace(1) %o
}
)";

TestJit::TestJit(FakeHeap& heap, uint32_t optimise, uint32_t switches, const char* dump_objects,
                 uint32_t threads, uint32_t operations)
    : heap_(heap) {
  echo_jit_options options{};
  options.size = sizeof options;
  options.optimise = optimise;
  options.switches = switches;
  options.dump_objects = dump_objects;
  options.compile_threads = threads;
  options.operations = operations;
  EXPECT_EQ(ECHO_OK, echo_jit_create(heap.api(), heap.handle(), &options, &jit_, &error)) << error.message;
}

TestJit::~TestJit() {
  if (jit_ == nullptr)
    return;
  EXPECT_EQ(ECHO_OK, echo_jit_destroy(jit_, &error)) << error.message;
}

echo_status TestJit::add(const std::string& text, const char* name) {
  return add_raw(kPrelude + text, name);
}

echo_status TestJit::add_raw(const std::string& text, const char* name) {
  error = {};
  return echo_jit_add_module(jit_, name, text.data(), text.size(), &error);
}

void TestJit::define(const char* name, void* address, uint32_t kind) {
  EXPECT_EQ(ECHO_OK, echo_jit_define(jit_, name, address, kind, &error)) << error.message;
}

void* TestJit::lookup(const char* name) {
  void* address = nullptr;
  EXPECT_EQ(ECHO_OK, echo_jit_lookup(jit_, name, &address, &error)) << error.message;
  return address;
}

echo_status TestJit::try_call(const char* name, std::vector<uint64_t> arguments) {
  void* const function = lookup(name);
  if (function == nullptr)
    return ECHO_MISSING_SYMBOL;
  return echo_jit_call(jit_, heap_.thread(), function, arguments.data(),
                       static_cast<uint32_t>(arguments.size()), &result, &error);
}

uint64_t TestJit::call(const char* name, std::vector<uint64_t> arguments) {
  result = 0;
  EXPECT_EQ(ECHO_OK, try_call(name, std::move(arguments))) << error.message;
  EXPECT_EQ(0, heap_.walk_error.code) << heap_.walk_error.message;
  EXPECT_EQ(0u, heap_.block().anchor_pc) << "[jit.entry.3]";
  return result;
}

echo_jit_statistics TestJit::statistics() {
  echo_jit_statistics all{};
  all.size = sizeof all;
  EXPECT_EQ(ECHO_OK, echo_jit_get_statistics(jit_, &all));
  return all;
}

std::string lowered(const std::string& module, uint32_t optimise, uint32_t switches) {
  const Folder folder;
  FakeHeap heap;
  echo_jit_options options{};
  options.size = sizeof options;
  options.optimise = optimise;
  options.switches = switches;
  options.dump_ir = folder.path();
  echo_jit* jit = nullptr;
  echo_error error{};
  EXPECT_EQ(ECHO_OK, echo_jit_create(heap.api(), heap.handle(), &options, &jit, &error)) << error.message;
  const std::string text = kPrelude + module;
  EXPECT_EQ(ECHO_OK, echo_jit_add_module(jit, "lowered", text.data(), text.size(), &error)) << error.message;
  EXPECT_EQ(ECHO_OK, echo_jit_destroy(jit, &error));
  std::string all;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    std::ifstream file(entry.path());
    all.append(std::istreambuf_iterator<char>(file), {});
  }
  return all;
}

std::vector<std::string> disassemble(const std::string& module, const std::string& function,
                                     uint32_t optimise, uint32_t switches) {
  const Folder folder;
  const std::string& directory = folder.path();
  {
    FakeHeap heap;
    TestJit jit(heap, optimise, switches, directory.c_str());
    EXPECT_EQ(ECHO_OK, jit.add(module, "shape")) << jit.error.message;
    jit.lookup(function.c_str());
  }
  const std::string object = directory + "/shape_1.o";
  const std::string command = std::string(ECHO_OBJDUMP) + " -d --no-show-raw-insn --no-leading-addr " +
                              "--disassemble-symbols=" + function + " " + object + " 2>&1";
  std::vector<std::string> lines;
  FILE* const output = popen(command.c_str(), "r");
  if (output == nullptr)
    return {};
  char line[512];
  while (std::fgets(line, sizeof line, output) != nullptr)
    if (line[0] == ' ' || line[0] == '\t') {
      std::string text(line + std::strspn(line, " \t"));
      text.erase(text.find_last_not_of(" \n") + 1);
      if (text.starts_with("nop"))
        continue;
      lines.push_back(text);
    }
  pclose(output);
  return lines;
}

} // namespace echo::testing
