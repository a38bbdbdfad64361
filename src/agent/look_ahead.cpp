#include <utility>

#include <acme_agent/agent/look_ahead.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent {

LookAhead::LookAhead(ExplainNames explain, std::vector<Identifier> names, std::string challenge,
                     std::vector<std::string> issuers, std::function<void(const std::string&)> say) {
  if (!explain || issuers.empty()) return;
  look_ = std::jthread([explain = std::move(explain), names = std::move(names), challenge = std::move(challenge),
                        issuers = std::move(issuers), say = std::move(say)](const std::stop_token& stop) {
    try {
      const std::vector<std::string> sentences = explain(names, challenge, issuers, stop);
      if (!sentences.empty() && !stop.stop_requested())
        say("seen from here, " + join(sentences) + "; asking the server all the same");
    } catch (const Stopped&) {
    }
  });
}

}  // namespace acme_agent
