#include "engine/cgroup.h"

#include <charconv>
#include <cstddef>
#include <fstream>

namespace sluice {
namespace {

// Splits at each `separator`; a trailing one yields no empty part.
std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return parts;
}

bool ListHas(std::string_view list, std::string_view item) {
  for (const std::string_view part : Split(list, ',')) {
    if (part == item) return true;
  }
  return false;
}

struct Mount {
  std::string_view group;  // the group at the mount point
  std::string_view point;
};

// A line of mountinfo: "id parent device GROUP POINT options [optional...] -
// TYPE source SUPER-OPTIONS".
std::optional<Mount> FindMount(std::string_view mountinfo,
                               std::string_view controller, bool v2) {
  for (const std::string_view line : Split(mountinfo, '\n')) {
    const std::vector<std::string_view> fields = Split(line, ' ');
    std::size_t dash = 6;
    while (dash < fields.size() && fields[dash] != "-") ++dash;
    if (dash + 3 >= fields.size()) continue;
    const std::string_view type = fields[dash + 1];
    const bool wanted =
        v2 ? type == "cgroup2"
           : type == "cgroup" && ListHas(fields[dash + 3], controller);
    if (wanted) return Mount{fields[3], fields[4]};
  }
  return std::nullopt;
}

// `group` as seen below the mount: "" for the mount point itself.
std::string_view RelativeGroup(std::string_view group, std::string_view base) {
  if (group.find("..") != std::string_view::npos) return {};
  if (base != "/") {
    if (!group.starts_with(base)) return {};
    group.remove_prefix(base.size());
    if (!group.empty() && group.front() != '/') return {};
  }
  while (group.ends_with('/')) group.remove_suffix(1);
  return group;
}

void AppendLevels(const std::string& root, const Mount& mount,
                  std::string_view group, bool v2,
                  std::vector<CgroupLevel>& levels) {
  std::string_view relative = RelativeGroup(group, mount.group);
  const std::string point = root + std::string(mount.point);
  while (!relative.empty()) {
    levels.push_back({point + std::string(relative), v2});
    relative = relative.substr(0, relative.rfind('/'));
  }
  levels.push_back({point, v2});
}

}  // namespace

std::vector<CgroupLevel> CgroupLevels(const std::string& root,
                                      std::string_view controller) {
  std::vector<CgroupLevel> v1_levels;
  std::vector<CgroupLevel> v2_levels;
  const auto groups = ReadSystemFile(root + "/proc/self/cgroup");
  const auto mounts = ReadSystemFile(root + "/proc/self/mountinfo");
  if (!groups || !mounts) return v1_levels;
  // A line is "hierarchy:controllers:group"; version 2 is "0::group".
  for (const std::string_view line : Split(*groups, '\n')) {
    const std::size_t first = line.find(':');
    if (first == std::string_view::npos) continue;
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view names = line.substr(first + 1, second - first - 1);
    const std::string_view group = line.substr(second + 1);
    if (!group.starts_with('/')) continue;
    const bool v2 = names.empty();
    if (!v2 && !ListHas(names, controller)) continue;
    const auto mount = FindMount(*mounts, controller, v2);
    if (!mount) continue;
    AppendLevels(root, *mount, group, v2, v2 ? v2_levels : v1_levels);
  }
  v1_levels.insert(v1_levels.end(), v2_levels.begin(), v2_levels.end());
  return v1_levels;
}

std::optional<std::string> ReadSystemFile(const std::string& path) {
  constexpr std::size_t kMax = std::size_t{1} << 20;
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string text;
  char buffer[4096];
  while (text.size() < kMax) {
    file.read(buffer, sizeof buffer);
    const std::streamsize count = file.gcount();
    if (count <= 0) break;
    text.append(buffer, static_cast<std::size_t>(count));
  }
  if (file.bad()) return std::nullopt;
  return text;
}

std::optional<std::uint64_t> ParseUnsigned(std::string_view text) {
  std::uint64_t value = 0;
  const auto parsed =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> FindNumber(std::string_view text,
                                        std::string_view key) {
  for (std::string_view line : Split(text, '\n')) {
    if (!line.starts_with(key)) continue;
    line.remove_prefix(key.size());
    const std::size_t digits = line.find_first_not_of(" \t");
    if (digits == 0 || digits == std::string_view::npos) continue;
    return ParseUnsigned(line.substr(digits));
  }
  return std::nullopt;
}

}  // namespace sluice
