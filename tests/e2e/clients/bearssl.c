// bearssl HOST PORT NAME TRUST [CERTIFICATE KEY]: BearSSL set up as Tasmota's: TLS 1.2 with one cipher suite, one curve and one hash, and
// little room. TRUST is a PEM file with the one root, fingerprint:XX XX ... of the server's public key, or built-in for the
// root in the headers of Tasmota's. CERTIFICATE and KEY are what TlsKey2 and TlsKey1 hold: DER, and the 32 octets of a key on
// P-256.
#include <bearssl.h>
#include <stdlib.h>

#include "hello.h"

static int send_some(void* fd, const unsigned char* data, size_t length) {
  return write(*(int*)fd, data, length);
}

static int receive_some(void* fd, unsigned char* data, size_t length) {
  const ssize_t count = read(*(int*)fd, data, length);
  return count > 0 ? (int)count : -1;
}

struct bytes {
  unsigned char data[8192];
  size_t length;
};

static void append(void* to, const void* data, size_t length) {
  struct bytes* bytes = to;
  if (length > sizeof bytes->data - bytes->length) exit(2);
  memcpy(bytes->data + bytes->length, data, length);
  bytes->length += length;
}

// The root: its name and its key are all that a trust anchor is. What `decoder` holds has to outlive it.
static br_x509_trust_anchor read_root(const char* path, br_x509_decoder_context* decoder) {
  static struct bytes certificate, name;
  br_pem_decoder_context pem;
  br_pem_decoder_init(&pem);
  FILE* file = fopen(path, "r");
  if (!file) exit(2);
  for (int c = fgetc(file); c != EOF; c = fgetc(file)) {
    const char byte = (char)c;
    while (br_pem_decoder_push(&pem, &byte, 1) == 0) {
      if (br_pem_decoder_event(&pem) == BR_PEM_BEGIN_OBJ) br_pem_decoder_setdest(&pem, append, &certificate);
    }
  }
  fclose(file);
  br_x509_decoder_init(decoder, append, &name);
  br_x509_decoder_push(decoder, certificate.data, certificate.length);
  const br_x509_pkey* key = br_x509_decoder_get_pkey(decoder);
  if (!key) exit(2);
  return (br_x509_trust_anchor){{name.data, name.length}, BR_X509_TA_CA, *key};
}

// A judge of certificates that looks at the first one's public key only.
struct pinned {
  const br_x509_class* class;
  br_x509_decoder_context leaf;
  int number;
  unsigned char expected[br_sha1_SIZE];
};

static void start_chain(const br_x509_class** me, const char* name) {
  (void)name;
  ((struct pinned*)me)->number = 0;
}

static void start_certificate(const br_x509_class** me, uint32_t length) {
  (void)length;
  struct pinned* pinned = (struct pinned*)me;
  if (pinned->number == 0) br_x509_decoder_init(&pinned->leaf, 0, 0);
}

static void take(const br_x509_class** me, const unsigned char* data, size_t length) {
  struct pinned* pinned = (struct pinned*)me;
  if (pinned->number == 0) br_x509_decoder_push(&pinned->leaf, data, length);
}

static void end_certificate(const br_x509_class** me) {
  ((struct pinned*)me)->number++;
}

static void add_field(br_sha1_context* hash, const void* data, size_t length) {
  const unsigned char size[] = {0, 0, length >> 8, length & 0xFF};
  br_sha1_update(hash, size, sizeof size);
  br_sha1_update(hash, data, length);
}

static unsigned end_chain(const br_x509_class** me) {
  struct pinned* pinned = (struct pinned*)me;
  const br_x509_pkey* key = br_x509_decoder_get_pkey(&pinned->leaf);
  if (!key || key->key_type != BR_KEYTYPE_RSA) return BR_ERR_X509_WRONG_KEY_TYPE;
  br_sha1_context hash;
  br_sha1_init(&hash);
  add_field(&hash, "ssh-rsa", 7);
  add_field(&hash, key->key.rsa.e, key->key.rsa.elen);
  add_field(&hash, key->key.rsa.n, key->key.rsa.nlen);
  unsigned char found[br_sha1_SIZE];
  br_sha1_out(&hash, found);
  return memcmp(found, pinned->expected, sizeof found) == 0 ? 0 : 1;
}

static const br_x509_pkey* key_of(const br_x509_class* const* me, unsigned* usages) {
  if (usages) *usages = BR_KEYTYPE_KEYX | BR_KEYTYPE_SIGN;
  return br_x509_decoder_get_pkey(&((struct pinned*)me)->leaf);
}

static const br_x509_class pinned_class = {
    sizeof(struct pinned), start_chain, start_certificate, take, end_certificate, end_chain, key_of};

#ifdef INCLUDE_LOCAL_CERT
#define PROGMEM
#include "local_ca_data.h"
static const br_x509_trust_anchor built_in =
#include "local_ca_descriptor.h"
    ;
#else
static const br_x509_trust_anchor built_in;
#endif

static struct bytes read_all(const char* path) {
  struct bytes bytes = {.length = 0};
  FILE* file = fopen(path, "rb");
  if (!file) exit(2);
  bytes.length = fread(bytes.data, 1, sizeof bytes.data, file);
  fclose(file);
  return bytes;
}

int main(int argc, char** argv) {
  if (argc != 5 && argc != 7) return 2;
  static br_ssl_client_context client;
  br_ssl_client_zero(&client);
  br_ssl_engine_set_versions(&client.eng, BR_TLS12, BR_TLS12);
  br_ssl_engine_add_flags(&client.eng, BR_OPT_NO_RENEGOTIATION);
  static const uint16_t suite = BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
  br_ssl_engine_set_suites(&client.eng, &suite, 1);
  br_ssl_engine_set_hash(&client.eng, br_sha256_ID, &br_sha256_vtable);
  br_ssl_engine_set_prf_sha256(&client.eng, br_tls12_sha256_prf);
  br_ssl_engine_set_default_aes_gcm(&client.eng);
  br_ssl_engine_set_ec(&client.eng, &br_ec_p256_m15);
  br_ssl_client_set_rsapub(&client, br_rsa_i15_public);
  br_ssl_engine_set_rsavrfy(&client.eng, br_rsa_i15_pkcs1_vrfy);

  static br_x509_decoder_context root_decoder;
  static br_x509_trust_anchor root;
  static br_x509_minimal_context chain;
  static struct pinned pinned = {.class = &pinned_class};
  const char* fingerprint = strncmp(argv[4], "fingerprint:", 12) == 0 ? argv[4] + 12 : 0;
  if (fingerprint) {
    for (size_t i = 0; i < sizeof pinned.expected; i++)
      pinned.expected[i] = (unsigned char)strtoul(fingerprint + 3 * i, 0, 16);
    br_ssl_engine_set_x509(&client.eng, &pinned.class);
  } else {
    root = strcmp(argv[4], "built-in") == 0 ? built_in : read_root(argv[4], &root_decoder);
    br_x509_minimal_init(&chain, &br_sha256_vtable, &root, 1);
    br_x509_minimal_set_hash(&chain, br_sha256_ID, &br_sha256_vtable);
    br_x509_minimal_set_rsa(&chain, br_rsa_i15_pkcs1_vrfy);
    br_ssl_engine_set_x509(&client.eng, &chain.vtable);
  }

  static struct bytes own, own_key;
  static br_x509_certificate own_chain;
  static br_ec_private_key own_ec;
  if (argc == 7) {
    own = read_all(argv[5]);
    own_key = read_all(argv[6]);
    own_chain = (br_x509_certificate){own.data, own.length};
    own_ec = (br_ec_private_key){BR_EC_secp256r1, own_key.data, own_key.length};
    br_ssl_client_set_single_ec(&client, &own_chain, 1, &own_ec, BR_KEYTYPE_SIGN, 0, &br_ec_p256_m15,
                                br_ecdsa_i15_sign_asn1);
  }

  static unsigned char in[1024 + 325], out[1024 + 85];  // BearSSL asks for fragments that fit
  br_ssl_engine_set_buffers_bidi(&client.eng, in, sizeof in, out, sizeof out);
  if (!br_ssl_client_reset(&client, argv[3], 0)) return 2;
  int fd = dial(argv[1], argv[2]);
  br_sslio_context io;
  br_sslio_init(&io, &client.eng, receive_some, &fd, send_some, &fd);
  unsigned char answer[sizeof welcome] = {0};
  br_sslio_write_all(&io, hello, sizeof hello);
  br_sslio_flush(&io);
  br_sslio_read_all(&io, answer, sizeof answer);
  const int error = br_ssl_engine_last_error(&client.eng);
  if (error != 0) {
    printf("BearSSL error %d\n", error);
    return 1;
  }
  return judge(answer);
}
