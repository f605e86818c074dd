#include "engine/predictor_report.h"

#include "predictor/predictor_score.h"

namespace sluice {

PredictorReport DescribeScore(std::string_view name,
                              const PredictorScore& score) {
  PredictorReport report = {.name = std::string(name),
                            .experts_used = score.shape().experts_used,
                            .coverage = score.coverage(),
                            .recall = {},
                            .precision = {},
                            .calibration_error = score.CalibrationError()};
  for (std::size_t i = 0; i < score.shape().guesses(); ++i) {
    report.recall.push_back(score.RecallAt(i + 1));
    report.precision.push_back(score.PrecisionAt(i));
  }
  return report;
}

}  // namespace sluice
