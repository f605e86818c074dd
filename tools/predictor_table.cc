#include "tools/predictor_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <vector>

#include "tools/table.h"

namespace sluice::tools {
namespace {

std::string Percent(double share) { return fmt::format("{:.1f}", 100 * share); }

// k / 2, k, 2 k and 4 k, as far as there are so many guesses.
std::vector<std::size_t> Depths(const PredictorReport& report) {
  const std::size_t k = report.experts_used;
  std::vector<std::size_t> depths;
  for (const std::size_t depth : {k / 2, k, 2 * k, 4 * k}) {
    if (depth > 0 && depth <= report.recall.size()) depths.push_back(depth);
  }
  return depths;
}

std::string PrecisionText(const PredictorReport& report) {
  std::string text;
  const std::size_t ranks =
      std::min(report.experts_used, report.precision.size());
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    text += fmt::format("{}{:.0f}", rank == 0 ? "" : " ",
                        100 * report.precision[rank]);
  }
  return text;
}

}  // namespace

std::string PredictorTable(std::span<const PredictorReport> reports) {
  if (reports.empty()) return {};
  const std::vector<std::size_t> depths = Depths(reports.front());
  Table table("lr" + std::string(depths.size(), 'r') + "lr");
  std::vector<std::string> head = {"predictor", "guesses %"};
  for (const std::size_t depth : depths) {
    head.push_back(fmt::format("recall@{}", depth));
  }
  head.insert(head.end(), {"precision by rank", "off by"});
  table.AddRow(head);
  for (const PredictorReport& report : reports) {
    std::vector<std::string> row = {report.name, Percent(report.coverage)};
    for (const std::size_t depth : depths) {
      row.push_back(Percent(report.recall[depth - 1]));
    }
    row.insert(row.end(),
               {PrecisionText(report), Percent(report.calibration_error)});
    table.AddRow(row);
  }
  return table.Text();
}

nlohmann::ordered_json PredictorJson(const PredictorReport& report) {
  return {{"name", report.name},
          {"experts_used", report.experts_used},
          {"coverage", report.coverage},
          {"recall", report.recall},
          {"precision", report.precision},
          {"calibration_error", report.calibration_error}};
}

}  // namespace sluice::tools
