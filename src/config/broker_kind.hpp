#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace acme_agent {

/// How a broker takes new certificates: the words of --broker, as defaults of other options.
struct BrokerKind {
  std::string_view name;
  std::string_view reload;  ///< As --reload has it; "none" where it looks itself.
  std::string_view probe_timeout;
  bool keystore = false;       ///< It reads PKCS #12.
  bool only_restarts = false;  ///< It reads its files when it starts, and never again.
};

/// Null if there is no such word.
const BrokerKind* find_broker_kind(std::string_view name);
/// All the words, for messages.
std::vector<std::string> broker_kind_words();

}  // namespace acme_agent
