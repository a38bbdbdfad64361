#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/base/identifier.hpp>
#include <acme_agent/crypto/certificate.hpp>

namespace acme_agent {

/// The roots in a form that clients take.
struct RootExport {
  std::filesystem::path file;  ///< Where it is to lie.
  std::string content;
  bool binary = false;
  std::string advice;  ///< What to do with it, in lines.
};

/// `roots` has the newest first; `place` is a file, a folder, or empty. Throws Error (ask_operator) for a format other
/// than pem, der, mobileconfig, android.
RootExport export_roots(const std::string& format, const std::vector<Certificate>& roots,
                        const std::optional<Identifier>& broker, const std::filesystem::path& place);

}  // namespace acme_agent
