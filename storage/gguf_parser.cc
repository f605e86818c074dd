#include "storage/gguf_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "storage/header_file.h"

namespace sluice::storage {
namespace {

static_assert(std::endian::native == std::endian::little,
              "numbers are copied from the file as they are");

constexpr std::string_view kMagic = "GGUF";
constexpr std::string_view kDownloadAgain =
    "the file is damaged: download it again";

// The fewest bytes that one of each takes in a file.
constexpr std::uint64_t kPairBytes = 8 + 1 + 4 + 1;
constexpr std::uint64_t kTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;
constexpr std::uint64_t kStringBytes = 8;

// Bytes of a value of fixed size; zero for strings and arrays.
constexpr std::uint64_t FixedBytes(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kBool:
      return 1;
    case GgufType::kUint16:
    case GgufType::kInt16:
      return 2;
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kFloat32:
      return 4;
    case GgufType::kUint64:
    case GgufType::kInt64:
    case GgufType::kFloat64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      break;
  }
  return 0;
}

constexpr bool IsGgufType(std::uint32_t number) {
  return number <= static_cast<std::uint32_t>(GgufType::kFloat64);
}

std::string SupportedTypes() {
  std::string names;
  for (const TensorTypeInfo& info : kTensorTypes) {
    if (!InGguf(info.type)) continue;
    if (!names.empty()) names += ", ";
    names += info.name;
  }
  return names;
}

}  // namespace

std::string QuoteName(std::string_view name) {
  constexpr std::size_t kLongest = 80;
  std::string quoted = "\"";
  for (const char c : name.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f) {
      quoted += fmt::format("\\x{:02x}", byte);
    } else {
      quoted += c;
    }
  }
  quoted += name.size() > kLongest ? "\"..." : "\"";
  return quoted;
}

const GgufValue* GgufPart::Find(std::string_view key) const {
  for (const auto& [name, value] : metadata) {
    if (name == key) return &value;
  }
  return nullptr;
}

GgufParser::GgufParser(std::span<const std::byte> header,
                       std::uint64_t file_bytes, std::string_view path,
                       std::uint32_t file)
    : header_(header.first(static_cast<std::size_t>(
          std::min<std::uint64_t>(header.size(), file_bytes)))),
      file_bytes_(file_bytes),
      end_(std::min(file_bytes, kGgufMaxHeaderBytes)),
      path_(path),
      file_(file) {}

Result<GgufPart> GgufParser::Parse() {
  SLUICE_TRY(ParsePreamble());
  for (std::uint64_t i = 0; i < key_count_; ++i) SLUICE_TRY(ParsePair());
  for (std::uint64_t i = 0; i < tensor_count_; ++i) SLUICE_TRY(ParseTensor());
  part_.header_bytes = at_;
  SLUICE_TRY(PlaceTensors());
  return std::move(part_);
}

Result<void> GgufParser::ParsePreamble() {
  SLUICE_TRY(CheckMagic());
  SLUICE_ASSIGN(part_.version, Take<std::uint32_t>());
  SLUICE_TRY(CheckVersion(part_.version));
  SLUICE_ASSIGN(tensor_count_, Take<std::uint64_t>());
  SLUICE_ASSIGN(key_count_, Take<std::uint64_t>());
  if (tensor_count_ > kGgufMaxTensors) {
    return Corrupt(8, fmt::format("{} tensors claimed (limit {})",
                                  tensor_count_, kGgufMaxTensors));
  }
  if (key_count_ > kGgufMaxKeys) {
    return Corrupt(16, fmt::format("{} metadata keys claimed (limit {})",
                                   key_count_, kGgufMaxKeys));
  }
  SLUICE_TRY(CheckCount(tensor_count_, kTensorBytes, "tensors"));
  return CheckCount(key_count_, kPairBytes, "metadata keys");
}

Result<void> GgufParser::CheckMagic() {
  if (file_bytes_ == 0) {
    return Fail(ErrorCode::kCorrupt,
                fmt::format("{}: file is empty at byte 0; download it again",
                            OneLine(path_)));
  }
  SLUICE_TRY(Need(kMagic.size()));
  if (std::memcmp(header_.data(), kMagic.data(), kMagic.size()) != 0) {
    const bool lfs = std::memcmp(header_.data(), "vers", 4) == 0;
    return Fail(
        ErrorCode::kCorrupt,
        fmt::format("{}: is not a GGUF file (no \"GGUF\" at byte 0); {}",
                    OneLine(path_),
                    lfs ? "this may be a Git LFS pointer: fetch the "
                          "model itself (git lfs pull)"
                        : "name a .gguf model file"));
  }
  at_ = kMagic.size();
  return {};
}

Result<void> GgufParser::CheckVersion(std::uint32_t version) {
  if (version == 2 || version == 3) return {};
  std::string what;
  if (version != 0 && (version & 0xffff) == 0) {
    what = "is a big-endian GGUF; use the little-endian file of this model";
  } else if (version == 1) {
    what = "is GGUF version 1; convert the model again with a current tool";
  } else {
    what = fmt::format(
        "has GGUF version {}, this build reads 2 and 3; use a "
        "file of one of these versions",
        version);
  }
  return Fail(ErrorCode::kUnsupported,
              fmt::format("{}: at byte 4: {}", OneLine(path_), what));
}

Result<void> GgufParser::ParsePair() {
  place_ = fmt::format("key number {}", part_.metadata.size() + 1);
  const std::uint64_t start = at_;
  SLUICE_ASSIGN(const std::string_view key, TakeString(kGgufMaxKeyBytes));
  if (key.empty()) return Corrupt(start, "empty metadata key");
  place_ = "key " + QuoteName(key);
  if (!keys_.insert(key).second) return Corrupt(start, "metadata key repeated");
  const std::uint64_t type_at = at_;
  SLUICE_ASSIGN(const auto type, Take<std::uint32_t>());
  if (!IsGgufType(type)) {
    return Corrupt(type_at, fmt::format("unknown metadata type {}", type));
  }
  GgufValue value;
  SLUICE_TRY(ParseValue(static_cast<GgufType>(type), value));
  part_.metadata.emplace_back(key, value);
  place_.clear();
  return {};
}

Result<void> GgufParser::ParseValue(GgufType type, GgufValue& value) {
  value.type_ = type;
  value.element_type_ = type;
  value.count_ = 1;
  if (type == GgufType::kArray) return ParseArray(value);
  if (type == GgufType::kString) {
    SLUICE_ASSIGN(const std::string_view text, TakeString(kGgufMaxStringBytes));
    value.payload_ = std::as_bytes(std::span(text));
    return {};
  }
  const std::uint64_t bytes = FixedBytes(type);
  SLUICE_TRY(Need(bytes));
  value.payload_ = header_.subspan(at_, bytes);
  if (type == GgufType::kBool) SLUICE_TRY(CheckBools(value.payload_));
  at_ += bytes;
  return {};
}

Result<void> GgufParser::ParseArray(GgufValue& value) {
  const std::uint64_t type_at = at_;
  SLUICE_ASSIGN(const auto number, Take<std::uint32_t>());
  if (!IsGgufType(number)) {
    return Corrupt(type_at, fmt::format("unknown array type {}", number));
  }
  const auto type = static_cast<GgufType>(number);
  if (type == GgufType::kArray) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("{}: array of arrays at byte {} ({}) is not "
                            "supported; convert the model without it",
                            OneLine(path_), type_at, place_));
  }
  SLUICE_ASSIGN(const auto count, Take<std::uint64_t>());
  const std::uint64_t fixed = FixedBytes(type);
  SLUICE_TRY(
      CheckCount(count, fixed != 0 ? fixed : kStringBytes, "array elements"));
  value.element_type_ = type;
  value.count_ = static_cast<std::size_t>(count);
  const std::uint64_t start = at_;
  if (fixed != 0) {
    SLUICE_TRY(Need(count * fixed));
    at_ += count * fixed;
  } else {
    for (std::uint64_t i = 0; i < count; ++i) {
      SLUICE_TRY(TakeString(kGgufMaxStringBytes));
    }
  }
  value.payload_ = header_.subspan(start, at_ - start);
  if (type != GgufType::kBool) return {};
  at_ = start;
  SLUICE_TRY(CheckBools(value.payload_));
  at_ += value.payload_.size();
  return {};
}

Result<void> GgufParser::CheckBools(std::span<const std::byte> payload) {
  for (std::size_t i = 0; i < payload.size(); ++i) {
    if (payload[i] > std::byte{1}) {
      return Corrupt(at_ + i, fmt::format("bool of value {}",
                                          std::to_integer<int>(payload[i])));
    }
  }
  return {};
}

Result<void> GgufParser::ParseTensor() {
  place_ = fmt::format("tensor number {}", part_.tensors.size() + 1);
  const std::uint64_t start = at_;
  SLUICE_ASSIGN(const std::string_view name, TakeString(kGgufMaxNameBytes));
  if (name.empty()) return Corrupt(start, "empty tensor name");
  place_ = "tensor " + QuoteName(name);
  GgufTensor tensor;
  tensor.name = name;
  tensor.file = file_;
  SLUICE_TRY(ParseShape(tensor));
  SLUICE_ASSIGN(const auto type, Take<std::uint32_t>());
  SLUICE_TRY(SizeTensor(type, tensor));
  SLUICE_ASSIGN(tensor.offset, Take<std::uint64_t>());
  part_.tensors.push_back(std::move(tensor));
  place_.clear();
  return {};
}

Result<void> GgufParser::ParseShape(GgufTensor& tensor) {
  const std::uint64_t start = at_;
  SLUICE_ASSIGN(const auto dimensions, Take<std::uint32_t>());
  if (dimensions == 0 || dimensions > kGgufMaxDimensions) {
    return Corrupt(start, fmt::format("tensor of {} dimensions (1 to {} are "
                                      "allowed)",
                                      dimensions, kGgufMaxDimensions));
  }
  std::uint64_t elements = 1;
  for (std::uint32_t i = 0; i < dimensions; ++i) {
    const std::uint64_t at = at_;
    SLUICE_ASSIGN(tensor.ne[i], Take<std::uint64_t>());
    if (tensor.ne[i] == 0) {
      return Corrupt(at, fmt::format("dimension {} is zero", i));
    }
    if (tensor.ne[i] > kGgufMaxElements / elements) {
      return Corrupt(at, fmt::format("dimension {} of {} makes the tensor "
                                     "larger than any file",
                                     i, tensor.ne[i]));
    }
    elements *= tensor.ne[i];
  }
  return {};
}

Result<void> GgufParser::SizeTensor(std::uint32_t type, GgufTensor& tensor) {
  const std::uint64_t at = at_ - sizeof(type);
  const TensorTypeInfo* info = FindTensorType(type);
  if (info == nullptr || !InGguf(info->type)) {
    return Fail(
        ErrorCode::kUnsupported,
        fmt::format("{}: {} has weight type {} at byte {}, which this "
                    "build cannot run; use a file of types {}",
                    OneLine(path_), place_, type, at, SupportedTypes()));
  }
  tensor.type = info->type;
  const auto row_bytes = RowBytes(tensor.type, tensor.ne[0]);
  if (!row_bytes) {
    return Corrupt(at,
                   fmt::format("rows of {} weights are not whole {} blocks "
                               "of {}",
                               tensor.ne[0], info->name, info->block_weights));
  }
  tensor.bytes = *row_bytes * tensor.ne[1] * tensor.ne[2] * tensor.ne[3];
  return {};
}

Result<void> GgufParser::Need(std::uint64_t bytes) {
  if (bytes <= header_.size() - at_) return {};
  if (bytes <= Left()) {
    bytes_needed_ = at_ + bytes;
    return Corrupt(header_.size(), "header goes on past the bytes given");
  }
  if (end_ == file_bytes_) {
    return Corrupt(at_, fmt::format("file is truncated: it ends at byte {}, "
                                    "within the item of {} bytes",
                                    file_bytes_, bytes));
  }
  return Corrupt(at_, fmt::format("header is longer than {} bytes, the most "
                                  "this build reads,",
                                  kGgufMaxHeaderBytes));
}

template <typename T>
Result<T> GgufParser::Take() {
  SLUICE_TRY(Need(sizeof(T)));
  T value;
  std::memcpy(&value, header_.data() + at_, sizeof(T));
  at_ += sizeof(T);
  return value;
}

Result<std::string_view> GgufParser::TakeString(std::uint64_t limit) {
  const std::uint64_t start = at_;
  SLUICE_ASSIGN(const auto length, Take<std::uint64_t>());
  if (length > limit) {
    return Corrupt(start,
                   fmt::format("string of {} bytes (limit {})", length, limit));
  }
  SLUICE_TRY(Need(length));
  const char* text = reinterpret_cast<const char*>(header_.data() + at_);
  at_ += length;
  return std::string_view(text, static_cast<std::size_t>(length));
}

Result<void> GgufParser::CheckCount(std::uint64_t count,
                                    std::uint64_t item_bytes,
                                    std::string_view items) const {
  if (count <= Left() / item_bytes) return {};
  return Corrupt(at_, fmt::format("{} {} claimed, more than the {} bytes left "
                                  "can hold,",
                                  count, items, Left()));
}

tl::unexpected<Error> GgufParser::Corrupt(std::uint64_t at,
                                          std::string_view what) const {
  return Fail(
      ErrorCode::kCorrupt,
      fmt::format("{}: {} at byte {}{}; {}", OneLine(path_), what, at,
                  place_.empty() ? "" : " (" + place_ + ")", kDownloadAgain));
}

}  // namespace sluice::storage
