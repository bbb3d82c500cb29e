/* SPDX-License-Identifier: MIT
 *
 * driver/main_type.h - what a program's main may look like.
 */
#ifndef ECHO_RUN_MAIN_TYPE_H
#define ECHO_RUN_MAIN_TYPE_H

#include <string>
#include <string_view>

namespace echo::run {

/* main is called with argc, argv, environ, or fewer. `letters`: its type as in echo_jit_define_typed. Empty, or what is
 * wrong with it `where` and what to do. */
inline std::string main_type_problem(std::string_view letters, std::string_view where) {
  const std::string_view parameters = letters.substr(1);
  const bool result_fits = std::string_view("vbsil").find(letters.front()) != std::string_view::npos;
  const bool parameters_fit =
      parameters.empty() || ((parameters.front() == 'i' || parameters.front() == 'l') &&
                             std::string_view("pp").starts_with(parameters.substr(1)));
  if (result_fits && parameters_fit)
    return {};
  const bool reference = letters.find('r') != std::string_view::npos;
  return std::string(reference ? "main takes or returns a reference"
                               : "main has other parameters or another result than a program's") +
         ", in '" + std::string(where) +
         "', define it as int main(int argc, char** argv, char** environ) or with fewer parameters";
}

} // namespace echo::run

#endif
