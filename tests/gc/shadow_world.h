// SPDX-License-Identifier: MIT
//
// Purpose     A graph of objects on the heap under test and the same graph in plain C++ beside it. Random operations
//             change both; a check walks both from the roots and compares everything: layouts, lengths, references,
//             contents, and that one node is one object. Everything goes through the public C ABI.
//             A world may be ambiguous: its words are a data range instead of roots, and there are objects without a known
//             layout; both hold addresses inside objects.
// Invariants  Between two calls that may reach a safepoint a reference is held in locals; over such calls only in root
//             words, handles, frames and objects.
#pragma once

#include "echo/heap.h"
#include "tests/heap/seed.h"
#include "tests/vm_iface/recipe_interpreter.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace echo::test {

// What a run wants to be told when the heap is not as it should be. Ends the process.
struct Failure {
  std::string context; // configuration and seed
  std::string broken;  // the fault that is planted on purpose, or ""
  [[noreturn]] void operator()(const std::string& what) const {
    std::fprintf(stderr, "SHADOW MISMATCH: %s\n  %s\n", what.c_str(), context.c_str());
    std::fflush(nullptr);
    std::_Exit(1);
  }
};

// The shapes of objects; the same for all worlds of a heap.
struct Shape {
  echo_layout_info info{};
  std::vector<echo_slot> slots; // of the fixed part
  bool is_array = false;
  bool ref_elements = false;
  bool ambiguous = false;            // elements are bytes, and every whole word of them an edge
  std::uint64_t least = 0, most = 0; // elements
  unsigned weight = 1;

  std::uint64_t bytes(std::uint64_t length) const {
    return (info.fixed_bytes + (is_array ? length * info.element_bytes : 0) + 7) / 8 * 8;
  }
  std::uint64_t edges(std::uint64_t length) const {
    return slots.size() + (ref_elements ? length : ambiguous ? length * info.element_bytes / 8 : 0);
  }
};

class ShapeTable {
public:
  void open(echo_heap* heap, const Failure& fail, bool ambiguous) {
    const auto strong = [](std::uint32_t offset) { return echo_slot{offset, ECHO_SLOT_STRONG}; };
    const auto tagged = [](std::uint32_t offset) { return echo_slot{offset, ECHO_SLOT_TAGGED}; };
    add(heap, fail, "cell", ECHO_LAYOUT_FIXED, 16, 0, 8, {}, 0, 0, 10);
    add(heap, fail, "pair", ECHO_LAYOUT_FIXED, 32, 0, 8, {strong(8), strong(16)}, 0, 0, 40);
    add(heap, fail, "tagged", ECHO_LAYOUT_FIXED, 24, 0, 8, {tagged(8), strong(16)}, 0, 0, 10);
    add(heap, fail, "wide", ECHO_LAYOUT_FIXED, 800, 0, 8,
        {strong(8), tagged(63 * 8), strong(64 * 8), tagged(65 * 8), strong(792)}, 0, 0, 5);
    add(heap, fail, "refs", ECHO_LAYOUT_REF_ARRAY, 16, 8, 8, {}, 0, 40, 10);
    add(heap, fail, "long refs", ECHO_LAYOUT_REF_ARRAY, 16, 8, 8, {}, 250, 1200, 2);
    add(heap, fail, "mixed refs", ECHO_LAYOUT_MIXED_REF, 40, 8, 8, {tagged(32), strong(16)}, 0, 20, 5);
    add(heap, fail, "mixed raw", ECHO_LAYOUT_MIXED_RAW, 32, 2, 16, {strong(24)}, 0, 300, 5);
    add(heap, fail, "bytes", ECHO_LAYOUT_RAW_ARRAY, 16, 1, 8, {}, 0, 2000, 10);
    add(heap, fail, "line", ECHO_LAYOUT_FIXED, 64, 0, 64, {strong(56)}, 0, 0, 5);
    add(heap, fail, "large refs", ECHO_LAYOUT_REF_ARRAY, 16, 8, 32, {}, 4100, 9000, 1);
    add(heap, fail, "large bytes", ECHO_LAYOUT_RAW_ARRAY, 16, 8, 64, {}, 4095, 30000, 1);
    add(heap, fail, "large fixed", ECHO_LAYOUT_FIXED, 40000, 0, 8, {strong(39992), tagged(8)}, 0, 0, 1);
    if (ambiguous) {
      add(heap, fail, "unknown", ECHO_LAYOUT_AMBIGUOUS, 16, 1, 8, {}, 0, 200, 30);
      add(heap, fail, "unknown triples", ECHO_LAYOUT_AMBIGUOUS, 16, 3, 16, {}, 0, 30, 5);
      add(heap, fail, "large unknown", ECHO_LAYOUT_AMBIGUOUS, 16, 8, 8, {}, 4100, 6000, 1);
    }
  }
  const Shape& operator[](std::size_t i) const { return shapes_[i]; }
  const Shape& plain_bytes() const { return shapes_[8]; }
  std::size_t pick(Random& random) const {
    std::size_t left = random.below(weights_);
    std::size_t i = 0;
    while (left >= shapes_[i].weight) {
      left -= shapes_[i++].weight;
    }
    return i;
  }

private:
  void add(echo_heap* heap, const Failure& fail, const char* name, echo_layout_kind kind, std::uint64_t fixed,
           std::uint32_t element, std::uint32_t alignment, std::vector<echo_slot> slots, std::uint64_t least,
           std::uint64_t most, unsigned weight) {
    Shape shape;
    shape.slots = std::move(slots);
    shape.is_array = kind != ECHO_LAYOUT_FIXED;
    shape.ref_elements = kind == ECHO_LAYOUT_REF_ARRAY || kind == ECHO_LAYOUT_MIXED_REF;
    shape.ambiguous = kind == ECHO_LAYOUT_AMBIGUOUS;
    shape.least = least;
    shape.most = most;
    shape.weight = weight;
    const echo_layout layout{sizeof layout,
                             static_cast<std::uint32_t>(kind),
                             name,
                             fixed,
                             element,
                             alignment,
                             0,
                             static_cast<std::uint32_t>(shape.slots.size()),
                             shape.slots.data()};
    echo_layout_id id = 0;
    echo_error why{};
    shape.info.size = sizeof shape.info;
    if (echo_layout_register(heap, &layout, &id, &why) != ECHO_OK ||
        echo_layout_get(heap, id, &shape.info) != ECHO_OK) {
      fail(why.message);
    }
    weights_ += weight;
    shapes_.push_back(std::move(shape));
  }
  std::vector<Shape> shapes_;
  std::size_t weights_ = 0;
};

// The acting thread: what a world needs to touch the heap.
struct Actor {
  echo_heap* heap = nullptr;
  echo_thread* thread = nullptr;
  std::unique_ptr<RecipeInterpreter> recipes;
};

class World {
public:
  static constexpr std::size_t kWords = 24;

  World(const ShapeTable& shapes, const Failure& fail, std::uint64_t seed, std::size_t most_nodes,
        bool ambiguous = false)
      : random(seed), shapes_(shapes), fail_(fail), most_nodes_(most_nodes), ambiguous_(ambiguous) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // --- operations

  // A new object, put into a root word or into an object. False: out of memory.
  bool allocate(const Actor& actor) {
    const std::size_t s = shapes_.pick(random);
    const Shape& shape = shapes_[s];
    const std::uint64_t length = shape.is_array ? random.between(shape.least, shape.most) : 0;
    // Either way may reach a safepoint.
    const echo_ref object =
        random.chance(50) ? actor.recipes->allocate(shape.info, shape.bytes(length), length, shape.is_array)
                          : echo_allocate(actor.thread, shape.info.id, length);
    if (object == nullptr) {
      return false;
    }
    const std::size_t n = nodes_.size();
    nodes_.push_back(std::make_unique<Node>());
    nodes_[n]->shape = s;
    nodes_[n]->length = length;
    nodes_[n]->edges.resize(shape.edges(length), kNull);
    nodes_[n]->inside.resize(shape.ambiguous ? shape.edges(length) : 0, 0);
    fill_payload(object, n);
    attach(actor, object, n);
    return true;
  }
  // Changes one reference of a random object.
  void mutate(const Actor& actor) {
    const Place from = wander(actor);
    if (from.ref == nullptr || nodes_[from.node]->edges.empty()) {
      return;
    }
    const std::size_t e = random.below(nodes_[from.node]->edges.size());
    if ((is_tagged(from.node, e) || is_ambiguous(from.node)) && random.chance(40)) {
      const auto integer = static_cast<std::int64_t>(random.below(1 << 20));
      write(actor, from, e, reinterpret_cast<echo_ref>((integer << 3) | 5), kFirstInteger - integer);
    } else if (random.chance(15)) {
      write(actor, from, e, nullptr, kNull);
    } else if (const Place to = wander(actor); to.ref != nullptr) {
      write(actor, from, e, to.ref, static_cast<std::int64_t>(to.node));
    }
  }
  // Root words are written without barrier.
  void drop_root() { set_word(random.below(kWords), {}); }
  void copy_root(const Actor& actor) { set_word(random.below(kWords), wander(actor)); }

  void open_scope(const Actor& actor) {
    echo_scope scope = 0;
    expect(echo_scope_open(actor.thread, &scope), "echo_scope_open");
    scopes_.push_back({scope, {}});
  }
  void add_handle(const Actor& actor) {
    if (scopes_.empty()) {
      return;
    }
    const Place place = wander(actor);
    const echo_handle handle = echo_handle_new(actor.thread, place.ref);
    if (handle == nullptr) {
      fail_("echo_handle_new returned null");
    }
    scopes_.back().handles.emplace_back(handle, node_of(place));
  }
  void set_handle(const Actor& actor) {
    if (scopes_.empty() || scopes_.front().handles.empty()) {
      return;
    }
    auto& [handle, node] = scopes_.front().handles[random.below(scopes_.front().handles.size())];
    const Place place = wander(actor);
    expect(echo_handle_set(actor.thread, handle, place.ref), "echo_handle_set");
    node = node_of(place);
  }
  void close_scope(const Actor& actor) {
    if (scopes_.empty()) {
      return;
    }
    expect(echo_scope_close(actor.thread, scopes_.back().id), "echo_scope_close");
    for (const auto& [handle, node] : scopes_.back().handles) {
      if (echo_handle_get(actor.thread, handle) != nullptr) {
        fail_("a handle is valid after its scope");
      }
    }
    scopes_.pop_back();
  }
  std::size_t open_scopes() const { return scopes_.size(); }

  void push_frame(const Actor& actor) {
    if (frames_.size() < 40) {
      const Place place = wander(actor);
      frames_.push_back(place.ref);
      frame_nodes_.push_back(node_of(place));
      publish_frames(actor);
    }
  }
  void pop_frame(const Actor& actor) {
    if (!frames_.empty()) {
      frames_.pop_back();
      frame_nodes_.pop_back();
      publish_frames(actor);
    }
  }
  // The base frame has no slot; it is always there, so every enumeration of roots passes here.
  void publish_frames(const Actor& actor) const { actor.recipes->publish_anchor(1, 1, frames_.size() + 1); }
  // In a stop: reports frames from the youngest on.
  void walk(echo_frame_cursor* cursor, std::uint32_t max_frames, std::uint32_t* visited,
            echo_visit_slot_fn visit, void* visitor) {
    ++walks;
    for (*visited = 0; cursor->pc != 0 && *visited < max_frames && *visited < 16; ++*visited) {
      const std::size_t frame = --cursor->pc;
      if (frame != 0 && !(fail_.broken == "omit-root" && frame == 2)) {
        visit(visitor, &frames_[frame - 1], nullptr);
      }
    }
  }
  // Forgets everything but the root words.
  void leave(const Actor& actor) {
    while (!scopes_.empty()) {
      close_scope(actor);
    }
    frames_.clear();
    frame_nodes_.clear();
    actor.recipes->publish_anchor(0, 0, 0);
  }
  void shed(const Actor& actor) {
    for (std::size_t i = 0; i < kWords; ++i) {
      if (random.chance(60)) {
        set_word(i, {});
      }
    }
    close_scope(actor);
    while (!frames_.empty() && random.chance(70)) {
      pop_frame(actor);
    }
  }
  void register_words(echo_heap* heap) {
    if (ambiguous_ && fail_.broken == "omit-range") {
      return;
    }
    expect(ambiguous_ ? echo_ambiguous_range_add(heap, words_.data(), sizeof words_, nullptr)
                      : echo_roots_add(heap, words_.data(), kWords, nullptr),
           "registering words");
  }
  void unregister_words(echo_heap* heap) {
    if (ambiguous_ && fail_.broken == "omit-range") {
      return;
    }
    expect(ambiguous_ ? echo_ambiguous_range_remove(heap, words_.data(), nullptr)
                      : echo_roots_remove(heap, words_.data(), nullptr),
           "unregistering words");
  }
  // Objects that only this function's frame and registers know, over whatever `meanwhile` does. The thread's stack is
  // ambiguous.
  template <class Meanwhile> [[gnu::noinline]] void hold_on_stack(const Actor& actor, Meanwhile meanwhile) {
    constexpr std::size_t kHeld = 8;
    const Shape& shape = shapes_.plain_bytes();
    volatile std::uintptr_t held[kHeld] = {};
    const std::uint64_t contents = random.next();
    for (std::size_t i = 0; i < kHeld; ++i) {
      const std::uint64_t length = 8 + 8 * (contents >> (4 * i) & 15);
      const echo_ref object = echo_allocate(actor.thread, shape.info.id, length);
      if (object == nullptr) {
        return; // out of memory
      }
      *(reinterpret_cast<std::uint64_t*>(object) + 2) = contents + i;
      held[i] = reinterpret_cast<std::uintptr_t>(object) + (contents >> i) % (16 + length);
    }
    meanwhile();
    for (std::size_t i = 0; i < kHeld; ++i) {
      const echo_ref object = echo_resolve(actor.thread, held[i]);
      if (object == nullptr || echo_object_layout(actor.heap, object) != shape.info.id ||
          load(object, 16) != contents + i) {
        fail_("an object that only the stack holds was freed or overwritten");
      }
    }
  }

  // --- the comparison

  // Compares all that is reachable; forgets the nodes that are not. Returns the bytes of what is.
  std::uint64_t check(const Actor& actor) {
    echo_heap* const heap = actor.heap;
    std::unordered_map<std::int64_t, echo_ref> object_of;
    std::unordered_map<echo_ref, std::int64_t> node_at;
    std::vector<std::int64_t> grey;
    std::uint64_t bytes = 0;
    const auto reach = [&](echo_ref object, std::int64_t node, const char* from) {
      if ((object == nullptr) != (node == kNull)) {
        fail_(std::string(from) + ": a reference is null on one side only");
      }
      if (node == kNull) {
        return;
      }
      const auto [known, fresh] = object_of.emplace(node, object);
      if (!fresh && known->second != object) {
        fail_(std::string(from) + ": one node is two objects");
      }
      if (fresh && !node_at.emplace(object, node).second) {
        fail_(std::string(from) + ": two nodes are one object");
      }
      if (fresh) {
        grey.push_back(node);
      }
    };
    for (std::size_t i = 0; i < kWords; ++i) {
      reach(word_at(i).ref, word_nodes_[i], "root word");
      if (ambiguous_ && words_[i] != nullptr &&
          echo_resolve(actor.thread, reinterpret_cast<std::uintptr_t>(words_[i])) != word_at(i).ref) {
        fail_("a root word does not resolve to its object");
      }
    }
    for (std::size_t i = 0; i < frames_.size(); ++i) {
      reach(frames_[i], frame_nodes_[i], "frame");
    }
    for (const Scope& scope : scopes_) {
      for (const auto& [handle, node] : scope.handles) {
        reach(echo_handle_get(actor.thread, handle), node, "handle");
      }
    }
    while (!grey.empty()) {
      const std::int64_t n = grey.back();
      grey.pop_back();
      const echo_ref object = object_of[n];
      const Node& node = *nodes_[static_cast<std::size_t>(n)];
      const Shape& shape = shapes_[node.shape];
      if (echo_object_layout(heap, object) != shape.info.id) {
        fail_("node " + std::to_string(n) + " of layout '" + shape.info.name + "' has the header of layout " +
              std::to_string(echo_object_layout(heap, object)) + ": it was freed, moved or overwritten");
      }
      if (echo_array_length(heap, object) != node.length ||
          echo_object_bytes(heap, object) != shape.bytes(node.length)) {
        fail_("node " + std::to_string(n) + " has another length or size");
      }
      if (reinterpret_cast<std::uintptr_t>(object) % shape.info.alignment != 0) {
        fail_("node " + std::to_string(n) + " is not aligned");
      }
      check_payload(object, static_cast<std::size_t>(n));
      for (std::size_t e = 0; e < node.edges.size(); ++e) {
        const std::uint64_t word = load(object, slot_offset(static_cast<std::size_t>(n), e));
        if (node.edges[e] <= kFirstInteger) {
          if (word != ((static_cast<std::uint64_t>(kFirstInteger - node.edges[e]) << 3) | 5)) {
            fail_("a tagged integer changed");
          }
        } else {
          reach(reinterpret_cast<echo_ref>(word - inside(node, e)), node.edges[e], "slot");
        }
      }
      bytes += shape.bytes(node.length);
    }
    live_nodes_ = object_of.size();
    most_live = std::max(most_live, live_nodes_);
    renumber(object_of);
    checked_walks = walks;
    return bytes;
  }
  bool is_crowded() const { return live_nodes_ > most_nodes_ || nodes_.size() > 4 * most_nodes_; }

  mutable Random random;
  std::uint64_t walks = 0;         // enumerations of the acting thread's frames
  std::uint64_t checked_walks = 0; // at the last check
  std::size_t most_live = 0;       // nodes found by a check

private:
  static constexpr std::int64_t kNull = -1;
  static constexpr std::int64_t kFirstInteger = -2; // tagged integers count down from here
  struct Node {
    std::size_t shape = 0;
    std::uint64_t length = 0;
    std::uint64_t contents = 0; // seed of the payload
    std::vector<std::int64_t> edges;
    std::vector<std::uint32_t>
        inside; // of ambiguous edges: how far behind the start of the object they point
  };
  struct Place {
    echo_ref ref = nullptr;
    std::size_t node = 0;
  };
  struct Scope {
    echo_scope id;
    std::vector<std::pair<echo_handle, std::int64_t>> handles;
  };

  static std::int64_t node_of(const Place& place) {
    return place.ref == nullptr ? kNull : static_cast<std::int64_t>(place.node);
  }
  void expect(echo_status status, const char* what) const {
    if (status != ECHO_OK) {
      fail_(std::string(what) + ": " + echo_status_name(status));
    }
  }
  static std::uint64_t load(echo_ref object, std::uint64_t offset) {
    return __atomic_load_n(reinterpret_cast<std::uint64_t*>(reinterpret_cast<char*>(object) + offset),
                           __ATOMIC_RELAXED);
  }
  std::uint64_t slot_offset(std::size_t node, std::size_t edge) const {
    const Shape& shape = shapes_[nodes_[node]->shape];
    return edge < shape.slots.size() ? shape.slots[edge].offset
                                     : shape.info.fixed_bytes + (edge - shape.slots.size()) * 8;
  }
  static std::uint64_t inside(const Node& node, std::size_t edge) {
    return edge < node.inside.size() ? node.inside[edge] : 0;
  }
  bool is_ambiguous(std::size_t node) const { return shapes_[nodes_[node]->shape].ambiguous; }
  bool is_tagged(std::size_t node, std::size_t edge) const {
    const Shape& shape = shapes_[nodes_[node]->shape];
    return edge < shape.slots.size() && shape.slots[edge].kind == ECHO_SLOT_TAGGED;
  }
  // Calls visit(address of a word, its index) for some raw words: all of a small object, a sample of a large one.
  template <class Visit> void for_payload(echo_ref object, std::size_t n, Visit visit) const {
    const Shape& shape = shapes_[nodes_[n]->shape];
    if (!shape.slots.empty() || shape.ref_elements || shape.ambiguous) {
      if (shape.info.fixed_bytes == 32 && !shape.is_array) { // the pair has a raw word behind its slots
        visit(reinterpret_cast<std::uint64_t*>(object) + 3, 3);
      }
      return;
    }
    const std::uint64_t words = shape.bytes(nodes_[n]->length) / 8;
    const std::uint64_t step = words > 256 ? 97 : 1;
    for (std::uint64_t i = shape.is_array ? 2 : 1; i < words; i += step) {
      visit(reinterpret_cast<std::uint64_t*>(object) + i, i);
    }
  }
  void fill_payload(echo_ref object, std::size_t n) {
    nodes_[n]->contents = random.next();
    for_payload(object, n, [&](std::uint64_t* word, std::uint64_t i) {
      if (*word != 0) {
        fail_("a fresh object is not zero");
      }
      *word = nodes_[n]->contents ^ i;
    });
    for (std::size_t e = 0; e < nodes_[n]->edges.size(); ++e) {
      if (load(object, slot_offset(n, e)) != 0) {
        fail_("a fresh slot is not null");
      }
    }
  }
  void check_payload(echo_ref object, std::size_t n) const {
    for_payload(object, n, [&](const std::uint64_t* word, std::uint64_t i) {
      if (*word != (nodes_[n]->contents ^ i)) {
        fail_("word " + std::to_string(i) + " of node " + std::to_string(n) + " changed");
      }
    });
  }
  // A random object: from a root, some steps along its references.
  Place wander(const Actor& actor) const {
    Random& r = random;
    Place place;
    const std::size_t dice = r.below(3);
    if (dice == 0 && !frames_.empty()) {
      const std::size_t i = r.below(frames_.size());
      place = {frames_[i], static_cast<std::size_t>(frame_nodes_[i])};
    } else if (dice == 1 && !scopes_.empty() && !scopes_.back().handles.empty()) {
      const auto& [handle, node] = scopes_.back().handles[r.below(scopes_.back().handles.size())];
      place = {echo_handle_get(actor.thread, handle), static_cast<std::size_t>(node)};
    } else {
      place = word_at(r.below(kWords));
    }
    for (std::size_t steps = r.below(8); steps > 0 && place.ref != nullptr; --steps) {
      const Node& node = *nodes_[place.node];
      if (node.edges.empty()) {
        break;
      }
      const std::size_t e = r.below(node.edges.size());
      if (node.edges[e] >= 0) {
        place = {reinterpret_cast<echo_ref>(load(place.ref, slot_offset(place.node, e)) - inside(node, e)),
                 static_cast<std::size_t>(node.edges[e])};
      }
    }
    return place;
  }
  void set_word(std::size_t i, const Place& place) {
    inside_[i] = ambiguous_ && place.ref != nullptr ? random.below(bytes_of(place.node)) : 0;
    words_[i] = place.ref == nullptr
                    ? nullptr
                    : reinterpret_cast<echo_ref>(reinterpret_cast<std::uintptr_t>(place.ref) + inside_[i]);
    word_nodes_[i] = node_of(place);
  }
  Place word_at(std::size_t i) const {
    return {reinterpret_cast<echo_ref>(reinterpret_cast<std::uintptr_t>(words_[i]) - inside_[i]),
            static_cast<std::size_t>(word_nodes_[i])};
  }
  std::uint64_t bytes_of(std::size_t node) const {
    return shapes_[nodes_[node]->shape].bytes(nodes_[node]->length);
  }
  void write(const Actor& actor, const Place& from, std::size_t e, echo_ref value, std::int64_t node) {
    const Shape& shape = shapes_[nodes_[from.node]->shape];
    if (shape.ambiguous) {
      const std::uint64_t offset = node >= 0 ? random.below(bytes_of(static_cast<std::size_t>(node))) : 0;
      nodes_[from.node]->inside[e] = static_cast<std::uint32_t>(offset);
      value = reinterpret_cast<echo_ref>(reinterpret_cast<std::uintptr_t>(value) + offset);
    }
    if (fail_.broken == "skip-barrier" && random.chance(2)) {
      *reinterpret_cast<echo_ref*>(reinterpret_cast<char*>(from.ref) + slot_offset(from.node, e)) = value;
    } else if (random.chance(50)) {
      actor.recipes->store(from.ref, slot_offset(from.node, e), value);
    } else if (e < shape.slots.size() || shape.ambiguous) {
      expect(echo_store(actor.thread, from.ref, slot_offset(from.node, e), value), "echo_store");
    } else {
      expect(echo_array_store(actor.thread, from.ref, e - shape.slots.size(), value), "echo_array_store");
    }
    nodes_[from.node]->edges[e] = node;
  }
  void attach(const Actor& actor, echo_ref object, std::size_t n) {
    const Place fresh{object, n};
    const Place holder = wander(actor);
    if (holder.ref != nullptr && random.chance(85) && !nodes_[holder.node]->edges.empty()) {
      write(actor, holder, random.below(nodes_[holder.node]->edges.size()), object,
            static_cast<std::int64_t>(n));
    } else if (random.chance(20) && !frames_.empty()) {
      const std::size_t i = random.below(frames_.size());
      frames_[i] = object;
      frame_nodes_[i] = static_cast<std::int64_t>(n);
    } else {
      set_word(random.below(kWords), fresh);
    }
  }
  // Drops the nodes that are not in `live` and closes the gaps.
  template <class Map> void renumber(const Map& live) {
    std::vector<std::int64_t> number(nodes_.size(), kNull);
    std::vector<std::unique_ptr<Node>> kept;
    kept.reserve(live.size());
    for (std::size_t n = 0; n < nodes_.size(); ++n) {
      if (live.count(static_cast<std::int64_t>(n)) != 0) {
        number[n] = static_cast<std::int64_t>(kept.size());
        kept.push_back(std::move(nodes_[n]));
      }
    }
    nodes_ = std::move(kept);
    const auto renumbered = [&](std::int64_t& node) {
      node = node >= 0 ? number[static_cast<std::size_t>(node)] : node;
    };
    for (const std::unique_ptr<Node>& node : nodes_) {
      for (std::int64_t& edge : node->edges) {
        renumbered(edge);
      }
    }
    for (std::int64_t& node : word_nodes_) {
      renumbered(node);
    }
    for (std::int64_t& node : frame_nodes_) {
      renumbered(node);
    }
    for (Scope& scope : scopes_) {
      for (auto& [handle, node] : scope.handles) {
        renumbered(node);
      }
    }
  }

  const ShapeTable& shapes_;
  const Failure& fail_;
  const std::size_t most_nodes_;
  std::vector<std::unique_ptr<Node>> nodes_;
  const bool ambiguous_;
  std::array<echo_ref, kWords> words_{};
  std::array<std::uint64_t, kWords> inside_{}; // how far behind the start of its object a word points
  std::array<std::int64_t, kWords> word_nodes_ = [] {
    std::array<std::int64_t, kWords> none{};
    none.fill(kNull);
    return none;
  }();
  std::vector<echo_ref> frames_;
  std::vector<std::int64_t> frame_nodes_;
  std::vector<Scope> scopes_;
  std::size_t live_nodes_ = 0;
};

} // namespace echo::test
