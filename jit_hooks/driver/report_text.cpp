/* SPDX-License-Identifier: MIT
 *
 * report_text.cpp - see report_text.h. The words are those of echo/statistics.h.
 */
#include "report_text.h"

#include <cinttypes>
#include <cstdio>
#include <string_view>

#include "sizes.h"
#include "words.h"

namespace echo::run {

namespace {

std::string fixed(double value, int digits, const char* unit) {
  char text[64];
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg)
  std::snprintf(text, sizeof text, "%.*f%s", digits, value, unit);
  return text;
}

std::string percent(double fraction) {
  return fixed(fraction * 100.0, 1, " %");
}
std::string bytes(uint64_t count) {
  return readable_bytes(static_cast<double>(count));
}

std::string row(std::string_view label, const std::string& value) {
  std::string line = "  ";
  line.append(label);
  line.resize(21, ' ');
  return line + value + "\n";
}

std::string percentiles(const echo_distribution& distribution) {
  return "p50 " + readable_us(distribution.p50) + ", p99 " + readable_us(distribution.p99) + ", p99.9 " +
         readable_us(distribution.p99_9) + ", max " + readable_us(distribution.max);
}

std::string ending_words(const RunRecord& record) {
  switch (record.ending) {
  case EndingKind::returned:
    return "main returned " + std::to_string(record.exit_status);
  case EndingKind::exited:
    return "the program called exit, status " + std::to_string(record.exit_status);
  case EndingKind::failed:
  case EndingKind::stack_overflow:
    return std::string("ended by ") + echo_status_name(record.failure.code);
  case EndingKind::running:
    break;
  }
  return "running";
}

std::string collections_row(const echo_statistics& heap) {
  std::string text = grouped(heap.collections_full) + " full, " + grouped(heap.collections_young) +
                     " young, " + grouped(heap.collections_compact) + " compact";
  std::string reasons;
  for (std::size_t cause = 0; cause < std::min(cause_names.size(), first_causes); ++cause)
    if (heap.collections_by_cause[cause] != 0)
      reasons.append(reasons.empty() ? "" : ", ")
          .append(grouped(heap.collections_by_cause[cause]))
          .append(" ")
          .append(cause_names[cause]);
  return row("collections", reasons.empty() ? text : text + "; reasons: " + reasons);
}

std::string pause_rows(const echo_statistics& heap) {
  if (heap.pause_us.count == 0)
    return row("pauses", "none");
  std::string text = row("pauses", grouped(heap.pause_us.count) + ": " + percentiles(heap.pause_us) +
                                       ", in all " + readable_us(heap.pause_us.sum));
  for (std::size_t cause = 0; cause < cause_names.size(); ++cause) {
    const echo_distribution& one = pauses_of(heap, cause);
    if (one.count != 0)
      text += row(std::string("  ") + cause_names[cause], grouped(one.count) + ": " + percentiles(one));
  }
  return text;
}

std::string waits_row(std::string_view label, const echo_distribution& distribution) {
  return row(label, distribution.count == 0 ? std::string("none")
                                            : grouped(distribution.count) + ": " + percentiles(distribution));
}

std::string pin_words(const echo_statistics& heap) {
  std::string text;
  for (std::size_t pin = 0; pin < pin_names.size(); ++pin)
    if (heap.pinned_by[pin] != 0)
      text.append(text.empty() ? "by " : ", ")
          .append(grouped(heap.pinned_by[pin]))
          .append(" ")
          .append(pin_names[pin]);
  return text.empty() ? "by none" : text;
}

std::string checksum_words(const RunRecord& record) {
  if (record.checksum_values == 0)
    return "none";
  char text[32];
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg)
  std::snprintf(text, sizeof text, "0x%016" PRIx64, record.checksum);
  return text + (" of " + grouped(record.checksum_values)) +
         (record.checksum_values == 1 ? " value" : " values");
}

} // namespace

std::string report_text(const RunRecord& record) {
  const echo_statistics& heap = record.heap;
  const double cpu = record.user_s + record.system_s;
  std::string text =
      std::string(words.tool) + ": " + one_line(record.command->program) + ": " + ending_words(record) + "\n";
  text += row("time", fixed(record.wall_s, 3, " s wall, ") + fixed(record.mutator_s, 3, " s mutator, ") +
                          fixed(cpu, 3, " s CPU, ") + fixed(record.prepare_s, 3, " s before main; ") +
                          grouped(static_cast<uint64_t>(record.threads)) +
                          (record.threads == 1 ? " thread" : " threads"));
  text += row("checksum", checksum_words(record));
  text += row("allocated",
              grouped(heap.objects_allocated) + " objects, " + bytes(heap.bytes_allocated) + " (" +
                  readable_count(record.per_mutator_second(heap.objects_allocated)) + " objects/s, " +
                  readable_bytes(record.per_mutator_second(heap.bytes_allocated)) + "/s of mutator time)");
  text += collections_row(heap);
  text += pause_rows(heap);
  text += waits_row("stalls", heap.stall_us);
  text += waits_row("time to safepoint", heap.time_to_safepoint_us);
  text += row("collector",
              fixed(heap.gc_cpu_s, 3, " s CPU") +
                  (cpu > 0 ? " (" + percent(heap.gc_cpu_s / cpu) + " of the process)" : std::string()) +
                  ", marking " + fixed(heap.mark_s, 3, " s, sweeping ") + fixed(heap.sweep_s, 3, " s, ") +
                  readable_count(static_cast<double>(heap.objects_marked)) + " objects marked");
  text += row("memory", "live " + bytes(heap.live_bytes) + ", committed " + bytes(heap.committed_bytes) +
                            " (used " + bytes(heap.used_bytes) + ", reserve " + bytes(heap.reserve_bytes) +
                            ", nursery " + bytes(heap.nursery_bytes) + ", metadata " +
                            bytes(heap.metadata_bytes) + "), peak " + bytes(heap.peak_committed_bytes));
  text +=
      row("fragmentation", percent(heap.fragmentation) + ", utilisation " + percent(heap.utilisation) + "; " +
                               grouped(heap.large_objects) + " large objects of " + bytes(heap.large_bytes) +
                               "; " + bytes(heap.bytes_returned) + " returned to the system");
  if (heap.ambiguous_words != 0)
    text += row("pinned", grouped(heap.pinned_objects) + " objects in " + grouped(heap.pinned_slabs) +
                              " slabs (" + pin_words(heap) + ") at the last mark; " +
                              grouped(heap.ambiguous_hits) + " of " + grouped(heap.ambiguous_words) +
                              " ambiguous words were hits");
  text += row("cold paths", grouped(heap.allocate_cold) + " allocations, " + grouped(heap.barrier_cold) +
                                " stores, " + grouped(heap.poll_cold) + " polls");
  text += row(
      "compiled",
      grouped(record.jit.functions) + " functions, " + bytes(record.jit.code_bytes) + " code, " +
          bytes(record.jit.map_bytes) + " stack maps of " + grouped(record.jit.sites) + " sites; parse " +
          fixed(record.jit.parse_ms, 1, " ms, optimise ") + fixed(record.jit.optimise_ms, 1, " ms, lower ") +
          fixed(record.jit.lower_ms, 1, " ms, compile and link ") + fixed(record.jit.link_ms, 1, " ms"));
  return text;
}

std::string progress_text(double seconds, const echo_statistics& now) {
  return std::string(words.tool) + ": " + fixed(seconds, 1, " s, ") +
         readable_count(static_cast<double>(now.objects_allocated)) + " objects, " +
         bytes(now.bytes_allocated) + " allocated, " + grouped(now.collections_full) + " full " +
         grouped(now.collections_young) + " young collections, max pause " + readable_us(now.pause_us.max) +
         ", live " + bytes(now.live_bytes) + ", committed " + bytes(now.committed_bytes);
}

} // namespace echo::run
