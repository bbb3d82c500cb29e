/* SPDX-License-Identifier: MIT
 *
 * sizes.h - sizes in text: "64k", "2m", "1g" in, "64 KiB" out.
 */
#ifndef ECHO_RUN_SIZES_H
#define ECHO_RUN_SIZES_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace echo::run {

/* Decimal digits, then nothing or one of k, m, g (powers of 1024, any case). Empty when malformed or above
 * 2^64-1. */
std::optional<uint64_t> parse_size(std::string_view text);

/* The option text of a size: the largest suffix that divides it ("256m"). */
std::string size_option(uint64_t bytes);

/* For people: "1.50 GiB", "64 KiB", "12 bytes". */
std::string readable_bytes(double bytes);

/* 1234567 -> "1,234,567". */
std::string grouped(uint64_t number);

/* 12345678.0 -> "12.3 M"; below 10,000 plain. */
std::string readable_count(double number);

/* Microseconds for people: "12.3 us", "4.56 ms", "1.23 s". */
std::string readable_us(double microseconds);

} // namespace echo::run

#endif
