#include "engine/prefetcher.h"

#include <algorithm>
#include <utility>

#include "engine/chunk_guess.h"

namespace sluice {
namespace {

// Tokens of a chunk that a predictor is told of: counts fade faster.
constexpr std::size_t kRecentTokens = 64;

constexpr std::size_t kTenths = 10;

std::size_t TenthOf(float confidence) {
  const auto tenth = static_cast<std::size_t>(confidence * kTenths);
  return std::min(tenth, kTenths - 1);
}

// The middle of each tenth, at each distance.
std::vector<float> Trusting() {
  std::vector<float> prior;
  prior.reserve(kFarthestLookAhead * kTenths);
  for (std::size_t i = 0; i < kFarthestLookAhead * kTenths; ++i) {
    prior.push_back((static_cast<float>(i % kTenths) + 0.5F) / kTenths);
  }
  return prior;
}

double Seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

Prefetcher::Prefetcher(const Options& options, ExpertLoader& loader,
                       cache::ExpertCache& cache, Predictor& predictor,
                       const std::optional<PrecisionRule>& rule)
    : options_(options),
      loader_(loader),
      cache_(cache),
      predictor_(predictor),
      rule_(rule),
      decode_(options.always),
      prefill_(options.always),
      doubt_(/*layers=*/1, Trusting()) {}

double Prefetcher::Window::Elapsed(Clock::time_point now) const {
  return std::max(0.0, Seconds(now - begin) - stalled);
}

void Prefetcher::Ahead::Clear() {
  distance = 0;
  guesses.clear();
  next = 0;
  kept.clear();
  issued.clear();
  doubted.clear();
  windows = {};
}

void Prefetcher::Routed(const LayerRequest& request) {
  Ahead& ahead = At(request.layer);
  if (ahead.distance > 0 && ahead.layer == request.layer) {
    const Clock::time_point now = Clock::now();
    for (std::size_t i = 0; i < ahead.windows.size(); ++i) {
      if (ahead.windows[i]) {
        control().ObserveWindow(i + 1, ahead.windows[i]->Elapsed(now));
      }
    }
    Settle(ahead, request.experts);
    for (const Candidate& guess : ahead.doubted) {
      doubt_.Add(0, guess.bucket,
                 std::ranges::find(request.experts, guess.expert) !=
                     request.experts.end());
    }
  }
  ahead.Clear();
  layer_ = request.layer;
  const Moment now = {Clock::now(), loader_.asked_bytes()};
  if (request.layer == 0) {
    BeginToken(/*chunk=*/request.tokens > 1);
    token_start_ = now;
  }
  token_end_ = now;
  // A prompt says what the text is about, though its own guesses are not the
  // predictor's.
  const std::size_t used = request.routes.size() / request.tokens;
  const std::size_t recent = std::min(request.tokens, kRecentTokens);
  for (std::size_t t = request.tokens - recent; t < request.tokens; ++t) {
    predictor_.Observe(request.layer, request.routes.subspan(t * used, used));
  }
}

// Tokens are timed from the first router to the last: what the caller does with
// one before it wants the next is none of theirs.
void Prefetcher::BeginToken(bool chunk) {
  const bool same = chunk == chunk_;
  const double seconds = same ? Seconds(token_end_.at - token_start_.at) : 0;
  const std::uint64_t bytes = token_end_.bytes - token_start_.bytes;
  chunk_ = chunk;
  // Tokens without guesses say nothing of what guesses gain.
  if (chunk || idle_flash_.guess()) control().BeginToken(seconds);
  if (!chunk && control().on()) idle_flash_.BeginToken(seconds, bytes);
  stats_.pauses = decode_.switches() + prefill_.switches();
}

// What came of the guesses, now that the router has asked for `experts`.
void Prefetcher::Settle(const Ahead& ahead,
                        std::span<const std::uint16_t> experts) {
  const Clock::time_point now = Clock::now();
  for (const Issued& guess : ahead.issued) {
    const double read =
        static_cast<double>(guess.bytes) * loader_.seconds_per_byte();
    const double elapsed = Seconds(now - guess.start);
    const bool wanted =
        std::ranges::find(experts, guess.id.expert) != experts.end();
    const bool landed = static_cast<bool>(guess.pin);
    if (wanted && landed) {
      ++stats_.useful;
      stats_.useful_bytes += guess.bytes;
      control().Saved(read);
    } else if (wanted) {
      ++stats_.late;
      stats_.late_bytes += guess.bytes;
      control().Saved(std::min(read, elapsed));
    } else if (landed) {
      ++stats_.wasted;
      stats_.wasted_bytes += guess.bytes;
    } else {
      ++stats_.wasted;  // its bytes are counted if it lands after all
      loader_.Cancel(guess.id);
      control().Lost(std::max(0.0, read - elapsed));
    }
  }
}

bool Prefetcher::on() const {
  if (options_.always) return true;
  return chunk_ ? prefill_.on() : decode_.on() && idle_flash_.guess();
}

bool Prefetcher::WantsScores(std::size_t distance) const {
  return on() && (chunk_ ? distance == 1 : predictor_.WantsScores(distance));
}

void Prefetcher::Foresee(const LookAhead& look) {
  if (!on()) return;
  Ahead& ahead = At(look.layer);
  if (ahead.layer != look.layer) ahead.Clear();
  ahead.layer = look.layer;
  ahead.distance = look.distance;
  ahead.windows[look.distance - 1] = {.begin = Clock::now()};
  ahead.next = 0;
  if (rule_) {
    ahead.needs.resize(cache_.experts());
    rule_->Foresee(look, options_.experts_used, ahead.needs);
  }
  if (chunk_) {
    GuessChunk(look, options_.experts_used, ahead.guesses);
  } else {
    if (!look.scores.empty()) {
      predictor_.ObserveScores(look.layer, look.distance, look.scores);
    }
    predictor_.Predict(look.layer, ahead.guesses);
  }
  stats_.guesses += ahead.guesses.size();
  KeepResident(ahead);
  if (!chunk_) Doubt(ahead);
}

// Pins the guesses that are in the cache and takes them off the list.
void Prefetcher::KeepResident(Ahead& ahead) {
  ahead.kept.clear();
  std::erase_if(ahead.guesses, [&](const Guess& guess) {
    const ExpertId id = {ahead.layer, guess.expert};
    if (!cache_.Contains(id)) return false;
    if (RoomForGuess()) {
      std::optional<cache::Pin> pin = cache_.Peek(id);
      if (pin && pin->ready()) ahead.kept.push_back(std::move(*pin));
    }
    return true;
  });
}

// Replaces the confidence of guesses that are not in the cache by what came of
// such guesses.
void Prefetcher::Doubt(Ahead& ahead) {
  for (Guess& guess : ahead.guesses) {
    const std::size_t bucket =
        (ahead.distance - 1) * kTenths + TenthOf(guess.confidence);
    guess.confidence = doubt_.Probability(0, bucket);
    ahead.doubted.push_back({guess.expert, static_cast<std::uint16_t>(bucket)});
  }
}

// Slots that the next layer's demand may need stay available.
bool Prefetcher::RoomForGuess() const {
  return cache_.available() > options_.experts_used;
}

Result<void> Prefetcher::Pump() {
  for (std::size_t i = 1; i <= ahead_.size(); ++i) {
    SLUICE_TRY(Pump(At(static_cast<std::uint16_t>(layer_ + i))));
  }
  return {};
}

Result<void> Prefetcher::Pump(Ahead& ahead) {
  if (ahead.next == ahead.guesses.size()) return {};
  const double per_byte = loader_.seconds_per_byte();
  const Clock::time_point now = Clock::now();
  double start = ahead.windows[ahead.distance - 1]->Elapsed(now) +
                 static_cast<double>(loader_.loading_bytes()) * per_byte;
  for (; ahead.next < ahead.guesses.size() && RoomForGuess(); ++ahead.next) {
    const Guess& guess = ahead.guesses[ahead.next];
    const ExpertId id = {ahead.layer, guess.expert};
    const Need need =
        ahead.needs.empty() ? Need::kWhole : ahead.needs[guess.expert];
    if (need == Need::kNothing || cache_.Contains(id)) continue;
    const bool base = need == Need::kBase;
    const std::uint64_t bytes =
        base ? options_.bytes_per_base : options_.bytes_per_expert;
    const double read = static_cast<double>(bytes) * per_byte;
    if (!control().Pays(ahead.distance, guess.confidence, start, read)) break;
    if (!loader_.Add(
            id, storage::ReadClass::kPrefetch,
            base ? storage::PlaneSet::kBase : storage::PlaneSet::kAll)) {
      break;
    }
    ahead.issued.push_back({.id = id, .start = now, .bytes = bytes, .pin = {}});
    ++stats_.issued;
    if (base) ++stats_.bases;
    start += read;
  }
  return loader_.Submit();
}

void Prefetcher::Landed(ExpertLoader::Landed&& landed) {
  if (!landed.pin) return;  // cancelled, or a failure that demand will meet
  std::vector<Issued>& issued = At(landed.id.layer).issued;
  const auto guess = std::ranges::find(issued, landed.id,
                                       [](const Issued& i) { return i.id; });
  if (guess != issued.end()) {
    guess->pin = std::move(*landed.pin);
  } else {
    stats_.wasted_bytes += landed.planes == storage::PlaneSet::kBase
                               ? options_.bytes_per_base
                               : options_.bytes_per_expert;
  }
}

void Prefetcher::Stalled(double seconds) {
  for (Ahead& ahead : ahead_) {
    for (std::optional<Window>& window : ahead.windows) {
      if (window) window->stalled += seconds;
    }
  }
}

void Prefetcher::Clear() {
  for (Ahead& ahead : ahead_) ahead.Clear();
}

}  // namespace sluice
