// BenchReport: what `sluice bench` says of its repetitions: medians with the
// least and the most, where the time went, the bounds and the plan.
//
// Thread safety: thread-compatible; nothing else may use the model meanwhile.
#ifndef SLUICE_TOOLS_BENCH_REPORT_H_
#define SLUICE_TOOLS_BENCH_REPORT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "engine/sluice.h"
#include "tools/bounds.h"
#include "tools/open_model.h"
#include "tools/report.h"

namespace sluice::tools {

// Of one repetition.
struct BenchWork {
  std::size_t prompt_tokens = 128;
  std::size_t gen_tokens = 64;  // decoded after the prompt's
};

struct BenchRun {
  Timings timings;
  Bounds bounds;  // by what the machine allowed around this repetition
};

struct BenchReport {
  std::string name;  // of the model
  BenchWork work;
  const PlanReport& plan;  // made before the model was loaded
  const OpenModel& model;
  const std::vector<BenchRun>& runs;

  std::string Text() const;  // for people
  std::string Json() const;  // one object
};

}  // namespace sluice::tools

#endif  // SLUICE_TOOLS_BENCH_REPORT_H_
