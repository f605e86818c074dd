// ContainerWriter: writes the `.partial` file that becomes a container, unit by
// unit, with the checkpoints of storage/FORMAT.md section 7, so that a writer
// killed at any moment can be followed by another that goes on.
//
// The caller brings the bytes of each part in order; the writer keeps the
// checksums, offsets and sizes. Whatever has reached the device it announces,
// so that it can be read back while the writing goes on. Data goes through a
// WriteStream, the header and the index through the page cache (a few pages per
// checkpoint).
//
// Thread safety: thread-compatible.
#ifndef SLUICE_STORAGE_CONTAINER_WRITER_H_
#define SLUICE_STORAGE_CONTAINER_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "storage/container_plan.h"
#include "storage/file_set.h"
#include "storage/read_back.h"
#include "storage/result.h"
#include "storage/write_stream.h"
#include "storage/xxh3.h"

namespace sluice::storage {

class ContainerWriter {
 public:
  static constexpr std::uint64_t kCheckpointBytes = 64 << 20;

  // Opens `partial` and, where it holds the beginning of the same container,
  // goes on after its last checkpoint; else starts anew. `plan` must outlive
  // the writer. A checkpoint is due every `checkpoint_bytes`. `written`, which
  // may be empty, gets every byte of the file in ranges that have been synced
  // and are final, the units' (also those found) before the front; it is called
  // on any thread, one call at a time, and must outlive the writer.
  // Returns: kPermission, kNotFound (the folder), kIo, kNoMemory,
  // kInvalidArgument (someone else is writing it).
  static Result<std::unique_ptr<ContainerWriter>> Open(
      const ContainerPlan& plan, const std::string& partial,
      std::uint64_t checkpoint_bytes,
      std::function<void(WrittenRange)> written = {});
  // Removes the file when it holds no unit that a later writer could use.
  ~ContainerWriter();
  ContainerWriter(const ContainerWriter&) = delete;
  ContainerWriter& operator=(const ContainerWriter&) = delete;

  // Units done: the next one to write. Those at Open were found in the file.
  std::uint64_t unit() const { return unit_; }

  // A part of the current unit: BeginPart, its bytes (Claim and fill, then
  // Append what was filled), EndPart.
  Result<void> BeginPart(std::size_t part);
  // Room for `bytes` (at most WriteStream::kMostClaim) of the part.
  Result<std::span<std::byte>> Claim(std::size_t bytes);
  void Append(std::span<const std::byte> filled);
  void EndPart(Codec codec);
  // After the last part of the unit.
  Result<void> EndUnit();

  // Writes a checkpoint now and waits for it.
  Result<void> Suspend();
  // After the last unit: the footer, the index and the header, all on flash.
  Result<void> Finish();
  // Renames the finished file to `output` and syncs the folder.
  Result<void> Publish(const std::string& output);
  // Removes the file: what it holds cannot be trusted.
  void Discard();

 private:
  ContainerWriter(const ContainerPlan& plan, std::string partial,
                  std::uint64_t checkpoint_bytes,
                  std::function<void(WrittenRange)> written);

  // Of where a part of the current unit begins.
  std::size_t Alignment(std::size_t part) const;
  Result<void> OpenFile();
  // Whether the file holds the beginning of this container; if so takes over
  // its entries.
  bool Resume();
  bool TakeEntries(std::uint64_t units);
  // Writes what precedes the units.
  Result<void> Start();
  Result<void> OpenStream();
  Result<void> Checkpoint();
  // The units since the last call, up to byte `end` of the file or, since a
  // page that is not full will be written again, the page before it.
  WrittenRange RangeTo(std::uint64_t end);
  void Announce(WrittenRange range) const {
    if (written_) written_(std::move(range));
  }
  // The end of the last unit in the file.
  std::uint64_t EndOfUnits() const;
  Result<void> Sync() const;

  const ContainerPlan& plan_;
  const std::string path_;
  const std::uint64_t checkpoint_bytes_;
  const std::function<void(WrittenRange)> written_;
  FileDescriptor file_;    // through the page cache
  FileDescriptor direct_;  // O_DIRECT where there is
  bool is_direct_ = false;

  ContainerHeader header_;
  ContainerIndex index_;
  std::uint64_t unit_ = 0;
  std::size_t part_ = 0;
  std::uint64_t part_begin_ = 0;
  Xxh3 hash_;
  std::uint64_t checkpoint_unit_ = 0;      // units in the last checkpoint
  std::uint64_t checkpoint_position_ = 0;  // end of the file at that moment
  std::uint64_t announced_unit_ = 0;       // the first that no range has
  std::uint64_t announced_end_;            // of the last range
  bool keep_ = false;                      // whether the file is of use

  std::unique_ptr<WriteStream> stream_;  // last: it stops first
};

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_CONTAINER_WRITER_H_
