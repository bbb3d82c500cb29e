/* SPDX-License-Identifier: MIT
 *
 * orc/object_cache.cpp - entries as bytes, and files. Invariants: object_cache.h.
 */
#include "orc/object_cache.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/SHA256.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace echo::jit {
namespace {

constexpr std::string_view kMagic = "echoobj1";
constexpr size_t kDigest = 32;
constexpr uint64_t kMaxEntryBytes = uint64_t{256} << 20;

std::string digest_of(std::string_view bytes) {
  llvm::SHA256 hash;
  hash.update(llvm::StringRef(bytes.data(), bytes.size()));
  const auto result = hash.final();
  return std::string(reinterpret_cast<const char*>(result.data()), result.size());
}

class Writer {
public:
  void number(uint64_t value) { out_.append(reinterpret_cast<const char*>(&value), sizeof value); }
  void text(std::string_view value) {
    number(value.size());
    out_.append(value);
  }
  std::string take() { return std::move(out_); }

private:
  std::string out_;
};

/* Refuses to leave its bytes; after a failure everything it gives is empty. */
class Reader {
public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  uint64_t number() {
    uint64_t value = 0;
    const std::string_view bytes = take(sizeof value);
    if (!failed_)
      std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  std::string text() { return std::string(take(number())); }
  /* A count of things that take at least 8 bytes each. */
  uint64_t count() {
    const uint64_t value = number();
    if (value > rest_.size() / 8)
      failed_ = true;
    return failed_ ? 0 : value;
  }
  bool whole() const { return !failed_ && rest_.empty(); }

private:
  std::string_view take(uint64_t size) {
    if (failed_ || size > rest_.size()) {
      failed_ = true;
      return {};
    }
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }
  std::string_view rest_;
  bool failed_ = false;
};

void write(Writer& out, const std::map<std::string, Signature>& signatures) {
  out.number(signatures.size());
  for (const auto& [name, signature] : signatures) {
    out.text(name);
    out.number(signature.callable);
    out.number(signature.parameters);
    out.number(signature.result_bits);
    out.text(signature.type);
  }
}
void read(Reader& in, std::map<std::string, Signature>& out) {
  for (uint64_t left = in.count(); left > 0; --left) {
    Signature& signature = out[in.text()];
    signature.callable = in.number() != 0;
    signature.parameters = static_cast<uint8_t>(in.number());
    signature.result_bits = static_cast<uint8_t>(in.number());
    signature.type = in.text();
  }
}

void write(Writer& out, const std::vector<std::string>& names) {
  out.number(names.size());
  for (const std::string& name : names)
    out.text(name);
}
void read(Reader& in, std::vector<std::string>& out) {
  for (uint64_t left = in.count(); left > 0; --left)
    out.push_back(in.text());
}

void write(Writer& out, const CachedLayout& layout) {
  out.text(layout.name);
  for (uint64_t value : {uint64_t{layout.descriptor.kind}, layout.descriptor.fixed_bytes,
                         uint64_t{layout.descriptor.element_bytes}, uint64_t{layout.descriptor.alignment},
                         uint64_t{layout.descriptor.flags}, uint64_t{layout.id}, layout.header_word})
    out.number(value);
  out.number(layout.slots.size());
  for (const echo_slot& slot : layout.slots)
    out.number(uint64_t{slot.offset} | uint64_t{slot.kind} << 32);
}
CachedLayout read_layout(Reader& in) {
  CachedLayout layout;
  layout.name = in.text();
  layout.descriptor.size = sizeof(echo_layout);
  layout.descriptor.kind = static_cast<uint32_t>(in.number());
  layout.descriptor.fixed_bytes = in.number();
  layout.descriptor.element_bytes = static_cast<uint32_t>(in.number());
  layout.descriptor.alignment = static_cast<uint32_t>(in.number());
  layout.descriptor.flags = static_cast<uint32_t>(in.number());
  layout.id = static_cast<echo_layout_id>(in.number());
  layout.header_word = in.number();
  for (uint64_t left = in.count(); left > 0; --left) {
    const uint64_t slot = in.number();
    layout.slots.push_back({static_cast<uint32_t>(slot), static_cast<uint32_t>(slot >> 32)});
  }
  return layout;
}

std::string encode(const CachedModule& module) {
  Writer out;
  out.text(module.summary.name);
  write(out, module.summary.functions);
  write(out, module.summary.variables);
  write(out, module.summary.needed);
  write(out, module.signatures);
  out.number(module.layouts.size());
  for (const CachedLayout& layout : module.layouts)
    write(out, layout);
  for (uint64_t value : {module.functions, module.polls, module.barriers, module.barriers_elided})
    out.number(value);
  out.text(module.object);
  return out.take();
}

bool decode(std::string_view bytes, CachedModule& out) {
  Reader in(bytes);
  out.summary.name = in.text();
  read(in, out.summary.functions);
  read(in, out.summary.variables);
  read(in, out.summary.needed);
  read(in, out.signatures);
  for (uint64_t left = in.count(); left > 0; --left)
    out.layouts.push_back(read_layout(in));
  for (uint64_t* value : {&out.functions, &out.polls, &out.barriers, &out.barriers_elided})
    *value = in.number();
  out.object = in.text();
  return in.whole();
}

/* [jit.cache.4] Hit: the whole file. */
ObjectCache::Found read_own_file(const std::string& path, std::string& out) {
  using Found = ObjectCache::Found;
  const int file = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (file < 0)
    return errno == ENOENT ? Found::Missing : Found::Damaged;
  struct stat status{};
  Found found = Found::Damaged;
  if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
      (status.st_uid == ::geteuid() || status.st_uid == 0) && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
      status.st_size >= 0 && static_cast<uint64_t>(status.st_size) <= kMaxEntryBytes) {
    out.resize(static_cast<size_t>(status.st_size));
    size_t have = 0;
    while (have < out.size()) {
      const ssize_t count = ::read(file, out.data() + have, out.size() - have);
      if (count < 0 && errno == EINTR)
        continue;
      if (count <= 0)
        break;
      have += static_cast<size_t>(count);
    }
    found = have == out.size() ? Found::Hit : Found::Damaged;
  }
  ::close(file);
  return found;
}

} // namespace

CacheKey& CacheKey::add(std::string_view part) {
  add(part.size());
  material_.append(part);
  return *this;
}
CacheKey& CacheKey::add(uint64_t value) {
  material_.append(reinterpret_cast<const char*>(&value), sizeof value);
  return *this;
}
std::string CacheKey::hexadecimal() const {
  return llvm::toHex(digest_of(material_), true);
}

ObjectCache::Found ObjectCache::load(const std::string& key, CachedModule& out) const {
  std::string bytes;
  if (const Found found = read_own_file(path_of(key), bytes); found != Found::Hit)
    return found;
  const std::string_view all = bytes;
  if (all.size() < kMagic.size() + kDigest || !all.starts_with(kMagic))
    return Found::Damaged;
  const std::string_view entry = all.substr(kMagic.size() + kDigest);
  if (all.substr(kMagic.size(), kDigest) != digest_of(entry) || !decode(entry, out))
    return Found::Damaged;
  return Found::Hit;
}

Outcome ObjectCache::store(const std::string& key, const CachedModule& module) const {
  const std::string entry = encode(module);
  const std::string path = path_of(key);
  std::string beside = path + ".XXXXXX";
  const int file = mkstemp(beside.data());
  if (file < 0)
    return {ECHO_IO_ERROR, "cannot create '" + beside + "': " + std::strerror(errno)};
  std::string bytes(kMagic);
  bytes += digest_of(entry);
  bytes += entry;
  size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t count = ::write(file, bytes.data() + written, bytes.size() - written);
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      break;
    written += static_cast<size_t>(count);
  }
  const bool closed = ::close(file) == 0;
  if (written == bytes.size() && closed && std::rename(beside.c_str(), path.c_str()) == 0)
    return {};
  const int error = errno;
  ::unlink(beside.c_str());
  return {ECHO_IO_ERROR, "cannot write '" + path + "': " + std::strerror(error)};
}

std::vector<CachedLayout> describe_layouts(const echo_heap_api& api, echo_heap* heap,
                                           const std::vector<echo_layout_id>& ids) {
  std::vector<CachedLayout> layouts;
  for (const echo_layout_id id : ids) {
    echo_layout_info info{};
    info.size = sizeof info;
    if (api.layout_get(heap, id, &info) != ECHO_OK)
      continue;
    CachedLayout layout;
    layout.name = info.name;
    layout.id = id;
    layout.header_word = info.header_word;
    layout.descriptor.kind = info.kind;
    layout.descriptor.fixed_bytes = info.fixed_bytes;
    layout.descriptor.element_bytes = info.element_bytes;
    layout.descriptor.alignment = info.alignment;
    layout.descriptor.flags = info.flags;
    for (uint32_t i = 0; i < info.slot_count; ++i) {
      echo_slot slot{};
      if (api.layout_slot(heap, id, i, &slot) == ECHO_OK)
        layout.slots.push_back(slot);
    }
    layouts.push_back(std::move(layout));
  }
  return layouts;
}

bool register_layouts(const echo_heap_api& api, echo_heap* heap, const std::vector<CachedLayout>& layouts) {
  for (const CachedLayout& layout : layouts) {
    echo_layout descriptor = layout.descriptor;
    descriptor.size = sizeof descriptor;
    descriptor.name = layout.name.c_str();
    descriptor.slots = layout.slots.data();
    descriptor.slot_count = static_cast<uint32_t>(layout.slots.size());
    echo_layout_id id = 0;
    echo_layout_info info{};
    info.size = sizeof info;
    echo_error why{};
    if (api.layout_register(heap, &descriptor, &id, &why) != ECHO_OK || id != layout.id ||
        api.layout_get(heap, id, &info) != ECHO_OK || info.header_word != layout.header_word)
      return false;
  }
  return true;
}

} // namespace echo::jit
