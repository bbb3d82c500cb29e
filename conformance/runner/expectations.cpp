// SPDX-License-Identifier: MIT
//
// expectations.cpp - reads a file of expected failures. [kit.expect.2]
#include "expectations.h"

#include <fstream>

namespace conformance {

namespace {

const Test* find_test(const std::vector<Suite>& suites, const std::string& name) {
  for (const Suite& suite : suites)
    for (const Test& test : suite.tests)
      if (name == std::string(suite.name) + "." + test.name)
        return &test;
  return nullptr;
}

// Takes the first word off `rest`.
std::string first_word(std::string& rest) {
  const std::size_t begin = rest.find_first_not_of(" \t\r");
  if (begin == std::string::npos)
    return rest = "";
  const std::size_t end = rest.find_first_of(" \t\r", begin);
  std::string word = rest.substr(begin, end == std::string::npos ? end : end - begin);
  const std::size_t next = end == std::string::npos ? end : rest.find_first_not_of(" \t\r", end);
  rest = next == std::string::npos ? "" : rest.substr(next);
  return word;
}

} // namespace

bool read_expectations(const std::string& path, const std::vector<Suite>& suites, Expectations* out,
                       std::string* why) {
  std::ifstream file(path);
  if (!file) {
    *why = "cannot read " + path;
    return false;
  }
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    std::string rest = line.substr(0, line.find('#'));
    const std::string name = first_word(rest);
    if (name.empty())
      continue;
    const std::string clause = first_word(rest);
    const Test* test = find_test(suites, name);
    if (test == nullptr)
      *why = "no test is named " + name;
    else if (clause.size() < 3 || clause.front() != '[' || clause.back() != ']' ||
             std::string(test->clauses).find(clause) == std::string::npos)
      *why = std::string(name)
                 .append(" does not cite the clause '")
                 .append(clause)
                 .append("', but ")
                 .append(test->clauses);
    else if (rest.empty())
      *why = name + " has no reason";
    else if (!out->emplace(name, Expectation{clause, rest}).second)
      *why = name + " is listed twice";
    if (!why->empty()) {
      *why = path + ":" + std::to_string(number) + ": " + *why;
      return false;
    }
  }
  return true;
}

} // namespace conformance
