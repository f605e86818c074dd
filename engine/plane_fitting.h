// Nested weights for a repack: fits planes (kernels/planes.h) to the experts'
// rows, on all threads and with the best instruction set.
//
// Thread safety: the result is used by one thread at a time.
#ifndef SLUICE_ENGINE_PLANE_FITTING_H_
#define SLUICE_ENGINE_PLANE_FITTING_H_

#include <memory>

#include "engine/column_importance.h"
#include "storage/plane_record.h"

namespace sluice {

// `importance` says which columns count for more; null: all alike.
storage::PlaneFitter MakePlaneFitter(
    std::shared_ptr<const ColumnImportance> importance);

}  // namespace sluice

#endif  // SLUICE_ENGINE_PLANE_FITTING_H_
