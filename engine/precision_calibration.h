// Calibrating precision: which experts of a container with nested weights may
// be their base planes for how much loss (EdgeMoE, Yi et al. 2023, section
// 3.2). An expert's importance is the rise of the loss over a text when it
// alone is low; the least important ones are low together, as many as the
// measured loss of all of them allows.
//
// Part of the library's public interface, beside engine/sluice.h:
//
//   sluice::CalibrationOptions options;
//   options.engine.memory_bytes = 2u << 30;
//   options.tolerance = 0.5;  // per cent of perplexity
//   auto report = sluice::CalibratePrecision("planes.sluice", text, options);
//   // write report->map, and give it to EngineOptions::precision_map
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
  double tolerance = 1;  // rise of the perplexity, per cent; not negative
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
  double loss_rise = 0;     // per scored token, in nats; 0 when not used
  bool low = false;
};

struct CalibrationReport {
  std::uint32_t layers = 0;
  std::uint32_t experts = 0;
  std::size_t sampled_tokens = 0;  // for single experts, scored
  std::size_t checked_tokens = 0;  // for sets of experts, scored
  bool one_window = false;         // of which these are the same tokens
  // Of the checked tokens, at full precision, with the low experts low, and
  // with all experts low.
  double full_perplexity = 0;
  double map_perplexity = 0;
  double base_perplexity = 0;
  double rise_error = 0;  // standard error of the map's rise, per cent
  std::size_t low_experts = 0;
  double low_uses_share = 0;  // of the text's uses of experts
  double bytes_share = 0;     // that uses read, of what they read when full
  // By rank: the mean of a token's normalised router weights.
  std::vector<double> rank_weights;
  std::vector<ExpertCalibration> table;  // layer by layer
  std::string map;                       // the file's text
};

// Runs the model at `path` over `text`: about half as often as it has experts
// over the sampled tokens, and some ten times over the others.
// Returns: as Engine::Open and Session::Evaluate; kInvalidArgument (no planes;
// options that change the precision; fewer than two tokens), kCancelled.
Result<CalibrationReport> CalibratePrecision(const std::string& path,
                                             std::string_view text,
                                             const CalibrationOptions& options);

}  // namespace sluice

#endif  // SLUICE_ENGINE_PRECISION_CALIBRATION_H_
