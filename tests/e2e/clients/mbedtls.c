// mbedtls HOST PORT NAME ROOT_PEM [CERTIFICATE_PEM KEY_PEM]: verifies as ESPHome and ESP-IDF do.
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>

#include "hello.h"

int main(int argc, char** argv) {
  if (argc != 5 && argc != 7) return 2;
  mbedtls_entropy_context entropy;
  mbedtls_ctr_drbg_context random;
  mbedtls_x509_crt root, own;
  mbedtls_pk_context own_key;
  mbedtls_ssl_config config;
  mbedtls_ssl_context tls;
  mbedtls_entropy_init(&entropy);
  mbedtls_ctr_drbg_init(&random);
  mbedtls_x509_crt_init(&root);
  mbedtls_x509_crt_init(&own);
  mbedtls_pk_init(&own_key);
  mbedtls_ssl_config_init(&config);
  mbedtls_ssl_init(&tls);
  mbedtls_net_context connection = {dial(argv[1], argv[2])};
  if (mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, 0, 0) != 0 ||
      mbedtls_x509_crt_parse_file(&root, argv[4]) != 0 ||
      mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                  MBEDTLS_SSL_PRESET_DEFAULT) != 0)
    return 2;
  mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_REQUIRED);
  mbedtls_ssl_conf_ca_chain(&config, &root, 0);
  mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random);
  if (argc == 7 && (mbedtls_x509_crt_parse_file(&own, argv[5]) != 0 ||
                    mbedtls_pk_parse_keyfile(&own_key, argv[6], 0) != 0 ||
                    mbedtls_ssl_conf_own_cert(&config, &own, &own_key) != 0))
    return 2;
  if (mbedtls_ssl_setup(&tls, &config) != 0 || mbedtls_ssl_set_hostname(&tls, argv[3]) != 0) return 2;
  mbedtls_ssl_set_bio(&tls, &connection, mbedtls_net_send, mbedtls_net_recv, 0);

  const int result = mbedtls_ssl_handshake(&tls);
  if (result != 0) {
    char error[200], reason[500] = "";
    mbedtls_strerror(result, error, sizeof error);
    mbedtls_x509_crt_verify_info(reason, sizeof reason, "", mbedtls_ssl_get_verify_result(&tls));
    printf("%s\n%s", error, reason);
    return 1;
  }
  unsigned char answer[sizeof welcome] = {0};
  mbedtls_ssl_write(&tls, hello, sizeof hello);
  mbedtls_ssl_read(&tls, answer, sizeof answer);
  return judge(answer);
}
