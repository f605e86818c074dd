// Fuzz target of the GGUF reader. The first 8 bytes of an input are the claimed
// size of the file (zero: as large as what follows), the rest its first bytes.
//
// A rejected input must give a message of one line that begins with the path;
// an accepted one must keep every invariant of a GgufFile. Either way nothing
// may crash.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

#include "storage/gguf.h"
#include "tests/support/gguf_invariants.h"

namespace {

void Require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what.c_str());
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  std::uint64_t file_bytes = 0;
  if (size < sizeof(file_bytes)) return 0;
  std::memcpy(&file_bytes, data, sizeof(file_bytes));
  const auto input = std::as_bytes(std::span(data, size));
  const auto header = input.subspan(sizeof(file_bytes));
  if (file_bytes == 0) file_bytes = header.size();

  const auto gguf =
      sluice::storage::GgufFile::Parse(header, file_bytes, "fuzz.gguf");
  if (gguf) {
    const std::string wrong = sluice::test::BrokenInvariant(*gguf);
    Require(wrong.empty(), wrong);
    return 0;
  }
  const std::string& message = gguf.error().message;
  Require(message.starts_with("fuzz.gguf: "), message);
  Require(message.find('\n') == std::string::npos, message);
  Require(message.size() < 1000, message);
  return 0;
}
