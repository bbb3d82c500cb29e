// SPDX-License-Identifier: MIT
//
// checked_heap.cpp - what the VM declares and does, against the shadow.
#include "calls.h"

#include <cstdio>
#include <system_error>

namespace check {

CheckedHeap::CheckedHeap(const echo_heap_api& api, Options options)
    : api_(api), options_(std::move(options)) {}

CheckedHeap::~CheckedHeap() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
  }
  changed_.notify_all();
  if (watch_.joinable())
    watch_.join();
  report_.end();
}

bool CheckedHeap::open(echo_heap* real) {
  real_ = real;
  if (api_.recipes(real, ECHO_RECIPES_FASTEST, &real_recipes_) != ECHO_OK)
    return false;
  fill_recipes(*real_recipes_, &recipes_);
  return start_watch();
}

bool CheckedHeap::start_watch() {
  if (options_.poll_ms == 0)
    return true;
  try {
    watch_ = std::thread([this] { watch(); });
  } catch (const std::system_error&) {
    return false;
  }
  return true;
}

TraceCallback& CheckedHeap::trace_callback(echo_trace_fn function, void* context) {
  const std::lock_guard lock(mutex_);
  for (TraceCallback& known : traces_)
    if (known.is(function, context))
      return known;
  return traces_.emplace_back(function, context);
}

OutOfMemoryCallback& CheckedHeap::out_of_memory_callback(echo_out_of_memory_fn handler, void* context) {
  const std::lock_guard lock(mutex_);
  for (OutOfMemoryCallback& known : handlers_)
    if (known.is(handler, context))
      return known;
  return handlers_.emplace_back(*this, handler, context);
}

void CheckedHeap::know_layout(echo_layout_id id, TraceCallback* callback) {
  echo_layout_info info{};
  info.size = sizeof info;
  if (api_.layout_get(real_, id, &info) != ECHO_OK)
    return;
  auto layout = std::make_unique<Layout>();
  layout->name = info.name;
  layout->fixed_bytes = (info.fixed_bytes + 7) / 8 * 8;
  layout->traced_elements = info.kind == ECHO_LAYOUT_REF_ARRAY || info.kind == ECHO_LAYOUT_MIXED_REF;
  layout->trace = callback;
  layout->first_word = info.kind == ECHO_LAYOUT_FIXED ? 8 : 16;
  // What reaches an ephemeron's value, or what waits for its finalization, is not followed.
  layout->is_exact = info.kind != ECHO_LAYOUT_AMBIGUOUS && (info.flags & ECHO_LAYOUT_FINALIZABLE) == 0;
  for (std::uint32_t i = 0; i < info.slot_count; ++i) {
    echo_slot slot{};
    if (api_.layout_slot(real_, id, i, &slot) == ECHO_OK)
      layout->slots.push_back(slot);
    layout->is_exact = layout->is_exact && slot.kind <= ECHO_SLOT_WEAK;
  }
  const std::lock_guard lock(mutex_);
  is_exact_ = is_exact_ && layout->is_exact;
  layouts_.emplace(id, std::move(layout));
}

void CheckedHeap::add_roots(echo_ref* first, std::uint64_t count) {
  const std::lock_guard lock(mutex_);
  roots_[first] = count;
}

void CheckedHeap::remove_roots(echo_ref* first) {
  const std::lock_guard lock(mutex_);
  roots_.erase(first);
}

void CheckedHeap::be_inexact() {
  const std::lock_guard lock(mutex_);
  is_exact_ = false;
}

void CheckedHeap::set_source(const echo_frame_source& source) {
  const std::lock_guard lock(mutex_);
  source_ = source;
}

bool CheckedHeap::element(echo_ref array, std::uint64_t index, std::uintptr_t* slot) {
  const std::lock_guard lock(mutex_);
  const Object* const object = shadow_.at(reinterpret_cast<std::uintptr_t>(array));
  if (object == nullptr || !object->layout->traced_elements ||
      index >= (object->bytes - object->layout->fixed_bytes) / 8)
    return false;
  *slot = reinterpret_cast<std::uintptr_t>(array) + object->layout->fixed_bytes + index * 8;
  return true;
}

void CheckedHeap::attached(CheckedThread& thread, const Site& site) {
  {
    const std::lock_guard lock(threads_mutex_);
    threads_[thread.real] = &thread;
  }
  {
    const std::lock_guard lock(mutex_);
    thread.number = next_number_++;
    thread.last_safepoint = thread.last_call = site;
    attached_.push_back(&thread);
  }
  resume(thread);
}

void CheckedHeap::detached(CheckedThread& thread) {
  {
    const std::lock_guard lock(threads_mutex_);
    threads_.erase(thread.real);
  }
  const std::lock_guard lock(mutex_);
  std::erase(attached_, &thread);
}

CheckedThread* CheckedHeap::thread_of(const echo_thread* real) {
  const std::lock_guard lock(threads_mutex_);
  const auto found = threads_.find(real);
  return found == threads_.end() ? nullptr : found->second;
}

std::uintptr_t managed_frame(const echo_thread* thread) {
  return thread == nullptr
             ? 0
             : __atomic_load_n(&reinterpret_cast<const CheckedThread*>(thread)->anchor_pc, __ATOMIC_RELAXED);
}

std::uintptr_t CheckedHeap::managed_frame_of_caller() {
  const std::lock_guard lock(threads_mutex_);
  for (const auto& [real, thread] : threads_)
    if (thread->is_owner())
      return thread->anchor_pc;
  return 0;
}

void CheckedHeap::born(CheckedThread& thread, echo_ref object, echo_layout_id id) {
  const std::uint64_t bytes = api_.object_bytes(real_, object);
  const auto start = reinterpret_cast<std::uintptr_t>(object);
  std::unique_lock lock(mutex_);
  if (!layouts_.contains(id)) { // registered before it was checked
    lock.unlock();
    know_layout(id);
    lock.lock();
  }
  const auto layout = layouts_.find(id);
  if (layout == layouts_.end())
    return;
  shadow_.born(start, *layout->second, bytes, checks_);
  thread.born.push_back(start);
}

void CheckedHeap::called(CheckedThread& thread, const Site& site) {
  const std::lock_guard lock(mutex_);
  thread.last_call = site;
}

bool CheckedHeap::uses(CheckedThread& thread, echo_ref object, const char* as, const Site& site) {
  if (object == nullptr)
    return true;
  const std::lock_guard lock(mutex_);
  thread.last_call = site;
  const auto word = reinterpret_cast<std::uintptr_t>(object);
  Object* const found = shadow_.at(word);
  char address[32];
  std::snprintf(address, sizeof address, "0x%lx", static_cast<unsigned long>(word));
  if (found == nullptr) {
    std::uintptr_t start = 0;
    const Object* const around = shadow_.around(word, &start);
    report_.add(Mistake::NO_OBJECT,
                std::string(as) + " is " + address + ", " +
                    (around == nullptr
                         ? std::string("where no object is")
                         : "inside " + named(*around) + ", at offset " + std::to_string(word - start)),
                site);
    return false;
  }
  if (is_dead(*found)) {
    report_.add(Mistake::UNROOTED,
                std::string(as) + " is " + named(*found) + " at " + address +
                    " that no handle, root word, frame or reachable object held at a safepoint before",
                site);
    found->reached = checks_; // told once
  }
  return true;
}

void CheckedHeap::stores(CheckedThread& thread, std::uintptr_t slot, std::uintptr_t value, const Site& site) {
  const std::lock_guard lock(mutex_);
  thread.last_call = site;
  std::uintptr_t start = 0;
  if (Object* const object = shadow_.around(slot, &start); object != nullptr)
    announce(start, *object, slot - start, value, site);
  else
    report_.add(Mistake::BAD_STORE, "a reference is stored where no object of the heap is", site);
}

void CheckedHeap::stores_in(CheckedThread& thread, echo_ref object, std::uint64_t offset, echo_ref value,
                            const Site& site) {
  const std::lock_guard lock(mutex_);
  thread.last_call = site;
  const auto start = reinterpret_cast<std::uintptr_t>(object);
  if (Object* const found = shadow_.at(start); found != nullptr)
    announce(start, *found, offset, reinterpret_cast<std::uintptr_t>(value), site);
}

// What is stored as a reference is one, to an object that lives.
template <typename Where>
void CheckedHeap::expect_stored(std::uintptr_t value, const Where& where, const Site& site) {
  if (value == 0)
    return;
  Object* const target = shadow_.at(value);
  if (target == nullptr) {
    report_.add(Mistake::NO_OBJECT, "what is stored " + where() + " is no object's address", site);
  } else if (is_dead(*target)) {
    report_.add(Mistake::UNROOTED,
                "what is stored " + where() + " is " + named(*target) +
                    " that no handle, root word, frame or reachable object held at a safepoint before",
                site);
    target->reached = checks_;
  }
}

void CheckedHeap::overwrites(CheckedThread& thread, const echo_ref* slot, echo_ref value, const Site& site) {
  const std::lock_guard lock(mutex_);
  thread.last_call = site;
  overwritten_[load_word(reinterpret_cast<std::uintptr_t>(slot))] = checks_;
  expect_stored(
      reinterpret_cast<std::uintptr_t>(value), [] { return std::string("outside the heap"); }, site);
}

void CheckedHeap::announce(std::uintptr_t start, Object& into, std::uint64_t offset, std::uintptr_t value,
                           const Site& site) {
  Object* const object = &into;
  if (!object->layout->is_exact)
    return;
  const bool is_traced_word = object->is_traced_word(offset);
  if (is_traced_word)
    overwritten_[load_word(start + offset)] = checks_;
  const auto where = [&] { return "at offset " + std::to_string(offset) + " of " + named(*object); };
  std::size_t index = 0;
  const bool is_slot = object->find_slot(offset, &index);
  if (!is_slot && !is_traced_word) {
    report_.add(Mistake::BAD_STORE,
                "a reference is stored " + where() + " of " + std::to_string(object->bytes) +
                    " bytes, whose layout has no reference there",
                site);
    return;
  }
  if (is_dead(*object)) {
    report_.add(Mistake::UNROOTED,
                "the object that is stored into is " + named(*object) +
                    " that no handle, root word, frame or reachable object held at a safepoint before",
                site);
    object->reached = checks_;
  }
  if (!is_slot || object->kind_of(index) != ECHO_SLOT_TAGGED || (value & 7) == 0)
    expect_stored(value, where, site);
  if (is_slot && !object->is_new)
    object->announced[index].push_back(value);
}

void CheckedHeap::obtained(echo_ref object) {
  const std::lock_guard lock(mutex_);
  if (Object* const found = shadow_.at(reinterpret_cast<std::uintptr_t>(object)); found != nullptr)
    visit(reinterpret_cast<std::uintptr_t>(object), "");
  // What it leads to lives with it. Slots are compared at the next check: other threads may be storing now.
  while (!grey_.empty()) {
    const auto [start, grey] = grey_.back();
    grey_.pop_back();
    for (std::size_t i = 0; i < grey->values.size(); ++i)
      if (grey->holds_references(i))
        if (const std::uintptr_t word = load_word(start + grey->offset_of(i)); (word & 7) == 0 && word != 0)
          if (shadow_.at(word) != nullptr)
            visit(word, "");
    if (grey->layout->trace != nullptr)
      for (const std::uintptr_t word : grey->layout->trace->references_of(start))
        if (shadow_.at(word) != nullptr)
          visit(word, "");
  }
}

} // namespace check
