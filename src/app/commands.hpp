#pragma once

#include <acme_agent/config/configuration.hpp>

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
int account(const CommandLine& command_line, const Environment& environment);

}  // namespace acme_agent
