/* SPDX-License-Identifier: MIT
 *
 * maps/frame_walker.cpp - walk. Method and invariants: frame_walker.h.
 */
#include "maps/frame_walker.h"

#include "entry/entry.h"

#include <array>
#include <cinttypes>
#include <cstdio>

namespace echo::jit {
namespace {

uintptr_t word_at(uintptr_t address) {
  return *reinterpret_cast<const uintptr_t*>(address);
}

/* Recursion repeats the same few return addresses: remember them for one walk. */
class SiteFinder {
public:
  explicit SiteFinder(const CodeIndex::View& view) : view_(view) {}

  struct Found {
    const CodeUnit* unit;
    const Site* site;
  };
  Found find(uintptr_t pc) {
    Entry& entry = entries_[(pc ^ (pc >> 6)) % entries_.size()];
    if (entry.pc != pc) {
      const CodeUnit* const unit = view_.unit_at(pc);
      entry = {pc, {unit, unit != nullptr ? unit->site_at(pc) : nullptr}};
    }
    return entry.found;
  }

private:
  struct Entry {
    uintptr_t pc = 0;
    Found found{nullptr, nullptr};
  };
  const CodeIndex::View& view_;
  std::array<Entry, 32> entries_{};
};

echo_status without_map(echo_error* why, const CodeIndex::View& view, uintptr_t pc) {
  const CodeUnit* const unit = view.unit_at(pc);
  const FunctionRange* const function = unit != nullptr ? unit->function_at(pc - 1) : nullptr;
  char text[400];
  std::snprintf(text, sizeof text,
                "no stack map for the return address 0x%" PRIxPTR
                " (%.200s): a frame that is no managed frame lies "
                "between the anchor and its entry",
                pc, function != nullptr ? function->name.c_str() : "not compiled by this JIT");
  fill_error(why, ECHO_FRAME_WITHOUT_MAP, text);
  return ECHO_FRAME_WITHOUT_MAP;
}

echo_status broken_chain(echo_error* why, const echo_frame_cursor& cursor, const char* what) {
  char text[400];
  std::snprintf(text, sizeof text, "the frame at pc 0x%" PRIxPTR ", sp 0x%" PRIxPTR ", fp 0x%" PRIxPTR ": %s",
                cursor.pc, cursor.sp, cursor.fp, what);
  fill_error(why, ECHO_FRAME_WITHOUT_MAP, text);
  return ECHO_FRAME_WITHOUT_MAP;
}

void visit_roots(const CodeUnit& unit, const Site& site, const echo_frame_cursor& frame,
                 echo_visit_slot_fn visit, void* visitor) {
  const RootLocation* root = unit.maps.roots.data() + site.first_root;
  for (const RootLocation* const end = root + site.root_count; root != end; ++root) {
    const uintptr_t base =
        (root->base_from_fp ? frame.fp : frame.sp) + static_cast<intptr_t>(root->base_offset);
    const uintptr_t derived =
        (root->derived_from_fp ? frame.fp : frame.sp) + static_cast<intptr_t>(root->derived_offset);
    visit(visitor, reinterpret_cast<echo_ref*>(base),
          root->is_derived() ? reinterpret_cast<uintptr_t*>(derived) : nullptr);
  }
}

} // namespace

echo_status walk_frames(void* context, echo_thread*, echo_frame_cursor* cursor, uint32_t max_frames,
                        uint32_t* visited, echo_visit_slot_fn visit, void* visitor, echo_error* why) {
  const CodeIndex& index = *static_cast<const CodeIndex*>(context);
  const CodeIndex::View view(index);
  SiteFinder sites(view);
  const uintptr_t entry_return = entry_return_address();
  echo_frame_cursor frame = *cursor;
  uint32_t count = 0;
  echo_status status = ECHO_OK;
  while (frame.pc != 0) {
    if (frame.pc == entry_return) {
      frame = record_of_entry_frame(frame.fp)->previous;
      continue;
    }
    if (count == max_frames)
      break;
    const auto [unit, site] = sites.find(frame.pc);
    if (site == nullptr) {
      status = without_map(why, view, frame.pc);
      break;
    }
    if (frame.fp % 8 != 0 || frame.fp < frame.sp) {
      status = broken_chain(why, frame, "its frame pointer does not lie above its stack pointer");
      break;
    }
#ifdef ECHO_DEEP_CHECKS
    if (site->frame_size != kUnknownFrameSize && frame.sp + site->frame_size != frame.fp + 8) {
      status = broken_chain(why, frame, "its recorded size does not reach its frame pointer");
      break;
    }
#endif
    index.saw_frame(unit);
    visit_roots(*unit, *site, frame, visit, visitor);
    ++count;
    frame = {frame.fp + 16, word_at(frame.fp), word_at(frame.fp + 8)};
  }
  *cursor = frame;
  *visited = count;
  return status;
}

} // namespace echo::jit
