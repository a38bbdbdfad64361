#include "documents.hpp"

#include <nlohmann/json.hpp>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>

namespace acme_agent {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr int our_version = 1;

Error damaged(const std::string& why) {
  return Error(Remedy::ask_operator, "it is damaged (" + why + "): put it back from a backup");
}

json parse(std::string_view text) {
  json document = json::parse(text, nullptr, false);
  if (!document.is_object()) throw damaged("it is not JSON");
  const auto version = document.find("version");
  if (version == document.end() || !version->is_number_unsigned()) throw damaged("it has no version");
  if (version->get<std::uint64_t>() > our_version)
    throw Error(Remedy::ask_operator, "a newer version of acme-agent has written it: use that one");
  return document;
}

std::string text_in(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) throw damaged("\"" + std::string(name) + "\" is not a text");
  return found->get<std::string>();
}

TimePoint date_in(const json& object, const char* name) {
  const std::optional<TimePoint> date = parse_rfc3339(text_in(object, name));
  if (!date) throw damaged("\"" + std::string(name) + "\" is not a date");
  return *date;
}

const json& list_in(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_array()) throw damaged("\"" + std::string(name) + "\" is not a list");
  return *found;
}

std::string serial_in(const json& object) {
  std::string serial = text_in(object, "serial");
  if (serial.empty() || serial.size() > 40 || serial.find_first_not_of("0123456789abcdef") != std::string::npos)
    throw damaged("\"serial\" is no serial number");
  return serial;
}

std::string name_in(const json& object) {
  std::string name = text_in(object, "name");
  try {
    check_device_name(name);
  } catch (const Error& error) {
    throw damaged(error.message());
  }
  return name;
}

IssuedDevice device_in(const json& object) {
  if (!object.is_object()) throw damaged("a device is not an object");
  IssuedDevice device{serial_in(object),
                      name_in(object),
                      text_in(object, "kind"),
                      text_in(object, "issuer"),
                      {date_in(object, "not_before"), date_in(object, "not_after")}};
  if (object.contains("revoked")) device.revoked = date_in(object, "revoked");
  if (const auto reason = object.find("reason"); reason != object.end()) {
    if (!reason->is_number_unsigned() || reason->get<std::uint64_t>() > 10)  // RFC 5280 5.3.1
      throw damaged("\"reason\" is not a number from 0 to 10");
    device.reason = reason->get<int>();
  }
  return device;
}

std::string written(const ordered_json& document) {
  return document.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string to_json(const AuthorityTerms& terms) {
  ordered_json constraints = ordered_json::array();
  for (const NameConstraint& constraint : terms.name_constraints) constraints.push_back(to_string(constraint));
  return written(
      {{"version", our_version}, {"key_type", to_string(terms.key_type)}, {"name_constraints", constraints}});
}

std::string to_json(const std::vector<IssuedDevice>& devices) {
  ordered_json list = ordered_json::array();
  for (const IssuedDevice& device : devices) {
    ordered_json entry = {{"serial", device.serial},
                          {"name", device.name},
                          {"kind", device.kind},
                          {"issuer", device.issuer},
                          {"not_before", format_rfc3339(device.validity.not_before)},
                          {"not_after", format_rfc3339(device.validity.not_after)}};
    if (device.revoked) entry["revoked"] = format_rfc3339(*device.revoked);
    if (device.reason) entry["reason"] = *device.reason;
    list.push_back(std::move(entry));
  }
  return written({{"version", our_version}, {"devices", list}});
}

AuthorityTerms terms_from_json(std::string_view text) {
  const json document = parse(text);
  AuthorityTerms terms;
  const std::optional<KeyType> key_type = parse_key_type(text_in(document, "key_type"));
  if (!key_type) throw damaged("\"key_type\" is none");
  terms.key_type = *key_type;
  for (const json& constraint : list_in(document, "name_constraints")) {
    if (!constraint.is_string()) throw damaged("\"name_constraints\" is not a list of texts");
    terms.name_constraints.push_back(parse_name_constraint(constraint.get<std::string>()));
  }
  return terms;
}

std::vector<IssuedDevice> devices_from_json(std::string_view text) {
  std::vector<IssuedDevice> devices;
  const json document = parse(text);
  for (const json& entry : list_in(document, "devices")) devices.push_back(device_in(entry));
  return devices;
}

}  // namespace acme_agent
