"""Every way to prove a name, against a real ACME server."""

import socket
import sys
import time

from support import activate, programs
from support.agent import agent_environment
from support.case import Case


def taken_port():
    """A listening socket on loopback: the port of somebody else."""
    other = socket.socket()
    other.bind(("127.0.0.1", 0))
    other.listen()
    return other


class ChallengeCase(Case):
    pebble_version = "newest"

    def setUp(self):
        super().setUp()
        self.ca = self.pebble(version=self.pebble_version, authz_reuse=0)
        self.me = self.agent(self.ca, key_type="ec256")

    def obtain(self, **options):
        code, output = self.me.once(**options)
        self.assertEqual(code, 0, output)
        return output


class TlsAlpn(ChallengeCase):
    def test_a_name_is_proven_on_the_port_for_tls_alone(self):
        self.obtain(challenge="tls-alpn-01", http_listen=None)
        self.assertFalse(programs.listens(self.ca.tls_port), "the port is still taken")

    def test_several_names_are_proven_in_one_order(self):
        names = [f"{letter}.mydyn.example" for letter in "abcde"]
        self.obtain(challenge="tls-alpn-01", domain=names)
        self.assertEqual(self.ca.orders(), 1)

    def test_a_taken_port_is_told_with_who_holds_it(self):
        with taken_port() as other:
            port = other.getsockname()[1]
            code, output = self.me.once(challenge="tls-alpn-01", alpn_listen=f"127.0.0.1:{port}")
            self.assertEqual(code, 1, output)
            self.assert_one_sentence(output, f"127.0.0.1:{port}", "TLS-ALPN-01", "taken by", "pid", "--alpn-listen")


class TlsAlpnWithTheOlderServer(TlsAlpn):
    pebble_version = "debian"


class Webroot(ChallengeCase):
    def setUp(self):
        super().setUp()
        self.root = self.folder / "html"
        self.root.mkdir()
        self.web = self.program("web", [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", self.root,
                                        self.ca.http_port])
        self.web.wait_for_port(self.ca.http_port)

    def test_a_name_is_proven_through_the_folder_of_a_web_server_without_waiting_for_visits(self):
        began = time.monotonic()
        self.obtain(webroot=self.root, http_listen=None)
        self.assertLess(time.monotonic() - began, 2.5, "somebody waited for a visit")
        self.assertGreaterEqual(self.web.output().count('.well-known/acme-challenge/'), 1)
        self.assertEqual(list((self.root / ".well-known/acme-challenge").iterdir()), [])

    def test_a_missing_folder_is_told_and_the_server_is_told_nothing(self):
        code, output = self.me.once(webroot=self.folder / "nowhere")
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "there is no folder", "nowhere", "--webroot")
        self.assertEqual(self.ca.count("POST /chalZ/"), 0)


class PassedSockets(ChallengeCase):
    def start(self, *sockets, **options):
        arguments = [sys.executable, activate.__file__, *sockets, "--", self.agent_path, *self.me.arguments(**options)]
        daemon = self.program("agent", arguments, env=agent_environment())
        self.eventually(lambda: self.me.is_running() or not daemon.running, 20, "the agent's control socket")
        return daemon

    def get(self, path):
        with socket.create_connection(("127.0.0.1", self.ca.http_port), timeout=5) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: mydyn.example\r\n\r\n".encode())
            return connection.recv(4096)

    def test_http_01_is_answered_on_a_socket_named_so_and_strangers_get_404_all_the_time(self):
        daemon = self.start(f"{self.ca.http_port},http-01", http_listen=None)
        self.me.wait_until_valid()
        self.assertTrue(self.get("/.well-known/acme-challenge/stranger").startswith(b"HTTP/1.1 404"))
        self.assertEqual(self.me.renew("--force")[0], 0)
        self.assertTrue(self.get("/").startswith(b"HTTP/1.1 404"))
        self.assertNotIn("no challenge uses", daemon.output())

    def test_tls_alpn_01_is_answered_on_a_socket_of_the_port_that_is_configured(self):
        self.start(f"{self.ca.tls_port}", challenge="tls-alpn-01")
        self.me.wait_until_valid()
        self.assertTrue(programs.listens(self.ca.tls_port))
        self.assertEqual(self.me.renew("--force")[0], 0)

    def test_a_socket_that_no_challenge_uses_is_told(self):
        port = programs.free_port()
        daemon = self.start(f"{port},acme-agent.socket")
        self.me.wait_until_valid()
        self.assert_one_sentence(daemon.output(), "no challenge uses", f"port {port}", "FileDescriptorName=")


class Several(ChallengeCase):
    def test_where_a_port_is_taken_the_next_challenge_does_within_the_same_order(self):
        with taken_port() as other:
            self.obtain(challenge=["http-01", "tls-alpn-01"], http_listen=f"127.0.0.1:{other.getsockname()[1]}")
        self.assertEqual(self.ca.orders(), 1)

    def test_where_the_server_does_not_get_through_the_next_challenge_does_with_another_order(self):
        output = self.obtain(challenge=["http-01", "tls-alpn-01"], http_listen=f"127.0.0.1:{programs.free_port()}")
        self.assertEqual(self.ca.orders(), 2)
        self.assert_one_sentence(output, "mydyn.example by http-01", "trying the next challenge")
        self.assertEqual(self.me.record()["failures"], 0)

    def test_where_no_challenge_does_the_error_tells_of_each(self):
        free = f"127.0.0.1:{programs.free_port()}"
        code, output = self.me.once(challenge=["tls-alpn-01", "http-01"], http_listen=free, alpn_listen=free)
        self.assertEqual(code, 1, output)
        self.assertEqual(self.ca.orders(), 2)
        self.assert_one_sentence(output, "by tls-alpn-01", "by http-01", "next try at")
