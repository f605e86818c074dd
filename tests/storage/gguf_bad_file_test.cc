// Paths that are no model, and sets of files that do not make one: each must be
// refused with one line that names the file and the cure.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "storage/gguf.h"
#include "tests/support/gguf_builder.h"

namespace sluice::storage {
namespace {

using test::Bytes;
using test::GgufBuilder;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr auto kF32 = TensorType::kF32;

// One line with the file, `what` and a cure after a semicolon.
auto IsOneLine(const std::string& file, const std::string& what) {
  return AllOf(StartsWith(file + ": "), HasSubstr(what), HasSubstr("; "),
               Not(HasSubstr("\n")));
}

GgufBuilder OneTensor() {
  GgufBuilder builder;
  builder.String("general.architecture", "test");
  builder.Tensor("norm", kF32, {1000});
  return builder;
}

// Open's errors, by path.
Error OpenError(const std::string& path) {
  const auto gguf = GgufFile::Open(path);
  EXPECT_FALSE(gguf) << "opened";
  return gguf ? Error{} : gguf.error();
}

TEST(GgufBadFileTest, RefusesWhatIsNoFile) {
  const test::ScratchFolder folder;
  const Error directory = OpenError(folder.Path(""));
  EXPECT_EQ(directory.code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(directory.message, IsOneLine(folder.Path(""), "a directory"));

  const std::string missing = folder.Path("missing.gguf");
  EXPECT_EQ(OpenError(missing).code, ErrorCode::kNotFound);
  EXPECT_THAT(OpenError(missing).message, IsOneLine(missing, "no such file"));

  const std::string pipe = folder.Path("pipe.gguf");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(OpenError(pipe).code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(OpenError(pipe).message, IsOneLine(pipe, "a pipe"));

  EXPECT_THAT(OpenError("/dev/zero").message,
              IsOneLine("/dev/zero", "a device"));

  const std::string empty = folder.Write("empty.gguf", {});
  EXPECT_EQ(OpenError(empty).code, ErrorCode::kCorrupt);
  EXPECT_THAT(OpenError(empty).message, IsOneLine(empty, "empty"));
}

TEST(GgufBadFileTest, RefusesAnUnreadableFile) {
  const test::ScratchFolder folder;
  const std::string path = folder.Write("m.gguf", OneTensor().File());
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  ASSERT_EQ(chmod(folder.Path("").c_str(), 0755), 0);
  // Root may read anything: become nobody for a moment.
  constexpr uid_t kNobody = 65534;
  const bool root = geteuid() == 0;
  if (root && seteuid(kNobody) != 0) GTEST_SKIP() << "cannot change user";
  const Error error = OpenError(path);
  ASSERT_TRUE(!root || seteuid(0) == 0);
  EXPECT_EQ(error.code, ErrorCode::kPermission);
  EXPECT_THAT(error.message, IsOneLine(path, "may not be read"));
}

TEST(GgufBadFileTest, RefusesAFileTruncatedInItsWeights) {
  const test::ScratchFolder folder;
  Bytes file = OneTensor().File();
  file.resize(file.size() - 1000);
  const std::string path = folder.Write("m.gguf", file);
  const Error error = OpenError(path);
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_THAT(error.message, IsOneLine(path, "truncated"));
  EXPECT_THAT(error.message, HasSubstr("download it again"));
}

GgufBuilder Part(std::uint16_t number, std::uint16_t count,
                 const std::string& tensor, std::int32_t tensors = 2) {
  GgufBuilder builder;
  builder.Number("split.no", GgufType::kUint16, number);
  builder.Number("split.count", GgufType::kUint16, count);
  builder.Number("split.tensors.count", GgufType::kInt32, tensors);
  builder.Tensor(tensor, kF32, {4});
  return builder;
}

TEST(GgufBadFileTest, NamesTheFirstPartWhenALaterOneIsOpened) {
  const test::ScratchFolder folder;
  const std::string first = folder.Path("m-00001-of-00002.gguf");
  const std::string second =
      folder.Write("m-00002-of-00002.gguf", Part(1, 2, "b").File());
  EXPECT_EQ(OpenError(second).code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(OpenError(second).message, IsOneLine(second, first));

  const std::string renamed = folder.Write("x.gguf", Part(1, 2, "b").File());
  EXPECT_THAT(OpenError(renamed).message,
              IsOneLine(renamed, "-00001-of-00002.gguf"));
}

TEST(GgufBadFileTest, NamesAMissingPart) {
  const test::ScratchFolder folder;
  const std::string first =
      folder.Write("m-00001-of-00002.gguf", Part(0, 2, "a").File());
  const std::string second = folder.Path("m-00002-of-00002.gguf");
  EXPECT_EQ(OpenError(first).code, ErrorCode::kNotFound);
  EXPECT_THAT(OpenError(first).message, IsOneLine(second, "part 2 of 2"));

  const std::string renamed = folder.Write("x.gguf", Part(0, 2, "a").File());
  EXPECT_EQ(OpenError(renamed).code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(OpenError(renamed).message,
              IsOneLine(renamed, "*-00001-of-00002.gguf"));
}

TEST(GgufBadFileTest, RefusesPartsThatDoNotBelongTogether) {
  const test::ScratchFolder folder;
  const std::string first =
      folder.Write("m-00001-of-00002.gguf", Part(0, 2, "a").File());
  const auto error_with = [&](const GgufBuilder& second) {
    folder.Write("m-00002-of-00002.gguf", second.File());
    return OpenError(first).message;
  };
  const std::string second = folder.Path("m-00002-of-00002.gguf");
  EXPECT_THAT(error_with(Part(0, 2, "b")), IsOneLine(second, "part 1 of 2"));
  EXPECT_THAT(error_with(Part(1, 3, "b")), IsOneLine(second, "part 2 of 3"));
  EXPECT_THAT(error_with(Part(1, 2, "a")), IsOneLine(second, "twice"));
  EXPECT_THAT(error_with(Part(1, 2, "b").Tensor("c", kF32, {4})),
              IsOneLine(first, "\"split.tensors.count\" is 2"));
  EXPECT_THAT(error_with(Part(1, 2, "b").Magic("oops")),
              IsOneLine(second, "not a GGUF"));
}

TEST(GgufBadFileTest, RefusesAbsurdSplitKeys) {
  const test::ScratchFolder folder;
  GgufBuilder builder;
  builder.String("split.count", "2");
  const std::string text = folder.Write("t.gguf", builder.File());
  EXPECT_THAT(OpenError(text).message, IsOneLine(text, "\"split.count\""));
  const std::string many =
      folder.Write("m-00001-of-65535.gguf", Part(0, 65535, "a").File());
  EXPECT_THAT(OpenError(many).message, IsOneLine(many, "\"split.count\""));
  const std::string lone = folder.Write("l.gguf", Part(1, 1, "a", 1).File());
  EXPECT_THAT(OpenError(lone).message, IsOneLine(lone, "part 2 of 1"));
}

TEST(GgufBadFileTest, TakesASplitCountOfZeroForAnUnsplitFile) {
  const test::ScratchFolder folder;
  const auto gguf =
      GgufFile::Open(folder.Write("z.gguf", Part(0, 0, "a", 1).File()));
  EXPECT_TRUE(gguf) << gguf.error().message;
}

}  // namespace
}  // namespace sluice::storage
