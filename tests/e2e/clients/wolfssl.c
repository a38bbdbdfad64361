// wolfssl HOST PORT NAME ROOT_PEM
#include <wolfssl/options.h>  // before any other of its headers
#include <wolfssl/ssl.h>

#include "hello.h"

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  wolfSSL_Init();
  WOLFSSL_CTX* context = wolfSSL_CTX_new(wolfSSLv23_client_method());
  if (wolfSSL_CTX_load_verify_locations(context, argv[4], 0) != SSL_SUCCESS) return 2;
  wolfSSL_CTX_set_verify(context, SSL_VERIFY_PEER, 0);
  WOLFSSL* tls = wolfSSL_new(context);
  wolfSSL_UseSNI(tls, WOLFSSL_SNI_HOST_NAME, argv[3], strlen(argv[3]));
  wolfSSL_check_domain_name(tls, argv[3]);
  wolfSSL_set_fd(tls, dial(argv[1], argv[2]));

  if (wolfSSL_connect(tls) != SSL_SUCCESS) {
    char reason[WOLFSSL_MAX_ERROR_SZ];
    puts(wolfSSL_ERR_error_string(wolfSSL_get_error(tls, 0), reason));
    return 1;
  }
  unsigned char answer[sizeof welcome] = {0};
  wolfSSL_write(tls, hello, sizeof hello);
  wolfSSL_read(tls, answer, sizeof answer);
  return judge(answer);
}
