// SPDX-License-Identifier: MIT
//
// Purpose     Random graphs with strong, weak and ephemeron references and finalizable objects, on several threads and in
//             every mode, against the same graph in plain C++. Everything goes through the public C ABI.
// Method      Each thread has objects of its own and reaches them from its root words only, by strong slots and by weak
//             loads. A load may show null exactly for what the shadow does not reach; what it shows is whole. After a
//             collection of its own the thread compares everything, and forgets what is unreachable. Any thread takes what
//             is due for finalization, of whatever thread, once, and finds it whole.
// Invariants  [weak.load.1] [weak.clear.1] [eph.value.1] [eph.null.1] [final.once.1] [weak.final.1]. Between two calls that
//             may reach a safepoint a reference is held in locals; over such calls only in root words and handles. Who
//             stores a key holds the value.
#include "echo/heap.h"
#include "tests/heap/seed.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using echo::test::Random;

struct Configuration {
  const char* name;
  const char* options;
  unsigned threads;
  int steps;
};
constexpr Configuration kConfigurations[] = {
    {"plain", "max_heap=16m,poison=on", 2, 150000},
    {"single", "max_heap=16m,poison=on", 1, 150000},
    {"verify", "max_heap=16m,poison=on,verify=on", 2, 30000},
    {"yield", "max_heap=16m,poison=on,stress_yield=on", 3, 20000},
    {"barriers", "max_heap=16m,poison=on,verify=on,stress_barriers=on", 2, 20000},
    {"stress", "max_heap=16m,poison=on,verify=on,stress_collect=50", 2, 15000},
    {"stw", "max_heap=16m,poison=on,verify=on,mode=stw", 2, 50000},
    {"markers", "max_heap=16m,trigger=512k,poison=on,verify=on,markers=3,mark_region=64k", 2, 50000},
};

std::string context;
[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "WEAK MISMATCH: %s\n  %s\n", what.c_str(), context.c_str());
  std::fflush(nullptr);
  std::_Exit(1);
}
void expect(echo_status status, const char* call) {
  if (status != ECHO_OK) {
    fail(std::string(call) + ": " + echo_status_name(status));
  }
}
template <class Call> void must(Call call) {
  echo_error why{};
  if (call(&why) != ECHO_OK) {
    fail(why.message);
  }
}

// [header][strong][strong][weak][key][value][number][its complement]
enum Word : std::size_t { kLeft = 1, kRight, kWeak, kKey, kValue, kNumber, kCheck, kWords };
constexpr echo_slot kSlots[] = {{8 * kLeft, ECHO_SLOT_STRONG},
                                {8 * kRight, ECHO_SLOT_STRONG},
                                {8 * kWeak, ECHO_SLOT_WEAK},
                                {8 * kKey, ECHO_SLOT_EPHEMERON_KEY},
                                {8 * kValue, ECHO_SLOT_EPHEMERON_VALUE}};

std::uint64_t load(echo_ref object, std::size_t word) {
  return __atomic_load_n(reinterpret_cast<const std::uint64_t*>(object) + word, __ATOMIC_RELAXED);
}
echo_ref strong(echo_ref object, std::size_t word) {
  return reinterpret_cast<echo_ref>(load(object, word));
}

// What all threads of a run share.
struct Shared {
  echo_heap* heap = nullptr;
  echo_layout_id plain = 0, finalizable = 0;
  bool skips_weak_loads = false; // the planted fault
  std::atomic<std::uint64_t> numbers{1};
  std::atomic<std::uint64_t> published{0}; // of objects that other threads may come to
  std::atomic<std::uint64_t> made{0}, taken{0}, shown{0}, cleared{0};
  static constexpr std::size_t kMost = 1 << 20;
  std::unique_ptr<std::atomic<bool>[]> was_taken{new std::atomic<bool>[kMost]()};
  std::unique_ptr<std::atomic<bool>[]> was_dropped{new std::atomic<bool>[kMost]()};

  // A whole object, of any thread.
  void expect_whole(echo_ref object, const char* where) const {
    const echo_layout_id layout = echo_object_layout(heap, object);
    if ((layout != plain && layout != finalizable) || load(object, kNumber) != ~load(object, kCheck)) {
      fail(std::string(where) + " is no whole object: it was freed or overwritten");
    }
  }
};

class World {
public:
  World(Shared& shared, std::uint64_t seed) : shared_(shared), random_(seed) {
    expect(echo_attach(shared.heap, &thread_, nullptr), "echo_attach");
    expect(echo_roots_add(shared.heap, roots_.data(), roots_.size(), nullptr), "echo_roots_add");
    root_items_.fill(kNull);
  }
  ~World() {
    expect(echo_roots_remove(shared_.heap, roots_.data(), nullptr), "echo_roots_remove");
    expect(echo_detach(thread_, nullptr), "echo_detach");
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step();
    }
    roots_.fill(nullptr);
    root_items_.fill(kNull);
    collect();
    for (int turn = 0; turn < 2; ++turn) { // what is due of other threads, too
      while (take()) {
      }
      must([&](echo_error* why) { return echo_collect(thread_, ECHO_COLLECT_FULL, why); });
    }
  }

private:
  static constexpr int kNull = -1;
  struct Item {
    std::array<int, kWords> refs;
    std::uint64_t number = 0;
    bool finalizable = false;
    Item() { refs.fill(kNull); }
  };
  struct Place {
    echo_ref ref = nullptr;
    int item = kNull;
  };

  void step() {
    const std::size_t dice = random_.below(1000);
    if (dice < 250) {
      allocate();
    } else if (dice < 420) {
      set_root(wander());
    } else if (dice < 480) {
      set_root({});
    } else if (dice < 880) {
      mutate();
    } else if (dice < 960) {
      (void)take();
    } else if (dice < 985) {
      echo_poll(thread_);
    } else if (dice < 990) {
      expect(echo_enter_native(thread_), "echo_enter_native");
      std::this_thread::yield();
      expect(echo_leave_native(thread_), "echo_leave_native");
    } else if (dice < 994 || items_.size() > 600) {
      collect();
    }
  }
  void allocate() {
    const bool finalizable = random_.chance(30);
    const echo_ref object = echo_allocate(thread_, finalizable ? shared_.finalizable : shared_.plain, 0);
    if (object == nullptr) {
      fail("out of memory");
    }
    const std::uint64_t number = shared_.numbers.fetch_add(1);
    reinterpret_cast<std::uint64_t*>(object)[kNumber] = number;
    reinterpret_cast<std::uint64_t*>(object)[kCheck] = ~number;
    if (finalizable) {
      shared_.made.fetch_add(1);
    }
    items_.emplace_back();
    items_.back().number = number;
    items_.back().finalizable = finalizable;
    const Place place{object, static_cast<int>(items_.size()) - 1};
    if (const Place holder = wander(); holder.ref != nullptr && random_.chance(60)) {
      store(holder, random_.chance(50) ? kLeft : kRight, place);
    } else {
      set_root(place);
    }
  }
  void set_root(Place place) {
    const std::size_t i = random_.below(roots_.size());
    roots_[i] = place.ref;
    root_items_[i] = place.item;
  }
  void mutate() {
    const Place from = wander();
    if (from.ref == nullptr) {
      return;
    }
    const Place to = random_.chance(15) ? Place{} : wander();
    switch (random_.below(6)) {
    case 0:
      store(from, kLeft, to);
      break;
    case 1:
      store(from, kRight, to);
      break;
    case 2:
      store(from, kWeak, to);
      break;
    case 3:
      store(from, kValue, wander());
      store(from, kKey, to);
      break;
    case 4:
      (void)follow(from, kValue); // held until the key is stored
      store(from, kKey, to);
      break;
    default:
      store(from, kValue, to);
      break;
    }
  }
  void store(Place from, Word word, Place to) {
    shared_.published.fetch_add(
        1, std::memory_order_release); // what `to` is comes first, as a language would see to
    expect(echo_store(thread_, from.ref, 8 * word, to.ref), "echo_store");
    items_[from.item].refs[word] = to.item;
  }
  // From a random root word along random slots. NO-SAFEPOINT.
  Place wander() {
    const std::size_t i = random_.below(roots_.size());
    Place at{roots_[i], root_items_[i]};
    for (std::size_t steps = random_.below(6); steps > 0 && at.ref != nullptr; --steps) {
      const Place next = follow(at, static_cast<Word>(random_.between(kLeft, kValue)));
      if (next.ref != nullptr) {
        at = next;
      }
    }
    return at;
  }
  // NO-SAFEPOINT.
  Place follow(Place from, Word word) {
    int& item = items_[from.item].refs[word];
    const bool is_weak = word >= kWeak && !shared_.skips_weak_loads;
    const echo_ref ref = is_weak ? echo_weak_load(thread_, from.ref, 8 * word) : strong(from.ref, word);
    if (ref != nullptr) {
      if (item == kNull) {
        fail("a slot that was null shows an object");
      }
      expect_item(ref, item);
      shared_.shown.fetch_add(word >= kWeak ? 1 : 0, std::memory_order_relaxed);
      return {ref, item};
    }
    if (item != kNull) {
      if (word < kWeak || reachable()[item]) {
        fail("a slot shows null, and its object is reachable");
      }
      item = kNull;
      shared_.cleared.fetch_add(1, std::memory_order_relaxed);
    }
    return {};
  }
  void expect_item(echo_ref ref, int item) const {
    shared_.expect_whole(ref, "what a slot shows");
    if (load(ref, kNumber) != items_[item].number) {
      fail("a slot shows another object");
    }
    if (items_[item].finalizable && shared_.was_taken[items_[item].number % Shared::kMost].load()) {
      fail("an object is reachable that was due for finalization");
    }
  }
  // From the root words. And perhaps: from what is due, of which whoever takes it loads weak slots, too.
  std::vector<bool> reachable(const std::vector<int>& due = {}) const {
    std::vector<bool> reached(items_.size()), perhaps(items_.size());
    std::vector<int> grey;
    const auto reach = [&](int item) {
      if (item != kNull && !reached[item]) {
        reached[item] = true;
        grey.push_back(item);
      }
    };
    for (std::vector<int> loose = due; !loose.empty();) {
      const int item = loose.back();
      loose.pop_back();
      if (item != kNull && !perhaps[item]) {
        perhaps[item] = true;
        loose.insert(loose.end(), items_[item].refs.begin(), items_[item].refs.end());
        reach(item);
      }
    }
    std::for_each(root_items_.begin(), root_items_.end(), reach);
    for (bool grown = true; grown;) {
      while (!grey.empty()) {
        const int item = grey.back();
        grey.pop_back();
        reach(items_[item].refs[kLeft]);
        reach(items_[item].refs[kRight]);
      }
      for (std::size_t i = 0; i < items_.size(); ++i) {
        const int key = items_[i].refs[kKey];
        if (reached[i] && key != kNull && reached[key]) {
          reach(items_[i].refs[kValue]);
        }
      }
      grown = !grey.empty();
    }
    return reached;
  }
  // Collects, compares, and forgets what is unreachable; not what the queue, or who takes from it, may still keep.
  void collect() {
    const std::vector<bool> reached = reachable();
    std::vector<int> due;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (!reached[i] && items_[i].finalizable &&
          !shared_.was_dropped[items_[i].number % Shared::kMost].load()) {
        due.push_back(static_cast<int>(i));
      }
    }
    const std::vector<bool> kept = reachable(due);
    must([&](echo_error* why) { return echo_collect(thread_, ECHO_COLLECT_FULL, why); });
    std::vector<echo_ref> object_of(items_.size(), nullptr);
    std::vector<int> grey;
    const auto see = [&](echo_ref ref, int item) {
      if ((ref == nullptr) != (item == kNull)) {
        fail("after a collection a reference is null on one side only");
      }
      if (ref == nullptr) {
        return;
      }
      expect_item(ref, item);
      if (object_of[item] == nullptr) {
        object_of[item] = ref;
        grey.push_back(item);
      } else if (object_of[item] != ref) {
        fail("an object has two addresses");
      }
    };
    for (std::size_t i = 0; i < roots_.size(); ++i) {
      see(roots_[i], root_items_[i]);
    }
    while (!grey.empty()) {
      const int item = grey.back();
      const echo_ref ref = object_of[item];
      grey.pop_back();
      for (std::size_t word = kLeft; word <= kValue; ++word) {
        int& to = items_[item].refs[word];
        const echo_ref shown = word >= kWeak ? echo_weak_load(thread_, ref, 8 * word) : strong(ref, word);
        if (word >= kWeak && to != kNull && !reached[to] && (shown == nullptr || !kept[to])) {
          to = kNull;
        }
        see(shown, to);
      }
    }
    forget(kept);
  }
  void forget(const std::vector<bool>& reached) {
    std::vector<int> renamed(items_.size(), kNull);
    std::vector<Item> kept;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (reached[i]) {
        renamed[i] = static_cast<int>(kept.size());
        kept.push_back(items_[i]);
      }
    }
    const auto rename = [&](int& item) { item = item == kNull ? kNull : renamed[item]; };
    for (Item& item : kept) {
      std::for_each(item.refs.begin(), item.refs.end(), rename);
    }
    std::for_each(root_items_.begin(), root_items_.end(), rename);
    items_ = std::move(kept);
  }
  // Takes what is due, looks at it and at what it reaches, now and then over a collection.
  bool take() {
    echo_ref object = nullptr;
    expect(echo_finalizer_next(thread_, &object), "echo_finalizer_next");
    if (object == nullptr) {
      return false;
    }
    shared_.expect_whole(object, "what is due");
    if (echo_object_layout(shared_.heap, object) != shared_.finalizable) {
      fail("an object is due that is not finalizable");
    }
    if (shared_.was_taken[load(object, kNumber) % Shared::kMost].exchange(true)) {
      fail("an object is due twice");
    }
    shared_.taken.fetch_add(1);
    echo_scope scope = 0;
    expect(echo_scope_open(thread_, &scope), "echo_scope_open");
    const echo_handle handle = echo_handle_new(thread_, object);
    if (random_.chance(2)) {
      must([&](echo_error* why) { return echo_collect(thread_, ECHO_COLLECT_FULL, why); });
    }
    std::vector<echo_ref> grey{echo_handle_get(thread_, handle)};
    for (std::size_t seen = 0; seen < grey.size() && seen < 20; ++seen) {
      const echo_ref at = grey[seen];
      shared_.expect_whole(at, "what an object that is due reaches");
      for (const std::size_t word : {kLeft, kRight, kWeak, kKey, kValue}) {
        const echo_ref next = word >= kWeak ? echo_weak_load(thread_, at, 8 * word) : strong(at, word);
        (void)shared_.published.load(std::memory_order_acquire);
        if (next != nullptr) {
          grey.push_back(next);
        }
      }
    }
    const std::uint64_t number = load(echo_handle_get(thread_, handle), kNumber);
    expect(echo_scope_close(thread_, scope), "echo_scope_close");
    shared_.was_dropped[number % Shared::kMost].store(true);
    return true;
  }

  Shared& shared_;
  Random random_;
  echo_thread* thread_ = nullptr;
  std::array<echo_ref, 12> roots_{};
  std::array<int, 12> root_items_{};
  std::vector<Item> items_;
};

echo_layout_id add(echo_heap* heap, const char* name, std::uint32_t flags) {
  const echo_layout layout{sizeof layout, ECHO_LAYOUT_FIXED, name,  8 * kWords, 0, 0,
                           flags,         std::size(kSlots), kSlots};
  echo_layout_id id = 0;
  must([&](echo_error* why) { return echo_layout_register(heap, &layout, &id, why); });
  return id;
}

void run(const Configuration& config, std::uint64_t seed, int steps, std::string_view broken) {
  context = std::string("--config=") + config.name + " ECHO_TEST_SEED=" + std::to_string(seed);
  Shared shared;
  must([&](echo_error* why) { return echo_heap_create(config.options, &shared.heap, why); });
  shared.plain = add(shared.heap, "plain", 0);
  shared.finalizable = add(shared.heap, "finalizable", ECHO_LAYOUT_FINALIZABLE);
  shared.skips_weak_loads = broken == "skip-weak-loads";
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < config.threads; ++i) {
    threads.emplace_back([&, i] {
      World world(shared, seed * 1000 + i);
      world.run(steps);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  World(shared, seed).run(0); // what the last ones left
  echo_statistics s{};
  s.size = sizeof s;
  expect(echo_get_statistics(shared.heap, &s), "echo_get_statistics");
  if (shared.taken != shared.made || s.finalizers_found != shared.made || s.finalizers_due != 0 ||
      s.finalizable_objects != 0 || s.live_bytes != 0) {
    fail(std::to_string(shared.made) + " finalizable objects were made, " + std::to_string(shared.taken) +
         " taken, " + std::to_string(s.live_bytes) + " bytes are left");
  }
  if (s.holds_over_cap != 0) { // [stop.budget.1]
    fail(std::to_string(s.holds_over_cap) + " holds did more work than their cap");
  }
  must([&](echo_error* why) { return echo_heap_destroy(shared.heap, why); });
  std::printf(
      "%-9s %llu collections, %llu finalizers, %llu weak loads shown, %llu slots null, %llu cleared\n",
      config.name, static_cast<unsigned long long>(s.collections_full),
      static_cast<unsigned long long>(shared.taken), static_cast<unsigned long long>(shared.shown),
      static_cast<unsigned long long>(shared.cleared),
      static_cast<unsigned long long>(s.weak_slots_cleared) +
          static_cast<unsigned long long>(s.ephemerons_cleared));
}

const char* value_of(const char* argument, const char* name) {
  const std::size_t n = std::strlen(name);
  return std::strncmp(argument, name, n) == 0 && argument[n] == '=' ? argument + n + 1 : nullptr;
}

void reference_led_nowhere(int) {
  constexpr std::string_view kText = "WEAK MISMATCH: a reference led to no memory\n";
  (void)!::write(STDERR_FILENO, kText.data(), kText.size());
  ::_exit(1);
}

} // namespace

int main(int argc, char** argv) {
  struct sigaction fault{};
  fault.sa_handler = reference_led_nowhere;
  ::sigaction(SIGSEGV, &fault, nullptr);
  std::string wanted = "all", broken;
  std::uint64_t count = 1;
  int steps = 0;
  for (int i = 1; i < argc; ++i) {
    if (const char* name = value_of(argv[i], "--config")) {
      wanted = name;
    } else if (const char* seeds = value_of(argv[i], "--count")) {
      count = std::strtoull(seeds, nullptr, 10);
    } else if (const char* number = value_of(argv[i], "--steps")) {
      steps = std::atoi(number);
    } else if (const char* planted = value_of(argv[i], "--break")) {
      broken = planted;
    } else {
      std::fprintf(stderr, "usage: %s [--config=NAME|all] [--count=SEEDS] [--steps=N] [--break=FAULT]\n",
                   argv[0]);
      return 2;
    }
  }
  bool found = false;
  for (std::uint64_t seed = echo::test::test_seed(); seed < echo::test::test_seed() + count; ++seed) {
    for (const Configuration& config : kConfigurations) {
      if (wanted == "all" || wanted == config.name) {
        found = true;
        run(config, seed, steps != 0 ? steps : config.steps, broken);
      }
    }
  }
  if (!found) {
    std::fprintf(stderr, "no configuration has the name %s\n", wanted.c_str());
    return 2;
  }
  return 0;
}
