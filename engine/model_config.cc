#include "engine/model_config.h"

#include <cmath>
#include <optional>
#include <string_view>

#include <fmt/format.h>

namespace sluice {
namespace {

using storage::GgufFile;
using storage::GgufValue;

constexpr std::string_view kSmallThinker = "smallthinker";
constexpr std::uint32_t kMostHeadDim = 512;
// Of four layers of a SmallThinker model with windows, the first has none.
constexpr std::uint32_t kSmallThinkerPeriod = 4;

// Reads keys of one architecture ("qwen3moe.block_count") with their ranges.
// The first failure is kept; later reads give zero.
class KeyReader {
 public:
  KeyReader(const GgufFile& gguf, std::string prefix)
      : gguf_(gguf), prefix_(std::move(prefix)) {}

  std::uint32_t Uint(std::string_view key, std::uint32_t low,
                     std::uint32_t high,
                     std::optional<std::uint32_t> fallback = std::nullopt) {
    const GgufValue* value = Find(key);
    if (value == nullptr && fallback) return *fallback;
    const auto number = value ? value->AsUint() : std::nullopt;
    if (!number) {
      Miss(key, "a whole number");
      return low;
    }
    if (*number < low || *number > high) {
      Refuse(fmt::format("{}{} is {}, outside {} to {}", prefix_, key, *number,
                         low, high));
      return low;
    }
    return static_cast<std::uint32_t>(*number);
  }

  double Float(std::string_view key, std::optional<double> fallback) {
    const GgufValue* value = Find(key);
    if (value == nullptr && fallback) return *fallback;
    const auto number = value ? value->AsFloat() : std::nullopt;
    if (!number) {
      Miss(key, "a number");
      return 1.0;
    }
    if (!std::isfinite(*number) || *number <= 0) {
      Refuse(fmt::format("{}{} is {}, not a positive number", prefix_, key,
                         *number));
      return 1.0;
    }
    return *number;
  }

  void Refuse(std::string_view what) {
    Keep(ErrorCode::kCorrupt,
         fmt::format("{}; the file is damaged or was converted wrongly", what));
  }
  void Unsupported(std::string_view key, std::string_view value,
                   std::string_view cure) {
    Keep(ErrorCode::kUnsupported, fmt::format("{}{} {} is not supported; {}",
                                              prefix_, key, value, cure));
  }

  const std::optional<Error>& error() const { return error_; }

 private:
  const GgufValue* Find(std::string_view key) const {
    return gguf_.Find(fmt::format("{}{}", prefix_, key));
  }
  void Keep(ErrorCode code, std::string_view what) {
    if (error_) return;
    error_ = Error{code, fmt::format("{}: {}", gguf_.paths()[0], what)};
  }
  void Miss(std::string_view key, std::string_view wanted) {
    Refuse(fmt::format("metadata key {}{} is missing or not {}", prefix_, key,
                       wanted));
  }

  const GgufFile& gguf_;
  const std::string prefix_;
  std::optional<Error> error_;
};

std::string StringOr(const GgufFile& gguf, std::string_view key,
                     std::string_view fallback) {
  const GgufValue* value = gguf.Find(key);
  const auto text = value ? value->AsString() : std::nullopt;
  return std::string(text.value_or(fallback));
}

Result<std::string> Architecture(const GgufFile& gguf) {
  std::string name = StringOr(gguf, "general.architecture", "");
  if (name.empty()) {
    return Fail(ErrorCode::kCorrupt,
                fmt::format("{}: metadata key general.architecture is missing; "
                            "this is not a language model",
                            gguf.paths()[0]));
  }
  if (name != "qwen3moe" && name != kSmallThinker) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("{}: architecture '{}' is not supported; use a "
                            "qwen3moe or smallthinker model",
                            gguf.paths()[0], name));
  }
  return name;
}

Result<void> CheckRope(const GgufFile& gguf, const std::string& prefix) {
  const std::string scaling =
      StringOr(gguf, prefix + "rope.scaling.type", "none");
  if (scaling == "none") return {};
  return Fail(
      ErrorCode::kUnsupported,
      fmt::format("{}: {}rope.scaling.type '{}' is not supported; use a "
                  "file without rope scaling",
                  gguf.paths()[0], prefix, scaling));
}

// What SmallThinker's layers have of their own (Song et al. 2025). The values
// of expert_gating_func are GGUF's: 1 softmax, 2 sigmoid.
void ReadSmallThinker(KeyReader& keys, ModelConfig& config) {
  constexpr std::string_view kConvertAgain =
      "convert the model again with a current converter";
  config.activation = Activation::kRelu;
  config.router_input = RouterInput::kLayerInput;
  config.head_norms = false;
  const std::uint32_t gating = keys.Uint("expert_gating_func", 0, 255);
  if (gating != 1 && gating != 2) {
    keys.Unsupported("expert_gating_func", fmt::format("{}", gating),
                     kConvertAgain);
  }
  config.gating = gating == 1 ? Gating::kSoftmax : Gating::kSigmoid;

  config.window = keys.Uint("attention.sliding_window", 0, 1U << 30, 0);
  if (config.window == 0) return;
  config.global_period = kSmallThinkerPeriod;
  const std::uint32_t period = keys.Uint("attention.sliding_window_pattern", 0,
                                         1024, kSmallThinkerPeriod);
  if (period != kSmallThinkerPeriod) {
    keys.Unsupported("attention.sliding_window_pattern",
                     fmt::format("{}", period), kConvertAgain);
  }
  const double base = keys.Float("rope.freq_base_swa", config.rope_base);
  if (base != config.rope_base) {
    keys.Unsupported("rope.freq_base_swa", fmt::format("{:g}", base),
                     "use a model with one rope base");
  }
}

void CheckRelations(const ModelConfig& config, std::uint32_t value_length,
                    std::uint32_t rope_dims, KeyReader& keys) {
  if (config.heads % config.kv_heads != 0) {
    keys.Refuse(fmt::format("{} query heads are not a multiple of {} K/V heads",
                            config.heads, config.kv_heads));
  }
  // Where no key says them, they follow from others and are any number.
  if (config.head_dim % 16 != 0 || config.head_dim < 16 ||
      config.head_dim > kMostHeadDim || value_length != config.head_dim ||
      rope_dims != config.head_dim) {
    keys.Refuse(
        fmt::format("key length {}, value length {} and rope dimensions "
                    "{} must be one multiple of 16, at most {}",
                    config.head_dim, value_length, rope_dims, kMostHeadDim));
  }
  if (config.experts_used > config.experts) {
    keys.Refuse(fmt::format("{} experts used of {}", config.experts_used,
                            config.experts));
  }
}

}  // namespace

Result<ModelConfig> ReadModelConfig(const GgufFile& gguf) {
  ModelConfig config;
  SLUICE_ASSIGN(config.architecture, Architecture(gguf));
  config.name = StringOr(gguf, "general.name", "");
  const std::string prefix = config.architecture + ".";
  SLUICE_TRY(CheckRope(gguf, prefix));

  KeyReader keys(gguf, prefix);
  config.layers = keys.Uint("block_count", 1, 1024);
  config.embedding = keys.Uint("embedding_length", 16, 1U << 17);
  config.heads = keys.Uint("attention.head_count", 1, 1024);
  config.kv_heads = keys.Uint("attention.head_count_kv", 1, 1024, config.heads);
  config.head_dim = keys.Uint("attention.key_length", 16, kMostHeadDim,
                              config.embedding / config.heads);
  const std::uint32_t value_length =
      keys.Uint("attention.value_length", 16, kMostHeadDim, config.head_dim);
  const std::uint32_t rope_dims =
      keys.Uint("rope.dimension_count", 1, kMostHeadDim, config.head_dim);
  config.experts = keys.Uint("expert_count", 1, 4096);
  config.experts_used = keys.Uint("expert_used_count", 1, 256);
  config.expert_ff = keys.Uint("expert_feed_forward_length", 1, 1U << 17);
  config.context = keys.Uint("context_length", 1, 1U << 30);
  config.rms_epsilon = static_cast<float>(
      keys.Float("attention.layer_norm_rms_epsilon", std::nullopt));
  config.rope_base = keys.Float("rope.freq_base", 10000.0);
  if (config.architecture == kSmallThinker) ReadSmallThinker(keys, config);

  const storage::GgufTensor* embedding = gguf.FindTensor("token_embd.weight");
  if (embedding == nullptr) {
    keys.Refuse("tensor token_embd.weight is missing");
  } else if (embedding->ne[1] > (1U << 24)) {
    keys.Refuse("tensor token_embd.weight has too many rows");
  } else {
    config.vocabulary = static_cast<std::uint32_t>(embedding->ne[1]);
  }
  CheckRelations(config, value_length, rope_dims, keys);
  if (keys.error()) return tl::unexpected<Error>(*keys.error());
  return config;
}

}  // namespace sluice
