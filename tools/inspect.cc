// `sluice inspect`: what a model file holds; reads nothing but its header.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/size_text.h"
#include "tools/commands.h"
#include "tools/engine_flags.h"
#include "tools/files.h"
#include "tools/flag_values.h"
#include "tools/report.h"
#include "tools/table.h"

namespace sluice::tools {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  sluice inspect model.gguf\n"
    "  sluice inspect model.gguf --tensors | grep ffn\n"
    "  sluice inspect model.gguf --json | jq .expert_bytes";

// Longer values are cut in the table; --json has them whole.
constexpr std::size_t kMetadataWidth = 60;

struct InspectFlags {
  std::string model;
  bool tensors = false;
  bool json = false;
};

struct TypeTotal {
  std::size_t tensors = 0;
  std::uint64_t bytes = 0;
};

std::map<std::string, TypeTotal> TotalsByType(const ModelReport& report) {
  std::map<std::string, TypeTotal> totals;
  for (const TensorSummary& tensor : report.tensors) {
    TypeTotal& total = totals[tensor.type];
    ++total.tensors;
    total.bytes += tensor.bytes;
  }
  return totals;
}

std::string SummaryText(const ModelReport& report) {
  Table table("ll");
  const auto number = [](std::uint64_t n) { return fmt::format("{}", n); };
  table.AddRow({"architecture", report.architecture});
  if (!report.name.empty()) table.AddRow({"name", report.name});
  table.AddRow({"container", report.container});
  table.AddRow({"layers", number(report.layers)});
  table.AddRow({"embedding", number(report.embedding)});
  table.AddRow({"heads", fmt::format("{} ({} for K/V) of {}", report.heads,
                                     report.kv_heads, report.head_dim)});
  table.AddRow({"experts", fmt::format("{} per layer, {} used, {} neurons each",
                                       report.experts, report.experts_used,
                                       report.expert_ff)});
  table.AddRow({"routing", report.routes_before_attention ? "before attention"
                                                          : "after attention"});
  if (report.sliding_window != 0) {
    table.AddRow(
        {"window",
         fmt::format("{} tokens in {} of {} layers", report.sliding_window,
                     report.windowed_layers, report.layers)});
  }
  table.AddRow({"vocabulary", number(report.vocabulary)});
  table.AddRow({"context", number(report.context)});
  table.AddRow({"file", FormatSize(report.file_bytes)});
  table.AddRow({"dense weights", FormatSize(report.dense_bytes)});
  table.AddRow(
      {"expert weights",
       fmt::format("{}, {} per expert at most", FormatSize(report.expert_bytes),
                   FormatSize(report.bytes_per_expert))});
  return table.Text();
}

std::string TypesText(const ModelReport& report) {
  Table table("lrr");
  table.AddRow({"type", "tensors", "size"});
  for (const auto& [type, total] : TotalsByType(report)) {
    table.AddRow(
        {type, fmt::format("{}", total.tensors), FormatSize(total.bytes)});
  }
  return table.Text();
}

std::string MetadataText(const ModelReport& report) {
  Table table("ll");
  for (const auto& [key, value] : report.metadata) {
    const bool cut = value.size() > kMetadataWidth;
    table.AddRow({key, cut ? value.substr(0, kMetadataWidth) + "..." : value});
  }
  return table.Text();
}

std::string TensorsText(const ModelReport& report) {
  Table table("llrrr");
  table.AddRow({"tensor", "type", "shape", "size", "offset"});
  for (const TensorSummary& tensor : report.tensors) {
    table.AddRow({tensor.name, tensor.type,
                  fmt::format("{}", fmt::join(tensor.shape, " x ")),
                  FormatSize(tensor.bytes), fmt::format("{}", tensor.offset)});
  }
  return table.Text();
}

nlohmann::ordered_json TensorsJson(const ModelReport& report) {
  nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
  for (const TensorSummary& tensor : report.tensors) {
    tensors.push_back({{"name", tensor.name},
                       {"type", tensor.type},
                       {"shape", tensor.shape},
                       {"bytes", tensor.bytes},
                       {"file", tensor.file},
                       {"offset", tensor.offset}});
  }
  return tensors;
}

std::string JsonReport(const ModelReport& report) {
  nlohmann::ordered_json json = {
      {"architecture", report.architecture},
      {"name", report.name},
      {"container", report.container},
      {"layers", report.layers},
      {"embedding", report.embedding},
      {"heads", report.heads},
      {"kv_heads", report.kv_heads},
      {"head_dim", report.head_dim},
      {"experts", report.experts},
      {"experts_used", report.experts_used},
      {"expert_ff", report.expert_ff},
      {"vocabulary", report.vocabulary},
      {"context", report.context},
      {"routes_before_attention", report.routes_before_attention},
      {"sliding_window", report.sliding_window},
      {"windowed_layers", report.windowed_layers},
      {"file_bytes", report.file_bytes},
      {"dense_bytes", report.dense_bytes},
      {"expert_bytes", report.expert_bytes},
      {"bytes_per_expert", report.bytes_per_expert},
  };
  for (const auto& [type, total] : TotalsByType(report)) {
    json["types"][type] = {{"tensors", total.tensors}, {"bytes", total.bytes}};
  }
  json["metadata"] = nlohmann::ordered_json::object();
  for (const auto& [key, value] : report.metadata) {
    json["metadata"][key] = value;
  }
  json["tensors"] = TensorsJson(report);
  return Dump(json);
}

Result<ExitCode> Inspect(const InspectFlags& flags) {
  SLUICE_ASSIGN(const ModelReport report, InspectModel(flags.model));
  std::string text;
  if (flags.json) {
    text = JsonReport(report);
  } else if (flags.tensors) {
    text = TensorsText(report);
  } else {
    text = SummaryText(report) + "\n" + TypesText(report) + "\n" +
           MetadataText(report);
  }
  SLUICE_TRY(WriteStdout(text));
  return ExitCode::kOk;
}

}  // namespace

Command AddInspect(CLI::App& parent) {
  CLI::App* app =
      parent.add_subcommand("inspect", "Show what a model file holds");
  auto flags = std::make_shared<InspectFlags>();
  AddModel(*app, &flags->model);
  AddSwitch(*app, {"--tensors", "", "list every tensor instead of the summary"},
            &flags->tensors);
  AddSwitch(*app, {"--json", "", "print everything as one JSON object"},
            &flags->json);
  app->footer(kFooter);
  return {app, [flags] { return Inspect(*flags); }};
}

}  // namespace sluice::tools
