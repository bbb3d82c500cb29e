// SPDX-License-Identifier: MIT
//
// checking.cpp - the checker's stop, the walk from the roots, and the watch over polls.
#include "checked_heap.h"

#include <algorithm>

namespace check {

Site CheckedHeap::last_site() const {
  return checking_for_;
}

bool CheckedHeap::is_due() {
  ++safepoints_;
  return options_.every != 0 ? safepoints_ % options_.every == 0 : safepoints_ >= next_check_;
}

void CheckedHeap::park(CheckedThread& thread, const Site& site, bool counts) {
  const std::lock_guard lock(mutex_);
  for (const std::uintptr_t start : thread.born)
    if (Object* const object = shadow_.at(start); object != nullptr && object->is_new)
      adopt(start, *object);
  thread.born.clear();
  thread.last_call = site;
  thread.is_late = false;
  if (thread.is_running) {
    thread.is_running = false;
    --running_;
  }
  is_wanted_ = is_wanted_ || (counts && is_due());
  if (is_wanted_ && running_ == 0) {
    checking_for_ = site;
    check();
  }
  thread.last_safepoint = site;
}

void CheckedHeap::resume(CheckedThread& thread) {
  std::unique_lock lock(mutex_);
  while (is_wanted_)
    if (running_ == 0)
      check();
    else
      changed_.wait(lock);
  thread.is_running = true;
  ++running_;
}

void CheckedHeap::visit(std::uintptr_t word, const char* from) {
  if (word == 0)
    return;
  Object* const object = shadow_.at(word);
  if (object == nullptr) {
    report_.add(Mistake::NO_OBJECT, std::string(from) + " holds a word that is no object's address",
                last_site());
    return;
  }
  if (object->reached == checks_ && !object->is_new)
    return;
  object->reached = checks_;
  if (!object->is_new)
    grey_.emplace_back(word, object);
}

// [check.shadow.3]
void CheckedHeap::adopt(std::uintptr_t start, Object& object) {
  Shadow::adopt(start, object);
  if (object.layout->trace != nullptr)
    object.traced = object.layout->trace->references_of(start);
  object.looked_at = checks_;
}

// [check.shadow.4]
void CheckedHeap::look_at_traced(std::uintptr_t start, Object& object) {
  const std::vector<std::uintptr_t> now = object.layout->trace->references_of(start);
  for (const std::uintptr_t before : object.traced) {
    const auto told = overwritten_.find(before);
    if (!std::binary_search(now.begin(), now.end(), before) &&
        (told == overwritten_.end() || told->second < object.looked_at))
      report_.add(Mistake::MISSING_BARRIER,
                  "what the trace callback of " + named(object) +
                      " visited was overwritten without the store barrier before this safepoint",
                  last_site());
  }
  for (const std::uintptr_t word : now)
    if (shadow_.at(word) != nullptr) // else it is outside the heap
      visit(word, "");
  object.traced = now;
}

// [check.shadow.2]
void CheckedHeap::look_at(std::uintptr_t start, Object& object) {
  ++visited_;
  for (std::size_t i = 0; i < object.values.size(); ++i) {
    if (!object.holds_references(i))
      continue;
    const std::uintptr_t now = load_word(start + object.offset_of(i));
    if (!Shadow::may_hold(object, i, now))
      report_.add(Mistake::MISSING_BARRIER,
                  "offset " + std::to_string(object.offset_of(i)) + " of " + named(object) +
                      " was written without the store barrier before this safepoint",
                  last_site());
    object.values[i] = now;
    if (object.kind_of(i) != ECHO_SLOT_TAGGED || (now & 7) == 0)
      visit(now, ("offset " + std::to_string(object.offset_of(i)) + " of " + named(object)).c_str());
  }
  object.announced.clear();
  if (object.layout->trace != nullptr)
    look_at_traced(start, object);
  object.looked_at = checks_;
}

void CheckedHeap::trace() {
  while (!grey_.empty()) {
    const auto [start, object] = grey_.back();
    grey_.pop_back();
    look_at(start, *object);
  }
}

void CheckedHeap::visit_frames(CheckedThread& thread) {
  if (source_.walk == nullptr)
    return;
  echo_frame_cursor cursor{thread.anchor_sp, thread.anchor_fp, thread.anchor_pc};
  const auto visit_slot = [](void* self, echo_ref* base, std::uintptr_t*) {
    static_cast<CheckedHeap*>(self)->visit(reinterpret_cast<std::uintptr_t>(*base), "a frame");
  };
  while (cursor.pc != 0) {
    std::uint32_t visited = 0;
    echo_error why{};
    if (source_.walk(source_.context, thread.as_handle(), &cursor, 1024, &visited, visit_slot, this, &why) !=
            ECHO_OK ||
        visited == 0)
      return; // the real plugin says it as well
  }
}

void CheckedHeap::check() {
  ++checks_;
  visited_ = 0;
  for (const auto& [first, count] : roots_)
    for (std::uint64_t i = 0; i < count; ++i)
      visit(reinterpret_cast<std::uintptr_t>(first[i]), "a root word");
  for (CheckedThread* const thread : attached_) {
    for (const auto& [handle, object] : thread->handles)
      visit(reinterpret_cast<std::uintptr_t>(object), "a handle");
    visit_frames(*thread);
  }
  trace();
  next_check_ = safepoints_ + visited_ / 4 + 16;
  is_wanted_ = false;
  changed_.notify_all();
}

// Asks for a stop now and then, and tells who does not come.
void CheckedHeap::watch() {
  const std::chrono::milliseconds patience(options_.poll_ms);
  std::unique_lock lock(mutex_);
  while (!is_ending_) {
    changed_.wait_for(lock, patience, [this] { return is_ending_; });
    if (is_ending_ || running_ == 0)
      continue;
    is_wanted_ = true;
    const std::uint64_t before = checks_;
    changed_.wait_for(lock, patience, [&] { return is_ending_ || checks_ != before; });
    for (CheckedThread* const thread : attached_)
      if (!is_ending_ && checks_ == before && thread->is_running && !thread->is_late) {
        thread->is_late = true;
        report_.add(Mistake::MISSING_POLL,
                    "thread " + std::to_string(thread->number) + " did not poll for " +
                        std::to_string(options_.poll_ms) +
                        " ms while a stop was asked for; its last call was",
                    thread->last_call);
      }
  }
}

} // namespace check
