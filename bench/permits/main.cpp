// SPDX-License-Identifier: MIT
//
// Purpose     Many more runnable threads than processors: how long a stop waits for them, with run permits and without.
// Use         echo-bench-permits [--threads=64] [--seconds=3]; one line per setting. Throughput is in objects of 24 bytes.
#include "echo/heap.h"

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Figures {
  echo_statistics heap{};
  double objects_per_s = 0;
};

[[noreturn]] void fail(const echo_error& why) {
  std::fprintf(stderr, "echo-bench-permits: %s\n", why.message);
  std::exit(1);
}

void mutate(echo_heap* heap, echo_layout_id pair, const std::atomic<bool>& done,
            std::atomic<std::uint64_t>& made) {
  echo_thread* self = nullptr;
  echo_error why{};
  if (echo_attach(heap, &self, &why) != ECHO_OK) {
    fail(why);
  }
  echo_scope scope = 0;
  (void)echo_scope_open(self, &scope);
  const echo_handle list = echo_handle_new(self, nullptr);
  std::uint64_t count = 0;
  while (!done.load(std::memory_order_relaxed)) {
    const echo_ref fresh = echo_allocate(self, pair, 0);
    if (fresh == nullptr) {
      (void)echo_last_error(self, &why);
      fail(why);
    }
    (void)echo_store(self, fresh, 8, count % 1000 != 0 ? echo_handle_get(self, list) : nullptr);
    (void)echo_handle_set(self, list, fresh);
    ++count;
    echo_poll(self);
  }
  made += count;
  (void)echo_scope_close(self, scope);
  (void)echo_detach(self, &why);
}

Figures run(unsigned threads, double seconds, const std::string& options) {
  echo_error why{};
  echo_heap* heap = nullptr;
  if (echo_heap_create(options.c_str(), &heap, &why) != ECHO_OK) {
    fail(why);
  }
  const echo_slot next{8, ECHO_SLOT_STRONG};
  const echo_layout layout{sizeof layout, ECHO_LAYOUT_FIXED, "pair", 24, 0, 0, 0, 1, &next};
  echo_layout_id pair = 0;
  if (echo_layout_register(heap, &layout, &pair, &why) != ECHO_OK) {
    fail(why);
  }
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> made{0};
  std::vector<std::thread> all;
  const auto start = std::chrono::steady_clock::now();
  for (unsigned t = 0; t < threads; ++t) {
    all.emplace_back([&] { mutate(heap, pair, done, made); });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  done = true;
  for (std::thread& thread : all) {
    thread.join();
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  Figures figures;
  figures.heap.size = sizeof figures.heap;
  (void)echo_get_statistics(heap, &figures.heap);
  figures.objects_per_s = static_cast<double>(made.load()) / taken.count();
  (void)echo_heap_destroy(heap, &why);
  return figures;
}

void print(const std::string& name, const Figures& f) {
  const echo_distribution& stop = f.heap.time_to_safepoint_us;
  const echo_distribution& pause = f.heap.pause_us;
  const echo_distribution& turn = f.heap.permit_wait_us;
  std::printf("%-12s %6llu collections  to safepoint us p50 %8.1f p99 %9.1f max %9.1f   pauses us p50 %7.1f "
              "p99 %9.1f "
              "max %9.1f   turns %6llu, p50 %7.0f us   %6.1f M objects/s\n",
              name.c_str(), static_cast<unsigned long long>(f.heap.collections_full), stop.p50, stop.p99,
              stop.max, pause.p50, pause.p99, pause.max, static_cast<unsigned long long>(turn.count),
              turn.p50, f.objects_per_s / 1e6);
}

} // namespace

int main(int argc, char** argv) {
  unsigned threads = 64;
  double seconds = 3;
  std::string options = "max_heap=256m";
  CLI::App app("stops with many more runnable threads than processors, with run permits and without");
  app.add_option("--threads", threads);
  app.add_option("--seconds", seconds);
  app.add_option("--options", options, "of the heap");
  CLI11_PARSE(app, argc, argv);
  const unsigned processors = std::max(1u, std::thread::hardware_concurrency());
  std::printf("%u threads, %u processors\n", threads, processors);
  for (const unsigned permits : {0u, processors, processors + 1}) {
    print("permits=" + std::to_string(permits),
          run(threads, seconds, options + ",permits=" + std::to_string(permits)));
  }
  return 0;
}
