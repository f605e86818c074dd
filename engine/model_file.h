// ModelFile: a model as found on disk, checked but not loaded: what `inspect`,
// `plan` and Engine::Open start from.
//
// Thread safety: immutable after Open.
#ifndef SLUICE_ENGINE_MODEL_FILE_H_
#define SLUICE_ENGINE_MODEL_FILE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "engine/memory_plan.h"
#include "engine/model_config.h"
#include "engine/sluice.h"
#include "engine/tokenizer.h"
#include "storage/expert_store.h"
#include "storage/gguf.h"
#include "storage/result.h"

namespace sluice {

struct ModelFile {
  storage::GgufFile gguf;  // of a container: its keys and dense tensors
  ModelConfig config;
  storage::ExpertStore experts;
  std::string container;          // "GGUF v3", "Sluice container v1"
  bool packed = false;            // a container; else a GGUF
  bool planes = false;            // its experts are nested weights
  std::size_t low_experts = 0;    // of them, those that the map calls low
  std::uint64_t dense_bytes = 0;  // as loaded

  // Reads and checks the headers of a GGUF or a container, and every tensor's
  // shape. The rest is for a container's records: `precision_map`, if not
  // empty, names the file that says which are low.
  // Returns: as GgufFile::Open, ContainerReader::Open, ReadModelConfig,
  // Weights::Measure, ExpertStore::FromGguf and ReadPrecisionMap;
  // kInvalidArgument (kBase or a map without planes; another model's map).
  static Result<ModelFile> Open(
      const std::string& path,
      storage::VerifyReads verify = storage::VerifyReads::kFirst,
      ExpertPrecision precision = ExpertPrecision::kFull,
      const std::string& precision_map = {});
};

// Builds the plan's inputs from an open model and makes the plan.
// `process_bytes` is the resident set before the model was opened.
// Returns: kInvalidArgument (context beyond the model's).
// What MakePlan needs; `model` must outlive it.
// Returns: kInvalidArgument (a longer context than the model has).
Result<PlanInputs> PlanInputsFor(const ModelFile& model,
                                 const Tokenizer& tokenizer,
                                 std::uint64_t process_bytes,
                                 const EngineOptions& options);

}  // namespace sluice

#endif  // SLUICE_ENGINE_MODEL_FILE_H_
