// SPDX-License-Identifier: MIT
//
// Purpose     The one place that talks to the operating system about pages.
// Invariants  [heap.pages.1] Reserved memory is unreadable until committed. [heap.pages.2] Nothing is ever
//             both writable and executable. [heap.pages.3] Every size and address handed over is
//             page-aligned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <pthread.h>

namespace echo::os {

// Address space without memory, aligned to `alignment` (a power of two); null if refused. Released by
// release().
void* reserve(std::size_t bytes, std::size_t alignment);
// Zeroed memory, readable and writable, charged when touched; null if refused. Released by release().
void* map_zeroed(std::size_t bytes, std::size_t alignment);
// Makes part of a reservation usable. False if refused.
bool commit(void* at, std::size_t bytes);
// Gives the pages back; they read as zero when touched again. False if refused: the contents are then
// unchanged.
bool discard(void* at, std::size_t bytes);
// Brings the pages in, contents unchanged, so that nobody faults on them. False if refused or unknown to the kernel
// (before Linux 5.14).
bool populate(void* at, std::size_t bytes);
// Asks for transparent huge pages. False if refused; nothing depends on it.
bool advise_huge(void* at, std::size_t bytes);
// In the child of a fork the pages read as zero. False if unknown to the kernel (before Linux 4.14).
bool wipe_on_fork(void* at, std::size_t bytes);
// Ends a reservation or mapping.
void release(void* at, std::size_t bytes);
// Reads a byte of each page: whoever comes next does not fault there. What is read may be written by others meanwhile.
void touch(const void* at, std::size_t bytes);
// The same with the code and the constants of this library, a few MiB of them.
void touch_own_image();

std::uint64_t monotonic_ns();
std::uint64_t thread_cpu_ns();
// Of another thread of the process, which exists; 0 if the system does not tell.
std::uint64_t cpu_ns_of(pthread_t thread);
// The calling thread has from now on a smaller share of a processor that others want too: `steps` of nice(2) less than it had.
void lower_priority(int steps);
int nice_value();

} // namespace echo::os
