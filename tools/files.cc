#include "tools/files.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "tools/exit_code.h"

namespace sluice::tools {
namespace {

constexpr std::size_t kMaxInputBytes = std::size_t{256} << 20;

tl::unexpected<Error> FailErrno(const std::string& what, int error) {
  ErrorCode code = ErrorCode::kIo;
  if (error == ENOENT || error == ENOTDIR) code = ErrorCode::kNotFound;
  if (error == EACCES || error == EPERM) code = ErrorCode::kPermission;
  return Fail(code, fmt::format("{}: {}", what, std::strerror(error)));
}

std::string DisplayName(const std::string& path) {
  return path == "-" ? "standard input" : path;
}

// Closes a descriptor unless it is a standard stream.
class Closer {
 public:
  explicit Closer(int descriptor) : descriptor_(descriptor) {}
  ~Closer() {
    if (descriptor_ > STDERR_FILENO) close(descriptor_);
  }
  Closer(const Closer&) = delete;
  Closer& operator=(const Closer&) = delete;

 private:
  const int descriptor_;
};

Result<void> WriteAll(int descriptor, std::string_view bytes,
                      const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EPIPE) {
      return tl::unexpected(ReaderGone());
    } else if (errno != EINTR) {
      return FailErrno("cannot write " + name, errno);
    }
  }
  return {};
}

// Where a rename onto `path` must go: through symbolic links, so that the link
// stays a link.
std::string ResolveLinks(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(
      realpath(path.c_str(), nullptr), &std::free);
  return real ? std::string(real.get()) : path;
}

bool IsSpace(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' ||
         c == '\v';
}

}  // namespace

Result<std::string> ReadWholeFile(const std::string& path) {
  const std::string name = DisplayName(path);
  const int descriptor =
      path == "-" ? STDIN_FILENO : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return FailErrno("cannot read " + name, errno);
  const Closer closer(descriptor);
  std::string text;
  std::vector<char> buffer(std::size_t{64} << 10);
  while (true) {
    const ssize_t got = read(descriptor, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read " + name, errno);
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > kMaxInputBytes) {
      return Fail(ErrorCode::kIo,
                  name + " is larger than 256 MiB; give a shorter text");
    }
  }
}

Result<std::string> ReadNonEmptyFile(const std::string& path) {
  SLUICE_ASSIGN(std::string text, ReadWholeFile(path));
  if (text.empty())
    return Fail(ErrorCode::kIo, DisplayName(path) + " is empty");
  return text;
}

Result<std::vector<TokenId>> ReadTokens(const std::string& path) {
  SLUICE_ASSIGN(const std::string text, ReadNonEmptyFile(path));
  std::vector<TokenId> tokens;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    while (at != end && IsSpace(*at)) ++at;
    if (at == end) break;
    const char* word_end = at;
    while (word_end != end && !IsSpace(*word_end)) ++word_end;
    TokenId id = -1;
    const auto [stop, error] = std::from_chars(at, word_end, id);
    if (error != std::errc{} || stop != word_end || id < 0) {
      return Fail(ErrorCode::kIo,
                  fmt::format("{}: entry {}, '{:.40}', is not a token id; give "
                              "whole numbers separated by white space",
                              DisplayName(path), tokens.size() + 1,
                              std::string_view(at, word_end)));
    }
    tokens.push_back(id);
    at = word_end;
  }
  if (tokens.empty()) {
    return Fail(ErrorCode::kIo, DisplayName(path) + " holds no token ids");
  }
  return tokens;
}

Result<void> CheckTokens(std::span<const TokenId> tokens,
                         std::size_t vocabulary, const std::string& path) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (std::cmp_less(tokens[i], vocabulary)) continue;
    return Fail(
        ErrorCode::kIo,
        fmt::format("{}: entry {}, {}, is beyond the model's last "
                    "token id, {}",
                    DisplayName(path), i + 1, tokens[i], vocabulary - 1));
  }
  return {};
}

Result<void> WriteStdout(std::string_view bytes) {
  return WriteAll(STDOUT_FILENO, bytes, "standard output");
}

Result<std::unique_ptr<OutputFile>> OutputFile::Create(
    const std::string& path) {
  const auto make = [&path](int descriptor, std::string temporary) {
    return std::unique_ptr<OutputFile>(
        new OutputFile(descriptor, path, std::move(temporary)));
  };
  if (path == "-") return make(STDOUT_FILENO, "");
  struct stat status = {};
  if (stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    const int direct = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (direct < 0) return FailErrno("cannot write " + path, errno);
    return make(direct, "");
  }
  std::string temporary = ResolveLinks(path) + ".XXXXXX";
  const int descriptor = mkostemp(temporary.data(), O_CLOEXEC);
  if (descriptor < 0) return FailErrno("cannot write " + path, errno);
  // mkostemp makes files private; give the mode that any new file has.
  const mode_t mask = umask(0);
  umask(mask);
  fchmod(descriptor, 0666 & ~mask);
  return make(descriptor, std::move(temporary));
}

OutputFile::OutputFile(int descriptor, std::string path, std::string temporary)
    : descriptor_(descriptor),
      path_(std::move(path)),
      target_(ResolveLinks(path_)),
      temporary_(std::move(temporary)) {
  if (!temporary_.empty()) {
    cleanup_ = std::make_unique<RemoveOnSignal>(temporary_);
  }
}

OutputFile::~OutputFile() {
  if (descriptor_ > STDERR_FILENO) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

Result<void> OutputFile::Write(std::string_view bytes) {
  return WriteAll(descriptor_, bytes, path_ == "-" ? "standard output" : path_);
}

Result<void> OutputFile::Commit() {
  if (descriptor_ <= STDERR_FILENO) return {};
  if (close(std::exchange(descriptor_, -1)) != 0) {
    return FailErrno("cannot write " + path_, errno);
  }
  if (temporary_.empty()) return {};
  if (rename(temporary_.c_str(), target_.c_str()) != 0) {
    return FailErrno("cannot write " + path_, errno);
  }
  cleanup_.reset();
  temporary_.clear();
  return {};
}

}  // namespace sluice::tools
