// SPDX-License-Identifier: MIT
//
// Purpose     How long the string literals of modules are: those that were registered, and those of the process's dynamic
//             symbol tables.
// Invariants  [runtime.literal.1] The text of a literal ends at its first NUL or at the end of its object, whichever comes
//             first: right with and without a terminating NUL. [runtime.literal.2] What was found in a symbol table is
//             remembered until the thread leaves the runtime: a module stays mapped while its code runs.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <unordered_map>

namespace echo::runtime {

class Literals {
public:
  enum class Added { Ok, Null, Wraps, Overlaps };
  // May throw bad_alloc, with nothing changed.
  Added add(std::uint64_t address, std::uint64_t bytes);
  bool remove(std::uint64_t address);
  // Bytes from `address` to the end of the literal that holds it; -1 if none is known. Throws nothing.
  std::int64_t room_at(std::uint64_t address) {
    const Recent& last = recent_of(address);
    return last.address == address ? last.room : find(address);
  }
  void forget_symbols() {
    symbols_.clear();
    recent_.fill({});
  }

private:
  struct Entry {
    std::uint64_t bytes = 0;   // of the one that is not empty
    std::uint64_t empties = 0; // how many without a byte share its address
    bool has_bytes() const { return bytes != 0; }
  };
  // The literals that were asked for last, by the low bits of their address.
  struct Recent {
    std::uint64_t address = 0; // no literal's
    std::int64_t room = -1;
  };
  Recent& recent_of(std::uint64_t address) { return recent_[address / 2 % 256]; }
  std::int64_t find(std::uint64_t address);
  std::int64_t look_up(std::uint64_t address);
  std::int64_t in_registered(std::uint64_t address) const;
  static std::int64_t in_symbols(std::uint64_t address);

  std::map<std::uint64_t, Entry> registered_;
  std::unordered_map<std::uint64_t, std::int64_t> symbols_;
  std::array<Recent, 256> recent_{};
};

} // namespace echo::runtime
