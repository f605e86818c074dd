// ExpertCache: which expert is in which slot of the arena, who uses it, and
// which one goes when room is needed.
//
// A slot is free, loading or ready. Lookup pins a ready or loading expert;
// Reserve takes a free slot or evicts, and the reservation becomes a pin when
// the reads have landed. Pins and reservations are move-only and release what
// they hold when destroyed, so no path can leak a slot:
//
//   Pin           the expert stays where it is while any pin to it exists.
//   Reservation   a slot being filled. Commit() makes it ready; destroying it
//                 uncommitted frees the slot (a failed or cancelled read).
//                 Pins that joined it meanwhile turn `failed`; the slot is
//                 reused once the last of them is gone.
//   SlotLoan      slots at the end of the arena, as plain memory. The policy
//                 says which experts go; those that stay move out of the way.
//
// How many slots are used can change while there are no pins, reservations and
// loans (Resize); the memory of the others is the system's again. Likewise how
// many slots may be wide: hold a residual plane beside the base. Where that is
// fewer than there are slots, a slot becomes wide at the cost of another, whose
// expert keeps its base alone (a demotion).
//
// The policy hears of an expert when its slot is reserved, not when its reads
// land, so its choices do not depend on the order of arrival.
//
// Invariants: an expert is in at most one slot; a pinned or loading slot is
// never a victim; no memory is allocated for weights after Create.
//
// Thread safety: thread-compatible. Pins and reservations must not outlive the
// cache.
#ifndef SLUICE_CACHE_EXPERT_CACHE_H_
#define SLUICE_CACHE_EXPERT_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cache/eviction_policy.h"
#include "cache/slot_arena.h"
#include "storage/expert_id.h"
#include "storage/expert_store.h"
#include "storage/result.h"

namespace sluice::cache {

class ExpertCache;

// Counted where they happen; hits + joins + misses = lookups.
struct CacheStats {
  std::uint64_t lookups = 0;  // Lookup calls
  std::uint64_t hits = 0;     // found ready
  std::uint64_t joins = 0;    // found loading (a prefetch in flight)
  std::uint64_t misses = 0;
  std::uint64_t evictions = 0;  // a ready expert gave way to another
  std::uint64_t demotions = 0;  // a ready expert's residual plane did
  std::uint64_t commits = 0;    // loads completed
  std::uint64_t aborts = 0;     // loads abandoned
};

class [[nodiscard]] Pin {
 public:
  Pin() = default;
  Pin(Pin&& other) noexcept;
  Pin& operator=(Pin&& other) noexcept;
  ~Pin();

  explicit operator bool() const { return cache_ != nullptr; }
  ExpertId id() const;
  bool ready() const;  // false while its reads are in flight
  // Its reservation was abandoned: it will never be ready; let it go.
  bool failed() const;
  const std::byte* data() const;     // the slot; REQUIRES: ready()
  storage::PlaneSet planes() const;  // that the slot holds: kAll or kBase

 private:
  friend class ExpertCache;
  friend class Reservation;
  Pin(ExpertCache* cache, std::uint32_t slot) : cache_(cache), slot_(slot) {}
  ExpertCache* cache_ = nullptr;
  std::uint32_t slot_ = 0;
};

class [[nodiscard]] Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept;
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation();  // frees the slot if not committed

  explicit operator bool() const { return cache_ != nullptr; }
  ExpertId id() const;
  std::byte* data() const;  // slot_bytes() bytes, aligned to kIoAlignment
  // The slot now holds its expert. REQUIRES: all reads have completed.
  Pin Commit();

 private:
  friend class ExpertCache;
  Reservation(ExpertCache* cache, std::uint32_t slot)
      : cache_(cache), slot_(slot) {}
  ExpertCache* cache_ = nullptr;
  std::uint32_t slot_ = 0;
};

class [[nodiscard]] SlotLoan {
 public:
  SlotLoan() = default;
  SlotLoan(SlotLoan&& other) noexcept;
  SlotLoan& operator=(SlotLoan&& other) noexcept;
  ~SlotLoan();  // the slots are free again

  // Empty without a loan; aligned to kIoAlignment; contents undefined.
  std::span<std::byte> memory() const { return memory_; }

 private:
  friend class ExpertCache;
  SlotLoan(ExpertCache* cache, std::span<std::byte> memory)
      : cache_(cache), memory_(memory) {}
  ExpertCache* cache_ = nullptr;
  std::span<std::byte> memory_;
};

class ExpertCache {
 public:
  struct Options {
    std::size_t slots = 0;
    std::size_t slot_bytes = 0;  // multiple of storage::kIoAlignment
    // Of a slot, what a base plane takes; a multiple too. 0: slots are wide.
    std::size_t base_bytes = 0;
    std::size_t layers = 0;
    std::size_t experts = 0;  // per layer
    PolicyKind policy = PolicyKind::kLearned;
    bool huge_pages = true;
    bool lock = false;
  };

  // Returns: kInvalidArgument, kNoMemory.
  static Result<std::unique_ptr<ExpertCache>> Create(const Options& options);
  ~ExpertCache();

  // Tells the policy that the context begins anew.
  void BeginSequence() { policy_->BeginSequence(); }
  // Counts a request by the router and tells the policy; pins the expert when
  // it is ready or loading, none on a miss. `wanted`: kAll, or kBase where less
  // than all planes would do; whatever the slot holds.
  std::optional<Pin> Lookup(ExpertId id,
                            storage::PlaneSet wanted = storage::PlaneSet::kAll);
  // Tells the policy of a use, as Lookup does; no more.
  void Remember(ExpertId id,
                storage::PlaneSet wanted = storage::PlaneSet::kAll);
  // As Lookup, but neither counted nor shown to the policy.
  std::optional<Pin> Peek(ExpertId id);
  // A slot for `id`, which must be in none: a free one, else the policy's
  // victim among unpinned ready ones. None when all are pinned or loading, or
  // none can become wide for kAll.
  // `planes`: those that the slot will hold, kAll or kBase.
  std::optional<Reservation> Reserve(
      ExpertId id, storage::PlaneSet planes = storage::PlaneSet::kAll);
  // The slot of a ready expert, to add the planes that it lacks, and wide as
  // long as the pin exists; null when none can become wide now. What it holds
  // stays, and may be used meanwhile.
  // REQUIRES: pin.ready(), pin.planes() is kBase.
  std::byte* Extend(const Pin& pin);
  // The planes that it lacked are there. REQUIRES: as Extend, which gave it.
  void MakeWhole(const Pin& pin);

  // The last `count` slots as memory, until the loan ends. One loan at a time.
  // REQUIRES: count < wide_slots(); no pins, no reservations, no loan.
  SlotLoan Lend(std::size_t count);

  // Uses the first `slots` slots from now on. What does not fit goes by the
  // policy's choice; the rest moves, and the pages of slots not used go back to
  // the system. At most `wide` slots are wide then. REQUIRES: 0 < wide <= slots
  // <= capacity(); wide == slots without base_bytes; no pins, no reservations,
  // no loan.
  void Resize(std::size_t slots, std::size_t wide);
  void Resize(std::size_t slots) { Resize(slots, slots); }

  bool Contains(ExpertId id) const;  // ready or loading
  // What is in use of slots that hold an expert; until the next Reserve.
  std::vector<std::span<const std::byte>> ReadySlots();
  // Slots that Reserve could take now, planes kAll: free, or ready and not
  // pinned, and wide or about to be.
  std::size_t available() const;
  std::size_t slots() const { return slots_.size() - lent_; }
  std::size_t wide_slots() const { return most_wide_ - lent_; }
  std::size_t lent() const { return lent_; }  // of those in use
  std::size_t capacity() const { return arena_.slots(); }
  std::size_t experts() const { return experts_; }  // per layer
  std::size_t slot_bytes() const { return arena_.slot_bytes(); }
  const CacheStats& stats() const { return stats_; }
  std::string_view policy_name() const { return policy_->name(); }

 private:
  friend class Pin;
  friend class Reservation;
  friend class SlotLoan;
  // kAbandoned: its load was given up while pins to it existed. It holds no
  // expert (`id` only says which one it was to hold) and becomes free with the
  // last pin.
  enum class State : std::uint8_t { kFree, kLoading, kReady, kAbandoned };
  static constexpr std::uint32_t kNoSlot = 0xffffffff;
  struct Slot {
    ExpertId id;
    State state = State::kFree;
    std::uint32_t pins = 0;
    storage::PlaneSet planes = storage::PlaneSet::kAll;
    bool wide = false;  // may have pages beyond base_bytes_
  };

  ExpertCache(const Options& options, SlotArena arena);
  std::uint32_t& SlotOf(ExpertId id);  // kNoSlot when not resident
  std::uint32_t SlotOf(ExpertId id) const;
  Pin MakePin(std::uint32_t slot);
  std::size_t idle() const { return free_.size() + idle_; }
  // What is in use of a slot that holds an expert.
  std::size_t BytesOf(const Slot& slot) const {
    const bool base = slot.planes == storage::PlaneSet::kBase;
    return base && base_bytes_ > 0 ? base_bytes_ : arena_.slot_bytes();
  }
  // A slot that holds nothing, with the pages that it has.
  void Clear(std::uint32_t slot);
  // Makes a slot wide; false when none can be narrowed for it.
  bool Widen(std::uint32_t slot);
  // Gives back the pages beyond the base of a slot that does not need them,
  // else of the policy's victim among the idle; false without either.
  bool NarrowOne();
  void Narrow(std::uint32_t slot);
  // Narrows until at most `count` are wide. REQUIRES: all slots are idle.
  void NarrowTo(std::size_t count);
  void CountWide();
  // Empties the last `count` slots, which are in free_ no more.
  void Vacate(std::size_t count);
  // Moves the expert of slot `from` to the free slot `to`.
  void Move(std::uint32_t from, std::uint32_t to);
  void EndLoan();
  // The slot of an evicted expert; kNoSlot when none may go.
  std::uint32_t Evict();
  void Unpin(std::uint32_t slot);
  Pin Commit(std::uint32_t slot);
  void Abort(std::uint32_t slot);

  SlotArena arena_;
  std::unique_ptr<EvictionPolicy> policy_;
  std::vector<Slot> slots_;  // in use: the first ones of the arena
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> index_;  // [layers, experts] -> slot
  std::size_t experts_;
  std::size_t base_bytes_;
  bool huge_pages_;
  std::size_t wide_ = 0;       // slots that are, those lent apart
  std::size_t most_wide_ = 0;  // those lent included
  std::size_t idle_ = 0;       // slots that are ready and not pinned
  std::size_t lent_ = 0;       // slots at the end
  CacheStats stats_;
};

}  // namespace sluice::cache

#endif  // SLUICE_CACHE_EXPERT_CACHE_H_
