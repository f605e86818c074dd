#include "engine/prefetcher.h"

#include <algorithm>
#include <utility>

#include "engine/chunk_guess.h"

namespace sluice {
namespace {

// Tokens of a chunk that a predictor is told of: counts fade faster.
constexpr std::size_t kRecentTokens = 64;

double Seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

Prefetcher::Prefetcher(const Options& options, ExpertLoader& loader,
                       cache::ExpertCache& cache, Predictor& predictor)
    : options_(options),
      loader_(loader),
      cache_(cache),
      predictor_(predictor),
      decode_(options.always),
      prefill_(options.always) {}

void Prefetcher::Routed(const LayerRequest& request) {
  if (foreseen_ && request.layer == layer_) {
    control().ObserveWindow(
        std::max(0.0, Seconds(Clock::now() - foreseen_at_) - stalled_));
    Settle(request.experts);
  }
  Clear();
  if (request.layer == 0) BeginToken(/*chunk=*/request.tokens > 1);
  // A prompt says what the text is about, though its own guesses are not the
  // predictor's.
  const std::size_t used = request.routes.size() / request.tokens;
  const std::size_t recent = std::min(request.tokens, kRecentTokens);
  for (std::size_t t = request.tokens - recent; t < request.tokens; ++t) {
    predictor_.Observe(request.layer, request.routes.subspan(t * used, used));
  }
}

void Prefetcher::BeginToken(bool chunk) {
  const Clock::time_point now = Clock::now();
  const bool same = chunk == chunk_ && token_start_ != Clock::time_point();
  chunk_ = chunk;
  control().BeginToken(same ? Seconds(now - token_start_) : 0);
  token_start_ = now;
  stats_.pauses = decode_.switches() + prefill_.switches();
}

// What came of the guesses, now that the router has asked for `experts`.
void Prefetcher::Settle(std::span<const std::uint16_t> experts) {
  const double read = static_cast<double>(options_.bytes_per_expert) *
                      loader_.seconds_per_byte();
  const Clock::time_point now = Clock::now();
  for (Issued& guess : issued_) {
    const double elapsed = Seconds(now - guess.start);
    const bool wanted =
        std::ranges::find(experts, guess.id.expert) != experts.end();
    const bool landed = static_cast<bool>(guess.pin);
    if (wanted && landed) {
      ++stats_.useful;
      stats_.useful_bytes += options_.bytes_per_expert;
      control().Saved(read);
    } else if (wanted) {
      ++stats_.late;
      stats_.late_bytes += options_.bytes_per_expert;
      control().Saved(std::min(read, elapsed));
    } else if (landed) {
      ++stats_.wasted;
      stats_.wasted_bytes += options_.bytes_per_expert;
    } else {
      ++stats_.wasted;  // its bytes are counted if it lands after all
      loader_.Cancel(guess.id);
      control().Lost(std::max(0.0, read - elapsed));
    }
  }
}

bool Prefetcher::WantsScores() const {
  const PrefetchControl& control = chunk_ ? prefill_ : decode_;
  return control.on() && (chunk_ || predictor_.WantsScores(1));
}

void Prefetcher::Foresee(const LookAhead& ahead) {
  if (!control().on()) return;
  Clear();
  foreseen_ = true;
  layer_ = ahead.layer;
  foreseen_at_ = Clock::now();
  if (ahead.tokens > 1) {
    GuessChunk(ahead, options_.experts_used, guesses_);
  } else {
    if (!ahead.scores.empty()) {
      predictor_.ObserveScores(ahead.layer, 1, ahead.scores);
    }
    predictor_.Predict(ahead.layer, guesses_);
  }
  stats_.guesses += guesses_.size();
  KeepResident();
}

// Pins the guesses that are in the cache and takes them off the list.
void Prefetcher::KeepResident() {
  std::erase_if(guesses_, [&](const Guess& guess) {
    const ExpertId id = {layer_, guess.expert};
    if (!cache_.Contains(id)) return false;
    if (RoomForGuess()) {
      if (std::optional<cache::Pin> pin = cache_.Peek(id)) {
        kept_.push_back(std::move(*pin));
      }
    }
    return true;
  });
}

// Slots that the next layer's demand may need stay available.
bool Prefetcher::RoomForGuess() const {
  return cache_.available() > options_.experts_used;
}

Result<void> Prefetcher::Pump() {
  if (!foreseen_ || next_ == guesses_.size()) return {};
  const double per_byte = loader_.seconds_per_byte();
  const Clock::time_point now = Clock::now();
  const double gone = std::max(0.0, Seconds(now - foreseen_at_) - stalled_);
  double start = gone + static_cast<double>(loader_.loading_bytes()) * per_byte;
  const double read = static_cast<double>(options_.bytes_per_expert) * per_byte;
  for (; next_ < guesses_.size() && RoomForGuess(); ++next_) {
    const Guess& guess = guesses_[next_];
    const ExpertId id = {layer_, guess.expert};
    if (!control().Pays(guess.confidence, start, read)) break;
    if (cache_.Contains(id)) continue;
    if (!loader_.Add(id, storage::ReadClass::kPrefetch)) break;
    issued_.push_back({.id = id, .start = now});
    ++stats_.issued;
    start += read;
  }
  return loader_.Submit();
}

void Prefetcher::Landed(ExpertLoader::Landed&& landed) {
  if (!landed.pin) return;  // cancelled, or a failure that demand will meet
  const auto guess = std::ranges::find(issued_, landed.id,
                                       [](const Issued& i) { return i.id; });
  if (guess != issued_.end()) {
    guess->pin = std::move(*landed.pin);
  } else {
    stats_.wasted_bytes += options_.bytes_per_expert;
  }
}

void Prefetcher::Clear() {
  foreseen_ = false;
  guesses_.clear();
  next_ = 0;
  kept_.clear();
  issued_.clear();
  stalled_ = 0;
}

}  // namespace sluice
