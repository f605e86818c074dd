// PredictorTrainer: learns the table of the predictor "transition" from the
// routing of a text.
//
// Part of the library's public interface, beside engine/sluice.h:
//
//   auto model = sluice::InspectModel(path);
//   auto trainer = sluice::PredictorTrainer::Create(*model);
//   options.on_route = [&](const sluice::RoutedChunk& chunk) {
//     trainer->Observe(chunk);
//   };
//   // open an engine with `options`, run text through it (as prompts, with
//   // GenerateRequest::whole_prompt), then
//   trainer->BeginScoring();
//   // run more text through it, then
//   std::string file = trainer->File();
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_PREDICTOR_TRAINING_H_
#define SLUICE_ENGINE_PREDICTOR_TRAINING_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "engine/predictor_report.h"
#include "engine/routing_trace.h"
#include "engine/sluice.h"

namespace sluice {

class PredictorTrainer {
 public:
  // Returns: kUnsupported (a model with too many experts for a table).
  static Result<PredictorTrainer> Create(const ModelReport& model);
  PredictorTrainer(PredictorTrainer&&) noexcept;
  PredictorTrainer& operator=(PredictorTrainer&&) noexcept;
  ~PredictorTrainer();

  // At most as many bytes as the trainer and the file take.
  std::uint64_t memory_bytes() const;
  // The routing of a chunk at a layer, in the order of the engine. Position 0
  // begins a text.
  void Observe(const RoutedChunk& chunk);
  // From now on nothing is learned: what is observed shows how good the table
  // is, beside a control that knows popularity alone.
  void BeginScoring();

  std::size_t tokens() const;         // learned from
  std::size_t scored_tokens() const;  // since BeginScoring
  // REQUIRES: BeginScoring.
  PredictorReport report() const;
  PredictorReport control() const;
  std::string File() const;

 private:
  struct State;
  explicit PredictorTrainer(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_PREDICTOR_TRAINING_H_
