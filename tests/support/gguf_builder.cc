#include "tests/support/gguf_builder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace sluice::test {
namespace {

constexpr std::uint64_t kLargestTensor = std::uint64_t{1} << 24;

std::uint64_t RoundUp(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

// Bytes of a tensor; zero when it makes no sense to give it any.
std::uint64_t TensorBytes(std::uint32_t type,
                          const std::vector<std::uint64_t>& shape) {
  const auto* info = storage::FindTensorType(type);
  if (info == nullptr || shape.empty()) return 0;
  std::uint64_t elements = 1;
  for (const std::uint64_t size : shape) {
    if (size == 0 || size > kLargestTensor / elements) return 0;
    elements *= size;
  }
  return elements / info->block_weights * info->block_bytes;
}

}  // namespace

void AppendString(Bytes& out, std::string_view text) {
  AppendNumber(out, std::uint64_t{text.size()});
  const auto bytes = std::as_bytes(std::span(text));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

GgufBuilder& GgufBuilder::Magic(std::string_view magic) {
  magic_ = magic;
  return *this;
}

GgufBuilder& GgufBuilder::Version(std::uint32_t version) {
  version_ = version;
  return *this;
}

GgufBuilder& GgufBuilder::ClaimTensors(std::uint64_t count) {
  claimed_tensors_ = count;
  return *this;
}

GgufBuilder& GgufBuilder::ClaimKeys(std::uint64_t count) {
  claimed_keys_ = count;
  return *this;
}

GgufBuilder& GgufBuilder::PlaceAt(std::uint64_t alignment) {
  alignment_ = alignment;
  return *this;
}

GgufBuilder& GgufBuilder::String(std::string_view key, std::string_view value) {
  Bytes bytes;
  AppendString(bytes, value);
  return Raw(key, static_cast<std::uint32_t>(storage::GgufType::kString),
             bytes);
}

GgufBuilder& GgufBuilder::Uint32(std::string_view key, std::uint32_t value) {
  return Number(key, storage::GgufType::kUint32, value);
}

GgufBuilder& GgufBuilder::Raw(std::string_view key, std::uint32_t type,
                              std::span<const std::byte> value) {
  AppendString(metadata_, key);
  AppendNumber(metadata_, type);
  metadata_.insert(metadata_.end(), value.begin(), value.end());
  ++keys_;
  return *this;
}

GgufBuilder& GgufBuilder::RawArray(std::string_view key, std::uint32_t type,
                                   std::uint64_t count,
                                   std::span<const std::byte> elements) {
  Bytes bytes;
  AppendNumber(bytes, type);
  AppendNumber(bytes, count);
  bytes.insert(bytes.end(), elements.begin(), elements.end());
  return Raw(key, static_cast<std::uint32_t>(storage::GgufType::kArray), bytes);
}

GgufBuilder& GgufBuilder::StringArray(std::string_view key,
                                      const std::vector<std::string>& values) {
  Bytes bytes;
  for (const std::string& value : values) AppendString(bytes, value);
  return RawArray(key, static_cast<std::uint32_t>(storage::GgufType::kString),
                  values.size(), bytes);
}

GgufBuilder& GgufBuilder::Tensor(std::string_view name, std::uint32_t type,
                                 const std::vector<std::uint64_t>& shape,
                                 std::optional<std::uint64_t> offset) {
  AppendString(directory_, name);
  AppendNumber(directory_, static_cast<std::uint32_t>(shape.size()));
  for (const std::uint64_t size : shape) AppendNumber(directory_, size);
  AppendNumber(directory_, type);
  AppendNumber(directory_, offset.value_or(data_bytes_));
  if (!offset) {
    data_bytes_ = RoundUp(data_bytes_ + TensorBytes(type, shape), alignment_);
  }
  ++tensors_;
  return *this;
}

Bytes GgufBuilder::Header() const {
  Bytes out;
  const auto magic = std::as_bytes(std::span(magic_));
  out.insert(out.end(), magic.begin(), magic.end());
  AppendNumber(out, version_);
  AppendNumber(out, claimed_tensors_.value_or(tensors_));
  AppendNumber(out, claimed_keys_.value_or(keys_));
  out.insert(out.end(), metadata_.begin(), metadata_.end());
  out.insert(out.end(), directory_.begin(), directory_.end());
  return out;
}

Bytes GgufBuilder::File() const {
  Bytes out = Header();
  out.resize(RoundUp(out.size(), alignment_));
  for (std::uint64_t i = 0; i < data_bytes_; ++i) {
    out.push_back(static_cast<std::byte>((i * 2654435761U) >> 24));
  }
  return out;
}

std::uint64_t GgufBuilder::file_bytes() const {
  return RoundUp(Header().size(), alignment_) + data_bytes_;
}

void AddExperts(GgufBuilder& builder, std::uint32_t layers,
                std::uint32_t experts, std::uint32_t embedding,
                std::uint32_t feed_forward,
                std::array<storage::TensorType, 3> types) {
  const auto name = [](std::uint32_t layer, std::string_view part) {
    return fmt::format("blk.{}.ffn_{}_exps.weight", layer, part);
  };
  for (std::uint32_t layer = 0; layer < layers; ++layer) {
    builder.Tensor(name(layer, "gate"), types[0],
                   {embedding, feed_forward, experts});
    builder.Tensor(name(layer, "up"), types[1],
                   {embedding, feed_forward, experts});
    builder.Tensor(name(layer, "down"), types[2],
                   {feed_forward, embedding, experts});
  }
}

ScratchFolder::ScratchFolder() {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "sluice-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) {
    ADD_FAILURE() << "cannot make a folder like " << pattern;
  }
  path_ = pattern;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string ScratchFolder::Path(std::string_view name) const {
  return (std::filesystem::path(path_) / name).string();
}

std::string ScratchFolder::Write(std::string_view name,
                                 std::span<const std::byte> bytes) const {
  const std::string path = Path(name);
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  if (!out) ADD_FAILURE() << "cannot write " << path;
  return path;
}

Bytes ReadWholeFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  Bytes bytes(in ? static_cast<std::size_t>(in.tellg()) : 0);
  in.seekg(0);
  in.read(reinterpret_cast<char*>(bytes.data()),
          static_cast<std::streamsize>(bytes.size()));
  if (!in) ADD_FAILURE() << "cannot read " << path;
  return bytes;
}

}  // namespace sluice::test
