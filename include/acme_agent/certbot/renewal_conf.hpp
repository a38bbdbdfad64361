#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace acme_agent {

/// What certbot writes into renewal/NAME.conf.
struct RenewalConf {
  /// By key; a value that is a list has several elements.
  using Values = std::map<std::string, std::vector<std::string>, std::less<>>;

  Values top;       ///< Above the first section.
  Values params;    ///< [renewalparams]
  Values webroots;  ///< [[webroot_map]]: folders by name.

  /// One of `params`, the parts of a list with commas between them; empty if there is none, or certbot's word None.
  std::string param(std::string_view key) const;
};

/// Reads it. Other sections are left aside. Throws Error (ask_operator) that names the line for what is not of this
/// form, for a key given twice, and for control characters.
RenewalConf parse_renewal_conf(std::string_view text);

}  // namespace acme_agent
