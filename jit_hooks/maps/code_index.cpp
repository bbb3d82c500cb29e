/* SPDX-License-Identifier: MIT
 *
 * maps/code_index.cpp - publication and lookup. Invariants: code_index.h.
 */
#include "maps/code_index.h"

#include "maps/places.h"

#include <algorithm>

namespace echo::jit {

const FunctionRange* CodeUnit::function_at(uintptr_t pc) const {
  auto after =
      std::upper_bound(functions.begin(), functions.end(), pc,
                       [](uintptr_t value, const FunctionRange& range) { return value < range.begin; });
  if (after == functions.begin())
    return nullptr;
  --after;
  return pc < after->end ? &*after : nullptr;
}

const Site* CodeUnit::site_at(uintptr_t pc) const {
  auto found = std::lower_bound(maps.sites.begin(), maps.sites.end(), pc,
                                [](const Site& site, uintptr_t value) { return site.pc < value; });
  return found != maps.sites.end() && found->pc == pc ? &*found : nullptr;
}

const SourceLine* CodeUnit::line_at(uintptr_t pc) const {
  const auto after =
      std::upper_bound(lines.begin(), lines.end(), pc,
                       [](uintptr_t value, const SourceLine& line) { return value < line.pc; });
  return after == lines.begin() ? nullptr : &*std::prev(after);
}

CodeIndex::CodeIndex(bool free_under_readers) : free_under_readers_(free_under_readers), units_(new Units) {
  register_places(this);
}

CodeIndex::~CodeIndex() {
  forget_places(this);
  delete units_.load();
}

void CodeIndex::add(std::unique_ptr<const CodeUnit> unit) {
  const std::lock_guard<std::mutex> lock(writer_);
  const Units* const current = units_.load();
  auto next = std::make_unique<Units>(*current);
  next->insert(std::upper_bound(next->begin(), next->end(), unit->begin,
                                [](uintptr_t begin, const CodeUnit* other) { return begin < other->begin; }),
               unit.get());
  owned_.push_back(std::move(unit));
  publish(std::move(next));
}

void CodeIndex::remove(const CodeUnit* unit) {
  const std::lock_guard<std::mutex> lock(writer_);
  const auto owner =
      std::find_if(owned_.begin(), owned_.end(), [unit](const auto& one) { return one.get() == unit; });
  if (owner == owned_.end())
    return;
  auto next = std::make_unique<Units>(*units_.load());
  std::erase(*next, unit);
  retired_units_.push_back(std::move(*owner));
  owned_.erase(owner);
  publish(std::move(next));
}

void CodeIndex::publish(std::unique_ptr<Units> next) {
  retired_.reserve(retired_.size() + 1);
  retired_.emplace_back(units_.load());
  units_.store(next.release());
  if (readers_.load() == 0 || free_under_readers_) { /* [jit.index.2] */
    retired_.clear();
    retired_units_.clear();
  }
}

size_t CodeIndex::units_waiting() {
  const std::lock_guard<std::mutex> lock(writer_);
  return retired_units_.size();
}

void CodeIndex::watch(const CodeUnit* unit) {
  watched_frames_.store(0);
  watched_.store(unit);
}

CodeIndex::View::View(const CodeIndex& index) : index_(index) {
  index_.readers_.fetch_add(1);
  units_ = index_.units_.load();
}

CodeIndex::View::~View() {
  index_.readers_.fetch_sub(1);
}

const CodeUnit* CodeIndex::View::unit_at(uintptr_t pc) const {
  auto after = std::upper_bound(units_->begin(), units_->end(), pc,
                                [](uintptr_t value, const CodeUnit* unit) { return value < unit->begin; });
  if (after == units_->begin())
    return nullptr;
  const CodeUnit* const unit = *--after;
  /* A return address may stand behind the last instruction of a call that does not return. */
  return pc <= unit->end ? unit : nullptr;
}

const FunctionRange* CodeIndex::View::function_at(uintptr_t pc) const {
  const CodeUnit* const unit = unit_at(pc);
  return unit != nullptr ? unit->function_at(pc) : nullptr;
}

} // namespace echo::jit
