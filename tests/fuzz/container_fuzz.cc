// Fuzz target of the container reader. An input is a whole container; the
// checksums of its header, footer and first three sections are made right
// first, so that what is behind them is reached.
//
// A rejected input must give a message of one line that begins with the path;
// an accepted one must keep every invariant, and each of its records must be
// refused or give weights that lie within the slot. Nothing may crash.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "storage/aligned_buffer.h"
#include "storage/container_reader.h"
#include "storage/expert_store.h"
#include "tests/support/container_checksums.h"
#include "tests/support/gguf_invariants.h"

namespace {

using sluice::ExpertId;
using sluice::storage::AlignedBuffer;
using sluice::storage::ContainerReader;
using sluice::storage::ExpertStore;
using sluice::storage::MatrixView;
using sluice::storage::VerifyReads;

constexpr std::size_t kMostSlotBytes = 32 << 20;
constexpr std::size_t kMostRecords = 64;

void Require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what.c_str());
  std::abort();
}

void CheckMessage(const std::string& message) {
  Require(message.starts_with("fuzz.sluice: "), message);
  Require(message.find('\n') == std::string::npos, message);
  Require(message.size() < 1000, message);
}

void CheckMatrix(const MatrixView& matrix, const AlignedBuffer& slot) {
  Require(matrix.data >= slot.data() &&
              matrix.data + matrix.bytes() <= slot.data() + slot.size(),
          "a matrix is not within the slot");
  // Reads each byte, so that a sanitizer sees one that is not there.
  const auto zeros =
      std::count(matrix.data, matrix.data + matrix.bytes(), std::byte{});
  Require(zeros <= static_cast<std::ptrdiff_t>(matrix.bytes()), "zeros");
}

void LoadAll(const ContainerReader& container, const ExpertStore& store,
             std::span<const std::byte> file) {
  auto slot = AlignedBuffer::Allocate(store.slot_bytes());
  if (!slot) return;
  std::size_t records = 0;
  for (std::uint32_t layer = 0; layer < store.layers(); ++layer) {
    for (std::uint32_t expert = 0; expert < store.experts(); ++expert) {
      if (++records > kMostRecords) return;
      const ExpertId id = {static_cast<std::uint16_t>(layer),
                           static_cast<std::uint16_t>(expert)};
      const auto reads = store.Reads(id, slot->data(), {}, 0);
      Require(reads.count == 1, "one read");
      const auto& read = reads.requests[0];
      Require(read.offset + read.length <= file.size() &&
                  read.destination >= slot->data() &&
                  read.destination + read.length <= slot->data() + slot->size(),
              "a read is not within the file and the slot");
      std::memcpy(read.destination, file.data() + read.offset, read.length);
      const auto finished = store.Finish(id, slot->data());
      if (!finished) {
        CheckMessage(finished.error().message);
        continue;
      }
      const auto view = store.View(id, slot->data());
      CheckMatrix(view.gate, *slot);
      CheckMatrix(view.up, *slot);
      CheckMatrix(view.down, *slot);
    }
  }
  Require(container.layers() == store.layers(), "layers");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  std::vector<std::byte> file(input.begin(), input.end());
  sluice::test::FixChecksums(file);
  const auto container = ContainerReader::Parse(file, "fuzz.sluice");
  if (!container) {
    CheckMessage(container.error().message);
    return 0;
  }
  const std::string wrong = sluice::test::BrokenInvariant(container->gguf());
  Require(wrong.empty(), wrong);
  for (const VerifyReads verify : {VerifyReads::kAlways, VerifyReads::kNever}) {
    const auto store = ExpertStore::FromContainer(*container, verify);
    Require(store.has_value(), "a store");
    if (store->slot_bytes() <= kMostSlotBytes)
      LoadAll(*container, *store, file);
  }
  return 0;
}
