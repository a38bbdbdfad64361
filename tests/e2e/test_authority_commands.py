"""`acme-agent ca`: an authority on this machine, what it gives to devices, and what others say of that."""

import base64
import json
import plistlib
import re
import shlex
import shutil
import stat
import subprocess

from support import clients, programs, strace
from support.agent import agent_environment
from support.case import Case


def openssl(*words, data=None):
    done = subprocess.run(["openssl", *map(str, words)], input=data, capture_output=True)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def der_of(pem):
    return base64.b64decode("".join(line for line in pem.splitlines() if not line.startswith("-")))


class AuthorityCase(Case):
    in_memory = True

    def setUp(self):
        super().setUp()
        self.me = self.agent(domain=None, cert_dir=None, reload=None, probe=None, ca_key_type="ec256")

    def ca(self, *words, code=0, **more):
        found, output = self.me.run("ca", *words, **more)
        self.assertEqual(found, code, output)
        return output

    def ca_stdout(self, *words, **more):
        """Standard output alone, as a script would take it."""
        done = subprocess.run([self.agent_path, "ca", *map(str, words), *map(str, self.me.arguments(**more))], capture_output=True,
                              env=programs.environment())
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()

    def root(self):
        root = self.folder / "root.pem"
        if not root.exists():
            self.ca("export", root)
        return root

    def revoked(self):
        """The lists as brokers get them, once something was revoked."""
        lists = list((self.me.state / "authority/roots").glob("*/devices.crl"))
        self.assertEqual(len(lists), 1)
        return lists[0]

    def issue(self, name="pow", kind="mosquitto", **more):
        folder = self.folder / name
        self.ca("issue", name, folder, **{"for": kind, **more})
        return folder

    def verify(self, chain, *more):
        """By OpenSSL, as strictly as it can."""
        return openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", self.root(), "-untrusted", chain, *more, chain)


class Authority(AuthorityCase):
    def test_it_is_made_once_and_says_what_it_is(self):
        output = self.ca("init")
        self.assert_one_sentence(output, "an authority was made in", "keep backups")
        before = {path: path.read_bytes() for path in self.me.state.rglob("*") if path.is_file()}
        again = self.ca("init", ca_key_type=None)
        self.assertNotIn("an authority was made", again)
        self.assert_one_sentence(again, "keys", "ec256, not encrypted")
        self.assertIn("every name", again)
        self.assert_one_sentence(self.ca("init", code=2, ca_key_type="rsa2048", ca_name_constraint="lan"),
                                 "ca-key-type and ca-name-constraint", "ec256 for every name, and stays so", "move that folder away")
        self.assertEqual({path: path.read_bytes() for path in self.me.state.rglob("*") if path.is_file()}, before)
        fingerprint = openssl("x509", "-in", self.root(), "-noout", "-fingerprint", "-sha256")[1]
        self.assertIn(fingerprint.split("=")[1].strip().replace(":", "").lower(), again)

    def test_what_a_device_gets_passes_openssl_gnutls_and_mbed_tls_until_it_is_revoked(self):
        good, stolen = self.issue("good") / "cert.pem", self.issue("stolen") / "cert.pem"
        output = self.ca("revoke", "stolen", "--reason", "key-compromise")
        self.assert_one_sentence(output, "stolen: revoked", "key-compromise")
        lists = self.revoked()
        code, output = openssl("crl", "-in", lists, "-noout", "-text")
        self.assertEqual(code, 0, output)
        for chain, accepted in ((good, True), (stolen, False)):
            code, output = self.verify(chain)
            self.assertEqual(code, 0, output)
            code, output = self.verify(chain, "-crl_check_all", "-CRLfile", lists)
            self.assertEqual(code == 0, accepted, output)
            code, output = programs.run(["certtool", "--verify", "--load-ca-certificate", self.root(), "--infile", chain])
            self.assertEqual(code, 0, output)
            code, output = programs.run(["certtool", "--verify", "--load-ca-certificate", self.root(), "--load-crl", lists,
                                         "--infile", chain])
            self.assertEqual(code == 0, accepted, output)
            code, output = programs.run([clients.compiled(self.run_folder) / "mbedtls_verify", self.root(), chain, lists])
            self.assertEqual(code == 0, accepted, output)
        self.assertIn("revoked", output)
        whole = good.with_name("whole.pem")
        whole.write_text(good.read_text() + self.root().read_text())
        code, output = programs.run(["certtool", "--verify-chain", "--infile", whole])
        self.assertEqual(code, 0, output)
        code, output = programs.run(["certtool", "--crl-info", "--infile", lists])
        self.assertEqual(code, 0, output)

    def test_with_the_key_type_that_every_device_takes_it_is_the_same(self):
        self.me.options["ca_key_type"] = "rsa2048"
        code, output = self.verify(self.issue() / "cert.pem")
        self.assertEqual(code, 0, output)
        self.assertIn("sha256WithRSA", openssl("x509", "-in", self.root(), "-noout", "-text")[1])

    def test_a_tasmota_gets_two_lines_that_fit_each_other(self):
        lines = self.ca_stdout("issue", "sonoff-pow", **{"for": "tasmota"}).splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["TlsKey1", "TlsKey2"])
        key, certificate = (base64.b64decode(line.split()[1], validate=True) for line in lines)
        self.assertEqual(len(key), 32)
        self.assertTrue(256 < len(certificate) <= 928, len(certificate))
        pair = self.folder / "pair.der"
        pair.write_bytes(bytes.fromhex("30310201010420") + key + bytes.fromhex("a00a06082a8648ce3d030107"))  # RFC 5915 3
        code, of_key = openssl("ec", "-inform", "DER", "-in", pair, "-pubout", "-conv_form", "uncompressed")
        self.assertEqual(code, 0, of_key)
        leaf = self.folder / "leaf.der"
        leaf.write_bytes(certificate)
        code, of_certificate = openssl("x509", "-inform", "DER", "-in", leaf, "-noout", "-pubkey")
        self.assertEqual(code, 0, of_certificate)
        public = re.search("-----BEGIN PUBLIC KEY-----.*-----END PUBLIC KEY-----", of_key, re.S)
        self.assertIn(public.group(), of_certificate)
        self.assertIn("CN = sonoff-pow", openssl("x509", "-inform", "DER", "-in", leaf, "-noout", "-subject")[1])

    def test_an_esphome_gets_yaml_with_all_that_it_needs(self):
        text = self.ca_stdout("issue", "lamp", **{"for": "esphome"})
        blocks = {name: re.sub("^    ", "", block, flags=re.M) for name, block in
                  re.findall(r"^  (\w+): \|\n((?:    .*\n)+)", text, re.M)}
        self.assertEqual(set(blocks), {"certificate_authority", "client_certificate", "client_certificate_key"})
        self.assertEqual(blocks["certificate_authority"], self.root().read_text())
        of_key = openssl("pkey", "-pubout", data=blocks["client_certificate_key"].encode())[1]
        self.assertEqual(of_key, openssl("x509", "-noout", "-pubkey", data=blocks["client_certificate"].encode())[1])

    def test_a_keystore_opens_and_files_are_for_their_user_alone(self):
        folder = self.issue("flow", "nodered")
        code, output = openssl("pkcs12", "-in", folder / "flow.p12", "-passin", "pass:changeit", "-nodes")
        self.assertEqual(code, 0, output)
        self.assertIn("PRIVATE KEY", output)
        for path in [folder, *folder.iterdir()]:
            self.assertEqual(stat.S_IMODE(path.stat().st_mode) & 0o077, 0, path)

    def test_a_shelly_gets_what_its_calls_take(self):
        folder = self.issue("plug", "shelly")
        for call, name in (("PutUserCA", "ca.pem"), ("PutTLSClientCert", "cert.pem"), ("PutTLSClientKey", "key.pem")):
            self.assertEqual(json.loads((folder / f"{call}.json").read_text()), {"data": (folder / name).read_text()})

    def test_no_key_is_kept_or_logged(self):
        keys = [self.issue(kind, kind) / "key.pem" for kind in ("mosquitto", "nodered", "shelly", "esp-idf")]
        texts = [path.read_bytes() for path in [*self.me.state.rglob("*"), *self.folder.glob("*.log")] if path.is_file()]
        for key in keys:
            body = key.read_text().splitlines()[1].encode()
            self.assertFalse(any(body in text for text in texts), key)

    def test_a_request_gives_its_key_alone(self):
        request, key = self.folder / "pow.csr", self.folder / "pow.key"
        code, output = openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=admin", "-addext", "subjectAltName=DNS:admin",
                               "-addext", "basicConstraints=CA:TRUE", "-keyout", key, "-out", request)
        self.assertEqual(code, 0, output)
        folder = self.issue("pow", csr=request)
        self.assertEqual({path.name for path in folder.iterdir()}, {"cert.pem", "ca.pem"})
        code, output = self.verify(folder / "cert.pem")
        self.assertEqual(code, 0, output)
        text = openssl("x509", "-in", folder / "cert.pem", "-noout", "-text")[1]
        self.assertIn("CN = pow", text)
        self.assertNotIn("admin", text)
        self.assertEqual(openssl("x509", "-in", folder / "cert.pem", "-noout", "-pubkey"), openssl("pkey", "-in", key, "-pubout"))
        self.assert_one_sentence(self.ca("issue", "pow", code=2, csr=request, **{"for": "tasmota"}), "Tasmota takes no key")
        self.assert_one_sentence(self.ca("issue", "pow", code=2, csr=key, **{"for": "nodered"}), "--csr", "no sound")

    def test_the_list_has_what_ends_first_on_top(self):
        for name, days in (("long", 3650), ("soon", 30), ("middle", 400)):
            self.issue(name, days=days)
        output = self.ca("list")
        self.assertEqual([line.split()[0] for line in output.splitlines()], ["soon", "middle", "long"])
        devices = {one["name"]: one for one in json.loads(self.ca("list", "--json"))["devices"]}
        self.assertEqual({name: one["renew_soon"] for name, one in devices.items()}, dict.fromkeys(devices, False))
        self.assertNotIn("ca issue", output)
        self.ca("revoke", devices["middle"]["serial"].upper())
        again = {one["name"]: one for one in json.loads(self.ca("list", "--json"))["devices"]}
        self.assertEqual(again["middle"]["state"], "revoked")
        self.assertIn("revoked", self.ca("revoke", "middle"))  # as it was
        self.assert_one_sentence(self.ca("revoke", "nobody", code=2), "no certificate of 'nobody'")

    def test_a_name_with_two_certificates_in_date_does_not_say_which_one_to_revoke(self):
        serials = [json.loads(self.ca("list", "--json"))["devices"][-1]["serial"] for folder in ("one", "two")
                   if self.ca("issue", "pow", self.folder / folder, **{"for": "mosquitto"})]
        self.assert_one_sentence(self.ca("revoke", "pow", code=2), "several", "--force for all")
        self.assertNotIn("revoked", [one["state"] for one in json.loads(self.ca("list", "--json"))["devices"]])
        for serial in serials:
            self.assertIn(serial, self.ca("revoke", "pow", code=2))
        output = self.ca("revoke", "pow", "--force")
        self.assertTrue(all(serial in output for serial in serials), output)

    def test_an_earlier_certificate_and_an_earlier_revocation_are_told(self):
        first = self.ca("issue", "pow", **{"for": "tasmota"})
        self.assertNotIn("earlier", first)
        serial, end = re.search(r"serial (\w+), until (\S+)", first).groups()
        self.assert_one_sentence(self.ca("issue", "pow", **{"for": "tasmota"}), f"the earlier one, serial {serial}, stays valid until {end}",
                                 f"'acme-agent ca revoke {serial}' ends it")
        self.assert_one_sentence(self.ca("revoke", serial), f"pow: revoked, serial {serial} (unspecified)")
        when = {one["serial"]: one["revoked"] for one in json.loads(self.ca("list", "--json"))["devices"]}[serial]
        self.assert_one_sentence(self.ca("revoke", serial), f"pow: was revoked already at {when}, serial {serial}")

    def test_who_may_serve_a_public_certificate_and_ours_is_trusted_with_either(self):
        for servers, subjects in (("local", 1), (["letsencrypt", "local"], 2)):
            folder = self.folder / f"trust-{subjects}"
            self.ca("issue", "pow", folder, domain="mydyn.example", server=servers, **{"for": "mosquitto"})
            roots = (folder / "ca.pem").read_text()
            self.assertTrue(roots.startswith(self.root().read_text()))
            self.assertEqual(roots.count("BEGIN CERTIFICATE"), subjects)
        public = roots.removeprefix(self.root().read_text())
        self.assertIn("CN = ISRG Root X1", openssl("x509", "-noout", "-subject", data=public.encode())[1])

    def test_a_device_is_told_where_to_find_the_broker_in_a_way_that_it_understands(self):
        for domains, name, place in ((["*.home.arpa", "fd00::1"], "fd00::1", "[fd00::1]:8883"),
                                     (["10.0.0.2", "broker.lan"], "broker.lan", "broker.lan:8883"),
                                     (["*.home.arpa"], "BROKER", "BROKER:8883")):
            local = {"domain": domains, "server": "local"}
            with self.subTest(domains):
                self.assertIn(f'  broker: "{name}"\n', self.ca("issue", "pow", **local, **{"for": "esphome"}))
                self.assertIn(f"  address {place}\n", self.ca("issue", "pow", self.folder / name, **local, **{"for": "mosquitto"}))
                output = self.ca("issue", "pow", **local, **{"for": "tasmota"})
                self.assertIn(f"MqttHost {'broker.lan' if name == 'broker.lan' else 'BROKER'};", output)
                self.assertEqual("Tasmota checks no address" in output, name == "fd00::1")
                self.assert_one_sentence(output, "its firmware needs our root", "ca export --format tasmota")
                self.assertIn("acme-agent tasmota fingerprint", output)

    def test_the_lines_that_are_printed_can_be_pasted_whatever_folder_and_device_are_called(self):
        folder = self.folder / "DIR of o'hara"
        output = self.ca("issue", "GARDEN-DIRT", folder, **{"for": "mosquitto"})
        line, = (line for line in output.splitlines() if "mosquitto_sub" in line)
        words = shlex.split(line)
        for option, name in (("--cafile", "ca.pem"), ("--cert", "cert.pem"), ("--key", "key.pem")):
            self.assertEqual(words[words.index(option) + 1], str(folder / name))
        self.assertIn(f"bridge_certfile {folder / 'cert.pem'}\n", output)
        self.assert_one_sentence(output, "chown -R mosquitto")
        self.assertIn("GARDEN-DIRT: serial", output)
        output = self.ca("export", self.folder / "a FILE.pem")
        self.assertIn(f"--cafile '{self.folder / 'a FILE.pem'}'", output)

    def test_what_root_is_asked_for_by_sudo_belongs_to_who_asked(self):
        self.require_root()
        self.ca("init")
        programs.run(["chown", "-R", "mosquitto:", self.me.state])
        uid, gid = programs.ids_of("nobody")
        sudo = agent_environment(SUDO_UID=uid, SUDO_GID=gid)
        folder = self.folder / "kit"
        self.ca("issue", "pow", folder, env=sudo, **{"for": "nodered"})
        for path in [folder, *folder.iterdir()]:
            self.assertEqual((path.stat().st_uid, path.stat().st_gid), (uid, gid), path)
            self.assertEqual(stat.S_IMODE(path.stat().st_mode) & 0o077, 0, path)
        self.ca("issue", "pow", self.folder / "of root", env=agent_environment(SUDO_UID="4294967295", SUDO_GID="0"), **{"for": "nodered"})
        self.assertEqual((self.folder / "of root/key.pem").stat().st_uid, 0)

    def test_no_folder_is_given_away_but_a_new_one(self):
        self.require_root()
        self.ca("init")
        programs.run(["chown", "-R", "mosquitto:", self.me.state])
        theirs, link = self.folder / "theirs", self.folder / "link"
        theirs.mkdir(mode=0o755)
        link.symlink_to(theirs)
        for folder, needle in ((theirs, "is there already"), (link, "is a file or a link"), (f"{link}/", "is a file or a link")):
            self.assert_one_sentence(self.ca("issue", "pow", folder, code=2, **{"for": "nodered"}), needle)
        self.assertEqual((theirs.stat().st_uid, stat.S_IMODE(theirs.stat().st_mode)), (0, 0o755))
        self.assertEqual(json.loads(self.ca("list", "--json"))["devices"], [])

    def test_a_certificate_whose_key_was_lost_on_its_way_is_named(self):
        self.ca("init")
        with open("/dev/full", "w") as full:
            done = subprocess.run([self.agent_path, "ca", "issue", "pow", "--for", "tasmota", *map(str, self.me.arguments())],
                                  stdout=full, stderr=subprocess.PIPE, env=programs.environment())
        self.assertNotEqual(done.returncode, 0)
        serial = json.loads(self.ca("list", "--json"))["devices"][0]["serial"]
        self.assert_one_sentence(done.stderr.decode(), "cannot be written", f"ca revoke {serial}", "issue another")

    def test_the_root_is_given_in_every_form(self):
        self.ca("init")
        der = der_of(self.root().read_text())
        self.assertIn(f"--cafile {self.folder / 'again.pem'}", self.ca("export", self.folder / "again.pem"))
        for form in ("der", "android"):
            file = self.folder / f"root-{form}"
            self.ca("export", "--format", form, file)
            self.assertEqual(file.read_bytes(), der)
        profile = plistlib.loads(self.ca_stdout("export", "--format", "mobileconfig").encode())
        self.assertEqual(profile["PayloadType"], "Configuration")
        self.assertEqual(profile["PayloadContent"][0]["PayloadContent"], der)
        self.assertEqual(profile["PayloadContent"][0]["PayloadType"], "com.apple.security.root")
        self.assertEqual(plistlib.loads(self.ca_stdout("export", "--format", "mobileconfig").encode()), profile)
        headers = self.folder / "headers"
        headers.mkdir()
        self.ca("export", "--format", "tasmota", headers)
        self.assertEqual({path.name for path in headers.iterdir()}, {"local_ca_data.h", "local_ca_descriptor.h"})
        self.ca("export", headers)
        self.assertEqual((headers / "root.pem").read_text(), self.root().read_text())

    def test_what_is_wrong_is_told_in_one_sentence_and_nothing_is_issued(self):
        self.assert_one_sentence(self.ca("export", code=2), "there is no authority in", "ca init")
        self.ca("init")
        (self.folder / "full").mkdir()
        (self.folder / "full/x").touch()
        for words, options, needles in (
                (["issue"], {}, ["write ca issue NAME --for DEVICE, which is tasmota, esphome, shelly, esp-idf, nodered or mosquitto"]),
                (["issue", "pow"], {}, ["for which kind of device?", "write ca issue pow --for DEVICE"]),
                (["issue"], {"for": "tasmota"}, ["for which device?", "write ca issue NAME --for tasmota"]),
                (["issue", "pow"], {"for": "tasmotta"}, ["did you mean 'tasmota'?"]),
                (["issue", "a/b"], {"for": "tasmota"}, ["'a/b' cannot be the name of a device"]),
                (["issue", "pow"], {"for": "tasmota", "days": "3651"}, ["'3651' is not a number from 1 to 3650"]),
                (["issue", "pow", self.folder / "full"], {"for": "nodered"}, ["something lies in", "already"]),
                (["revoke"], {}, ["whose certificate?"]),
                (["revoke", "nobody"], {}, ["there is no certificate of 'nobody'"]),
                (["export"], {"format": "pfx"}, ["'pfx' is not one of pem, der, tasmota, mobileconfig and android"]),
                (["list"], {"days": "3"}, ["--days goes with 'ca issue' only"]),
                (["list", "all"], {}, ["'all' is one word too many for 'ca list'"]),
                (["lsit"], {}, ["'ca lsit' is not known"])):
            with self.subTest(words=words, options=options):
                self.assert_one_sentence(self.ca(*words, code=2, **options), *needles)
        self.assertEqual(json.loads(self.ca("list", "--json"))["devices"], [])


class Passphrase(AuthorityCase):
    def setUp(self):
        super().setUp()
        self.file = self.folder / "passphrase"
        self.file.write_text("correct horse\n")
        self.file.chmod(0o600)
        self.me.options["ca_passphrase_file"] = self.file

    def test_no_key_lies_there_open_and_without_the_passphrase_nothing_is_issued(self):
        self.issue()
        for key in (self.me.state / "authority").rglob("*_key.pem"):
            self.assertTrue(key.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----"), key)
        self.file.write_text("battery staple\n")
        self.assert_one_sentence(self.ca("issue", "b", code=2, **{"for": "tasmota"}), "another passphrase")
        self.me.options["ca_passphrase_file"] = None
        self.assert_one_sentence(self.ca("issue", "b", code=2, **{"for": "tasmota"}), "give its passphrase by --ca-passphrase-file")
        self.assertEqual(len(json.loads(self.ca("list", "--json"))["devices"]), 1)


    def test_keys_that_lie_there_open_are_encrypted_when_it_is_given(self):
        self.ca("init", ca_passphrase_file=None)
        self.assertIn("ec256, not encrypted", self.ca("init", ca_passphrase_file=None))
        output = self.ca("init")
        self.assertIn("ec256, encrypted", output)
        self.assertNotIn("chmod", output)
        for name in ("root", "devices", "servers"):
            key, = (self.me.state / "authority").rglob(f"{name}_key.pem")
            self.assertTrue(key.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----"), key)
        self.issue()

    def test_it_is_as_long_as_it_can_be_read_again_and_for_nobody_else(self):
        self.file.write_text(1024 * "x" + "\n")
        self.issue("a")
        self.issue("b")
        self.file.write_text(1025 * "x")
        self.assert_one_sentence(self.ca("issue", "c", code=2, **{"for": "tasmota"}), "longer than 1024 bytes", "take a shorter one")
        self.file.chmod(0o644)
        self.assert_one_sentence(self.ca("list"), "every user of this machine can read it", "chmod 0600")


class Killed(AuthorityCase):
    def test_whenever_the_making_is_killed_there_is_an_authority_or_none_and_the_next_one_issues(self):
        strace.require()
        words = ["ca", "issue", "first"]
        code, output, steps = strace.steps(self.me, self.me.state, *words, **{"for": "tasmota"})
        self.assertEqual(code, 0, output)
        killed = 0
        for step in steps:
            if step.name not in ("mkdir", "rename", "fsync"):
                continue
            shutil.rmtree(self.me.state)
            _, output, hit = strace.run_with_fault(self.me, step, "SIGKILL", *words, **{"for": "tasmota"})
            killed += hit
            told = f"killed at {step.name} {step.path}: {output}"
            made = list((self.me.state / "authority/roots").glob("*/root.pem"))
            self.assertEqual(len(made) == 1, (self.me.state / "authority").exists(), told)
            roots = [path.read_text() for path in made]
            self.ca("issue", "second", **{"for": "tasmota"})
            after = [path.read_text() for path in (self.me.state / "authority/roots").glob("*/root.pem")]
            self.assertEqual(len(after), 1, told)
            self.assertTrue(not roots or roots == after, told)
            names = {one["name"] for one in json.loads(self.ca("list", "--json"))["devices"]}
            self.assertTrue({"second"} <= names <= {"first", "second"}, told)
        self.assertGreater(killed, 20)
