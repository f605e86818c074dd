// What a repack finds where it is to write, before it writes.
//
// Thread safety: functions of their arguments and the file system.
#ifndef SLUICE_STORAGE_REPACK_OUTPUT_H_
#define SLUICE_STORAGE_REPACK_OUTPUT_H_

#include <optional>
#include <span>
#include <string>

#include "storage/container_plan.h"
#include "storage/repack.h"
#include "storage/result.h"

namespace sluice::storage {

// The file that is written and then renamed.
std::string PartialPath(const RepackOptions& options);
// "." for a bare name.
std::string FolderOf(const std::string& path);

// Refuses an output that is a folder, one of the `inputs`, or there without
// `force`. Returns: kInvalidArgument, kNotFound (its folder).
Result<void> CheckOutput(const RepackOptions& options,
                         std::span<const std::string> inputs);
// Refuses when the folder cannot take the whole container; what an earlier
// repack has written counts as there. Returns: kIo.
Result<void> CheckSpace(const RepackOptions& options,
                        const ContainerPlan& plan);
// What an interrupted repack of the same GGUF decided on compression; none
// without one.
std::optional<bool> EarlierDecision(const RepackOptions& options,
                                    const ContainerPlan& plan);

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_REPACK_OUTPUT_H_
