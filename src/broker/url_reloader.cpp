#include <string_view>
#include <utility>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/broker/reloader.hpp>
#include <acme_agent/net/curl_transport.hpp>

namespace acme_agent {
namespace {

/// Scheme, host and port. The rest may hold secrets: a password, a token in the path or in the query.
std::string origin_of(std::string_view url) {
  const std::size_t host = url.find("://") + 3;
  const std::string_view scheme = url.substr(0, host);
  std::string_view authority = url.substr(host);
  authority = authority.substr(0, authority.find_first_of("/?#"));
  authority.remove_prefix(authority.rfind('@') + 1);  // all of it stays where there is none
  return printable(std::string(scheme) + std::string(authority));
}

class UrlReloader final : public Reloader {
 public:
  UrlReloader(std::string url, HttpClient client)
      : url_(std::move(url)), origin_(origin_of(url_)), client_(std::move(client)) {}

  std::string describe() const override { return "url:" + origin_; }

  bool reload(const Deployed&, const std::stop_token& stop) override {
    CurlTransport transport({.user_agent = client_.user_agent,
                             .trust_advice = "let this machine trust its root (update-ca-certificates)",
                             .connect_timeout = client_.timeout,
                             .timeout = client_.timeout,
                             .plain_http = true});
    const Response response =
        transport.send({.method = Request::Method::post, .url = url_, .body = "", .content_type = ""}, stop);
    const int status = response.status;
    if (status >= 200 && status < 300) return true;
    const std::string answered = origin_ + " answered with status " + std::to_string(status);
    if (status >= 300 && status < 400)
      throw Error(Remedy::ask_operator, answered + ", which leads elsewhere: give the URL that it leads to");
    if (status >= 500 || status == 429) throw Error(Remedy::retry, answered + ", and so could not do it now");
    throw Error(Remedy::ask_operator,
                answered + ", and so refuses it: see whether path, user and password of the URL are right");
  }

 private:
  const std::string url_;
  const std::string origin_;
  const HttpClient client_;
};

}  // namespace

std::unique_ptr<Reloader> reload_url(std::string url, HttpClient client) {
  return std::make_unique<UrlReloader>(std::move(url), std::move(client));
}

}  // namespace acme_agent
