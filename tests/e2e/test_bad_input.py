"""Bad input gets one sentence (what, where, why, what to do) and its exit code, and what was good stays as it was."""

import os
import shutil
import socket
import ssl
import subprocess
import threading

from support import agent as the_agent
from support import programs, tls_files
from support.agent import EXIT_BAD, EXIT_GOOD, EXIT_NOT_SERVED, EXIT_USAGE
from support.case import Case, ServedCase
from support.skips import skip


class CommandLine(Case):
    """Wrong from the start: 2, nothing was done."""

    def check(self, *needles, words=("--once",), **changes):
        me = self.agent(**changes)
        code, output = me.run(*words)
        self.assertEqual(code, EXIT_USAGE, output)
        self.assert_one_sentence(output, *needles)
        self.assertFalse(me.state.exists() and any(me.state.iterdir()), "something was done all the same")
        self.assertFalse(me.cert_dir.exists())

    def test_no_domain(self):
        self.check("domain", domain=None)

    def test_a_domain_that_is_no_name(self):
        for name in ("my dyn.example", "-x.example", "a..example", "a_b!.example", "x" * 64 + ".example", ".example"):
            with self.subTest(name):
                self.check("domain", name[:40], domain=name)

    def test_an_option_that_does_not_exist_is_answered_with_the_nearest_one(self):
        self.check("domian", "domain", domain=None, domian="mydyn.example")

    def test_a_value_that_makes_no_sense(self):
        for option, value in (("key_type", "rsa1024"), ("workers", "many"), ("mode", "rw-r--r--"), ("probe", "localhost:port"),
                              ("reload", "signal:mosquitto"), ("probe_timeout", "soon"), ("server", "letsencript")):
            with self.subTest(option):
                self.check(option.replace("_", "-"), value, **{option: value})

    def test_a_server_without_https(self):
        self.check("https", server="http://localhost:14000/dir")

    def test_a_name_that_no_challenge_given_can_prove(self):
        for words in (("check",), ("--once",)):
            self.check("*.mydyn.example cannot be proven by http-01", "--challenge dns-01", words=words,
                       domain=["mydyn.example", "*.mydyn.example"])
        self.check("192.0.2.1 cannot be proven by dns-01", "--challenge http-01", domain="192.0.2.1", dns_update="127.0.0.1")

    def test_what_init_would_leave_out_of_the_section(self):
        self.check("init writes no cert-dir", "leave --cert-dir out, and add the line 'cert-dir = ", words=("init",))

    def test_a_bundle_that_is_no_pem(self):
        bundle = self.folder / "bundle.pem"
        bundle.write_text("this is no certificate\n")
        self.check("bundle", "bundle.pem", ca_bundle=bundle, server="https://localhost:1/dir")

    def test_a_bundle_that_does_not_exist(self):
        self.check("bundle", "no.pem", ca_bundle=self.folder / "no.pem", server="https://localhost:1/dir")

    def test_an_unknown_owner(self):
        self.check("owner", "nobody-of-this-name", owner="nobody-of-this-name")

    def test_an_unknown_command(self):
        self.check("statsu", "status", words=("statsu",))

    def test_a_configuration_file_that_does_not_exist(self):
        self.check("config", "no.conf", config=self.folder / "no.conf")

    def test_every_complaint_about_a_configuration_file_is_told_at_once_with_its_line(self):
        config = self.folder / "bad.conf"
        config.write_text("relaod = none\n\n[mydyn.example]\nkey-type = rsa1024\nno equals sign\n\n[mydyn.example]\n")
        me = self.agent(config=config, domain=None, cert_dir=None, reload=None, probe=None)
        for words in (("check",), ("--once",)):
            code, output = me.run(*words)
            self.assertEqual(code, EXIT_USAGE, output)
            self.assert_one_sentence(output, "bad.conf:1", "relaod", "reload")
            self.assert_one_sentence(output, "bad.conf:4", "rsa1024")
            self.assert_one_sentence(output, "bad.conf:5")
            self.assert_one_sentence(output, "bad.conf:7", "mydyn.example")
        self.assertFalse(me.state.exists())


    def test_programs_that_are_not_there_are_told_before_they_are_needed(self):
        missing = {"alert": "command:/no/alert", "reload": "command:/no/reload", "dns_hook": "/no/hook"}
        for option, value in missing.items():
            self.check("cannot be run: No such file or directory", value.removeprefix("command:"), option.replace("_", "-"),
                       words=("check",), **{option: value})

    def test_a_state_folder_that_is_not_there_is_no_sound_state(self):
        for words in ((), ("--json",), ("--check",)):
            code, output = programs.run([self.agent_path, "status", *words, "--state-dir=/no/such"], env=the_agent.agent_environment())
            self.assertNotEqual(code, 0, output)
            self.assertIn("/no/such", output)


class Folders(Case):
    def test_an_unwritable_state_folder(self):
        me = self.agent()
        me.user = "nobody"
        me.state.mkdir(mode=0o755)
        code, output = me.once()
        self.assertEqual(code, EXIT_USAGE, output)
        self.assert_one_sentence(output, str(me.state))

    def test_a_state_folder_that_is_a_file(self):
        me = self.agent()
        me.state.write_text("not a folder")
        code, output = me.once()
        self.assertEqual(code, EXIT_USAGE, output)
        self.assert_one_sentence(output, str(me.state))
        self.assertEqual(me.state.read_text(), "not a folder")

    def test_a_second_agent_on_the_same_state_is_told_the_pid_of_the_first(self):
        ca = self.pebble()
        me = self.agent(ca)
        first = me.start()
        me.wait_until_valid()
        for words in ((), ("--once",)):
            code, output = me.run(*words)
            self.assertEqual(code, EXIT_BAD, output)
            self.assert_one_sentence(output, str(first.pid))
        self.assertTrue(first.running)

    def test_a_second_agent_on_the_same_broker_s_folder_is_told_so(self):
        ca = self.pebble()
        me = self.agent(ca)
        first = me.start()
        me.wait_until_valid()
        before = the_agent.contents(me.cert_dir)
        code, output = me.once(state_dir=self.folder / "other-state")
        self.assertIn(code, (EXIT_BAD, EXIT_NOT_SERVED), output)
        self.assert_one_sentence(output, str(me.cert_dir), str(first.pid))
        self.assertEqual(the_agent.contents(me.cert_dir), before)


class Server(Case):
    """The server is not what it should be: 1, and the next try is told."""

    def setUp(self):
        super().setUp()
        self.ca = self.pebble()
        self.me = self.agent(self.ca)
        self.assertEqual(self.me.once()[0], 0)
        self.good = {folder: the_agent.contents(folder)
                     for folder in (self.me.cert_dir, self.me.certificate_state / "held")}

    def check(self, *needles, **changes):
        code, output = self.me.renew("--force", **changes)
        self.assertEqual(code, EXIT_BAD, output)
        self.assert_one_sentence(output, *needles)
        for folder, contents in self.good.items():
            self.assertEqual(the_agent.contents(folder), contents, f"{folder} was changed")
        return output

    def test_nobody_listens_at_its_url(self):
        url = f"https://localhost:{programs.free_port()}/dir"
        self.check(url.removeprefix("https://").removesuffix("/dir"), server=url)

    def test_its_name_does_not_resolve(self):
        self.check("no-such-host.invalid", server="https://no-such-host.invalid/dir")

    def web_server(self, answer):
        """HTTPS with a good certificate that gives everybody this answer."""
        _, certificate, key = tls_files.server_files(self.run_folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(connection, server_side=True) as tls_connection:
                        tls_connection.recv(65536)
                        tls_connection.sendall(answer)
                except OSError:
                    pass
        threading.Thread(target=serve, daemon=True).start()
        return f"https://localhost:{listener.getsockname()[1]}/dir"

    @staticmethod
    def answer(body, kind="text/html", status="200 OK"):
        return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()

    def test_it_is_a_web_server_that_knows_no_acme(self):
        url = self.web_server(self.answer("<html>welcome</html>"))
        self.check(url, server=url)

    def test_it_has_a_directory_without_what_is_needed(self):
        url = self.web_server(self.answer('{"newNonce": "https://localhost/n"}', "application/json"))
        self.check(url, "newAccount", server=url)

    def test_it_is_busy(self):
        url = self.web_server(self.answer("try later", status="503 Service Unavailable"))
        self.check("503", "server", server=url)

    def test_it_speaks_no_tls(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.sendall(b"220 mail.example ESMTP\r\n")
                connection.close()
        threading.Thread(target=serve, daemon=True).start()
        port = listener.getsockname()[1]
        self.check(f"localhost:{port}", "TLS", server=f"https://localhost:{port}/dir")

    def test_its_certificate_is_from_an_unknown_authority(self):
        certificate, _ = tls_files.self_signed(self.folder, name="localhost", stem="stranger")
        self.check(self.ca.url.removesuffix("/dir"), "does not hold its root", "--ca-bundle", ca_bundle=certificate)

    def test_it_refuses_the_name(self):
        config = self.ca.config.read_text().replace('{"pebble": {', '{"pebble": {"domainBlocklist": ["blocked.example"], ')
        self.ca.config.write_text(config)
        self.ca.stop()
        self.ca.start()
        self.check("blocked.example", domain=["mydyn.example", "blocked.example"])

    def test_it_cannot_reach_our_responder_and_its_words_are_passed_on(self):
        # the answers are given where the server does not look
        self.ca.stop()
        self.ca.env["PEBBLE_AUTHZREUSE"] = "0"
        self.ca.start()
        output = self.check("mydyn.example", "connection", http_listen=f"127.0.0.1:{programs.free_port()}")
        self.assertRegex(output.lower(), "next|again|retry")


class Roots(Case):
    def test_the_right_roots_are_tried_at_once_and_the_same_wrong_ones_are_not(self):
        ca = self.pebble()
        me = self.agent(ca)
        stranger, _ = tls_files.self_signed(self.folder, name="localhost", stem="stranger")
        self.assertEqual(me.once(ca_bundle=stranger)[0], EXIT_BAD)
        os.utime(stranger)
        code, output = me.once(ca_bundle=stranger)
        self.assertEqual(code, EXIT_BAD, output)
        self.assert_one_sentence(output, "not tried again before", "does not hold its root", "acme-agent renew", "tries now")
        code, output = me.once()
        self.assertEqual(code, EXIT_GOOD, output)


class Port(Case):
    def test_a_port_in_use_is_an_error_that_names_who_holds_it(self):
        ca = self.pebble(authz_reuse=0)
        me = self.agent(ca)
        holder = self.program("holder", ["/usr/bin/python3", "-c", f"""
import socket, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
s.bind(("127.0.0.1", {ca.http_port})); s.listen(); time.sleep(600)"""])
        holder.wait_for_port(ca.http_port)
        code, output = me.once()
        self.assertEqual(code, EXIT_BAD, output)
        self.assert_one_sentence(output, str(ca.http_port), "python3", str(holder.pid))
        holder.stop()
        code, output = me.renew()  # by hand, the ladder's wait does not count
        self.assertEqual(code, 0, output)

    def test_a_privileged_port_without_the_right_to_it(self):
        ca = self.pebble()
        me = self.agent(ca, http_listen="127.0.0.1:80")
        me.allow("nobody")
        low = int(open("/proc/sys/net/ipv4/ip_unprivileged_port_start").read())
        code, output = me.once()
        self.assertEqual(code, EXIT_BAD, output)
        if low > 80:
            self.assert_one_sentence(output, "80", "permi")


class Disk(Case):
    def test_a_full_disk_leaves_what_was_good_and_the_next_run_succeeds(self):
        ca = self.pebble()
        me = self.agent(ca)
        disk = self.folder / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=0755", "tmpfs", disk],
                          stderr=subprocess.DEVNULL).returncode != 0:
            skip("no-mount")
        self.addCleanup(subprocess.run, ["umount", "-l", disk])
        me.state, me.cert_dir = disk / "state", disk / "certs"
        me.options.update(state_dir=me.state, cert_dir=me.cert_dir)
        code, output = me.once()
        self.assertEqual(code, 0, output)
        good = {folder: the_agent.contents(folder) for folder in (me.cert_dir, me.certificate_state / "held")}

        # Room for nothing, then for one page more at a time: every write of a renewal is the first that fails, once.
        page = 4096
        outcomes = []
        free = 0
        while EXIT_GOOD not in outcomes and free < 40:
            filler = disk / "filler"
            with filler.open("wb", buffering=0) as out:
                try:
                    while True:
                        out.write(b"x" * page)
                except OSError:
                    pass
            if filler.stat().st_size > free * page:
                os.truncate(filler, filler.stat().st_size - free * page)
            code, output = me.renew("--force")
            self.assertIn(code, (EXIT_GOOD, EXIT_BAD, EXIT_NOT_SERVED, EXIT_USAGE), output)
            outcomes.append(code)
            filler.unlink()
            if code == EXIT_GOOD:
                break
            self.assert_one_sentence(output, "no space left")
            self.check_pairs(me, good)
            free += 1
        self.assertGreater(len(outcomes), 1, "the disk was never full")
        self.assertEqual(outcomes[-1], EXIT_GOOD, outcomes)
        code, output = me.renew("--force")
        self.assertEqual(code, 0, output)

    def check_pairs(self, me, good):
        """Held and deployed are whole pairs: the old ones, or complete new ones."""
        _, of_key = programs.run(["openssl", "pkey", "-in", me.cert_dir / "privkey.pem", "-pubout"])
        self.assertEqual(of_key, the_agent.public_key(me.cert_dir / "fullchain.pem"))
        if me.held_leaf() != me.leaf():
            return
        status = me.status()
        self.assertEqual(status["state"], "valid", status)


class Broker(ServedCase):
    """Trouble at the broker: 3. The certificate is there; only its serving is not."""

    def check(self, *needles, changed=True, **changes):
        leaf = self.serve()
        orders = self.ca.orders()
        code, output = self.me.renew("--force", **changes)
        self.assertEqual(code, EXIT_NOT_SERVED, output)
        self.assert_one_sentence(output, *needles)
        self.assertEqual(self.ca.orders(), orders + 1)
        self.device.ping()
        if changed:
            self.assertNotEqual(self.me.leaf(), leaf)
        code, output = self.me.once()  # no further order for a deployment that failed
        self.assertEqual(self.ca.orders(), orders + 1)
        self.assertEqual(code, 0, output)
        self.assert_served()

    def test_nobody_listens_at_the_probe(self):
        self.check("localhost", "nobody answers", probe=f"localhost:{programs.free_port()}")

    def test_the_broker_is_not_there_but_the_probe_wants_it(self):
        self.serve()
        self.mqtt.stop()
        code, output = self.me.renew("--force")
        self.assertEqual(code, EXIT_NOT_SERVED, output)
        self.assertEqual(self.me.leaf(), self.me.held_leaf(), "the new files are kept")
        self.assertEqual(self.me.once()[0], EXIT_NOT_SERVED)
        self.mqtt.start()
        self.assertEqual(self.me.once()[0], 0)
        self.assertEqual(self.mqtt.served(), self.me.held_leaf())

    def test_no_broker_runs_and_none_is_wanted(self):
        code, output = self.me.once(reload="process:no-such-broker", probe="none", owner="root:mosquitto")
        self.assertEqual(code, EXIT_GOOD, output)

    def test_the_probe_speaks_no_tls(self):
        self.check("tls", str(self.mqtt.plain_port), probe=f"localhost:{self.mqtt.plain_port}", probe_timeout="2s")

    def test_a_probe_that_never_answers(self):
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        port = silent.getsockname()[1]
        self.check(str(port), probe=f"127.0.0.1:{port}", probe_timeout="1s")

    def test_the_broker_runs_twice(self):
        twin = self.program("twin", [self.mqtt._program_file, "-c", self.twin_config()])
        programs.eventually(lambda: os.path.exists(f"/proc/{twin.pid}/comm") and
                            open(f"/proc/{twin.pid}/comm").read().strip() == self.mqtt.comm, 5, "the twin")
        self.serve_with_pidfile()
        code, output = self.me.renew("--force")
        self.assertEqual(code, EXIT_NOT_SERVED, output)
        self.assert_one_sentence(output, str(twin.pid), str(self.mqtt.program.pid), "pidfile")
        self.device.ping()
        twin.stop()
        self.assertEqual(self.me.once()[0], 0)
        self.assert_served()

    def twin_config(self):
        config = self.folder / "twin.conf"
        config.write_text(f"user mosquitto\nlistener {programs.free_port()} 127.0.0.1\n")
        return config

    def serve_with_pidfile(self):
        by_name = self.me.options["reload"]
        self.me.options["reload"] = f"pidfile:{self.mqtt.pidfile}"
        self.serve()
        self.me.options["reload"] = by_name

    def test_the_pidfile_names_a_dead_process(self):
        dead = self.folder / "dead.pid"
        ended = programs.Program(["/bin/true"], self.folder / "true.log")
        ended.wait()
        dead.write_text(f"{ended.pid}\n")
        self.check("dead.pid", str(ended.pid), reload=f"pidfile:{dead}")

    def test_the_pidfile_is_older_than_the_process_that_it_names(self):
        """The pid was given to somebody else, who must not get our signal: SIGHUP would end it."""
        stale = self.folder / "stale.pid"
        stale.touch()
        os.utime(stale, (1_000_000_000, 1_000_000_000))
        stranger = self.program("stranger", ["sleep", "600"])
        stale.write_text(f"{stranger.pid}\n")
        os.utime(stale, (1_000_000_000, 1_000_000_000))
        self.check("stale.pid", str(stranger.pid), reload=f"pidfile:{stale}")
        self.assertTrue(stranger.running)

    def test_the_pidfile_holds_no_number(self):
        bad = self.folder / "bad.pid"
        bad.write_text("mosquitto\n")
        self.check("bad.pid", reload=f"pidfile:{bad}")

    def test_the_pidfile_does_not_exist(self):
        self.check("none.pid", reload=f"pidfile:{self.folder}/none.pid")

    def test_the_broker_may_not_be_signalled(self):
        self.me.allow("nobody")
        self.me.options.update(mode="0644", owner=None)
        code, output = self.me.once(probe="none", reload="none")
        self.assertEqual(code, 0, output)
        self.mqtt.start()
        self.device = self.mqtt.hold_session()
        code, output = self.me.renew("--force")
        self.assertEqual(code, EXIT_NOT_SERVED, output)
        self.assert_one_sentence(output, self.mqtt.comm, str(self.mqtt.program.pid), "permi")
        self.device.ping()
        self.mqtt.reload()  # somebody else does it
        self.assertEqual(self.me.once()[0], 0)
        self.assert_served()

    def test_a_command_that_fails_is_told_with_what_it_said(self):
        hook = self.folder / "hook.sh"
        hook.write_text("#!/bin/sh\necho the broker is on holiday\nexit 7\n")
        hook.chmod(0o755)
        self.check("hook.sh", "7", "on holiday", reload=f"command:{hook}")

    def test_a_command_that_does_not_exist(self):
        self.check("no-such-program", reload="command:/no-such-program --now")


class StateFiles(ServedCase):
    def test_a_damaged_record_is_reported_kept_aside_and_replaced(self):
        for damage in ('{"version": 1, "next_att', "", "[]", '{"version": "x"}', "\0\xff"):
            with self.subTest(damage):
                if not self.me.state.exists():
                    self.serve()
                leaf, orders = self.me.leaf(), self.ca.orders()
                record = self.me.certificate_state / "record.json"
                record.write_text(damage)
                code, output = self.me.once()
                self.assertEqual(code, EXIT_GOOD, output)
                self.assert_one_sentence(output, "record.json")
                self.assertEqual((self.me.certificate_state / "record.json.damaged").read_text(), damage)
                self.assertEqual((self.me.leaf(), self.ca.orders()), (leaf, orders))
                self.me.record()

    def newer(self, path):
        text = path.read_text()
        import json
        document = json.loads(text)
        self.assertIn("version", document, f"{path} carries no version")
        document["version"] = 999
        path.write_text(json.dumps(document))
        return path.read_bytes()

    def test_a_record_of_a_newer_version_is_not_touched(self):
        leaf = self.serve()
        record = self.me.certificate_state / "record.json"
        bytes_before = self.newer(record)
        held = the_agent.contents(self.me.certificate_state / "held")
        code, output = self.me.once()
        self.assertIn(code, (EXIT_BAD, EXIT_USAGE), output)
        self.assert_one_sentence(output, "record.json", "newer")
        self.assertEqual(record.read_bytes(), bytes_before)
        self.assertEqual(the_agent.contents(self.me.certificate_state / "held"), held)
        self.assertEqual(self.mqtt.served(), leaf)

    def test_an_account_of_a_newer_version_is_not_touched(self):
        self.serve()
        account = next((self.me.state / "accounts").glob("*/account.json"))
        bytes_before = self.newer(account)
        code, output = self.me.renew("--force")
        self.assertIn(code, (EXIT_BAD, EXIT_USAGE), output)
        self.assert_one_sentence(output, "account.json", "newer")
        self.assertEqual(account.read_bytes(), bytes_before)
        self.assert_served()

    def test_a_held_pair_that_was_torn_by_hand_is_ordered_anew(self):
        self.serve()
        held = self.me.certificate_state / "held"
        for file in held.rglob("*"):
            if file.is_file():
                file.write_text("rubbish\n")
        code, output = self.me.once()
        self.assertEqual(code, EXIT_GOOD, output)
        self.assert_served()
