// Files that the user names: reading them whole, writing them atomically, and
// the standard streams behind "-".
//
// Every error names the file and what to do about it. Thread safety: free
// functions may be called from any thread; OutputFile is thread-compatible.
#ifndef SLUICE_TOOLS_FILES_H_
#define SLUICE_TOOLS_FILES_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/sluice.h"
#include "tools/interrupt.h"

namespace sluice::tools {

// The whole of `path` ("-": standard input). Returns: kNotFound, kPermission,
// kIo (a directory, or beyond 256 MiB: no prompt, token list or text to
// evaluate is that long, but /dev/zero is).
Result<std::string> ReadWholeFile(const std::string& path);
// The same, but an empty file is an error (kIo).
Result<std::string> ReadNonEmptyFile(const std::string& path);

// Token ids, none negative, separated by white space. Returns: as
// ReadNonEmptyFile, and kIo naming the place of a word that is none.
Result<std::vector<TokenId>> ReadTokens(const std::string& path);
// Returns: kIo naming `path` and the place of an id beyond the vocabulary.
Result<void> CheckTokens(std::span<const TokenId> tokens,
                         std::size_t vocabulary, const std::string& path);

// Writes to standard output at once, past stdio's buffer. Returns: ReaderGone()
// when the other end of the pipe is closed, else kIo.
Result<void> WriteStdout(std::string_view bytes);

// A file that appears under its name only when complete: it is written beside
// it and renamed by Commit. Without Commit, nothing is left behind. A path that
// is there and is no regular file (a device, a pipe) is written directly.
class OutputFile {
 public:
  // "-" is standard output. Returns: kNotFound, kPermission, kIo.
  static Result<std::unique_ptr<OutputFile>> Create(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  Result<void> Write(std::string_view bytes);
  Result<void> Commit();

 private:
  OutputFile(int descriptor, std::string path, std::string temporary);

  int descriptor_;
  const std::string path_;  // as the user wrote it, for messages
  std::string target_;      // what Commit renames onto
  std::string temporary_;   // empty: written directly
  std::unique_ptr<RemoveOnSignal> cleanup_;
};

}  // namespace sluice::tools

#endif  // SLUICE_TOOLS_FILES_H_
