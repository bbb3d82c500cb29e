// SPDX-License-Identifier: MIT
//
// Purpose     The registered layouts: validated, numbered 1..count, never changed, read by the marker without
//             a lock.
// Drawing     a record is one cache line; the first 63 payload words' slots are a bitmap in it, the
//             rest beside it
//
//             | size granules | kind | flags | align | slots map lo (64 words) | element | name | more |
//
// Invariants  [heap.layout.1] A record is complete before its number is handed out and constant afterwards.
//             [heap.layout.2] Slots are distinct, 8-aligned, behind header (and length) and inside the fixed
//             part. [heap.layout.4] Behind the slot of an ephemeron's key is that of its value, and none is alone.
//             [heap.layout.3] object_bytes() never overflows: allocation checks lengths by
//             checked_object_bytes(). [heap.layout.5] A million layouts fit: a record of 64 bytes, name and slots in blocks
//             of 64 KiB, 4 to 16 bytes of index.
// Equations   bytes(fixed) = max(16, round_up(fixed_bytes, 8))   [heap.cell.1]
//             bytes(array) = round_up(elements_offset + length * element_bytes, 8)
#pragma once

#include "echo/layout.h"
#include "echo/services.h"
#include "heap/mutex.h"
#include "heap/object_header.h"
#include "heap/words.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace echo {

struct alignas(kCacheLine) LayoutRecord {
  std::uint64_t strong_map = 0;    // bit i: word i of the first 64 is a strong slot
  std::uint64_t tagged_map = 0;    // bit i: word i of the first 64 is a tagged slot
  std::uint32_t fixed_bytes = 0;   // rounded to the granule; for arrays the offset of element 0
  std::uint32_t element_bytes = 0; // 0: no elements
  std::uint8_t kind = 0;           // echo_layout_kind
  std::uint8_t flags = 0;
  std::uint8_t alignment = 8;
  bool traced_elements = false;
  bool has_long_slots = false; // slots at word 64 and above: in `slots`
  bool is_array = false;
  bool is_simple = false;          // fixed, small, no slots but strong ones in the first 64 words
  bool ambiguous_elements = false; // every whole word of the elements may be a reference
  std::uint32_t slot_count = 0;
  bool has_weak_slots = false;      // in `slots`, in no map
  bool has_ephemerons = false;      // likewise
  bool has_trace = false;           // by the VM: trace()
  const echo_slot* slots = nullptr; // sorted by offset
  const char* name = nullptr;
  std::uint64_t exact_fixed_bytes = 0; // as registered, at least kMinObjectBytes: for enumeration

  bool is_finalizable() const { return (flags & ECHO_LAYOUT_FINALIZABLE) != 0; }
  bool is_leaf() const { return slot_count == 0 && !traced_elements && !ambiguous_elements && !has_trace; }
  // Precondition: has_trace. It lies behind the slots.
  struct Trace {
    echo_trace_fn trace;
    void* context;
  };
  const Trace& trace() const { return *reinterpret_cast<const Trace*>(slots + slot_count); }
  // Of an object's elements. Precondition: its bytes do not overflow.
  std::uint64_t ambiguous_words(std::uint64_t length) const {
    return ambiguous_elements ? length * element_bytes / sizeof(Address) : 0;
  }
};
static_assert(sizeof(LayoutRecord) == 64, "one cache line");

class LayoutTable {
public:
  static constexpr std::uint64_t kMaxFixedBytes = std::uint64_t{16} << 20;
  static constexpr std::uint32_t kMaxElementBytes = 65536;
  static constexpr std::size_t kMaxNameBytes = 255;
  static constexpr std::size_t kMinObjectBytes = 16; // [heap.cell.1]

  ~LayoutTable();
  // False if the operating system refused the table's address space.
  bool open();

  // Registers or finds the layout; ECHO_OK, or a status with the reason in *why.
  echo_status add(const echo_layout& layout, LayoutId* out, std::string* why) ECHO_EXCLUDES(mutex_) {
    return add(layout, {nullptr, nullptr}, out, why);
  }
  // With a trace callback, unless it is null.
  echo_status add(const echo_layout& layout, const LayoutRecord::Trace& trace, LayoutId* out,
                  std::string* why) ECHO_EXCLUDES(mutex_);

  std::uint32_t count() const { return count_.load(std::memory_order_acquire); }
  bool knows(LayoutId id) const { return id.number >= 1 && id.number <= count(); }
  // Precondition: knows(id).
  const LayoutRecord& record(LayoutId id) const { return records_[id.number]; }
  // Names, slots and the index, beside the records: about 8 bytes, the name and 8 bytes per slot for each layout.
  std::size_t side_bytes() const { return side_bytes_.load(std::memory_order_relaxed); }
  // All records, for loops: index with a known number.
  const LayoutRecord* records() const { return records_; }

  // Bytes of an object that exists; header filler included. Precondition: its header names a known layout.
  std::size_t object_bytes(ObjectRef object) const {
    const HeaderWord header = load_header(object);
    if (header.is_filler()) {
      return header.filler_granules() * kGranule;
    }
    const LayoutRecord& r = record({header.layout_number()});
    return r.is_array ? round_up(r.fixed_bytes + load_length(object) * r.element_bytes, kGranule)
                      : r.fixed_bytes;
  }
  // Bytes of an object to be allocated; false on overflow (or over 2^47, which no heap holds).
  // [heap.layout.3]
  static bool checked_object_bytes(const LayoutRecord& r, std::uint64_t length, std::uint64_t* bytes);

private:
  char* keep(std::size_t bytes) ECHO_REQUIRES(mutex_);
  void grow_index() ECHO_REQUIRES(mutex_);
  echo_status validate(const echo_layout& layout, std::vector<echo_slot>* slots, std::string* why) const;

  Mutex mutex_;
  LayoutRecord* records_ = nullptr; // reserved for kMaxLayouts + 1 records, touched as they come
  std::atomic<std::uint32_t> count_{0};
  std::vector<std::uint32_t> index_ ECHO_GUARDED_BY(mutex_); // numbers by hash of the descriptor; 0: none
  std::vector<std::unique_ptr<std::uint64_t[]>> blocks_ ECHO_GUARDED_BY(mutex_); // names and slots
  char* arena_ ECHO_GUARDED_BY(mutex_) = nullptr;                                // free part of the last one
  std::size_t arena_left_ ECHO_GUARDED_BY(mutex_) = 0;
  std::atomic<std::size_t> side_bytes_{0};
};

} // namespace echo
