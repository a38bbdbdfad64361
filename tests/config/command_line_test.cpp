#include "loading.hpp"

using namespace acme_agent;
using namespace acme_agent::test;

namespace {

std::string refusal(const Words& arguments) {
  try {
    parse_command_line(arguments);
  } catch (const Error& error) {
    CHECK(error.remedy() == Remedy::ask_operator);
    return error.message();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("without any word the agent runs for the whole configuration") {
  const CommandLine line = parse_command_line({});
  CHECK(line.command == "run");
  CHECK(line.arguments.empty());
  CHECK(line.options.empty());
  CHECK_FALSE(line.config);
  CHECK_FALSE(line.once);
  CHECK_FALSE(line.force);
  CHECK_FALSE(line.json);
}

TEST_CASE("a value may follow its option after a space, after an equal sign, or at once behind the letter") {
  const Pairs expected = {{"domain", "a.example"}};
  CHECK(parse_command_line({"--domain", "a.example"}).options == expected);
  CHECK(parse_command_line({"--domain=a.example"}).options == expected);
  CHECK(parse_command_line({"-d", "a.example"}).options == expected);
  CHECK(parse_command_line({"-da.example"}).options == expected);
}

TEST_CASE("options keep their order and may come before or after the command") {
  const CommandLine line =
      parse_command_line({"--email", "me@a.example", "status", "-d", "a.example", "x", "--json", "y"});
  CHECK(line.command == "status");
  CHECK(line.arguments == Words{"x", "y"});
  CHECK(line.json);
  CHECK(line.options == Pairs{{"email", "me@a.example"}, {"domain", "a.example"}});
}

TEST_CASE("a certificate may be called as its domain was typed, in its own letters") {
  const std::string typed = "B\u00fccher.lan";
  const std::string name = "xn--bcher-kva.lan";
  for (const std::string command : {"status", "doctor", "renew", "revoke", "remove"})
    CHECK(parse_command_line({command, typed}).arguments == Words{name});
  CHECK(parse_command_line({"status", "a.lan", "_.b\u00fccher.lan"}).arguments == Words{"a.lan", "_." + name});
  CHECK(parse_command_line({"tasmota", "rekey", typed}).arguments == Words{"rekey", name});
  CHECK(parse_command_line({"tasmota", "fingerprint", "./" + typed}).arguments == Words{"fingerprint", "./" + typed});
  CHECK(parse_command_line({"tasmota", "headers", typed}).arguments == Words{"headers", typed});
  CHECK(parse_command_line({"renew", "\xfc.lan"}).arguments == Words{"\xfc.lan"});
}

TEST_CASE("behind two dashes nothing is an option any more") {
  CHECK(parse_command_line({"status", "--", "--json", "-x"}).arguments == Words{"--json", "-x"});
  CHECK_FALSE(parse_command_line({"status", "--", "--json"}).json);
}

TEST_CASE("the options of the command line only are taken out") {
  CHECK(parse_command_line({"--once"}).once);
  CHECK(parse_command_line({"run", "--once"}).once);
  CHECK(parse_command_line({"renew", "x", "--force"}).force);
  CHECK(parse_command_line({"--dry-run"}).dry_run);
  CHECK(parse_command_line({"renew", "x", "--dry-run"}).dry_run);
  CHECK(parse_command_line({"import", "certbot", "/etc/letsencrypt"}).arguments ==
        Words{"certbot", "/etc/letsencrypt"});
  CHECK(parse_command_line({"--config", "x.conf"}).config == "x.conf");
  CHECK(parse_command_line({"--config=x.conf", "--once"}).options.empty());
}

TEST_CASE("--quiet on the command line is a yes") {
  CHECK(parse_command_line({"--quiet"}).options == Pairs{{"quiet", "yes"}});
}

TEST_CASE("help and version can be asked for as word and as option, also about a command") {
  CHECK(parse_command_line({"--help"}).command == "help");
  CHECK(parse_command_line({"-h"}).arguments.empty());
  CHECK(parse_command_line({"help"}).arguments.empty());
  CHECK(parse_command_line({"help", "renew"}).arguments == Words{"renew"});
  CHECK(parse_command_line({"renew", "--help"}).command == "help");
  CHECK(parse_command_line({"renew", "--help"}).arguments == Words{"renew"});
  CHECK(parse_command_line({"--once", "-h"}).arguments.empty());
  CHECK(parse_command_line({"--version"}).command == "version");
  CHECK(parse_command_line({"version"}).command == "version");
}

TEST_CASE("options are never guessed from a prefix; the nearest known one is named instead") {
  CHECK(refusal({"--dom", "a.example"}) == "unknown option --dom ('acme-agent help options' lists what there is)");
  CHECK(refusal({"--domian=a.example"}) == "unknown option --domian: did you mean --domain?");
  CHECK(refusal({"--key_type", "ec256"}) == "unknown option --key_type: did you mean --key-type?");
  CHECK(refusal({"-once"}) == "unknown option -once: did you mean --once?");
  CHECK(refusal({"--ONCE"}) == "unknown option --ONCE ('acme-agent help options' lists what there is)");
  CHECK(contains(refusal({"-x"}), "unknown option -x"));
  CHECK(contains(refusal({"--\x1b[31m"}), "--\\x1b[31m"));
}

TEST_CASE("what follows two dashes are the words of watch's command, whatever they look like") {
  const CommandLine line =
      parse_command_line({"watch", "/certs", "--quiet", "--", "kill", "-HUP", "1", "--domain=x", "--"});
  CHECK(line.command == "watch");
  CHECK(line.arguments == std::vector<std::string>{"/certs", "kill", "-HUP", "1", "--domain=x", "--"});
  CHECK(line.options == std::vector<std::pair<std::string, std::string>>{{"quiet", "yes"}});
  CHECK(refusal({"watch"}) == "something is missing: write acme-agent watch DIR [-- COMMAND...]");
}

TEST_CASE("what a later version brings is called by its name, not a typing error") {}

TEST_CASE("an unknown command is refused with the nearest known one") {
  CHECK(refusal({"stauts"}) == "unknown command 'stauts': did you mean 'status'?");
  CHECK(contains(refusal({"frobnicate"}), "'acme-agent help' lists"));
  CHECK(contains(refusal({"mydyn.example"}), "write --domain before it"));
  CHECK(contains(refusal({""}), "unknown command ''"));
  CHECK(contains(refusal({"-"}), "unknown command '-'"));
}

TEST_CASE("a flag takes no value, and any other option needs one") {
  CHECK(refusal({"--once=yes"}) == "--once takes no value; write it alone");
  CHECK(refusal({"--quiet=no"}) == "--quiet takes no value; write it alone");
  CHECK(refusal({"--once="}) == "--once takes no value; write it alone");
  CHECK(refusal({"--email"}) == "--email needs a value: --email=ADDRESS");
  CHECK(refusal({"--email="}) == "--email needs a value: --email=ADDRESS");
  CHECK(refusal({"-d"}) == "--domain needs a value: --domain=NAME");
  CHECK(refusal({"--config", ""}) == "--config needs a value: --config=FILE");
  CHECK(contains(refusal({"--once", "yes"}), "unknown command 'yes'"));
}

TEST_CASE("an option never takes the option behind it for its value") {
  CHECK(refusal({"--email", "--once"}) ==
        "--email needs a value, but --once follows; if that is the value, write --email=--once");
  CHECK(contains(refusal({"-d", "--"}), "--domain needs a value"));
  CHECK(contains(refusal({"--config", "--once"}), "--config needs a value"));
  CHECK(parse_command_line({"--email=--once"}).options == Pairs{{"email", "--once"}});
}

TEST_CASE("each command takes its own number of words") {
  CHECK(refusal({"renew"}) == "something is missing: write acme-agent renew NAME");
  CHECK(contains(refusal({"renew", "a", "b"}), "'b' is one word too many for the command 'renew'"));
  CHECK(contains(refusal({"run", "a.example"}), "'a.example' is one word too many"));
  CHECK(contains(refusal({"check", "a"}), "'a' is one word too many"));
  CHECK(contains(refusal({"help", "a", "b"}), "'b' is one word too many"));
  CHECK(parse_command_line({"status", "a", "b", "c"}).arguments.size() == 3);
}

TEST_CASE("what a device is issued is not about the broker's certificate") {
  const CommandLine line = parse_command_line(
      {"ca", "issue", "pow", "--for", "nodered", "--csr=pow.csr", "--days", "30", "--state-dir", "/state"});
  CHECK(line.arguments == Words{"issue", "pow"});
  CHECK(line.device == "nodered");
  CHECK(line.device_csr == "pow.csr");
  CHECK(line.days == "30");
  REQUIRE(line.options.size() == 1);
  CHECK(line.options.front().first == "state-dir");
  CHECK(refusal({"ca", "issue", "pow", "--for=tasmota", "--for=shelly"}) == "--for is given twice; leave only one");
  CHECK(refusal({"ca"}) ==
        "something is missing: write acme-agent ca init|issue|list|revoke|export [NAME|SERIAL|FILE] [DIR]");
}

TEST_CASE("a flag of one command is refused with another") {
  CHECK(contains(refusal({"status", "--once"}), "--once goes with the command 'run' only, not with 'status'"));
  CHECK(contains(refusal({"--force"}),
                 "--force goes with the commands 'renew', 'account', 'ca' and 'init' only, not with 'run'"));
  CHECK(contains(refusal({"doctor", "--check"}), "--check goes with the command 'status' only, not with 'doctor'"));
  CHECK(contains(refusal({"--reason=superseded"}), "--reason goes with the commands 'revoke' and 'ca' only"));
  CHECK(contains(refusal({"renew", "a.example", "--files"}), "--files goes with the command 'remove' only"));
  CHECK(parse_command_line({"revoke", "a.example", "--reason", "superseded"}).reason == "superseded");
  CHECK(contains(refusal({"--json"}),
                 "--json goes with the commands 'status', 'doctor', 'account', 'tasmota' and 'ca' only"));
}

TEST_CASE("two configuration files are refused") {
  CHECK(contains(refusal({"--config=a", "--config=b"}), "--config is given twice"));
}
