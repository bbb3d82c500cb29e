// SPDX-License-Identifier: MIT
//
// Purpose     Bounds of the stack, and the copy.
#include "gc/machine_stack.h"

#include "heap/os_memory.h"

#include <new>
#include <pthread.h>

namespace echo {

namespace {

constexpr std::size_t kWord = sizeof(std::uint64_t);
constexpr std::size_t kKeptCopyBytes = std::size_t{1} << 20;

// Not memcpy: a sanitizer's would refuse the gaps between a stack's variables.
__attribute__((no_sanitize("address", "thread"))) void copy_words(std::uint64_t* to, Address from,
                                                                  std::size_t count) {
#if defined(__x86_64__)
  asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
#else
  const auto* words = reinterpret_cast<const volatile std::uint64_t*>(from);
  for (std::size_t i = 0; i < count; ++i) {
    to[i] = words[i];
  }
#endif
}

} // namespace

echo_status MachineStack::make(std::unique_ptr<MachineStack>* out, std::string* why) {
  pthread_attr_t attributes;
  void* low = nullptr;
  std::size_t bytes = 0;
  if (::pthread_getattr_np(::pthread_self(), &attributes) != 0) {
    *why = "the system does not say where this thread's stack is";
    return ECHO_SYSTEM_MEMORY;
  }
  const bool known = ::pthread_attr_getstack(&attributes, &low, &bytes) == 0;
  ::pthread_attr_destroy(&attributes);
  std::unique_ptr<MachineStack> stack(new (std::nothrow) MachineStack());
  if (!known || stack == nullptr) {
    *why = known ? "no memory for the record of a stack"
                 : "the system does not say where this thread's stack is";
    return ECHO_SYSTEM_MEMORY;
  }
  stack->low_ = reinterpret_cast<Address>(low);
  stack->base_ = (stack->low_ + bytes) & ~Address{kWord - 1};
  stack->registers_.save();
  if (!stack->is_own(stack->registers_.sp)) {
    *why = "the thread runs on another stack than its own: of such a stack the bounds are not known";
    return ECHO_WRONG_STATE;
  }
  stack->copy_bytes_ = round_up(bytes, kPageBytes);
  stack->copy_ = static_cast<std::uint64_t*>(os::map_zeroed(stack->copy_bytes_, kPageBytes));
  if (stack->copy_ == nullptr) {
    *why = "the operating system refused address space for a copy of the thread's stack of " +
           std::to_string(bytes) + " bytes";
    return ECHO_SYSTEM_MEMORY;
  }
  *out = std::move(stack);
  return ECHO_OK;
}

MachineStack::~MachineStack() {
  if (copy_ != nullptr) {
    os::release(copy_, copy_bytes_);
  }
}

void MachineStack::copy() {
  copied_ = true;
  if (const std::size_t last = round_up(copied_words_ * kWord, kPageBytes); last > kKeptCopyBytes) {
    (void)os::discard(copy_, last);
  }
  copied_words_ = is_own(registers_.sp) ? (base_ - registers_.sp) / kWord : 0;
  copy_words(copy_, base_ - copied_words_ * kWord, copied_words_);
}

echo_status MachineStack::words(ThreadState state, Address anchor_sp, Words* out, std::string* why) const {
  const bool by_recipe = state == ThreadState::Native;
  const Address sp = by_recipe ? anchor_sp : registers_.sp;
  if (!is_own(sp)) {
    *why = by_recipe ? "a thread with an ambiguous stack went native and did not publish where its stack ends"
                     : "a thread with an ambiguous stack came to rest on another stack than its own";
    return ECHO_WRONG_STATE;
  }
  *out = {};
  if (!by_recipe) {
    out->registers = registers_.words;
    out->copy = {copy_, copied_ ? copied_words_ : 0};
  }
  const Address from = round_up(sp, kWord);
  out->stack = {reinterpret_cast<const std::uint64_t*>(from), (base_ - from) / kWord};
  return ECHO_OK;
}

} // namespace echo
