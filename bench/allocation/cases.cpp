// SPDX-License-Identifier: MIT
//
// Purpose     The loops that are timed. The heap's side is what a compiler emits: the recipe's inline path, the store
//             recipe, a poll per turn.
#include "cases.h"
#include "measure.h"

#include "echo/heap.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <sys/mman.h>
#include <type_traits>
#include <vector>

namespace echo::bench {

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kSmallSet = kMiB;
constexpr std::size_t kLargeSet = 256 * kMiB;

clockid_t g_clock = CLOCK_MONOTONIC;

[[noreturn]] void fail(const char* what, const echo_error& error) {
  std::fprintf(stderr, "echo-bench-allocation: %s: %s: %s\n", what, echo_status_name(error.code),
               error.message);
  std::exit(1);
}

// All bytes of an object but its first word.
template <std::size_t Bytes> inline void write_rest(void* object, void* link, std::uint64_t value) {
  auto* const words = static_cast<std::uint64_t*>(object);
  words[1] = reinterpret_cast<std::uint64_t>(link);
  asm volatile("" ::: "memory"); // else the compiler moves it through the stack into a vector
  for (std::size_t w = 2; w < Bytes / 8; ++w) {
    words[w] = value;
  }
}

// A line of cache for each that the object fills, so far ahead: what a compiler may add to the recipe.
constexpr std::size_t kAheadBytes = 512, kLineBytes = 64;
template <std::size_t Bytes> inline void prefetch_behind(std::uint64_t at) {
  for (std::size_t line = 0; line < Bytes; line += kLineBytes) {
    __builtin_prefetch(reinterpret_cast<const void*>(at + kAheadBytes + line), 1);
  }
}

// --- the two sides -------------------------------------------------------------------------------------------

// How a side shares itself between threads; a worker is one thread's view of it.
struct Libc {
  struct Worker {
    explicit Worker(Libc&) {}
    struct Fast {
      template <std::size_t Bytes, bool Ahead> void* allocate() const {
        void* const p = std::malloc(Bytes);
        if (p == nullptr) {
          std::abort();
        }
        *static_cast<std::uint64_t*>(p) = Bytes;
        return p;
      }
    };
    Fast fast() const { return {}; }
    void give_up(void* list) {
      while (list != nullptr) {
        void* const next = reinterpret_cast<void*>(static_cast<std::uint64_t*>(list)[1]);
        std::free(list);
        list = next;
      }
    }
    // The ring: addresses in an array.
    void open_ring(std::size_t count) { ring.assign(count, nullptr); }
    void replace(std::size_t i, void* p) {
      std::free(ring[i]);
      ring[i] = p;
    }
    void close_ring() {
      for (void* const p : ring) {
        std::free(p);
      }
      ring = {};
    }
    std::vector<void*> ring;
  };
  explicit Libc(std::size_t, std::size_t, bool) {}
};

// Offsets in the thread block, as constants: a compiler embeds what the recipe says. Compared with it below.
constexpr std::uint32_t kCursorOffset = 0;
constexpr std::uint32_t kLimitOffset = 8;
constexpr std::uint32_t kPollOffset = 16;
constexpr std::uint32_t kPhaseOffset = 56;

struct Echo {
  Echo(std::size_t bytes, std::size_t set_bytes, bool fixed_trigger) {
    echo_error error{};
    std::string options = "census=off,max_heap=" + std::to_string(4 * set_bytes + 64 * kMiB);
    if (fixed_trigger) {
      options += ",trigger=" + std::to_string(set_bytes);
    }
    if (echo_heap_create(options.c_str(), &heap, &error) != ECHO_OK ||
        echo_get_recipes(heap, ECHO_RECIPES_FASTEST, &recipes) != ECHO_OK) {
      fail("creating the heap", error);
    }
    if (recipes->cursor_offset != kCursorOffset || recipes->limit_offset != kLimitOffset ||
        recipes->poll_offset != kPollOffset || recipes->phase_offset != kPhaseOffset) {
      std::fprintf(stderr,
                   "echo-bench-allocation: the recipe's offsets have changed: correct the constants\n");
      std::exit(1);
    }
    const echo_layout object = {sizeof(echo_layout), ECHO_LAYOUT_FIXED, "object", bytes, 0, 0, 0, 0, nullptr};
    const echo_layout array = {sizeof(echo_layout), ECHO_LAYOUT_REF_ARRAY, "ring", 16, 8, 0, 0, 0, nullptr};
    if (echo_layout_register(heap, &object, &object_layout, &error) != ECHO_OK ||
        echo_layout_register(heap, &array, &array_layout, &error) != ECHO_OK) {
      fail("registering a layout", error);
    }
  }
  ~Echo() {
    echo_error error{};
    if (echo_heap_destroy(heap, &error) != ECHO_OK) {
      fail("destroying the heap", error);
    }
  }
  Echo(const Echo&) = delete;
  Echo& operator=(const Echo&) = delete;

  struct Worker {
    explicit Worker(Echo& owner) : echo(owner), layout(owner.object_layout), recipes(*owner.recipes) {
      echo_error error{};
      if (echo_attach(echo.heap, &thread, &error) != ECHO_OK) {
        fail("attaching", error);
      }
    }
    ~Worker() { (void)echo_detach(thread, nullptr); }
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // In registers, as in emitted code: the thread, and the recipe's constants.
    struct Fast {
      template <std::size_t Bytes, bool Ahead> void* allocate() const {
        if (__builtin_expect(__atomic_load_n(word(kPollOffset), __ATOMIC_RELAXED) == 0, 0)) {
          worker->recipes.poll_cold(worker->thread);
        }
        const std::uint64_t at = *word(kCursorOffset);
        const std::uint64_t next = at + Bytes;
        if (__builtin_expect(next > *word(kLimitOffset), 0)) {
          return worker->allocate_cold();
        }
        *word(kCursorOffset) = next;
        if constexpr (Ahead) {
          prefetch_behind<Bytes>(at);
        }
        auto* const object = reinterpret_cast<std::uint64_t*>(at);
        *object = header;
        return object;
      }
      std::uint64_t* word(std::uint32_t offset) const {
        return reinterpret_cast<std::uint64_t*>(thread + offset);
      }
      char* thread;
      std::uint64_t header;
      Worker* worker;
    };
    Fast fast() { return {reinterpret_cast<char*>(thread), layout, this}; }
    [[gnu::noinline, gnu::cold]] void* allocate_cold() const {
      auto* object = recipes.allocate_cold(thread, layout, 0);
      if (object == nullptr) {
        echo_error error{};
        (void)echo_last_error(thread, &error);
        fail("allocating", error);
      }
      return object;
    }
    void give_up(void*) {}
    void open_ring(std::size_t count) {
      echo_error error{};
      ring = echo_allocate(thread, echo.array_layout, count);
      if (ring == nullptr || echo_roots_add(echo.heap, &ring, 1, &error) != ECHO_OK) {
        fail("making the ring", error);
      }
    }
    void replace(std::size_t i, void* p) const {
      auto* const slot = reinterpret_cast<echo_ref*>(reinterpret_cast<char*>(ring) + 16) + i;
      if (__builtin_expect(*(reinterpret_cast<const char*>(thread) + kPhaseOffset) != 0, 0)) {
        recipes.store_cold(thread, slot, static_cast<echo_ref>(p));
      }
      *slot = static_cast<echo_ref>(p);
    }
    void close_ring() { (void)echo_roots_remove(echo.heap, &ring, nullptr); }

    Echo& echo;
    echo_thread* thread = nullptr;
    const echo_layout_id layout;
    const echo_recipes recipes;
    echo_ref ring = nullptr;
  };

  echo_heap* heap = nullptr;
  const echo_recipes* recipes = nullptr;
  echo_layout_id object_layout = 0, array_layout = 0;
};

// The limit of both: the heap's inline path over a ring of memory as large as the working set, and nothing else.
struct Bare {
  Bare(std::size_t, std::size_t set_bytes, bool) : bytes(set_bytes) {}
  struct Worker {
    explicit Worker(Bare& owner) : bytes(owner.bytes) {
      constexpr std::size_t kHuge = 2 * kMiB;
      ring = static_cast<char*>(std::aligned_alloc(kHuge, (bytes + kHuge - 1) / kHuge * kHuge));
      if (ring == nullptr) {
        std::abort();
      }
      (void)::madvise(ring, (bytes + kHuge - 1) / kHuge * kHuge, MADV_HUGEPAGE);
      rewind();
    }
    ~Worker() { std::free(ring); }
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;
    struct Fast {
      template <std::size_t Bytes, bool Ahead> void* allocate() const {
        const std::uint64_t at = *word(kCursorOffset);
        const std::uint64_t next = at + Bytes;
        if (__builtin_expect(next > *word(kLimitOffset), 0)) {
          return worker->rewind();
        }
        *word(kCursorOffset) = next;
        if constexpr (Ahead) {
          prefetch_behind<Bytes>(at);
        }
        auto* const object = reinterpret_cast<std::uint64_t*>(at);
        *object = Bytes;
        return object;
      }
      std::uint64_t* word(std::uint32_t offset) const {
        return reinterpret_cast<std::uint64_t*>(thread + offset);
      }
      char* thread;
      Worker* worker;
    };
    Fast fast() { return {reinterpret_cast<char*>(block.data()), this}; }
    [[gnu::noinline, gnu::cold]] void* rewind() {
      block[0] = reinterpret_cast<std::uint64_t>(ring);
      block[1] = reinterpret_cast<std::uint64_t>(ring + bytes);
      return ring;
    }
    void give_up(void*) {}
    const std::size_t bytes;
    char* ring = nullptr;
    std::array<std::uint64_t, 8> block{};
  };
  std::size_t bytes;
};

// --- the loops -----------------------------------------------------------------------------------------------

// Runs one worker per thread on a processor of its own, each from a common start; the slowest one's figure.
template <class Side, class Work> double on_threads(Side& side, unsigned count, Work work) {
  const double slowest = slowest_of_threads(count, [&] {
    typename Side::Worker worker(side);
    return work(worker);
  });
  return g_clock == CLOCK_MONOTONIC ? slowest : slowest / count; // all threads' time was counted
}

template <std::size_t Bytes, class Side, bool Ahead>
double batches(std::size_t set_bytes, unsigned threads, std::size_t total_bytes) {
  Side side(Bytes, set_bytes, true);
  const std::size_t count = set_bytes / threads / Bytes;
  // Small parts: what else happens on the machine falls out of their median.
  const std::size_t parts = set_bytes == kSmallSet ? 41 : 5;
  const std::size_t per_part = std::max<std::size_t>(1, total_bytes / parts / set_bytes);
  return on_threads(side, threads, [=](typename Side::Worker& worker) {
    const auto batch = [&] {
      const auto fast = worker.fast();
      void* list = nullptr;
      for (std::size_t i = 0, n = count; i < n; ++i) {
        void* const p = fast.template allocate<Bytes, Ahead>();
        write_rest<Bytes>(p, list, i);
        list = p;
        asm volatile("" ::"r"(p) : "memory");
      }
      worker.give_up(list);
    };
    batch(); // touches the memory
    batch();
    std::vector<double> figures;
    for (std::size_t part = 0; part < parts; ++part) {
      const double start = now_ns(g_clock);
      for (std::size_t b = 0; b < per_part; ++b) {
        batch();
      }
      figures.push_back((now_ns(g_clock) - start) / static_cast<double>(per_part * count));
    }
    return median(figures);
  });
}

template <std::size_t Bytes, class Side>
double live_ring(std::size_t set_bytes, unsigned threads, std::size_t total_bytes) {
  Side side(Bytes, set_bytes, false);
  const std::size_t count = set_bytes / threads / Bytes;
  const std::size_t turns = std::max<std::size_t>(3, total_bytes / set_bytes);
  return on_threads(side, threads, [=](typename Side::Worker& worker) {
    worker.open_ring(count);
    const auto turn = [&] {
      const auto fast = worker.fast();
      for (std::size_t i = 0, n = count; i < n; ++i) {
        void* const p = fast.template allocate<Bytes, false>();
        write_rest<Bytes>(p, nullptr, i);
        worker.replace(i, p);
      }
    };
    turn();
    turn();
    const double start = now_ns(g_clock);
    for (std::size_t t = 0; t < turns; ++t) {
      turn();
    }
    const double figure = (now_ns(g_clock) - start) / static_cast<double>(turns * count);
    worker.close_ring();
    return figure;
  });
}

bool wanted(const Settings& settings, const std::string& name) {
  return name.find(settings.only) != std::string::npos;
}

template <std::size_t Bytes, class Side> void run_size(const Settings& settings, const Report& report) {
  const bool quick = settings.quick;
  for (const std::size_t set : {kSmallSet, kLargeSet}) {
    if (quick && set == kLargeSet && Bytes != 64) {
      continue;
    }
    for (const unsigned threads : {1u, 2u}) {
      const std::size_t total = set == kSmallSet ? (quick ? 256 : 1024) * kMiB : (quick ? 1280 : 2560) * kMiB;
      if (const std::string name = case_name("batch", Bytes, set, threads); wanted(settings, name)) {
        const double ns = batches<Bytes, Side, false>(set, threads, total);
        const std::string rest = name.substr(5);
        report(name, ns);
        if (std::is_same_v<Side, Echo>) {
          report("limit" + rest, batches<Bytes, Bare, false>(set, threads, total));
          report("ahead" + rest, batches<Bytes, Side, true>(set, threads, total));
          report("ahead limit" + rest, batches<Bytes, Bare, true>(set, threads, total));
        } else {
          report("ahead" + rest, ns);
        }
      }
      if (const std::string name = case_name("live", Bytes, set, threads); !quick && wanted(settings, name)) {
        report(name, live_ring<Bytes, Side>(set, threads, total / 2));
      }
    }
  }
}

// 60 % 16-48 B, 30 % 48-128 B and 10 % 128-1024 B, as in bench/native.
void fragmentation(const Report& report) {
  constexpr std::size_t kObjects = 100000;
  Echo side(16, 64 * kMiB, false);
  echo_error error{};
  const echo_layout bytes_of = {sizeof(echo_layout), ECHO_LAYOUT_RAW_ARRAY, "bytes", 16, 8, 0, 0, 0, nullptr};
  echo_layout_id layout = 0;
  if (echo_layout_register(side.heap, &bytes_of, &layout, &error) != ECHO_OK) {
    fail("registering a layout", error);
  }
  Echo::Worker worker(side);
  worker.open_ring(kObjects);
  std::uint64_t state = 7;
  const auto below = [&state](std::uint64_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % n;
  };
  const auto replace = [&](std::size_t i) {
    const std::uint64_t kind = below(10);
    const std::uint64_t words = kind < 6 ? 2 + below(5) : kind < 9 ? 6 + below(11) : 16 + below(113);
    echo_ref object = echo_allocate(worker.thread, layout, words - 2);
    if (object == nullptr) {
      (void)echo_last_error(worker.thread, &error);
      fail("allocating", error);
    }
    worker.replace(i, object);
  };
  const auto measure = [&](const char* name) {
    echo_statistics s{};
    s.size = sizeof s;
    if (echo_collect(worker.thread, ECHO_COLLECT_FULL, &error) != ECHO_OK ||
        echo_get_statistics(side.heap, &s) != ECHO_OK) {
      fail("collecting", error);
    }
    report(name, 100 * s.fragmentation);
  };
  for (std::size_t i = 0; i < kObjects; ++i) {
    replace(i);
  }
  measure("fragmentation filled");
  for (std::size_t i = 0; i < 10 * kObjects; ++i) {
    replace(below(kObjects));
  }
  measure("fragmentation replaced");
  worker.close_ring();
}

template <class Side> void run_all(const Settings& settings, const Report& report) {
  run_size<16, Side>(settings, report);
  run_size<32, Side>(settings, report);
  run_size<64, Side>(settings, report);
  run_size<128, Side>(settings, report);
  run_size<256, Side>(settings, report);
  if (std::is_same_v<Side, Echo> && wanted(settings, "fragmentation")) {
    fragmentation(report);
  }
}

} // namespace

std::string case_name(const char* kind, std::size_t bytes, std::size_t set_bytes, unsigned threads) {
  return std::string(kind) + " " + std::to_string(bytes) + " B, " + std::to_string(set_bytes / kMiB) +
         " MiB, " + std::to_string(threads) + " thr";
}

void run_cases(bool echo, const Settings& settings, const Report& report) {
  g_clock = settings.cpu_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
  echo ? run_all<Echo>(settings, report) : run_all<Libc>(settings, report);
}

} // namespace echo::bench
