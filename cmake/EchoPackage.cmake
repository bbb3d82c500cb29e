# SPDX-License-Identifier: MIT
# What `cmake --install` puts where, and how an embedder finds it: CMake package EchoHeap, pkg-config file echo-heap.pc.
# Both are relocatable: an install tree may be moved.
include(CMakePackageConfigHelpers)

set(ECHO_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/EchoHeap)
set(ECHO_PKGCONFIG_DIR ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# Headers, the JIT and the programs are installed by their own folders.
foreach(target echo_heap echo_memory_pool echo_runtime)
  if(TARGET ${target})
    install(TARGETS ${target} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  endif()
endforeach()
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/README.md ${CMAKE_SOURCE_DIR}/THIRD-PARTY.md
  DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(ECHO_HEAP_LIBRARY ${CMAKE_INSTALL_LIBDIR}/libecho_heap.so)
set(ECHO_JIT_LIBRARY ${CMAKE_INSTALL_LIBDIR}/libecho_jit.so)
set(ECHO_POOL_LIBRARY ${CMAKE_INSTALL_LIBDIR}/libecho_memory_pool.so)
set(ECHO_RUNTIME_LIBRARY ${CMAKE_INSTALL_LIBDIR}/libecho_runtime.so)
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/EchoHeapConfig.cmake.in
  ${CMAKE_BINARY_DIR}/package/EchoHeapConfig.cmake
  INSTALL_DESTINATION ${ECHO_CMAKE_DIR}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR ECHO_HEAP_LIBRARY ECHO_JIT_LIBRARY ECHO_POOL_LIBRARY
    ECHO_RUNTIME_LIBRARY)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/EchoHeapConfigVersion.cmake
  VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/package/EchoHeapConfig.cmake ${CMAKE_BINARY_DIR}/package/EchoHeapConfigVersion.cmake
  DESTINATION ${ECHO_CMAKE_DIR})

file(RELATIVE_PATH ECHO_PREFIX_FROM_PC /${ECHO_PKGCONFIG_DIR} /)
string(REGEX REPLACE "/$" "" ECHO_PREFIX_FROM_PC "${ECHO_PREFIX_FROM_PC}")
configure_file(${CMAKE_SOURCE_DIR}/cmake/echo-heap.pc.in ${CMAKE_BINARY_DIR}/package/echo-heap.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/package/echo-heap.pc DESTINATION ${ECHO_PKGCONFIG_DIR})
