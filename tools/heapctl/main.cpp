// SPDX-License-Identifier: MIT
//
// echo-heapctl - what a heap plugin is, for people, for compilers and for tools.
//
// Purpose     `options` prints the option table; `abi` the ABI as JSON, as a C header or as a Go file.
// Invariants  [heapctl.exit.1] Status 0: all of it was written. Status 2: one line on standard error,
//             "echo-heapctl: CODE: what, where, what to do", and nothing on standard output.
#include "abi.h"
#include "emit.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

namespace {

using echo::ctl::Problem;

// Name, kind, default, range and sentence in columns.
std::string option_table(const nlohmann::ordered_json& options) {
  static constexpr const char* kColumns[] = {"name", "kind", "default", "range", "meaning"};
  std::vector<std::size_t> widths;
  for (const char* const column : kColumns) {
    std::size_t width = std::strlen(column);
    for (const auto& row : options)
      width = std::max(width, row.at(column).get_ref<const std::string&>().size());
    widths.push_back(width + 2);
  }
  std::string text;
  const auto line = [&text, &widths](const auto& cell_of) {
    std::string cells;
    for (std::size_t i = 0; i < std::size(kColumns); ++i) {
      std::string cell = cell_of(kColumns[i]);
      if (i + 1 < std::size(kColumns))
        cell.resize(widths[i], ' ');
      cells += cell;
    }
    text += cells + "\n";
  };
  line([](const char* column) { return std::string(column); });
  for (const auto& row : options)
    line([&row](const char* column) { return row.at(column).get<std::string>(); });
  return text;
}

bool write_to(std::FILE* out, const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), out) == text.size() && std::fflush(out) == 0;
}

void write(const std::string& text, const std::string& path) {
  bool written = false;
  if (path.empty()) {
    written = write_to(stdout, text);
  } else if (std::FILE* const out = std::fopen(path.c_str(), "w"); out != nullptr) {
    written = write_to(out, text);
    written = std::fclose(out) == 0 && written;
  }
  if (!written)
    throw Problem(ECHO_IO_ERROR, std::string(std::strerror(errno)) + ", writing " +
                                     (path.empty() ? "standard output" : "'" + path + "'") +
                                     ", make room or give another file");
}

struct Request {
  std::string plugin, heap, output;
  bool json = false, c = false, go = false;
};

void print_options(const Request& request) {
  const echo::ctl::Plugin plugin(request.plugin);
  const nlohmann::ordered_json rows = echo::ctl::options_as_json(plugin);
  const nlohmann::ordered_json all = {{"schema", echo::ctl::kSchema}, {"options", rows}};
  write(request.json ? all.dump(2) + "\n" : option_table(rows), request.output);
}

void print_abi(const Request& request) {
  if (request.json + request.c + request.go != 1)
    throw Problem(ECHO_INVALID_ARGUMENT, "no one form is chosen, at abi, give one of --json, --c and --go");
  const echo::ctl::Plugin plugin(request.plugin);
  const echo::ctl::Heap heap(plugin, request.heap);
  const nlohmann::ordered_json abi = echo::ctl::abi_as_json(plugin, heap);
  write(request.json ? abi.dump(2) + "\n"
        : request.c  ? echo::ctl::as_c(abi)
                     : echo::ctl::as_go(abi),
        request.output);
}

int run(int argc, char** argv) {
  Request request;
  request.plugin = echo::ctl::default_plugin();
  CLI::App app("Prints what a heap plugin is.", "echo-heapctl");
  app.set_version_flag("--version", "echo-heapctl " ECHO_HEAPCTL_VERSION);
  app.require_subcommand(0, 1);
  app.add_option("--plugin", request.plugin, "The plugin; default: libecho_heap.so in ../lib of this program")
      ->type_name("PATH");
  CLI::App* const options =
      app.add_subcommand("options", "The option table: name, kind, default, range, meaning");
  options->add_flag("--json", request.json, "As JSON");
  CLI::App* const abi = app.add_subcommand("abi", "Version, features, recipes, constants, structs");
  abi->add_flag("--json", request.json, "As JSON");
  abi->add_flag("--c", request.c, "The constants as a C header");
  abi->add_flag("--go", request.go, "The constants as a Go file");
  abi->add_option("--heap", request.heap, "Recipes of a heap with these options, name=value,...")
      ->type_name("OPTIONS");
  for (CLI::App* const command : {options, abi})
    command->add_option("--output", request.output, "Write here instead of to standard output")
        ->type_name("FILE");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0)
      return app.exit(error);
    throw Problem(ECHO_INVALID_ARGUMENT,
                  std::string(error.what()) + ", on the command line, see echo-heapctl --help");
  }
  if (options->parsed())
    print_options(request);
  else if (abi->parsed())
    print_abi(request);
  else
    throw Problem(ECHO_INVALID_ARGUMENT, "no command is given, on the command line, see echo-heapctl --help");
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "echo-heapctl: %s\n", problem.what());
    return 2;
  }
}
