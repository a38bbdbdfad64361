#include <algorithm>
#include <exception>
#include <utility>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/challenge/dns01.hpp>
#include <acme_agent/challenge/dns_hook_solver.hpp>

namespace acme_agent {
namespace {

std::string base_of(const Identifier& identifier) {
  return identifier.wildcard() ? identifier.value.substr(2) : identifier.value;
}

std::string last_words(const std::string& output) {
  const std::vector<std::string> lines = split(output, '\n');
  return lines.empty() ? ", saying nothing" : ", saying \"" + printable(lines.back(), 200) + "\"";
}

/// What certbot tells its hooks. No CERTBOT_TOKEN: that says that the challenge is http-01.
std::vector<std::string> variables_of_certbot(const ChallengeAnswer& answer, const std::string& value) {
  std::string all;
  for (const Identifier& identifier : answer.together) all += (all.empty() ? "" : ",") + base_of(identifier);
  return {"CERTBOT_DOMAIN=" + base_of(answer.identifier), "CERTBOT_VALIDATION=" + value, "CERTBOT_ALL_DOMAINS=" + all,
          "CERTBOT_REMAINING_CHALLENGES=" + std::to_string(answer.remaining)};
}

}  // namespace

/// A record that may stand; removed with its destruction.
class DnsHookSolver::Record final : public Presentation {
 public:
  Record(DnsHookSolver& solver, const ChallengeAnswer& answer)
      : solver_(solver),
        name_(dns01_name(answer.identifier) + "."),
        value_(dns01_value(answer.key_authorization)),
        environment_(variables_of_certbot(answer, value_)) {
    ++solver_.standing_;
  }
  ~Record() override {
    try {
      if (may_stand_) refuse_failure(run(solver_.programs_.back(), "cleanup", {}), "cleanup");
    } catch (const std::exception& error) {
      solver_.log_.warning("the TXT record " + name_ + " may have stayed: " + error.what());
    }
    --solver_.standing_;
  }

  void set(const std::stop_token& stop) {
    if (stop.stop_requested()) throw Stopped{};
    may_stand_ = true;
    CommandResult result;
    try {
      result = run(solver_.programs_.front(), "present", stop);
    } catch (const Error&) {
      may_stand_ = false;  // the program could not be started
      throw;
    }
    refuse_failure(result, "present");
    environment_.push_back("CERTBOT_AUTH_OUTPUT=" + std::string(trim(result.standard_output)));
  }

 private:
  CommandResult run(std::vector<std::string> argv, const std::string& action, const std::stop_token& stop) const {
    argv.insert(argv.end(), {action, name_, value_});
    const std::lock_guard lock(solver_.calling_);
    return solver_.processes_.run(argv, environment_, solver_.timeout_, stop);
  }

  void refuse_failure(const CommandResult& result, const std::string& action) const {
    if (!result.timed_out && result.exit_code == 0) return;
    const std::vector<std::string>& program =
        action == "present" ? solver_.programs_.front() : solver_.programs_.back();
    throw Error(Remedy::retry,
                "the DNS hook '" + printable(program.front()) + " " + action + " " + name_ + "' " +
                    (result.timed_out ? "was ended since it took longer than " + acme_agent::describe(solver_.timeout_)
                                      : "ended with exit code " + std::to_string(result.exit_code)) +
                    last_words(result.output));
  }

  DnsHookSolver& solver_;
  const std::string name_;
  const std::string value_;
  std::vector<std::string> environment_;
  bool may_stand_ = false;
};

std::string DnsHookSolver::describe() const {
  std::string text = type() + " by";
  for (const std::vector<std::string>& program : programs_)
    for (const std::string& word : program) text += " " + word;
  return text;
}

std::unique_ptr<Presentation> DnsHookSolver::present(const ChallengeAnswer& answer, const std::stop_token& stop) {
  auto record = std::make_unique<Record>(*this, answer);
  record->set(stop);
  return record;
}

}  // namespace acme_agent
