// SPDX-License-Identifier: MIT
//
// report.cpp - lines of report.h, each with one write.
#include "report.h"

namespace check {

namespace {

const char* name_of(Mistake mistake) {
  switch (mistake) {
#define ECHO_MISTAKE_NAME(name, meaning)                                                                     \
  case Mistake::name:                                                                                        \
    return #name;
    ECHO_MISTAKE_TABLE(ECHO_MISTAKE_NAME)
#undef ECHO_MISTAKE_NAME
  }
  return "?";
}

} // namespace

bool Report::open(const std::string& path) {
  if (path == "stderr")
    return true;
  file_ = std::fopen(path.c_str(), "ae");
  return file_ != nullptr;
}

Report::~Report() {
  if (file_ != nullptr)
    std::fclose(file_);
}

void Report::line(const std::string& text) {
  std::FILE* const out = file_ != nullptr ? file_ : stderr;
  const std::string whole = "echo-check: " + text + "\n";
  std::fwrite(whole.data(), 1, whole.size(), out);
  std::fflush(out);
}

void Report::add(Mistake mistake, const std::string& what, const Site& site) {
  const std::lock_guard lock(mutex_);
  ++count_;
  if (told_.size() < kMost && told_.emplace(mistake, site.caller, site.beyond, site.managed).second)
    line(std::string(name_of(mistake)) + ": " + what + "; at " + describe(site));
}

void Report::end() {
  const std::lock_guard lock(mutex_);
  if (count_ != 0)
    line(std::to_string(count_) + (count_ == 1 ? " mistake" : " mistakes") + " at " +
         std::to_string(told_.size()) + (told_.size() == 1 ? " place" : " places"));
}

} // namespace check
