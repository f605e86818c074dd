#include "engine/routing_trace.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

namespace sluice {
namespace {

constexpr std::string_view kColumns = "phase,token,layer,experts,weights";
constexpr std::string_view kChunk = "# chunk";
constexpr std::string_view kChunkLent = "# chunk lent=";
constexpr std::size_t kFields = 5;

// More than any model has; the cache's own bounds.
constexpr std::uint64_t kMostLayers = 1 << 16;
constexpr std::uint64_t kMostExperts = 1 << 16;
constexpr std::uint64_t kMostEntries = 1 << 24;  // layers times experts
constexpr std::uint64_t kMostExpertBytes = std::uint64_t{1} << 40;
constexpr std::uint64_t kMostTokens = std::uint64_t{1} << 31;

// The text up to `separator`, which is taken off `rest` with it.
std::string_view Cut(std::string_view& rest, char separator) {
  const std::size_t at = rest.find(separator);
  const std::string_view part = rest.substr(0, at);
  rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + 1);
  return part;
}

template <typename T>
bool ParseWhole(std::string_view text, T& value) {
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const auto parsed = std::from_chars(begin, end, value);
  return parsed.ec == std::errc() && parsed.ptr == end;
}

class Parser {
 public:
  Parser(std::string_view text, const std::string& name)
      : rest_(text), name_(name) {}

  Result<RoutingTrace> Parse() {
    SLUICE_TRY(ReadHeader());
    while (NextLine()) {
      if (line_.starts_with('#')) {
        SLUICE_TRY(ReadComment());
        continue;
      }
      SLUICE_TRY(ReadRow());
    }
    if (trace_.visits.empty()) {
      return Fail(
          ErrorCode::kInvalidArgument,
          fmt::format("{}: the trace has no rows; record a longer one", name_));
    }
    return std::move(trace_);
  }

 private:
  // The next line that is not empty, without its end.
  bool NextLine() {
    while (!rest_.empty()) {
      line_ = Cut(rest_, '\n');
      ++number_;
      if (line_.ends_with('\r')) line_.remove_suffix(1);
      if (!line_.empty()) return true;
    }
    return false;
  }

  tl::unexpected<Error> Bad(const std::string& what) const {
    return Fail(ErrorCode::kCorrupt,
                fmt::format("{}: line {}: {}; the file is no routing trace or "
                            "is damaged",
                            name_, number_, what));
  }

  Result<void> ReadHeader() {
    while (NextLine()) {
      if (line_ == kColumns) return CheckShape();
      if (!line_.starts_with('#')) break;
      line_.remove_prefix(1);
      while (!line_.empty()) SLUICE_TRY(ReadSetting(Cut(line_, ' ')));
    }
    return Bad(fmt::format("the column line '{}' is missing", kColumns));
  }

  // "layers=36"; other words are prose.
  Result<void> ReadSetting(std::string_view word) {
    if (word.find('=') == std::string_view::npos) return {};
    const std::string_view key = Cut(word, '=');
    RoutingShape& shape = trace_.shape;
    const auto read = [&](std::uint64_t most, auto& target) -> Result<void> {
      std::uint64_t value = 0;
      if (!ParseWhole(word, value) || value == 0 || value > most) {
        return Bad(fmt::format("{} is not a number from 1 to {}", key, most));
      }
      target = static_cast<std::remove_reference_t<decltype(target)>>(value);
      return {};
    };
    if (key == "layers") return read(kMostLayers, shape.layers);
    if (key == "experts") return read(kMostExperts, shape.experts);
    if (key == "expert_bytes") {
      return read(kMostExpertBytes, shape.expert_bytes);
    }
    return {};
  }

  // "# chunk", "# chunk lent=5" or prose.
  Result<void> ReadComment() {
    const bool lends = line_.starts_with(kChunkLent);
    if (line_ != kChunk && !lends) return {};
    open_ = false;
    lent_ = 0;
    if (!lends) return {};
    line_.remove_prefix(kChunkLent.size());
    if (!ParseWhole(line_, lent_) || lent_ > kMostEntries) {
      return Bad(fmt::format("the slots lent are not a number up to {}",
                             kMostEntries));
    }
    return {};
  }

  Result<void> CheckShape() const {
    const RoutingShape& shape = trace_.shape;
    if (shape.layers == 0 || shape.experts == 0 || shape.expert_bytes == 0) {
      return Bad("no comment before gives layers=, experts= and expert_bytes=");
    }
    if (std::uint64_t{shape.layers} * shape.experts > kMostEntries) {
      return Bad(fmt::format("{} layers of {} experts are more than {} in all",
                             shape.layers, shape.experts, kMostEntries));
    }
    return {};
  }

  Result<void> ReadRow() {
    std::array<std::string_view, kFields> fields;
    std::string_view rest = line_;
    if (std::ranges::count(rest, ',') != kFields - 1) {
      return Bad("a row has five fields separated by commas");
    }
    for (std::string_view& field : fields) field = Cut(rest, ',');
    std::uint64_t phase = 0;
    std::uint64_t token = 0;
    std::uint64_t layer = 0;
    if (!ParseWhole(fields[0], phase) || phase > 1) {
      return Bad("the phase is neither 0 nor 1");
    }
    if (!ParseWhole(fields[1], token) || token > kMostTokens) {
      return Bad(
          fmt::format("the token is not a number up to {}", kMostTokens));
    }
    if (!ParseWhole(fields[2], layer) || layer >= trace_.shape.layers) {
      return Bad(fmt::format("the layer is not a number below {}",
                             trace_.shape.layers));
    }
    JoinVisit(static_cast<RoutingPhase>(phase),
              static_cast<std::uint32_t>(token),
              static_cast<std::uint16_t>(layer));
    SLUICE_TRY(ReadExperts(fields[3]));
    return ReadWeights(fields[4]);
  }

  // The row belongs to the last visit or begins the next.
  void JoinVisit(RoutingPhase phase, std::uint32_t token, std::uint16_t layer) {
    const bool joins = open_ && phase == RoutingPhase::kPrompt &&
                       trace_.visits.back().phase == phase &&
                       trace_.visits.back().layer == layer &&
                       token > last_token_;
    if (!joins) {
      trace_.visits.push_back(
          {.phase = phase,
           .token = token,
           .layer = layer,
           .tokens = 0,
           .slots_lent = phase == RoutingPhase::kPrompt ? lent_ : 0,
           .begin = trace_.experts.size()});
    }
    ++trace_.visits.back().tokens;
    last_token_ = token;
    open_ = true;
  }

  Result<void> ReadExperts(std::string_view list) {
    const auto first = static_cast<std::ptrdiff_t>(trace_.experts.size());
    while (!list.empty()) {
      std::uint32_t id = 0;
      if (!ParseWhole(Cut(list, ' '), id) || id >= trace_.shape.experts) {
        return Bad(fmt::format("an expert is not a number below {}",
                               trace_.shape.experts));
      }
      const auto expert = static_cast<std::uint16_t>(id);
      if (std::find(trace_.experts.begin() + first, trace_.experts.end(),
                    expert) != trace_.experts.end()) {
        return Bad(fmt::format("expert {} is there twice", id));
      }
      trace_.experts.push_back(expert);
    }
    const auto used = static_cast<std::uint32_t>(
        trace_.experts.end() - (trace_.experts.begin() + first));
    if (trace_.used == 0) trace_.used = used;
    if (used == 0 || used != trace_.used) {
      return Bad(fmt::format("{} experts, and the first row has {}", used,
                             trace_.used));
    }
    return {};
  }

  Result<void> ReadWeights(std::string_view list) {
    while (!list.empty()) {
      float weight = 0;
      if (!ParseWhole(Cut(list, ' '), weight) || !std::isfinite(weight)) {
        return Bad("a weight is not a finite number");
      }
      trace_.weights.push_back(weight);
    }
    if (trace_.weights.size() != trace_.experts.size()) {
      return Bad("there is not one weight for each expert");
    }
    return {};
  }

  std::string_view rest_;
  const std::string& name_;
  std::string_view line_;
  std::size_t number_ = 0;  // of line_, from 1
  RoutingTrace trace_;
  bool open_ = false;  // the last visit may take another row
  std::uint32_t last_token_ = 0;
  std::uint32_t lent_ = 0;  // to the chunk
};

}  // namespace

std::string TraceHeader(const RoutingShape& shape) {
  return fmt::format(
      "# routing, one row per (token, layer); experts in rank order with the "
      "router weights\n"
      "# layers={} experts={} expert_bytes={} phase 0 = prompt, 1 = decode\n"
      "{}\n",
      shape.layers, shape.experts, shape.expert_bytes, kColumns);
}

std::string TraceRows(const RoutedChunk& chunk) {
  std::string lines;
  const auto out = std::back_inserter(lines);
  if (chunk.phase == RoutingPhase::kPrompt && chunk.layer == 0) {
    if (chunk.slots_lent == 0) fmt::format_to(out, "{}\n", kChunk);
    if (chunk.slots_lent > 0) {
      fmt::format_to(out, "{}{}\n", kChunkLent, chunk.slots_lent);
    }
  }
  const std::size_t used = chunk.experts.size() / chunk.tokens;
  for (std::size_t t = 0; t < chunk.tokens; ++t) {
    fmt::format_to(out, "{},{},{},{},{}\n", static_cast<unsigned>(chunk.phase),
                   chunk.position + t, chunk.layer,
                   fmt::join(chunk.experts.subspan(t * used, used), " "),
                   fmt::join(chunk.weights.subspan(t * used, used), " "));
  }
  return lines;
}

Result<RoutingTrace> ParseTrace(std::string_view text,
                                const std::string& name) {
  return Parser(text, name).Parse();
}

}  // namespace sluice
