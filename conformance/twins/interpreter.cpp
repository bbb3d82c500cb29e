// SPDX-License-Identifier: MIT
//
// Twin of interpreter: no interpreter at all. The results come from loops, the steps from counting what an
//             evaluation of each expression takes.
// Equations   steps of one call of fib: the test 3 and the choice 1; then for n < 2 the variable 1, else the sum 1
//             and two calls, where a call `self self (n - k)` takes 2 applications, 2 variables, 1 for the inner
//             function made and 3 for the difference, besides the body. The first call has lambdas in place of
//             variables and a number in place of the difference. Lists likewise.
#include "twin.hpp"

namespace {

constexpr std::int64_t kChoice = 1;
constexpr std::int64_t kCompare = 3;      // LESS, a variable, a number
constexpr std::int64_t kSelf = 2 + 2 + 1; // two applications, self twice, the inner function made
constexpr std::int64_t kSubtract = 3;     // SUBTRACT, a variable, a number
constexpr std::int64_t kVariable = 1;
constexpr std::int64_t kNumber = 1;

struct Result {
  std::int64_t value, steps;
};

// The body of fib for n.
Result fib(std::int64_t n) {
  if (n < 2)
    return {n, kChoice + kCompare + kVariable};
  std::int64_t before = 0, value = 1, steps_before = fib(0).steps, steps = fib(1).steps;
  for (std::int64_t i = 2; i <= n; ++i) {
    const std::int64_t next = before + value;
    const std::int64_t next_steps = kChoice + kCompare + 1 + 2 * (kSelf + kSubtract) + steps_before + steps;
    before = value;
    value = next;
    steps_before = steps;
    steps = next_steps;
  }
  return {value, steps};
}

// Bodies of the list's making and of its sum, all calls down to the last together.
std::int64_t list_steps(std::int64_t n) {
  const std::int64_t each = kChoice + kCompare + 1 + kVariable + kSelf + kSubtract; // the pair, its head
  return n * each + kChoice + kCompare + kNumber;
}
std::int64_t sum_steps(std::int64_t n) {
  const std::int64_t each = kChoice + 2 + 1 + 2 + kSelf + 2; // is it a pair, the sum, its head, its tail
  return n * each + kChoice + 2 + kNumber;
}

} // namespace

int main(int argc, char** argv) {
  const std::int64_t size = twin::number(argc, argv, 1, 18);
  const std::int64_t rounds = twin::number(argc, argv, 3, 4);
  for (std::uint64_t share = 0; share < 2; ++share) {
    std::uint64_t sum = 0;
    std::int64_t steps = 0;
    for (std::int64_t round = 0; round < rounds; ++round) {
      const std::int64_t n =
          size - static_cast<std::int64_t>(twin::hash(91 + share, static_cast<std::uint64_t>(round)) % 3);
      const Result result = fib(n);
      std::int64_t total = 0;
      for (std::int64_t i = 1; i <= 10 * n; ++i)
        total += i;
      steps += kSelf + kNumber + result.steps;
      steps += kSelf + sum_steps(10 * n) + kSelf + kNumber + list_steps(10 * n);
      twin::fold(sum, static_cast<std::uint64_t>(result.value));
      twin::fold(sum, static_cast<std::uint64_t>(total));
    }
    std::printf("share %d: %lld steps, sum %llx\n", static_cast<int>(share), static_cast<twin::ll>(steps),
                static_cast<twin::ull>(sum));
    twin::pass(steps);
    twin::pass(sum);
  }
  return twin::finish();
}
