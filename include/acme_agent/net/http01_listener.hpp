#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <acme_agent/base/endpoint.hpp>
#include <acme_agent/base/log.hpp>
#include <acme_agent/net/published_answer.hpp>

namespace acme_agent {

template <class Value>
class PendingAnswers;

/// Answers HTTP-01 (RFC 8555 8.3) with an embedded server that exists only while something is pending: it binds with
/// the first Answer and lets go of the port with the last. GET and HEAD of exactly a pending token get its key
/// authorization, all else gets 404 with a fixed body; nothing of a request is ever echoed.
/// Each connection has one request, 10 s and 8 KiB, and costs no thread, so that slow clients cannot shut the CA out.
/// Safe from every thread.
class Http01Listener {
 public:
  /// `port_holder` names who holds a taken port, for the error message; empty text if unknown.
  Http01Listener(Endpoint address, std::function<std::string(std::uint16_t port)> port_holder, Log& log);
  /// On sockets that listen already and are non-blocking; they are the listener's from now on, and strangers hear 404
  /// all the time. At least one.
  Http01Listener(const std::vector<int>& sockets, Log& log);
  ~Http01Listener();

  /// One pending token. Only a GET counts as a visit, once its response has been sent.
  using Answer = PublishedAnswer;

  /// Throws Error if the port cannot be bound, naming address, cause and holder: retry, or ask_operator where the agent
  /// lacks the right. Another server that would share the port silently is such a cause.
  std::unique_ptr<Answer> publish(const std::string& token, const std::string& key_authorization);

  /// Where it listens, as configured.
  std::string address() const;
  /// What is bound, also where the kernel was to choose (port 0); 0 while nothing is.
  std::uint16_t port() const;

 private:
  std::shared_ptr<PendingAnswers<std::string>> answers_;  ///< Key authorizations by request target.
};

}  // namespace acme_agent
