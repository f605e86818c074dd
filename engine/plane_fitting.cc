#include "engine/plane_fitting.h"

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "engine/cpu_quota.h"
#include "engine/products.h"
#include "engine/thread_pool.h"
#include "kernels/planes.h"
#include "kernels/rows8.h"
#include "storage/tensor_type.h"

namespace sluice {

storage::PlaneFitter MakePlaneFitter(
    std::shared_ptr<const ColumnImportance> importance) {
  const kernels::KernelTable& table =
      *kernels::AvailableTables(kernels::DetectCpuFeatures()).front();
  auto pool = std::make_shared<ThreadPool>(DefaultThreads());
  return [&table, pool = std::move(pool),
          importance = std::move(importance)](const storage::PlaneJob& job) {
    std::vector<float> columns;
    if (importance) columns = importance->Of(job.id, job.part);
    const std::size_t row_bytes = job.rows.size() / job.row_count;
    const std::size_t blocks = job.columns / kernels::kPlaneBlock;
    const std::size_t base_bytes =
        kernels::kRows8 * blocks * kernels::kPlane2Bytes;
    const std::size_t residual_bytes =
        kernels::kRows8 * blocks * kernels::kResidual2Bytes;
    pool->For(job.row_count / kernels::kRows8, [&](std::size_t group) {
      kernels::FitPlanes(
          table, {.type = KernelType(job.type),
                  .rows = job.rows.data() + group * kernels::kRows8 * row_bytes,
                  .row_bytes = row_bytes,
                  .columns = job.columns,
                  .importance = columns.empty() ? nullptr : columns.data(),
                  .base = job.base + group * base_bytes,
                  .residual = job.residual + group * residual_bytes});
    });
  };
}

}  // namespace sluice
