// PredictorReport: how good the guesses of a predictor were.
//
// Part of the library's public interface, beside engine/sluice.h.
//
// Thread safety: values and free functions.
#ifndef SLUICE_ENGINE_PREDICTOR_REPORT_H_
#define SLUICE_ENGINE_PREDICTOR_REPORT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

class PredictorScore;  // internal

struct PredictorReport {
  std::string name;
  std::size_t experts_used = 0;  // the k of a token
  // Of the times that a router spoke, the share for which there were guesses.
  // The rest is about these.
  double coverage = 0;
  // Of the experts asked for, the share among the first i + 1 guesses.
  std::vector<double> recall;
  // Of the guesses of rank i, from 0, the share that was asked for.
  std::vector<double> precision;
  // The mean distance between the confidence of guesses and the share of them
  // that was asked for (expected calibration error).
  double calibration_error = 0;
};

PredictorReport DescribeScore(std::string_view name,
                              const PredictorScore& score);

}  // namespace sluice

#endif  // SLUICE_ENGINE_PREDICTOR_REPORT_H_
