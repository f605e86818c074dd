// ExpertLoader: the experts whose reads are in flight, demanded or guessed.
//
// A load is a cache slot being filled, or the residual plane of an expert that
// has its base: Add takes the slot, Submit hands the reads of everything added
// to the device with one call, Reap gives back what has landed, checked and,
// where it is compressed, decompressed. A guess can be promoted, when the
// router asks for it after all, or cancelled; a cancelled load lands with
// kCancelled unless its last piece had been started.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_EXPERT_LOADER_H_
#define SLUICE_ENGINE_EXPERT_LOADER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "cache/expert_cache.h"
#include "storage/expert_store.h"
#include "storage/read_device.h"

namespace sluice {

class ExpertLoader {
 public:
  // A load that is over.
  struct Landed {
    ExpertId id;
    storage::ReadClass read_class = storage::ReadClass::kDemand;
    Result<cache::Pin> pin;  // kIo, kCorrupt, kNoMemory, kCancelled
    storage::PlaneSet planes = storage::PlaneSet::kAll;  // that were read
  };

  // All arguments must outlive the loader; nothing else may use the device
  // while loading() is not zero.
  ExpertLoader(const storage::ExpertStore& store, storage::ReadDevice& device,
               cache::ExpertCache& cache);
  ~ExpertLoader();

  // Takes a slot for `id`, which must not be in the cache; its reads start with
  // Submit. False when no slot can be had now. `planes`: kAll or kBase;
  // where the store holds no more than a base, that is all.
  bool Add(ExpertId id, storage::ReadClass read_class,
           storage::PlaneSet planes = storage::PlaneSet::kAll);
  // Likewise for what a ready expert with its base plane alone lacks; the base
  // stays and may be used meanwhile, also when the load fails. Takes the pin
  // when true.
  bool Upgrade(cache::Pin& pin, storage::ReadClass read_class);
  // Starts the reads of everything added. On error nothing added is loading.
  // Returns: kIo.
  Result<void> Submit();
  // Appends what has landed; with `wait` blocks until something has, if
  // anything is loading. Returns: kIo (of the device, not of one load).
  Result<void> Reap(bool wait, std::vector<Landed>& out);

  // The residual plane of `id` is being read.
  bool Upgrading(ExpertId id);
  // `id` is loading as a guess and is demanded now / wanted no more.
  void Promote(ExpertId id);
  void Cancel(ExpertId id);
  // Waits until no read can write to a slot any more and frees the slots of
  // loads that had not landed.
  void Drain();

  std::size_t loading() const { return loading_; }
  // Experts of which the base plane alone was read, and of these, whose rest
  // was read later.
  std::uint64_t bases() const { return bases_; }
  std::uint64_t upgrades() const { return upgrades_; }
  // Bytes asked for by loads that have not landed.
  std::uint64_t loading_bytes() const { return loading_bytes_; }
  // Of all loads so far.
  std::uint64_t asked_bytes() const { return asked_bytes_; }
  // How long the device takes for a byte when reads are waited for, an average
  // of the latest; 0 until some were.
  double seconds_per_byte() const { return seconds_per_byte_; }

 private:
  using Clock = std::chrono::steady_clock;

  // Its reads carry its index in loads_ as their tag.
  struct Load {
    ExpertId id;
    storage::ReadClass read_class = storage::ReadClass::kDemand;
    storage::PlaneSet planes = storage::PlaneSet::kAll;  // that are read
    std::size_t reads_left = 0;
    std::uint64_t bytes = 0;
    std::optional<Error> error;
    // The slot, or the expert that is upgraded; neither: this place is free.
    cache::Reservation reservation;
    cache::Pin pin;

    bool used() const { return reservation || pin; }
  };

  Load& Begin(ExpertId id, std::byte* slot, storage::ReadClass read_class,
              storage::PlaneSet planes);
  std::uint32_t TakePlace();
  Load* Find(ExpertId id);
  void Count(const storage::ReadCompletion& completion,
             std::vector<Landed>& out);
  void Measure(bool waited, Clock::time_point start);
  Result<cache::Pin> Finish(Load& load);
  void Release(std::uint32_t place);

  const storage::ExpertStore& store_;
  storage::ReadDevice& device_;
  cache::ExpertCache& cache_;

  std::vector<Load> loads_;
  std::vector<std::uint32_t> free_;   // places in loads_
  std::vector<std::uint32_t> added_;  // places whose reads Submit will start
  std::size_t loading_ = 0;
  std::uint64_t loading_bytes_ = 0;
  std::uint64_t asked_bytes_ = 0;
  std::uint64_t bases_ = 0;
  std::uint64_t upgrades_ = 0;
  std::vector<storage::ReadRequest> requests_;  // of added_
  std::vector<storage::ReadCompletion> completions_;

  Clock::time_point busy_since_;  // the device has worked without a pause
  std::uint64_t busy_bytes_ = 0;  // that came since then
  double seconds_per_byte_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_EXPERT_LOADER_H_
