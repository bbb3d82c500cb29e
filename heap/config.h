// SPDX-License-Identifier: MIT
//
// Purpose     The values of the heap's options, checked and in units. The table that parses and documents
//             them is in vm_iface/src/options.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace echo {

// Where marking is done.
enum class MarkMode : std::uint8_t {
  Concurrent, // on a thread of the heap, beside the program
  Stw,        // inside one stop
  Incremental // in steps, on the threads of the program
};

// How much the program may use until a collection is due: gc/heap_sizing.h.
enum class HeapPolicy : std::uint8_t {
  Growth,     // in proportion to what is alive
  Fixed,      // up to a fixed size
  MemBalancer // what a collection costs against what the memory is worth
};

struct Config {
  std::size_t max_heap = std::size_t{1} << 30; // used slabs and large pages, bytes
  std::size_t initial_trigger = 0;             // headroom of a heap with little alive; 0: adapts, 1 to 32 MiB
  HeapPolicy policy = HeapPolicy::Growth;
  std::uint64_t growth_percent = 200; // next collection at used-after-mark times this
  std::uint64_t balance =
      500; // policy MemBalancer: the share of time that a MiB of heap must save, in millionths
  std::size_t reserve_bytes = 0; // address space; 0: 64 GiB. At least twice max_heap and three chunks
  std::size_t keep_free = 0;     // empty memory kept after a collection; 0: adapts, see SlabPool::keep()
  std::uint64_t idle_ms = 5000;  // without allocation for so long: memory goes back; 0: never
  bool idle_collect = false;     // and before that is collected
  std::size_t populate = std::size_t{8} << 20; // memory populated ahead of the program, at least; 0: none
  std::size_t soft_limit = 0;                  // collect early from here on; 0: none
  std::size_t mark_region = 0; // the heap is marked by regions of this size; 0: adapts, see EdgeStacks
  bool huge_pages = true;      // advise transparent huge pages
  MarkMode mode = MarkMode::Concurrent;
  std::size_t permits = 0; // threads that are managed at a time; 0: any number
  std::size_t markers = 0; // threads that mark together; 0: adapts to the processors that are idle
  bool assists = true;     // threads that allocate faster than is marked mark themselves
  bool census = true;      // count allocated objects exactly
  // stress
  std::uint64_t stress_collect = 0; // collect at every Nth allocation; 0: off
  bool poison = false;              // fill freed memory with kPoisonWord
  bool verify = false;              // verify before and after every collection
  bool stress_yield = false;        // yield at random at every protocol step
  bool stress_frames = false;       // frames checked in portions before control comes back to them
  bool stress_barriers = false;     // barrier always on, deletion log verified at every stop
  bool stepping = false;            // tests drive cycles step by step: echo/stepping.h
  std::uint64_t seed = 1;           // of random stress decisions
  // Tests only, no option: the heap's own thread sleeps before each slice of marking.
  std::uint64_t slow_marker_us = 0;
  std::size_t processors = 0; // for markers and the program; 0: as many as there are
  bool idle_by_hand = false;  // Collector::look_when_idle is called by the test, and by nobody else
  // Tests only: whoever leads a mark leaves to the other markers what they can do.
  bool seconds_first = false;
};

} // namespace echo
