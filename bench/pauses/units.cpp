// SPDX-License-Identifier: MIT
//
// Purpose     What the units of gc/work_units.h cost, and so the longest hold that the caps of docs/pauses.md allow.
// Method      Each kind of hold is made as large as its cap lets it be, on one thread and on several, with caches that were
//             flushed by reading 64 MiB in between; in a heap of its own, through the collector's own steps. Samples in which the
//             thread waited for a processor are left out and counted. A loop that does nothing but read the clock for about as
//             long is the control: what its quantiles have over its median is the machine's.
// Equations   cost of a unit = (hold at its cap - the same hold with nothing to do) / its units
// Output      a table, or one JSON object on standard output; times in microseconds
#include "gc/collector.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace echo;
using nlohmann::json;

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kRecords = DeletionLog::kRecords;

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "echo-bench-units: %s\n", why.c_str());
  std::exit(1);
}

struct Sample {
  std::vector<double> us;
  std::size_t left_out = 0;
  double quantile(double q) {
    std::sort(us.begin(), us.end());
    return us.empty()
               ? 0
               : us[std::min(us.size() - 1, static_cast<std::size_t>(q * static_cast<double>(us.size())))];
  }
};

class Timed {
public:
  explicit Timed(RunQueue& queue) : queue_(queue) {}
  template <class Body> void operator()(Sample* into, Body body) {
    queue_.look();
    const std::uint64_t before = queue_.read();
    const std::uint64_t start = os::monotonic_ns();
    body();
    const std::uint64_t took = os::monotonic_ns() - start;
    if (queue_.read() != before) {
      ++into->left_out;
    } else {
      into->us.push_back(static_cast<double>(took) / 1000);
    }
  }

private:
  RunQueue& queue_;
};

// Reads more than the caches hold.
class Flush {
public:
  Flush() : words_(64 * kMiB / 8, 1) {}
  void operator()() {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < words_.size(); i += 8) {
      sum += words_[i];
    }
    asm volatile("" : : "r"(sum) : "memory");
  }

private:
  std::vector<std::uint64_t> words_;
};

// Frames whose maps lie in memory of their own: a record of a cache line each, with a reference.
struct Frames {
  struct alignas(64) Record {
    echo_ref slot;
  };
  std::vector<Record> records;
  static std::uint64_t fp_of(std::uint64_t number) { return (std::uint64_t{1} << 40) - number * 16; }
  echo_frame_source source() { return {sizeof(echo_frame_source), ECHO_FRAMES_POLLED_RETURNS, this, walk}; }
  void publish(Mutator& m, std::size_t depth) const {
    m.anchor_pc = depth;
    m.anchor_fp = m.anchor_sp = depth == 0 ? 0 : fp_of(depth);
  }
  static echo_status walk(void* self, echo_thread*, echo_frame_cursor* cursor, std::uint32_t most,
                          std::uint32_t* visited, echo_visit_slot_fn visit, void* visitor, echo_error*) {
    auto& records = static_cast<Frames*>(self)->records;
    for (*visited = 0; cursor->pc != 0 && *visited < most; ++*visited) {
      visit(visitor, &records[(cursor->pc * 7919) % records.size()].slot, nullptr);
      --cursor->pc;
      cursor->fp = cursor->sp = fp_of(cursor->pc);
    }
    return ECHO_OK;
  }
};

Config config_of(std::size_t max_heap) {
  Config config;
  config.max_heap = max_heap;
  config.initial_trigger = max_heap;
  config.reserve_bytes = 1;
  return config;
}

LayoutId add_layout(Collector& collector, const echo_layout& layout) {
  LayoutId id;
  std::string why;
  if (collector.register_layout(layout, &id, &why) != ECHO_OK) {
    fail(why);
  }
  return id;
}

// A heap whose cycles the benchmark drives, with threads that run when it says.
class World {
public:
  World(unsigned threads, std::size_t root_words, std::size_t max_heap)
      : collector(config_of(max_heap)), roots(root_words) {
    std::string why;
    if (collector.open(&why) != ECHO_OK || collector.attach(&self, &why) != ECHO_OK ||
        (root_words != 0 && collector.roots.globals.add(roots.data(), roots.size(), &why) != ECHO_OK)) {
      fail(why);
    }
    const std::array<echo_slot, 1> one = {{{8, ECHO_SLOT_STRONG}}};
    cell =
        add_layout(collector, {sizeof(echo_layout), ECHO_LAYOUT_FIXED, "cell", 16, 0, 0, 0, 1, one.data()});
    refs =
        add_layout(collector, {sizeof(echo_layout), ECHO_LAYOUT_REF_ARRAY, "refs", 16, 8, 0, 0, 0, nullptr});
    for (echo_ref& word : roots) {
      word = reinterpret_cast<echo_ref>(make(*self, cell).address);
    }
    for (unsigned t = 1; t < threads; ++t) {
      others_.emplace_back([this] { live(); });
    }
    await();
  }
  ~World() {
    order_ = Order::End;
    tell();
    for (std::thread& other : others_) {
      other.join();
    }
    std::string why;
    if (!roots.empty()) {
      (void)collector.roots.globals.remove(roots.data(), &why);
    }
    collector.detach(self);
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  ObjectRef make(Mutator& m, LayoutId layout, std::uint64_t length = 0) {
    const ObjectRef object = collector.allocate(m, layout, length);
    if (!object) {
      fail(m.last_error.message);
    }
    return object;
  }
  // Every other thread becomes managed, takes memory and comes to rest.
  void others_run() { order(Order::Run); }
  // Every thread fills its log: it overwrites references to objects of their own.
  void all_delete() {
    order(Order::Delete);
    overwrite(*self, array_of_self_);
  }
  // What all_delete overwrites; before a mark.
  void all_prepare() {
    order(Order::Prepare);
    array_of_self_ = fresh_array(*self);
  }
  template <class Body> void stopped(Body body) {
    struct Work final : StopWork {
      explicit Work(Body& b) : action(b) {}
      Body& action;
      void run(const std::vector<Mutator*>& mutators) override { action(mutators); }
    } work(body);
    collector.safepoints.stop(self, work);
  }
  void end_cycle() {
    for (bool ended = false; !ended;) {
      collector.poll(*self);
      while (collector.mark_slice(4096) == Collector::MarkState::More) {
      }
      stopped([&](const std::vector<Mutator*>& m) { ended = collector.end_mark(m); });
    }
    collector.finish_cycle();
    collector.memory.pool.set_trigger(collector.config.max_heap);
  }

  Collector collector;
  Mutator* self = nullptr;
  std::vector<echo_ref> roots;
  LayoutId cell, refs;

private:
  enum class Order : std::uint8_t { None, Run, Prepare, Delete, End };

  Address fresh_array(Mutator& m) {
    const ObjectRef array = make(m, refs, kRecords);
    for (std::size_t i = 0; i < kRecords; ++i) {
      store_reference(m, m.barrier, collector.barriers, array.address + 16 + 8 * i, make(m, cell));
    }
    return array.address;
  }
  void overwrite(Mutator& m, Address array) {
    for (std::size_t i = 0; i + 1 < kRecords; ++i) {
      store_reference(m, m.barrier, collector.barriers, array + 16 + 8 * i, {});
    }
  }
  void order(Order what) {
    order_ = what;
    tell();
    await();
  }
  void tell() {
    done_ = 0;
    ++turn_;
    turn_.notify_all();
  }
  void await() {
    while (done_ != others_.size()) {
      std::this_thread::yield();
    }
  }
  void live() {
    Mutator* m = nullptr;
    std::string why;
    if (collector.attach(&m, &why) != ECHO_OK) {
      fail(why);
    }
    Address array = 0;
    for (unsigned turn = turn_;;) {
      collector.safepoints.enter_native(*m, ThreadState::Blocked);
      ++done_;
      turn_.wait(turn);
      turn = turn_;
      collector.safepoints.leave_native(*m);
      if (order_ == Order::End) {
        break;
      }
      (void)make(*m, cell);
      if (order_ == Order::Prepare) {
        array = fresh_array(*m);
      } else if (order_ == Order::Delete) {
        overwrite(*m, array);
      }
    }
    collector.detach(m);
  }

  Address array_of_self_ = 0;
  std::vector<std::thread> others_;
  std::atomic<Order> order_{Order::None};
  std::atomic<unsigned> turn_{0};
  std::atomic<std::size_t> done_{0};
};

struct Holds {
  std::size_t samples;
  Flush flush;

  // Both stops of a mark: as they are, or as large as they may be.
  void stops(unsigned threads, bool full, Sample* start, Sample* end) {
    World w(threads, full ? GlobalRoots::kMaxWords : 0, 256 * kMiB);
    Frames frames;
    if (full) {
      frames.records.resize(100000, {reinterpret_cast<echo_ref>(w.make(*w.self, w.cell).address)});
      echo_frame_source source = frames.source();
      std::string why;
      if (w.collector.roots.frames.set(&source, &why) != ECHO_OK) {
        fail(why);
      }
    }
    Timed timed(w.self->run_queue);
    for (std::size_t i = 0; i < samples; ++i) {
      if (full) {
        frames.publish(*w.self, 100000 - i % 1000);
        w.all_prepare();
      }
      w.others_run();
      w.collector.prepare_cycle(ECHO_CAUSE_requested);
      flush();
      timed(start,
            [&] { w.stopped([&](const std::vector<Mutator*>& m) { w.collector.begin_mark(m, true); }); });
      if (full) {
        w.all_delete();
      } else {
        w.others_run();
        while (w.collector.mark_slice(4096) == Collector::MarkState::More) {
        }
      }
      flush();
      timed(end, [&] { w.stopped([&](const std::vector<Mutator*>& m) { (void)w.collector.end_mark(m); }); });
      if (full) {
        frames.publish(*w.self, 0);
        w.end_cycle();
      } else {
        w.collector.finish_cycle();
        w.collector.memory.pool.set_trigger(w.collector.config.max_heap);
      }
    }
    frames.publish(*w.self, 0);
  }

  // A thread visits older frames of its own at a poll.
  Sample own_frames() {
    Sample sample;
    World w(1, 0, 64 * kMiB);
    Frames frames;
    frames.records.resize(100000, {reinterpret_cast<echo_ref>(w.make(*w.self, w.cell).address)});
    echo_frame_source source = frames.source();
    std::string why;
    if (w.collector.roots.frames.set(&source, &why) != ECHO_OK) {
      fail(why);
    }
    Timed timed(w.self->run_queue);
    while (sample.us.size() + sample.left_out < samples) {
      frames.publish(*w.self, 100000);
      w.collector.prepare_cycle(ECHO_CAUSE_requested);
      w.stopped([&](const std::vector<Mutator*>& m) { w.collector.begin_mark(m, true); });
      for (std::size_t i = 0; i < 500 && sample.us.size() + sample.left_out < samples; ++i) {
        flush();
        timed(&sample, [&] { w.collector.poll(*w.self); });
      }
      w.end_cycle();
    }
    frames.publish(*w.self, 0);
    return sample;
  }

  // Slices of 256 edges, each of which leads to an object to be scanned: `slots` references of it, all null.
  Sample wide(std::uint64_t slots, std::size_t objects) {
    Sample sample;
    World w(1, 1, 1024 * kMiB);
    const ObjectRef all = w.make(*w.self, w.refs, objects);
    w.roots[0] = reinterpret_cast<echo_ref>(all.address);
    std::vector<std::uint64_t> order(objects);
    for (std::size_t i = 0; i < objects; ++i) {
      order[i] = i;
    }
    std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
    for (const std::uint64_t i : order) {
      store_reference(*w.self, w.self->barrier, w.collector.barriers, all.address + 16 + 8 * i,
                      w.make(*w.self, w.refs, slots));
    }
    slices(w, &sample);
    return sample;
  }

  void slices(World& w, Sample* sample) {
    Timed timed(w.self->run_queue);
    while (sample->us.size() + sample->left_out < samples) {
      w.collector.prepare_cycle(ECHO_CAUSE_requested);
      w.stopped([&](const std::vector<Mutator*>& m) { w.collector.begin_mark(m, true); });
      for (int i = 0; i < 20; ++i) {
        (void)w.collector.mark_slice(4096);
      }
      for (bool more = true; more && sample->us.size() + sample->left_out < samples;) {
        flush();
        timed(sample, [&] { more = w.collector.mark_slice(256) == Collector::MarkState::More; });
      }
      w.end_cycle();
    }
  }

  // The same over objects that lie anywhere in a heap larger than any cache and refer to each other at random.
  Sample edges(std::uint32_t slots, std::size_t objects) {
    Sample sample;
    World w(1, 1, 1024 * kMiB);
    std::vector<echo_slot> map;
    for (std::uint32_t i = 0; i < slots; ++i) {
      map.push_back({8 + 8 * i, ECHO_SLOT_STRONG});
    }
    const LayoutId node = add_layout(w.collector, {sizeof(echo_layout), ECHO_LAYOUT_FIXED, "node",
                                                   8 + 8 * std::uint64_t{slots}, 0, 0, 0, slots, map.data()});
    std::vector<Address> all;
    all.reserve(objects);
    for (std::size_t i = 0; i < objects; ++i) {
      all.push_back(w.make(*w.self, node).address);
    }
    std::mt19937_64 random(1);
    for (const Address object : all) {
      for (std::uint32_t i = 0; i < slots; ++i) {
        store_reference(*w.self, w.self->barrier, w.collector.barriers, object + 8 + 8 * i,
                        {all[random() % all.size()]});
      }
    }
    w.roots[0] = reinterpret_cast<echo_ref>(all[0]);
    slices(w, &sample);
    return sample;
  }

  Sample zero(std::size_t bytes) {
    Sample sample;
    RunQueue queue;
    queue.open();
    Timed timed(queue);
    std::vector<char> memory(64 * kMiB, 1);
    for (std::size_t i = 0; i < samples; ++i) {
      flush();
      char* const at = memory.data() + i * bytes % memory.size();
      timed(&sample, [&] {
        std::memset(at, 0, bytes);
        asm volatile("" : : "r"(at) : "memory");
      });
    }
    return sample;
  }

  Sample control(std::uint64_t ns) {
    Sample sample;
    RunQueue queue;
    queue.open();
    Timed timed(queue);
    for (std::size_t i = 0; i < samples; ++i) {
      flush();
      timed(&sample, [&] {
        for (const std::uint64_t end = os::monotonic_ns() + ns; os::monotonic_ns() < end;) {
        }
      });
    }
    return sample;
  }
};

json figures(Sample sample) {
  return {{"p50", sample.quantile(0.5)}, {"p99", sample.quantile(0.99)}, {"p99.9", sample.quantile(0.999)},
          {"max", sample.quantile(1)},   {"samples", sample.us.size()},  {"left_out", sample.left_out}};
}

} // namespace

int main(int argc, char** argv) {
  std::size_t samples = 2000;
  CLI::App app("What each kind of hold costs at its cap, with cold caches");
  app.add_option("--samples", samples)->check(CLI::Range(10, 1000000));
  CLI11_PARSE(app, argc, argv);
  try {
    Holds holds{samples, {}};
    json out;
    for (const unsigned threads : {1u, 2u, 4u, 8u}) {
      for (const bool full : {false, true}) {
        Sample start, end;
        holds.stops(threads, full, &start, &end);
        const std::string of = std::to_string(threads) + (full ? " full" : " bare");
        out["mark_start " + of] = figures(start);
        out["mark_end " + of] = figures(end);
      }
    }
    out["frames"] = figures(holds.own_frames());
    out["assist, 3 references"] = figures(holds.edges(3, 2000000));
    out["assist, 63 references"] = figures(holds.edges(63, 500000));
    out["assist, 63 nulls"] = figures(holds.wide(63, 500000));
    out["assist, 255 nulls"] = figures(holds.wide(255, 200000));
    for (const std::size_t kib : {16u, 32u, 64u}) {
      out["zero " + std::to_string(kib) + " KiB"] = figures(holds.zero(kib << 10));
    }
    out["control 30 us"] = figures(holds.control(30'000));
    for (const Hold hold : {Hold::mark_start, Hold::mark_end, Hold::frames, Hold::assist}) {
      constexpr std::array<const char*, 4> kNames = {"mark_start", "mark_end", "frames", "assist"};
      out["caps"][kNames.at(static_cast<std::size_t>(hold))] = {{"fixed", cap_of(hold).fixed},
                                                                {"per_thread", cap_of(hold).per_thread}};
    }
    std::printf("%s\n", out.dump(1).c_str());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "echo-bench-units: %s\n", e.what());
    return 1;
  }
  return 0;
}
