// SPDX-License-Identifier: MIT
//
// Purpose     The one table of native cell sizes: twelve classes, each in at most four steps.
//
//             class   8   16   32     64          96          128          192 ... 1024
//             cells   8   16   24 32  40 48 56 64 72 80 88 96 104 ... 128  144 ...
//
//             The classes are what the C API names and counts; the steps keep the bytes lost inside a cell
//             near 2 %, where twelve cell sizes lose 15 %.
// Invariants  [native.cell.1] A cell is at least as large as what was asked for, and its address is a
//             multiple of the largest power of two that divides its size.
//             [native.cell.2] An offset in a slab is the start of a cell exactly if its bit in the cell size's pattern
//             of starts is set: one bit per granule of 8 bytes, the geometry of all bits about cells.
// Equations   granule = offset / 8;  bit = granule mod 64 of word granule / 64
#pragma once

#include "heap/words.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace echo::native {

inline constexpr std::size_t kClassCount = 12;
inline constexpr std::array<std::uint16_t, kClassCount> kClassBytes{8,   16,  32,  64,  96,  128,
                                                                    192, 256, 384, 512, 768, 1024};
inline constexpr std::size_t kCellCount = 40;
inline constexpr std::array<std::uint16_t, kCellCount> kCellBytes{
    8,   16,  24,  32,  40,  48,  56,  64,  72,  80,  88,  96,  104, 112, 120, 128, 144, 160, 176, 192,
    208, 224, 240, 256, 288, 320, 352, 384, 416, 448, 480, 512, 576, 640, 704, 768, 832, 896, 960, 1024};
inline constexpr std::size_t kMaxCellBytes = 1024;

// The position of a size in kCellBytes.
struct Cell {
  std::uint8_t number = 0;
  friend bool operator==(Cell, Cell) = default;
};

// Words of a bitmap over a slab's granules.
inline constexpr std::uint32_t kSlabWords = kSlabBytes / kGranule / 64;
using SlabBits = std::array<std::uint64_t, kSlabWords>;

struct CellShape {
  std::uint16_t bytes = 0;
  std::uint16_t capacity = 0; // cells in a slab
  std::uint8_t size_class = 0;
};

namespace detail {

constexpr auto make_shapes() {
  std::array<CellShape, kCellCount> shapes{};
  std::size_t size_class = 0;
  for (std::size_t i = 0; i < kCellCount; ++i) {
    const std::uint32_t bytes = kCellBytes[i];
    size_class += bytes > kClassBytes[size_class] ? 1 : 0;
    shapes[i].bytes = static_cast<std::uint16_t>(bytes);
    shapes[i].capacity = static_cast<std::uint16_t>(kSlabBytes / bytes);
    shapes[i].size_class = static_cast<std::uint8_t>(size_class);
  }
  return shapes;
}

// Number of the cell for a size of `words` 8-byte words.
constexpr auto make_cell_of_words() {
  std::array<std::uint8_t, kMaxCellBytes / 8 + 1> cells{};
  std::size_t cell = 0;
  for (std::size_t words = 1; words < cells.size(); ++words) {
    cell += words * 8 > kCellBytes[cell] ? 1 : 0;
    cells[words] = static_cast<std::uint8_t>(cell);
  }
  return cells;
}

} // namespace detail

inline constexpr auto kShapes = detail::make_shapes();
inline constexpr auto kCellOfWords = detail::make_cell_of_words();

constexpr const CellShape& shape_of(Cell cell) {
  return kShapes[cell.number];
}
// For 1 <= bytes <= kMaxCellBytes.
constexpr Cell cell_for(std::size_t bytes) {
  return Cell{kCellOfWords[(bytes + 7) / 8]};
}

// The starts of a slab's cells. [native.cell.2]
extern const std::array<SlabBits, kCellCount> kStarts;
inline const SlabBits& starts_of(Cell cell) {
  return kStarts[cell.number];
}

// A granule of a slab, by its word in a bitmap and its bit there.
constexpr std::uint32_t word_of(std::size_t offset_in_slab) {
  return static_cast<std::uint32_t>(offset_in_slab / (64 * kGranule));
}
constexpr std::uint64_t bit_of(std::size_t offset) {
  return std::uint64_t{1} << (offset / kGranule % 64);
}

namespace detail {

constexpr bool table_holds() {
  for (std::size_t i = 0; i < kCellCount; ++i) {
    const CellShape& s = kShapes[i];
    if (cell_for(s.bytes).number != i || s.bytes % 8 != 0 || kClassBytes[s.size_class] < s.bytes) {
      return false;
    }
  }
  return kCellOfWords[kMaxCellBytes / 8] == kCellCount - 1;
}
static_assert(table_holds());
static_assert(kSlabWords == 128 && word_of(kSlabBytes - 8) == 127 && bit_of(512 + 16) == 4);

} // namespace detail

} // namespace echo::native
