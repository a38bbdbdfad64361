"""Real TLS clients as devices and people use them, each trusting one root and checking one name; tests/e2e/clients holds the
sources of those that no package has."""

import pathlib
import threading

from support import programs

SOURCES = pathlib.Path(__file__).resolve().parents[1] / "clients"
_COMPILED = {"mbedtls": ["-lmbedtls", "-lmbedx509", "-lmbedcrypto"], "mbedtls_verify": ["-lmbedx509", "-lmbedcrypto"],
             "wolfssl": ["-lwolfssl"], "bearssl": ["-lbearssl"]}
_MOSQUITTO = """set -e
own=${4:+--cert $4 --key $5}
mosquitto_pub -h "$1" -p "$2" --cafile "$3" $own -t matrix -m hello -r
test "$(mosquitto_sub -h "$1" -p "$2" --cafile "$3" $own -t matrix -C 1 -W 10)" = hello
"""
_lock = threading.Lock()


class Client:
    """`no_root` and `no_name` are what it says (as regular expressions) when that is why it refuses; `only_rsa` takes no
    elliptic key of a server."""

    def __init__(self, name, no_root, no_name, arguments, only_rsa=False):
        self.name = name
        self.no_root = no_root
        self.no_name = no_name
        self.only_rsa = only_rsa
        self._arguments = arguments  # of (folder of the programs, port, name, root)

    def connect(self, case, port, root, name="mydyn.example", own=()):
        """Exit code, 0 if all is well, and what it said; `root` may be what else the client knows the broker by. `own` are the
        files of certificate and key that it shows, for those that end here without options: mosquitto, Mbed TLS, BearSSL (DER
        and the key's octets), mqtt.js."""
        hosts = case.folder / "hosts"
        hosts.write_text(f"127.0.0.1 {name}\n")
        return programs.run([*self._arguments(compiled(case.run_folder), port, name, root), *own], env=programs.environment(
            LD_PRELOAD="libnss_wrapper.so", NSS_WRAPPER_HOSTS=hosts, NODE_PATH="/usr/share/nodejs"))


def compiled(run_folder):
    """The folder with the clients that are made from source here, once a run."""
    folder = run_folder / "clients"
    with _lock:
        if not folder.exists():
            folder.mkdir()
            for name, libraries in _COMPILED.items():
                code, output = programs.run(["cc", "-O1", "-o", folder / name, SOURCES / f"{name}.c", *libraries])
                assert code == 0, output
    return folder


def _of_source(name):
    return lambda folder, port, host, root: [folder / name, "127.0.0.1", port, host, root]


TASMOTA = Client("BearSSL as Tasmota", "BearSSL error 62$", "BearSSL error 56$", _of_source("bearssl"), only_rsa=True)

CLIENTS = [
    Client("OpenSSL", "self-signed certificate in certificate chain|unable to get local issuer", "hostname mismatch",
           lambda _, port, name, root: [
               "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name, "-verify_hostname", name,
               "-verify_return_error", "-CAfile", root, "-no-CApath", "-no-CAstore"]),
    Client("GnuTLS", "issuer is unknown", "name in the certificate does not match",
           lambda _, port, name, root: [
               "gnutls-cli", "--port", port, "--sni-hostname", name, "--verify-hostname", name, "--x509cafile", root, "127.0.0.1"]),
    # It says nothing more; that the same words with the right root and name are taken shows what it does not like.
    Client("mosquitto_pub and mosquitto_sub", "A TLS error occurred", "A TLS error occurred",
           lambda _, port, name, root: ["sh", "-c", _MOSQUITTO, "sh", name, port, root]),
    Client("Mbed TLS", "not correctly signed by the trusted CA", "does not match with the expected CN", _of_source("mbedtls")),
    Client("wolfSSL", "ASN no signer error|certificate verify failed", "subject name mismatch", _of_source("wolfssl")),
    TASMOTA,
    Client("mqtt.js", "SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_", "ERR_TLS_CERT_ALTNAME_INVALID",
           lambda _, port, name, root: ["node", SOURCES / "node.js", "127.0.0.1", port, name, root]),
]
