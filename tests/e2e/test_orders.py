"""What an order may ask for: kinds of names, profiles, another chain, a key or a signing request of the operator's own."""

import ssl
import subprocess

from support.case import Case
from support.conformance import row


def text_of(certificate, *more):
    return subprocess.run(["openssl", "x509", "-in", certificate, "-noout", *more], check=True, capture_output=True,
                          text=True).stdout


class Names(Case):
    @row("RFC 8738", "addresses of both families by http-01")
    def test_an_address_alone_gets_a_certificate(self):
        ca = self.pebble(version="newest", nonce_reject=50)
        me = self.agent(ca, domain=["127.0.0.1", "::1"], name="127.0.0.1")
        code, output = me.once(http_listen=f"{ca.http_port}")
        self.assertEqual(code, 0, output)
        names = text_of(me.cert_dir / "cert.pem", "-ext", "subjectAltName")
        self.assertIn("IP Address:127.0.0.1", names)
        self.assertIn("IP Address:0:0:0:0:0:0:0:1", names)

    @row("RFC 8555 7.1.4", "names of other letters as A-labels")
    def test_a_name_in_its_own_letters_is_sent_in_a_labels(self):
        ca = self.pebble(version="newest", nonce_reject=50)
        me = self.agent(ca, domain="b\u00fccher.example")
        code, output = me.once()
        self.assertEqual(code, 0, output)
        self.assertIn("DNS:xn--bcher-kva.example", text_of(me.cert_dir / "cert.pem", "-ext", "subjectAltName"))


class Profiles(Case):
    def setUp(self):
        super().setUp()
        self.ca = self.pebble(version="newest", lifetime=7776000, nonce_reject=50)
        self.me = self.agent(self.ca)

    @row("draft-ietf-acme-profiles", "a profile by name")
    def test_the_profile_that_is_asked_for_is_the_one_of_the_order(self):
        code, output = self.me.once(profile="default")
        self.assertEqual(code, 0, output)

    def test_a_profile_that_the_server_does_not_have_is_told_with_those_that_it_has(self):
        code, output = self.me.once(profile="shortlived")
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "no profile 'shortlived', but default", "--profile")
        self.assertEqual(self.ca.orders(), 0)

    def test_a_server_without_profiles_orders_by_its_only_way(self):
        code, output = self.agent(self.pebble()).once(profile="shortlived")
        self.assertEqual(code, 0, output)


class Chains(Case):
    @row("RFC 8555 7.4.2", "an alternate chain by the name at its top")
    def test_the_chain_with_the_wanted_name_at_its_top_is_taken(self):
        ca = self.pebble(version="newest", alternate_roots=2, nonce_reject=50)
        tops = [ca.root_name(number) for number in range(3)]
        me = self.agent(ca)
        for top in (tops[2], tops[1]):
            code, output = me.run("renew", me.name, "--force", preferred_chain=top)
            self.assertEqual(code, 0, output)
            last = (me.cert_dir / "chain.pem").read_text().split("-----BEGIN")[-1]
            (self.folder / "last.pem").write_text("-----BEGIN" + last)
            self.assertIn(top, text_of(self.folder / "last.pem", "-issuer"))
        code, output = me.run("renew", me.name, "--force", preferred_chain="ISRG Root X9")
        self.assertEqual(code, 0, output)
        self.assert_one_sentence(output, "offers no chain with 'ISRG Root X9' at its top")


class OwnKey(Case):
    def setUp(self):
        super().setUp()
        self.ca = self.pebble(version="newest")
        self.key_file = self.folder / "own.key"
        self.csr = self.folder / "own.csr"
        self.me = self.agent(self.ca, key_file=self.key_file)
        self.make_key()

    def make_key(self):
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                        self.key_file], check=True, capture_output=True)

    def make_csr(self, *names):
        subprocess.run(["openssl", "req", "-new", "-key", self.key_file, "-subj", "/", "-addext",
                        "subjectAltName=" + ",".join(f"DNS:{name}" for name in names), "-out", self.csr], check=True,
                       capture_output=True)

    def assert_own_key_lies(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.me.cert_dir / "fullchain.pem", self.key_file)

    def test_the_certificate_is_for_the_key_in_the_file_and_for_the_next_one_when_that_changes(self):
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        self.assert_own_key_lies()
        self.assertEqual(self.me.once()[0], 0)
        self.assertEqual(self.ca.orders(), 1)
        self.make_key()
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        self.assert_own_key_lies()
        self.assertEqual(self.ca.orders(), 2)

    def test_a_signing_request_is_sent_as_it_is(self):
        self.make_csr("mydyn.example", "mqtt.mydyn.example")
        code, output = self.me.once(csr=self.csr, domain=["mqtt.mydyn.example", "mydyn.example"])
        self.assertEqual(code, 0, output)
        self.assert_own_key_lies()

    def test_what_does_not_fit_is_told_before_anything_is_done(self):
        self.make_csr("other.example")
        for words, more in (("it is for other.example: give exactly these names as domain", {"csr": self.csr}),
                            ("own.key: there is no such file", {}),
                            ("own.csr: the certificate signing request was made with another key", {"csr": self.csr})):
            if "no such file" in words:
                self.key_file.unlink()
            elif "another key" in words:
                self.make_key()
            code, output = self.me.once(**more)
            self.assertEqual(code, 2, output)
            self.assert_one_sentence(output, words)
        self.assertEqual(self.ca.orders(), 0)
