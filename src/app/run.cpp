#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <future>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <system_error>
#include <thread>

#include <acme_agent/agent/agent.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/challenge/webroot_solver.hpp>
#include <acme_agent/control/control_socket.hpp>
#include <acme_agent/sys/service_manager.hpp>
#include <acme_agent/sys/signals.hpp>

#include "commands.hpp"
#include "lookout.hpp"
#include "operators_files.hpp"
#include "status_page.hpp"
#include "wiring.hpp"

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

/// A library that cannot be interrupted (an RSA-4096 key in the making) must not hold up the end: every file is whole
/// at every moment, so that the process may go at any time. What stands elsewhere is taken down first.
void end_within_a_second(int exit_code, Solvers solvers) {
  std::thread([exit_code, solvers = std::move(solvers)] {
    std::this_thread::sleep_for(900ms);
    const auto has_to_clean_up = [](const auto& solver) { return solver->has_to_clean_up(); };
    for (auto waited = 0ms; waited < 60s && std::any_of(solvers.begin(), solvers.end(), has_to_clean_up);
         waited += 50ms)
      std::this_thread::sleep_for(50ms);
    ::_exit(exit_code);
  }).detach();
}

bool ends(int signal_number) {
  return signal_number == SIGTERM || signal_number == SIGINT;
}

std::string names_of(const std::vector<Managed>& certificates) {
  if (certificates.size() > 5) return std::to_string(certificates.size()) + " certificates";
  std::vector<std::string> names;
  for (const Managed& managed : certificates)
    names.push_back(managed.name + " (" + managed.servers.front()->name + ")");
  return join(names);
}

int exit_code_of(const std::map<std::string, Outcome>& outcomes) {
  int worst = exit_ok;
  for (const auto& [name, outcome] : outcomes) {
    if (outcome.exit_code() == 1) return 1;
    if (outcome.exit_code() != 0) worst = outcome.exit_code();
  }
  return worst;
}

/// Options that are other ones now and take effect with a restart only.
std::vector<std::string> await_restart(const Configuration& running, const Configuration& fresh) {
  const std::pair<const char*, bool> options[] = {
      {"state-dir", running.state_dir != fresh.state_dir},
      {"workers", running.workers != fresh.workers},
      {"log-level", running.log_level != fresh.log_level},
      {"log-format", running.log_format != fresh.log_format},
      {"status-listen", running.status_listen != fresh.status_listen},
      {"alert", running.alerts != fresh.alerts},
      {"mqtt", running.mqtt != fresh.mqtt},
      {"mqtt-password-file", running.mqtt_password_file != fresh.mqtt_password_file},
      {"ca-key-type", running.ca_key_type != fresh.ca_key_type},
      {"ca-name-constraint", running.ca_name_constraints != fresh.ca_name_constraints},
      {"ca-passphrase-file", running.ca_passphrase_file != fresh.ca_passphrase_file}};
  std::vector<std::string> changed;
  for (const auto& [name, differs] : options)
    if (differs) changed.emplace_back(name);
  return changed;
}

/// Whether the agent looks after this certificate, for `acme-agent remove`: a wish for nothing is refused if it does
/// not.
std::string answer_manages(Agent& agent, const std::string& name) {
  try {
    return nlohmann::json{{"manages", agent.renew(name, {}).get().has_value()}}.dump();
  } catch (const std::future_error&) {  // the agent ends
    return "{}";
  }
}

/// What other commands hear from the running agent.
std::string answer_control(Agent& agent, const std::string& request, const std::stop_token& stop) {
  const nlohmann::json asked = nlohmann::json::parse(request, nullptr, false);
  if (asked.is_object() && asked.contains("manages") && asked["manages"].is_string())
    return answer_manages(agent, asked["manages"]);
  if (!asked.is_object() || !asked.contains("renew") || !asked["renew"].is_string())
    return R"({"exit":1,"message":"the running agent does not know this request; is it of another version?"})";
  const std::string name = asked["renew"];
  const bool force = asked.value("force", false);
  const bool look = asked.value("look", false);  // no renewal is awaited
  std::future<std::optional<Outcome>> future =
      agent.renew(name, {.look = true, .now = !look, .force = force, .tell = look});
  const auto answer = [](int exit_code, const std::string& message) {
    return nlohmann::json{{"exit", exit_code}, {"message", message}}.dump(-1, ' ', false,
                                                                          nlohmann::json::error_handler_t::replace);
  };
  try {
    const std::optional<Outcome> outcome = future.get();
    if (!outcome) return R"({"unknown":true})";
    if (!outcome->problem.empty()) return answer(outcome->exit_code(), outcome->problem);
    const std::string renewal = outcome->issued ? "renewed; "
                                : look          ? ""
                                                : "not due yet; --force renews all the same; ";
    return answer(outcome->exit_code(),
                  renewal + (outcome->proven ? "seen served by the broker" : "in place, no broker was looked at") +
                      "; next look at " + format_rfc3339(outcome->next));
  } catch (const std::future_error&) {
    return answer(exit_failed, stop.stop_requested() ? "the agent was stopped" : "the agent ended");
  }
}

/// On a thread of its own, as that has a heap of its own: thousands of sections leave no holes in ours.
Configuration load_apart(const CommandLine& command_line, const Environment& environment) {
  return std::async(std::launch::async, load_configuration, command_line, environment).get();
}

/// What reading thousands of sections and looking at them has left behind goes back to the system.
void give_back_memory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

std::string status_line(const Agent::Summary& summary) {
  std::string line =
      std::to_string(summary.certificates) + (summary.certificates == 1 ? " certificate" : " certificates");
  if (summary.troubled > 0) line += ", trouble with " + summary.first_troubled;
  if (summary.troubled > 1) line += " and " + std::to_string(summary.troubled - 1) + " more";
  if (summary.next) line += "; next look at " + format_rfc3339(*summary.next);
  return line;
}

/// The main thread tells the service manager that it lives, and what there is to see, where that has changed.
void tell_service_manager(Agent& agent) {
  const std::optional<std::chrono::microseconds> time = watchdog_time();
  const Duration nap = time ? std::chrono::duration_cast<Duration>(*time / 2) : Duration::max();
  const auto alive = [watched = time.has_value(), told = Agent::Summary()](const Agent::Summary& summary) mutable {
    std::string state = watched ? "WATCHDOG=1\n" : "";
    if (summary != told) state += "STATUS=" + status_line(summary);
    if (!state.empty()) notify_service_manager(state);
    told = summary;
  };
  agent.tell_alive(alive, nap);
}

int run_daemon(Wiring& wiring, Configuration configuration, const CommandLine& command_line,
               const Environment& environment) {
  std::vector<Managed> certificates = wiring.manage(configuration);
  std::optional<StatusPage> status_page;
  if (configuration.status_listen)
    status_page.emplace(*configuration.status_listen, subjects_of(configuration, wiring.state()), wiring.state(),
                        wiring.clock(), wiring.log());
  std::optional<Lookout> lookout;
  if (Lookout::is_wanted(configuration)) lookout.emplace(configuration, wiring);
  configuration.certificates.clear();  // the rest is still compared with what the next SIGHUP brings
  configuration.certificates.shrink_to_fit();
  Agent agent(wiring.renewer(), wiring.clock(), wiring.log(), configuration.workers);
  std::stop_source stop;
  const ControlServer control(wiring.state().control_socket(), [&](const std::string& request, const auto& asked_stop) {
    return answer_control(agent, request, asked_stop);
  });
  const SignalThread signals([&](int number) {
    if (ends(number)) {
      end_within_a_second(exit_ok, wiring.solvers());
      stop.request_stop();
      notify_service_manager("STOPPING=1");
      wiring.log().info("stopping");
    }
    if (number != SIGHUP) return;
    try {
      const Configuration changed = load_apart(command_line, environment);
      check_machine(changed);
      wiring.confine(changed);
      agent.replace(wiring.manage(changed));
      wiring.let_go_of_folders(changed);
      if (lookout) lookout->replace(changed);
      if (status_page) status_page->replace(subjects_of(changed, wiring.state()));
      wiring.log().info("the configuration was read again");
      if (const std::vector<std::string> waiting = await_restart(configuration, changed); !waiting.empty())
        wiring.log().warning("with a restart only, another value takes effect for: " + join(waiting));
    } catch (const std::exception& error) {
      for (const std::string& line : split(error.what(), '\n')) wiring.log().error(line);
      wiring.log().error("the configuration stays as it was");
    }
  });
  tell_service_manager(agent);
  wiring.warn_of_curl();
  wiring.warn_of_authority(configuration);
  wiring.log().info("acme-agent " ACME_AGENT_VERSION " looks after " + names_of(certificates));
  const auto ready = [] { notify_service_manager("READY=1"); };
  const auto at_rest = [&lookout] {
    if (lookout) lookout->look_now();
    give_back_memory();
  };
  if (lookout) lookout->start();
  agent.run(std::move(certificates), ready, at_rest, stop.get_token());
  return exit_ok;
}

/// Of all that the configuration has, `told_of`, somebody is told where something is wrong.
int run_for_now(Wiring& wiring, const Configuration& configuration, const Wish& wish, const Configuration& told_of) {
  std::vector<Managed> certificates = wiring.manage(configuration);
  const std::size_t all = certificates.size();
  const int workers = std::min<int>(configuration.workers, static_cast<int>(all));
  Agent agent(wiring.renewer(), wiring.clock(), wiring.log(), workers);
  std::stop_source stop;
  const SignalThread signals([&](int number) {
    if (!ends(number)) return;
    end_within_a_second(exit_failed, wiring.solvers());
    stop.request_stop();
    wiring.log().info("stopping");
  });
  const std::map<std::string, Outcome> outcomes = agent.run_once(std::move(certificates), wish, stop.get_token());
  if (!configuration.alerts.empty()) Lookout(told_of, wiring).look(stop.get_token());
  return outcomes.size() < all ? exit_failed : exit_code_of(outcomes);
}

constexpr const char* first_contact =
    R"(There is nothing to look after yet. Type, with the name by which devices reach
the broker in the place of mydyn.example:

  sudo acme-agent init --domain mydyn.example
      Mosquitto on this machine: shows what it would write, and asks
  cd ~/IOTstack && sudo acme-agent init --domain mydyn.example
      Mosquitto in a container: the same, with acme-agent beside it
  sudo acme-agent --once --domain mydyn.example
      the work alone, once; without --once it stays and renews

More: acme-agent help
)";

/// Of what is needed for the next renewal only, so that an agent starts without it.
void check_webroots(const Configuration& configuration) {
  for (const CertificateSettings& settings : configuration.certificates) {
    const std::vector<std::string>& challenges = settings.challenges;
    if (!settings.webroot || std::find(challenges.begin(), challenges.end(), "http-01") == challenges.end()) continue;
    try {
      check_webroot(*settings.webroot);
    } catch (const Error& error) {
      throw error.while_doing("webroot of " + settings.name);
    }
  }
}

}  // namespace

int run(const CommandLine& command_line, const Environment& environment) {
  Configuration configuration;
  try {
    configuration = load_apart(command_line, environment);
  } catch (const NoCertificate&) {
    if (::isatty(STDERR_FILENO) == 0) throw;
    std::cerr << first_contact;
    return exit_usage;
  }
  if (command_line.dry_run) return dry_run(configuration);
  check_machine(configuration);
  block_signals();
  Wiring wiring(configuration);
  for (const std::string& missing : missing_programs(configuration.certificates, configuration.alerts))
    wiring.log().warning(missing);
  wiring.confine(configuration);
  if (!command_line.once) return run_daemon(wiring, std::move(configuration), command_line, environment);
  return run_for_now(wiring, configuration, {.look = true, .force = command_line.force}, configuration);
}

int renew(const CommandLine& command_line, const Environment& environment) {
  Configuration configuration = load_configuration(command_line, environment);
  const std::string& name = command_line.arguments.front();

  const nlohmann::json request{{"renew", name}, {"force", command_line.force}};
  const StateFolder state(configuration.state_dir);
  const auto reply = command_line.dry_run ? std::nullopt : ask_control(state.control_socket(), request.dump());
  if (reply) {
    const nlohmann::json answer = nlohmann::json::parse(*reply, nullptr, false);
    if (!answer.is_object()) throw Error(Remedy::retry, "the running agent ended before it answered; see its log");
    if (answer.value("unknown", false))
      throw NothingToRenew(Remedy::ask_operator,
                           "the running agent looks after no certificate named '" + printable(name, 80) + "'");
    const int exit_code = answer.value("exit", exit_failed);
    (exit_code == exit_ok ? std::cout : std::cerr) << name << ": " << answer.value("message", "") << "\n";
    return exit_code;
  }

  const Configuration all = configuration;
  std::vector<std::string> known;
  for (const CertificateSettings& settings : configuration.certificates) known.push_back(settings.name);
  std::erase_if(configuration.certificates, [&](const CertificateSettings& other) { return other.name != name; });
  if (configuration.certificates.empty())
    throw NothingToRenew(Remedy::ask_operator,
                         (command_line.dry_run ? "" : "no agent runs on " + state.path().string() + ", and ") +
                             "the configuration has no certificate named '" + name + "'" +
                             (known.empty() ? "" : " (it has " + join(known) + ")") +
                             ": start the agent, or give the options that it is started with");
  if (command_line.dry_run) return dry_run(configuration);
  become_owner_of(state);
  check_machine(configuration);
  block_signals();
  Wiring wiring(configuration);
  wiring.confine(configuration);
  return run_for_now(wiring, configuration, {.look = true, .now = true, .force = command_line.force}, all);
}

int check(const CommandLine& command_line, const Environment& environment) {
  const Configuration configuration = load_configuration(command_line, environment);
  check_machine(configuration);
  check_webroots(configuration);
  if (const std::set<std::string> missing = missing_programs(configuration.certificates, configuration.alerts);
      !missing.empty())
    throw Error(Remedy::ask_operator, join({missing.begin(), missing.end()}));
  std::cout << "the configuration is good: " << configuration.certificates.size() << " certificate"
            << (configuration.certificates.size() == 1 ? "" : "s") << "\n";
  return exit_ok;
}

}  // namespace acme_agent
