#include "loading.hpp"

using namespace acme_agent;
using namespace acme_agent::test;
using namespace std::chrono_literals;

TEST_CASE("one domain is enough: everything else has a default that suits Mosquitto") {
  Loading t;
  const Configuration configuration = t.load({"--domain=mydyn.example"});
  REQUIRE(configuration.certificates.size() == 1);
  const CertificateSettings& certificate = configuration.certificates[0];
  CHECK(certificate.name == "mydyn.example");
  CHECK(names_of(certificate) == Words{"mydyn.example"});
  CHECK(certificate.servers.at(0) == Server{"letsencrypt", "https://acme-v02.api.letsencrypt.org/directory"});
  CHECK_FALSE(certificate.ca_bundle);
  CHECK(certificate.email.empty());
  CHECK(certificate.key_type == KeyType::rsa2048);
  CHECK(certificate.reuse_key);
  CHECK(certificate.challenges == Words{"http-01"});
  CHECK(certificate.http_listen == Endpoint{"", 80});
  CHECK(certificate.alpn_listen == Endpoint{"", 443});
  CHECK_FALSE(certificate.webroot);
  CHECK_FALSE(certificate.cert_dir);
  CHECK(certificate.owner.empty());
  CHECK(certificate.mode == 0640);
  CHECK(certificate.reload == std::vector<ReloadRule>{{ReloadRule::Kind::process, "mosquitto", {}}});
  CHECK(certificate.probes == std::vector<Endpoint>{{"localhost", 8883}});
  CHECK(certificate.probe_is_default);
  CHECK(certificate.probe_timeout == 10s);
  CHECK(certificate.placeholder);
  CHECK(configuration.workers == 4);
  CHECK(configuration.log_level == LogLevel::info);
  CHECK(configuration.log_format == LogFormat::text);
}

TEST_CASE("our own authority needs no way to prove a name, whatever name it is") {
  Loading t;
  const CertificateSettings certificate =
      t.load({"--domain=broker.lan,192.168.1.10,*.home.lan", "--server=local"}).certificates.at(0);
  CHECK(certificate.servers.at(0) == Server{"local", "local"});
  CHECK(certificate.servers.at(0).local());
  CHECK(certificate.first_remote_server() == nullptr);
  CHECK(certificate.challenges.empty());
}

TEST_CASE("behind another server our own authority changes nothing about what that needs") {
  Loading t;
  const CertificateSettings certificate =
      t.load({"--domain=mydyn.example", "--server=local", "--server=zerossl"}).certificates.at(0);
  CHECK(certificate.first_remote_server()->name == "zerossl");
  CHECK(certificate.challenges == Words{"http-01"});
  CHECK(contains(t.complaint({"--domain=*.mydyn.example", "--server=letsencrypt", "--server=local"}),
                 "cannot be proven by http-01"));
}

TEST_CASE("values that make no sense are refused, each with its reason") {
  struct Refused {
    std::string argument;
    std::string complaint;
  };
  const std::vector<Refused> table = {
      {"--name=..", "--name: '..' cannot be a name"},
      {"--name=a/b", "--name: 'a/b' cannot be a name"},
      {"--key-type=rsa1024", "--key-type: 'rsa1024' is not one of rsa2048, rsa3072, rsa4096, ec256 and ec384"},
      {"--key-type=ec265", "did you mean 'ec256'?"},
      {"--key-type=", "needs a value"},
      {"--reuse-key=true", "--reuse-key: 'true' is neither yes nor no"},
      {"--placeholder=YES", "--placeholder: 'YES' is neither yes nor no"},
      {"--server=letsencrpyt",
       "--server: 'letsencrpyt' is not letsencrypt, letsencrypt-staging, zerossl, google, local or an https:// URL: "
       "did you "
       "mean "
       "'letsencrypt'?"},
      {"--server=http://localhost:14000/dir", "is not encrypted, and ACME is spoken over HTTPS only"},
      {"--server=zerosl", "did you mean 'zerossl'?"},
      {"--eab-kid=kid-1", "eab-kid is of no use alone: give eab-hmac-key-file as well"},
      {"--eab-hmac-key-file=/k", "eab-hmac-key-file is of no use alone: give eab-kid as well"},
      {"--ca-key-type=rsa4096", "--ca-key-type: 'rsa4096' is not one of rsa2048 and ec256"},
      {"--ca-name-constraint=192.168.0.1", "'192.168.0.1' is neither a domain nor a network"},
      {"--server=ftp://a.example/", "is not a URL of the form https://HOST"},
      {"--server=https://", "is not a URL of the form https://HOST"},
      {"--server=https:///directory", "is not a URL of the form https://HOST"},
      {"--server=https://me@a.example/", "is not a URL of the form https://HOST"},
      {"--server=https://a.example:99999/", "is not a URL of the form https://HOST"},
      {"--server=https://a.example/d r", "is not a URL of the form https://HOST"},
      {"--server=https://a.example/#x", "is not a URL of the form https://HOST"},
      {"--ca-bundle=/nowhere/ca.pem", "--ca-bundle: cannot read '/nowhere/ca.pem': No such file or directory"},
      {"--ca-bundle=/", "--ca-bundle: cannot read '/': Is a directory"},
      {"--ca-bundle=/dev/null", "--ca-bundle: cannot read '/dev/null': it is empty"},
      {"--email=me", "is not a mail address"},
      {"--email=@a.example", "is not a mail address"},
      {"--email=me@", "is not a mail address"},
      {"--email=me@localhost", "is not a mail address"},
      {"--email=mailto:me@a.example", "is not a mail address"},
      {"--email=me@a.example,you@a.example", "is not a mail address"},
      {"--email=me@a.example?subject=x", "is not a mail address"},
      {"--email=me too@a.example", "is not a mail address"},
      {"--email=m\xC3\xBC@a.example", "is not a mail address"},
      {"--challenge=dns-01",
       "the challenge dns-01 needs --dns-update HOST, a name server that takes updates, or --dns-hook PROGRAM"},
      {"--dns-update=ns1:dns", "--dns-update: "},
      {"--dns-update=2001:db8::1", "--dns-update: "},
      {"--dns-tsig-file=/etc/acme.key", "dns-tsig-file is of no use without dns-update"},
      {"--dns-hook='' x", "names no program"},
      {"--dns-hook='x", "lacks a closing"},
      {"--alpn-listen=https", "is not [ADDRESS:]PORT"},
      {"--challenge=http01", "did you mean 'http-01'?"},
      {"--http-listen=0", "--http-listen: '0' is not [ADDRESS:]PORT"},
      {"--http-listen=localhost:80", "is not [ADDRESS:]PORT"},
      {"--owner=:users", "--owner: ':users' is not USER or USER:GROUP"},
      {"--owner=me:", "is not USER or USER:GROUP"},
      {"--owner=a:b:c", "is not USER or USER:GROUP"},
      {"--owner=me and you", "is not USER or USER:GROUP"},
      {"--mode=64", "is not a mode of three or four octal digits"},
      {"--mode=00640", "is not a mode of three or four octal digits"},
      {"--mode=0680", "is not a mode of three or four octal digits"},
      {"--mode=u=rw", "is not a mode of three or four octal digits"},
      {"--mode=-640", "is not a mode of three or four octal digits"},
      {"--mode=0750", "mode 0750 has bits that make no sense"},
      {"--mode=0646", "mode 0646 has bits that make no sense"},
      {"--mode=4640", "mode 4640 has bits that make no sense"},
      {"--mode=0240", "mode 0240 keeps the owner from reading"},
      {"--reload=mosquitto", "--reload: 'mosquitto' is not process:NAME, pidfile:PATH, systemd:UNIT"},
      {"--reload=process:", "is not process:NAME"},
      {"--reload=process:/usr/sbin/mosquitto", "give the name of the process, not its path"},
      {"--reload=signal:mosquitto", "is not process:NAME"},
      {"--reload=systemd:", "is not process:NAME"},
      {"--reload=systemd:.service", "'systemd:.service' does not name a unit"},
      {"--reload=systemd:mosquitto --now", "does not name a unit"},
      {"--reload=systemd:a/b", "does not name a unit"},
      {"--reload=container:", "is not process:NAME"},
      {"--reload=container:@/run/x.sock", "'container:@/run/x.sock' does not name a container"},
      {"--reload=container:a/b", "does not name a container"},
      {"--reload=container:-x", "does not name a container"},
      {"--reload=container:x?signal=KILL", "does not name a container"},
      {"--reload=container:x@docker.sock", "behind the '@' goes the absolute path of a socket, or HOST:PORT"},
      {"--reload=container:x@", "behind the '@' goes"},
      {"--reload=container:x@https://a.example:1", "behind the '@' goes"},
      {"--reload=container:x@http://a.example:1/path", "behind the '@' goes"},
      {"--reload=url:ftp://a.example/", "what follows 'url:' is no URL of the form https://HOST[:PORT]/PATH"},
      {"--reload=url:a.example", "what follows 'url:' is no URL"},
      {"--reload=url:https://", "what follows 'url:' is no URL"},
      {"--reload=url:https://me:secret@/x", "what follows 'url:' is no URL"},
      {"--reload=url:https://a.example:port/", "what follows 'url:' is no URL"},
      {"--reload=url:https://a.example/x y", "what follows 'url:' is no URL"},
      {"--reload=ulr:https://me:secret@a.example/", "'ulr:…' is not process:NAME"},
      {"--reload=command:", "is not process:NAME"},
      {"--reload=command:''", "names no program"},
      {"--reload=command:echo 'x", "lacks a closing '"},
      {"--probe=localhost", "--probe: 'localhost' is not HOST:PORT"},
      {"--probe=localhost:mqtt", "is not HOST:PORT"},
      {"--probe-timeout=0s", "--probe-timeout: '0s' is not a time from 1s to 10m, like 30s"},
      {"--probe-timeout=999ms", "is not a time from 1s to 10m"},
      {"--probe-timeout=601s", "is not a time from 1s to 10m"},
      {"--restart-window=03:00", "--restart-window: '03:00' is no time of the day from one minute to another"},
      {"--restart-window=03:00-04:00",
       "restart-window needs a broker that can be restarted: give one reload, systemd:UNIT"},
      {"--probe-timeout=soon", "is not a time from 1s to 10m"},
      {"--cert-dir=~/certs", "--cert-dir: '~/certs': '~' is not expanded here"},
      {"--state-dir=~", "'~' is not expanded here"},
      {"--cert-dir=/x\ny", "--cert-dir: '/x\\ny' holds a control character"},
      {"--workers=0", "--workers: '0' is not a number from 1 to 64"},
      {"--workers=65", "is not a number from 1 to 64"},
      {"--workers=4 ", "is not a number from 1 to 64"},
      {"--workers=99999999999999999999", "is not a number from 1 to 64"},
      {"--log-level=verbose", "--log-level: 'verbose' is not one of error, warning, info and debug"},
      {"--log-level=warn", "is not one of error, warning, info and debug"},
      {"--log-format=xml", "--log-format: 'xml' is not one of text and json"},
  };
  const Loading t;
  for (const Refused& refused : table) {
    CAPTURE(refused.argument);
    const std::string complaint = t.complaint_with({refused.argument});
    CAPTURE(complaint);
    CHECK(contains(complaint, refused.complaint));
    CHECK_FALSE(contains(complaint, "\n"));
  }
}

TEST_CASE("names are taken in their own letters, as wildcards and as addresses, and each has a folder's name") {
  struct Taken {
    std::string text;
    std::string identifier;
    std::string name;
    std::string challenge = "http-01";
  };
  const std::vector<Taken> table = {
      {"*.a.example", "*.a.example", "_.a.example", "dns-persist-01"},
      {"192.0.2.1", "192.0.2.1", "192.0.2.1"},
      {"2001:DB8::1", "2001:db8::1", "2001-db8--1"},
      {"M\u00fcller.example", "xn--mller-kva.example", "xn--mller-kva.example"},
      {"*.stra\u00dfe.example", "*.xn--strae-oqa.example", "_.xn--strae-oqa.example", "dns-persist-01"},
      {"\u4f8b\u3048.jp", "xn--r8jz45g.jp", "xn--r8jz45g.jp"},
  };
  for (const Taken& taken : table) {
    CAPTURE(taken.text);
    const Loading t;
    const Configuration configuration = t.load({"--domain=" + taken.text, "--challenge=" + taken.challenge});
    REQUIRE(configuration.certificates.size() == 1);
    CHECK(names_of(configuration.certificates[0]) == Words{taken.identifier});
    CHECK(configuration.certificates[0].name == taken.name);
  }
}

TEST_CASE("domains that cannot be certified are refused, each by name") {
  const Loading t;
  CHECK(contains(t.complaint({"-d", "\u2603\u00a0.example"}), "is not a name that can be written in A-labels"));
  CHECK(contains(t.complaint({"-d", "\xff.example"}), "is not a name that can be written in A-labels"));
  CHECK(contains(t.complaint({"-d", "raspberrypi"}),
                 "--domain: 'raspberrypi' is not a name that letsencrypt issues for"));
  CHECK(t.load({"-d", "raspberrypi", "--server=local"}).certificates.size() == 1);
  CHECK(t.load({"-d", "raspberrypi", "--server=https://ca.lan/dir"}).certificates.size() == 1);
  for (const char* name : {"broker.lan", "broker.local", "mqtt.home.arpa", "192.168.1.10", "172.31.0.1", "fd00::1"}) {
    CAPTURE(name);
    CHECK(contains(t.complaint({"-d", name}), std::string("'") + name +
                                                  "' is known in your own network only, and letsencrypt does not issue "
                                                  "for it: give --server local"));
    CHECK(t.load({"-d", name, "--server=local"}).certificates.size() == 1);
    CHECK(t.load({"status", "-d", name}).certificates.size() == 1);
    CHECK(t.load({"-d", name, "--server=https://ca.lan/dir"}).certificates.size() == 1);
  }
  for (const char* name : {"lan.example", "172.32.0.1", "2001:db8::1"})
    CHECK(t.load({"-d", name}).certificates.size() == 1);
  CHECK(contains(t.complaint({"-d", "a.example,A.EXAMPLE."}), "'A.EXAMPLE.' is given twice"));
  const std::string both = t.complaint({"-d", "a..example,ok.example,b_c.example"});
  CHECK(contains(both, "'a..example'"));
  CHECK(contains(both, "'b_c.example'"));
}

TEST_CASE("names that no challenge given can prove are refused when the configuration is read, all in one sentence") {
  Loading t;
  const std::string of_wildcards =
      ": a wildcard can be proven by its DNS only, so add --challenge dns-01 with --dns-update or --dns-hook";
  const std::string of_addresses = ": an address is proven by --challenge http-01 or tls-alpn-01";
  CHECK(t.complaint({"--domain=*.a.example,a.example,*.b.example"}) ==
        "--domain: *.a.example and *.b.example cannot be proven by http-01" + of_wildcards);
  CHECK(t.complaint({"--domain=*.a.example", "--challenge=http-01", "--challenge=tls-alpn-01"}) ==
        "--domain: *.a.example cannot be proven by http-01 and tls-alpn-01" + of_wildcards);
  CHECK(t.complaint({"--domain=192.0.2.1,a.example", "--dns-hook=hook"}) ==
        "--domain: 192.0.2.1 cannot be proven by dns-01" + of_addresses);
  CHECK(t.complaint({"--domain=2001:db8::1", "--challenge=dns-persist-01"}) ==
        "--domain: 2001:db8::1 cannot be proven by dns-persist-01" + of_addresses);
  t.file("[a.example]\ndomain = *.a.example\n");
  CHECK(t.complaint() == "acme-agent.conf:1: *.a.example cannot be proven by http-01" + of_wildcards);
}

TEST_CASE("names of several kinds are taken if there is a way for each") {
  const Loading t;
  const Words names{"*.a.example", "192.0.2.1", "a.example"};
  for (const char* way : {"--challenge=tls-alpn-01", "--challenge=http-01"}) {
    CHECK(names_of(t.only(
              {"--domain=*.a.example,192.0.2.1,a.example", way, "--challenge=dns-01", "--dns-update=ns1"})) == names);
    CHECK(names_of(t.only({"--domain=*.a.example,192.0.2.1,a.example", "--challenge=dns-persist-01", way})) == names);
  }
}

TEST_CASE("a section named after a wildcard has '_' for '*'") {
  Loading t;
  t.file("[_.a.example]\ndns-hook = hook\n");
  CHECK(names_of(t.load().certificates.at(0)) == Words{"*.a.example"});
}

TEST_CASE("a certificate takes a hundred names and not one more") {
  const Loading t;
  std::string names = "n0.example";
  for (int i = 1; i < 100; ++i) names += ",n" + std::to_string(i) + ".example";
  CHECK(t.only({"-d", names}).identifiers.size() == 100);
  CHECK(contains(t.complaint({"-d", names + ",n100.example"}), "at most 100 names"));
}

TEST_CASE("servers are known by name, or given by URL") {
  const Loading t;
  CHECK(t.with({"--server=letsencrypt-staging"}).servers.at(0) ==
        Server{"letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory"});
  for (const std::string url : {"https://localhost:14000/dir", "https://ca.example/acme/directory?x=y",
                                "https://[::1]:14000/dir", "https://[::1]/d"}) {
    CHECK(t.with({"--server", url}).servers.at(0) == Server{url, url});
  }
}

TEST_CASE("plausible addresses are taken as they are") {
  const Loading t;
  for (const std::string address : {"me@mydyn.example", "me.too+acme@mail.mydyn.example", "o'neill@a.example"}) {
    CHECK(t.with({"--email", address}).email == address);
  }
}

TEST_CASE("a bundle that can be read is taken, by its whole path") {
  const Loading t;
  const std::filesystem::path bundle = t.write("ca.pem", "-----BEGIN CERTIFICATE-----\n");
  CHECK(t.with({"--ca-bundle", bundle.string()}).ca_bundle == bundle);
}

TEST_CASE("modes are octal, of three or four digits") {
  const Loading t;
  CHECK(t.with({"--mode=600"}).mode == 0600);
  CHECK(t.with({"--mode=0644"}).mode == 0644);
  CHECK(t.with({"--mode=0660"}).mode == 0660);
  CHECK(t.with({"--mode=0400"}).mode == 0400);
}

TEST_CASE("owners are a user and perhaps a group") {
  const Loading t;
  CHECK(t.with({"--owner=mosquitto"}).owner == "mosquitto");
  CHECK(t.with({"--owner=root:1883"}).owner == "root:1883");
}

TEST_CASE("reloads are done in the order given") {
  const Loading t;
  const CertificateSettings certificate =
      t.with({"--reload=pidfile:/run/broker.pid", "--reload=process:nginx", "--reload=command:/bin/x a"});
  CHECK(certificate.reload == std::vector<ReloadRule>{{ReloadRule::Kind::pidfile, "/run/broker.pid", {}},
                                                      {ReloadRule::Kind::process, "nginx", {}},
                                                      {ReloadRule::Kind::command, "", {"/bin/x", "a"}}});
}

TEST_CASE("a unit is a service, named with or without its suffix") {
  const Loading t;
  const auto unit = [&](const std::string& text) { return t.with({"--reload=systemd:" + text}).reload.at(0).argument; };
  CHECK(t.with({"--reload=systemd:mosquitto"}).reload.at(0).kind == ReloadRule::Kind::systemd);
  CHECK(unit("mosquitto") == "mosquitto.service");
  CHECK(unit("mosquitto.service") == "mosquitto.service");
  CHECK(unit("mqtt@2.0") == "mqtt@2.0.service");
}

TEST_CASE("a container is named with or without the socket where its service is asked") {
  const Loading t;
  const auto rule = [&](const std::string& text) { return t.with({"--reload=container:" + text}).reload.at(0); };
  const auto kind = ReloadRule::Kind::container;
  CHECK(rule("mosquitto") == ReloadRule{kind, "mosquitto", {}, ""});
  CHECK(rule("iot_mosquitto.1-a") == ReloadRule{kind, "iot_mosquitto.1-a", {}, ""});
  CHECK(rule("x@/run/user/1000/podman/podman.sock") == ReloadRule{kind, "x", {}, "/run/user/1000/podman/podman.sock"});
  CHECK(rule("x@socket-proxy:2375") == ReloadRule{kind, "x", {}, "http://socket-proxy:2375"});
  CHECK(rule("x@http://[::1]:2375") == ReloadRule{kind, "x", {}, "http://[::1]:2375"});
}

TEST_CASE("a URL to post to may have user, password and query, and a complaint never shows them") {
  const Loading t;
  for (const std::string url : {"https://me:pass@a.example:8443/hook?token=x", "http://[::1]/", "http://a@b@c.example"})
    CHECK(t.with({"--reload=url:" + url}).reload == std::vector<ReloadRule>{{ReloadRule::Kind::url, url, {}}});
  for (const std::string bad :
       {"url:https://me:hidden@/x", "url:https://a.example/ ?hidden", "curl:https://a:hidden@b"})
    CHECK_FALSE(contains(t.complaint_with({"--reload=" + bad}), "hidden"));
}

TEST_CASE("a command is split at white space outside of quotes, and no shell has a say") {
  const Loading t;
  const auto argv = [&](const std::string& text) { return t.with({"--reload=command:" + text}).reload.at(0).argv; };
  CHECK(argv("docker  kill\t-s HUP broker") == Words{"docker", "kill", "-s", "HUP", "broker"});
  CHECK(argv("sh -c \"echo 'a b'\"") == Words{"sh", "-c", "echo 'a b'"});
  CHECK(argv("x a'b c'd \"\" '\"'") == Words{"x", "ab cd", "", "\""});
  CHECK(argv("x $HOME \\n ; rm") == Words{"x", "$HOME", "\\n", ";", "rm"});
  CHECK(argv("bin/x") == Words{(std::filesystem::current_path() / "bin/x").string()});
}

TEST_CASE("without a reload nothing is probed, unless a probe is asked for") {
  const Loading t;
  CertificateSettings certificate = t.with({"--reload=none"});
  CHECK(certificate.reload.empty());
  CHECK(certificate.probes.empty());
  CHECK_FALSE(certificate.probe_is_default);
  certificate = t.with({"--reload=none", "--probe=broker.example:8883"});
  CHECK(certificate.probes == std::vector<Endpoint>{{"broker.example", 8883}});
  CHECK_FALSE(certificate.probe_is_default);
}

TEST_CASE("probes are one or more, or none") {
  const Loading t;
  CHECK(t.with({"--probe=none"}).probes.empty());
  CHECK_FALSE(t.with({"--probe=none"}).probe_is_default);
  CHECK_FALSE(t.with({"--probe=localhost:8883"}).probe_is_default);
  CHECK(t.with({"--probe=[::1]:8883", "--probe=a.example:8884"}).probes ==
        std::vector<Endpoint>{{"::1", 8883}, {"a.example", 8884}});
  CHECK(contains(t.complaint_with({"--probe=a.example:1", "--probe=a.example:1"}), "is given twice"));
}

TEST_CASE("none stands alone") {
  const Loading t;
  CHECK(t.complaint_with({"--probe=none", "--probe=a.example:1"}) ==
        "--probe: 'none' must stand alone; remove it or the others");
  CHECK(t.complaint_with({"--reload=process:x", "--reload=none"}) ==
        "--reload: 'none' must stand alone; remove it or the others");
}

TEST_CASE("times, addresses, counts and words are taken in all their forms") {
  const Loading t;
  CHECK(t.with({"--probe-timeout=1s"}).probe_timeout == 1s);
  CHECK(t.with({"--probe-timeout=10m"}).probe_timeout == 10min);
  CHECK(t.with({"--probe-timeout=1500ms"}).probe_timeout == 1500ms);
  CHECK(t.with({"--probe-timeout=30"}).probe_timeout == 30s);
  CHECK(t.with({"--http-listen=127.0.0.1:8080"}).http_listen == Endpoint{"127.0.0.1", 8080});
  CHECK(t.with({"--http-listen=[::]:8080"}).http_listen == Endpoint{"::", 8080});
  CHECK(t.with({"--http-listen=5002"}).http_listen == Endpoint{"", 5002});
  CHECK_FALSE(t.with({"--placeholder=no"}).placeholder);
  CHECK_FALSE(t.with({"--reuse-key=no"}).reuse_key);
  CHECK(t.load({"-da.example", "--workers=64"}).workers == 64);
  CHECK(t.load({"-da.example", "--log-format=json"}).log_format == LogFormat::json);
  CHECK(t.load({"-da.example", "--log-level=debug"}).log_level == LogLevel::debug);
  CHECK(t.load({"-da.example", "--log-level=error"}).log_level == LogLevel::error);
}

TEST_CASE("quiet is a yes or no in the file") {
  Loading t;
  t.file("quiet = yes\n[a.example]\n");
  CHECK(t.load().log_level == LogLevel::warning);
  t.file("quiet = no\n[a.example]\n");
  CHECK(t.load().log_level == LogLevel::info);
  t.file("quiet = 1\n[a.example]\n");
  CHECK(contains(t.complaint(), "acme-agent.conf:1: quiet: '1' is neither yes nor no"));
}

TEST_CASE("ZeroSSL and Google are known by name, and an external account is an id and a file") {
  const Loading t;
  const CertificateSettings certificate =
      t.with({"--server=zerossl", "--server=google", "--eab-kid=kid-1", "--eab-hmac-key-file=/etc/acme-agent/eab.key"});
  REQUIRE(certificate.servers.size() == 2);
  CHECK(certificate.servers[0].directory_url == "https://acme.zerossl.com/v2/DV90");
  CHECK(certificate.servers[1].directory_url == "https://dv.acme-v02.api.pki.goog/directory");
  CHECK(certificate.eab_kid == "kid-1");
  CHECK(certificate.eab_hmac_key_file == "/etc/acme-agent/eab.key");
}

TEST_CASE("a signing request of one's own needs the key that it was made with") {
  const Loading t;
  CHECK(contains(t.complaint_with({"--csr=/etc/broker.csr"}), "give key-file, too"));
  const Configuration configuration = t.load({"-d", "a.example", "--csr=/etc/broker.csr", "--key-file=/etc/broker.key",
                                              "--profile=shortlived", "--preferred-chain=ISRG Root X1"});
  const CertificateSettings& certificate = configuration.certificates.at(0);
  CHECK(certificate.csr == "/etc/broker.csr");
  CHECK(certificate.key_file == "/etc/broker.key");
  CHECK(certificate.profile == "shortlived");
  CHECK(certificate.preferred_chain == "ISRG Root X1");
  CHECK(contains(t.complaint_with({"--profile=short lived"}), "'short lived' is not the name of a profile"));
}

TEST_CASE("what the devices behind the broker can take is said by kind, by roots and by room") {
  const Loading t;
  const CertificateSettings certificate =
      t.with({"--for=tasmota", "--for=shelly", "--device-trust=/etc/devices.pem", "--max-chain-bytes=4096"});
  REQUIRE(certificate.devices.size() == 2);
  CHECK(certificate.devices[0] == find_device_kind("tasmota"));
  CHECK(certificate.devices[1] == find_device_kind("shelly"));
  CHECK(certificate.device_trust == "/etc/devices.pem");
  CHECK(certificate.max_chain_bytes == 4096);
  CHECK(t.with({"--for=tasmota", "--device-trust=none"}).device_trust == "");
  CHECK_FALSE(t.with({"--for=tasmota"}).device_trust);

  CHECK(t.complaint_with({"--for=tasmoto"}) ==
        "--for: 'tasmoto' is not one of tasmota, esphome, shelly and esp-idf: did you mean 'tasmota'?");
  CHECK(t.complaint_with({"--for=shelly", "--for=shelly"}) == "--for: 'shelly' is given twice; leave only one");
  CHECK(contains(t.complaint_with({"--device-trust=none"}), "device-trust none is of use with --for only"));
  for (const char* bytes : {"0", "499", "2k", "1000001", "-1", "99999999999999999999999"})
    CHECK(contains(t.complaint_with({std::string("--max-chain-bytes=") + bytes}),
                   "is not a number of bytes from 500 to 1000000"));
}

TEST_CASE("a broker by its name brings how it is told and how long it takes, unless that is said") {
  const Loading t;
  const CertificateSettings emqx = t.with({"--broker=emqx"});
  CHECK(emqx.reload.empty());
  CHECK(emqx.probe_timeout == 3min);
  CHECK(emqx.probes == std::vector<Endpoint>{{"localhost", 8883}});
  CHECK(emqx.deploy.empty());
  const CertificateSettings told =
      t.with({"--reload=url:http://localhost/reload", "--broker=emqx", "--probe-timeout=20s"});
  CHECK(told.reload.size() == 1);
  CHECK(told.probe_timeout == 20s);
  CHECK(t.with({"--broker=nanomq"}).broker_only_restarts);
  CHECK_FALSE(t.with({"--broker=nats"}).broker_only_restarts);
  CHECK(t.with({"--broker=nats"}).reload.at(0).argument == "nats-server");
  CHECK(t.with({"--broker=mosquitto", "--reload=none"}).probes.empty());

  const CertificateSettings hivemq = t.with({"--broker=hivemq", "--cert-dir=/srv/certs"});
  REQUIRE(hivemq.deploy.size() == 1);
  CHECK(hivemq.deploy[0].folder == "/srv/certs/keystore");
  CHECK(hivemq.deploy[0].format == "pkcs12");
  CHECK(t.with({"--broker=hivemq", "--deploy=/srv/h,format=pkcs12"}).deploy.at(0).folder == "/srv/h");
  for (const char* reload : {"--reload=systemd:mosquitto", "--reload=container:mosquitto"})
    CHECK(t.with({reload, "--restart-window=23:00-01:00"}).restart_window == parse_day_span("23:00-01:00"));
  for (const char* reload : {"--reload=none", "--reload=command:true", "--reload=pidfile:/run/x.pid"})
    CHECK(contains(t.complaint_with({reload, "--restart-window=23:00-01:00"}), "restart-window needs a broker"));
  CHECK(contains(t.complaint_with({"--broker=mosquito"}), "did you mean 'mosquitto'?"));
}

TEST_CASE("a section says what its broker is, whatever is said above it") {
  Loading t;
  t.file("reload = process:other\n[a.example]\nbroker = vernemq\n[b.example]\n");
  const Configuration configuration = t.load({});
  CHECK(configuration.certificates.at(0).reload.empty());
  CHECK(configuration.certificates.at(1).reload.at(0).argument == "other");
}

TEST_CASE("further folders are said with owner, mode and form") {
  const Loading t;
  const std::vector<DeployRule> rules =
      t.with({"--deploy=/srv/a", "--deploy=/srv/b/,owner=hivemq:hivemq,mode=0600,format=pkcs12,password-file=/etc/p"})
          .deploy;
  REQUIRE(rules.size() == 2);
  CHECK(rules[0].folder == "/srv/a");
  CHECK(rules[0].owner.empty());
  CHECK(rules[0].mode == 0640);
  CHECK(rules[0].format == "pem");
  CHECK(rules[1].folder == "/srv/b");
  CHECK(rules[1].owner == "hivemq:hivemq");
  CHECK(rules[1].mode == 0600);
  CHECK(rules[1].format == "pkcs12");
  CHECK(rules[1].password_file == "/etc/p");

  CHECK(contains(t.complaint_with({"--deploy=/srv/a,format=p12"}), "'p12' is not one of pem, combined and pkcs12"));
  CHECK(contains(t.complaint_with({"--deploy=/srv/a,mode=777"}), "mode 777 has bits that make no sense"));
  CHECK(contains(t.complaint_with({"--deploy=/srv/a,owner="}), "'' is not USER or USER:GROUP"));
  CHECK(contains(t.complaint_with({"--deploy=/srv/a,colour=red"}), "'colour=red' is not owner=USER:GROUP, mode=MODE"));
  CHECK(contains(t.complaint_with({"--deploy=/srv/a,password-file=/etc/p"}), "of use with format=pkcs12 only"));
  CHECK(contains(t.complaint_with({"--deploy=/srv/a", "--deploy=/srv/a"}), "the folder /srv/a is already that of"));
  CHECK(contains(t.complaint_with({"--cert-dir=/srv/a", "--deploy=/srv/a"}), "the folder /srv/a is already that of"));
}

TEST_CASE("what devices would refuse whatever is issued is refused before it is ordered") {
  const Loading t;
  CHECK(contains(t.complaint_with({"--for=tasmota", "--key-type=ec256"}),
                 "Tasmota devices do not take keys of type ec256: leave key-type out"));
  CHECK(t.with({"--for=shelly", "--key-type=ec256"}).key_type == KeyType::ec256);
  const auto complaint_of = [&t](const std::string& domain, const std::string& kind) {
    return t.complaint({"-d", domain, "--challenge=http-01", "--challenge=dns-persist-01", "--for=" + kind});
  };
  CHECK(contains(complaint_of("192.0.2.1", "tasmota"),
                 "Tasmota devices cannot check any of these names: add the DNS name that they are given"));
  CHECK(contains(complaint_of("*.a.example", "esphome"),
                 "ESPHome devices cannot check any of these names: add the DNS name that they are given, in full"));
  CHECK(t.load({"-d", "*.a.example,a.example", "--challenge=dns-persist-01", "--for=esphome"}).certificates.size() ==
        1);
  CHECK(t.load({"-d", "*.a.example", "--challenge=dns-persist-01", "--for=tasmota"}).certificates.size() == 1);
}

TEST_CASE("several challenges keep their order, and none is said twice") {
  const Loading t;
  CHECK(t.with({"--challenge=tls-alpn-01", "--challenge=http-01", "--alpn-listen=127.0.0.1:8443"}).challenges ==
        Words{"tls-alpn-01", "http-01"});
  CHECK(t.with({"--alpn-listen=127.0.0.1:8443"}).alpn_listen == Endpoint{"127.0.0.1", 8443});
  CHECK(t.complaint_with({"--challenge=http-01", "--challenge=http-01"}) ==
        "--challenge: 'http-01' is given twice; leave only one");
}

TEST_CASE("the primary for updates is a host, at port 53 unless it says otherwise, and its key lies in a file") {
  Loading t;
  const auto primary = [&t](const std::string& text) { return t.with({"--dns-update=" + text}).dns_update; };
  CHECK(primary("ns1.mydyn.example") == Endpoint{"ns1.mydyn.example", 53});
  CHECK(primary("127.0.0.1:5353") == Endpoint{"127.0.0.1", 5353});
  CHECK(primary("[2001:db8::1]") == Endpoint{"2001:db8::1", 53});
  CHECK(primary("[2001:db8::1]:5353") == Endpoint{"2001:db8::1", 5353});
  CHECK(t.with({"--dns-update=ns1", "--dns-tsig-file=/etc/acme.key"}).dns_tsig_file == "/etc/acme.key");
  CHECK(t.with({"--dns-update=ns1", "--challenge=dns-01", "--challenge=http-01"}).challenges ==
        std::vector<std::string>{"dns-01", "http-01"});
  CHECK(t.with({"--challenge=dns-persist-01"}).challenges == std::vector<std::string>{"dns-persist-01"});
}

TEST_CASE("a webroot is a path, relative ones to the folder of the file that says so") {
  const Loading t;
  CHECK(t.with({"--webroot=/var/www/html/"}).webroot == "/var/www/html");
  t.file("[a.example]\nwebroot = html\n");
  CHECK(t.only().webroot == t.folder / "html");
}

TEST_CASE("a DNS hook is a program with arguments, and makes dns-01 the challenge unless another is named") {
  const Loading t;
  const CertificateSettings one = t.with({"--dns-hook=/etc/hook 'a b'"});
  CHECK(one.dns_hooks == std::vector<Words>{{"/etc/hook", "a b"}});
  CHECK(one.challenges == Words{"dns-01"});
  CHECK(t.with({"--dns-hook=hook", "--challenge=http-01", "--challenge=dns-01"}).challenges ==
        Words{"http-01", "dns-01"});
  t.file("[a.example]\ndns-hook = ./auth.sh\ndns-hook = ./cleanup.sh\n");
  CHECK(t.only().dns_hooks == std::vector<Words>{{t.folder / "auth.sh"}, {t.folder / "cleanup.sh"}});
  CHECK(contains(t.complaint_with({"--dns-hook=a", "--dns-hook=b", "--dns-hook=c"}), "there are two programs at most"));
}

TEST_CASE("watch needs neither a certificate nor a state folder, and knows whom to tell") {
  Loading t;
  t.environment.variables = {};
  const Configuration configuration = t.load({"watch", "/certs", "--reload=container:mosquitto"});
  CHECK(configuration.certificates.empty());
  CHECK(configuration.defaults.reload == std::vector<ReloadRule>{{ReloadRule::Kind::container, "mosquitto", {}, ""}});
  CHECK(t.load({"watch", "/certs"}).defaults.reload ==
        std::vector<ReloadRule>{{ReloadRule::Kind::process, "mosquitto", {}, ""}});
}

TEST_CASE("the status page is off unless it is asked for, and without an address for this machine alone") {
  const Loading t;
  const auto place = [&t](const std::string& text) {
    return t.load({"--domain=a.example", "--status-listen=" + text}).status_listen;
  };
  CHECK_FALSE(t.load({"--domain=a.example"}).status_listen);
  CHECK(place("9101") == SocketPlace(Endpoint{"127.0.0.1", 9101}));
  CHECK(place("0.0.0.0:9101") == SocketPlace(Endpoint{"0.0.0.0", 9101}));
  CHECK(place("[::1]:9101") == SocketPlace(Endpoint{"::1", 9101}));
  CHECK(place("unix:/run/acme-agent/status.sock") == SocketPlace(std::filesystem::path("/run/acme-agent/status.sock")));
  CHECK(contains(t.complaint_with({"--status-listen=unix:"}), "names no socket: write unix:PATH"));
  CHECK(contains(t.complaint_with({"--status-listen=localhost:9101"}), "is not [ADDRESS:]PORT"));
  CHECK(contains(t.complaint_with({"--status-listen=/run/status.sock"}), "is not [ADDRESS:]PORT"));
}

TEST_CASE("who is told about trouble is a program, a URL or a topic of ntfy; a secret URL is not shown") {
  const Loading t;
  const auto alerts = [&t](const Words& options) {
    Words all{"--domain=a.example"};
    all.insert(all.end(), options.begin(), options.end());
    return t.load(all).alerts;
  };
  CHECK(alerts({}).empty());
  CHECK(alerts({"--alert=command:/bin/tell 'a b'", "--alert=url:https://me:s@h.example/x",
                "--alert=ntfy:https://n.example/t"}) ==
        std::vector<AlertRule>{{AlertRule::Kind::command, "", {"/bin/tell", "a b"}},
                               {AlertRule::Kind::url, "https://me:s@h.example/x", {}},
                               {AlertRule::Kind::ntfy, "https://n.example/t", {}}});
  CHECK(alerts({"--alert=url:https://h.example/x", "--alert=url:https://h.example/x"}).size() == 1);
  CHECK(contains(t.complaint_with({"--alert=mail:me@a.example"}), "'mail' is no way to tell: write command:PROGRAM"));
  CHECK(contains(t.complaint_with({"--alert=ntfy:https://ntfy.sh"}), "ends with a topic"));
  CHECK(contains(t.complaint_with({"--alert=ntfy:https://ntfy.sh/"}), "ends with a topic"));
  const std::string complaint = t.complaint_with({"--alert=url:ftp://me:hunter2@h.example"});
  CHECK(contains(complaint, "is no URL of the form"));
  CHECK_FALSE(contains(complaint, "hunter2"));
}

TEST_CASE("what is said of the authority on this machine holds for all certificates, and lists replace each other") {
  Loading t;
  t.file(
      "domain = a.example\nca-key-type = ec256\nca-name-constraint = lan\nca-name-constraint = 10.0.0.0/8\n"
      "ca-passphrase-file = pass\n");
  CHECK(t.load().ca_key_type == KeyType::ec256);
  CHECK_FALSE(Loading().load({"--domain=a.example"}).ca_key_type.has_value());
  CHECK(t.load().ca_name_constraints.size() == 2);
  CHECK(t.load().ca_passphrase_file.value().is_absolute());
  CHECK(t.load({"--ca-name-constraint=home.arpa"}).ca_name_constraints ==
        std::vector{parse_name_constraint("home.arpa")});
  CHECK(contains(t.complaint_with({"--ca-name-constraint=lan", "--ca-name-constraint=LAN"}), "is given twice"));
}

TEST_CASE("a broker that is told the state has a URL without a password, or is a socket") {
  const Loading t;
  const auto rule = [&t](const std::string& text) {
    return t.load({"--domain=a.example", "--mqtt=" + text}).mqtt.value();
  };
  CHECK_FALSE(t.load({"--domain=a.example"}).mqtt);
  CHECK(rule("mqtt://broker") == MqttRule{Endpoint{"broker", 1883}, false, ""});
  CHECK(rule("mqtts://me@broker.example") == MqttRule{Endpoint{"broker.example", 8883}, true, "me"});
  CHECK(rule("mqtts://me@here@[::1]:9883") == MqttRule{Endpoint{"::1", 9883}, true, "me@here"});
  CHECK(rule("mqtt://[::1]") == MqttRule{Endpoint{"::1", 1883}, false, ""});
  CHECK(rule("unix:/run/mosquitto.sock") == MqttRule{std::filesystem::path("/run/mosquitto.sock"), false, ""});
  const std::string complaint = t.complaint_with({"--mqtt=mqtt://me:hunter2@broker"});
  CHECK(contains(complaint, "its password is in the file of mqtt-password-file"));
  CHECK_FALSE(contains(complaint, "hunter2"));
  for (const char* wrong :
       {"broker", "http://broker", "mqtt://", "mqtt://[::1", "mqtt://broker:0", "unix:", "mqtt://@broker"})
    CHECK_MESSAGE(contains(t.complaint_with({std::string("--mqtt=") + wrong}), "--mqtt"), wrong);
}
