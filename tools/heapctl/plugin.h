// SPDX-License-Identifier: MIT
//
// Purpose     A heap plugin loaded by path, and a heap of it whose recipes can be read.
// Invariants  [heapctl.plugin.1] No function of the table is called before its version and size are checked.
//             [heapctl.error.1] Every failure is one Problem: what is wrong, where, what to do.
#pragma once

#include "echo/heap.h"

#include <stdexcept>
#include <string>
#include <vector>

namespace echo::ctl {

struct Problem : std::runtime_error {
  Problem(echo_status status, const std::string& sentence)
      : std::runtime_error(std::string(echo_status_name(status)) + ": " + sentence) {}
};

class Plugin {
public:
  explicit Plugin(const std::string& path);
  ~Plugin();
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  const echo_heap_api& api() const { return *api_; }
  std::vector<echo_option_info> options() const;

private:
  void* library_;
  const echo_heap_api* api_ = nullptr;
};

// A heap that lives as long as this: recipes belong to a heap.
class Heap {
public:
  Heap(const Plugin& plugin, const std::string& options);
  ~Heap();
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  const echo_recipes& recipes(echo_recipe_set set) const;

private:
  const echo_heap_api& api_;
  echo_heap* heap_ = nullptr;
};

// The plugin next to this program: ../lib, else the installed library directory.
std::string default_plugin();

} // namespace echo::ctl
