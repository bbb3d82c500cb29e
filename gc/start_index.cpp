// SPDX-License-Identifier: MIT
//
// Purpose     Filling the index, and the look-up outside stops.
#include "gc/start_index.h"

#include "gc/census.h"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

namespace echo {

namespace {

// Looks for one word with every thread at rest.
class FindWork final : public StopWork {
public:
  explicit FindWork(std::function<ObjectRef(Mutator&)> find) : find_(std::move(find)) {}
  void run(const std::vector<Mutator*>& mutators) override {
    for (Mutator* m : mutators) {
      found = found ? found : find_(*m);
    }
  }
  ObjectRef found;

private:
  std::function<ObjectRef(Mutator&)> find_;
};

} // namespace

echo_status StartIndex::open(std::string* why) {
  const SlabTable& slabs = memory_.pool.slabs();
  if (memory_.words.base() == WordResolver::Base::Unknown) {
    *why =
        "the last collection could not read every root, so it is not known where objects start: words can be "
        "resolved after the next one that can";
    return ECHO_WRONG_STATE;
  }
  if (!memory_.words.starts().is_open() &&
      !memory_.words.starts().open(slabs.base(), slabs.bytes(), memory_.bitmap_pages())) {
    *why = "the operating system refused address space for the starts of objects";
    return ECHO_SYSTEM_MEMORY;
  }
  return ECHO_OK;
}

echo_status StartIndex::use(std::string* why) {
  return is_used() ? ECHO_OK : safepoints_.excluding_stops([&] { return use_now(why); });
}

echo_status StartIndex::use_now(std::string* why) {
  const MutexLock lock(mutex_);
  if (const echo_status status = open(why); status != ECHO_OK) {
    return status;
  }
  const SlabTable& slabs = memory_.pool.slabs();
  if (!memory_.pins.is_open() && !memory_.pins.open(slabs.base(), slabs.bytes())) {
    *why = "the operating system refused address space for the pins of objects";
    return ECHO_SYSTEM_MEMORY;
  }
  used_.store(true, std::memory_order_release);
  return ECHO_OK;
}

void StartIndex::begin_mark() {
  const MutexLock lock(mutex_);
  whole_.store(true, std::memory_order_relaxed);
  marks_.fetch_add(1, std::memory_order_relaxed);
  noted_before_ = noted_spans_ = 0; // the log begins anew in this stop
  counted_before_ = 0;
  marking_ = true;
  all_before_ = false;
  walks_ = is_used();
  memory_.words.set_marking(true);
  if (walks_) {
    memory_.pins.begin(memory_.pool.slab_high_water());
  }
}

bool StartIndex::note_some(std::size_t objects) {
  const MutexLock lock(mutex_);
  return !note_before(objects);
}

std::optional<std::uint64_t> StartIndex::counted() {
  const MutexLock lock(mutex_);
  return walks_ && all_before_ && is_whole() ? std::optional(counted_before_) : std::nullopt;
}

void StartIndex::begin_weak() {
  const MutexLock lock(mutex_);
  weak_ = true;
}

void StartIndex::end_weak() {
  const MutexLock lock(mutex_);
  if (weak_) {
    end_mark_locked(true);
  }
}

void StartIndex::end_mark(bool whole) {
  const MutexLock lock(mutex_);
  end_mark_locked(whole);
}

void StartIndex::end_mark_locked(bool whole) {
  weak_ = false;
  while (!whole && is_used() && note_before(SIZE_MAX)) { // the next mark adds to them
  }
  marking_ = false;
  noted_before_ = noted_spans_ = 0;
  memory_.words.set_marking(false);
  if (whole) {
    memory_.words.starts().forget_all();
    memory_.words.set_base(WordResolver::Base::Marks);
  } else if (!is_used()) {
    memory_.words.set_base(WordResolver::Base::Unknown);
  } else if (memory_.words.base() == WordResolver::Base::Marks) {
    const SlabTable& slabs = memory_.pool.slabs();
    const std::uint32_t end = memory_.pool.slab_high_water();
    for (SlabIndex s{0}; s.number < end; ++s.number) {
      if (const SlabKind kind = slabs.kind(s); slabs.is_old(kind) || slabs.is_mixed(kind)) {
        memory_.words.starts().copy_slab(memory_.bits.previous(), slabs.address_of(s));
      }
    }
    memory_.words.set_base(WordResolver::Base::Starts);
  }
  if (is_used()) {
    memory_.pins.publish();
  }
}

bool StartIndex::note(const RetiredSpan& span, std::uint64_t* objects) {
  ObjectStarts& starts = memory_.words.starts();
  return Census(memory_.layouts).for_each(span, [&](ObjectRef object) {
    starts.add(object.address);
    ++*objects;
  });
}

// Each span is walked once, however often words are resolved.
bool StartIndex::note_before(std::size_t objects) {
  for (const std::uint64_t enough =
           counted_before_ + std::min<std::uint64_t>(objects, UINT64_MAX - counted_before_);
       !all_before_ && counted_before_ < enough;) {
    std::array<RetiredSpan, 16> some;
    const std::size_t first = noted_before_;
    const std::size_t count = memory_.supply.with_retired(
        [&](const SpanLog& before, const SpanLog&) { return before.copy(first, some); });
    all_before_ = count == 0;
    for (std::size_t i = 0; i < count && counted_before_ < enough; ++i) {
      ++noted_before_;
      if (!note(some[i], &counted_before_)) {
        whole_.store(false, std::memory_order_relaxed); // [starts.walk.1]
      }
    }
  }
  return !all_before_;
}

void StartIndex::note_retired() {
  while (marking_ && note_before(SIZE_MAX)) {
  }
  std::array<RetiredSpan, 64> some;
  for (;;) {
    const std::size_t first = noted_spans_;
    const std::size_t count = memory_.supply.with_retired(
        [&](const SpanLog&, const SpanLog& spans) { return spans.copy(first, some); });
    noted_spans_ += count;
    for (std::size_t i = 0; i < count; ++i) {
      std::uint64_t objects = 0;
      (void)note(some[i], &objects);
    }
    if (count < some.size()) {
      return;
    }
  }
}

// In the spans that the thread has not handed over: its own, or of one that stands still.
ObjectRef StartIndex::find_in(Mutator& mutator, Address word) const {
  mutator.take_back_span();
  const Census census(memory_.layouts);
  ObjectRef found;
  const auto look = [&](const RetiredSpan& span) {
    if (word - span.start < span.end - span.start) {
      (void)census.for_each(span, [&](ObjectRef object) {
        if (object.address <= word && memory_.words.contains(object.address, word)) {
          found = object;
        }
      });
    }
  };
  for (const RetiredSpan& span : mutator.allocator.log()) {
    look(span);
  }
  for (const Span& span : {mutator.allocator.current(), mutator.allocator.overflow()}) {
    look({span.start, span.cursor});
  }
  return found;
}

// What a stop found is good unless a mark began between the stop and this thread's return from it: then nobody may have
// kept the object.
ObjectRef StartIndex::find_in_stop(Mutator& mutator, AmbiguousWord word) {
  for (;;) {
    std::uint64_t marks = 0;
    FindWork work([&](Mutator& other) {
      marks = marks_.load(std::memory_order_relaxed);
      return find_in(other, static_cast<Address>(word.bits));
    });
    safepoints_.stop(&mutator, work);
    const bool good = marks == marks_.load(std::memory_order_relaxed);
    if (good && work.found) {
      return work.found;
    }
    const MutexLock lock(mutex_); // the span may have been retired shortly before the stop, or by that mark
    note_retired();
    const ObjectRef known = resolve_alive(word);
    if (known || good) {
      return known;
    }
  }
}

void StartIndex::set_resurrecting(bool on) {
  const MutexLock lock(mutex_);
  resurrecting_ = on;
  if (on) {
    memory_.resurrected.begin();
  } else {
    memory_.resurrected.end();
  }
}

// Of an object that existed when the mark started: the mark bit is looked at first. [resurrect.order.1]
bool StartIndex::is_obtainable(Address object) const {
  return !Snapshot(memory_.pool.slabs(), memory_.bits).is_dead(object) &&
         !(resurrecting_ && memory_.resurrected.contains(object));
}

ObjectRef StartIndex::resolve_alive(AmbiguousWord word) const {
  const ObjectRef hit = memory_.words.resolve(word);
  return hit && weak_ && !is_obtainable(hit.address) ? ObjectRef{} : hit;
}

StartIndex::Known StartIndex::resolve_known(AmbiguousWord word, ObjectRef* out, echo_status* status,
                                            std::string* why) {
  const auto address = static_cast<Address>(word.bits);
  const MutexLock lock(mutex_);
  *status = open(why);
  if (*status != ECHO_OK) {
    return Known::Answer;
  }
  *out = resolve_alive(word);
  if (*out || !is_small(memory_.pool.slabs().kind_of_word(address))) {
    return Known::Answer;
  }
  note_retired();
  *out = resolve_alive(word);
  return *out ? Known::Answer : Known::Elsewhere;
}

echo_status StartIndex::resolve(Mutator& mutator, AmbiguousWord word, ObjectRef* out, std::string* why) {
  echo_status status = ECHO_OK;
  if (resolve_known(word, out, &status, why) == Known::Answer) {
    return status;
  }
  *out = find_in(mutator, static_cast<Address>(word.bits));
  if (!*out && safepoints_.attached() != 1) {
    *out = find_in_stop(mutator, word);
  }
  return status;
}

} // namespace echo
