// SPDX-License-Identifier: MIT
//
// plugin.h - a loaded plugin, and a heap of it with the calling thread attached: what almost every test
// starts with.
//
// Invariants  [kit.bound.1] The runner links no plugin: everything is reached through dlopen and the one
//             symbol. [kit.refs.1] A test keeps references in handles or in objects over every SAFEPOINT
//             call.
#ifndef ECHO_CONFORMANCE_PLUGIN_H
#define ECHO_CONFORMANCE_PLUGIN_H

#include "harness.h"

#include "echo/heap.h"

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

namespace conformance {

class Plugin {
public:
  explicit Plugin(const std::string& path);
  ~Plugin();
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  const echo_heap_api& api() const { return *api_; }
  // Address of a symbol of the plugin itself, or null.
  void* symbol(const char* name) const;
  // Unloads; fails the test if the system refuses.
  void close();

  bool has(std::uint64_t feature) const { return (api_->features & feature) != 0; }
  // A feature without which a plugin cannot conform; and one that a plugin may lack.
  void require(std::uint64_t feature) const;
  void skip_without(std::uint64_t feature) const;

  std::vector<echo_option_info> options() const;
  bool has_option(const std::string& name) const;
  void skip_without_option(const std::string& name) const;
  // `must`, and after it those of `wishes` ("poison=on") whose option the plugin has.
  std::string options_with(std::string must, std::initializer_list<const char*> wishes) const;

private:
  void* library_ = nullptr;
  const echo_heap_api* api_ = nullptr;
};

// Names of the feature bits in `bits`.
std::string feature_names(std::uint64_t bits);
std::string status_text(std::int32_t status, const echo_error& why);

// An echo_error filled with a pattern, so that a test sees whether it was written.
echo_error untouched_error();
bool is_untouched(const echo_error& why);
// Fails unless `why` holds `status` and one NUL-terminated sentence without control characters. [abi.error.1]
void expect_error(const echo_error& why, std::int32_t status, const std::string& of_what);

// Word `index` of an object; 0 is the header.
inline std::uint64_t& word(echo_ref object, std::uint64_t index) {
  return reinterpret_cast<std::uint64_t*>(object)[index];
}
inline std::uint8_t* bytes_of(echo_ref object) {
  return reinterpret_cast<std::uint8_t*>(object);
}

// A heap; destroyed at the end, which must succeed.
class Heap {
public:
  Heap(const Plugin& plugin, const std::string& options);
  ~Heap();
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  const echo_heap_api& api() const { return plugin_->api(); }
  const Plugin& plugin() const { return *plugin_; }
  echo_heap* get() const { return heap_; }
  void destroy();
  std::uint64_t holds_over_cap() const;

  echo_layout_id add(const echo_layout& layout) const;
  // `bytes` in all; references at the word indices `slots`.
  echo_layout_id fixed(const char* name, std::uint64_t bytes, const std::vector<std::uint32_t>& slots,
                       std::uint32_t alignment = 0) const;
  echo_layout_id raw_array(const char* name, std::uint32_t element_bytes) const;
  echo_layout_id ref_array(const char* name = "refs") const;
  echo_layout_info info(echo_layout_id id) const;
  echo_statistics statistics() const;

private:
  const Plugin* plugin_;
  echo_heap* heap_ = nullptr;
};

// The calling thread, attached; detached at the end.
class Mutator {
public:
  explicit Mutator(const Heap& heap);
  ~Mutator();
  Mutator(const Mutator&) = delete;
  Mutator& operator=(const Mutator&) = delete;

  const echo_heap_api& api() const { return heap_->api(); }
  const Heap& heap() const { return *heap_; }
  echo_thread* get() const { return thread_; }
  void detach();

  // Must succeed; the test fails with the plugin's own words if not.
  echo_ref allocate(echo_layout_id layout, std::uint64_t length = 0) const;
  // Must fail; returns the code and the sentence.
  echo_error allocate_refused(echo_layout_id layout, std::uint64_t length = 0) const;
  // Code of the thread's latest error, which must be whole.
  echo_status last_error() const;
  void store(echo_ref object, std::uint64_t word_index, echo_ref value) const;
  void array_store(echo_ref array, std::uint64_t index, echo_ref value) const;
  void collect(std::uint32_t kind = ECHO_COLLECT_FULL) const;
  // Runs the plugin's heap verifier if it has one.
  void verify() const;
  echo_handle root(echo_ref object) const;
  echo_ref get(echo_handle handle) const;
  void set(echo_handle handle, echo_ref object) const;

private:
  const Heap* heap_;
  echo_thread* thread_ = nullptr;
};

class Scope {
public:
  explicit Scope(const Mutator& mutator);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  void close();

private:
  const Mutator* mutator_;
  echo_scope scope_ = 0;
  bool open_ = true;
};

// Plugin, heap and mutator together, in the right order.
struct Fixture {
  Plugin plugin;
  Heap heap;
  Mutator mutator;

  explicit Fixture(const Context& context, const std::string& options = "")
      : plugin(context.plugin_path), heap(plugin, options), mutator(heap) {}
  // With options that depend on the plugin.
  Fixture(const Context& context, const std::function<std::string(const Plugin&)>& options)
      : plugin(context.plugin_path), heap(plugin, options(plugin)), mutator(heap) {}
};

} // namespace conformance

#define EXPECT_STATUS(call, expected, what)                                                                  \
  ::conformance::expect_equal_at(__FILE__, __LINE__,                                                         \
                                 std::string(echo_status_name(static_cast<std::int32_t>(call))),             \
                                 std::string(echo_status_name(expected)), (what))

#endif // ECHO_CONFORMANCE_PLUGIN_H
