// MoeLayer: the second half of a layer. A router picks experts_used experts for
// each token, each expert is a SwiGLU or ReGLU block, and their outputs are
// summed with the router's weights (Shazeer et al. 2017; softmax over all
// experts or sigmoid of each, top-k, normalised over the k, as in Qwen3 and
// SmallThinker). Routing is a step of its own: a router that reads the layer's
// input has its experts read while attention runs.
//
// A chunk's tokens are grouped by expert: row r of the group buffers is one
// (token, rank) pair, and an expert's rows are contiguous, so that each expert
// is read and used once. Rows are summed per token in rank order, so the result
// does not depend on the order in which experts arrive.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_MOE_LAYER_H_
#define SLUICE_ENGINE_MOE_LAYER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "engine/expert_source.h"
#include "engine/model_config.h"
#include "engine/products.h"
#include "engine/weights.h"
#include "engine/workspace.h"

namespace sluice {

class MoeLayer {
 public:
  // All arguments must outlive the layer.
  MoeLayer(const Compute& compute, const ModelConfig& config,
           ExpertSource& source, Workspace& work);

  // Picks the experts of `tokens` tokens from the router's `input`
  // [tokens, embedding] and starts what reads they need. The choice stays in
  // the workspace until Run, which may come much later.
  // Returns: kIo from the source.
  Result<void> Route(const LayerWeights& weights, std::uint16_t layer,
                     std::size_t tokens, std::span<const float> input);

  // Tells the source what the layers to come, of which `layer` is the first and
  // `next` are the weights, will probably ask for: for `tokens` tokens from the
  // chunk's `first` on. Call between Route and Run. REQUIRES: `next` not empty.
  void LookAhead(std::span<const LayerWeights> next, std::uint16_t layer,
                 std::size_t first, std::size_t tokens);

  // work.x += experts(work.normed) for the tokens of the last Route.
  // REQUIRES: Route; work.normed = norm(work.x).
  // Returns: kIo, kCorrupt, kInternal from the source.
  Result<void> Run(std::size_t tokens);

  // Pairs of a token and an expert that were computed from the base plane of
  // nested weights alone.
  std::uint64_t base_uses() const { return base_uses_; }

  // Called with each layer's ids and weights, [tokens, K] by rank, when they
  // are known; may be empty.
  using RouteObserver =
      std::function<void(std::uint16_t layer, std::span<const std::uint16_t>,
                         std::span<const float>)>;
  void ObserveRoutes(RouteObserver observer) {
    observer_ = std::move(observer);
  }

  // Called for each token of each expert, on the session's thread: what gate
  // and up were multiplied with, and what down was; may be empty.
  using InputObserver =
      std::function<void(ExpertId id, std::span<const float> input,
                         std::span<const float> hidden)>;
  void ObserveInputs(InputObserver observer) {
    input_observer_ = std::move(observer);
  }

 private:
  // The rows of one distinct expert of the chunk.
  struct Group {
    std::uint32_t begin = 0;
    std::uint32_t count = 0;
  };

  // How an expert's matrices take their inputs; equal for a layer's experts.
  struct InputLayout {
    ActivationView gate;  // of the chunk's tokens, before gathering
    ActivationView up;
    bool shared = false;     // one record serves both
    std::size_t stride = 0;  // bytes per gathered row
  };

  void RouteToken(std::size_t t);
  void GroupByExpert(std::size_t tokens);
  std::span<float> ScoresAhead(std::span<const LayerWeights> next,
                               std::size_t first, std::size_t tokens,
                               std::size_t sampled);
  Result<void> RunWave(std::span<const ReadyExpert> wave, std::size_t tokens);
  void Gather(std::span<const ReadyExpert> wave, const InputLayout& layout);
  void GateAndUp(std::span<const ReadyExpert> wave, const InputLayout& layout,
                 bool gathered);
  void ActivateAndDown(std::span<const ReadyExpert> wave);
  void ShowInputs(std::span<const ReadyExpert> wave) const;
  // Whether the expert of the (token, rank) pair `i` was given.
  bool Given(std::size_t i) const {
    return given_[group_of_[work_.routed[i]]] != 0;
  }
  void Combine(std::size_t tokens);

  const Compute& compute_;
  const ModelConfig& config_;
  ExpertSource& source_;
  Workspace& work_;
  RouteObserver observer_;
  InputObserver input_observer_;
  std::uint16_t layer_ = 0;  // of the last Route
  std::uint64_t base_uses_ = 0;

  // The distinct experts of the current chunk and their rows, same order.
  std::vector<std::uint16_t> experts_;
  std::vector<Group> groups_;
  std::vector<std::uint32_t> group_of_;  // [experts], kNone when not routed
  std::vector<std::uint8_t> given_;      // [groups] whether a wave had it
  std::vector<Product> products_;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_MOE_LAYER_H_
