/* SPDX-License-Identifier: MIT
 *
 * maps/stack_map_parser.cpp - bounded parser. Drawing and invariants: stack_map_parser.h.
 */
#include "maps/stack_map_parser.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace echo::jit {
namespace {

constexpr uint8_t kVersion = 3;
constexpr uint8_t kDirect = 2, kIndirect = 3, kConstant = 4, kConstantIndex = 5;
constexpr uint16_t kDwarfRbp = 6, kDwarfRsp = 7;
constexpr size_t kLocationBytes = 12;
constexpr size_t kHeaderLocations = 3; /* calling convention, flags, number of deopt values */

/* A cursor that refuses to leave its bytes. */
class Reader {
public:
  explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }
  bool failed() const { return failed_; }
  uint8_t peek() const { return bytes_[position_]; }

  template <class T> T read() {
    T value{};
    if (remaining() < sizeof(T)) {
      failed_ = true;
      return value;
    }
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }
  void skip(uint64_t count) {
    if (remaining() < count)
      failed_ = true;
    else
      position_ += count;
  }
  void align_from(size_t origin, size_t unit) {
    const size_t over = (position_ - origin) % unit;
    if (over != 0)
      skip(unit - over);
  }

private:
  std::span<const uint8_t> bytes_;
  size_t position_ = 0;
  bool failed_ = false;
};

struct Location {
  uint8_t kind;
  uint16_t size, dwarf_register;
  int32_t offset;
};

Location read_location(Reader& reader) {
  Location location{};
  location.kind = reader.read<uint8_t>();
  reader.skip(1);
  location.size = reader.read<uint16_t>();
  location.dwarf_register = reader.read<uint16_t>();
  reader.skip(2);
  location.offset = reader.read<int32_t>();
  return location;
}

bool is_constant(const Location& location) {
  return location.kind == kConstant || location.kind == kConstantIndex;
}
bool is_in_frame(const Location& location) {
  return location.dwarf_register == kDwarfRsp || location.dwarf_register == kDwarfRbp;
}
bool is_walkable(const Location& location) {
  return location.kind == kIndirect && location.size % 8 == 0 && location.size != 0 && is_in_frame(location);
}
/* A word of the frame that the compiler chose: its address, and no location of a derived pointer behind it. */
bool is_frame_word(const Location& location) {
  return location.kind == kDirect && location.size == 8 && is_in_frame(location);
}

Outcome broken(const char* what) {
  return {ECHO_CODEGEN_FAILED, std::string("the stack map section is broken: ") + what};
}

Outcome unwalkable(const Location& location, uint64_t function) {
  char text[300];
  std::snprintf(
      text, sizeof text,
      "the function at 0x%llx keeps a reference in a place of kind %u, register %u, %u bytes; only words "
      "addressed by rsp or rbp can be walked: avoid variable-length arrays together with alignments over 16",
      static_cast<unsigned long long>(function), location.kind, location.dwarf_register, location.size);
  return {ECHO_UNSUPPORTED_FRAME, text};
}

/* What one record lists. */
class RootList {
public:
  RootList(ParsedMaps& out, Site& site) : out_(out), site_(site) {
    site_.first_root = uint32_t(out.roots.size());
  }
  ~RootList() { site_.root_count = uint32_t(out_.roots.size()) - site_.first_root; }
  RootList(const RootList&) = delete;
  RootList& operator=(const RootList&) = delete;

  void add(const Location& base, const Location& derived, int32_t word) {
    const RootLocation root{int32_t(int64_t(base.offset) + 8 * word),
                            int32_t(int64_t(derived.offset) + 8 * word), base.dwarf_register == kDwarfRbp,
                            derived.dwarf_register == kDwarfRbp};
    if (std::find(out_.roots.begin() + site_.first_root, out_.roots.end(), root) != out_.roots.end())
      return;
    out_.roots.push_back(root);
    if (root.is_derived())
      ++out_.derived_pairs;
  }

private:
  ParsedMaps& out_;
  Site& site_;
};

/* The pairs and words of one record, `count` locations from the cursor. */
Outcome read_roots(Reader& reader, uint32_t count, uint64_t function, const StackMapRules& rules,
                   ParsedMaps& out, Site& site) {
  if (count < kHeaderLocations)
    return broken("a record is no statepoint");
  reader.skip(2 * kLocationBytes);
  const Location deopt = read_location(reader);
  if (reader.failed() || deopt.offset < 0 || uint32_t(deopt.offset) > count - kHeaderLocations)
    return broken("a record counts more deopt values than it has locations");
  reader.skip(uint64_t(deopt.offset) * kLocationBytes);
  RootList roots(out, site);
  for (uint32_t left = count - uint32_t(kHeaderLocations) - uint32_t(deopt.offset); left > 0;) {
    const Location base = read_location(reader);
    --left;
    if (is_frame_word(base)) {
      roots.add(base, base, 0);
      continue;
    }
    if (left == 0)
      return broken("a base has no derived location");
    const Location derived = read_location(reader);
    --left;
    if (reader.failed())
      return broken("it ends inside a record");
    if (is_constant(base) || is_constant(derived))
      continue; /* null, or no address at all */
    if (!is_walkable(base) || !is_walkable(derived) || base.size != derived.size) {
      if (rules.skip_unknown_registers)
        continue;
      return unwalkable(is_walkable(base) ? derived : base, function);
    }
    const int32_t words = rules.first_word_only ? 1 : base.size / 8;
    for (int32_t word = 0; word < words; ++word)
      roots.add(base, derived, word);
  }
  return reader.failed() ? broken("it ends inside a record") : Outcome();
}

Outcome read_blob(Reader& reader, const StackMapRules& rules, ParsedMaps& out) {
  const size_t origin = reader.position();
  if (reader.read<uint8_t>() != kVersion)
    return broken("its version is not 3");
  reader.skip(3);
  const uint64_t functions = reader.read<uint32_t>();
  const uint64_t constants = reader.read<uint32_t>();
  const uint64_t records = reader.read<uint32_t>();
  if (reader.failed() || functions * 24 + constants * 8 + records * 16 > reader.remaining())
    return broken("it announces more than it holds");
  struct FunctionEntry {
    uint64_t address, frame_size, records;
  };
  std::vector<FunctionEntry> table(functions);
  for (FunctionEntry& entry : table)
    entry = {reader.read<uint64_t>(), reader.read<uint64_t>(), reader.read<uint64_t>()};
  reader.skip(constants * 8);
  out.functions += functions;
  uint64_t seen = 0;
  for (const FunctionEntry& entry : table) {
    for (uint64_t i = 0; i < entry.records; ++i) {
      if (++seen > records)
        return broken("its functions have more records than it announces");
      reader.skip(8);
      Site site;
      site.pc = entry.address + reader.read<uint32_t>();
      site.frame_size = entry.frame_size;
      reader.skip(2);
      const uint32_t count = reader.read<uint16_t>();
      if (reader.failed() || uint64_t(count) * kLocationBytes > reader.remaining())
        return broken("it ends inside a record");
      if (Outcome pairs = read_roots(reader, count, entry.address, rules, out, site); !pairs)
        return pairs;
      reader.align_from(origin, 8);
      reader.skip(2);
      reader.skip(uint64_t(reader.read<uint16_t>()) * 4);
      reader.align_from(origin, 8);
      if (reader.failed())
        return broken("it ends inside a record");
      out.sites.push_back(site);
    }
  }
  if (seen != records)
    return broken("it announces more records than its functions have");
  return {};
}

} // namespace

Outcome parse_stack_maps(std::span<const uint8_t> bytes, const StackMapRules& rules, ParsedMaps& out) {
  Reader reader(bytes);
  while (reader.remaining() > 0) {
    if (reader.peek() == 0) { /* padding between the blobs of several objects */
      reader.skip(1);
      continue;
    }
    if (Outcome blob = read_blob(reader, rules, out); !blob)
      return blob;
  }
  std::sort(out.sites.begin(), out.sites.end(), [](const Site& a, const Site& b) { return a.pc < b.pc; });
  return {};
}

} // namespace echo::jit
