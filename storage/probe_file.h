// ProbeFile: the read shape that a flash probe chose for a file, and how fast
// it read with it, remembered in a small text file, so that the next process
// need not measure again.
//
// The text names what was measured: the file's size, the file system and
// device that it lies on, and how it is read. Whatever differs, or cannot be
// read, is as if nothing were remembered: a copy on another disk is measured
// anew. Nothing here is needed for correct results, so nothing here fails.
//
// Thread safety: free functions, may be called from any thread; two processes
// that remember at the same time leave one of the two choices, whole.
#ifndef SLUICE_STORAGE_PROBE_FILE_H_
#define SLUICE_STORAGE_PROBE_FILE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "storage/flash_probe.h"

namespace sluice::storage {

// What a choice is true for, as text: device number, identity and size of the
// file system (the kernel's, in bytes), size of the file at `path`, and
// `reader`, the ReadDevice's name(). Empty when the file cannot be found.
std::string ProbeKey(const std::string& path, std::string_view reader);

// The choice that `probe_file` holds for `key`; none when it holds another's,
// is damaged or is not there. The larger fields are checked: a piece of
// kIoAlignment to 4 MiB, a depth of 1 to 64.
std::optional<FlashChoice> RecallChoice(const std::string& probe_file,
                                        std::string_view key);

// Replaces `probe_file` with `choice` for `key`, by a rename; whether that
// worked. Leaves no other file.
bool RememberChoice(const std::string& probe_file, std::string_view key,
                    const FlashChoice& choice);

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_PROBE_FILE_H_
