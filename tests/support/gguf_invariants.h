// What must hold of every GgufFile that was accepted, however strange its
// input: shared by the tests that damage files and by the fuzz target.
//
// Thread safety: a pure function.
#ifndef SLUICE_TESTS_SUPPORT_GGUF_INVARIANTS_H_
#define SLUICE_TESTS_SUPPORT_GGUF_INVARIANTS_H_

#include <string>

#include "storage/gguf.h"

namespace sluice::test {

// Touches everything: looks up each key and tensor, converts each value in
// every way, reads each string to its last byte, and lays out an ExpertStore
// over the expert tensors. Returns what is wrong, or nothing.
std::string BrokenInvariant(const storage::GgufFile& gguf);

}  // namespace sluice::test

#endif  // SLUICE_TESTS_SUPPORT_GGUF_INVARIANTS_H_
