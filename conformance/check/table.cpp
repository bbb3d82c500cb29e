// SPDX-License-Identifier: MIT
//
// table.cpp - the checker as a plugin: loads the real one, and hands out a table of its own functions.
#include "calls.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <new>

namespace check {

const echo_heap_api* real = nullptr;

namespace {

echo_status fail(echo_error* why, echo_status status, const std::string& what) {
  if (why != nullptr) {
    why->code = status;
    std::snprintf(why->message, sizeof why->message, "%s", what.c_str());
  }
  return status;
}

echo_status heap_create(const char* options, echo_heap** out, echo_error* why) {
  if (out == nullptr)
    return real->heap_create(options, out, why);
  *out = nullptr;
  Options mine;
  std::string rest, message;
  echo_status status = environment_options(&mine, &message);
  if (status == ECHO_OK)
    status = split_options(options, &mine, &rest, &message);
  if (status != ECHO_OK)
    return fail(why, status, message);
  auto heap = std::unique_ptr<CheckedHeap>(new (std::nothrow) CheckedHeap(*real, mine));
  if (heap == nullptr)
    return fail(why, ECHO_SYSTEM_MEMORY, "no memory for the checker of a heap");
  if (!heap->report().open(mine.report))
    return fail(why, ECHO_IO_ERROR,
                "check_report names a file that cannot be written: " + quoted(mine.report));
  echo_heap* inner = nullptr;
  if (status = real->heap_create(rest.c_str(), &inner, why); status != ECHO_OK)
    return status;
  if (!heap->open(inner)) {
    real->heap_destroy(inner, nullptr);
    return fail(why, ECHO_SYSTEM_MEMORY, "the checker gets no thread, or no recipes of the plugin");
  }
  *out = heap.release()->as_handle();
  return ECHO_OK;
}

echo_status heap_destroy(echo_heap* heap, echo_error* why) {
  const echo_status status = real->heap_destroy(real_of(heap), why);
  if (status == ECHO_OK)
    delete CheckedHeap::of(heap);
  return status;
}

echo_status option_info(std::uint32_t index, echo_option_info* out) {
  const echo_status status = real->option_info(index, out);
  if (status == ECHO_OK || out == nullptr || out->size < sizeof *out)
    return status;
  std::uint32_t theirs = 0;
  echo_option_info probe{};
  for (probe.size = sizeof probe; real->option_info(theirs, &probe) == ECHO_OK; ++theirs) {
  }
  return option_row(index - theirs, out) ? ECHO_OK : status;
}

echo_status layout_register(echo_heap* heap, const echo_layout* layout, echo_layout_id* out,
                            echo_error* why) {
  const echo_status status = real->layout_register(real_of(heap), layout, out, why);
  if (status == ECHO_OK)
    CheckedHeap::of(heap)->know_layout(*out);
  return status;
}
echo_status layout_get(echo_heap* heap, echo_layout_id id, echo_layout_info* out) {
  return real->layout_get(real_of(heap), id, out);
}
echo_status layout_slot(echo_heap* heap, echo_layout_id id, std::uint32_t index, echo_slot* out) {
  return real->layout_slot(real_of(heap), id, index, out);
}
std::uint32_t layout_count(echo_heap* heap) {
  return real->layout_count(real_of(heap));
}

echo_heap* heap_of(const echo_thread* thread) {
  return thread == nullptr ? nullptr : reinterpret_cast<const CheckedThread*>(thread)->heap->as_handle();
}
void* vm_word(const echo_thread* thread) {
  return thread == nullptr ? nullptr : reinterpret_cast<const CheckedThread*>(thread)->vm_word;
}
void set_vm_word(echo_thread* thread, void* word) {
  if (thread != nullptr)
    CheckedThread::of(thread)->vm_word = word;
}
echo_status last_error(const echo_thread* thread, echo_error* out) {
  return real->last_error(thread == nullptr ? nullptr : reinterpret_cast<const CheckedThread*>(thread)->real,
                          out);
}

std::uint64_t object_bytes(echo_heap* heap, echo_ref object) {
  return real->object_bytes(real_of(heap), object);
}
echo_layout_id object_layout(echo_heap* heap, echo_ref object) {
  return real->object_layout(real_of(heap), object);
}
std::uint64_t array_length(echo_heap* heap, echo_ref object) {
  return real->array_length(real_of(heap), object);
}

echo_status collect(echo_thread* thread, std::uint32_t kind, echo_error* why) {
  const Site site = ECHO_CHECK_SITE(thread);
  return judged(CheckedThread::of(thread),
                at_safepoint(thread, "echo_collect", site,
                             [&](echo_thread* mine) { return real->collect(mine, kind, why); }),
                "echo_collect", site);
}
echo_status statistics(echo_heap* heap, echo_statistics* out) {
  return real->statistics(real_of(heap), out);
}
echo_status verify(echo_thread* thread, std::uint32_t level, echo_error* why) {
  const Site site = ECHO_CHECK_SITE(thread);
  return judged(CheckedThread::of(thread),
                at_safepoint(thread, "echo_verify", site,
                             [&](echo_thread* mine) { return real->verify(mine, level, why); }),
                "echo_verify", site);
}
echo_status recipes(echo_heap* heap, std::uint32_t set, const echo_recipes** out) {
  const echo_status status = real->recipes(real_of(heap), set, out);
  if (status == ECHO_OK)
    *out = &CheckedHeap::of(heap)->recipes();
  return status;
}

echo_status ambiguous_stack(echo_thread* thread, std::uint32_t on, echo_error* why) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread* const t = CheckedThread::of(thread);
  const echo_status status =
      judged(t, real->ambiguous_stack(real_of(thread), on, why), "echo_ambiguous_stack", site);
  if (status == ECHO_OK)
    t->heap->be_inexact();
  return status;
}
echo_status ambiguous_range_add(echo_heap* heap, const void* start, std::uint64_t bytes, echo_error* why) {
  const echo_status status = real->ambiguous_range_add(real_of(heap), start, bytes, why);
  if (status == ECHO_OK)
    CheckedHeap::of(heap)->be_inexact();
  return status;
}
echo_status ambiguous_range_remove(echo_heap* heap, const void* start, echo_error* why) {
  return real->ambiguous_range_remove(real_of(heap), start, why);
}

echo_status test_cycle_start(echo_thread* thread, echo_error* why) {
  return at_safepoint(thread, "echo_test_cycle_start", ECHO_CHECK_SITE(thread),
                      [&](echo_thread* mine) { return real->test_cycle_start(mine, why); });
}
echo_status test_cycle_step(echo_thread* thread, std::uint64_t units, std::uint32_t* state, echo_error* why) {
  return at_safepoint(thread, "echo_test_cycle_step", ECHO_CHECK_SITE(thread),
                      [&](echo_thread* mine) { return real->test_cycle_step(mine, units, state, why); });
}
echo_status test_cycle_finish(echo_thread* thread, echo_error* why) {
  return at_safepoint(thread, "echo_test_cycle_finish", ECHO_CHECK_SITE(thread),
                      [&](echo_thread* mine) { return real->test_cycle_finish(mine, why); });
}
echo_status test_cycle_hold(echo_thread* thread, std::uint32_t on, echo_error* why) {
  return at_safepoint(thread, "echo_test_cycle_hold", ECHO_CHECK_SITE(thread),
                      [&](echo_thread* mine) { return real->test_cycle_hold(mine, on, why); });
}

echo_status step(echo_thread* thread, std::uint64_t budget_us, std::uint32_t* done) {
  return at_safepoint(thread, "echo_step", ECHO_CHECK_SITE(thread),
                      [&](echo_thread* mine) { return real->step(mine, budget_us, done); });
}
echo_status finalizer_next(echo_thread* thread, echo_ref* out) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread* const t = CheckedThread::of(thread);
  if (t != nullptr)
    (void)owns(*t, "echo_finalizer_next", site);
  const echo_status status = real->finalizer_next(real_of(thread), out);
  if (t != nullptr && status == ECHO_OK && *out != nullptr)
    t->heap->obtained(*out);
  return status;
}
std::uint64_t finalizers_due(echo_heap* heap) {
  return real->finalizers_due(real_of(heap));
}

// [check.forward.1] A member that is missing here is an error of the compiler (missing-field-initializers), and a table that has
// grown one of the next line: forward the new function, say in the checker what it roots or lets go, then raise the number.
static_assert(sizeof(echo_heap_api) == 24 + 70 * sizeof(void*), "a function of the table is not forwarded");
const echo_heap_api functions = {sizeof(echo_heap_api),
                                 ECHO_ABI_MAJOR,
                                 ECHO_ABI_MINOR,
                                 "checker",
                                 0,
                                 heap_create,
                                 heap_destroy,
                                 option_info,
                                 layout_register,
                                 layout_get,
                                 layout_slot,
                                 layout_count,
                                 attach,
                                 detach,
                                 enter_native,
                                 leave_native,
                                 enter_blocked,
                                 leave_blocked,
                                 poll,
                                 heap_of,
                                 vm_word,
                                 set_vm_word,
                                 last_error,
                                 allocate,
                                 store,
                                 array_store,
                                 object_bytes,
                                 object_layout,
                                 array_length,
                                 scope_open,
                                 scope_close,
                                 handle_new,
                                 handle_get,
                                 handle_set,
                                 roots_add,
                                 roots_remove,
                                 frame_source_set,
                                 collect,
                                 statistics,
                                 verify,
                                 recipes,
                                 identity_hash,
                                 ambiguous_stack,
                                 ambiguous_range_add,
                                 ambiguous_range_remove,
                                 resolve,
                                 weak_load,
                                 test_cycle_start,
                                 test_cycle_step,
                                 test_cycle_finish,
                                 test_cycle_hold,
                                 step,
                                 finalizer_next,
                                 finalizers_due,
                                 persistent_new,
                                 persistent_of,
                                 persistent_copy,
                                 persistent_get,
                                 persistent_set,
                                 persistent_destroy,
                                 pin_object,
                                 unpin_object,
                                 roots_callback_add,
                                 roots_callback_remove,
                                 layout_register_traced,
                                 store_outside,
                                 walk_objects,
                                 external_memory,
                                 out_of_memory_set,
                                 listener_add,
                                 listener_remove,
                                 histogram_export,
                                 fork_prepare,
                                 fork_parent,
                                 fork_child};

echo_heap_api table;
void* library = nullptr;

// ECHO_CHECK_PLUGIN, or libecho_heap.so beside this library.
std::string path_of_real() {
  if (const char* const named = std::getenv("ECHO_CHECK_PLUGIN"); named != nullptr)
    return named;
  Dl_info self{};
  if (dladdr(&table, &self) == 0 || self.dli_fname == nullptr)
    return "libecho_heap.so";
  const std::string mine = self.dli_fname;
  const std::size_t slash = mine.rfind('/');
  return (slash == std::string::npos ? std::string("./") : mine.substr(0, slash + 1)) + "libecho_heap.so";
}

// "" or why there is nothing to check.
std::string load_real() {
  const std::string path = path_of_real();
  library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    return "the plugin to be checked does not load (name it in ECHO_CHECK_PLUGIN): " + std::string(dlerror());
  const auto entry = reinterpret_cast<decltype(&echo_heap_plugin)>(dlsym(library, "echo_heap_plugin"));
  if (entry == nullptr)
    return path + " exports no echo_heap_plugin";
  if (entry == &echo_heap_plugin)
    return path + " is the checker itself: ECHO_CHECK_PLUGIN names the plugin to be checked";
  echo_error why{};
  const echo_heap_api* const found = entry(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, &why);
  if (found == nullptr)
    return path + ": " + why.message;
  if (found->size < sizeof(echo_heap_api))
    return path + " has a smaller table than its version promises";
  if ((found->features & ECHO_FEATURE_MOVES) != 0)
    return path + " moves objects: the checker knows them by their addresses";
  real = found;
  table = functions;
  table.features = found->features;
  return "";
}

[[gnu::destructor]] void unload_real() {
  if (library != nullptr)
    dlclose(library);
}

} // namespace
} // namespace check

const echo_heap_api* echo_heap_plugin(std::uint32_t wanted_major, std::uint32_t wanted_minor,
                                      echo_error* why) {
  static const std::string broken = check::load_real();
  if (!broken.empty()) {
    check::fail(why, ECHO_INVALID_ARGUMENT, broken);
    return nullptr;
  }
  if (wanted_major != ECHO_ABI_MAJOR || wanted_minor > ECHO_ABI_MINOR) {
    check::fail(why, ECHO_VERSION_MISMATCH,
                "the checker serves ABI " + std::to_string(ECHO_ABI_MAJOR) + "." +
                    std::to_string(ECHO_ABI_MINOR));
    return nullptr;
  }
  return &check::table;
}
