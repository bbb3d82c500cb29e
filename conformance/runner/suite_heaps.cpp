// SPDX-License-Identifier: MIT
//
// suite_heaps.cpp - several heaps, their end, and unloading.
#include "patterns.h"
#include "sanitizers.h"
#include "workers.h"

#include <atomic>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <fstream>
#include <memory>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

namespace conformance {

namespace {

void two_heaps(Context& context) {
  Fixture f(context, "max_heap=32m");
  const Heap other(f.plugin, "max_heap=64m");
  EXPECT(other.get() != f.heap.get(), "two heaps are one");
  const Mutator there(other);
  Scope scope(f.mutator);
  Scope scope_there(there);
  const Nodes here_nodes(f.mutator);
  other.fixed("only there", 24, {});
  const Nodes there_nodes(there);
  EXPECT_EQ(f.heap.api().layout_count(f.heap.get()), 1u, "layouts of the first heap");
  EXPECT_EQ(other.api().layout_count(other.get()), 2u, "layouts of the second heap");
  const echo_handle here_list = here_nodes.list(500);
  const echo_handle there_list = there_nodes.list(700);
  churn(f.mutator, 16 << 20, context.random);
  EXPECT(f.heap.statistics().bytes_allocated > 16u << 20, "bytes_allocated of the first heap");
  EXPECT(other.statistics().bytes_allocated < 1u << 20,
         "bytes_allocated of the second heap counts the first");
  churn(there, 16 << 20, context.random);
  here_nodes.expect_list(here_list, 500, "the list of the first heap");
  there_nodes.expect_list(there_list, 700, "the list of the second heap");
}

void heaps_collect_apart(Context& context) {
  Fixture f(context, "max_heap=32m");
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  auto other = std::make_unique<Heap>(f.plugin, f.plugin.options_with("max_heap=32m", {"poison=on"}));
  {
    const Mutator there(*other);
    Scope scope(f.mutator);
    Scope scope_there(there);
    const Nodes here_nodes(f.mutator);
    const Nodes there_nodes(there);
    const echo_handle here_list = here_nodes.list(500);
    const echo_handle there_list = there_nodes.list(700);
    const std::uint64_t before = f.heap.statistics().collections_full;
    there.collect(); // this thread is managed in both heaps: only one of them stops
    EXPECT_EQ(f.heap.statistics().collections_full, before, "collections of the heap that was not collected");
    churn(there, 100 << 20, context.random);
    there_nodes.expect_list(there_list, 700, "the list of the second heap");
    churn(f.mutator, 100 << 20, context.random);
    here_nodes.expect_list(here_list, 500, "the list of the first heap");
  }
  other->destroy();
  other.reset();
  churn(f.mutator, 100 << 20, context.random); // goes on after the other one's end
}

void attached_threads_hold_a_heap(Context& context) {
  Fixture f(context);
  const Nodes nodes(f.mutator);
  {
    Scope scope(f.mutator);
    const echo_handle head = nodes.list(100);
    echo_error why = untouched_error();
    EXPECT_STATUS(f.plugin.api().heap_destroy(f.heap.get(), &why), ECHO_THREADS_ATTACHED, "heap_destroy");
    expect_error(why, ECHO_THREADS_ATTACHED, "heap_destroy with a thread attached");
    nodes.expect_list(head, 100, "a list after a refused heap_destroy");
    nodes.make(1);
    f.mutator.api().enter_native(f.mutator.get());
    EXPECT_STATUS(f.plugin.api().heap_destroy(f.heap.get(), nullptr), ECHO_THREADS_ATTACHED,
                  "heap_destroy with a native thread attached");
    f.mutator.api().leave_native(f.mutator.get());
  }
  f.mutator.detach();
  f.heap.destroy();
}

// Everything a heap can have, then its end.
void use_once(const Plugin& plugin, Random& random) {
  const Heap heap(plugin, "max_heap=32m");
  std::vector<echo_ref> words(16, nullptr);
  EXPECT_STATUS(plugin.api().roots_add(heap.get(), words.data(), words.size(), nullptr), ECHO_OK,
                "roots_add");
  {
    const Mutator mutator(heap);
    Scope scope(mutator);
    const Nodes nodes(mutator);
    const echo_handle head = nodes.list(1000);
    words[3] = mutator.get(head);
    mutator.allocate(heap.raw_array("large", 8), 300000);
    churn(mutator, 4 << 20, random);
    Workers workers(heap);
    for (int i = 0; i < 2; ++i)
      workers.start([](const Mutator& m) {
        Random mine(1);
        churn(m, 1 << 20, mine);
      });
    workers.join_from(mutator);
    if (plugin.has(ECHO_FEATURE_COLLECTS))
      mutator.collect();
    nodes.expect_list(head, 1000, "the list");
  }
}

struct Usage {
  std::uint64_t mappings = 0, virtual_kib = 0, resident_kib = 0, descriptors = 0;
};

Usage usage_now() {
  Usage usage;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    ++usage.mappings;
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == "VmSize:")
      status >> usage.virtual_kib;
    if (word == "VmRSS:")
      status >> usage.resident_kib;
  }
  if (DIR* directory = opendir("/proc/self/fd")) {
    while (readdir(directory) != nullptr)
      ++usage.descriptors;
    closedir(directory);
  }
  return usage;
}

// A heap makes several mappings and touches megabytes: 25 that are left stand out. A sanitizer's own allocator makes
// mappings, too, and keeps freed memory for a while.
constexpr bool kSanitized = kAddressSanitizer || kThreadSanitizer;
constexpr std::uint64_t kStrayMappings = kSanitized ? 100 : 10;
constexpr std::uint64_t kStrayKib = kSanitized ? 600000 : 20000;

void destroyed_heaps_leave_nothing(Context& context) {
  const Plugin plugin(context.plugin_path);
  for (int i = 0; i < 3; ++i)
    use_once(plugin, context.random);
  const Usage before = usage_now();
  constexpr std::uint64_t kTurns = 25;
  for (std::uint64_t i = 0; i < kTurns; ++i)
    use_once(plugin, context.random);
  const Usage after = usage_now();
  EXPECT_EQ(after.descriptors, before.descriptors, "open files after 25 heaps");
  EXPECT(after.mappings <= before.mappings + kStrayMappings,
         "25 heaps left " + show(after.mappings - before.mappings) + " mappings");
  EXPECT(after.virtual_kib < before.virtual_kib + 10 * kStrayKib,
         "25 heaps left " + show(after.virtual_kib - before.virtual_kib) + " KiB of addresses");
  EXPECT(after.resident_kib < before.resident_kib + kStrayKib,
         "25 heaps left " + show(after.resident_kib - before.resident_kib) + " KiB of memory");
}

// Whether any part of the file is mapped.
bool is_mapped(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr), std::free);
  EXPECT(real != nullptr, "the plugin's path has vanished");
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    if (line.size() > 73 && line.substr(73).find(real.get()) != std::string::npos)
      return true;
  return false;
}

void loads_again(Context& context) {
  for (int turn = 0; turn < 5; ++turn) {
    Plugin plugin(context.plugin_path);
    use_once(plugin, context.random);
    EXPECT(is_mapped(context.plugin_path), "the test does not see the plugin in memory");
    plugin.close();
    EXPECT(!is_mapped(context.plugin_path), "the plugin is still mapped after dlclose in turn " + show(turn));
  }
}

// Threads that waited inside the plugin outlive it.
void threads_outlive_the_plugin(Context& context) {
  std::atomic<bool> unloaded{false};
  std::atomic<int> detached{0};
  std::vector<std::thread> threads;
  threads.reserve(4);
  auto plugin = std::make_unique<Plugin>(context.plugin_path);
  auto heap = std::make_unique<Heap>(*plugin, "max_heap=16m");
  for (std::uint64_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      try {
        const Mutator m(*heap);
        Random random(t);
        churn(m, 40 << (plugin->has(ECHO_FEATURE_COLLECTS) ? 20 : 10), random); // stops, waits in stops
      } catch (const Failed& failed) {
        note_failure(failed.why);
      }
      ++detached;
      while (!unloaded)
        std::this_thread::yield();
    });
  while (detached != 4)
    std::this_thread::yield();
  heap->destroy();
  heap.reset();
  plugin->close();
  const bool mapped = is_mapped(context.plugin_path);
  unloaded = true;
  for (std::thread& thread : threads)
    thread.join(); // destructors of their thread-locals would run code that is gone
  EXPECT(!mapped, "the plugin is still mapped after dlclose");
}

// Unloaded too early: the library stays until its last heap is destroyed.
void unloading_waits_for_heaps(Context& context) {
  Plugin plugin(context.plugin_path);
  const echo_heap_api& api = plugin.api();
  echo_heap* heap = nullptr;
  echo_thread* thread = nullptr;
  echo_error why = untouched_error();
  EXPECT_STATUS(api.heap_create("max_heap=16m", &heap, &why), ECHO_OK, "heap_create");
  EXPECT_STATUS(api.attach(heap, &thread, &why), ECHO_OK, "attach");
  plugin.close();
  EXPECT(is_mapped(context.plugin_path), "the plugin is unmapped although a heap of it exists");
  EXPECT_STATUS(api.heap_destroy(heap, &why), ECHO_THREADS_ATTACHED, "heap_destroy with a thread attached");
  EXPECT(is_mapped(context.plugin_path), "the plugin is unmapped although a thread is attached");
  EXPECT_STATUS(api.detach(thread, nullptr), ECHO_OK, "detach after dlclose");
  EXPECT_STATUS(api.heap_destroy(heap, nullptr), ECHO_OK, "heap_destroy after dlclose");
  EXPECT(!is_mapped(context.plugin_path), "the plugin is still mapped after dlclose and its last heap");
}

// A second copy of the library, as if it were another plugin.
void two_plugins(Context& context) {
  const int from = open(context.plugin_path.c_str(), O_RDONLY | O_CLOEXEC);
  const int copy = memfd_create("plugin", MFD_CLOEXEC);
  struct stat file{};
  EXPECT(from >= 0 && copy >= 0 && fstat(from, &file) == 0, "the plugin cannot be read");
  for (off_t offset = 0; offset < file.st_size;)
    EXPECT(sendfile(copy, from, &offset, static_cast<std::size_t>(file.st_size - offset)) > 0,
           "the plugin cannot be copied");
  close(from);
  const Plugin one(context.plugin_path);
  const Plugin two("/proc/self/fd/" + std::to_string(copy));
  EXPECT(&one.api() != &two.api(), "the system gave one library for two files");
  use_once(one, context.random);
  use_once(two, context.random);
  const Heap heap_one(one, "max_heap=16m");
  const Heap heap_two(two, "max_heap=16m");
  const Mutator mutator_one(heap_one);
  const Mutator mutator_two(heap_two);
  churn(mutator_one, 8 << 20, context.random);
  churn(mutator_two, 8 << 20, context.random);
  close(copy);
}

} // namespace

Suite heaps_suite() {
  return {"heaps",
          "several heaps, their end, and unloading",
          {
              {"two_heaps", "two heaps in one thread share nothing", "[abi.heap.1]", two_heaps},
              {"heaps_collect_apart", "a collection concerns one heap; the other outlives it", "[abi.heap.1]",
               heaps_collect_apart},
              {"attached_threads_hold_a_heap",
               "heap_destroy is THREADS_ATTACHED while a thread is, and frees nothing", "[abi.heap.2]",
               attached_threads_hold_a_heap},
              {"destroyed_heaps_leave_nothing", "25 heaps leave no mapping, memory or file behind",
               "[abi.heap.2]", destroyed_heaps_leave_nothing},
              {"loads_again", "load, use, destroy, unload, five times; the file is unmapped each time",
               "[abi.unload.1]", loads_again},
              {"threads_outlive_the_plugin", "threads that used the plugin end after it is unloaded",
               "[abi.unload.1]", threads_outlive_the_plugin},
              {"two_plugins", "two copies of the plugin work side by side", "[abi.heap.1]", two_plugins},
              {"unloading_waits_for_heaps", "dlclose takes effect when the last heap is destroyed",
               "[abi.unload.2] [abi.heap.2]", unloading_waits_for_heaps},
          }};
}

} // namespace conformance
