"""Every way to prove a name, against a real ACME server."""

import signal
import socket
import sys
import time

from support import activate, programs
from support.agent import agent_environment
from support.case import Case
from support.conformance import row


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
        self.ca = self.pebble(version=self.pebble_version, authz_reuse=0, nonce_reject=50)
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
        self.assertEqual(self.ca.orders_made(), 1)

    def test_a_taken_port_is_told_with_what_names_who_holds_it(self):
        with taken_port() as other:
            port = other.getsockname()[1]
            code, output = self.me.once(challenge="tls-alpn-01", alpn_listen=f"127.0.0.1:{port}")
            self.assertEqual(code, 1, output)
            self.assert_one_sentence(output, f"127.0.0.1:{port}", "TLS-ALPN-01", "taken by python3", "--alpn-listen")

    @row("RFC 8738", "addresses by tls-alpn-01")
    def test_an_address_is_proven_by_its_reverse_name(self):
        self.obtain(challenge="tls-alpn-01", domain="127.0.0.1", http_listen=None)


class TlsAlpnWithTheOlderServer(TlsAlpn):
    pebble_version = "debian"
    conformance_server = "Pebble of Debian 12"


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

    def test_links_in_it_and_in_the_state_folder_lead_where_the_agent_may_write(self):
        elsewhere = self.folder / "elsewhere"
        for link in (self.root / ".well-known", self.me.state / "certificates"):
            link.parent.mkdir(exist_ok=True)
            (elsewhere / link.name).mkdir(parents=True)
            link.symlink_to(elsewhere / link.name)
        self.me.start(webroot=self.root, http_listen=None, probe="none", reload="none")
        self.me.wait_until_valid()
        self.assertEqual(list((elsewhere / ".well-known/acme-challenge").iterdir()), [])

    def test_a_missing_folder_is_told_and_the_server_is_told_nothing(self):
        code, output = self.me.once(webroot=self.folder / "nowhere")
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "there is no folder", "nowhere", "--webroot")
        self.assertEqual(self.ca.count("POST /chalZ/"), 0)

    def test_a_folder_where_no_answer_can_be_written_is_told_by_check(self):
        code, output = self.me.run("check", webroot=self.folder / "nowhere")
        self.assertEqual(code, 2, output)
        self.assert_one_sentence(output, "webroot of mydyn.example: there is no folder", "nowhere")
        self.me.allow("nobody")
        code, output = self.me.run("check", webroot=self.root)
        self.assertEqual(code, 2, output)
        self.assert_one_sentence(output, f"cannot write in {self.root}", "permission denied", "let the user")
        self.root.chmod(0o777)
        code, output = self.me.run("check", webroot=self.root)
        self.assertEqual(code, 0, output)


# A program of the kind that lego runs: `present NAME VALUE`.
OF_LEGO = '''#!{python}
import json, sys, urllib.request
action, name, value = sys.argv[1:]
with open("{log}", "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
{then}
path, what = ("set-txt", {{"host": name, "value": value}}) if action == "present" else ("clear-txt", {{"host": name}})
urllib.request.urlopen("http://127.0.0.1:{dns}/" + path, json.dumps(what).encode())
'''

# Two programs as certbot's documentation has them; the second knows the record by what the first has printed.
OF_CERTBOT_AUTH = '''#!/bin/sh
[ "$CERTBOT_REMAINING_CHALLENGES" -ge 0 ] || exit 1
{python} - <<END
import urllib.request
urllib.request.urlopen("http://127.0.0.1:{dns}/set-txt",
                       b'{{"host": "_acme-challenge.$CERTBOT_DOMAIN.", "value": "$CERTBOT_VALIDATION"}}')
END
echo "record of $CERTBOT_DOMAIN"
echo noise >&2
'''
OF_CERTBOT_CLEANUP = '''#!/bin/sh
echo "$CERTBOT_AUTH_OUTPUT among $CERTBOT_ALL_DOMAINS" >> {log}
'''


class DnsHook(ChallengeCase):
    def setUp(self):
        super().setUp()
        self.log = self.folder / "hook-calls"

    def script(self, name, text, then=""):
        path = self.folder / name
        path.write_text(text.format(python=sys.executable, log=self.log, dns=self.ca.dns_management, then=then))
        path.chmod(0o755)
        return path

    def calls(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    def test_a_program_for_lego_sets_and_removes_the_records(self):
        names = ["mydyn.example", "mqtt.mydyn.example"]
        self.obtain(dns_hook=self.script("hook", OF_LEGO), domain=names, http_listen=None)
        calls = [call.split() for call in self.calls()]
        self.assertEqual(sorted((action, name) for action, name, _ in calls),
                         sorted((action, f"_acme-challenge.{name}.") for name in names for action in ("present", "cleanup")))
        self.assertEqual(len({value for _, _, value in calls}), 2)
        self.assertEqual([action for action, _, _ in calls], ["present", "present", "cleanup", "cleanup"])

    @row("RFC 8555 8.4", "dns-01 by a program, a wildcard beside its base")
    def test_a_wildcard_and_its_base_are_proven_side_by_side(self):
        self.obtain(dns_hook=self.script("hook", OF_LEGO), domain=["mydyn.example", "*.mydyn.example"], http_listen=None)
        calls = [call.split() for call in self.calls()]
        self.assertEqual([action for action, _, _ in calls], ["present", "present", "cleanup", "cleanup"])
        self.assertEqual({name for _, name, _ in calls}, {"_acme-challenge.mydyn.example."})

    def test_two_programs_for_certbot_set_and_remove_the_records(self):
        self.obtain(dns_hook=[self.script("auth.sh", OF_CERTBOT_AUTH), self.script("cleanup.sh", OF_CERTBOT_CLEANUP)],
                    domain=["mydyn.example", "mqtt.mydyn.example"])
        self.assertEqual(len(self.calls()), 2)
        for call in self.calls():
            self.assertRegex(call, r"^record of (mqtt\.)?mydyn\.example among (mqtt\.)?mydyn\.example,(mqtt\.)?mydyn\.example$")

    def test_a_program_that_fails_is_told_and_cleans_up_and_the_server_is_told_nothing(self):
        hook = self.script("hook", OF_LEGO, then='if action == "present": sys.exit("the zone is locked")')
        code, output = self.me.once(dns_hook=hook)
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "hook", "present _acme-challenge.mydyn.example.", "exit code 1", "the zone is locked")
        self.assertEqual([call.split()[0] for call in self.calls()], ["present", "cleanup"])
        self.assertEqual(self.ca.count("POST /chalZ/"), 0)

    def test_the_end_of_the_agent_waits_for_records_to_be_removed(self):
        done = self.folder / "done"
        hook = self.script("hook", OF_LEGO, then='import time; time.sleep(2 if action == "cleanup" else 60); '
                                                 f'open("{done}", "w")')
        daemon = self.me.start(dns_hook=hook)
        self.eventually(self.calls, 20, "the program setting a record")
        daemon.send(signal.SIGTERM)
        self.assertEqual(daemon.wait(10), 0)
        self.assertEqual([call.split()[0] for call in self.calls()], ["present", "cleanup"])
        self.assertTrue(done.exists(), "the removal was not waited for")


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
        self.assertEqual(self.ca.orders_made(), 1)

    def test_where_the_server_does_not_get_through_the_next_challenge_does_with_another_order(self):
        output = self.obtain(challenge=["http-01", "tls-alpn-01"], http_listen=f"127.0.0.1:{programs.free_port()}")
        self.assertEqual(self.ca.orders_made(), 2)
        self.assert_one_sentence(output, "mydyn.example by http-01", "trying the next challenge")
        self.assertEqual(self.me.record()["failures"], 0)

    def test_where_no_challenge_does_the_error_tells_of_each(self):
        free = f"127.0.0.1:{programs.free_port()}"
        code, output = self.me.once(challenge=["tls-alpn-01", "http-01"], http_listen=free, alpn_listen=free)
        self.assertEqual(code, 1, output)
        self.assertEqual(self.ca.orders_made(), 2)
        told = next(line for line in output.splitlines() if "next try at" in line)
        self.assertRegex(told, "could not validate mydyn.example by tls-alpn-01: .*; nor mydyn.example by http-01: ")
