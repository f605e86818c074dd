// EngineFlags: the options that every command which runs or plans a model has,
// declared in one place so that they mean the same everywhere.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_TOOLS_ENGINE_FLAGS_H_
#define SLUICE_TOOLS_ENGINE_FLAGS_H_

#include <array>
#include <string>
#include <vector>

#include "engine/sluice.h"
#include "tools/cli_fwd.h"

namespace sluice::tools {

struct EngineFlags {
  EngineFlags() { options.probe_flash = true; }  // unless --no-probe is given

  std::string model;      // path
  EngineOptions options;  // context 0: not given
  std::string trace;      // where the routing is recorded; empty: nowhere
};

// The eviction policies by name.
struct NamedPolicy {
  const char* name;
  Policy policy;
};
inline constexpr std::array kPolicies = {
    NamedPolicy{"lru", Policy::kLru},
    NamedPolicy{"lfu", Policy::kLfu},
    NamedPolicy{"lfru", Policy::kLfru},
    NamedPolicy{"hobbit", Policy::kHobbit},
    NamedPolicy{"hobbit-precision", Policy::kHobbitPrecision},
    NamedPolicy{"learned", Policy::kLearned}};

// `first`, then their names.
std::vector<std::string> PolicyNames(const char* first);

// Declares MODEL alone.
void AddModel(CLI::App& app, std::string* model);

// Declares MODEL and the engine's options, in the groups "Memory and speed" and
// "For tests and comparisons". `context_help` says what --ctx means and its
// default. `flags` must outlive the parsing.
void AddEngineFlags(CLI::App& app, EngineFlags* flags,
                    const std::string& context_help);

// Declares --trace, for the commands that run a model.
void AddTraceFlag(CLI::App& app, EngineFlags* flags);

inline constexpr const char* kContextHelp =
    "tokens of context (default: the model's, at most 4096, and less where "
    "their keys and values would take over an eighth of the memory)";

}  // namespace sluice::tools

#endif  // SLUICE_TOOLS_ENGINE_FLAGS_H_
