#include "storage/container_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "storage/header_file.h"

namespace sluice::storage {
namespace {

// Entries [from, to) of a table, as bytes with their place in the file.
struct Patch {
  std::uint64_t offset = 0;
  std::vector<std::byte> bytes;
};

template <typename Entry>
Patch MakePatch(std::uint64_t table, const std::vector<Entry>& entries,
                std::uint64_t from, std::uint64_t to) {
  const auto bytes = std::as_bytes(std::span(entries).subspan(from, to - from));
  return {table + from * sizeof(Entry), {bytes.begin(), bytes.end()}};
}

void SetChecksum(ContainerHeader& header) {
  const auto page = std::as_bytes(std::span(&header, 1));
  header.checksum = HashXxh3(page.first(offsetof(ContainerHeader, checksum)));
}

// All of a header or footer, as it was written.
Extent PageExtent(Extent::Kind kind, std::uint64_t offset,
                  const ContainerHeader& page) {
  return {.offset = offset,
          .bytes = kPageBytes,
          .checksum = HashXxh3(std::as_bytes(std::span(&page, 1))),
          .kind = kind};
}

Error OpenError(const std::string& path, int error) {
  if (error == EROFS || error == EACCES || error == EPERM) {
    return {ErrorCode::kPermission,
            fmt::format("{}: cannot be created: {}; choose a folder that this "
                        "user may write to",
                        OneLine(path), strerror(error))};
  }
  return ErrnoError(OneLine(path), "cannot be created", error);
}

}  // namespace

ContainerWriter::ContainerWriter(const ContainerPlan& plan, std::string partial,
                                 std::uint64_t checkpoint_bytes,
                                 std::function<void(WrittenRange)> written)
    : plan_(plan),
      path_(std::move(partial)),
      checkpoint_bytes_(checkpoint_bytes),
      written_(std::move(written)),
      header_(plan.header),
      index_(plan.index),
      announced_end_(plan.header.section(SectionKind::kDense).offset) {
  header_.section(SectionKind::kExperts).stored_bytes = 0;
  header_.section(SectionKind::kExperts).raw_bytes = 0;
}

ContainerWriter::~ContainerWriter() {
  stream_.reset();
  if (file_.get() >= 0 && !keep_) unlink(path_.c_str());
}

Result<std::unique_ptr<ContainerWriter>> ContainerWriter::Open(
    const ContainerPlan& plan, const std::string& partial,
    std::uint64_t checkpoint_bytes, std::function<void(WrittenRange)> written) {
  std::unique_ptr<ContainerWriter> writer(
      new ContainerWriter(plan, partial, checkpoint_bytes, std::move(written)));
  SLUICE_TRY(writer->OpenFile());
  if (writer->Resume()) {
    writer->keep_ = writer->unit_ > 0;
  } else {
    SLUICE_TRY(writer->Start());
  }
  SLUICE_TRY(writer->OpenStream());
  writer->Announce(writer->RangeTo(writer->EndOfUnits()));
  return writer;
}

Result<void> ContainerWriter::OpenFile() {
  FileDescriptor file(
      open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (file.get() < 0) return tl::unexpected(OpenError(path_, errno));
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: another repack is writing this file; wait for "
                            "it or stop it",
                            OneLine(path_)));
  }
  direct_ =
      FileDescriptor(open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_DIRECT));
  is_direct_ = direct_.get() >= 0;
  if (!is_direct_) {
    direct_ = FileDescriptor(open(path_.c_str(), O_WRONLY | O_CLOEXEC));
  }
  if (direct_.get() < 0) return tl::unexpected(OpenError(path_, errno));
  file_ = std::move(file);
  return {};
}

Result<void> ContainerWriter::Start() {
  const int fd = file_.get();
  if (ftruncate(fd, 0) != 0) {
    return tl::unexpected(WriteError(path_, 0, errno));
  }
  header_.units_done = 0;
  SetChecksum(header_);
  const auto page = std::as_bytes(std::span(&header_, 1));
  const std::vector<std::byte> tables = index_.Serialize();
  const std::uint64_t data = header_.section(SectionKind::kDense).offset;
  if (ftruncate(fd, static_cast<off_t>(data)) != 0) {
    return tl::unexpected(WriteError(path_, data, errno));
  }
  SLUICE_TRY(WriteFully(path_, fd, plan_.metadata,
                        header_.section(SectionKind::kMetadata).offset));
  SLUICE_TRY(WriteFully(path_, fd, plan_.tokenizer,
                        header_.section(SectionKind::kTokenizer).offset));
  SLUICE_TRY(WriteFully(path_, fd, tables,
                        header_.section(SectionKind::kIndex).offset));
  SLUICE_TRY(WriteFully(path_, fd, page, 0));
  return Sync();
}

std::uint64_t ContainerWriter::EndOfUnits() const {
  const std::uint64_t dense = index_.dense.size();
  if (unit_ > dense) {
    const RecordEntry& record = index_.records[unit_ - dense - 1];
    return record.offset + record.stored_bytes;
  }
  if (unit_ == 0) return header_.section(SectionKind::kDense).offset;
  return index_.dense[unit_ - 1].offset + index_.dense[unit_ - 1].bytes;
}

Result<void> ContainerWriter::OpenStream() {
  const std::uint64_t end = EndOfUnits();
  std::vector<std::byte> head(end - AlignDown(end));
  if (!ReadFully(file_.get(), AlignDown(end), head)) {
    return Fail(ErrorCode::kIo,
                fmt::format("{}: cannot be read at byte {}; remove it and "
                            "repack again",
                            OneLine(path_), AlignDown(end)));
  }
  SLUICE_ASSIGN(stream_,
                WriteStream::Open(path_, direct_.get(), is_direct_, end, head));
  checkpoint_unit_ = unit_;
  checkpoint_position_ = end;
  return {};
}

Result<void> ContainerWriter::Sync() const {
  if (fdatasync(file_.get()) == 0) return {};
  return tl::unexpected(
      ErrnoError(OneLine(path_), "cannot be written to the device", errno));
}

std::size_t ContainerWriter::Alignment(std::size_t part) const {
  if (unit_ < index_.dense.size()) return kPartAlignment;
  if (part == 0) return kPageBytes;
  const std::size_t record = unit_ - index_.dense.size();
  return PartAlignment(index_.record_parts(record)[part]);
}

Result<void> ContainerWriter::BeginPart(std::size_t part) {
  const bool dense = unit_ < index_.dense.size();
  part_ = part;
  SLUICE_TRY(stream_->PadTo(Alignment(part)));
  part_begin_ = stream_->position();
  if (!dense && part == 0) {
    index_.records[unit_ - index_.dense.size()].offset = part_begin_;
  }
  hash_.Reset();
  return {};
}

Result<std::span<std::byte>> ContainerWriter::Claim(std::size_t bytes) {
  return stream_->Claim(bytes);
}

void ContainerWriter::Append(std::span<const std::byte> filled) {
  hash_.Update(filled);
}

void ContainerWriter::EndPart(Codec codec) {
  if (unit_ < index_.dense.size()) {
    index_.dense[unit_].checksum = hash_.Digest();
    return;
  }
  const std::size_t number = unit_ - index_.dense.size();
  RecordEntry& record = index_.records[number];
  PartEntry& entry =
      index_.parts[number * index_.header.parts_per_record + part_];
  entry.codec = static_cast<std::uint16_t>(codec);
  entry.offset = part_begin_ - record.offset;
  entry.stored_bytes = stream_->position() - part_begin_;
  entry.checksum = hash_.Digest();
  record.stored_bytes = entry.offset + entry.stored_bytes;
}

Result<void> ContainerWriter::EndUnit() {
  ++unit_;
  if (stream_->position() - checkpoint_position_ < checkpoint_bytes_) return {};
  return Checkpoint();
}

WrittenRange ContainerWriter::RangeTo(std::uint64_t end) {
  WrittenRange range = {announced_end_, AlignDown(end),
                        UnitExtents(index_, announced_unit_, unit_)};
  announced_end_ = range.end;
  announced_unit_ = unit_;
  return range;
}

// The job works on copies, so that the next units can be written meanwhile.
// Entries mean nothing before the header counts their units, so they are synced
// with the data; the header is with the next checkpoint, since what it says
// holds already.
Result<void> ContainerWriter::Checkpoint() {
  const IndexTables tables = TablesOf(header_, index_);
  const std::uint64_t dense = index_.dense.size();
  const auto records = [&](std::uint64_t units) {
    return units - std::min(units, dense);
  };
  const std::uint64_t width = index_.header.parts_per_record;
  const std::uint64_t from = records(checkpoint_unit_);
  const std::uint64_t to = records(unit_);
  std::vector<Patch> patches;
  patches.push_back(MakePatch(tables.dense, index_.dense,
                              std::min(checkpoint_unit_, dense),
                              std::min(unit_, dense)));
  patches.push_back(MakePatch(tables.records, index_.records, from, to));
  patches.push_back(
      MakePatch(tables.parts, index_.parts, from * width, to * width));
  ContainerHeader header = header_;
  header.units_done = unit_;
  SetChecksum(header);
  checkpoint_unit_ = unit_;
  checkpoint_position_ = stream_->position();
  return stream_->FlushThen(
      [this, header, patches = std::move(patches),
       range = RangeTo(stream_->position())]() -> Result<void> {
        for (const Patch& patch : patches) {
          SLUICE_TRY(WriteFully(path_, file_.get(), patch.bytes, patch.offset));
        }
        SLUICE_TRY(Sync());
        Announce(range);
        SLUICE_TRY(WriteFully(path_, file_.get(),
                              std::as_bytes(std::span(&header, 1)), 0));
        if (header.units_done > 0) keep_ = true;
        return {};
      });
}

Result<void> ContainerWriter::Suspend() {
  SLUICE_TRY(Checkpoint());
  SLUICE_TRY(stream_->Drain());
  return Sync();
}

Result<void> ContainerWriter::Finish() {
  SLUICE_TRY(stream_->PadTo(kPageBytes));
  header_.state = static_cast<std::uint32_t>(ContainerState::kComplete);
  header_.units_done = 0;
  header_.source_stamp = 0;
  header_.file_bytes = stream_->position() + kPageBytes;
  SectionEntry& experts = header_.section(SectionKind::kExperts);
  experts.stored_bytes = stream_->position() - experts.offset;
  experts.raw_bytes = experts.stored_bytes;
  experts.checksum = ExpertsChecksum(index_);
  header_.section(SectionKind::kDense).checksum = DenseChecksum(index_);
  const std::vector<std::byte> tables = index_.Serialize();
  SectionEntry& index = header_.section(SectionKind::kIndex);
  index.checksum = HashXxh3(tables);

  ContainerHeader footer = header_;
  footer.magic = kContainerEndMagic;
  SetChecksum(footer);
  SLUICE_ASSIGN(const auto room, stream_->Claim(kPageBytes));
  std::memcpy(room.data(), &footer, sizeof(footer));
  SLUICE_TRY(stream_->Drain());
  // An earlier writer may have come further than its last checkpoint.
  if (ftruncate(file_.get(), static_cast<off_t>(header_.file_bytes)) != 0) {
    return tl::unexpected(WriteError(path_, header_.file_bytes, errno));
  }
  SLUICE_TRY(WriteFully(path_, file_.get(), tables, index.offset));
  SLUICE_TRY(Sync());
  WrittenRange rest = RangeTo(header_.file_bytes);
  rest.extents.push_back(PageExtent(Extent::Kind::kFooter,
                                    header_.file_bytes - kPageBytes, footer));
  Announce(std::move(rest));
  SetChecksum(header_);
  SLUICE_TRY(
      WriteFully(path_, file_.get(), std::as_bytes(std::span(&header_, 1)), 0));
  SLUICE_TRY(Sync());
  posix_fadvise(file_.get(), 0, 0, POSIX_FADV_DONTNEED);
  WrittenRange front = {0, header_.section(SectionKind::kDense).offset, {}};
  front.extents = SectionExtents(header_);
  front.extents.insert(front.extents.begin(),
                       PageExtent(Extent::Kind::kHeader, 0, header_));
  Announce(std::move(front));
  keep_ = true;
  return {};
}

Result<void> ContainerWriter::Publish(const std::string& output) {
  if (rename(path_.c_str(), output.c_str()) != 0) {
    return tl::unexpected(
        ErrnoError(OneLine(output),
                   fmt::format("cannot be renamed from {}", path_), errno));
  }
  const std::filesystem::path parent =
      std::filesystem::path(output).parent_path();
  const std::string folder = parent.empty() ? "." : parent.string();
  const FileDescriptor fd(
      open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || fsync(fd.get()) != 0) {
    return tl::unexpected(
        ErrnoError(OneLine(folder), "the folder cannot be synced", errno));
  }
  return {};
}

void ContainerWriter::Discard() {
  stream_.reset();
  keep_ = false;
}

}  // namespace sluice::storage
