#include "tools/exit_code.h"

#include <fmt/core.h>

#include <cstdio>
#include <string>

#include "tools/table.h"

namespace sluice::tools {

Error ReaderGone() { return Error{ErrorCode::kIo, ""}; }

ExitCode ReportError(std::string_view command, const Error& error) {
  if (!error.message.empty()) {
    fmt::print(stderr, "sluice{}{}: {}\n", command.empty() ? "" : " ", command,
               Printable(error.message));
  }
  return error.code == ErrorCode::kInvalidArgument ? ExitCode::kUsage
                                                   : ExitCode::kFailed;
}

}  // namespace sluice::tools
