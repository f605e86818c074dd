// Predictor: which experts the router will ask for next.
//
// A predictor is told what the router asked for and, if it wants them, scores
// of layers to come; it answers with ranked guesses. It knows experts by number
// alone: nothing of bytes, slots or devices. Guesses are never right or wrong
// for the output, only for the time it takes.
//
// The engine calls, for each token and in the order of the layers,
//
//   ObserveScores(l, d, scores)   where WantsScores(d): at layer l - d
//   Predict(l, guesses)           at any time, any number of times, or never
//   Observe(l, routed)            when the router of layer l has spoken
//
// and for a chunk of T tokens, Observe(l, ...) T times, in token order, before
// it goes on to layer l + 1.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_PREDICTOR_PREDICTOR_H_
#define SLUICE_PREDICTOR_PREDICTOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "predictor/router_shape.h"
#include "predictor/transition_table.h"

namespace sluice {

// An expert of the layer that was asked about.
struct Guess {
  std::uint16_t expert = 0;
  // The probability that the router asks for it, as measured: how often guesses
  // as sure as this one were right lately. 0 to 1.
  float confidence = 0;
};

class Predictor {
 public:
  virtual ~Predictor() = default;

  // As PredictorName.
  virtual std::string_view name() const = 0;
  // The tokens to come have nothing to do with those before.
  virtual void BeginSequence() = 0;
  // Whether scores of the layer `distance` after the current one are of use; a
  // distance of 0 means that the router of a layer is known before the layer
  // begins.
  virtual bool WantsScores(std::size_t /*distance*/) const { return false; }
  // What the router of `layer` gives for the hidden state of the layer
  // `distance` before it, with its own norm: [experts], positive, larger for
  // what is likelier. The nearest layer's scores are those that count.
  virtual void ObserveScores(std::uint16_t /*layer*/, std::size_t /*distance*/,
                             std::span<const float> /*scores*/) {}
  // The router of `layer` asks for `routed`, for one token, best first.
  virtual void Observe(std::uint16_t layer,
                       std::span<const std::uint16_t> routed) = 0;
  // Replaces `guesses` by distinct experts of `layer` for the next Observe of
  // it, most confident first; none when there is nothing to go by.
  virtual void Predict(std::uint16_t layer, std::vector<Guess>& guesses) = 0;
};

enum class PredictorKind {
  kNone,
  kExact,       // scores of the layer's own router, known before the layer
  kNextLayer,   // the next layers' routers on this layer's hidden state
  kPrevious,    // what the token before asked for
  kFrequency,   // what this sequence asks for often
  kTransition,  // what follows the layer before's experts; a learned table
};

// "none", "exact", "next-layer", "previous", "frequency",
// "transition".
std::string_view PredictorName(PredictorKind kind);
// Nothing when no kind has that name.
std::optional<PredictorKind> ParsePredictor(std::string_view name);
// The names of all kinds, in the order of PredictorKind.
std::span<const std::string_view> PredictorNames();

struct PredictorOptions {
  // kNextLayer: how many layers ahead scores are wanted. At least 1.
  std::size_t lookahead = 1;
  // kTransition: what it goes by; of the same shape.
  std::optional<TransitionTable> table = std::nullopt;
};

// Null for kNone.
// REQUIRES: shape's sizes are not zero, layers and experts are at most 65536;
// kTransition has a table.
std::unique_ptr<Predictor> MakePredictor(PredictorKind kind,
                                         const RouterShape& shape,
                                         PredictorOptions options);

}  // namespace sluice

#endif  // SLUICE_PREDICTOR_PREDICTOR_H_
