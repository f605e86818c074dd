#include "engine/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <system_error>

#include "engine/cpu_quota.h"

namespace sluice {
namespace {

// How long a thread looks for work before it sleeps: longer than what one
// thread does alone between two loops of a token, shorter than a read.
constexpr std::chrono::microseconds kSpin{30};

// A share: the loop's number, the first item that nobody took, and the one
// behind the last.
constexpr unsigned kItemBits = 20;
constexpr std::uint64_t kMostItems = (std::uint64_t{1} << kItemBits) - 1;

constexpr std::uint64_t Pack(std::uint32_t loop, std::uint64_t begin,
                             std::uint64_t end) {
  return std::uint64_t{loop} << (2 * kItemBits) | begin << kItemBits | end;
}

// Takes an item of `loop`, from the front or from the back.
std::optional<std::size_t> Take(std::atomic<std::uint64_t>& share,
                                std::uint32_t loop, bool front) {
  std::uint64_t word = share.load(std::memory_order_acquire);
  while (true) {
    const std::uint64_t begin = word >> kItemBits & kMostItems;
    const std::uint64_t end = word & kMostItems;
    if (begin >= end || Pack(loop, begin, end) != word) return std::nullopt;
    const std::uint64_t rest =
        front ? Pack(loop, begin + 1, end) : Pack(loop, begin, end - 1);
    if (share.compare_exchange_weak(word, rest, std::memory_order_acq_rel,
                                    std::memory_order_acquire)) {
      return front ? begin : end - 1;
    }
  }
}

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");
#endif
}

// Waits for `changed` to come true, for at most kSpin.
template <typename Condition>
void Spin(const Condition& changed) {
  constexpr int kTriesPerLook = 16;  // at the clock
  const auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < kTriesPerLook; ++i) {
      if (changed()) return;
      Pause();
    }
  } while (std::chrono::steady_clock::now() - start < kSpin);
}

}  // namespace

ThreadPool::ThreadPool(unsigned threads)
    : threads_(threads),
      may_spin_(threads <= AllowedCpus().size()),
      shares_(threads) {
  try {
    for (unsigned i = 1; i < threads; ++i) {
      workers_.emplace_back([this, i] { Work(i); });
    }
  } catch (const std::system_error&) {  // NOLINT(bugprone-empty-catch)
    // No more threads are to be had: those that there are do all shares.
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  loop_.fetch_add(1);
  loop_.notify_all();
}

void ThreadPool::Run(std::size_t items, Call call, void* body) {
  for (std::size_t first = 0; first < items; first += kMostItems) {
    RunLoop(first, std::min<std::size_t>(kMostItems, items - first), call,
            body);
  }
}

void ThreadPool::RunLoop(std::size_t first, std::size_t items, Call call,
                         void* body) {
  const std::uint32_t loop = loop_.load(std::memory_order_relaxed) + 1;
  first_.store(first, std::memory_order_relaxed);
  call_.store(call, std::memory_order_relaxed);
  body_.store(body, std::memory_order_relaxed);
  left_.store(static_cast<std::uint32_t>(items), std::memory_order_relaxed);
  const std::size_t count = shares_.size();
  for (std::size_t i = 0; i < count; ++i) {
    shares_[i].word.store(
        Pack(loop, i * items / count, (i + 1) * items / count),
        std::memory_order_release);
  }
  loop_.store(loop);
  loop_.notify_all();
  RunShares(loop, 0);

  const auto left = [&] { return left_.load(std::memory_order_acquire); };
  if (may_spin_) Spin([&] { return left() == 0; });
  for (std::uint32_t n = left(); n != 0; n = left()) {
    left_.wait(n, std::memory_order_acquire);
  }
}

// A worker: its part of each loop until the pool ends.
void ThreadPool::Work(std::size_t self) {
  std::uint32_t seen = 0;
  const auto loop = [&] { return loop_.load(std::memory_order_acquire); };
  while (true) {
    if (may_spin_) Spin([&] { return loop() != seen; });
    loop_.wait(seen, std::memory_order_acquire);
    if (stop_.load()) return;
    seen = loop();
    RunShares(seen, self);
  }
}

// Takes and runs items until all are taken: its own in order, so that memory is
// read as one stream, then what is left of the others'.
void ThreadPool::RunShares(std::uint32_t loop, std::size_t self) {
  std::uint32_t ran = 0;
  for (std::size_t i = 0; i < shares_.size(); ++i) {
    auto& share = shares_[(self + i) % shares_.size()].word;
    while (const auto item = Take(share, loop, /*front=*/i == 0)) {
      call_.load(std::memory_order_relaxed)(
          body_.load(std::memory_order_relaxed),
          first_.load(std::memory_order_relaxed) + *item);
      ++ran;
    }
  }
  if (ran == 0) return;
  if (left_.fetch_sub(ran, std::memory_order_acq_rel) == ran) {
    left_.notify_one();
  }
}

}  // namespace sluice
