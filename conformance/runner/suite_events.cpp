// SPDX-License-Identifier: MIT
//
// suite_events.cpp - events, their listeners, and exported histograms.
#include "histogram_decoder.h"
#include "patterns.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

namespace conformance {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kAll = ~std::uint64_t{0};

struct Listener {
  std::mutex mutex;
  std::vector<echo_event> heard;
  std::atomic<int> slowness_ms{0};
  std::atomic<std::uint64_t> calls{0};
  std::atomic<bool> inside{false};

  static void hear(void* self, const echo_event* event) {
    auto* const l = static_cast<Listener*>(self);
    l->inside = true;
    ++l->calls;
    if (const int ms = l->slowness_ms; ms != 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(ms));
    {
      const std::lock_guard lock(l->mutex);
      l->heard.push_back(*event);
    }
    l->inside = false;
  }
  std::uint64_t count(echo_event_kind kind) {
    const std::lock_guard lock(mutex);
    std::uint64_t n = 0;
    for (const echo_event& e : heard)
      n += e.kind == static_cast<std::uint32_t>(kind) ? 1 : 0;
    return n;
  }
  // Until `least` events of the kind were heard.
  void wait_for(echo_event_kind kind, std::uint64_t least, const std::string& what) {
    const auto end = Clock::now() + std::chrono::seconds(20);
    while (count(kind) < least) {
      EXPECT(Clock::now() < end,
             what + ": " + show(count(kind)) + " events were heard, expected " + show(least));
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
};

std::uint32_t add(const Fixture& f, std::uint64_t kinds, Listener* listener) {
  std::uint32_t number = 0;
  echo_error why = untouched_error();
  const echo_status status =
      f.plugin.api().listener_add(f.heap.get(), kinds, Listener::hear, listener, &number, &why);
  EXPECT(status == ECHO_OK, "listener_add: " + status_text(status, why));
  return number;
}

void listeners_hear(Context& context) {
  Listener all, pauses, late;
  Fixture f(context, "max_heap=16m");
  f.plugin.skip_without(ECHO_FEATURE_EVENTS);
  (void)add(f, kAll, &all);
  (void)add(f, std::uint64_t{1} << ECHO_EVENT_pause, &pauses);
  for (int i = 0; i < 5; ++i)
    f.mutator.collect();
  all.wait_for(ECHO_EVENT_cycle_end, 5, "five collections");
  all.wait_for(ECHO_EVENT_cycle_begin, 5, "five collections");
  all.wait_for(ECHO_EVENT_phase, 15, "five collections");
  pauses.wait_for(ECHO_EVENT_pause, 5, "five collections");
  const std::uint64_t collections = f.heap.statistics().collections_full;
  {
    const std::lock_guard lock(all.mutex);
    std::uint64_t last = 0, ends = 0;
    for (const echo_event& e : all.heard) {
      EXPECT(e.size >= sizeof(echo_event) && e.kind < ECHO_EVENT_COUNT,
             "an event of an unknown kind or size");
      EXPECT(e.time_ns != 0 && e.lost == 0, "an event without a time, or after lost ones");
      if (e.kind != ECHO_EVENT_pause && e.kind != ECHO_EVENT_stall) {
        EXPECT(e.time_ns >= last, "events are out of order");
        last = e.time_ns;
      }
      if (e.kind == ECHO_EVENT_cycle_end) {
        ++ends;
        EXPECT(e.duration_ns != 0, "a collection without duration");
      }
    }
    EXPECT(ends <= collections, "more collections were heard than there were");
  }
  {
    const std::lock_guard lock(pauses.mutex);
    for (const echo_event& e : pauses.heard)
      EXPECT(e.kind == ECHO_EVENT_pause && e.duration_ns != 0, "another event than a pause was heard");
  }
  echo_error why = untouched_error();
  std::uint32_t number = 0;
  const echo_heap_api& api = f.plugin.api();
  EXPECT_STATUS(api.listener_add(f.heap.get(), 0, Listener::hear, &late, &number, &why),
                ECHO_INVALID_ARGUMENT, "no kind");
  expect_error(why, ECHO_INVALID_ARGUMENT, "no kind");
  EXPECT_STATUS(api.listener_add(f.heap.get(), kAll, nullptr, &late, &number, nullptr), ECHO_INVALID_ARGUMENT,
                "null");
  EXPECT_STATUS(api.listener_remove(f.heap.get(), 12345, &why), ECHO_INVALID_ARGUMENT, "an unknown number");
}

void removed_listeners_are_silent(Context& context) {
  Listener one, other;
  Fixture f(context, "max_heap=16m");
  f.plugin.skip_without(ECHO_FEATURE_EVENTS);
  one.slowness_ms = 30;
  const std::uint32_t number = add(f, kAll, &one);
  (void)add(f, kAll, &other);
  f.mutator.collect();
  one.wait_for(ECHO_EVENT_phase, 1, "a collection");
  EXPECT_STATUS(f.plugin.api().listener_remove(f.heap.get(), number, nullptr), ECHO_OK, "listener_remove");
  EXPECT(!one.inside, "a listener is running after its removal");
  const std::uint64_t calls = one.calls;
  f.mutator.collect();
  other.wait_for(ECHO_EVENT_cycle_end, 2, "two collections");
  EXPECT_EQ(one.calls.load(), calls, "calls after the removal");
  EXPECT_STATUS(f.plugin.api().listener_remove(f.heap.get(), number, nullptr), ECHO_INVALID_ARGUMENT,
                "again");
}

// A listener that sleeps loses events, and holds nobody.
void slow_listeners_hold_nobody(Context& context) {
  Listener slow;
  slow.slowness_ms = 20;
  Fixture f(context, "max_heap=16m");
  f.plugin.skip_without(ECHO_FEATURE_EVENTS);
  (void)add(f, kAll, &slow);
  const auto start = Clock::now();
  for (int i = 0; i < 400; ++i)
    f.mutator.collect();
  const auto took = Clock::now() - start;
  EXPECT(took < std::chrono::seconds(10), "400 collections of nothing took over 10 s beside a slow listener");
  EXPECT(slow.calls.load() < 1600, "the slow listener heard everything: collections waited for it");
  // What waits is delivered until the heap is gone, at 20 ms each: not more than the ring holds.
  slow.slowness_ms = 0;
}

void out_of_memory_is_heard(Context& context) {
  Listener all;
  {
    Fixture f(context, "max_heap=8m");
    f.plugin.skip_without(ECHO_FEATURE_EVENTS);
    (void)add(f, kAll, &all);
    Scope scope(f.mutator);
    const echo_layout_id words = f.heap.raw_array("words", 8);
    echo_ref object = nullptr;
    do {
      object = f.plugin.api().allocate(f.mutator.get(), words, 1000);
      f.mutator.root(object);
    } while (object != nullptr);
    all.wait_for(ECHO_EVENT_out_of_memory, 1, "a full heap");
    if (f.plugin.has(ECHO_FEATURE_PERSISTENT_HANDLES)) {
      echo_persistent left = nullptr;
      EXPECT_STATUS(f.plugin.api().persistent_new(f.mutator.get(), nullptr, &left, nullptr), ECHO_OK, "new");
    }
  }
  EXPECT_EQ(all.count(ECHO_EVENT_handles_left), std::uint64_t{1}, "events of handles that were left");
  for (const echo_event& e : all.heard)
    if (e.kind == ECHO_EVENT_out_of_memory)
      EXPECT(e.values[0] == 8016 && e.values[1] == ECHO_HEAP_LIMIT, "what the event says of the allocation");
    else if (e.kind == ECHO_EVENT_handles_left)
      EXPECT_EQ(e.values[0], std::uint64_t{1}, "handles that were left");
}

void histograms_decode(Context& context) {
  Fixture f(context, "max_heap=16m");
  f.plugin.skip_without(ECHO_FEATURE_EVENTS);
  const echo_heap_api& api = f.plugin.api();
  const auto exported = [&](std::uint32_t which, std::uint32_t cause) {
    std::uint64_t bytes = 0;
    echo_error why = untouched_error();
    EXPECT_STATUS(api.histogram_export(f.heap.get(), which, cause, nullptr, &bytes, &why), ECHO_OUT_OF_BOUNDS,
                  "an export without buffer");
    expect_error(why, ECHO_OUT_OF_BOUNDS, "an export without buffer");
    std::string text(bytes + 64, 'x'); // the interval's length may get a digit more meanwhile
    bytes = text.size();
    const echo_status status = api.histogram_export(f.heap.get(), which, cause, text.data(), &bytes, &why);
    EXPECT(status == ECHO_OK, "histogram_export: " + status_text(status, why));
    EXPECT(bytes >= 1 && bytes <= text.size() && text[bytes - 1] == '\0', "the text is not ended by NUL");
    text.resize(bytes - 1);
    return decode_histogram_log(text);
  };
  EXPECT_EQ(exported(ECHO_HISTOGRAM_STALLS, 0).total(), std::uint64_t{0}, "stalls of a new heap");
  for (int i = 0; i < 50; ++i)
    f.mutator.collect();
  churn(f.mutator, 64 << 20, context.random);
  // Pauses come from this thread only, which stands still here.
  const DecodedHistogram pauses = exported(ECHO_HISTOGRAM_PAUSES, 0);
  const echo_statistics s = f.heap.statistics();
  EXPECT_EQ(pauses.total(), s.pause_us.count, "pauses in the histogram");
  const auto near = [](double found, double expected) {
    return found <= expected * 1.01 + 0.2 && found >= expected * 0.99 - 0.2;
  };
  for (const auto& [share, expected] : {std::pair{0.5, s.pause_us.p50}, std::pair{0.99, s.pause_us.p99}})
    EXPECT(near(static_cast<double>(pauses.quantile(share)) / 1000, expected),
           "quantile " + show(share) + " is " + show(pauses.quantile(share)) + " ns, in the statistics " +
               show(expected) + " us");
  EXPECT(near(pauses.max_ms * 1000, s.pause_us.max) || std::abs(pauses.max_ms * 1000 - s.pause_us.max) < 1,
         "the longest pause");
  std::uint64_t sum = 0;
  for (std::uint32_t cause = 0; cause < ECHO_CAUSE_COUNT; ++cause)
    sum += exported(ECHO_HISTOGRAM_PAUSES_BY_CAUSE, cause).total();
  EXPECT_EQ(sum, pauses.total(), "pauses by cause, added up");
  EXPECT(exported(ECHO_HISTOGRAM_TIME_TO_SAFEPOINT, 0).total() > 0, "no time to a safepoint");
  std::uint64_t bytes = 0;
  EXPECT_STATUS(api.histogram_export(f.heap.get(), 6, 0, nullptr, &bytes, nullptr), ECHO_INVALID_ARGUMENT,
                "4");
  EXPECT_STATUS(api.histogram_export(f.heap.get(), 1, ECHO_CAUSE_COUNT, nullptr, &bytes, nullptr),
                ECHO_INVALID_ARGUMENT, "an unknown cause");
  EXPECT_STATUS(api.histogram_export(f.heap.get(), 0, 0, nullptr, nullptr, nullptr), ECHO_INVALID_ARGUMENT,
                "null");
}

} // namespace

Suite events_suite() {
  return {"events",
          "events, listeners, exported histograms",
          {
              {"listeners_hear", "each listener hears the events of its kinds in order",
               "[event.deliver.1] [event.order.1]", listeners_hear},
              {"removed_listeners_are_silent", "a listener is not called after its removal returned",
               "[event.remove.1]", removed_listeners_are_silent},
              {"slow_listeners_hold_nobody", "collections do not wait for a listener", "[event.deliver.1]",
               slow_listeners_hold_nobody, 120},
              {"out_of_memory_is_heard", "refused memory and handles that are left are heard",
               "[event.deliver.1]", out_of_memory_is_heard},
              {"histograms_decode", "an exported histogram decodes to what the statistics say",
               "[histogram.log.1]", histograms_decode},
          }};
}

} // namespace conformance
