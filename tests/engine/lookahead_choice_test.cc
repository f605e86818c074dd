#include "engine/lookahead_choice.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using kernels::Lookahead;

// Tokens of a machine on which one way takes one second and the other two.
struct Machine {
  Lookahead Decode(LookaheadChoice& choice, int tokens) {
    Lookahead way = Lookahead::kLines;
    for (int i = 0; i < tokens; ++i) {
      way = choice.Next(now);
      now += way == faster ? 1 : 2;
    }
    return way;
  }
  Lookahead faster;
  double now = 7;
};

constexpr int kTrial = 2 * LookaheadChoice::kPairs * LookaheadChoice::kTokens;

TEST(LookaheadChoice, TakesTheFasterWay) {
  for (const Lookahead faster : {Lookahead::kLines, Lookahead::kPages}) {
    LookaheadChoice choice(12);
    Machine machine{faster};
    machine.Decode(choice, kTrial);
    EXPECT_FALSE(choice.decided()) << "the last token has not ended";
    EXPECT_EQ(choice.name(), "trial");
    EXPECT_EQ(machine.Decode(choice, 1), faster);
    EXPECT_TRUE(choice.decided());
    EXPECT_EQ(choice.name(), faster == Lookahead::kPages ? "pages" : "lines");
    EXPECT_EQ(machine.Decode(choice, 100), faster);
  }
}

TEST(LookaheadChoice, RunsTakeTurnsAtBeingFirst) {
  LookaheadChoice choice(12);
  const Lookahead p = Lookahead::kPages;
  const Lookahead l = Lookahead::kLines;
  for (const Lookahead expected : {p, l, l, p, p, l, l, p}) {
    for (int i = 0; i < LookaheadChoice::kTokens; ++i) {
      EXPECT_EQ(choice.Next(0), expected);
    }
  }
}

// What ran between two tokens, a prompt, counts for neither.
TEST(LookaheadChoice, APauseIsNobodysTime) {
  LookaheadChoice choice(12);
  Machine machine{Lookahead::kPages};
  for (int i = 0; i < kTrial && !choice.decided(); ++i) {
    machine.Decode(choice, 3);
    // Had it been counted, the way that goes on after a pause would lose.
    machine.now += 100;
    choice.Pause();
  }
  EXPECT_TRUE(choice.decided());
  EXPECT_EQ(choice.name(), "pages");
}

// Lines have to win as many pairs as they are told.
TEST(LookaheadChoice, LinesStayIfTheyWinEnough) {
  for (const int won : {9, 8}) {
    LookaheadChoice choice(9);
    double now = 0;
    for (int i = 0; i <= kTrial; ++i) {
      const bool lines_are_faster = i / (2 * LookaheadChoice::kTokens) < won;
      const bool lines = choice.Next(now) == Lookahead::kLines;
      now += lines == lines_are_faster ? 1 : 2;
    }
    EXPECT_EQ(choice.name(), won == 9 ? "lines" : "pages");
  }
}

TEST(LookaheadChoice, WithoutADifferencePagesAreEnough) {
  LookaheadChoice choice(12);
  for (int i = 0; i <= kTrial; ++i) choice.Next(i);
  EXPECT_EQ(choice.name(), "pages");
}

}  // namespace
}  // namespace sluice
