// Damage to a container: every byte counts, and none may be missed.
#include "storage/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "storage/container_reader.h"
#include "storage/repack.h"
#include "storage/xxh3.h"
#include "tests/storage/device_test_util.h"
#include "tests/support/container_builder.h"
#include "tests/support/container_checksums.h"

namespace sluice::storage {
namespace {

using test::Bytes;
using ::testing::HasSubstr;

class DamagedContainer : public ::testing::TestWithParam<CompressRecords> {
 protected:
  void SetUp() override {
    const std::string input = folder_.Write("in.gguf", test::SmallModel());
    // Thousands of versions of the file are read: kept in memory where it can.
    path_ = (memory_.ok() ? memory_.File("") : folder_.Path("")) + "out.sluice";
    RepackOptions options = test::SmallRepack(input, path_);
    options.compress = GetParam();
    const auto report = Repack(options);
    ASSERT_TRUE(report) << report.error().message;
    file_ = test::ReadWholeFile(path_);
  }
  Result<VerifyReport> Verify(const Bytes& file) {
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(file.data()),
               static_cast<std::streamsize>(file.size()));
    DeviceOptions device;
    device.kind = DeviceKind::kMemory;
    return VerifyContainer(path_, {}, device);
  }

  test::ScratchFolder folder_;
  ScratchDir memory_{"/dev/shm"};
  std::string path_;
  Bytes file_;
};

TEST_P(DamagedContainer, IsNoticedWhereverAByteIsWrong) {
  ASSERT_TRUE(Verify(file_));
  // A prime step, so that every field and both kinds of padding are met; the
  // header and the start of the index closely.
  const std::size_t step = file_.size() / 2000 | 1;
  ASSERT_GE(file_.size() / step, 1900u);
  std::size_t tried = 0;
  const auto container = ContainerReader::Parse(file_, path_);
  ASSERT_TRUE(container) << container.error().message;
  std::array<std::size_t, kSectionCount> in_section = {};
  const auto damage = [&](std::size_t at) {
    for (std::size_t i = 0; i < kSectionCount; ++i) {
      const SectionEntry& section = container->header().sections[i];
      in_section[i] +=
          at >= section.offset && at < section.offset + section.stored_bytes;
    }
    file_[at] ^= static_cast<std::byte>(1 << (at % 8));
    const auto report = Verify(file_);
    EXPECT_FALSE(report) << "byte " << at;
    if (!report) {
      EXPECT_THAT(report.error().message, HasSubstr(path_)) << at;
    }
    file_[at] ^= static_cast<std::byte>(1 << (at % 8));
    ++tried;
  };
  for (std::size_t at = 0; at < file_.size(); at += step) damage(at);
  for (std::size_t at = 0; at < 400; ++at) damage(at);
  for (std::size_t at = 1; at <= 100; ++at) damage(file_.size() - at);
  // Every byte of the small sections; there are at most a few hundred.
  for (const auto kind : {SectionKind::kMetadata, SectionKind::kTokenizer}) {
    const SectionEntry& section = container->header().section(kind);
    for (std::size_t i = 0; i < section.stored_bytes; ++i) {
      damage(section.offset + i);
    }
  }
  EXPECT_GE(tried, 2000u);
  for (std::size_t i = 0; i < kSectionCount; ++i) {
    EXPECT_GE(in_section[i], 50u) << SectionName(SectionKind(i + 1));
  }
  EXPECT_TRUE(Verify(file_));
}

TEST_P(DamagedContainer, IsNoticedWhenItIsTruncated) {
  for (std::size_t bytes = 0; bytes < file_.size(); bytes += 509) {
    const Bytes shorter(file_.begin(),
                        file_.begin() + static_cast<std::ptrdiff_t>(bytes));
    EXPECT_FALSE(Verify(shorter)) << bytes;
    EXPECT_FALSE(ContainerReader::Parse(shorter, path_)) << bytes;
  }
  Bytes longer = file_;
  longer.resize(longer.size() + 4096);
  EXPECT_FALSE(Verify(longer));
}

TEST_P(DamagedContainer, IsRefusedWhileItIsBeingWritten) {
  ContainerHeader header;
  std::memcpy(&header, file_.data(), sizeof(header));
  header.state = 1;
  std::memcpy(file_.data(), &header, sizeof(header));
  test::FixChecksums(file_);
  const auto refused = ContainerReader::Parse(file_, "out.sluice");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("still being written"));
}

// Checksums right, contents wrong: what only a hostile writer makes.
TEST_P(DamagedContainer, NeverGetsPastTheRulesOfTheIndex) {
  ContainerHeader header;
  std::memcpy(&header, file_.data(), sizeof(header));
  const SectionEntry& index = header.section(SectionKind::kIndex);
  std::size_t refused = 0;
  for (std::size_t i = 0; i < index.stored_bytes; ++i) {
    Bytes damaged = file_;
    damaged[index.offset + i] ^= std::byte{0x80};
    test::FixChecksums(damaged);
    const auto container = ContainerReader::Parse(damaged, "x");
    if (!container) {
      ++refused;
      EXPECT_THAT(container.error().message, ::testing::StartsWith("x: "));
    }
  }
  // All but checksums, names and the precision of a size or two.
  EXPECT_GT(refused, index.stored_bytes / 2);
}

// Rows times bytes of a row are more than 2^64, and what is left of them fits.
TEST_P(DamagedContainer, ShapesDoNotWrapAround) {
  constexpr std::uint32_t kRows = 4294966866;
  constexpr std::uint32_t kColumns = 1072956075;
  const auto sound = ContainerReader::Parse(file_, path_);
  ASSERT_TRUE(sound);
  const ContainerIndex& index = sound->index();
  const std::uint64_t table = TablesOf(sound->header(), index).parts;
  for (std::size_t i = 0; i < index.parts.size(); ++i) {
    PartEntry part = index.parts[i];
    const bool down = i % index.header.parts_per_record == 2;
    part.type = 0;  // F32
    part.layout = 0;
    part.rows = down ? kColumns : kRows;
    part.columns = down ? kRows : kColumns;
    part.codec = static_cast<std::uint16_t>(Codec::kZstd);
    part.raw_bytes = std::uint64_t{4} * kColumns * kRows;
    std::memcpy(file_.data() + table + i * sizeof(part), &part, sizeof(part));
  }
  test::FixChecksums(file_);
  const auto refused = ContainerReader::Parse(file_, path_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(refused.error().message, HasSubstr(" rows of "));
}

// Each part in turn is junk that has its checksum: only unpacking can tell.
TEST_P(DamagedContainer, IsNoticedWhenARecordCannotBeUnpacked) {
  const auto sound = ContainerReader::Parse(file_, path_);
  ASSERT_TRUE(sound);
  const ContainerIndex& index = sound->index();
  const std::uint64_t table = TablesOf(sound->header(), index).parts;
  std::size_t packed = 0;
  for (std::size_t i = 0; i < index.parts.size(); ++i) {
    PartEntry part = index.parts[i];
    if (Codec{part.codec} != Codec::kZstd) continue;
    ++packed;
    const std::size_t record = i / index.header.parts_per_record;
    Bytes damaged = file_;
    const auto bytes = std::span(damaged).subspan(
        index.records[record].offset + part.offset, part.stored_bytes);
    // The middle of the frame; its header and size stay right.
    bytes[bytes.size() / 2] ^= std::byte{0x55};
    std::ranges::fill(bytes.subspan(bytes.size() * 3 / 4), std::byte{0xff});
    part.checksum = HashXxh3(bytes);
    std::memcpy(damaged.data() + table + i * sizeof(part), &part, sizeof(part));
    test::FixChecksums(damaged);
    ASSERT_TRUE(ContainerReader::Parse(damaged, path_)) << i;
    const auto report = Verify(damaged);
    ASSERT_FALSE(report) << "part " << i;
    EXPECT_EQ(report.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(
        report.error().message,
        HasSubstr("layer " + std::to_string(record / index.header.experts) +
                  ", expert " + std::to_string(record % index.header.experts)));
    EXPECT_THAT(report.error().message, HasSubstr("cannot be decompressed"));
  }
  EXPECT_EQ(packed > 0, GetParam() == CompressRecords::kAlways);
}

INSTANTIATE_TEST_SUITE_P(All, DamagedContainer,
                         ::testing::Values(CompressRecords::kNever,
                                           CompressRecords::kAlways));

TEST(Verify, StopsWhenAsked) {
  const test::ScratchFolder folder;
  const std::string input = folder.Write("in.gguf", test::SmallModel());
  const std::string output = folder.Path("out.sluice");
  ASSERT_TRUE(Repack(test::SmallRepack(input, output)));
  const auto stopped = VerifyContainer(
      output, [](std::uint64_t, std::uint64_t) { return false; });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace sluice::storage
