// Tasmota over TLS to mydyn.example; into tasmota/user_config_override.h of its sources.
#pragma once

#ifndef USE_MQTT_TLS
#define USE_MQTT_TLS  // in the ready-made tasmota32 already
#endif
#ifndef USE_MQTT_TLS_CA_CERT
#define USE_MQTT_TLS_CA_CERT  // knows ISRG Root X1; away with it where fingerprints are to do, for a firmware that is smaller
#endif

#undef MQTT_TLS_ENABLED
#define MQTT_TLS_ENABLED true

// The very name that is in the certificate; an address would not do.
#undef MQTT_HOST
#define MQTT_HOST "mydyn.example"
#undef MQTT_PORT
#define MQTT_PORT 8883

// false: the root is looked for; true: the fingerprint of the public key.
#undef MQTT_TLS_FINGERPRINT
#define MQTT_TLS_FINGERPRINT false

// For a broker of our own authority (--server local): 'sudo acme-agent ca export --format tasmota tasmota/include', and
// #define INCLUDE_LOCAL_CERT
