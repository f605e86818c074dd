// Containers of nested weights: where the planes of a record are, what is read
// of it at each level, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "storage/aligned_buffer.h"
#include "storage/container_reader.h"
#include "storage/expert_store.h"
#include "storage/plane_parts.h"
#include "storage/repack.h"
#include "storage/verify.h"
#include "tests/support/container_builder.h"

namespace sluice::storage {
namespace {

using test::Bytes;
using ::testing::HasSubstr;

// 256 wide, 2 layers of 8 experts, Q8_0.
const std::string kModel =
    SLUICE_SOURCE_DIR "/tests/data/quants/micro-Q8_0.gguf";

constexpr std::size_t kBase = 82;      // bytes of 256 weights
constexpr std::size_t kResidual = 66;  // likewise

// Stands in for the fit: planes are the first bytes of the rows of each group.
void CopyRows(const PlaneJob& job) {
  const std::size_t blocks = job.columns / 256;
  const std::size_t group = job.rows.size() / job.row_count * 8;
  const std::size_t base = 8 * blocks * kBase;
  const std::size_t residual = 8 * blocks * kResidual;
  for (std::size_t g = 0; g < job.row_count / 8; ++g) {
    const std::byte* from = job.rows.data() + g * group;
    std::memcpy(job.base + g * base, from, base);
    std::memcpy(job.residual + g * residual, from + base, residual);
  }
}

class PlaneContainer : public ::testing::Test {
 protected:
  void SetUp() override {
    options_ = test::SmallRepack(kModel, folder_.Path("out.sluice"));
    options_.fit_planes = CopyRows;
    options_.device.kind = DeviceKind::kAuto;
    options_.checkpoint_bytes = 1;
    options_.force = true;
  }
  ContainerReader Make() {
    const auto report = Repack(options_);
    EXPECT_TRUE(report) << report.error().message;
    auto container = ContainerReader::Open(options_.output);
    EXPECT_TRUE(container) << container.error().message;
    return *std::move(container);
  }

  test::ScratchFolder folder_;
  RepackOptions options_;
};

TEST_F(PlaneContainer, TheBaseIsAPrefixAndTheResidualBeginsOnAPage) {
  const ContainerReader container = Make();
  const ContainerIndex& index = container.index();
  ASSERT_EQ(index.header.parts_per_record, kPlaneParts);
  for (std::size_t i = 0; i < index.records.size(); ++i) {
    const auto parts = index.record_parts(i);
    ASSERT_TRUE(HasPlanes(parts));
    for (std::size_t p = 0; p < kPlaneParts; ++p) {
      EXPECT_EQ(parts[p].kind, p % 3);
      EXPECT_EQ(parts[p].level, p / 3);
      EXPECT_EQ(parts[p].flags, p < 3 ? 0 : kPartOptional);
      const std::size_t weights = std::size_t{parts[p].rows} * parts[p].columns;
      EXPECT_EQ(parts[p].stored_bytes,
                weights / 256 * (p < 3 ? kBase : kResidual));
      if (p > 0) {
        EXPECT_GE(parts[p].offset,
                  parts[p - 1].offset + parts[p - 1].stored_bytes);
      }
    }
    EXPECT_EQ(parts[3].offset % kPageBytes, 0u);
    EXPECT_EQ(parts[3].offset,
              AlignUp(parts[2].offset + parts[2].stored_bytes));
  }
  const auto verified = VerifyContainer(options_.output, {});
  ASSERT_TRUE(verified) << verified.error().message;
  EXPECT_EQ(verified->parts, kPlaneParts * index.records.size());
}

// Reads into `slot` and returns how many bytes the device was asked for.
std::uint64_t ReadInto(std::byte* slot, const ExpertStore& store,
                       const std::string& path, ExpertId id,
                       PlaneSet planes = PlaneSet::kAll) {
  const ExpertReads reads =
      store.Reads(id, slot, ReadClass::kDemand, 0, planes);
  EXPECT_EQ(reads.count, 1u);
  const auto device = *OpenReadDevice({path}, {});
  EXPECT_TRUE(device->Submit(reads.span()));
  std::vector<ReadCompletion> done;
  while (done.empty()) EXPECT_TRUE(device->Wait(done));
  EXPECT_FALSE(done[0].error);
  const auto finished = store.Finish(id, slot, planes);
  EXPECT_TRUE(finished) << finished.error().message;
  return device->stats().bytes;
}
AlignedBuffer EmptySlot(const ExpertStore& store) {
  auto slot = *AlignedBuffer::Allocate(store.slot_bytes());
  std::memset(slot.data(), 0xEE, slot.size());
  return slot;
}
// A slot after the reads of `id`; `bytes` gets how many were read.
AlignedBuffer Read(const ExpertStore& store, const std::string& path,
                   ExpertId id, std::size_t& bytes) {
  AlignedBuffer slot = EmptySlot(store);
  bytes = ReadInto(slot.data(), store, path, id);
  return slot;
}

TEST_F(PlaneContainer, AnUpgradeReadsWhatIsMissingAndIsTheWholeExpert) {
  const ContainerReader container = Make();
  const auto store =
      ExpertStore::FromContainer(container, VerifyReads::kAlways);
  ASSERT_TRUE(store);
  ASSERT_TRUE(store->has_planes());
  for (const ExpertId id : {ExpertId{0, 3}, ExpertId{1, 0}}) {
    const auto record = container.index().record(id);
    const auto parts =
        container.index().record_parts(container.index().record_number(id));
    std::size_t whole_bytes = 0;
    const AlignedBuffer whole = Read(*store, options_.output, id, whole_bytes);
    AlignedBuffer slot = EmptySlot(*store);
    EXPECT_EQ(
        ReadInto(slot.data(), *store, options_.output, id, PlaneSet::kBase),
        parts[3].offset);
    // Nothing of the residual is there yet, and the base is all there is.
    EXPECT_EQ(slot.data()[parts[3].offset], std::byte{0xEE});
    const ExpertView base = store->View(id, slot.data(), PlaneSet::kBase);
    EXPECT_FALSE(base.down.has_residual());
    EXPECT_EQ(
        ReadInto(slot.data(), *store, options_.output, id, PlaneSet::kResidual),
        AlignUp(record.stored_bytes) - parts[3].offset);
    EXPECT_TRUE(std::memcmp(slot.data(), whole.data(), record.stored_bytes) ==
                0);
    const ExpertView upgraded = store->View(id, slot.data());
    const ExpertView fresh = store->View(id, whole.data());
    EXPECT_EQ(upgraded.down.residual - slot.data(),
              fresh.down.residual - whole.data());
  }
}

TEST_F(PlaneContainer, OfLowExpertsTheBaseIsAllThereIs) {
  const ContainerReader container = Make();
  const ExpertId low = {1, 2};
  std::vector<bool> which(container.layers() * container.experts());
  which[container.index().record_number(low)] = true;
  const auto store = ExpertStore::FromContainer(container, VerifyReads::kAlways,
                                                PlaneLevel::kFull, which);
  const auto full = ExpertStore::FromContainer(container);
  ASSERT_TRUE(store && full);
  EXPECT_TRUE(store->has_planes());
  EXPECT_EQ(store->slot_bytes(), full->slot_bytes());
  std::uint64_t less = 0;
  for (const ExpertId id : {low, ExpertId{1, 0}, ExpertId{0, 2}}) {
    const auto parts =
        container.index().record_parts(container.index().record_number(id));
    std::size_t bytes = 0;
    std::size_t full_bytes = 0;
    const AlignedBuffer slot = Read(*store, options_.output, id, bytes);
    Read(*full, options_.output, id, full_bytes);
    EXPECT_EQ(store->has_planes(id), id != low);
    EXPECT_EQ(store->View(id, slot.data()).up.has_residual(), id != low);
    EXPECT_EQ(bytes, id == low ? std::size_t{parts[3].offset} : full_bytes);
    for (std::size_t i = 3; id == low && i < 6; ++i) less += parts[i].raw_bytes;
  }
  EXPECT_GT(less, 0u);
  EXPECT_EQ(store->total_bytes() + less, full->total_bytes());
  EXPECT_TRUE(store->Shape(1).gate.has_residual());
}

TEST_F(PlaneContainer, EachPlaneIsCheckedWhenItIsFirstRead) {
  const ContainerReader container = Make();
  const auto store = ExpertStore::FromContainer(container);
  const auto parts = container.index().record_parts(0);
  AlignedBuffer slot = EmptySlot(*store);
  ReadInto(slot.data(), *store, options_.output, {0, 0}, PlaneSet::kBase);
  slot.data()[9] ^= std::byte{1};  // seen already: not looked at again
  EXPECT_TRUE(store->Finish({0, 0}, slot.data(), PlaneSet::kBase));
  const auto residual = store->Finish({0, 0}, slot.data(), PlaneSet::kResidual);
  ASSERT_FALSE(residual);  // never read
  EXPECT_THAT(residual.error().message,
              HasSubstr("gate of the residual plane"));
  EXPECT_GT(parts[3].offset, 0u);
}

TEST_F(PlaneContainer, EachLevelReadsItsPlanesAlone) {
  const ContainerReader container = Make();
  const auto full = ExpertStore::FromContainer(container, VerifyReads::kAlways);
  const auto base = ExpertStore::FromContainer(container, VerifyReads::kAlways,
                                               PlaneLevel::kBase);
  ASSERT_TRUE(full && base);
  EXPECT_LT(base->slot_bytes(), full->slot_bytes());
  EXPECT_FALSE(base->has_planes());
  EXPECT_EQ(full->total_bytes() * kBase,
            base->total_bytes() * (kBase + kResidual));
  const Bytes file = test::ReadWholeFile(options_.output);
  for (const ExpertId id : {ExpertId{0, 0}, ExpertId{1, 7}}) {
    const auto record = container.index().record(id);
    const auto parts =
        container.index().record_parts(container.index().record_number(id));
    std::size_t both_bytes = 0;
    std::size_t base_bytes = 0;
    const AlignedBuffer both = Read(*full, options_.output, id, both_bytes);
    const AlignedBuffer alone = Read(*base, options_.output, id, base_bytes);
    EXPECT_EQ(both_bytes, AlignUp(record.stored_bytes));
    EXPECT_EQ(base_bytes, parts[3].offset);
    const auto same = [&](const std::byte* data, std::size_t part) {
      return std::memcmp(data, file.data() + record.offset + parts[part].offset,
                         parts[part].stored_bytes) == 0;
    };
    const ExpertView whole = full->View(id, both.data());
    const ExpertView low = base->View(id, alone.data());
    const MatrixView* wholes[] = {&whole.gate, &whole.up, &whole.down};
    const MatrixView* lows[] = {&low.gate, &low.up, &low.down};
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_TRUE(same(wholes[i]->data, i));
      EXPECT_TRUE(same(wholes[i]->residual, 3 + i));
      EXPECT_TRUE(wholes[i]->has_residual());
      EXPECT_TRUE(same(lows[i]->data, i));
      EXPECT_FALSE(lows[i]->has_residual());
      EXPECT_EQ(lows[i]->type, TensorType::kPlane2);
    }
  }
}

TEST_F(PlaneContainer, DamageIsNamed) {
  const ContainerReader container = Make();
  const auto record = container.index().record({1, 2});
  const auto parts = container.index().record_parts(8 + 2);
  for (const auto& [part, name] :
       {std::pair(std::size_t{1}, "expert 2, up"),
        std::pair(std::size_t{5}, "expert 2, down of the residual plane")}) {
    Bytes file = test::ReadWholeFile(options_.output);
    file[record.offset + parts[part].offset + 9] ^= std::byte{1};
    const std::string path = folder_.Write("bad.sluice", file);
    const auto verified = VerifyContainer(path, {});
    ASSERT_FALSE(verified);
    EXPECT_EQ(verified.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(verified.error().message, HasSubstr(name));
    const auto damaged = ContainerReader::Open(path);
    ASSERT_TRUE(damaged);
    const auto store = ExpertStore::FromContainer(*damaged);
    std::vector<std::byte> storage(store->slot_bytes());
    std::memcpy(storage.data(), file.data() + record.offset,
                record.stored_bytes);
    const auto finished = store->Finish({1, 2}, storage.data());
    ASSERT_FALSE(finished);
    EXPECT_THAT(finished.error().message, HasSubstr(name));
  }
}

TEST_F(PlaneContainer, ResumesToTheSameFile) {
  Make();
  const Bytes expected = test::ReadWholeFile(options_.output);
  RepackOptions options = options_;
  options.output = folder_.Path("resumed.sluice");
  int stops = 0;
  for (int call = 5; call < 400; call += 13) {
    int calls = 0;
    options.progress = [&](const RepackProgress&) { return calls++ < call; };
    if (Repack(options)) break;
    ++stops;
  }
  EXPECT_GT(stops, 2);
  EXPECT_EQ(test::ReadWholeFile(options.output), expected);
}

// Another fit would give other planes under the same sizes.
TEST_F(PlaneContainer, DoesNotResumeUnderAnotherFit) {
  RepackOptions options = options_;
  int calls = 0;
  options.progress = [&](const RepackProgress&) { return calls++ < 60; };
  ASSERT_FALSE(Repack(options));
  options.progress = {};
  options.fit_stamp = 1;
  const auto other = Repack(options);
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ(other->resumed_units, 0u);
}

// Nor when all is written and only reading it back was stopped.
TEST_F(PlaneContainer, DoesNotPublishAnotherFitsFinishedFile) {
  RepackOptions options = options_;
  options.progress = [](const RepackProgress& progress) {
    return progress.phase != RepackPhase::kVerify;
  };
  ASSERT_FALSE(Repack(options));
  ASSERT_TRUE(std::filesystem::exists(options.output + ".partial"));
  options.progress = {};
  options.fit_stamp = 1;
  const auto other = Repack(options);
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ(other->resumed_units, 0u);
}

TEST_F(PlaneContainer, RefusesShapesThatAreNotWholeSuperblocks) {
  options_.input = folder_.Write("in.gguf", test::SmallModel());
  const auto report = Repack(options_);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(report.error().message, HasSubstr("planes need whole groups"));
}

class PlaneIndex : public PlaneContainer {
 protected:
  void SetUp() override {
    PlaneContainer::SetUp();
    index_ = Make().index();
  }
  PartEntry& Part(std::size_t i) { return index_.parts[kPlaneParts * 3 + i]; }
  void ExpectRefusal() {
    const auto checked = CheckPlanes(index_, "model.sluice");
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, ErrorCode::kCorrupt);
  }
  ContainerIndex index_;
};

TEST_F(PlaneIndex, AcceptsWhatRepackWrote) {
  EXPECT_TRUE(CheckPlanes(index_, "model.sluice"));
}
TEST_F(PlaneIndex, RefusesABaseInRows) {
  Part(0).layout = 0;
  ExpectRefusal();
}
TEST_F(PlaneIndex, RefusesAResidualOffThePage) {
  Part(3).offset += 64;
  ExpectRefusal();
}
TEST_F(PlaneIndex, RefusesAResidualOfAnotherShape) {
  Part(4).rows -= 8;
  ExpectRefusal();
}
TEST_F(PlaneIndex, RefusesAResidualOfAnotherKind) {
  Part(5).kind = 1;
  ExpectRefusal();
}
TEST_F(PlaneIndex, RefusesACompressedPlane) {
  Part(1).codec = 1;
  ExpectRefusal();
}
TEST_F(PlaneIndex, RefusesMissingBytes) {
  Part(3).raw_bytes -= 66;
  ExpectRefusal();
}
TEST_F(PlaneIndex, RefusesAWeightTypeAmongThePlanes) {
  Part(2).type = static_cast<std::uint32_t>(TensorType::kQ4_0);
  ExpectRefusal();
}
TEST_F(PlaneIndex, RefusesADensePlane) {
  index_.dense[0].type = static_cast<std::uint32_t>(TensorType::kPlane2);
  ExpectRefusal();
}

}  // namespace
}  // namespace sluice::storage
