// SPDX-License-Identifier: MIT
//
// graph_model.h - a random graph on the heap, and the same graph in plain memory: they must stay equal.
//
// Method      Each step makes a node, moves an edge, or drops a root, on both sides. Comparison walks both
//             graphs from the
//         roots; equal means: same shape, same sharing, every payload intact.
// Invariants  [kit.model.1] Heap nodes are reached through handles and edges only; model and heap indices are
//             paired anew in each comparison, so that objects may move.
#ifndef ECHO_CONFORMANCE_GRAPH_MODEL_H
#define ECHO_CONFORMANCE_GRAPH_MODEL_H

#include "patterns.h"

#include <memory>
#include <unordered_map>

namespace conformance {

class GraphModel {
public:
  // `roots` handles; at most about `most` nodes are kept (then roots are dropped).
  GraphModel(const Mutator& mutator, Random& random, std::size_t roots, std::size_t most)
      : scope_(mutator), nodes_(mutator), mutator_(&mutator), random_(&random), most_(most) {
    for (std::size_t i = 0; i < roots; ++i)
      roots_.push_back({mutator.root(nullptr), nullptr});
  }

  void step() {
    switch (random_->below(8)) {
    case 0: // an edge of a random node moves
    case 1: {
      const Place from = random_place();
      const Place to = random_place();
      if (from.model != nullptr)
        set_edge(from, random_->chance(4) ? Place{} : to);
      break;
    }
    case 2:
      if (random_->below(most_) < made_since_drop_ || random_->chance(200)) {
        Root& root = random_->pick(roots_);
        mutator_->set(root.handle, nullptr);
        root.model = nullptr;
        made_since_drop_ = 0;
      }
      break;
    case 3: { // a root moves along an edge
      Root& root = random_->pick(roots_);
      const Place to = random_place();
      mutator_->set(root.handle, to.heap);
      root.model = to.model;
      break;
    }
    default:
      make();
    }
  }

  void expect_equal(const std::string& when) const {
    std::unordered_map<const Model*, echo_ref> pairs;
    std::unordered_map<echo_ref, const Model*> back;
    std::vector<std::pair<const Model*, echo_ref>> work;
    const auto meet = [&](const Model* model, echo_ref heap) {
      EXPECT((model == nullptr) == (heap == nullptr), when + ": a reference is null on one side only");
      if (model == nullptr)
        return;
      const auto [pair, is_new] = pairs.emplace(model, heap);
      EXPECT(pair->second == heap, when + ": one object has become two");
      const auto [other, is_new_back] = back.emplace(heap, model);
      EXPECT(other->second == model, when + ": two objects have become one");
      if (is_new)
        work.emplace_back(model, heap);
    };
    for (const Root& root : roots_)
      meet(root.model.get(), mutator_->get(root.handle));
    while (!work.empty()) {
      const auto [model, heap] = work.back();
      work.pop_back();
      nodes_.expect(heap, model->key, when);
      for (std::uint64_t side = 0; side < 2; ++side)
        meet(model->edges[side].lock().get(), Nodes::child(heap, Nodes::kLeft + side));
    }
  }

private:
  // Edges are weak, or a cycle would never be freed; `kept_` owns what is reachable.
  struct Model {
    std::uint64_t key = 0;
    std::weak_ptr<Model> edges[2];
  };
  using ModelRef = std::shared_ptr<Model>;
  struct Root {
    echo_handle handle;
    ModelRef model;
  };
  struct Place {
    echo_ref heap = nullptr;
    ModelRef model;
  };

  // The node at the end of a short random walk from a random root; maybe none. NO-SAFEPOINT.
  Place random_place() const {
    const Root& root = random_->pick(roots_);
    Place place{mutator_->get(root.handle), root.model};
    for (std::uint64_t left = random_->below(6); left > 0 && place.model != nullptr; --left) {
      const std::uint64_t side = random_->below(2);
      const ModelRef next = place.model->edges[side].lock();
      if (next == nullptr)
        break;
      place = {Nodes::child(place.heap, Nodes::kLeft + side), next};
    }
    return place;
  }

  void set_edge(const Place& from, const Place& to) const {
    const std::uint64_t side = random_->below(2);
    mutator_->store(from.heap, Nodes::kLeft + side, to.heap);
    from.model->edges[side] = to.model;
  }

  void make() {
    const std::uint64_t key = ++last_key_;
    const echo_ref heap = nodes_.make(key); // before any other reference is read: SAFEPOINT
    const auto model = std::make_shared<Model>();
    model->key = key;
    kept_.push_back(model);
    const Place node{heap, model};
    set_edge(node, random_place());
    set_edge(node, random_place());
    if (const Place parent = random_place(); parent.model != nullptr && random_->chance(2)) {
      set_edge(parent, node);
    } else {
      Root& root = random_->pick(roots_);
      mutator_->set(root.handle, heap);
      root.model = model;
    }
    ++made_since_drop_;
    if (kept_.size() > 4 * most_ + 1000)
      forget_unreachable();
  }

  // The model's own collection.
  void forget_unreachable() {
    std::unordered_map<Model*, ModelRef> reached;
    std::vector<ModelRef> work;
    for (const Root& root : roots_)
      if (root.model != nullptr && reached.emplace(root.model.get(), root.model).second)
        work.push_back(root.model);
    while (!work.empty()) {
      const ModelRef model = work.back();
      work.pop_back();
      for (const auto& edge : model->edges)
        if (const ModelRef next = edge.lock(); next != nullptr && reached.emplace(next.get(), next).second)
          work.push_back(next);
    }
    kept_.clear();
    for (const auto& [address, model] : reached)
      kept_.push_back(model);
  }

  Scope scope_;
  Nodes nodes_;
  const Mutator* mutator_;
  Random* random_;
  std::size_t most_;
  std::vector<Root> roots_;
  std::vector<ModelRef> kept_;
  std::uint64_t last_key_ = 0, made_since_drop_ = 0;
};

} // namespace conformance

#endif // ECHO_CONFORMANCE_GRAPH_MODEL_H
