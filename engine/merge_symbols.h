// MergeSymbols: the merge loop that both tokenizers share.
//
// Byte-pair encoding (Sennrich et al. 2016): of all adjacent pairs that may
// merge, the one of lowest rank merges first, the leftmost of equals, until no
// pair may. Short words scan for the minimum, long ones keep a heap: n log n,
// so a megabyte without a space costs seconds and not hours.
//
// Thread safety: works on the caller's scratch alone.
#ifndef SLUICE_ENGINE_MERGE_SYMBOLS_H_
#define SLUICE_ENGINE_MERGE_SYMBOLS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "engine/tokenizer.h"

namespace sluice {

inline constexpr std::uint32_t kNoMerge =
    std::numeric_limits<std::uint32_t>::max();

// What a pair becomes, and when: lower ranks first; kNoMerge: never.
struct Merge {
  std::uint32_t rank = kNoMerge;
  TokenId id = -1;
};

// One piece of a word and its merge with the piece after it.
struct MergeSymbol {
  TokenId id;              // -1: no token, only bytes
  std::uint32_t begin;     // bytes into the word; it ends where the next begins
  Merge merge;             // with the next symbol
  std::uint32_t prev = 0;  // links of the heap version
  std::uint32_t next = 0;
};

// Kept between words, so that a text allocates a handful of times.
struct MergeScratch {
  std::vector<MergeSymbol> symbols;
  std::vector<std::uint64_t> heap;  // rank << 32 | index: the least is next
};

namespace merge_internal {

// Up to this many symbols a scan, which touches one or two cache lines a step,
// is used. The result is the same on either side.
inline constexpr std::size_t kScanLimit = 32;

// `symbols` with the sentinel last; merged symbols are erased.
template <typename Lookup>
void MergeByScan(std::vector<MergeSymbol>& symbols, const Lookup& lookup) {
  const auto refresh = [&](std::size_t i) {
    symbols[i].merge =
        i + 2 < symbols.size()
            ? lookup(symbols[i], symbols[i + 1], symbols[i + 2].begin)
            : Merge{};
  };
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i) refresh(i);
  for (;;) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 2 < symbols.size(); ++i) {
      if (symbols[i].merge.rank < symbols[best].merge.rank) best = i;
    }
    if (symbols[best].merge.rank == kNoMerge) return;
    symbols[best].id = symbols[best].merge.id;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    refresh(best);
    if (best > 0) refresh(best - 1);
  }
}

template <typename Lookup>
void MergeByHeap(MergeScratch& scratch, const Lookup& lookup) {
  std::vector<MergeSymbol>& symbols = scratch.symbols;
  std::vector<std::uint64_t>& heap = scratch.heap;
  const auto end = static_cast<std::uint32_t>(symbols.size() - 1);
  heap.clear();
  // A pair's entry is valid while the pair's rank is the entry's: whatever the
  // pair has become meanwhile, it is due now.
  const auto refresh = [&](std::uint32_t i) {
    MergeSymbol& left = symbols[i];
    left.merge = Merge{};
    if (left.next == end) return;
    const MergeSymbol& right = symbols[left.next];
    left.merge = lookup(left, right, symbols[right.next].begin);
    if (left.merge.rank == kNoMerge) return;
    heap.push_back((std::uint64_t{left.merge.rank} << 32) | i);
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  for (std::uint32_t i = 0; i < end; ++i) {
    symbols[i].prev = i - 1;  // wraps for the first, which is never asked
    symbols[i].next = i + 1;
  }
  symbols[end].next = end;
  for (std::uint32_t i = 0; i < end; ++i) refresh(i);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const std::uint64_t entry = heap.back();
    heap.pop_back();
    const auto i = static_cast<std::uint32_t>(entry);
    MergeSymbol& left = symbols[i];
    if (left.merge.rank != entry >> 32) continue;
    left.id = left.merge.id;
    MergeSymbol& right = symbols[left.next];
    right.merge = Merge{};  // its entries are void: it is gone
    left.next = right.next;
    symbols[left.next].prev = i;
    refresh(i);
    if (i > 0) refresh(left.prev);
  }
  std::uint32_t kept = 0;
  for (std::uint32_t i = 0; i != end;) {
    const std::uint32_t next = symbols[i].next;
    symbols[kept++] = symbols[i];
    i = next;
  }
  symbols[kept++] = symbols[end];
  symbols.resize(kept);
}

}  // namespace merge_internal

// Merges `scratch.symbols`: the pieces of one word and, last, a sentinel whose
// `begin` is the word's length. `lookup(left, right, right_end) -> Merge`.
// REQUIRES: at least one piece, fewer than 2^32 - 1.
template <typename Lookup>
void MergeSymbols(MergeScratch& scratch, const Lookup& lookup) {
  if (scratch.symbols.size() <= merge_internal::kScanLimit) {
    merge_internal::MergeByScan(scratch.symbols, lookup);
  } else {
    merge_internal::MergeByHeap(scratch, lookup);
  }
}

}  // namespace sluice

#endif  // SLUICE_ENGINE_MERGE_SYMBOLS_H_
