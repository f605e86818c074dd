#include "cache/lru_policy.h"

#include <cassert>

namespace sluice::cache {

LruPolicy::LruPolicy(std::size_t layers, std::size_t experts)
    : experts_(experts),
      sentinel_(static_cast<std::uint32_t>(layers * experts)),
      nodes_(layers * experts + 1) {
  for (std::uint32_t i = 0; i < nodes_.size(); ++i) nodes_[i] = {i, i};
}

void LruPolicy::Touch(ExpertId id) {
  const std::uint32_t node = NodeOf(id);
  if (!Resident(node)) return;
  Unlink(node);
  LinkNewest(node);
}

void LruPolicy::Insert(ExpertId id) {
  const std::uint32_t node = NodeOf(id);
  assert(!Resident(node));
  LinkNewest(node);
}

void LruPolicy::Erase(ExpertId id) {
  const std::uint32_t node = NodeOf(id);
  assert(Resident(node));
  Unlink(node);
}

bool LruPolicy::Victim(const std::function<bool(ExpertId)>& evictable,
                       ExpertId& victim) {
  for (std::uint32_t node = nodes_[sentinel_].next; node != sentinel_;
       node = nodes_[node].next) {
    const ExpertId id{static_cast<std::uint16_t>(node / experts_),
                      static_cast<std::uint16_t>(node % experts_)};
    if (evictable(id)) {
      victim = id;
      return true;
    }
  }
  return false;
}

std::uint32_t LruPolicy::NodeOf(ExpertId id) const {
  const std::size_t node = std::size_t{id.layer} * experts_ + id.expert;
  assert(id.expert < experts_ && node < sentinel_);
  return static_cast<std::uint32_t>(node);
}

bool LruPolicy::Resident(std::uint32_t node) const {
  return nodes_[node].next != node;
}

void LruPolicy::Unlink(std::uint32_t node) {
  const Node links = nodes_[node];
  nodes_[links.previous].next = links.next;
  nodes_[links.next].previous = links.previous;
  nodes_[node] = {node, node};
}

void LruPolicy::LinkNewest(std::uint32_t node) {
  const std::uint32_t newest = nodes_[sentinel_].previous;
  nodes_[node] = {newest, sentinel_};
  nodes_[newest].next = node;
  nodes_[sentinel_].previous = node;
}

}  // namespace sluice::cache
