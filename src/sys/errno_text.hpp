#pragma once

#include <string>

namespace acme_agent {

/// "connection refused": strerror(3) as a part of a sentence.
std::string errno_text(int error);

}  // namespace acme_agent
