// SPDX-License-Identifier: MIT
//
// Purpose     The comparison of two stops.
#include "gc/barrier_audit.h"

#include <cstdio>
#include <unordered_set>

namespace echo {

namespace {
struct Reaching final : RootVisitor {
  explicit Reaching(const Memory& of) : memory(of) {}
  const Memory& memory;
  std::unordered_set<Address> seen;
  std::vector<Address> grey;
  void root(ObjectRef ref) override {
    if (ref && memory.pool.slabs().contains(ref.address) && seen.insert(ref.address).second) {
      grey.push_back(ref.address);
    }
  }
  void ambiguous(AmbiguousWord word, echo_pin) override { root(memory.words.resolve(word)); }
};
} // namespace

std::string BarrierAudit::compare(const std::vector<DeletionRecord>& log) {
  // Whether one of a slot's records holds its remembered value. Threads log apart: which record is the oldest is
  // not known.
  std::unordered_map<Address, bool> in_time;
  for (const DeletionRecord& record : log) {
    if (const auto it = slots_.find(record.slot); it != slots_.end()) {
      bool& seen = in_time[record.slot];
      seen = seen || record.old_value == it->second.value;
    }
  }
  for (const auto& [slot, was] : slots_) {
    const Address now = load_slot(slot);
    const auto record = in_time.find(slot);
    const bool announced = record != in_time.end() && record->second;
    if (now == was.value || announced) {
      continue;
    }
    const std::uint32_t number = load_header({was.object}).layout_number();
    const char* layout = memory_.layouts.knows({number}) ? memory_.layouts.record({number}).name : "?";
    char text[300];
    std::snprintf(text, sizeof text,
                  "a store went round the barrier: offset %lu of an object of layout '%s' held %#lx at the "
                  "last stop and "
                  "%#lx now, %s",
                  static_cast<unsigned long>(slot - was.object), layout,
                  static_cast<unsigned long>(was.value), static_cast<unsigned long>(now),
                  record == in_time.end() ? "and no store was announced"
                                          : "and the announced store came later");
    return text;
  }
  return "";
}

void BarrierAudit::remember(const std::vector<Mutator*>& mutators) {
  slots_.clear();
  Reaching reach(memory_);
  std::string why;
  if (enumerate_roots(roots_, mutators, reach, &why) != ECHO_OK) {
    return; // the collection reports it
  }
  while (!reach.grey.empty()) {
    const Address object = reach.grey.back();
    reach.grey.pop_back();
    if (!memory_.layouts.knows({load_header({object}).layout_number()})) {
      continue; // the marker reports it
    }
    for_each_reference(memory_.layouts, {object}, [&](Address slot, Address word) {
      slots_[slot] = {word, object};
      reach.root({word});
    });
    for_each_traced(memory_.layouts, {object}, [&](Address word) { reach.root({word}); });
    for_each_ambiguous_word(memory_.layouts, {object}, [&](Address slot, AmbiguousWord word) {
      if (const ObjectRef hit = memory_.words.resolve(word)) {
        slots_[slot] = {word.bits, object};
        reach.root(hit);
      }
    });
  }
}

} // namespace echo
