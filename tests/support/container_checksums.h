// FixChecksums: lets damage to a container get past its checksums, for the
// tests and the fuzz target of what comes after them.
//
// Thread safety: a function of its argument.
#ifndef SLUICE_TESTS_SUPPORT_CONTAINER_CHECKSUMS_H_
#define SLUICE_TESTS_SUPPORT_CONTAINER_CHECKSUMS_H_

#include <cstddef>
#include <vector>

namespace sluice::test {

// Makes the checksums in the header, and the footer, right for the contents of
// `file`, as far as its sections lie within it. Those of dense tensors and of
// parts stay as they are.
void FixChecksums(std::vector<std::byte>& file);

}  // namespace sluice::test

#endif  // SLUICE_TESTS_SUPPORT_CONTAINER_CHECKSUMS_H_
