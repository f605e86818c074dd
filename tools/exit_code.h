// ExitCode: what the `sluice` command tells the shell, decided in one place.
//
// Thread safety: values.
#ifndef SLUICE_TOOLS_EXIT_CODE_H_
#define SLUICE_TOOLS_EXIT_CODE_H_

#include <string_view>

#include "engine/sluice.h"

namespace sluice::tools {

enum class ExitCode : int {
  kOk = 0,
  kFailed = 1,         // the operation failed: file, memory, device
  kUsage = 2,          // the command line asks for something impossible
  kInterrupted = 130,  // Ctrl-C, as shells report it (128 + SIGINT)
};

// An error that is not worth a line, because nobody is left to read the
// results: the reader of a pipe has gone.
Error ReaderGone();

// Prints `error` as one line on stderr, `sluice COMMAND: MESSAGE`, and gives
// the code it deserves. Control characters, which file names and metadata may
// hold, are shown as '?', so that an error is always one line.
ExitCode ReportError(std::string_view command, const Error& error);

}  // namespace sluice::tools

#endif  // SLUICE_TOOLS_EXIT_CODE_H_
