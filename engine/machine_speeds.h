// MachineSpeeds, measured: what a plan's tokens per second rest on, before
// anything is loaded.
//
// Thread safety: as engine/plan_api.h.
#ifndef SLUICE_ENGINE_MACHINE_SPEEDS_H_
#define SLUICE_ENGINE_MACHINE_SPEEDS_H_

#include <string>

#include "engine/model_file.h"
#include "engine/sluice.h"
#include "storage/result.h"

namespace sluice {

// As PlanBasis::measure says, for the model at `path`, in memory that `plan`
// has for experts. Flash that cannot be measured stays nominal.
// Returns: kInvalidArgument (an instruction set that is not there), kNoMemory.
Result<MachineSpeeds> MeasureSpeeds(const std::string& path,
                                    const ModelFile& model,
                                    const PlanReport& plan,
                                    const EngineOptions& options);

}  // namespace sluice

#endif  // SLUICE_ENGINE_MACHINE_SPEEDS_H_
