#pragma once

#include <string>
#include <vector>

#include <acme_agent/crypto/certificate.hpp>

namespace acme_agent {

/// The roots in a form that clients take.
struct RootExport {
  std::string file_name;  ///< Where a folder is given.
  std::string content;
  bool binary = false;
  std::string advice;  ///< What to do with it, in lines; FILE stands for the file.
};

/// `roots` has the newest first. Throws Error (ask_operator) for a format other than pem, der, mobileconfig, android.
RootExport export_roots(const std::string& format, const std::vector<Certificate>& roots, const std::string& broker);

}  // namespace acme_agent
