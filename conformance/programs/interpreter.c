/* SPDX-License-Identifier: MIT
 *
 * interpreter - a lambda calculus with numbers and pairs, whose programs, environments and values are all objects.
 *
 * Purpose     The tree that is evaluated, the chain of environments and every value live on the heap, held by the frames
 *             of a recursive evaluator. A bound number is kept as a tagged word in its environment, anything else as a
 *             reference in the same slot.
 * Usage       interpreter [n=18] [threads=1] [rounds=4]
 * Equations   Per share and round: fib(n) by self-application, about 40 fib(n) steps most of which make 56 B, and
 *             a list of 10 n pairs, built and summed recursively.
 */
#include "program.h"

enum kind { NUMBER, VARIABLE, LAMBDA, APPLY, IF, ADD, SUBTRACT, LESS, PAIR, HEAD, TAIL, IS_PAIR };

typedef struct node ECHO_REF* node_ref;
struct node {
  ECHO_HEADER;
  int64_t kind;
  int64_t number; /* of NUMBER; of VARIABLE: how many environments up */
  node_ref a, b, c;
};
ECHO_LAYOUT(node_layout, struct node, ECHO_STRONG(struct node, a), ECHO_STRONG(struct node, b),
            ECHO_STRONG(struct node, c));

/* What a variable is bound to: a number as a tagged word, or a value. */
typedef struct environment ECHO_REF* environment_ref;
struct environment {
  ECHO_HEADER;
  echo_any bound;
  environment_ref outer;
};
ECHO_LAYOUT(environment_layout, struct environment, ECHO_TAGGED(struct environment, bound),
            ECHO_STRONG(struct environment, outer));

/* A number, a closure or a pair, by what is set. */
typedef struct value ECHO_REF* value_ref;
struct value {
  ECHO_HEADER;
  int64_t kind; /* NUMBER, LAMBDA, PAIR */
  int64_t number;
  node_ref body;
  environment_ref environment;
  value_ref head, tail;
};
ECHO_LAYOUT(value_layout, struct value, ECHO_STRONG(struct value, body),
            ECHO_STRONG(struct value, environment), ECHO_STRONG(struct value, head),
            ECHO_STRONG(struct value, tail));

typedef struct job ECHO_REF* job_ref;
struct job {
  ECHO_HEADER;
  uint64_t seed, sum;
  int64_t n, rounds, steps;
};
ECHO_LAYOUT_RAW(job_layout, struct job);

/* --- programs ------------------------------------------------------------------------------------------------ */

static node_ref node3(int64_t kind, node_ref a, node_ref b, node_ref c) {
  node_ref node = echo_new(node_layout, node_ref);
  node->kind = kind;
  node->a = a;
  node->b = b;
  node->c = c;
  return node;
}
static node_ref node2(int64_t kind, node_ref a, node_ref b) {
  return node3(kind, a, b, 0);
}
static node_ref leaf(int64_t kind, int64_t number) {
  node_ref node = node3(kind, 0, 0, 0);
  node->number = number;
  return node;
}
static node_ref lambda(node_ref body) {
  return node2(LAMBDA, body, 0);
}
/* self self argument, where self is the variable `up` environments up. */
static node_ref again(int64_t up, node_ref argument) {
  node_ref self = node2(APPLY, leaf(VARIABLE, up), leaf(VARIABLE, up));
  return node2(APPLY, self, argument);
}
static node_ref less_by(int64_t amount) {
  return node2(SUBTRACT, leaf(VARIABLE, 0), leaf(NUMBER, amount));
}

/* self n -> n < 2 ? n : self self (n - 1) + self self (n - 2) */
static node_ref fib_program(void) {
  node_ref sum = node2(ADD, again(1, less_by(1)), again(1, less_by(2)));
  node_ref condition = node2(LESS, leaf(VARIABLE, 0), leaf(NUMBER, 2));
  return lambda(lambda(node3(IF, condition, leaf(VARIABLE, 0), sum)));
}
/* self n -> n < 1 ? 0 : (n, self self (n - 1)) */
static node_ref list_program(void) {
  node_ref pair = node2(PAIR, leaf(VARIABLE, 0), again(1, less_by(1)));
  node_ref condition = node2(LESS, leaf(VARIABLE, 0), leaf(NUMBER, 1));
  return lambda(lambda(node3(IF, condition, leaf(NUMBER, 0), pair)));
}
/* self l -> is l a pair ? head l + self self (tail l) : 0 */
static node_ref sum_program(void) {
  node_ref sum = node2(ADD, node2(HEAD, leaf(VARIABLE, 0), 0), again(1, node2(TAIL, leaf(VARIABLE, 0), 0)));
  return lambda(lambda(node3(IF, node2(IS_PAIR, leaf(VARIABLE, 0), 0), sum, leaf(NUMBER, 0))));
}
/* program program argument */
static node_ref run_of(node_ref program, node_ref argument) {
  return node2(APPLY, node2(APPLY, program, program), argument);
}

/* --- evaluation ---------------------------------------------------------------------------------------------- */

enum { NUMBER_TAG = 1 };

static value_ref number_value(int64_t number) {
  value_ref value = echo_new(value_layout, value_ref);
  value->kind = NUMBER;
  value->number = number;
  return value;
}

static environment_ref bind(environment_ref outer, value_ref value) {
  environment_ref inner = echo_new(environment_layout, environment_ref);
  inner->outer = outer;
  if (value->kind == NUMBER)
    echo_tagged_store(inner, bound, value->number * 8, NUMBER_TAG);
  else
    inner->bound = (echo_any)value;
  return inner;
}

static value_ref look_up(environment_ref environment, int64_t up) {
  for (; up > 0; --up)
    environment = environment->outer;
  const int64_t word = echo_tagged_word(environment, bound);
  if (word != 0) {
    check((word & 7) == NUMBER_TAG, "a tag has changed");
    return number_value(word >> 3);
  }
  return echo_tagged_reference(environment, bound, value_ref);
}

static value_ref evaluate(node_ref node, environment_ref environment, job_ref job);

static int64_t number_of(node_ref node, environment_ref environment, job_ref job) {
  value_ref value = evaluate(node, environment, job);
  check(value->kind == NUMBER, "a number was expected");
  return value->number;
}

static value_ref evaluate(node_ref node, environment_ref environment, job_ref job) {
  ++job->steps;
  switch (node->kind) {
  case NUMBER:
    return number_value(node->number);
  case VARIABLE:
    return look_up(environment, node->number);
  case LAMBDA: {
    value_ref closure = echo_new(value_layout, value_ref);
    closure->kind = LAMBDA;
    closure->body = node->a;
    closure->environment = environment;
    return closure;
  }
  case APPLY: {
    value_ref function = evaluate(node->a, environment, job);
    value_ref argument = evaluate(node->b, environment, job);
    check(function->kind == LAMBDA, "a function was expected");
    return evaluate(function->body, bind(function->environment, argument), job);
  }
  case IF:
    return evaluate(number_of(node->a, environment, job) ? node->b : node->c, environment, job);
  case ADD: {
    const int64_t left = number_of(node->a, environment, job);
    return number_value(left + number_of(node->b, environment, job));
  }
  case SUBTRACT: {
    const int64_t left = number_of(node->a, environment, job);
    return number_value(left - number_of(node->b, environment, job));
  }
  case LESS: {
    const int64_t left = number_of(node->a, environment, job);
    return number_value(left < number_of(node->b, environment, job));
  }
  case PAIR: {
    value_ref head = evaluate(node->a, environment, job);
    value_ref tail = evaluate(node->b, environment, job);
    value_ref pair = echo_new(value_layout, value_ref);
    pair->kind = PAIR;
    pair->head = head;
    pair->tail = tail;
    return pair;
  }
  case HEAD:
    return evaluate(node->a, environment, job)->head;
  case TAIL:
    return evaluate(node->a, environment, job)->tail;
  default:
    return number_value(evaluate(node->a, environment, job)->kind == PAIR);
  }
}

static void run_share(echo_any job_object) {
  job_ref job = (job_ref)job_object;
  uint64_t sum = 0;
  for (int64_t round = 0; round < job->rounds; ++round) {
    const int64_t n = job->n - (int64_t)(scramble(job->seed, (uint64_t)round) % 3);
    const int64_t fib = number_of(run_of(fib_program(), leaf(NUMBER, n)), 0, job);
    node_ref list = run_of(list_program(), leaf(NUMBER, 10 * n));
    const int64_t total = number_of(run_of(sum_program(), list), 0, job);
    check(total == 10 * n * (10 * n + 1) / 2, "the sum of the list is wrong");
    sum = mix(mix(sum, (uint64_t)fib), (uint64_t)total);
  }
  job->sum = sum;
}

static job_ref new_job(uint64_t seed, int64_t n, int64_t rounds) {
  job_ref job = echo_new(job_layout, job_ref);
  job->seed = seed;
  job->n = n;
  job->rounds = rounds;
  return job;
}

static void report(job_ref job, int64_t share) {
  printf("share %lld: %lld steps, sum %llx\n", (long long)share, (long long)job->steps,
         (unsigned long long)job->sum);
  echo_checksum(job->steps);
  echo_checksum((int64_t)job->sum);
}

int main(int argc, char** argv) {
  const struct task task = read_task(argc, argv, 18, 3, 40, 4);
  job_ref first = new_job(91, task.size, task.rounds);
  job_ref second = new_job(92, task.size, task.rounds);
  run_shares(run_share, (echo_any)first, (echo_any)second, task.threads);
  report(first, 0);
  report(second, 1);
  return 0;
}
