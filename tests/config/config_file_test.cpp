#include <algorithm>

#include "loading.hpp"

using namespace acme_agent;
using namespace acme_agent::test;

TEST_CASE("each section is one certificate, named after it") {
  Loading t;
  t.file("[home]\ndomain = a.example\ndomain=b.example\n[office]\n  domain\t=  c.example  \n");
  const Configuration configuration = t.load();
  REQUIRE(configuration.certificates.size() == 2);
  CHECK(configuration.certificates[0].name == "home");
  CHECK(names_of(configuration.certificates[0]) == Words{"a.example", "b.example"});
  CHECK(configuration.certificates[1].name == "office");
  CHECK(names_of(configuration.certificates[1]) == Words{"c.example"});
}

TEST_CASE("a section without a domain is for the domain of its name") {
  Loading t;
  t.file("[mydyn.example]\n");
  CHECK(t.only().name == "mydyn.example");
  CHECK(names_of(t.only()) == Words{"mydyn.example"});
}

TEST_CASE("a section whose name cannot be a domain needs one") {
  Loading t;
  t.file("\n[home]\n");
  CHECK(contains(t.complaint(),
                 "acme-agent.conf:2: the section has no 'domain', and its name cannot serve as one: 'home'"));
}

TEST_CASE("keys above the first section are defaults for all") {
  Loading t;
  t.file("email = me@a.example\nworkers = 7\n[a.example]\n[b.example]\nemail = you@b.example\n");
  const Configuration configuration = t.load();
  REQUIRE(configuration.certificates.size() == 2);
  CHECK(configuration.workers == 7);
  CHECK(configuration.certificates[0].email == "me@a.example");
  CHECK(configuration.certificates[1].email == "you@b.example");
}

TEST_CASE("a repeatable key in a section replaces the defaults of that key") {
  Loading t;
  t.file("probe = one.example:1\nprobe = two.example:2\n[a.example]\n[b.example]\nprobe = three.example:3\n");
  const Configuration configuration = t.load();
  REQUIRE(configuration.certificates.size() == 2);
  CHECK(configuration.certificates[0].probes == std::vector<Endpoint>{{"one.example", 1}, {"two.example", 2}});
  CHECK(configuration.certificates[1].probes == std::vector<Endpoint>{{"three.example", 3}});
}

TEST_CASE("a file without sections may describe one certificate") {
  Loading t;
  t.file("domain = a.example\nemail = me@a.example\n");
  CHECK(t.only().name == "a.example");
  CHECK(t.only().email == "me@a.example");
}

TEST_CASE("a file may come from Windows and begin with a byte-order mark") {
  Loading t;
  t.file(
      "\xEF\xBB\xBF"
      "email = me@a.example\r\n\r\n[a.example]\r\nkey-type = ec256\r\n");
  CHECK(t.only().email == "me@a.example");
  CHECK(t.only().key_type == KeyType::ec256);
}

TEST_CASE("the last line needs no end") {
  Loading t;
  t.file("[a.example]\nkey-type = ec384");
  CHECK(t.only().key_type == KeyType::ec384);
}

TEST_CASE("comments start a line, maybe behind white space, and nowhere else") {
  Loading t;
  t.file(
      "# email = x\n ; für alle\n\t# [section]\n[a.example]\ncert-dir = /srv/a#b;c\nreload = command:echo '# no "
      "comment'\n");
  CHECK(t.only().cert_dir == "/srv/a#b;c");
  REQUIRE(t.only().reload.size() == 1);
  CHECK(t.only().reload[0].argv == Words{"echo", "# no comment"});
  CHECK(t.only().email.empty());
}

TEST_CASE("a value may contain an equal sign") {
  Loading t;
  t.file("[a.example]\nserver = https://ca.example/dir?x=y\n");
  CHECK(t.only().servers.at(0).directory_url == "https://ca.example/dir?x=y");
}

TEST_CASE("all complaints of all files are told at once, each with its file and line") {
  Loading t;
  t.file("domian = a.example\nworkers = many\n\n[a.example]\nmode = 0777\n");
  t.write("conf.d/b.conf", "[b.example]\nfrobnicate = x\nkey-type = dsa\n");
  const std::string complaint = t.complaint();
  CHECK(contains(complaint, "acme-agent.conf:1: unknown key 'domian': did you mean 'domain'?"));
  CHECK(contains(complaint, "acme-agent.conf:2: workers: 'many' is not a number from 1 to 64"));
  CHECK(contains(complaint, "acme-agent.conf:5: mode: mode 0777 has bits"));
  CHECK(contains(complaint, "conf.d/b.conf:2: unknown key 'frobnicate'"));
  CHECK(contains(complaint, "conf.d/b.conf:3: key-type: 'dsa' is not one of rsa2048"));
  CHECK(std::count(complaint.begin(), complaint.end(), '\n') == 4);
}

TEST_CASE("a bad default is told once, not once a section") {
  Loading t;
  t.file("key-type = dsa\n[a.example]\n[b.example]\n[c.example]\nkey-type = ec256\n");
  CHECK(t.complaint().starts_with("acme-agent.conf:1: key-type: 'dsa'"));
  CHECK_FALSE(contains(t.complaint(), "\n"));
}

TEST_CASE("nasty lines are complained about, with the line") {
  struct Nasty {
    std::string text;
    std::string complaint;
  };
  const std::vector<Nasty> table = {
      {"[a.example]\nemail = me@a.example\nemail = you@a.example\n",
       "acme-agent.conf:3: email: it is given twice; leave only one (the other is at acme-agent.conf:2: email)"},
      {"email = me@a.example\nemail = me@a.example\n[a.example]\n", "acme-agent.conf:2: email: it is given twice"},
      {"[a.example]\n[b.example]\n[a.example]\n",
       "acme-agent.conf:3: the section [a.example] is already at acme-agent.conf:1; make them one"},
      {"[a.example]\n[ a.example ]\n", "acme-agent.conf:2: the section [a.example] is already"},
      {"[]\n", "acme-agent.conf:1: the section has no name"},
      {"[  ]\n", "acme-agent.conf:1: the section has no name"},
      {"[\n", "acme-agent.conf:1: [ is no section"},
      {"[a.example\n", "acme-agent.conf:1: [a.example is no section"},
      {"[a.example] # mine\n", "acme-agent.conf:1: [a.example] # mine is no section"},
      {"[a/b]\n", "acme-agent.conf:1: [a/b] cannot name a section"},
      {"[a b]\n", "acme-agent.conf:1: [a b] cannot name a section"},
      {"[.]\n", "acme-agent.conf:1: [.] cannot name a section"},
      {"[..]\n", "acme-agent.conf:1: [..] cannot name a section"},
      {"[../../etc]\n", "acme-agent.conf:1: [../../etc] cannot name a section"},
      {"[m\xC3\xBC.example]\n",
       "cannot name a section: a certificate's name has letters, digits, '.', '_' and '-' only"},
      {"[*.a.example]\n", "cannot name a section: write '_' where the domain has '*'"},
      {"[" + std::string(254, 'a') + "]\n", "at most 253 characters"},
      {"[a.example]\nemail\n", "acme-agent.conf:2: 'email' is neither KEY = VALUE nor [NAME]"},
      {"[a.example]\n= x\n", "acme-agent.conf:2: '= x' is neither KEY = VALUE nor [NAME]"},
      {"[a.example]\nemail =\n", "acme-agent.conf:2: email: a value is missing"},
      {"[a.example]\ndomain = ,\n", "acme-agent.conf:2: domain: a value is missing"},
      {"[a.example]\n--email = x\n", "acme-agent.conf:2: unknown key '--email': did you mean 'email'?"},
      {"[a.example]\nEmail = me@a.example\n", "acme-agent.conf:2: unknown key 'Email': did you mean 'email'?"},
      {"[a.example]\nonce = yes\n", "acme-agent.conf:2: 'once' belongs on the command line only"},
      {"config = /x\n[a.example]\n", "acme-agent.conf:1: 'config' belongs on the command line only"},
      {"[a.example]\nworkers = 3\n", "acme-agent.conf:2: 'workers' is for the whole agent; write it above"},
      {"[a.example]\nstate-dir = /x\n", "acme-agent.conf:2: 'state-dir' is for the whole agent"},
      {"[a.example]\nquiet = yes\n", "acme-agent.conf:2: 'quiet' is for the whole agent"},
      {std::string("[a.example]\nemail = me@a.example\0\n", 34), "acme-agent.conf:2: the line is not plain UTF-8 text"},
      {"[a.example]\n# f\xFCr\n", "acme-agent.conf:2: the line is not plain UTF-8 text"},
      {"[a.example]\n# \x1b[31m\n", "acme-agent.conf:2: the line is not plain UTF-8 text"},
      {"[a.example]\nowner = a\rb\n", "acme-agent.conf:2: the line is not plain UTF-8 text"},
      {"[a.example]\n\xEF\xBB\xBF"
       "email = me@a.example\n",
       "acme-agent.conf:2: unknown key"},
      {"[a.example]\n#" + std::string(65536, 'x') + "\n", "acme-agent.conf:2: the line is longer than 64 KiB"},
      {std::string(200, '['), "is no section"},
      {"a.example\n", "acme-agent.conf:1: 'a.example' is neither KEY = VALUE nor [NAME]"},
      {"domain = a.example\n[b.example]\n", "acme-agent.conf:1: domain: every section has domains of its own"},
      {"cert-dir = /x\n[a.example]\n[b.example]\n",
       "acme-agent.conf:1: cert-dir: this can be said for one certificate only, but there are 2 sections"},
  };
  for (const Nasty& nasty : table) {
    CAPTURE(nasty.text.substr(0, 80));
    Loading t;
    t.file(nasty.text);
    const std::string complaint = t.complaint();
    CAPTURE(complaint);
    CHECK(contains(complaint, nasty.complaint));
    CHECK_FALSE(contains(complaint, "\n"));
  }
}

TEST_CASE("keys under a section that is refused do not become defaults") {
  Loading t;
  t.file("[a.example]\n[a/b]\nemail = me@a.example\nemail = me@a.example\n[b.example]\nemail = you@b.example\n");
  CHECK(contains(t.complaint(), "acme-agent.conf:2: [a/b] cannot name"));
  CHECK(contains(t.complaint(), "acme-agent.conf:4: email: it is given twice"));
  CHECK_FALSE(contains(t.complaint(), ":6:"));
}

TEST_CASE("a line of 64 KiB is read") {
  Loading t;
  t.file("#" + std::string(65535, 'x') + "\n[a.example]\n");
  CHECK(t.only().name == "a.example");
}

TEST_CASE("a file of more than 16 MiB is not a configuration") {
  Loading t;
  const std::string line = "#" + std::string(1022, 'x') + "\n";
  std::string text;
  for (int i = 0; i < 16 * 1024; ++i) text += line;
  text += "[a.example]\n";
  t.file(text);
  CHECK(contains(t.complaint(), "acme-agent.conf: it is larger than 16 MiB"));
}

TEST_CASE("a file that is something else entirely costs a hundred complaints, not a million") {
  Loading t;
  std::string text;
  for (int i = 0; i < 100000; ++i) text += "\x01\n";
  t.file(text);
  const std::string complaint = t.complaint();
  CHECK(std::count(complaint.begin(), complaint.end(), '\n') < 101);
  CHECK(contains(complaint, "acme-agent.conf:100:"));
  CHECK_FALSE(contains(complaint, "acme-agent.conf:101:"));
}

TEST_CASE("more than a hundred bad values end with a word that there are more") {
  Loading t;
  std::string text;
  for (int i = 0; i < 200; ++i) text += "[a" + std::to_string(i) + ".example]\nmode = x\n";
  t.file(text);
  CHECK(contains(t.complaint(), "\nand more: only the first 100 complaints are shown"));
}

TEST_CASE("ten thousand sections are ten thousand certificates") {
  Loading t;
  std::string text = "email = me@a.example\n";
  for (int i = 0; i < 10000; ++i) {
    const std::string name = "h" + std::to_string(i) + ".example";
    text += "[" + name + "]\ndomain = " + name + ", x." + name + "\nprobe = localhost:" + std::to_string(i + 1) + "\n";
  }
  t.file(text);
  const Configuration configuration = t.load();
  REQUIRE(configuration.certificates.size() == 10000);
  CHECK(configuration.certificates[9999].name == "h9999.example");
  CHECK(names_of(configuration.certificates[9999]) == Words{"h9999.example", "x.h9999.example"});
  CHECK(configuration.certificates[9999].probes == std::vector<Endpoint>{{"localhost", 10000}});
  CHECK(configuration.certificates[5000].email == "me@a.example");
}

TEST_CASE("conf.d beside the file is read in the order of names, hidden and other files are not") {
  Loading t;
  t.file("[main.example]\n");
  t.write("conf.d/20.conf", "[b.example]\n");
  t.write("conf.d/10.conf", "email = me@a.example\n[a.example]\n");
  t.write("conf.d/.15.conf", "[hidden.example]\n");
  t.write("conf.d/30.conf.bak", "[old.example]\n");
  const Configuration configuration = t.load();
  REQUIRE(configuration.certificates.size() == 3);
  CHECK(configuration.certificates[0].name == "main.example");
  CHECK(configuration.certificates[1].name == "a.example");
  CHECK(configuration.certificates[2].name == "b.example");
  CHECK(configuration.certificates[0].email == "me@a.example");
}

TEST_CASE("the files are as one: a section or a default in two of them is given twice") {
  Loading t;
  t.file("email = me@a.example\n[a.example]\n");
  t.write("conf.d/x.conf", "\nemail = me@a.example\n[a.example]\n");
  CHECK(t.complaint() ==
        "conf.d/x.conf:2: email: it is given twice; leave only one (the other is at acme-agent.conf:1: email)\n"
        "conf.d/x.conf:3: the section [a.example] is already at acme-agent.conf:2; make them one");
}

TEST_CASE("conf.d counts where the main file is missing") {
  Loading t;
  t.write("conf.d/x.conf", "[a.example]\n");
  CHECK(t.only().name == "a.example");
}

TEST_CASE("a missing file is an error only where it was asked for") {
  Loading t;
  CHECK(t.complaint_with({}) == "");
  CHECK(t.complaint_with({"--config=/nowhere/x.conf"}) ==
        "there is no configuration file /nowhere/x.conf: check what --config says");
}

TEST_CASE("--config takes the place of the default file, with the conf.d beside it") {
  Loading t;
  t.file("[default.example]\n");
  const std::string other = t.write("other/my.conf", "[a.example]\n").string();
  t.write("other/conf.d/x.conf", "[b.example]\n");
  const Configuration configuration = t.load({"--config", other});
  REQUIRE(configuration.certificates.size() == 2);
  CHECK(configuration.certificates[0].name == "a.example");
  CHECK(configuration.certificates[1].name == "b.example");
}

TEST_CASE("a folder is not a configuration file") {
  Loading t;
  std::filesystem::create_directories(t.folder / "conf.d" / "x.conf");
  CHECK(t.complaint_with({}) == "cannot read the configuration file conf.d/x.conf: Is a directory");
}

TEST_CASE("relative paths in a file start at its folder, so that it means the same wherever the agent starts") {
  Loading t;
  t.file("[a.example]\ncert-dir = live/./x/\nreload = pidfile:run/../broker.pid\n");
  CHECK(t.only().cert_dir == t.folder / "live/x");
  CHECK(t.only().reload.at(0).argument == t.folder / "broker.pid");
}
