# Compiler flags that every target of the project shares.
#
# sluice_interface: what a program that uses the library needs: the include
# root and the language standard. sluice_flags: that, and how the project
# itself is compiled.
add_library(sluice_interface INTERFACE)
target_include_directories(sluice_interface INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_features(sluice_interface INTERFACE cxx_std_20)

# -ffp-contract=off: the compiler may not fuse a multiply and an add on its own,
# because results are declared bit-identical across instruction sets.
add_library(sluice_flags INTERFACE)
target_link_libraries(sluice_flags INTERFACE sluice_interface)
target_compile_options(sluice_flags INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-qual
  -Woverloaded-virtual -Werror=return-type -ffp-contract=off
  -fno-omit-frame-pointer)

# For every target alike: an instrumented object must not meet a plain one.
if(SLUICE_SANITIZE)
  add_compile_options(-fsanitize=${SLUICE_SANITIZE} -fno-sanitize-recover=all)
  # With checks in every round g++ takes twice as long to compile unrolled loops.
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-fno-tree-loop-optimize>)
  add_link_options(-fsanitize=${SLUICE_SANITIZE})
endif()
if(SLUICE_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "SLUICE_FUZZ needs clang: cmake --preset fuzz")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# Headers that most files include, compiled once for a target: a quarter less to
# build. Each file still includes what it uses, as clang-tidy checks, which is run
# without (CMAKE_DISABLE_PRECOMPILE_HEADERS).
set(sluice_common_headers <algorithm> <functional> <memory> <optional> <span>
  <string> <utility> <vector> <fmt/format.h>)
