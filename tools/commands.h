// The subcommands of `sluice`: each declares its flags and gives back what runs
// it. One file per command; nothing else of a command is visible.
//
// Thread safety: call from the main thread.
#ifndef SLUICE_TOOLS_COMMANDS_H_
#define SLUICE_TOOLS_COMMANDS_H_

#include <functional>

#include "tools/cli_fwd.h"
#include "tools/exit_code.h"

namespace sluice::tools {

struct Command {
  CLI::App* app;  // the subcommand, owned by the parent
  // Runs with the parsed flags. An error is reported and becomes an exit code
  // by ReportError.
  std::function<Result<ExitCode>()> run;
};

Command AddRun(CLI::App& parent);
Command AddBench(CLI::App& parent);
Command AddPlan(CLI::App& parent);
Command AddInspect(CLI::App& parent);
Command AddRepack(CLI::App& parent);
Command AddVerify(CLI::App& parent);
Command AddProbe(CLI::App& parent);
Command AddEval(CLI::App& parent);
Command AddLogits(CLI::App& parent);
Command AddTokenize(CLI::App& parent);
Command AddTrainPredictor(CLI::App& parent);
Command AddCalibrate(CLI::App& parent);
Command AddReplay(CLI::App& parent);

}  // namespace sluice::tools

#endif  // SLUICE_TOOLS_COMMANDS_H_
