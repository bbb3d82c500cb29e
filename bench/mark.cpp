// SPDX-License-Identifier: MIT
//
// Purpose     Marking rate of the plugin: a graph of 64-byte objects with three random edges each.
// Method      Full collections of a heap whose objects all survive; objects marked per second of wall time of
//             marking (mark_s), and per second of collector CPU, which is the rate of one processor when several mark
//             (option `markers`, third argument). In the same run the limit of a marker
//             with one stack: the traversal (two prefetch queues, a bit per 16 bytes) over a bare array, without headers,
//             layouts, kinds or live counts. The heap's marker works by regions and may beat it.
// Output      one JSON object on standard output
#include "measure.h"

#include "echo/heap.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <sys/mman.h>
#include <vector>

namespace {

using echo::bench::median;

constexpr std::size_t kObjectBytes = 64;
constexpr unsigned kEdges = 3;

class Random {
public:
  std::uint64_t below(std::uint64_t n) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ % n;
  }

private:
  std::uint64_t state_ = 88172645463325252u;
};

[[noreturn]] void fail(const char* what, const echo_error& error) {
  std::fprintf(stderr, "echo-bench-mark: %s: %s: %s\n", what, echo_status_name(error.code), error.message);
  std::exit(1);
}

struct Rates {
  std::vector<double> wall, cpu;
  std::uint64_t objects = 0;
  std::uint64_t markers = 0; // at most at a time
};

Rates mark_heap(std::size_t count, int repetitions, const std::string& markers) {
  echo_error error{};
  echo_heap* heap = nullptr;
  echo_thread* thread = nullptr;
  const std::string bytes = std::to_string(count * kObjectBytes * 2);
  const std::string options = "max_heap=" + bytes + ",trigger=" + bytes + ",census=off,markers=" + markers;
  if (echo_heap_create(options.c_str(), &heap, &error) != ECHO_OK ||
      echo_attach(heap, &thread, &error) != ECHO_OK) {
    fail("creating the heap", error);
  }
  const std::array<echo_slot, kEdges> slots = {{{8, 0}, {16, 0}, {24, 0}}};
  const echo_layout layout = {sizeof(echo_layout), ECHO_LAYOUT_FIXED, "node", kObjectBytes, 0, 0, 0, kEdges,
                              slots.data()};
  echo_layout_id id = 0;
  if (echo_layout_register(heap, &layout, &id, &error) != ECHO_OK) {
    fail("registering the layout", error);
  }
  std::vector<echo_ref> objects(count);
  for (echo_ref& object : objects) {
    object = echo_allocate(thread, id, 0);
    if (object == nullptr) {
      (void)echo_last_error(thread, &error);
      fail("allocating", error);
    }
  }
  Random random;
  for (echo_ref object : objects) {
    for (unsigned k = 1; k <= kEdges; ++k) {
      reinterpret_cast<echo_ref*>(object)[k] = objects[random.below(count)];
    }
  }
  echo_ref root = objects[0];
  (void)echo_roots_add(heap, &root, 1, &error);
  objects = {};
  Rates rates;
  echo_statistics before{};
  echo_statistics after{};
  before.size = after.size = sizeof before;
  for (int i = 0; i < repetitions; ++i) {
    (void)echo_get_statistics(heap, &before);
    if (echo_collect(thread, ECHO_COLLECT_FULL, &error) != ECHO_OK) {
      fail("collecting", error);
    }
    (void)echo_get_statistics(heap, &after);
    rates.objects = after.objects_marked - before.objects_marked;
    rates.wall.push_back(static_cast<double>(rates.objects) / (after.mark_s - before.mark_s));
    rates.cpu.push_back(static_cast<double>(rates.objects) / (after.gc_cpu_s - before.gc_cpu_s));
  }
  rates.markers = after.markers_peak;
  (void)echo_roots_remove(heap, &root, &error);
  (void)echo_detach(thread, &error);
  (void)echo_heap_destroy(heap, &error);
  return rates;
}

// --- the limit

struct Bare {
  std::array<Bare*, kEdges + 1> word;
  std::array<std::uint64_t, 4> payload;
};
static_assert(sizeof(Bare) == kObjectBytes);

void* map_huge(std::size_t bytes) {
  void* p =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    std::perror("mmap");
    std::exit(1);
  }
  (void)::madvise(p, bytes, MADV_HUGEPAGE);
  return p;
}

std::uint64_t traverse(Bare* heap, std::uint64_t* bits, Bare** stack) {
  constexpr unsigned kQueue = 16;
  std::array<Bare*, kQueue> first{};
  std::array<Bare*, kQueue> second{};
  unsigned a = 0;
  unsigned b = 0;
  std::size_t top = 0;
  std::size_t waiting = 0;
  std::uint64_t found = 0;
  const auto cell = [heap](const Bare* o) {
    return (reinterpret_cast<std::uintptr_t>(o) - reinterpret_cast<std::uintptr_t>(heap)) / 16;
  };
  stack[top++] = heap;
  while (top != 0 || waiting != 0) {
    Bare* edge = nullptr;
    if (top != 0) {
      edge = stack[--top];
      __builtin_prefetch(&bits[cell(edge) / 64], 1);
      ++waiting;
    }
    Bare* candidate = first[a];
    first[a] = edge;
    a = (a + 1) % kQueue;
    Bare* grey = nullptr;
    if (candidate != nullptr) {
      std::uint64_t& word = bits[cell(candidate) / 64];
      const std::uint64_t bit = std::uint64_t{1} << (cell(candidate) % 64);
      if ((word & bit) == 0) {
        word |= bit;
        grey = candidate;
        __builtin_prefetch(grey);
      } else {
        --waiting;
      }
    }
    if (grey == nullptr && top != 0) {
      continue;
    }
    Bare* object = second[b];
    second[b] = grey;
    b = (b + 1) % kQueue;
    if (object != nullptr) {
      --waiting;
      ++found;
      for (unsigned k = 1; k <= kEdges; ++k) {
        stack[top++] = object->word[k];
      }
    }
  }
  return found;
}

std::vector<double> mark_limit(std::size_t count, int repetitions) {
  auto* heap = static_cast<Bare*>(map_huge(count * sizeof(Bare)));
  const std::size_t bit_bytes = count * sizeof(Bare) / 128;
  auto* bits = static_cast<std::uint64_t*>(map_huge(bit_bytes));
  auto** stack = static_cast<Bare**>(map_huge((count * kEdges + 64) * sizeof(Bare*)));
  Random random;
  for (std::size_t i = 0; i < count; ++i) {
    for (unsigned k = 1; k <= kEdges; ++k) {
      heap[i].word[k] = heap + random.below(count);
    }
  }
  std::vector<double> rates;
  for (int i = 0; i < repetitions; ++i) {
    std::fill_n(bits, bit_bytes / 8, 0);
    const auto start = std::chrono::steady_clock::now();
    const std::uint64_t found = traverse(heap, bits, stack);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    rates.push_back(static_cast<double>(found) / seconds.count());
  }
  (void)::munmap(heap, count * sizeof(Bare));
  (void)::munmap(bits, bit_bytes);
  (void)::munmap(stack, (count * kEdges + 64) * sizeof(Bare*));
  return rates;
}

} // namespace

int main(int argc, char** argv) {
  const std::size_t megabytes = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1024;
  const int repetitions = argc > 2 ? std::atoi(argv[2]) : 7;
  const std::string markers = argc > 3 ? argv[3] : "0";
  if (megabytes == 0 || repetitions <= 0) {
    std::fprintf(stderr, "usage: echo-bench-mark [megabytes] [repetitions] [markers]\n");
    return 2;
  }
  const std::size_t count = (megabytes << 20) / kObjectBytes;
  const Rates heap = mark_heap(count, repetitions, markers);
  const std::vector<double> limit = mark_limit(count, repetitions);
  std::printf(
      "{\"objects\": %lu, \"repetitions\": %d, \"markers\": %lu, \"objects_per_s\": %.0f, "
      "\"objects_per_cpu_s\": %.0f, "
      "\"best_objects_per_s\": %.0f, \"limit_objects_per_s\": %.0f, \"best_limit_objects_per_s\": %.0f}\n",
      static_cast<unsigned long>(heap.objects), repetitions, static_cast<unsigned long>(heap.markers),
      median(heap.wall), median(heap.cpu), *std::max_element(heap.wall.begin(), heap.wall.end()),
      median(limit), *std::max_element(limit.begin(), limit.end()));
  return 0;
}
