// SPDX-License-Identifier: MIT
//
// checked_heap.h - one heap of the real plugin, its shadow, and the checker's own stop.
//
// Method      At a safepoint, with no thread in the VM's managed code, the checker goes through the objects from the roots that the
//             VM declared: handles, root words, what the frame source shows. A slot on the way must hold what the stores that were
//             announced left in it, else a barrier is missing; an object that is not on the way is dead, and whoever still has
//             a reference to it kept that where no root is.
// Invariants  [check.stop.1] A check runs under the mutex while no thread is running; who leaves a call waits for it.
//             [check.lock.1] Nothing of the real plugin is called under the mutex, but for what a trace callback asks of a heap. [check.exact.1] Where a VM has ambiguous roots,
//             or slots that the checker does not follow, nothing is called dead.
#ifndef ECHO_CHECK_CHECKED_HEAP_H
#define ECHO_CHECK_CHECKED_HEAP_H

#include "callbacks.h"
#include "checked_thread.h"
#include "fork_mark.h"
#include "options.h"
#include "report.h"
#include "shadow.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

namespace check {

class CheckedHeap {
public:
  CheckedHeap(const echo_heap_api& api, Options options);
  ~CheckedHeap();
  CheckedHeap(const CheckedHeap&) = delete;
  CheckedHeap& operator=(const CheckedHeap&) = delete;
  // With the real heap: makes the recipes, starts the watch. False: no thread is to be had.
  bool open(echo_heap* real);

  static CheckedHeap* of(echo_heap* heap) { return reinterpret_cast<CheckedHeap*>(heap); }
  echo_heap* as_handle() { return reinterpret_cast<echo_heap*>(this); }
  echo_heap* real() const { return real_; }
  const echo_recipes& recipes() const { return recipes_; }
  const echo_recipes& real_recipes() const { return *real_recipes_; }
  Report& report() { return report_; }
  const Options& options() const { return options_; }

  // What the VM declares.
  void know_layout(echo_layout_id id, TraceCallback* callback = nullptr);
  // The same for the same function and context, as long as the heap lives. [check.callback.1]
  TraceCallback& trace_callback(echo_trace_fn function, void* context);
  OutOfMemoryCallback& out_of_memory_callback(echo_out_of_memory_fn handler, void* context);
  void add_roots(echo_ref* first, std::uint64_t count);
  void remove_roots(echo_ref* first);
  void be_inexact();
  void set_source(const echo_frame_source& source);
  const echo_frame_source& source() const { return source_; }

  // Threads.
  void attached(CheckedThread& thread, const Site& site);
  void detached(CheckedThread& thread);
  CheckedThread* thread_of(const echo_thread* real);
  // Of the calling thread, whatever block it names; 0: it has none.
  std::uintptr_t managed_frame_of_caller();
  // Around calls that may reach a safepoint, and native states. `counts`: a check may come of it.
  void park(CheckedThread& thread, const Site& site, bool counts);
  void resume(CheckedThread& thread);

  // A fork. [check.fork.1]
  bool is_forking(const CheckedThread& thread) const { return forking_ == &thread; }
  void hold_over_fork(CheckedThread& thread);
  void go_on_in_parent(CheckedThread& thread);
  // False: there is no thread for the watch.
  bool go_on_in_child(CheckedThread& thread);
  // In a child that the heap was not told of. [fork.stranger.1]
  bool is_stranger() const { return !mark_.is_there(); }

  // What the VM does.
  void born(CheckedThread& thread, echo_ref object, echo_layout_id id);
  void stores(CheckedThread& thread, std::uintptr_t slot, std::uintptr_t value, const Site& site);
  void stores_in(CheckedThread& thread, echo_ref object, std::uint64_t offset, echo_ref value,
                 const Site& site);
  // The slot of element `index`; false: the array has none.
  bool element(echo_ref array, std::uint64_t index, std::uintptr_t* slot);
  // `object` is about to be used as a reference. False, and told: it is none.
  bool uses(CheckedThread& thread, echo_ref object, const char* as, const Site& site);
  // A weak load or a resolution gave it: alive from now on.
  void obtained(echo_ref object);
  // A word that a trace callback visits is about to be overwritten. [check.shadow.4]
  void overwrites(CheckedThread& thread, const echo_ref* slot, echo_ref value, const Site& site);
  void called(CheckedThread& thread, const Site& site);

private:
  void announce(std::uintptr_t start, Object& into, std::uint64_t offset, std::uintptr_t value,
                const Site& site);
  template <typename Where> void expect_stored(std::uintptr_t value, const Where& where, const Site& site);
  void check(); // with the mutex held and nobody running [check.stop.1]
  void visit_frames(CheckedThread& thread);
  void visit(std::uintptr_t word, const char* from);
  void adopt(std::uintptr_t start, Object& object);
  void look_at(std::uintptr_t start, Object& object);
  void look_at_traced(std::uintptr_t start, Object& object);
  bool start_watch();
  void trace();
  void watch();
  bool is_due();
  bool is_dead(const Object& object) const { return is_exact_ && !object.is_new && object.reached < checks_; }
  static std::string named(const Object& object) { return "a '" + object.layout->name + "'"; }
  Site last_site() const;

  const echo_heap_api& api_;
  const Options options_;
  echo_heap* real_ = nullptr;
  const echo_recipes* real_recipes_ = nullptr;
  echo_recipes recipes_{};
  echo_frame_source source_{};
  Report report_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::mutex threads_mutex_; // for the frame source, which the real plugin calls whenever it likes
  std::unordered_map<const echo_thread*, CheckedThread*> threads_;
  unsigned next_number_ = 1;
  std::vector<CheckedThread*> attached_;
  unsigned running_ = 0;
  bool is_wanted_ = false; // a check waits for those who run
  bool is_exact_ = true;
  bool is_ending_ = false;
  std::uint64_t safepoints_ = 0, next_check_ = 16, checks_ = 0, visited_ = 0;
  std::unordered_map<echo_layout_id, std::unique_ptr<Layout>> layouts_;
  std::map<echo_ref*, std::uint64_t> roots_;
  std::deque<TraceCallback> traces_;
  std::deque<OutOfMemoryCallback> handlers_;
  std::unordered_map<std::uintptr_t, std::uint64_t>
      overwritten_; // words that trace callbacks visit, with the number of the check before
  Shadow shadow_;
  std::vector<std::pair<std::uintptr_t, Object*>> grey_;
  Site checking_for_; // who reached the safepoint of the check that is on
  std::thread watch_;
  std::atomic<const CheckedThread*> forking_ = nullptr; // between prepare and parent or child
  ForkMark mark_;
};

} // namespace check

#endif // ECHO_CHECK_CHECKED_HEAP_H
