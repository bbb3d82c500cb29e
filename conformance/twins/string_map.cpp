// SPDX-License-Identifier: MIT
//
// Twin of string_map: the standard library's ordered map of strings, which neither hashes nor chains.
#include "twin.hpp"

#include <map>
#include <string>

namespace {

std::string word_of(std::uint64_t number) {
  const std::uint64_t bits = twin::hash(0x30bd5, number);
  std::string word(4 + (bits >> 61), ' ');
  for (std::size_t i = 0; i < word.size(); ++i)
    word[i] = static_cast<char>('a' + (bits >> (i * 5)) % 26);
  return word;
}

std::uint64_t fnv(const std::string& word) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char letter : word)
    hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3u;
  return hash;
}

} // namespace

int main(int argc, char** argv) {
  const std::int64_t words = twin::number(argc, argv, 1, 40000);
  const std::int64_t rounds = twin::number(argc, argv, 3, 4);
  for (std::uint64_t share = 0; share < 2; ++share) {
    std::uint64_t sum = 0;
    std::int64_t entries = 0;
    for (std::int64_t round = 0; round < rounds; ++round) {
      const std::uint64_t seed = twin::hash(81 + share, static_cast<std::uint64_t>(round));
      const std::uint64_t vocabulary = static_cast<std::uint64_t>(words) / 2 + 1;
      std::map<std::string, std::uint64_t> counts;
      for (std::int64_t i = 0; i < words; ++i) {
        const std::uint64_t choice = twin::hash(seed, static_cast<std::uint64_t>(i));
        const std::string word = word_of(choice % vocabulary);
        if ((choice >> 40) % 7 == 0) {
          const auto found = counts.find(word);
          twin::fold(sum, found != counts.end() ? found->second : 0);
          if (found != counts.end())
            counts.erase(found);
        } else {
          twin::fold(sum, ++counts[word]);
        }
      }
      std::uint64_t total = 0;
      for (const auto& [word, count] : counts)
        total += fnv(word) * count;
      twin::fold(sum, total);
      entries += static_cast<std::int64_t>(counts.size());
    }
    std::printf("share %d: %lld entries at the ends, sum %llx\n", static_cast<int>(share),
                static_cast<twin::ll>(entries), static_cast<twin::ull>(sum));
    twin::pass(entries);
    twin::pass(sum);
  }
  return twin::finish();
}
