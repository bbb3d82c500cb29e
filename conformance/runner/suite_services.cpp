// SPDX-License-Identifier: MIT
//
// suite_services.cpp - roots and objects that the VM enumerates itself, the walk over all objects, memory outside the
// heap, and the handler that is asked before memory is refused.
#include "patterns.h"
#include "workers.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <thread>

namespace conformance {

namespace {

std::string poisoned(const Plugin& p) {
  return p.options_with("max_heap=32m", {"poison=on", "verify=on"});
}

// A VM's own table of roots, which no root word names.
struct OwnRoots {
  std::vector<echo_ref> roots;
  std::uint64_t calls = 0;
  static void visit_all(void* self, echo_visit_ref_fn visit, void* visitor) {
    auto* const own = static_cast<OwnRoots*>(self);
    ++own->calls;
    for (const echo_ref root : own->roots)
      visit(visitor, root);
  }
};

void root_callbacks_keep_alive(Context& context) {
  Fixture f(context, poisoned);
  f.plugin.skip_without(ECHO_FEATURE_ROOT_CALLBACKS);
  const echo_heap_api& api = f.plugin.api();
  const Nodes nodes(f.mutator);
  OwnRoots own;
  echo_error why = untouched_error();
  EXPECT_STATUS(api.roots_callback_add(f.heap.get(), OwnRoots::visit_all, &own, &why), ECHO_OK, "add");
  EXPECT_STATUS(api.roots_callback_add(f.heap.get(), OwnRoots::visit_all, &own, &why), ECHO_INVALID_ARGUMENT,
                "the same callback again");
  expect_error(why, ECHO_INVALID_ARGUMENT, "the same callback again");
  EXPECT_STATUS(api.roots_callback_add(f.heap.get(), nullptr, &own, nullptr), ECHO_INVALID_ARGUMENT, "null");
  own.roots.assign(2000, nullptr);
  for (std::uint64_t i = 0; i < own.roots.size(); i += 2) { // every other stays null
    own.roots[i] = nodes.make(i);
    nodes.make(~i);
  }
  for (int turn = 0; turn < 3; ++turn) {
    f.mutator.collect();
    churn(f.mutator, 4 << 20, context.random);
    for (std::uint64_t i = 0; i < own.roots.size(); i += 2)
      nodes.expect(own.roots[i], i, "a root of the VM, " + show(i));
  }
  EXPECT(own.calls >= 3, "the callback was called " + show(own.calls) + " times in three collections");
  EXPECT_STATUS(api.roots_callback_remove(f.heap.get(), OwnRoots::visit_all, &own, nullptr), ECHO_OK,
                "remove");
  const std::uint64_t calls = own.calls;
  f.mutator.collect();
  EXPECT_EQ(own.calls, calls, "calls after the removal");
  EXPECT_EQ(f.heap.statistics().live_bytes, std::uint64_t{0}, "live_bytes after the removal");
  EXPECT_STATUS(api.roots_callback_remove(f.heap.get(), OwnRoots::visit_all, &own, nullptr),
                ECHO_INVALID_ARGUMENT, "remove again");
}

// An object whose references lie in a block outside the heap: [header][block of the VM].
struct Outside {
  static constexpr std::size_t kWords = 300;
  std::map<std::uint64_t, std::vector<echo_ref>> blocks; // by the number in the object; made before marks
  std::atomic<std::uint64_t> traced{0};

  static void trace(void* self, echo_ref object, echo_visit_ref_fn visit, void* visitor) {
    auto* const all = static_cast<Outside*>(self);
    ++all->traced;
    const std::uint64_t number = __atomic_load_n(&word(object, 1), __ATOMIC_RELAXED);
    if (number == 0)
      return; // not made yet
    for (const echo_ref& slot : all->blocks.at(number))
      visit(visitor, __atomic_load_n(&slot, __ATOMIC_RELAXED));
  }
};

struct TraceFixture {
  explicit TraceFixture(Context& context) : f(context, poisoned), api(f.plugin.api()), nodes(f.mutator) {
    f.plugin.skip_without(ECHO_FEATURE_TRACE_CALLBACKS);
  }
  echo_layout_id add(const echo_layout& layout, echo_trace_fn trace, void* of) const {
    echo_layout_id id = 0;
    echo_error why = untouched_error();
    const echo_status status = api.layout_register_traced(f.heap.get(), &layout, trace, of, &id, &why);
    EXPECT(status == ECHO_OK, "layout_register_traced: " + status_text(status, why));
    return id;
  }
  Fixture f;
  const echo_heap_api& api;
  const Nodes nodes;
};

void traced_objects_keep_alive(Context& context) {
  TraceFixture t(context);
  Outside outside;
  const echo_layout descriptor = {sizeof(echo_layout), ECHO_LAYOUT_FIXED, "outside", 16, 0, 0, 0, 0, nullptr};
  const echo_layout_id layout = t.add(descriptor, Outside::trace, &outside);
  EXPECT_EQ(t.add(descriptor, Outside::trace, &outside), layout,
            "the number of the same descriptor and callback");
  Outside other;
  EXPECT(t.add(descriptor, Outside::trace, &other) != layout, "another context shares the number");
  EXPECT(t.f.heap.add(descriptor) != layout, "a descriptor without callback shares the number");
  for (std::uint64_t i = 1; i <= 40; ++i)
    outside.blocks[i].assign(Outside::kWords, nullptr);
  Scope scope(t.f.mutator);
  std::vector<echo_handle> objects;
  for (std::uint64_t i = 1; i <= 40; ++i) {
    objects.push_back(t.f.mutator.root(t.f.mutator.allocate(layout)));
    for (std::uint64_t k = 0; k < Outside::kWords; ++k)
      EXPECT_STATUS(t.api.store_outside(t.f.mutator.get(), &outside.blocks[i][k], nullptr), ECHO_OK, "store");
    __atomic_store_n(&word(t.f.mutator.get(objects.back()), 1), i, __ATOMIC_RELAXED);
  }
  // Stores between, beside and over collections: the last one of each word counts.
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> keys;
  for (std::uint64_t key = 1; key <= 60000; ++key) {
    const std::uint64_t i = context.random.between(1, 40);
    const std::uint64_t k = context.random.between(0, Outside::kWords - 1);
    EXPECT_STATUS(t.api.store_outside(t.f.mutator.get(), &outside.blocks[i][k], t.nodes.make(key)), ECHO_OK,
                  "store_outside");
    keys[{i, k}] = key;
    if (key % 20000 == 0)
      t.f.mutator.collect();
  }
  t.f.mutator.collect();
  churn(t.f.mutator, 4 << 20, context.random);
  for (const auto& [where, key] : keys)
    t.nodes.expect(outside.blocks[where.first][where.second], key,
                   "what a traced object holds outside the heap");
  EXPECT(outside.traced >= 40, "the callback was hardly called");
  EXPECT_EQ(t.f.heap.statistics().live_bytes, keys.size() * Nodes::kBytes + 40 * 16, "live_bytes");
  t.f.mutator.verify();
  scope.close();
  t.f.mutator.collect();
  EXPECT_EQ(t.f.heap.statistics().live_bytes, std::uint64_t{0}, "live_bytes without the traced objects");
  EXPECT_STATUS(t.api.store_outside(t.f.mutator.get(), nullptr, nullptr), ECHO_INVALID_ARGUMENT,
                "a null slot");
  EXPECT_STATUS(t.api.store_outside(nullptr, &outside.blocks[1][0], nullptr), ECHO_INVALID_ARGUMENT,
                "no thread");
}

// A raw array in which every third word is a reference: slots that no layout can describe.
void trace_thirds(void*, echo_ref object, echo_visit_ref_fn visit, void* visitor) {
  const std::uint64_t length = word(object, 1);
  for (std::uint64_t i = 0; i < length; i += 3)
    visit(visitor, reinterpret_cast<echo_ref>(__atomic_load_n(&word(object, 2 + i), __ATOMIC_RELAXED)));
}

void traced_arrays_and_stores(Context& context) {
  TraceFixture t(context);
  const echo_layout_id layout = t.add(
      {sizeof(echo_layout), ECHO_LAYOUT_RAW_ARRAY, "thirds", 16, 8, 0, 0, 0, nullptr}, trace_thirds, nullptr);
  Scope scope(t.f.mutator);
  for (const std::uint64_t length : {0, 1, 2, 3, 100, 9000, 50000}) { // the last ones are large objects
    const echo_handle array = t.f.mutator.root(t.f.mutator.allocate(layout, length));
    for (std::uint64_t i = 0; i < length; ++i)
      if (i % 3 == 0 && (length < 1000 || i % 99 == 0)) {
        const echo_ref node = t.nodes.make(i);
        t.f.mutator.store(t.f.mutator.get(array), 2 + i, node);
      } else if (i % 3 == 1) {
        word(t.f.mutator.get(array), 2 + i) = 0xABCDEF0123456789; // no reference, and never visited
      }
    t.f.mutator.collect();
    churn(t.f.mutator, 1 << 20, context.random);
    for (std::uint64_t i = 0; i < length; ++i)
      if (i % 3 == 0 && (length < 1000 || i % 99 == 0))
        t.nodes.expect(Nodes::child(t.f.mutator.get(array), 2 + i), i,
                       "element " + show(i) + " of " + show(length));
    const std::uint64_t end = 16 + length * 8;
    for (const std::uint64_t offset :
         {std::uint64_t{0}, std::uint64_t{8}, std::uint64_t{17}, end, end + 8, ~std::uint64_t{7}})
      EXPECT_STATUS(t.api.store(t.f.mutator.get(), t.f.mutator.get(array), offset, nullptr),
                    ECHO_OUT_OF_BOUNDS, "a store at offset " + show(offset));
  }
  t.f.mutator.verify();
}

void bad_traced_layouts(Context& context) {
  TraceFixture t(context);
  echo_layout_id id = 0;
  echo_error why = untouched_error();
  echo_layout descriptor = {
      sizeof(echo_layout), ECHO_LAYOUT_FIXED, "x", 16, 0, 0, ECHO_LAYOUT_LEAF, 0, nullptr};
  EXPECT_STATUS(t.api.layout_register_traced(t.f.heap.get(), &descriptor, trace_thirds, nullptr, &id, &why),
                ECHO_BAD_LAYOUT, "a traced leaf");
  expect_error(why, ECHO_BAD_LAYOUT, "a traced leaf");
  descriptor.flags = 0;
  EXPECT_STATUS(t.api.layout_register_traced(t.f.heap.get(), &descriptor, nullptr, nullptr, &id, nullptr),
                ECHO_INVALID_ARGUMENT, "without callback");
  descriptor.fixed_bytes = 3;
  EXPECT_STATUS(
      t.api.layout_register_traced(t.f.heap.get(), &descriptor, trace_thirds, nullptr, &id, nullptr),
      ECHO_BAD_LAYOUT, "a traced layout that is too small");
}

struct Seen {
  std::map<echo_ref, std::uint64_t> objects; // -> bytes
  bool twice = false;
  std::uint64_t most = ~std::uint64_t{0};
  static std::uint32_t visit(void* self, echo_ref object, echo_layout_id, std::uint64_t bytes) {
    auto* const seen = static_cast<Seen*>(self);
    seen->twice = !seen->objects.emplace(object, bytes).second || seen->twice;
    return seen->objects.size() >= seen->most ? 1 : 0;
  }
};

void walks_see_everything(Context& context) {
  Fixture f(context, "max_heap=64m");
  f.plugin.skip_without(ECHO_FEATURE_OBJECT_WALK);
  const echo_heap_api& api = f.plugin.api();
  Scope scope(f.mutator);
  const echo_layout_id words = f.heap.raw_array("words", 8);
  std::vector<std::pair<echo_handle, std::uint64_t>> kept;
  const auto more = [&](std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t length = context.random.chance(100) ? 6000 : context.random.between(0, 40);
      const echo_ref object = f.mutator.allocate(words, length);
      if (i % 3 == 0)
        kept.emplace_back(f.mutator.root(object), 16 + length * 8);
    }
  };
  const auto check = [&](std::uint32_t slabs, const std::string& when) {
    Seen seen;
    echo_walk walk = {sizeof(echo_walk), slabs, 0};
    std::uint64_t calls = 0;
    do {
      echo_error why = untouched_error();
      const echo_status status = api.walk_objects(f.mutator.get(), &walk, Seen::visit, &seen, &why);
      EXPECT(status == ECHO_OK, "walk_objects: " + status_text(status, why));
      EXPECT(++calls < 100000, "the walk has no end");
    } while (walk.position != UINT64_MAX);
    EXPECT(slabs != 0 || calls == 1, "an unbounded walk took several calls");
    EXPECT(!seen.twice, when + ": an object was visited twice");
    for (const auto& [handle, bytes] : kept) {
      const auto found = seen.objects.find(f.mutator.get(handle));
      EXPECT(found != seen.objects.end(), when + ": a reachable object was not visited");
      EXPECT_EQ(found->second, bytes, when + ": bytes of an object");
    }
    return seen.objects.size();
  };
  more(6000);
  check(0, "before the first collection");
  f.mutator.collect();
  EXPECT_EQ(check(0, "after a collection"), kept.size(), "objects right after a collection");
  more(6000);
  EXPECT(check(0, "with new objects") >= kept.size(), "objects");
  for (const std::uint32_t slabs : {1, 7, 1000})
    check(slabs, "in parts of " + show(slabs) + " slabs");
  f.mutator.collect();
  EXPECT_EQ(check(3, "after another collection, in parts"), kept.size(), "objects after another collection");
  Seen few;
  few.most = 10;
  echo_walk walk = {sizeof(echo_walk), 0, 0};
  EXPECT_STATUS(api.walk_objects(f.mutator.get(), &walk, Seen::visit, &few, nullptr), ECHO_OK,
                "walk_objects");
  EXPECT_EQ(few.objects.size(), std::size_t{10}, "objects of a walk that its visitor ended");
  walk = {4, 0, 0};
  EXPECT_STATUS(api.walk_objects(f.mutator.get(), &walk, Seen::visit, &few, nullptr), ECHO_INVALID_ARGUMENT,
                "a walk without size");
  EXPECT_STATUS(api.walk_objects(f.mutator.get(), nullptr, Seen::visit, &few, nullptr), ECHO_INVALID_ARGUMENT,
                "no walk");
}

void external_memory_collects(Context& context) {
  Fixture f(context, [](const Plugin& plugin) {
    plugin.skip_without(ECHO_FEATURE_EXTERNAL_MEMORY);
    return std::string("max_heap=256m,growth=200,trigger=64m");
  });
  const echo_heap_api& api = f.plugin.api();
  const echo_layout_id words = f.heap.raw_array("words", 8);
  f.mutator.collect();
  // 4 MB of objects at a time, which alone are no reason to collect.
  const auto allocate_with = [&](std::int64_t each) {
    const std::uint64_t before = f.heap.statistics().collections_full;
    std::uint64_t seen = before;
    for (int i = 0; i < 4000; ++i) {
      f.mutator.allocate(words, 126);
      EXPECT_STATUS(api.external_memory(f.heap.get(), each, nullptr), ECHO_OK, "external_memory");
      if (i % 250 == 249) { // the collections run beside
        EXPECT_STATUS(api.enter_blocked(f.mutator.get()), ECHO_OK, "enter_blocked");
        // Where one may be due it has longer: on a busy machine it comes late.
        for (int waits = each != 0 ? 20 : 1; waits > 0 && f.heap.statistics().collections_full == seen;
             --waits) {
          std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        seen = f.heap.statistics().collections_full;
        EXPECT_STATUS(api.leave_blocked(f.mutator.get()), ECHO_OK, "leave_blocked");
      }
    }
    return f.heap.statistics().collections_full - before;
  };
  (void)allocate_with(0);
  const std::uint64_t without = allocate_with(0);
  const std::uint64_t with = allocate_with(1 << 20);
  EXPECT(with >= 3 && with > without,
         "4 GB outside the heap caused " + show(with) + " collections, without it " + show(without));
  EXPECT(with <= 64, "each doubling should cause a collection or two, there were " + show(with));
  const std::uint64_t announced = f.heap.statistics().external_bytes;
  EXPECT_EQ(announced, std::uint64_t{4000} << 20, "external_bytes");
  echo_error why = untouched_error();
  EXPECT_STATUS(api.external_memory(f.heap.get(), -static_cast<std::int64_t>(announced) - 1, &why),
                ECHO_INVALID_ARGUMENT, "less than nothing");
  expect_error(why, ECHO_INVALID_ARGUMENT, "less than nothing");
  EXPECT_STATUS(api.external_memory(f.heap.get(), INT64_MAX, nullptr), ECHO_INVALID_ARGUMENT, "an overflow");
  EXPECT_EQ(f.heap.statistics().external_bytes, announced, "external_bytes after refusals");
  EXPECT_STATUS(api.external_memory(f.heap.get(), -static_cast<std::int64_t>(announced), nullptr), ECHO_OK,
                "all");
  EXPECT_EQ(f.heap.statistics().external_bytes, std::uint64_t{0}, "external_bytes");
  EXPECT_STATUS(api.external_memory(nullptr, 1, nullptr), ECHO_INVALID_ARGUMENT, "without a heap");
}

void soft_limit_collects_early(Context& context) {
  Fixture f(context, [](const Plugin& p) {
    p.skip_without_option("soft_limit");
    return std::string("max_heap=256m,growth=1000,trigger=64m,soft_limit=8m");
  });
  Scope scope(f.mutator);
  const Nodes nodes(f.mutator);
  const echo_handle list = nodes.list(50000); // 2.8 MB
  f.mutator.collect();
  std::uint64_t most = 0;
  for (int i = 0; i < 40; ++i) {
    churn(f.mutator, 1 << 20, context.random);
    most = std::max(most, f.heap.statistics().used_bytes);
  }
  EXPECT(most < (24 << 20), "with a soft limit of 8 MB and 3 MB alive " + show(most) + " bytes were in use");
  const std::uint64_t passed = f.heap.statistics().soft_limit_passed;
  const echo_handle longer = nodes.list(200000); // 11 MB: over the limit, and no error
  f.mutator.collect();
  EXPECT(f.heap.statistics().soft_limit_passed > passed, "nobody noticed that the soft limit was passed");
  nodes.expect_list(list, 50000, "the first list");
  nodes.expect_list(longer, 200000, "the second list");
}

struct Rescuer {
  const Mutator* mutator = nullptr;
  std::vector<echo_handle> reserves;
  std::uint64_t calls = 0, nested_failures = 0;
  echo_layout_id words = 0;
  static std::uint32_t ask(void* self, echo_thread* thread, std::uint64_t bytes, std::uint32_t status) {
    auto* const r = static_cast<Rescuer*>(self);
    ++r->calls;
    if (thread != r->mutator->get() || bytes == 0 ||
        (status != ECHO_HEAP_LIMIT && status != ECHO_SYSTEM_MEMORY))
      note_failure("the handler was asked with other arguments than the allocation's");
    if (r->mutator->api().allocate(thread, r->words, (4 << 20) / 8) == nullptr) // must not ask again
      ++r->nested_failures;
    if (r->reserves.empty())
      return 0;
    r->mutator->set(r->reserves.back(), nullptr);
    r->reserves.pop_back();
    return 1;
  }
};

void the_handler_is_asked(Context& context) {
  Fixture f(context, "max_heap=16m");
  f.plugin.skip_without(ECHO_FEATURE_OUT_OF_MEMORY_HANDLER);
  const echo_heap_api& api = f.plugin.api();
  Scope scope(f.mutator);
  Rescuer rescuer;
  rescuer.mutator = &f.mutator;
  rescuer.words = f.heap.raw_array("words", 8);
  for (int i = 0; i < 3; ++i)
    rescuer.reserves.push_back(f.mutator.root(f.mutator.allocate(rescuer.words, (2 << 20) / 8)));
  EXPECT_STATUS(api.out_of_memory_set(f.heap.get(), Rescuer::ask, &rescuer, nullptr), ECHO_OK, "set");
  std::uint64_t kept = 0;
  while (f.mutator.api().allocate(f.mutator.get(), rescuer.words, 128) != nullptr && kept < 100000) {
    const echo_ref again = f.mutator.api().allocate(f.mutator.get(), rescuer.words, 128);
    if (again == nullptr)
      break;
    f.mutator.root(again);
    ++kept;
  }
  EXPECT(rescuer.reserves.empty(), "memory was refused and the handler was not asked for all that it had");
  EXPECT(rescuer.calls >= 4, "the handler was asked " + show(rescuer.calls) + " times");
  EXPECT_EQ(rescuer.nested_failures, rescuer.calls,
            "allocations of 4 MB inside the handler that were refused");
  EXPECT(kept * 1040 > (10 << 20), "only " + show(kept) + " KB fit 16 MB after three reserves were given up");
  EXPECT_STATUS(f.mutator.last_error(), ECHO_HEAP_LIMIT, "the refusal");
  if (const std::string failure = noted_failure(); !failure.empty())
    throw Failed{failure};
  const std::uint64_t calls = rescuer.calls;
  EXPECT_STATUS(api.out_of_memory_set(f.heap.get(), nullptr, nullptr, nullptr), ECHO_OK, "set to none");
  f.mutator.allocate_refused(rescuer.words, (8 << 20) / 8);
  EXPECT_EQ(rescuer.calls, calls, "calls of a handler that was removed");
  EXPECT_STATUS(api.out_of_memory_set(f.heap.get(), Rescuer::ask, &rescuer, nullptr), ECHO_OK, "set again");
  f.mutator.allocate_refused(rescuer.words, (64 << 20) / 8);
  EXPECT_EQ(rescuer.calls, calls, "calls for what can not fit the limit");
  EXPECT_STATUS(api.out_of_memory_set(nullptr, nullptr, nullptr, nullptr), ECHO_INVALID_ARGUMENT,
                "without a heap");
}

} // namespace

Suite services_suite() {
  return {
      "services",
      "root and trace callbacks, the walk, memory outside the heap, the out-of-memory handler",
      {
          {"root_callbacks_keep_alive", "what a root callback visits survives until the callback is removed",
           "[roots.callback.1]", root_callbacks_keep_alive},
          {"traced_objects_keep_alive", "what a trace callback visits outside the heap survives",
           "[layout.trace.1]", traced_objects_keep_alive},
          {"traced_arrays_and_stores",
           "trace callbacks find references in small and large objects; stores reach them",
           "[layout.trace.1] [abi.alloc.4]", traced_arrays_and_stores},
          {"bad_traced_layouts", "contradictions are refused with the reason", "[abi.layout.3]",
           bad_traced_layouts},
          {"walks_see_everything", "a walk visits every reachable object once, also in parts", "[walk.all.1]",
           walks_see_everything},
          {"external_memory_collects", "memory outside the heap brings collections, and is never under zero",
           "[external.push.1]", external_memory_collects},
          {"soft_limit_collects_early",
           "from the soft limit on collections come early, and nothing is refused", "[limit.soft.1]",
           soft_limit_collects_early},
          {"the_handler_is_asked", "no memory is refused before the handler was asked", "[oom.handler.1]",
           the_handler_is_asked},
      }};
}

} // namespace conformance
