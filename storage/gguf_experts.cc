// The experts of a GGUF: three slices of three tensors.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "storage/aligned_buffer.h"
#include "storage/container_index.h"
#include "storage/expert_source.h"

namespace sluice::storage {
namespace {

// The layout of a layer's experts; the same in every layer.
struct Widths {
  std::uint64_t embedding = 0;
  std::uint64_t feed_forward = 0;
};

tl::unexpected<Error> Corrupt(const GgufFile& gguf, std::uint32_t file,
                              std::string_view tensor, std::string_view what) {
  return Fail(ErrorCode::kCorrupt,
              fmt::format("{}: tensor \"{}\" {}; use another conversion of the "
                          "model",
                          gguf.paths()[file], tensor, what));
}

std::string TensorName(std::uint32_t layer, std::size_t part) {
  return fmt::format("blk.{}.ffn_{}_exps.weight", layer, kPartNames[part]);
}

// The most that the aligned superset of one expert's bytes takes, over all
// experts of a tensor that begins at `offset`.
std::size_t RegionBytes(std::uint64_t offset, std::uint64_t expert_bytes,
                        std::uint32_t experts) {
  std::uint64_t most = 0;
  // Where experts begin within a block repeats after at most kIoAlignment.
  const auto distinct =
      std::min<std::uint64_t>(experts, std::uint64_t{kIoAlignment});
  for (std::uint64_t i = 0; i < distinct; ++i) {
    const std::uint64_t lead = (offset + i * expert_bytes) % kIoAlignment;
    most = std::max<std::uint64_t>(most, AlignUp(lead + expert_bytes));
  }
  return static_cast<std::size_t>(most);
}

Result<void> CheckCounts(const GgufFile& gguf, std::uint32_t layers,
                         std::uint32_t experts) {
  // ExpertId numbers both with 16 bits.
  constexpr std::uint32_t kMost = std::numeric_limits<std::uint16_t>::max();
  if (layers > 0 && layers <= kMost && experts > 0 && experts <= kMost) {
    return {};
  }
  return Fail(ErrorCode::kCorrupt,
              fmt::format("{}: {} layers of {} experts; from 1 to {} of each "
                          "are allowed: use another conversion of the model",
                          gguf.paths()[0], layers, experts, kMost));
}

// The tensor of `part` in `layer`, checked to hold `experts` matrices of
// `widths`.
Result<const GgufTensor*> FindPart(const GgufFile& gguf, std::uint32_t layer,
                                   std::size_t part, std::uint32_t experts,
                                   const Widths& widths) {
  const std::string name = TensorName(layer, part);
  const GgufTensor* tensor = gguf.FindTensor(name);
  if (tensor == nullptr) return Corrupt(gguf, 0, name, "is missing");
  const bool is_down = part == 2;
  const std::array<std::uint64_t, 4> expected = {
      is_down ? widths.feed_forward : widths.embedding,
      is_down ? widths.embedding : widths.feed_forward, experts, 1};
  if (tensor->ne == expected) return tensor;
  return Corrupt(
      gguf, tensor->file, name,
      fmt::format("has shape [{}], not [{}]", fmt::join(tensor->ne, ", "),
                  fmt::join(expected, ", ")));
}

// The widths that every tensor is then checked to agree with.
Result<Widths> ReadWidths(const GgufFile& gguf) {
  const std::string name = TensorName(0, 0);
  const GgufTensor* gate = gguf.FindTensor(name);
  if (gate == nullptr) return Corrupt(gguf, 0, name, "is missing");
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  if (gate->ne[0] > kMost || gate->ne[1] > kMost) {
    return Corrupt(
        gguf, gate->file, name,
        fmt::format("has an absurd shape [{}]", fmt::join(gate->ne, ", ")));
  }
  return Widths{.embedding = gate->ne[0], .feed_forward = gate->ne[1]};
}

// One tensor holding a matrix of every expert of a layer.
struct Slices {
  MatrixView shape;  // data is null
  std::uint32_t file = 0;
  std::uint64_t offset = 0;  // of expert 0
  std::size_t region = 0;    // where its reads land in a slot
};

class GgufExperts : public ExpertSource {
 public:
  Result<void> Build(const GgufFile& gguf, std::uint32_t layers,
                     std::uint32_t experts);

  ExpertReads Reads(ExpertId id, std::byte* slot, ReadClass read_class,
                    std::uint64_t tag, PlaneSet) const override;
  std::uint64_t ReadBytes(ExpertId id, PlaneSet) const override;
  std::uint64_t WeightBytes(ExpertId id) const override {
    const ExpertView shape = Shape(id.layer);
    return shape.gate.bytes() + shape.up.bytes() + shape.down.bytes();
  }
  // A GGUF has no checksums, and nothing in it is compressed.
  Result<void> Finish(ExpertId, std::byte*, PlaneSet) const override {
    return {};
  }
  ExpertView View(ExpertId id, const std::byte* slot, PlaneSet) const override;
  ExpertView Shape(std::uint16_t layer) const override;

 private:
  using Layer = std::array<Slices, 3>;  // gate, up, down

  std::vector<Layer> layout_;
};

Result<void> GgufExperts::Build(const GgufFile& gguf, std::uint32_t layers,
                                std::uint32_t experts) {
  SLUICE_TRY(CheckCounts(gguf, layers, experts));
  SLUICE_ASSIGN(const Widths widths, ReadWidths(gguf));
  layers_ = layers;
  experts_ = experts;
  for (std::uint32_t layer = 0; layer < layers; ++layer) {
    Layer& layout = layout_.emplace_back();
    std::size_t region = 0;
    for (std::size_t part = 0; part < kPartNames.size(); ++part) {
      SLUICE_ASSIGN(const GgufTensor* tensor,
                    FindPart(gguf, layer, part, experts, widths));
      Slices& slices = layout[part];
      slices.shape = {
          .type = tensor->type,
          .rows = static_cast<std::uint32_t>(tensor->ne[1]),
          .columns = static_cast<std::uint32_t>(tensor->ne[0]),
          .row_bytes = static_cast<std::size_t>(
              *RowBytes(tensor->type, tensor->ne[0])),  // checked by the reader
          .data = nullptr};
      slices.file = tensor->file;
      slices.offset = tensor->offset;
      slices.region = region;
      region += RegionBytes(tensor->offset, slices.shape.bytes(), experts);
    }
    slot_bytes_ = std::max(slot_bytes_, region);
  }
  return {};
}

// The aligned superset of a matrix's bytes.
struct Extent {
  std::uint64_t offset = 0;
  std::size_t length = 0;
};

Extent ExtentOf(const Slices& slices, std::uint16_t expert) {
  const std::uint64_t bytes = slices.shape.bytes();
  const std::uint64_t begin = slices.offset + expert * bytes;
  const std::uint64_t from = AlignDown(begin);
  return {from, static_cast<std::size_t>(AlignUp(begin + bytes) - from)};
}

std::uint64_t GgufExperts::ReadBytes(ExpertId id, PlaneSet /*planes*/) const {
  std::uint64_t bytes = 0;
  for (const Slices& slices : layout_[id.layer]) {
    bytes += ExtentOf(slices, id.expert).length;
  }
  return bytes;
}

ExpertReads GgufExperts::Reads(ExpertId id, std::byte* slot,
                               ReadClass read_class, std::uint64_t tag,
                               PlaneSet /*planes*/) const {
  ExpertReads reads;
  for (const Slices& slices : layout_[id.layer]) {
    const Extent extent = ExtentOf(slices, id.expert);
    reads.requests[reads.count++] = {.file = slices.file,
                                     .offset = extent.offset,
                                     .length = extent.length,
                                     .destination = slot + slices.region,
                                     .read_class = read_class,
                                     .tag = tag};
  }
  return reads;
}

ExpertView GgufExperts::View(ExpertId id, const std::byte* slot,
                             PlaneSet /*planes*/) const {
  const auto matrix = [&](const Slices& slices) {
    MatrixView view = slices.shape;
    const std::uint64_t begin = slices.offset + id.expert * view.bytes();
    view.data = slot + slices.region + begin % kIoAlignment;
    return view;
  };
  const auto& [gate, up, down] = layout_[id.layer];
  return {.gate = matrix(gate), .up = matrix(up), .down = matrix(down)};
}

ExpertView GgufExperts::Shape(std::uint16_t layer) const {
  const auto& [gate, up, down] = layout_[layer];
  return {gate.shape, up.shape, down.shape};
}

}  // namespace

Result<std::unique_ptr<const ExpertSource>> MakeGgufSource(
    const GgufFile& gguf, std::uint32_t layers, std::uint32_t experts) {
  auto source = std::make_unique<GgufExperts>();
  SLUICE_TRY(source->Build(gguf, layers, experts));
  return source;
}

}  // namespace sluice::storage
