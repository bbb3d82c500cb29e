/* SPDX-License-Identifier: MIT
 *
 * arch/x86_64/stubs.cpp - text of the stubs. Invariants: stubs.h.
 *
 * Drawing     frame of a preserve_most stub, 16-aligned at the call it makes:
 *
 *             rbp + 8  return address into managed code = the site     rbp      managed frame pointer
 *             rbp - 8 .. rbp - 56   rcx rdx rsi rdi r8 r9 r10          rbp - 64 rax
 */
#include "arch/x86_64/stubs.h"

#include <cinttypes>
#include <cstdio>

namespace echo::jit {
namespace {

std::string hexadecimal(uintptr_t value) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%" PRIxPTR, value);
  return text;
}

std::string in_thread(uint32_t offset) {
  return std::to_string(offset) + "(%r13)";
}

const char* const kEnter =
    "pushq %rbp\n"
    ".cfi_def_cfa_offset 16\n"
    ".cfi_offset %rbp, -16\n"
    "movq %rsp, %rbp\n"
    ".cfi_def_cfa_register %rbp\n"
    "pushq %rcx\npushq %rdx\npushq %rsi\npushq %rdi\npushq %r8\npushq %r9\npushq %r10\n"
    "pushq %rax\n";
const char* const kPopSaved = "popq %r10\npopq %r9\npopq %r8\npopq %rdi\npopq %rsi\npopq %rdx\npopq %rcx\n"
                              "popq %rbp\n"
                              ".cfi_def_cfa %rsp, 8\n"
                              "retq\n";

/* Within a stub frame: the managed frame is the caller. */
std::string publish_caller(const echo_recipes& recipes) {
  return "movq 8(%rbp), %r11\nmovq %r11, " + in_thread(recipes.anchor_pc_offset) +
         "\nmovq (%rbp), %r11\nmovq %r11, " + in_thread(recipes.anchor_fp_offset) +
         "\nleaq 16(%rbp), %r11\nmovq %r11, " + in_thread(recipes.anchor_sp_offset) + "\n";
}

/* Operand of word `index` of the cells. */
std::string cell(unsigned index) {
  return std::string(kColdCells) + "+" + std::to_string(8 * index) + "(%rip)";
}

/* Runs `enter` and what follows only if the heap wants to hear of stores; then goes on behind it. */
std::string announce(const echo_recipes& recipes, const StubTargets& targets, const char* move_arguments) {
  if (recipes.store_kind != ECHO_STORE_PHASE_TEST)
    return {};
  const std::string keep =
      "popq %rax\npopq %r10\npopq %r9\npopq %r8\npopq %rdi\npopq %rsi\npopq %rdx\npopq %rcx\n"
      "popq %rbp\n.cfi_def_cfa %rsp, 8\n";
  return "cmpb $0, " + in_thread(recipes.phase_offset) + "\nje 1f\n" + kEnter + move_arguments +
         targets.call_store + keep + "1:\n";
}

/* The operations of level 0: fast path and cold path in one function. */
void add_whole_operations(const echo_recipes& recipes, const StubTargets& targets, const std::string& poll,
                          std::vector<Stub>& out) {
  const char* const two = "movq %rsi, %rdx\nmovq %rdi, %rsi\nmovq %r13, %rdi\n";
  const char* const three = "movq %rdi, %rsi\nmovq %r13, %rdi\n";
  out.push_back({kStoreWholeStub, announce(recipes, targets, two) + "movq %rsi, (%rdi)\nretq\n"});
  out.push_back(
      {kExchangeWholeStub, announce(recipes, targets, two) + "movq %rsi, %rax\nxchgq %rax, (%rdi)\nretq\n"});
  out.push_back({kCompareExchangeWholeStub,
                 announce(recipes, targets, three) + "movq %rsi, %rax\nlock cmpxchgq %rdx, (%rdi)\nretq\n"});
  out.push_back(
      {kPollWholeStub, "cmpq " + in_thread(recipes.poll_offset) + ", %rbp\nja 1f\nretq\n1:\n" + poll});
}

/* Entering keeps every register that an argument may be in; leaving keeps the native's result. */
void add_transitions(const echo_recipes& recipes, const StubTargets& targets, const std::string& anchor,
                     const std::string& keep_rax, std::vector<Stub>& out) {
  if (recipes.enter_native_cold == nullptr || recipes.leave_native_cold == nullptr)
    return;
  std::string save = "subq $128, %rsp\n", restore;
  for (int i = 0; i < 8; ++i) {
    const std::string place = std::to_string(16 * i) + "(%rsp)", vector = "%xmm" + std::to_string(i);
    save.append("movups ").append(vector).append(", ").append(place).append("\n");
    restore.append("movups ").append(place).append(", ").append(vector).append("\n");
  }
  restore += "addq $128, %rsp\n";
  const std::string pop_all = "popq %rax\npopq %r10\npopq %r9\npopq %r8\npopq %rdi\npopq %rsi\npopq %rdx\n"
                              "popq %rcx\npopq %rbp\n.cfi_def_cfa %rsp, 8\n";
  const auto exchange = [&](uint32_t state) {
    const std::string number = "$" + std::to_string(state),
                      test = "cmpq $0, " + in_thread(recipes.poll_offset) + "\n";
    if (targets.call_exchange.empty())
      return "movl " + number + ", %r11d\nxchgl %r11d, " + in_thread(recipes.state_offset) + "\n" + test;
    return kEnter + save + "leaq " + in_thread(recipes.state_offset) + ", %rdi\nmovl " + number +
           ", %esi\nmovl $5, %edx\n" + targets.call_exchange + restore + pop_all + test; /* 5: seq_cst */
  };
  out.push_back({kCallBlockingStub, anchor + exchange(recipes.state_native) + "jne 1f\n" + kEnter + save +
                                        "movq %r13, %rdi\n" + targets.call_enter_native + restore + pop_all +
                                        "1:\nmovl $8, %eax\njmpq *%r10\n"});
  const std::string leave = kEnter + std::string("movq %r13, %rdi\n") + targets.call_leave_native + keep_rax;
  out.push_back({kLeaveNativeStub, leave});
  out.push_back({kLeaveNativeWholeStub, exchange(recipes.state_managed) + "je 1f\nretq\n1:\n" + leave});
}

void add_weak_load(const echo_recipes& recipes, const StubTargets& targets, const std::string& drop_rax,
                   std::vector<Stub>& out) {
  if (recipes.weak_load_cold == nullptr)
    return;
  const std::string cold =
      kEnter + std::string("movq %rdi, %rsi\nmovq %r13, %rdi\n") + targets.call_weak_load + drop_rax;
  out.push_back({kWeakLoadStub, cold});
  out.push_back({kWeakLoadWholeStub, "cmpb $0, " + in_thread(recipes.phase_offset) +
                                         "\njne 1f\nmovq (%rdi), %rax\nretq\n1:\n" + cold});
}

void add_hash(const echo_recipes& recipes, const StubTargets& targets, const std::string& drop_rax,
              std::vector<Stub>& out) {
  if (recipes.hash_cold == nullptr)
    return;
  const std::string cold =
      kEnter + std::string("movq %rdi, %rsi\nmovq %r13, %rdi\n") + targets.call_hash + drop_rax;
  out.push_back({kHashStub, cold});
  out.push_back(
      {kHashWholeStub, "movabsq $" + hexadecimal(recipes.hash_mask) + ", %rax\nandq " +
                           std::to_string(recipes.header_offset) + "(%rdi), %rax\nmovabsq $" +
                           hexadecimal(recipes.hash_value) + ", %r11\ncmpq %r11, %rax\njne 1f\nmovabsq $" +
                           hexadecimal(recipes.hash_multiplier) + ", %rax\nimulq %rdi, %rax\nshrq $" +
                           std::to_string(recipes.hash_shift) + ", %rax\nretq\n1:\n" + cold});
}

} // namespace

std::string call_of_address(uintptr_t target) {
  return "movabsq $" + hexadecimal(target) + ", %rax\ncallq *%rax\n";
}

StubTargets targets_by_address(const echo_recipes& recipes, RaiseFunction raise, void* raise_context) {
  return {call_of_address(reinterpret_cast<uintptr_t>(recipes.allocate_cold)),
          call_of_address(reinterpret_cast<uintptr_t>(recipes.store_cold)),
          call_of_address(reinterpret_cast<uintptr_t>(recipes.poll_cold)),
          "movabsq $" + hexadecimal(reinterpret_cast<uintptr_t>(raise_context)) + ", %rsi\nmovabsq $" +
              hexadecimal(reinterpret_cast<uintptr_t>(raise)) + ", %rax\njmpq *%rax\n",
          call_of_address(reinterpret_cast<uintptr_t>(recipes.enter_native_cold)),
          call_of_address(reinterpret_cast<uintptr_t>(recipes.leave_native_cold)),
          call_of_address(reinterpret_cast<uintptr_t>(recipes.hash_cold)),
          call_of_address(reinterpret_cast<uintptr_t>(recipes.weak_load_cold))};
}

StubTargets targets_in_cells() {
  const auto call = [](ColdCell index) { return "callq *" + cell(index) + "\n"; };
  return {
      call(kAllocateCell),    call(kStoreCell),
      call(kPollCell),        "movq " + cell(kRaiseContextCell) + ", %rsi\njmpq *" + cell(kRaiseCell) + "\n",
      call(kEnterNativeCell), call(kLeaveNativeCell),
      call(kHashCell),        call(kWeakLoadCell)};
}

std::vector<Stub> make_stubs(const echo_recipes& recipes, const StubTargets& targets,
                             const StubFaults& faults) {
  const std::string drop_rax = std::string("leaq 8(%rsp), %rsp\n") + kPopSaved;
  const std::string keep_rax = faults.lose_rax ? drop_rax : std::string("popq %rax\n") + kPopSaved;
  std::vector<Stub> stubs;
  stubs.push_back({kAllocateStub, kEnter + publish_caller(recipes) +
                                      "movq %rsi, %rdx\nmovl %edi, %esi\nmovq %r13, %rdi\n" +
                                      targets.call_allocate + drop_rax});
  stubs.push_back({kStoreStub, kEnter + std::string("movq %rsi, %rdx\nmovq %rdi, %rsi\nmovq %r13, %rdi\n") +
                                   targets.call_store + keep_rax});
  const std::string poll =
      kEnter + publish_caller(recipes) + "movq %r13, %rdi\n" + targets.call_poll + keep_rax;
  stubs.push_back({kPollStub, poll});
  stubs.push_back(
      {kPollUnanchoredStub, kEnter + std::string("movq %r13, %rdi\n") + targets.call_poll + keep_rax});
  add_whole_operations(recipes, targets, poll, stubs);
  const std::string anchor = "leaq 8(%rsp), %r11\nmovq %r11, " + in_thread(recipes.anchor_sp_offset) +
                             "\nmovq %rbp, " + in_thread(recipes.anchor_fp_offset) +
                             "\nmovq (%rsp), %r11\nmovq %r11, " + in_thread(recipes.anchor_pc_offset) + "\n";
  stubs.push_back(
      {kCallNativeStub, (faults.no_anchor ? std::string() : anchor) + "movl $8, %eax\njmpq *%r10\n"});
  add_transitions(recipes, targets, anchor, keep_rax, stubs);
  add_hash(recipes, targets, drop_rax, stubs);
  add_weak_load(recipes, targets, drop_rax, stubs);
  stubs.push_back({kRaiseStub, targets.raise});
  return stubs;
}

} // namespace echo::jit
