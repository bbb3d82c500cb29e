// SPDX-License-Identifier: MIT
//
// Purpose     Run listing without a branch per run.
// Equations   edges = live xor (live << 1 with a live granule before the first): the positions of the set bits are
//             start, end, start, end, ...; a last run that is open ends at kGranulesPerSlab.
//             A pair (start, end) as one little-endian word v is the run v - (v << 16) = (start, end - start).
// Algorithm   The positions of a word's bits: byte compress of 0..63 under the word as a mask (AVX-512 VBMI2); eight bits
//             at a time by a table of 256 rows (AVX2), or one by one where they are few.
#include "heap/run_list_x86.h"

#if defined(__x86_64__)

#if defined(__GNUC__) && !defined(__clang__)
// g++ 12's own header passes a deliberately undefined vector where all lanes are masked.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <bit>
#include <cstring>
#include <immintrin.h>

// This file is about these instructions; the portable form is in run_list.cpp.
// NOLINTBEGIN(portability-simd-intrinsics)
namespace echo::x86 {

namespace {

constexpr std::size_t kWords = kGranulesPerSlab / 64;
// Edges of a slab, and what a store of 64 positions may write behind them.
constexpr std::size_t kPositions = kGranulesPerSlab + 64;
static_assert(sizeof(FreeRun) == 4 && offsetof(FreeRun, granules) == 2);

std::uint64_t edges_of(std::uint64_t live, std::uint64_t before) {
  return live ^ (live << 1 | before >> 63);
}

// Closes an open run; the number of runs.
std::size_t close_last(std::uint16_t* positions, std::size_t count) {
  if (count % 2 != 0) {
    positions[count++] = static_cast<std::uint16_t>(kGranulesPerSlab);
  }
  return count / 2;
}

using BytePositions = std::array<std::array<std::uint8_t, 8>, 256>;

constexpr BytePositions make_byte_positions() {
  BytePositions table{};
  for (unsigned value = 0; value < 256; ++value) {
    unsigned next = 0;
    for (unsigned bit = 0; bit < 8; ++bit) {
      if ((value >> bit & 1) != 0) {
        table[value][next++] = static_cast<std::uint8_t>(bit);
      }
    }
  }
  return table;
}
constexpr BytePositions kBytePositions = make_byte_positions();

} // namespace

bool has_avx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("popcnt") != 0 &&
         __builtin_cpu_supports("bmi") != 0;
}

bool has_avx512() {
  __builtin_cpu_init();
  return has_avx2() && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512vbmi2") != 0;
}

[[gnu::target("avx2,bmi,popcnt")]] std::size_t list_avx2(const LiveMap& map, FreeRun* out) {
  alignas(32) std::uint16_t positions[kPositions];
  std::size_t count = 0;
  std::uint64_t before = ~std::uint64_t{0};
  for (std::size_t w = 0; w < kWords; ++w) {
    std::uint64_t edges = edges_of(map[w], before);
    before = map[w];
    const auto found = static_cast<std::size_t>(__builtin_popcountll(edges));
    const std::size_t base = w * 64;
    if (found <= 8) {
      for (std::size_t i = 0; i < found; ++i, edges &= edges - 1) {
        positions[count + i] =
            static_cast<std::uint16_t>(base + static_cast<unsigned>(std::countr_zero(edges)));
      }
      count += found;
      continue;
    }
    for (std::size_t byte = 0; byte < 8; ++byte) {
      const auto value = static_cast<std::uint8_t>(edges >> (8 * byte));
      const __m128i bits = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(&kBytePositions[value]));
      const __m128i wide =
          _mm_add_epi16(_mm_cvtepu8_epi16(bits), _mm_set1_epi16(static_cast<short>(base + 8 * byte)));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(positions + count), wide);
      count += static_cast<std::size_t>(__builtin_popcount(value));
    }
  }
  const std::size_t runs = close_last(positions, count);
  std::size_t i = 0;
  for (; i + 8 <= runs; i += 8) {
    const __m256i v = _mm256_load_si256(reinterpret_cast<const __m256i*>(positions + 2 * i));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), _mm256_sub_epi32(v, _mm256_slli_epi32(v, 16)));
  }
  for (; i < runs; ++i) {
    out[i] = {positions[2 * i], static_cast<std::uint16_t>(positions[2 * i + 1] - positions[2 * i])};
  }
  return runs;
}

[[gnu::target("avx512f,avx512bw,avx512vbmi2,bmi,popcnt")]] std::size_t list_avx512(const LiveMap& map,
                                                                                   FreeRun* out) {
  alignas(64) std::uint16_t positions[kPositions];
  alignas(64) std::uint8_t indices[64];
  for (unsigned i = 0; i < 64; ++i) {
    indices[i] = static_cast<std::uint8_t>(i);
  }
  const __m512i every = _mm512_load_si512(indices);
  std::size_t count = 0;
  std::uint64_t before = ~std::uint64_t{0};
  for (std::size_t w = 0; w < kWords; ++w) {
    const std::uint64_t edges = edges_of(map[w], before);
    before = map[w];
    const __m512i bits = _mm512_maskz_compress_epi8(edges, every);
    const __m512i base = _mm512_set1_epi16(static_cast<short>(w * 64));
    const __m512i low = _mm512_add_epi16(_mm512_cvtepu8_epi16(_mm512_castsi512_si256(bits)), base);
    const __m512i high = _mm512_add_epi16(_mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(bits, 1)), base);
    _mm512_storeu_si512(positions + count, low);
    _mm512_storeu_si512(positions + count + 32, high);
    count += static_cast<std::size_t>(__builtin_popcountll(edges));
  }
  const std::size_t runs = close_last(positions, count);
  std::size_t i = 0;
  for (; i + 16 <= runs; i += 16) {
    const __m512i v = _mm512_load_si512(positions + 2 * i);
    _mm512_storeu_si512(out + i, _mm512_sub_epi32(v, _mm512_slli_epi32(v, 16)));
  }
  for (; i < runs; ++i) {
    out[i] = {positions[2 * i], static_cast<std::uint16_t>(positions[2 * i + 1] - positions[2 * i])};
  }
  return runs;
}

} // namespace echo::x86
// NOLINTEND(portability-simd-intrinsics)

#else

namespace echo::x86 {

bool has_avx2() {
  return false;
}
bool has_avx512() {
  return false;
}
std::size_t list_avx2(const LiveMap&, FreeRun*) {
  return 0;
}
std::size_t list_avx512(const LiveMap&, FreeRun*) {
  return 0;
}

} // namespace echo::x86

#endif
