// What a run measured, as JSON fields and as text; `run`, `bench` and `eval`
// share the names.
//
// A figure that has no meaning in a run is absent in C++, null in JSON and "-"
// in text: the decode rate when nothing was decoded, or a bound that was not
// measured. Thread safety: free functions, may be called from any thread.
#ifndef SLUICE_TOOLS_REPORT_H_
#define SLUICE_TOOLS_REPORT_H_

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "engine/sluice.h"

namespace sluice::tools {

// Seconds per token of each part of a phase: prompt or decoded tokens. Waiting
// for reads is stall and in no other part; what is left (sampling, embedding,
// callbacks) is the rest.
struct TimeSplit {
  std::optional<double> attention;
  std::optional<double> router;
  std::optional<double> experts;
  std::optional<double> output;
  std::optional<double> stall;
  std::optional<double> rest;
};

// The name of each part, in the order of a layer.
struct TimePart {
  const char* name;
  std::optional<double> TimeSplit::* value;
};
inline constexpr std::array kTimeParts = {
    TimePart{"attention", &TimeSplit::attention},
    TimePart{"router", &TimeSplit::router},
    TimePart{"experts", &TimeSplit::experts},
    TimePart{"output", &TimeSplit::output},
    TimePart{"stall", &TimeSplit::stall},
    TimePart{"rest", &TimeSplit::rest},
};

// One request's figures. Per-token figures are over the decoded tokens, except
// where the name says prefill; a decoded token is one forward pass of one token
// (the first generated token comes from the prompt's pass and is not counted).
struct Timings {
  std::optional<double> prefill_tokens_per_second;
  std::optional<double> decode_tokens_per_second;
  std::optional<double> flash_bytes_per_token;
  std::optional<double> reads_per_token;
  std::optional<double> hit_rate;  // hits / lookups; 1 in resident mode
  std::optional<double> stall_seconds_per_token;
  std::optional<double> cpu_seconds_per_token;
  std::optional<double> prefetch_useful_bytes_per_token;
  std::optional<double> prefetch_late_bytes_per_token;
  std::optional<double> prefetch_wasted_bytes_per_token;
  std::optional<double> prefill_hit_rate;
  std::optional<double> prefill_flash_bytes;
  std::optional<double> prefill_seconds;
  std::optional<double> decode_seconds;
  TimeSplit prefill_split;
  TimeSplit decode_split;
};

// The JSON name of each figure; reports and medians walk this list.
struct TimingField {
  const char* name;
  std::optional<double> Timings::* value;
};
inline constexpr std::array kTimingFields = {
    TimingField{"prefill_tokens_per_second",
                &Timings::prefill_tokens_per_second},
    TimingField{"decode_tokens_per_second", &Timings::decode_tokens_per_second},
    TimingField{"flash_bytes_per_token", &Timings::flash_bytes_per_token},
    TimingField{"reads_per_token", &Timings::reads_per_token},
    TimingField{"hit_rate", &Timings::hit_rate},
    TimingField{"stall_seconds_per_token", &Timings::stall_seconds_per_token},
    TimingField{"cpu_seconds_per_token", &Timings::cpu_seconds_per_token},
    TimingField{"prefetch_useful_bytes_per_token",
                &Timings::prefetch_useful_bytes_per_token},
    TimingField{"prefetch_late_bytes_per_token",
                &Timings::prefetch_late_bytes_per_token},
    TimingField{"prefetch_wasted_bytes_per_token",
                &Timings::prefetch_wasted_bytes_per_token},
    TimingField{"prefill_hit_rate", &Timings::prefill_hit_rate},
    TimingField{"prefill_flash_bytes", &Timings::prefill_flash_bytes},
    TimingField{"prefill_seconds", &Timings::prefill_seconds},
    TimingField{"decode_seconds", &Timings::decode_seconds},
};

Timings TimingsOf(const GenerateResult& result, const ModeReport& mode);

// Hits over lookups; 1 when the model is resident, since nothing can miss.
std::optional<double> HitRate(const Counters& counters, const ModeReport& mode);

// Null for an absent figure.
nlohmann::ordered_json ToJson(std::optional<double> figure);
// mode, threads, isa, device, memory and the cache's shape.
void AddMode(nlohmann::ordered_json& json, const ModeReport& mode);
void AddTimings(nlohmann::ordered_json& json, const Timings& timings);
// Of each part: seconds per token, and its share of all parts.
nlohmann::ordered_json ToJson(const TimeSplit& split);
// The share of each part, in the order of kTimeParts.
std::array<std::optional<double>, kTimeParts.size()> SharesOf(
    const TimeSplit& split);

// One line; bytes that are not UTF-8 become U+FFFD.
std::string Dump(const nlohmann::ordered_json& json);

// `figure` with three significant digits times `scale`, or "-".
std::string FigureText(std::optional<double> figure, double scale = 1);
// A number of bytes as a size, or "-".
std::string BytesText(std::optional<double> bytes);
// Bytes per second as "123 MB/s" (10^6 bytes), or "-".
std::string RateText(std::optional<double> bytes_per_second);
// A share as a percentage, or "-".
std::string ShareText(std::optional<double> share);

}  // namespace sluice::tools

#endif  // SLUICE_TOOLS_REPORT_H_
