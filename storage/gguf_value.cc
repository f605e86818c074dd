// GgufValue: conversions of metadata values.
#include <cmath>
#include <cstring>
#include <limits>

#include "storage/gguf.h"

namespace sluice::storage {
namespace {

// The number at `index` of `payload`, which need not be aligned.
template <typename T>
T Load(std::span<const std::byte> payload, std::size_t index) {
  T value;
  std::memcpy(&value, payload.data() + index * sizeof(T), sizeof(T));
  return value;
}

template <typename To, typename From>
std::optional<To> Narrow(From value) {
  if (!std::in_range<To>(value)) return std::nullopt;
  return static_cast<To>(value);
}

// Element `index` as an integer; none when it does not fit or `type` is not an
// integer type.
template <typename To>
std::optional<To> IntegerAt(GgufType type, std::span<const std::byte> payload,
                            std::size_t index) {
  switch (type) {
    case GgufType::kUint8:
      return Narrow<To>(Load<std::uint8_t>(payload, index));
    case GgufType::kInt8:
      return Narrow<To>(Load<std::int8_t>(payload, index));
    case GgufType::kUint16:
      return Narrow<To>(Load<std::uint16_t>(payload, index));
    case GgufType::kInt16:
      return Narrow<To>(Load<std::int16_t>(payload, index));
    case GgufType::kUint32:
      return Narrow<To>(Load<std::uint32_t>(payload, index));
    case GgufType::kInt32:
      return Narrow<To>(Load<std::int32_t>(payload, index));
    case GgufType::kUint64:
      return Narrow<To>(Load<std::uint64_t>(payload, index));
    case GgufType::kInt64:
      return Narrow<To>(Load<std::int64_t>(payload, index));
    default:
      return std::nullopt;
  }
}

std::optional<double> FloatAt(GgufType type, std::span<const std::byte> payload,
                              std::size_t index) {
  if (type == GgufType::kFloat32) return Load<float>(payload, index);
  if (type == GgufType::kFloat64) return Load<double>(payload, index);
  return std::nullopt;
}

bool IsInteger(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kUint16:
    case GgufType::kInt16:
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kUint64:
    case GgufType::kInt64:
      return true;
    default:
      return false;
  }
}

template <typename To>
std::optional<std::vector<To>> Integers(GgufType type,
                                        std::span<const std::byte> payload,
                                        std::size_t count) {
  if (!IsInteger(type)) return std::nullopt;
  std::vector<To> values;
  values.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto value = IntegerAt<To>(type, payload, i);
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
  return values;
}

}  // namespace

std::optional<std::uint64_t> GgufValue::AsUint() const {
  return IntegerAt<std::uint64_t>(type_, payload_, 0);
}

std::optional<std::int64_t> GgufValue::AsInt() const {
  return IntegerAt<std::int64_t>(type_, payload_, 0);
}

std::optional<double> GgufValue::AsFloat() const {
  return FloatAt(type_, payload_, 0);
}

std::optional<bool> GgufValue::AsBool() const {
  if (type_ != GgufType::kBool) return std::nullopt;
  return payload_[0] != std::byte{0};
}

std::optional<std::string_view> GgufValue::AsString() const {
  if (type_ != GgufType::kString) return std::nullopt;
  return std::string_view(reinterpret_cast<const char*>(payload_.data()),
                          payload_.size());
}

std::optional<std::vector<std::uint64_t>> GgufValue::AsUintArray() const {
  if (type_ != GgufType::kArray) return std::nullopt;
  return Integers<std::uint64_t>(element_type_, payload_, count_);
}

std::optional<std::vector<std::int64_t>> GgufValue::AsIntArray() const {
  if (type_ != GgufType::kArray) return std::nullopt;
  return Integers<std::int64_t>(element_type_, payload_, count_);
}

std::optional<std::vector<float>> GgufValue::AsFloatArray() const {
  if (type_ != GgufType::kArray || (element_type_ != GgufType::kFloat32 &&
                                    element_type_ != GgufType::kFloat64)) {
    return std::nullopt;
  }
  std::vector<float> values;
  values.reserve(count_);
  for (std::size_t i = 0; i < count_; ++i) {
    const double value = element_type_ == GgufType::kFloat32
                             ? Load<float>(payload_, i)
                             : Load<double>(payload_, i);
    // A finite double beyond the range of float does not fit.
    if (std::isfinite(value) &&
        std::abs(value) > std::numeric_limits<float>::max()) {
      return std::nullopt;
    }
    values.push_back(static_cast<float>(value));
  }
  return values;
}

std::string_view GgufValue::NextString(std::size_t& at) const {
  std::uint64_t length;
  std::memcpy(&length, payload_.data() + at, sizeof(length));
  const char* text =
      reinterpret_cast<const char*>(payload_.data() + at + sizeof(length));
  at += sizeof(length) + static_cast<std::size_t>(length);
  return {text, static_cast<std::size_t>(length)};
}

}  // namespace sluice::storage
