/* SPDX-License-Identifier: MIT
 *
 * orc/object_cache.h - compiled modules kept in a directory, found again by what they were compiled from.
 *
 * Key         SHA-256 over the module's bytes as given and everything else that decides the code: name, options,
 *             recipes, types of natives, processor, LLVM, ABI, and the JIT library itself.
 * File        KEY.echo: [magic 8][SHA-256 of the rest 32][entry]; written beside and renamed, so that a reader sees a
 *             whole file or none.
 * Invariants  [jit.cache.1] A hit skips parsing, optimisation and code generation; stack maps and roots are read from the
 *             object again. [jit.cache.2] An entry whose checksum or structure is wrong is not used: the module is
 *             compiled and the entry replaced. [jit.cache.3] An entry is used only if each layout it allocates registers
 *             under the same number with the same header word: both are constants of its code. [jit.cache.4] An entry is
 *             code: it is read only from a regular file of this user or root that nobody else may write, of at most
 *             256 MiB. Anything else counts as damaged.
 */
#ifndef ECHO_JIT_ORC_OBJECT_CACHE_H
#define ECHO_JIT_ORC_OBJECT_CACHE_H

#include "orc/session.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace echo::jit {

struct CachedLayout {
  std::string name;
  echo_layout descriptor{}; /* name and slots are not its own */
  std::vector<echo_slot> slots;
  echo_layout_id id = 0;
  uint64_t header_word = 0;
};

struct CachedModule {
  ModuleSummary summary;
  std::map<std::string, Signature> signatures;
  std::vector<CachedLayout> layouts;
  uint64_t functions = 0, polls = 0, barriers = 0, barriers_elided = 0;
  std::string object;
};

/* What goes into a key, part by part: parts of different lengths never run together. */
class CacheKey {
public:
  CacheKey& add(std::string_view part);
  CacheKey& add(uint64_t value);
  std::string hexadecimal() const;

private:
  std::string material_;
};

class ObjectCache {
public:
  enum class Found { Hit, Missing, Damaged };

  explicit ObjectCache(std::string directory) : directory_(std::move(directory)) {}
  Found load(const std::string& key, CachedModule& out) const;
  /* IO_ERROR; the program does not need it to succeed. */
  Outcome store(const std::string& key, const CachedModule& module) const;

private:
  std::string path_of(const std::string& key) const { return directory_ + "/" + key + ".echo"; }
  std::string directory_;
};

/* The layouts with these numbers, as the heap knows them. */
std::vector<CachedLayout> describe_layouts(const echo_heap_api& api, echo_heap* heap,
                                           const std::vector<echo_layout_id>& ids);
/* [jit.cache.3] Registers them; false if one has another number or header word now. */
bool register_layouts(const echo_heap_api& api, echo_heap* heap, const std::vector<CachedLayout>& layouts);

} // namespace echo::jit

#endif // ECHO_JIT_ORC_OBJECT_CACHE_H
