# SPDX-License-Identifier: MIT
# Toolchain file: the libraries without LLVM for AArch64, with Debian's g++-aarch64-linux-gnu.
#   cmake -S . -B build/aarch64 --toolchain cmake/aarch64-linux-gnu.cmake -DECHO_BUILD_TESTS=OFF -DECHO_BUILD_BENCH=OFF
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
# After all others: headers that are the same on every architecture, libnuma's among them.
set(CMAKE_C_FLAGS_INIT "-idirafter /usr/include")
set(CMAKE_CXX_FLAGS_INIT "-idirafter /usr/include")
