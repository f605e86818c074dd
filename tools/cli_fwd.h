// CLI11's types, declared: its header is large, and only the files that define
// flags need it.
//
// Thread safety: declarations only.
#ifndef SLUICE_TOOLS_CLI_FWD_H_
#define SLUICE_TOOLS_CLI_FWD_H_

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's own
class App;
class Option;
}  // namespace CLI

#endif  // SLUICE_TOOLS_CLI_FWD_H_
