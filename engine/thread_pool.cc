#include "engine/thread_pool.h"

#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>
#include <tbb/task_arena.h>

#ifdef SLUICE_THREAD_SANITIZER
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
#endif

namespace sluice {
namespace {

// A point that one thread passes before another, told to the thread sanitizer,
// which cannot see into libtbb.
class Handover {
 public:
#ifdef SLUICE_THREAD_SANITIZER
  void Release() { __tsan_release(this); }
  void Acquire() { __tsan_acquire(this); }
#else
  void Release() {}
  void Acquire() {}
#endif
};

}  // namespace

struct ThreadPool::Impl {
  explicit Impl(unsigned threads)
      : limit(tbb::global_control::max_allowed_parallelism, threads),
        stack(tbb::global_control::thread_stack_size, 256 << 10),
        arena(static_cast<int>(threads), 1) {}

  // TBB would otherwise cap the workers at the machine's cores, and give each
  // the system's default stack, which counts to the memory ceiling.
  tbb::global_control limit;
  tbb::global_control stack;
  tbb::task_arena arena;
  Handover begin;
  Handover end;
};

ThreadPool::ThreadPool(unsigned threads)
    : threads_(threads),
      impl_(threads > 1 ? std::make_unique<Impl>(threads) : nullptr) {}

ThreadPool::~ThreadPool() = default;

void ThreadPool::Run(std::size_t items, void (*call)(void*, std::size_t),
                     void* body) {
  impl_->begin.Release();
  impl_->arena.execute([=, this] {
    tbb::parallel_for(
        tbb::blocked_range<std::size_t>(0, items, 1),
        [=, this](const tbb::blocked_range<std::size_t>& range) {
          impl_->begin.Acquire();
          for (std::size_t i = range.begin(); i < range.end(); ++i) {
            call(body, i);
          }
          impl_->end.Release();
        },
        tbb::simple_partitioner());
  });
  impl_->end.Acquire();
}

}  // namespace sluice
