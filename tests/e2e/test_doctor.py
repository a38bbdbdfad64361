"""`acme-agent doctor`: each fault is planted and found, with what to do; on a sound set-up it finds nothing bad."""

import email.utils
import json
import os
import re
import shutil
import socket
import time

from support import network, tls_files
from support.case import Case, ServedCase
from support.container import ContainedMosquitto, Podman
from support.faulty_proxy import FaultyProxy
from support.named import Named


class DoctorCase(ServedCase):
    agent_options = {"key_type": "rsa2048"}

    def findings(self, *words, exit_code=1, **changes):
        """(verdict, about, evidence and remedy) of each."""
        code, output = self.me.run("doctor", "--json", *words, **changes)
        self.assertEqual(code, exit_code, output)
        return [(one["verdict"], one["about"], one["evidence"] + " | " + one["remedy"])
                for one in json.loads(output)["certificates"][0]["findings"]]

    def assert_found(self, about, *texts, verdict="bad", findings):
        told = [text for found, what, text in findings if (found, what) == (verdict, about)]
        for text in texts:
            self.assertTrue(any(text in one for one in told), f"'{text}' is not said by {told or findings}")


class Sound(DoctorCase):
    def test_a_sound_set_up_has_nothing_bad_and_nothing_is_changed_or_ordered(self):
        self.serve()
        orders, files = self.ca.orders(), sorted(os.listdir(self.me.cert_dir))
        findings = self.findings("--as", "tasmota", exit_code=0, device_trust=self.ca.root(), **{"for": "tasmota"})
        self.assertEqual([one for one in findings if one[0] == "bad"], [])
        self.assertEqual({about for verdict, about, _ in findings if verdict == "good"} - {"names"},
                         {"served", "tasmota", "certificate", "devices", "files", "reload", "port", "clock"})
        self.assertEqual((self.ca.orders(), sorted(os.listdir(self.me.cert_dir))), (orders, files))


class MissingPrograms(DoctorCase):
    def test_programs_that_are_not_there_are_found_before_they_are_needed(self):
        self.serve()
        findings = self.findings(reload=[f"process:{self.mqtt.comm}", "command:/no/reload"], alert="command:/no/alert")
        self.assert_found("programs", "/no/reload cannot be run: No such file", "/no/alert cannot be run: No such file",
                          findings=findings)


class InTheOpen(DoctorCase):
    """In a network of its own, where the name leads to a public address and port 80 of that to the agent's port."""

    address = "192.0.2.80"
    ca_options = {"version": "newest", "caa_identities": ["ca.example"]}

    def setUp(self):
        network.enter(self)
        super().setUp()
        resolvers, hosts = self.folder / "resolv.conf", self.folder / "hosts"
        named = Named(self, records=['@ CAA 0 issue "ca.example"'], address=self.address)
        resolvers.write_text(f"nameserver {named.secondaries[0].address}\n")
        hosts.write_text(f"127.0.0.1 localhost\n{self.address} mydyn.example\n")
        self.me.prefix = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf; mount --bind "$1" /etc/hosts; '
                          'shift; exec "$@"', resolvers, hosts]
        self.mqtt.config.write_text(self.mqtt.config.read_text().replace("allow_anonymous true", "allow_anonymous false"))
        self.serve()

    def serve(self):
        self.me.once(probe="none", reload="none", owner="root:mosquitto")
        self.mqtt.start()

    def test_where_everything_is_as_it_should_be_there_is_not_even_a_hint(self):
        network.add_address(self.address)
        network.forward(80, self.ca.http_port)
        findings = self.findings("--as", "tasmota", exit_code=0, device_trust=self.ca.root(), **{"for": "tasmota"})
        self.assertEqual([one for one in findings if one[0] != "good"], [])
        self.assert_found("port", "a visit to mydyn.example comes back", verdict="good", findings=findings)
        self.assert_found("names", "nothing in the DNS stands in the way", verdict="good", findings=findings)

    def test_a_router_that_leads_nobody_back_is_a_hint_and_no_fault(self):
        network.swallow(self.address, 80)
        findings = self.findings(exit_code=0)
        self.assert_found("port", "a visit to mydyn.example at port 80 does not come back", "no proof that it fails from outside",
                          "is the port forwarded?", verdict="hint", findings=findings)
        self.assertEqual([about for verdict, about, _ in findings if verdict != "good"], ["port"])


class Clock(DoctorCase):
    def findings_with(self, seconds):
        """What doctor says when the server's clock is ahead by so much."""
        def date(name, value):
            return (name, email.utils.formatdate(time.time() + seconds, usegmt=True) if name.lower() == "date" else value)
        self.proxy.mend(lambda exchange: exchange.reply(exchange.deliver().with_headers(date)), "directory")
        return self.findings(exit_code=1 if seconds else 0, server=self.proxy.url)

    def test_a_clock_that_is_not_the_one_of_the_server_is_told_with_both(self):
        self.serve()
        self.proxy = FaultyProxy(tls_files.server_files(self.run_folder), self.ca.port)
        self.addCleanup(self.proxy.close)
        self.assert_found("clock", "its clock agrees with ours", verdict="good", findings=self.findings_with(0))
        for seconds in (2 * 3600, -25 * 3600):
            findings = self.findings_with(seconds)
            self.assert_found("clock", "this machine's clock says", "and the server's says", "timedatectl set-ntp true",
                              findings=findings)
            self.assertEqual([about for verdict, about, _ in findings if verdict == "bad"], ["clock"])


class Faults(DoctorCase):
    def test_another_certificate_on_the_wire_than_the_one_that_is_held(self):
        self.serve()
        self.me.run("renew", self.me.name, "--force", probe="none", reload="none")
        self.assert_found("served", "serves another certificate", "acme-agent renew mydyn.example' tells the broker again",
                          findings=self.findings())

    def test_a_broker_that_is_down(self):
        self.serve()
        self.mqtt.stop()
        findings = self.findings()
        self.assert_found("served", "nobody answers", "start the broker", findings=findings)
        self.assert_found("reload", "nobody is there who could be told", verdict="hint", findings=findings)

    def test_files_that_the_user_of_the_broker_cannot_read(self):
        self.serve()
        os.chown(self.me.cert_dir / "..data/privkey.pem", 0, 0)
        self.assert_found("files", "cannot read privkey.pem: user", "--owner USER:GROUP", findings=self.findings())

    def test_a_chain_that_the_devices_would_refuse_as_it_is_held_and_as_it_is_served(self):
        self.serve()
        findings = self.findings("--as", "tasmota", **{"for": "tasmota"})
        self.assert_found("devices", "Tasmota devices would refuse this chain", "ISRG Root X1", findings=findings)
        self.assert_found("tasmota", "Tasmota devices would refuse this chain", findings=findings)

    def test_a_port_that_somebody_else_holds_is_told_with_who_it_is(self):
        self.serve()
        for challenge, port in (("http-01", self.ca.http_port), ("tls-alpn-01", self.ca.tls_port)):
            with socket.socket() as taken:
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                taken.bind(("127.0.0.1", port))
                taken.listen()
                self.assert_found("port", str(port), "python", findings=self.findings(challenge=challenge))
            self.assert_found("port", f"is free to answer {challenge}", verdict="good",
                              findings=self.findings(exit_code=0, challenge=challenge))

    def test_a_server_that_cannot_be_reached(self):
        self.serve()
        self.ca.stop()
        self.assert_found("server", "Connection refused", findings=self.findings())

    def test_an_agent_that_does_not_renew(self):
        self.serve()
        record = self.me.state / "certificates" / self.me.name / "record.json"
        record.write_text(json.dumps({**json.loads(record.read_text()), "next_attempt": "2026-01-01T00:00:00Z"}))
        self.assert_found("certificate", "was due at 2026-01-01T00:00:00Z", "start the agent, or its timer",
                          findings=self.findings())


class MosquittoConf(DoctorCase):
    broker_options = {"certfile": "cert.pem"}

    def test_the_configuration_of_the_broker_that_runs_is_read(self):
        self.me.once(probe="none", reload="none", owner="root:mosquitto")
        self.mqtt.start()
        self.assert_found("mosquitto.conf", "cert.pem', so that the broker serves no whole chain", "name fullchain.pem there",
                          findings=self.findings())


    def test_a_file_that_is_mounted_alone_is_found_where_the_broker_lives(self):
        self.me.once(probe="none", reload="none", owner="root:mosquitto")
        certificate = self.me.cert_dir / "cert.pem"
        self.mqtt.prefix = ["unshare", "--mount", "sh", "-c", 'touch "$0"; mount --bind "$1" "$0"; shift; exec "$@"',
                            self.mqtt.folder / "cert.pem", certificate]
        self.mqtt.cert_dir = self.mqtt.folder
        shutil.copy(self.me.cert_dir / "privkey.pem", self.mqtt.folder)
        shutil.chown(self.mqtt.folder / "privkey.pem", "mosquitto")
        self.mqtt.write_config(certfile="cert.pem")
        self.mqtt.start()
        self.assert_found("mosquitto.conf", "cert.pem', which is mounted into the container as a single file", "mount the folder",
                          findings=self.findings())


class IotstackTrap(DoctorCase):
    def test_a_folder_that_is_read_only_below_that_of_mosquitto_is_found_before_the_entrypoint_falls_over_it(self):
        podman = Podman(self)
        self.me.once(probe="none", reload="none", owner="root:mosquitto")
        self.mqtt = ContainedMosquitto(self, podman, self.me.cert_dir,
                                       options=["--volume", f"{self.me.cert_dir}:/mosquitto/certs:ro"])
        self.mqtt.config.write_text(re.sub(r"(certfile|keyfile) .*/", r"\1 /mosquitto/certs/", self.mqtt.config.read_text()))
        self.mqtt.start()
        pidfile = self.folder / "broker.pid"  # as the broker is seen from here
        pidfile.write_text(podman.run("inspect", "--format", "{{.State.Pid}}", self.mqtt.name)[1])
        findings = self.findings(exit_code=0, probe=f"localhost:{self.mqtt.port}", reload=f"pidfile:{pidfile}")
        self.assert_found("mosquitto.conf", "/mosquitto/certs is mounted read-only below /mosquitto", "mount the folder elsewhere",
                          verdict="hint", findings=findings)


class Names(DoctorCase):
    def test_what_the_dns_has_against_the_names(self):
        named = Named(self, records=['@ CAA 0 issue "other.example"'])
        resolvers = self.folder / "resolv.conf"
        resolvers.write_text(f"nameserver {named.secondaries[0].address}\n")
        me = self.agent(self.pebble(version="newest", caa_identities=["ca.example"]))
        me.prefix = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf; exec "$@"', resolvers]
        code, output = me.run("doctor")
        self.assertIn("hint  names: the CAA of mydyn.example allows only other.example, and not ca.example", output)
        self.assertIn("hint  names: the A record of mydyn.example says 127.0.0.1, which only your own network can reach", output)


class Usage(Case):
    def test_what_cannot_be_examined_is_refused(self):
        me = self.agent()
        for words, text in ((["--as", "toaster"], "'toaster' is not known: write --as tasmota"),
                            (["other.example"], "no certificate 'other.example'")):
            code, output = me.run("doctor", *words)
            self.assertEqual(code, 2, output)
            self.assert_one_sentence(output, text)

    def test_before_the_first_certificate_it_says_what_comes_next(self):
        me = self.agent(self.pebble())
        code, output = me.run("doctor")
        self.assertEqual(code, 0, output)
        self.assertIn("there is none yet", output)
        self.assertIn("'acme-agent renew mydyn.example' tries to obtain it now", output)
