// The `sluice` command: argv in, exit code out. Subcommands are in their own
// files; here are only the choice among them and the last line of defence.
#include <fcntl.h>
#include <fmt/core.h>
#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <exception>
#include <new>
#include <string>
#include <tuple>
#include <vector>

#include "tools/commands.h"
#include "tools/exit_code.h"
#include "tools/files.h"
#include "tools/interrupt.h"

namespace sluice::tools {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  sluice run model.gguf -p \"Once upon a time\" --memory 2G\n"
    "  sluice plan model.gguf --memory 2G\n"
    "  sluice COMMAND --help\n"
    "\n"
    "Results go to stdout, progress and notices to stderr.\n"
    "Exit codes: 0 done, 1 failed, 2 bad usage, 130 interrupted.";

// The heap counts against the memory ceiling. One arena instead of up to eight
// per core, each of which would keep its own free memory; and a fixed threshold
// above which freed memory goes back to the kernel at once (glibc otherwise
// raises it to 32 MiB as soon as a large buffer is freed).
void KeepHeapSmall() {
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
}

// CLI11's messages, reworded to name the flag and the cure in one line.
std::string Reword(const CLI::ParseError& error) {
  std::string message = error.what();
  const auto contains = [&message](const char* part) {
    return message.find(part) != std::string::npos;
  };
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const std::string words = message.substr(message.find(": ") + 2);
    const std::size_t dash = (" " + words).find(" -");
    const bool option = dash != std::string::npos;
    const std::string word = words.substr(option ? dash : 0);
    return fmt::format("unexpected {} '{}'", option ? "option" : "argument",
                       word.substr(0, word.find(' ')));
  }
  if (contains("disallowed flag override")) {
    return "--" + message.substr(0, message.find(' ')) + " takes no value";
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    return message.substr(0, message.find(": ")) + " needs a value";
  }
  return message;
}

// CLI11 separates groups with two blank lines; one is enough.
std::string Tidy(std::string help) {
  for (std::size_t at; (at = help.find("\n\n\n")) != std::string::npos;) {
    help.erase(at, 1);
  }
  return help;
}

ExitCode Usage(const std::string& command, const std::string& message) {
  const std::string at = command.empty() ? "" : " " + command;
  return ReportError(command,
                     {ErrorCode::kInvalidArgument,
                      fmt::format("{}; see sluice{} --help", message, at)});
}

// Prints to stdout, where a reader may have gone.
ExitCode Print(const std::string& text) {
  const Result<void> written = WriteStdout(text);
  return written ? ExitCode::kOk : ReportError("", written.error());
}

ExitCode RunCommand(const std::vector<Command>& commands) {
  for (const Command& command : commands) {
    if (!command.app->parsed()) continue;
    const Result<ExitCode> code = command.run();
    return code ? *code : ReportError(command.app->get_name(), code.error());
  }
  return Usage("", "no command given");
}

ExitCode Main(int argc, char** argv) {
  CLI::App app("Run Mixture-of-Experts language models larger than memory.",
               "sluice");
  app.footer(kFooter);
  app.get_formatter()->column_width(32);
  app.set_help_flag("-h,--help", "show this help");
  app.set_version_flag("--version", "sluice " SLUICE_VERSION,
                       "show the version");
  const std::vector<Command> commands = {
      AddRun(app),       AddBench(app),          AddPlan(app),
      AddInspect(app),   AddRepack(app),         AddVerify(app),
      AddProbe(app),     AddEval(app),           AddLogits(app),
      AddTokenize(app),  AddTrainPredictor(app), AddReplay(app),
      AddCalibrate(app),
  };
  std::string command;
  if (argc > 1 && argv[1][0] != '-') {
    command = argv[1];
    const auto named = [&command](const Command& known) {
      return known.app->get_name() == command;
    };
    if (std::none_of(commands.begin(), commands.end(), named)) {
      return Usage("", fmt::format("unknown command '{:.60}'", command));
    }
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return Print(Tidy(app.help()));
  } catch (const CLI::CallForVersion&) {
    return Print("sluice " SLUICE_VERSION "\n");
  } catch (const CLI::ParseError& error) {
    return Usage(command, Reword(error));
  }
  return RunCommand(commands);
}

}  // namespace
}  // namespace sluice::tools

namespace {

// A file that is opened while a standard stream is closed would get its number,
// and with it what is meant for the stream. These let nothing through.
void OccupyStandardStreams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) != -1) continue;
    // The lowest number that is free: the stream's.
    std::ignore =
        open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

}  // namespace

int main(int argc, char** argv) {
  using sluice::ErrorCode;
  using sluice::tools::ExitCode;
  using sluice::tools::ReportError;
  OccupyStandardStreams();
  sluice::tools::KeepHeapSmall();
  sluice::tools::InstallSignalHandlers();
  ExitCode code = ExitCode::kFailed;
  try {
    code = sluice::tools::Main(argc, argv);
  } catch (const std::bad_alloc&) {
    code = ReportError("", {ErrorCode::kNoMemory,
                            "out of memory; give a smaller --memory or --ctx"});
  } catch (const std::exception& error) {
    code = ReportError("", {ErrorCode::kInternal, error.what()});
  }
  return static_cast<int>(code);
}
