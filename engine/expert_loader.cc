#include "engine/expert_loader.h"

#include <utility>

namespace sluice {
namespace {

// A wait shorter than this found its reads done already.
constexpr auto kBlocked = std::chrono::microseconds(20);
// How much a sample of the device's speed moves the average.
constexpr double kSampleShare = 0.125;

}  // namespace

using storage::PlaneSet;
using storage::ReadClass;
using storage::ReadCompletion;

ExpertLoader::ExpertLoader(const storage::ExpertStore& store,
                           storage::ReadDevice& device,
                           cache::ExpertCache& cache)
    : store_(store), device_(device), cache_(cache) {}

ExpertLoader::~ExpertLoader() { Drain(); }

bool ExpertLoader::Add(ExpertId id, ReadClass read_class, PlaneSet planes) {
  if (!store_.has_planes(id)) planes = PlaneSet::kAll;
  std::optional<cache::Reservation> slot = cache_.Reserve(id, planes);
  if (!slot) return false;
  if (planes == PlaneSet::kBase) ++bases_;
  Begin(id, slot->data(), read_class, planes).reservation = std::move(*slot);
  return true;
}

bool ExpertLoader::Upgrade(cache::Pin& pin, ReadClass read_class) {
  std::byte* const slot = cache_.Extend(pin);
  if (slot == nullptr) return false;
  ++upgrades_;
  Begin(pin.id(), slot, read_class, PlaneSet::kResidual).pin = std::move(pin);
  return true;
}

ExpertLoader::Load& ExpertLoader::Begin(ExpertId id, std::byte* slot,
                                        ReadClass read_class, PlaneSet planes) {
  const std::uint32_t place = TakePlace();
  const storage::ExpertReads reads =
      store_.Reads(id, slot, read_class, place, planes);
  Load& load = loads_[place];
  load.id = id;
  load.read_class = read_class;
  load.planes = planes;
  load.reads_left = reads.count;
  for (const storage::ReadRequest& read : reads.span()) {
    load.bytes += read.length;
    requests_.push_back(read);
  }
  added_.push_back(place);
  ++loading_;
  loading_bytes_ += load.bytes;
  asked_bytes_ += load.bytes;
  return load;
}

Result<void> ExpertLoader::Submit() {
  if (added_.empty()) return {};
  if (loading_ == added_.size()) {
    busy_since_ = Clock::now();
    busy_bytes_ = 0;
  }
  Result<void> submitted = device_.Submit(requests_);
  if (!submitted) {
    for (const std::uint32_t place : added_) Release(place);
  }
  requests_.clear();
  added_.clear();
  return submitted;
}

Result<void> ExpertLoader::Reap(bool wait, std::vector<Landed>& out) {
  if (loading_ == 0) return {};
  const std::size_t before = out.size();
  do {
    completions_.clear();
    const Clock::time_point start = Clock::now();
    SLUICE_TRY(wait ? device_.Wait(completions_) : device_.Poll(completions_));
    if (completions_.empty()) break;
    for (const ReadCompletion& completion : completions_) {
      busy_bytes_ += completion.bytes;
    }
    Measure(wait, start);
    for (const ReadCompletion& completion : completions_) {
      Count(completion, out);
    }
  } while (wait && out.size() == before);
  return {};
}

// One read of a load is over; the last one ends the load.
void ExpertLoader::Count(const ReadCompletion& completion,
                         std::vector<Landed>& out) {
  const auto place = static_cast<std::uint32_t>(completion.tag);
  Load& load = loads_[place];
  --load.reads_left;
  if (completion.error && !load.error) load.error = completion.error;
  if (load.reads_left > 0) return;
  out.push_back({load.id, load.read_class, Finish(load), load.planes});
  Release(place);
}

Result<cache::Pin> ExpertLoader::Finish(Load& load) {
  if (load.error) return tl::unexpected<Error>(*std::move(load.error));
  if (load.pin) {
    SLUICE_TRY(
        store_.Finish(load.id, cache_.Extend(load.pin), PlaneSet::kResidual));
    cache_.MakeWhole(load.pin);
    return std::move(load.pin);
  }
  SLUICE_TRY(store_.Finish(load.id, load.reservation.data(), load.planes));
  return load.reservation.Commit();
}

bool ExpertLoader::Upgrading(ExpertId id) {
  const Load* const load = Find(id);
  return load != nullptr && load->planes == PlaneSet::kResidual;
}

void ExpertLoader::Promote(ExpertId id) {
  Load* load = Find(id);
  if (load == nullptr || load->read_class == ReadClass::kDemand) return;
  load->read_class = ReadClass::kDemand;
  device_.Promote(static_cast<std::uint64_t>(load - loads_.data()));
}

void ExpertLoader::Cancel(ExpertId id) {
  Load* load = Find(id);
  if (load == nullptr || load->read_class == ReadClass::kDemand) return;
  device_.Cancel(static_cast<std::uint64_t>(load - loads_.data()));
}

void ExpertLoader::Drain() {
  for (const std::uint32_t place : added_) Release(place);
  added_.clear();
  requests_.clear();
  for (std::uint32_t place = 0; place < loads_.size(); ++place) {
    if (loads_[place].used()) device_.Cancel(place);
  }
  while (device_.in_flight() > 0) {
    completions_.clear();
    if (!device_.Wait(completions_)) break;
  }
  for (std::uint32_t place = 0; place < loads_.size(); ++place) {
    if (loads_[place].used()) Release(place);
  }
}

// A wait that blocked shows the device's speed: it had work from busy_since_
// until now. What was there without waiting landed at a time unknown.
void ExpertLoader::Measure(bool waited, Clock::time_point start) {
  const Clock::time_point now = Clock::now();
  if (waited && now - start > kBlocked && busy_bytes_ > 0) {
    const double sample =
        std::chrono::duration<double>(now - busy_since_).count() /
        static_cast<double>(busy_bytes_);
    seconds_per_byte_ =
        seconds_per_byte_ == 0
            ? sample
            : seconds_per_byte_ + kSampleShare * (sample - seconds_per_byte_);
  }
  busy_since_ = now;
  busy_bytes_ = 0;
}

std::uint32_t ExpertLoader::TakePlace() {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(loads_.size()));
    loads_.emplace_back();
  }
  const std::uint32_t place = free_.back();
  free_.pop_back();
  return place;
}

ExpertLoader::Load* ExpertLoader::Find(ExpertId id) {
  for (Load& load : loads_) {
    if (load.used() && load.id == id) return &load;
  }
  return nullptr;
}

void ExpertLoader::Release(std::uint32_t place) {
  Load& load = loads_[place];
  --loading_;
  loading_bytes_ -= load.bytes;
  load = Load{};
  free_.push_back(place);
}

}  // namespace sluice
