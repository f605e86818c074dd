# Third-party libraries; each is a Debian package that ci/install installs.
#
# All are linked shared. A process's libraries count against its memory ceiling,
# so the alternatives were measured: peak resident set of a program that calls
# fmt, CLI11, nlohmann-json, PCRE2, zstd, liburing and TBB, which is used no
# more, once (Debian 12, x86-64, two runs each):
#   everything shared                                   5.7 MB
#   zstd, PCRE2 and liburing from static archives       5.5 to 5.8 MB
#   the same, fmt compiled in, --gc-sections            5.4 to 5.5 MB
#   the same, -z norelro                                5.5 to 5.6 MB
#   -static-libstdc++ -static-libgcc                    5.9 to 6.3 MB
# libstdc++ and libc make up half of it: nothing else is worth a flag.
# The targets found here must be visible to a project that adds this one.
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(tl-expected REQUIRED)
pkg_check_modules(liburing REQUIRED IMPORTED_TARGET GLOBAL liburing)
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET GLOBAL libpcre2-8)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET GLOBAL libzstd)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET GLOBAL libxxhash)
