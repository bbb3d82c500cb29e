// SPDX-License-Identifier: MIT
//
// Purpose     What a reference store costs through echo/inline.h: against the bare store while the heap does not listen, and
//             while a mark is on.
// Method      Stores into objects of 64 bytes, in order in a set that stays in L1 (hot) and at random over 64 MiB (scattered);
//             each figure the median of alternating runs, in ns per store. The marker is held (echo/stepping.h): at its
//             start, when every old value is logged, and at its end, when every old value is marked already.
// Output      one JSON object on standard output
#include "measure.h"

#include "echo/heap.h"
#include "echo/inline.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

namespace {

using echo::bench::median;
using echo::bench::now_ns;

constexpr std::size_t kObjectBytes = 64;

[[noreturn]] void fail(const char* what, const echo_error& error) {
  std::fprintf(stderr, "echo-bench-barriers: %s: %s: %s\n", what, echo_status_name(error.code),
               error.message);
  std::exit(1);
}

class Bench {
public:
  explicit Bench(std::size_t count) : count_(count) {
    if (echo_heap_create("max_heap=1g,trigger=512m,stepping=on,census=off", &heap_, &error_) != ECHO_OK ||
        echo_attach(heap_, &thread_, &error_) != ECHO_OK ||
        echo_get_recipes(heap_, ECHO_RECIPES_FASTEST, &recipes_) != ECHO_OK) {
      fail("creating the heap", error_);
    }
    const echo_slot slot = {8, ECHO_SLOT_STRONG};
    const echo_layout node = {
        sizeof(echo_layout), ECHO_LAYOUT_FIXED, "node", kObjectBytes, 0, 0, 0, 1, &slot};
    const echo_layout array = {sizeof(echo_layout), ECHO_LAYOUT_REF_ARRAY, "nodes", 16, 8, 0, 0, 0, nullptr};
    echo_layout_id node_id = 0;
    echo_layout_id array_id = 0;
    if (echo_layout_register(heap_, &node, &node_id, &error_) != ECHO_OK ||
        echo_layout_register(heap_, &array, &array_id, &error_) != ECHO_OK) {
      fail("registering the layouts", error_);
    }
    root_ = echo_allocate(thread_, array_id, count);
    if (root_ == nullptr || echo_roots_add(heap_, &root_, 1, &error_) != ECHO_OK) {
      fail("making the table", error_);
    }
    slots_.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      const echo_ref object = echo_allocate(thread_, node_id, 0);
      if (object == nullptr) {
        (void)echo_last_error(thread_, &error_);
        fail("allocating", error_);
      }
      echo_inline_array_store(recipes_, thread_, root_, 16, i, object);
      slots_[i] = echo_inline_slot(object, 8);
      *slots_[i] = *echo_inline_element(root_, 16, i / 2);
    }
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;
  ~Bench() {
    (void)echo_roots_remove(heap_, &root_, &error_);
    (void)echo_detach(thread_, &error_);
    (void)echo_heap_destroy(heap_, &error_);
  }

  // At random, or in order where the set is small.
  void shuffle() {
    std::uint64_t state = 88172645463325252u;
    for (std::size_t i = count_ - 1; i > 0; --i) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      std::swap(slots_[i], slots_[state % (i + 1)]);
    }
  }
  double bare(std::size_t rounds) {
    return timed(rounds,
                 [](echo_ref* slot, echo_ref value) { __atomic_store_n(slot, value, __ATOMIC_RELAXED); });
  }
  double barrier(std::size_t rounds) {
    const echo_recipes* const r = recipes_;
    echo_thread* const t = thread_;
    return timed(rounds, [=](echo_ref* slot, echo_ref value) { echo_inline_store(r, t, slot, value); });
  }
  // `marked`: everything is, but the mark is still on; otherwise nothing is.
  double while_marking(std::size_t rounds, bool marked) {
    settle();
    if (echo_test_cycle_start(thread_, &error_) != ECHO_OK) {
      fail("starting a mark", error_);
    }
    std::uint32_t state = ECHO_STEP_MORE;
    while (marked && state != ECHO_STEP_DONE) {
      if (echo_test_cycle_step(thread_, 1u << 20, &state, &error_) != ECHO_OK) {
        fail("marking", error_);
      }
    }
    const double ns = barrier(rounds);
    if (echo_test_cycle_finish(thread_, &error_) != ECHO_OK) {
      fail("ending the mark", error_);
    }
    return ns;
  }
  // No mark is on, and no slot is of an object that is new.
  void settle() {
    if (echo_collect(thread_, ECHO_COLLECT_FULL, &error_) != ECHO_OK) {
      fail("collecting", error_);
    }
  }

private:
  template <class Store> double timed(std::size_t rounds, Store store) {
    const echo_ref value = *echo_inline_element(root_, 16, 0);
    const double begin = now_ns();
    for (std::size_t round = 0; round < rounds; ++round) {
      for (echo_ref* const slot : slots_) {
        store(slot, value);
      }
    }
    return (now_ns() - begin) / static_cast<double>(rounds * count_);
  }

  const std::size_t count_;
  echo_heap* heap_ = nullptr;
  echo_thread* thread_ = nullptr;
  echo_error error_{};
  const echo_recipes* recipes_ = nullptr;
  echo_ref root_ = nullptr;
  std::vector<echo_ref*> slots_;
};

std::map<std::string, double> measure(std::size_t count, bool scattered, std::size_t rounds,
                                      int repetitions) {
  Bench bench(count);
  if (scattered) {
    bench.shuffle();
  }
  bench.settle();
  (void)bench.bare(rounds);
  std::map<std::string, std::vector<double>> figures;
  for (int i = 0; i < repetitions; ++i) {
    figures["bare"].push_back(bench.bare(rounds));
    figures["barrier"].push_back(bench.barrier(rounds));
    figures["again"].push_back(bench.bare(rounds)); // the control: bare against bare
  }
  for (int i = 0; i < repetitions; ++i) { // one round each: a slot is logged, or found marked, once
    figures["logging"].push_back(bench.while_marking(1, false));
    figures["marked"].push_back(bench.while_marking(1, true));
  }
  std::map<std::string, double> medians;
  for (const auto& [name, values] : figures) {
    medians[name] = median(values);
  }
  return medians;
}

} // namespace

int main(int argc, char** argv) {
  const int repetitions = argc > 1 ? std::max(1, std::atoi(argv[1])) : 9;
  echo::bench::pin(0);
  std::printf("{");
  const char* comma = "";
  for (const bool scattered : {false, true}) {
    const std::size_t count = scattered ? (std::size_t{64} << 20) / kObjectBytes : 256;
    std::printf("%s\"%s\": {", comma, scattered ? "scattered" : "hot");
    comma = "";
    for (const auto& [name, ns] : measure(count, scattered, scattered ? 2 : 100000, repetitions)) {
      std::printf("%s\"%s\": %.4f", comma, name.c_str(), ns);
      comma = ", ";
    }
    std::printf("}");
  }
  std::printf("}\n");
  return 0;
}
