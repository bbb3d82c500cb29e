// SPDX-License-Identifier: MIT
//
// Purpose     A queue of fixed length between asking for memory and looking at it: what goes in comes out kLength steps later,
//             0 standing for nothing.
#pragma once

#include "heap/words.h"

#include <array>
#include <cstddef>

namespace echo {

template <std::size_t kLength> class DelayLine {
  static_assert((kLength & (kLength - 1)) == 0);

public:
  Address exchange(Address in) {
    const Address out = line_[next_];
    line_[next_] = in;
    next_ = (next_ + 1) & (kLength - 1);
    return out;
  }

private:
  std::array<Address, kLength> line_{};
  std::size_t next_ = 0;
};

} // namespace echo
