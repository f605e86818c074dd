#include "engine/precision_calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <span>
#include <utility>

#include "engine/engine_impl.h"
#include "engine/plane_error.h"
#include "engine/precision_choice.h"
#include "engine/precision_map.h"
#include "engine/size_text.h"
#include "engine/window_runner.h"
#include "storage/container_reader.h"

namespace sluice {
namespace {

constexpr std::size_t kWindow = 256;

using Windows = std::vector<std::span<const TokenId>>;
using Losses = std::vector<double>;

double Sum(const Losses& losses) {
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

double Percent(double rise) { return 100 * std::expm1(rise); }

PerplexityRise PerplexityRiseOf(const LossRise& rise) {
  return {.mean = Percent(rise.mean),
          .error = Percent(rise.mean + rise.error) - Percent(rise.mean),
          .upper = Percent(rise.Upper())};
}

// Every n-th window is sampled, so that about `tokens` are in them, but at most
// half of the windows; the others are checked.
void Split(std::span<const TokenId> text, std::size_t window,
           std::size_t tokens, Windows& sampled, Windows& checked) {
  Windows all;
  for (std::size_t at = 0; at + 1 < text.size(); at += window) {
    all.push_back(text.subspan(at, std::min(window, text.size() - at)));
  }
  const std::size_t wanted = std::clamp<std::size_t>(
      (tokens + window - 1) / window, 1, all.size() / 2);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool sample = i * wanted % all.size() < wanted;
    (sample ? sampled : checked).push_back(all[i]);
  }
}

class Calibrator {
 public:
  Calibrator(EngineImpl& engine, WindowRunner runner, const MapModel& model,
             const CalibrationOptions& options)
      : engine_(engine),
        runner_(std::move(runner)),
        model_(model),
        options_(options),
        experts_(engine.config().experts),
        table_(std::size_t{engine.config().layers} * experts_) {}

  Result<CalibrationReport> Run(std::span<const TokenId> text);

 private:
  void CountWork();
  void ObserveRoutes();
  Result<void> MeasureWeights();
  // Adds what each expert of a sampled window costs when it alone is low.
  Result<void> MeasureWindow(std::span<const TokenId> window);
  Result<void> MeasureImportance();
  std::vector<std::size_t> ByImportance() const;
  Result<Losses> LossesOf(const std::vector<bool>& low);
  // The rise of the checked loss with the first `count` of `order` low.
  Result<LossRise> Check(std::span<const std::size_t> order, std::size_t count);
  Result<void> Choose();
  CalibrationReport Report() const;

  EngineImpl& engine_;
  WindowRunner runner_;
  const MapModel model_;
  const CalibrationOptions& options_;
  const std::size_t experts_;  // of a layer
  std::vector<ExpertCalibration> table_;
  Windows sampled_;
  Windows checked_;
  std::size_t sampled_tokens_ = 0;
  Losses full_;  // of the checked tokens
  CountChoice choice_;
  std::vector<double> rank_weights_;        // sums
  std::uint64_t routed_tokens_ = 0;         // over all layers
  bool counting_ = false;                   // routes of the unchanged model
  std::vector<std::uint64_t> window_uses_;  // [layers, experts] of the window
  std::uint64_t work_done_ = 0;             // tokens times layers
  std::uint64_t work_total_ = 0;
};

Result<CalibrationReport> Calibrator::Run(std::span<const TokenId> text) {
  Split(text, engine_.plan().context, options_.tokens, sampled_, checked_);
  ObserveRoutes();
  CountWork();
  runner_.ReportProgress([this](std::size_t tokens, std::size_t layers) {
    work_done_ += std::uint64_t{tokens} * layers;
    const std::uint64_t depth = engine_.config().layers;
    return !options_.progress ||
           options_.progress(work_done_ / depth, work_total_ / depth);
  });
  SLUICE_TRY(MeasureWeights());
  SLUICE_TRY(MeasureImportance());
  SLUICE_TRY(Choose());
  return Report();
}

void Calibrator::CountWork() {
  const std::uint64_t layers = engine_.config().layers;
  for (const auto& window : sampled_) {
    work_total_ +=
        window.size() * (layers + experts_ * layers * (layers + 1) / 2);
  }
  // Nothing low, all low, and up to seven halvings.
  constexpr std::uint64_t kPasses = 9;
  for (const auto& window : checked_) {
    work_total_ += window.size() * layers * kPasses;
  }
}

void Calibrator::ObserveRoutes() {
  const std::size_t used = engine_.config().experts_used;
  rank_weights_.assign(used, 0);
  window_uses_.assign(table_.size(), 0);
  runner_.ObserveRoutes([this, used](std::uint16_t layer,
                                     std::span<const std::uint16_t> ids,
                                     std::span<const float> weights) {
    if (!counting_) return;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      ++window_uses_[layer * experts_ + ids[i]];
      rank_weights_[i % used] += double{weights[i]};
    }
    routed_tokens_ += ids.size() / used;
  });
}

Result<void> Calibrator::MeasureWeights() {
  const std::size_t used = engine_.config().experts_used;
  std::vector<std::uint16_t> ids;
  for (std::uint32_t layer = 0; layer < engine_.config().layers; ++layer) {
    for (std::size_t at = 0; at < experts_; at += used) {
      ids.resize(std::min(used, experts_ - at));
      std::iota(ids.begin(), ids.end(), static_cast<std::uint16_t>(at));
      SLUICE_TRY(runner_.VisitExperts(
          static_cast<std::uint16_t>(layer), ids,
          [&](std::size_t i, const storage::ExpertView& expert) {
            ExpertCalibration& entry = table_[layer * experts_ + ids[i]];
            entry.layer = layer;
            entry.expert = ids[i];
            entry.weight_error = PlaneError(engine_.compute().kernels, expert);
          }));
    }
  }
  return {};
}

Result<void> Calibrator::MeasureImportance() {
  for (const auto& window : sampled_) {
    sampled_tokens_ += window.size() - 1;
    SLUICE_TRY(MeasureWindow(window));
  }
  for (ExpertCalibration& entry : table_) {
    entry.loss_rise /= static_cast<double>(sampled_tokens_);
    entry.divergence /= static_cast<double>(sampled_tokens_);
  }
  return {};
}

Result<void> Calibrator::MeasureWindow(std::span<const TokenId> window) {
  std::ranges::fill(window_uses_, 0);
  Losses full;
  counting_ = true;
  runner_.SetLow({});
  SLUICE_TRY(runner_.Run(window, /*keep=*/true, full));
  counting_ = false;
  const double sum = Sum(full);
  Losses losses;
  std::vector<double> divergences;
  for (std::size_t i = 0; i < table_.size(); ++i) {
    table_[i].uses += window_uses_[i];
    const std::uint32_t layers_left = engine_.config().layers - table_[i].layer;
    if (window_uses_[i] == 0) {
      work_done_ += window.size() * layers_left;
      continue;
    }
    std::vector<bool> low(table_.size());
    low[i] = true;
    runner_.SetLow(std::move(low));
    SLUICE_TRY(runner_.Rerun(table_[i].layer, losses, divergences));
    table_[i].loss_rise += Sum(losses) - sum;
    table_[i].divergence += Sum(divergences);
  }
  return {};
}

std::vector<std::size_t> Calibrator::ByImportance() const {
  std::vector<std::size_t> order(table_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(
      order, {}, [this](std::size_t i) { return table_[i].divergence; });
  return order;
}

Result<Losses> Calibrator::LossesOf(const std::vector<bool>& low) {
  runner_.SetLow(low);
  Losses all;
  Losses losses;
  for (const auto& window : checked_) {
    SLUICE_TRY(runner_.Run(window, /*keep=*/false, losses));
    all.insert(all.end(), losses.begin(), losses.end());
  }
  return all;
}

Result<LossRise> Calibrator::Check(std::span<const std::size_t> order,
                                   std::size_t count) {
  std::vector<bool> low(table_.size());
  for (const std::size_t i : order.first(count)) low[i] = true;
  SLUICE_ASSIGN(const Losses losses, LossesOf(low));
  std::vector<PairedLosses> windows;
  std::size_t at = 0;
  for (const auto& window : checked_) {
    const std::size_t scored = window.size() - 1;
    windows.push_back(
        {.changed = std::span<const double>(losses).subspan(at, scored),
         .reference = std::span<const double>(full_).subspan(at, scored)});
    at += scored;
  }
  return RiseOverWindows(windows);
}

// The most of the least important experts whose loss together is tolerable.
Result<void> Calibrator::Choose() {
  counting_ = true;
  std::ranges::fill(window_uses_, 0);
  SLUICE_ASSIGN(full_, LossesOf({}));
  counting_ = false;
  for (std::size_t i = 0; i < table_.size(); ++i) {
    table_[i].uses += window_uses_[i];
  }
  const std::vector<std::size_t> order = ByImportance();
  SLUICE_ASSIGN(
      choice_,
      ChooseCount(order.size(), std::log1p(options_.tolerance / 100),
                  [&](std::size_t count) { return Check(order, count); }));
  for (const std::size_t i : std::span(order).first(choice_.count)) {
    table_[i].low = true;
  }
  return {};
}

CalibrationReport Calibrator::Report() const {
  CalibrationReport report;
  report.layers = engine_.config().layers;
  report.experts = engine_.config().experts;
  report.sampled_tokens = sampled_tokens_;
  report.checked_tokens = full_.size();
  report.checked_windows = checked_.size();
  const double full = Sum(full_) / static_cast<double>(full_.size());
  report.full_perplexity = std::exp(full);
  report.map = PerplexityRiseOf(choice_.chosen);
  report.base = PerplexityRiseOf(choice_.all);
  PrecisionMap map(model_);
  std::uint64_t uses = 0;
  std::uint64_t low_uses = 0;
  for (const ExpertCalibration& entry : table_) {
    uses += entry.uses;
    if (!entry.low) continue;
    low_uses += entry.uses;
    map.SetLow({static_cast<std::uint16_t>(entry.layer),
                static_cast<std::uint16_t>(entry.expert)});
  }
  report.low_experts = map.low_count();
  report.low_uses_share =
      static_cast<double>(low_uses) / static_cast<double>(uses);
  report.rank_weights = rank_weights_;
  for (double& weight : report.rank_weights) {
    weight /= static_cast<double>(routed_tokens_);
  }
  report.table = table_;
  report.map_text = EncodePrecisionMap(map);
  return report;
}

Result<void> CheckOptions(const CalibrationOptions& options) {
  SLUICE_TRY(options.engine.Validate());
  const EngineOptions& engine = options.engine;
  if (engine.precision != ExpertPrecision::kFull || engine.t1 < 1 ||
      !engine.precision_map.empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                "calibrating compares full precision with the base; leave out "
                "precision, t1 and the precision map");
  }
  if (!(options.tolerance >= 0 && std::isfinite(options.tolerance))) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("the tolerance is {}; give per cent, not negative",
                            options.tolerance));
  }
  return {};
}

// The model's shape, what its map is tied to, and the bytes that reading all of
// its experts takes.
struct Planes {
  ModelConfig config;
  MapModel model;
  std::uint64_t base_bytes = 0;
  std::uint64_t full_bytes = 0;
};

Result<Planes> FindPlanes(const std::string& path) {
  SLUICE_ASSIGN(const ModelFile base,
                ModelFile::Open(path, storage::VerifyReads::kFirst,
                                ExpertPrecision::kBase));
  SLUICE_ASSIGN(const ModelFile full, ModelFile::Open(path));
  SLUICE_ASSIGN(const storage::ContainerReader container,
                storage::ContainerReader::Open(path));
  return Planes{.config = full.config,
                .model = MapModelOf(container),
                .base_bytes = base.experts.read_bytes(),
                .full_bytes = full.experts.read_bytes()};
}

// An engine with what a window's states leave of the budget.
Result<std::unique_ptr<EngineImpl>> LoadBesideStates(const std::string& path,
                                                     const ModelConfig& config,
                                                     EngineOptions options) {
  const std::uint64_t memory = options.memory_bytes.value_or(AvailableMemory());
  const std::uint64_t states = WindowRunner::Bytes(config, options.context);
  options.memory_bytes = memory - std::min(memory, states);
  auto engine = EngineImpl::Load(path, options);
  if (engine || engine.error().code != ErrorCode::kNoMemory) return engine;
  return Fail(
      ErrorCode::kNoMemory,
      fmt::format("{}, and by {} for the states of a window of {} "
                  "tokens, or give a smaller --ctx",
                  engine.error().message, FormatSize(states), options.context));
}

}  // namespace

Result<CalibrationReport> CalibratePrecision(
    const std::string& path, std::string_view text,
    const CalibrationOptions& options) {
  SLUICE_TRY(CheckOptions(options));
  SLUICE_ASSIGN(const Planes planes, FindPlanes(path));
  EngineOptions engine_options = options.engine;
  if (engine_options.context == 0) engine_options.context = kWindow;
  // Layers are run out of order: what comes next cannot be guessed.
  engine_options.predictor = "none";
  engine_options.predictor_file.clear();
  SLUICE_ASSIGN(const auto engine,
                LoadBesideStates(path, planes.config, engine_options));
  const std::vector<TokenId> tokens =
      engine->tokenizer().Encode(text, {.add_special = false});
  const std::size_t window = engine->plan().context;
  if (tokens.size() < 2 * window + 2) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("the text has {} tokens, and three windows of {} "
                            "are the least: one shows which experts matter, "
                            "two how sure their loss is; give a longer text or "
                            "a smaller context",
                            tokens.size(), window));
  }
  if (options.on_open) options.on_open(engine->mode());
  SLUICE_ASSIGN(WindowRunner runner, WindowRunner::Create(*engine, window));
  Calibrator calibrator(*engine, std::move(runner), planes.model, options);
  SLUICE_ASSIGN(CalibrationReport report, calibrator.Run(tokens));
  const double base = static_cast<double>(planes.base_bytes) /
                      static_cast<double>(planes.full_bytes);
  report.bytes_share = 1 - report.low_uses_share * (1 - base);
  return report;
}

}  // namespace sluice
