// PrecisionMap: which experts of a container with nested weights are worth
// their base plane alone, decided once by what that costs (EdgeMoE, Yi et al.
// 2023, section 3.2). `sluice calibrate` makes it, EngineOptions::precision_map
// names the file.
//
// The file is text, so that it can be read and edited:
//
//   sluice precision map 1
//   model 3b1f00c29ad5e871
//   layers 2
//   experts 8
//   44424424
//   22444444
//
// `model` is the container's checksum of all experts, in hexadecimal: a map is
// of one model as it was repacked. Then each layer has a line, and each expert
// a digit: 4, both planes, or 2, the base plane. Nothing follows.
//
// Thread safety: a value; free functions may be called from any thread.
#ifndef SLUICE_ENGINE_PRECISION_MAP_H_
#define SLUICE_ENGINE_PRECISION_MAP_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/container_reader.h"
#include "storage/expert_id.h"
#include "storage/result.h"

namespace sluice {

// What a map is tied to.
struct MapModel {
  std::uint64_t checksum = 0;  // of all experts
  std::uint32_t layers = 0;
  std::uint32_t experts = 0;  // of a layer

  bool operator==(const MapModel&) const = default;
};

// That of a container.
MapModel MapModelOf(const storage::ContainerReader& container);

class PrecisionMap {
 public:
  // Of no low experts.
  explicit PrecisionMap(const MapModel& model)
      : model_(model), low_(std::size_t{model.layers} * model.experts) {}

  const MapModel& model() const { return model_; }
  // [layers, experts] those of which the base plane alone is to be used.
  const std::vector<bool>& low() const { return low_; }
  void SetLow(ExpertId id) {
    low_[std::size_t{id.layer} * model_.experts + id.expert] = true;
  }
  std::size_t low_count() const;

 private:
  MapModel model_;
  std::vector<bool> low_;
};

// The file's text.
std::string EncodePrecisionMap(const PrecisionMap& map);

// Parses `text`, which is untrusted; `path` is for messages.
// Returns: kCorrupt, naming the line.
Result<PrecisionMap> ParsePrecisionMap(std::string_view text,
                                       const std::string& path);

// Reads the map in the file `path`.
// Returns: kNotFound, kPermission, kIo, kNoMemory, kInvalidArgument (not a
// regular file), kCorrupt.
Result<PrecisionMap> ReadPrecisionMap(const std::string& path);

// Whether the map that came from `path` is of `model`.
// Returns: kInvalidArgument.
Result<void> CheckMap(const PrecisionMap& map, const MapModel& model,
                      const std::string& path);

}  // namespace sluice

#endif  // SLUICE_ENGINE_PRECISION_MAP_H_
