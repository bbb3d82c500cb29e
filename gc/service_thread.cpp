// SPDX-License-Identifier: MIT
//
// Purpose     What the thread of service_thread.h does when it is woken.
#include "gc/service_thread.h"

#include <algorithm>
#include <thread>

namespace echo {

namespace {
constexpr std::chrono::microseconds kOutOfTheWay{100};
} // namespace

bool ServiceThread::has_work() {
  const std::size_t keep = memory_.pool.keep();
  const std::size_t worth_a_wake = zeroes_ ? std::min(kSlabBytes, keep) : keep;
  return memory_.pool.is_behind() || memory_.lacks_bitmaps() || memory_.pool.empty_bytes() > keep ||
         memory_.large.free_page_bytes() > worth_a_wake;
}

void ServiceThread::wake_if_needed() {
  if (has_work()) { // a wake-up costs both threads 10 to 30 us
    wake();
  }
}

template <class Step> void ServiceThread::repeat(Step step) {
  for (bool more = true; more && !thread_.is_ending();) {
    if (stop_asked_() || aside_.load() != 0) { // [service.stop.1]
      std::this_thread::sleep_for(kOutOfTheWay);
      continue;
    }
    const MutexLock gate(gate_); // [fork.prepare.1]
    more = step();
  }
}

void ServiceThread::give_back_when_idle() {
  const std::size_t keep = memory_.pool.idle_keep();
  memory_.pool.expect_little();
  repeat([&] { return memory_.large.return_idle_pages(); });
  repeat([&] { return memory_.pool.return_one_chunk(keep); });
  std::size_t chunk = SIZE_MAX;
  repeat([&] { return memory_.pool.return_free_slabs(&chunk); });
}

void ServiceThread::work() {
  repeat([this] { return memory_.pool.populate_step(); }); // first: somebody may be about to need it
  repeat([this] { return memory_.bring_in_bitmaps(); });
  repeat([this] { return memory_.pool.return_one_chunk(memory_.pool.keep()); });
  repeat([this] {
    return memory_.large.free_page_bytes() > memory_.pool.keep() && memory_.large.return_free_pages();
  });
  repeat([this] { return zeroes_ && memory_.large.zero_free_pages(); });
  look_();
}

} // namespace echo
