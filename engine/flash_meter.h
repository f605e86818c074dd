// FlashMeter: how fast the flash gives whole experts, alone or while something
// else is done.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_FLASH_METER_H_
#define SLUICE_ENGINE_FLASH_METER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "storage/expert_id.h"
#include "storage/expert_store.h"
#include "storage/read_device.h"
#include "storage/result.h"

namespace sluice {

// Reads one expert after the other into each of several slots, all slots at
// once, and times them from when every slot was read once to when enough were
// read, with the device never idle between. So neither the slots' first touch
// counts, nor a limited disk's haste after a pause.
class FlashMeter {
 public:
  // Bytes per second.
  struct Rates {
    double flash = 0;
    double beside = 0;  // of what was done meanwhile
  };
  // Does a tenth of a millisecond of something; returns the bytes it moved.
  using Beside = std::function<double()>;

  // `memory` is slots of `slot_bytes`. All must outlive the meter; nothing else
  // may use the device.
  FlashMeter(const storage::ExpertStore& store, storage::ReadDevice& device,
             std::span<std::byte> memory, std::size_t slot_bytes);

  // Once. `beside`, if any, is called again and again, the flash looked at in
  // between. Nothing is in flight when it returns. Returns: kIo.
  Result<Rates> Measure(const Beside& beside);

 private:
  using Clock = std::chrono::steady_clock;
  struct Slot {
    std::size_t reads_left = 0;
    std::uint64_t bytes = 0;
  };

  void ReadInto(std::size_t i);
  void Count(std::size_t i);
  void Decide(double seconds);

  const storage::ExpertStore& store_;
  storage::ReadDevice& device_;
  std::span<std::byte> memory_;
  std::size_t slot_bytes_;
  std::vector<ExpertId> ids_;
  std::vector<Slot> slots_;
  std::size_t next_ = 0;     // of ids_
  std::size_t experts_ = 0;  // read
  std::uint64_t bytes_ = 0;  // of those that count
  double beside_bytes_ = 0;  // in the same time
  Clock::time_point start_;
  std::optional<Rates> rates_;  // once known
  std::optional<Error> error_;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_FLASH_METER_H_
