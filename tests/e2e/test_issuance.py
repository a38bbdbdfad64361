"""A certificate from a real ACME server: the first, the next, and none when none is due."""

import socket
import threading

from support import agent as the_agent
from support import programs
from support.case import Case


class Issuing:
    """The tests that hold with every Pebble."""

    pebble_version = None

    def one(self, **options):
        ca = self.pebble(version=self.pebble_version, **options)
        return ca, self.agent(ca)

    def check_files(self, ca, me, names=("mydyn.example",)):
        """What lies in the broker's folder is whole and fits together, seen with OpenSSL's own tools."""
        for file in ("cert.pem", "chain.pem", "fullchain.pem", "privkey.pem", "combined.pem"):
            self.assertTrue((me.cert_dir / file).is_symlink(), file)
            self.assertTrue((me.cert_dir / file).exists(), file)
        full = (me.cert_dir / "fullchain.pem").read_text()
        key = (me.cert_dir / "privkey.pem").read_text()
        self.assertEqual(full, (me.cert_dir / "cert.pem").read_text() + (me.cert_dir / "chain.pem").read_text())
        self.assertEqual(key + full, (me.cert_dir / "combined.pem").read_text())
        self.assertIn("BEGIN PRIVATE KEY", key)
        code, output = programs.run(["openssl", "verify", "-CAfile", ca.root(), "-untrusted", me.cert_dir / "chain.pem",
                                     me.cert_dir / "cert.pem"])
        self.assertEqual(code, 0, output)
        _, of_key = programs.run(["openssl", "pkey", "-in", me.cert_dir / "privkey.pem", "-pubout"])
        self.assertEqual(of_key, the_agent.public_key(me.cert_dir / "cert.pem"))
        _, text = programs.run(["openssl", "x509", "-in", me.cert_dir / "cert.pem", "-noout", "-ext", "subjectAltName"])
        self.assertEqual(sorted(part.strip().removeprefix("DNS:") for part in text.splitlines()[1].split(",")), sorted(names))
        self.assertEqual((me.cert_dir / "privkey.pem").stat().st_mode & 0o007, 0)

    def test_the_first_certificate_is_issued_and_put_in_place(self):
        ca, me = self.one()
        code, output = me.once()
        self.assertEqual(code, 0, output)
        self.check_files(ca, me)
        self.assertEqual(the_agent.key_kind(me.cert_dir / "cert.pem"), "2048")
        self.assertFalse((me.certificate_state / "pending").exists() and any((me.certificate_state / "pending").iterdir()))

    def test_a_second_run_has_nothing_to_do_and_asks_the_server_nothing(self):
        ca, me = self.one()
        self.assertEqual(me.once()[0], 0)
        before, log = the_agent.contents(me.cert_dir), ca.program.output()
        code, output = me.once()
        self.assertEqual(code, 0, output)
        self.assertEqual(the_agent.contents(me.cert_dir), before)
        self.assertEqual(ca.program.output().count("->"), log.count("->"), "requests that were not needed")

    def test_a_forced_renewal_brings_a_new_certificate_for_the_same_key(self):
        ca, me = self.one()
        self.assertEqual(me.once()[0], 0)
        leaf, key = me.leaf(), the_agent.public_key(me.cert_dir / "cert.pem")
        code, output = me.renew("--force")
        self.assertEqual(code, 0, output)
        self.check_files(ca, me)
        self.assertNotEqual(me.leaf(), leaf)
        self.assertEqual(the_agent.public_key(me.cert_dir / "cert.pem"), key)

    def test_without_reuse_of_the_key_a_renewal_brings_a_new_one(self):
        ca, me = self.one()
        self.assertEqual(me.once()[0], 0)
        key = the_agent.public_key(me.cert_dir / "cert.pem")
        code, output = me.renew("--force", reuse_key="no")
        self.assertEqual(code, 0, output)
        self.check_files(ca, me)
        self.assertNotEqual(the_agent.public_key(me.cert_dir / "cert.pem"), key)

    def test_renew_without_force_leaves_a_young_certificate_alone(self):
        _, me = self.one()
        self.assertEqual(me.once()[0], 0)
        leaf = me.leaf()
        code, output = me.renew()
        self.assertEqual(code, 0, output)
        self.assertEqual(me.leaf(), leaf)

    def test_an_elliptic_curve_key_is_used_where_wanted(self):
        ca, me = self.one()
        for kind, bits in (("ec256", "256"), ("ec384", "384")):
            code, output = me.once(key_type=kind)  # a changed type is a reason to renew
            self.assertEqual(code, 0, output)
            self.check_files(ca, me)
            self.assertEqual(the_agent.key_kind(me.cert_dir / "cert.pem"), bits)

    def test_several_names_stand_in_one_certificate(self):
        ca, me = self.one()
        names = ["mydyn.example", "mqtt.mydyn.example", "xn--mller-kva.example"]
        code, output = me.once(domain=["mydyn.example,mqtt.mydyn.example", "xn--mller-kva.example"])
        self.assertEqual(code, 0, output)
        self.check_files(ca, me, names)

    def test_a_name_more_is_a_reason_to_renew(self):
        ca, me = self.one()
        self.assertEqual(me.once()[0], 0)
        code, output = me.once(domain=["mydyn.example", "mqtt.mydyn.example"])
        self.assertEqual(code, 0, output)
        self.check_files(ca, me, ["mydyn.example", "mqtt.mydyn.example"])

    def test_five_percent_of_rejected_nonces_do_no_harm(self):
        ca, me = self.one(nonce_reject=5)
        self.assertEqual(me.once()[0], 0)
        for _ in range(5):
            code, output = me.renew("--force")
            self.assertEqual(code, 0, output)
        self.check_files(ca, me)

    def test_half_of_the_nonces_rejected_only_costs_time(self):
        ca, me = self.one(nonce_reject=50)
        code, output = me.once()
        self.assertEqual(code, 0, output)
        self.check_files(ca, me)

    def test_a_server_that_takes_its_time_to_validate_is_waited_for(self):
        ca, me = self.one(nosleep=False, sleep_seconds=4)
        code, output = me.once()
        self.assertEqual(code, 0, output)
        self.check_files(ca, me)

    def test_authorizations_that_are_valid_already_need_no_challenge(self):
        ca, me = self.one(authz_reuse=100)
        self.assertEqual(me.once()[0], 0)
        challenges = ca.count("POST /chalZ/")
        # nothing can listen there now: an answer is not even prepared
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", ca.http_port))
            taken.listen()
            code, output = me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertEqual(ca.count("POST /chalZ/"), challenges)

    def test_authorizations_that_are_never_reused_are_answered_each_time(self):
        ca, me = self.one(authz_reuse=0)
        self.assertEqual(me.once()[0], 0)
        challenges = ca.count("POST /chalZ/")
        code, output = me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertGreater(ca.count("POST /chalZ/"), challenges)

    def test_the_account_is_made_once(self):
        ca, me = self.one()
        self.assertEqual(me.once()[0], 0)
        self.assertEqual(me.renew("--force")[0], 0)
        self.assertEqual(ca.count("POST /sign-me-up"), 1)

    def test_an_account_that_the_server_has_forgotten_is_made_anew(self):
        ca, me = self.one()
        self.assertEqual(me.once()[0], 0)
        ca.stop()
        ca.start()  # Pebble keeps everything in memory
        code, output = me.renew("--force")
        self.assertEqual(code, 0, output)
        self.check_files(ca, me)

    def test_a_whole_issuance_uses_few_connections(self):
        ca, me = self.one()
        relay = Relay(ca.port)
        self.addCleanup(relay.close)
        code, output = me.once(server=f"https://localhost:{relay.port}/dir")
        self.assertEqual(code, 0, output)
        self.assertLessEqual(relay.connections, 2)


class IssuingWithDebiansPebble(Issuing, Case):
    pebble_version = "debian"


class IssuingWithTheNewestPebble(Issuing, Case):
    pebble_version = "newest"


class ShortLife(Case):
    def test_a_daemon_renews_a_certificate_that_lives_for_seconds_again_and_again(self):
        ca = self.pebble(lifetime=12)
        me = self.agent(ca)
        daemon = me.start()
        seen = set()

        def three_leaves():
            if (me.cert_dir / "fullchain.pem").exists():
                seen.add(me.leaf())
            return len(seen) >= 4  # the placeholder may be one of them
        self.eventually(three_leaves, 60, "three certificates of twelve seconds")
        self.assertTrue(daemon.running)


class BothFamilies(Case):
    def test_without_an_address_the_answers_are_given_on_ipv6_and_ipv4(self):
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            self.skipTest("no-ipv6")
        ca = self.pebble(ipv6="::1")
        me = self.agent(ca, http_listen=ca.http_port)
        code, output = me.once()
        self.assertEqual(code, 0, output)

    def test_the_responder_listens_only_while_a_challenge_is_pending_and_answers_nothing_else(self):
        ca = self.pebble(nosleep=False, sleep_seconds=3, always_valid=True)
        me = self.agent(ca)
        daemon = me.start()
        self.eventually(lambda: programs.listens(ca.http_port), 20, "the responder")
        with socket.create_connection(("127.0.0.1", ca.http_port), timeout=5) as connection:
            connection.sendall(b"GET /.well-known/acme-challenge/nothing-of-ours HTTP/1.1\r\nHost: evil.example\r\n\r\n")
            answer = connection.recv(4096)
        self.assertTrue(answer.startswith(b"HTTP/1.1 404"), answer)
        self.assertNotIn(b"nothing-of-ours", answer)
        me.wait_until_valid()
        self.eventually(lambda: not programs.listens(ca.http_port), 5, "the port being free again")
        self.assertTrue(daemon.running)


class Relay:
    """Passes bytes on to a port of this machine, and counts connections."""

    def __init__(self, target):
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(("127.0.0.1", self._target))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pass_on(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass
