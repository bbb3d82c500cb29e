// SPDX-License-Identifier: MIT
//
// Twin of binary_trees: trees from an arena that is emptied after each tree.
#include "twin.hpp"

#include <deque>
#include <vector>

namespace {

struct Tree {
  const Tree* left = nullptr;
  const Tree* right = nullptr;
};

// Bump allocation from blocks that are kept; clear() forgets all trees at once.
class Arena {
public:
  Tree* add() {
    if (used_ == kBlock * blocks_.size())
      blocks_.emplace_back(kBlock);
    Tree* tree = &blocks_[used_ / kBlock][used_ % kBlock];
    ++used_;
    return tree;
  }
  void clear() { used_ = 0; }

private:
  static constexpr std::size_t kBlock = 4096;
  std::deque<std::vector<Tree>> blocks_;
  std::size_t used_ = 0;
};

const Tree* grow(Arena& arena, std::int64_t depth) {
  Tree* tree = arena.add();
  tree->left = depth > 0 ? grow(arena, depth - 1) : nullptr;
  tree->right = depth > 0 ? grow(arena, depth - 1) : nullptr;
  return tree;
}

std::int64_t size(const Tree* tree) {
  return tree == nullptr ? 0 : 1 + size(tree->left) + size(tree->right);
}

} // namespace

int main(int argc, char** argv) {
  const std::int64_t depth = twin::number(argc, argv, 1, 16);
  const std::int64_t rounds = twin::number(argc, argv, 3, 4);
  Arena arena;
  const std::int64_t stretch = size(grow(arena, depth + 1));
  arena.clear();
  Arena permanent;
  const Tree* kept = grow(permanent, depth);
  std::int64_t trees[2] = {0, 0};
  std::int64_t nodes[2] = {0, 0};
  for (std::int64_t round = 0; round < rounds; ++round)
    for (std::int64_t d = 4; d <= depth; d += 2) {
      const std::int64_t share = (d - 4) / 2 % 2;
      for (std::int64_t n = std::int64_t{1} << (depth - d + 4); n > 0; --n) {
        nodes[share] += size(grow(arena, d));
        ++trees[share];
        arena.clear();
      }
    }
  std::printf("stretch tree: %lld nodes\n", static_cast<twin::ll>(stretch));
  twin::pass(stretch);
  for (int share = 0; share < 2; ++share) {
    std::printf("share %d: %lld trees, %lld nodes\n", share, static_cast<twin::ll>(trees[share]),
                static_cast<twin::ll>(nodes[share]));
    twin::pass(trees[share]);
    twin::pass(nodes[share]);
  }
  std::printf("long-lived tree: %lld nodes\n", static_cast<twin::ll>(size(kept)));
  twin::pass(size(kept));
  return twin::finish();
}
