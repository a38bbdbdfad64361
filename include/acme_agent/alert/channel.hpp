#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include <acme_agent/alert/trouble.hpp>
#include <acme_agent/net/transport.hpp>
#include <acme_agent/sys/processes.hpp>

namespace acme_agent {

/// A way to tell somebody.
class Channel {
 public:
  virtual ~Channel() = default;

  /// Who is told, without secrets: "ntfy:https://ntfy.example".
  virtual std::string describe() const = 0;
  /// Always the same for the same settings, and no secret either.
  virtual std::string id() const = 0;
  /// Throws Error if it cannot be told, and Stopped.
  virtual void tell(const Alert& alert, const std::stop_token& stop) = 0;
};

using Connect = std::function<std::unique_ptr<Transport>()>;

/// Runs a program without a shell, with ACME_AGENT_ALERT_TITLE, _TEXT, _TROUBLE (the worst, "none" for good news) and
/// _CERTIFICATES (a line each) in its environment. It has a minute and has to end with 0.
std::unique_ptr<Channel> tell_command(std::vector<std::string> argv, const Processes& processes);

/// POSTs {"title", "text", "trouble", "certificates": [{"name", "trouble", "text"}]} as JSON to the URL.
std::unique_ptr<Channel> tell_url(std::string url, Connect connect);

/// Publishes to the topic at the end of this URL, as ntfy's documentation has it for JSON (so that text in any language
/// gets through), with title, priority and tags.
std::unique_ptr<Channel> tell_ntfy(std::string url, Connect connect);

}  // namespace acme_agent
