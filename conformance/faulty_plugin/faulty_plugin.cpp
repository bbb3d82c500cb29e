// SPDX-License-Identifier: MIT
//
// faulty_plugin.cpp - forwards to the plugin at ECHO_FAULTY_INNER, and breaks the promise named by
// ECHO_FAULT.
//
// Method      The inner plugin's table is copied; a fault replaces the functions it concerns, here and in references.cpp. The inner
//             plugin stays loaded until the process ends.
#include "break.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <dlfcn.h>
#include <mutex>
#include <sys/mman.h>
#include <unistd.h>

namespace faulty {

Fault fault = Fault::none;
const echo_heap_api* inner = nullptr;
echo_heap_api table;

namespace {

// Replaces functions of the table. Each lambda converts to the function pointer it replaces.
void break_versions_and_options() {
  switch (fault) {
  case Fault::null_function:
    table.array_length = nullptr;
    break;
  case Fault::unknown_feature:
    table.features |= std::uint64_t{1} << 40;
    break;
  case Fault::writes_error:
    table.heap_create = [](const char* options, echo_heap** out, echo_error* why) {
      const echo_status status = inner->heap_create(options, out, why);
      if (status == ECHO_OK && why != nullptr)
        why->code = ECHO_OK;
      return status;
    };
    break;
  case Fault::no_message:
    table.heap_create = [](const char* options, echo_heap** out, echo_error* why) {
      const echo_status status = inner->heap_create(options, out, why);
      if (status != ECHO_OK && why != nullptr)
        why->message[0] = '\0';
      return status;
    };
    break;
  case Fault::endless_options:
    table.option_info = [](std::uint32_t, echo_option_info* out) { return inner->option_info(0, out); };
    break;
  case Fault::swallows_options:
    table.heap_create = [](const char* options, echo_heap** out, echo_error* why) {
      const echo_status status = inner->heap_create(options, out, why);
      return status == ECHO_UNKNOWN_OPTION ? inner->heap_create(nullptr, out, nullptr) : status;
    };
    break;
  default:
    break;
  }
}

void break_layouts() {
  switch (fault) {
  case Fault::accepts_any_layout:
    table.layout_register = [](echo_heap* heap, const echo_layout* layout, echo_layout_id* out,
                               echo_error* why) {
      const echo_status status = inner->layout_register(heap, layout, out, why);
      if (status != ECHO_BAD_LAYOUT)
        return status;
      *out = 1;
      return ECHO_OK;
    };
    break;
  case Fault::drops_a_slot:
    table.layout_register = [](echo_heap* heap, const echo_layout* layout, echo_layout_id* out,
                               echo_error* why) {
      if (layout == nullptr || layout->slot_count == 0)
        return inner->layout_register(heap, layout, out, why);
      echo_layout shorter = *layout;
      --shorter.slot_count;
      return inner->layout_register(heap, &shorter, out, why);
    };
    break;
  case Fault::shares_layouts:
    table.layout_register = [](echo_heap* heap, const echo_layout* layout, echo_layout_id* out,
                               echo_error* why) {
      if (layout == nullptr || layout->name == nullptr || *layout->name == '\0')
        return inner->layout_register(heap, layout, out, why);
      echo_layout renamed = *layout;
      renamed.name = "any";
      return inner->layout_register(heap, &renamed, out, why);
    };
    break;
  default:
    break;
  }
}

echo_status reported_status(echo_status status) {
  return fault == Fault::limit_is_unknown && status == ECHO_HEAP_LIMIT ? ECHO_UNKNOWN_LAYOUT : status;
}

echo_ref faulty_allocate(echo_thread* thread, echo_layout_id layout, std::uint64_t length) {
  static std::atomic<std::uint64_t> calls{0};
  static echo_ref last = nullptr;
  static echo_layout_id last_layout = 0;
  static std::uint64_t last_length = 0;
  const std::uint64_t call = ++calls;
  if (fault == Fault::same_object_twice && call % 50 == 0 && layout == last_layout && length == last_length)
    return last;
  if (fault == Fault::overflow_wraps && length > std::uint64_t{1} << 45)
    length &= 0xFF;
  const echo_ref object = inner->allocate(thread, layout, length);
  if (object == nullptr)
    return nullptr;
  echo_heap* heap = inner->heap_of(thread);
  const std::uint64_t bytes = inner->object_bytes(heap, object);
  if (fault == Fault::dirty_payload && bytes >= 32)
    word(object, bytes / 8 - 1) = 0xDB;
  if (fault == Fault::misaligned && call % 3 == 0 && bytes >= 32) {
    word(object, 1) = word(object, 0);
    return reinterpret_cast<echo_ref>(&word(object, 1));
  }
  if (fault == Fault::wrong_length) {
    echo_layout_info info{};
    info.size = sizeof info;
    if (inner->layout_get(heap, layout, &info) == ECHO_OK && info.kind == ECHO_LAYOUT_RAW_ARRAY)
      ++word(object, 1);
  }
  last = object;
  last_layout = layout;
  last_length = length;
  return object;
}

void break_objects() {
  switch (fault) {
  case Fault::dirty_payload:
  case Fault::wrong_length:
  case Fault::misaligned:
  case Fault::same_object_twice:
  case Fault::overflow_wraps:
    table.allocate = faulty_allocate;
    break;
  case Fault::limit_is_unknown:
    table.last_error = [](const echo_thread* thread, echo_error* out) {
      const echo_status status = reported_status(inner->last_error(thread, out));
      if (out != nullptr)
        out->code = status;
      return status;
    };
    break;
  case Fault::stores_anywhere:
    table.store = [](echo_thread* thread, echo_ref object, std::uint64_t offset, echo_ref value) {
      const echo_status status = inner->store(thread, object, offset, value);
      return status == ECHO_OUT_OF_BOUNDS ? ECHO_OK : status;
    };
    break;
  case Fault::recipe_changes:
  case Fault::no_barrier:
    table.recipes = [](echo_heap* heap, std::uint32_t set, const echo_recipes** out) {
      static std::deque<echo_recipes> copies;
      static std::mutex mutex;
      const echo_status status = inner->recipes(heap, set, out);
      if (status != ECHO_OK)
        return status;
      const std::lock_guard lock(mutex);
      copies.push_back(**out);
      if (fault == Fault::recipe_changes)
        copies.back().max_inline_bytes += static_cast<std::uint32_t>(copies.size());
      else
        copies.back().store_kind = ECHO_STORE_NONE;
      *out = &copies.back();
      return ECHO_OK;
    };
    break;
  default:
    break;
  }
}

void break_collections() {
  switch (fault) {
  case Fault::never_collects:
    table.collect = [](echo_thread*, std::uint32_t kind, echo_error* why) {
      if (kind == ECHO_COLLECT_FULL)
        return ECHO_OK;
      if (why != nullptr) {
        why->code = ECHO_NOT_SUPPORTED;
        std::strcpy(why->message, "only full collections");
      }
      return ECHO_NOT_SUPPORTED;
    };
    break;
  case Fault::crashes_on_collect:
    table.collect = [](echo_thread*, std::uint32_t, echo_error*) -> echo_status { std::abort(); };
    break;
  case Fault::hangs_on_collect:
    table.collect = [](echo_thread*, std::uint32_t, echo_error*) -> echo_status {
      for (;;)
        pause();
    };
    break;
  case Fault::exits_on_collect:
    table.collect = [](echo_thread*, std::uint32_t, echo_error*) -> echo_status { _exit(0); };
    break;
  default:
    break;
  }
}

void break_threads() {
  switch (fault) {
  case Fault::native_is_managed:
    table.enter_native = [](echo_thread*) { return ECHO_OK; };
    table.leave_native = [](echo_thread*) { return ECHO_OK; };
    break;
  case Fault::poll_does_nothing:
    table.poll = [](echo_thread*) {};
    break;
  case Fault::attach_twice:
    table.attach = [](echo_heap* heap, echo_thread** out, echo_error* why) {
      const echo_status status = inner->attach(heap, out, why);
      return status == ECHO_WRONG_STATE ? ECHO_OK : status;
    };
    break;
  default:
    break;
  }
}

void break_heaps_and_statistics() {
  switch (fault) {
  case Fault::destroys_in_use:
    table.heap_destroy = [](echo_heap* heap, echo_error* why) {
      const echo_status status = inner->heap_destroy(heap, why);
      return status == ECHO_THREADS_ATTACHED ? ECHO_OK : status;
    };
    break;
  case Fault::leaks_a_mapping:
    table.heap_destroy = [](echo_heap* heap, echo_error* why) {
      (void)mmap(nullptr, std::size_t{64} << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                 0);
      return inner->heap_destroy(heap, why);
    };
    break;
  case Fault::miscounts_objects:
  case Fault::miscounts_live:
  case Fault::net_over_raw:
  case Fault::works_over_cap:
  case Fault::utilisation_over_one:
  case Fault::writes_behind_size:
    table.statistics = [](echo_heap* heap, echo_statistics* out) {
      const echo_status status = inner->statistics(heap, out);
      if (status != ECHO_OK)
        return status;
      if (fault == Fault::miscounts_objects && out->objects_allocated > 0)
        --out->objects_allocated;
      if (fault == Fault::miscounts_live)
        out->live_bytes += 8;
      if (fault == Fault::writes_behind_size)
        out->bytes_returned = 0;
      if (fault == Fault::net_over_raw && out->size == sizeof *out)
        out->pause_net_us.max = out->pause_net_us.sum = out->pause_us.sum + 1;
      if (fault == Fault::works_over_cap && out->size == sizeof *out)
        out->holds_over_cap = 1;
      if (fault == Fault::utilisation_over_one && out->size == sizeof *out)
        out->mmu_10ms = 1.5;
      return status;
    };
    break;
  default:
    break;
  }
}

bool load_inner() {
  const char* path = std::getenv("ECHO_FAULTY_INNER");
  const char* name = std::getenv("ECHO_FAULT");
  fault = fault_named(name == nullptr ? "" : name);
  void* library = path == nullptr ? nullptr : dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    return false;
  const auto entry = reinterpret_cast<decltype(&echo_heap_plugin)>(dlsym(library, "echo_heap_plugin"));
  inner = entry == nullptr ? nullptr : entry(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, nullptr);
  if (inner == nullptr || inner->size > sizeof table)
    return false;
  table = *inner;
  break_versions_and_options();
  break_layouts();
  break_objects();
  break_roots();
  break_services();
  break_frames();
  break_ambiguous_roots();
  break_ephemerons_and_finalizers();
  break_collections();
  break_threads();
  break_heaps_and_statistics();
  if (fault == Fault::stays_loaded) {
    Dl_info self;
    if (dladdr(&table, &self) != 0)
      dlopen(self.dli_fname, RTLD_NOW | RTLD_NODELETE);
  }
  return true;
}

} // namespace
} // namespace faulty

using namespace faulty;

const echo_heap_api* echo_heap_plugin(std::uint32_t wanted_major, std::uint32_t wanted_minor,
                                      echo_error* why) {
  static const bool loaded = load_inner();
  if (!loaded) {
    if (why != nullptr) {
      why->code = ECHO_INVALID_ARGUMENT;
      std::strcpy(why->message, "ECHO_FAULTY_INNER must name a plugin of this version");
    }
    return nullptr;
  }
  if (fault == Fault::any_major)
    return &table;
  if (wanted_major == ECHO_ABI_MAJOR && wanted_minor <= inner->abi_minor)
    return &table;
  if (why != nullptr) {
    why->code = ECHO_VERSION_MISMATCH;
    std::strcpy(why->message, "another version is served");
  }
  return nullptr;
}
