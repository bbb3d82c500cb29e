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
//             [native.cell.2] An offset in a slab is the start of a cell exactly if it divides evenly, which
//             one multiplication decides together with the cell's index.
// Equations   magic = floor((2^32 - 1) / bytes) + 1;  index = offset * magic >> 32
//             start  <=>  low 32 bits of offset * magic < magic
//             Lemire, Kaser, Kurz: Faster remainder by direct computation, SP&E 49(6), 2019.
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

// Words of a bitmap over the cells of a slab, at most.
inline constexpr std::uint32_t kSlabWords = kSlabBytes / 8 / 64;

struct CellShape {
  std::uint32_t magic = 0;
  std::uint16_t bytes = 0;
  std::uint16_t capacity = 0; // cells in a slab
  std::uint16_t words = 0;    // 64-bit words of a bitmap over them
  std::uint8_t size_class = 0;
};

namespace detail {

constexpr auto make_shapes() {
  std::array<CellShape, kCellCount> shapes{};
  std::size_t size_class = 0;
  for (std::size_t i = 0; i < kCellCount; ++i) {
    const std::uint32_t bytes = kCellBytes[i];
    size_class += bytes > kClassBytes[size_class] ? 1 : 0;
    shapes[i].magic = 0xFFFFFFFFu / bytes + 1;
    shapes[i].bytes = static_cast<std::uint16_t>(bytes);
    shapes[i].capacity = static_cast<std::uint16_t>(kSlabBytes / bytes);
    shapes[i].words = static_cast<std::uint16_t>((kSlabBytes / bytes + 63) / 64);
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

// The cell an offset in a slab lies in, and whether it is the cell's first byte. [native.cell.2]
struct CellIndex {
  std::uint32_t index = 0;
  bool is_start = false;
};
constexpr CellIndex cell_at(std::uint32_t offset, std::uint32_t magic) {
  const std::uint64_t product = static_cast<std::uint64_t>(offset) * magic;
  return {static_cast<std::uint32_t>(product >> 32), static_cast<std::uint32_t>(product) < magic};
}

namespace detail {

constexpr bool table_holds() {
  for (std::size_t i = 0; i < kCellCount; ++i) {
    const CellShape& s = kShapes[i];
    // A start past the last cell still finds a word of the bitmap, whose bit there is never set.
    const std::uint32_t tail = s.capacity * std::uint32_t{s.bytes};
    if (tail < kSlabBytes && cell_at(tail, s.magic).index / 64 >= s.words) {
      return false;
    }
    if (cell_for(s.bytes).number != i || s.bytes % 8 != 0 || kClassBytes[s.size_class] < s.bytes) {
      return false;
    }
  }
  return kCellOfWords[kMaxCellBytes / 8] == kCellCount - 1;
}
static_assert(table_holds());
static_assert(cell_at(0, kShapes[3].magic).is_start && cell_at(64, kShapes[3].magic).index == 2 &&
              !cell_at(65, kShapes[3].magic).is_start);

} // namespace detail

} // namespace echo::native
