/* SPDX-License-Identifier: MIT
 *
 * session.cpp - see session.h.
 */
#include "session.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "main_type.h"
#include "native_functions.h"
#include "overflow_handler.h"
#include "words.h"

namespace echo::run {

namespace {

constexpr uint64_t program_bytes_most = uint64_t{1} << 30;

Failure writable_directory(const std::optional<std::string>& path, const char* option) {
  if (!path)
    return {};
  struct stat info{};
  if (stat(path->c_str(), &info) == 0 && !S_ISDIR(info.st_mode))
    errno = ENOTDIR;
  else if (access(path->c_str(), W_OK | X_OK) == 0)
    return {};
  return {ECHO_IO_ERROR, "cannot write into '" + *path + "' (" + std::strerror(errno) + "), in " + option +
                             ", give a directory that exists"};
}

Failure json_failure(const std::string& path, int problem) {
  return {ECHO_IO_ERROR, "cannot write '" + path + "' (" + std::strerror(problem) + "), in " + words.json +
                             ", give a file that can be written"};
}

} // namespace

Session::~Session() {
  static_cast<void>(close());
}

Failure Session::open_json() {
  if (!command_.json)
    return {};
  json_ = Descriptor(::open(command_.json->c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666));
  return json_.open() ? Failure{} : json_failure(*command_.json, errno);
}

Failure Session::write_json(const std::string& text) {
  struct stat info{};
  int problem = 0;
  if (fstat(json_.number(), &info) == 0 && S_ISREG(info.st_mode) && ftruncate(json_.number(), 0) != 0)
    problem = errno;
  if (problem == 0)
    problem = write_all(json_.number(), text);
  const int late = json_.close();
  if (problem == 0)
    problem = late;
  return problem == 0 ? Failure{} : json_failure(*command_.json, problem);
}

Failure Session::load_plugins() {
  return load_heap_plugin(command_.heap_plugin ? *command_.heap_plugin : default_library("libecho_heap.so"),
                          plugins_);
}

Failure Session::prepare() {
  std::string text;
  if (ahead_ == nullptr)
    if (Failure failure = read_file(command_.program, program_bytes_most, text))
      return failure;
  if (Failure failure = writable_directory(command_.dump_objects, "--dump-objects"))
    return failure;
  if (Failure failure = writable_directory(command_.dump_ir, "--dump-ir"))
    return failure;
  if (Failure failure = writable_directory(command_.cache, "--cache"))
    return failure;
  if (Failure failure = load_plugins())
    return failure;
  if (ahead_ != nullptr) {
    plugins_.jit = ahead_;
    plugins_.jit_path = command_.program;
  } else if (Failure failure = load_jit(default_library("libecho_jit.so"), plugins_)) {
    return failure;
  }
  if (Failure failure = create_heap())
    return failure;
  if (command_.echo)
    if (Failure failure = create_layer())
      return failure;
  if (Failure failure = create_jit())
    return failure;
  program_ = std::make_unique<Program>(plugins_, heap_, jit_, command_);
  if (layer_)
    program_->run_under(*layer_);
  if (Failure failure = program_->prepare())
    return failure;
  if (ahead_ == nullptr)
    if (Failure failure = compile(text))
      return failure;
  return find_main();
}

Failure Session::create_heap() {
  echo_error why{};
  const char* options = command_.heap_options ? command_.heap_options->c_str() : nullptr;
  const echo_status status = plugins_.heap->heap_create(options, &heap_, &why);
  if (status != ECHO_OK)
    return failure_from(status, why,
                        command_.heap_options ? words.heap_options : "ECHO_HEAP_OPTIONS or the defaults");
  return {};
}

Failure Session::create_layer() {
  if ((plugins_.heap->features & ECHO_FEATURE_AMBIGUOUS_ROOTS) == 0)
    return {ECHO_NOT_SUPPORTED,
            "unmodified Echo programs need ambiguous roots, which the heap does not have, in '" +
                plugins_.heap_path + "', give another heap plugin with " + words.heap_plugin};
  layer_ = std::make_unique<EchoLayer>();
  if (Failure failure = layer_->load(command_.echo_runtime ? *command_.echo_runtime
                                                           : default_library("libecho_runtime.so")))
    return failure;
  return layer_->create(plugins_, heap_, command_.echo_print);
}

Failure Session::create_jit() {
  echo_jit_options options{};
  options.size = sizeof options;
  options.optimise = command_.optimise;
  options.switches = command_.switches;
  options.operations = command_.operations;
  options.dump_objects = command_.dump_objects ? command_.dump_objects->c_str() : nullptr;
  options.dump_ir = command_.dump_ir ? command_.dump_ir->c_str() : nullptr;
  options.cache = command_.cache ? command_.cache->c_str() : nullptr;
  options.tools = (command_.gdb ? uint32_t{ECHO_JIT_TOOL_GDB} : 0) |
                  (command_.perf ? uint32_t{ECHO_JIT_TOOL_PERF} : 0) |
                  (command_.lines ? uint32_t{ECHO_JIT_TOOL_LINES} : 0);
  if (layer_)
    layer_->adjust(options);
  echo_error why{};
  if (const echo_status status = plugins_.jit->create(plugins_.heap, heap_, &options, &jit_, &why);
      status != ECHO_OK)
    return failure_from(status, why, "'" + plugins_.jit_path + "'");
  if (layer_)
    layer_->use(jit_);
  return {};
}

/* What the main thread is called with: argc, argv, environ, or fewer. */
Failure Session::check_main() const {
  char type[64];
  if (plugins_.jit->function_type(jit_, main_, type, sizeof type) != ECHO_OK)
    return {ECHO_UNSUPPORTED_OPERATION,
            "the type of main is not known, in '" + command_.program + "', define main itself, not an alias"};
  if (std::string problem = main_type_problem(type, command_.program); !problem.empty())
    return {ECHO_UNSUPPORTED_OPERATION, std::move(problem)};
  return {};
}

Failure Session::compile(const std::string& text) {
  if (Failure failure = layer_ ? layer_->define() : define_native_functions(plugins_, jit_))
    return failure;
  echo_error why{};
  const echo_status status =
      plugins_.jit->add_module(jit_, command_.program.c_str(), text.data(), text.size(), &why);
  return status == ECHO_OK ? Failure{} : failure_from(status, why, command_.program);
}

Failure Session::find_main() {
  echo_error why{};
  echo_status status = plugins_.jit->lookup(jit_, "main", &main_, &why);
  if (status != ECHO_OK)
    return failure_from(status, why, command_.program);
  if (Failure failure = check_main())
    return failure;
  const echo_recipes* recipes = nullptr;
  status = plugins_.heap->recipes(heap_, ECHO_RECIPES_FASTEST, &recipes);
  if (status != ECHO_OK || recipes == nullptr)
    return {ECHO_VERSION_MISMATCH, "the plugin gave no recipes, in '" + plugins_.heap_path +
                                       "', give another heap plugin with " + words.heap_plugin};
  install_overflow_handler(program_->ending(), *plugins_.jit, jit_, *recipes);
  handler_installed_ = true;
  return {};
}

void Session::statistics(echo_statistics& heap, echo_jit_statistics& jit) const {
  heap = {};
  heap.size = sizeof heap;
  plugins_.heap->statistics(heap_, &heap);
  jit = {};
  jit.size = sizeof jit;
  plugins_.jit->statistics(jit_, &jit);
}

Failure Session::close() {
  if (program_)
    program_->reap();
  if (handler_installed_)
    remove_overflow_handler();
  handler_installed_ = false;
  program_.reset();
  Failure failure;
  echo_error why{};
  if (jit_ != nullptr)
    if (const echo_status status = plugins_.jit->destroy(jit_, &why); status != ECHO_OK)
      failure = failure_from(status, why, "the release of the compiled program");
  jit_ = nullptr;
  layer_.reset(); /* behind the JIT, which tells it of literals; before its heap */
  why = {};
  if (heap_ != nullptr)
    if (const echo_status status = plugins_.heap->heap_destroy(heap_, &why); status != ECHO_OK && !failure)
      failure = failure_from(status, why, "the release of the heap");
  heap_ = nullptr;
  return failure;
}

} // namespace echo::run
