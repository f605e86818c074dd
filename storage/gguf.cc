#include "storage/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include "storage/gguf_parser.h"
#include "storage/header_file.h"

namespace sluice::storage {
namespace {

// The first read: enough for the header of a model with a small vocabulary.
constexpr std::uint64_t kFirstRead = std::uint64_t{256} << 10;

// Where `split.tensors.count` is absent.
constexpr std::uint64_t kUnknownTotal = ~std::uint64_t{0};

std::string PartSuffix(std::uint64_t number, std::uint64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", number, count);
}

// The path of the first of `count` parts beside `path`, which is part `own`;
// none when `path` is not named as a part.
std::optional<std::string> FirstPath(const std::string& path, std::uint64_t own,
                                     std::uint64_t count) {
  const std::string suffix = PartSuffix(own, count);
  if (!path.ends_with(suffix)) return std::nullopt;
  return path.substr(0, path.size() - suffix.size()) + PartSuffix(1, count);
}

// `split.KEY` of a part, or `otherwise` when it is absent.
Result<std::uint64_t> SplitKey(const GgufPart& part, std::string_view key,
                               std::uint64_t limit, std::uint64_t otherwise,
                               const std::string& path) {
  const GgufValue* value = part.Find(key);
  if (value == nullptr) return otherwise;
  const auto number = value->AsUint();
  if (!number || *number > limit) {
    return Fail(
        ErrorCode::kCorrupt,
        fmt::format("{}: key {} is {}, not a whole number up to {}; "
                    "the file is damaged: download it again",
                    OneLine(path), QuoteName(key),
                    number ? fmt::format("{}", *number) : "no number", limit));
  }
  return *number;
}

// The number of files in the set that `part` is of; some writers put zero into
// a file that is not split.
Result<std::uint64_t> PartCount(const GgufPart& part, const std::string& path) {
  SLUICE_ASSIGN(const std::uint64_t count,
                SplitKey(part, "split.count", kGgufMaxParts, 1, path));
  return std::max<std::uint64_t>(count, 1);
}

// Refuses a part that is not number `number` (from 1) of `count`.
Result<void> CheckPart(const GgufPart& part, std::uint64_t number,
                       std::uint64_t count, const std::string& path) {
  SLUICE_ASSIGN(const std::uint64_t own,
                SplitKey(part, "split.no", kGgufMaxParts, 0, path));
  SLUICE_ASSIGN(const std::uint64_t own_count, PartCount(part, path));
  if (own + 1 == number && own_count == count) return {};
  return Fail(ErrorCode::kCorrupt,
              fmt::format("{}: keys \"split.no\" and \"split.count\" say part "
                          "{} of {}, not {} of {}; download the set again",
                          OneLine(path), own + 1, own_count, number, count));
}

// Refuses to start from a part that is not the first, or that is named so that
// the others cannot be found.
Result<void> CheckFirstPart(const GgufPart& part, std::uint64_t count,
                            const std::string& path) {
  SLUICE_ASSIGN(const std::uint64_t own,
                SplitKey(part, "split.no", kGgufMaxParts, 0, path));
  if (own != 0) {
    const auto first = FirstPath(path, own + 1, count);
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: is part {} of {} of a split model (key "
                            "\"split.no\"); open the first part, {}",
                            OneLine(path), own + 1, count,
                            first ? OneLine(*first)
                                  : "named *" + PartSuffix(1, count)));
  }
  if (path.ends_with(PartSuffix(1, count))) return {};
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("{}: is the first of {} parts (key \"split.count\") "
                          "but not named so; give all parts their names again, "
                          "*{} and so on",
                          OneLine(path), count, PartSuffix(1, count)));
}

}  // namespace

// Builds a GgufFile from the parts of a model.
class GgufReader {
 public:
  // Reads the header of one file. Its tensors and metadata are returned; its
  // bytes, which the metadata views, are kept.
  Result<GgufPart> ReadFile(const std::string& path);
  // As ReadFile, for `bytes` being the first bytes of the file. When it fails
  // for want of more of them, `needed` is how many; else zero.
  Result<GgufPart> Keep(std::span<const std::byte> bytes,
                        std::uint64_t file_bytes, const std::string& path,
                        std::uint64_t& needed);
  // The tensors of parts 2 to `count` of the set that `path` is the first of.
  Result<void> ReadOtherParts(std::uint64_t count, const std::string& path);
  // Appends the tensors of `part`.
  void AddTensors(GgufPart& part);
  void TakeMetadata(GgufPart& part);
  // Appends the keys of a header that a container holds, and keeps it.
  Result<void> AddContainerHeader(std::span<const std::byte> header,
                                  const std::string& path);
  void SetContainer(std::vector<GgufTensor> tensors, std::uint64_t file_bytes,
                    const std::string& path);
  // Call last.
  Result<GgufFile> Finish();

 private:
  GgufFile gguf_;
};

Result<GgufPart> GgufReader::ReadFile(const std::string& path) {
  SLUICE_ASSIGN(HeaderFile file, HeaderFile::Open(path));
  std::uint64_t wanted = kFirstRead;
  while (true) {
    SLUICE_ASSIGN(const std::span<const std::byte> bytes, file.Read(wanted));
    std::uint64_t needed = 0;
    auto part = Keep(bytes, file.file_bytes(), path, needed);
    if (part || needed <= bytes.size()) return part;
    // Doubling keeps the repeated parsing linear in the header's size.
    wanted = std::max<std::uint64_t>(2 * bytes.size(), needed);
  }
}

Result<GgufPart> GgufReader::Keep(std::span<const std::byte> bytes,
                                  std::uint64_t file_bytes,
                                  const std::string& path,
                                  std::uint64_t& needed) {
  const auto file = static_cast<std::uint32_t>(gguf_.paths_.size());
  GgufParser scan(bytes, file_bytes, path, file);
  auto scanned = scan.Parse();
  needed = scan.bytes_needed();
  if (!scanned) return scanned;
  // Keep the header alone and parse that copy, so that values view it.
  const auto header = bytes.first(scanned->header_bytes);
  const auto& kept = gguf_.headers_.emplace_back(header.begin(), header.end());
  gguf_.paths_.push_back(path);
  gguf_.file_bytes_.push_back(file_bytes);
  return GgufParser(kept, file_bytes, path, file).Parse();
}

Result<void> GgufReader::ReadOtherParts(std::uint64_t count,
                                        const std::string& path) {
  if (count == 1) return {};
  // CheckFirstPart made sure of the suffix.
  const std::string prefix =
      path.substr(0, path.size() - PartSuffix(1, count).size());
  for (std::uint64_t number = 2; number <= count; ++number) {
    const std::string name = prefix + PartSuffix(number, count);
    auto part = ReadFile(name);
    if (!part && part.error().code == ErrorCode::kNotFound) {
      return Fail(ErrorCode::kNotFound,
                  fmt::format("{}: no such file; it is part {} of {} of this "
                              "model: download it into the same folder",
                              OneLine(name), number, count));
    }
    if (!part) return Forward(std::move(part));
    SLUICE_TRY(CheckPart(*part, number, count, name));
    AddTensors(*part);
  }
  return {};
}

void GgufReader::AddTensors(GgufPart& part) {
  std::move(part.tensors.begin(), part.tensors.end(),
            std::back_inserter(gguf_.tensors_));
}

Result<void> GgufReader::AddContainerHeader(std::span<const std::byte> header,
                                            const std::string& path) {
  const auto& kept = gguf_.headers_.emplace_back(header.begin(), header.end());
  SLUICE_ASSIGN(GgufPart part, GgufParser(kept, kept.size(), path, 0).Parse());
  if (part.header_bytes != kept.size() || !part.tensors.empty()) {
    return Fail(ErrorCode::kCorrupt,
                fmt::format("{}: the metadata holds more than keys; repack the "
                            "model",
                            OneLine(path)));
  }
  gguf_.version_ = part.version;
  for (auto& [key, value] : part.metadata) {
    if (gguf_.Find(key) != nullptr) {
      return Fail(ErrorCode::kCorrupt,
                  fmt::format("{}: metadata key {} is there twice; repack the "
                              "model",
                              OneLine(path), QuoteName(key)));
    }
    gguf_.metadata_.emplace_back(std::move(key), value);
  }
  return {};
}

void GgufReader::SetContainer(std::vector<GgufTensor> tensors,
                              std::uint64_t file_bytes,
                              const std::string& path) {
  gguf_.paths_ = {path};
  gguf_.file_bytes_ = {file_bytes};
  gguf_.tensors_ = std::move(tensors);
}

void GgufReader::TakeMetadata(GgufPart& part) {
  gguf_.version_ = part.version;
  gguf_.metadata_ = std::move(part.metadata);
}

Result<GgufFile> GgufReader::Finish() {
  const auto& tensors = gguf_.tensors_;
  auto& order = gguf_.by_name_;
  order.resize(tensors.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return tensors[a].name < tensors[b].name;
  });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const GgufTensor& tensor = tensors[order[i]];
    if (tensors[order[i - 1]].name != tensor.name) continue;
    return Fail(ErrorCode::kCorrupt,
                fmt::format("{}: tensor {} is there twice; the file is "
                            "damaged: download it again",
                            OneLine(gguf_.paths_[tensor.file]),
                            QuoteName(tensor.name)));
  }
  return std::move(gguf_);
}

Result<GgufFile> GgufFile::Open(const std::string& path) {
  GgufReader reader;
  SLUICE_ASSIGN(GgufPart first, reader.ReadFile(path));
  SLUICE_ASSIGN(const std::uint64_t count, PartCount(first, path));
  SLUICE_ASSIGN(const std::uint64_t total,
                SplitKey(first, "split.tensors.count", kGgufMaxTensors,
                         kUnknownTotal, path));
  reader.AddTensors(first);
  if (count > 1) SLUICE_TRY(CheckFirstPart(first, count, path));
  SLUICE_TRY(CheckPart(first, 1, count, path));
  SLUICE_TRY(reader.ReadOtherParts(count, path));
  reader.TakeMetadata(first);
  SLUICE_ASSIGN(GgufFile gguf, reader.Finish());
  if (total != kUnknownTotal && total != gguf.tensors_.size()) {
    return Fail(ErrorCode::kCorrupt,
                fmt::format("{}: key \"split.tensors.count\" is {} but the "
                            "parts hold {} tensors; download the set again",
                            OneLine(path), total, gguf.tensors_.size()));
  }
  return gguf;
}

Result<GgufFile> GgufFile::Parse(std::span<const std::byte> header,
                                 std::uint64_t file_bytes,
                                 const std::string& path) {
  GgufReader reader;
  std::uint64_t needed = 0;
  SLUICE_ASSIGN(GgufPart part, reader.Keep(header, file_bytes, path, needed));
  SLUICE_TRY(CheckPart(part, 1, 1, path));
  reader.AddTensors(part);
  reader.TakeMetadata(part);
  return reader.Finish();
}

Result<GgufFile> GgufFile::FromContainer(
    std::span<const std::span<const std::byte>> headers,
    std::vector<GgufTensor> tensors, std::uint64_t file_bytes,
    const std::string& path) {
  GgufReader reader;
  // The headers are kept in a vector that must not move its elements' bytes:
  // moving a std::vector<std::byte> does not.
  for (const std::span<const std::byte> header : headers) {
    SLUICE_TRY(reader.AddContainerHeader(header, path));
  }
  reader.SetContainer(std::move(tensors), file_bytes, path);
  return reader.Finish();
}

const GgufValue* GgufFile::Find(std::string_view key) const {
  // A model has a few dozen keys: not worth an index.
  for (const auto& [name, value] : metadata_) {
    if (name == key) return &value;
  }
  return nullptr;
}

const GgufTensor* GgufFile::FindTensor(std::string_view name) const {
  const auto found =
      std::lower_bound(by_name_.begin(), by_name_.end(), name,
                       [&](std::uint32_t index, std::string_view wanted) {
                         return tensors_[index].name < wanted;
                       });
  if (found == by_name_.end() || tensors_[*found].name != name) return nullptr;
  return &tensors_[*found];
}

}  // namespace sluice::storage
