// SPDX-License-Identifier: MIT
//
// Purpose     The encoder of histogram_log.h.
#include "gc/histogram_log.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace echo {

namespace {

constexpr std::uint32_t kCookie = 0x1c849313;
constexpr std::uint32_t kCompressedCookie = 0x1c849314;
constexpr std::uint32_t kDigits = 2;
static_assert(Histogram::kSub == 128, "2 digits: half of 256 buckets per octave");
constexpr std::uint64_t kHighest = (std::uint64_t{2 * Histogram::kSub} << (Histogram::kOctaves - 1)) - 1;

void put32(std::string& out, std::uint32_t v) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out += static_cast<char>(v >> shift);
  }
}
void put64(std::string& out, std::uint64_t v) {
  put32(out, static_cast<std::uint32_t>(v >> 32));
  put32(out, static_cast<std::uint32_t>(v));
}

// Seven bits at a time, the ninth byte whole.
void put_zigzag(std::string& out, std::int64_t value) {
  auto v = (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
  for (int i = 0; i < 8; ++i) {
    if (v < 0x80) {
      out += static_cast<char>(v);
      return;
    }
    out += static_cast<char>(v | 0x80);
    v >>= 7;
  }
  out += static_cast<char>(v);
}

std::string payload(const Histogram& histogram) {
  std::size_t end = Histogram::kBuckets;
  while (end > 0 && histogram.count_at(end - 1) == 0) {
    --end;
  }
  std::string counts;
  for (std::size_t b = 0; b < end;) {
    std::int64_t empty = 0;
    for (; histogram.count_at(b) == 0; ++b) { // the last one is not
      ++empty;
    }
    if (empty != 0) {
      put_zigzag(counts, -empty);
    }
    put_zigzag(counts, static_cast<std::int64_t>(histogram.count_at(b++)));
  }
  std::string out;
  put32(out, kCookie);
  put32(out, static_cast<std::uint32_t>(counts.size()));
  put32(out, 0); // offset of the index
  put32(out, kDigits);
  put64(out, 1); // the lowest value that is told from 0
  put64(out, kHighest);
  const double ratio = 1.0;
  std::uint64_t bits = 0;
  std::memcpy(&bits, &ratio, sizeof bits);
  put64(out, bits);
  return out + counts;
}

// RFC 1950 around stored blocks of RFC 1951.
std::string zlib_stream(const std::string& data) {
  constexpr std::size_t kMostStored = 65535;
  std::string out = "\x78\x01";
  for (std::size_t at = 0; at < data.size(); at += kMostStored) {
    const std::size_t bytes = std::min(kMostStored, data.size() - at);
    out += static_cast<char>(at + bytes == data.size() ? 1 : 0);
    for (const std::size_t word : {bytes, ~bytes}) {
      out += static_cast<char>(word);
      out += static_cast<char>(word >> 8);
    }
    out.append(data, at, bytes);
  }
  std::uint32_t a = 1;
  std::uint32_t b = 0;
  for (const char c : data) {
    a = (a + static_cast<unsigned char>(c)) % 65521;
    b = (b + a) % 65521;
  }
  put32(out, b << 16 | a);
  return out;
}

std::string base64(const std::string& data) {
  constexpr const char* kDigitsOf = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < data.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8 | (i + k < data.size() ? static_cast<unsigned char>(data[i + k]) : 0);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out += i + k <= data.size() || k < 2 ? kDigitsOf[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return out;
}

} // namespace

std::string histogram_log(const Histogram& histogram, const char* tag, double start, double seconds) {
  const std::string data = zlib_stream(payload(histogram));
  std::string framed;
  put32(framed, kCompressedCookie);
  put32(framed, static_cast<std::uint32_t>(data.size()));
  char head[320];
  std::snprintf(head, sizeof head,
                "#[Histogram log format version 1.3]\n"
                "#[StartTime: %.3f (seconds since epoch)]\n"
                "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
                "Tag=%s,0.000,%.3f,%.3f,",
                start, tag, seconds, static_cast<double>(histogram.max()) / 1e6);
  return head + base64(framed + data) + "\n";
}

} // namespace echo
