// Files that break the format's rules: each must be refused with one line that
// names the file, the place and the cure.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "storage/gguf.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/gguf_invariants.h"

namespace sluice::storage {
namespace {

using test::Bytes;
using test::GgufBuilder;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr auto kF32 = TensorType::kF32;

// The error of parsing a header of a file of `file_bytes` bytes.
Error ErrorOf(const Bytes& header, std::uint64_t file_bytes) {
  const auto gguf = GgufFile::Parse(header, file_bytes, "t.gguf");
  EXPECT_FALSE(gguf) << "accepted";
  return gguf ? Error{} : gguf.error();
}
Error ErrorOf(const GgufBuilder& builder) {
  return ErrorOf(builder.Header(), builder.file_bytes());
}

// One line with the file, `place` and a cure after a semicolon.
auto IsOneLine(std::string_view file, const std::string& place) {
  return AllOf(StartsWith(std::string(file) + ": "), HasSubstr(place),
               HasSubstr("; "), Not(HasSubstr("\n")));
}

struct BadFile {
  const char* name;
  ErrorCode code;
  std::vector<std::string> message;  // each must be in it
  std::function<void(GgufBuilder&)> build;
};

void PrintTo(const BadFile& bad, std::ostream* out) { *out << bad.name; }

class GgufOfBadFile : public ::testing::TestWithParam<BadFile> {};

TEST_P(GgufOfBadFile, IsRefused) {
  GgufBuilder builder;
  GetParam().build(builder);
  const Error error = ErrorOf(builder);
  EXPECT_EQ(error.code, GetParam().code) << error.message;
  for (const std::string& part : GetParam().message) {
    EXPECT_THAT(error.message, IsOneLine("t.gguf", part));
  }
}

std::string TestName(const ::testing::TestParamInfo<BadFile>& info) {
  return info.param.name;
}

constexpr auto kCorrupt = ErrorCode::kCorrupt;
constexpr auto kUnsupported = ErrorCode::kUnsupported;

INSTANTIATE_TEST_SUITE_P(
    Preamble, GgufOfBadFile,
    ::testing::Values(
        BadFile{"WrongMagic",
                kCorrupt,
                {"not a GGUF file", "byte 0"},
                [](auto& b) { b.Magic("GGML"); }},
        BadFile{"GitLfsPointer",
                kCorrupt,
                {"git lfs pull"},
                [](auto& b) { b.Magic("version https://git-lfs"); }},
        BadFile{"Version0",
                kUnsupported,
                {"version 0", "byte 4"},
                [](auto& b) { b.Version(0); }},
        BadFile{"Version1",
                kUnsupported,
                {"version 1", "byte 4", "convert"},
                [](auto& b) { b.Version(1); }},
        BadFile{"Version4",
                kUnsupported,
                {"version 4", "reads 2 and 3"},
                [](auto& b) { b.Version(4); }},
        BadFile{"BigEndian",
                kUnsupported,
                {"big-endian", "little-endian"},
                [](auto& b) { b.Version(3U << 24); }},
        BadFile{"AbsurdTensorCount",
                kCorrupt,
                {"18446744073709551615 tensors", "byte 8"},
                [](auto& b) { b.ClaimTensors(~std::uint64_t{0}); }},
        BadFile{"AbsurdKeyCount",
                kCorrupt,
                {"4294967296 metadata keys", "byte 16"},
                [](auto& b) { b.ClaimKeys(std::uint64_t{1} << 32); }},
        BadFile{"MoreTensorsThanBytes",
                kCorrupt,
                {"1000 tensors", "byte 24"},
                [](auto& b) { b.ClaimTensors(1000); }},
        BadFile{"MoreKeysThanBytes",
                kCorrupt,
                {"1000 metadata keys", "byte 24"},
                [](auto& b) { b.ClaimKeys(1000); }}),
    TestName);

INSTANTIATE_TEST_SUITE_P(
    Metadata, GgufOfBadFile,
    ::testing::Values(
        BadFile{"EmptyKey",
                kCorrupt,
                {"empty metadata key", "byte 24"},
                [](auto& b) { b.Uint32("", 1); }},
        BadFile{"LongKey",
                kCorrupt,
                {"string of 65536 bytes", "byte 24", "key number 1"},
                [](auto& b) { b.Uint32(std::string(65536, 'k'), 1); }},
        BadFile{"RepeatedKey",
                kCorrupt,
                {"repeated", "key \"a.b\"", "byte 43"},
                [](auto& b) { b.Uint32("a.b", 1).Uint32("a.b", 2); }},
        BadFile{"UnknownType",
                kCorrupt,
                {"metadata type 13", "byte 33", "key \"k\""},
                [](auto& b) { b.Raw("k", 13, Bytes(8)); }},
        BadFile{"BoolOfTwo",
                kCorrupt,
                {"bool of value 2", "byte 37", "key \"k\""},
                [](auto& b) { b.Raw("k", 7, Bytes(1, std::byte{2})); }},
        BadFile{"LongString",
                kCorrupt,
                {"string of 9223372036854775807 bytes", "key \"k\""},
                [](auto& b) {
                  Bytes bytes;
                  test::AppendNumber(bytes, std::uint64_t{INT64_MAX});
                  b.Raw("k", 8, bytes);
                }},
        BadFile{"StringPastTheEnd",
                kCorrupt,
                {"truncated", "byte 45", "key \"k\""},
                [](auto& b) {
                  Bytes bytes;
                  test::AppendNumber(bytes, std::uint64_t{100000});
                  b.Raw("k", 8, bytes);
                }},
        BadFile{"UnknownArrayType",
                kCorrupt,
                {"array type 99", "byte 37", "key \"k\""},
                [](auto& b) { b.RawArray("k", 99, 0, {}); }},
        BadFile{"ArrayOfArrays",
                kUnsupported,
                {"array of arrays", "byte 37", "key \"k\""},
                [](auto& b) { b.RawArray("k", 9, 1, Bytes(20)); }},
        BadFile{"AbsurdArrayCount",
                kCorrupt,
                {"18446744073709551615 array elements", "key \"k\""},
                [](auto& b) { b.RawArray("k", 10, ~std::uint64_t{0}, {}); }},
        BadFile{"ArrayCountWhoseBytesWrap",
                kCorrupt,
                {"2305843009213693953 array elements", "key \"k\""},
                [](auto& b) {
                  b.RawArray("k", 12, (std::uint64_t{1} << 61) + 1, Bytes(8));
                }},
        BadFile{"AbsurdStringCount",
                kCorrupt,
                {"1000000 array elements", "key \"k\""},
                [](auto& b) { b.RawArray("k", 8, 1000000, Bytes(80)); }},
        BadFile{"BoolArrayOfThree",
                kCorrupt,
                {"bool of value 3", "byte 50", "key \"k\""},
                [](auto& b) {
                  b.RawArray("k", 7, 2, Bytes{std::byte{0}, std::byte{3}});
                }},
        BadFile{"StringInArrayPastTheEnd",
                kCorrupt,
                {"truncated", "key \"k\""},
                [](auto& b) {
                  Bytes bytes;
                  test::AppendNumber(bytes, std::uint64_t{5000});
                  b.RawArray("k", 8, 1, bytes);
                }},
        BadFile{"NameWithNewline",
                kCorrupt,
                {"key \"a\\x0ab\\xff\""},
                [](auto& b) { b.Raw("a\nb\xff", 77, {}); }}),
    TestName);

INSTANTIATE_TEST_SUITE_P(
    Tensors, GgufOfBadFile,
    ::testing::Values(
        BadFile{"NoName",
                kCorrupt,
                {"empty tensor name", "byte 24"},
                [](auto& b) { b.Tensor("", kF32, {1}); }},
        BadFile{"LongName",
                kCorrupt,
                {"string of 65 bytes", "tensor number 1"},
                [](auto& b) { b.Tensor(std::string(65, 'n'), kF32, {1}); }},
        BadFile{
            "RepeatedName",
            kCorrupt,
            {"tensor \"t\"", "twice"},
            [](auto& b) { b.Tensor("t", kF32, {1}).Tensor("t", kF32, {2}); }},
        BadFile{"NoDimensions",
                kCorrupt,
                {"0 dimensions", "byte 33", "tensor \"t\""},
                [](auto& b) { b.Tensor("t", kF32, {}); }},
        BadFile{"FiveDimensions",
                kCorrupt,
                {"5 dimensions", "byte 33", "tensor \"t\""},
                [](auto& b) { b.Tensor("t", kF32, {1, 1, 1, 1, 1}); }},
        BadFile{"ZeroDimension",
                kCorrupt,
                {"dimension 1 is zero", "byte 45", "tensor \"t\""},
                [](auto& b) { b.Tensor("t", kF32, {4, 0}); }},
        BadFile{"ProductThatWraps",
                kCorrupt,
                {"dimension 1 of 4294967296", "tensor \"t\""},
                [](auto& b) {
                  b.Tensor("t", kF32,
                           {std::uint64_t{1} << 32, std::uint64_t{1} << 32});
                }},
        BadFile{"AbsurdDimension",
                kCorrupt,
                {"dimension 0 of 18446744073709551615", "tensor \"t\""},
                [](auto& b) { b.Tensor("t", kF32, {~std::uint64_t{0}}); }},
        BadFile{"UnknownType",
                kUnsupported,
                {"type 16", "tensor \"t\"", "byte 45", "Q4_K"},
                [](auto& b) { b.Tensor("t", 16U, {256}); }},
        BadFile{"PartBlock",
                kCorrupt,
                {"rows of 255 weights", "Q4_K", "256", "tensor \"t\""},
                [](auto& b) { b.Tensor("t", TensorType::kQ4_K, {255, 2}); }},
        BadFile{"OffsetNotAligned",
                kCorrupt,
                {"offset 16", "tensor \"t\"", "alignment 32"},
                [](auto& b) { b.Tensor("t", kF32, {1}, 16); }},
        BadFile{"OffsetPastTheEnd",
                kCorrupt,
                {"truncated", "tensor \"t\"", "download it again"},
                [](auto& b) { b.Tensor("t", kF32, {1}, 1 << 20); }},
        BadFile{"OffsetThatWraps",
                kCorrupt,
                {"truncated", "tensor \"t\""},
                [](auto& b) { b.Tensor("t", kF32, {1}, ~std::uint64_t{31}); }},
        BadFile{"Overlap",
                kCorrupt,
                {"\"b\" and \"a\" overlap", "byte 96"},
                [](auto& b) {
                  b.Tensor("b", kF32, {9}).Tensor("a", kF32, {8}, 0);
                }},
        BadFile{"OverlapOfOneByte",
                kCorrupt,
                {"\"a\" and \"b\" overlap", "byte 128"},
                [](auto& b) {
                  b.Tensor("a", kF32, {9}).Tensor("b", kF32, {8}, 32);
                }}),
    TestName);

INSTANTIATE_TEST_SUITE_P(
    Alignment, GgufOfBadFile,
    ::testing::Values(
        BadFile{"Zero",
                kCorrupt,
                {"\"general.alignment\" is 0"},
                [](auto& b) { b.Uint32("general.alignment", 0); }},
        BadFile{"NoPowerOfTwo",
                kCorrupt,
                {"\"general.alignment\" is 24"},
                [](auto& b) { b.Uint32("general.alignment", 24); }},
        BadFile{"BelowEight",
                kCorrupt,
                {"\"general.alignment\" is 4"},
                [](auto& b) { b.Uint32("general.alignment", 4); }},
        BadFile{"Absurd",
                kCorrupt,
                {"\"general.alignment\" is 2147483648"},
                [](auto& b) { b.Uint32("general.alignment", 1U << 31); }},
        BadFile{"Text",
                kCorrupt,
                {"\"general.alignment\" is not a whole number"},
                [](auto& b) { b.String("general.alignment", "32"); }}),
    TestName);

// A small file with every kind of metadata and several tensors.
GgufBuilder RichFile() {
  GgufBuilder builder;
  builder.String("general.architecture", "test");
  builder.Uint32("general.alignment", 32);
  builder.Number("u8", GgufType::kUint8, std::uint8_t{1});
  builder.Number("i64", GgufType::kInt64, std::int64_t{-1});
  builder.Number("f32", GgufType::kFloat32, 1.5F);
  builder.Number("bool", GgufType::kBool, std::uint8_t{1});
  builder.StringArray("strings", {"a", "", "ccc"});
  builder.Array<std::int32_t>("ints", GgufType::kInt32, {1, 2, 3});
  builder.Array<float>("floats", GgufType::kFloat32, {1.0F});
  builder.Array<std::uint8_t>("bools", GgufType::kBool, {0, 1});
  test::AddExperts(builder, 2, 3, 32, 64,
                   {TensorType::kQ4_0, TensorType::kMXFP4, TensorType::kQ8_0});
  builder.Tensor("norm", kF32, {32});
  return builder;
}

TEST(GgufBadInputTest, EveryTruncationIsRefused) {
  const GgufBuilder builder = RichFile();
  const Bytes file = builder.File();
  ASSERT_TRUE(GgufFile::Parse(file, file.size(), "t.gguf"));
  for (std::size_t size = 0; size < file.size(); ++size) {
    // A buffer of exactly this size, so that a sanitizer sees reads after it.
    const Bytes part(file.begin(), file.begin() + static_cast<int>(size));
    const Error error = ErrorOf(part, size);
    ASSERT_EQ(error.code, ErrorCode::kCorrupt) << size << error.message;
    ASSERT_THAT(error.message, IsOneLine("t.gguf", "download it again"))
        << size;
  }
}

TEST(GgufBadInputTest, EveryHeaderCutShortIsRefused) {
  const GgufBuilder builder = RichFile();
  const Bytes header = builder.Header();
  for (std::size_t size = 0; size < header.size(); ++size) {
    const Bytes part(header.begin(), header.begin() + static_cast<int>(size));
    const Error error = ErrorOf(part, builder.file_bytes());
    ASSERT_EQ(error.code, ErrorCode::kCorrupt) << size << error.message;
  }
}

TEST(GgufBadInputTest, NoSingleDamagedByteBreaksAnInvariant) {
  const GgufBuilder builder = RichFile();
  Bytes header = builder.Header();
  int refused = 0;
  for (std::byte& byte : header) {
    const std::byte intact = byte;
    const auto value = std::to_integer<unsigned>(intact);
    for (const unsigned damaged :
         {0U, 1U, 0x7fU, 0x80U, 0xffU, value + 1, value - 1, value ^ 0x10}) {
      byte = static_cast<std::byte>(damaged);
      const auto gguf = GgufFile::Parse(header, builder.file_bytes(), "t.gguf");
      if (gguf) {
        ASSERT_EQ(test::BrokenInvariant(*gguf), "");
      } else {
        ++refused;
        ASSERT_THAT(gguf.error().message, IsOneLine("t.gguf", ""));
      }
    }
    byte = intact;
  }
  EXPECT_GT(refused, 1000);
}

TEST(GgufBadInputTest, RefusesAHeaderLongerThanTheLimit) {
  // A claimed array that a file of 1 TB could hold but no header should.
  GgufBuilder builder;
  builder.RawArray("k", 10, std::uint64_t{1} << 36, {});
  const Error error = ErrorOf(builder.Header(), std::uint64_t{1} << 40);
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_THAT(error.message, IsOneLine("t.gguf", "key \"k\""));
}

TEST(GgufBadInputTest, ParseRefusesAPartOfASet) {
  GgufBuilder builder;
  builder.Uint32("split.no", 0).Uint32("split.count", 2);
  EXPECT_THAT(ErrorOf(builder).message, IsOneLine("t.gguf", "part 1 of 2"));
}

}  // namespace
}  // namespace sluice::storage
