#include "storage/source_identity.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "storage/aligned_buffer.h"
#include "storage/xxh3.h"

namespace sluice::storage {
namespace {

constexpr std::uint64_t kSamples = 4;  // of each tensor
constexpr std::size_t kBatch = 256;    // blocks in memory

struct Block {
  std::uint32_t file = 0;
  std::uint64_t offset = 0;
  std::size_t bytes = 0;  // that the file has of it
};

// Aligned blocks spread over each tensor, from its first to its last.
std::vector<Block> SampleBlocks(const GgufFile& gguf) {
  std::vector<Block> blocks;
  for (const GgufTensor& tensor : gguf.tensors()) {
    if (tensor.bytes == 0) continue;
    const std::uint64_t first = tensor.offset / kIoAlignment;
    const std::uint64_t last =
        (tensor.offset + tensor.bytes - 1) / kIoAlignment;
    const std::uint64_t count = std::min(last - first + 1, kSamples);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t block =
          count == 1 ? first : first + (last - first) * i / (count - 1);
      const std::uint64_t offset = block * kIoAlignment;
      blocks.push_back(
          {.file = tensor.file,
           .offset = offset,
           .bytes = static_cast<std::size_t>(std::min<std::uint64_t>(
               kIoAlignment, gguf.file_bytes()[tensor.file] - offset))});
    }
  }
  return blocks;
}

Result<void> HashBlocks(ReadDevice& device, std::span<const Block> blocks,
                        AlignedBuffer& buffer, Xxh3& hash) {
  std::vector<ReadRequest> requests;
  requests.reserve(blocks.size());
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    requests.push_back({.file = blocks[i].file,
                        .offset = blocks[i].offset,
                        .length = kIoAlignment,
                        .destination = buffer.data() + i * kIoAlignment,
                        .tag = i});
  }
  SLUICE_TRY(device.Submit(requests));
  std::vector<ReadCompletion> completions;
  while (device.in_flight() > 0) SLUICE_TRY(device.Wait(completions));
  for (ReadCompletion& completion : completions) {
    if (completion.error) return tl::unexpected(std::move(*completion.error));
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    hash.Update(std::as_const(buffer).span().subspan(i * kIoAlignment,
                                                     blocks[i].bytes));
  }
  return {};
}

std::uint64_t StampOf(const GgufFile& gguf) {
  Xxh3 hash;
  for (const auto& path : gguf.paths()) {
    struct stat status = {};
    stat(std::string(path).c_str(), &status);
    const std::array<std::int64_t, 3> facts = {
        status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
    hash.Update(std::as_bytes(std::span(facts)));
  }
  return hash.Digest();
}

}  // namespace

Result<SourceIdentity> IdentifySource(const GgufFile& gguf,
                                      ReadDevice& device) {
  SourceIdentity identity;
  identity.bytes = std::accumulate(gguf.file_bytes().begin(),
                                   gguf.file_bytes().end(), std::uint64_t{0});
  identity.stamp = StampOf(gguf);
  Xxh3 hash;
  for (const auto& header : gguf.headers()) hash.Update(header);
  SLUICE_ASSIGN(AlignedBuffer buffer,
                AlignedBuffer::Allocate(kBatch * kIoAlignment));
  const std::vector<Block> blocks = SampleBlocks(gguf);
  for (std::size_t at = 0; at < blocks.size(); at += kBatch) {
    const std::size_t count = std::min(kBatch, blocks.size() - at);
    SLUICE_TRY(
        HashBlocks(device, std::span(blocks).subspan(at, count), buffer, hash));
  }
  identity.hash = hash.Digest();
  return identity;
}

}  // namespace sluice::storage
