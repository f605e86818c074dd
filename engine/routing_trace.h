// Routing traces: which experts a router chose, token by token and layer by
// layer, as text that `replay` runs through cache policies without a model.
//
// Part of the library's public interface, beside engine/sluice.h. An engine
// reports its routing to EngineOptions::on_route; these functions turn that
// into lines and lines back into a RoutingTrace. The format, lines of:
//
//   # layers=36 experts=128 expert_bytes=13219200     any other words between
//   phase,token,layer,experts,weights
//   0,0,0,83 30,0.52953 0.47047
//
// phase 0 is a prompt, 1 is decoding. token is the position in the session's
// context, 0 where a new text begins. experts are in rank order, weights are
// the router's. A line that begins with # is a comment; those before the column
// line give the shape as NAME=NUMBER, and `# chunk` after it begins a chunk;
// `# chunk lent=5` one whose activations take the place of 5 slots.
//
// Rows stand in the order in which the engine routed them, so they say what
// the cache was asked for at once: a *visit* is a run of rows of one layer
// of one phase with rising tokens, without `# chunk` between them; in phase 1
// each token is a visit of its own. Prompts are written chunk by chunk, all
// tokens of layer 0, then all of layer 1; of the last layer there are only
// those whose output was wanted, as a rule the last of the prompt.
//
// Thread safety: values and free functions.
#ifndef SLUICE_ENGINE_ROUTING_TRACE_H_
#define SLUICE_ENGINE_ROUTING_TRACE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/result.h"

namespace sluice {

enum class RoutingPhase : std::uint8_t { kPrompt = 0, kDecode = 1 };

// The routing of one layer for a chunk of tokens. The spans are valid during
// the call that hands them over.
struct RoutedChunk {
  RoutingPhase phase = RoutingPhase::kPrompt;
  std::size_t position = 0;  // of the first token in the session's context
  std::uint16_t layer = 0;
  std::size_t tokens = 0;
  std::size_t slots_lent = 0;  // of the cache, to the chunk's activations
  std::span<const std::uint16_t> experts;  // [tokens, top-k], in rank order
  std::span<const float> weights;          // [tokens, top-k]
};

struct RoutingShape {
  std::uint32_t layers = 0;
  std::uint32_t experts = 0;       // per layer
  std::uint64_t expert_bytes = 0;  // of one expert, as a slot holds it
};

// One layer's routing of the tokens that went through it together.
struct RoutingVisit {
  RoutingPhase phase = RoutingPhase::kPrompt;
  std::uint32_t token = 0;  // position of the first
  std::uint16_t layer = 0;
  std::uint32_t tokens = 0;
  std::uint32_t slots_lent = 0;
  std::uint64_t begin = 0;  // of its rows in RoutingTrace::experts, in ids
};

struct RoutingTrace {
  RoutingShape shape;
  std::uint32_t used = 0;  // experts per token and layer
  std::vector<RoutingVisit> visits;
  std::vector<std::uint16_t> experts;  // [rows, used]
  std::vector<float> weights;          // [rows, used]

  // The ids of a visit, [tokens, used].
  std::span<const std::uint16_t> ExpertsOf(const RoutingVisit& visit) const {
    return std::span(experts).subspan(visit.begin,
                                      std::size_t{visit.tokens} * used);
  }
};

// The lines before the first row.
std::string TraceHeader(const RoutingShape& shape);
// The lines of one chunk at one layer, in the order in which they belong.
std::string TraceRows(const RoutedChunk& chunk);

// Reads a trace, which is untrusted: every number is checked. `name` is for
// messages. Returns: kCorrupt naming the line, kInvalidArgument (no rows).
Result<RoutingTrace> ParseTrace(std::string_view text, const std::string& name);

}  // namespace sluice

#endif  // SLUICE_ENGINE_ROUTING_TRACE_H_
