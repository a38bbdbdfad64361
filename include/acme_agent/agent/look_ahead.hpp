#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <acme_agent/base/identifier.hpp>

namespace acme_agent {

/// What we see in the DNS that may keep a server from validating these names, a sentence each; `issuers` are what the
/// server calls itself in CAA records. An explanation within seconds. Throws nothing but Stopped.
using ExplainNames =
    std::function<std::vector<std::string>(const std::vector<Identifier>& names, const std::string& challenge,
                                           const std::vector<std::string>& issuers, const std::stop_token& stop)>;

/// Looks at names beside the network, so that what may keep the server from validating them is said before the server
/// says no. Nothing waits for it: destroying it ends the look.
///
/// A server that has no name for CAA records is a private one and may see another DNS than we do: then there is no
/// look.
class LookAhead {
 public:
  /// `say` is called from another thread, and only where there is something to say.
  LookAhead(ExplainNames explain, std::vector<Identifier> names, std::string challenge,
            std::vector<std::string> issuers, std::function<void(const std::string&)> say);

 private:
  std::jthread look_;
};

}  // namespace acme_agent
