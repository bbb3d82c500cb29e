/* SPDX-License-Identifier: MIT
 *
 * module_test.cpp - modules over their life: compiled on several threads, taken from the cache, announced to debuggers and
 * profilers, removed. [jit.cache.1] [jit.cache.2] [jit.cache.3] [jit.remove.1] [jit.index.3] [jit.roots.2]
 */
#include "jit_fixture.h"
#include "temporary_folder.h"

#include <array>
#include <atomic>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <thread>
#include <unistd.h>

namespace echo::testing {
namespace {

FakeHeap* current_heap = nullptr;
echo_jit* current_jit = nullptr;
echo_status removed_inside = ECHO_OK;
echo_error why_inside{};

extern "C" void module_collect() {
  current_heap->collect();
}
extern "C" void module_remove() {
  removed_inside = echo_jit_remove_module(current_jit, current_heap->thread(), "list", &why_inside);
}

/* sum(n): a list of n boxes, collected while it is built. Layouts, roots, natives, derived pointers, everything that a
 * compiled module consists of. */
const char* const kList = R"(
declare void @test.collect()
@last = global ptr addrspace(1) null
define ptr addrspace(1) @push(ptr addrspace(1) %tail, i64 %x) noinline {
  %n = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %b = call ptr addrspace(1) @echo.gc.new(ptr @box)
  %p = getelementptr i8, ptr addrspace(1) %b, i64 8
  store i64 %x, ptr addrspace(1) %p
  %pl = getelementptr i8, ptr addrspace(1) %n, i64 8
  store ptr addrspace(1) %tail, ptr addrspace(1) %pl
  %pr = getelementptr i8, ptr addrspace(1) %n, i64 16
  store ptr addrspace(1) %b, ptr addrspace(1) %pr
  store ptr addrspace(1) %b, ptr @last
  call void @test.collect()
  ret ptr addrspace(1) %n
}
define i64 @sum(i64 %n) {
entry:
  br label %build
build:
  %l = phi ptr addrspace(1) [ null, %entry ], [ %m, %build ]
  %i = phi i64 [ 0, %entry ], [ %i1, %build ]
  %m = call ptr addrspace(1) @push(ptr addrspace(1) %l, i64 %i)
  %i1 = add i64 %i, 1
  %go = icmp ult i64 %i1, %n
  br i1 %go, label %build, label %walk
walk:
  %w = phi ptr addrspace(1) [ %m, %build ], [ %next, %walk ]
  %s = phi i64 [ 0, %build ], [ %s1, %walk ]
  %pr = getelementptr i8, ptr addrspace(1) %w, i64 16
  %b = load ptr addrspace(1), ptr addrspace(1) %pr
  %pv = getelementptr i8, ptr addrspace(1) %b, i64 8
  %v = load i64, ptr addrspace(1) %pv
  %s1 = add i64 %s, %v
  %pl = getelementptr i8, ptr addrspace(1) %w, i64 8
  %next = load ptr addrspace(1), ptr addrspace(1) %pl
  %end = icmp eq ptr addrspace(1) %next, null
  br i1 %end, label %done, label %walk
done:
  %z = load ptr addrspace(1), ptr @last
  %pz = getelementptr i8, ptr addrspace(1) %z, i64 8
  %vz = load i64, ptr addrspace(1) %pz
  %r = add i64 %s1, %vz
  ret i64 %r
}
)";
constexpr uint64_t kSumOf100 = 99 * 100 / 2 + 99;

/* kPrelude with layouts that other modules do not see, and `text`. */
std::string with_own_layouts(const std::string& text) {
  std::string whole = kPrelude + text;
  const std::string_view shared = "= constant %echo_layout";
  for (size_t at = 0; (at = whole.find(shared, at)) != std::string::npos;)
    whole.replace(at, shared.size(), "= internal constant %echo_layout");
  return whole;
}

/* A JIT with options of its own. */
class OwnJit {
public:
  OwnJit(FakeHeap& heap, echo_jit_options options) : heap_(heap) {
    options.size = sizeof options;
    echo_error why{};
    EXPECT_EQ(ECHO_OK, echo_jit_create(heap.api(), heap.handle(), &options, &jit_, &why)) << why.message;
    EXPECT_EQ(ECHO_OK,
              echo_jit_define(jit_, "test.collect", reinterpret_cast<void*>(module_collect), 0, &why));
    EXPECT_EQ(ECHO_OK, echo_jit_define(jit_, "test.remove", reinterpret_cast<void*>(module_remove), 0, &why));
    current_heap = &heap;
    current_jit = jit_;
  }
  ~OwnJit() { EXPECT_EQ(ECHO_OK, echo_jit_destroy(jit_, nullptr)); }
  OwnJit(const OwnJit&) = delete;
  OwnJit& operator=(const OwnJit&) = delete;

  echo_jit* get() { return jit_; }
  echo_status add(const std::string& text, const char* name = "list") {
    const std::string whole = with_own_layouts(text);
    return echo_jit_add_module(jit_, name, whole.data(), whole.size(), &error);
  }
  void* lookup(const char* name) {
    void* address = nullptr;
    echo_jit_lookup(jit_, name, &address, &error);
    return address;
  }
  uint64_t call(const char* name, uint64_t argument) {
    uint64_t result = ~uint64_t{0};
    void* const function = lookup(name);
    EXPECT_NE(nullptr, function) << error.message;
    EXPECT_EQ(ECHO_OK, echo_jit_call(jit_, heap_.thread(), function, &argument, 1, &result, &error))
        << error.message;
    return result;
  }
  echo_status remove(const char* name) { return echo_jit_remove_module(jit_, heap_.thread(), name, &error); }
  echo_jit_statistics statistics() {
    echo_jit_statistics all{};
    all.size = sizeof all;
    EXPECT_EQ(ECHO_OK, echo_jit_get_statistics(jit_, &all));
    return all;
  }
  echo_error error{};

private:
  FakeHeap& heap_;
  echo_jit* jit_ = nullptr;
};

echo_jit_options with_cache(const Folder& folder, uint32_t optimise = 2) {
  echo_jit_options options{};
  options.optimise = optimise;
  options.cache = folder.path();
  return options;
}

/* --- cache ------------------------------------------------------------------------------------------------------- */

/* One use of the list module; what the statistics say of it. */
echo_jit_statistics use(echo_jit_options options, const char* before = nullptr) {
  FakeHeap heap;
  OwnJit jit(heap, options);
  if (before != nullptr) {
    EXPECT_EQ(ECHO_OK, jit.add(before, "before")) << jit.error.message;
    EXPECT_NE(nullptr, jit.lookup("before"));
  }
  EXPECT_EQ(ECHO_OK, jit.add(kList)) << jit.error.message;
  EXPECT_EQ(kSumOf100, jit.call("sum", 100));
  EXPECT_EQ(100u, heap.collections) << "each of them moved everything";
  EXPECT_GT(heap.roots_seen, 100u);
  EXPECT_EQ(0, heap.walk_error.code) << heap.walk_error.message;
  return jit.statistics();
}

TEST(Cache, AHitDoesNotOptimise) {
  const Folder folder;
  const echo_jit_statistics first = use(with_cache(folder));
  EXPECT_EQ(1u, first.modules_compiled);
  EXPECT_EQ(0u, first.cache_hits);
  ASSERT_EQ(1u, folder.files().size());
  const echo_jit_statistics second = use(with_cache(folder));
  EXPECT_EQ(0u, second.modules_compiled) << "the optimiser did not run";
  EXPECT_EQ(0.0, second.parse_ms + second.optimise_ms + second.lower_ms);
  EXPECT_EQ(1u, second.cache_hits);
  EXPECT_EQ(first.sites, second.sites) << "stack maps come from the object again";
  EXPECT_EQ(first.map_bytes, second.map_bytes);
  EXPECT_EQ(first.polls_inserted, second.polls_inserted);
  EXPECT_EQ(first.functions, second.functions);
}

/* P22. Broken on purpose: asked where ORC asks its own cache, it saves code generation only. */
TEST(Cache, AskedAfterTheOptimiserAHitStillOptimises) {
  const Folder folder;
  echo_jit_options options = with_cache(folder);
  options.switches = ECHO_JIT_CACHE_AFTER_OPTIMISER;
  EXPECT_EQ(1u, use(options).modules_compiled);
  const echo_jit_statistics second = use(options);
  EXPECT_EQ(1u, second.cache_hits);
  EXPECT_EQ(1u, second.modules_compiled);
}

TEST(Cache, EverythingThatDecidesTheCodeIsInTheKey) {
  const Folder folder;
  EXPECT_EQ(1u, use(with_cache(folder)).modules_compiled);
  EXPECT_EQ(1u, use(with_cache(folder, 0)).modules_compiled) << "optimisation";
  echo_jit_options called = with_cache(folder);
  called.operations = ECHO_JIT_OPERATIONS_CALLED;
  EXPECT_EQ(1u, use(called).modules_compiled) << "level";
  echo_jit_options switched = with_cache(folder);
  switched.switches = ECHO_JIT_NO_BARRIER_ELISION;
  EXPECT_EQ(1u, use(switched).modules_compiled) << "switches";
  EXPECT_EQ(4u, folder.files().size());
  {
    FakeHeap heap; /* recipes */
    heap.recipes().store_kind = ECHO_STORE_NONE;
    OwnJit jit(heap, with_cache(folder));
    EXPECT_EQ(ECHO_OK, jit.add(kList)) << jit.error.message;
    EXPECT_EQ(0u, jit.statistics().cache_hits);
  }
  {
    FakeHeap heap; /* the module's text */
    OwnJit jit(heap, with_cache(folder));
    EXPECT_EQ(ECHO_OK, jit.add(std::string(kList) + "\n")) << jit.error.message;
    EXPECT_EQ(0u, jit.statistics().cache_hits);
  }
  for (uint32_t optimise : {0u, 2u})
    EXPECT_EQ(1u, use(with_cache(folder, optimise)).cache_hits);
}

/* Layout numbers and header words are constants of the code. [jit.cache.3] */
TEST(Cache, LayoutsOfOtherNumbersAreNoHit) {
  const Folder folder;
  EXPECT_EQ(1u, use(with_cache(folder)).modules_compiled);
  const char* const before = "define ptr addrspace(1) @before() { %o = call ptr addrspace(1) "
                             "@echo.gc.new_array(ptr @ints, i64 1) ret ptr addrspace(1) %o }";
  const echo_jit_statistics other = use(with_cache(folder), before);
  EXPECT_EQ(2u, other.modules_compiled) << "ints has the first number, node and box come behind it";
  EXPECT_EQ(0u, other.cache_hits);
}

/* A new heap numbers layouts in the order of their registration, not of their names or addresses. [jit.cache.3] */
TEST(Cache, LayoutsAreRegisteredInTheOrderOfTheirNumbers) {
  for (const auto& order : {std::array{"ints", "refs"}, std::array{"refs", "ints"}}) {
    const Folder folder;
    std::string text = "define i64 @make() {\n";
    for (const char* array : order)
      text += std::string("  %") + array + " = call ptr addrspace(1) @echo.gc.new_array(ptr @" + array +
              ", i64 1)\n";
    text += "  %n = call ptr addrspace(1) @echo.gc.new(ptr @node)\n"
            "  %b = call ptr addrspace(1) @echo.gc.new(ptr @box)\n"
            "  ret i64 7\n}\n";
    for (const uint64_t hits : {0u, 1u}) {
      FakeHeap heap;
      OwnJit jit(heap, with_cache(folder, 0)); /* allocations nobody uses stay */
      EXPECT_EQ(ECHO_OK, jit.add(text)) << jit.error.message;
      EXPECT_NE(nullptr, jit.lookup("make"));
      EXPECT_EQ(hits, jit.statistics().cache_hits) << order[0] << " first";
    }
  }
}

TEST(Cache, DamagedEntriesAreCompiledAgain) {
  const Folder folder;
  EXPECT_EQ(1u, use(with_cache(folder)).modules_compiled);
  ASSERT_EQ(1u, folder.files().size());
  const std::filesystem::path file = folder.files()[0];
  std::ifstream in(file, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  in.close();
  const auto damage = [&](const std::string& bytes) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
    const echo_jit_statistics statistics = use(with_cache(folder));
    EXPECT_EQ(1u, statistics.cache_damaged);
    EXPECT_EQ(1u, statistics.modules_compiled);
    EXPECT_EQ(1u, use(with_cache(folder)).cache_hits) << "and the entry is whole again";
  };
  damage("");
  damage(whole.substr(0, 20));
  damage(whole.substr(0, whole.size() / 2));
  damage(whole + "x");
  for (const size_t at : {size_t{0}, size_t{9}, size_t{50}, whole.size() / 2, whole.size() - 1}) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x40);
    damage(bytes);
  }
}

/* [jit.cache.4] */
TEST(Cache, EntriesThatOthersMayHaveWrittenAreCompiledAgain) {
  namespace fs = std::filesystem;
  const Folder folder;
  EXPECT_EQ(1u, use(with_cache(folder)).modules_compiled);
  const fs::path file = folder.files()[0];
  const fs::path elsewhere = file.string() + ".moved";
  const auto refused = [&](const char* what) {
    const echo_jit_statistics statistics = use(with_cache(folder));
    EXPECT_EQ(1u, statistics.cache_damaged) << what;
    EXPECT_EQ(1u, statistics.modules_compiled) << what;
    EXPECT_EQ(1u, use(with_cache(folder)).cache_hits) << what << ": it is replaced";
  };
  fs::permissions(file, fs::perms::others_write, fs::perm_options::add);
  refused("writable by others");
  fs::permissions(file, fs::perms::group_write, fs::perm_options::add);
  refused("writable by the group");
  fs::rename(file, elsewhere);
  fs::create_symlink(elsewhere, file);
  refused("a link");
  fs::remove(file);
  fs::resize_file(elsewhere, (uintmax_t{256} << 20) + 1);
  fs::rename(elsewhere, file);
  refused("too large");
}

TEST(Cache, ADirectoryThatIsNoneIsRefused) {
  FakeHeap heap;
  echo_jit_options options{};
  options.size = sizeof options;
  options.cache = "/nowhere/at/all";
  echo_jit* jit = nullptr;
  echo_error why{};
  EXPECT_EQ(ECHO_IO_ERROR, echo_jit_create(heap.api(), heap.handle(), &options, &jit, &why));
  EXPECT_NE(nullptr, std::strstr(why.message, "cache: '/nowhere/at/all'")) << why.message;
}

/* --- removal ----------------------------------------------------------------------------------------------------- */

TEST(Removal, TakesCodeSitesSymbolsAndRoots) {
  FakeHeap heap;
  echo_jit_options options{};
  options.optimise = 2;
  OwnJit jit(heap, options);
  for (uint64_t round = 0; round < 3; ++round) {
    ASSERT_EQ(ECHO_OK, jit.add(kList)) << jit.error.message;
    EXPECT_EQ(kSumOf100, jit.call("sum", 100));
    EXPECT_EQ(1u, heap.root_ranges.size());
    void* const sum = jit.lookup("sum");
    char name[16];
    EXPECT_EQ(ECHO_OK, echo_jit_function_at(jit.get(), reinterpret_cast<uintptr_t>(sum), name, sizeof name));
    ASSERT_EQ(ECHO_OK, jit.remove("list")) << jit.error.message;
    EXPECT_EQ(ECHO_MISSING_SYMBOL,
              echo_jit_function_at(jit.get(), reinterpret_cast<uintptr_t>(sum), name, sizeof name));
    EXPECT_EQ(0u, heap.root_ranges.size());
    EXPECT_EQ(nullptr, jit.lookup("sum"));
    const uint64_t argument = 1;
    EXPECT_EQ(ECHO_INVALID_ARGUMENT,
              echo_jit_call(jit.get(), heap.thread(), sum, &argument, 1, nullptr, &jit.error));
    EXPECT_EQ(round + 1, jit.statistics().modules_removed);
  }
  ASSERT_EQ(ECHO_OK, jit.add(kList)) << jit.error.message;
  EXPECT_EQ(ECHO_OK, jit.remove("list")) << "also one that was never linked: " << jit.error.message;
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, jit.remove("list"));
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, jit.remove("other"));
}

TEST(Removal, FramesInsideAreAnError) {
  FakeHeap heap;
  echo_jit_options options{};
  options.optimise = 2;
  OwnJit jit(heap, options);
  ASSERT_EQ(ECHO_OK, jit.add(std::string(kList) + R"(
declare void @test.remove()
define i64 @inside(i64 %n) {
  %l = call ptr addrspace(1) @push(ptr addrspace(1) null, i64 %n)
  call void @test.remove()
  %r = call i64 @sum(i64 %n)
  ret i64 %r
})")) << jit.error.message;
  EXPECT_EQ(kSumOf100, jit.call("inside", 100)) << "it goes on";
  EXPECT_EQ(ECHO_WRONG_STATE, removed_inside);
  EXPECT_NE(nullptr, std::strstr(why_inside.message, "1 frames of module 'list'")) << why_inside.message;
  ASSERT_EQ(
      ECHO_OK,
      jit.add(
          "declare void @test.remove()\ndefine i64 @outside(i64 %n) { call void @test.remove() ret i64 %n }",
          "outside"));
  EXPECT_EQ(1u, jit.call("outside", 1));
  EXPECT_EQ(ECHO_OK, removed_inside) << "a frame of another module does not matter: " << why_inside.message;
  EXPECT_EQ(nullptr, jit.lookup("sum"));
}

extern "C" void module_remove_and_collect() {
  removed_inside = echo_jit_remove_module(current_jit, current_heap->thread(), "list", &why_inside);
  current_heap->collect();
  echo_error why{ECHO_HEAP_LIMIT, "the frames are left, not returned to"};
  echo_jit_abandon(current_jit, current_heap->thread(), &why);
}

/* P19. Broken on purpose: the code of a frame is gone, and nobody knows its references any more. */
TEST(Removal, WithoutALookAtTheStacksFramesAreLost) {
  for (const uint32_t switches : {0u, uint32_t{ECHO_JIT_REMOVE_UNDER_FRAMES}}) {
    FakeHeap heap;
    echo_jit_options options{};
    options.optimise = 2;
    options.switches = switches;
    OwnJit jit(heap, options);
    ASSERT_EQ(ECHO_OK, echo_jit_define(jit.get(), "test.both",
                                       reinterpret_cast<void*>(module_remove_and_collect), 0, &jit.error));
    ASSERT_EQ(ECHO_OK, jit.add(std::string(kList) + R"(
declare void @test.both()
define i64 @inside(i64 %n) {
  %l = call ptr addrspace(1) @push(ptr addrspace(1) null, i64 %n)
  call void @test.both()
  %r = call i64 @sum(i64 %n)
  ret i64 %r
})")) << jit.error.message;
    const uint64_t argument = 1;
    EXPECT_EQ(ECHO_HEAP_LIMIT, echo_jit_call(jit.get(), heap.thread(), jit.lookup("inside"), &argument, 1,
                                             nullptr, &jit.error));
    EXPECT_EQ(switches == 0 ? ECHO_WRONG_STATE : ECHO_OK, removed_inside);
    EXPECT_EQ(switches == 0 ? 0 : ECHO_FRAME_WITHOUT_MAP, heap.walk_error.code) << heap.walk_error.message;
  }
}

extern "C" void module_remove_blindly() {
  removed_inside = echo_jit_remove_module(current_jit, nullptr, "list", &why_inside);
}

TEST(Removal, WithoutAThreadOnlyWhileNothingRuns) {
  FakeHeap heap;
  echo_jit_options options{};
  OwnJit jit(heap, options);
  ASSERT_EQ(ECHO_OK, echo_jit_define(jit.get(), "test.blindly",
                                     reinterpret_cast<void*>(module_remove_blindly), 0, &jit.error));
  ASSERT_EQ(ECHO_OK, jit.add(kList)) << jit.error.message;
  EXPECT_EQ(kSumOf100, jit.call("sum", 100));
  ASSERT_EQ(
      ECHO_OK,
      jit.add("declare void @test.blindly()\ndefine i64 @f(i64 %n) { call void @test.blindly() ret i64 %n }",
              "f"));
  EXPECT_EQ(1u, jit.call("f", 1));
  EXPECT_EQ(ECHO_WRONG_STATE, removed_inside) << why_inside.message;
  EXPECT_EQ(ECHO_OK, echo_jit_remove_module(jit.get(), nullptr, "list", &jit.error)) << jit.error.message;
}

TEST(Removal, UsedSymbolsAreAnError) {
  FakeHeap heap;
  echo_jit_options options{};
  OwnJit jit(heap, options);
  ASSERT_EQ(ECHO_OK, jit.add(kList)) << jit.error.message;
  ASSERT_EQ(
      ECHO_OK,
      jit.add("declare i64 @sum(i64)\ndefine i64 @user(i64 %n) { %r = call i64 @sum(i64 %n) ret i64 %r }",
              "user"));
  EXPECT_EQ(kSumOf100, jit.call("user", 100));
  EXPECT_EQ(ECHO_WRONG_STATE, jit.remove("list"));
  EXPECT_NE(nullptr, std::strstr(jit.error.message, "module 'user' uses 'sum'")) << jit.error.message;
  EXPECT_EQ(ECHO_OK, jit.remove("user")) << jit.error.message;
  EXPECT_EQ(ECHO_OK, jit.remove("list")) << jit.error.message;
}

/* --- compile threads --------------------------------------------------------------------------------------------- */

/* Eight modules added and linked from four threads, on two compile threads: each has its context, all share the plugin. */
void add_from_four_threads(uint32_t switches) {
  FakeHeap heap;
  echo_jit_options options{};
  options.optimise = 2;
  options.compile_threads = 2;
  options.switches = switches;
  OwnJit jit(heap, options);
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int m = 0; m < 2; ++m) {
        const std::string n = std::to_string(t * 2 + m);
        const std::string text = with_own_layouts(
            "define i64 @f" + n +
            "(i64 %x) {\n %o = call ptr addrspace(1) @echo.gc.new(ptr @box)\n"
            " %p = getelementptr i8, ptr addrspace(1) %o, i64 8\n store i64 %x, ptr addrspace(1) %p\n"
            " call void @echo.gc.safepoint()\n %v = load volatile i64, ptr addrspace(1) %p\n %r = add i64 "
            "%v, " +
            n + "\n ret i64 %r }\n");
        echo_error why{};
        void* address = nullptr;
        if (echo_jit_add_module(jit.get(), ("m" + n).c_str(), text.data(), text.size(), &why) != ECHO_OK ||
            echo_jit_lookup(jit.get(), ("f" + n).c_str(), &address, &why) != ECHO_OK || address == nullptr)
          ++failed;
      }
    });
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(0, failed.load());
  heap.set_poll_always(true);
  for (uint64_t n = 0; n < 8; ++n)
    EXPECT_EQ(100 + n, jit.call(("f" + std::to_string(n)).c_str(), 100));
}

TEST(CompileThreads, ModulesAreAddedAndLinkedFromAnyThread) {
  add_from_four_threads(0);
}

/* P21. Broken on purpose: the threads meet where one object at a time is published. [jit.link.4] */
TEST(CompileThreadsDeathTest, WithoutItsLockThePluginIsEnteredTwice) {
  EXPECT_EXIT(add_from_four_threads(ECHO_JIT_LINK_WITHOUT_LOCK), ::testing::ExitedWithCode(1),
              "two threads are inside the link plugin at once");
}

/* --- tools ------------------------------------------------------------------------------------------------------- */

/* The list that debuggers read, as GDB documents it. */
struct JitCode {
  JitCode *next, *previous;
  const char* file;
  uint64_t size;
};
struct JitDescriptor {
  uint32_t version, action;
  JitCode *relevant, *first;
};

int announced() {
  const auto* const descriptor =
      static_cast<const JitDescriptor*>(dlsym(RTLD_DEFAULT, "__jit_debug_descriptor"));
  EXPECT_NE(nullptr, descriptor);
  int found = 0;
  for (const JitCode* code = descriptor != nullptr ? descriptor->first : nullptr; code != nullptr;
       code = code->next)
    if (std::string_view(code->file, code->size).find("a_name_for_debuggers") != std::string_view::npos)
      ++found;
  return found;
}

TEST(Tools, DebuggersAreToldOfEachObject) {
  for (uint32_t tools : {0u, uint32_t{ECHO_JIT_TOOL_GDB}}) {
    FakeHeap heap;
    echo_jit_options options{};
    options.tools = tools;
    OwnJit jit(heap, options);
    ASSERT_EQ(ECHO_OK, jit.add("define i64 @a_name_for_debuggers(i64 %n) { ret i64 %n }"))
        << jit.error.message;
    EXPECT_EQ(5u, jit.call("a_name_for_debuggers", 5));
    EXPECT_EQ(tools != 0 ? 1 : 0, announced());
  }
}

TEST(Tools, PerfFindsNames) {
  const std::filesystem::path map =
      std::filesystem::temp_directory_path() / ("perf-" + std::to_string(getpid()) + ".map");
  std::filesystem::remove(map);
  FakeHeap heap;
  echo_jit_options options{};
  options.tools = ECHO_JIT_TOOL_PERF;
  OwnJit jit(heap, options);
  ASSERT_EQ(ECHO_OK, jit.add("define i64 @a_name_for_perf(i64 %n) { ret i64 %n }")) << jit.error.message;
  const auto address = reinterpret_cast<uintptr_t>(jit.lookup("a_name_for_perf"));
  std::ifstream file(map);
  bool found = false;
  std::string line;
  while (std::getline(file, line)) {
    unsigned long long begin = 0, size = 0;
    char name[64] = {};
    ASSERT_EQ(3, std::sscanf(line.c_str(), "%llx %llx %63s", &begin, &size, name)) << line;
    if (std::strcmp(name, "a_name_for_perf") == 0)
      found = begin == address && size != 0;
  }
  EXPECT_TRUE(found);
  std::filesystem::remove(map);
}

TEST(Tools, UnknownOnesAreRefused) {
  FakeHeap heap;
  echo_jit_options options{};
  options.size = sizeof options;
  options.tools = 8;
  echo_jit* jit = nullptr;
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_create(heap.api(), heap.handle(), &options, &jit, nullptr));
}

} // namespace
} // namespace echo::testing
