#include "engine/sluice.h"

#include <utility>

#include <fmt/format.h>

#include "engine/engine_impl.h"
#include "engine/memory_limits.h"
#include "engine/model_file.h"
#include "engine/open_predictor.h"
#include "kernels/kernel_table.h"
#include "storage/container_reader.h"
#include "storage/gguf.h"

namespace sluice {
namespace {

constexpr unsigned kMostThreads = 1024;
constexpr std::size_t kMostChunk = 1 << 16;

Result<void> Range(std::string_view what, std::size_t value, std::size_t most) {
  if (value <= most) return {};
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("{} is {}; give at most {}", what, value, most));
}

}  // namespace

std::string_view KvFormatName(KvFormat format) {
  return format == KvFormat::kQ8 ? "q8" : "f16";
}

Result<void> EngineOptions::Validate() const {
  SLUICE_TRY(Range("threads", threads, kMostThreads));
  SLUICE_TRY(Range("prefill chunk", prefill_chunk, kMostChunk));
  if (memory_bytes && *memory_bytes == 0) {
    return Fail(ErrorCode::kInvalidArgument,
                "memory is 0; give a size such as 512M or 2G");
  }
  if (!(t1 >= 0 && t1 <= t2 && t2 <= 1)) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("t1 is {} and t2 is {}; give shares within 0 and "
                            "1, t1 no more than t2",
                            t1, t2));
  }
  if (precision == ExpertPrecision::kBase && !precision_map.empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                "precision base reads every expert as a base; leave out the "
                "precision map");
  }
  return ValidatePredictor(*this);
}

Result<std::unique_ptr<Engine>> Engine::Open(const std::string& path,
                                             const EngineOptions& options) {
  SLUICE_ASSIGN(std::unique_ptr<EngineImpl> engine,
                EngineImpl::Load(path, options));
  return std::unique_ptr<Engine>(std::move(engine));
}

Result<std::unique_ptr<Tokenizer>> OpenTokenizer(const std::string& path) {
  if (storage::ContainerReader::IsContainer(path)) {
    SLUICE_ASSIGN(const storage::ContainerReader container,
                  storage::ContainerReader::Open(path));
    return Tokenizer::FromGguf(container.gguf());
  }
  SLUICE_ASSIGN(const storage::GgufFile gguf, storage::GgufFile::Open(path));
  return Tokenizer::FromGguf(gguf);
}

std::vector<std::string> AvailableIsas() {
  std::vector<std::string> names;
  for (const kernels::KernelTable* table :
       kernels::AvailableTables(kernels::DetectCpuFeatures())) {
    names.emplace_back(table->name);
  }
  return names;
}

}  // namespace sluice
