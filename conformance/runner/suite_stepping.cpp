// SPDX-License-Identifier: MIT
//
// suite_stepping.cpp - collections step by step: the marker is held while the test does what a program might do, through
// calls, through recipes and through compiled code.
#include "jit_machine.h"
#include "patterns.h"
#include "recipe_machine.h"
#include "workers.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

namespace conformance {

namespace {

std::string stepped(const Plugin& p) {
  p.skip_without(ECHO_FEATURE_STEPPING);
  return p.options_with("max_heap=64m,stepping=on", {"poison=on", "verify=on", "mode=concurrent"});
}

// A cycle whose driver is the test, and an object whose only reference is in a slot: holder.left -> victim.
struct Stepped {
  static constexpr std::uint64_t kVictim = 77;

  Fixture f;
  Scope scope;
  const Nodes nodes;
  echo_ref holder = nullptr, fresh = nullptr; // root words: any thread may use them

  explicit Stepped(Context& context) : f(context, stepped), scope(f.mutator), nodes(f.mutator) {
    for (echo_ref* const root : {&holder, &fresh})
      EXPECT_STATUS(f.plugin.api().roots_add(f.heap.get(), root, 1, nullptr), ECHO_OK, "roots_add");
    holder = nodes.make(1);
    const echo_ref victim = nodes.make(kVictim);
    f.mutator.store(holder, Nodes::kLeft, victim);
    f.mutator.collect(); // both are old
  }
  ~Stepped() {
    for (echo_ref* const root : {&holder, &fresh})
      f.plugin.api().roots_remove(f.heap.get(), root, nullptr);
  }
  Stepped(const Stepped&) = delete;
  Stepped& operator=(const Stepped&) = delete;

  void start() const {
    echo_error why = untouched_error();
    const echo_status status = f.plugin.api().test_cycle_start(f.mutator.get(), &why);
    EXPECT(status == ECHO_OK, "echo_test_cycle_start: " + status_text(status, why));
  }
  std::uint32_t step(std::uint64_t units) const {
    echo_error why = untouched_error();
    std::uint32_t state = 99;
    const echo_status status = f.plugin.api().test_cycle_step(f.mutator.get(), units, &state, &why);
    EXPECT(status == ECHO_OK, "echo_test_cycle_step: " + status_text(status, why));
    EXPECT(state <= ECHO_STEP_DONE, "echo_test_cycle_step answers state " + show(state));
    return state;
  }
  void mark_all() const {
    while (step(100) == ECHO_STEP_MORE) {
    }
  }
  echo_status try_finish(echo_error* why) const {
    return f.plugin.api().test_cycle_finish(f.mutator.get(), why);
  }
  void finish() const {
    echo_error why = untouched_error();
    const echo_status status = try_finish(&why);
    EXPECT(status == ECHO_OK, "a barrier or a root was missed while marking. echo_test_cycle_finish: " +
                                  status_text(status, why));
  }
  // Moves the only reference to the victim from an object of the snapshot into one born since.
  void hide(const std::function<void(std::uint64_t* slot, echo_ref value)>& store) {
    fresh = nodes.make(2);
    const echo_ref victim = Nodes::child(holder, Nodes::kLeft);
    store(&word(fresh, Nodes::kLeft), victim);
    store(&word(holder, Nodes::kLeft), nullptr);
  }
  void hide_by_call(const Mutator& mutator) {
    fresh = Nodes(mutator).make(2);
    mutator.store(fresh, Nodes::kLeft, Nodes::child(holder, Nodes::kLeft));
    mutator.store(holder, Nodes::kLeft, nullptr);
  }
  void expect_victim(Context& context, const std::string& what) const {
    churn(f.mutator, 2 << 20, context.random);
    nodes.expect(Nodes::child(fresh, Nodes::kLeft), kVictim, what);
    f.mutator.verify();
  }
  // What a plugin with a verifier says at the end of a mark that missed a store.
  void expect_missed(const std::string& what) const {
    f.plugin.skip_without_option("verify");
    echo_error why = untouched_error();
    EXPECT_STATUS(try_finish(&why), ECHO_HEAP_CORRUPT, "the end of a mark while which " + what);
    expect_error(why, ECHO_HEAP_CORRUPT, what);
  }
};

void calls_are_checked(Context& context) {
  {
    Fixture plain(context, [](const Plugin& p) {
      p.skip_without(ECHO_FEATURE_STEPPING);
      return std::string("max_heap=8m");
    });
    const echo_heap_api& api = plain.plugin.api();
    std::uint32_t state = 0;
    echo_error why = untouched_error();
    EXPECT_STATUS(api.test_cycle_start(plain.mutator.get(), &why), ECHO_WRONG_STATE,
                  "start without stepping=on");
    expect_error(why, ECHO_WRONG_STATE, "start without stepping=on");
    EXPECT_STATUS(api.test_cycle_step(plain.mutator.get(), 1, &state, nullptr), ECHO_WRONG_STATE,
                  "step without stepping=on");
    EXPECT_STATUS(api.test_cycle_finish(plain.mutator.get(), nullptr), ECHO_WRONG_STATE,
                  "finish without stepping=on");
    EXPECT_STATUS(api.test_cycle_hold(plain.mutator.get(), 1, nullptr), ECHO_WRONG_STATE,
                  "hold without stepping=on");
  }
  const Stepped s(context);
  const echo_heap_api& api = s.f.plugin.api();
  echo_thread* const thread = s.f.mutator.get();
  std::uint32_t state = 0;
  for (int turn = 0; turn < 2; ++turn) {
    EXPECT_STATUS(api.test_cycle_step(thread, 1, &state, nullptr), ECHO_WRONG_STATE, "step without start");
    EXPECT_STATUS(api.test_cycle_finish(thread, nullptr), ECHO_WRONG_STATE, "finish without start");
    s.start();
    EXPECT_STATUS(api.test_cycle_start(thread, nullptr), ECHO_WRONG_STATE, "a second start");
    EXPECT_STATUS(api.test_cycle_step(thread, 0, &state, nullptr), ECHO_INVALID_ARGUMENT,
                  "a step of 0 units");
    EXPECT_STATUS(api.test_cycle_step(thread, ~std::uint64_t{0}, &state, nullptr), ECHO_INVALID_ARGUMENT,
                  "a step of 2^64 - 1 units");
    EXPECT_STATUS(api.test_cycle_step(thread, 1, nullptr, nullptr), ECHO_INVALID_ARGUMENT, "state is null");
    EXPECT_STATUS(api.test_cycle_hold(thread, 2, nullptr), ECHO_INVALID_ARGUMENT, "hold with 2");
    s.finish();
  }
  EXPECT_STATUS(api.test_cycle_start(nullptr, nullptr), ECHO_INVALID_ARGUMENT, "thread is null");
  Workers workers(s.f.heap);
  workers.start_bare([&] {
    EXPECT_STATUS(api.test_cycle_start(thread, nullptr), ECHO_WRONG_THREAD, "start of another thread");
  });
  workers.join_from(s.f.mutator);
  EXPECT_STATUS(api.enter_native(thread), ECHO_OK, "enter_native");
  EXPECT_STATUS(api.test_cycle_start(thread, nullptr), ECHO_WRONG_STATE, "start of a native thread");
  EXPECT_STATUS(api.leave_native(thread), ECHO_OK, "leave_native");
}

void cycles_are_collections(Context& context) {
  const Stepped s(context);
  const echo_handle list = s.nodes.list(5000);
  for (int turn = 0; turn < 3; ++turn) {
    const std::uint64_t before = s.f.heap.statistics().collections_full;
    s.start();
    EXPECT_EQ(s.f.heap.statistics().collections_full, before, "collections before the cycle is finished");
    std::uint64_t steps = 1;
    while (s.step(50) == ECHO_STEP_MORE)
      ++steps;
    EXPECT(steps >= 20, "5000 objects were marked in " + show(steps) + " steps of 50 references");
    s.finish();
    EXPECT_EQ(s.f.heap.statistics().collections_full, before + 1, "collections when it is finished");
    EXPECT_EQ(s.f.heap.statistics().live_bytes, 5002 * Nodes::kBytes, "live_bytes");
    churn(s.f.mutator, 1 << 20, context.random);
    s.nodes.expect_list(list, 5000, "a list that was marked in steps");
  }
}

void stores_by_call(Context& context) {
  for (const bool marked_before : {false, true}) {
    Stepped s(context);
    s.start();
    if (marked_before)
      s.mark_all();
    s.hide_by_call(s.f.mutator);
    s.finish();
    s.expect_victim(context, "an object whose reference was moved by echo_store while the marker was held");
  }
}

void stores_by_recipe(Context& context) {
  for (const std::uint32_t set : {ECHO_RECIPES_FASTEST, ECHO_RECIPES_PORTABLE}) {
    Stepped s(context);
    const RecipeMachine machine(s.f.mutator, set);
    s.start();
    s.hide([&](std::uint64_t* slot, echo_ref value) { machine.store(slot, value); });
    s.finish();
    s.expect_victim(context,
                    "an object whose reference was moved by the store recipe while the marker was held");
  }
}

void omitted_barriers_are_noticed(Context& context) {
  Stepped s(context);
  s.start();
  s.hide([](std::uint64_t* slot, echo_ref value) { *slot = reinterpret_cast<std::uintptr_t>(value); });
  s.expect_missed("a store went round the recipe");
}

// Compiled: hide(from, to): to.left = from.left; from.left = null.
const char* const kHide = R"(
define void @hide(ptr addrspace(1) %from, ptr addrspace(1) %to) {
  %a = getelementptr i8, ptr addrspace(1) %from, i64 8
  %b = getelementptr i8, ptr addrspace(1) %to, i64 8
  %v = load ptr addrspace(1), ptr addrspace(1) %a
  store ptr addrspace(1) %v, ptr addrspace(1) %b
  store ptr addrspace(1) null, ptr addrspace(1) %a
  ret void
}
)";
void hide_compiled(Stepped& s, const JitMachine& jit) {
  s.fresh = s.nodes.make(2);
  jit.call("hide", {reinterpret_cast<std::uintptr_t>(s.holder), reinterpret_cast<std::uintptr_t>(s.fresh)});
}

void stores_compiled(Context& context) {
  for (const std::uint32_t optimise : {0u, 2u})
    for (const std::uint32_t operations : {ECHO_JIT_OPERATIONS_INLINE, ECHO_JIT_OPERATIONS_CALLED}) {
      Stepped s(context);
      const JitMachine jit(context, s.f.mutator, optimise, operations);
      jit.add(kHide);
      jit.function("hide"); // compiled before the cycle
      s.start();
      hide_compiled(s, jit);
      s.finish();
      s.expect_victim(context, "an object whose reference was moved by compiled code at O" + show(optimise));
    }
}

void omitted_compiled_barriers_are_noticed(Context& context) {
  for (const std::uint32_t optimise : {0u, 2u}) {
    Stepped s(context);
    const JitMachine jit(context, s.f.mutator, optimise, ECHO_JIT_OPERATIONS_INLINE, ECHO_JIT_OMIT_BARRIERS);
    jit.add(kHide);
    s.start();
    hide_compiled(s, jit);
    s.expect_missed("compiled code stored without barrier");
  }
}

void long_logs(Context& context) {
  const Stepped s(context);
  constexpr std::uint64_t kCount = 20000;
  const echo_layout_id refs = s.f.heap.ref_array();
  const echo_handle array = s.f.mutator.root(s.f.mutator.allocate(refs, kCount));
  const echo_handle copy = s.f.mutator.root(nullptr);
  for (std::uint64_t i = 0; i < kCount; ++i) {
    const echo_ref node = s.nodes.make(i);
    s.f.mutator.array_store(s.f.mutator.get(array), i, node);
  }
  s.start();
  s.f.mutator.set(copy, s.f.mutator.allocate(refs, kCount));
  const echo_ref from = s.f.mutator.get(array), to = s.f.mutator.get(copy);
  for (std::uint64_t i = 0; i < kCount; ++i) {
    s.f.mutator.array_store(to, i, reinterpret_cast<echo_ref>(word(from, 2 + i)));
    s.f.mutator.array_store(from, i, nullptr);
  }
  s.finish();
  churn(s.f.mutator, 2 << 20, context.random);
  for (std::uint64_t i = 0; i < kCount; ++i)
    s.nodes.expect(reinterpret_cast<echo_ref>(word(s.f.mutator.get(copy), 2 + i)), i,
                   "object " + show(i) + " of a log of many stores");
}

// A thread that comes while the marker is held hides the victim; then it detaches, or stays until the cycle is over.
void threads_that_come(Context& context) {
  for (const bool stays : {false, true}) {
    Stepped s(context);
    s.start();
    std::atomic<bool> hidden{false}, over{false};
    Workers workers(s.f.heap);
    workers.start([&](const Mutator& mutator) {
      s.hide_by_call(mutator);
      EXPECT_STATUS(mutator.api().enter_blocked(mutator.get()), ECHO_OK, "enter_blocked");
      hidden = true;
      while (stays && !over)
        std::this_thread::yield();
      EXPECT_STATUS(mutator.api().leave_blocked(mutator.get()), ECHO_OK, "leave_blocked");
    });
    if (!stays)
      workers.join_from(s.f.mutator);
    while (!hidden)
      std::this_thread::yield();
    s.finish();
    s.expect_victim(context,
                    stays ? "an object whose reference was moved by a thread that attached while marking"
                          : "an object whose reference was moved by a thread that attached and detached "
                            "while marking");
    over = true;
    workers.join_from(s.f.mutator);
  }
}

// Born while the marker is held: kept, whole, in that cycle, whatever leads to it.
void births(Context& context) {
  Stepped s(context);
  const echo_layout_id refs = s.f.heap.ref_array();
  s.start();
  const echo_handle list = s.nodes.list(5000);
  const echo_handle large = s.f.mutator.root(s.f.mutator.allocate(refs, 9000));
  s.f.mutator.array_store(s.f.mutator.get(large), 8999, s.f.mutator.get(list));
  s.f.mutator.store(s.holder, Nodes::kRight, s.f.mutator.get(list));
  s.mark_all();
  const echo_handle later = s.nodes.list(5000);
  const echo_handle late = s.f.mutator.root(s.f.mutator.allocate(refs, 9000));
  s.f.mutator.array_store(s.f.mutator.get(late), 0, s.f.mutator.get(later));
  s.finish();
  for (int turn = 0; turn < 2; ++turn) {
    churn(s.f.mutator, 16 << 20, context.random);
    s.nodes.expect_list(list, 5000, "a list that was born while the marker was held");
    s.nodes.expect_list(later, 5000, "a list that was born when all was marked");
    EXPECT_EQ(word(s.f.mutator.get(large), 2 + 8999), word(s.holder, Nodes::kRight),
              "the last element of a large array that was born while the marker was held");
    EXPECT_EQ(word(s.f.mutator.get(late), 2), reinterpret_cast<std::uintptr_t>(s.f.mutator.get(later)),
              "the first element of a large array that was born when all was marked");
    s.f.mutator.verify();
    s.f.mutator.collect();
  }
}

// Born between what is old: a heap may hand out the holes that the dead left while the marker is held.
void births_between_the_old(Context& context) {
  constexpr std::uint64_t kCount = 20000, kCut = kCount / 2;
  Stepped s(context);
  const Mutator& m = s.f.mutator;
  const echo_handle kept = m.root(nullptr);
  for (std::uint64_t i = kCount; i > 0; --i) {
    const echo_ref node = s.nodes.make(i - 1);
    m.store(node, Nodes::kRight, m.get(kept));
    m.set(kept, node);
    (void)s.nodes.make(i); // dies
  }
  s.f.mutator.collect();
  s.start();
  const echo_handle born = s.nodes.list(kCount);
  echo_ref last = m.get(kept); // of the first half: the second is hung on an object that was born
  for (std::uint64_t i = 1; i < kCut; ++i)
    last = Nodes::child(last, Nodes::kRight);
  m.store(m.get(born), Nodes::kLeft, Nodes::child(last, Nodes::kRight));
  m.store(last, Nodes::kRight, nullptr);
  s.mark_all();
  const echo_handle later = s.nodes.list(kCount);
  s.finish();
  for (int turn = 0; turn < 2; ++turn) {
    churn(s.f.mutator, 16 << 20, context.random);
    s.nodes.expect_list(kept, kCut,
                        "a list of old objects, between which others were born while the marker was held");
    s.nodes.expect_list(born, kCount, "a list that was born between old objects while the marker was held");
    s.nodes.expect_list(later, kCount, "a list that was born between old objects when all was marked");
    echo_ref node = Nodes::child(m.get(born), Nodes::kLeft);
    for (std::uint64_t i = kCut; i < kCount; ++i, node = Nodes::child(node, Nodes::kRight))
      s.nodes.expect(
          node, i, "an old object to which only one leads that was born beside it while the marker was held");
    s.f.mutator.verify();
    s.f.mutator.collect();
  }
}

// A reference leaves a handle of the snapshot: set to another, or written over behind a closed scope.
void handles_that_change(Context& context) {
  for (const bool closes : {false, true}) {
    Stepped s(context);
    const Mutator& m = s.f.mutator;
    Scope inner(m);
    const echo_handle only = m.root(Nodes::child(s.holder, Nodes::kLeft));
    m.store(s.holder, Nodes::kLeft, nullptr);
    s.start();
    s.fresh = s.nodes.make(2);
    m.store(s.fresh, Nodes::kLeft, m.get(only));
    if (closes)
      inner.close();
    else
      m.set(only, nullptr);
    for (int i = 0; i < 100; ++i)
      m.root(nullptr); // where the handle was
    s.finish();
    s.expect_victim(context, "an object whose handle changed while the marker was held");
  }
}

// Of an object that only a weak slot knows: what was loaded is alive, what was not is gone.
void weak_loads(Context& context) {
  for (const bool loads : {true, false})
    for (const bool recipe : {true, false}) {
      Stepped s(context);
      s.f.plugin.skip_without(ECHO_FEATURE_WEAK);
      const Mutator& m = s.f.mutator;
      static const echo_slot slot = {8, ECHO_SLOT_WEAK};
      const echo_layout_id layout =
          s.f.heap.add({sizeof(echo_layout), ECHO_LAYOUT_FIXED, "weak", 16, 0, 0, 0, 1, &slot});
      const echo_handle weak = m.root(m.allocate(layout));
      m.store(m.get(weak), 1, Nodes::child(s.holder, Nodes::kLeft));
      m.store(s.holder, Nodes::kLeft, nullptr);
      const RecipeMachine machine(m, ECHO_RECIPES_FASTEST);
      const auto load = [&] {
        return recipe ? machine.weak_load(&word(m.get(weak), 1)) : m.api().weak_load(m.get(), m.get(weak), 8);
      };
      s.start();
      s.fresh = s.nodes.make(2);
      if (loads) {
        const echo_ref loaded = load();
        EXPECT(loaded != nullptr, "a weak slot is null while its object is not yet known dead");
        m.store(s.fresh, Nodes::kLeft, loaded);
      }
      s.finish();
      if (loads)
        s.expect_victim(context, "an object that was loaded from a weak slot while the marker was held");
      EXPECT((load() != nullptr) == loads, "the weak slot after the cycle");
    }
}

void held_cycles(Context& context) {
  Stepped s(context);
  const Mutator& m = s.f.mutator;
  const auto hold = [&](std::uint32_t on) {
    EXPECT_STATUS(m.api().test_cycle_hold(m.get(), on, nullptr), ECHO_OK, "hold");
  };
  // Whether a cycle is open, which begins when this thread polls.
  const auto is_open = [&] {
    std::uint32_t state = 0;
    m.api().poll(m.get());
    return m.api().test_cycle_step(m.get(), 1, &state, nullptr) == ECHO_OK;
  };
  hold(1);
  const std::uint64_t before = s.f.heap.statistics().collections_full;
  // A cycle begins by itself and stays at its start.
  for (int i = 0; i < 400 && !is_open(); ++i)
    churn(m, 100 << 10, context.random);
  for (int i = 0; i < 1000 && !is_open(); ++i) { // the collector's thread may need a moment
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT(is_open(), "no cycle began while 40 MB of a heap of 64 MB were allocated");
  s.hide_by_call(m);
  EXPECT_EQ(s.f.heap.statistics().collections_full, before, "collections while the marker is held");
  hold(0);
  EXPECT_EQ(s.f.heap.statistics().collections_full, before + 1, "collections when it is let go");
  s.expect_victim(context, "an object whose reference was moved while a cycle that began by itself was held");
}

// A stack whose returns are polled, deeper than what a stop visits; pc of a frame is its number, the oldest has number 1.
struct PolledStack {
  std::vector<echo_ref> frames;

  static std::uint64_t fp_of(std::uint64_t number) { return (std::uint64_t{1} << 40) - number * 16; }
  void publish(const RecipeMachine& machine) const {
    const std::uint64_t fp = frames.empty() ? 0 : fp_of(frames.size());
    machine.publish_anchor(fp, fp, frames.size());
  }
  static echo_status walk(void* context, echo_thread*, echo_frame_cursor* cursor, std::uint32_t most,
                          std::uint32_t* visited, echo_visit_slot_fn visit, void* visitor, echo_error*) {
    auto* const stack = static_cast<PolledStack*>(context);
    for (*visited = 0; cursor->pc != 0 && *visited < most; ++*visited) {
      visit(visitor, &stack->frames[cursor->pc - 1], nullptr);
      --cursor->pc;
      cursor->fp = cursor->sp = fp_of(cursor->pc);
    }
    return ECHO_OK;
  }
};

// Frames return one by one while the marker is held, and what they held goes into an object that was born since.
void frames_that_return(Context& context) {
  constexpr std::uint64_t kFrames = 3000;
  const Stepped s(context);
  const Mutator& m = s.f.mutator;
  PolledStack stack;
  const echo_frame_source source = {sizeof source, ECHO_FRAMES_POLLED_RETURNS, &stack, PolledStack::walk};
  EXPECT_STATUS(m.api().frame_source_set(s.f.heap.get(), &source, nullptr), ECHO_OK, "frame_source_set");
  const RecipeMachine machine(m, ECHO_RECIPES_FASTEST);
  for (std::uint64_t i = 0; i < kFrames; ++i) {
    const echo_ref node = s.nodes.make(i);
    stack.frames.push_back(node);
    stack.publish(machine);
  }
  m.collect();
  s.start();
  const echo_handle kept = m.root(m.allocate(s.f.heap.ref_array(), kFrames));
  for (std::uint64_t i = kFrames; i > 0; --i) {
    m.api().poll(m.get()); // the return's
    m.array_store(m.get(kept), i - 1, stack.frames.back());
    stack.frames.pop_back();
    stack.publish(machine);
  }
  s.finish();
  churn(m, 4 << 20, context.random);
  for (std::uint64_t i = 0; i < kFrames; ++i)
    s.nodes.expect(reinterpret_cast<echo_ref>(word(m.get(kept), 2 + i)), i,
                   "what frame " + show(i + 1) + " held when it returned while the marker was held");
  EXPECT_STATUS(m.api().frame_source_set(s.f.heap.get(), nullptr, nullptr), ECHO_OK, "frame_source_set");
}

// Nobody hangs: who waits for a collection finishes the open cycle. [step.open.1]
void who_waits_is_served(Context& context) {
  Stepped s(context);
  const Mutator& m = s.f.mutator;
  s.start();
  s.hide_by_call(m);
  const std::uint64_t before = s.f.heap.statistics().collections_full;
  m.collect();
  EXPECT_EQ(s.f.heap.statistics().collections_full, before + 2,
            "the open cycle and the one that was asked for");
  EXPECT_STATUS(s.try_finish(nullptr), ECHO_WRONG_STATE, "finish of a cycle that is over");
  s.expect_victim(context, "an object of an open cycle that a collection finished");
  s.start();
  churn(m, 256 << 20, context.random); // four times the heap
  EXPECT_STATUS(s.try_finish(nullptr), ECHO_WRONG_STATE, "finish of a cycle that a full heap finished");
  s.start(); // and a heap with an open cycle is destroyed
}

} // namespace

Suite stepping_suite() {
  return {
      "stepping",
      "collections step by step: what programs do while the marker is held",
      {
          {"calls_are_checked", "steps out of order, without the option, of other threads are refused",
           "[step.option.1] [abi.error.1]", calls_are_checked},
          {"cycles_are_collections", "a cycle in steps marks and frees what a collection does",
           "[step.open.1] [abi.collect.2]", cycles_are_collections},
          {"stores_by_call", "a reference that echo_store moves while the marker is held is found",
           "[bar.cold.1] [step.open.1]", stores_by_call},
          {"stores_by_recipe", "the same through the store recipe", "[bar.cold.1] [abi.recipe.3]",
           stores_by_recipe},
          {"omitted_barriers_are_noticed", "a store that goes round the recipe ends in HEAP_CORRUPT",
           "[abi.collect.3]", omitted_barriers_are_noticed},
          {"stores_compiled", "the same through barriers that libecho_jit emitted", "[bar.cold.1]",
           stores_compiled},
          {"omitted_compiled_barriers_are_noticed", "compiled stores without barrier end in HEAP_CORRUPT",
           "[abi.collect.3]", omitted_compiled_barriers_are_noticed},
          {"long_logs", "20 000 references that are moved while the marker is held are found", "[bar.log.1]",
           long_logs},
          {"threads_that_come",
           "stores of threads that attach, and detach, while the marker is held are heard",
           "[bar.log.3] [abi.thread.2]", threads_that_come},
          {"births", "objects born while the marker is held are kept, small and large", "[mark.colour.1]",
           births},
          {"births_between_the_old",
           "objects born in holes between old ones while the marker is held are kept, and so are the old "
           "ones",
           "[heap.mixed.1] [heap.mixed.2]", births_between_the_old},
          {"handles_that_change", "a reference that leaves a handle while the marker is held is found",
           "[handles.trace.1]", handles_that_change},
          {"weak_loads", "what a weak load returned while the marker was held is alive, the rest is not",
           "[weak.load.1] [weak.clear.1]", weak_loads},
          {"held_cycles", "a cycle that begins by itself is held and let go", "[step.hold.1]", held_cycles},
          {"frames_that_return", "what 3000 frames held that return while the marker is held is found",
           "[roots.frames.4]", frames_that_return},
          {"who_waits_is_served", "a collection, and a full heap, finish the open cycle", "[step.open.1]",
           who_waits_is_served},
      }};
}

} // namespace conformance
