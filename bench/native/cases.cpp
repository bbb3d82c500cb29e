// SPDX-License-Identifier: MIT
//
// Purpose     The loops that are timed.
#include "cases.h"
#include "measure.h"

#include "echo/industrial_memory_pool.h"
#include "heap/native/size_classes.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <sched.h>
#include <thread>
#include <vector>

namespace echo::bench {

namespace {

constexpr std::size_t kObjects = 100000;

void write_first_word(void* p, std::uint64_t value) {
  *static_cast<volatile std::uint64_t*>(p) = value;
}

struct Libc {
  void* allocate(std::size_t bytes) const { return std::malloc(bytes); }
  void free(void* p, std::size_t) const { std::free(p); }
};

struct Echo {
  global_slab_allocator_t* slabs = nullptr;
  void* allocate(std::size_t bytes) const { return global_slab_allocator_allocate(slabs, bytes); }
  void free(void* p, std::size_t bytes) const {
    if (!global_slab_allocator_deallocate(slabs, p, bytes)) {
      std::abort();
    }
  }
};

// --- pairs ---------------------------------------------------------------------------------------------------

// Median ns of one turn of `turn` over batches of 1000.
template <class Turn> double timed_batches(int batches, Turn turn) {
  std::vector<double> times;
  for (int b = 0; b < batches; ++b) {
    const double start = now_ns();
    for (std::uint64_t i = 0; i < 1000; ++i) {
      turn(i);
    }
    times.push_back((now_ns() - start) / 1000);
  }
  return median(times);
}

// The same on `count` threads at once, each on a processor of its own; the slowest thread's figure.
template <class Turn> double on_threads(unsigned count, int batches, Turn turn) {
  return slowest_of_threads(count, [&] { return timed_batches(batches, turn); });
}

template <class Allocator>
double pairs(const Allocator& allocator, std::size_t bytes, unsigned threads, int batches) {
  return on_threads(threads, batches, [&allocator, bytes](std::uint64_t i) {
    void* const p = allocator.allocate(bytes);
    write_first_word(p, i);
    allocator.free(p, bytes);
  });
}

// --- the original's loop -------------------------------------------------------------------------------------

struct LoopTimes {
  double allocate = 0, free = 0;
  double sum() const { return allocate + free; }
};

template <class Allocator>
LoopTimes loop_once(const Allocator& allocator, std::size_t bytes, std::vector<void*>& objects,
                    const std::vector<std::uint32_t>& order) {
  const double start = now_ns();
  for (std::size_t i = 0; i < kObjects; ++i) {
    objects[i] = allocator.allocate(bytes);
    write_first_word(objects[i], i);
  }
  const double middle = now_ns();
  for (const std::uint32_t i : order) {
    allocator.free(objects[i], bytes);
  }
  const double end = now_ns();
  return {(middle - start) / kObjects, (end - middle) / kObjects};
}

template <class Allocator>
void loops(const Allocator& allocator, std::size_t bytes, int rounds, bool with_parts, const Report& report) {
  std::vector<void*> objects(kObjects);
  std::vector<std::uint32_t> order(kObjects);
  for (std::uint32_t i = 0; i < kObjects; ++i) {
    order[i] = i;
  }
  const std::string size = std::to_string(bytes);
  for (const char* const kind : {"order", "random"}) {
    if (kind[0] == 'r') {
      std::uint64_t state = 1;
      for (std::size_t i = kObjects - 1; i > 0; --i) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        std::swap(order[i], order[(state >> 33) % (i + 1)]);
      }
    }
    const LoopTimes first = loop_once(allocator, bytes, objects, order);
    if (with_parts && kind[0] == 'o') {
      report("loop cold " + size, first.sum()); // pages touched for the first time
    }
    std::vector<double> sums;
    std::vector<double> allocations;
    std::vector<double> frees;
    for (int i = 0; i < rounds; ++i) {
      const LoopTimes t = loop_once(allocator, bytes, objects, order);
      sums.push_back(t.sum());
      allocations.push_back(t.allocate);
      frees.push_back(t.free);
    }
    report(std::string("loop ") + kind + " " + size, median(sums));
    if (with_parts) {
      report(std::string("loop ") + kind + " " + size + " allocate", median(allocations));
      report(std::string("loop ") + kind + " " + size + " free", median(frees));
    }
  }
}

// --- remote frees --------------------------------------------------------------------------------------------

constexpr std::size_t kBatch = 256;
constexpr std::size_t kInFlight = 8;

template <class Allocator> double remote(const Allocator& allocator, std::size_t bytes, int batches) {
  struct alignas(64) Slot {
    std::atomic<bool> full{false};
    std::array<void*, kBatch> objects{};
  };
  std::array<Slot, kInFlight> ring;
  std::vector<double> allocating;
  std::vector<double> freeing;
  std::thread consumer([&] {
    pin(1);
    std::uint64_t sum = 0;
    for (int b = 0; b < batches; ++b) {
      Slot& slot = ring[static_cast<std::size_t>(b) % kInFlight];
      while (!slot.full.load(std::memory_order_acquire)) {
        ::sched_yield();
      }
      const double start = now_ns();
      for (void* const p : slot.objects) {
        sum += *static_cast<std::uint64_t*>(p);
        allocator.free(p, bytes);
      }
      freeing.push_back((now_ns() - start) / kBatch);
      slot.full.store(false, std::memory_order_release);
    }
    if (sum == 1) {
      std::puts("");
    }
  });
  std::thread producer([&] {
    pin(0);
    for (int b = 0; b < batches; ++b) {
      Slot& slot = ring[static_cast<std::size_t>(b) % kInFlight];
      while (slot.full.load(std::memory_order_acquire)) {
        ::sched_yield();
      }
      const double start = now_ns();
      for (void*& p : slot.objects) {
        p = allocator.allocate(bytes);
        write_first_word(p, 2);
      }
      allocating.push_back((now_ns() - start) / kBatch);
      slot.full.store(true, std::memory_order_release);
    }
  });
  producer.join();
  consumer.join();
  return median(allocating) + median(freeing);
}

// --- false sharing -------------------------------------------------------------------------------------------

// Two threads, each counting in a word of its own: what a store costs depends on whether the words share a line.
double counting(std::array<std::uint64_t*, 2> words, int batches) {
  std::atomic<unsigned> taken{0};
  return on_threads(2, batches, [&](std::uint64_t i) {
    static thread_local std::uint64_t* mine = nullptr;
    static thread_local const void* of = nullptr;
    if (of != &taken) {
      of = &taken;
      mine = words[taken++ % 2];
    }
    for (int k = 0; k < 8; ++k) {
      auto* const word = static_cast<volatile std::uint64_t*>(mine);
      *word = *word + i;
    }
  });
}

// An object of 8 bytes per thread, allocated by it.
template <class Allocator> void false_sharing(const Allocator& allocator, int batches, const Report& report) {
  // Threads one after the other inherit a cache; at the same time each has its own.
  std::atomic<unsigned> ready{0};
  std::array<void*, 2> apart{};
  std::vector<std::thread> threads;
  threads.reserve(apart.size());
  for (void*& p : apart) {
    threads.emplace_back([&] {
      ++ready;
      while (ready < 2) {
        ::sched_yield();
      }
      p = allocator.allocate(8);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  report("sharing own objects",
         counting({static_cast<std::uint64_t*>(apart[0]), static_cast<std::uint64_t*>(apart[1])}, batches));
  alignas(64) std::array<std::uint64_t, 16> words{};
  report("sharing lines apart", counting({&words[0], &words[8]}, batches));
  report("sharing one line", counting({&words[0], &words[1]}, batches));
  for (void* const p : {apart[0], apart[1]}) {
    allocator.free(p, 8);
  }
}

// --- fragmentation -------------------------------------------------------------------------------------------

// 100,000 live objects of 60 % 16-48 B, 30 % 48-128 B and 10 % 128-1024 B, replaced at random a million times.
void fragmentation(const Echo& allocator, const Report& report) {
  struct Object {
    void* address;
    std::size_t bytes;
  };
  std::uint64_t state = 7;
  const auto below = [&state](std::uint64_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % n;
  };
  const auto allocate = [&] {
    const std::uint64_t kind = below(10);
    const std::size_t bytes = 8 * (kind < 6 ? 2 + below(5) : kind < 9 ? 6 + below(11) : 16 + below(113));
    Object object{allocator.allocate(bytes), bytes};
    write_first_word(object.address, 3);
    return object;
  };
  std::vector<Object> live;
  live.reserve(kObjects);
  for (std::size_t i = 0; i < kObjects; ++i) {
    live.push_back(allocate());
  }
  for (std::size_t i = 0; i < 10 * kObjects; ++i) {
    Object& object = live[below(kObjects)];
    allocator.free(object.address, object.bytes);
    object = allocate();
  }
  double asked = 0;
  double cells = 0;
  for (const Object& object : live) {
    asked += static_cast<double>(object.bytes);
    cells += native::shape_of(native::cell_for(object.bytes)).bytes;
  }
  double all = 0;
  global_slab_allocator_get_stats(allocator.slabs, nullptr, nullptr, &all);
  report("fragmentation internal", 100 * (cells - asked) / cells);
  report("fragmentation all", 100 * all);
  for (const Object& object : live) {
    allocator.free(object.address, object.bytes);
  }
}

template <class Allocator>
void run_all(const Allocator& allocator, const Settings& settings, const Report& report) {
  const auto wanted = [&settings](const std::string& kind) { return kind.starts_with(settings.only); };
  const bool quick = settings.quick;
  // First of all: the loop whose pages nobody has touched yet.
  if (wanted("loop")) {
    loops(allocator, 128, quick ? 10 : 40, true, report);
  }
  const int batches = quick ? 300 : 2000;
  for (const std::size_t bytes : SIZE_CLASSES) {
    const std::string size = std::to_string(bytes);
    if (wanted("pair")) {
      report("pair " + size, pairs(allocator, bytes, 1, batches));
      report("pair 2 threads " + size, pairs(allocator, bytes, 2, batches));
    }
    if (wanted("remote")) {
      report("remote " + size, remote(allocator, bytes, batches));
    }
    if (wanted("loop") && bytes != 128) {
      loops(allocator, bytes, quick ? 3 : 10, false, report);
    }
  }
  if (wanted("sharing")) {
    false_sharing(allocator, batches, report);
  }
  if (wanted("pair")) {
    const auto control = [](std::uint64_t i) {
      static thread_local volatile std::uint64_t words[64];
      for (std::uint64_t k = 0; k < 8; ++k) {
        words[(i + k) % 64] = words[(i + k + 1) % 64] + i;
      }
    };
    report("control", on_threads(1, batches, control));
    report("control 2 threads", on_threads(2, batches, control));
  }
}

} // namespace

void run_cases(bool echo, const Settings& settings, const Report& report) {
  if (!echo) {
    run_all(Libc{}, settings, report);
    return;
  }
  const slab_allocator_config_t config = SLAB_ALLOCATOR_DEFAULT_CONFIG();
  const Echo allocator{global_slab_allocator_create(&config)};
  run_all(allocator, settings, report);
  global_slab_allocator_destroy(allocator.slabs);
  if (std::string("fragmentation").starts_with(settings.only)) {
    const Echo fresh{global_slab_allocator_create(&config)};
    fragmentation(fresh, report);
    global_slab_allocator_destroy(fresh.slabs);
  }
}

} // namespace echo::bench
