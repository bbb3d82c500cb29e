// SPDX-License-Identifier: MIT
//
// Purpose     What is said of pauses is true: utilisation against a computation by brute force, net pauses against waits that
//             a file in place of the kernel's says.
#include "tests/gc/test_heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <thread>
#include <unistd.h>
#include <vector>

namespace echo {
namespace {

using test::TestHeap;

// --- minimum mutator utilisation

struct Interval {
  std::uint64_t start, end;
};

std::uint64_t lost_in(const std::vector<Interval>& pauses, std::uint64_t from, std::uint64_t to) {
  std::uint64_t lost = 0;
  for (const Interval& p : pauses) {
    const std::uint64_t begin = std::max(p.start, from), end = std::min(p.end, to);
    lost += end > begin ? end - begin : 0;
  }
  return lost;
}

// The definition: over all windows that end when the last pause has ended. One that begins or ends at an end of a pause is the
// worst (Cheng and Blelloch); both kinds are tried.
std::uint64_t most_lost(const std::vector<Interval>& pauses, std::uint64_t window) {
  std::uint64_t most = 0;
  const std::uint64_t last = pauses.back().end;
  for (const Interval& p : pauses) {
    for (const std::uint64_t to : {p.start, p.end, p.start + window, p.end + window}) {
      if (to <= last) {
        most = std::max(most, lost_in(pauses, to - std::min(to, window), to));
      }
    }
  }
  return most;
}

std::vector<Interval> random_pauses(std::mt19937_64& random, std::size_t count, std::uint64_t longest,
                                    std::uint64_t longest_gap) {
  std::vector<Interval> pauses;
  std::uint64_t now = 1'000'000'000;
  for (std::size_t i = 0; i < count; ++i) {
    now += 1 + random() % longest_gap;
    const std::uint64_t length = 1 + random() % (random() % 16 == 0 ? 8 * longest : longest);
    pauses.push_back({now, now + length});
    now += length;
  }
  return pauses;
}

TEST(Utilisation, IsThatOfBruteForce) { // [pause.mmu.1] [mmu.error.1] [mmu.bound.1]
  std::mt19937_64 random(7);
  constexpr std::uint64_t kUs = 1000;
  for (int round = 0; round < 60; ++round) {
    const std::uint64_t longest = (std::uint64_t{1} << random() % 12) * kUs;
    const std::uint64_t gap = (std::uint64_t{1} << random() % 14) * kUs;
    const std::vector<Interval> pauses = random_pauses(random, 300, longest, gap);
    const auto utilisation = std::make_unique<Utilisation>();
    for (const Interval& p : pauses) {
      (void)utilisation->add(p.start, p.end, p.end - p.start);
    }
    for (std::size_t w = 0; w < kUtilisationWindowsNs.size(); ++w) {
      const std::uint64_t window = kUtilisationWindowsNs[w];
      const std::uint64_t exact = most_lost(pauses, window), found = utilisation->longest()[w];
      EXPECT_GE(found, exact) << "round " << round << ", window " << window;
      EXPECT_LE(found, std::min(window, exact + window / WindowLoss::kGrain)) << "round " << round;
    }
  }
}

TEST(Utilisation, IsExactOfPausesThatLieApart) {
  std::mt19937_64 random(8);
  for (int round = 0; round < 20; ++round) {
    std::vector<Interval> pauses = random_pauses(random, 200, 400'000, 9'000'000);
    for (Interval& p : pauses) { // never two within 1/32 of a window of 100 ms
      p = {4 * p.start, 4 * p.start + (p.end - p.start)};
    }
    std::erase_if(pauses, [last = std::uint64_t{0}](const Interval& p) mutable {
      const bool is_near = p.end - last <= 2 * kUtilisationWindowsNs.back() / WindowLoss::kGrain;
      last = is_near ? last : p.end;
      return is_near;
    });
    const auto utilisation = std::make_unique<Utilisation>();
    for (const Interval& p : pauses) {
      (void)utilisation->add(p.start, p.end, p.end - p.start);
    }
    for (std::size_t w = 0; w < kUtilisationWindowsNs.size(); ++w) {
      EXPECT_EQ(utilisation->longest()[w], most_lost(pauses, kUtilisationWindowsNs[w])) << "round " << round;
    }
  }
}

TEST(Utilisation, OfPausesThatAreLongOrMany) {
  const auto one = std::make_unique<Utilisation>();
  EXPECT_TRUE(one->add(5'000'000'000, 5'020'000'000, 20'000'000));
  EXPECT_EQ(one->longest(), (LongestLosses{1'000'000, 10'000'000, 20'000'000}));
  EXPECT_FALSE(one->add(5'020'000'000, 5'020'000'000, 0)) << "nothing new";
  const auto many = std::make_unique<Utilisation>();
  for (std::uint64_t i = 0; i < 200'000; ++i) { // a tenth of the time, in pauses of 1 us
    (void)many->add(1'000'000'000 + i * 10'000, 1'000'000'000 + i * 10'000 + 1'000, 1'000);
  }
  EXPECT_NEAR(static_cast<double>(many->longest()[0]), 100'000, 100'000 / WindowLoss::kGrain);
  EXPECT_NEAR(static_cast<double>(many->longest()[2]), 10'000'000, 10'000'000 / WindowLoss::kGrain);
  const auto overlapping = std::make_unique<Utilisation>();
  (void)overlapping->add(1'000'000'000, 1'000'100'000, 100'000);
  (void)overlapping->add(1'000'050'000, 1'000'150'000, 100'000);
  EXPECT_EQ(overlapping->longest()[0], 150'000u) << "no moment is lost twice";
}

// --- net pauses

// In place of /proc/thread-self/schedstat.
class Schedstat {
public:
  Schedstat() {
    const int file = ::mkstemp(name_.data());
    EXPECT_GE(file, 0);
    (void)::close(file);
    set(0);
  }
  ~Schedstat() { (void)std::remove(name_.c_str()); }
  Schedstat(const Schedstat&) = delete;
  Schedstat& operator=(const Schedstat&) = delete;
  const char* name() const { return name_.c_str(); }
  void set(std::uint64_t waited_ns) {
    std::FILE* const file = std::fopen(name(), "w");
    ASSERT_NE(file, nullptr);
    std::fprintf(file, "1234567 %llu 89\n", static_cast<unsigned long long>(waited_ns));
    std::fclose(file);
  }

private:
  std::string name_ = ::testing::TempDir() + "schedstat_XXXXXX";
};

void sleep_ms(int ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

TEST(RunQueue, SaysAtMostWhatWasWaited) { // [pause.least.1]
  Schedstat file;
  RunQueue queue;
  queue.open(file.name());
  EXPECT_EQ(RunQueue::mine(), &queue);
  file.set(1000);
  queue.look();
  const std::uint64_t start = os::monotonic_ns();
  file.set(51000);
  EXPECT_EQ(queue.since_look(), 50000u);
  const std::uint64_t waited = queue.waited_since(start);
  EXPECT_LE(waited, 50000u) << "what may have been waited between the reading and the start is not counted";
  EXPECT_EQ(queue.waited_since(os::monotonic_ns()), 0u);
  queue.look();
  file.set(61000);
  EXPECT_EQ(queue.waited_since(0), 10000u) << "begun before the reading: what came behind that";
  queue.look();
  sleep_ms(2);
  file.set(70000);
  EXPECT_EQ(queue.waited_since(os::monotonic_ns()), 0u) << "9 us in 2 ms before the start";
  file.set(0);
  EXPECT_EQ(queue.waited_since(0), 0u) << "a file that is not what it was";
  queue.close();
  EXPECT_EQ(RunQueue::mine(), nullptr);
  EXPECT_EQ(queue.read(), 0u);
}

TEST(RunQueue, WithoutASourceNothingIsSubtracted) { // [pause.source.1]
  RunQueue queue;
  queue.open("/no/such/file");
  EXPECT_FALSE(queue.is_open());
  queue.look();
  EXPECT_EQ(queue.waited_since(0), 0u);
  std::vector<std::unique_ptr<RunQueue>> many;
  int opened = 0;
  for (int i = 0; i < 2 * RunQueue::kMostFiles; ++i) {
    many.push_back(std::make_unique<RunQueue>());
    many.back()->open();
    opened += many.back()->is_open() ? 1 : 0;
  }
  EXPECT_LE(opened, RunQueue::kMostFiles);
  many.clear();
  queue.open();
  EXPECT_EQ(queue.is_open(), opened != 0) << "files are given back";
}

struct Sums {
  explicit Sums(TestHeap& heap) {
    const echo_statistics s = heap.statistics();
    raw = s.pause_us.sum;
    net = s.pause_net_us.sum;
    count = s.pause_us.count;
    EXPECT_EQ(s.pause_net_us.count, s.pause_us.count);
    EXPECT_LE(net, raw);
  }
  double raw = 0, net = 0;
  std::uint64_t count = 0;
};

TEST(NetPauses, LeaveOutWaitsInTheWorkOfAStop) { // [pause.net.1]
  TestHeap heap(test::quiet_config());
  Schedstat file;
  heap.mutator->run_queue.open(file.name());
  heap.stopped([](const std::vector<Mutator*>&) { sleep_ms(2); });
  EXPECT_EQ(Sums(heap).net, Sums(heap).raw) << "nothing was waited";
  heap.stopped([&](const std::vector<Mutator*>&) {
    file.set(300'000);
    sleep_ms(2);
  });
  const Sums some(heap);
  EXPECT_NEAR(some.raw - some.net, 300, 0.01);
  heap.stopped([&](const std::vector<Mutator*>&) {
    file.set(10'000'000'000);
    sleep_ms(2);
  });
  EXPECT_GT(Sums(heap).raw, some.raw + 2000);
  EXPECT_NEAR(Sums(heap).net, some.net, 0.01) << "no pause is shorter than nothing";
  heap.stopped([&](const std::vector<Mutator*>&) { file.set(20'000'000'000); });
  EXPECT_LE(Sums(heap).net, Sums(heap).raw);
}

TEST(NetPauses, LeaveOutWaitsOfTheLastToArrive) { // [pause.net.1]
  TestHeap heap(test::quiet_config());
  Schedstat of_main, of_other;
  heap.mutator->run_queue.open(of_main.name());
  std::atomic<bool> ready{false};
  std::thread other([&] {
    Mutator* m = nullptr;
    std::string why;
    ASSERT_EQ(heap.collector.attach(&m, &why), ECHO_OK) << why;
    m->run_queue.open(of_other.name());
    ready = true;
    while (heap.collector.safepoints.asked_threads() == 0) {
      std::this_thread::yield();
    }
    sleep_ms(1);
    of_other.set(200'000); // as if it had not had a processor for a fifth of that
    heap.collector.safepoints.poll(*m);
    heap.collector.detach(m);
  });
  while (!ready) {
    std::this_thread::yield();
  }
  const Sums before(heap);
  heap.stopped([](const std::vector<Mutator*>&) {});
  heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
  other.join();
  heap.collector.safepoints.leave_native(*heap.mutator);
  const Sums after(heap);
  EXPECT_EQ(after.count, before.count + 2);
  EXPECT_GT(after.raw - before.raw, 1000);
  // The one that asked was held by the other's wait. The other polled behind it: its own pause has no part of that.
  EXPECT_NEAR(after.raw - after.net, 200, 0.01);
}

TEST(NetPauses, CountTheirUtilisation) { // [pause.mmu.1]
  TestHeap heap(test::quiet_config());
  echo_statistics s = heap.statistics();
  EXPECT_EQ(s.mmu_1ms, 1.0);
  EXPECT_EQ(s.mmu_100ms, 1.0);
  heap.stopped([](const std::vector<Mutator*>&) { sleep_ms(2); });
  s = heap.statistics();
  EXPECT_EQ(s.mmu_1ms, 0.0) << "a pause of 2 ms";
  EXPECT_NEAR(1 - s.mmu_100ms, s.pause_us.max / 100'000, 1e-6);
}

} // namespace
} // namespace echo
