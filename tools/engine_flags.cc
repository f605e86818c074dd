#include "tools/engine_flags.h"

#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "tools/flag_values.h"

namespace sluice::tools {
namespace {

constexpr const char* kSpeed = "Memory and speed";
constexpr const char* kTesting = "For tests and comparisons";

// Beyond any machine or model; keeps later arithmetic far from overflow.
constexpr IntegerRange kThreads = {1, 1024};
constexpr IntegerRange kTokens = {1, 1 << 24};

void AddSpeedFlags(CLI::App& app, EngineOptions* options,
                   const std::string& context_help) {
  AddSize(app,
          {"--memory", "SIZE|auto",
           "ceiling on all memory of the process, such as 512M or 2G "
           "(default auto: what the machine and cgroup have left)",
           kSpeed},
          &options->memory_bytes);
  AddInteger(
      app,
      {"-t,--threads", "N",
       "threads (default: physical cores within the cgroup's quota)", kSpeed},
      kThreads, [options](std::int64_t n) {
        options->threads = static_cast<unsigned>(n);
      });
  AddInteger(app, {"-c,--ctx", "N", context_help, kSpeed}, kTokens,
             [options](std::int64_t n) {
               options->context = static_cast<std::size_t>(n);
             });
  AddInteger(
      app,
      {"--chunk", "N",
       "prompt tokens computed together (default: as many as fit, in the place "
       "of experts while they are)",
       kSpeed},
      kTokens, [options](std::int64_t n) {
        options->prefill_chunk = static_cast<std::size_t>(n);
      });
}

// How exactly it computes; what loses accuracy is off by default.
void AddPrecisionFlags(CLI::App& app, EngineOptions* options) {
  AddChoice(app,
            {"--kv", "f16|q8",
             "how keys and values are kept (default f16); q8 takes 8 bits, "
             "little more than half the memory, and loses some accuracy",
             kSpeed},
            {"f16", "q8"}, [options](std::size_t choice) {
              options->kv_format = choice == 1 ? KvFormat::kQ8 : KvFormat::kF16;
            });
  AddChoice(
      app,
      {"--precision", "full|base",
       "of a container with planes: both, or the base plane alone, which reads "
       "55% of the bytes and is lossy (default full)",
       kSpeed},
      {"full", "base"}, [options](std::size_t choice) {
        options->precision =
            choice == 0 ? ExpertPrecision::kFull : ExpertPrecision::kBase;
      });
  AddText(app,
          {"--precision-map", "FILE",
           "of a container with planes: the experts that FILE, made by "
           "calibrate, calls low are read as base plane alone; lossy (default: "
           "none)",
           kSpeed},
          &options->precision_map);
  AddReal(app,
          {"--t1", "SHARE",
           "streaming a container with planes: a token's missing experts after "
           "the first that have more than this share of its router weight are "
           "read as base plane alone; lossy, and answers depend on what is "
           "cached when (default 1: none)",
           kSpeed},
          {0, 1}, &options->t1);
  AddReal(app,
          {"--t2", "SHARE",
           "with --t1, no less than it: missing experts after the first that "
           "have more than this share are left out, which needs no planes "
           "where --t1 is the same; lossy likewise (default 1: none)",
           kSpeed},
          {0, 1}, &options->t2);
}

// Which experts stay and which are read ahead.
void AddCacheFlags(CLI::App& app, EngineOptions* options) {
  const std::vector<std::string> policies = PolicyNames("auto");
  AddChoice(app,
            {"--policy", fmt::format("{}", fmt::join(policies, "|")),
             "which expert leaves the cache (default auto: learned)", kTesting},
            policies, [options](std::size_t choice) {
              options->policy =
                  choice == 0 ? Policy::kAuto : kPolicies[choice - 1].policy;
            });
  AddChoiceOrFile(
      app,
      {"--predictor", "none|next-layer|previous|frequency|transition:FILE",
       "what guesses the next layers' experts, to read them ahead; FILE is "
       "what train-predictor made (default next-layer)",
       kTesting},
      {"none", "next-layer", "previous", "frequency", "transition:"},
      [options](std::string choice, std::string file) {
        options->predictor = std::move(choice);
        options->predictor_file = std::move(file);
      });
  AddChoice(
      app,
      {"--prefetch", "auto|always",
       "when guessed experts are read (default auto: while it pays)", kTesting},
      {"auto", "always"}, [options](std::size_t choice) {
        constexpr std::array kChoices = {Prefetch::kAuto, Prefetch::kAlways};
        options->prefetch = kChoices[choice];
      });
  AddChoice(
      app,
      {"--read-order", "named|index|hottest|planes",
       "which of a layer's missing experts are read first: as a chunk's tokens "
       "name them, by number, those of most tokens, or these with all base "
       "planes before the rest (default named)",
       kTesting},
      {"named", "index", "hottest", "planes"}, [options](std::size_t choice) {
        constexpr std::array kChoices = {ReadOrder::kNamed, ReadOrder::kIndex,
                                         ReadOrder::kHottest,
                                         ReadOrder::kPlanes};
        options->read_order = kChoices[choice];
      });
  app.add_flag_callback(
         "--no-overlap", [options] { options->overlap = false; },
         "wait for all of a layer's experts before\n"
         "computing any (default: compute what is there)")
      ->group(kTesting);
}

void AddTestingFlags(CLI::App& app, EngineOptions* options) {
  AddChoice(app,
            {"--isa", "scalar|avx2|avx512|neon|dotprod|i8mm",
             "instruction set (default: the machine's best)", kTesting},
            {"scalar", "avx2", "avx512", "neon", "dotprod", "i8mm"},
            [options](std::size_t choice) {
              constexpr std::array kIsas = {"scalar", "avx2",    "avx512",
                                            "neon",   "dotprod", "i8mm"};
              options->isa = kIsas[choice];
            });
  AddChoice(app,
            {"--device", "auto|uring|pread|memory",
             "how experts are read (default auto: io_uring where allowed); "
             "memory holds a copy of the model outside the ceiling",
             kTesting},
            {"auto", "uring", "pread", "memory"},
            [options](std::size_t choice) {
              constexpr std::array kDevices = {Device::kAuto, Device::kUring,
                                               Device::kPread, Device::kMemory};
              options->device = kDevices[choice];
            });
  AddCacheFlags(app, options);
  app.add_flag_callback(
         "--no-direct", [options] { options->direct_io = false; },
         "read without O_DIRECT (default: with it)")
      ->group(kTesting);
  app.add_flag_callback(
         "--no-probe", [options] { options->probe_flash = false; },
         "read a container in pieces of 1 MiB at depth 32\n"
         "(default: as its flash does best, measured once\n"
         "and kept in MODEL.probe)")
      ->group(kTesting);
  AddChoice(app,
            {"--verify-reads", "first|always|never",
             "when the checksum of a container's record is checked (default "
             "first: the first time that it is read)",
             kTesting},
            {"first", "always", "never"}, [options](std::size_t choice) {
              constexpr std::array kChoices = {VerifyRecords::kFirst,
                                               VerifyRecords::kAlways,
                                               VerifyRecords::kNever};
              options->verify_reads = kChoices[choice];
            });
  AddSwitch(app,
            {"--stream", "",
             "stream experts even when the whole model fits (default: load it)",
             kTesting},
            &options->force_streaming);
}

}  // namespace

void AddModel(CLI::App& app, std::string* model) {
  AddText(
      app,
      {"MODEL", "",
       "a .gguf file (or the first of a split set) or a .sluice one", "Model"},
      model)
      ->required();
}

void AddEngineFlags(CLI::App& app, EngineFlags* flags,
                    const std::string& context_help) {
  AddModel(app, &flags->model);
  AddSpeedFlags(app, &flags->options, context_help);
  AddPrecisionFlags(app, &flags->options);
  AddTestingFlags(app, &flags->options);
}

std::vector<std::string> PolicyNames(const char* first) {
  std::vector<std::string> names = {first};
  for (const NamedPolicy& policy : kPolicies) names.emplace_back(policy.name);
  return names;
}

void AddTraceFlag(CLI::App& app, EngineFlags* flags) {
  AddText(
      app,
      {"--trace", "FILE",
       "record which experts the routers chose, for sluice replay", kTesting},
      &flags->trace);
}

}  // namespace sluice::tools
