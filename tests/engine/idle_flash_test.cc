// Guessing by turns to see whether the flash has idle time.
#include "engine/idle_flash.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr double kToken = 0.1;  // seconds
constexpr std::uint64_t kBytes = 10'000'000;

// Decodes tokens of which those with guesses read `gain` times the bytes in the
// same time; how many had guesses.
int GuessingTokens(IdleFlash& flash, int tokens, double gain) {
  int guessing = 0;
  for (int i = 0; i < tokens; ++i) {
    const bool guesses = flash.guess();
    guessing += guesses ? 1 : 0;
    flash.BeginToken(
        kToken, static_cast<std::uint64_t>(guesses ? gain * kBytes : kBytes));
  }
  return guessing;
}

TEST(IdleFlash, TriesBothWaysInRuns) {
  IdleFlash flash;
  int changes = 0;
  int with = 0;
  bool before = flash.guess();
  for (std::size_t i = 0; i < IdleFlash::kTrial; ++i) {
    changes += flash.guess() != before ? 1 : 0;
    before = flash.guess();
    with += before ? 1 : 0;
    flash.BeginToken(
        kToken, static_cast<std::uint64_t>(before ? 1.05 * kBytes : kBytes));
  }
  EXPECT_EQ(with, IdleFlash::kTrial / 2);
  EXPECT_EQ(changes, 5);
}

TEST(IdleFlash, AHopelessTrialEndsEarly) {
  IdleFlash flash;
  EXPECT_EQ(GuessingTokens(flash, IdleFlash::kFirstLook, 1),
            IdleFlash::kFirstLook / 2);
  EXPECT_EQ(GuessingTokens(flash, IdleFlash::kFirstPause, 1), 0);
  EXPECT_EQ(GuessingTokens(flash, IdleFlash::kFirstLook, 1),
            IdleFlash::kFirstLook / 2);
  // A doubtful one goes on, and may end the same.
  IdleFlash doubtful;
  EXPECT_EQ(GuessingTokens(doubtful, IdleFlash::kTrial, 1.05),
            IdleFlash::kTrial / 2);
  EXPECT_FALSE(doubtful.guess());
}

// Answers of some runs each, whose first one has what the pause before saved
// up, with guesses or without. Guesses bring a little, so that no trial ends
// early.
TEST(IdleFlash, WhatPausesSavedUpIsNoIdleTime) {
  for (const std::size_t runs : {2U, 3U, 4U, 6U, 8U}) {
    IdleFlash flash;
    int guessing = 0;
    for (std::size_t i = 0; i < IdleFlash::kTrial; ++i) {
      const bool rested = i / IdleFlash::kRun % runs == 0;
      guessing += flash.guess() ? 1 : 0;
      const double gain = (rested ? 1.1 : 1.0) * (flash.guess() ? 1.045 : 1.0);
      flash.BeginToken(kToken, static_cast<std::uint64_t>(gain * kBytes));
    }
    EXPECT_EQ(guessing, IdleFlash::kTrial / 2) << runs << " runs";
    EXPECT_FALSE(flash.guess()) << runs << " runs";
  }
}

TEST(IdleFlash, GuessesWhereItBringsMoreBytesPerSecond) {
  IdleFlash flash;
  GuessingTokens(flash, IdleFlash::kTrial, 1.2);
  EXPECT_EQ(GuessingTokens(flash, IdleFlash::kGood, 1.2), IdleFlash::kGood);
  EXPECT_EQ(GuessingTokens(flash, IdleFlash::kTrial, 1.2),
            IdleFlash::kTrial / 2)
      << "another trial";
}

TEST(IdleFlash, StopsWhereItBringsNone) {
  IdleFlash flash;
  GuessingTokens(flash, IdleFlash::kFirstLook, 1.03);
  EXPECT_FALSE(flash.guess());
  EXPECT_EQ(GuessingTokens(flash, IdleFlash::kFirstPause, 1.03), 0);
  // Pauses grow.
  EXPECT_LT(GuessingTokens(flash, 10000, 1.03), 300);
  // And end when there is idle time again.
  GuessingTokens(flash, IdleFlash::kLongestPause + IdleFlash::kTrial, 1.3);
  EXPECT_GE(GuessingTokens(flash, 1000, 1.3), 960);
}

TEST(IdleFlash, WithoutReadsOrTimesItGuesses) {
  IdleFlash reads;
  for (std::size_t i = 0; i < IdleFlash::kTrial; ++i) {
    reads.BeginToken(kToken, 0);
  }
  EXPECT_TRUE(reads.guess());
  IdleFlash times;
  for (std::size_t i = 0; i < IdleFlash::kTrial; ++i) {
    times.BeginToken(0, kBytes);
  }
  EXPECT_TRUE(times.guess());
}

}  // namespace
}  // namespace sluice
