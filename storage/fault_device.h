// The fault-injecting device: a ReadDevice around another one, for tests. With
// default options it only passes requests on.
//
// Faults act on whole requests, after the inner device has read them. Short
// reads are made inside the real backends, by
// DeviceOptions::max_bytes_per_read.
//
// Thread safety: as ReadDevice.
#ifndef SLUICE_STORAGE_FAULT_DEVICE_H_
#define SLUICE_STORAGE_FAULT_DEVICE_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "storage/read_device.h"

namespace sluice::storage {

struct FaultOptions {
  struct Range {
    std::uint32_t file = 0;
    std::uint64_t offset = 0;  // bytes
    std::uint64_t length = 0;
  };
  struct BitFlip {
    std::uint32_t file = 0;
    std::uint64_t offset = 0;  // of the byte, in the file
    std::uint8_t mask = 1;     // the bits that flip
  };
  struct Truncation {
    std::uint32_t file = 0;
    std::uint64_t size = 0;  // bytes left
  };

  // Requests submitted before faults begin to act.
  std::uint64_t after_requests = 0;
  // The request of this number fails with kIo, counted from the first one on
  // which faults act: 0 is that one.
  std::optional<std::uint64_t> fail_request = {};
  std::vector<Range> fail_ranges = {};       // requests that touch one: kIo
  std::vector<BitFlip> bit_flips = {};       // in what is delivered
  std::vector<Truncation> truncations = {};  // requests reaching behind it: kIo
  std::chrono::microseconds delay{0};        // from submission, at least
  bool reverse = false;  // delivers what is ready together in reverse order
};

// `inner` must have nothing in flight.
std::unique_ptr<ReadDevice> MakeFaultDevice(std::unique_ptr<ReadDevice> inner,
                                            FaultOptions options);

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_FAULT_DEVICE_H_
