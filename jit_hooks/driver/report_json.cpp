/* SPDX-License-Identifier: MIT
 *
 * report_json.cpp - see report_json.h. The only file that knows nlohmann-json.
 */
#include "report_json.h"

#include <cinttypes>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "echo/runtime.h"

namespace echo::run {

namespace {

using Json = nlohmann::ordered_json;

Json distribution_json(const echo_distribution& from) {
  return {{"count", from.count}, {"p50", from.p50}, {"p90", from.p90}, {"p99", from.p99},
          {"p99_9", from.p99_9}, {"max", from.max}, {"sum", from.sum}};
}

Json error_json(const Failure& failure) {
  if (!failure)
    return nullptr;
  return {{"code", echo_status_name(failure.code)},
          {"number", failure.code},
          {"message", one_line(failure.sentence)}};
}

const char* ending_name(EndingKind kind) {
  switch (kind) {
  case EndingKind::running:
    return "running";
  case EndingKind::returned:
    return "returned";
  case EndingKind::exited:
    return "exited";
  case EndingKind::failed:
    return "failed";
  case EndingKind::stack_overflow:
    return "stack_overflow";
  }
  return "unknown";
}

std::string hexadecimal(uint64_t value) {
  char text[24];
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg)
  std::snprintf(text, sizeof text, "0x%016" PRIx64, value);
  return text;
}

Json collections_json(const echo_statistics& heap) {
  Json by_cause = Json::object();
  for (std::size_t cause = 0; cause < std::min(cause_names.size(), first_causes); ++cause)
    by_cause[cause_names[cause]] = heap.collections_by_cause[cause];
  return {{"full", heap.collections_full},
          {"young", heap.collections_young},
          {"compact", heap.collections_compact},
          {"by_cause", std::move(by_cause)}};
}

Json pauses_json(const echo_statistics& heap) {
  Json pauses = distribution_json(heap.pause_us);
  Json by_cause = Json::object();
  for (std::size_t cause = 0; cause < cause_names.size(); ++cause)
    by_cause[cause_names[cause]] = distribution_json(pauses_of(heap, cause));
  pauses["by_cause"] = std::move(by_cause);
  return pauses;
}

Json pins_json(const echo_statistics& heap) {
  Json by = Json::object();
#define ECHO_RUN_PIN(name, sentence) by[#name] = heap.pinned_by[ECHO_PIN_##name];
  ECHO_PIN_TABLE(ECHO_RUN_PIN)
#undef ECHO_RUN_PIN
  return {{"objects", heap.pinned_objects}, {"slabs", heap.pinned_slabs}, {"by", std::move(by)}};
}

Json plugin_json(const Plugins& plugins) {
  const echo_heap_api& api = *plugins.heap;
  Json features = Json::array();
#define ECHO_RUN_FEATURE(bit, name, sentence)                                                                \
  if ((api.features & ECHO_FEATURE_##name) != 0)                                                             \
    features.push_back(#name);
  ECHO_FEATURE_TABLE(ECHO_RUN_FEATURE)
#undef ECHO_RUN_FEATURE
  return {{"path", plugins.heap_path},
          {"build_id", api.build_id != nullptr ? api.build_id : ""},
          {"abi", std::to_string(api.abi_major) + "." + std::to_string(api.abi_minor)},
          {"features", std::move(features)}};
}

Json jit_json(const echo_jit_statistics& jit) {
  return {{"functions", jit.functions},
          {"sites", jit.sites},
          {"map_bytes", jit.map_bytes},
          {"code_bytes", jit.code_bytes},
          {"derived_pairs", jit.derived_pairs},
          {"polls_inserted", jit.polls_inserted},
          {"barriers_emitted", jit.barriers_emitted},
          {"barriers_elided", jit.barriers_elided},
          {"parse_ms", jit.parse_ms},
          {"optimise_ms", jit.optimise_ms},
          {"lower_ms", jit.lower_ms},
          {"link_ms", jit.link_ms}};
}

/* Paths and arguments may hold bytes that are no UTF-8: they are replaced, not refused. */
std::string dumped(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace

std::string report_json(const RunRecord& record) {
  const echo_statistics& heap = record.heap;
  Json json;
  json["schema"] = json_schema;
  json["program"] = record.command->program;
  json["arguments"] = record.command->arguments;
  json["heap_options"] = record.command->heap_options.value_or("");
  json["heap_plugin"] = plugin_json(*record.plugins);
  json["optimise"] = record.command->optimise;
  json["operations"] = record.command->operations == 0 ? "inline" : "called";
  json["profile"] = record.command->echo ? "unmodified" : "references";
  if (record.command->echo)
    json["echo_print"] = record.command->echo_print == ECHO_RUNTIME_PRINT_RAW ? "raw" : "lines";
  json["stack_bytes"] = record.command->stack_bytes;
  json["exit"] = record.exit_status;
  json["ending"] = ending_name(record.ending);
  json["error"] = error_json(record.failure);
  json["checksum"] = record.checksum;
  json["checksum_hex"] = hexadecimal(record.checksum);
  json["checksum_values"] = record.checksum_values;
  json["threads"] = record.threads;
  json["prepare_s"] = record.prepare_s;
  json["wall_s"] = record.wall_s;
  json["mutator_s"] = record.mutator_s;
  json["gc_cpu_s"] = heap.gc_cpu_s;
  json["user_cpu_s"] = record.user_s;
  json["system_cpu_s"] = record.system_s;
  json["mark_s"] = heap.mark_s;
  json["sweep_s"] = heap.sweep_s;
  json["objects_allocated"] = heap.objects_allocated;
  json["bytes_allocated"] = heap.bytes_allocated;
  json["objects_per_s"] = record.per_mutator_second(heap.objects_allocated);
  json["bytes_per_s"] = record.per_mutator_second(heap.bytes_allocated);
  json["collections"] = collections_json(heap);
  json["pause_us"] = pauses_json(heap);
  json["pause_net_us"] = distribution_json(heap.pause_net_us);
  json["holds_over_cap"] = heap.holds_over_cap;
  json["mmu"] = {{"1ms", heap.mmu_1ms}, {"10ms", heap.mmu_10ms}, {"100ms", heap.mmu_100ms}};
  json["stall_us"] = distribution_json(heap.stall_us);
  json["time_to_safepoint_us"] = distribution_json(heap.time_to_safepoint_us);
  json["live_bytes"] = heap.live_bytes;
  json["used_bytes"] = heap.used_bytes;
  json["object_bytes"] = heap.object_bytes;
  json["committed_bytes"] = heap.committed_bytes;
  json["reserve_bytes"] = heap.reserve_bytes;
  json["nursery_bytes"] = heap.nursery_bytes;
  json["metadata_bytes"] = heap.metadata_bytes;
  json["peak_bytes"] = heap.peak_committed_bytes;
  json["fragmentation"] = heap.fragmentation;
  json["utilisation"] = heap.utilisation;
  json["objects_marked"] = heap.objects_marked;
  json["bytes_marked"] = heap.bytes_marked;
  json["barrier_cold"] = heap.barrier_cold;
  json["poll_cold"] = heap.poll_cold;
  json["allocate_cold"] = heap.allocate_cold;
  json["log_entries"] = heap.log_entries;
  json["scoped_handles"] = heap.scoped_handles;
  json["global_root_words"] = heap.global_root_words;
  json["ambiguous_words"] = heap.ambiguous_words;
  json["ambiguous_hits"] = heap.ambiguous_hits;
  json["pinned"] = pins_json(heap);
  json["large_objects"] = heap.large_objects;
  json["large_bytes"] = heap.large_bytes;
  json["bytes_returned"] = heap.bytes_returned;
  json["threads_attached"] = heap.threads_attached;
  json["jit"] = jit_json(record.jit);
  return dumped(json);
}

std::string refusal_json(const CommandLine& command, const Failure& failure) {
  Json json;
  json["schema"] = json_schema;
  json["program"] = command.program;
  json["exit"] = exit_refused;
  json["error"] = error_json(failure);
  return dumped(json);
}

} // namespace echo::run
