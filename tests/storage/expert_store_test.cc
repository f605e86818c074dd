#include "storage/expert_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "storage/aligned_buffer.h"
#include "tests/support/gguf_builder.h"

namespace sluice::storage {
namespace {

using test::Bytes;
using test::GgufBuilder;
using ::testing::HasSubstr;

const std::string kData = std::string(SLUICE_SOURCE_DIR) + "/tests/data/";

// Does the reads of one expert with pread, as a device would.
void ReadIntoSlot(const GgufFile& gguf, const ExpertReads& reads) {
  for (const ReadRequest& request : reads.span()) {
    const std::string& path = gguf.paths()[request.file];
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_GE(descriptor, 0) << path;
    const ssize_t got = pread(descriptor, request.destination, request.length,
                              static_cast<off_t>(request.offset));
    close(descriptor);
    // Only the aligned tail of the file may be missing.
    const std::uint64_t end = request.offset + request.length;
    const std::uint64_t size = gguf.file_bytes()[request.file];
    ASSERT_EQ(static_cast<std::uint64_t>(got),
              std::min(end, size) - request.offset);
    ASSERT_LT(end, size + kIoAlignment);
  }
}

// Each request aligned, and apart from the others within the slot.
void CheckRequests(const ExpertReads& reads, const AlignedBuffer& slot,
                   std::size_t slot_bytes) {
  std::size_t free_from = 0;
  for (const ReadRequest& request : reads.span()) {
    const auto at = static_cast<std::size_t>(request.destination - slot.data());
    EXPECT_EQ(request.offset % kIoAlignment, 0U);
    EXPECT_EQ(request.length % kIoAlignment, 0U);
    EXPECT_EQ(at % kIoAlignment, 0U);
    EXPECT_GE(at, free_from);
    free_from = at + request.length;
    EXPECT_LE(free_from, slot_bytes);
  }
}

void ExpectBytes(const MatrixView& view, const Bytes& file,
                 const GgufTensor& tensor, std::uint16_t expert) {
  const std::size_t begin = tensor.offset + expert * view.bytes();
  ASSERT_EQ(view.bytes() * tensor.ne[2], tensor.bytes) << tensor.name;
  EXPECT_EQ(view.type, tensor.type);
  EXPECT_EQ(view.columns, tensor.ne[0]);
  EXPECT_EQ(view.rows, tensor.ne[1]);
  EXPECT_EQ(std::memcmp(view.data, file.data() + begin, view.bytes()), 0)
      << tensor.name << " expert " << expert;
}

// Reads every expert of `gguf` and compares it with the files' own bytes.
void CheckAllExperts(const GgufFile& gguf, const ExpertStore& store) {
  std::vector<Bytes> files;
  for (const std::string& path : gguf.paths()) {
    files.push_back(test::ReadWholeFile(path));
  }
  AlignedBuffer slot = AlignedBuffer::Allocate(store.slot_bytes()).value();
  for (std::uint16_t layer = 0; layer < store.layers(); ++layer) {
    for (std::uint16_t expert = 0; expert < store.experts(); ++expert) {
      const ExpertId id{layer, expert};
      const auto reads = store.Reads(id, slot.data(), ReadClass::kPrefetch, 7);
      ASSERT_EQ(reads.count, 3U);
      EXPECT_EQ(reads.requests[1].tag, 7U);
      EXPECT_EQ(reads.requests[2].read_class, ReadClass::kPrefetch);
      CheckRequests(reads, slot, store.slot_bytes());
      ASSERT_NO_FATAL_FAILURE(ReadIntoSlot(gguf, reads));
      const ExpertView view = store.View(id, slot.data());
      const auto expect = [&](const MatrixView& matrix, const char* part) {
        const GgufTensor* tensor = gguf.FindTensor(
            fmt::format("blk.{}.ffn_{}_exps.weight", layer, part));
        ASSERT_NE(tensor, nullptr);
        ExpectBytes(matrix, files[tensor->file], *tensor, expert);
      };
      expect(view.gate, "gate");
      expect(view.up, "up");
      expect(view.down, "down");
    }
  }
}

class ExpertStoreOfModel : public ::testing::TestWithParam<const char*> {};

TEST_P(ExpertStoreOfModel, ViewsAreTheBytesOfTheTensors) {
  const auto gguf =
      GgufFile::Open(kData + "quants/micro-" + GetParam() + ".gguf");
  ASSERT_TRUE(gguf) << gguf.error().message;
  const auto store = ExpertStore::FromGguf(*gguf, 2, 8);
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_EQ(store->slot_bytes() % kIoAlignment, 0U);
  EXPECT_GE(store->slot_bytes(), store->expert_bytes(0));
  EXPECT_EQ(store->total_bytes(),
            8 * (store->expert_bytes(0) + store->expert_bytes(1)));
  CheckAllExperts(*gguf, *store);
}

// Q4_K_M and Q5_K_M have parts and layers of different types, MXFP4 has blocks
// of 17 bytes.
INSTANTIATE_TEST_SUITE_P(Quants, ExpertStoreOfModel,
                         ::testing::Values("Q4_K_M", "Q5_K_M", "MXFP4_MOE",
                                           "Q8_0", "F16"),
                         [](const auto& param) {
                           return std::string(param.param);
                         });

TEST(ExpertStoreTest, ReadsExpertsThatBeginAnywhereInABlock) {
  // 19 experts of 32 x 3 MXFP4 weights: 51 bytes each, at every odd place, and
  // the last one ends with the file.
  GgufBuilder builder;
  test::AddExperts(builder, 3, 19, 32, 32,
                   {TensorType::kMXFP4, TensorType::kQ8_0, TensorType::kQ4_1});
  const test::ScratchFolder folder;
  const std::string path = folder.Write("odd.gguf", builder.File());
  const auto gguf = GgufFile::Open(path);
  ASSERT_TRUE(gguf) << gguf.error().message;
  const auto store = ExpertStore::FromGguf(*gguf, 3, 19);
  ASSERT_TRUE(store) << store.error().message;
  CheckAllExperts(*gguf, *store);
}

TEST(ExpertStoreTest, ReadsExpertsFromSplitFiles) {
  // The parts of one layer lie in different files.
  const test::ScratchFolder folder;
  const auto part = [&](std::uint16_t number) {
    GgufBuilder builder;
    builder.Number("split.no", GgufType::kUint16, number);
    builder.Number("split.count", GgufType::kUint16, std::uint16_t{2});
    return builder;
  };
  GgufBuilder first = part(0);
  first.Tensor("blk.0.ffn_gate_exps.weight", TensorType::kF32, {64, 48, 5});
  GgufBuilder second = part(1);
  second.Tensor("blk.0.ffn_up_exps.weight", TensorType::kF32, {64, 48, 5})
      .Tensor("blk.0.ffn_down_exps.weight", TensorType::kF16, {48, 64, 5});
  folder.Write("m-00002-of-00002.gguf", second.File());
  const auto gguf =
      GgufFile::Open(folder.Write("m-00001-of-00002.gguf", first.File()));
  ASSERT_TRUE(gguf) << gguf.error().message;
  const auto store = ExpertStore::FromGguf(*gguf, 1, 5);
  ASSERT_TRUE(store) << store.error().message;
  CheckAllExperts(*gguf, *store);
}

// The error of a store over `builder`'s file.
Error StoreError(const GgufBuilder& builder, std::uint32_t layers,
                 std::uint32_t experts) {
  const auto gguf =
      GgufFile::Parse(builder.Header(), builder.file_bytes(), "bad.gguf");
  if (!gguf) return gguf.error();
  const auto store = ExpertStore::FromGguf(*gguf, layers, experts);
  EXPECT_FALSE(store);
  return store ? Error{} : store.error();
}

constexpr std::array<TensorType, 3> kAllF32 = {
    TensorType::kF32, TensorType::kF32, TensorType::kF32};

TEST(ExpertStoreTest, RefusesMissingTensors) {
  GgufBuilder builder;
  test::AddExperts(builder, 1, 4, 8, 16, kAllF32);
  const Error layer = StoreError(builder, 2, 4);
  EXPECT_EQ(layer.code, ErrorCode::kCorrupt);
  EXPECT_THAT(layer.message, HasSubstr("bad.gguf: "));
  EXPECT_THAT(layer.message,
              HasSubstr("\"blk.1.ffn_gate_exps.weight\" is missing"));
  EXPECT_THAT(StoreError(GgufBuilder(), 1, 4).message,
              HasSubstr("\"blk.0.ffn_gate_exps.weight\" is missing"));
}

TEST(ExpertStoreTest, RefusesWrongShapes) {
  GgufBuilder counts;
  test::AddExperts(counts, 1, 4, 8, 16, kAllF32);
  const Error experts = StoreError(counts, 1, 5);
  EXPECT_EQ(experts.code, ErrorCode::kCorrupt);
  EXPECT_THAT(experts.message,
              HasSubstr("\"blk.0.ffn_gate_exps.weight\" has shape [8, 16, 4, "
                        "1], not [8, 16, 5, 1]"));

  GgufBuilder turned;
  turned.Tensor("blk.0.ffn_gate_exps.weight", TensorType::kF32, {8, 16, 4})
      .Tensor("blk.0.ffn_up_exps.weight", TensorType::kF32, {8, 16, 4})
      .Tensor("blk.0.ffn_down_exps.weight", TensorType::kF32, {8, 16, 4});
  EXPECT_THAT(StoreError(turned, 1, 4).message,
              HasSubstr("\"blk.0.ffn_down_exps.weight\" has shape"));

  GgufBuilder layers;
  test::AddExperts(layers, 1, 4, 8, 16, kAllF32);
  layers.Tensor("blk.1.ffn_gate_exps.weight", TensorType::kF32, {8, 17, 4});
  EXPECT_THAT(StoreError(layers, 2, 4).message,
              HasSubstr("\"blk.1.ffn_gate_exps.weight\" has shape"));

  GgufBuilder wide;
  wide.Tensor("blk.0.ffn_gate_exps.weight", TensorType::kF32, {8, 16, 4, 2});
  EXPECT_THAT(StoreError(wide, 1, 4).message, HasSubstr("[8, 16, 4, 2]"));
}

TEST(ExpertStoreTest, RefusesCountsThatAnExpertIdCannotHold) {
  GgufBuilder builder;
  test::AddExperts(builder, 1, 4, 8, 16, kAllF32);
  for (const auto& [layers, experts] :
       {std::pair{0U, 4U}, {1U, 0U}, {65536U, 4U}, {1U, 65536U}}) {
    const Error error = StoreError(builder, layers, experts);
    EXPECT_EQ(error.code, ErrorCode::kCorrupt);
    EXPECT_THAT(error.message, HasSubstr("layers of"));
  }
}

}  // namespace
}  // namespace sluice::storage
