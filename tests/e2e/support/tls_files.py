"""Keys and certificates that the test itself makes: Pebble's own HTTPS, and what "somebody else" puts in the broker's folder."""

import threading

from support import programs

_lock = threading.Lock()


def openssl(*arguments):
    code, output = programs.run(["openssl", *arguments])
    assert code == 0, output
    return output


def server_files(folder):
    """A CA and a certificate for localhost, made once a run: bundle, certificate, key."""
    ca, ca_key = folder / "ca.pem", folder / "ca.key"
    certificate, key, request = folder / "localhost.pem", folder / "localhost.key", folder / "localhost.csr"
    with _lock:
        if not certificate.exists():
            openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-subj", "/CN=CA of the tests", "-keyout", ca_key, "-out", ca)
            openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
                    "-keyout", key, "-out", request)
            extensions = folder / "localhost.ext"
            extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\n")
            openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "30",
                    "-extfile", extensions, "-out", certificate)
    return ca, certificate, key


def self_signed(folder, name="mydyn.example", kind="rsa2048", stem="foreign"):
    """A pair of somebody else: certificate, key."""
    certificate, key = folder / f"{stem}.pem", folder / f"{stem}.key"
    algorithm = {"rsa2048": ["rsa:2048"], "ec256": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]}[kind]
    openssl("req", "-x509", "-newkey", *algorithm, "-nodes", "-days", "30", "-subj", f"/CN={name}",
            "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", certificate)
    return certificate, key
