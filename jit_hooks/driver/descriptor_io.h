/* SPDX-License-Identifier: MIT
 *
 * descriptor_io.h - files by descriptor: owned descriptors, whole reads with a bound, whole writes.
 *
 * Invariants  [run.io.1] No read is unbounded: read_file() refuses what exceeds its limit.
 */
#ifndef ECHO_RUN_DESCRIPTOR_IO_H
#define ECHO_RUN_DESCRIPTOR_IO_H

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "failure.h"

namespace echo::run {

class Descriptor {
public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() { static_cast<void>(close()); }

  int number() const { return number_; }
  bool open() const { return number_ >= 0; }
  /* 0, or the errno of close(2), which may report a write that failed late. */
  int close();

private:
  int number_ = -1;
};

/* 0, or the errno of the write that failed. */
int write_all(int descriptor, std::string_view bytes);

/* The contents of a regular file or pipe of at most `limit` bytes. */
Failure read_file(const std::string& path, uint64_t limit, std::string& out);

} // namespace echo::run

#endif
