// SPDX-License-Identifier: MIT
//
// Purpose     Numbers to text and back.
// Invariants  [runtime.number.1] Text of a number is what C's printf gives in the C locale: "%g" to print, "%.15g" to convert,
//             "nan", "-nan", "inf", "-inf" included. [runtime.number.2] A conversion writes integral values between -2^63 and
//             2^63 in full and without a point; negative zero is "-0".
#include "conversions.h"

#include "functions.h"
#include "text.h"

#include <cerrno>
#include <charconv>
#include <clocale>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace echo::runtime {

NumberText decimal(std::int64_t value) {
  NumberText text;
  text.length = static_cast<std::size_t>(
      std::to_chars(text.bytes, text.bytes + sizeof text.bytes, value).ptr - text.bytes);
  return text;
}

NumberText general(double value, int digits) {
  NumberText text;
  text.length = static_cast<std::size_t>(
      std::to_chars(text.bytes, text.bytes + sizeof text.bytes, value, std::chars_format::general, digits)
          .ptr -
      text.bytes);
  return text;
}

namespace {

// The C locale: a constant of the C library, never freed.
locale_t c_locale() {
  return ::newlocale(LC_ALL_MASK, "C", nullptr);
}

// strtod of bytes that end with a NUL; errno stays as it was.
double parse(const char* text) {
  const int before = errno;
  char* end = nullptr;
  const double value = ::strtod_l(text, &end, c_locale());
  errno = before;
  return end == text ? std::numeric_limits<double>::quiet_NaN() : value;
}

} // namespace
} // namespace echo::runtime

using namespace echo::runtime;

void* int_to_string(std::int32_t value) {
  return new_text(here("int_to_string"), "int_to_string", decimal(value).view());
}

void* runtime_f64_to_string(double value) {
  constexpr const char* kFunction = "runtime_f64_to_string";
  echo_runtime& runtime = here(kFunction);
  const bool integral = value >= -0x1p63 && value < 0x1p63 && std::trunc(value) == value;
  if (!integral || (value == 0 && std::signbit(value))) {
    return new_text(runtime, kFunction, general(value, 15).view());
  }
  return new_text(runtime, kFunction, decimal(static_cast<std::int64_t>(value)).view());
}

double runtime_string_to_f64(void* string) {
  constexpr const char* kFunction = "runtime_string_to_f64";
  echo_runtime& runtime = here(kFunction);
  const std::string_view text = view(kFunction, string);
  char near[256];
  if (text.size() < sizeof near) {
    std::copy(text.begin(), text.end(), near);
    near[text.size()] = 0;
    return parse(near);
  }
  auto* const copy = static_cast<char*>(runtime.memory.bytes(kFunction, text.size() + 1));
  std::copy(text.begin(), text.end(), copy);
  const double value = parse(copy);
  keep(string);
  keep(copy);
  return value;
}

double runtime_math_sqrt(double value) {
  return std::sqrt(value);
}

void* runtime_null_ptr() {
  return nullptr;
}
