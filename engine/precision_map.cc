#include "engine/precision_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>

#include "storage/header_file.h"

namespace sluice {
namespace {

constexpr std::string_view kTitle = "sluice precision map 1";
constexpr char kLow = '2';
constexpr char kFull = '4';
// Layers, and experts of one; and of all, many times the largest model's.
constexpr std::uint64_t kMostIds = 65535;
constexpr std::uint64_t kMostExperts = std::uint64_t{1} << 24;
constexpr std::uint64_t kMostBytes = kMostExperts + (std::uint64_t{1} << 20);

Error Bad(ErrorCode code, const std::string& path, const std::string& what) {
  return {code, fmt::format("{}: {}; make it with 'sluice calibrate'",
                            storage::OneLine(path), what)};
}

// Takes a text's lines one by one; each must end.
class Lines {
 public:
  Lines(std::string_view text, const std::string& path)
      : rest_(text), path_(path) {}

  Error Wrong(const std::string& what) const {
    return Bad(ErrorCode::kCorrupt, path_,
               fmt::format("line {} {}", line_, what));
  }
  std::optional<std::string_view> Take() {
    ++line_;
    const std::size_t end = rest_.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return line;
  }
  // Of a line "NAME NUMBER": the number, as it is written here.
  Result<std::uint64_t> TakeNumber(std::string_view name, int base,
                                   std::uint64_t most) {
    const std::optional<std::string_view> line = Take();
    std::uint64_t value = 0;
    if (line && line->starts_with(name)) {
      const std::string_view digits = line->substr(name.size());
      std::from_chars(digits.data(), digits.data() + digits.size(), value,
                      base);
      const std::string canonical =
          base == 16 ? fmt::format("{:016x}", value) : fmt::format("{}", value);
      if (digits == canonical && value <= most) return value;
    }
    return tl::unexpected(Wrong(fmt::format("should be '{}NUMBER'", name)));
  }
  bool AtEnd() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  const std::string& path_;
  std::size_t line_ = 0;
};

Result<MapModel> TakeModel(Lines& lines) {
  if (lines.Take() != kTitle) {
    return tl::unexpected(lines.Wrong(fmt::format("is not '{}'", kTitle)));
  }
  MapModel model;
  SLUICE_ASSIGN(model.checksum, lines.TakeNumber("model ", 16, ~0ULL));
  SLUICE_ASSIGN(const std::uint64_t layers,
                lines.TakeNumber("layers ", 10, kMostIds));
  SLUICE_ASSIGN(const std::uint64_t experts,
                lines.TakeNumber("experts ", 10, kMostIds));
  if (layers * experts == 0 || layers * experts > kMostExperts) {
    return tl::unexpected(lines.Wrong("makes no sensible number of experts"));
  }
  model.layers = static_cast<std::uint32_t>(layers);
  model.experts = static_cast<std::uint32_t>(experts);
  return model;
}

}  // namespace

MapModel MapModelOf(const storage::ContainerReader& container) {
  return {
      .checksum =
          container.header().section(storage::SectionKind::kExperts).checksum,
      .layers = container.layers(),
      .experts = container.experts()};
}

std::size_t PrecisionMap::low_count() const {
  return static_cast<std::size_t>(std::ranges::count(low_, true));
}

std::string EncodePrecisionMap(const PrecisionMap& map) {
  const MapModel& model = map.model();
  std::string text =
      fmt::format("{}\nmodel {:016x}\nlayers {}\nexperts {}\n", kTitle,
                  model.checksum, model.layers, model.experts);
  for (std::size_t i = 0; i < map.low().size(); ++i) {
    text += map.low()[i] ? kLow : kFull;
    if ((i + 1) % model.experts == 0) text += '\n';
  }
  return text;
}

Result<PrecisionMap> ParsePrecisionMap(std::string_view text,
                                       const std::string& path) {
  Lines lines(text, path);
  SLUICE_ASSIGN(const MapModel model, TakeModel(lines));
  // Before anything is allocated: the text is at least as long.
  const std::uint64_t digits = std::uint64_t{model.layers} * model.experts;
  if (digits > text.size()) {
    return tl::unexpected(
        Bad(ErrorCode::kCorrupt, path,
            fmt::format("it is shorter than its {} experts", digits)));
  }
  PrecisionMap map(model);
  for (std::uint32_t layer = 0; layer < model.layers; ++layer) {
    const std::optional<std::string_view> line = lines.Take();
    if (!line || line->size() != model.experts ||
        line->find_first_not_of("24") != std::string_view::npos) {
      return tl::unexpected(lines.Wrong(
          fmt::format("should be {} digits 2 or 4", model.experts)));
    }
    for (std::uint32_t expert = 0; expert < model.experts; ++expert) {
      if ((*line)[expert] != kLow) continue;
      map.SetLow({static_cast<std::uint16_t>(layer),
                  static_cast<std::uint16_t>(expert)});
    }
  }
  if (!lines.AtEnd()) {
    return tl::unexpected(
        Bad(ErrorCode::kCorrupt, path, "it goes on after its last layer"));
  }
  return map;
}

Result<PrecisionMap> ReadPrecisionMap(const std::string& path) {
  SLUICE_ASSIGN(storage::HeaderFile file, storage::HeaderFile::Open(path));
  if (file.file_bytes() > kMostBytes) {
    return tl::unexpected(
        Bad(ErrorCode::kCorrupt, path, "it is no precision map"));
  }
  SLUICE_ASSIGN(const std::span<const std::byte> bytes,
                file.Read(file.file_bytes()));
  return ParsePrecisionMap(
      {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
}

Result<void> CheckMap(const PrecisionMap& map, const MapModel& model,
                      const std::string& path) {
  const MapModel& own = map.model();
  if (own == model) return {};
  return tl::unexpected(
      Bad(ErrorCode::kInvalidArgument, path,
          fmt::format("it is of another model ({:016x}, {} layers of {} "
                      "experts) than this one ({:016x}, {} of {})",
                      own.checksum, own.layers, own.experts, model.checksum,
                      model.layers, model.experts)));
}

}  // namespace sluice
