// Making the predictor that the options name.
//
// Thread safety: free functions, may be called from any thread.
#ifndef SLUICE_ENGINE_OPEN_PREDICTOR_H_
#define SLUICE_ENGINE_OPEN_PREDICTOR_H_

#include <memory>
#include <optional>
#include <string>

#include "engine/sluice.h"
#include "predictor/scored_predictor.h"
#include "predictor/transition_table.h"

namespace sluice {

// The predictor's part of EngineOptions::Validate.
// Returns: kInvalidArgument.
Result<void> ValidatePredictor(const EngineOptions& options);

// Whether the options name the one predictor whose guesses are worth reading
// (bench/LEARNED.md, 55 and 60).
bool GuessesNextLayer(const EngineOptions& options);

// The table in the file that the options name; none when they name none.
// Returns: as ReadPredictorFile.
Result<std::optional<TransitionTable>> LoadPredictorTable(
    const EngineOptions& options);

// The predictor for routers of `shape`; null for "none".
// REQUIRES: valid options, and the table that they name.
// Returns: kInvalidArgument (the table is of another shape).
Result<std::unique_ptr<ScoredPredictor>> OpenPredictor(
    const EngineOptions& options, std::optional<TransitionTable> table,
    const RouterShape& shape);

}  // namespace sluice

#endif  // SLUICE_ENGINE_OPEN_PREDICTOR_H_
