// SPDX-License-Identifier: MIT
//
// suite_frames.cpp - a frame source made up by the test: frames are rows of a table, the anchor's pc counts
// them.
#include "patterns.h"
#include "recipe_machine.h"

#include <atomic>
#include <thread>

namespace conformance {

namespace {

// A stack of one thread. Frame number i (1 = oldest) has one root and one derived address in it.
struct FakeStack {
  struct Frame {
    echo_ref base = nullptr;
    std::uintptr_t derived = 0;
  };
  std::vector<Frame> frames;
  std::uint64_t largest_slice = 0;
  std::uint64_t frames_walked = 0;
  std::uint64_t walks = 0;
  std::uint64_t without_map = 0; // this frame has no map; 0: all have
  bool twice = false;            // report every slot twice

  static echo_status walk(void* context, echo_thread*, echo_frame_cursor* cursor, std::uint32_t max_frames,
                          std::uint32_t* visited, echo_visit_slot_fn visit, void* visitor, echo_error* why) {
    auto* stack = static_cast<FakeStack*>(context);
    ++stack->walks;
    stack->largest_slice = std::max<std::uint64_t>(stack->largest_slice, max_frames);
    *visited = 0;
    for (; cursor->pc != 0 && *visited < max_frames; --cursor->pc, ++*visited, ++stack->frames_walked) {
      if (cursor->pc == stack->without_map || cursor->pc > stack->frames.size()) {
        if (why != nullptr) {
          why->code = ECHO_FRAME_WITHOUT_MAP;
          std::snprintf(why->message, sizeof why->message, "frame %llu has no map",
                        static_cast<unsigned long long>(cursor->pc));
        }
        return ECHO_FRAME_WITHOUT_MAP;
      }
      Frame& frame = stack->frames[cursor->pc - 1];
      for (int times = stack->twice ? 2 : 1; times > 0; --times)
        visit(visitor, &frame.base, frame.derived == 0 ? nullptr : &frame.derived);
    }
    return ECHO_OK;
  }
  echo_frame_source source() { return {sizeof(echo_frame_source), 0, this, walk}; }

  void push(const Nodes& nodes, std::uint64_t key) {
    const echo_ref node = nodes.make(key); // SAFEPOINT: before the frame exists
    frames.push_back({node, key % 3 == 0 ? reinterpret_cast<std::uintptr_t>(node) + 8 + key % 40 : 0});
  }
  void expect(const Nodes& nodes) const {
    for (std::uint64_t i = 0; i < frames.size(); ++i) {
      nodes.expect(frames[i].base, i, "the root of frame " + show(i + 1));
      if (i % 3 == 0)
        EXPECT_EQ(frames[i].derived - reinterpret_cast<std::uintptr_t>(frames[i].base), 8 + i % 40,
                  "distance of a derived address");
    }
  }
};

struct Stacked : Fixture {
  FakeStack stack;
  RecipeMachine machine;
  Nodes nodes;

  explicit Stacked(const Context& context)
      : Fixture(context,
                [](const Plugin& p) { return p.options_with("max_heap=32m", {"poison=on", "verify=on"}); }),
        machine(mutator, ECHO_RECIPES_FASTEST), nodes(mutator) {
    plugin.require(ECHO_FEATURE_FRAME_SOURCE);
    const echo_frame_source source = stack.source();
    EXPECT_STATUS(plugin.api().frame_source_set(heap.get(), &source, nullptr), ECHO_OK, "frame_source_set");
  }
  ~Stacked() { plugin.api().frame_source_set(heap.get(), nullptr, nullptr); }
  Stacked(const Stacked&) = delete;
  Stacked& operator=(const Stacked&) = delete;

  // The frames made so far are now below the caller of whatever comes.
  void publish() const { machine.publish_anchor(0x1000, 0x1000, stack.frames.size()); }
  // `count` frames, each entered while the older ones are on the stack.
  void fill_stack(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      stack.push(nodes, i);
      publish();
    }
  }
};

void frames_keep_alive(Context& context) {
  Stacked f(context);
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  f.fill_stack(200);
  for (int turn = 0; turn < 3; ++turn) {
    f.mutator.collect();
    churn(f.mutator, 4 << 20, context.random);
    f.stack.expect(f.nodes);
  }
  EXPECT(f.stack.walks > 0, "the frame source was never asked");
  f.stack.frames.clear();
  f.publish();
  f.mutator.collect();
  EXPECT_EQ(f.heap.statistics().live_bytes, std::uint64_t{0}, "live_bytes when the frames are gone");
}

void deep_stacks_are_walked(Context& context) {
  Stacked f(context);
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  f.fill_stack(30000);
  f.stack.frames_walked = 0;
  f.mutator.collect();
  EXPECT(f.stack.frames_walked >= 30000,
         "only " + show(f.stack.frames_walked) + " of 30 000 frames were walked");
  EXPECT(f.stack.largest_slice > 0, "walk was called for 0 frames");
  churn(f.mutator, 16 << 20, context.random);
  f.stack.expect(f.nodes);
}

void slots_may_come_twice(Context& context) {
  Stacked f(context);
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  f.stack.twice = true;
  f.fill_stack(100);
  f.mutator.collect();
  churn(f.mutator, 8 << 20, context.random);
  f.stack.expect(f.nodes);
}

void missing_map_frees_nothing(Context& context) {
  Stacked f(context);
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  f.fill_stack(50);
  const echo_ref unrooted = f.nodes.make(4711); // garbage that must not be touched
  f.stack.without_map = 20;
  echo_error why = untouched_error();
  EXPECT_STATUS(f.plugin.api().collect(f.mutator.get(), ECHO_COLLECT_FULL, &why), ECHO_FRAME_WITHOUT_MAP,
                "a collection with a frame that has no map");
  expect_error(why, ECHO_FRAME_WITHOUT_MAP, "a collection with a frame that has no map");
  EXPECT(has_pattern(unrooted, Nodes::kFirst, Nodes::kWords, 4711),
         "a collection that failed freed an object");
  f.stack.expect(f.nodes);
  f.stack.without_map = 0;
  f.mutator.collect();
  churn(f.mutator, 8 << 20, context.random);
  f.stack.expect(f.nodes);
}

// Allocation cannot collect: it must end in an error and not in a crash or a loop.
void missing_map_ends_allocation(Context& context) {
  Stacked f(context);
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  f.fill_stack(10);
  f.stack.without_map = 1;
  for (std::uint64_t bytes = 0; bytes < std::uint64_t{64} << 20; bytes += Nodes::kBytes)
    if (f.plugin.api().allocate(f.mutator.get(), f.nodes.layout, 0) == nullptr) {
      const echo_status status = f.mutator.last_error();
      EXPECT(status == ECHO_FRAME_WITHOUT_MAP || status == ECHO_HEAP_LIMIT,
             std::string("allocation without a map ends with ") + echo_status_name(status));
      f.stack.without_map = 0;
      f.mutator.collect();
      churn(f.mutator, 8 << 20, context.random);
      f.stack.expect(f.nodes);
      return;
    }
  throw Failed{"64 MB fit a heap of 32 MB although its frames cannot be walked"};
}

void source_is_exclusive(Context& context) {
  Fixture f(context);
  f.plugin.require(ECHO_FEATURE_FRAME_SOURCE);
  FakeStack one;
  FakeStack two;
  const echo_frame_source first = one.source();
  const echo_frame_source second = two.source();
  echo_error why = untouched_error();
  EXPECT_STATUS(f.plugin.api().frame_source_set(f.heap.get(), &first, nullptr), ECHO_OK, "frame_source_set");
  EXPECT_STATUS(f.plugin.api().frame_source_set(f.heap.get(), &second, &why), ECHO_WRONG_STATE,
                "a second source");
  expect_error(why, ECHO_WRONG_STATE, "a second source");
  EXPECT_STATUS(f.plugin.api().frame_source_set(f.heap.get(), nullptr, nullptr), ECHO_OK,
                "removing the source");
  EXPECT_STATUS(f.plugin.api().frame_source_set(f.heap.get(), &second, nullptr), ECHO_OK,
                "another source after that");
  EXPECT_STATUS(f.plugin.api().frame_source_set(f.heap.get(), nullptr, nullptr), ECHO_OK,
                "removing the source");
  echo_frame_source bad = first;
  bad.walk = nullptr;
  EXPECT_STATUS(f.plugin.api().frame_source_set(f.heap.get(), &bad, nullptr), ECHO_INVALID_ARGUMENT,
                "no walk");
}

// A thread that is native with frames on its stack, while another one collects.
void native_frames_are_walked(Context& context) {
  Stacked f(context);
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  f.fill_stack(100);
  EXPECT_STATUS(f.plugin.api().enter_native(f.mutator.get()), ECHO_OK, "enter_native");
  std::thread other([&] {
    try {
      const Mutator mutator(f.heap);
      Random random(1);
      for (int i = 0; i < 3; ++i) {
        mutator.collect();
        churn(mutator, 8 << 20, random);
      }
    } catch (const Failed& failed) {
      note_failure(failed.why);
    }
  });
  other.join();
  EXPECT_STATUS(f.plugin.api().leave_native(f.mutator.get()), ECHO_OK, "leave_native");
  f.stack.expect(f.nodes);
}

} // namespace

Suite frames_suite() {
  return {
      "frames",
      "precise frames through a frame source",
      {
          {"frames_keep_alive", "roots and derived addresses of frames survive collections",
           "[frames.source.1]", frames_keep_alive},
          {"deep_stacks_are_walked", "30 000 frames are walked to the oldest, in slices of the heap's choice",
           "[frames.source.1]", deep_stacks_are_walked},
          {"slots_may_come_twice", "a slot that is reported twice is one slot", "[frames.source.2]",
           slots_may_come_twice},
          {"missing_map_frees_nothing", "a frame without map is FRAME_WITHOUT_MAP, and nothing is freed",
           "[frames.source.1]", missing_map_frees_nothing},
          {"missing_map_ends_allocation", "allocation that cannot collect ends in an error",
           "[frames.source.1] [abi.alloc.3]", missing_map_ends_allocation},
          {"source_is_exclusive", "a second source is WRONG_STATE until the first is removed",
           "[frames.source.1]", source_is_exclusive},
          {"native_frames_are_walked", "frames of a native thread keep alive while another one collects",
           "[frames.source.3]", native_frames_are_walked},
      }};
}

} // namespace conformance
