// SPDX-License-Identifier: MIT
//
// object_calls.cpp - allocation, stores and loads, and the cold paths that every recipe of the checker leads to.
#include "calls.h"

#include "echo/recipes.h"

namespace check {

namespace {

bool listens(const CheckedThread& t) {
  return reinterpret_cast<const std::uint8_t*>(t.real)[t.heap->real_recipes().phase_offset] != 0;
}

echo_ref allocate_at(echo_thread* thread, echo_layout_id layout, std::uint64_t length, const char* function,
                     const Site& site) {
  const echo_ref object = at_safepoint(
      thread, function, site, [&](echo_thread* mine) { return real->allocate(mine, layout, length); });
  if (object != nullptr)
    CheckedThread::of(thread)->heap->born(*CheckedThread::of(thread), object, layout);
  return object;
}

echo_ref allocate_cold(echo_thread* thread, echo_layout_id layout, std::uint64_t length) {
  return allocate_at(thread, layout, length, "allocate_cold", ECHO_CHECK_SITE(thread));
}

void store_cold(echo_thread* thread, echo_ref* slot, echo_ref value) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread& t = *CheckedThread::of(thread);
  if (!owns(t, "store_cold", site))
    return;
  t.heap->stores(t, reinterpret_cast<std::uintptr_t>(slot), reinterpret_cast<std::uintptr_t>(value), site);
  const echo_recipes& r = t.heap->real_recipes();
  if (r.store_kind == ECHO_STORE_PHASE_TEST && listens(t))
    r.store_cold(t.real, slot, value);
}

echo_ref weak_load_cold(echo_thread* thread, echo_ref* slot) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread& t = *CheckedThread::of(thread);
  if (!owns(t, "weak_load_cold", site))
    return nullptr;
  t.heap->called(t, site);
  const echo_ref loaded = listens(t) ? t.heap->real_recipes().weak_load_cold(t.real, slot)
                                     : __atomic_load_n(slot, __ATOMIC_RELAXED);
  t.heap->obtained(loaded);
  return loaded;
}

std::uint64_t hash_cold(echo_thread* thread, echo_ref object) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread& t = *CheckedThread::of(thread);
  if (!owns(t, "hash_cold", site) || !t.heap->uses(t, object, "what is hashed", site))
    return 0;
  return real->identity_hash(t.real, object);
}

void poll_cold(echo_thread* thread) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread& t = *CheckedThread::of(thread);
  if (!owns(t, "poll_cold", site))
    return;
  const Parked parked(t, site);
  real->poll(t.real);
}

void enter_native_cold(echo_thread* thread) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread& t = *CheckedThread::of(thread);
  if (!owns(t, "enter_native_cold", site))
    return;
  publish_anchor(t);
  t.heap->park(t, site, false);
  real->enter_native(t.real);
}

void leave_native_cold(echo_thread* thread) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread& t = *CheckedThread::of(thread);
  if (!owns(t, "leave_native_cold", site))
    return;
  real->leave_native(t.real);
  t.heap->resume(t);
}

} // namespace

void fill_recipes(const echo_recipes& of_real, echo_recipes* out) {
  echo_recipes& r = *out;
  r = of_real;
  r.size = sizeof r;
  r.cursor_offset = offsetof(CheckedThread, cursor);
  r.limit_offset = offsetof(CheckedThread, limit);
  r.allocate_cold = allocate_cold;
  r.store_kind = ECHO_STORE_PHASE_TEST;
  r.phase_offset = offsetof(CheckedThread, phase);
  r.store_cold = store_cold;
  r.poll_offset = offsetof(CheckedThread, poll_word);
  r.poll_cold = poll_cold;
  r.anchor_sp_offset = offsetof(CheckedThread, anchor_sp);
  r.anchor_fp_offset = offsetof(CheckedThread, anchor_fp);
  r.anchor_pc_offset = offsetof(CheckedThread, anchor_pc);
  r.filler_word = 0;
  r.hash_mask = 0; // never equal: always the cold path
  r.hash_value = 1;
  r.hash_cold = of_real.hash_cold == nullptr ? nullptr : hash_cold;
  r.state_offset = offsetof(CheckedThread, state);
  r.state_managed = kManaged;
  r.state_native = kNative;
  r.enter_native_cold = enter_native_cold;
  r.leave_native_cold = leave_native_cold;
  r.weak_load_cold = of_real.weak_load_cold == nullptr ? nullptr : weak_load_cold;
}

echo_ref allocate(echo_thread* thread, echo_layout_id layout, std::uint64_t length) {
  return allocate_at(thread, layout, length, "echo_allocate", ECHO_CHECK_SITE(thread));
}

echo_status store(echo_thread* thread, echo_ref object, std::uint64_t offset, echo_ref value) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread* const t = CheckedThread::of(thread);
  if (t != nullptr && owns(*t, "echo_store", site) && object != nullptr &&
      t->heap->uses(*t, object, "the object that echo_store stores into", site))
    t->heap->stores_in(*t, object, offset, value, site);
  return judged(t, real->store(real_of(thread), object, offset, value), "echo_store", site);
}

echo_status array_store(echo_thread* thread, echo_ref array, std::uint64_t index, echo_ref value) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread* const t = CheckedThread::of(thread);
  std::uintptr_t slot = 0;
  if (t != nullptr && owns(*t, "echo_array_store", site) && array != nullptr &&
      t->heap->uses(*t, array, "the array that echo_array_store stores into", site)) {
    if (t->heap->element(array, index, &slot))
      t->heap->stores(*t, slot, reinterpret_cast<std::uintptr_t>(value), site);
    else
      t->heap->report().add(Mistake::BAD_STORE,
                            "echo_array_store stores element " + std::to_string(index) +
                                ", which the object has not, or it holds no references",
                            site);
  }
  return judged(t, real->array_store(real_of(thread), array, index, value), "echo_array_store", site);
}

echo_ref weak_load(echo_thread* thread, echo_ref object, std::uint64_t offset) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread* const t = CheckedThread::of(thread);
  if (t != nullptr && owns(*t, "echo_weak_load", site))
    (void)t->heap->uses(*t, object, "the object of echo_weak_load", site);
  const echo_ref loaded = real->weak_load(real_of(thread), object, offset);
  if (t != nullptr && loaded != nullptr)
    t->heap->obtained(loaded);
  return loaded;
}

echo_ref resolve(echo_thread* thread, std::uintptr_t word) {
  const echo_ref found = at_safepoint(thread, "echo_resolve", ECHO_CHECK_SITE(thread),
                                      [&](echo_thread* mine) { return real->resolve(mine, word); });
  if (found != nullptr)
    CheckedThread::of(thread)->heap->obtained(found);
  return found;
}

std::uint64_t identity_hash(echo_thread* thread, echo_ref object) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread* const t = CheckedThread::of(thread);
  if (t != nullptr && owns(*t, "echo_identity_hash", site))
    (void)t->heap->uses(*t, object, "what is hashed", site);
  return real->identity_hash(real_of(thread), object);
}

} // namespace check
