// What a probe chose is remembered for the same file on the same device alone.
#include "storage/probe_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/storage/device_test_util.h"

namespace sluice::storage {
namespace {

using testing::HasSubstr;

constexpr FlashChoice kChoice = {.piece_bytes = 256 << 10,
                                 .depth = 16,
                                 .bytes_per_second = 1.5e9,
                                 .best_bytes_per_second = 1.6e9};

class ProbeFile : public ::testing::Test {
 protected:
  void SetUp() override {
    model_ = folder_.File("model.sluice");
    probe_ = folder_.File("model.sluice.probe");
    WriteTestFile(model_, 1, 5000);
    key_ = ProbeKey(model_, "io_uring");
    ASSERT_NE(key_, "");
  }
  std::string Text() const {
    std::ifstream file(probe_);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::optional<FlashChoice> RecallOf(const std::string& text) const {
    std::ofstream(probe_) << text;
    return RecallChoice(probe_, key_);
  }

  ScratchDir folder_;
  std::string model_;
  std::string probe_;
  std::string key_;
};

TEST_F(ProbeFile, RemembersForTheSameKey) {
  EXPECT_FALSE(RecallChoice(probe_, key_));
  ASSERT_TRUE(RememberChoice(probe_, key_, kChoice));
  const auto recalled = RecallChoice(probe_, ProbeKey(model_, "io_uring"));
  ASSERT_TRUE(recalled);
  EXPECT_EQ(recalled->piece_bytes, kChoice.piece_bytes);
  EXPECT_EQ(recalled->depth, kChoice.depth);
  EXPECT_EQ(recalled->bytes_per_second, kChoice.bytes_per_second);
  EXPECT_EQ(recalled->best_bytes_per_second, kChoice.best_bytes_per_second);
  // Replaced whole, and no temporary stays.
  FlashChoice other = kChoice;
  other.depth = 4;
  ASSERT_TRUE(RememberChoice(probe_, key_, other));
  EXPECT_EQ(RecallChoice(probe_, key_)->depth, 4U);
  const std::filesystem::directory_iterator files(folder_.File(""));
  EXPECT_EQ(std::distance(begin(files), end(files)), 2);
}

TEST_F(ProbeFile, ForgetsWhatIsOfSomethingElse) {
  ASSERT_TRUE(RememberChoice(probe_, key_, kChoice));
  EXPECT_FALSE(RecallChoice(probe_, ProbeKey(model_, "pread")));
  WriteTestFile(model_, 1, 5001);
  EXPECT_FALSE(RecallChoice(probe_, ProbeKey(model_, "io_uring")));
  WriteTestFile(model_, 1, 5000);
  EXPECT_TRUE(RecallChoice(probe_, ProbeKey(model_, "io_uring")));
  // The same file on another file system.
  const ScratchDir memory("/dev/shm");
  if (memory.ok()) {
    WriteTestFile(memory.File("model.sluice"), 1, 5000);
    EXPECT_FALSE(RecallChoice(
        probe_, ProbeKey(memory.File("model.sluice"), "io_uring")));
  }
  EXPECT_EQ(ProbeKey(folder_.File("none"), "io_uring"), "");
  EXPECT_FALSE(RecallChoice(probe_, ""));
}

TEST_F(ProbeFile, IgnoresWhatIsDamaged) {
  ASSERT_TRUE(RememberChoice(probe_, key_, kChoice));
  const std::string good = Text();
  ASSERT_THAT(good, HasSubstr("piece_bytes 262144\ndepth 16\n"));
  ASSERT_TRUE(RecallOf(good));
  for (std::size_t bytes = 0; bytes < good.size(); ++bytes) {
    EXPECT_FALSE(RecallOf(good.substr(0, bytes))) << bytes;
  }
  EXPECT_FALSE(RecallOf(good + "more\n"));
  EXPECT_FALSE(RecallOf(std::string(1 << 20, 'x')));
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  EXPECT_TRUE(RecallOf(with("depth 16", "depth 64")));
  EXPECT_FALSE(RecallOf(with("depth 16", "depth 65")));
  EXPECT_FALSE(RecallOf(with("depth 16", "depth 0")));
  EXPECT_FALSE(RecallOf(with("depth 16", "depth -1")));
  EXPECT_FALSE(RecallOf(with("262144", "262145")));
  EXPECT_FALSE(RecallOf(with("262144", "0")));
  EXPECT_FALSE(RecallOf(with("262144", "8388608")));
  EXPECT_FALSE(RecallOf(with("262144", "99999999999999999999999")));
}

TEST_F(ProbeFile, IsNoFileAtAllWhereItCannotBe) {
  EXPECT_FALSE(RememberChoice(folder_.File("none/probe"), key_, kChoice));
  EXPECT_FALSE(RememberChoice("/proc/sluice.probe", key_, kChoice));
  std::filesystem::create_directory(probe_);
  EXPECT_FALSE(RememberChoice(probe_, key_, kChoice));
  EXPECT_FALSE(RecallChoice(probe_, key_));
  EXPECT_FALSE(RecallChoice("/dev/zero", key_));
  const std::filesystem::directory_iterator files(folder_.File(""));
  EXPECT_EQ(std::distance(begin(files), end(files)), 2);
}

}  // namespace
}  // namespace sluice::storage
