// ScorePredictors: how good predictors are on recorded routing, without a
// model.
//
// Part of the library's public interface, beside engine/routing_trace.h.
//
// Thread safety: a function; may be called from any thread.
#ifndef SLUICE_ENGINE_PREDICTOR_REPLAY_H_
#define SLUICE_ENGINE_PREDICTOR_REPLAY_H_

#include <string_view>
#include <vector>

#include "engine/predictor_report.h"
#include "engine/routing_trace.h"
#include "storage/result.h"

namespace sluice {

// Lets the predictor called `name`, or all that need no model when it is "all",
// guess the second half of the trace's tokens, one token after the other, the
// prompt's too. Predictors begin knowing nothing; the table of "transition" is
// learned from the first half. "exact" is told what comes, as the control that
// is always right.
// Returns: kInvalidArgument (no such predictor, one that needs a model, fewer
// than four tokens), kUnsupported (too many experts for a table).
Result<std::vector<PredictorReport>> ScorePredictors(const RoutingTrace& trace,
                                                     std::string_view name);

}  // namespace sluice

#endif  // SLUICE_ENGINE_PREDICTOR_REPLAY_H_
