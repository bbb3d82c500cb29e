// SPDX-License-Identifier: MIT
//
// Purpose     What the heap does when the program has stopped to allocate. Pure: the caller has the clock.
// Drawing     busy --no memory handed out for the length of option `idle`--> idle: collect (once, option `idle_collect`, if enough
//              ^                                                              was allocated since the last collection)
//              |                                                                  |
//              |                                                              give memory back (once)
//              '----------------- memory handed out ------------------------------'
// Invariants  [service.idle.1] Memory is given back because of idleness at most once between two times that the program
//             takes memory, and only after it has taken none for `idle`: one that pauses for less keeps what it has.
// Threads     One.
#pragma once

#include <cstdint>

namespace echo {

enum class IdleAction : std::uint8_t { None, Collect, GiveBack };

class IdleWatch {
public:
  // What the heap has done so far: counters that only grow.
  struct Seen {
    std::uint64_t handed_out = 0; // times that memory went to the program
    std::uint64_t collections = 0;
    bool is_due = false; // enough was allocated since the last collection
  };
  explicit IdleWatch(std::uint64_t idle_ns, bool collects) : idle_ns_(idle_ns), collects_(collects) {}

  IdleAction look(std::uint64_t now_ns, const Seen& seen) {
    if (seen.handed_out != handed_out_ || since_ns_ == 0) {
      handed_out_ = seen.handed_out;
      since_ns_ = now_ns;
      has_asked_ = has_given_ = false;
      return IdleAction::None;
    }
    if (idle_ns_ == 0 || now_ns - since_ns_ < idle_ns_ || has_given_) {
      return IdleAction::None;
    }
    if (collects_ && !has_asked_ && seen.is_due) {
      has_asked_ = true;
      asked_at_ = seen.collections;
      return IdleAction::Collect;
    }
    if (has_asked_ && seen.collections == asked_at_) {
      return IdleAction::None; // not over
    }
    has_given_ = true;
    return IdleAction::GiveBack;
  }

private:
  const std::uint64_t idle_ns_;
  const bool collects_;
  std::uint64_t handed_out_ = 0, since_ns_ = 0, asked_at_ = 0;
  bool has_asked_ = false, has_given_ = false;
};

} // namespace echo
