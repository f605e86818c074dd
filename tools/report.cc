#include "tools/report.h"

#include <fmt/core.h>

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "engine/size_text.h"

namespace sluice::tools {
namespace {

// Nothing when the quotient has no meaning.
std::optional<double> Quotient(double numerator, double denominator) {
  if (!(denominator > 0)) return std::nullopt;
  return numerator / denominator;
}

double Real(std::uint64_t count) { return static_cast<double>(count); }

TimeSplit SplitOf(const Counters& counters, double tokens, double seconds) {
  const double rest = seconds - counters.attention_seconds -
                      counters.router_seconds - counters.experts_seconds -
                      counters.output_seconds - counters.stall_seconds;
  return {
      .attention = Quotient(counters.attention_seconds, tokens),
      .router = Quotient(counters.router_seconds, tokens),
      .experts = Quotient(counters.experts_seconds, tokens),
      .output = Quotient(counters.output_seconds, tokens),
      .stall = Quotient(counters.stall_seconds, tokens),
      .rest = Quotient(rest, tokens),
  };
}

}  // namespace

std::optional<double> HitRate(const Counters& counters,
                              const ModeReport& mode) {
  if (!mode.streaming) return 1.0;
  return Quotient(Real(counters.expert_hits), Real(counters.expert_lookups));
}

Timings TimingsOf(const GenerateResult& result, const ModeReport& mode) {
  const Counters& decode = result.decode;
  const double tokens = Real(decode.tokens);
  return {
      .prefill_tokens_per_second =
          Quotient(Real(result.prompt_tokens), result.prefill_seconds),
      .decode_tokens_per_second =
          tokens > 0 ? Quotient(tokens, result.decode_seconds) : std::nullopt,
      .flash_bytes_per_token = Quotient(Real(decode.flash_bytes), tokens),
      .reads_per_token = Quotient(Real(decode.flash_reads), tokens),
      .hit_rate = tokens > 0 ? HitRate(decode, mode) : std::nullopt,
      .stall_seconds_per_token = Quotient(decode.stall_seconds, tokens),
      .cpu_seconds_per_token = Quotient(decode.cpu_seconds, tokens),
      .prefetch_useful_bytes_per_token =
          Quotient(Real(decode.prefetch_useful_bytes), tokens),
      .prefetch_late_bytes_per_token =
          Quotient(Real(decode.prefetch_late_bytes), tokens),
      .prefetch_wasted_bytes_per_token =
          Quotient(Real(decode.prefetch_wasted_bytes), tokens),
      .prefill_hit_rate = HitRate(result.prefill, mode),
      .prefill_flash_bytes = Real(result.prefill.flash_bytes),
      .prefill_seconds = result.prefill_seconds,
      .decode_seconds = result.decode_seconds,
      .prefill_split = SplitOf(result.prefill, Real(result.prefill.tokens),
                               result.prefill_seconds),
      .decode_split = SplitOf(decode, tokens, result.decode_seconds),
  };
}

nlohmann::ordered_json ToJson(std::optional<double> figure) {
  if (!figure) return nullptr;
  return *figure;
}

void AddMode(nlohmann::ordered_json& json, const ModeReport& mode) {
  json["mode"] = mode.streaming ? "streaming" : "resident";
  json["threads"] = mode.threads;
  json["isa"] = mode.isa;
  json["precision"] = mode.precision;
  json["low_experts"] = mode.low_experts;
  json["t1"] = mode.t1;
  json["t2"] = mode.t2;
  json["lossy"] = mode.lossy;
  json["device"] = mode.device;
  json["direct_io"] = mode.direct;
  json["piece_bytes"] = mode.piece_bytes;
  json["io_depth"] = mode.depth;
  json["policy"] = mode.policy;
  json["predictor"] = mode.predictor;
  json["memory_bytes"] = mode.memory_bytes;
  json["slots"] = mode.slots;
  json["slot_bytes"] = mode.slot_bytes;
  json["kv"] = KvFormatName(mode.kv_format);
  json["context"] = mode.context;
  json["prefill_chunk"] = mode.prefill_chunk;
}

void AddTimings(nlohmann::ordered_json& json, const Timings& timings) {
  for (const TimingField& field : kTimingFields) {
    json[field.name] = ToJson(timings.*field.value);
  }
}

nlohmann::ordered_json ToJson(const TimeSplit& split) {
  nlohmann::ordered_json seconds;
  nlohmann::ordered_json shares;
  const auto share_of = SharesOf(split);
  for (std::size_t i = 0; i < kTimeParts.size(); ++i) {
    seconds[kTimeParts[i].name] = ToJson(split.*kTimeParts[i].value);
    shares[kTimeParts[i].name] = ToJson(share_of[i]);
  }
  return {{"seconds_per_token", seconds}, {"share", shares}};
}

std::array<std::optional<double>, kTimeParts.size()> SharesOf(
    const TimeSplit& split) {
  double total = 0;
  for (const TimePart& part : kTimeParts) {
    total += (split.*part.value).value_or(0);
  }
  std::array<std::optional<double>, kTimeParts.size()> shares;
  for (std::size_t i = 0; i < kTimeParts.size(); ++i) {
    const std::optional<double> seconds = split.*kTimeParts[i].value;
    if (seconds) shares[i] = Quotient(*seconds, total);
  }
  return shares;
}

std::string Dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false,
                   nlohmann::ordered_json::error_handler_t::replace) +
         "\n";
}

std::string FigureText(std::optional<double> figure, double scale) {
  if (!figure) return "-";
  const double value = *figure * scale;
  return fmt::format("{:.{}f}", value, value < 10 ? 2 : value < 100 ? 1 : 0);
}

std::string BytesText(std::optional<double> bytes) {
  if (!bytes) return "-";
  return FormatSize(static_cast<std::uint64_t>(std::llround(*bytes)));
}

std::string RateText(std::optional<double> bytes_per_second) {
  if (!bytes_per_second) return "-";
  return FigureText(bytes_per_second, 1e-6) + " MB/s";
}

std::string ShareText(std::optional<double> share) {
  if (!share) return "-";
  return fmt::format("{:.1f}%", 100 * *share);
}

}  // namespace sluice::tools
