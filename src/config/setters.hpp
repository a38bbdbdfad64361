#pragma once

#include <acme_agent/config/configuration.hpp>

#include "layer.hpp"

namespace acme_agent {

/// Each checks one value and lays it over what is there; throws Error with what is wrong with it, without its place.
void set_domain(const Setting& setting, CertificateSettings& certificate);
void set_name(const Setting& setting, CertificateSettings& certificate);
void set_key_type(const Setting& setting, CertificateSettings& certificate);
void set_reuse_key(const Setting& setting, CertificateSettings& certificate);
void set_key_file(const Setting& setting, CertificateSettings& certificate);
void set_csr(const Setting& setting, CertificateSettings& certificate);
void set_profile(const Setting& setting, CertificateSettings& certificate);
void set_preferred_chain(const Setting& setting, CertificateSettings& certificate);
void set_for(const Setting& setting, CertificateSettings& certificate);
void set_device_trust(const Setting& setting, CertificateSettings& certificate);
void set_max_chain_bytes(const Setting& setting, CertificateSettings& certificate);
void set_placeholder(const Setting& setting, CertificateSettings& certificate);
void set_server(const Setting& setting, CertificateSettings& certificate);
void set_ca_bundle(const Setting& setting, CertificateSettings& certificate);
void set_email(const Setting& setting, CertificateSettings& certificate);
void set_eab_kid(const Setting& setting, CertificateSettings& certificate);
void set_eab_hmac_key_file(const Setting& setting, CertificateSettings& certificate);
void set_challenge(const Setting& setting, CertificateSettings& certificate);
void set_http_listen(const Setting& setting, CertificateSettings& certificate);
void set_webroot(const Setting& setting, CertificateSettings& certificate);
void set_alpn_listen(const Setting& setting, CertificateSettings& certificate);
void set_dns_update(const Setting& setting, CertificateSettings& certificate);
void set_dns_tsig_file(const Setting& setting, CertificateSettings& certificate);
void set_dns_hook(const Setting& setting, CertificateSettings& certificate);
void set_broker(const Setting& setting, CertificateSettings& certificate);
void set_cert_dir(const Setting& setting, CertificateSettings& certificate);
void set_owner(const Setting& setting, CertificateSettings& certificate);
void set_mode(const Setting& setting, CertificateSettings& certificate);
void set_deploy(const Setting& setting, CertificateSettings& certificate);
void set_reload(const Setting& setting, CertificateSettings& certificate);
void set_probe(const Setting& setting, CertificateSettings& certificate);
void set_probe_timeout(const Setting& setting, CertificateSettings& certificate);
void set_restart_window(const Setting& setting, CertificateSettings& certificate);

void set_state_dir(const Setting& setting, Configuration& configuration);
void set_workers(const Setting& setting, Configuration& configuration);
void set_log_level(const Setting& setting, Configuration& configuration);
void set_log_format(const Setting& setting, Configuration& configuration);
void set_mqtt(const Setting& setting, Configuration& configuration);
void set_mqtt_password_file(const Setting& setting, Configuration& configuration);
void set_alert(const Setting& setting, Configuration& configuration);
void set_status_listen(const Setting& setting, Configuration& configuration);
void set_ca_key_type(const Setting& setting, Configuration& configuration);
void set_ca_name_constraint(const Setting& setting, Configuration& configuration);
void set_ca_passphrase_file(const Setting& setting, Configuration& configuration);
void set_quiet(const Setting& setting, Configuration& configuration);

/// The A-labels of a name as it is written in its own letters (RFC 5891), or of a certificate's name; all else stays as
/// it is.
std::string to_a_labels(std::string_view text);

/// What is wrong with the name of a certificate; empty if nothing is.
std::string_view broken_rule_of_name(std::string_view name);

}  // namespace acme_agent
