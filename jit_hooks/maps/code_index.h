/* SPDX-License-Identifier: MIT
 *
 * maps/code_index.h - which code is where, and the sites in it: read without a lock, also in a signal
 * handler.
 *
 * Purpose     Each linked object becomes one immutable CodeUnit; the index is an immutable sorted vector of
 * units, replaced as a whole when a unit is added (read-copy-update). Invariants  [jit.index.1] A published
 * unit or vector never changes. [jit.index.2] A reader counts itself in before it loads the vector and out
 * after its last use; the writer frees a retired vector only when, after the new one is published, it sees no
 * reader. Both sides are sequentially consistent: a reader that the writer does not see loads the new vector.
 * [jit.index.3] A unit is freed with the index, or, once removed, like a vector. [jit.index.4] Code ranges of units do not overlap.
 */
#ifndef ECHO_JIT_CODE_INDEX_H
#define ECHO_JIT_CODE_INDEX_H

#include "maps/stack_map_parser.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace echo::jit {

/* What echo_jit_call must know of a function. */
struct Signature {
  bool callable = false;   /* integer and pointer parameters only, at most 6 */
  uint8_t parameters = 0;  /* without the thread */
  uint8_t result_bits = 0; /* 0: void */
  std::string type;        /* in the letters of echo_jit_define_typed */
};

struct FunctionRange {
  uintptr_t begin = 0, end = 0;
  std::string name;
  Signature signature;
};

/* From here on the code comes from this line; 0: from none. */
struct SourceLine {
  uintptr_t pc = 0;
  uint32_t line = 0, file = 0; /* number in CodeUnit::files */
};

/* One linked object. */
struct CodeUnit {
  uintptr_t begin = 0, end = 0;         /* hull of its code */
  std::vector<FunctionRange> functions; /* in order of address */
  ParsedMaps maps;
  std::vector<SourceLine> lines;  /* in order of address; empty unless ECHO_JIT_TOOL_LINES */
  std::vector<std::string> files; /* names without folders */

  const FunctionRange* function_at(uintptr_t pc) const;
  const Site* site_at(uintptr_t pc) const;
  const SourceLine* line_at(uintptr_t pc) const;
};

class CodeIndex {
public:
  /* `free_under_readers`, test only: without what [jit.index.2] says of the writer. */
  explicit CodeIndex(bool free_under_readers = false);
  ~CodeIndex();
  CodeIndex(const CodeIndex&) = delete;
  CodeIndex& operator=(const CodeIndex&) = delete;

  void add(std::unique_ptr<const CodeUnit> unit);
  /* Takes it out of what readers find. */
  void remove(const CodeUnit* unit);

  /* Removed units that wait until no reader can see them. */
  size_t units_waiting();

  /* Counts frames of one unit in walks from now on; null ends it. */
  void watch(const CodeUnit* unit);
  uint64_t watched_frames() const { return watched_frames_.load(); }
  void saw_frame(const CodeUnit* unit) const {
    if (unit == watched_.load(std::memory_order_relaxed))
      watched_frames_.fetch_add(1);
  }

  /* A reader's view; valid while it lives. Async-signal-safe. [jit.index.2] */
  class View {
  public:
    explicit View(const CodeIndex& index);
    ~View();
    View(const View&) = delete;
    View& operator=(const View&) = delete;
    /* The unit whose code contains pc, or null. */
    const CodeUnit* unit_at(uintptr_t pc) const;
    /* The function whose code contains pc, or null. */
    const FunctionRange* function_at(uintptr_t pc) const;

  private:
    const CodeIndex& index_;
    const std::vector<const CodeUnit*>* units_;
  };

private:
  using Units = std::vector<const CodeUnit*>;

  mutable std::atomic<uint64_t> readers_{0};
  void publish(std::unique_ptr<Units> next);

  const bool free_under_readers_;
  std::atomic<const Units*> units_;
  std::atomic<const CodeUnit*> watched_{nullptr};
  mutable std::atomic<uint64_t> watched_frames_{0};
  std::mutex writer_;
  std::vector<std::unique_ptr<const CodeUnit>> owned_;
  std::vector<std::unique_ptr<const Units>> retired_;
  std::vector<std::unique_ptr<const CodeUnit>> retired_units_;
};

} // namespace echo::jit

#endif // ECHO_JIT_CODE_INDEX_H
