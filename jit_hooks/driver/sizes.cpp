/* SPDX-License-Identifier: MIT
 *
 * sizes.cpp - see sizes.h.
 */
#include "sizes.h"

#include <array>
#include <cstdio>
#include <limits>

namespace echo::run {

namespace {

std::string formatted(const char* format, double value, const char* unit) {
  std::array<char, 64> text{};
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): the format is one of the literals below.
  std::snprintf(text.data(), text.size(), format, value, unit);
  return text.data();
}

/* Three significant digits. */
std::string three_digits(double value, const char* unit) {
  if (value < 9.995)
    return formatted("%.2f %s", value, unit);
  if (value < 99.95)
    return formatted("%.1f %s", value, unit);
  return formatted("%.0f %s", value, unit);
}

} // namespace

std::optional<uint64_t> parse_size(std::string_view text) {
  constexpr uint64_t largest = std::numeric_limits<uint64_t>::max();
  unsigned shift = 0;
  if (!text.empty()) {
    switch (text.back()) {
    case 'k':
    case 'K':
      shift = 10;
      break;
    case 'm':
    case 'M':
      shift = 20;
      break;
    case 'g':
    case 'G':
      shift = 30;
      break;
    default:
      break;
    }
    if (shift != 0)
      text.remove_suffix(1);
  }
  if (text.empty())
    return std::nullopt;
  uint64_t value = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '9')
      return std::nullopt;
    const auto units = static_cast<uint64_t>(digit - '0');
    if (value > (largest - units) / 10)
      return std::nullopt;
    value = value * 10 + units;
  }
  if (value > (largest >> shift))
    return std::nullopt;
  return value << shift;
}

std::string size_option(uint64_t bytes) {
  if (bytes != 0 && bytes % (uint64_t{1} << 30) == 0)
    return std::to_string(bytes >> 30) + "g";
  if (bytes != 0 && bytes % (uint64_t{1} << 20) == 0)
    return std::to_string(bytes >> 20) + "m";
  if (bytes != 0 && bytes % (uint64_t{1} << 10) == 0)
    return std::to_string(bytes >> 10) + "k";
  return std::to_string(bytes);
}

std::string readable_bytes(double bytes) {
  static constexpr std::array<const char*, 5> units{"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024.0)
    return formatted("%.0f %s", bytes, "bytes");
  std::size_t unit = 0;
  bytes /= 1024.0;
  for (; bytes >= 1023.5 && unit + 1 < units.size(); ++unit)
    bytes /= 1024.0;
  return three_digits(bytes, units[unit]);
}

std::string grouped(uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t place = digits.size(); place > 3;) {
    place -= 3;
    digits.insert(place, 1, ',');
  }
  return digits;
}

std::string readable_count(double number) {
  static constexpr std::array<const char*, 4> units{"k", "M", "G", "T"};
  if (number < 10000.0)
    return formatted("%.0f%s", number, "");
  std::size_t unit = 0;
  number /= 1000.0;
  for (; number >= 999.5 && unit + 1 < units.size(); ++unit)
    number /= 1000.0;
  return three_digits(number, units[unit]);
}

std::string readable_us(double microseconds) {
  if (microseconds < 999.5)
    return three_digits(microseconds, "us");
  if (microseconds < 999.5e3)
    return three_digits(microseconds / 1e3, "ms");
  return three_digits(microseconds / 1e6, "s");
}

} // namespace echo::run
