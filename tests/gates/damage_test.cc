// Gate: a byte of a container that is wrong, wherever it is, ends in an error
// or does not matter; no logit ever comes from it.

#include <algorithm>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/container_api.h"
#include "engine/sluice.h"
#include "storage/container_reader.h"
#include "tests/gates/gate_support.h"

namespace sluice::gates {
namespace {

struct Outcome {
  std::vector<float> logits;  // as far as they came
  std::optional<Error> error;
};

Outcome Evaluate(const std::string& model, bool streaming,
                 VerifyRecords verify) {
  EngineOptions options;
  options.force_streaming = streaming;
  options.threads = 1;
  options.context = 32;
  options.verify_reads = verify;
  Outcome outcome;
  const auto failed = [&outcome](const Error& error) {
    outcome.error = error;
    return outcome;
  };
  auto engine = Engine::Open(model, options);
  if (!engine) return failed(engine.error());
  auto session = (*engine)->NewSession();
  if (!session) return failed(session.error());
  const std::vector<TokenId> tokens = {5, 17, 40, 99, 3, 61, 200, 12};
  const auto done = (*session)->Evaluate(
      tokens, [&](std::size_t, std::span<const float> logits) {
        outcome.logits.insert(outcome.logits.end(), logits.begin(),
                              logits.end());
        return true;
      });
  if (!done) return failed(done.error());
  return outcome;
}

class DamagedModel : public ::testing::TestWithParam<CompressExperts> {
 protected:
  void SetUp() override {
    RepackModelOptions options;
    options.input = kTestData + "/quants/micro-Q4_K_M.gguf";
    options.output = path_;
    options.compress = GetParam();
    const auto report = RepackModel(options);
    ASSERT_TRUE(report) << report.error().message;
    file_ = tools::ReadTestFile(path_);
    const auto container = storage::ContainerReader::Open(path_);
    ASSERT_TRUE(container) << container.error().message;
    experts_ =
        container->header().section(storage::SectionKind::kExperts).offset;
    expected_ = Evaluate(path_, false, VerifyRecords::kFirst);
    ASSERT_FALSE(expected_.error) << expected_.error->message;
    ASSERT_FALSE(expected_.logits.empty());
  }
  // Runs with the byte at `offset` wrong; whether that was an error.
  bool IsError(std::size_t offset, bool streaming) {
    Flip(offset);
    const Outcome outcome = Evaluate(
        path_, streaming,
        offset % 2 == 0 ? VerifyRecords::kFirst : VerifyRecords::kAlways);
    Flip(offset);
    // Logits may come before a damaged record is read, never from it.
    EXPECT_LE(outcome.logits.size(), expected_.logits.size());
    EXPECT_TRUE(std::ranges::equal(
        outcome.logits,
        std::span(expected_.logits).first(outcome.logits.size())))
        << "byte " << offset;
    if (!outcome.error) {
      EXPECT_EQ(outcome.logits.size(), expected_.logits.size());
      return false;
    }
    EXPECT_EQ(outcome.error->message.find('\n'), std::string::npos);
    EXPECT_TRUE(outcome.error->message.starts_with(path_))
        << outcome.error->message;
    return true;
  }

  void Flip(std::size_t offset) {
    file_[offset] = static_cast<char>(file_[offset] ^ (1 << (offset % 8)));
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(file_[offset]);
  }

  TestFolder folder_;
  const std::string path_ = folder_.Path("model.sluice");
  std::string file_;
  std::size_t experts_ = 0;  // offset of their section
  Outcome expected_;
};

TEST_P(DamagedModel, NeverGivesALogit) {
  std::size_t before = 0;
  std::size_t refused_before = 0;
  std::size_t records = 0;
  std::size_t refused_records = 0;
  const std::size_t step = file_.size() / (SLUICE_SANITIZED ? 100 : 1000) | 1;
  for (std::size_t offset = 0; offset < file_.size(); offset += step) {
    const bool in_records = offset >= experts_ && offset + 4096 < file_.size();
    // Resident engines read every record; streaming ones those that they need.
    const bool error = IsError(offset, (offset / step) % 2 == 0);
    ++(in_records ? records : before);
    if (error) ++(in_records ? refused_records : refused_before);
  }
  // Only padding between and after the parts does not matter.
  EXPECT_GT(before, 0U);
  EXPECT_GT(refused_before, before / 2);
  EXPECT_GT(records, 0U);
  EXPECT_GT(refused_records, records / 4);
}

INSTANTIATE_TEST_SUITE_P(All, DamagedModel,
                         ::testing::Values(CompressExperts::kNever,
                                           CompressExperts::kAlways));

}  // namespace
}  // namespace sluice::gates
