// SPDX-License-Identifier: MIT
//
// Purpose     Loading: version negotiation, the table against the exported names, feature bits against
// answers.
#include "tests/vm_iface/heap_fixture.h"

#include <cstring>
#include <dlfcn.h>

namespace echo {
namespace {

using test::HeapFixture;
using test::untouched;

TEST(Plugin, ServesItsVersionAndOlderMinors) { // [abi.version.1]
  for (std::uint32_t minor = 0; minor <= ECHO_ABI_MINOR; ++minor) {
    echo_error why = untouched();
    const echo_heap_api* api = echo_heap_plugin(ECHO_ABI_MAJOR, minor, &why);
    ASSERT_NE(api, nullptr);
    EXPECT_EQ(why.code, -1) << "left alone on success";
    EXPECT_EQ(api->abi_major, ECHO_ABI_MAJOR);
    EXPECT_EQ(api->abi_minor, ECHO_ABI_MINOR);
    EXPECT_GE(api->size, sizeof(echo_heap_api));
    EXPECT_STRNE(api->build_id, "");
    EXPECT_EQ(api, echo_heap_plugin(ECHO_ABI_MAJOR, minor, nullptr)) << "static";
  }
}

TEST(Plugin, RefusesOtherVersionsWithASentence) {
  const std::pair<std::uint32_t, std::uint32_t> others[] = {
      {0, 0}, {ECHO_ABI_MAJOR + 1, 0}, {ECHO_ABI_MAJOR, ECHO_ABI_MINOR + 1}, {UINT32_MAX, UINT32_MAX}};
  for (const auto& [major, minor] : others) {
    echo_error why = untouched();
    EXPECT_EQ(echo_heap_plugin(major, minor, &why), nullptr);
    EXPECT_EQ(why.code, ECHO_VERSION_MISMATCH);
    EXPECT_EQ(std::string(why.message), "this plugin serves ABI " + std::to_string(ECHO_ABI_MAJOR) +
                                            ".0 to " + std::to_string(ECHO_ABI_MAJOR) + "." +
                                            std::to_string(ECHO_ABI_MINOR) + ", the VM asks for " +
                                            std::to_string(major) + "." + std::to_string(minor));
    EXPECT_EQ(echo_heap_plugin(major, minor, nullptr), nullptr) << "why may be null";
  }
}

// The exported function of each entry, by the entry's name.
TEST(Plugin, TheTableHoldsTheExportedFunctions) { // [abi.table.1]
  const echo_heap_api* api = echo_heap_plugin(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, nullptr);
  ASSERT_NE(api, nullptr);
  const auto exported = [](const char* name) {
    void* symbol = ::dlsym(RTLD_DEFAULT, name);
    EXPECT_NE(symbol, nullptr) << name;
    return symbol;
  };
  std::size_t functions = 0;
  const auto same = [&](auto entry, const char* name) {
    EXPECT_EQ(reinterpret_cast<void*>(entry), exported(name)) << name;
    ++functions;
  };
  same(api->heap_create, "echo_heap_create");
  same(api->heap_destroy, "echo_heap_destroy");
  same(api->option_info, "echo_option_get_info");
  same(api->layout_register, "echo_layout_register");
  same(api->layout_get, "echo_layout_get");
  same(api->layout_slot, "echo_layout_get_slot");
  same(api->layout_count, "echo_layout_count");
  same(api->attach, "echo_attach");
  same(api->detach, "echo_detach");
  same(api->enter_native, "echo_enter_native");
  same(api->leave_native, "echo_leave_native");
  same(api->enter_blocked, "echo_enter_blocked");
  same(api->leave_blocked, "echo_leave_blocked");
  same(api->poll, "echo_poll");
  same(api->heap_of, "echo_heap_of");
  same(api->vm_word, "echo_vm_word");
  same(api->set_vm_word, "echo_set_vm_word");
  same(api->last_error, "echo_last_error");
  same(api->allocate, "echo_allocate");
  same(api->store, "echo_store");
  same(api->array_store, "echo_array_store");
  same(api->object_bytes, "echo_object_bytes");
  same(api->object_layout, "echo_object_layout");
  same(api->array_length, "echo_array_length");
  same(api->scope_open, "echo_scope_open");
  same(api->scope_close, "echo_scope_close");
  same(api->handle_new, "echo_handle_new");
  same(api->handle_get, "echo_handle_get");
  same(api->handle_set, "echo_handle_set");
  same(api->roots_add, "echo_roots_add");
  same(api->roots_remove, "echo_roots_remove");
  same(api->frame_source_set, "echo_frame_source_set");
  same(api->collect, "echo_collect");
  same(api->statistics, "echo_get_statistics");
  same(api->verify, "echo_verify");
  same(api->recipes, "echo_get_recipes");
  same(api->identity_hash, "echo_identity_hash");
  same(api->ambiguous_stack, "echo_ambiguous_stack");
  same(api->ambiguous_range_add, "echo_ambiguous_range_add");
  same(api->ambiguous_range_remove, "echo_ambiguous_range_remove");
  same(api->resolve, "echo_resolve");
  same(api->weak_load, "echo_weak_load");
  same(api->test_cycle_start, "echo_test_cycle_start");
  same(api->test_cycle_step, "echo_test_cycle_step");
  same(api->test_cycle_finish, "echo_test_cycle_finish");
  same(api->test_cycle_hold, "echo_test_cycle_hold");
  same(api->step, "echo_step");
  same(api->finalizer_next, "echo_finalizer_next");
  same(api->finalizers_due, "echo_finalizers_due");
  same(api->persistent_new, "echo_persistent_new");
  same(api->persistent_of, "echo_persistent_of");
  same(api->persistent_copy, "echo_persistent_copy");
  same(api->persistent_get, "echo_persistent_get");
  same(api->persistent_set, "echo_persistent_set");
  same(api->persistent_destroy, "echo_persistent_destroy");
  same(api->pin_object, "echo_pin_object");
  same(api->unpin_object, "echo_unpin_object");
  same(api->roots_callback_add, "echo_roots_callback_add");
  same(api->roots_callback_remove, "echo_roots_callback_remove");
  same(api->layout_register_traced, "echo_layout_register_traced");
  same(api->store_outside, "echo_store_outside");
  same(api->walk_objects, "echo_walk_objects");
  same(api->external_memory, "echo_external_memory");
  same(api->out_of_memory_set, "echo_out_of_memory_set");
  same(api->listener_add, "echo_listener_add");
  same(api->listener_remove, "echo_listener_remove");
  same(api->histogram_export, "echo_histogram_export");
  same(api->fork_prepare, "echo_fork_prepare");
  same(api->fork_parent, "echo_fork_parent");
  same(api->fork_child, "echo_fork_child");
  EXPECT_EQ(functions, (sizeof(echo_heap_api) - offsetof(echo_heap_api, heap_create)) / sizeof(void*))
      << "an entry was added: compare it here";
}

TEST(Plugin, StatusNamesAreStable) { // [abi.error.2]
  EXPECT_STREQ(echo_status_name(ECHO_OK), "OK");
  EXPECT_STREQ(echo_status_name(2), "HEAP_LIMIT");
  EXPECT_STREQ(echo_status_name(16), "HEAP_CORRUPT");
  EXPECT_STREQ(echo_status_name(115), "ABANDONED");
  EXPECT_STREQ(echo_status_name(99), "UNKNOWN");
  EXPECT_STREQ(echo_status_name(-1), "UNKNOWN");
}

// What a feature bit promises is what the functions answer: OK where it is set, NOT_SUPPORTED where it is
// clear.
class Features : public HeapFixture {
protected:
  bool has(std::uint64_t bit) const {
    return (echo_heap_plugin(ECHO_ABI_MAJOR, 0, nullptr)->features & bit) != 0;
  }
  void answers(std::uint64_t bit, echo_status status, const char* what) const {
    EXPECT_EQ(status, has(bit) ? ECHO_OK : ECHO_NOT_SUPPORTED) << what;
  }
  echo_status try_layout(echo_slot_kind kind, std::uint32_t flags, bool slot) {
    const bool is_key = kind == ECHO_SLOT_EPHEMERON_KEY;
    const echo_slot slots[] = {{8, static_cast<std::uint32_t>(kind)}, {16, ECHO_SLOT_EPHEMERON_VALUE}};
    const echo_layout layout{sizeof(echo_layout),
                             ECHO_LAYOUT_FIXED,
                             "probe",
                             24,
                             0,
                             0,
                             flags,
                             !slot ? 0u : is_key ? 2u : 1u,
                             slots};
    echo_layout_id id = 0;
    return echo_layout_register(heap, &layout, &id, &why);
  }
};

TEST_F(Features, MatchTheAnswers) {
  answers(ECHO_FEATURE_GENERATIONS, echo_collect(thread, ECHO_COLLECT_YOUNG, &why), "young collection");
  answers(ECHO_FEATURE_MOVES, echo_collect(thread, ECHO_COLLECT_COMPACT, &why), "compacting collection");
  answers(ECHO_FEATURE_WEAK, try_layout(ECHO_SLOT_WEAK, 0, true), "weak slot");
  answers(ECHO_FEATURE_EPHEMERONS, try_layout(ECHO_SLOT_EPHEMERON_KEY, 0, true), "ephemeron");
  answers(ECHO_FEATURE_FINALIZERS, try_layout(ECHO_SLOT_STRONG, ECHO_LAYOUT_FINALIZABLE, false),
          "finalizable");
  answers(ECHO_FEATURE_COLLECTS, echo_collect(thread, ECHO_COLLECT_FULL, &why), "full collection");
  answers(ECHO_FEATURE_VERIFIER, echo_verify(thread, 1, &why), "verifier");
  echo_scope scope = 0;
  answers(ECHO_FEATURE_SCOPED_HANDLES, echo_scope_open(thread, &scope), "scopes");
  answers(ECHO_FEATURE_SCOPED_HANDLES, echo_scope_close(thread, scope), "scopes");
  echo_ref word = nullptr;
  answers(ECHO_FEATURE_GLOBAL_ROOTS, echo_roots_add(heap, &word, 1, &why), "root words");
  answers(ECHO_FEATURE_GLOBAL_ROOTS, echo_roots_remove(heap, &word, &why), "root words");
  answers(ECHO_FEATURE_FRAME_SOURCE, echo_frame_source_set(heap, nullptr, &why), "frame source");
  answers(ECHO_FEATURE_AMBIGUOUS_ROOTS, echo_ambiguous_stack(thread, 1, &why), "ambiguous stack");
  answers(ECHO_FEATURE_AMBIGUOUS_ROOTS, echo_ambiguous_stack(thread, 0, &why), "ambiguous stack");
  answers(ECHO_FEATURE_AMBIGUOUS_ROOTS, echo_ambiguous_range_add(heap, &word, sizeof word, &why),
          "ambiguous range");
  answers(ECHO_FEATURE_AMBIGUOUS_ROOTS, echo_ambiguous_range_remove(heap, &word, &why), "ambiguous range");
  echo_heap* stressed = nullptr;
  const echo_status status = echo_heap_create("stress_collect=1,poison=on,verify=on", &stressed, &why);
  EXPECT_EQ(status, has(ECHO_FEATURE_STRESS) ? ECHO_OK : ECHO_UNKNOWN_OPTION);
  EXPECT_EQ(status != ECHO_OK || echo_heap_destroy(stressed, &why) == ECHO_OK, true);
}

TEST_F(Features, RefusalsSaySo) {
  why = untouched();
  if (!has(ECHO_FEATURE_GENERATIONS)) {
    EXPECT_EQ(echo_collect(thread, ECHO_COLLECT_YOUNG, &why), ECHO_NOT_SUPPORTED);
    EXPECT_EQ(why.code, ECHO_NOT_SUPPORTED);
    EXPECT_STREQ(why.message, "this plugin has no young generation");
    EXPECT_EQ(echo_collect(thread, ECHO_COLLECT_YOUNG, nullptr), ECHO_NOT_SUPPORTED) << "why may be null";
  }
  if (!has(ECHO_FEATURE_MOVES)) {
    EXPECT_EQ(echo_collect(thread, ECHO_COLLECT_COMPACT, &why), ECHO_NOT_SUPPORTED);
    EXPECT_STREQ(why.message, "this plugin does not move objects");
  }
  EXPECT_EQ(statistics().collections_young, 0u);
  EXPECT_EQ(statistics().collections_compact, 0u);
}

TEST_F(Features, CollectsMeansThatMemoryIsReused) {
  ASSERT_TRUE(has(ECHO_FEATURE_COLLECTS));
  for (std::uint64_t total = 0; total < (std::uint64_t{50} * 16 << 20); total += 100016) {
    ASSERT_NE(make(bytes, 100000), nullptr);
  }
  EXPECT_GT(statistics().collections_full, 10u);
}

TEST_F(Features, WithoutMovesAddressesStay) {
  ASSERT_FALSE(has(ECHO_FEATURE_MOVES));
  echo_ref word = make(pair);
  const echo_ref before = word;
  ASSERT_EQ(echo_roots_add(heap, &word, 1, &why), ECHO_OK);
  ASSERT_EQ(echo_collect(thread, ECHO_COLLECT_FULL, &why), ECHO_OK);
  EXPECT_EQ(word, before);
  ASSERT_EQ(echo_roots_remove(heap, &word, &why), ECHO_OK);
}

} // namespace
} // namespace echo
