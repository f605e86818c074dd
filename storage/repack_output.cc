#include "storage/repack_output.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cstring>
#include <filesystem>

#include "storage/header_file.h"

namespace sluice::storage {

std::string PartialPath(const RepackOptions& options) {
  return options.output + ".partial";
}

std::string FolderOf(const std::string& path) {
  const std::filesystem::path folder =
      std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

Result<void> CheckOutput(const RepackOptions& options,
                         std::span<const std::string> inputs) {
  std::error_code ignored;
  const std::filesystem::path output(options.output);
  if (std::filesystem::is_directory(output, ignored)) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: is a folder; name the file to write",
                            OneLine(options.output)));
  }
  for (const std::string& input : inputs) {
    if (!std::filesystem::equivalent(input, output, ignored)) continue;
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: is the input; name another output",
                            OneLine(options.output)));
  }
  if (std::filesystem::exists(output, ignored) && !options.force) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: exists already; --force replaces it",
                            OneLine(options.output)));
  }
  const std::string folder = FolderOf(options.output);
  if (std::filesystem::is_directory(folder, ignored)) return {};
  return Fail(
      ErrorCode::kNotFound,
      fmt::format("{}: no such folder; create it first", OneLine(folder)));
}

Result<void> CheckSpace(const RepackOptions& options,
                        const ContainerPlan& plan) {
  const std::string folder = FolderOf(options.output);
  struct statvfs space = {};
  if (statvfs(folder.c_str(), &space) != 0) return {};  // the writes will tell
  std::uint64_t there = 0;
  struct stat status = {};
  if (stat(PartialPath(options).c_str(), &status) == 0) {
    there = static_cast<std::uint64_t>(status.st_blocks) * 512;
  }
  const std::uint64_t free = std::uint64_t{space.f_bavail} * space.f_frsize;
  if (free + there >= plan.file_bytes) return {};
  return Fail(ErrorCode::kIo,
              fmt::format("{}: {} MB are needed and {} MB are free; free some "
                          "space or choose another folder",
                          OneLine(folder), plan.file_bytes / 1000000 + 1,
                          free / 1000000));
}

std::optional<bool> EarlierDecision(const RepackOptions& options,
                                    const ContainerPlan& plan) {
  auto file = HeaderFile::Open(PartialPath(options));
  if (!file) return std::nullopt;
  const auto page = file->Read(kPageBytes);
  if (!page || page->size() != kPageBytes) return std::nullopt;
  ContainerHeader header;
  std::memcpy(&header, page->data(), sizeof(header));
  const bool done =
      header.units_done > 0 ||
      header.state == static_cast<std::uint32_t>(ContainerState::kComplete);
  if (header.magic != kContainerMagic || !done ||
      header.source_hash != plan.header.source_hash ||
      (header.units_done > 0 &&
       header.source_stamp != plan.header.source_stamp) ||
      header.source_bytes != plan.header.source_bytes) {
    return std::nullopt;
  }
  return (header.options & kOptionCompressed) != 0;
}

}  // namespace sluice::storage
