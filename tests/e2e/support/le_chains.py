"""A hierarchy with the key sizes and the depth of Let's Encrypt's, made once a run: ISRG Root X1 (rsa4096), which has signed
Root YR (rsa4096) and X2 (P-384), and what is below these."""

import threading

from support.tls_files import openssl

_lock = threading.Lock()
_RSA, _LARGE_RSA = ["rsa:2048"], ["rsa:4096"]
_P256, _P384 = (["ec", "-pkeyopt", f"ec_paramgen_curve:{curve}"] for curve in ("P-256", "P-384"))
# Name: its key and who signed it.
_CERTIFICATES = {"X1": (_LARGE_RSA, "X1"), "YR": (_LARGE_RSA, "X1"), "YR1": (_RSA, "YR"), "leaf rsa2048": (_RSA, "YR1"),
                 "X2": (_P384, "X1"), "YE": (_P384, "X2"), "YE1": (_P384, "YE"), "leaf P-256": (_P256, "YE1")}


class Chains:
    def __init__(self, run_folder):
        self._folder = run_folder / "letsencrypt-chains"
        self.root = self._folder / "X1.pem"
        with _lock:
            if not self._folder.exists():
                self._folder.mkdir()
                for name, (key, issuer) in _CERTIFICATES.items():
                    self._make(name, key, issuer)

    def files(self, row):
        """Certificate file and key file of a row like "leaf rsa2048, YR1, YR by X1"."""
        names = [part.split(" by ")[0] for part in row.split(", ")]
        chain = self._folder / f"{'-'.join(names).replace(' ', '-')}.pem"
        chain.write_text("".join((self._folder / f"{name}.pem").read_text() for name in names))
        return chain, self._folder / f"{names[0]}.key"

    def _make(self, name, key, issuer):
        certificate, private, extensions = (self._folder / f"{name}.{end}" for end in ("pem", "key", "ext"))
        leaf = name.startswith("leaf")
        extensions.write_text("basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:mydyn.example\n"
                              if leaf else "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n")
        subject = ["-newkey", *key, "-nodes", "-subj", f"/CN={'mydyn.example' if leaf else 'Like ' + name}", "-keyout", private]
        if name == issuer:
            openssl("req", "-x509", *subject, "-days", "30", "-out", certificate)
        else:
            request = self._folder / f"{name}.csr"
            openssl("req", *subject, "-out", request)
            digest = "-sha384" if name in ("YE", "YE1") else "-sha256"
            openssl("x509", "-req", "-in", request, "-CA", self._folder / f"{issuer}.pem", "-CAkey", self._folder / f"{issuer}.key",
                    digest, "-CAcreateserial", "-days", "30", "-extfile", extensions, "-out", certificate)
        private.chmod(0o644)  # the broker's user reads it
