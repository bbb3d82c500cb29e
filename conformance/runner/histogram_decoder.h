// SPDX-License-Identifier: MIT
//
// histogram_decoder.h - reads a log of HdrHistogram (1.3, payload V2) as its tools do: written from the format's description, and
// shares nothing with the plugin that wrote it. Streams of stored blocks only: what needs more is refused.
#ifndef ECHO_CONFORMANCE_HISTOGRAM_DECODER_H
#define ECHO_CONFORMANCE_HISTOGRAM_DECODER_H

#include "harness.h"

#include <cmath>
#include <cstring>
#include <vector>

namespace conformance {

struct DecodedHistogram {
  std::string tag;
  double interval_s = 0, max_ms = 0;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> counts; // highest value of a bucket -> count
  std::uint64_t total() const {
    std::uint64_t sum = 0;
    for (const auto& [value, count] : counts)
      sum += count;
    return sum;
  }
  // The smallest bucket value that `share` of the values do not exceed.
  std::uint64_t quantile(double share) const {
    std::uint64_t seen = 0;
    for (const auto& [value, count] : counts)
      if (static_cast<double>(seen += count) >= share * static_cast<double>(total()))
        return value;
    return 0;
  }
};

class HistogramReader {
public:
  explicit HistogramReader(const std::string& data) : data_(data.begin(), data.end()) {}
  std::uint64_t big_endian(unsigned bytes) {
    std::uint64_t v = 0;
    for (unsigned i = 0; i < bytes; ++i)
      v = v << 8 | byte();
    return v;
  }
  std::int64_t zigzag() {
    std::uint64_t v = 0;
    for (unsigned i = 0;; ++i) {
      const std::uint64_t b = byte();
      if (i == 8) {
        v |= b << 56;
        break;
      }
      v |= (b & 0x7F) << (7 * i);
      if ((b & 0x80) == 0)
        break;
    }
    return static_cast<std::int64_t>(v >> 1) ^ -static_cast<std::int64_t>(v & 1);
  }
  std::uint8_t byte() {
    EXPECT(at_ < data_.size(), "the histogram ends too early");
    return data_[at_++];
  }
  std::size_t left() const { return data_.size() - at_; }

private:
  std::vector<std::uint8_t> data_;
  std::size_t at_ = 0;
};

inline std::string from_base64(const std::string& text) {
  std::string out;
  std::uint32_t group = 0;
  int digits = 0;
  EXPECT(text.size() % 4 == 0, "base64 of " + show(text.size()) + " digits");
  for (const char c : text) {
    const char* const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char* const at = std::strchr(alphabet, c);
    EXPECT(c == '=' || (at != nullptr && c != '\0'), "no base64 digit");
    group = group << 6 | (c == '=' ? 0u : static_cast<std::uint32_t>(at - alphabet));
    if (++digits == 4) {
      for (int shift = 16; shift >= 0; shift -= 8)
        out += static_cast<char>(group >> shift);
      group = 0;
      digits = 0;
    }
  }
  for (std::size_t i = text.size(); i > 0 && text[i - 1] == '='; --i)
    out.pop_back();
  return out;
}

inline std::string inflate_stored(HistogramReader& in) {
  EXPECT(in.big_endian(2) % 31 == 0, "the header of the zlib stream has a wrong check");
  std::string out;
  for (bool last = false; !last;) {
    const std::uint8_t kind = in.byte();
    EXPECT(kind <= 1, "a compressed block: this decoder reads stored ones");
    last = kind == 1;
    std::uint32_t length = in.byte();
    length |= static_cast<std::uint32_t>(in.byte()) << 8;
    std::uint32_t inverse = in.byte();
    inverse |= static_cast<std::uint32_t>(in.byte()) << 8;
    EXPECT((length ^ inverse) == 0xFFFF, "a stored block contradicts its length");
    for (std::uint32_t i = 0; i < length; ++i)
      out += static_cast<char>(in.byte());
  }
  std::uint32_t a = 1;
  std::uint32_t b = 0;
  for (const char c : out) {
    a = (a + static_cast<unsigned char>(c)) % 65521;
    b = (b + a) % 65521;
  }
  EXPECT_EQ(in.big_endian(4), std::uint64_t{b} << 16 | a, "the check sum of the zlib stream");
  return out;
}

inline DecodedHistogram decode_histogram_log(const std::string& log) {
  EXPECT(log.rfind("#[Histogram log format version 1.3]\n", 0) == 0, "the log's first line");
  std::istringstream lines(log);
  std::string line;
  DecodedHistogram decoded;
  bool found = false;
  while (std::getline(lines, line)) {
    if (line.empty() || line[0] == '#' || line[0] == '"')
      continue;
    EXPECT(!found, "the log has several intervals");
    found = true;
    std::vector<std::string> parts(1);
    for (const char c : line)
      if (c == ',')
        parts.emplace_back();
      else
        parts.back() += c;
    EXPECT(parts.size() == 5 && parts[0].rfind("Tag=", 0) == 0, "the interval's line is '" + line + "'");
    decoded.tag = parts[0].substr(4);
    decoded.interval_s = std::stod(parts[2]);
    decoded.max_ms = std::stod(parts[3]);
    HistogramReader outer(from_base64(parts[4]));
    EXPECT_EQ(outer.big_endian(4), std::uint64_t{0x1c849314}, "the cookie of the compressed payload");
    const std::uint64_t compressed_bytes = outer.big_endian(4);
    EXPECT_EQ(compressed_bytes, std::uint64_t{outer.left()}, "the length of the compressed payload");
    HistogramReader in(inflate_stored(outer));
    EXPECT_EQ(in.big_endian(4), std::uint64_t{0x1c849313}, "the cookie of the payload");
    const std::uint64_t count_bytes = in.big_endian(4);
    EXPECT_EQ(in.big_endian(4), std::uint64_t{0}, "the index offset");
    const auto digits = static_cast<unsigned>(in.big_endian(4));
    EXPECT_EQ(in.big_endian(8), std::uint64_t{1}, "the lowest value");
    const std::uint64_t highest = in.big_endian(8);
    (void)in.big_endian(8); // the ratio
    EXPECT_EQ(count_bytes, std::uint64_t{in.left()}, "the length of the counts");
    // Buckets by the format's equations.
    const auto magnitude = static_cast<unsigned>(std::ceil(std::log2(2 * std::pow(10.0, digits))));
    const std::uint64_t sub_buckets = std::uint64_t{1} << magnitude;
    const std::uint64_t half = sub_buckets / 2;
    for (std::uint64_t index = 0; in.left() != 0;) {
      const std::int64_t count = in.zigzag();
      if (count < 0) {
        index += static_cast<std::uint64_t>(-count);
        continue;
      }
      const std::int64_t bucket = static_cast<std::int64_t>(index / half) - 1;
      const std::uint64_t sub = bucket < 0 ? index : index % half + half;
      const unsigned shift = bucket < 0 ? 0 : static_cast<unsigned>(bucket);
      const std::uint64_t value = ((sub + 1) << shift) - 1;
      EXPECT(value <= highest, "a count beyond the highest value");
      if (count > 0)
        decoded.counts.emplace_back(value, static_cast<std::uint64_t>(count));
      ++index;
    }
  }
  EXPECT(found, "the log has no interval");
  return decoded;
}

} // namespace conformance

#endif // ECHO_CONFORMANCE_HISTOGRAM_DECODER_H
