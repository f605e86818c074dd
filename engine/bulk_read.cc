#include "engine/bulk_read.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kInFlight = 4;

}  // namespace

Result<void> ReadInFileOrder(
    storage::ReadDevice& device, std::vector<storage::ReadRequest> requests,
    const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  std::ranges::sort(requests, {}, [](const storage::ReadRequest& request) {
    return std::pair(request.file, request.offset);
  });
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].tag = i;
    total += requests[i].length;
  }
  std::uint64_t done = 0;
  std::size_t next = 0;
  std::optional<Error> error;
  std::vector<storage::ReadCompletion> completions;
  while (true) {
    while (!error && next < requests.size() && device.in_flight() < kInFlight) {
      if (auto submitted = device.Submit({&requests[next++], 1}); !submitted) {
        error = std::move(submitted).error();
      }
    }
    if (device.in_flight() == 0) break;
    completions.clear();
    SLUICE_TRY(device.Wait(completions));
    for (storage::ReadCompletion& completion : completions) {
      if (completion.error && !error) error = std::move(completion.error);
      done += requests[completion.tag].length;
    }
    if (progress && !error) progress(done, total);
  }
  if (error) return tl::unexpected<Error>(std::move(*error));
  return {};
}

}  // namespace sluice
