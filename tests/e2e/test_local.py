"""An authority of one's own: a broker in a LAN without a domain, and devices that prove who they are. No ACME server runs."""

import base64
import json
import pathlib
import re
import shutil
import ssl
import tempfile

from support import mqtt, node_red, programs, tls, tls_files
from support.agent import EXIT_BAD, EXIT_GOOD, EXIT_NOT_SERVED, public_key
from support.case import Case, ServedCase
from support.clients import CLIENTS, TASMOTA
from support.skips import skip

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"


def blocks(pem_file):
    """Its certificates, each as PEM."""
    return re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", pem_file.read_text(), re.S)


class LocalCase(Case):
    """A broker named broker.lan, whose certificate nobody but the agent itself issues."""

    def setUp(self):
        super().setUp()
        self.mqtt = self.broker(self.folder / "certs")
        self.me = self.agent(None, self.mqtt.port, name="broker.lan", server="local", reload=f"process:{self.mqtt.comm}",
                             probe_timeout="5s")
        self.me.options["domain"] = ["broker.lan", "127.0.0.1"]
        self.root = self.folder / "root.pem"

    def good(self, result):
        self.assertEqual(result[0], EXIT_GOOD, result[1])
        return result[1]

    def serve(self):
        """The first certificate, with the broker started on it, and the root for the clients."""
        self.good(self.me.once(probe="none", reload="none", owner="root:mosquitto"))
        self.mqtt.start()
        self.good(self.me.once())
        self.good(self.me.run("ca", "export", "--format", "pem", self.root))

    def served(self):
        return self.mqtt.served(name="broker.lan")


class Server(LocalCase):
    """As each Mosquitto has it."""

    def test_every_client_that_knows_the_root_takes_the_certificate_and_the_next_one(self):
        self.serve()
        foreign, _ = tls_files.self_signed(self.folder)
        for _ in range(2):
            self.assertEqual(tls.verify(self.mqtt.port, self.root, name="127.0.0.1"), self.me.held_leaf())
            for client in CLIENTS:
                code, output = client.connect(self, self.mqtt.port, self.root, name="broker.lan")
                self.assertEqual(code, 0, f"{client.name} refuses it: {output}")
                code, output = client.connect(self, self.mqtt.port, foreign, name="broker.lan")
                self.assertNotEqual(code, 0, f"{client.name} takes it without knowing the root")
                self.assertRegex(output.strip(), client.no_root)
            self.good(self.me.renew("--force"))

    def test_a_root_for_one_domain_is_refused_by_those_alone_of_whom_it_is_said(self):
        self.me.options["domain"] = self.me.options["ca_name_constraint"] = "broker.lan"
        self.serve()
        refused = {client.name for client in CLIENTS
                   if client.connect(self, self.mqtt.port, self.root, name="broker.lan")[0] != 0}
        self.assertEqual(refused, {"Mbed TLS", "wolfSSL"})

    def test_a_certificate_of_other_names_is_not_replaced_without_a_word(self):
        self.serve()
        code, output = self.me.once(domain="other.lan")
        self.assertEqual(code, EXIT_GOOD, output)
        self.assert_one_sentence(output, "was for broker.lan and 127.0.0.1 and is replaced", "--cert-dir of its own")

    def test_a_device_stays_connected_over_a_renewal_and_the_running_agent_is_content_at_once(self):
        program = self.me.start()
        self.eventually((self.me.cert_dir / "fullchain.pem").exists, 10, "the first certificate")
        self.mqtt.start()
        status = self.me.wait_until_valid()
        self.assertEqual((status["server"], status["stands_in_for"], status["failures"]), ("local", None, 0))
        device = self.mqtt.hold_session()
        first = self.served()
        self.good(self.me.renew("--force"))
        self.assertNotEqual(self.served(), first)
        self.assertEqual(self.served(), self.me.held_leaf())
        device.ping()
        program.stop()
        self.assertIn("let the clients trust its root", program.output())

    def test_an_authority_that_has_vanished_is_not_replaced_by_one_that_no_client_knows(self):
        self.serve()
        known = self.served()
        authority = self.me.state / "authority"
        authority.rename(self.folder / "backup")
        self.good(self.me.once())
        code, output = self.me.renew("--force")
        self.assertEqual(code, EXIT_BAD, output)
        self.assert_one_sentence(output, "is gone: put it back from a backup", "acme-agent ca init")
        self.assertFalse(authority.exists())
        self.assertEqual(self.served(), known)
        (self.folder / "backup").rename(authority)
        self.good(self.me.renew("--force"))
        tls.verify(self.mqtt.port, self.root, name="broker.lan")

    def test_what_is_asked_of_it_too_late_and_a_passphrase_that_all_can_read_are_told_at_the_start(self):
        self.serve()
        passphrase = self.folder / "passphrase"
        passphrase.write_text("correct horse")
        passphrase.chmod(0o644)
        program = self.me.start(ca_key_type="ec256", ca_passphrase_file=passphrase)
        self.me.wait_until_valid()
        program.stop()
        self.assert_one_sentence(program.output(), "ca-key-type: the authority in", "was made with keys of rsa2048 for every name")
        self.assert_one_sentence(program.output(), "every user of this machine can read it: chmod 0600")

    def test_it_works_for_anybody_and_needs_no_network_and_no_right(self):
        self.me.allow("nobody")
        prefix = ["unshare", "--net"]
        code, output = programs.run([*prefix, "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", self.agent_path,
                                     "--once", *self.me.arguments(reload="none", probe="none")])
        self.assertEqual(code, EXIT_GOOD, output)
        self.assertEqual(oct((self.me.state / "authority").stat().st_mode & 0o777), "0o700")

    def test_it_keeps_no_right_that_only_challenges_need(self):
        program = self.me.start(challenge=["http-01", "dns-01"], dns_hook="/bin/true")
        self.eventually((self.me.cert_dir / "fullchain.pem").exists, 10, "the first certificate")
        rights = pathlib.Path(f"/proc/{program.pid}/status").read_text()
        # CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_KILL
        self.assertEqual(int(re.search(r"CapPrm:\s*(\w+)", rights)[1], 16), 0b101111)

    def test_doctor_and_a_trial_ask_nothing_of_a_lan_that_only_public_servers_need(self):
        self.serve()
        code, output = self.me.run("doctor", "--json")
        self.assertEqual(code, EXIT_GOOD, output)
        abouts = {one["about"] for one in json.loads(output)["certificates"][0]["findings"]}
        self.assertFalse(abouts & {"port", "server", "names", "clock"}, abouts)
        self.assertIn("there is nothing to try", self.good(self.me.run("--once", "--dry-run")))


class NewestServer(Server):
    broker_version = "newest"


class DevicesCase(LocalCase):
    """A listener that lets in devices of ours only, set up as in examples/devices."""

    def setUp(self):
        super().setUp()
        self.configure()

    def configure(self, with_acl=False):
        example = (EXAMPLES / "devices/mosquitto.conf").read_text()
        acl = self.folder / "devices.acl"
        acl.write_text((EXAMPLES / "devices/devices.acl").read_text())
        acl.chmod(0o644)
        extra = example[example.index("\ncafile "):].replace("/var/lib/acme-agent/live/broker.lan", str(self.me.cert_dir))
        extra = extra.replace("/etc/mosquitto/devices.acl", str(acl))
        self.mqtt.write_config(extra=extra if with_acl else extra.replace("acl_file", "# acl_file"))

    def issue(self, name, **options):
        """Certificate and key, in files, as for mosquitto_sub."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        self.good(self.me.run("ca", "issue", name, folder, "--for", "mosquitto", **options))
        return folder / "cert.pem", folder / "key.pem"

    def assert_refused(self, certificate=None):
        with self.assertRaises(OSError):
            self.mqtt.hold_session("stranger", certificate=certificate)

    def tasmota(self, name):
        """What the device holds when the two lines were typed: DER, and the octets of its key."""
        output = self.good(self.me.run("ca", "issue", name, "--for", "tasmota"))
        files = self.folder / f"{name}.der", self.folder / f"{name}.key"
        for file, line in zip(files, ("TlsKey2", "TlsKey1")):
            file.write_bytes(base64.b64decode(re.search(rf"^{line} (\S+)$", output, re.M).group(1)))
        return files

    def of_every_kind(self, files):
        """For each client that can show a certificate what it shows: these files, or those of a Tasmota device."""
        names = "mosquitto_pub and mosquitto_sub", "Mbed TLS", "mqtt.js"
        return {client: files for client in CLIENTS if client.name in names} | {TASMOTA: self.tasmota("sonoff")}

    def assert_taken_by_every_kind(self, own, root):
        for client, files in own.items():
            code, output = client.connect(self, self.mqtt.port, root, name="broker.lan", own=files)
            self.assertEqual(code, 0, f"{client.name} is not let in: {output}")


class Devices(DevicesCase):
    """One by one, as they are let in and shut out."""

    def test_a_device_is_let_in_by_its_certificate_and_shut_out_by_one_reload_that_no_other_device_notices(self):
        sound, stolen = self.issue("sound"), self.issue("stolen")
        self.serve()
        self.me.start()
        self.me.wait_until_valid()
        device = self.mqtt.hold_session("sound", certificate=sound)
        self.mqtt.hold_session("stolen", certificate=stolen).ping()
        self.assert_refused()
        reloads = self.mqtt.program.output().count("Reloading config.")

        output = self.good(self.me.run("ca", "revoke", "stolen"))
        self.assertIn("the agent was told of the revocation: seen served by the broker", output)
        self.assert_refused(stolen)
        device.ping()
        self.mqtt.hold_session("sound again", certificate=sound).ping()
        self.assertEqual(self.mqtt.program.output().count("Reloading config."), reloads + 1)
        self.assertEqual(self.me.run("status")[0], EXIT_GOOD)

    def test_a_root_that_rolls_over_when_a_device_gets_its_certificate_is_told_to_the_broker_at_once(self):
        self.issue("first")
        self.serve()
        known = (self.me.cert_dir / "devices-ca.pem").read_text()
        _, output = self.me.run("ca", "issue", "second", "--for", "tasmota")
        self.assertNotIn("the authority for devices", output)
        self.me.start()
        self.me.wait_until_valid()
        for part in ("roots", "servers"):  # as if they had ended
            for folder in (self.me.state / "authority" / part).iterdir():
                shutil.rmtree(folder)
        output = self.good(self.me.run("ca", "issue", "third", "--for", "tasmota"))
        self.assertIn("the agent was told of the authority for devices", output)
        self.assertNotEqual((self.me.cert_dir / "devices-ca.pem").read_text(), known)

    def test_a_broker_that_is_to_know_devices_from_now_on_can_start_before_the_agent(self):
        self.mqtt.write_config()
        self.serve()
        self.mqtt.stop()
        for file in ("devices-ca.pem", "devices.crl"):  # as before there was an authority
            (self.me.cert_dir / file).unlink()
            (self.me.cert_dir / "..data" / file).unlink()
        self.configure()
        self.good(self.me.run("placeholder"))
        self.mqtt.start()
        self.mqtt.hold_session("sound", certificate=self.issue("sound"))
        self.assertIn("nothing to do", self.good(self.me.run("placeholder")))

    def test_without_an_agent_that_runs_the_next_run_shuts_it_out(self):
        sound, stolen = self.issue("sound"), self.issue("stolen")
        self.serve()
        self.good(self.me.run("ca", "revoke", "stolen"))
        self.mqtt.hold_session("stolen", certificate=stolen).ping()
        self.good(self.me.once())
        self.assert_refused(stolen)
        self.mqtt.hold_session("sound", certificate=sound).ping()

    def test_a_broker_that_goes_on_letting_in_who_was_revoked_is_told_of(self):
        stolen = self.issue("stolen")
        self.mqtt.write_config(extra=f"cafile {self.me.cert_dir / 'devices-ca.pem'}\nrequire_certificate true")
        self.good(self.me.once(probe="none", reload="none", owner="root:mosquitto"))
        self.mqtt.start()
        code, output = self.me.once()
        self.assertEqual(code, EXIT_NOT_SERVED, output)
        self.assert_one_sentence(output, "lets in a device whose certificate is revoked", "devices.crl")
        self.mqtt.hold_session("stolen", certificate=stolen).ping()
        code, output = self.me.run("doctor")
        self.assertIn("without a crlfile", output)

    def test_a_broker_that_reads_an_old_copy_of_the_list_is_told_of_with_the_next_revocation(self):
        self.issue("sound")
        stolen = self.issue("stolen")
        self.good(self.me.once(probe="none", reload="none", owner="root:mosquitto"))
        copy = self.folder / "copy.crl"
        copy.write_bytes((self.me.cert_dir / "devices.crl").read_bytes())
        copy.chmod(0o644)
        self.mqtt.write_config(extra=f"cafile {self.me.cert_dir / 'devices-ca.pem'}\ncrlfile {copy}\nrequire_certificate true")
        self.mqtt.start()
        self.good(self.me.once())
        self.good(self.me.run("ca", "revoke", "stolen"))
        code, output = self.me.once()
        self.assertEqual(code, EXIT_NOT_SERVED, output)
        self.assert_one_sentence(output, "lets in a device whose certificate is revoked", "devices.crl")
        self.mqtt.hold_session("stolen", certificate=stolen).ping()

    def test_a_damaged_record_of_devices_keeps_no_list_from_the_broker(self):
        sound, stolen = self.issue("sound"), self.issue("stolen")
        self.serve()
        self.good(self.me.run("ca", "revoke", "stolen"))
        (self.me.state / "authority/issued.json").write_text("?")
        self.assertIn("issued.json", self.good(self.me.once()))
        self.assert_refused(stolen)
        self.mqtt.hold_session("sound", certificate=sound).ping()

    def test_the_name_in_its_certificate_says_what_a_device_may_read_and_write(self):
        self.configure(with_acl=True)
        lamp, flow = self.issue("lamp"), self.issue("node-red")
        self.serve()
        reader = self.mqtt.hold_session("reader", certificate=flow)
        reader.subscribe("#")
        writer = self.mqtt.hold_session("node-red", certificate=lamp)  # whatever it calls itself
        writer.publish("door/state", "open")
        writer.publish("lamp/state", "on")
        self.assertEqual(reader.next_message(), ("lamp/state", "on"))

    def test_node_red_is_let_in_with_what_it_was_told_to_take_and_shut_out_when_that_is_revoked(self):
        if not node_red.is_here():
            skip("no-node-red")
        self.configure(with_acl=True)
        lamp = self.issue("lamp")
        advice = self.good(self.me.run("ca", "issue", "node-red", self.folder / "flow", **{"for": "nodered"}))
        told = re.search(r"certificate (\S+), private key (\S+), CA certificate (\S+),$", advice, re.M)
        self.serve()
        files = dict(zip(("cert", "key", "ca"), told.groups()))
        flow = node_red.start(self, "node-red", "broker.lan", self.mqtt.port, tls=files)
        stranger = node_red.start(self, "node-red-without-certificate", "broker.lan", self.mqtt.port, tls={"ca": files["ca"]})
        flow.wait_for_output("Connected to broker", seconds=30)
        self.mqtt.hold_session("lamp", certificate=lamp).publish("tele/lamp/STATE", "the lamp is on")
        flow.wait_for_output("the lamp is on")

        self.good(self.me.run("ca", "revoke", "node-red"))
        self.good(self.me.once())
        again = node_red.start(self, "node-red-revoked", "broker.lan", self.mqtt.port, tls=files)
        for refused in (stranger, again):
            refused.wait_for_output("Connection failed to broker", seconds=30)
            self.assertNotIn("Connected to broker", refused.output())

    def test_devices_of_every_kind_are_let_in_and_shut_out(self):
        own = self.of_every_kind(self.issue("sound"))
        self.assertEqual(len(own), 4)
        self.serve()
        self.assert_taken_by_every_kind(own, self.root)
        for client in own:
            code, _ = client.connect(self, self.mqtt.port, self.root, name="broker.lan")
            self.assertNotEqual(code, 0, f"{client.name} is let in without a certificate")
        for device in json.loads(self.good(self.me.run("ca", "list", "--json")))["devices"]:
            self.good(self.me.run("ca", "revoke", device["serial"]))
        self.good(self.me.once())
        for client, files in own.items():
            code, _ = client.connect(self, self.mqtt.port, self.root, name="broker.lan", own=files)
            self.assertNotEqual(code, 0, f"{client.name} is let in although its certificate was revoked")


class NewestDevices(Devices):
    broker_version = "newest"


class BesideAServer(ServedCase):
    """The broker's certificate is an ACME server's; only the devices get theirs from us."""

    def test_the_broker_has_its_files_for_devices_as_soon_as_their_authority_is_made(self):
        self.serve()
        self.me.start()
        self.me.wait_until_valid()
        code, output = self.me.run("ca", "init")
        self.assertEqual(code, EXIT_GOOD, output)
        self.assertIn("the agent was told of the authority for devices", output)
        self.assertTrue((self.me.cert_dir / "devices-ca.pem").exists() and (self.me.cert_dir / "devices.crl").exists())
        _, output = self.me.run("ca", "init")
        self.assertNotIn("was told", output)
        self.assert_served()

    def test_who_tells_the_broker_of_devices_hurries_no_order_that_has_to_wait(self):
        self.serve()
        self.me.start()
        self.me.wait_until_valid()
        self.assertEqual(self.me.run("ca", "init")[0], EXIT_GOOD)
        self.assertEqual(self.me.run("ca", "issue", "stolen", **{"for": "tasmota"})[0], EXIT_GOOD)
        self.ca.stop()
        self.assertEqual(self.me.renew("--force")[0], 1)
        before = self.me.record()["servers"]
        code, output = self.me.run("ca", "revoke", "stolen")
        self.assertEqual(code, EXIT_GOOD, output)
        self.assertEqual(self.me.record()["servers"], before)


class RollOver(DevicesCase):
    """Of the root and of the authority for servers, while devices come and go that know the first root only."""

    def setUp(self):
        super().setUp()
        self.sound = self.issue("sound", days=3650)
        self.serve()
        self.me.start()
        self.me.wait_until_valid()
        self.authority = self.me.state / "authority"

    def connect(self, certificate, root=None):
        """The leaf that a device sees which knows one root; OSError if it does not like the broker, or the broker it."""
        device = mqtt.Client(self.mqtt.port, "visitor", certificate=certificate, root=root or self.root, host="broker.lan")
        device.close()
        return device.leaf

    def is_let_in(self, certificate):
        try:
            return bool(self.connect(certificate))
        except OSError:
            return False

    def age(self, kind, file, age, life):
        """As if it had been made so many years ago: with the same name, key and extensions."""
        certificate, issuer = (next((self.authority / folder).iterdir()) / name for folder, name in (
            (kind, file), ("roots", "root.pem")))
        key, issuer_key = (path.with_name(path.stem + "_key.pem") for path in (certificate, issuer))
        request, aged = self.folder / "request.pem", self.folder / "aged.pem"
        extensions = "-copy_extensions", "copyall"
        tls_files.openssl("x509", "-x509toreq", *extensions, "-in", certificate, "-signkey", key, "-out", request)
        code, output = programs.run(["faketime", "-f", f"-{age}y", "openssl", "x509", "-req", *extensions, "-in", request,
                                     "-CA", issuer, "-CAkey", issuer_key, "-days", 365 * life, "-out", aged])
        self.assertEqual(code, 0, output)
        certificate.write_text(aged.read_text())

    def roll_over(self, watch, kind, file, **years):
        """The folder of the successor, once devices see the certificate that comes from there."""
        before = set((self.authority / kind).iterdir())
        self.age(kind, file, **years)
        for _ in range(2):  # the broker lets in devices below a new root before it is itself served from there
            self.good(self.me.renew())
        self.wait_until_seen(watch)
        (successor,) = set((self.authority / kind).iterdir()) - before
        return successor

    def wait_until_seen(self, watch):
        self.eventually(lambda: self.me.held_leaf() in watch.leaves, 10, "a device that sees the new certificate")

    def above_leaf(self):
        return blocks(self.me.cert_dir / "fullchain.pem")[1:]

    def test_no_device_notices_it_whichever_root_it_knows_and_who_was_revoked_stays_out(self):
        stolen, lost, own = self.issue("stolen"), self.issue("lost"), self.of_every_kind(self.sound)
        self.assertTrue(self.is_let_in(stolen) and self.is_let_in(lost))
        self.good(self.me.run("ca", "revoke", "stolen"))
        device = self.mqtt.hold_session("device", certificate=self.sound)
        admissions_of_stolen = []

        def come_and_go():
            if self.is_let_in(stolen):
                admissions_of_stolen.append(self.above_leaf())
            return self.connect(self.sound)

        with tls.HandshakeWatch(self.mqtt.port, come_and_go, pause=0.05) as watch:
            servers = self.roll_over(watch, "servers", "servers.pem", age=3, life=5)
            self.assertEqual(self.above_leaf(), blocks(servers / "servers.pem"))
            root = self.roll_over(watch, "roots", "root.pem", age=11, life=20)
            self.assertEqual(self.above_leaf()[1:], blocks(root / "cross.pem"))
            self.good(self.me.renew("--force"))
            self.wait_until_seen(watch)

            found, lost_again = self.issue("found"), self.issue("lost")
            self.assertTrue(self.is_let_in(lost) and self.is_let_in(lost_again))
            self.good(self.me.run("ca", "revoke", "lost", "--force"))
        self.assertEqual((watch.failures, admissions_of_stolen, len(watch.leaves)), (0, [], 4))
        device.ping()
        for certificate in stolen, lost, lost_again:
            self.assertFalse(self.is_let_in(certificate))

        new = self.exported(root)
        for known in self.root, new:
            for certificate in self.sound, found:
                self.assertEqual(self.connect(certificate, root=known), self.me.held_leaf())
        self.assert_taken_by_every_kind(own, self.root)  # as who was off all the time
        self.assert_taken_by_every_kind(self.of_every_kind(found), new)
        self.assert_needs_cross(new)

    def test_a_device_whose_certificate_is_the_first_below_a_new_root_is_let_in_at_once(self):
        self.age("roots", "root.pem", age=11, life=20)
        self.assertEqual(self.connect(self.issue("found")), self.me.held_leaf())

    def exported(self, root):
        """The newest root in a file, as it stands in front of the first one."""
        both, new, old = (self.folder / name for name in ("both.pem", "new.pem", "old.pem"))
        self.good(self.me.run("ca", "export", "--format", "pem", both))
        for file, block in zip((new, old), blocks(both), strict=True):
            file.write_text(block)
        self.assertEqual(blocks(new), blocks(root / "root.pem"))
        self.assertEqual(public_key(old), public_key(self.root))
        return new

    def assert_needs_cross(self, new):
        """Who knows the first root only would refuse a chain without the new one's certificate by it."""
        cut = self.folder / "cut.pem"
        cut.write_text("".join(blocks(self.me.cert_dir / "fullchain.pem")[:-1]))
        files = cut, self.me.cert_dir / "privkey.pem"
        tls.handshake(*files, new, name="broker.lan")
        with self.assertRaisesRegex(ssl.SSLError, "unable to get local issuer"):
            tls.handshake(*files, self.root, name="broker.lan")


class NewestRollOver(RollOver):
    broker_version = "newest"


class Fallback(Case):
    """Behind a public server that cannot be reached."""

    def test_our_own_authority_stands_in_until_the_server_answers_and_says_so(self):
        ca = self.pebble()
        mqtt = self.broker(self.folder / "certs")
        me = self.agent(ca, mqtt.port, reload=f"process:{mqtt.comm}")
        nobody = f"https://localhost:{programs.free_port()}/dir"
        me.options["server"] = [nobody, "local"]
        code, output = me.once(probe="none", reload="none", owner="root:mosquitto")
        self.assertEqual(code, EXIT_BAD, output)
        self.assert_one_sentence(output, "of our own authority, until", "clients refuse it unless they know its root")
        mqtt.start()
        status = me.status()
        self.assertEqual((status["server"], status["stands_in_for"], status["state"]), ("local", nobody, "valid"))
        code, output = me.run("status")
        self.assertEqual(code, EXIT_BAD)
        self.assertIn("STANDING IN", output)

        me.options["server"] = [ca.url, "local"]
        code, output = me.once()
        self.assertEqual(code, EXIT_GOOD, output)
        self.assertEqual((me.status()["server"], me.status()["stands_in_for"]), (ca.url, None))
        tls.verify(mqtt.port, ca.root())
