#include "broker_kind.hpp"

#include <algorithm>
#include <array>

namespace acme_agent {
namespace {

// Erlang's cache of PEM files is emptied every two minutes; HiveMQ looks every ten seconds.
constexpr std::array kinds = {
    BrokerKind{.name = "mosquitto", .reload = "process:mosquitto", .probe_timeout = "10s"},
    BrokerKind{.name = "emqx", .reload = "none", .probe_timeout = "3m"},
    BrokerKind{.name = "vernemq", .reload = "none", .probe_timeout = "3m"},
    BrokerKind{.name = "rabbitmq", .reload = "none", .probe_timeout = "3m"},
    BrokerKind{.name = "hivemq", .reload = "none", .probe_timeout = "30s", .keystore = true},
    BrokerKind{.name = "artemis", .reload = "none", .probe_timeout = "30s"},
    BrokerKind{.name = "nanomq", .reload = "none", .probe_timeout = "10s", .only_restarts = true},
    BrokerKind{.name = "flashmq", .reload = "process:flashmq", .probe_timeout = "10s"},
    BrokerKind{.name = "nats", .reload = "process:nats-server", .probe_timeout = "10s"},
};

}  // namespace

const BrokerKind* find_broker_kind(std::string_view name) {
  const auto* const found =
      std::find_if(kinds.begin(), kinds.end(), [&](const auto& kind) { return kind.name == name; });
  return found == kinds.end() ? nullptr : found;
}

std::vector<std::string> broker_kind_words() {
  std::vector<std::string> words;
  for (const BrokerKind& kind : kinds) words.emplace_back(kind.name);
  return words;
}

}  // namespace acme_agent
