#include "storage/aligned_buffer.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace sluice::storage {
namespace {

bool IsAligned(const void* data) {
  return reinterpret_cast<std::uintptr_t>(data) % kIoAlignment == 0;
}

TEST(AlignTest, RoundsUpAndDown) {
  EXPECT_EQ(AlignUp(0), 0u);
  EXPECT_EQ(AlignUp(1), kIoAlignment);
  EXPECT_EQ(AlignUp(kIoAlignment), kIoAlignment);
  EXPECT_EQ(AlignUp(kIoAlignment + 1), 2 * kIoAlignment);
  EXPECT_EQ(AlignDown(kIoAlignment - 1), 0u);
  EXPECT_EQ(AlignDown(kIoAlignment + 1), kIoAlignment);
  EXPECT_EQ(AlignUp(5, 4), 8u);
  EXPECT_EQ(AlignDown(7, 4), 4u);
}

TEST(AlignedBufferTest, IsAlignedZeroAndWritable) {
  for (const std::size_t bytes :
       {std::size_t{1}, kIoAlignment, kIoAlignment + 1, std::size_t{3} << 20}) {
    auto buffer = AlignedBuffer::Allocate(bytes);
    ASSERT_TRUE(buffer) << buffer.error().message;
    EXPECT_EQ(buffer->size(), AlignUp(bytes));
    EXPECT_EQ(buffer->span().size(), buffer->size());
    EXPECT_TRUE(IsAligned(buffer->data()));
    EXPECT_TRUE(std::ranges::all_of(
        buffer->span(), [](std::byte byte) { return byte == std::byte{0}; }));
    std::ranges::fill(buffer->span(), std::byte{7});
    EXPECT_EQ(buffer->span().back(), std::byte{7});
  }
}

TEST(AlignedBufferTest, OptionsAreBestEffort) {
  auto buffer = AlignedBuffer::Allocate(std::size_t{4} << 20,
                                        {.huge_pages = true, .lock = true});
  ASSERT_TRUE(buffer) << buffer.error().message;
  std::ranges::fill(buffer->span(), std::byte{1});
  EXPECT_EQ(buffer->span()[12345], std::byte{1});
}

// Which of the buffer's pages of kIoAlignment are resident.
std::vector<bool> Resident(AlignedBuffer& buffer) {
  std::vector<unsigned char> pages(buffer.size() / kIoAlignment);
  EXPECT_EQ(mincore(buffer.data(), buffer.size(), pages.data()), 0);
  std::vector<bool> resident;
  for (const unsigned char page : pages) resident.push_back((page & 1) != 0);
  return resident;
}

TEST(AlignedBufferTest, DiscardedPagesAreTheSystemsUntilWritten) {
  if (sysconf(_SC_PAGESIZE) != kIoAlignment) GTEST_SKIP() << "larger pages";
  for (const bool lock : {false, true}) {
    if (lock && SLUICE_SANITIZED) continue;  // sanitizers leave out munlock
    auto buffer = AlignedBuffer::Allocate(8 * kIoAlignment, {.lock = lock});
    ASSERT_TRUE(buffer) << buffer.error().message;
    std::ranges::fill(buffer->span(), std::byte{1});
    buffer->Discard(2 * kIoAlignment, 3 * kIoAlignment);
    buffer->Discard(7 * kIoAlignment, kIoAlignment);
    EXPECT_EQ(Resident(*buffer), (std::vector<bool>{true, true, false, false,
                                                    false, true, true, false}));
    EXPECT_EQ(buffer->span()[2 * kIoAlignment - 1], std::byte{1});
    EXPECT_EQ(buffer->span()[5 * kIoAlignment], std::byte{1});
    EXPECT_EQ(buffer->span()[3 * kIoAlignment], std::byte{0});
    buffer->span()[4 * kIoAlignment] = std::byte{2};
    EXPECT_TRUE(Resident(*buffer)[4]);
    buffer->Discard(0, 0);
    EXPECT_TRUE(Resident(*buffer)[0]);
  }
}

TEST(AlignedBufferTest, ZeroBytesAreEmpty) {
  auto buffer = AlignedBuffer::Allocate(0);
  ASSERT_TRUE(buffer);
  EXPECT_EQ(buffer->size(), 0u);
  EXPECT_EQ(buffer->data(), nullptr);
}

TEST(AlignedBufferTest, RefusesWhatCannotBe) {
  const std::size_t most = std::numeric_limits<std::size_t>::max();
  for (const std::size_t bytes : {most, most - 1, most / 2, most / 4}) {
    auto buffer = AlignedBuffer::Allocate(bytes);
    ASSERT_FALSE(buffer) << bytes;
    EXPECT_EQ(buffer.error().code, ErrorCode::kNoMemory);
  }
}

TEST(AlignedBufferTest, MovesItsMemory) {
  AlignedBuffer first = AlignedBuffer::Allocate(kIoAlignment).value();
  std::byte* const data = first.data();
  data[0] = std::byte{42};
  AlignedBuffer second(std::move(first));
  EXPECT_EQ(second.data(), data);
  AlignedBuffer third = AlignedBuffer::Allocate(2 * kIoAlignment).value();
  third = std::move(second);
  EXPECT_EQ(third.data(), data);
  EXPECT_EQ(third.size(), kIoAlignment);
  EXPECT_EQ(third.data()[0], std::byte{42});
}

}  // namespace
}  // namespace sluice::storage
