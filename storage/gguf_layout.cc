// The checks of GgufParser over the whole tensor directory: where the weights
// lie in the file.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>
#include <vector>

#include "storage/gguf_parser.h"
#include "storage/header_file.h"

namespace sluice::storage {

Result<std::uint64_t> GgufParser::Alignment() const {
  const GgufValue* value = part_.Find("general.alignment");
  if (value == nullptr) return kGgufDefaultAlignment;
  const auto alignment = value->AsUint();
  // The spec asks for a multiple of 8; every writer uses powers of two, and
  // other multiples would make direct reads straddle blocks at random.
  if (!alignment || !std::has_single_bit(*alignment) || *alignment < 8 ||
      *alignment > kGgufMaxAlignment) {
    return Fail(ErrorCode::kCorrupt,
                fmt::format("{}: key \"general.alignment\" is {}, not a power "
                            "of two from 8 to {}; the file is damaged: "
                            "download it again",
                            OneLine(path_),
                            alignment ? fmt::format("{}", *alignment)
                                      : "not a whole number",
                            kGgufMaxAlignment));
  }
  return *alignment;
}

Result<void> GgufParser::PlaceTensors() {
  SLUICE_ASSIGN(const std::uint64_t alignment, Alignment());
  const std::uint64_t data = (at_ + alignment - 1) / alignment * alignment;
  for (GgufTensor& tensor : part_.tensors) {
    if (tensor.offset % alignment != 0) {
      return Fail(ErrorCode::kCorrupt,
                  fmt::format("{}: tensor {} is at offset {}, not a multiple "
                              "of the alignment {}; the file is damaged: "
                              "download it again",
                              OneLine(path_), QuoteName(tensor.name),
                              tensor.offset, alignment));
    }
    // Written so that no sum can wrap round.
    if (data > file_bytes_ || tensor.offset > file_bytes_ - data ||
        tensor.bytes > file_bytes_ - data - tensor.offset) {
      return Fail(ErrorCode::kCorrupt,
                  fmt::format("{}: file is truncated: tensor {} needs {} bytes "
                              "from byte {} + {}, the file has {}; download it "
                              "again",
                              OneLine(path_), QuoteName(tensor.name),
                              tensor.bytes, data, tensor.offset, file_bytes_));
    }
    tensor.offset += data;
  }
  return CheckOverlaps();
}

Result<void> GgufParser::CheckOverlaps() const {
  std::vector<const GgufTensor*> order;
  order.reserve(part_.tensors.size());
  for (const GgufTensor& tensor : part_.tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(),
            [](const GgufTensor* a, const GgufTensor* b) {
              return std::pair(a->offset, a) < std::pair(b->offset, b);
            });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const GgufTensor& before = *order[i - 1];
    const GgufTensor& after = *order[i];
    if (after.offset - before.offset < before.bytes) {
      return Fail(ErrorCode::kCorrupt,
                  fmt::format("{}: tensors {} and {} overlap at byte {}; the "
                              "file is damaged: download it again",
                              OneLine(path_), QuoteName(before.name),
                              QuoteName(after.name), after.offset));
    }
  }
  return {};
}

}  // namespace sluice::storage
