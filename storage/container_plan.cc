#include "storage/container_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "storage/aligned_buffer.h"
#include "storage/expert_store.h"
#include "storage/header_file.h"
#include "storage/plane_parts.h"
#include "storage/xxh3.h"
#include "storage/zstd_codec.h"

namespace sluice::storage {
namespace {

using Bytes = std::vector<std::byte>;

void AppendBytes(Bytes& out, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  const std::size_t at = out.size();
  out.resize(at + bytes.size());
  std::memcpy(out.data() + at, bytes.data(), bytes.size());
}

template <typename T>
void AppendNumber(Bytes& out, T number) {
  AppendBytes(out, std::as_bytes(std::span(&number, 1)));
}

void AppendString(Bytes& out, std::string_view text) {
  AppendNumber(out, std::uint64_t{text.size()});
  AppendBytes(out, std::as_bytes(std::span(text)));
}

void AppendPair(Bytes& out, std::string_view key, const GgufValue& value) {
  AppendString(out, key);
  AppendNumber(out, static_cast<std::uint32_t>(value.type()));
  if (value.type() == GgufType::kArray) {
    AppendNumber(out, static_cast<std::uint32_t>(value.element_type()));
    AppendNumber(out, std::uint64_t{value.size()});
  } else if (value.type() == GgufType::kString) {
    AppendNumber(out, std::uint64_t{value.payload().size()});
  }
  AppendBytes(out, value.payload());
}

bool IsTokenizerKey(std::string_view key) {
  return key.starts_with("tokenizer.");
}
// A container is one file, whatever the GGUF was split into.
bool IsDropped(std::string_view key) { return key.starts_with("split."); }

// A GGUF header of the model's keys that are the tokenizer's, or all others.
Bytes KeysHeader(const GgufFile& gguf, bool tokenizer) {
  Bytes pairs;
  std::uint64_t count = 0;
  for (const auto& [key, value] : gguf.metadata()) {
    if (IsDropped(key) || IsTokenizerKey(key) != tokenizer) continue;
    AppendPair(pairs, key, value);
    ++count;
  }
  Bytes out;
  AppendNumber(out, std::uint32_t{0x46554747});  // "GGUF"
  AppendNumber(out, std::uint32_t{3});
  AppendNumber(out, std::uint64_t{0});  // tensors
  AppendNumber(out, count);
  AppendBytes(out, pairs);
  return out;
}

// The number of L for which all three expert tensors are there, from 0 on.
std::uint32_t CountLayers(const GgufFile& gguf) {
  std::uint32_t layers = 0;
  while (layers < kMaxContainerLayers &&
         std::ranges::all_of(
             kPartNames,
             [&](std::string_view part) {
               return gguf.FindTensor(fmt::format("blk.{}.ffn_{}_exps.weight",
                                                  layers, part)) != nullptr;
             })) {
    ++layers;
  }
  return layers;
}

// Sorts a tensor into the order of the forward pass: embedding, layers, output;
// within a layer by what it is for.
std::tuple<int, std::uint32_t, std::size_t> OrderOf(std::string_view name) {
  constexpr std::array<std::string_view, 12> kRoles = {
      "attn_norm.",    "attn_q.",      "attn_k.",      "attn_v.",
      "attn_q_norm.",  "attn_k_norm.", "attn_output.", "ffn_norm.",
      "ffn_gate_inp.", "ffn_gate",     "ffn_up",       "ffn_down"};
  if (name.starts_with("token_embd.")) return {0, 0, 0};
  if (name.starts_with("output_norm.")) return {3, 0, 0};
  if (name.starts_with("output.")) return {4, 0, 0};
  constexpr std::string_view kBlock = "blk.";
  if (!name.starts_with(kBlock)) return {1, 0, 0};
  std::uint32_t layer = 0;
  const std::string_view rest = name.substr(kBlock.size());
  const auto [end, error] =
      std::from_chars(rest.data(), rest.data() + rest.size(), layer);
  if (error != std::errc{} || end == rest.data() + rest.size()) {
    return {1, 0, 0};
  }
  const std::string_view role =
      rest.substr(static_cast<std::size_t>(end - rest.data()) + 1);
  const auto found = std::ranges::find_if(
      kRoles, [&](std::string_view known) { return role.starts_with(known); });
  return {2, layer, static_cast<std::size_t>(found - kRoles.begin())};
}

class Planner {
 public:
  Planner(const GgufFile& gguf, const SourceIdentity& source,
          const RowInterleaver& interleaver)
      : gguf_(gguf), source_(source), interleaver_(interleaver) {}

  Result<ContainerPlan> Plan(RecordForm form) {
    plan_.form = form;
    plan_.header.magic = kContainerMagic;
    plan_.header.version = kContainerVersion;
    plan_.header.state =
        static_cast<std::uint32_t>(ContainerState::kBeingWritten);
    plan_.header.options =
        form == RecordForm::kCompressed ? kOptionCompressed : 0;
    plan_.header.section_count = kSectionCount;
    plan_.header.source_bytes = source_.bytes;
    plan_.header.source_hash = source_.hash;
    plan_.header.source_stamp = source_.stamp;
    SLUICE_TRY(PlanExperts());
    PlanDense();
    SLUICE_TRY(PlaceSections());
    return std::move(plan_);
  }

 private:
  Result<void> PlanExperts();
  void PlanDense();
  Result<void> PlaceSections();
  Result<void> Pack(SectionKind kind, Bytes raw, Bytes& stored);
  MatrixLayout LayoutFor(TensorType type, std::uint64_t columns,
                         std::uint64_t rows) const;
  bool IsPlannedExpert(std::string_view name) const;
  void AddParts(std::span<const SourceSlice> slices);
  Result<void> UsePlanes(const GgufTensor& tensor, SourceSlice& slice) const;

  const GgufFile& gguf_;
  const SourceIdentity& source_;
  const RowInterleaver& interleaver_;
  ContainerPlan plan_;
};

MatrixLayout Planner::LayoutFor(TensorType type, std::uint64_t columns,
                                std::uint64_t rows) const {
  const auto row_bytes = RowBytes(type, columns);
  const bool grouped = rows % kRowGroup == 0 && row_bytes &&
                       *row_bytes <= kMostGroupBytes / kRowGroup &&
                       InfoOf(type).block_weights > 1;
  const bool known = interleaver_.run != nullptr &&
                     interleaver_.supports != nullptr &&
                     interleaver_.supports(type);
  return grouped && known ? MatrixLayout::kRows8 : MatrixLayout::kRows;
}

PartEntry PartOf(std::size_t kind, const SourceSlice& slice) {
  PartEntry entry;
  entry.kind = static_cast<std::uint16_t>(kind);
  entry.type = static_cast<std::uint32_t>(slice.type);
  entry.layout = static_cast<std::uint32_t>(slice.layout);
  entry.rows = static_cast<std::uint32_t>(slice.bytes / slice.row_bytes);
  entry.columns = static_cast<std::uint32_t>(slice.columns);
  entry.raw_bytes = slice.bytes;
  return entry;
}

PartEntry PlaneOf(PartEntry entry, TensorType type) {
  entry.type = static_cast<std::uint32_t>(type);
  entry.raw_bytes = RowBytes(type, entry.columns).value_or(0) * entry.rows;
  if (type == TensorType::kResidual2) {
    entry.level = 1;
    entry.flags = kPartOptional;
  }
  return entry;
}

// The parts of one expert's record.
void Planner::AddParts(std::span<const SourceSlice> slices) {
  std::vector<PartEntry> parts;
  parts.reserve(kPlaneParts);
  for (std::size_t i = 0; i < slices.size(); ++i) {
    parts.push_back(PartOf(i, slices[i]));
  }
  if (plan_.form == RecordForm::kPlanes) {
    for (std::size_t i = 0; i < slices.size(); ++i) {
      parts.push_back(PlaneOf(parts[i], TensorType::kResidual2));
      parts[i] = PlaneOf(parts[i], TensorType::kPlane2);
    }
  }
  plan_.index.parts.insert(plan_.index.parts.end(), parts.begin(), parts.end());
}

// Planes are made of eight rows at a time.
Result<void> Planner::UsePlanes(const GgufTensor& tensor,
                                SourceSlice& slice) const {
  const auto columns = InfoOf(TensorType::kPlane2).block_weights;
  if (slice.columns % columns == 0 && tensor.ne[1] % kRowGroup == 0 &&
      slice.row_bytes <= kMostGroupBytes / kRowGroup) {
    slice.layout = MatrixLayout::kRows8;
    return {};
  }
  return Fail(ErrorCode::kUnsupported,
              fmt::format("{}: {} has {} rows of {}, and planes need whole "
                          "groups of {} rows and of {} columns; repack without "
                          "them",
                          OneLine(gguf_.paths()[0]), tensor.name, tensor.ne[1],
                          slice.columns, kRowGroup, columns));
}

Result<void> Planner::PlanExperts() {
  const std::uint32_t layers = CountLayers(gguf_);
  if (layers == 0) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("{}: has no experts (blk.0.ffn_gate_exps.weight "
                            "and so on); repack a mixture-of-experts model",
                            OneLine(gguf_.paths()[0])));
  }
  const std::uint64_t experts =
      gguf_.FindTensor("blk.0.ffn_gate_exps.weight")->ne[2];
  // Checks the shapes of all expert tensors.
  SLUICE_ASSIGN(
      const ExpertStore store,
      ExpertStore::FromGguf(gguf_, layers,
                            static_cast<std::uint32_t>(std::min<std::uint64_t>(
                                experts, kMaxContainerExperts + 1))));
  IndexHeader& header = plan_.index.header;
  header.layers = layers;
  header.experts = store.experts();
  const std::size_t parts =
      plan_.form == RecordForm::kPlanes ? kPlaneParts : kPartNames.size();
  header.parts_per_record = static_cast<std::uint32_t>(parts);
  plan_.index.records.resize(std::size_t{layers} * header.experts);
  plan_.index.parts.reserve(plan_.index.records.size() * parts);
  for (std::uint32_t layer = 0; layer < layers; ++layer) {
    auto& slices = plan_.layers.emplace_back();
    for (std::size_t i = 0; i < kPartNames.size(); ++i) {
      const GgufTensor& tensor = *gguf_.FindTensor(
          fmt::format("blk.{}.ffn_{}_exps.weight", layer, kPartNames[i]));
      slices[i] = {.file = tensor.file,
                   .offset = tensor.offset,
                   .bytes = tensor.bytes / header.experts,
                   .type = tensor.type,
                   .layout = LayoutFor(tensor.type, tensor.ne[0], tensor.ne[1]),
                   .columns = tensor.ne[0],
                   .row_bytes = static_cast<std::size_t>(
                       *RowBytes(tensor.type, tensor.ne[0]))};
      if (plan_.form == RecordForm::kPlanes) {
        SLUICE_TRY(UsePlanes(tensor, slices[i]));
      }
      plan_.weight_bytes += tensor.bytes;
    }
    for (std::uint32_t expert = 0; expert < header.experts; ++expert) {
      AddParts(slices);
    }
  }
  return {};
}

bool Planner::IsPlannedExpert(std::string_view name) const {
  const auto order = OrderOf(name);
  return name.ends_with("_exps.weight") && std::get<0>(order) == 2 &&
         std::get<1>(order) < plan_.index.header.layers &&
         std::ranges::any_of(
             kPartNames,
             [&](std::string_view part) {
               return name == fmt::format("blk.{}.ffn_{}_exps.weight",
                                          std::get<1>(order), part);
             });
}

void Planner::PlanDense() {
  std::vector<const GgufTensor*> tensors;
  for (const GgufTensor& tensor : gguf_.tensors()) {
    if (!IsPlannedExpert(tensor.name)) tensors.push_back(&tensor);
  }
  std::ranges::stable_sort(tensors, {}, [](const GgufTensor* tensor) {
    return OrderOf(tensor->name);
  });
  ContainerIndex& index = plan_.index;
  index.header.dense_count = static_cast<std::uint32_t>(tensors.size());
  for (const GgufTensor* tensor : tensors) {
    const bool matrix = tensor->ne[2] * tensor->ne[3] == 1 &&
                        !tensor->name.starts_with("token_embd.");
    const auto layout =
        matrix ? LayoutFor(tensor->type, tensor->ne[0], tensor->ne[1])
               : MatrixLayout::kRows;
    plan_.dense.push_back({.file = tensor->file,
                           .offset = tensor->offset,
                           .bytes = tensor->bytes,
                           .type = tensor->type,
                           .layout = layout,
                           .columns = tensor->ne[0],
                           .row_bytes = static_cast<std::size_t>(
                               *RowBytes(tensor->type, tensor->ne[0]))});
    DenseEntry& entry = index.dense.emplace_back();
    entry.name_offset = static_cast<std::uint32_t>(index.names.size());
    entry.name_length = static_cast<std::uint32_t>(tensor->name.size());
    entry.type = static_cast<std::uint32_t>(tensor->type);
    entry.layout = static_cast<std::uint32_t>(layout);
    entry.ne = tensor->ne;
    entry.bytes = tensor->bytes;
    index.names += tensor->name;
    plan_.weight_bytes += tensor->bytes;
  }
  index.header.name_bytes = index.names.size();
}

// Compresses a section where that makes it smaller.
Result<void> Planner::Pack(SectionKind kind, Bytes raw, Bytes& stored) {
  SLUICE_ASSIGN(ZstdCompressor zstd, ZstdCompressor::Create());
  Bytes packed(ZstdCompressor::Bound(raw.size()));
  const auto size = zstd.Compress(raw, packed);
  SectionEntry& entry = plan_.header.section(kind);
  entry.raw_bytes = raw.size();
  const bool smaller = size && *size < raw.size();
  if (smaller) packed.resize(*size);
  stored = smaller ? std::move(packed) : std::move(raw);
  entry.codec =
      static_cast<std::uint32_t>(smaller ? Codec::kZstd : Codec::kStored);
  entry.stored_bytes = stored.size();
  entry.checksum = HashXxh3(stored);
  return {};
}

Result<void> Planner::PlaceSections() {
  SLUICE_TRY(
      Pack(SectionKind::kMetadata, KeysHeader(gguf_, false), plan_.metadata));
  SLUICE_TRY(
      Pack(SectionKind::kTokenizer, KeysHeader(gguf_, true), plan_.tokenizer));
  ContainerHeader& header = plan_.header;
  header.section(SectionKind::kIndex).stored_bytes =
      plan_.index.serialized_bytes();
  std::uint64_t at = kPageBytes;
  for (std::uint32_t i = 0; i < 4; ++i) {
    header.sections[i].kind = i + 1;
    header.sections[i].offset = at;
    if (SectionKind{i + 1} == SectionKind::kDense) break;
    at = AlignUp(at + header.sections[i].stored_bytes);
  }
  std::uint64_t end = at;
  for (DenseEntry& entry : plan_.index.dense) {
    entry.offset = AlignUp(end, kPartAlignment);
    end = entry.offset + entry.bytes;
  }
  header.section(SectionKind::kDense).stored_bytes = end - at;
  SectionEntry& experts = header.section(SectionKind::kExperts);
  experts.kind = static_cast<std::uint32_t>(SectionKind::kExperts);
  experts.offset = AlignUp(end);
  for (std::size_t i = 0; i < plan_.index.records.size(); ++i) {
    std::uint64_t record = 0;
    for (const PartEntry& part : plan_.index.record_parts(i)) {
      record = AlignUp(record, PartAlignment(part)) + part.raw_bytes;
    }
    experts.stored_bytes += AlignUp(record);
  }
  for (SectionEntry& entry : header.sections) {
    if (SectionKind{entry.kind} >= SectionKind::kIndex) {
      entry.raw_bytes = entry.stored_bytes;
    }
  }
  plan_.file_bytes = experts.offset + experts.stored_bytes + kPageBytes;
  return {};
}

}  // namespace

SourceSlice ContainerPlan::Source(std::uint64_t unit, std::size_t part) const {
  if (unit < dense.size()) return dense[unit];
  const std::uint64_t record = unit - dense.size();
  SourceSlice slice = layers[record / index.header.experts][part];
  slice.offset += record % index.header.experts * slice.bytes;
  return slice;
}

Result<ContainerPlan> PlanContainer(const GgufFile& gguf,
                                    const SourceIdentity& source,
                                    const RowInterleaver& interleaver,
                                    RecordForm form) {
  return Planner(gguf, source, interleaver).Plan(form);
}

}  // namespace sluice::storage
