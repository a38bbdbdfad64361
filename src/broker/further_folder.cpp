#include <algorithm>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/broker/further_folder.hpp>
#include <acme_agent/crypto/pkcs12.hpp>
#include <acme_agent/sys/generations.hpp>

#include "pair_files.hpp"

namespace acme_agent {
namespace {

using Files = std::vector<GenerationFolder::File>;

constexpr const char* keystore = "keystore.p12";

Secret password_in(const std::string& file) {
  if (file.empty()) return Secret("changeit");
  constexpr std::size_t longest = 1024;
  const std::optional<Secret> text = read_file(file, longest);
  if (!text) throw Error(Remedy::ask_operator, "there is no password file " + printable(file));
  Secret password{std::string(trim(text->reveal()))};
  if (password.reveal().empty())
    throw Error(Remedy::ask_operator, "the password file " + printable(file) + " is empty");
  return password;
}

/// The files that can be compared: a keystore is another one each time that it is written.
Files comparable_files(FurtherFolder::Format format, const CertifiedKey& pair) {
  Files files = files_of(pair);
  if (format == FurtherFolder::Format::combined)
    std::erase_if(files, [](const auto& one) { return one.name != "combined.pem"; });
  if (format == FurtherFolder::Format::pkcs12)
    std::erase_if(files, [](const auto& one) { return one.name != "cert.pem"; });
  return files;
}

}  // namespace

bool FurtherFolder::empty() const {
  std::error_code none;
  std::vector<std::string> names = pair_files;
  names.emplace_back(keystore);
  return std::none_of(names.begin(), names.end(), [&](const std::string& name) {
    return std::filesystem::exists(std::filesystem::symlink_status(std::filesystem::path(folder) / name, none));
  });
}

bool FurtherFolder::holds(const CertifiedKey& pair) const {
  if (format == Format::pkcs12 && !GenerationFolder(folder).read(keystore)) return false;
  return GenerationFolder(folder).current() && lie_in(folder, comparable_files(format, pair), ownership);
}

void FurtherFolder::put(const CertifiedKey& pair) const {
  Files files = comparable_files(format, pair);
  if (format == Format::pkcs12) files.push_back({keystore, to_pkcs12(pair, password_in(password_file))});
  GenerationFolder generations(folder);
  generations.activate(generations.prepare(files, ownership));
}

void FurtherFolder::put_back() const {
  GenerationFolder generations(folder);
  if (const std::optional<std::filesystem::path> before = generations.previous()) generations.activate(*before);
}

std::string FurtherFolder::stamp() const {
  std::vector<std::string> names = pair_files;
  names.emplace_back(keystore);
  return GenerationFolder(folder).stamp(names);
}

}  // namespace acme_agent
