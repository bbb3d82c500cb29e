/* SPDX-License-Identifier: MIT
 *
 * program.cpp - see program.h.
 */
#include "program.h"

#include <cerrno>
#include <cstring>
#include <signal.h>
#include <string_view>
#include <unistd.h>
#include <utility>

#include "current_thread.h"
#include "echo_layer.h"

namespace echo::run {

constinit thread_local CurrentThread current_thread{};

namespace {

/* The signal stack of the running thread for as long as this lives; the one it replaces comes back, because a
 * sanitizer's run time expects its own at the thread's end. */
class SignalStack {
public:
  explicit SignalStack(const GuardedStack& stack) {
    stack_t mine{};
    mine.ss_sp = stack.signal_stack();
    mine.ss_size = GuardedStack::signal_stack_bytes;
    sigaltstack(&mine, &before_);
  }
  ~SignalStack() { sigaltstack(&before_, nullptr); }
  SignalStack(const SignalStack&) = delete;
  SignalStack& operator=(const SignalStack&) = delete;

private:
  stack_t before_{};
};

std::string thread_name(int64_t number) {
  return number == 0 ? std::string("the main thread") : "thread " + std::to_string(number);
}

} // namespace

Program::Program(const Plugins& plugins, echo_heap* heap, echo_jit* jit, const CommandLine& command)
    : plugins_(plugins), heap_(heap), jit_(jit), command_(command) {
  /* C promises main writable strings that live as long as the program: these live as long as the command
   * line. */
  argv_.push_back(const_cast<char*>(command.program.c_str()));
  for (const std::string& argument : command.arguments)
    argv_.push_back(const_cast<char*>(argument.c_str()));
  argv_.push_back(nullptr);
}

Program::~Program() {
  if (mailboxes_registered_)
    plugins_.heap->roots_remove(heap_, mailboxes_.data(), nullptr);
}

Failure Program::prepare() {
  echo_error why{};
  if (const echo_status status = plugins_.heap->roots_add(heap_, mailboxes_.data(), mailboxes_.size(), &why);
      status != ECHO_OK)
    return failure_from(status, why, "the registration of the threads' mailboxes");
  mailboxes_registered_ = true;
  return {};
}

Failure Program::start(void* main_function) {
  auto thread = std::make_unique<Thread>();
  thread->program = this;
  thread->function = main_function;
  thread->arguments = {argv_.size() - 1, reinterpret_cast<uint64_t>(argv_.data()),
                       reinterpret_cast<uint64_t>(environ)};
  Thread& main_thread = *thread;
  {
    const std::lock_guard lock(mutex_);
    thread->number = next_number_++;
    mailbox_taken_[thread->mailbox] = true;
    threads_.emplace(thread->number, std::move(thread));
  }
  return launch(main_thread);
}

/* Makes the stack and the thread. */
Failure Program::launch(Thread& thread) {
  if (Failure failure = GuardedStack::create(command_.stack_bytes, thread.stack))
    return failure;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  int problem = pthread_attr_setstack(&attributes, thread.stack.base(), thread.stack.bytes());
  const std::lock_guard lock(mutex_);
  if (problem == 0)
    problem = pthread_create(&thread.handle, &attributes, &Program::enter, &thread);
  pthread_attr_destroy(&attributes);
  if (problem != 0)
    return {ECHO_SYSTEM_MEMORY, "the system refused a thread (" + std::string(std::strerror(problem)) +
                                    "), as " + thread_name(thread.number) +
                                    " of the program, start fewer threads"};
  thread.created = true;
  ++inside_;
  return {};
}

void* Program::enter(void* argument) {
  auto& thread = *static_cast<Thread*>(argument);
  Program& program = *thread.program;
  {
    /* The parent counts this thread as inside before it may run. */
    const std::lock_guard lock(program.mutex_);
  }
  current_thread = {&program, nullptr, &thread.stack, thread.number, false, 0, false};
  bool brought_ending = false;
  {
    const SignalStack signal_stack(thread.stack);
    brought_ending = program.run(thread);
  }
  current_thread = {};
  program.finish(thread, brought_ending);
  return nullptr;
}

/* Attach, call, detach. */
bool Program::run(Thread& thread) {
  echo_error why{};
  echo_thread* attached = nullptr;
  if (const echo_status status = plugins_.heap->attach(heap_, &attached, &why); status != ECHO_OK)
    return end_with(EndingKind::failed, exit_failed, failure_from(status, why, thread_name(thread.number)));
  current_thread.thread = attached;
  uint64_t from_mailbox = 0;
  const uint64_t* arguments = thread.arguments.data();
  auto argument_count = static_cast<uint32_t>(thread.arguments.size());
  if (thread.number != 0) {
    /* Managed since attach, and no safepoint until the call below: the reference may leave its mailbox. */
    from_mailbox = reinterpret_cast<uint64_t>(std::exchange(mailboxes_[thread.mailbox], nullptr));
    arguments = &from_mailbox;
    argument_count = 1;
  }
  Failure problem = layer_ != nullptr ? layer_->enter(attached) : Failure{};
  if (problem) {
    plugins_.heap->detach(attached, nullptr);
    current_thread.thread = nullptr;
    return end_with(EndingKind::failed, exit_failed, std::move(problem));
  }
  clock_.enter();
  uint64_t result = 0;
  const echo_status status =
      plugins_.jit->call(jit_, attached, thread.function, arguments, argument_count, &result, &why);
  clock_.leave();
  if (layer_ != nullptr)
    problem = layer_->leave();
  echo_error detach_why{};
  const echo_status detached = plugins_.heap->detach(attached, &detach_why);
  current_thread.thread = nullptr;

  if (current_thread.exiting)
    return end_with(EndingKind::exited, current_thread.exit_status, {});
  if (status != ECHO_OK)
    return end_with(EndingKind::failed, current_thread.layer_failed ? ECHO_RUNTIME_FAILED : exit_failed,
                    failure_from(status, why, thread_name(thread.number)));
  if (problem)
    return end_with(EndingKind::failed, exit_failed, std::move(problem));
  if (detached != ECHO_OK)
    return end_with(EndingKind::failed, exit_failed,
                    failure_from(detached, detach_why, thread_name(thread.number)));
  if (thread.number == 0) {
    const std::lock_guard lock(mutex_);
    main_result_ = static_cast<int>(static_cast<uint32_t>(result));
  }
  return false;
}

/* The last thing a thread does with the program. */
void Program::finish(Thread& thread, bool brought_ending) {
  bool last = false;
  int result = 0;
  {
    const std::lock_guard lock(mutex_);
    mailbox_taken_[thread.mailbox] = false;
    thread.finished = true;
    last = --inside_ == 0;
    result = main_result_;
    changed_.notify_all();
  }
  /* `thread` may be freed from here on. [run.thread.4] */
  if (last && !brought_ending)
    brought_ending = end_with(EndingKind::returned, result, {});
  if (brought_ending)
    ending_.announce();
}

bool Program::end_with(EndingKind kind, int status, Failure failure) {
  if (!ending_.claim(kind))
    return false;
  exit_status_ = status & 0xff;
  failure_ = std::move(failure);
  return true;
}

bool Program::threads_inside() const {
  const std::lock_guard lock(mutex_);
  return inside_ != 0;
}

int64_t Program::threads_started() const {
  const std::lock_guard lock(mutex_);
  return next_number_;
}

void Program::reap() {
  release_finished();
  const std::lock_guard lock(mutex_);
  threads_.clear();
}

/* Joins threads that ended and unmaps their stacks; their numbers stay known until they are joined by the
 * program. */
void Program::release_finished() {
  const std::lock_guard lock(mutex_);
  for (auto& [number, thread] : threads_) {
    if (!thread->created || !thread->finished || thread->claimed)
      continue;
    pthread_join(thread->handle, nullptr);
    thread->created = false;
    thread->stack = GuardedStack();
  }
}

Failure Program::spawn(void* function, echo_ref argument, int64_t& number) {
  char name[256];
  if (plugins_.jit->function_at(jit_, reinterpret_cast<uintptr_t>(function), name, sizeof name) != ECHO_OK)
    return {ECHO_INVALID_ARGUMENT, "the address given to echo_spawn is no function of the program, "
                                   "give a function that takes one reference"};
  char type[64];
  if (plugins_.jit->function_type(jit_, function, type, sizeof type) != ECHO_OK ||
      std::string_view(type) != "vr")
    return {ECHO_INVALID_ARGUMENT,
            "a function that does not take one reference and return nothing, in echo_spawn of '" +
                std::string(name) + "', declare it void (echo_any)"};
  auto made = std::make_unique<Thread>();
  Thread& thread = *made;
  {
    const std::lock_guard lock(mutex_);
    std::size_t free = 1; /* mailbox 0 stays with the main thread */
    while (free < threads_most && mailbox_taken_[free])
      ++free;
    if (free == threads_most)
      return {ECHO_LIMIT_EXCEEDED, std::to_string(threads_most) + " threads run already, in echo_spawn, "
                                                                  "join some before starting more"};
    mailbox_taken_[free] = true;
    thread.program = this;
    thread.function = function;
    thread.mailbox = free;
    thread.number = next_number_++;
    threads_.emplace(thread.number, std::move(made));
    number = thread.number;
  }
  mailboxes_[thread.mailbox] = argument; /* a root from here on [run.thread.1] */
  const std::size_t mailbox = thread.mailbox;
  plugins_.heap->enter_native(current_thread.thread);
  release_finished();
  Failure failure = launch(thread);
  plugins_.heap->leave_native(current_thread.thread);
  if (failure) {
    mailboxes_[mailbox] = nullptr;
    const std::lock_guard lock(mutex_);
    mailbox_taken_[mailbox] = false;
    threads_.erase(number);
  }
  return failure;
}

Failure Program::join(int64_t number) {
  if (number == current_thread.number)
    return {ECHO_INVALID_ARGUMENT, "a thread waits for itself, in echo_join of " + thread_name(number) +
                                       ", join it from another thread"};
  std::unique_ptr<Thread> ended;
  bool known = false;
  plugins_.heap->enter_blocked(current_thread.thread);
  clock_.leave();
  {
    std::unique_lock lock(mutex_);
    const auto found = number > 0 ? threads_.find(number) : threads_.end();
    if (found != threads_.end() && !found->second->claimed) {
      known = true;
      found->second->claimed = true;
      changed_.wait(lock, [&] { return found->second->finished; });
      ended = std::move(found->second);
      threads_.erase(found);
    }
  }
  if (ended && ended->created)
    pthread_join(ended->handle, nullptr);
  ended.reset();
  clock_.enter();
  plugins_.heap->leave_blocked(current_thread.thread);
  if (!known)
    return {ECHO_INVALID_ARGUMENT,
            "no thread " + std::to_string(number) + " waits to be joined, in echo_join of " +
                thread_name(current_thread.number) + ", join each result of echo_spawn once"};
  return {};
}

} // namespace echo::run
