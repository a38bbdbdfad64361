#include <sys/stat.h>

#include <algorithm>
#include <system_error>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/entries.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/broker/mosquitto_conf.hpp>
#include <acme_agent/crypto/revocation_list.hpp>
#include <acme_agent/doctor/mosquitto_advice.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {
namespace {

namespace fs = std::filesystem;
using Section = MosquittoConf::Section;
using Setting = MosquittoConf::Setting;
using Verdict = Finding::Verdict;

constexpr std::size_t bundle_size = 20;  // who trusts so many authorities trusts everybody
constexpr Duration soon = std::chrono::hours(7 * 24);
constexpr const char* about = "mosquitto.conf";

bool is_same(const fs::path& one, const fs::path& other) {
  struct stat first {};
  struct stat second {};
  return ::stat(one.c_str(), &first) == 0 && ::stat(other.c_str(), &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

class Examination {
 public:
  explicit Examination(const MosquittoCase& mosquitto)
      : case_(mosquitto), conf_(read_mosquitto_conf(mosquitto.conf, mosquitto.root)) {}

  Findings all() && {
    bool any_is_ours = false;
    for (const Section& listener : conf_.listeners) {
      for (const char* key : {"certfile", "keyfile"})
        if (const Setting* file = listener.find(key); file != nullptr && is_mounted_alone(*file)) any_is_ours = true;
      if (!names_our_files(listener)) continue;
      any_is_ours = true;
      examine_files(listener);
      examine_clients(listener);
      try {
        examine_crl(listener);
      } catch (const Error& error) {
        bad(listener.find("crlfile")->text() + ", which cannot be read: " + error.message(), "put a good one there");
      }
    }
    if (!any_is_ours)
      bad(printable(case_.conf.native()) + " has no listener that uses " + printable(case_.cert_dir.native()),
          "write 'certfile " + ours("fullchain.pem") + "' and 'keyfile " + ours("privkey.pem") + "' below a listener");
    for (const Section& bridge : conf_.bridges) examine_bridge(bridge);
    for (const ReloadHazard& hazard : find_reload_hazards(conf_, case_.root, case_.broker))
      bad(hazard.evidence, hazard.remedy);
    return std::move(findings_);
  }

 private:
  void bad(std::string evidence, std::string remedy) {
    findings_.push_back({Verdict::bad, about, std::move(evidence), std::move(remedy)});
  }
  void hint(std::string evidence, std::string remedy) {
    findings_.push_back({Verdict::hint, about, std::move(evidence), std::move(remedy)});
  }

  fs::path seen(const fs::path& path) const { return case_.root / path.relative_path(); }
  std::string ours(const char* file) const { return printable((case_.cert_dir / file).native()); }

  bool is_ours(const Setting* setting) const {
    return setting != nullptr &&
           (is_same(seen(fs::path(setting->value).parent_path()), case_.cert_dir) || names_a_generation(setting));
  }

  /// The folder of one generation, or the link to it: what a renewal replaces.
  bool names_a_generation(const Setting* setting) const {
    const fs::path folder = fs::path(setting->value).parent_path();
    return folder.filename().native().starts_with("..") && is_same(seen(folder.parent_path()), case_.cert_dir);
  }

  bool names_our_files(const Section& section) const {
    return is_ours(section.find("certfile")) || is_ours(section.find("keyfile"));
  }

  void examine_files(const Section& listener) {
    const Setting* certfile = listener.find("certfile");
    const Setting* keyfile = listener.find("keyfile");
    const Setting* cafile = listener.find("cafile");
    if (!is_ours(certfile) || !is_ours(keyfile)) {
      bad(listener.place + ": certificate and key of " + listener.name + " come from different folders",
          "take both from " + printable(case_.cert_dir.native()) + ": fullchain.pem and privkey.pem");
      return;
    }
    const std::string certificate = fs::path(certfile->value).filename();
    const std::string key = fs::path(keyfile->value).filename();
    if (certificate != "fullchain.pem" && certificate != "combined.pem")
      bad(certfile->text() + ", so that the broker serves no whole chain, and devices refuse it",
          "name fullchain.pem there");
    if (key != "privkey.pem" && key != "combined.pem")
      bad(keyfile->text() + ", which is no key", "name privkey.pem there");
    for (const Setting* file : {certfile, keyfile}) {
      if (names_a_generation(file))
        bad(file->text() + ", which is one generation of the files: a renewal makes another one",
            "name the file in the folder above it");
      examine_mounts(*file);
    }
    if (is_ours(cafile) && fs::path(cafile->value).filename() == "devices-ca.pem")
      examine_devices_ca(listener, *cafile);
    else if (is_ours(cafile))
      bad(cafile->text() +
              ": a reload does not read it again, so that the chain breaks when the authority changes its "
              "intermediate certificate" +
              (listener.value("require_certificate") == "true" ? ", and whoever that authority knows is let in" : ""),
          "remove that line; fullchain.pem as certfile has the chain");
  }

  void examine_clients(const Section& listener) {
    if (const Setting* version = listener.find("tls_version"); version != nullptr && version->value == "tlsv1.3") {
      if (case_.tls12_devices)
        bad(version->text() + ", and the devices speak TLS 1.2 only", "write 'tls_version tlsv1.2', which allows both");
      else
        hint(version->text() + ", which most small devices do not speak",
             "write 'tls_version tlsv1.2', which allows both");
    }
    const bool asks = listener.value("require_certificate") == "true";
    const Setting* cafile = listener.find("cafile");
    if (asks && cafile != nullptr && !is_ours(cafile) && is_public(*cafile))
      bad(cafile->text() + " with 'require_certificate true': whoever has a certificate of that authority is let in",
          "name the authority of your own devices there, and no other");
    const Setting* anonymous = conf_.find_anywhere("allow_anonymous");
    if (!asks && anonymous != nullptr && anonymous->value == "true" && conf_.find_anywhere("plugin") == nullptr)
      hint(anonymous->text() + ": whoever reaches " + listener.name + " may publish and read",
           "write 'allow_anonymous false' with a password_file, or 'require_certificate true' with an authority of "
           "your own");
  }

  /// What a reload does not read again grows old.
  void examine_devices_ca(const Section& listener, const Setting& cafile) {
    if (listener.find("crlfile") == nullptr)
      hint(cafile.text() + " without a crlfile, so that no reload reads it again, and nobody can be shut out",
           "write 'crlfile " + ours("devices.crl") + "' beside it");
  }

  void examine_crl(const Section& listener) {
    const Setting* crlfile = listener.find("crlfile");
    if (crlfile == nullptr) return;
    if (listener.value("require_certificate") != "true")
      hint(crlfile->text() + " without 'require_certificate true', so that nobody is asked for a certificate",
           "add that line, or remove this one");
    const std::optional<Secret> text = read_file(seen(crlfile->value), std::size_t{16} << 20);
    if (!text) return;  // a hazard
    const std::string remedy =
        is_ours(crlfile) ? "does the agent run? It signs the list again long before" : "sign it again, and reload";
    for (const RevocationList& list : read_crls(text->reveal())) {
      if (!list.next_update || *list.next_update > case_.now + soon) continue;
      const std::string which = crlfile->text() + ", and the list of '" + printable(list.issuer, 80) + "' in it ";
      const std::string end = format_rfc3339(*list.next_update);
      if (*list.next_update <= case_.now)
        bad(which + "has ended at " + end + ": the broker refuses all devices of that authority", remedy);
      else
        bad(which + "ends at " + end + ": from then on the broker refuses all devices of that authority", remedy);
    }
  }

  void examine_bridge(const Section& bridge) {
    const Setting* certfile = bridge.find("bridge_certfile");
    if (is_ours(certfile))
      bad(certfile->text() + ": public authorities certify servers, not clients, and the other broker will refuse it",
          "give " + bridge.name + " a certificate of its own authority, or a user name and password");
  }

  /// A mount of one of our files shows the old one for ever, as a renewal makes others.
  bool is_mounted_alone(const Setting& file) {
    const std::vector<std::pair<std::string, std::string>> all = mounts();
    if (std::none_of(all.begin(), all.end(), [&](const auto& mount) { return mount.first == file.value; }))
      return false;
    std::error_code none;
    for (const fs::path& entry : entries_of(case_.cert_dir, none)) {
      for (const char* name : {"cert.pem", "fullchain.pem", "privkey.pem", "combined.pem"}) {
        if (!is_same(entry / name, seen(file.value))) continue;
        bad(file.text() + ", which is mounted into the container as a single file: a renewal does not get there",
            "mount the folder " + printable(case_.cert_dir.native()) + " instead");
        return true;
      }
    }
    return false;
  }

  /// The entrypoint of IOTstack changes the owner of all that lies below /mosquitto.
  void examine_mounts(const Setting& file) {
    for (const auto& [point, options] : mounts()) {
      const bool above = fs::path(file.value).parent_path().native().starts_with(point);
      if (above && point.starts_with("/mosquitto/") && split(options, ',').front() == "ro")
        hint(printable(point) +
                 " is mounted read-only below /mosquitto, where the entrypoint of IOTstack changes owners and "
                 "fails then",
             "mount the folder elsewhere, as /certs");
    }
  }

  /// Mount points of the broker with their options, as proc(5) has them in mountinfo.
  std::vector<std::pair<std::string, std::string>> mounts() const {
    if (!case_.broker) return {};
    std::vector<std::pair<std::string, std::string>> all;
    const std::optional<Secret> text =
        read_file("/proc/" + std::to_string(case_.broker->pid) + "/mountinfo", std::size_t{1} << 20);
    if (!text) return {};
    for (const std::string& line : split(text->reveal(), '\n')) {
      const std::vector<std::string> words = split(line, ' ');
      if (words.size() > 5) all.emplace_back(words[4], words[5]);
    }
    return all;
  }

  /// Whether these authorities are ours by chance only: the one that issued what is held, or a whole bundle.
  bool is_public(const Setting& cafile) const {
    try {
      const std::optional<Secret> text = read_file(seen(cafile.value), std::size_t{16} << 20);
      if (!text) return false;
      std::size_t count = 0;
      std::string_view rest = text->reveal();
      constexpr std::string_view begin = "-----BEGIN CERTIFICATE-----";
      for (std::size_t at = rest.find(begin); at != std::string_view::npos; at = rest.find(begin, at + 1)) ++count;
      if (count > bundle_size) return true;
      if (!case_.held || case_.own_authority || count == 0) return false;
      const std::vector<Certificate>& ours = case_.held->certificates();
      const CertificateChain trusted = CertificateChain::from_pem(rest.substr(rest.find(begin)));
      return std::any_of(trusted.certificates().begin(), trusted.certificates().end(), [&](const Certificate& root) {
        return std::any_of(ours.begin(), ours.end(),
                           [&](const auto& one) { return one == root || one.signed_by(root); });
      });
    } catch (const Error&) {
      return false;
    }
  }

  const MosquittoCase& case_;
  const MosquittoConf conf_;
  Findings findings_;
};

}  // namespace

Findings examine_mosquitto(const MosquittoCase& mosquitto) {
  try {
    return Examination(mosquitto).all();
  } catch (const Error& error) {
    return {{Verdict::hint, about, "it cannot be examined: " + error.message(), "run the doctor as root"}};
  }
}

}  // namespace acme_agent
