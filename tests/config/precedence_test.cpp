#include "loading.hpp"

using namespace acme_agent;
using namespace acme_agent::test;

TEST_CASE("command line beats environment beats section beats defaults of the file beats built-in") {
  Loading t;
  CHECK(t.with({}).probe_timeout == std::chrono::seconds(10));
  t.file("probe-timeout = 20s\n");
  CHECK(t.with({}).probe_timeout == std::chrono::seconds(20));
  t.file("probe-timeout = 20s\n[a.example]\nprobe-timeout = 30s\n");
  CHECK(t.only().probe_timeout == std::chrono::seconds(30));
  t.variable("ACME_AGENT_PROBE_TIMEOUT", "40s");
  CHECK(t.only().probe_timeout == std::chrono::seconds(40));
  CHECK(t.only({"--probe-timeout=50s"}).probe_timeout == std::chrono::seconds(50));
}

TEST_CASE("what is for the whole agent follows the same order") {
  Loading t;
  t.file("log-level = error\n[a.example]\n");
  CHECK(t.load().log_level == LogLevel::error);
  t.variable("ACME_AGENT_LOG_LEVEL", "debug");
  CHECK(t.load().log_level == LogLevel::debug);
  CHECK(t.load({"--quiet"}).log_level == LogLevel::warning);
  CHECK(t.load({"--log-level=info"}).log_level == LogLevel::info);
}

TEST_CASE("with a domain there is that one certificate: sections are left aside, defaults count") {
  Loading t;
  t.file("email = me@a.example\n[b.example]\nemail = you@b.example\n[c.example]\nmode = 0777\n");
  const CertificateSettings certificate = t.only({"--domain=a.example", "--cert-dir=/x"});
  CHECK(certificate.name == "a.example");
  CHECK(certificate.email == "me@a.example");

  t.variable("ACME_AGENT_DOMAIN", "d.example\ne.example");
  CHECK(names_of(t.only()) == Words{"d.example", "e.example"});
  CHECK(names_of(t.only({"-d", "a.example"})) == Words{"a.example"});
}

TEST_CASE("without a domain, command line and environment override every section") {
  Loading t;
  t.file("[a.example]\nkey-type = ec256\n[b.example]\n");
  t.variable("ACME_AGENT_REUSE_KEY", "no");
  for (const CertificateSettings& certificate : t.load({"--key-type=rsa4096"}).certificates) {
    CHECK(certificate.key_type == KeyType::rsa4096);
    CHECK_FALSE(certificate.reuse_key);
  }
}

TEST_CASE("what makes sense for one certificate only is refused for several, and fine for one") {
  Loading t;
  t.file("[a.example]\n");
  CHECK(t.only({"--name=home", "--cert-dir=/x"}).name == "home");
  t.file("[a.example]\n[b.example]\n");
  CHECK(t.complaint({"--name=home"}) ==
        "--name: this can be said for one certificate only, but there are 2 sections; write it into its section");
  t.variable("ACME_AGENT_CERT_DIR", "/x");
  CHECK(contains(t.complaint(), "$ACME_AGENT_CERT_DIR: this can be said for one certificate only"));
}

TEST_CASE("names come from the option, else from the section, else from the first domain") {
  Loading t;
  CHECK(t.only({"-d", "B.Example,a.example"}).name == "b.example");
  CHECK(t.only({"-d", "b.example", "--name", "x"}).name == "x");
  t.file("[home]\ndomain = a.example\n");
  CHECK(t.only().name == "home");
  t.file("[home]\ndomain = a.example\nname = other\n");
  CHECK(t.only().name == "other");
}

TEST_CASE("two certificates may share domains, but neither a name nor a folder") {
  Loading t;
  t.file("[rsa]\ndomain = a.example\n[ec]\ndomain = a.example\nkey-type = ec256\n");
  CHECK(t.load().certificates.size() == 2);
  t.file("[a.example]\n[b.example]\nname = a.example\n");
  CHECK(t.complaint() ==
        "acme-agent.conf:2: the name 'a.example' is already that of the certificate at acme-agent.conf:1; give one of "
        "them another name");
  t.file("[a.example]\ncert-dir = /srv/x\n[b.example]\ncert-dir = /srv//y/../x/\n");
  CHECK(contains(t.complaint(),
                 "acme-agent.conf:3: the folder /srv/x is already that of the certificate at acme-agent.conf:1"));
  t.file("state-dir = /s\n[a.example]\n[b.example]\ncert-dir = /s/live/a.example\n");
  CHECK(contains(t.complaint(), "acme-agent.conf:3: the folder /s/live/a.example is already"));
}

TEST_CASE("lists in the environment have one value a line") {
  Loading t;
  t.variable("ACME_AGENT_RELOAD", "process:one\n\n  process:two  \n");
  t.variable("ACME_AGENT_DOMAIN", "a.example, b.example\nc.example\n");
  CHECK(t.only().reload.size() == 2);
  CHECK(t.only().reload.at(1).argument == "two");
  CHECK(names_of(t.only()) == Words{"a.example", "b.example", "c.example"});
}

TEST_CASE("an empty variable is one that is not set") {
  Loading t;
  t.variable("ACME_AGENT_EMAIL", "");
  t.variable("ACME_AGENT_DOMAIN", "");
  t.file("email = me@a.example\n[a.example]\n");
  CHECK(t.only().email == "me@a.example");
}

TEST_CASE("a variable of ours that sets nothing is a typing error; other variables are not looked at") {
  const std::pair<std::string, std::string> table[] = {
      {"ACME_AGENT_DOMIAN", "unknown variable $ACME_AGENT_DOMIAN: did you mean $ACME_AGENT_DOMAIN?"},
      {"ACME_AGENT_CONFIG", "$ACME_AGENT_CONFIG: 'config' belongs on the command line only; unset the variable"},
      {"ACME_AGENT_email", "unknown variable $ACME_AGENT_email: did you mean $ACME_AGENT_EMAIL?"},
      {"ACME_AGENT_", "unknown variable $ACME_AGENT_ ('acme-agent help options' lists what there is)"},
      {"ACME_AGENT_TEST_FOLDER", ""},
      {"ACME_AGENT_ALERT_TITLE", ""},
      {"ACME_AGENT", ""},
      {"DOMAIN", ""},
  };
  for (const auto& [name, complaint] : table) {
    Loading t;
    t.variable(name, "x");
    CHECK(t.complaint_with({}) == complaint);
  }
}

TEST_CASE("a bad value is told with the option or the variable that has it") {
  Loading t;
  t.variable("ACME_AGENT_MODE", "rw");
  CHECK(t.complaint_with({"--email=nobody"}) ==
        "$ACME_AGENT_MODE: 'rw' is not a mode of three or four octal digits, like 0640\n"
        "--email: 'nobody' is not a mail address like me@mydyn.example, one and without 'mailto:'");
}

TEST_CASE("what is not repeatable is refused a second time") {
  Loading t;
  CHECK(t.complaint_with({"--mode=0640", "--mode=0600"}) == "--mode: it is given twice; leave only one");
}

TEST_CASE(
    "several servers keep their order, and those of a section, the environment or the command line replace others") {
  Loading t;
  const auto names = [](const CertificateSettings& certificate) {
    Words words;
    for (const Server& server : certificate.servers) words.push_back(server.name);
    return words;
  };
  CHECK(names(t.with({})) == Words{"letsencrypt"});
  CHECK(names(t.with({"--server=https://b.example/", "--server", "letsencrypt"})) ==
        Words{"https://b.example/", "letsencrypt"});
  t.file(
      "server = letsencrypt\nserver = https://b.example/\n[a.example]\n[other.example]\nserver = https://c.example/\n");
  const Configuration configuration = t.load();
  CHECK(names(configuration.certificates.at(0)) == Words{"letsencrypt", "https://b.example/"});
  CHECK(names(configuration.certificates.at(1)) == Words{"https://c.example/"});
  t.variable("ACME_AGENT_SERVER", "https://d.example/\nhttps://e.example/");
  for (const CertificateSettings& certificate : t.load().certificates)
    CHECK(names(certificate) == Words{"https://d.example/", "https://e.example/"});
  for (const CertificateSettings& certificate : t.load({"--server=letsencrypt-staging"}).certificates)
    CHECK(names(certificate) == Words{"letsencrypt-staging"});
}

TEST_CASE("a server that is given twice is refused, also under another name") {
  Loading t;
  CHECK(t.complaint_with({"--server=letsencrypt", "--server=letsencrypt"}) ==
        "--server: 'letsencrypt' is given twice; leave only one");
  t.file("[a.example]\nserver = https://acme-v02.api.letsencrypt.org/directory\nserver = letsencrypt\n");
  CHECK(t.complaint() == "acme-agent.conf:3: server: 'letsencrypt' is given twice; leave only one");
}

TEST_CASE("a bad server among good ones is told with its line") {
  Loading t;
  t.file("server = letsencrypt\nserver = letsencrpyt-staging\n[a.example]\n");
  CHECK(contains(t.complaint(), "acme-agent.conf:2: server: 'letsencrpyt-staging' is not letsencrypt"));
}

TEST_CASE("without a certificate there is nothing to do, and the complaint says where one goes") {
  Loading t;
  CHECK(t.complaint() ==
        "no certificate to look after: give --domain NAME, or write a section [NAME] into acme-agent.conf");
  t.file("[a/b]\n");
  CHECK_FALSE(contains(t.complaint(), "no certificate to look after"));
  CHECK(Environment().default_config == "/etc/acme-agent/acme-agent.conf");
}

TEST_CASE("a running agent can be asked without telling what it knows already") {
  Loading t;
  CHECK(t.load({"status"}).certificates.empty());
  CHECK(t.load({"renew", "a.example", "--force"}).certificates.empty());
}

TEST_CASE("every command uses the same configuration") {
  Loading t;
  t.file("[a.example]\n");
  for (const std::string command : {"check", "status"}) CHECK(t.only({command}).name == "a.example");
  CHECK(t.only({"renew", "a.example"}).name == "a.example");
}

TEST_CASE("the state folder is where systemd, the user root or XDG want it") {
  Loading t;
  t.environment.variables.clear();
  CHECK(contains(t.complaint_with({}), "give --state-dir DIR"));
  t.variable("HOME", "/home/me");
  CHECK(t.load({"-da.example"}).state_dir == "/home/me/.local/state/acme-agent");
  t.variable("XDG_STATE_HOME", "/home/me/state");
  CHECK(t.load({"-da.example"}).state_dir == "/home/me/state/acme-agent");
  t.environment.root = true;
  CHECK(t.load({"-da.example"}).state_dir == "/var/lib/acme-agent");
  t.variable("STATE_DIRECTORY", "/run/one:/run/two");
  CHECK(t.load({"-da.example"}).state_dir == "/run/one");
  CHECK(t.load({"-da.example", "--state-dir=/srv/state/"}).state_dir == "/srv/state");
  CHECK(t.load({"-da.example", "--state-dir=s"}).state_dir == std::filesystem::current_path() / "s");
}

TEST_CASE("a relative XDG_STATE_HOME does not count, as its specification says") {
  Loading t;
  t.variable("XDG_STATE_HOME", "state");
  CHECK(t.load({"-da.example"}).state_dir == "/home/me/.local/state/acme-agent");
}

TEST_CASE("the environment of the process is taken as it is") {
  char first[] = "HOME=/home/me";
  char second[] = "ACME_AGENT_RELOAD=command:a=b";
  char broken[] = "nothing";
  char* variables[] = {first, broken, second, nullptr};
  CHECK(environment_of_process(variables).variables ==
        Pairs{{"HOME", "/home/me"}, {"ACME_AGENT_RELOAD", "command:a=b"}});
  CHECK(environment_of_process(nullptr).variables.empty());
}
