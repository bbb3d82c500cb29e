// SPDX-License-Identifier: MIT
//
// Purpose     Pacing, the room of a mark and the debt together, on a made-up program and collector: no assist in a heap of
//             three times what is alive, no stall in one of twice that, when rates jump or the estimate of what is alive is wrong.
//             No clock, no threads: time goes on by kTick.
// Equations   a tick: the program allocates rate * kTick bytes; the collector's thread, awake kWakeNs after it was asked, marks
//             kTick / ns per edge. used after a collection = (live + born since the mark began) * (1 + waste).
#include "gc/pacing.h"

#include "gc/mark_debt.h"
#include "gc/mark_room.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

namespace echo {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kTick = 10'000;
constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kWakeNs = 100'000;
constexpr std::uint64_t kEdgesPerSlice = 4096, kEdgesPerAssist = 256;
constexpr std::uint64_t kBytesPerEdge = 64;

class World {
public:
  std::uint64_t live = 64 * kMiB, limit = 192 * kMiB;
  double allocates = 0.5; // bytes per ns
  double marks = 4;       // likewise
  double waste = 0.05;    // of what is in use after a collection, that holds no object
  std::uint64_t sweep_ns = 2 * kMs;
  std::uint64_t growth = 1000; // the limit decides
  std::uint64_t hiccup_ns = 0; // the collector's thread does not run for so long, at the start of each mark
  bool lends = true;           // what MarkDebt::begin lends
  bool owes = true;            // who allocates
  bool starts_late = false;    // whatever pacing says
  std::uint64_t assists = 0, waits = 0, stalls = 0, cycles = 0, marked_ns = 0, idle_ns = 0;

  explicit World(std::uint64_t ratio_percent) : limit(64 * kMiB / 100 * ratio_percent) {}

  void run(std::uint64_t ns) {
    if (pacing_ == nullptr) {
      HeapSizing::Options options;
      options.growth_percent = growth;
      pacing_ = std::make_unique<Pacing>(options, limit);
      used_ = static_cast<std::uint64_t>(static_cast<double>(live) * (1 + waste));
      trigger_ = std::max(used_, limit / 2);
    }
    for (const std::uint64_t end = now_ + ns; now_ < end; now_ += kTick) {
      tick();
    }
  }
  void forget() { assists = waits = stalls = cycles = marked_ns = idle_ns = 0; }
  std::string figures() const {
    return std::to_string(cycles) + " cycles, " + std::to_string(assists) + " assists, " +
           std::to_string(waits) + " waits, " + std::to_string(stalls) + " stalls, marking " +
           std::to_string(marked_ns * 100 / (marked_ns + idle_ns + 1)) + " % of the time";
  }

private:
  enum class Phase { Idle, Wanted, Mark, Sweep };

  std::uint64_t bound() const { return limit - limit / 8; }
  std::uint64_t room() const { return bound() - std::min(bound(), used_); }
  std::uint64_t room_for_debt() const { return room_.for_debt(used_, room()); }

  void begin() {
    phase_ = Phase::Mark;
    cycle_ = {};
    cycle_.start_ns = now_;
    cycle_.allocated_start = cycle_.taken_start = allocated_;
    snapshot_ = live; // what is alive now is marked
    edges_ = snapshot_ / kBytesPerEdge;
    done_ = 0;
    slice_ = 0;
    rests_until_ = now_ + hiccup_ns;
    room_.begin(used_, room(), last_live_);
    debt_.begin(used_, room_for_debt(), lends);
    used_start_ = used_;
  }
  void end_mark() {
    debt_.end(edges_, snapshot_);
    cycle_.mark_ns = now_ - cycle_.start_ns;
    phase_ = Phase::Sweep;
    phase_ends_ = now_ + sweep_ns;
  }
  void end_cycle() {
    const std::uint64_t born = allocated_ - cycle_.allocated_start;
    used_ = static_cast<std::uint64_t>(static_cast<double>(snapshot_ + born) * (1 + waste));
    cycle_.live = last_live_ = snapshot_;
    cycle_.used = used_;
    cycle_.cpu_ns = cycle_.mark_ns;
    cycle_.total_ns = now_ - cycle_.start_ns;
    cycle_.allocated_end = cycle_.taken_end = allocated_;
    trigger_ = pacing_->next_start(cycle_, true).used;
    trigger_ = starts_late ? bound() - kMiB : trigger_;
    phase_ = Phase::Idle;
    ++cycles;
  }
  void assist() {
    ++assists;
    done_ = std::min(edges_, done_ + kEdgesPerAssist);
    debt_.progress(done_, 0, room_for_debt());
  }
  void allocate(std::uint64_t bytes) {
    if (used_ + bytes > bound()) {
      ++stalls;
      return;
    }
    used_ += bytes;
    allocated_ += bytes;
    const bool is_on = phase_ == Phase::Mark;
    if (phase_ != Phase::Idle && (!is_on || debt_.is_idle())) {
      owed_ = 0;
      waits += room_.is_low(room()) ? 1 : 0;
    } else if (is_on && owes) {
      owed_ += debt_.owed_for(bytes);
      owed_ -= debt_.draw(owed_ >> MarkDebt::kFraction) << MarkDebt::kFraction;
      while (owed_ >> MarkDebt::kFraction >= kEdgesPerAssist && done_ < edges_) {
        assist();
        owed_ -= kEdgesPerAssist << MarkDebt::kFraction;
      }
    }
  }
  void mark() {
    if (now_ < rests_until_) {
      return;
    }
    slice_ += marks / static_cast<double>(kBytesPerEdge) * static_cast<double>(kTick);
    if (slice_ >= static_cast<double>(kEdgesPerSlice) ||
        done_ + static_cast<std::uint64_t>(slice_) >= edges_) {
      const auto some = std::min(edges_ - done_, static_cast<std::uint64_t>(slice_));
      done_ += some;
      slice_ = 0;
      debt_.progress(done_, some, room_for_debt());
    }
    if (done_ == edges_) {
      end_mark();
    }
  }
  void tick() {
    allocate(static_cast<std::uint64_t>(allocates * static_cast<double>(kTick)));
    (phase_ == Phase::Idle ? idle_ns : marked_ns) += kTick;
    switch (phase_) {
    case Phase::Idle:
      if (used_ >= trigger_) {
        phase_ = Phase::Wanted;
        phase_ends_ = now_ + kWakeNs;
        room_.want(room());
      }
      break;
    case Phase::Wanted:
      if (now_ >= phase_ends_) {
        begin();
      }
      break;
    case Phase::Mark:
      mark();
      break;
    case Phase::Sweep:
      if (now_ >= phase_ends_) {
        end_cycle();
      }
      break;
    }
  }

  std::unique_ptr<Pacing> pacing_;
  MarkRoom room_;
  MarkDebt debt_;
  CycleMeasure cycle_;
  Phase phase_ = Phase::Idle;
  std::uint64_t now_ = kMs, used_ = 0, used_start_ = 0, allocated_ = 0, trigger_ = 0, phase_ends_ = 0;
  std::uint64_t rests_until_ = 0;
  std::uint64_t snapshot_ = 0, last_live_ = 0, edges_ = 0, done_ = 0, owed_ = 0;
  double slice_ = 0;
};

// Bytes per ns; marking does 4.
constexpr double kRates[] = {0.1, 0.2, 0.4, 0.8};
constexpr int kMoments = 40;

struct Sum {
  std::uint64_t assists = 0, waits = 0, stalls = 0, cycles = 0;
  void add(const World& world) {
    assists += world.assists;
    waits += world.waits;
    stalls += world.stalls;
    cycles += world.cycles;
  }
};

// A world that has run for a while.
class Steady : public World {
public:
  Steady(std::uint64_t ratio_percent, double rate) : World(ratio_percent) {
    allocates = rate;
    run(1500 * kMs);
    forget();
  }
};

// Allocation becomes four times as fast, at many moments of a cycle.
Sum rate_jumps(std::uint64_t ratio_percent, double to) {
  Steady world(ratio_percent, to / 4);
  Sum sum;
  for (int moment = 0; moment < kMoments; ++moment) {
    world.allocates = to / 4;
    world.run((300 + 7 * static_cast<std::uint64_t>(moment)) * kMs);
    world.forget();
    world.allocates = to;
    world.run(300 * kMs);
    sum.add(world);
  }
  return sum;
}

// A third more is alive than the last mark has found: the heap is 3 or 2 times what is alive then.
Sum live_jumps(std::uint64_t ratio_percent, double allocates) {
  Steady world(ratio_percent, allocates);
  Sum sum;
  for (int moment = 0; moment < kMoments; ++moment) {
    world.live = 48 * kMiB;
    world.run((300 + 7 * static_cast<std::uint64_t>(moment)) * kMs);
    world.forget();
    world.live = 64 * kMiB;
    world.run(300 * kMs);
    sum.add(world);
  }
  return sum;
}

// [mark.pace.1] [assist.slice.1]
TEST(PacingInTime, NobodyAssistsInThreeTimesWhatIsAlive) {
  for (const double rate : kRates) {
    SCOPED_TRACE(rate);
    Steady world(300, rate);
    world.run(2000 * kMs);
    EXPECT_GE(world.cycles, 3u);
    EXPECT_EQ(world.assists + world.waits + world.stalls, 0u) << world.figures();
    const Sum faster = rate_jumps(300, rate);
    EXPECT_GT(faster.cycles, 10u);
    EXPECT_EQ(faster.assists + faster.waits + faster.stalls, 0u)
        << faster.assists << " after a jump of the rate";
    const Sum more = live_jumps(300, rate);
    EXPECT_EQ(more.assists + more.waits + more.stalls, 0u)
        << more.assists << " with more alive than was known";
  }
}

TEST(PacingInTime, NobodyAssistsBecauseTheHeapsThreadHasNoProcessorYet) {
  for (const double rate : kRates) {
    SCOPED_TRACE(rate);
    Steady world(300, rate);
    world.hiccup_ns = 4 * kMs;
    world.run(2000 * kMs);
    EXPECT_EQ(world.assists + world.waits + world.stalls, 0u) << world.figures();
  }
}

TEST(PacingInTime, NobodyStallsInTwiceWhatIsAlive) {
  for (const double rate : kRates) {
    SCOPED_TRACE(rate);
    Steady world(200, rate);
    world.run(2000 * kMs);
    EXPECT_GE(world.cycles, 3u);
    EXPECT_EQ(world.stalls, 0u) << world.figures();
    EXPECT_EQ(rate_jumps(200, rate).stalls, 0u);
    EXPECT_EQ(live_jumps(200, rate).stalls, 0u);
  }
}

// Two fifths of the rate of marking are more than twice what is alive can bear without help.
TEST(PacingInTime, AssistsKeepStallsAway) {
  Steady world(200, 1.6);
  world.run(1000 * kMs);
  EXPECT_GT(world.assists, 1000u);
  EXPECT_EQ(world.stalls, 0u) << world.figures();
}

TEST(PacingInTime, BreakNobodyOwes) {
  Steady world(200, 1.6);
  world.owes = false;
  world.run(1000 * kMs);
  EXPECT_EQ(world.assists, 0u);
  EXPECT_GT(world.stalls, 100u) << world.figures();
}

TEST(PacingInTime, BreakNothingIsLent) {
  Steady world(300, 0.8);
  world.lends = false;
  world.hiccup_ns = 4 * kMs;
  world.run(1000 * kMs);
  EXPECT_GT(world.assists, 100u);
}

TEST(PacingInTime, BreakStartedLate) {
  Steady world(200, 0.8);
  world.starts_late = true;
  world.run(1000 * kMs);
  EXPECT_GT(world.stalls, 100u);
}

} // namespace
} // namespace echo
