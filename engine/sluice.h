// Sluice: run Mixture-of-Experts language models larger than memory.
//
// This is the library's public interface and the only header of the engine that
// programs include. In short:
//
//   sluice::EngineOptions options;
//   options.memory_bytes = 2u << 30;                    // a hard ceiling
//   auto engine = sluice::Engine::Open("model.gguf", options);
//   if (!engine) { /* engine.error().message */ }
//   auto session = (*engine)->NewSession();
//   sluice::GenerateRequest request;
//   request.prompt = (*engine)->tokenizer().Encode("Once upon a time");
//   request.on_token = [](sluice::TokenId, std::string_view text) {
//     std::cout << text; return true;                    // false stops
//   };
//   auto result = (*session)->Generate(request);
//
// Rules: no exceptions, no printing, no exit, no environment variables, no
// global state. Every failure is a Result with one line of text.
//
// Thread safety: an Engine runs one session at a time; Engine and Session are
// thread-compatible, but for SetMemoryBudget. Free functions may be called from
// any thread.
#ifndef SLUICE_ENGINE_SLUICE_H_
#define SLUICE_ENGINE_SLUICE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/hardware_report.h"
#include "engine/model_report.h"
#include "engine/predictor_report.h"
#include "engine/read_order.h"
#include "engine/routing_trace.h"
#include "engine/sampler.h"
#include "engine/tokenizer.h"
#include "storage/result.h"

namespace sluice {

// ---------------------------------------------------------------- options

// Where expert bytes come from. kMemory copies the model into memory first,
// outside the budget: for tests.
enum class Device { kAuto, kUring, kPread, kMemory };
// What to evict when no slot is free. kAuto is kLearned.
enum class Policy {
  kAuto,
  kLru,
  kLfu,
  kLfru,
  kHobbit,
  kHobbitPrecision,
  kLearned
};

// When the checksum of a container's record is checked: the first time that it
// is read, each time, never. A GGUF has no checksums.
enum class VerifyRecords { kFirst, kAlways, kNever };

// How much of an expert is read and computed, where the file has them as nested
// weights (`repack --planes`): both planes, or the base plane of about 2.6 bits
// a weight, which is lossy.
enum class ExpertPrecision { kFull, kBase };

// When guessed experts are read ahead: while it pays, as a controller measures
// it, or each guess (for tests and comparisons).
enum class Prefetch { kAuto, kAlways };

// How keys and values are kept: in f16, or in 8 bits with a scale for each 32
// of a head's values, which is LOSSY and takes 56 % of the memory.
enum class KvFormat { kF16, kQ8 };

struct EngineOptions {
  // Ceiling on everything the process uses; none: AvailableMemory().
  std::optional<std::uint64_t> memory_bytes;
  unsigned threads = 0;  // 0: physical cores within the cgroup quota
  // Tokens; 0: the model's, at most 4096, and less where their keys and values
  // would take over an eighth of memory_bytes.
  std::size_t context = 0;
  std::size_t prefill_chunk = 0;  // tokens; 0: as large as the budget allows
  KvFormat kv_format = KvFormat::kF16;
  std::string isa;  // one of AvailableIsas(); empty: the best
  Device device = Device::kAuto;
  Policy policy = Policy::kAuto;
  // What guesses the next layer's experts: "none", "next-layer", "previous",
  // "frequency", "transition"; empty: "next-layer".
  std::string predictor;
  std::string predictor_file;  // the table of "transition"
  Prefetch prefetch = Prefetch::kAuto;
  // Compute experts that are there while others are read. Without, a layer
  // waits for all of its experts first: for comparisons.
  bool overlap = true;
  ReadOrder read_order = ReadOrder::kNamed;  // of a layer's missing experts
  bool direct_io = true;  // O_DIRECT where the file system has it
  VerifyRecords verify_reads = VerifyRecords::kFirst;
  // kBase: kInvalidArgument for a file without planes.
  ExpertPrecision precision = ExpertPrecision::kFull;
  // A file of `sluice calibrate` (engine/precision_map.h): the experts that it
  // calls low are read and computed as base planes, which is lossy; with `t1`
  // what either calls low is. Empty: none. kInvalidArgument with kBase.
  std::string precision_map;
  // Streaming: of a token's experts, by weight, those after the first that make
  // up more than t1 of it are read at base precision when they are missing, and
  // those after the first that make up more than t2 are left out
  // (engine/precision_rule.h). 0 <= t1 <= t2 <= 1; at 1 all are read, and read
  // whole. Below 1 it is lossy, and results depend on what is cached when.
  // t1 < t2 needs a file with planes: kInvalidArgument without.
  float t1 = 1;
  float t2 = 1;
  // Streaming from a container: measure its flash, in about a second
  // and within the ceiling, and read in the pieces and at the depth that it
  // does best with. The result is kept in `PATH.probe` for the next time, where
  // that can be written, and measured again when it is of another device or
  // file. Without, or where reads are not direct: fixed ones.
  bool probe_flash = false;
  // Stream even when the whole model fits: for tests and comparisons.
  bool force_streaming = false;
  // Called during loading with bytes done and bytes in all; may be empty.
  std::function<void(std::uint64_t done, std::uint64_t total)> on_load;
  // Called with the routing of each layer of each chunk, in the order in which
  // it is computed, on the session's thread; may be empty.
  std::function<void(const RoutedChunk& chunk)> on_route;

  // Returns: kInvalidArgument naming the option and its range.
  Result<void> Validate() const;
};

// ---------------------------------------------------------------- reports

// What a machine does per second, as far as a decoded token is concerned. The
// default is nominal: a small board's memory and a good SD card or slow NVMe.
struct MachineSpeeds {
  double dram_bytes_per_second = 10e9;  // read by all threads
  bool dram_measured = false;
  // Of an expert of the first layer multiplied with a token, out of memory;
  // 0: not known.
  double weights_bytes_per_second = 0;
  double flash_bytes_per_second = 1e9;  // of experts, when reads go on and on
  double flash_latency_seconds = 1e-4;  // of one expert, beside its bytes
  // A limit on the flash's rate lets what was not read while computing be read
  // at once later.
  bool flash_saves_up = false;
  bool flash_measured = false;
};

// What would be resident and what would stream; `plan` shows it.
struct PlanReport {
  bool fits = false;               // at or above the floor
  bool streaming = false;          // false: everything is loaded
  std::uint64_t memory_bytes = 0;  // the ceiling
  std::uint64_t floor_bytes = 0;   // the least ceiling that can run
  std::uint64_t resident_mode_bytes =
      0;                            // the ceiling at which nothing streams
  std::uint64_t process_bytes = 0;  // program, libraries, stacks, kernel
  std::uint64_t tokenizer_bytes = 0;
  std::uint64_t dense_bytes = 0;
  KvFormat kv_format = KvFormat::kF16;
  std::uint64_t kv_bytes = 0;
  std::uint64_t scratch_bytes = 0;  // activations, I/O, routers for guesses
  std::uint64_t expert_bytes = 0;   // slots, or all experts
  std::size_t slots = 0;
  std::uint64_t slot_bytes = 0;
  std::size_t layers = 0;
  std::size_t experts_total = 0;      // over all layers
  std::size_t experts_per_token = 0;  // top-k times layers
  std::size_t context = 0;
  // A prompt's longest chunk; beyond the standing one, its activations borrow
  // slots while it runs (engine/prompt_room.h).
  std::size_t prefill_chunk = 0;
  std::size_t standing_chunk = 0;
  std::string policy;
  std::uint64_t decode_bytes = 0;  // of weights that one token touches
  // Expected share of routed experts found in memory, guesses apart: of a
  // trace that was replayed, else from a model of routing locality
  // (engine/speed_model.h); and what follows from it.
  double expected_hit_rate = 0;
  bool hit_rate_from_trace = false;
  std::uint64_t expected_bytes_per_token = 0;  // from flash, guesses apart
  // Of a decoded token, at these speeds.
  MachineSpeeds speeds;
  double expected_compute_seconds_per_token = 0;
  double expected_stall_seconds_per_token = 0;  // waiting for reads
  double expected_tokens_per_second = 0;
  // Set when the slots are fewer than one token's experts.
  bool below_working_set = false;
};

// Counted since the engine was opened; subtract two snapshots for a phase.
struct Counters {
  std::uint64_t tokens = 0;          // processed, prompt and generated
  std::uint64_t budget_changes = 0;  // times that another memory budget began
  std::uint64_t expert_lookups = 0;
  std::uint64_t expert_hits = 0;
  std::uint64_t expert_misses = 0;
  std::uint64_t evictions = 0;
  // Experts whose base plane alone was read, by `t1` or to be whole later by
  // ReadOrder::kPlanes, tokens' experts that were
  // computed from a base plane alone, and experts whose rest was read later.
  std::uint64_t base_loads = 0;
  std::uint64_t base_uses = 0;
  std::uint64_t upgrades = 0;
  std::uint64_t demotions = 0;    // whose rest gave way when memory was reduced
  std::uint64_t skips = 0;        // misses that were left out
  std::uint64_t reordered = 0;    // misses that ReadOrder moved
  std::uint64_t flash_bytes = 0;  // read for experts
  std::uint64_t flash_reads = 0;  // requests
  // Guessed experts: reads begun; asked for and there; asked for while being
  // read; never asked for. The bytes of each.
  std::uint64_t prefetch_issued = 0;
  std::uint64_t prefetch_bases = 0;  // of them, base planes alone
  std::uint64_t prefetch_useful = 0;
  std::uint64_t prefetch_late = 0;
  std::uint64_t prefetch_wasted = 0;
  std::uint64_t prefetch_useful_bytes = 0;
  std::uint64_t prefetch_late_bytes = 0;
  std::uint64_t prefetch_wasted_bytes = 0;
  std::uint64_t prefetch_pauses = 0;  // times it was switched off or on
  double stall_seconds = 0;           // nothing to compute, waiting for reads
  double compute_seconds = 0;         // everything else inside forward passes
  double cpu_seconds = 0;             // of all threads of the process
  // Where the time of forward passes and logits goes; stalls are apart.
  double attention_seconds = 0;  // with its norm and its products
  double router_seconds = 0;     // norm, router, top-k, grouping by expert
  double experts_seconds = 0;    // products, SwiGLU, sums
  double output_seconds = 0;     // norm and logits
};
Counters operator-(const Counters& a, const Counters& b);

// What is running; the `mode:` line and the JSON reports print it.
struct ModeReport {
  bool streaming = false;
  std::uint64_t memory_bytes = 0;  // these two change with the memory budget
  std::size_t slots = 0;
  std::uint64_t slot_bytes = 0;
  std::string device;           // "io_uring", "pread", "memory"
  bool direct = false;          // O_DIRECT in effect
  std::size_t piece_bytes = 0;  // longer reads are split
  unsigned depth = 0;           // pieces in flight at most
  std::string isa;
  // Of a file with planes "full", "base", "by map", "by weight" or "by map and
  // weight", empty of others but for "by weight"; experts that the map calls
  // low; and the thresholds, 1 when nothing streams.
  std::string precision;
  std::size_t low_experts = 0;
  float t1 = 1;
  float t2 = 1;
  // Whether an option makes results other than the file's own: `precision` but
  // for "full", or `kv_format`.
  bool lossy = false;
  std::string policy;
  std::string predictor;  // empty when nothing is guessed
  unsigned threads = 0;
  KvFormat kv_format = KvFormat::kF16;
  std::size_t context = 0;
  std::size_t prefill_chunk = 0;
};

// ---------------------------------------------------------------- sessions

struct GenerateRequest {
  std::vector<TokenId> prompt;  // appended to the session's context
  std::size_t max_tokens = 256;
  SamplerOptions sampler;
  bool ignore_eos = false;  // generate max_tokens whatever comes
  // Takes every token of the prompt through all of the last layer, though what
  // follows needs that of the last token alone: for on_route to see.
  bool whole_prompt = false;
  // Called with each new token and the text it completed (possibly empty).
  // Returning false stops after this token.
  std::function<bool(TokenId id, std::string_view text)> on_token;
  // Called during the prompt with tokens done and in all. Returning false
  // cancels.
  std::function<bool(std::size_t done, std::size_t total)> on_prefill;
};

enum class StopReason { kEndOfText, kMaxTokens, kContextFull, kCallback };

struct GenerateResult {
  std::vector<TokenId> tokens;  // generated; the ending token is not included
  std::string text;
  StopReason stop = StopReason::kMaxTokens;
  std::size_t prompt_tokens = 0;
  double prefill_seconds = 0;
  double decode_seconds = 0;
  Counters prefill;  // of this request
  Counters decode;
};

// A conversation: a position in the context and the K/V behind it.
class Session {
 public:
  virtual ~Session() = default;
  // Returns: kInvalidArgument (prompt longer than what is left of the context,
  // token out of range, empty prompt), kIo, kCancelled. After an
  // error the session's context is as before the call; a model with windowed
  // layers may have to run it again first, at the next call.
  virtual Result<GenerateResult> Generate(const GenerateRequest& request) = 0;
  // Runs `tokens` through the model and calls `visit(index, logits)` for each,
  // in order; logits are [n_vocab] and valid during the call. Returning false
  // from visit cancels. Returns: as Generate; no tokens are no error.
  virtual Result<void> Evaluate(
      std::span<const TokenId> tokens,
      const std::function<bool(std::size_t index,
                               std::span<const float> logits)>& visit) = 0;
  virtual std::size_t position() const = 0;  // tokens in the context
  virtual std::size_t context() const = 0;   // tokens at most
  virtual void Reset() = 0;                  // forgets the context
};

class Engine {
 public:
  // Loads what stays resident and prepares streaming.
  // Returns: kNotFound, kPermission, kCorrupt, kUnsupported, kInvalidArgument,
  // kNoMemory (below the floor; the message says the floor), kIo.
  static Result<std::unique_ptr<Engine>> Open(const std::string& path,
                                              const EngineOptions& options);
  virtual ~Engine() = default;

  // Returns: kNoMemory, kInvalidArgument (a session exists already).
  virtual Result<std::unique_ptr<Session>> NewSession() = 0;
  virtual const Tokenizer& tokenizer() const = 0;
  // A new memory budget changes it on the session's thread: read it there, or
  // while no call of the session runs.
  virtual const ModeReport& mode() const = 0;
  virtual const PlanReport& plan() const = 0;
  virtual Counters counters() const = 0;
  virtual std::size_t vocabulary() const = 0;
  // How good the guesses of decoded tokens were, and those of a control that
  // knows only how often each expert was asked for. Empty when nothing is
  // guessed.
  virtual std::vector<PredictorReport> predictor_reports() const = 0;
  // Lets the engine use `bytes` at most, from its opening's memory_bytes down
  // to what cannot go while it runs: expert slots go, with what they hold, or
  // come back; with t1 below t2 some residual planes go before whole experts.
  // Results do not change unless t1 is below 1. It happens before the next
  // chunk of a prompt or the next token, from which on the process's resident
  // memory is within `bytes`; mode() and counters().budget_changes then say so.
  // Of several calls before that the last one counts. May be called from any
  // thread at any time, callbacks included. Returns: kNoMemory (below the
  // least; the message says it), kInvalidArgument (above the opening's); the
  // budget then stays.
  virtual Result<void> SetMemoryBudget(std::uint64_t bytes) = 0;
  // Takes about a second. Memory's rate is that of what is in it, so best after
  // some tokens. Flash is read into slots of the cache, at most an eighth,
  // whose experts are evicted; not counted. Returns: kIo.
  virtual Result<HardwareReport> MeasureHardware() = 0;
  // What changes soonest, in some 40 ms, next to the tokens that it explains: a
  // hypervisor may move processors within a second. Evicts nothing.
  virtual BriefSpeeds MeasureBriefly() = 0;
};

// ---------------------------------------------------------------- functions

// "f16", "q8".
std::string_view KvFormatName(KvFormat format);

Result<ModelReport> InspectModel(const std::string& path);
Result<PlanReport> PlanModel(const std::string& path,
                             const EngineOptions& options);
Result<std::unique_ptr<Tokenizer>> OpenTokenizer(const std::string& path);

struct PerplexityResult {
  double perplexity = 0;
  double mean_negative_log_likelihood = 0;
  std::size_t tokens = 0;  // scored
  std::size_t windows = 0;
};
// Perplexity of `tokens` in separate windows of `window` tokens, every token of
// a window but its first scored; a last window of one token is dropped.
// `progress(done, total)` may be empty; returning false cancels.
Result<PerplexityResult> Perplexity(
    Session& session, std::span<const TokenId> tokens, std::size_t window,
    const std::function<bool(std::size_t done, std::size_t total)>& progress);

// The smaller of the cgroup limit (v1 or v2, ancestors included) and
// MemAvailable, less a margin.
std::uint64_t AvailableMemory();
// The process's peak resident set (VmHWM), bytes.
std::uint64_t PeakResidentBytes();
// Instruction sets that this machine can run, best first.
std::vector<std::string> AvailableIsas();

}  // namespace sluice

#endif  // SLUICE_ENGINE_SLUICE_H_
