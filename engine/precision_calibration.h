// Calibrating precision: which experts of a container with nested weights may
// be their base planes for how much loss (EdgeMoE, Yi et al. 2023, section
// 3.2). An expert's importance is how far the model's expectation of each next
// token moves when it alone is low: the rise of the loss on text that the model
// itself would write. On the tokens of a real text that rise is mostly noise,
// with either sign. The least important ones are low together, as many as the
// measured loss on the text allows: the mean rise and two standard errors of it
// are within the tolerance.
//
// Part of the library's public interface, beside engine/sluice.h:
//
//   sluice::CalibrationOptions options;
//   options.engine.memory_bytes = 2u << 30;
//   options.tolerance = 0.5;  // per cent of perplexity
//   auto report = sluice::CalibratePrecision("planes.sluice", text, options);
//   // write report->map_text, and give it to EngineOptions::precision_map
//
// Thread safety: a free function, may be called from any thread.
#ifndef SLUICE_ENGINE_PRECISION_CALIBRATION_H_
#define SLUICE_ENGINE_PRECISION_CALIBRATION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/sluice.h"

namespace sluice {

struct CalibrationOptions {
  // How the model runs; the default predictor is none. `context` is the tokens
  // of a window; 0: 256. Precision is full, without a map or t1.
  EngineOptions engine;
  // Rise of the perplexity at its upper bound, per cent; not negative.
  double tolerance = 1;
  // For the importance of single experts: this many tokens, in whole windows
  // spread over the text, but at most half of them. The loss of sets of experts
  // is measured on all others.
  std::size_t tokens = 2048;
  // Called once, when the model is open; may be empty.
  std::function<void(const ModeReport& mode)> on_open;
  // Called often with the work done and in all, in tokens through the whole
  // model; the total is an upper bound. Returning false cancels. May be empty.
  std::function<bool(std::uint64_t done, std::uint64_t total)> progress;
};

struct ExpertCalibration {
  std::uint32_t layer = 0;
  std::uint32_t expert = 0;
  std::uint64_t uses = 0;   // tokens of the whole text that were routed to it
  double weight_error = 0;  // of base against full: sum of squares, relative
  // When it alone is low, per scored token, in nats; 0 when not used.
  double loss_rise = 0;
  double divergence = 0;  // of what is expected; its importance
  bool low = false;
};

// The rise of a perplexity, per cent.
struct PerplexityRise {
  double mean = 0;
  double error = 0;  // standard error, by windows
  double upper = 0;  // two standard errors above the mean
};

struct CalibrationReport {
  std::uint32_t layers = 0;
  std::uint32_t experts = 0;
  std::size_t sampled_tokens = 0;  // for single experts, scored
  std::size_t checked_tokens = 0;  // for sets of experts, scored
  std::size_t checked_windows = 0;
  double full_perplexity = 0;  // of the checked tokens, nothing low
  PerplexityRise map;          // with the low experts low
  PerplexityRise base;         // with all experts low
  std::size_t low_experts = 0;
  double low_uses_share = 0;  // of the text's uses of experts
  double bytes_share = 0;     // that uses read, of what they read when full
  // By rank: the mean of a token's normalised router weights.
  std::vector<double> rank_weights;
  std::vector<ExpertCalibration> table;  // layer by layer
  std::string map_text;                  // the file's
};

// Runs the model at `path` over `text`: about half as often as it has experts
// over the sampled tokens, and some ten times over the others.
// Returns: as Engine::Open and Session::Evaluate; kInvalidArgument (no planes;
// options that change the precision; fewer than three windows), kCancelled.
Result<CalibrationReport> CalibratePrecision(const std::string& path,
                                             std::string_view text,
                                             const CalibrationOptions& options);

}  // namespace sluice

#endif  // SLUICE_ENGINE_PRECISION_CALIBRATION_H_
