/* SPDX-License-Identifier: MIT
 *
 * temporary_folder.h - a directory in the temporary folder, removed with what is in it.
 */
#ifndef ECHO_TESTS_JIT_TEMPORARY_FOLDER_H
#define ECHO_TESTS_JIT_TEMPORARY_FOLDER_H

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace echo::testing {

class Folder {
public:
  Folder() : path_((std::filesystem::temp_directory_path() / "echo-jit-XXXXXX").string()) {
    EXPECT_NE(nullptr, mkdtemp(path_.data()));
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const char* path() const { return path_.c_str(); }
  std::vector<std::filesystem::path> files() const {
    std::vector<std::filesystem::path> all;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      all.push_back(entry.path());
    return all;
  }

private:
  std::string path_;
};

} // namespace echo::testing

#endif // ECHO_TESTS_JIT_TEMPORARY_FOLDER_H
