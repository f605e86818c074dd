#include "storage/verify.h"

#include <fmt/format.h>

#include "storage/aligned_buffer.h"
#include "storage/container_reader.h"
#include "storage/extent_checker.h"
#include "storage/header_file.h"
#include "storage/sequential_reader.h"

namespace sluice::storage {

Result<VerifyReport> VerifyContainer(
    const std::string& path,
    const std::function<bool(std::uint64_t, std::uint64_t)>& progress,
    const DeviceOptions& options) {
  SLUICE_ASSIGN(const ContainerReader container, ContainerReader::Open(path));
  SLUICE_ASSIGN(const auto device, OpenReadDevice({path}, options));
  const std::uint64_t total = container.header().file_bytes;
  SLUICE_ASSIGN(AlignedBuffer buffer,
                AlignedBuffer::Allocate(SequentialReader::kBufferBytes,
                                        {.huge_pages = true}));
  // Header and footer are pages that opening has compared whole, up to their
  // own checksums.
  SequentialReader reader(*device, buffer.span(), kPageBytes,
                          total - kPageBytes);
  const ContainerIndex& index = container.index();
  ExtentChecker checker(path, index, kPageBytes);
  checker.Expect(SectionExtents(container.header()));
  checker.Expect(
      UnitExtents(index, 0, index.dense.size() + index.records.size()));
  while (true) {
    SLUICE_ASSIGN(const auto bytes, reader.Next());
    if (bytes.empty()) break;
    SLUICE_TRY(checker.Take(bytes));
    if (progress && !progress(checker.at(), total)) {
      return Fail(ErrorCode::kCancelled,
                  fmt::format("{}: verification was stopped", OneLine(path)));
    }
  }
  return VerifyReport{
      .bytes = total,
      .dense_tensors = index.dense.size(),
      .records = index.records.size(),
      .parts = index.parts.size(),
      .compressed = (container.header().options & kOptionCompressed) != 0};
}

}  // namespace sluice::storage
