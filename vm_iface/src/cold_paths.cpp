// SPDX-License-Identifier: MIT
//
// Purpose     The cold paths of the recipes, which compiled code calls: nothing is checked. [abi.recipe.2]
#include "barriers/recipe_data.h"
#include "heap/fault.h"
#include "heap/identity_hash.h"
#include "vm_iface/src/calls.h"

namespace echo {
namespace {

// Objects over this size are allocated by the cold path also by compiled code.
constexpr std::size_t kMaxInlineBytes = 4096;

void store_cold(echo_thread* thread, echo_ref* slot, echo_ref) {
  if (has_fault(Fault::StoreUnrecorded)) {
    return;
  }
  Mutator& m = *Mutator::from(thread);
  store_barrier_cold(m, m.barrier, m.collector.barriers, reinterpret_cast<Address>(slot));
}

std::uint64_t hash_cold(echo_thread*, echo_ref object) {
  return identity_hash({reinterpret_cast<Address>(object)});
}

void enter_native_cold(echo_thread* thread) {
  Mutator& m = *Mutator::from(thread);
  m.collector.safepoints.entered_native(m);
}

void leave_native_cold(echo_thread* thread) {
  Mutator& m = *Mutator::from(thread);
  m.collector.safepoints.leave_native(m);
}

} // namespace

echo_ref allocate_cold(echo_thread* thread, echo_layout_id layout, std::uint64_t length) {
  Mutator& m = *Mutator::from(thread);
  try {
    return as_ref(m.collector.allocate(m, {layout}, length));
  } catch (const std::exception&) {
    set_error(m, ECHO_SYSTEM_MEMORY, "no native memory for the collector");
    return nullptr;
  }
}

echo_ref weak_load_cold(echo_thread* thread, echo_ref* slot) {
  if (has_fault(Fault::WeakLoadUnlogged)) {
    return *slot;
  }
  Mutator& m = *Mutator::from(thread);
  return as_ref(
      ObjectRef{weak_load_barrier_cold(m, m.barrier, m.collector.barriers, reinterpret_cast<Address>(slot))});
}

void poll_cold(echo_thread* thread) {
  Mutator& m = *Mutator::from(thread);
  if (!m.collector.guard.is_stranger()) {
    m.collector.poll(m);
  }
}

echo_recipes plugin_recipes() {
  return make_recipes(
      {allocate_cold, store_cold, poll_cold, hash_cold, enter_native_cold, leave_native_cold, weak_load_cold},
      kMaxInlineBytes);
}

} // namespace echo
