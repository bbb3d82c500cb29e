// SPDX-License-Identifier: MIT
//
// jit_machine.cpp - loads libecho_jit, adds modules, calls functions.
#include "jit_machine.h"

#include <dlfcn.h>

namespace conformance {

const char* const kJitPrelude = R"(
%echo_slot = type { i32, i32 }
%echo_layout = type { i32, i32, ptr, i64, i32, i32, i32, i32, ptr }
@node_name = private constant [5 x i8] c"node\00"
@node_slots = private constant [2 x %echo_slot] [%echo_slot { i32 8, i32 0 }, %echo_slot { i32 16, i32 0 }]
@node = private constant %echo_layout { i32 48, i32 1, ptr @node_name, i64 32, i32 0, i32 0, i32 0, i32 2, ptr @node_slots }
@leaf_name = private constant [5 x i8] c"leaf\00"
@leaf = private constant %echo_layout { i32 48, i32 1, ptr @leaf_name, i64 16, i32 0, i32 0, i32 4, i32 0, ptr null }
@refs_name = private constant [5 x i8] c"refs\00"
@refs = private constant %echo_layout { i32 48, i32 3, ptr @refs_name, i64 16, i32 8, i32 0, i32 0, i32 0, ptr null }
@words_name = private constant [6 x i8] c"words\00"
@words = private constant %echo_layout { i32 48, i32 2, ptr @words_name, i64 16, i32 8, i32 0, i32 0, i32 0, ptr null }
@bytes_name = private constant [6 x i8] c"bytes\00"
@bytes = private constant %echo_layout { i32 48, i32 2, ptr @bytes_name, i64 16, i32 1, i32 0, i32 0, i32 0, ptr null }
declare ptr addrspace(1) @echo.gc.new(ptr)
declare ptr addrspace(1) @echo.gc.new_array(ptr, i64)
declare void @echo.gc.store(ptr addrspace(1), ptr addrspace(1), ptr addrspace(1))
declare void @echo.gc.array_store(ptr addrspace(1), i64, ptr addrspace(1))
declare i64 @echo.gc.header(ptr addrspace(1))
declare i64 @echo.gc.length(ptr addrspace(1))
declare void @echo.gc.safepoint()
declare void @echo.gc.raw_copy(ptr addrspace(1), ptr addrspace(1), i64)
declare void @echo.gc.raw_fill(ptr addrspace(1), i8, i64)
)";
static_assert(sizeof(echo_layout) == 48 && sizeof(echo_slot) == 8, "the prelude writes these structs");

JitMachine::JitMachine(const Context& context, const Mutator& mutator, std::uint32_t optimise,
                       std::uint32_t operations, std::uint32_t switches)
    : mutator_(&mutator) {
  if (context.jit_path.empty())
    throw Skipped{"no libecho_jit is given: --jit=PATH"};
  const std::string path =
      context.jit_path.find('/') == std::string::npos ? "./" + context.jit_path : context.jit_path;
  library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library_ == nullptr)
    throw Failed{std::string("libecho_jit does not load: ") + dlerror()};
  const auto entry = reinterpret_cast<decltype(&echo_jit_plugin)>(dlsym(library_, "echo_jit_plugin"));
  EXPECT(entry != nullptr, "libecho_jit has no symbol echo_jit_plugin");
  echo_error why = untouched_error();
  api_ = entry(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, &why);
  EXPECT(api_ != nullptr,
         "echo_jit_plugin refuses the version of these headers: " + status_text(why.code, why));
  echo_jit_options options{};
  options.size = sizeof options;
  options.optimise = optimise;
  options.operations = operations;
  options.switches = switches;
  const echo_status status = api_->create(&mutator.api(), mutator.heap().get(), &options, &jit_, &why);
  EXPECT(status == ECHO_OK, "echo_jit_create: " + status_text(status, why));
}

JitMachine::~JitMachine() {
  echo_error why = untouched_error();
  if (jit_ != nullptr)
    if (const echo_status status = api_->destroy(jit_, &why); status != ECHO_OK)
      note_failure("echo_jit_destroy at the end of the test: " + status_text(status, why));
  // The library stays: LLVM does not unload.
}

void JitMachine::define(const char* name, void* address, std::uint32_t kind) const {
  echo_error why = untouched_error();
  const echo_status status = api_->define(jit_, name, address, kind, &why);
  EXPECT(status == ECHO_OK, std::string("echo_jit_define(") + name + "): " + status_text(status, why));
}

echo_status JitMachine::try_add(const std::string& text, echo_error* why) const {
  const Mutator& m = *mutator_;
  EXPECT_STATUS(m.api().enter_native(m.get()), ECHO_OK, "enter_native");
  const echo_status status = api_->add_module(jit_, "test", text.data(), text.size(), why);
  EXPECT_STATUS(m.api().leave_native(m.get()), ECHO_OK, "leave_native");
  return status;
}

void JitMachine::add(const std::string& text) const {
  echo_error why = untouched_error();
  const echo_status status = try_add(kJitPrelude + text, &why);
  EXPECT(status == ECHO_OK, "echo_jit_add_module: " + status_text(status, why));
}

void* JitMachine::function(const char* name) const {
  const Mutator& m = *mutator_;
  echo_error why = untouched_error();
  void* address = nullptr;
  EXPECT_STATUS(m.api().enter_native(m.get()), ECHO_OK, "enter_native");
  const echo_status status = api_->lookup(jit_, name, &address, &why);
  EXPECT_STATUS(m.api().leave_native(m.get()), ECHO_OK, "leave_native");
  EXPECT(status == ECHO_OK, std::string("echo_jit_lookup(") + name + "): " + status_text(status, why));
  EXPECT(address != nullptr, "echo_jit_lookup succeeded but gave no address");
  return address;
}

std::uint64_t JitMachine::call_on(const Mutator& mutator, void* function,
                                  std::initializer_list<std::uint64_t> arguments) const {
  std::uint64_t result = 0;
  echo_error why = untouched_error();
  const echo_status status = api_->call(jit_, mutator.get(), function, arguments.begin(),
                                        static_cast<std::uint32_t>(arguments.size()), &result, &why);
  EXPECT(status == ECHO_OK, "echo_jit_call: " + status_text(status, why));
  return result;
}

std::uint64_t JitMachine::call(const char* name, std::initializer_list<std::uint64_t> arguments) const {
  return call_on(*mutator_, function(name), arguments);
}

echo_status JitMachine::try_call(const char* name, std::initializer_list<std::uint64_t> arguments,
                                 std::uint64_t* result, echo_error* why) const {
  return api_->call(jit_, mutator_->get(), function(name), arguments.begin(),
                    static_cast<std::uint32_t>(arguments.size()), result, why);
}

} // namespace conformance
