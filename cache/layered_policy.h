// LayeredPolicy: base of the policies that score experts by their history in
// visits. It tells visits apart, keeps what is resident and finds the victim.
//
// A visit is what a layer asks for at once: a token in decoding, a chunk in
// prefill. A Touch of another layer than the last one, or of an expert that
// this visit has touched already, begins a visit to the expert's layer.
//
// An expert's score changes in visits to its layer only, so the lowest of a
// layer is looked for once per visit; what depends on the layer being visited
// belongs into Weigh, which makes scores of different layers comparable.
// The victim is the expert with the lowest weighed score. Ties go to the layer
// whose next visit is furthest away, supposing that layers are visited in
// a cycle: the layer being visited, then the one before it, and so on; then to
// the lowest expert index. Insert and Erase change no score. Scores are whole
// numbers, so choices are the same on every machine.
//
// Cost: Victim O(layers), and O(experts) for each layer that changed since the
// last call; Insert and Erase O(1); Touch as the derived class.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_CACHE_LAYERED_POLICY_H_
#define SLUICE_CACHE_LAYERED_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "cache/eviction_policy.h"
#include "storage/expert_id.h"

namespace sluice::cache {

class LayeredPolicy : public EvictionPolicy {
 public:
  void Touch(ExpertId id) final;
  void UsedWhole(ExpertId id) final;
  void Insert(ExpertId id) final;
  void Erase(ExpertId id) final;
  bool Victim(const std::function<bool(ExpertId)>& evictable,
              ExpertId& victim) final;

 protected:
  LayeredPolicy(std::size_t layers, std::size_t experts);

  // A visit to `layer` begins; visiting() is still the last one.
  virtual void BeginVisit(std::size_t layer) = 0;
  // The expert at `index` is used in the visit under way, once per visit.
  virtual void Use(std::size_t index) = 0;
  // And all of its planes are; follows Use.
  virtual void UseWhole(std::size_t /*index*/) {}
  // The score of the expert at `index` among those of its layer.
  virtual std::uint64_t Score(std::size_t index) const = 0;
  // The score of an expert of `layer` among those of all layers; never falls
  // when `score` rises.
  virtual std::uint64_t Weigh(std::size_t layer, std::uint64_t score) const;

  // Scores have changed outside of a visit.
  void ScoresChanged();

  std::size_t layers() const { return layers_.size(); }
  std::size_t experts() const { return experts_; }
  std::size_t FirstOf(std::size_t layer) const { return layer * experts_; }
  std::size_t visiting() const { return visiting_; }
  // Layers from the one being visited to `layer`, forwards: 0 when it is that.
  std::size_t DistanceTo(std::size_t layer) const {
    return (layer + layers() - visiting_) % layers();
  }

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  // The best victim of a layer: `expert` is kNone when there is none.
  struct Candidate {
    std::uint32_t expert = kNone;
    std::uint64_t score = 0;
  };
  struct Layer {
    Candidate best;
    bool stale = false;  // `best` must be found again
  };

  std::size_t IndexOf(ExpertId id) const;
  // `evictable` may be null: any resident expert.
  Candidate FindBest(std::size_t layer,
                     const std::function<bool(ExpertId)>* evictable) const;
  // The layer of the lowest candidate; kNone if none has one.
  std::uint32_t LowestLayer() const;

  std::size_t experts_;
  std::uint64_t visits_ = 0;
  std::size_t visiting_ = 0;
  std::vector<std::uint64_t> touched_;  // [layers, experts] visit, from 1
  std::vector<std::uint8_t> resident_;  // [layers, experts]
  std::vector<Layer> layers_;
  std::vector<Candidate> candidates_;  // [layers], scratch of Victim
};

}  // namespace sluice::cache

#endif  // SLUICE_CACHE_LAYERED_POLICY_H_
