// mbedtls_verify ROOTS_PEM CHAIN_PEM [CRL_PEM]: what Mbed TLS says of a chain and of a list of what is revoked.
#include <mbedtls/error.h>
#include <mbedtls/x509_crt.h>
#include <stdio.h>

int main(int argc, char** argv) {
  mbedtls_x509_crt roots, chain;
  mbedtls_x509_crl revoked;
  mbedtls_x509_crt_init(&roots);
  mbedtls_x509_crt_init(&chain);
  mbedtls_x509_crl_init(&revoked);
  char text[500] = "";
  int result = argc < 3 ? -1 : mbedtls_x509_crt_parse_file(&roots, argv[1]);
  if (result == 0) result = mbedtls_x509_crt_parse_file(&chain, argv[2]);
  if (result == 0 && argc > 3) result = mbedtls_x509_crl_parse_file(&revoked, argv[3]);
  if (result != 0) {
    mbedtls_strerror(result, text, sizeof text);
    printf("cannot be read: %s\n", text);
    return 2;
  }
  uint32_t flags = 0;
  if (mbedtls_x509_crt_verify(&chain, &roots, argc > 3 ? &revoked : NULL, NULL, &flags, NULL, NULL) == 0) return 0;
  mbedtls_x509_crt_verify_info(text, sizeof text, "", flags);
  printf("%s", text);
  return 1;
}
