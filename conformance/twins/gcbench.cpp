// SPDX-License-Identifier: MIT
//
// Twin of gcbench: vectors for blobs and large arrays, owned trees.
#include "twin.hpp"

#include <array>
#include <memory>
#include <vector>

namespace {

constexpr std::uint64_t kStep = 0x9E3779B97F4A7C15;

struct Blob {
  std::uint64_t key = 0;
  std::vector<std::uint64_t> words;
};

Blob make_blob(std::uint64_t key) {
  Blob blob{key, std::vector<std::uint64_t>((key >> 20) % 127)};
  for (std::size_t i = 0; i < blob.words.size(); ++i)
    blob.words[i] = key + i * kStep;
  return blob;
}

std::uint64_t total(const Blob& blob) {
  if (blob.words.empty())
    return blob.key;
  std::uint64_t sum = 0;
  for (const std::uint64_t word : blob.words)
    sum += word;
  return sum;
}

// A tree of `depth` whose nodes carry their height in one of two fields: only the sum matters.
struct Tree {
  std::int64_t height = 0;
  std::unique_ptr<Tree> left, right;
};
std::unique_ptr<Tree> grow(std::int64_t depth) {
  auto tree = std::make_unique<Tree>();
  tree->height = depth;
  if (depth > 0) {
    tree->left = grow(depth - 1);
    tree->right = grow(depth - 1);
  }
  return tree;
}
std::int64_t weigh(const Tree* tree) {
  return tree == nullptr ? 0 : 1 + tree->height + weigh(tree->left.get()) + weigh(tree->right.get());
}

std::vector<std::uint64_t> make_large(std::uint64_t key) {
  std::vector<std::uint64_t> large(8192 + key % 122880);
  for (std::size_t i = 0; i < large.size(); i += 512)
    large[i] = key ^ i;
  large.back() = key;
  return large;
}
std::uint64_t total(const std::vector<std::uint64_t>& large) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < large.size() - 1; i += 512)
    sum += large[i];
  return sum;
}

struct Result {
  std::int64_t replaced = 0, large = 0, nodes = 0;
  std::uint64_t sum = 0;
};

Result run(std::uint64_t seed, std::uint64_t slots, std::uint64_t rounds) {
  const auto key = [seed](std::uint64_t slot, std::uint64_t version) {
    return twin::hash(seed, slot * 1000003 + version);
  };
  std::vector<Blob> table(slots);
  std::vector<std::uint64_t> versions(slots, 0);
  for (std::uint64_t slot = 0; slot < slots; ++slot)
    table[slot] = make_blob(key(slot, 0));
  std::array<std::vector<std::uint64_t>, 4> ring;
  const std::unique_ptr<Tree> old_tree = grow(12);
  Result result;
  for (std::uint64_t step = 0; step < slots * rounds; ++step) {
    const std::uint64_t slot = twin::hash(~seed, step) % slots;
    twin::fold(result.sum, total(table[slot]));
    table[slot] = make_blob(key(slot, ++versions[slot]));
    if (step % 512 == 0)
      result.nodes += weigh(grow(6).get()) + weigh(grow(6).get());
    if (step % 2048 == 0) {
      auto& place = ring[static_cast<std::size_t>(result.large % 4)];
      if (!place.empty())
        twin::fold(result.sum, total(place));
      place = make_large(twin::hash(seed, static_cast<std::uint64_t>(result.large++)));
    }
    ++result.replaced;
  }
  for (const Blob& blob : table)
    twin::fold(result.sum, total(blob));
  result.nodes += weigh(old_tree.get());
  return result;
}

} // namespace

int main(int argc, char** argv) {
  const auto slots = static_cast<std::uint64_t>(twin::number(argc, argv, 1, 16384));
  const auto rounds = static_cast<std::uint64_t>(twin::number(argc, argv, 3, 24));
  for (std::uint64_t share = 0; share < 2; ++share) {
    const Result r = run(11 + share, slots, rounds);
    std::printf("share %d: %lld blobs replaced, %lld large arrays, tree weight %lld, sum %llx\n",
                static_cast<int>(share), static_cast<twin::ll>(r.replaced), static_cast<twin::ll>(r.large),
                static_cast<twin::ll>(r.nodes), static_cast<twin::ull>(r.sum));
    twin::pass(r.replaced);
    twin::pass(r.large);
    twin::pass(r.nodes);
    twin::pass(r.sum);
  }
  return twin::finish();
}
