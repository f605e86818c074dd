// ReadOrder: which of a layer's missing experts is read first. Results do not
// depend on it.
//
// D2MoE (arXiv 2504.15299) queues hottest-expert-bit-first: of all planes,
// those of the expert that most tokens want, the base first. Where every token
// wants all planes that is kHottest, both planes in one read.
#ifndef SLUICE_ENGINE_READ_ORDER_H_
#define SLUICE_ENGINE_READ_ORDER_H_

namespace sluice {

enum class ReadOrder {
  kNamed,    // as the chunk's tokens name them, each token's by rank
  kIndex,    // by their number in the layer
  kHottest,  // those that most of the chunk's tokens are routed to
  // As kHottest, and where the file has nested planes and the chunk several
  // tokens, the base plane of each before the residual plane of any.
  kPlanes,
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_READ_ORDER_H_
