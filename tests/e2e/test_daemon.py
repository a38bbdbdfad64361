"""The agent as a daemon: it ends when told to, at once and cleanly, and a restart goes on where it was."""

import json
import os
import pathlib
import shutil
import signal
import socket
import time
from datetime import datetime, timedelta

from support import agent as the_agent
from support import programs, tls
from support.agent import EXIT_BAD, EXIT_GOOD, EXIT_USAGE
from support.case import Case, ServedCase


def silent_port(case):
    """A port that takes connections and never says a word."""
    listener = socket.create_server(("127.0.0.1", 0))
    case.addCleanup(listener.close)
    return listener.getsockname()[1]


class Stop(ServedCase):
    """SIGTERM ends it within a second, whatever it is doing."""

    def check(self, daemon):
        self.assertTrue(daemon.running, "it ended by itself")
        began = time.monotonic()
        daemon.send(signal.SIGTERM)
        code = daemon.wait(10)
        took = time.monotonic() - began
        self.assertEqual(code, 0, daemon.output())
        self.assertLess(took, 1.0)

    def test_while_it_is_idle(self):
        self.serve()
        daemon = self.me.start()
        self.me.wait_until_valid()
        self.check(daemon)

    def test_while_the_server_does_not_answer(self):
        port = silent_port(self)
        daemon = self.me.start(server=f"https://localhost:{port}/dir", probe="none", reload="none")
        self.eventually(lambda: has_connection_to(port), 15, "a connection to the server")
        self.check(daemon)

    def test_while_the_server_s_packets_get_lost(self):
        # 192.0.2.0/24 is for documentation: nobody answers there, where a route to it exists at all
        daemon = self.me.start(server="https://192.0.2.1/dir", probe="none", reload="none")
        self.eventually(lambda: (self.me.cert_dir / "fullchain.pem").exists(), 15, "the placeholder")
        time.sleep(0.5)
        self.check(daemon)

    def test_while_it_waits_for_a_validation(self):
        ca = self.pebble(nosleep=False, sleep_seconds=30, always_valid=True, authz_reuse=0)
        daemon = self.me.start(server=ca.url, http_listen=f"127.0.0.1:{ca.http_port}", probe="none", reload="none")
        self.eventually(lambda: ca.count("POST /chalZ/"), 20, "the challenge being answered")
        self.check(daemon)
        self.assertFalse(programs.listens(ca.http_port))

    def test_while_it_waits_after_a_failure(self):
        daemon = self.me.start(server=f"https://localhost:{programs.free_port()}/dir", probe="none", reload="none")
        self.me.wait_until(lambda s: s["failures"] == 1, what="a first failure")
        self.check(daemon)

    def test_while_a_probe_is_under_way(self):
        self.serve()
        port = silent_port(self)
        daemon = self.me.start(probe=f"127.0.0.1:{port}", probe_timeout="60s")
        self.eventually(lambda: has_connection_to(port), 15, "a look at the port")
        self.check(daemon)

    def test_while_a_command_reloads_the_broker(self):
        mark = self.folder / "mark"
        daemon = self.me.start(probe="none", reload=f"command:sh -c 'touch {mark}; sleep 60'")
        self.eventually(mark.exists, 20, "the command")
        self.check(daemon)
        self.assertEqual([s for s in programs.survivors() if str(mark) in s[1]], [], "the command outlived it")

    def test_by_interrupt_as_well(self):
        daemon = self.me.start(probe="none", reload="none")
        self.me.wait_until_valid()
        daemon.send(signal.SIGINT)
        self.assertEqual(daemon.wait(10), 0)


def has_connection_to(port):
    """Somebody has connected to this port of ours."""
    wanted = f":{port:04X} "
    with open("/proc/net/tcp") as table:
        return any(line.split()[2].endswith(wanted.strip()) and line.split()[3] == "01" for line in table.readlines()[1:])


class Once(Case):
    def test_sigterm_ends_a_single_run_within_a_second_too(self):
        port = silent_port(self)
        me = self.agent(self.pebble(), server=f"https://localhost:{port}/dir")
        once = me.start("--once")
        self.eventually(lambda: has_connection_to(port), 15, "a connection to the server")
        began = time.monotonic()
        once.send(signal.SIGTERM)
        once.wait(10)
        self.assertLess(time.monotonic() - began, 1.0)


class Hup(Case):
    def config(self, *names, extra=""):
        path = self.folder / "agent.conf"
        reload = "" if "reload" in extra else "reload = none\n"
        path.write_text(f"server = {self.ca.url}\nca-bundle = {self.ca.ca_bundle}\nhttp-listen = 127.0.0.1:{self.ca.http_port}\n"
                        f"state-dir = {self.folder}/state\n{reload}probe = none\n{extra}\n" +
                        "".join(f"[{name}]\n" for name in names))
        return path

    def setUp(self):
        super().setUp()
        self.ca = self.pebble()
        self.me = self.agent(name="one.example", domain=None, cert_dir=None, reload=None, probe=None, state_dir=None,
                             config=self.folder / "agent.conf")

    def live(self, name):
        return self.folder / "state/live" / name / "fullchain.pem"

    def test_a_section_more_is_a_certificate_more(self):
        self.config("one.example")
        daemon = self.me.start()
        self.me.wait_until_valid()
        leaf = tls.sha256_of(self.live("one.example"))
        self.config("one.example", "two.example", extra="ca-key-type = ec256")
        daemon.send(signal.SIGHUP)
        self.eventually(lambda: self.live("two.example").exists(), 20, "the second certificate")
        self.eventually(lambda: "BEGIN CERTIFICATE" in self.live("two.example").read_text(), 5, "a file with a certificate")
        self.assertEqual(tls.sha256_of(self.live("one.example")), leaf)
        self.assert_one_sentence(daemon.output(), "ca-key-type", "with a restart only")
        self.assertTrue(daemon.running)

    def test_a_bundle_that_was_replaced_in_its_place_is_read_again(self):
        bundle = self.folder / "bundle.pem"
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", bundle)
        self.config("one.example").write_text(self.config("one.example").read_text().replace(str(self.ca.ca_bundle), str(bundle)))
        daemon = self.me.start()
        daemon.wait_for_output("next try at")
        shutil.copy(self.ca.ca_bundle, bundle)
        daemon.send(signal.SIGHUP)
        self.me.wait_until_valid()

    def test_a_bad_file_is_reported_and_the_old_one_stays(self):
        self.config("one.example")
        daemon = self.me.start()
        self.me.wait_until_valid()
        good = self.config("one.example").read_text()
        self.config("one.example", extra="key-typ = ec256")
        daemon.send(signal.SIGHUP)
        daemon.wait_for_output("key-typ")
        self.assertTrue(daemon.running)
        (self.folder / "agent.conf").write_text(good)
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertTrue(daemon.running)

    def rights_of(self, program):
        """What /proc says of them, by name; of a thread that runs since the start and of all others the same."""
        found = {path.read_text().split("CapInh:")[1].split("Cpus_allowed:")[0]
                 for path in pathlib.Path(f"/proc/{program.pid}/task").glob("*/status")}
        self.assertEqual(len(found), 1, found)
        return dict(line.split(":\t") for line in ("CapInh:" + found.pop()).splitlines() if ":\t" in line)

    def test_it_gives_up_what_it_does_not_need_and_says_so_where_a_new_configuration_needs_it(self):
        self.config("one.example", extra="log-level = debug")
        daemon = self.me.start()
        self.me.wait_until_valid()
        rights = self.rights_of(daemon)
        self.assertEqual((rights["NoNewPrivs"], rights["Seccomp"]), ("1", "2"))
        # CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
        self.assertEqual({int(rights[kind], 16) for kind in ("CapPrm", "CapEff", "CapBnd")}, {0b1111})
        elsewhere = self.folder / "elsewhere"
        program = f"reload = command:/bin/touch {elsewhere}/touched"
        wanted = {"it has to start programs": program, "it has to signal processes": "reload = process:mosquitto",
                  "it has to listen on a port below 1024": "challenge = tls-alpn-01\nalpn-listen = 127.0.0.1:443"}
        if "writing outside its folders" in daemon.output():
            wanted[f"it has to write in {elsewhere}"] = f"deploy = {elsewhere}"
        for sentence, setting in wanted.items():
            self.config("one.example", extra=setting)
            daemon.send(signal.SIGHUP)
            daemon.wait_for_output(f"{sentence}, which this process has given up: restart it")
        self.assertFalse(elsewhere.exists())

        daemon.stop()
        self.config("one.example", extra=f"deploy = {elsewhere}\n{program}\nlog-level = debug")
        daemon = self.me.start()
        self.eventually((elsewhere / "touched").exists, 20, "the trace of the program")
        self.assertIn("no rights are given up", daemon.output())
        self.assertEqual(self.rights_of(daemon)["NoNewPrivs"], "0")


class Control(ServedCase):
    def test_renew_is_done_by_the_running_agent_whose_options_count(self):
        self.serve()
        daemon = self.me.start()
        self.me.wait_until_valid()
        leaf = self.me.leaf()
        # nothing but the name and where the agent's state is
        code, output = programs.run([self.agent_path, "renew", "mydyn.example", "--force", "--state-dir", self.me.state,
                                     "--config", self.me.empty_config], env=the_agent.agent_environment())
        self.assertEqual(code, 0, output)
        self.assertNotEqual(self.me.leaf(), leaf)
        self.assert_served()
        self.assertTrue(daemon.running)

    def test_renew_of_an_unknown_name_is_a_wrong_usage(self):
        self.serve()
        daemon = self.me.start()
        self.me.wait_until_valid()
        code, output = self.me.run("renew", "other.example", "--force")
        self.assertEqual(code, EXIT_USAGE, output)
        self.assert_one_sentence(output, "other.example")
        self.assertTrue(daemon.running)

    def test_renew_tells_its_caller_when_it_failed(self):
        self.serve()
        daemon = self.me.start()
        self.me.wait_until_valid()
        self.ca.stop()
        code, output = self.me.renew("--force")
        self.assertEqual(code, EXIT_BAD, output)
        self.assert_one_sentence(output, f"localhost:{self.ca.port}")
        self.assertTrue(daemon.running)

    def test_the_control_socket_is_its_owner_s_alone_and_goes_with_the_agent(self):
        self.serve()
        daemon = self.me.start()
        self.me.wait_until_valid()
        self.assertEqual(oct((self.me.state / "control.sock").stat().st_mode & 0o777), "0o600")
        self.me.user = "nobody"
        code, output = self.me.renew()
        self.me.user = None
        self.assertEqual(code, EXIT_USAGE, output)
        self.assert_one_sentence(output, "may not ask the agent", "run this as root")
        daemon.send(signal.SIGKILL)
        daemon.wait()
        code, output = self.me.renew("--force")  # a socket that nobody listens at is no hindrance
        self.assertEqual(code, 0, output)
        again = self.me.start()
        self.me.wait_until_valid()
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertTrue(again.running)


class Status(ServedCase):
    def test_status_as_json_has_every_field_of_the_contract(self):
        leaf = self.serve()
        for running in (False, True):
            if running:
                self.me.start()
                self.me.wait_until_valid()
            code, output = self.me.run("status", "--json")
            self.assertEqual(code, 0, output)
            document = json.loads(output)
            self.assertRegex(document["version"], r"^\d+\.\d+")
            one, = document["certificates"]
            self.assertEqual(one["name"], "mydyn.example")
            self.assertEqual(one["domains"], ["mydyn.example"])
            self.assertEqual(one["server"], self.ca.url)
            self.assertEqual(one["state"], "valid")
            self.assertEqual(one["fingerprint_sha256"].replace(":", "").lower(), leaf)
            self.assertEqual(one["key_type"], "rsa2048")
            self.assertIn("Pebble", one["issuer"])
            self.assertIn("Pebble", one["chain_top"])
            self.assertTrue(one["files"]["fullchain"].endswith("/fullchain.pem"))
            self.assertTrue(os.path.exists(one["files"]["fullchain"]))
            self.assertIn(one["reason"], ("ari", "lifetime", "retry", "missing", "changed", "forced"))
            self.assertEqual((one["failures"], one["last_error"]), (0, None))
            self.assertEqual((one["deploy"]["ok"], one["deploy"]["last_error"]), (True, None))
            self.assertIn("next_attempt", one["deploy"])
            for field in ("not_before", "not_after", "next_attempt", "last_attempt"):
                self.assertRegex(one[field], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            self.assertRegex(one["serial"], r"^[0-9a-fA-F:]+$")
            self.assertLess(one["not_before"], one["next_attempt"])
            self.assertLess(one["next_attempt"], one["not_after"])
            seen = one["served"]
            self.assertTrue(any(look["endpoint"] == f"localhost:{self.mqtt.port}" and look["address"] == "127.0.0.1" and
                                look["ok"] and look["checked"] and look["detail"] == "" for look in seen), seen)

    def test_status_for_people_names_what_matters(self):
        self.serve()
        code, output = self.me.run("status")
        self.assertEqual(code, 0, output)
        for word in ("mydyn.example", "valid", f"localhost:{self.mqtt.port}", f"no agent runs on {self.me.state} now"):
            self.assertIn(word, output)
        self.me.start()
        self.me.wait_until_valid()
        self.assertIn(f"an agent runs on {self.me.state}\n", self.me.run("status")[1])

    def test_status_needs_no_lock_and_tells_the_state_by_its_exit_code(self):
        self.ca.stop()
        self.assertEqual(self.me.once()[0], EXIT_BAD)
        code, output = self.me.run("status")
        self.assertEqual(code, EXIT_BAD, output)
        self.assertIn(f"localhost:{self.ca.port}", output)

    def test_before_anything_was_done_it_says_that_nothing_is_there(self):
        code, output = self.me.run("status", "--json")
        self.assertEqual(code, EXIT_BAD, output)
        self.assertEqual(json.loads(output)["certificates"][0]["state"], "missing")

    def test_a_health_check_is_one_line_and_fails_where_there_is_nothing_to_look_after(self):
        code, output = programs.run([self.agent_path, "status", "--check", f"--state-dir={self.me.state}"],
                                    env=the_agent.agent_environment())
        self.assertEqual((code, output), (EXIT_BAD, f"no certificate in {self.me.state}\n"))
        self.serve()
        self.assertEqual(self.me.run("status", "--check"), (0, "ok\n"))


class Restart(Case):
    def crash(self, ca, moment):
        """An agent that is killed once the server has seen `moment`, and the run after it."""
        me = self.agent(ca)
        daemon = me.start()
        self.eventually(lambda: ca.count(moment), 20, moment)
        daemon.send(signal.SIGKILL)
        daemon.wait()
        self.assertEqual(ca.orders(), 1)
        code, output = me.once()
        self.assertEqual(code, 0, output)
        self.assertEqual(me.status()["state"], "valid")
        self.assertEqual(ca.count("POST /sign-me-up"), 1, "another account was made")
        return me

    def test_an_order_that_was_finalized_before_a_crash_is_picked_up_and_not_made_again(self):
        ca = self.pebble(version="newest", retry_after=5)  # five seconds between finalize and certificate
        me = self.crash(ca, "POST /finalize-order/")
        self.assertEqual(ca.orders(), 1, "another order was made")
        self.assertEqual(ca.count("POST /finalize-order/"), 1)
        self.assertEqual(me.leaf(), me.held_leaf())

    def test_a_crash_while_the_server_validates_costs_an_order_at_most(self):
        ca = self.pebble(nosleep=False, sleep_seconds=4, always_valid=True, authz_reuse=0)
        self.crash(ca, "POST /chalZ/")
        self.assertLessEqual(ca.orders(), 2)

    def test_a_daemon_that_starts_again_does_not_ask_for_a_certificate_that_it_has(self):
        ca = self.pebble()
        me = self.agent(ca)
        for _ in range(3):
            daemon = me.start()
            me.wait_until_valid()
            daemon.send(signal.SIGTERM)
            self.assertEqual(daemon.wait(), 0)
        self.assertEqual(ca.orders(), 1)


class Ladder(Case):
    def setUp(self):
        super().setUp()
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        listener.close()  # refused from now on
        self.me = self.agent(self.pebble(), server=f"https://localhost:{self.port}/dir")

    def check_next(self, minutes):
        status = self.me.status()
        wait = datetime.fromisoformat(status["next_attempt"]) - datetime.fromisoformat(status["last_attempt"])
        self.assertGreaterEqual(wait, timedelta(minutes=minutes * 0.75), status)
        self.assertLessEqual(wait, timedelta(minutes=minutes * 1.5), status)
        self.assertEqual(status["reason"], "retry")
        self.assertIn(str(self.port), status["last_error"])

    def test_a_failure_is_followed_by_a_minute_s_wait_that_every_run_keeps_to(self):
        code, output = self.me.once()
        self.assertEqual(code, EXIT_BAD, output)
        self.check_next(1)
        # a listener shows whether the server is asked: it must not be
        with socket.create_server(("127.0.0.1", self.port)) as listener:
            listener.settimeout(0.2)
            code, output = self.me.once()
            self.assertEqual(code, EXIT_BAD, output)
            daemon = self.me.start()
            self.eventually(lambda: (self.me.state / "control.sock").exists(), 10, "the daemon")
            with self.assertRaises(TimeoutError):
                listener.accept()
            daemon.stop()
        self.assert_one_sentence(output, "mydyn.example")
        self.assertEqual(self.me.status()["failures"], 1)

    def test_the_second_failure_is_followed_by_ten_minutes_and_the_third_by_a_hundred(self):
        for failures, minutes in ((1, 1), (2, 10), (3, 100), (4, 1440)):
            code, output = self.me.renew()  # by hand: the wait does not count, the failure does
            self.assertEqual(code, EXIT_BAD, output)
            self.assertEqual(self.me.status()["failures"], failures)
            self.check_next(minutes)

    def test_success_ends_the_ladder(self):
        self.assertEqual(self.me.once()[0], EXIT_BAD)
        ca = self.pebble()
        self.me.use(ca)
        code, output = self.me.once()  # another server: the failures were not with it
        self.assertEqual(code, EXIT_GOOD, output)
        status = self.me.status()
        self.assertEqual((status["failures"], status["last_error"]), (0, None))


class Output(Case):
    def test_version_and_help_need_nothing_and_say_what_they_are_asked(self):
        for words, needle in ((("--version",), r"acme-agent \d+\.\d+"), (("--help",), "--domain"), (("help",), "--domain"),
                              (("help", "renew"), "--force")):
            code, output = programs.run([self.agent_path, *words], env=the_agent.agent_environment())
            self.assertEqual(code, 0, output)
            self.assertRegex(output, needle)

    def test_logs_as_json_are_objects_a_line(self):
        me = self.agent(self.pebble(), log_format="json")
        code, output = me.once()
        self.assertEqual(code, 0, output)
        lines = output.splitlines()
        self.assertTrue(lines)
        for line in lines:
            entry = json.loads(line)
            self.assertLessEqual({"time", "level", "message"}, set(entry))
            datetime.fromisoformat(entry["time"])
        self.assertTrue(any(json.loads(line).get("certificate") == "mydyn.example" for line in lines))

    def test_one_line_is_logged_for_a_renewal_and_quiet_means_none(self):
        me = self.agent(self.pebble())
        code, output = me.once()
        self.assertEqual(code, 0, output)
        code, output = me.run("renew", me.name, "--force", "--quiet")
        self.assertEqual((code, output), (0, ""))

    def test_no_secret_is_told_even_at_the_highest_level(self):
        me = self.agent(self.pebble(), log_level="debug")
        code, output = me.once()
        self.assertEqual(code, 0, output)
        self.assertNotIn("PRIVATE KEY", output)
        for line in (me.cert_dir / "privkey.pem").read_text().splitlines()[1:-1]:
            self.assertNotIn(line, output)


class Modes(Case):
    def test_private_files_are_private_and_the_broker_gets_through_to_its_own(self):
        me = self.agent(self.pebble(), cert_dir=None)
        code, output = programs.run(["sh", "-c", 'umask 0; exec "$@"', "sh", self.agent_path, "--once", *map(str, me.arguments())],
                                    env=the_agent.agent_environment())
        self.assertEqual(code, 0, output)
        for account in (me.state / "accounts").iterdir():
            self.assertEqual(oct(account.stat().st_mode & 0o777), "0o700")
            for file in account.iterdir():
                self.assertEqual(oct(file.stat().st_mode & 0o777), "0o600", file)
        keys = [file for file in me.certificate_state.rglob("*") if file.is_file() and b"PRIVATE KEY" in file.read_bytes()]
        self.assertTrue(keys)
        for file in keys:
            self.assertEqual(oct(file.stat().st_mode & 0o077), "0o0", file)
        for folder in (me.state, me.state / "live", me.state / "live/mydyn.example"):
            self.assertEqual(oct(folder.stat().st_mode & 0o711), "0o711", folder)
        self.assertEqual(oct((me.state / "live/mydyn.example/privkey.pem").stat().st_mode & 0o007), "0o0")
