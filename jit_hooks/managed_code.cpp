/* SPDX-License-Identifier: MIT
 *
 * managed_code.cpp - compiled code on one heap. Invariants: managed_code.h.
 */
#include "managed_code.h"

#include "maps/frame_walker.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace echo::jit {
namespace {

constexpr uint32_t kRecipesVersion = 1;

Outcome invalid(const char* what) {
  return {ECHO_INVALID_ARGUMENT, what};
}

} // namespace

Outcome read_recipes(const echo_heap_api& api, echo_heap* heap, echo_recipe_set set, echo_recipes& out) {
  const echo_recipes* given = nullptr;
  const echo_status status = api.recipes(heap, set, &given);
  if (status != ECHO_OK || given == nullptr)
    return {status, "the heap gives no recipes"};
  /* Fields that this plugin does not have yet stay 0: their fast path is the cold one. */
  if (given->size >= offsetof(echo_recipes, filler_word))
    std::memcpy(&out, given, given->size < sizeof out ? given->size : sizeof out);
  const echo_recipes& recipes = out;
  if (given->size < offsetof(echo_recipes, filler_word) || recipes.version != kRecipesVersion)
    return {ECHO_VERSION_MISMATCH, "the heap's recipes have version " + std::to_string(given->version) +
                                       "; this version lowers version " + std::to_string(kRecipesVersion)};
  const bool granule_ok = recipes.granule >= 8 && (recipes.granule & (recipes.granule - 1)) == 0;
  const bool offsets_ok = recipes.cursor_offset % 8 == 0 && recipes.limit_offset % 8 == 0 &&
                          recipes.poll_offset % 8 == 0 && recipes.anchor_sp_offset % 8 == 0 &&
                          recipes.anchor_fp_offset % 8 == 0 && recipes.anchor_pc_offset % 8 == 0;
  if (!granule_ok || !offsets_ok || recipes.header_offset != 0 || recipes.length_offset != 8)
    return {ECHO_VERSION_MISMATCH, "the heap's recipes contradict themselves (granule or offsets)"};
  if (recipes.store_kind != ECHO_STORE_NONE && recipes.store_kind != ECHO_STORE_PHASE_TEST)
    return {ECHO_VERSION_MISMATCH, "the heap asks for store recipe " + std::to_string(recipes.store_kind) +
                                       ", which this version does not lower"};
  if (recipes.hash_cold != nullptr && recipes.hash_shift > 63)
    return {ECHO_VERSION_MISMATCH, "the heap's hash recipe shifts by more than 63"};
  if (recipes.enter_native_cold != nullptr && recipes.state_offset % 4 != 0)
    return {ECHO_VERSION_MISMATCH,
            "the heap's recipe of native transitions names a word that is not aligned"};
  if (recipes.allocate_cold == nullptr || recipes.poll_cold == nullptr ||
      (recipes.store_kind == ECHO_STORE_PHASE_TEST && recipes.store_cold == nullptr))
    return {ECHO_VERSION_MISMATCH, "the heap's recipes lack a cold path"};
  return {};
}

Outcome ManagedCode::check_heap(const echo_heap_api* api, const echo_heap* heap) {
  if (api == nullptr || heap == nullptr)
    return invalid("api or heap is null");
  constexpr uint32_t kNeeded =
      offsetof(echo_heap_api, identity_hash); /* what is called here lies before it */
  if (api->abi_major != ECHO_ABI_MAJOR || api->size < kNeeded)
    return {ECHO_VERSION_MISMATCH, "the heap plugin's table has version " + std::to_string(api->abi_major) +
                                       "." + std::to_string(api->abi_minor) + " and " +
                                       std::to_string(api->size) + " bytes; needed are version " +
                                       std::to_string(ECHO_ABI_MAJOR) + " and " + std::to_string(kNeeded) +
                                       " bytes"};
  return {};
}

Outcome ManagedCode::provide_frames() {
  echo_frame_source source{};
  source.size = sizeof source;
  source.reserved = ECHO_FRAMES_POLLED_RETURNS;
  source.context = &index_;
  source.walk = walk_frames;
  echo_error why{};
  if (const echo_status status = api_.frame_source_set(heap_, &source, &why); status != ECHO_OK)
    return {status, why.message};
  is_source_ = true;
  return {};
}

void ManagedCode::remove_roots(const std::vector<RootRange>& ranges) {
  const std::lock_guard<std::mutex> guard(roots_lock_);
  for (const RootRange& range : ranges) {
    api_.roots_remove(heap_, range.first, nullptr);
    std::erase_if(roots_, [&](const RootRange& one) { return one.first == range.first; });
  }
}

void ManagedCode::release() {
  if (std::exchange(is_source_, false))
    api_.frame_source_set(heap_, nullptr, nullptr);
  for (const RootRange& range : std::exchange(roots_, {}))
    api_.roots_remove(heap_, range.first, nullptr);
}

Outcome ManagedCode::add_roots(const std::vector<RootRange>& ranges) {
  const std::lock_guard<std::mutex> guard(roots_lock_);
  for (const RootRange& range : ranges) {
    echo_error why{};
    if (const echo_status status = api_.roots_add(heap_, range.first, range.words, &why); status != ECHO_OK)
      return {status, std::string("the module's variables that hold references: ") + why.message};
    roots_.push_back(range);
  }
  return {};
}

Outcome ManagedCode::call(echo_thread* thread, void* function, const uint64_t* arguments, uint32_t count,
                          uint64_t& result) {
  if (thread == nullptr || function == nullptr)
    return invalid("the thread or the function is null");
  if (count > kMaxArguments || (count > 0 && arguments == nullptr))
    return invalid("more than 6 arguments, or a null argument array");
  const uintptr_t pc = reinterpret_cast<uintptr_t>(function);
  uint32_t parameters = 0, result_bits = 0;
  {
    const CodeIndex::View view(index_);
    const FunctionRange* const range = view.function_at(pc);
    if (range == nullptr || range->begin != pc || !range->signature.callable)
      return invalid(
          "the address is not that of a compiled function with at most 6 integer or pointer parameters");
    parameters = range->signature.parameters;
    result_bits = range->signature.result_bits;
  }
  if (count < parameters)
    return {ECHO_INVALID_ARGUMENT, "the function has " + std::to_string(parameters) +
                                       " parameters, the call " + std::to_string(count)};
  struct Active {
    explicit Active(std::atomic<uint64_t>& count) : calls(count) { calls.fetch_add(1); }
    ~Active() { calls.fetch_sub(1); }
    std::atomic<uint64_t>& calls;
  } active(active_calls_);
  EntryRecord record;
  record.thread = thread;
  record.function = function;
  record.owner = this;
  record.unguarded = unguarded_entries_;
  for (uint32_t i = 0; i < count; ++i)
    record.arguments[i] = arguments[i];
  if (Outcome outcome = enter(record, AnchorWords(thread, recipes_)); !outcome)
    return outcome;
  if (result_bits == 0)
    result = 0;
  else
    result = result_bits >= 64 ? record.result : record.result & ((uint64_t{1} << result_bits) - 1);
  return {};
}

void ManagedCode::abandon(echo_thread* thread, const echo_error* why) {
  echo::jit::abandon(this, thread, why);
}

void ManagedCode::raise(echo_thread* thread, void* context) {
  auto* const code = static_cast<ManagedCode*>(context);
  echo_error why{};
  if (code->api_.last_error(thread, &why) == ECHO_OK)
    fill_error(&why, ECHO_HEAP_LIMIT, "the heap returned no object and no reason");
  code->abandon(thread, &why);
  /* Only a program entered without echo_jit_call gets here; it has nowhere to go. */
  std::fprintf(stderr, "echo: %s: %s, and no call of compiled code is active on this thread\n",
               echo_status_name(why.code), why.message);
  std::abort();
}

echo_status ManagedCode::function_at(uintptr_t pc, char* name, uint64_t capacity) const {
  const CodeIndex::View view(index_);
  const FunctionRange* const range = view.function_at(pc);
  if (range == nullptr)
    return ECHO_MISSING_SYMBOL;
  const uint64_t length = range->name.size() < capacity - 1 ? range->name.size() : capacity - 1;
  std::memcpy(name, range->name.data(), length);
  name[length] = '\0';
  return ECHO_OK;
}

echo_status ManagedCode::function_type(const void* function, char* type, uint64_t capacity) const {
  const uintptr_t pc = reinterpret_cast<uintptr_t>(function);
  const CodeIndex::View view(index_);
  const FunctionRange* const range = view.function_at(pc);
  if (range == nullptr || range->begin != pc || range->signature.type.empty() ||
      range->signature.type.size() >= capacity)
    return ECHO_INVALID_ARGUMENT;
  std::memcpy(type, range->signature.type.c_str(), range->signature.type.size() + 1);
  return ECHO_OK;
}

} // namespace echo::jit
