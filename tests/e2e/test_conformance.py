"""What RFC 8555 asks of a client, with two independent servers. Further rows of the table stand beside what they are about:
accounts, challenges, DNS, orders, revocation."""

import json
import shutil
import subprocess

from support.caddy import Caddy
from support.case import Case
from support.conformance import row

MANY = [f"n{i}.mydyn.example" for i in range(100)]


def certificates_in(path):
    return path.read_text().count("BEGIN CERTIFICATE")


class Acme:
    """With any server."""

    def begin(self, names=("mydyn.example",), **options):
        self.ca = self.server(list(names))
        self.me = self.agent(self.ca, domain=list(names), name=names[0], **options)

    def obtain(self, **options):
        code, output = self.me.once(**options)
        self.assertEqual(code, 0, output)
        return output

    def names(self):
        text = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", self.me.cert_dir / "cert.pem"],
                              check=True, capture_output=True, text=True).stdout
        return {part.strip().removeprefix("DNS:") for part in text.splitlines()[1].split(",")}

    def account_url(self):
        return json.loads(next((self.me.state / "accounts").glob("*/account.json")).read_text())["url"]

    @row("RFC 8555 7.3", "an account is made, and found again by its key where its URL was lost")
    def test_an_account_is_made_and_found_again_by_its_key(self):
        self.begin()
        self.obtain()
        url = self.account_url()
        next((self.me.state / "accounts").glob("*/account.json")).unlink()
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertEqual(self.account_url(), url)

    @row("RFC 8555 7.4", "an order of one name")
    def test_an_order_of_one_name(self):
        self.begin()
        self.obtain()
        self.assertEqual(self.names(), {"mydyn.example"})

    @row("RFC 8555 7.4", "an order of 10 names")
    def test_an_order_of_ten_names(self):
        self.begin(MANY[:10])
        self.obtain()
        self.assertEqual(self.names(), set(MANY[:10]))

    @row("RFC 8555 7.4", "an order of 100 names")
    def test_an_order_of_a_hundred_names(self):
        self.begin(MANY)
        self.obtain(seconds=120)
        self.assertEqual(self.names(), set(MANY))

    @row("RFC 8555 7.4", "renewal with the same key")
    def test_renewal_with_the_same_key(self):
        self.begin()
        self.obtain()
        key, leaf = (self.me.cert_dir / "privkey.pem").read_bytes(), self.me.leaf()
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertNotEqual(self.me.leaf(), leaf)
        self.assertEqual((self.me.cert_dir / "privkey.pem").read_bytes(), key)

    @row("RFC 8555 7.4", "keys of RSA 2048 and 4096 bits, P-256 and P-384")
    def test_each_kind_of_key(self):
        self.begin()
        for kind in ("rsa2048", "rsa4096", "ec256", "ec384"):
            self.obtain(key_type=kind)
            text = subprocess.run(["openssl", "x509", "-noout", "-text", "-in", self.me.cert_dir / "cert.pem"], check=True,
                                  capture_output=True, text=True).stdout
            size, curve = kind[-4:] if kind.startswith("rsa") else kind[-3:], kind.startswith("ec")
            self.assertIn(f"Public-Key: ({size} bit)", text)
            self.assertEqual("id-ecPublicKey" in text, curve)

    @row("RFC 8555 7.6", "a certificate is revoked by the account's key")
    def test_revocation_by_the_account(self):
        self.begin()
        self.obtain()
        code, output = self.me.run("revoke", self.me.name, "--reason", "superseded")
        self.assertEqual(code, 0, output)

    @row("RFC 8555 7.6", "a certificate is revoked by its own key")
    def test_revocation_by_the_certificates_key(self):
        self.begin()
        self.obtain()
        shutil.rmtree(self.me.state / "accounts")
        code, output = self.me.run("revoke", self.me.name)
        self.assertEqual(code, 0, output)

    @row("RFC 8555 8.3", "http-01")
    def test_http_01(self):
        self.begin(MANY[:3])
        self.obtain(challenge="http-01", alpn_listen=None)

    @row("RFC 8737", "tls-alpn-01")
    def test_tls_alpn_01(self):
        self.begin(MANY[:3])
        self.obtain(challenge="tls-alpn-01", http_listen=None)


class WithPebble(Acme, Case):
    conformance_server = "newest Pebble"

    def server(self, names, **options):
        return self.pebble(version="newest", nonce_reject=50, authz_reuse=0, **options)

    @row("RFC 8555 6.5", "half of all nonces are refused")
    def test_refused_nonces(self):
        self.begin(MANY[:5])
        self.obtain()
        sent = sum(self.ca.count(f"POST /{what}") for what in ("sign-me-up", "order-plz", "authZ", "chalZ", "finalize-order", "certZ"))
        self.assertGreater(sent, 1 + 1 + 5 + 5 + 1 + 1)

    @row("RFC 8555 7.4.2", "chains with one to three intermediates")
    def test_chains_of_each_length(self):
        for length in (1, 2, 3):
            self.ca = self.pebble(version="newest", nonce_reject=50, intermediates=length)
            self.me = self.agent(self.ca, state_dir=self.folder / f"state-{length}", cert_dir=self.folder / f"certs-{length}")
            self.obtain()
            self.assertEqual(certificates_in(self.folder / f"certs-{length}/fullchain.pem"), 1 + length)
            self.ca.stop()


class WithCaddy(Acme, Case):
    conformance_server = "Caddy"

    def server(self, names):
        return Caddy(self, names)

    def test_what_it_does_not_offer_is_told(self):
        self.begin()
        self.obtain()
        code, output = self.me.run("account", "rollover")
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "the account keeps its key", "does not offer this")
