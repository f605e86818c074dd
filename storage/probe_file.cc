#include "storage/probe_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

#include "storage/aligned_buffer.h"
#include "storage/file_set.h"
#include "storage/write_stream.h"

namespace sluice::storage {
namespace {

constexpr std::size_t kMostFileBytes = 4096;
constexpr std::uint64_t kMostPiece = 4 << 20;
constexpr std::uint64_t kMostDepth = 64;

// What the file holds; empty when it cannot be read or is no small regular
// file.
std::string ReadSmallFile(const std::string& path) {
  const FileDescriptor file(
      open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status = {};
  if (file.get() < 0 || fstat(file.get(), &status) != 0 ||
      !S_ISREG(status.st_mode) || status.st_size <= 0 ||
      status.st_size > static_cast<off_t>(kMostFileBytes)) {
    return "";
  }
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  const bool whole =
      ReadFully(file.get(), 0, std::as_writable_bytes(std::span(text)));
  return whole ? text : "";
}

// Takes "NAME NUMBER\n" from the front of `text`.
std::optional<std::uint64_t> TakeNumber(std::string_view& text,
                                        std::string_view name) {
  if (!text.starts_with(name)) return std::nullopt;
  std::string_view rest = text.substr(name.size());
  if (!rest.starts_with(' ')) return std::nullopt;
  rest.remove_prefix(1);
  std::uint64_t number = 0;
  const auto [end, error] =
      std::from_chars(rest.data(), rest.data() + rest.size(), number);
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  if (error != std::errc{} || !rest.starts_with('\n')) return std::nullopt;
  text = rest.substr(1);
  return number;
}

}  // namespace

std::string ProbeKey(const std::string& path, std::string_view reader) {
  struct stat file = {};
  struct statvfs system = {};
  if (stat(path.c_str(), &file) != 0 || statvfs(path.c_str(), &system) != 0) {
    return "";
  }
  return fmt::format(
      "sluice flash probe 3\ndevice {}\nfile_system {:x}\n"
      "file_system_bytes {}\nfile_bytes {}\nreader {}\n",
      file.st_dev, system.f_fsid,
      std::uint64_t{system.f_blocks} * system.f_frsize, file.st_size, reader);
}

std::optional<FlashChoice> RecallChoice(const std::string& probe_file,
                                        std::string_view key) {
  const std::string text = ReadSmallFile(probe_file);
  std::string_view rest = text;
  if (key.empty() || !rest.starts_with(key)) return std::nullopt;
  rest.remove_prefix(key.size());
  const auto piece = TakeNumber(rest, "piece_bytes");
  const auto depth = TakeNumber(rest, "depth");
  const auto rate = TakeNumber(rest, "bytes_per_second");
  const auto best = TakeNumber(rest, "best_bytes_per_second");
  if (!piece || !depth || !rate || !best || !rest.empty()) return std::nullopt;
  if (*piece == 0 || *piece > kMostPiece || *piece % kIoAlignment != 0 ||
      *depth == 0 || *depth > kMostDepth) {
    return std::nullopt;
  }
  return FlashChoice{.piece_bytes = static_cast<std::size_t>(*piece),
                     .depth = static_cast<unsigned>(*depth),
                     .bytes_per_second = static_cast<double>(*rate),
                     .best_bytes_per_second = static_cast<double>(*best)};
}

bool RememberChoice(const std::string& probe_file, std::string_view key,
                    const FlashChoice& choice) {
  if (key.empty()) return false;
  const std::string text = fmt::format(
      "{}piece_bytes {}\ndepth {}\nbytes_per_second {:.0f}\n"
      "best_bytes_per_second {:.0f}\n",
      key, choice.piece_bytes, choice.depth, choice.bytes_per_second,
      choice.best_bytes_per_second);
  std::string temporary = probe_file + ".XXXXXX";
  const FileDescriptor file(mkostemp(temporary.data(), O_CLOEXEC));
  if (file.get() < 0) return false;
  // Readable by all, as the model is: other users run it too.
  const bool done =
      fchmod(file.get(), 0644) == 0 &&
      WriteFully(temporary, file.get(), std::as_bytes(std::span(text)), 0) &&
      rename(temporary.c_str(), probe_file.c_str()) == 0;
  if (!done) unlink(temporary.c_str());
  return done;
}

}  // namespace sluice::storage
