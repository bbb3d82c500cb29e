// SPDX-License-Identifier: MIT
//
// Purpose     The limit of trees.c: the same functions with a thread-local bump pointer that wraps round a
//             ring of memory, the header store included, nothing reclaimed.
// Usage       echo-bench-trees-native [depth=16] [rounds=100] [ring in KiB=32768]; prints seconds and the sum
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

struct Node {
  std::uint64_t header;
  Node *left, *right;
};

thread_local char* cursor;
thread_local char* limit;
char* ring;
std::size_t ring_bytes;

__attribute__((noinline, cold)) Node* wrap() {
  cursor = ring + sizeof(Node);
  limit = ring + ring_bytes;
  return reinterpret_cast<Node*>(ring);
}

inline Node* allocate() {
  char* at = cursor;
  Node* node;
  if (at + sizeof(Node) > limit) {
    node = wrap();
  } else {
    cursor = at + sizeof(Node);
    node = reinterpret_cast<Node*>(at);
  }
  node->header = 1;
  return node;
}

__attribute__((noinline)) Node* make(std::int64_t depth) {
  if (depth == 0) {
    Node* leaf = allocate();
    leaf->left = leaf->right = nullptr;
    return leaf;
  }
  Node* left = make(depth - 1);
  Node* right = make(depth - 1);
  Node* node = allocate();
  node->left = left;
  node->right = right;
  return node;
}

__attribute__((noinline)) std::int64_t check(const Node* node) {
  return node->left == nullptr ? 1 : check(node->left) + check(node->right) + 1;
}

} // namespace

int main(int argc, char** argv) {
  const std::int64_t depth = argc > 1 ? std::atol(argv[1]) : 16;
  const std::int64_t rounds = argc > 2 ? std::atol(argv[2]) : 100;
  ring_bytes = static_cast<std::size_t>(argc > 3 ? std::atol(argv[3]) : 32768) * 1024;
  ring = static_cast<char*>(std::aligned_alloc(4096, ring_bytes));
  for (std::size_t i = 0; i < ring_bytes; i += 4096) {
    ring[i] = 1; // first touch belongs to the kernel, not to the loop
  }
  const auto start = std::chrono::steady_clock::now();
  std::int64_t sum = 0;
  for (std::int64_t i = 0; i < rounds; ++i) {
    sum += check(make(depth));
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("%.6f %ld\n", seconds.count(), static_cast<long>(sum));
  return 0;
}
