// How good predictors were, as a table and as JSON.
//
// Thread safety: free functions, may be called from any thread.
#ifndef SLUICE_TOOLS_PREDICTOR_TABLE_H_
#define SLUICE_TOOLS_PREDICTOR_TABLE_H_

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "engine/predictor_report.h"

namespace sluice::tools {

// A line for each predictor: how often it guessed, recall at k / 2, k, 2 k and
// 4 k guesses, precision of the first k ranks, calibration error; in percent.
// REQUIRES: the reports are of one model.
std::string PredictorTable(std::span<const PredictorReport> reports);

nlohmann::ordered_json PredictorJson(const PredictorReport& report);

}  // namespace sluice::tools

#endif  // SLUICE_TOOLS_PREDICTOR_TABLE_H_
