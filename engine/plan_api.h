// Planning on the machine at hand: what PlanModel says, with the speeds of this
// machine in place of nominal ones and the routing of a recorded trace in place
// of a model of it.
//
// Part of the library's public interface, beside engine/sluice.h.
//
// Thread safety: free functions, may be called from any thread; those that
// measure at the same time measure each other.
#ifndef SLUICE_ENGINE_PLAN_API_H_
#define SLUICE_ENGINE_PLAN_API_H_

#include <string>

#include "engine/routing_trace.h"
#include "engine/sluice.h"

namespace sluice {

struct PlanBasis {
  // Measure what the model's token needs, within the plan's ceiling and one
  // or two seconds: the memory's bandwidth with the engine's threads, how fast
  // they multiply weights out of it and, where EngineOptions::probe_flash says
  // so, the model streams and its file can be read directly, the flash; a
  // container's in the shape of reads that `PATH.probe` remembers, or
  // Engine::Open would choose. What is not measured stays nominal.
  bool measure = false;
  // Routing to replay through the planned policy and slots; null: none.
  const RoutingTrace* trace = nullptr;
  std::string trace_name = {};  // for messages
};

// Returns: as PlanModel; kInvalidArgument (the trace is of a model of another
// shape, or has no decoded tokens; an instruction set that is not there).
Result<PlanReport> PlanModel(const std::string& path,
                             const EngineOptions& options,
                             const PlanBasis& basis);

}  // namespace sluice

#endif  // SLUICE_ENGINE_PLAN_API_H_
