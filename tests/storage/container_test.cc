// What a repacked model holds: the GGUF's own keys and weights, rearranged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "storage/aligned_buffer.h"
#include "storage/container_reader.h"
#include "storage/expert_store.h"
#include "storage/read_device.h"
#include "storage/repack.h"
#include "storage/verify.h"
#include "tests/support/container_builder.h"

namespace sluice::storage {
namespace {

using test::Bytes;
using ::testing::HasSubstr;

const std::string kQuants =
    std::string(SLUICE_SOURCE_DIR) + "/tests/data/quants/micro-";

std::span<const std::byte> SliceOf(const Bytes& file, const GgufTensor& tensor,
                                   std::uint64_t index, std::uint64_t count) {
  const std::uint64_t bytes = tensor.bytes / count;
  return std::span(file).subspan(tensor.offset + index * bytes, bytes);
}

bool Same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

void ExpectSameKeys(const GgufFile& gguf, const GgufFile& found) {
  EXPECT_EQ(gguf.metadata().size(), found.metadata().size());
  for (const auto& [key, value] : gguf.metadata()) {
    const GgufValue* other = found.Find(key);
    ASSERT_NE(other, nullptr) << key;
    EXPECT_EQ(value.type(), other->type()) << key;
    EXPECT_EQ(value.element_type(), other->element_type()) << key;
    EXPECT_EQ(value.size(), other->size()) << key;
    EXPECT_TRUE(Same(value.payload(), other->payload())) << key;
  }
}

class ContainerOfModel
    : public ::testing::TestWithParam<std::tuple<const char*, bool, bool>> {
 protected:
  void SetUp() override {
    const auto [name, interleave, compress] = GetParam();
    input_ = kQuants + name + ".gguf";
    options_.input = input_;
    options_.output = folder_.Path("model.sluice");
    options_.compress =
        compress ? CompressRecords::kAlways : CompressRecords::kNever;
    if (interleave) options_.interleaver = test::BlockInterleaver();
    const auto report = Repack(options_);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(interleave || report->rows8_bytes == 0);
    EXPECT_EQ(report->compressed, compress);
  }

  test::ScratchFolder folder_;
  std::string input_;
  RepackOptions options_;
};

TEST_P(ContainerOfModel, HoldsTheKeysAndTheDenseTensors) {
  const auto gguf = GgufFile::Open(input_);
  ASSERT_TRUE(gguf);
  const auto container = ContainerReader::Open(options_.output);
  ASSERT_TRUE(container) << container.error().message;
  ExpectSameKeys(*gguf, container->gguf());
  const Bytes source = test::ReadWholeFile(input_);
  const Bytes packed = test::ReadWholeFile(options_.output);
  std::size_t dense = 0;
  for (const GgufTensor& tensor : gguf->tensors()) {
    const GgufTensor* found = container->gguf().FindTensor(tensor.name);
    if (tensor.name.ends_with("_exps.weight")) {
      EXPECT_EQ(found, nullptr) << tensor.name;
      continue;
    }
    ++dense;
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_EQ(found->type, tensor.type);
    EXPECT_EQ(found->ne, tensor.ne);
    EXPECT_TRUE(Same(SliceOf(packed, *found, 0, 1),
                     test::Arranged(SliceOf(source, tensor, 0, 1), tensor.type,
                                    tensor.ne[0], found->layout)))
        << tensor.name;
  }
  EXPECT_EQ(container->gguf().tensors().size(), dense);
  EXPECT_EQ(container->gguf().tensors()[0].name, "token_embd.weight");
  EXPECT_EQ(container->gguf().tensors()[0].layout, MatrixLayout::kRows);
}

TEST_P(ContainerOfModel, GivesEveryExpertInOneRead) {
  const auto gguf = GgufFile::Open(input_);
  ASSERT_TRUE(gguf);
  const Bytes source = test::ReadWholeFile(input_);
  const auto container = ContainerReader::Open(options_.output);
  ASSERT_TRUE(container) << container.error().message;
  const auto store = ExpertStore::FromContainer(*container);
  ASSERT_TRUE(store);
  const auto plain =
      ExpertStore::FromGguf(*gguf, store->layers(), store->experts());
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(plain->total_bytes(), store->total_bytes());
  auto device = OpenReadDevice({options_.output}, {});
  ASSERT_TRUE(device);
  auto slot = AlignedBuffer::Allocate(store->slot_bytes());
  ASSERT_TRUE(slot);
  const bool interleaved = std::get<1>(GetParam());
  for (std::uint16_t layer = 0; layer < store->layers(); ++layer) {
    for (std::uint16_t expert = 0; expert < store->experts(); ++expert) {
      const ExpertId id = {layer, expert};
      std::memset(slot->data(), 0xee, slot->size());
      const ExpertReads reads =
          store->Reads(id, slot->data(), ReadClass::kDemand, 1);
      ASSERT_EQ(reads.count, 1u);
      ASSERT_LE(reads.requests[0].destination + reads.requests[0].length,
                slot->data() + slot->size());
      ASSERT_TRUE((*device)->Submit(reads.span()));
      std::vector<ReadCompletion> done;
      ASSERT_TRUE((*device)->Wait(done));
      ASSERT_FALSE(done.at(0).error);
      const auto finished = store->Finish(id, slot->data());
      ASSERT_TRUE(finished) << finished.error().message;
      const ExpertView view = store->View(id, slot->data());
      const auto expect = [&](const MatrixView& matrix, const char* part) {
        const GgufTensor& tensor = *gguf->FindTensor(
            "blk." + std::to_string(layer) + ".ffn_" + part + "_exps.weight");
        EXPECT_EQ(matrix.type, tensor.type);
        EXPECT_EQ(matrix.rows, tensor.ne[1]);
        EXPECT_EQ(matrix.columns, tensor.ne[0]);
        const bool supported =
            test::BlockInterleaver().supports(matrix.type) && interleaved;
        EXPECT_EQ(matrix.layout,
                  supported ? MatrixLayout::kRows8 : MatrixLayout::kRows);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(matrix.data) % 64, 0u);
        EXPECT_TRUE(
            Same({matrix.data, matrix.bytes()},
                 test::Arranged(SliceOf(source, tensor, expert, tensor.ne[2]),
                                tensor.type, tensor.ne[0], matrix.layout)))
            << part << " of " << layer << ", " << expert;
      };
      expect(view.gate, "gate");
      expect(view.up, "up");
      expect(view.down, "down");
    }
  }
}

TEST_P(ContainerOfModel, Verifies) {
  const auto report = VerifyContainer(options_.output);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->bytes, test::ReadWholeFile(options_.output).size());
}

INSTANTIATE_TEST_SUITE_P(
    Quants, ContainerOfModel,
    ::testing::Combine(::testing::Values("BF16", "F16", "IQ4_NL", "IQ4_XS",
                                         "MXFP4_MOE", "Q2_K", "Q3_K_M", "Q4_0",
                                         "Q4_1", "Q4_K_M", "Q5_0", "Q5_1",
                                         "Q5_K_M", "Q6_K", "Q8_0"),
                       ::testing::Bool(), ::testing::Bool()),
    [](const auto& test) {
      return std::string(std::get<0>(test.param)) +
             (std::get<1>(test.param) ? "Interleaved" : "Rows") +
             (std::get<2>(test.param) ? "Compressed" : "");
    });

// A container of the small model with one byte of a part wrong.
class DamagedRecord : public ::testing::TestWithParam<CompressRecords> {
 protected:
  void SetUp() override {
    const std::string input = folder_.Write("in.gguf", test::SmallModel());
    RepackOptions options =
        test::SmallRepack(input, folder_.Path("out.sluice"));
    options.compress = GetParam();
    ASSERT_TRUE(Repack(options));
    file_ = test::ReadWholeFile(options.output);
    auto container = ContainerReader::Parse(file_, "out.sluice");
    ASSERT_TRUE(container) << container.error().message;
    container_.emplace(std::move(*container));
  }
  // Does the read of `id` and what follows it.
  Result<void> Load(const ExpertStore& store, ExpertId id) {
    auto slot = AlignedBuffer::Allocate(store.slot_bytes());
    if (!slot) return Forward(std::move(slot));
    const ReadRequest request =
        store.Reads(id, slot->data(), ReadClass::kDemand, 0).requests[0];
    std::memcpy(request.destination, file_.data() + request.offset,
                request.length);
    return store.Finish(id, slot->data());
  }
  // The byte in the file of the middle of a part.
  std::size_t MiddleOf(ExpertId id, std::size_t part) const {
    const ContainerIndex& index = container_->index();
    const PartEntry& entry = index.record_parts(index.record_number(id))[part];
    return index.record(id).offset + entry.offset + entry.stored_bytes / 2;
  }

  test::ScratchFolder folder_;
  Bytes file_;
  std::optional<ContainerReader> container_;
};

TEST_P(DamagedRecord, IsRefusedByName) {
  for (const VerifyReads verify : {VerifyReads::kFirst, VerifyReads::kAlways}) {
    const auto store = ExpertStore::FromContainer(*container_, verify);
    ASSERT_TRUE(store);
    file_[MiddleOf({1, 2}, 1)] ^= std::byte{4};
    const auto refused = Load(*store, {1, 2});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(refused.error().message,
                HasSubstr("out.sluice: layer 1, expert 2, up ("));
    EXPECT_TRUE(Load(*store, {1, 1}));
    EXPECT_TRUE(Load(*store, {1, 3}));
    file_[MiddleOf({1, 2}, 1)] ^= std::byte{4};
    EXPECT_TRUE(Load(*store, {1, 2}));
  }
}

TEST_P(DamagedRecord, IsNoticedAsOftenAsAskedFor) {
  const auto first = ExpertStore::FromContainer(*container_);
  const auto always =
      ExpertStore::FromContainer(*container_, VerifyReads::kAlways);
  const auto never =
      ExpertStore::FromContainer(*container_, VerifyReads::kNever);
  ASSERT_TRUE(first && always && never);
  ASSERT_TRUE(Load(*first, {0, 3}));
  ASSERT_TRUE(Load(*always, {0, 3}));
  // A stored part: the damage is not noticed by decompressing.
  const auto parts = container_->index().record_parts(3);
  std::size_t stored = 0;
  while (stored < 3 && parts[stored].codec != 0) ++stored;
  if (stored == 3) GTEST_SKIP() << "every part is compressed";
  file_[MiddleOf({0, 3}, stored)] ^= std::byte{1};
  EXPECT_TRUE(Load(*first, {0, 3}));
  EXPECT_TRUE(Load(*never, {0, 3}));
  EXPECT_FALSE(Load(*always, {0, 3}));
}

INSTANTIATE_TEST_SUITE_P(All, DamagedRecord,
                         ::testing::Values(CompressRecords::kNever,
                                           CompressRecords::kAlways));

TEST(Container, IsToldFromOtherFiles) {
  const test::ScratchFolder folder;
  const std::string gguf = folder.Write("in.gguf", test::SmallModel());
  const std::string output = folder.Path("out.sluice");
  ASSERT_TRUE(Repack(test::SmallRepack(gguf, output)));
  EXPECT_TRUE(ContainerReader::IsContainer(output));
  EXPECT_FALSE(ContainerReader::IsContainer(gguf));
  EXPECT_FALSE(ContainerReader::IsContainer(folder.Path("none")));
  const auto refused = ContainerReader::Open(gguf);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("not a .sluice container"));
}

}  // namespace
}  // namespace sluice::storage
