// SPDX-License-Identifier: MIT
//
// Purpose     The hash table behind every runtime_map_* function.
// Drawing     header  [cells][control][count][tag]      the program's block of 32 bytes: the map's identity
//             control [byte per cell]                   0: free; else 128 + the hash's top 7 bits
//             cells   [key, value][key, value] ...      two words each, every one traced; or, without a pointer in either,
//                                                       one word each: key below, value above
// Algorithm   Open addressing with linear probing under a secret hash; deletion moves later cells back (Knuth, vol. 3, 6.4,
//             algorithm R), so there are no tombstones and a table that only turns over never grows.
// Equations   capacity = bytes of control = a power of two; 4 * count <= 3 * capacity
// Invariants  [runtime.map.1] A block whose four words are 0 is an empty map of any kind; its first insertion makes it one of
//             that kind, and no other kind's functions touch it again. [runtime.map.2] Nothing in the map has changed when a
//             function fails. [runtime.map.3] A reader never meets a cell whose control byte is set but whose words are not.
//             [runtime.map.4] A pointer to a value is good until the next call that changes the map.
#pragma once

#include "hashing.h"
#include "text.h"

#include <bit>
#include <cstdint>
#include <limits>

namespace echo::runtime {

// X(number, name, sentence's words)
#define ECHO_RUNTIME_MAP_KINDS(X)                                                                            \
  X(1, IntInt, "int to int")                                                                                 \
  X(2, IntString, "int to string")                                                                           \
  X(3, BoolString, "bool to string")                                                                         \
  X(4, FloatString, "float to string")                                                                       \
  X(5, StringInt, "string to int")                                                                           \
  X(6, StringFloat, "string to float")                                                                       \
  X(7, StringString, "string to string")

enum class MapKind : std::uint64_t {
#define ECHO_RUNTIME_MAP_ENUM(number, name, words) name = number,
  ECHO_RUNTIME_MAP_KINDS(ECHO_RUNTIME_MAP_ENUM)
#undef ECHO_RUNTIME_MAP_ENUM
};

// No address and no small number.
inline constexpr std::uint64_t kMapTag = 0xEC40'4D61'7000'0000;

struct MapHeader {
  std::uint64_t* cells;
  std::uint8_t* control;
  std::uint64_t count;
  std::uint64_t tag; // kMapTag + kind
};
static_assert(sizeof(MapHeader) == 32);

// The program's pointer as a map of `kind`, or as one that can become it (tag 0); fails otherwise.
MapHeader& map_of(const char* function, void* map, MapKind kind);
// As any map.
MapHeader& any_map_of(const char* function, void* map);
// Before the first insertion: the block can hold a header that is traced; fails otherwise.
void check_new_map(echo_runtime& runtime, const char* function, void* map);

// A key as it is searched for.
struct Probe {
  std::uint64_t word; // what the cell holds
  std::uint64_t hash;
  std::string_view text; // of a string
};

struct IntKey {
  using Argument = std::int32_t;
  static Probe probe(const echo_runtime& runtime, const char*, Argument key) {
    const std::uint64_t word = static_cast<std::uint32_t>(key);
    return {word, hash_word(runtime.seed, word), {}};
  }
  static std::uint64_t hash_again(const echo_runtime& runtime, std::uint64_t word) {
    return hash_word(runtime.seed, word);
  }
  static bool equal(const Probe& probe, std::uint64_t word) { return probe.word == word; }
};

struct BoolKey : IntKey {
  using Argument = std::uint32_t;
  static Probe probe(const echo_runtime& runtime, const char* function, Argument key) {
    return IntKey::probe(runtime, function, static_cast<std::int32_t>(key & 1)); // [runtime.width.1]
  }
};

// [runtime.map.5] Keys that compare equal are one key: 0.0 and -0.0; and all NaNs are one key, so that what is stored under
// it can be found.
struct FloatKey : IntKey {
  using Argument = double;
  static Probe probe(const echo_runtime& runtime, const char*, Argument key) {
    const double canonical = key == 0 ? 0.0 : key != key ? std::numeric_limits<double>::quiet_NaN() : key;
    const auto word = std::bit_cast<std::uint64_t>(canonical);
    return {word, hash_word(runtime.seed, word), {}};
  }
};

struct StringKey {
  using Argument = void*;
  static Probe probe(const echo_runtime& runtime, const char* function, Argument key) {
    const std::string_view text = view(function, key);
    return {as_word(key), hash_bytes(runtime.seed, text), text};
  }
  static std::uint64_t hash_again(const echo_runtime& runtime, std::uint64_t word) {
    return hash_bytes(runtime.seed, text_at(word));
  }
  static bool equal(const Probe& probe, std::uint64_t word) { return probe.text == text_at(word); }

private:
  // A key that was a string when it was stored. [runtime.map.2]: never fails.
  static std::string_view text_at(std::uint64_t word) {
    const auto* const text = reinterpret_cast<const Text*>(word);
    return text == nullptr || text->len <= 0
               ? std::string_view{}
               : std::string_view{text->data, static_cast<std::size_t>(text->len)};
  }
};

// Maps of one kind. kPacked: key and value have 32 bits each and share a word.
template <MapKind kKind, class Key, bool kPacked> class Map {
  using Argument = typename Key::Argument;
  static constexpr std::uint64_t kStride = kPacked ? 1 : 2;
  static constexpr std::uint64_t kFirstCapacity = 8;

public:
  // The cell's word that holds the value (kPacked: its upper half), or null.
  static void* find(const char* function, void* map, Argument key) {
    if (map == nullptr) {
      return nullptr;
    }
    MapHeader& header = map_of(function, map, kKind);
    if (header.count == 0) {
      return nullptr;
    }
    const Probe probe = Key::probe(here(function), function, key);
    const std::uint64_t at = index_of(header, probe);
    return header.control[at] == 0 ? nullptr : value_at(header, at);
  }

  static void set(const char* function, void* map, Argument key, std::uint64_t value) {
    if (map == nullptr) {
      return;
    }
    echo_runtime& runtime = here(function);
    MapHeader& header = map_of(function, map, kKind);
    const Probe probe = Key::probe(runtime, function, key);
    if (header.tag == 0) {
      check_new_map(runtime, function, map);
      grow(runtime, function, header);
    }
    std::uint64_t at = index_of(header, probe);
    if (header.control[at] == 0) {
      if (4 * (header.count + 1) > 3 * capacity_of(header)) {
        grow(runtime, function, header);
        at = index_of(header, probe);
      }
      put(runtime, header, at, probe.word, value);
      header.control[at] = control_of(probe.hash);
      put_word(&header.count, header.count + 1);
    } else {
      put(runtime, header, at, key_at(header, at), value);
    }
    if constexpr (!kPacked) {
      keep(reinterpret_cast<void*>(probe.word));
      keep(reinterpret_cast<void*>(value));
    }
  }

  static void remove(const char* function, void* map, Argument key) {
    if (map == nullptr) {
      return;
    }
    echo_runtime& runtime = here(function);
    MapHeader& header = map_of(function, map, kKind);
    if (header.count == 0) {
      return;
    }
    const Probe probe = Key::probe(runtime, function, key);
    std::uint64_t gap = index_of(header, probe);
    if (header.control[gap] == 0) {
      return;
    }
    const std::uint64_t mask = capacity_of(header) - 1;
    // A later cell of the cluster moves into the gap if its home is not between the two.
    for (std::uint64_t at = (gap + 1) & mask; header.control[at] != 0; at = (at + 1) & mask) {
      const std::uint64_t home = Key::hash_again(runtime, key_at(header, at)) & mask;
      if (((at - home) & mask) >= ((at - gap) & mask)) {
        put(runtime, header, gap, key_at(header, at), value_word_at(header, at));
        header.control[gap] = header.control[at];
        gap = at;
      }
    }
    header.control[gap] = 0;
    put(runtime, header, gap, 0, 0);
    put_word(&header.count, header.count - 1);
  }

private:
  static std::uint64_t capacity_of(const MapHeader& header) { return Memory::length_of(header.control); }
  static std::uint8_t control_of(std::uint64_t hash) { return static_cast<std::uint8_t>(0x80 | hash >> 57); }
  static std::uint64_t key_at(const MapHeader& header, std::uint64_t at) {
    const std::uint64_t word = header.cells[at * kStride];
    return kPacked ? static_cast<std::uint32_t>(word) : word;
  }
  static std::uint64_t value_word_at(const MapHeader& header, std::uint64_t at) {
    return kPacked ? header.cells[at] >> 32 : header.cells[at * kStride + 1];
  }
  static void* value_at(const MapHeader& header, std::uint64_t at) {
    return kPacked ? static_cast<void*>(reinterpret_cast<std::uint32_t*>(&header.cells[at]) + 1)
                   : &header.cells[at * kStride + 1];
  }
  static void put(echo_runtime& runtime, MapHeader& header, std::uint64_t at, std::uint64_t key,
                  std::uint64_t value) {
    if constexpr (kPacked) {
      put_word(&header.cells[at], key | value << 32);
    } else {
      runtime.memory.store(&header.cells[at * kStride], key);
      runtime.memory.store(&header.cells[at * kStride + 1], value);
    }
  }
  // The key's cell, or the free one in which its search ends.
  static std::uint64_t index_of(const MapHeader& header, const Probe& probe) {
    const std::uint64_t mask = capacity_of(header) - 1;
    const std::uint8_t control = control_of(probe.hash);
    std::uint64_t at = probe.hash & mask;
    while (header.control[at] != 0 &&
           (header.control[at] != control || !Key::equal(probe, key_at(header, at)))) {
      at = (at + 1) & mask;
    }
    return at;
  }
  // Twice the cells, or the first ones. SAFEPOINT.
  static void grow(echo_runtime& runtime, const char* function, MapHeader& header) {
    const std::uint64_t before = header.tag == 0 ? 0 : capacity_of(header);
    const std::uint64_t after = before == 0 ? kFirstCapacity : 2 * before;
    if (header.count >= std::numeric_limits<std::int32_t>::max()) {
      fail(&runtime, function, ECHO_LIMIT_EXCEEDED,
           "the map has 2147483647 entries, the most that its length can say");
    }
    Memory& memory = runtime.memory;
    auto* const control = static_cast<std::uint8_t*>(memory.bytes(function, after));
    auto* const cells = static_cast<std::uint64_t*>(
        kPacked ? memory.bytes(function, after * kWord) : memory.words(function, after * kStride * kWord));
    for (std::uint64_t from = 0; from < before; ++from) {
      if (header.control[from] != 0) {
        const std::uint64_t key = key_at(header, from), hash = Key::hash_again(runtime, key);
        std::uint64_t to = hash & (after - 1);
        while (control[to] != 0) {
          to = (to + 1) & (after - 1);
        }
        control[to] = control_of(hash);
        // Born in this call: nothing to announce.
        for (std::uint64_t i = 0; i < kStride; ++i) {
          put_word(&cells[to * kStride + i], header.cells[from * kStride + i]);
        }
      }
    }
    memory.store(&header.cells, cells);
    memory.store(&header.control, control);
    put_word(&header.tag, kMapTag + static_cast<std::uint64_t>(kKind));
  }
};

} // namespace echo::runtime
