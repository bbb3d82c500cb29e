// SPDX-License-Identifier: MIT
//
// Purpose     Random-graph fuzzing against a shadow heap, through the C ABI only. Several threads, each with a world of
//             its own, and one world that all of them change in turn. After every collection a thread compares its world
//             with its shadow, and after every explicit one the shared world too.
// Use         echo_shadow_heap_fuzz [--config=NAME|all] [--count=SEEDS] [--steps=N] [--break=omit-root|skip-barrier|omit-range]
//             The first seed is ECHO_TEST_SEED. A run with one thread repeats exactly; with several, what each does
//             repeats, when it does it does not.
// Break it    --break=omit-root: the frame source forgets a slot; the shadow finds the object gone.
//             --break=omit-range: the words of an ambiguous world are not registered.
//             --break=skip-barrier: some stores go round the barrier; the barrier audit names one.
#include "tests/gc/shadow_world.h"

#include <atomic>
#include <csignal>
#include <cstring>
#include <mutex>
#include <string_view>
#include <thread>
#include <unistd.h>

namespace {

using namespace echo::test;

struct Configuration {
  const char* name;
  const char* options;
  unsigned threads;
  std::size_t most_nodes; // of a world
  int steps;
  bool out_of_memory_expected;
  enum Ambiguity : std::uint8_t { None, Words, WordsAndStacks } ambiguity = None;
};

constexpr Configuration kConfigurations[] = {
    {"plain", "max_heap=64m,trigger=1m,reserve=1", 3, 1500, 12000, false},
    {"single", "max_heap=64m,trigger=1m,reserve=1,poison=on,verify=on,stress_barriers=on", 1, 500, 6000,
     false},
    {"stress1", "max_heap=64m,reserve=1,stress_collect=1,poison=on", 2, 60, 1200, false},
    {"stress7", "max_heap=64m,reserve=1,stress_collect=7,poison=on", 3, 150, 3000, false},
    {"verify", "max_heap=64m,trigger=512k,reserve=1,poison=on,verify=on", 3, 300, 5000, false},
    {"barriers", "max_heap=64m,trigger=512k,reserve=1,stress_barriers=on", 3, 300, 5000, false},
    {"yield", "max_heap=64m,trigger=512k,reserve=1,stress_yield=on,keep_free=1,poison=on", 4, 400, 6000,
     false},
    {"tiny", "max_heap=1m,trigger=512k,reserve=1,poison=on,keep_free=1", 3, 100000, 12000, true},
    {"regions", "max_heap=64m,trigger=1m,reserve=1,mark_region=64k,poison=on", 3, 1500, 12000, false},
    {"stw", "max_heap=64m,trigger=256k,reserve=1,mode=stw,poison=on,stress_yield=on", 3, 1500, 6000, false},
    {"stw_checked",
     "max_heap=64m,reserve=1,mode=stw,stress_collect=13,poison=on,verify=on,stress_barriers=on,stress_yield="
     "on",
     3, 80, 1500, false},
    {"everything",
     "max_heap=64m,reserve=1,stress_collect=13,poison=on,verify=on,stress_barriers=on,stress_yield=on,keep_"
     "free=0",
     3, 80, 1500, false},
    {"incremental", "max_heap=64m,trigger=512k,reserve=1,mode=incremental,poison=on", 3, 1500, 12000, false},
    {"incremental_checked",
     "max_heap=64m,trigger=256k,reserve=1,mode=incremental,poison=on,verify=on,stress_barriers=on", 3, 300,
     5000, false},
    {"incremental_yield",
     "max_heap=64m,trigger=256k,reserve=1,mode=incremental,poison=on,stress_yield=on,keep_free=1", 4, 300,
     5000, false},
    {"incremental_tiny", "max_heap=1m,trigger=512k,reserve=1,mode=incremental,poison=on", 3, 100000, 12000,
     true},
    {"incremental_stacks", "max_heap=64m,trigger=512k,reserve=1,mode=incremental,poison=on,verify=on", 3, 300,
     4000, false, Configuration::WordsAndStacks},
    {"permits", "max_heap=64m,trigger=512k,reserve=1,permits=1,stress_yield=on,poison=on", 4, 300, 5000,
     false},
    {"permits_incremental",
     "max_heap=64m,trigger=256k,reserve=1,permits=2,mode=incremental,poison=on,verify=on", 4, 300, 4000,
     false},
    {"markers", "max_heap=64m,trigger=512k,reserve=1,markers=3,mark_region=64k,poison=on,verify=on", 3, 1500,
     5000, false},
    {"markers_stw",
     "max_heap=64m,trigger=256k,reserve=1,mode=stw,markers=4,mark_region=64k,poison=on,stress_yield=on", 3,
     1500, 5000, false},
    {"markers_stacks",
     "max_heap=64m,trigger=512k,reserve=1,markers=2,mark_region=64k,stress_yield=on,poison=on", 3, 300, 3000,
     false, Configuration::WordsAndStacks},
    // What the mark finds is compared with the shadow only where no stack keeps more.
    {"ambiguous", "max_heap=64m,trigger=1m,reserve=1,poison=on,verify=on,stress_barriers=on", 1, 500, 6000,
     false, Configuration::Words},
    {"ambiguous7", "max_heap=64m,reserve=1,stress_collect=7,poison=on", 3, 150, 3000, false,
     Configuration::Words},
    {"stacks", "max_heap=64m,trigger=512k,reserve=1,poison=on,verify=on", 3, 300, 4000, false,
     Configuration::WordsAndStacks},
    {"stacks1", "max_heap=64m,reserve=1,stress_collect=1,stress_yield=on,poison=on", 2, 60, 800, false,
     Configuration::WordsAndStacks},
};

class Run {
public:
  Run(const Configuration& config, std::uint64_t seed, int steps, const std::string& broken)
      : config_(config), seed_(seed), steps_(steps) {
    fail_.broken = broken;
    fail_.context = "rerun: ECHO_TEST_SEED=" + std::to_string(seed) +
                    " echo_shadow_heap_fuzz --config=" + config.name + " --steps=" + std::to_string(steps) +
                    (broken.empty() ? "" : " --break=" + broken);
    shared_ = std::make_unique<World>(shapes_, fail_, seed * 1000 + 999, config.most_nodes, is_ambiguous());
  }

  void operator()() {
    const std::string options = std::string(config_.options) + ",seed=" + std::to_string(seed_);
    must([&](echo_error* why) { return echo_heap_create(options.c_str(), &heap_, why); });
    shapes_.open(heap_, fail_, is_ambiguous());
    const echo_frame_source source{sizeof source, 0, nullptr, walk};
    must([&](echo_error* why) { return echo_frame_source_set(heap_, &source, why); });
    shared_->register_words(heap_);
    std::vector<std::thread> threads;
    threads.reserve(config_.threads);
    for (unsigned t = 0; t < config_.threads; ++t) {
      threads.emplace_back([this, t] { run_thread(t); });
    }
    std::thread watcher([this] { watch(); });
    for (std::thread& thread : threads) {
      thread.join();
    }
    done_ = true;
    watcher.join();
    finish();
    std::printf(
        "%-10s seed %llu: %llu collections, %llu checks of up to %llu objects, %llu objects, %llu logged, "
        "%llu "
        "times out of memory\n",
        config_.name, static_cast<unsigned long long>(seed_), static_cast<unsigned long long>(collections_),
        static_cast<unsigned long long>(checks_.load()), static_cast<unsigned long long>(most_live_.load()),
        static_cast<unsigned long long>(objects_), static_cast<unsigned long long>(logged_),
        static_cast<unsigned long long>(out_of_memory_.load()));
    std::fflush(stdout);
  }

private:
  bool is_ambiguous() const { return config_.ambiguity != Configuration::None; }
  bool has_stacks() const { return config_.ambiguity == Configuration::WordsAndStacks; }
  void expect(echo_status status, const char* what) const {
    if (status != ECHO_OK) {
      fail_(std::string(echo_status_name(status)) + ": " + what);
    }
  }
  // call(echo_error*) that says why it fails.
  template <class Call> void must(Call call) const {
    echo_error why{};
    const echo_status status = call(&why);
    expect(status, why.message);
  }
  static echo_status walk(void*, echo_thread* thread, echo_frame_cursor* cursor, std::uint32_t max_frames,
                          std::uint32_t* visited, echo_visit_slot_fn visit, void* visitor, echo_error*) {
    static_cast<World*>(echo_vm_word(thread))->walk(cursor, max_frames, visited, visit, visitor);
    return ECHO_OK;
  }
  echo_statistics statistics() const {
    echo_statistics s{};
    s.size = sizeof s;
    expect(echo_get_statistics(heap_, &s), "echo_get_statistics");
    return s;
  }
  void attach(Actor& actor, World& world) const {
    const echo_recipes* recipes = nullptr;
    actor.heap = heap_;
    must([&](echo_error* why) { return echo_attach(heap_, &actor.thread, why); });
    expect(echo_get_recipes(heap_, ECHO_RECIPES_FASTEST, &recipes), "echo_get_recipes");
    echo_set_vm_word(actor.thread, &world);
    actor.recipes = std::make_unique<RecipeInterpreter>(*recipes, actor.thread);
    world.publish_frames(actor);
    if (has_stacks()) {
      must([&](echo_error* why) { return echo_ambiguous_stack(actor.thread, 1, why); });
    }
  }
  void detach(Actor& actor, World& world) const {
    world.leave(actor);
    must([&](echo_error* why) { return echo_detach(actor.thread, why); });
  }
  // Holding the lock, at a safepoint or not: who waits for it is blocked, so stops pass.
  std::unique_lock<std::mutex> take_shared(const Actor& actor) {
    std::unique_lock<std::mutex> lock(shared_mutex_, std::try_to_lock);
    if (!lock.owns_lock()) {
      expect(echo_enter_blocked(actor.thread), "echo_enter_blocked");
      lock.lock();
      expect(echo_leave_blocked(actor.thread), "echo_leave_blocked");
    }
    return lock;
  }
  void allocate(const Actor& actor, World& world) {
    if (world.is_crowded()) {
      world.shed(actor);
      (void)world.check(actor);
    }
    if (!world.allocate(actor)) {
      echo_error why{};
      if (echo_last_error(actor.thread, &why) != ECHO_HEAP_LIMIT || !config_.out_of_memory_expected) {
        fail_(std::string("an allocation failed: ") + echo_status_name(why.code) + ": " + why.message);
      }
      ++out_of_memory_;
      world.shed(actor);
    }
  }
  void collect(const Actor& actor, World& world) {
    must([&](echo_error* why) { return echo_collect(actor.thread, ECHO_COLLECT_FULL, why); });
    std::uint64_t live = world.check(actor);
    const auto lock = take_shared(actor);
    live += shared_->check(actor);
    checks_ += 2;
    if (config_.threads == 1) {
      // Nobody else: what the mark found is what the shadows reach. The watcher has no objects.
      if (const std::uint64_t found = statistics().live_bytes; found != live) {
        fail_("the mark found " + std::to_string(found) + " bytes, the shadows reach " +
              std::to_string(live));
      }
    }
  }
  // Collections of every kind that are not waited for, and pieces of them.
  void collect_some(const Actor& actor, World& world) {
    switch (world.random.below(8)) {
    case 0: {
      const bool begun = std::string_view(config_.options).find("mode=stw") == std::string_view::npos;
      if (echo_collect(actor.thread, ECHO_COLLECT_FULL | ECHO_COLLECT_BEGIN, nullptr) !=
          (begun ? ECHO_OK : ECHO_NOT_SUPPORTED)) {
        fail_("a collection is not begun");
      }
      break;
    }
    case 1:
      must([&](echo_error* why) {
        return echo_collect(actor.thread, ECHO_COLLECT_FULL | ECHO_COLLECT_BESIDE, why);
      });
      break;
    case 2:
      must([&](echo_error* why) {
        return echo_collect(actor.thread, ECHO_COLLECT_FULL | ECHO_COLLECT_IN_STOP, why);
      });
      break;
    default:
      expect(echo_step(actor.thread, world.random.below(300), nullptr), "echo_step");
    }
  }
  void step(Actor& actor, World& world) {
    if (has_stacks() && world.random.chance(10)) {
      world.hold_on_stack(actor, [&] {
        switch (world.random.below(4)) {
        case 0:
          must([&](echo_error* why) { return echo_collect(actor.thread, ECHO_COLLECT_FULL, why); });
          break;
        case 1:
          expect(echo_enter_native(actor.thread), "echo_enter_native");
          std::this_thread::yield();
          expect(echo_leave_native(actor.thread), "echo_leave_native");
          break;
        case 2:
          echo_poll(actor.thread);
          break;
        default:
          allocate(actor, world);
        }
      });
    }
    const std::size_t dice = world.random.below(1000);
    if (dice < 400) {
      allocate(actor, world);
    } else if (dice < 650) {
      world.mutate(actor);
    } else if (dice < 700) {
      world.copy_root(actor);
    } else if (dice < 730) {
      world.drop_root();
    } else if (dice < 760) {
      world.push_frame(actor);
    } else if (dice < 790) {
      world.pop_frame(actor);
    } else if (dice < 810) {
      world.open_scopes() < 8 ? world.open_scope(actor) : world.close_scope(actor);
    } else if (dice < 825) {
      world.close_scope(actor);
    } else if (dice < 865) {
      world.add_handle(actor);
    } else if (dice < 885) {
      world.set_handle(actor);
    } else if (dice < 930) {
      const auto lock = take_shared(actor);
      shared_->mutate(actor);
      allocate(actor, *shared_);
      world.random.chance(30) ? shared_->drop_root() : shared_->copy_root(actor);
    } else if (dice < 950) {
      actor.recipes->poll();
      echo_poll(actor.thread);
    } else if (dice < 965) {
      expect(echo_enter_native(actor.thread), "echo_enter_native");
      if (world.random.chance(20)) {
        (void)statistics();
        std::this_thread::yield();
      }
      expect(echo_leave_native(actor.thread), "echo_leave_native");
    } else if (dice < 975) {
      world.unregister_words(heap_);
      world.register_words(heap_);
    } else if (dice < 985) {
      collect(actor, world);
    } else if (dice < 988) {
      const auto level = static_cast<std::uint32_t>(world.random.below(2));
      must([&](echo_error* why) { return echo_verify(actor.thread, level, why); });
    } else if (dice < 991) {
      detach(actor, world);
      attach(actor, world);
    } else if (dice < 996) {
      collect_some(actor, world);
    } else {
      (void)statistics();
    }
  }
  void run_thread(unsigned number) {
    World world(shapes_, fail_, seed_ * 1000 + number, config_.most_nodes, is_ambiguous());
    world.register_words(heap_);
    Actor actor;
    attach(actor, world);
    for (int i = 0; i < steps_; ++i) {
      step(actor, world);
      if (world.walks != world.checked_walks) { // roots were enumerated: a collection or a verification
        (void)world.check(actor);
        ++checks_;
      }
    }
    collect(actor, world);
    most_live_ = std::max(most_live_.load(), world.most_live);
    detach(actor, world);
    world.unregister_words(heap_);
  }
  // A thread that is not attached: reads statistics, registers layouts.
  void watch() const {
    std::uint64_t allocated = 0;
    while (!done_.load()) {
      const echo_statistics s = statistics();
      if (s.objects_allocated < allocated) {
        fail_("objects_allocated runs backwards");
      }
      allocated = s.objects_allocated;
      const echo_layout again{sizeof again, ECHO_LAYOUT_FIXED, "watcher", 16, 0, 0, 0, 0, nullptr};
      echo_layout_id id = 0;
      expect(echo_layout_register(heap_, &again, &id, nullptr), "echo_layout_register");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  void finish() {
    World nothing(shapes_, fail_, seed_, 1);
    Actor actor;
    attach(actor, nothing);
    must([&](echo_error* why) { return echo_ambiguous_stack(actor.thread, 0, why); }); // from here on exactly
    must([&](echo_error* why) { return echo_collect(actor.thread, ECHO_COLLECT_FULL, why); });
    const std::uint64_t live = shared_->check(actor);
    if (statistics().live_bytes != live) {
      fail_("only the shared world is left, with " + std::to_string(live) + " bytes, but the mark found " +
            std::to_string(statistics().live_bytes));
    }
    must([&](echo_error* why) { return echo_verify(actor.thread, 1, why); });
    shared_->unregister_words(heap_);
    must([&](echo_error* why) { return echo_collect(actor.thread, ECHO_COLLECT_FULL, why); });
    const echo_statistics s = statistics();
    if (s.live_bytes != 0 || s.used_bytes != 0) {
      fail_("nothing is reachable, but " + std::to_string(s.live_bytes) + " bytes are alive and " +
            std::to_string(s.used_bytes) + " in use");
    }
    if (s.holds_over_cap != 0) { // [stop.budget.1]
      fail_(std::to_string(s.holds_over_cap) + " holds did more work than their cap");
    }
    collections_ = s.collections_full;
    objects_ = s.objects_allocated;
    logged_ = s.log_entries;
    detach(actor, nothing);
    must([&](echo_error* why) { return echo_heap_destroy(heap_, why); });
  }

  const Configuration& config_;
  const std::uint64_t seed_;
  const int steps_;
  Failure fail_;
  ShapeTable shapes_;
  echo_heap* heap_ = nullptr;
  std::mutex shared_mutex_;
  std::unique_ptr<World> shared_;
  std::atomic<bool> done_{false};
  std::atomic<std::uint64_t> checks_{0};
  std::atomic<std::uint64_t> out_of_memory_{0};
  std::atomic<std::size_t> most_live_{0};
  std::uint64_t collections_ = 0;
  std::uint64_t objects_ = 0;
  std::uint64_t logged_ = 0; // by the deletion barrier
};

// The value of --name=value, or null.
const char* value_of(const char* argument, const char* name) {
  const std::size_t n = std::strlen(name);
  return std::strncmp(argument, name, n) == 0 && argument[n] == '=' ? argument + n + 1 : nullptr;
}

// A lost object's memory may be poisoned before the shadow is asked: following its references faults.
void reference_led_nowhere(int) {
  constexpr std::string_view kText = "SHADOW MISMATCH: a reference led to no memory\n";
  (void)!::write(STDERR_FILENO, kText.data(), kText.size());
  ::_exit(1);
}

} // namespace

int main(int argc, char** argv) {
  struct sigaction fault{};
  fault.sa_handler = reference_led_nowhere;
  ::sigaction(SIGSEGV, &fault, nullptr);
  std::string wanted = "all";
  std::string broken;
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
  for (std::uint64_t seed = test_seed(); seed < test_seed() + count; ++seed) {
    for (const Configuration& config : kConfigurations) {
      if (wanted == "all" || wanted == config.name) {
        found = true;
        Run(config, seed, steps != 0 ? steps : config.steps, broken)();
      }
    }
  }
  if (!found) {
    std::fprintf(stderr, "no configuration has the name %s\n", wanted.c_str());
    return 2;
  }
  return 0;
}
