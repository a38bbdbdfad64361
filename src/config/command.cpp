#include "command.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <vector>

#include <acme_agent/base/text.hpp>

namespace acme_agent {
namespace {

constexpr std::array table = {
    Command{.name = "run",
            .arguments = "",
            .meaning = "obtain, deploy, keep renewed; the default command",
            .page = R"(Usage: acme-agent [--once] [OPTION...]
       acme-agent [--once] --domain NAME [OPTION...]

Looks after every certificate of the configuration file, or after the one that
--domain names: obtains it, puts it into the broker's folder, makes the broker
reload, looks that it is served, and renews it in time. Runs until SIGTERM; on
SIGHUP the configuration is read again; for some options only a restart does,
and the log names those.

--once does what is due now and ends, for a timer. The exit code tells the
state afterwards:
  0  issued, in date, not overdue, and served where a probe is set
  1  something is not, or failed and waits for its next try
  2  wrong usage or configuration; nothing was done
  3  all is well, but the broker does not serve it

--dry-run goes the whole way once, at Let's Encrypt's staging server (a server
that is given by URL is asked itself, and counts it), with an account of its
own, and keeps and deploys nothing: 0 if all went well, 1 if not, 2 where the
CA has no staging server: give --server letsencrypt-staging.

Running the agent means agreeing to the terms of service of the server.

Next: a trial that costs nothing of the real server's limits
  acme-agent --dry-run --domain mydyn.example
Then the same without --dry-run, and 'acme-agent status'.
)"},
    Command{.name = "status",
            .arguments = "[NAME...]",
            .most_arguments = std::numeric_limits<std::size_t>::max(),
            .meaning = "what is held, what is served, what happens next",
            .page = R"(Usage: acme-agent status [--json|--check] [NAME...] [OPTION...]

Shows each certificate of the configuration, or only those named: what is held
and until when, what the broker serves, when the next attempt is and why, and
the last error. It changes nothing and may run beside the agent at any time.

--json prints the same for programs; --check one line, for a health check. The
exit code tells the state:
  0  all is well
  1  a certificate is missing, expired, overdue, or waits for its next try
  2  wrong usage or configuration
  3  all is well, but the broker does not serve it

Give the same --config, --domain and --state-dir as to the agent, and run it as
root or as the agent's user: anybody else has a state folder of his own.

Next, if a certificate is not as it should be: acme-agent renew NAME
)"},
    Command{.name = "doctor",
            .arguments = "[NAME...]",
            .most_arguments = std::numeric_limits<std::size_t>::max(),
            .meaning = "every cause of failure that can be found beforehand",
            .page = R"(Usage: acme-agent doctor [--json] [--as tasmota] [NAME...] [OPTION...]

Looks for whatever may fail, now or at the next renewal, and says what to do:
what the broker serves, the certificate and its files as the broker's user
sees them, what the devices would say (--for, or --as tasmota: a handshake as
Tasmota does it), how the broker is told, mosquitto.conf, port 80, the clock,
the DNS. Nothing is changed, the broker is not told, and no certificate is
ordered; it may run beside the agent. As root it sees most.

  BAD   fails now, or will
  hint  may be in order: only you can tell
  good  looked at and found well

--json prints the same for programs. Exit code 0: nothing bad, 1: something
is, 2: wrong usage or configuration.

Give the same --config, --domain and --state-dir as to the agent, and run it as
root or as the agent's user.

Next: mend what is BAD from the top, then acme-agent renew NAME
)"},
    Command{.name = "renew",
            .arguments = "NAME",
            .fewest_arguments = 1,
            .most_arguments = 1,
            .meaning = "try again now; with --force renew even if not due",
            .page = R"(Usage: acme-agent renew NAME [--force] [--dry-run] [OPTION...]

Works on the certificate NAME now: after a failure without waiting for the
next try, and looks at the broker again. The agent that runs does it (its
options count then, not ours), else it is done here. Run it as root or as the
agent's user: anybody else has a state folder of his own.

--force renews it even if it is not due. Servers limit how often the same
names may be certified, so do not repeat it. --dry-run is a trial with nothing
kept or deployed, by our options, at the staging server ('help run').

Next: acme-agent status NAME
)"},
    Command{.name = "check",
            .arguments = "",
            .everyday = false,
            .meaning = "look at the configuration only, and tell all mistakes",
            .page = R"(Usage: acme-agent check [--config FILE] [OPTION...]

Reads the configuration file, conf.d/*.conf beside it, the environment
(ACME_AGENT_...) and the command line, as the agent would, and tells all
mistakes in them at once, with file and line; where there are none, what this
machine lacks: files, owners, programs, web roots. Nothing is asked of any
server and nothing is changed. Exit code 0: no mistake, 2: mistakes.

Command line beats environment, environment beats file, file beats default.

Next: systemctl reload acme-agent, or without a service acme-agent --once
)"},
    Command{.name = "revoke",
            .arguments = "NAME",
            .fewest_arguments = 1,
            .most_arguments = 1,
            .everyday = false,
            .meaning = "revoke a certificate, and replace it",
            .page = R"(Usage: acme-agent revoke NAME [--reason WORD] [OPTION...]

Asks the server of the certificate NAME to revoke it, and has it replaced at
once by the agent that runs, else here. The broker keeps what it has until
then. Words for --reason:
  key-compromise          somebody else may have the private key: the next
                          certificate gets another one, whatever --reuse-key
                          says, and this one is never used again
  superseded              it was replaced
  cessation-of-operation  the name is not ours any more
  unspecified             the default

To end with a certificate for good: take it out of the configuration, revoke
it, then 'acme-agent remove NAME'.
Exit code: as 'acme-agent help run'; 1 too if the server did not revoke it.

Next: acme-agent status NAME
)"},
    Command{.name = "remove",
            .arguments = "NAME",
            .fewest_arguments = 1,
            .most_arguments = 1,
            .everyday = false,
            .meaning = "forget a certificate",
            .page = R"(Usage: acme-agent remove NAME [--files] [OPTION...]

Forgets the certificate NAME, with what the state folder has of it and its
private key there. It must be out of the configuration first, and out of that
of the agent that runs. The broker's files stay as they are; --files removes
them, too, but nothing that somebody else has put into the folder.

A certificate that is forgotten stays valid: 'acme-agent revoke NAME' before,
if it must not.

Next: acme-agent status
)"},
    Command{.name = "account",
            .arguments = "show|update|rollover|deactivate",
            .fewest_arguments = 1,
            .most_arguments = 1,
            .everyday = false,
            .meaning = "the account at each server",
            .page = R"(Usage: acme-agent account show [--json] [OPTION...]
       acme-agent account update --email ADDRESS [OPTION...]
       acme-agent account rollover [OPTION...]
       acme-agent account deactivate [--force] [--server SERVER] [OPTION...]

There is one account for each server in use; --server chooses one.

show        what we and the server know of it; may run beside the agent
update      tells the server the contact of the configuration or of --email
rollover    gives the account a new key; certificates stay as they are
deactivate  ends the account for good, after a question; --force where there
            is no terminal. What it has issued stays valid; the next order
            makes a new account

All but show want the agent stopped. Exit code 0: done, 1: not, 2: wrong usage.

Next: acme-agent account show
)"},
    Command{.name = "tasmota",
            .arguments = "fingerprint|rekey|headers [NAME|HOST:PORT|FILE]",
            .fewest_arguments = 1,
            .most_arguments = 3,
            .everyday = false,
            .meaning = "what Tasmota devices have to know of the broker",
            .page = R"(Usage: acme-agent tasmota fingerprint [NAME|HOST:PORT|FILE] [OPTION...]
       acme-agent tasmota rekey NAME [--switch] [OPTION...]
       acme-agent tasmota headers FILE [DIR]

fingerprint prints that by which Tasmota devices know the broker without a root
certificate, and the line that sets it: of the certificate NAME that is held
(without NAME: of each), of what a server shows, or of a PEM file (write ./FILE
for one in this folder).

It is over the public key alone. The key stays the same over renewals as long
as reuse-key is on, which is the default, and so does the fingerprint; with
another key the devices would be locked out until it is set anew. --json
prints the same for programs.

rekey changes the key without that: it makes the next key ready and prints the
line that puts its fingerprint into the second slot of each device. When all of
them have it, rekey --switch orders a certificate for that key.

headers writes the two files by which firmware that you build trusts the root
certificate in the PEM file FILE, into DIR or into this folder.

Next: type the line into the console of each device; then
  acme-agent status
)"},
    Command{.name = "ca",
            .arguments = "init|issue|list|revoke|export [NAME|SERIAL|FILE] [DIR]",
            .fewest_arguments = 1,
            .most_arguments = 3,
            .everyday = false,
            .meaning = "an authority on this machine: for a LAN, and for devices",
            .page = R"(Usage: acme-agent ca init [OPTION...]
       acme-agent ca issue NAME --for DEVICE [--days COUNT] [--csr FILE] [DIR]
       acme-agent ca list [--json]
       acme-agent ca revoke NAME|SERIAL [--reason WORD] [--force]
       acme-agent ca export [--format FORMAT] [FILE|DIR]

The authority lies in STATE/authority, and works offline. It certifies the
broker (--server local), and devices, so that they can prove who they are.

init    makes it, unless 'issue' or --server local has (ca-... in 'help
        options'); says what it is
issue   a key and a certificate for the device NAME, which is its user name at
        the broker. DEVICE is tasmota, esphome (what to type is printed, or
        put into DIR), shelly, esp-idf, nodered or mosquitto (files in DIR, by
        default NAME). The key is kept nowhere else; --csr: certificate alone
list    what was issued, what ends first on top
revoke  the broker refuses it as soon as the agent has told it. Where NAME has
        several in date, give the SERIAL of one, or --force for all
export  the root, which clients of the broker trust: FORMAT is pem, der,
        tasmota (two headers in DIR), mobileconfig (iOS, macOS) or android

Exit code: 0 done, 1 not, 2 wrong usage.

Next: acme-agent ca issue sonoff-pow --for tasmota
)"},
    Command{.name = "import",
            .arguments = "certbot DIR",
            .fewest_arguments = 2,
            .most_arguments = 2,
            .everyday = false,
            .meaning = "take over what another client has",
            .page = R"(Usage: acme-agent import certbot DIR [OPTION...] > SECTIONS

Takes over the certificates, keys and accounts that certbot has in DIR
(/etc/letsencrypt) into the state folder, so that the next renewal is ours,
with the same account. Standard output is the part of the configuration that
goes with them; standard error tells what certbot did and we do not. Nothing in
DIR is changed, and neither is the configuration. The agent must not run.

An account that we have at a server stays, and so does a newer certificate.

Afterwards: put the sections into the configuration file; let the broker read
STATE/live/NAME, or set cert-dir; stop certbot's own renewal, by its timer
('systemctl disable --now certbot.timer') or by moving DIR/renewal/NAME.conf
away. The way back: stop the agent, and undo that; certbot goes on as before.
Exit code: 0 all is taken over, 1 something is not, 2 wrong usage.

Next: acme-agent check
)"},
    Command{.name = "watch",
            .arguments = "DIR [-- COMMAND...]",
            .fewest_arguments = 1,
            .most_arguments = std::numeric_limits<std::size_t>::max(),
            .everyday = false,
            .meaning = "tell the broker when its files change",
            .page = R"(Usage: acme-agent watch DIR -- COMMAND...
       acme-agent watch DIR [--reload HOW]

Runs COMMAND whenever the files in DIR change, until SIGTERM. This is for the
container of the broker itself, where an agent in another one cannot reach it:
DIR is the agent's cert-dir, mounted whole. It needs no privilege, no socket
and no state folder. COMMAND is run without a shell, with CERTIFICATE_DIR in
its environment; one that fails or takes longer than a minute is run again
after 2 seconds, then after longer waits, of 5 minutes at most.

Without COMMAND it does what --reload says: process:mosquitto by default, for
images that have no program named kill. The agent itself is then given
--reload none --probe HOST:8883, as without --probe it would look at no broker.

Nothing is run at the start: the broker that starts with this reads the files
itself. So start this first, and the broker right after it:
  sh -c 'acme-agent watch /certs & exec mosquitto -c mosquitto.conf'

Next: acme-agent watch /certs -- kill -HUP 1
)"},
    Command{.name = "placeholder",
            .arguments = "",
            .everyday = false,
            .meaning = "a certificate to start the broker with",
            .page = R"(Usage: acme-agent placeholder [OPTION...]

Where no certificate lies for the broker, lays what is held, else a self-signed
one with the key that the real one will have, so that the broker can start. No
server is asked. Where one lies, nothing is done, so that this may come before
every start of the broker, also beside the agent: as ExecStartPre=, or as a
container that ends before the broker's.

The agent lays such a placeholder by itself while it waits for the server.
Exit code 0: a certificate lies there, 1: none does, 2: wrong usage or
configuration.

Next: start the broker, then the agent
)"},
    Command{.name = "init",
            .arguments = "",
            .everyday = false,
            .meaning = "a first configuration from what is found here",
            .page = R"(Usage: acme-agent init --domain NAME [--email ADDRESS] [--force] [OPTION...]

Looks for Mosquitto, its configuration and port 80, shows the files that it
would write (a section for the agent, a listener for Mosquitto) and what is
left to do by hand, and asks. No file that is there is ever changed, and
nothing is started. --force writes without asking; without a terminal, and
without --force, it only shows.

NAME is the name by which devices reach the broker. In a folder with a compose
file that has mosquitto it would write a compose override with the agent
beside it; whether port 80 is free is for you to see there. Into the section go
--domain, --name, --email and --server; all else is written there by hand.
With --config FILE the section goes into FILE, or where that is there already
into conf.d beside it.
Exit code: 0 done, or nothing to do, 1 failed on the way (a full disk),
2 wrong usage, or nothing may be written there.

Next: what it prints under 'Then'
)"},
    Command{.name = "help",
            .arguments = "COMMAND",
            .most_arguments = 1,
            .meaning = "more about a command; 'help options': every option",
            .page = ""},
    Command{
        .name = "version", .arguments = "", .everyday = false, .meaning = "the version of this program", .page = ""},
};

}  // namespace

std::span<const Command> commands() {
  return table;
}

const Command* find_command(std::string_view name) {
  const auto* const found = std::find_if(table.begin(), table.end(), [&](const Command& c) { return c.name == name; });
  return found == table.end() ? nullptr : found;
}

std::string refuse_command(std::string_view name) {
  const std::string shown = "'" + printable(name, 80) + "'";
  std::vector<std::string> known;
  for (const Command& command : table) known.emplace_back(command.name);
  const std::string meant = nearest(name, known);
  if (!meant.empty()) return "unknown command " + shown + ": did you mean '" + meant + "'?";
  if (name.find('.') != std::string_view::npos) {
    return "unknown command " + shown + ": if it is the name of a host, write --domain before it";
  }
  return "unknown command " + shown + " ('acme-agent help' lists what there is)";
}

}  // namespace acme_agent
