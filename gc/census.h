// SPDX-License-Identifier: MIT
//
// Purpose     Walks spans by their headers: counts allocated objects exactly, and lists object starts for the
//             verifier. Emitted code counts nothing; the headers it wrote are the count.
// Algorithm   Runs of objects of one fixed layout are common: while the header repeats, the next address is
//             known without waiting for the load of this one.
// Invariants  [census.walk.1] A span holds objects and fillers end to end. [heap.alloc.2]
#pragma once

#include "heap/layout_table.h"
#include "heap/run_allocator.h"

#include <span>
#include <vector>

namespace echo {

class Census {
public:
  explicit Census(const LayoutTable& layouts) : layouts_(layouts) {}

  // Objects in the spans, fillers not counted.
  std::uint64_t count(const std::vector<RetiredSpan>& spans) const { return count_all(spans); }
  std::uint64_t count(const SpanLog& spans) const {
    std::uint64_t objects = 0;
    spans.for_each_block(0, [&](std::span<const RetiredSpan> block) { objects += count_all(block); });
    return objects;
  }
  std::uint64_t count_one(const RetiredSpan& span) const { return count_all({&span, 1}); }
  // Calls visit(ObjectRef) for every object of a span; stops early, and returns false, at a word that is no header.
  template <class Visit> bool for_each(const RetiredSpan& span, Visit visit) const {
    for (Address at = span.start; at < span.end;) {
      const HeaderWord header = load_header({at});
      if (!known(header)) {
        return false;
      }
      const std::size_t bytes = layouts_.object_bytes({at});
      if (bytes == 0 || bytes > span.end - at) {
        return false; // a length was overwritten
      }
      if (!header.is_filler()) {
        visit(ObjectRef{at});
      }
      at += bytes;
    }
    return true;
  }

private:
  std::uint64_t count_all(std::span<const RetiredSpan> spans) const;
  bool known(HeaderWord header) const {
    return header.is_filler() ? header.filler_granules() != 0 : layouts_.knows({header.layout_number()});
  }

  const LayoutTable& layouts_;
};

} // namespace echo
