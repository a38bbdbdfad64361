#include <algorithm>
#include <set>
#include <string>
#include <string_view>

#include <acme_agent/base/key_type.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/certbot/installation.hpp>

namespace acme_agent {
namespace {

/// What is used here, or makes no difference to us.
const std::set<std::string, std::less<>> known_params{"account",
                                                      "server",
                                                      "authenticator",
                                                      "installer",
                                                      "key_type",
                                                      "rsa_key_size",
                                                      "elliptic_curve",
                                                      "reuse_key",
                                                      "pref_challs",
                                                      "http01_port",
                                                      "http01_address",
                                                      "webroot_path",
                                                      "webroot_map",
                                                      "manual_auth_hook",
                                                      "manual_cleanup_hook",
                                                      "preferred_chain",
                                                      "must_staple",
                                                      "autorenew",
                                                      "renew_hook",
                                                      "pre_hook",
                                                      "post_hook",
                                                      "config_dir",
                                                      "work_dir",
                                                      "logs_dir",
                                                      "manual_public_ip_logging_ok",
                                                      "tls_sni_01_port",
                                                      "tls_sni_01_address",
                                                      "standalone_supported_challenges",
                                                      "email",
                                                      "no_verify_ssl"};

constexpr std::string_view shell_only = "$`;|&<>*?(){}~\\\n";

bool runs_without_shell(std::string_view command) {
  return !command.empty() && command.front() == '/' && command.find_first_of(shell_only) == std::string_view::npos;
}

/// The name that certbot was asked for first is the common name; the rest are sorted.
std::vector<std::string> names_of(const Certificate& leaf) {
  std::vector<std::string> names;
  for (const Identifier& identifier : leaf.identifiers()) names.push_back(identifier.value);
  const auto first = std::find(names.begin(), names.end(), leaf.subject());
  if (first != names.end()) std::rotate(names.begin(), first, first + 1);
  return names;
}

struct Translator {
  const CertbotLineage& lineage;
  Translation result{};

  std::string param(std::string_view key) const { return lineage.conf.param(key); }
  bool flag(std::string_view key) const { return param(key) == "True"; }
  void line(std::string_view key, std::string_view value) {
    result.lines.push_back(std::string(key) + " = " + std::string(value));
  }
  void comment(const std::string& text) { result.lines.push_back("# " + text); }
  void leave(const std::string& what) { result.left.push_back(what); }

  bool prefers(std::string_view challenge) const {
    const auto found = lineage.conf.params.find("pref_challs");
    return found != lineage.conf.params.end() &&
           std::any_of(found->second.begin(), found->second.end(),
                       [&](const std::string& one) { return !one.empty() && challenge.starts_with(one); });
  }

  void key() {
    line("key-type", to_string(lineage.pair.key.type()));
    if (flag("reuse_key"))
      line("reuse-key", "yes");
    else
      comment("reuse-key = no     a new key with each renewal, as certbot did; without this line the key stays");
  }

  void standalone() {
    if (prefers("tls-alpn-01")) return line("challenge", "tls-alpn-01");
    line("challenge", "http-01");
    const std::string port = param("http01_port").empty() ? "80" : param("http01_port");
    const std::string address = param("http01_address");
    const bool v6 = address.find(':') != std::string::npos;
    if (port != "80" || !address.empty())
      line("http-listen", (address.empty() ? "" : v6 ? "[" + address + "]:" : address + ":") + port);
  }

  void webroot() {
    std::vector<std::string> folders;
    for (const auto& [name, values] : lineage.conf.webroots)
      for (const std::string& folder : values) folders.push_back(folder);
    const auto given = lineage.conf.params.find("webroot_path");
    if (folders.empty() && given != lineage.conf.params.end()) folders = given->second;
    std::sort(folders.begin(), folders.end());
    folders.erase(std::unique(folders.begin(), folders.end()), folders.end());
    line("challenge", "http-01");
    if (folders.size() == 1) return line("webroot", folders.front());
    for (const std::string& folder : folders) comment("webroot = " + folder);
    leave(folders.empty() ? "its webroot is not named: set webroot"
                          : "it has several webroots (" + printable(join(folders), 200) +
                                "): set the one that shows every name at /.well-known/acme-challenge/");
  }

  void manual() {
    const std::string set = param("manual_auth_hook");
    const std::string remove = param("manual_cleanup_hook");
    if (!prefers("dns-01") || set.empty())
      return leave(
          "authenticator 'manual' " +
          std::string(set.empty() ? "waits for somebody at the keyboard" : "with an HTTP hook has no like here") +
          ": choose another way to prove the names ('acme-agent help options': challenge)");
    line("challenge", "dns-01");
    const bool runs = runs_without_shell(set) && (remove.empty() || runs_without_shell(remove));
    for (const std::string& hook : {set, remove.empty() ? std::string("/bin/true") : remove})
      result.lines.push_back((runs ? "" : "# ") + ("dns-hook = " + hook));
    if (!runs) leave("manual_auth_hook and manual_cleanup_hook need a shell: put them into a program for dns-hook");
  }

  void challenge() {
    const std::string authenticator = param("authenticator");
    if (authenticator == "standalone") return standalone();
    if (authenticator == "webroot") return webroot();
    if (authenticator == "manual") return manual();
    const std::string quoted = "authenticator '" + printable(authenticator, 80) + "'";
    if (authenticator.starts_with("dns-")) {
      line("challenge", "dns-01");
      comment("dns-update = HOST, dns-tsig-file = FILE     or dns-hook = PROGRAM");
      return leave(quoted + " is a plugin of certbot's: set dns-update and dns-tsig-file, or dns-hook");
    }
    if (authenticator == "nginx" || authenticator == "apache") {
      comment("webroot = DIR     the folder that " + authenticator + " shows at /");
      return leave(quoted + " is a plugin of certbot's: set webroot to the folder that the web server shows");
    }
    leave(authenticator.empty() ? "it names no authenticator: set challenge"
                                : quoted + " is not known here: set challenge, and what that needs");
  }

  void hooks() {
    for (const char* key : {"pre_hook", "renew_hook", "post_hook"}) {
      const std::string hook = param(key);
      if (hook.empty()) continue;
      if (key == std::string("renew_hook") && runs_without_shell(hook)) comment("reload = command:" + hook);
      leave(std::string(key) + " (" + printable(hook, 120) +
            "): 'reload = command:…' runs a program after each deployment");
    }
  }

  void rest() {
    if (flag("must_staple")) leave("must_staple, which is not asked for here");
    if (param("autorenew") == "False") leave("autorenew = False: the agent renews everything that it is told of");
    if (lineage.conf.top.contains("renew_before_expiry"))
      leave("renew_before_expiry: the server or the lifetime says when");
    std::vector<std::string> unknown;
    for (const auto& [key, values] : lineage.conf.params) {
      const std::string authenticator = param("authenticator");
      std::string prefix = authenticator + "_";
      std::replace(prefix.begin(), prefix.end(), '-', '_');
      if (!known_params.contains(key) && !key.starts_with(prefix)) unknown.push_back(key);
    }
    if (!unknown.empty()) leave("what is not understood: " + printable(join(unknown), 200));
  }
};

}  // namespace

Translation translate(const CertbotLineage& lineage) {
  Translator translator{lineage};
  for (const std::string& name : names_of(lineage.pair.chain.leaf())) translator.line("domain", name);
  translator.key();
  translator.challenge();
  if (const std::string top = translator.param("preferred_chain"); !top.empty())
    translator.line("preferred-chain", top);
  translator.hooks();
  translator.rest();
  return std::move(translator.result);
}

}  // namespace acme_agent
