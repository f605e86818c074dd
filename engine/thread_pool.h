// ThreadPool: a fixed number of threads that share the items of a loop.
//
// The caller is one of the threads. Which thread runs which item is not
// defined; every item must write only its own outputs, so that results do not
// depend on the number of threads. Built on oneTBB.
//
// Thread safety: one For at a time.
#ifndef SLUICE_ENGINE_THREAD_POOL_H_
#define SLUICE_ENGINE_THREAD_POOL_H_

#include <cstddef>
#include <memory>
#include <type_traits>

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
  // Items should be of similar cost and take microseconds or more.
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
  struct Impl;
  void Run(std::size_t items, void (*call)(void*, std::size_t), void* body);

  const unsigned threads_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_THREAD_POOL_H_
