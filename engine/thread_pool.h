// ThreadPool: a fixed number of threads that share the items of a loop.
//
// The caller is one of the threads. Each thread takes a run of the items and
// goes through it in order; one that is done helps the others from the back of
// theirs. Which thread runs which item is not defined; every item must write
// only its own outputs, so that results do not depend on the number of threads.
//
// A decoded token is a few hundred short loops. So a thread that runs out of
// work looks for more for a few microseconds, and sleeps only then; with more
// threads than processors it sleeps at once.
//
// Thread safety: one For at a time.
#ifndef SLUICE_ENGINE_THREAD_POOL_H_
#define SLUICE_ENGINE_THREAD_POOL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace sluice {

class ThreadPool {
 public:
  // REQUIRES: threads > 0.
  explicit ThreadPool(unsigned threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  unsigned threads() const { return threads_; }

  // Calls body(i) once for each i in [0, items); returns when all have.
  // Items should be of similar cost and take a microsecond or more.
  template <typename Body>
  void For(std::size_t items, Body&& body) {
    if (threads_ == 1 || items <= 1) {
      for (std::size_t i = 0; i < items; ++i) body(i);
      return;
    }
    using Plain = std::remove_reference_t<Body>;
    Run(
        items,
        [](void* self, std::size_t i) { (*static_cast<Plain*>(self))(i); },
        const_cast<std::remove_const_t<Plain>*>(&body));
  }

 private:
  using Call = void (*)(void*, std::size_t);

  // One thread's items of the loop under way, packed into one word that names
  // the loop too: a thread that comes late can take nothing of another loop.
  struct alignas(64) Share {
    std::atomic<std::uint64_t> word{0};
  };

  void Run(std::size_t items, Call call, void* body);
  void RunLoop(std::size_t first, std::size_t items, Call call, void* body);
  void RunShares(std::uint32_t loop, std::size_t self);
  void Work(std::size_t self);

  const unsigned threads_;
  const bool may_spin_;
  std::vector<Share> shares_;  // one per thread, the caller's first

  // The loop under way. The fields are written before the shares and read by
  // a thread that has taken an item: until that is done the loop goes on.
  std::atomic<std::size_t> first_{0};  // added to the items of the shares
  std::atomic<Call> call_{nullptr};
  std::atomic<void*> body_{nullptr};
  alignas(64) std::atomic<std::uint32_t> left_{0};  // items not yet done
  alignas(64) std::atomic<std::uint32_t> loop_{0};  // loops begun
  std::atomic<bool> stop_{false};

  std::vector<std::jthread> workers_;  // last: they use all of the above
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_THREAD_POOL_H_
