// SPDX-License-Identifier: MIT
//
// suite_options.cpp - one table; a heap is made from text, and bad text is an error that names it.
#include "plugin.h"

#include <cstdio> // P_tmpdir
#include <cstdlib>
#include <cstring>
#include <set>
#include <unistd.h>

namespace conformance {

namespace {

// Creates and destroys a heap; the status of the creation, whose error is checked.
echo_status create(const Plugin& plugin, const std::string& options, std::string* message = nullptr) {
  echo_heap* heap = nullptr;
  echo_error why = untouched_error();
  const echo_status status = plugin.api().heap_create(options.c_str(), &heap, &why);
  if (status != ECHO_OK) {
    expect_error(why, status, "heap_create(\"" + options.substr(0, 80) + "\")");
    EXPECT(heap == nullptr, "heap_create failed but gave a heap");
    if (message != nullptr)
      *message = why.message;
    return status;
  }
  EXPECT(is_untouched(why), "heap_create succeeded but wrote an error");
  EXPECT(heap != nullptr, "heap_create succeeded but gave no heap");
  EXPECT_STATUS(plugin.api().heap_destroy(heap, nullptr), ECHO_OK, "heap_destroy of a new heap");
  return ECHO_OK;
}

void table_is_readable(Context& context) {
  const Plugin plugin(context.plugin_path);
  const auto rows = plugin.options();
  EXPECT(!rows.empty(), "the option table is empty");
  std::set<std::string> names;
  for (const echo_option_info& row : rows) {
    EXPECT(row.name != nullptr && *row.name != '\0', "an option has no name");
    const std::string name = row.name;
    EXPECT(names.insert(name).second, "two options are named " + name);
    EXPECT(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos,
           "the option name '" + name + "' has other characters than a-z, 0-9 and _");
    EXPECT(row.type <= ECHO_OPTION_PATH, name + ": unknown type " + show(row.type));
    EXPECT(row.default_value != nullptr, name + ": no default");
    EXPECT(row.range != nullptr && *row.range != '\0', name + ": no range");
    EXPECT(row.sentence != nullptr && std::strlen(row.sentence) > 10, name + ": no sentence");
  }
  EXPECT(names.count("max_heap") == 1, "there is no option max_heap");
  echo_option_info row{};
  row.size = sizeof row;
  EXPECT_STATUS(plugin.api().option_info(static_cast<std::uint32_t>(rows.size()), &row),
                ECHO_INVALID_ARGUMENT, "the row past the end");
  EXPECT_STATUS(plugin.api().option_info(UINT32_MAX, &row), ECHO_INVALID_ARGUMENT, "row 2^32 - 1");
}

void defaults_are_values(Context& context) {
  const Plugin plugin(context.plugin_path);
  for (const echo_option_info& row : plugin.options())
    if (*row.default_value != '\0') {
      std::string text = row.name;
      text.append("=").append(row.default_value);
      std::string message;
      const echo_status status = create(plugin, text, &message);
      text.append(": ").append(message);
      EXPECT(status == ECHO_OK, "the default is refused: " + text);
    }
}

void unknown_option_is_named(Context& context) {
  const Plugin plugin(context.plugin_path);
  for (const char* key : {"no_such_option", "max_heaps", "MAX_HEAP", "max heap"}) {
    std::string message;
    EXPECT_STATUS(create(plugin, std::string(key) + "=1", &message), ECHO_UNKNOWN_OPTION, key);
    EXPECT(message.find(key) != std::string::npos, "the message does not name the option: " + message);
  }
}

void bad_values_are_named(Context& context) {
  const Plugin plugin(context.plugin_path);
  for (const echo_option_info& row : plugin.options()) {
    std::vector<const char*> values = {""};
    if (row.type != ECHO_OPTION_PATH)
      values.push_back("?");
    if (row.type == ECHO_OPTION_BYTES || row.type == ECHO_OPTION_COUNT)
      values.insert(values.end(),
                    {"x", "-1", "1q", "0x", "1.5.2", "99999999999999999999999", "18446744073709551616"});
    if (row.type == ECHO_OPTION_BYTES)
      values.insert(values.end(), {"k", "1kk", "17179869184g", "18446744073709551615k"});
    if (row.type == ECHO_OPTION_SWITCH)
      values.insert(values.end(), {"maybe", "onn", "2"});
    if (row.type == ECHO_OPTION_WORD)
      values.push_back("no_such_word");
    for (const char* value : values) {
      const std::string text = std::string(row.name) + "=" + value;
      std::string message;
      EXPECT_STATUS(create(plugin, text, &message), ECHO_BAD_OPTION_VALUE, "'" + text + "'");
      EXPECT(message.find(row.name) != std::string::npos, "the message does not name the option: " + message);
    }
  }
}

void impossible_heaps_are_errors(Context& context) {
  const Plugin plugin(context.plugin_path);
  for (const char* size : {"0", "1", "18446744073709551615", "16383p", "9223372036854775807"}) {
    const echo_status status = create(plugin, std::string("max_heap=") + size);
    EXPECT(status == ECHO_BAD_OPTION_VALUE || status == ECHO_SYSTEM_MEMORY,
           std::string("max_heap=") + size + ": " + echo_status_name(status));
  }
  // Larger than the machine, smaller than its address space: either works or is refused in words.
  for (const char* size : {"1024g", "65536g", "100000g"}) {
    const echo_status status = create(plugin, std::string("max_heap=") + size);
    EXPECT(status == ECHO_OK || status == ECHO_BAD_OPTION_VALUE || status == ECHO_SYSTEM_MEMORY,
           std::string("max_heap=") + size + ": " + echo_status_name(status));
  }
}

void byte_suffixes(Context& context) {
  const Plugin plugin(context.plugin_path);
  for (const char* size : {"67108864", "65536k", "64m", "1g"}) {
    std::string message;
    const echo_status status = create(plugin, std::string("max_heap=") + size, &message);
    EXPECT(status == ECHO_OK, std::string("max_heap=") + size + " is refused: " + message);
  }
}

void environment_is_read(Context& context) {
  const Plugin plugin(context.plugin_path);
  std::string message;
  setenv("ECHO_HEAP_OPTIONS", "no_such_option=1", 1);
  EXPECT_STATUS(create(plugin, "", &message), ECHO_UNKNOWN_OPTION, "an unknown option in ECHO_HEAP_OPTIONS");
  EXPECT(message.find("no_such_option") != std::string::npos,
         "the message does not name the option: " + message);
  setenv("ECHO_HEAP_OPTIONS", "max_heap=fish", 1);
  EXPECT_STATUS(create(plugin, "", nullptr), ECHO_BAD_OPTION_VALUE, "a bad value in ECHO_HEAP_OPTIONS");
}

// Whether one object of `bytes` can be had in a heap of these options.
bool holds(const Plugin& plugin, const std::string& options, std::uint64_t bytes) {
  const Heap heap(plugin, options);
  const Mutator mutator(heap);
  const echo_layout_id raw = heap.raw_array("bytes", 1);
  return mutator.api().allocate(mutator.get(), raw, bytes) != nullptr;
}

void creator_overrides_environment(Context& context) {
  const Plugin plugin(context.plugin_path);
  constexpr std::uint64_t kBytes = 40 << 20;
  unsetenv("ECHO_HEAP_OPTIONS");
  EXPECT(!holds(plugin, "max_heap=16m", kBytes), "40 MB fit a heap of 16 MB");
  EXPECT(holds(plugin, "max_heap=128m", kBytes), "40 MB do not fit a heap of 128 MB");
  setenv("ECHO_HEAP_OPTIONS", "max_heap=16m", 1);
  EXPECT(!holds(plugin, "", kBytes), "max_heap of the environment is not heeded");
  EXPECT(holds(plugin, "max_heap=128m", kBytes),
         "the creator's max_heap does not override the environment's");
}

// A file of this text, gone at the end.
class OptionsFile {
public:
  explicit OptionsFile(const std::string& text) {
    const int file = mkstemp(path_);
    EXPECT(file >= 0 && write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()),
           "the test cannot write a file");
    close(file);
  }
  ~OptionsFile() { unlink(path_); }
  OptionsFile(const OptionsFile&) = delete;
  OptionsFile& operator=(const OptionsFile&) = delete;
  const char* path() const { return path_; }

private:
  char path_[32] = P_tmpdir "/echo-options-XXXXXX";
};

void files_are_read(Context& context) {
  const Plugin plugin(context.plugin_path);
  plugin.skip_without_option("file");
  constexpr std::uint64_t kBytes = 40 << 20;
  unsetenv("ECHO_HEAP_OPTIONS");
  unsetenv("ECHO_HEAP_OPTIONS_FILE");
  const OptionsFile small("# small\nmax_heap=16m\n");
  const std::string named = std::string("file=") + small.path();
  EXPECT(!holds(plugin, "max_heap=128m," + named, kBytes), "max_heap of a file is not heeded");
  EXPECT(holds(plugin, named + ",max_heap=128m", kBytes), "what stands behind a file does not override it");
  setenv("ECHO_HEAP_OPTIONS_FILE", small.path(), 1);
  EXPECT(!holds(plugin, "", kBytes), "ECHO_HEAP_OPTIONS_FILE is not heeded");
  setenv("ECHO_HEAP_OPTIONS", "max_heap=128m", 1);
  EXPECT(holds(plugin, "", kBytes), "ECHO_HEAP_OPTIONS does not override the file");
}

void bad_files_are_named(Context& context) {
  const Plugin plugin(context.plugin_path);
  plugin.skip_without_option("file");
  const auto refused = [&](const std::string& text, echo_status status, const char* part) {
    const OptionsFile file(text);
    std::string message;
    EXPECT_STATUS(create(plugin, std::string("file=") + file.path(), &message), status, "a bad options file");
    for (const char* const wanted : {file.path(), part})
      EXPECT(message.find(wanted) != std::string::npos,
             std::string("the message does not have '") + wanted + "': " + message);
  };
  refused("\nno_such_option=1\n", ECHO_UNKNOWN_OPTION, "line 2");
  refused("max_heap=128m\n\nmax_heap=fish\n", ECHO_BAD_OPTION_VALUE, "line 3");
  refused("max_heap=fish\n", ECHO_BAD_OPTION_VALUE, "max_heap");
  refused("file=/dev/null\n", ECHO_BAD_OPTION_VALUE, "line 1");
  refused(std::string(1 << 20, '#'), ECHO_BAD_OPTION_VALUE, "bytes");
  std::string message;
  EXPECT_STATUS(create(plugin, "file=/no/such/file", &message), ECHO_IO_ERROR, "a file that is not there");
  EXPECT(message.find("/no/such/file") != std::string::npos,
         "the message does not name the file: " + message);
  EXPECT_STATUS(create(plugin, "file=/dev/zero", &message), ECHO_BAD_OPTION_VALUE, "an endless file");
}

void fuzzed_text(Context& context) {
  const Plugin plugin(context.plugin_path);
  const auto rows = plugin.options();
  const std::string alphabet = "=,abkmgxz019_-. \t\n\x7f\x80\xff%s";
  for (int i = 0; i < 1500; ++i) {
    std::string text;
    const std::uint64_t parts = context.random.between(1, 4);
    for (std::uint64_t p = 0; p < parts; ++p) {
      if (!context.random.chance(4))
        text += context.random.pick(rows).name;
      const std::uint64_t length = context.random.below(context.random.chance(50) ? 3000 : 12);
      for (std::uint64_t k = 0; k < length; ++k)
        text += context.random.pick(alphabet);
      if (context.random.chance(2))
        text += ",";
    }
    const echo_status status = create(plugin, text);
    EXPECT(status == ECHO_OK || status == ECHO_UNKNOWN_OPTION || status == ECHO_BAD_OPTION_VALUE ||
               status == ECHO_SYSTEM_MEMORY || status == ECHO_IO_ERROR,
           "heap_create(\"" + text + "\") answers " + echo_status_name(status));
  }
}

} // namespace

Suite options_suite() {
  return {"options",
          "one table; bad text is an error that names it",
          {
              {"table_is_readable", "every row has name, type, default, range and sentence; the table ends",
               "[abi.options.1]", table_is_readable},
              {"defaults_are_values", "every default is accepted as a value", "[abi.options.1]",
               defaults_are_values},
              {"unknown_option_is_named", "an unknown key is UNKNOWN_OPTION and named",
               "[abi.options.1] [abi.error.1]", unknown_option_is_named},
              {"bad_values_are_named", "a bad value is BAD_OPTION_VALUE and its option is named",
               "[abi.options.1] [abi.error.1]", bad_values_are_named},
              {"impossible_heaps_are_errors", "a heap of no size or of all memory is an error value",
               "[abi.options.1] [abi.error.1]", impossible_heaps_are_errors},
              {"byte_suffixes", "bytes are written plain or with k, m, g", "[abi.options.1]", byte_suffixes},
              {"environment_is_read", "ECHO_HEAP_OPTIONS is read, and its errors are reported",
               "[abi.options.1]", environment_is_read},
              {"creator_overrides_environment", "the creator's options override the environment's",
               "[abi.options.1]", creator_overrides_environment},
              {"fuzzed_text", "any text is accepted or refused in words (random)",
               "[abi.error.1] [abi.options.1]", fuzzed_text},
              {"files_are_read", "options come from a file, where it stands and under the environment's",
               "[abi.options.2]", files_are_read},
              {"bad_files_are_named", "what is wrong in a file is named with file, line and option",
               "[options.file.1] [options.file.3] [options.file.4]", bad_files_are_named},
          }};
}

} // namespace conformance
