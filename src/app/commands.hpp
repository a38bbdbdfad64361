#pragma once

#include <optional>
#include <string>

#include <acme_agent/base/error.hpp>
#include <acme_agent/config/configuration.hpp>
#include <acme_agent/store/state.hpp>

namespace acme_agent {

/// The exit codes of interface.md that are not the state of a certificate.
constexpr int exit_ok = 0;
constexpr int exit_failed = 1;
constexpr int exit_usage = 2;

/// Each command of the program: does the work, tells the user, and returns the exit code. They throw Error for what
/// stops them before anything was done.
int run(const CommandLine& command_line, const Environment& environment);
int renew(const CommandLine& command_line, const Environment& environment);
int status(const CommandLine& command_line, const Environment& environment);
int check(const CommandLine& command_line, const Environment& environment);
int revoke(const CommandLine& command_line, const Environment& environment);
int remove(const CommandLine& command_line, const Environment& environment);
int account(const CommandLine& command_line, const Environment& environment);
int doctor(const CommandLine& command_line, const Environment& environment);
int tasmota(const CommandLine& command_line, const Environment& environment);
int ca(const CommandLine& command_line, const Environment& environment);
int import_from(const CommandLine& command_line, const Environment& environment);
int placeholder(const CommandLine& command_line, const Environment& environment);
int init(const CommandLine& command_line, const Environment& environment);
int watch(const CommandLine& command_line, const Environment& environment);

/// `--dry-run` for these certificates: each of them the whole way at a server for tests, with nothing kept.
int dry_run(const Configuration& asked);

/// Thrown by renew(): neither a running agent nor the configuration looks after it.
class NothingToRenew : public Error {
 public:
  using Error::Error;
};

/// Root becomes the user whom the state folder belongs to, and says so. For commands that write there.
void become_owner_of(const StateFolder& state);

/// Throws Error (ask_operator) if the state folder has nothing of a certificate of that name.
void require_known(const std::string& name, const StateFolder& state);
[[noreturn]] void refuse_unknown(const std::string& name, const StateFolder& state);

/// Whether the running agent looks after it, once it is done with what it had to do there; nothing if none runs.
std::optional<bool> is_looked_after(const std::string& name, const StateFolder& state);

}  // namespace acme_agent
