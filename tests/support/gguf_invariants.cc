#include "tests/support/gguf_invariants.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "storage/aligned_buffer.h"
#include "storage/expert_store.h"

namespace sluice::test {
namespace {

using storage::AlignedBuffer;
using storage::ExpertReads;
using storage::ExpertStore;
using storage::GgufFile;
using storage::GgufTensor;
using storage::GgufType;
using storage::GgufValue;
using storage::kIoAlignment;

// Reads each byte, so that a sanitizer sees one that is not there.
std::size_t CountZeros(std::string_view text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\0'));
}

std::string CheckScalar(const GgufValue& value) {
  const int conversions = (value.AsUint() || value.AsInt() ? 1 : 0) +
                          (value.AsFloat() ? 1 : 0) + (value.AsBool() ? 1 : 0) +
                          (value.AsString() ? 1 : 0);
  const int expected = value.type() == GgufType::kArray ? 0 : 1;
  if (conversions != expected) return "converts in the wrong number of ways";
  if (const auto text = value.AsString()) {
    if (CountZeros(*text) > text->size()) return "has too many zeros";
  }
  return {};
}

std::string CheckArray(const GgufValue& value) {
  if (value.type() != GgufType::kArray && value.size() != 1) {
    return "is one value of more than one element";
  }
  if (const auto all = value.AsUintArray(); all && all->size() != value.size())
    return "has an integer array of the wrong size";
  if (const auto all = value.AsIntArray(); all && all->size() != value.size())
    return "has a signed array of the wrong size";
  if (const auto all = value.AsFloatArray(); all && all->size() != value.size())
    return "has a float array of the wrong size";
  std::size_t visited = 0;
  std::size_t zeros = 0;
  const bool strings =
      value.ForEachString([&](std::size_t index, std::string_view text) {
        visited += index == visited ? 1 : 0;
        zeros += CountZeros(text);
      });
  if (strings && visited != value.size()) return "visits strings wrongly";
  return {};
}

std::string CheckTensor(const GgufFile& gguf, const GgufTensor& tensor) {
  if (gguf.FindTensor(tensor.name) != &tensor) return "is not found";
  if (tensor.file >= gguf.file_bytes().size()) return "is in no file";
  const std::uint64_t size = gguf.file_bytes()[tensor.file];
  if (tensor.offset > size || tensor.bytes > size - tensor.offset) {
    return "ends after its file";
  }
  if (tensor.bytes == 0) return "has no bytes";
  const auto row = RowBytes(tensor.type, tensor.ne[0]);
  if (!row) return "has rows of part blocks";
  if (tensor.bytes != *row * tensor.ne[1] * tensor.ne[2] * tensor.ne[3]) {
    return "has the wrong size";
  }
  return {};
}

std::string CheckOverlaps(const GgufFile& gguf) {
  std::vector<const GgufTensor*> order;
  for (const GgufTensor& tensor : gguf.tensors()) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->file, a->offset) < std::pair(b->file, b->offset);
  });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const GgufTensor& before = *order[i - 1];
    if (before.file == order[i]->file &&
        before.offset + before.bytes > order[i]->offset) {
      return fmt::format("{} overlaps {}", before.name, order[i]->name);
    }
  }
  return {};
}

std::string CheckReads(const GgufFile& gguf, const ExpertStore& store,
                       AlignedBuffer& slot, ExpertId id) {
  const ExpertReads reads =
      store.Reads(id, slot.data(), storage::ReadClass::kDemand, 1);
  for (const auto& request : reads.span()) {
    const auto at = static_cast<std::size_t>(request.destination - slot.data());
    if (at > store.slot_bytes() || request.length > store.slot_bytes() - at) {
      return "an expert does not fit its slot";
    }
    const std::uint64_t size = gguf.file_bytes()[request.file];
    if (request.offset >= size ||
        request.length - 1 >= size - request.offset + kIoAlignment) {
      return "a read goes past its file";
    }
    if (request.offset % kIoAlignment != 0 ||
        request.length % kIoAlignment != 0 || at % kIoAlignment != 0) {
      return "a read is not aligned";
    }
  }
  return {};
}

std::string CheckStore(const GgufFile& gguf) {
  const GgufTensor* gate = gguf.FindTensor("blk.0.ffn_gate_exps.weight");
  if (gate == nullptr) return {};
  std::uint32_t layers = 1;
  while (gguf.FindTensor(fmt::format("blk.{}.ffn_gate_exps.weight", layers))) {
    ++layers;
  }
  const auto experts = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(gate->ne[2], UINT32_MAX));
  const auto store = ExpertStore::FromGguf(gguf, layers, experts);
  if (!store) return {};
  // Address space only: nothing is read into it. A claimed size that not even
  // that can hold is an accepted file, but no machine's.
  auto slot = AlignedBuffer::Allocate(store->slot_bytes());
  if (!slot) return {};
  for (std::uint32_t layer = 0; layer < layers; ++layer) {
    const std::uint32_t last = experts - 1;
    for (const std::uint32_t expert : {0U, std::min(1U, last), last}) {
      const ExpertId id{static_cast<std::uint16_t>(layer),
                        static_cast<std::uint16_t>(expert)};
      if (auto wrong = CheckReads(gguf, *store, *slot, id); !wrong.empty()) {
        return wrong;
      }
    }
  }
  return store->total_bytes() == 0 ? "experts without bytes" : "";
}

}  // namespace

std::string BrokenInvariant(const GgufFile& gguf) {
  for (const auto& [key, value] : gguf.metadata()) {
    if (gguf.Find(key) != &value) return "key " + key + " is not found";
    for (std::string wrong : {CheckScalar(value), CheckArray(value)}) {
      if (!wrong.empty()) return "key " + key + " " + wrong;
    }
  }
  for (const GgufTensor& tensor : gguf.tensors()) {
    if (std::string wrong = CheckTensor(gguf, tensor); !wrong.empty()) {
      return "tensor " + tensor.name + " " + wrong;
    }
  }
  if (std::string wrong = CheckOverlaps(gguf); !wrong.empty()) return wrong;
  return CheckStore(gguf);
}

}  // namespace sluice::test
