#include "storage/piece_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <vector>

#include "storage/aligned_buffer.h"
#include "storage/file_set.h"
#include "tests/storage/device_test_util.h"

namespace sluice::storage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::size_t kBlock = kIoAlignment;

class PieceQueueTest : public testing::Test {
 protected:
  static FileSet OpenFile(const ScratchDir& scratch) {
    WriteTestFile(scratch.File("f"), 0, 10 * kBlock + 5);
    return FileSet::Open({scratch.File("f")}, /*want_direct=*/false).value();
  }

  ReadRequest Request(std::uint64_t tag, std::size_t blocks,
                      ReadClass read_class) {
    return {.length = blocks * kBlock,
            .destination = buffer_.data(),
            .read_class = read_class,
            .tag = tag};
  }
  void Add(std::uint64_t tag, std::size_t blocks, ReadClass read_class) {
    const ReadRequest request = Request(tag, blocks, read_class);
    queue_.Add({&request, 1});
  }
  // Starts a piece and completes it.
  void ReadNext() {
    Piece piece = queue_.Next();
    EXPECT_TRUE(queue_.Advance(piece, static_cast<int>(piece.length)));
  }
  std::vector<std::uint64_t> CompletedTags() {
    std::vector<std::uint64_t> tags;
    for (const ReadCompletion& completion : queue_.completed()) {
      tags.push_back(completion.tag);
    }
    return tags;
  }

  ScratchDir scratch_;
  const FileSet files_ = OpenFile(scratch_);
  AlignedBuffer buffer_ = AlignedBuffer::Allocate(11 * kBlock).value();
  PieceQueue queue_{files_, {.piece_bytes = 2 * kBlock}};
};

TEST_F(PieceQueueTest, SplitsRequestsIntoPieces) {
  Add(1, 5, ReadClass::kDemand);
  std::vector<std::size_t> offsets;
  std::vector<std::size_t> lengths;
  while (queue_.has_next()) {
    const Piece piece = queue_.Next();
    EXPECT_EQ(piece.destination, buffer_.data() + piece.offset);
    offsets.push_back(piece.offset);
    lengths.push_back(piece.length);
  }
  EXPECT_THAT(offsets, ElementsAre(0, 2 * kBlock, 4 * kBlock));
  EXPECT_THAT(lengths, ElementsAre(2 * kBlock, 2 * kBlock, kBlock));
}

TEST_F(PieceQueueTest, DemandGoesFirst) {
  Add(1, 2, ReadClass::kPrefetch);
  Add(2, 4, ReadClass::kPrefetch);
  Add(3, 4, ReadClass::kDemand);
  Add(4, 2, ReadClass::kDemand);
  while (queue_.has_next()) ReadNext();
  EXPECT_THAT(CompletedTags(), ElementsAre(3, 4, 1, 2));
}

TEST_F(PieceQueueTest, APromotedPrefetchOvertakesTheOthers) {
  Add(1, 2, ReadClass::kPrefetch);
  Add(2, 4, ReadClass::kPrefetch);
  Add(3, 2, ReadClass::kPrefetch);
  Add(4, 2, ReadClass::kDemand);
  queue_.Promote(3);
  queue_.Promote(3);
  queue_.Promote(99);
  while (queue_.has_next()) ReadNext();
  EXPECT_THAT(CompletedTags(), ElementsAre(4, 3, 1, 2));
}

TEST_F(PieceQueueTest, TheRestOfAStartedPrefetchCanBePromoted) {
  Add(1, 4, ReadClass::kPrefetch);
  ReadNext();
  Add(2, 2, ReadClass::kPrefetch);
  queue_.Promote(2);
  queue_.Promote(1);
  while (queue_.has_next()) ReadNext();
  EXPECT_THAT(CompletedTags(), ElementsAre(2, 1));
}

TEST_F(PieceQueueTest, ACancelledPrefetchStopsWithinOnePiece) {
  Add(1, 6, ReadClass::kPrefetch);
  Add(2, 2, ReadClass::kPrefetch);
  Piece piece = queue_.Next();
  queue_.Cancel(1);
  EXPECT_THAT(CompletedTags(), ElementsAre());  // a piece is under way
  ReadNext();
  EXPECT_THAT(CompletedTags(), ElementsAre(2));
  EXPECT_FALSE(queue_.has_next());
  // Not even a short read is continued.
  EXPECT_TRUE(queue_.Advance(piece, kBlock));
  EXPECT_THAT(CompletedTags(), ElementsAre(2, 1));
  EXPECT_EQ(queue_.completed()[1].error->code, ErrorCode::kCancelled);
}

TEST_F(PieceQueueTest, ACancellationThatIsTooLateChangesNothing) {
  Add(1, 2, ReadClass::kPrefetch);
  Piece piece = queue_.Next();
  queue_.Cancel(1);
  EXPECT_TRUE(queue_.Advance(piece, 2 * kBlock));
  ASSERT_THAT(CompletedTags(), ElementsAre(1));
  EXPECT_FALSE(queue_.completed()[0].error);
}

TEST_F(PieceQueueTest, ACancelledRequestStaysCancelled) {
  Add(1, 4, ReadClass::kPrefetch);
  Piece piece = queue_.Next();
  queue_.Cancel(1);
  queue_.Promote(1);
  EXPECT_FALSE(queue_.has_next());
  EXPECT_TRUE(queue_.Advance(piece, 2 * kBlock));
  EXPECT_TRUE(queue_.completed().at(0).error);
}

TEST_F(PieceQueueTest, AnErrorCompletesOnceItsOtherPiecesAreOver) {
  Add(1, 8, ReadClass::kDemand);
  Piece first = queue_.Next();
  Piece second = queue_.Next();
  Piece third = queue_.Next();
  EXPECT_TRUE(queue_.Advance(second, -EIO));
  EXPECT_FALSE(queue_.has_next());  // the fourth piece is not wanted any more
  EXPECT_THAT(CompletedTags(), ElementsAre());
  EXPECT_TRUE(queue_.Advance(first, 2 * kBlock));
  EXPECT_THAT(CompletedTags(), ElementsAre());
  EXPECT_TRUE(queue_.Advance(third, -ENXIO));
  ASSERT_THAT(CompletedTags(), ElementsAre(1));
  const Error& error = *queue_.completed()[0].error;
  EXPECT_EQ(error.code, ErrorCode::kIo);
  EXPECT_THAT(error.message, HasSubstr(scratch_.File("f")));
  EXPECT_THAT(error.message, HasSubstr("offset 8192"));
  EXPECT_THAT(error.message, HasSubstr("Input/output error"));
}

TEST_F(PieceQueueTest, RepeatsInterruptedReads) {
  Add(1, 2, ReadClass::kDemand);
  Piece piece = queue_.Next();
  EXPECT_FALSE(queue_.Advance(piece, -EINTR));
  EXPECT_FALSE(queue_.Advance(piece, -EAGAIN));
  EXPECT_EQ(queue_.NextRead(piece).offset, 0u);
  EXPECT_FALSE(queue_.Advance(piece, 100));
  EXPECT_FALSE(queue_.Advance(piece, -EINTR));
  const PieceRead rest = queue_.NextRead(piece);
  EXPECT_EQ(rest.offset, 100u);
  EXPECT_EQ(rest.length, 2 * kBlock - 100);
  EXPECT_EQ(rest.destination, buffer_.data() + 100);
  EXPECT_TRUE(queue_.Advance(piece, 2 * kBlock - 100));
  EXPECT_FALSE(queue_.completed().at(0).error);
}

TEST_F(PieceQueueTest, GivesUpOnAReadThatIsInterruptedForEver) {
  Add(1, 2, ReadClass::kDemand);
  Piece piece = queue_.Next();
  int attempts = 1;
  while (!queue_.Advance(piece, -EAGAIN)) ASSERT_LT(++attempts, 100000);
  EXPECT_EQ(queue_.completed().at(0).error->code, ErrorCode::kIo);
}

TEST_F(PieceQueueTest, TheTailIsCompleteWhenTheFileEnds) {
  Add(1, 11, ReadClass::kDemand);
  while (queue_.has_next()) {
    Piece piece = queue_.Next();
    EXPECT_TRUE(queue_.Advance(piece, static_cast<int>(piece.expected)));
  }
  ASSERT_THAT(CompletedTags(), ElementsAre(1));
  EXPECT_FALSE(queue_.completed()[0].error);
  EXPECT_EQ(queue_.completed()[0].bytes, 11 * kBlock);
}

TEST_F(PieceQueueTest, AnEarlyEndIsATruncation) {
  Add(1, 2, ReadClass::kDemand);
  Piece piece = queue_.Next();
  EXPECT_FALSE(queue_.Advance(piece, 700));
  EXPECT_TRUE(queue_.Advance(piece, 0));
  EXPECT_THAT(queue_.completed().at(0).error->message,
              HasSubstr("truncated at offset 700"));
}

// A direct read that ends in the middle of a block is at the end of the file:
// it is repeated from the block's start, and must get further.
TEST_F(PieceQueueTest, DirectReadsContinueAtBlocks) {
  auto direct = FileSet::Open({scratch_.File("f")}, /*want_direct=*/true);
  ASSERT_TRUE(direct);
  if (!direct->all_direct()) GTEST_SKIP() << "no O_DIRECT here";
  PieceQueue queue(*direct, {.piece_bytes = 4 * kBlock});
  const ReadRequest request = Request(1, 4, ReadClass::kDemand);
  queue.Add({&request, 1});
  Piece piece = queue.Next();
  EXPECT_FALSE(queue.Advance(piece, kBlock + 512));
  EXPECT_EQ(queue.NextRead(piece).offset, kBlock);
  EXPECT_EQ(queue.NextRead(piece).length, 3 * kBlock);
  EXPECT_FALSE(queue.Advance(piece, kBlock));
  EXPECT_EQ(queue.NextRead(piece).offset, 2 * kBlock);
  EXPECT_FALSE(queue.Advance(piece, 512));
  EXPECT_TRUE(queue.Advance(piece, 512));
  EXPECT_THAT(queue.completed().at(0).error->message, HasSubstr("truncated"));
}

}  // namespace
}  // namespace sluice::storage
