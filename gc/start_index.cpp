// SPDX-License-Identifier: MIT
//
// Purpose     Filling the index, and the look-up outside stops.
#include "gc/start_index.h"

#include "gc/census.h"

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
  if (!memory_.words.starts().is_open() && !memory_.words.starts().open(slabs.base(), slabs.bytes())) {
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
  complete_ = true;
  marks_.fetch_add(1, std::memory_order_relaxed);
  noted_before_ = noted_spans_ = 0; // the log begins anew in this stop
  marking_ = true;
  memory_.words.set_marking(true);
  if (!is_used()) {
    return;
  }
  ObjectStarts& starts = memory_.words.starts();
  const Census census(memory_.layouts);
  complete_ = memory_.supply.with_retired([&](const auto& before, const std::vector<RetiredSpan>& spans) {
    bool all = before.empty();
    for (const RetiredSpan& span : spans) {
      all = census.for_each(span, [&starts](ObjectRef object) { starts.add(object.address); }) && all;
    }
    noted_before_ = spans.size();
    return all;
  });
  memory_.pins.begin(memory_.pool.slab_high_water());
}

void StartIndex::end_mark(bool whole) {
  const MutexLock lock(mutex_);
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
      if (slabs.is_old(slabs.kind(s))) {
        memory_.words.starts().copy_slab(memory_.bits.previous(), slabs.address_of(s));
      }
    }
    memory_.words.set_base(WordResolver::Base::Starts);
  }
  if (is_used()) {
    memory_.pins.publish();
  }
}

// Each span is walked once, however often words are resolved.
void StartIndex::note_retired() {
  std::array<RetiredSpan, 64> some;
  const Census census(memory_.layouts);
  ObjectStarts& starts = memory_.words.starts();
  for (;;) {
    const std::size_t count = memory_.supply.with_retired(
        [&](const std::vector<RetiredSpan>& before, const std::vector<RetiredSpan>& spans) {
          std::size_t n = 0;
          for (; marking_ && n < some.size() && noted_before_ < before.size(); ++n) {
            some[n] = before[noted_before_++];
          }
          for (; n < some.size() && noted_spans_ < spans.size(); ++n) {
            some[n] = spans[noted_spans_++];
          }
          return n;
        });
    for (std::size_t i = 0; i < count; ++i) {
      (void)census.for_each(some[i], [&starts](ObjectRef object) { starts.add(object.address); });
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
    if (const ObjectRef found = memory_.words.resolve(word); found || good) {
      return found;
    }
  }
}

echo_status StartIndex::resolve(Mutator& mutator, AmbiguousWord word, ObjectRef* out, std::string* why) {
  const SlabKind kind = memory_.pool.slabs().kind_of_word(static_cast<Address>(word.bits));
  {
    const MutexLock lock(mutex_);
    if (const echo_status status = open(why); status != ECHO_OK) {
      return status;
    }
    *out = memory_.words.resolve(word);
    if (*out || !is_small(kind)) {
      return ECHO_OK;
    }
    note_retired();
    *out = memory_.words.resolve(word);
  }
  if (!*out) {
    *out = find_in(mutator, static_cast<Address>(word.bits));
  }
  if (!*out && safepoints_.attached() > 1) {
    *out = find_in_stop(mutator, word);
  }
  return ECHO_OK;
}

} // namespace echo
