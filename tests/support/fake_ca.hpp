#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/identifier.hpp>
#include <acme_agent/base/window.hpp>
#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/net/transport.hpp>

namespace acme_agent::test {

/// An ACME server in memory, behind the Transport seam. It refuses what Pebble refuses, with the same status and
/// problem type (tests/acme/strictness_test.cpp holds both to it), and misbehaves as a test tells it to.
/// Safe from every thread; must outlive its connections. It advises on renewals as Let's Encrypt does (RFC 9773:
/// offer_renewal_info, suggest, suggest_again_after, explain, revoke_all, refuse_replaces), names the time in the
/// header Date by its own clock, and can keep Let's Encrypt's limits (enforce_limits, limits_met). Several can stand
/// beside each other under different URLs.
class FakeCa {
 public:
  struct Exchange {
    Request request;
    std::string payload;  ///< Of the JWS, decoded; empty if the request carried none.
    Response response;
  };

  /// `clock` is the server's own; `base` is what its URLs begin with: the directory is at `base`/directory.
  explicit FakeCa(Clock& clock, const std::string& base = "https://ca.example");
  ~FakeCa();

  std::string directory_url() const;
  /// Its root certificate.
  std::string root_pem() const;

  /// A new client connection.
  std::unique_ptr<Transport> connect();

  // How it behaves. What is not said behaves well: every challenge is found valid at once, orders are issued at once.

  /// How the server looks at what the client shows: the key authorization that it finds for a name and a token, or
  /// nothing if there is no answer (problem "connection"). Called on the thread that answers the challenge.
  void on_validate(std::function<std::optional<std::string>(const Identifier&, const std::string& token)> look);

  void reject_nonces(int percent);
  void reject_next_nonces(int count);
  /// Every exchange takes so long, by the clock.
  void latency(Duration latency);
  /// No connection for the next `exchanges`, or until come_back().
  void go_down(int exchanges);
  void go_down();
  void come_back();
  /// The next request whose URL contains `url_part` gets exactly this answer; several wait in line.
  void answer_next(const std::string& url_part, Response response);
  /// The next request whose URL contains `url_part` is carried out, but its answer is lost on the way.
  void lose_next_answer(const std::string& url_part);
  /// Header Retry-After of unfinished authorizations and orders; empty: none.
  void retry_after(const std::string& text);

  /// No account is made without a binding to an external account.
  void require_external_account();
  /// A customer of the server: what a binding is made with (RFC 8555 7.3.4).
  void external_account(const std::string& kid, const std::string& mac_key);
  void forget_accounts();
  /// As if their owners, or the server, had done so (RFC 8555 7.3.6).
  void deactivate_accounts();
  /// As an operator of the server would: orders are no longer known.
  void forget_orders();

  /// Validations never end.
  void keep_pending(bool pending = true);
  /// How often an authorization is shown as pending after its challenge was answered.
  void validating_polls(int polls);
  /// Validations of this name end with a problem; empty type: they pass again.
  void fail_validation(const std::string& name, const std::string& problem_type, const std::string& detail);
  /// A new order gets the valid authorizations of earlier ones (30 days).
  void reuse_authorizations(bool reuse = true);
  /// Further challenges in every authorization, in front: JSON objects.
  void extra_challenge(const std::string& json);

  /// How often an order is shown as processing after finalize.
  void processing_polls(int polls);
  /// Orders become invalid after finalize.
  void fail_issuance(const std::string& problem_type, const std::string& detail);
  void certificate_lifetime(Duration lifetime);
  /// Certificates are back-dated by so much (default: one hour); negative: from the future.
  void backdate(Duration backdate);
  /// Certificates carry another key than the one in the request.
  void wrong_key(bool wrong = true);
  /// What is sent instead of the PEM chain.
  void tamper_chain(std::function<std::string(const std::string& pem)> tamper);

  /// What it issues by; of several, the first is the default. None unless told otherwise.
  void profiles(std::vector<std::string> names);
  /// What it calls itself in CAA records; nothing unless told otherwise.
  void caa_identity(const std::string& name);

  /// Whether it advises on renewals; yes unless told otherwise.
  void offer_renewal_info(bool offered);
  /// The window for a certificate, as sound or broken as the test wants it. Empty, as at first: what Let's Encrypt
  /// suggests, 1 % of the lifetime around two thirds of it (half of it below 10 days).
  void suggest(std::function<Window(const Validity&)> window);
  /// Header Retry-After of renewal information; empty: none. At first 6 hours.
  void suggest_again_after(const std::string& text);
  /// The explanationURL of all renewal information; empty: none.
  void explain(const std::string& url);
  /// What was issued up to now is revoked, and to be renewed: its window ended half an hour before whoever asks.
  void revoke_all();
  /// Orders that replace a certificate are refused so, whatever they replace; status 0: only where RFC 9773 5 says so.
  void refuse_replaces(int status, const std::string& problem_type = "", const std::string& detail = "");

  /// Let's Encrypt's limits: 300 orders of an account in 3 hours, 5 failed validations of a name in an hour, 5
  /// certificates for the same names in a week; each as a bucket of tokens that refills evenly. Answers beyond are 429
  /// with Retry-After, and with the moment in the text.
  void enforce_limits(bool enforced = true);

  /// Called with each certificate that is issued, while the server is locked.
  void on_issue(std::function<void(const Certificate& leaf)> seen);
  /// From now on requests are not kept, nor what is over for months: for tests of years.
  void forget_requests();

  // What happened.

  /// How often a limit was met.
  int limits_met() const;

  int accounts_created() const;
  int certificates_revoked() const;
  int orders_created() const;
  int certificates_issued() const;
  /// All exchanges with an answer, in order.
  std::vector<Exchange> requests() const;
  /// Requests whose URL contains `url_part`.
  int count(const std::string& url_part) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace acme_agent::test
