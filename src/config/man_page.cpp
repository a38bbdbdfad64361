#include <acme_agent/base/text.hpp>

#include "reference.hpp"

namespace acme_agent {
namespace {

/// As roff shows it letter by letter.
std::string plain(std::string_view text) {
  std::string roff;
  for (const char c : text) {
    switch (c) {
      case '\\':
        roff += "\\e";
        break;
      case '-':
        roff += "\\-";
        break;
      case '\'':
        roff += "\\(aq";
        break;
      case '`':
        roff += "\\(ga";
        break;
      case '^':
        roff += "\\(ha";
        break;
      case '~':
        roff += "\\(ti";
        break;
      case '"':
        roff += "\\(dq";
        break;
      default:
        roff += c;
    }
  }
  return roff.starts_with('.') ? "\\&" + roff : roff;
}

std::string bold(std::string_view text) {
  return "\\fB" + plain(text) + "\\fR";
}

std::string italic(std::string_view text) {
  return "\\fI" + plain(text) + "\\fR";
}

class Page {
 public:
  Page(std::string_view name, int section, const std::string& version, const std::string& date) {
    text_ = ".TH " + plain(name) + " " + std::to_string(section) + " " + date + " \"acme\\-agent " + version + "\"\n";
  }
  const std::string& text() const { return text_; }

  void section(std::string_view title) {
    text_ += ".SH " + plain(title) + "\n";
    open_ = false;
  }
  void subsection(std::string_view title) {
    text_ += ".SS \"" + plain(title) + "\"\n";
    open_ = false;
  }
  void paragraph(std::string_view words) { formatted(plain(words)); }
  void formatted(const std::string& roff) {
    if (open_) text_ += ".PP\n";
    text_ += roff + "\n";
    open_ = true;
  }
  void item(const std::string& head, std::string_view words) {
    text_ += ".TP\n" + head + "\n" + plain(words) + "\n";
    open_ = true;
  }
  void example(std::string_view lines) {
    if (open_) text_ += ".PP\n";
    text_ += ".nf\n.RS 4\n";
    for (const std::string& line : split(lines, '\n')) text_ += plain(line) + "\n";
    text_ += ".RE\n.fi\n";
    open_ = true;
  }

 private:
  std::string text_;
  bool open_ = false;  // Something stands in this section already.
};

void add_options(Page& page, bool of_file) {
  std::string_view group;
  for (const Option& option : options()) {
    if (of_file && option.command_line_only()) continue;
    if (option.group != group) page.subsection(option.group);
    group = option.group;
    std::string head;
    if (of_file) {
      head = bold(option.name) + " = " + (option.flag() ? bold("yes") + "|" + bold("no") : italic(option.argument));
    } else {
      if (option.short_name != '\0') head = bold(std::string("-") + option.short_name) + ", ";
      head += bold("--" + std::string(option.name));
      if (!option.flag()) head += " " + italic(option.argument);
    }
    page.item(head, option.full_meaning());
  }
}

/// The lines of a page of the help, one after the other: text, "  word   meaning", or an example that is indented.
class HelpPage {
 public:
  explicit HelpPage(Page& page) : page_(page) {}

  void add(std::string_view line) {
    const std::size_t indent = line.find_first_not_of(' ');
    if (indent == std::string_view::npos) return end();
    const std::string_view words = line.substr(indent);
    const std::size_t gap = words.find("  ");
    if (gap != std::string_view::npos && indent <= 2) {
      end();
      head_ = words.substr(0, gap);
      words_ = trim(words.substr(gap));
    } else if (indent == 2) {
      if (!in_example_) end();
      in_example_ = true;
      words_ += std::string(words) + "\n";
    } else {
      if (in_example_ || (indent == 0 && !head_.empty())) end();
      words_ += (words_.empty() ? "" : " ") + std::string(words);
    }
  }
  void end() {
    if (!head_.empty())
      page_.item(bold(head_), words_);
    else if (in_example_)
      page_.example(words_);
    else if (!words_.empty())
      page_.paragraph(words_);
    head_.clear();
    words_.clear();
    in_example_ = false;
  }

 private:
  Page& page_;
  std::string head_;
  std::string words_;
  bool in_example_ = false;
};

void add_page_of_help(Page& page, std::string_view text) {
  HelpPage lines(page);
  bool usage = true;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (usage && !line.empty()) {
      constexpr std::string_view word = "Usage: ";
      page.formatted(bold(trim(line.starts_with(word) ? line.substr(word.size()) : line)));
    } else {
      usage = false;
      lines.add(line);
    }
  }
  lines.end();
}

void add_commands(Page& page) {
  for (const Command& command : commands()) {
    page.subsection(command.name);
    page.paragraph(std::string(command.meaning) + ".");
    if (!command.page.empty()) add_page_of_help(page, command.page);
  }
}

constexpr std::string_view configuration = "/etc/acme-agent/acme-agent.conf";

}  // namespace

std::string man_page(const std::string& version, const std::string& date) {
  Page page("ACME-AGENT", 1, version, date);
  page.section("NAME");
  page.paragraph("acme-agent - obtain and renew the TLS certificate of an MQTT broker");
  page.section("SYNOPSIS");
  page.formatted(bold("acme-agent") + " [" + italic("COMMAND") + "] [" + italic("OPTION") + "...]");
  page.section("DESCRIPTION");
  page.paragraph(
      "Obtains the TLS certificate of an MQTT broker from a certificate authority that speaks ACME (RFC 8555), puts it "
      "in place, makes the broker reload it, looks that it is served, and keeps it renewed. Without a command it runs "
      "until it is stopped.");
  page.section("COMMANDS");
  add_commands(page);
  page.section("OPTIONS");
  page.formatted(
      plain("Every option but the last group is also a key of the configuration file, see ") + bold("acme-agent.conf") +
      plain("(5), and a variable of the environment. Command line beats environment, environment beats file, file "
            "beats default. An option is never guessed from its beginning."));
  add_options(page, false);
  page.section("EXIT STATUS");
  page.paragraph("It tells the state afterwards, not the work. Of several, 1 goes before 3.");
  page.item(bold("0"),
            "every certificate is issued by its server, in date, not overdue, and served where a probe is set");
  page.item(bold("1"), "something is not, or failed and waits for its next try");
  page.item(bold("2"), "wrong usage, configuration, file or folder given: nothing was done");
  page.item(bold("3"), "all is well but the serving");
  page.section("SIGNALS");
  page.item(bold("SIGTERM") + ", " + bold("SIGINT"),
            "end, within a second (a minute at most where TXT records are to be removed); every file is whole at every "
            "moment");
  page.item(bold("SIGHUP"),
            "read the configuration again; a bad one is reported, and the old one stays; for some options only a "
            "restart does, "
            "and the log names those");
  page.section("ENVIRONMENT");
  page.item(bold("ACME_AGENT_") + italic("OPTION"),
            "the option in capital letters with _ for -, like ACME_AGENT_CERT_DIR; lists have one value a line");
  page.item(bold("STATE_DIRECTORY") + ", " + bold("XDG_STATE_HOME") + ", " + bold("HOME"),
            "where the state folder is, see --state-dir");
  page.item(bold("https_proxy") + ", " + bold("http_proxy") + ", " + bold("all_proxy") + ", " + bold("no_proxy"),
            "proxy on the way to the certificate authority, and for --alert and --reload url:");
  page.item(bold("NO_COLOR"), "no colours on a terminal");
  page.item(bold("NOTIFY_SOCKET") + ", " + bold("WATCHDOG_USEC") + ", " + bold("LISTEN_FDS"),
            "set by systemd: whom to tell that we are ready and alive, and sockets that are passed in");
  page.paragraph(
      "Programs of --reload command: and of watch find CERTIFICATE_NAME, CERTIFICATE_DOMAINS and CERTIFICATE_DIR in "
      "their environment, and certbot's RENEWED_LINEAGE and RENEWED_DOMAINS (those of watch the folder alone, and no "
      "domains); they have a minute and have to end with 0.");
  page.paragraph(
      "Programs of --alert command: find ACME_AGENT_ALERT_TITLE, ACME_AGENT_ALERT_TEXT, ACME_AGENT_ALERT_TROUBLE "
      "(none, not-served, late, soon, missing or expired) and ACME_AGENT_ALERT_CERTIFICATES, a name a line; they have "
      "a minute and have to end with 0. What --alert url: names gets the same as JSON: title, text, trouble, and of "
      "each of certificates name, trouble and text.");
  page.section("FILES");
  page.item(italic(configuration), "the configuration; conf.d/*.conf beside it is read too");
  page.item(italic("/var/lib/acme-agent"), "the state folder of a service and of root");
  page.item(
      italic("STATE/live/NAME"),
      "the folder for the broker, unless --cert-dir names another: fullchain.pem, privkey.pem, cert.pem, chain.pem "
      "and combined.pem, which change all at once; and devices-ca.pem and devices.crl, where there is an authority");
  page.item(italic("STATE/certificates/NAME"), "the newest checked certificate, and what happens next");
  page.item(italic("STATE/accounts"), "the accounts, with their keys");
  page.item(italic("STATE/authority"), "the authority on this machine, with its keys");
  page.section("EXAMPLES");
  page.paragraph("A trial that costs nothing of the real server's limits, then the real thing:");
  page.example("acme-agent --dry-run --domain mydyn.example\nacme-agent --domain mydyn.example\nacme-agent status");
  page.paragraph("As a service, with the domain in the configuration:");
  page.example("systemctl enable --now acme-agent");
  page.section("SEE ALSO");
  page.formatted(bold("acme-agent.conf") + "(5), " + bold("mosquitto.conf") + "(5), " + bold("systemd.service") +
                 "(5)");
  return page.text();
}

std::string man_page_of_file(const std::string& version, const std::string& date) {
  Page page("ACME-AGENT.CONF", 5, version, date);
  page.section("NAME");
  page.paragraph("acme-agent.conf - configuration of acme-agent");
  page.section("SYNOPSIS");
  page.formatted(italic(configuration));
  page.formatted(italic("/etc/acme-agent/conf.d/*.conf"));
  page.section("DESCRIPTION");
  page.paragraph(
      "Lines of the form KEY = VALUE. Those above the first section are defaults for every certificate. Each section, "
      "[NAME], is one certificate, named after it, and its name is its domain where none is given. Without a section, "
      "the keys are of one certificate.");
  page.paragraph(
      "A key that may be repeated replaces, in a section, the defaults of that key. A line that begins with # or ; is "
      "a "
      "comment; within a line these are letters like others. Relative paths start at the folder of the file. The files "
      "are UTF-8 text; those in conf.d are read in the order of their names.");
  page.paragraph(
      "Unknown keys, bad values and names given twice are errors; 'acme-agent check' tells all of them at once, with "
      "file and line. After SIGHUP the files are read again; for the keys of the agent and of the authority on this "
      "machine only a restart does.");
  page.section("KEYS");
  add_options(page, true);
  page.section("EXAMPLES");
  page.example(
      "email = me@mydyn.example\n"
      "[mydyn.example]\n"
      "domain = mydyn.example\n"
      "domain = mqtt.mydyn.example\n"
      "probe = localhost:8883");
  page.section("SEE ALSO");
  page.formatted(bold("acme-agent") + "(1)");
  return page.text();
}

}  // namespace acme_agent
