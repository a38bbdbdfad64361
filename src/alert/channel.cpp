#include <nlohmann/json.hpp>
#include <utility>

#include <acme_agent/alert/channel.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/digest.hpp>

namespace acme_agent {
namespace {

constexpr Duration command_timeout = std::chrono::minutes(1);

std::string id_of(const std::string& kind, const std::string& settings) {
  return kind + ":" + to_hex(sha256(settings)).substr(0, 16);
}

/// Scheme, host and port. The rest may hold secrets: a password, a token in the path or in the query.
std::string origin_of(const std::string& url) {
  const std::size_t host = url.find("://") + 3;
  std::string authority = url.substr(host, url.find_first_of("/?#", host) - host);
  authority.erase(0, authority.rfind('@') + 1);  // all of it stays where there is none
  return printable(url.substr(0, host) + authority);
}

std::string dumped(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void post(const Connect& connect, const std::string& url, const nlohmann::json& body, const std::stop_token& stop) {
  const Response response = connect()->send(
      {.method = Request::Method::post, .url = url, .body = dumped(body), .content_type = "application/json"}, stop);
  if (response.status >= 200 && response.status < 300) return;
  throw Error(Remedy::retry, origin_of(url) + " answered with status " + std::to_string(response.status) +
                                 ": see whether path, user and password of the URL are right");
}

class CommandChannel final : public Channel {
 public:
  CommandChannel(std::vector<std::string> argv, const Processes& processes)
      : argv_(std::move(argv)), processes_(processes) {}

  std::string describe() const override { return "command:" + printable(argv_.front()); }
  std::string id() const override {
    std::string all;
    for (const std::string& word : argv_) all += word + '\0';
    return id_of("command", all);
  }

  void tell(const Alert& alert, const std::stop_token& stop) override {
    std::string certificates;
    constexpr std::size_t most = 64 * 1024;  // the system takes 128 KiB for a variable
    for (const Alert::Item& item : alert.items)
      if (certificates.size() < most) certificates += (certificates.empty() ? "" : "\n") + item.certificate;
    const CommandResult result =
        processes_.run(argv_,
                       {"ACME_AGENT_ALERT_TITLE=" + alert.title, "ACME_AGENT_ALERT_TEXT=" + alert.text,
                        "ACME_AGENT_ALERT_TROUBLE=" + std::string(to_string(alert.worst)),
                        "ACME_AGENT_ALERT_CERTIFICATES=" + certificates},
                       command_timeout, stop);
    if (result.timed_out) throw Error(Remedy::retry, describe() + " did not end within a minute");
    if (result.exit_code != 0)
      throw Error(Remedy::retry,
                  describe() + " ended with " + std::to_string(result.exit_code) +
                      (result.output.empty() ? "" : " and said: " + printable(trim(result.output), 200)));
  }

 private:
  const std::vector<std::string> argv_;
  const Processes& processes_;
};

class UrlChannel final : public Channel {
 public:
  UrlChannel(std::string url, Connect connect) : url_(std::move(url)), connect_(std::move(connect)) {}

  std::string describe() const override { return "url:" + origin_of(url_); }
  std::string id() const override { return id_of("url", url_); }

  void tell(const Alert& alert, const std::stop_token& stop) override {
    nlohmann::json body{{"title", alert.title},
                        {"text", alert.text},
                        {"trouble", to_string(alert.worst)},
                        {"certificates", nlohmann::json::array()}};
    for (const Alert::Item& item : alert.items)
      body["certificates"].push_back(
          {{"name", item.certificate}, {"trouble", to_string(item.trouble)}, {"text", item.text}});
    post(connect_, url_, body, stop);
  }

 private:
  const std::string url_;
  const Connect connect_;
};

class NtfyChannel final : public Channel {
 public:
  NtfyChannel(std::string url, Connect connect) : id_(id_of("ntfy", url)), connect_(std::move(connect)) {
    const std::size_t end = std::min(url.find_first_of("?#"), url.size());
    const std::size_t slash = url.rfind('/', end);
    topic_ = url.substr(slash + 1, end - slash - 1);
    server_ = url.substr(0, slash + 1) + url.substr(end);
  }

  std::string describe() const override { return "ntfy:" + origin_of(server_); }
  std::string id() const override { return id_; }

  void tell(const Alert& alert, const std::stop_token& stop) override {
    post(connect_, server_,
         {{"topic", topic_},
          {"title", alert.title},
          {"message", alert.text},
          {"priority", priority_of(alert.worst)},
          {"tags", nlohmann::json::array({tag_of(alert.worst)})}},
         stop);
  }

 private:
  /// ntfy's, from 1 (min) to 5 (max); 3 is what a message usually has.
  static int priority_of(Trouble worst) {
    if (worst == Trouble::none) return 3;
    return worst == Trouble::expired || worst == Trouble::missing ? 5 : 4;
  }
  /// ntfy shows these as emojis.
  static const char* tag_of(Trouble worst) {
    if (worst == Trouble::none) return "white_check_mark";
    return worst == Trouble::expired || worst == Trouble::missing ? "rotating_light" : "warning";
  }

  const std::string id_;
  const Connect connect_;
  std::string topic_;
  std::string server_;
};

}  // namespace

std::unique_ptr<Channel> tell_command(std::vector<std::string> argv, const Processes& processes) {
  return std::make_unique<CommandChannel>(std::move(argv), processes);
}

std::unique_ptr<Channel> tell_url(std::string url, Connect connect) {
  return std::make_unique<UrlChannel>(std::move(url), std::move(connect));
}

std::unique_ptr<Channel> tell_ntfy(std::string url, Connect connect) {
  return std::make_unique<NtfyChannel>(std::move(url), std::move(connect));
}

}  // namespace acme_agent
