# README's program is compiled with the tests, and the way that it tells other
# projects to use this one is configured by a test.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
  ${PROJECT_SOURCE_DIR}/README.md)
file(READ ${PROJECT_SOURCE_DIR}/README.md readme)
string(REGEX MATCH "```cpp\n([^`]*)```" found "${readme}")
if(NOT found)
  message(FATAL_ERROR "README.md has no C++ example")
endif()
set(example ${CMAKE_CURRENT_BINARY_DIR}/readme_example.cc)
file(CONFIGURE OUTPUT ${example} CONTENT "${CMAKE_MATCH_1}" @ONLY)
add_library(readme_example OBJECT ${example})
target_link_libraries(readme_example PRIVATE sluice_flags sluice_engine)

add_test(NAME Readme.OtherProjectsCanAddThisOne
  COMMAND ${CMAKE_COMMAND} -G Ninja
    -S ${CMAKE_CURRENT_SOURCE_DIR}/project/consumer
    -B ${CMAKE_CURRENT_BINARY_DIR}/consumer
    -D SLUICE_DIR=${PROJECT_SOURCE_DIR} -D EXAMPLE=${example}
    -D CMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER})
set_tests_properties(Readme.OtherProjectsCanAddThisOne PROPERTIES
  LABELS project-fast)
