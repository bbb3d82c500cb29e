// SPDX-License-Identifier: MIT
//
// Twin of graph_mutation: nodes are numbers, edges an index into one table that only grows, so nothing is
//             ever freed.
#include "twin.hpp"

#include <array>
#include <vector>

namespace {

using Number = std::uint32_t;

struct Graph {
  std::vector<std::array<Number, 5>> edges; // by node number
  std::vector<Number> table;                // place -> node number
};

struct Result {
  std::uint64_t steps = 0, sum = 0;
};

Result run(std::uint64_t seed, std::uint64_t nodes, std::uint64_t rounds) {
  Result result;
  result.steps = rounds * ((nodes + 1) / 2);
  Graph graph;
  graph.edges.resize(nodes + result.steps);
  graph.table.resize(nodes);
  for (std::uint64_t i = 0; i < nodes; ++i) {
    graph.table[i] = static_cast<Number>(i);
    for (std::uint64_t k = 0; k < 5; ++k)
      graph.edges[i][k] = static_cast<Number>(twin::hash(seed + 1, i * 5 + k) % nodes);
  }
  std::vector<Number> replaced; // since the last time the records were read
  for (std::uint64_t step = 0; step < result.steps; ++step) {
    const std::uint64_t random = twin::hash(seed + 2, step);
    Number& place = graph.table[random % nodes];
    const Number before = place;
    const Number after = static_cast<Number>(nodes + step);
    graph.edges[after] = graph.edges[before];
    place = after;
    Number walker = graph.edges[after][random >> 40 & 3];
    walker = graph.edges[walker][random >> 44 & 3];
    walker = graph.edges[walker][random >> 48 & 3];
    graph.edges[walker][(random >> 52) % 5] = after;
    twin::fold(result.sum, walker);
    replaced.push_back(before);
    if (step % 1024 == 1023) {
      for (; !replaced.empty(); replaced.pop_back())
        twin::fold(result.sum, replaced.back());
    }
  }
  for (const Number node : graph.table) {
    twin::fold(result.sum, node);
    for (const Number edge : graph.edges[node])
      result.sum += edge;
  }
  return result;
}

} // namespace

int main(int argc, char** argv) {
  const std::int64_t megabytes = twin::number(argc, argv, 1, 64);
  const auto rounds = static_cast<std::uint64_t>(twin::number(argc, argv, 3, 2));
  const auto nodes =
      megabytes == 0 ? std::uint64_t{64} : static_cast<std::uint64_t>(megabytes) * 1048576 / 64 / 2;
  for (std::uint64_t share = 0; share < 2; ++share) {
    const Result r = run(31 + share, nodes, rounds);
    std::printf("share %d: %lld nodes, %lld steps, sum %llx\n", static_cast<int>(share),
                static_cast<twin::ll>(nodes), static_cast<twin::ll>(r.steps), static_cast<twin::ull>(r.sum));
    twin::pass(nodes);
    twin::pass(r.steps);
    twin::pass(r.sum);
  }
  return twin::finish();
}
