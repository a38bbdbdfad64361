#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <set>
#include <system_error>

#include <acme_agent/base/entries.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/sys/generations.hpp>

namespace acme_agent {
namespace {

namespace fs = std::filesystem;

constexpr const char* data_link = "..data";
/// What was current before, kept across restarts: after a roll-back it is not the next smaller number.
constexpr const char* previous_link = "..previous";
/// What is not finished, or on its way out, and may be removed by whoever finds it.
constexpr const char* unfinished = ".new";
/// Everybody may pass; the files guard themselves, and their names are no secret.
constexpr mode_t folder_mode = 0711;
constexpr std::size_t kept = 3;

using Number = std::uint64_t;

/// N of "..N"; 0 if `name` is something else.
Number number_of(const fs::path& name) {
  const std::string& text = name.native();
  if (!text.starts_with("..") || text.size() < 3 || text[2] == '0') return 0;
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data() + 2, text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : 0;
}

fs::path name_of(Number number) {
  return ".." + std::to_string(number);
}

bool is_there(const fs::path& path) {
  std::error_code error;
  const bool found = fs::exists(path, error);
  if (error) throw_errno("cannot look at", path, error.value());
  return found;
}

/// What is in `folder`; nothing if it does not exist.
std::vector<fs::path> names_in(const fs::path& folder) {
  std::vector<fs::path> names;
  std::error_code error;
  for (const fs::path& entry : entries_of(folder, error)) names.push_back(entry.filename());
  if (error && error.value() != ENOENT) throw_errno("cannot list", folder, error.value());
  return names;
}

/// Complete generations, the newest first.
std::vector<Number> generations_in(const fs::path& folder) {
  std::vector<Number> numbers;
  for (const fs::path& name : names_in(folder)) {
    if (const Number number = number_of(name); number != 0) numbers.push_back(number);
  }
  std::sort(numbers.rbegin(), numbers.rend());
  return numbers;
}

/// What a link leads to; empty if it is none.
fs::path target_of(const fs::path& link, int folder = AT_FDCWD) {
  std::array<char, PATH_MAX> text;
  const ssize_t size = ::readlinkat(folder, link.c_str(), text.data(), text.size());
  return size > 0 ? fs::path(std::string(text.data(), static_cast<std::size_t>(size))) : fs::path();
}

/// The generation that a link in `folder` leads to; 0 if the link or its target is not there.
Number linked_generation(const fs::path& folder, const char* link) {
  std::error_code error;
  const Number number = number_of(target_of(folder / link));
  return number != 0 && fs::is_directory(folder / name_of(number), error) ? number : 0;
}

Number previous_generation(const fs::path& folder) {
  const Number current = linked_generation(folder, data_link);
  const Number previous = linked_generation(folder, previous_link);
  if (previous != 0 && previous != current) return previous;
  for (const Number number : generations_in(folder)) {
    if (number < current) return number;
  }
  return 0;
}

bool is_our_link(const fs::path& folder, const fs::path& name) {
  return target_of(folder / name) == fs::path(data_link) / name;
}

/// Replaces whatever `name` is by a link, in one rename.
void set_link(const fs::path& folder, const fs::path& name, const fs::path& target) {
  const fs::path link = folder / (std::string("..link") + unfinished);
  if (::unlink(link.c_str()) != 0 && errno != ENOENT) throw_errno("cannot remove", link, errno);
  if (::symlink(target.c_str(), link.c_str()) != 0) throw_errno("cannot make the link", link, errno);
  if (::rename(link.c_str(), (folder / name).c_str()) != 0) throw_errno("cannot replace", folder / name, errno);
}

void erase(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) throw_errno("cannot remove", path, error.value());
}

/// Under another name first, so that half a generation never looks like a whole one.
void remove_generation(const fs::path& path) {
  const fs::path doomed = path.native() + unfinished;
  erase(doomed);
  if (::rename(path.c_str(), doomed.c_str()) != 0) throw_errno("cannot remove", path, errno);
  erase(doomed);
}

void remove_leftovers(const fs::path& folder) {
  for (const fs::path& name : names_in(folder)) {
    if (name.native().starts_with("..") && name.native().ends_with(unfinished)) erase(folder / name);
  }
  const Number current = linked_generation(folder, data_link);
  const Number previous = previous_generation(folder);
  for (const Number number : generations_in(folder)) {
    if (number > current && number != previous) remove_generation(folder / name_of(number));
  }
}

struct OwnedFile {
  std::string name;
  Secret content;
  Ownership ownership;
};

void write_generation(const fs::path& folder, Number number, const std::vector<OwnedFile>& files) {
  const fs::path whole = folder / name_of(number);
  const fs::path part = whole.native() + unfinished;
  try {
    if (::mkdir(part.c_str(), folder_mode) != 0) throw_write_errno("cannot make the folder", part, errno);
    const FileDescriptor made = open_new_folder(part, folder_mode);
    for (const OwnedFile& file : files)
      create_file(part / file.name, file.content.reveal(), file.ownership, Sync::content, made.get());
    sync_folder(part);
    if (::rename(part.c_str(), whole.c_str()) != 0) throw_errno("cannot make the folder", whole, errno);
    sync_folder(folder);
  } catch (const Error&) {
    std::error_code ignored;
    fs::remove_all(part, ignored);
    throw;
  }
}

Ownership ownership_of(const FileDescriptor& file, const fs::path& path) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw_errno("cannot read", path, errno);
  if (::geteuid() != 0) return {std::nullopt, std::nullopt, status.st_mode & 0777};  // only root may give files away
  return {status.st_uid, status.st_gid, status.st_mode & 0777};
}

/// What `name` leads to by our own links, or by one that root or we have made; invalid if there is no such file. Who
/// may write in the folder, as the broker's user, could otherwise have us read what only we may.
FileDescriptor open_lying(const fs::path& folder, std::string name) {
  constexpr int for_reading = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  const int no_link = number_of(folder.filename()) != 0 ? O_NOFOLLOW : 0;
  const fs::path path = folder / name;
  const auto opened = [&path](int file) {
    if (file < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP) throw_errno("cannot read", path, errno);
    return FileDescriptor(file);
  };
  FileDescriptor in = opened(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | no_link));
  if (!in.valid()) return FileDescriptor();
  const FileDescriptor entry = opened(::openat(in.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!entry.valid()) return FileDescriptor();

  struct stat status {};
  if (::fstat(entry.get(), &status) != 0) throw_errno("cannot read", path, errno);
  if (S_ISLNK(status.st_mode)) {
    const fs::path target = target_of("", entry.get());
    const bool trusted = status.st_uid == 0 || status.st_uid == ::geteuid();
    if (target == fs::path(data_link) / name) {
      const std::string generation = name_of(number_of(target_of(data_link, in.get())));
      in = opened(::openat(in.get(), generation.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!in.valid()) return FileDescriptor();
    } else if (trusted && (target.is_absolute() || target.native().starts_with("../"))) {
      return opened(::openat(in.get(), target.c_str(), for_reading));
    } else if (trusted && !target.has_parent_path()) {
      name = target;  // beside it, where no second link is followed
    } else {
      return FileDescriptor();
    }
  }
  return opened(::openat(in.get(), name.c_str(), for_reading | O_NOFOLLOW));
}

/// Names that lead to a file without being links of ours.
std::vector<fs::path> foreign_names(const fs::path& folder, const std::vector<fs::path>& names) {
  std::vector<fs::path> foreign;
  for (const fs::path& name : names) {
    if (!is_our_link(folder, name) && is_there(folder / name)) foreign.push_back(name);
  }
  return foreign;
}

/// Makes what the names lead to now one generation, number `number`. Their content is the same at every step.
void adopt(const fs::path& folder, const std::vector<fs::path>& names, Number number) {
  std::vector<OwnedFile> files;
  for (const fs::path& name : names) {
    const FileDescriptor file = open_lying(folder, name.native());  // one for both, whatever the name leads to by then
    if (!file.valid()) continue;
    files.push_back({name.native(), read_open_file(file, folder / name), ownership_of(file, folder / name)});
  }
  write_generation(folder, number, files);
  set_link(folder, data_link, name_of(number));
  sync_folder(folder);
  for (const fs::path& name : foreign_names(folder, names)) set_link(folder, name, fs::path(data_link) / name);
  sync_folder(folder);
}

/// A link for each name of the current generation, and none for others.
void link_names(const fs::path& folder, const std::vector<fs::path>& names) {
  bool changed = false;
  for (const fs::path& name : names) {
    if (is_our_link(folder, name)) continue;
    set_link(folder, name, fs::path(data_link) / name);
    changed = true;
  }
  for (const fs::path& name : names_in(folder)) {
    const bool stale = std::find(names.begin(), names.end(), name) == names.end();
    if (!stale || !is_our_link(folder, name)) continue;
    if (::unlink((folder / name).c_str()) != 0) throw_errno("cannot remove", folder / name, errno);
    changed = true;
  }
  if (changed) sync_folder(folder);
}

/// Leaves the current generation, the one before it, and of the others the newest, `count` in all.
void remove_old(const fs::path& folder, std::size_t count) {
  const std::vector<Number> all = generations_in(folder);
  std::set<Number> keep = {linked_generation(folder, data_link), previous_generation(folder)};
  keep.erase(0);
  for (const Number number : all) {
    if (keep.size() < count) keep.insert(number);
  }
  for (const Number number : all) {
    if (keep.contains(number)) continue;
    try {
      remove_generation(folder / name_of(number));
    } catch (const Error&) {  // The next one tries again.
    }
  }
}

std::optional<fs::path> path_of(const fs::path& folder, Number number) {
  return number == 0 ? std::nullopt : std::optional(folder / name_of(number));
}

}  // namespace

std::optional<fs::path> GenerationFolder::current() const {
  return path_of(folder_, linked_generation(folder_, data_link));
}

std::optional<fs::path> GenerationFolder::previous() const {
  return path_of(folder_, previous_generation(folder_));
}

std::optional<Secret> GenerationFolder::read(const std::string& name) const {
  const FileDescriptor file = open_lying(folder_, name);
  return file.valid() ? std::optional(read_open_file(file, folder_ / name)) : std::nullopt;
}

std::string GenerationFolder::stamp(const std::vector<std::string>& names) const {
  const FileDescriptor folder(::open(folder_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));  // for all names together
  std::string stamp;
  for (const std::string& name : names) {
    struct stat status {};
    if (::fstatat(folder.get(), name.c_str(), &status, 0) != 0) {
      stamp += "- ";
      continue;
    }
    stamp += std::to_string(status.st_ino) + ":" + std::to_string(status.st_ctim.tv_sec) + "." +
             std::to_string(status.st_ctim.tv_nsec) + " ";
  }
  return stamp;
}

fs::path GenerationFolder::prepare(const std::vector<File>& files, const Ownership& ownership) {
  make_folder(folder_, folder_mode);
  const std::vector<Number> before = generations_in(folder_);
  remove_leftovers(folder_);
  remove_old(folder_, kept - 1);  // now, as the switch has a broker to tell

  std::vector<OwnedFile> owned;
  std::vector<fs::path> names;
  for (const File& file : files) {
    owned.push_back({file.name, file.content, ownership});
    names.emplace_back(file.name);
  }
  // Regular files become the generation before this one.
  const Number skipped = foreign_names(folder_, names).empty() ? 0 : 1;
  const Number number = (before.empty() ? 0 : before.front()) + skipped + 1;
  write_generation(folder_, number, owned);
  return folder_ / name_of(number);
}

void GenerationFolder::activate(const fs::path& generation) {
  const Number number = number_of(generation.filename());
  if (number == 0 || !is_there(folder_ / name_of(number))) throw_errno("cannot switch to", generation, ENOENT);
  const std::vector<fs::path> names = names_in(folder_ / name_of(number));

  if (!foreign_names(folder_, names).empty()) {
    const bool taken = number == 1 || is_there(folder_ / name_of(number - 1));
    const std::vector<Number> all = generations_in(folder_);
    if (all.empty()) throw_errno("cannot switch to", generation, ENOENT);  // the folder was taken away just now
    adopt(folder_, names, taken ? all.front() + 1 : number - 1);
  }
  const Number before = linked_generation(folder_, data_link);
  if (before != number) {
    if (before != 0) set_link(folder_, previous_link, name_of(before));
    set_link(folder_, data_link, name_of(number));
    sync_folder(folder_);
  }
  link_names(folder_, names);
  remove_old(folder_, kept);
}

void GenerationFolder::discard(const fs::path& generation) noexcept {
  try {
    const Number number = number_of(generation.filename());
    if (number == 0 || number == linked_generation(folder_, data_link) || number == previous_generation(folder_))
      return;
    remove_generation(folder_ / name_of(number));
  } catch (const std::exception&) {  // The next prepare() removes it.
  }
}

}  // namespace acme_agent
