#include "storage/read_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "storage/aligned_buffer.h"
#include "storage/header_file.h"

namespace sluice::storage {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kSeed = 0x5eed;
constexpr int kRounds = 3;
constexpr double kSecondsPerPoint = 0.012;
// At once: what a layer lacks comes one or a few at a time.
constexpr std::size_t kMostRequests = 2;
constexpr std::size_t kMostRequestBytes = 4 << 20;
constexpr std::size_t kHugePage = 2 << 20;
constexpr double kLeastGain = 1.05;
// Of the time that rates are measured for: what the device had saved up.
constexpr double kSettlingShare = 1.0 / 3;
// A limit on the rate lets steps of a tenth of a second through: it takes many
// of them to see it.
constexpr double kRateFactor = 2;
constexpr double kLatencyShare = 1.0 / 4;
// A request after a pause in which the device could have read this many tells
// whether it saved them up: if so it takes much less than one's share of time.
constexpr double kPauseRequests = 3;
constexpr int kPauses = 3;
constexpr double kSavedShare = 0.5;
constexpr double kLeastPause = 0.1;  // seconds, one of those steps
constexpr double kMostPause = 0.3;

struct Shape {
  std::size_t piece_bytes;
  unsigned depth;
};
// What the engine uses without a probe comes first, and stays unless another
// one is clearly better.
constexpr std::array<Shape, 7> kShapes = {{{1 << 20, 32},
                                           {1 << 20, 8},
                                           {512 << 10, 16},
                                           {2 << 20, 16},
                                           {256 << 10, 32},
                                           {256 << 10, 8},
                                           {512 << 10, 4}}};

double Since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class ShapeProbe {
 public:
  ShapeProbe(const ReadShapeOptions& options, std::size_t request_bytes,
             AlignedBuffer& buffer)
      : options_(options), request_bytes_(request_bytes), buffer_(buffer) {}

  // Of requests of which some are always in flight, then of one by one.
  Result<ReadRates> Rates(const Shape& shape) {
    SLUICE_ASSIGN(const auto device, Open(shape));
    ReadRates rates;
    SLUICE_ASSIGN(const double steady, SteadySeconds(*device));
    rates.bytes_per_second = static_cast<double>(request_bytes_) / steady;
    batch_ = 1;
    // What else the machine does only ever adds to the time of one request.
    double least = std::numeric_limits<double>::infinity();
    const auto start = Clock::now();
    int requests = 0;
    do {
      const auto begin = Clock::now();
      SLUICE_TRY(ReadBatch(*device));
      least = std::min(least, Since(begin));
      ++requests;
    } while (Since(start) < kLatencyShare * options_.most_seconds);
    const double restless = std::min(steady, Since(start) / requests);
    rates.latency_seconds = std::max(0.0, least - steady);
    SLUICE_ASSIGN(const double rested, RestedSeconds(*device, steady));
    rates.saves_up = rested < kSavedShare * restless;
    return rates;
  }

  // Reads one request, and from its time takes how many the batches of Measure
  // have: on a slow device fewer, so that one does not take too long.
  Result<void> SetBatch() {
    SLUICE_ASSIGN(const auto device, Open(kShapes[0]));
    batch_ = 1;
    const auto start = Clock::now();
    SLUICE_TRY(ReadBatch(*device));
    const double fitting = kSecondsPerPoint / std::max(Since(start), 1e-6);
    const std::size_t most = Room();
    batch_ = fitting >= static_cast<double>(most)
                 ? most
                 : std::max<std::size_t>(1, static_cast<std::size_t>(fitting));
    return {};
  }

  Result<FlashPoint> Measure(const Shape& shape) {
    SLUICE_ASSIGN(const auto device, Open(shape));
    FlashPoint point;
    point.request_bytes = shape.piece_bytes;
    point.depth = shape.depth;
    const auto start = Clock::now();
    double seconds = 0;
    do {
      SLUICE_TRY(ReadBatch(*device));
      point.requests += batch_;
      seconds = Since(start);
    } while (seconds < kSecondsPerPoint);
    point.bytes_per_second = static_cast<double>(point.requests) *
                             static_cast<double>(request_bytes_) / seconds;
    return point;
  }

 private:
  Result<std::unique_ptr<ReadDevice>> Open(const Shape& shape) const {
    DeviceOptions device;
    device.kind = options_.device;
    device.piece_bytes = shape.piece_bytes;
    device.depth = shape.depth;
    return OpenReadDevice({options_.path}, device);
  }
  // From one request's completion to the next one's, with as many in flight as
  // there is memory for: from the last one in the first part of the time to the
  // last one in all of it. A limited rate comes in steps, of which those are
  // the ends; what is in flight at the end would be the beginning of another.
  Result<double> SteadySeconds(ReadDevice& device) {
    const double most = kRateFactor * options_.most_seconds;
    const double settling = kSettlingShare * most;
    const auto start = Clock::now();
    double counted_from = 0;
    double counted_to = 0;
    double now = 0;
    std::size_t counted = 0;
    for (std::size_t i = 0; i < Room(); ++i) {
      const ReadRequest request = RandomRequest(device, i);
      SLUICE_TRY(device.Submit({&request, 1}));
    }
    while (device.in_flight() > 0) {
      completions_.clear();
      SLUICE_TRY(device.Wait(completions_));
      now = Since(start);
      // One that takes longer than that counts however late.
      const bool counts = now < most || counted == 0;
      for (ReadCompletion& completion : completions_) {
        if (completion.error)
          return tl::unexpected(*std::move(completion.error));
        if (counts) ++counted;
        if (now >= most) continue;
        const ReadRequest request = RandomRequest(device, completion.tag);
        SLUICE_TRY(device.Submit({&request, 1}));
      }
      if (counts) counted_to = now;
      if (now < settling) {
        counted_from = now;
        counted = 0;
      }
    }
    return (counted_to - counted_from) / static_cast<double>(counted);
  }
  // Of one request after a pause, the median; `steady` is one's when reading
  // goes on.
  Result<double> RestedSeconds(ReadDevice& device, double steady) {
    std::array<double, kPauses> seconds{};
    for (double& one : seconds) {
      std::this_thread::sleep_for(std::chrono::duration<double>(
          std::clamp(kPauseRequests * steady, kLeastPause, kMostPause)));
      const auto begin = Clock::now();
      SLUICE_TRY(ReadBatch(device));
      one = Since(begin);
    }
    std::ranges::sort(seconds);
    return seconds[kPauses / 2];
  }
  // For requests at the same time.
  std::size_t Room() const {
    return std::min(kMostRequests, buffer_.size() / request_bytes_);
  }
  // At a random place, into the buffer's `part`, which is its tag.
  ReadRequest RandomRequest(const ReadDevice& device, std::size_t part) {
    const std::uint64_t places =
        (device.file_sizes()[0] - request_bytes_) / kIoAlignment + 1;
    return {.offset = random_() % places * kIoAlignment,
            .length = request_bytes_,
            .destination = buffer_.data() + part * request_bytes_,
            .tag = part};
  }
  // batch_ requests at once.
  Result<void> ReadBatch(ReadDevice& device) {
    requests_.clear();
    for (std::size_t i = 0; i < batch_; ++i) {
      requests_.push_back(RandomRequest(device, i));
    }
    SLUICE_TRY(device.Submit(requests_));
    completions_.clear();
    while (device.in_flight() > 0) SLUICE_TRY(device.Wait(completions_));
    for (ReadCompletion& completion : completions_) {
      if (completion.error) return tl::unexpected(*std::move(completion.error));
    }
    return {};
  }

  const ReadShapeOptions& options_;
  const std::size_t request_bytes_;
  AlignedBuffer& buffer_;
  std::size_t batch_ = 1;
  std::mt19937_64 random_{kSeed};
  std::vector<ReadRequest> requests_;
  std::vector<ReadCompletion> completions_;
};

// Adds `point` to `points`, or replaces a slower one of its shape: what else
// the machine does only ever takes from a measurement.
void KeepBest(std::vector<FlashPoint>& points, const FlashPoint& point) {
  const auto same = std::ranges::find_if(points, [&](const FlashPoint& other) {
    return other.request_bytes == point.request_bytes &&
           other.depth == point.depth;
  });
  if (same == points.end()) {
    points.push_back(point);
  } else if (same->bytes_per_second < point.bytes_per_second) {
    *same = point;
  }
}

// Of one request, whole pages.
std::size_t RequestBytes(const ReadShapeOptions& options) {
  return AlignUp(
      std::clamp<std::size_t>(options.request_bytes, 1, kMostRequestBytes));
}

// Room for a few requests.
Result<AlignedBuffer> AllocateFor(const ReadShapeOptions& options) {
  const std::size_t request_bytes = RequestBytes(options);
  const std::size_t requests = static_cast<std::size_t>(std::min<std::uint64_t>(
      options.most_bytes / request_bytes, kMostRequests));
  SLUICE_ASSIGN(const HeaderFile file, HeaderFile::Open(options.path));
  if (requests == 0 || file.file_bytes() < request_bytes) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: too small, or too little memory, to measure "
                            "reads of {} bytes",
                            OneLine(options.path), request_bytes));
  }
  // In huge pages, as the slots are: reads into others can take twice as long.
  // A buffer of whole ones is given whole ones.
  const std::size_t bytes = requests * request_bytes;
  const std::size_t whole = AlignUp(bytes, kHugePage);
  SLUICE_ASSIGN(
      AlignedBuffer buffer,
      AlignedBuffer::Allocate(whole <= options.most_bytes ? whole : bytes,
                              {.huge_pages = true}));
  std::memset(buffer.data(), 0, buffer.size());
  return buffer;
}

}  // namespace

Result<FlashChoice> ChooseReadShape(const ReadShapeOptions& options) {
  const auto start = Clock::now();
  SLUICE_ASSIGN(AlignedBuffer buffer, AllocateFor(options));
  ShapeProbe probe(options, RequestBytes(options), buffer);
  SLUICE_TRY(probe.SetBatch());
  std::vector<FlashPoint> points;
  for (int round = 0; round < kRounds; ++round) {
    for (const Shape& shape : kShapes) {
      if (!points.empty() && Since(start) > options.most_seconds) break;
      SLUICE_ASSIGN(const FlashPoint point, probe.Measure(shape));
      KeepBest(points, point);
    }
  }
  const FlashPoint best =
      *std::ranges::max_element(points, {}, &FlashPoint::bytes_per_second);
  const double usual = points[0].bytes_per_second;
  const FlashPoint& chosen =
      best.bytes_per_second > kLeastGain * usual ? best : points[0];
  return FlashChoice{.piece_bytes = chosen.request_bytes,
                     .depth = chosen.depth,
                     .bytes_per_second = chosen.bytes_per_second,
                     .best_bytes_per_second = best.bytes_per_second};
}

Result<ReadRates> MeasureReadRates(const ReadShapeOptions& options,
                                   std::size_t piece_bytes, unsigned depth) {
  SLUICE_ASSIGN(AlignedBuffer buffer, AllocateFor(options));
  return ShapeProbe(options, RequestBytes(options), buffer)
      .Rates({piece_bytes, depth});
}

}  // namespace sluice::storage
