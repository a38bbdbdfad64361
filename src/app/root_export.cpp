#include "root_export.hpp"

#include <acme_agent/base/base64url.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/digest.hpp>

#include "shell_quoted.hpp"

namespace acme_agent {
namespace {

namespace fs = std::filesystem;

fs::path file_at(const fs::path& place, const char* name) {
  std::error_code none;
  if (place.empty()) return name;
  return fs::is_directory(place, none) ? place / name : place;
}

RootExport as_pem(const std::vector<Certificate>& roots, const std::optional<Identifier>& broker,
                  const fs::path& file) {
  const std::string shown = printable(file.native());
  RootExport text{
      file, "", false,
      "  mosquitto_sub -h " + (broker ? broker->value : "BROKER") + " -p 8883 --cafile " + shell_quoted(file.native()) +
          " -t '#' -v\n"
          "MQTT Explorer: Advanced, Certificates, Server Certificate (CA): " +
          shown + "\nNode-RED: TLS configuration, CA certificate: " + shown + "; verify server certificate on\n"};
  for (const Certificate& root : roots) text.content += root.pem();
  return text;
}

/// RFC 9562 5.8: always the same for the same text.
std::string uuid_of(const std::string& text) {
  std::string hex = to_hex(sha256(text)).substr(0, 32);
  hex[12] = '8';
  hex[16] = "89ab"[static_cast<unsigned char>(hex[16]) % 4];
  for (const std::size_t dash : {8U, 13U, 18U, 23U}) hex.insert(dash, "-");
  return hex;
}

std::string in_xml(const std::string& key, const std::string& value, const std::string& indent) {
  return indent + "<key>" + key + "</key>\n" + indent + "<string>" + value + "</string>\n";
}

/// What stands in it of ours needs no escapes in XML.
RootExport as_mobileconfig(const std::vector<Certificate>& roots, const fs::path& file) {
  std::string payloads;
  std::string all;
  for (const Certificate& root : roots) {
    const std::string indent(6, ' ');
    const std::string uuid = uuid_of(root.fingerprint_sha256());
    payloads += "    <dict>\n" + indent + "<key>PayloadContent</key>\n" + indent + "<data>" +
                base64_encode(root.der()) + "</data>\n" + in_xml("PayloadDisplayName", root.subject(), indent) +
                in_xml("PayloadIdentifier", "acme-agent.root." + uuid, indent) +
                in_xml("PayloadType", "com.apple.security.root", indent) + in_xml("PayloadUUID", uuid, indent) +
                indent + "<key>PayloadVersion</key>\n" + indent + "<integer>1</integer>\n    </dict>\n";
    all += root.fingerprint_sha256();
  }
  const std::string indent(2, ' ');
  return {file,
          "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
          "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
          "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
          "<plist version=\"1.0\">\n<dict>\n  <key>PayloadContent</key>\n  <array>\n" +
              payloads + "  </array>\n" +
              in_xml("PayloadDisplayName", "Root of the MQTT broker, by acme-agent", indent) +
              in_xml("PayloadIdentifier", "acme-agent.roots." + uuid_of(roots.front().fingerprint_sha256() + "profile"),
                     indent) +
              in_xml("PayloadType", "Configuration", indent) + in_xml("PayloadUUID", uuid_of(all + "profile"), indent) +
              "  <key>PayloadVersion</key>\n  <integer>1</integer>\n</dict>\n</plist>\n",
          false,
          "On the iPhone or iPad: open " + printable(file.native()) +
              ", install it in Settings, General, VPN & Device Management, and switch it "
              "on in\nSettings, General, About, Certificate Trust Settings. On a Mac: open it.\n"};
}

}  // namespace

RootExport export_roots(const std::string& format, const std::vector<Certificate>& roots,
                        const std::optional<Identifier>& broker, const fs::path& place) {
  if (format.empty() || format == "pem") return as_pem(roots, broker, file_at(place, "root.pem"));
  if (format == "der") return {file_at(place, "root.der"), roots.front().der(), true, ""};
  if (format == "mobileconfig") return as_mobileconfig(roots, file_at(place, "root.mobileconfig"));
  if (format == "android") {
    const fs::path file = file_at(place, "root.crt");
    return {file, roots.front().der(), true,
            "On the phone: Settings, Security, Encryption & credentials, Install a certificate, CA certificate: " +
                printable(file.native()) + "\n"};
  }
  const std::vector<std::string> words = {"pem", "der", "tasmota", "mobileconfig", "android"};
  const std::string meant = nearest(format, words);
  throw Error(Remedy::ask_operator, "--format: '" + printable(format, 80) + "' is not one of " + join(words) +
                                        (meant.empty() ? "" : ": did you mean '" + meant + "'?"));
}

}  // namespace acme_agent
