# Compiles headers of the project alone: each must include what it uses. A header
# that does not is an error of the build, named by the header. Left out are those
# that a source of the same name shows to do so, by including it first (which a
# test sees to), and headers of another processor's instructions, which its build
# compiles.
set(generated_sources)
set(foreign_headers "_(arm|neon|dotprod|i8mm)\\.h$")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64")
  set(foreign_headers "_(avx2|avx512|vnni256)\\.h$")
endif()
foreach(folder storage kernels cache predictor engine tools tests/support)
  file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.h)
  list(FILTER headers EXCLUDE REGEX ${foreign_headers})
  foreach(header ${headers})
    string(REGEX REPLACE "h$" "cc" own_source ${header})
    if(EXISTS ${own_source})
      continue()
    endif()
    file(RELATIVE_PATH include ${PROJECT_SOURCE_DIR} ${header})
    string(REPLACE "/" "_" name ${include})
    set(source ${CMAKE_CURRENT_BINARY_DIR}/header_self_contained/${name}.cc)
    # Twice: the second inclusion proves the guard.
    file(CONFIGURE OUTPUT ${source} CONTENT
      "#include \"${include}\"\n#include \"${include}\"\n" @ONLY)
    list(APPEND generated_sources ${source})
  endforeach()
endforeach()
add_library(header_self_contained OBJECT ${generated_sources})
target_link_libraries(header_self_contained PRIVATE sluice_flags sluice_engine)
target_compile_options(header_self_contained PRIVATE -O0)
