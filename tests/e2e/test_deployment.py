"""What happens at a broker when certificates change: the experiments with Mosquitto, with the agent in charge.

In each row somebody or something makes the broker's folder bad; what the row is called after is in the first line of its
test. No row may end with handshakes failing, and the agent itself may not make them fail for longer than a reload takes.
"""

import http.server
import concurrent.futures
import contextlib
import os
import resource
import shutil
import signal
import time
import signal
import threading

from support import agent as the_agent
from support import programs, tls, tls_files
from support.case import Case, ServedCase
from support.device_ca import DeviceCa

# A reload swaps certificate and key within one call; handshakes that are under way in it may be refused. The rest is the
# slowness of a machine that runs other tests beside this one.
RELOAD_SECONDS = 1.0


def replace(path, text):
    """As an editor or `cp` would: a regular file where there was a link."""
    path.unlink(missing_ok=True)
    path.write_text(text)
    shutil.chown(path, "root", "mosquitto")
    path.chmod(0o640)


class Renewal(ServedCase):
    def test_E1_a_renewal_with_a_new_key_is_served_and_the_connected_device_notices_nothing(self):
        first = self.serve()
        self.device.subscribe("news")
        with tls.HandshakeWatch(self.mqtt.port) as watch:
            code, output = self.me.renew("--force", reuse_key="no")
        self.assertEqual(code, 0, output)
        self.assert_served()
        self.assertEqual(watch.leaves[0], first)
        self.assertEqual(set(watch.leaves), {first, self.me.leaf()}, "something else was served in between")
        self.assertLess(watch.longest_failure, RELOAD_SECONDS)
        self.device.publish("news", "still here")
        self.assertEqual(self.device.next_message(), ("news", "still here"))

    def test_E15_a_reload_by_somebody_else_at_any_moment_of_many_renewals_finds_a_pair_that_fits(self):
        self.serve()
        with tls.HandshakeWatch(self.mqtt.port) as watch:
            for _ in range(4):
                code, output = self.me.renew("--force", reuse_key="no", reload="none", probe="none")
                self.assertEqual(code, 0, output)
                self.mqtt.reload()
                self.assertEqual(self.mqtt.served(), self.me.leaf())
        self.assertLess(watch.longest_failure, RELOAD_SECONDS)
        self.assert_served()


class Crowd(ServedCase):
    """A plant full of devices: all stay connected, and others come, while the broker is told again and again."""

    agent_options = {"key_type": "ec256"}
    devices = 1000
    reloads = 20

    def setUp(self):
        super().setUp()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, self.devices + 1000), hard))  # for the broker, too

    def test_none_of_a_thousand_is_dropped_and_none_that_comes_is_refused_during_twenty_reloads(self):
        self.serve()
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            crowd = list(pool.map(lambda number: self.mqtt.hold_session(f"device-{number}"), range(self.devices)))
        with contextlib.ExitStack() as stack:
            watches = [stack.enter_context(tls.HandshakeWatch(self.mqtt.port)) for _ in range(3)]
            begun = time.monotonic()
            for _ in range(self.reloads):
                code, output = self.me.renew("--force", reuse_key="no")
                self.assertEqual(code, 0, output)
            seconds = time.monotonic() - begun
        handshakes = sum(watch.handshakes for watch in watches)
        self.assertEqual([watch.failures for watch in watches], [0, 0, 0])
        self.assertGreater(len(set().union(*(watch.leaves for watch in watches))), self.reloads)
        for device in crowd:
            device.ping()
        self.figures.append(f"{self.devices} devices stayed connected over {self.reloads} reloads, and {handshakes} handshakes "
                            f"beside them, {handshakes / seconds:.0f} a second, none of which failed")
        self.assert_served()


class FurtherFolders(ServedCase):
    def test_another_broker_reads_its_own_folder_and_gets_each_renewal(self):
        other = self.broker(self.folder / "other", certfile="combined.pem", keyfile="combined.pem")
        deploy = f"{other.cert_dir},owner=root:mosquitto,format=combined"
        self.serve()
        code, output = self.me.once(deploy=deploy)
        self.assertEqual(code, 0, output)
        self.assertEqual(os.listdir(other.cert_dir).count("combined.pem"), 1)
        other.start()
        self.assertEqual(other.served(), self.me.leaf())
        code, output = self.me.renew("--force", deploy=deploy, reuse_key="no",
                                     reload=[f"process:{self.mqtt.comm}", f"process:{other.comm}"],
                                     probe=[f"localhost:{self.mqtt.port}", f"localhost:{other.port}"])
        self.assertEqual(code, 0, output)
        self.assert_served()
        self.assertEqual(other.served(), self.me.leaf())


class Websockets(ServedCase):
    """Mosquitto 2.0 minds no reload at such a listener until somebody has opened a WebSocket there."""

    def setUp(self):
        super().setUp()
        self.port = programs.free_port()
        with self.mqtt.config.open("a") as config:
            config.write(f"listener {self.port} 127.0.0.1\nprotocol websockets\ncertfile {self.me.cert_dir}/fullchain.pem\n"
                         f"keyfile {self.me.cert_dir}/privkey.pem\n")
        self.me.options.update(probe=[f"localhost:{self.mqtt.port}", f"localhost:{self.port}"], probe_timeout="1s", reuse_key="no")

    def test_a_listener_for_browsers_serves_each_renewal_though_nobody_has_ever_been_there(self):
        self.serve()
        for _ in range(2):
            code, output = self.me.renew("--force")
            self.assertEqual(code, 0, output)
            self.assert_served()
            self.assertEqual(tls.served(self.port), self.me.leaf())
            self.device.close()
            self.mqtt.restart()  # and it has to be opened again
            self.device = self.mqtt.hold_session()


class CombinedFile(ServedCase):
    broker_options = {"certfile": "combined.pem", "keyfile": "combined.pem"}

    def test_E30_one_file_for_certificate_and_key_is_renewed_with_a_new_key(self):
        self.serve()
        with tls.HandshakeWatch(self.mqtt.port) as watch:
            code, output = self.me.renew("--force", reuse_key="no")
        self.assertEqual(code, 0, output)
        self.assert_served()
        self.assertLess(watch.longest_failure, RELOAD_SECONDS)


class FilesSpoilt(ServedCase):
    """Somebody spoils files in the broker's folder and sends SIGHUP; the agent's next look mends it."""

    def spoil(self, certificate=None, key=None, all_fail=True):
        """Puts these texts in place and reloads; `all_fail` is what the experiments have seen then."""
        for file, text in (("fullchain.pem", certificate), ("privkey.pem", key)):
            if text is not None:
                replace(self.me.cert_dir / file, text)
        self.mqtt.reload()
        self.assertEqual(tls.shakes_hands(self.mqtt.port), not all_fail, "the experiment went another way")

    def mend(self):
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        self.assert_served()
        self.mqtt.restart()  # and what lies there is good for the next start of the broker, too
        del self.device
        self.assert_served()

    def foreign(self, kind="rsa2048"):
        certificate, key = tls_files.self_signed(self.folder, kind=kind)
        return certificate.read_text(), key.read_text()

    def full(self):
        return (self.me.cert_dir / "fullchain.pem").read_text()

    def test_E2_the_certificate_file_is_gone(self):
        self.serve()
        (self.me.cert_dir / "fullchain.pem").unlink()
        self.spoil(all_fail=False)
        self.mend()

    def test_E3_the_certificate_is_another_and_the_key_is_gone(self):
        self.serve()
        (self.me.cert_dir / "privkey.pem").unlink()
        self.spoil(certificate=self.foreign()[0])
        self.mend()

    def test_E4_certificate_and_key_do_not_fit(self):
        self.serve()
        self.spoil(certificate=self.foreign()[0])
        self.mend()

    def test_E4b_the_key_is_another_the_certificate_is_not(self):
        self.serve()
        self.spoil(key=self.foreign()[1], all_fail=False)
        self.mend()

    def test_E5_a_torn_pair_that_somebody_has_mended_again_is_left_in_peace(self):
        self.serve()
        link = (self.me.cert_dir / "fullchain.pem").readlink()
        self.spoil(certificate=self.foreign()[0])
        (self.me.cert_dir / "fullchain.pem").unlink()
        (self.me.cert_dir / "fullchain.pem").symlink_to(link)
        self.mqtt.reload()
        self.mend()

    def test_E6_a_foreign_pair_whose_key_only_root_may_read(self):
        self.serve()
        certificate, key = self.foreign()
        replace(self.me.cert_dir / "privkey.pem", key)
        shutil.chown(self.me.cert_dir / "privkey.pem", "root", "root")
        (self.me.cert_dir / "privkey.pem").chmod(0o600)
        self.spoil(certificate=certificate)
        self.mend()

    def test_E6b_our_own_key_was_made_unreadable(self):
        self.serve()
        key = (self.me.cert_dir / "privkey.pem").resolve()
        shutil.chown(key, "root", "root")
        key.chmod(0o600)
        self.mqtt.reload()
        self.mend()

    def test_E7_the_leaf_is_cut_off(self):
        self.serve()
        self.spoil(certificate=self.full()[:600], all_fail=False)
        self.mend()

    def test_E7b_another_leaf_with_a_chain_that_is_cut_off(self):
        self.serve()
        self.spoil(certificate=self.foreign()[0] + self.full()[:600])
        self.mend()

    def test_E7c_another_certificate_and_an_empty_key(self):
        self.serve()
        self.spoil(certificate=self.foreign()[0], key="")
        self.mend()

    def test_E7d_the_certificate_is_empty(self):
        self.serve()
        self.spoil(certificate="", all_fail=False)
        self.mend()

    def test_the_link_to_the_generation_is_gone(self):
        self.serve()
        (self.me.cert_dir / "..data").unlink()
        self.mqtt.reload()
        self.mend()

    def test_a_file_inside_of_the_generation_was_overwritten(self):
        self.serve()
        (self.me.cert_dir / "fullchain.pem").write_text(self.foreign()[0])
        self.mqtt.reload()
        self.assertFalse(tls.shakes_hands(self.mqtt.port))
        self.mend()

    def test_a_running_agent_mends_it_when_it_is_told_to_look_again(self):
        self.serve()
        daemon = self.me.start()
        self.me.wait_until_valid()
        self.spoil(certificate=self.foreign()[0])
        daemon.send(1)  # SIGHUP
        self.eventually(lambda: tls.shakes_hands(self.mqtt.port), 20, "handshakes")
        self.eventually(lambda: self.mqtt.served() == self.me.held_leaf(), 5, "our certificate")


class KindOfKey(ServedCase):
    def served_after_restart(self):
        self.mqtt.restart()
        code, output = self.me.once(key_type=self.wanted)
        self.assertEqual(code, 0, output)
        del self.device
        self.assert_served()

    def change(self, first, wanted):
        self.wanted = wanted
        self.me.options["key_type"] = first
        leaf = self.serve()
        with tls.HandshakeWatch(self.mqtt.port) as watch:
            code, output = self.me.once(key_type=wanted)
        self.assertEqual(code, the_agent.EXIT_NOT_SERVED, output)
        self.assert_one_sentence(output, "restart")
        self.assertEqual(watch.longest_failure, 0)
        self.assertEqual(self.mqtt.served(), leaf, "a reload would have left clients with two kinds of certificate")
        self.assertEqual(self.mqtt.program.output().count("Reloading config."), 0, "it was signalled all the same")
        self.assertEqual(self.me.leaf(), self.me.held_leaf())
        # it stays that way until somebody restarts the broker, and no other certificate is asked for
        orders = self.ca.orders()
        self.assertEqual(self.me.once(key_type=wanted)[0], the_agent.EXIT_NOT_SERVED)
        self.assertEqual(self.ca.orders(), orders)
        self.device.ping()
        self.served_after_restart()

    def test_E8_from_rsa_to_an_elliptic_curve_needs_a_restart_and_says_so(self):
        self.change("rsa2048", "ec256")

    def test_E8b_from_an_elliptic_curve_to_rsa_needs_a_restart_and_says_so(self):
        self.change("ec256", "rsa2048")

    def test_E32_a_placeholder_of_another_kind_of_key_is_not_mixed_with_the_certificate(self):
        self.me.cert_dir.mkdir()
        certificate, key = tls_files.self_signed(self.folder, kind="ec256")
        replace(self.me.cert_dir / "fullchain.pem", certificate.read_text())
        replace(self.me.cert_dir / "privkey.pem", key.read_text())
        self.mqtt.start()
        self.device = self.mqtt.hold_session()
        with tls.HandshakeWatch(self.mqtt.port) as watch:
            code, output = self.me.once()
        self.assertEqual(code, the_agent.EXIT_NOT_SERVED, output)
        self.assert_one_sentence(output, "restart")
        self.assertEqual(watch.longest_failure, 0)
        self.assertEqual(self.mqtt.served(), tls.sha256_of(certificate))
        self.device.ping()
        self.wanted = "rsa2048"
        self.served_after_restart()


class Placeholder(ServedCase):
    def test_E31_the_broker_starts_on_a_placeholder_whose_key_the_certificate_keeps(self):
        self.ca.stop()  # the server cannot be reached at first
        code, output = self.me.once()
        self.assertEqual(code, the_agent.EXIT_BAD, output)
        self.assertEqual(self.me.status()["state"], "placeholder")
        key = the_agent.public_key(self.me.cert_dir / "cert.pem")
        self.mqtt.start()
        self.assertEqual(self.mqtt.served(), self.me.leaf())
        self.device = self.mqtt.hold_session()
        self.ca.start()
        with tls.HandshakeWatch(self.mqtt.port) as watch:
            code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assert_served()
        self.assertEqual(the_agent.public_key(self.me.cert_dir / "cert.pem"), key)
        self.assertLess(watch.longest_failure, RELOAD_SECONDS)

    def test_without_a_placeholder_nothing_is_put_there_before_the_certificate(self):
        self.ca.stop()
        code, output = self.me.once(placeholder="no")
        self.assertEqual(code, the_agent.EXIT_BAD, output)
        self.assertFalse((self.me.cert_dir / "fullchain.pem").exists())
        self.assertEqual(self.me.status()["state"], "missing")

    def test_a_good_pair_of_somebody_else_is_not_replaced_by_a_placeholder(self):
        self.me.cert_dir.mkdir()
        code, output = self.me.once(cert_dir=self.folder / "elsewhere", state_dir=self.folder / "other-state", probe="none",
                                    reload="none")
        self.assertEqual(code, 0, output)
        for file in ("fullchain.pem", "privkey.pem"):
            replace(self.me.cert_dir / file, (self.folder / "elsewhere" / file).read_text())
        leaf = self.me.leaf()
        self.ca.stop()
        code, output = self.me.once()
        self.assertEqual(code, the_agent.EXIT_BAD, output)
        self.assertEqual(self.me.leaf(), leaf)


class BrokerThatDoesNotStart(ServedCase):
    """E9: with a bad folder Mosquitto ends at once; the agent makes the folder good, and the next start succeeds."""

    def check(self, spoil):
        self.serve()
        self.mqtt.stop()
        spoil(self.me.cert_dir)
        self.mqtt.start_process()
        self.assertEqual(self.mqtt.program.wait(), 1)
        code, output = self.me.once()
        self.assertEqual(code, the_agent.EXIT_NOT_SERVED, output)  # it is not running, but a probe is set
        self.mqtt.start()
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        del self.device
        self.assert_served()

    def test_E9a_the_certificate_is_missing(self):
        self.check(lambda folder: (folder / "fullchain.pem").unlink())

    def test_E9b_the_key_is_missing(self):
        self.check(lambda folder: (folder / "privkey.pem").unlink())

    def test_E9c_the_key_is_unreadable(self):
        def spoil(folder):
            key = (folder / "privkey.pem").resolve()
            shutil.chown(key, "root", "root")
            key.chmod(0o600)
        self.check(spoil)

    def test_E9d_they_do_not_fit(self):
        self.check(lambda folder: replace(folder / "privkey.pem", tls_files.self_signed(self.folder)[1].read_text()))

    def test_E9e_the_certificate_is_empty(self):
        self.check(lambda folder: replace(folder / "fullchain.pem", ""))


class OtherPath(ServedCase):
    def test_E12_a_path_changed_in_the_broker_s_configuration_is_seen_to_need_a_restart(self):
        """Mosquitto 2.0 serves from the path that it was started with, whatever its file says now; 2.1 takes the new one."""
        old = self.folder / "old"
        old.mkdir()
        certificate, key = tls_files.self_signed(self.folder)
        replace(old / "fullchain.pem", certificate.read_text())
        replace(old / "privkey.pem", key.read_text())
        self.mqtt.cert_dir = old
        self.mqtt.write_config()
        self.mqtt.start()
        self.device = self.mqtt.hold_session()
        self.mqtt.cert_dir = self.me.cert_dir
        self.mqtt.write_config()
        with tls.HandshakeWatch(self.mqtt.port) as watch:
            code, output = self.me.once(probe_timeout="3s")
        self.assertLess(watch.longest_failure, RELOAD_SECONDS)
        self.device.ping()
        if self.broker_version == "newest":
            self.assertEqual(code, 0, output)
            return self.assert_served()
        self.assertEqual(code, the_agent.EXIT_NOT_SERVED, output)
        self.assertEqual(self.mqtt.served(), tls.sha256_of(certificate))
        del self.device
        self.mqtt.restart()
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        self.assert_served()


class HazardsOfAReload(ServedCase):
    """Files that Mosquitto reads again at a reload besides: 2.1 ends where one is missing."""

    def setUp(self):
        super().setUp()
        self.passwords = self.mqtt.folder / "passwords"
        self.passwords.write_text("")
        self.mqtt.write_config(extra=f"password_file {self.passwords}")

    def test_E14_a_password_file_that_is_gone_keeps_the_broker_from_being_told_until_it_is_back(self):
        first = self.serve()
        self.passwords.unlink()
        code, output = self.me.renew("--force")
        self.assertEqual(code, the_agent.EXIT_NOT_SERVED, output)
        self.assertIn("was not told to reload", output)
        self.assertIn(f"password_file {self.passwords}', and there is no such file", output)
        self.assertEqual(self.mqtt.served(), first)
        self.device.ping()
        self.passwords.write_text("")
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        self.assert_served()

    def test_E14_is_seen_from_a_mount_namespace_too_by_who_may_not_enter_the_root_of_the_broker(self):
        """As in the unit of the package."""
        self.me.prefix = ["unshare", "--mount", "setpriv", "--bounding-set=-sys_ptrace"]
        self.test_E14_a_password_file_that_is_gone_keeps_the_broker_from_being_told_until_it_is_back()


class RevocationList(ServedCase):
    """A listener with require_certificate and crlfile is built anew at each reload; 2.1 ends where that fails."""

    def setUp(self):
        super().setUp()
        self.devices = DeviceCa(self.folder)
        self.good, self.stolen = self.devices.issue("good"), self.devices.issue("stolen")
        self.mqtt.write_config(extra=f"require_certificate true\ncafile {self.devices.certificate}\n"
                                     f"crlfile {self.devices.revocation_list}")

    def serve(self):
        self.assertEqual(self.me.once(probe="none", reload="none", owner="root:mosquitto")[0], 0)
        self.mqtt.start()
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        self.device = self.mqtt.hold_session("good", certificate=self.good)
        return self.me.leaf()

    def test_E11_a_renewal_is_served_and_a_device_that_was_revoked_is_refused_from_then_on(self):
        self.serve()
        self.mqtt.hold_session("stolen", certificate=self.stolen).ping()
        self.devices.revoke(self.stolen[0])
        code, output = self.me.renew("--force", reuse_key="no")
        self.assertEqual(code, 0, output)
        self.assert_served()
        self.device.ping()
        with self.assertRaises(OSError):
            self.mqtt.hold_session("stolen", certificate=self.stolen)
        self.mqtt.hold_session("good again", certificate=self.good).ping()

    def test_E11e_a_list_that_is_gone_keeps_the_broker_from_being_told_and_from_letting_anybody_in(self):
        first = self.serve()
        self.devices.revoke(self.stolen[0])
        self.mqtt.reload()
        aside = self.devices.revocation_list.rename(self.folder / "aside.crl")
        code, output = self.me.renew("--force")
        self.assertEqual(code, the_agent.EXIT_NOT_SERVED, output)
        self.assertIn("devices.crl', and there is no such file", output)
        self.assertEqual(self.mqtt.served(), first)
        with self.assertRaises(OSError):
            self.mqtt.hold_session("stolen", certificate=self.stolen)
        aside.rename(self.devices.revocation_list)
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        self.assert_served()

    def test_E26_a_torn_pair_that_ends_the_newest_broker_is_told_and_mended_for_its_next_start(self):
        self.serve()
        _, key = tls_files.self_signed(self.folder)
        replace(self.me.cert_dir / "privkey.pem", key.read_text())
        if self.broker_version != "newest":
            self.mqtt.reload()
        else:
            self.mqtt.program.send(signal.SIGHUP)
            self.eventually(lambda: not self.mqtt.program.running, 5, "the end of the broker")
            code, output = self.me.once()
            self.assertEqual(code, the_agent.EXIT_NOT_SERVED, output)
            self.assertIn("nobody answers", output)
            self.mqtt.start()
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        self.assertEqual(self.mqtt.served(), self.me.held_leaf())

    def test_E27_a_list_past_its_end_keeps_every_device_out_and_no_certificate(self):
        self.serve()
        self.devices.sign_list(seconds=1)
        time.sleep(1.5)
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertEqual(self.mqtt.served(), self.me.held_leaf())
        with self.assertRaises(OSError):
            self.mqtt.hold_session("late", certificate=self.good)
        self.devices.sign_list()
        self.mqtt.reload()
        self.mqtt.hold_session("late", certificate=self.good).ping()

    def test_E28_another_kind_of_key_is_said_to_need_a_restart_here_too(self):
        self.me.options["key_type"] = "rsa2048"
        first = self.serve()
        code, output = self.me.once(key_type="ec256")
        self.assertEqual(code, the_agent.EXIT_NOT_SERVED, output)
        self.assertIn("restart", output)
        self.assertEqual(self.mqtt.served(), first)
        self.device.ping()


class OtherDevices(ServedCase):
    """Without a crlfile no reload reads the CA of the devices again."""

    def test_E11d_another_authority_of_the_devices_takes_a_restart_and_no_renewal_waits_for_it(self):
        old = DeviceCa(self.folder)
        (self.folder / "other").mkdir(mode=0o755)
        new = DeviceCa(self.folder / "other")
        device, newcomer = old.issue("device"), new.issue("newcomer")
        self.mqtt.write_config(extra=f"require_certificate true\ncafile {old.certificate}")
        self.assertEqual(self.me.once(probe="none", reload="none", owner="root:mosquitto")[0], 0)
        self.mqtt.start()
        session = self.mqtt.hold_session("first", certificate=device)  # it has read its files
        replace(old.certificate, new.certificate.read_text())
        code, output = self.me.renew("--force", reuse_key="no")
        self.assertEqual(code, 0, output)
        self.assert_served()
        session.ping()
        self.mqtt.hold_session("device", certificate=device).ping()
        with self.assertRaises(OSError):
            self.mqtt.hold_session("newcomer", certificate=newcomer)
        self.mqtt.stop()
        self.mqtt.start()
        self.assert_served()
        self.mqtt.hold_session("newcomer", certificate=newcomer).ping()
        with self.assertRaises(OSError):
            self.mqtt.hold_session("device", certificate=device)


class GuidesLayout(ServedCase):
    """E10: certfile cert.pem and cafile chain.pem, which no reload reads again."""

    broker_options = {"certfile": "cert.pem"}

    def test_E10_a_chain_that_a_reload_breaks_is_told_with_the_cure_and_handshakes_go_on(self):
        self.mqtt.write_config(certfile="cert.pem", extra=f"cafile {self.me.cert_dir}/chain.pem")
        self.assertEqual(self.me.once(probe="none", reload="none", owner="root:mosquitto")[0], 0)
        self.mqtt.start()
        self.assertEqual(self.me.once()[0], 0)
        self.ca.stop()
        self.ca.start()  # with another intermediate certificate
        with tls.HandshakeWatch(self.mqtt.port) as watch:
            code, output = self.me.renew("--force")
        self.assertEqual(code, the_agent.EXIT_NOT_SERVED, output)
        self.assertIn("the leaf without its chain: the broker's certfile must be fullchain.pem", output)
        self.assertEqual(watch.failures, 0)
        self.mqtt.write_config()
        self.mqtt.restart()
        self.assertEqual(self.me.once()[0], 0)
        tls.verify(self.mqtt.port, self.ca.root())


class ExpiredAtTheStart(ServedCase):
    ca_options = {"version": "newest", "lifetime": 3}

    def test_E18_a_certificate_that_ended_while_nobody_looked_is_replaced_by_the_next_run(self):
        self.me.once(probe="none", reload="none", owner="root:mosquitto")
        time.sleep(3.5)
        self.mqtt.start()  # serves it all the same
        ended = self.mqtt.served()
        code, output = self.me.once()
        self.assertNotEqual(self.me.leaf(), ended, output)
        self.assertEqual(self.mqtt.served(), self.me.leaf())


class AnotherIntermediate(ServedCase):
    def test_E10b_a_certificate_of_another_authority_is_served_with_its_whole_chain(self):
        self.serve()
        self.ca.stop()
        self.ca.start()  # with a root and an intermediate certificate of their own
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assert_served()

    def test_E17_a_mistake_in_the_broker_s_configuration_keeps_no_certificate_from_it(self):
        self.serve()
        self.mqtt.write_config(extra="no_such_setting 1")
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assert_served()


class TimeOfStart(Case):
    """The broker may come before, with and after the agent."""

    def setUp(self):
        super().setUp()
        self.ca = self.pebble()
        self.mqtt = self.broker(self.folder / "certs")
        self.me = self.agent(self.ca, self.mqtt.port, reload=f"process:{self.mqtt.comm}", owner="root:mosquitto")

    def settle(self):
        # within 10 s once the broker is there
        self.eventually(lambda: self.me.status()["deploy"]["ok"] and self.me.status()["state"] == "valid", 30, "deployment")
        self.assertEqual(self.mqtt.served(), self.me.held_leaf())
        tls.verify(self.mqtt.port, self.ca.root())

    def test_the_broker_runs_before_the_agent_with_somebody_s_self_signed_pair(self):
        self.me.cert_dir.mkdir()
        certificate, key = tls_files.self_signed(self.folder)
        replace(self.me.cert_dir / "fullchain.pem", certificate.read_text())
        replace(self.me.cert_dir / "privkey.pem", key.read_text())
        self.mqtt.start()
        device = self.mqtt.hold_session()
        daemon = self.me.start()
        self.settle()
        device.ping()
        self.assertTrue(daemon.running)

    def test_the_broker_starts_with_the_agent_and_is_started_again_until_it_lives(self):
        """As a service manager does it: what ends is started again."""
        daemon = self.me.start()

        def runs():
            if not self.mqtt.program or not self.mqtt.program.running:
                self.mqtt.start_process()
            return tls.shakes_hands(self.mqtt.port)
        self.eventually(runs, 20, "a handshake")
        self.settle()
        self.assertTrue(daemon.running)

    def test_the_broker_comes_long_after_the_agent_and_serves_the_certificate_within_ten_seconds(self):
        daemon = self.me.start()
        self.me.wait_until(lambda s: s["state"] == "valid", what="a certificate")
        self.mqtt.start()
        self.eventually(lambda: self.me.status()["deploy"]["ok"], 12, "the agent having seen the broker")
        self.settle()
        self.assertTrue(daemon.running)

    def test_a_broker_that_was_started_on_the_placeholder_gets_the_certificate_without_a_restart(self):
        self.ca.stop()
        daemon = self.me.start()
        self.eventually(lambda: (self.me.cert_dir / "fullchain.pem").exists(), 20, "a placeholder")
        self.mqtt.start()
        device = self.mqtt.hold_session()
        self.ca.start()
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.settle()
        device.ping()
        self.assertTrue(daemon.running)

    def test_a_daemon_s_renewal_reaches_devices_while_a_session_lives_on(self):
        daemon = self.me.start()
        self.me.wait_until(lambda s: s["state"] == "valid", what="a certificate")
        self.mqtt.start()
        self.settle()
        device = self.mqtt.hold_session()
        device.subscribe("news")
        leaf = self.me.leaf()
        with tls.HandshakeWatch(self.mqtt.port) as watch:
            code, output = self.me.renew("--force")
            self.assertEqual(code, 0, output)
            self.settle()
        self.assertNotEqual(self.me.leaf(), leaf)
        self.assertLess(watch.longest_failure, RELOAD_SECONDS)
        device.publish("news", "after the renewal")
        self.assertEqual(device.next_message(), ("news", "after the renewal"))
        self.assertTrue(daemon.running)


class OwnersAndWays(ServedCase):
    def test_the_group_of_the_running_broker_is_given_to_the_files_without_being_told(self):
        self.me.options["owner"] = None
        self.serve()
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        key = (self.me.cert_dir / "privkey.pem").stat()
        self.assertEqual((oct(key.st_mode & 0o777), key.st_uid), ("0o640", 0))
        self.assertEqual(shutil._get_gid("mosquitto"), key.st_gid)
        self.assert_served()

    def test_a_key_that_the_broker_could_not_read_is_never_switched_to(self):
        leaf = self.serve()
        with tls.HandshakeWatch(self.mqtt.port) as watch:
            code, output = self.me.renew("--force", reuse_key="no", owner="root:root", mode="0600")
        self.assertEqual(code, the_agent.EXIT_NOT_SERVED, output)
        self.assert_one_sentence(output, self.mqtt.comm, "read")
        self.assertEqual(self.me.leaf(), leaf)
        self.assertEqual(watch.longest_failure, 0)
        self.mqtt.reload()
        self.assertEqual(self.mqtt.served(), leaf)
        code, output = self.me.once()  # as it was meant
        self.assertEqual(code, 0, output)
        self.assert_served()

    def test_an_agent_without_any_privilege_serves_a_broker_of_the_same_user(self):
        """The sidecar: both run as one user, nothing else is needed."""
        self.me.allow("mosquitto")
        self.serve_as = "mosquitto"
        code, output = self.me.once(probe="none", reload="none")
        self.assertEqual(code, 0, output)
        self.mqtt.start()
        self.device = self.mqtt.hold_session()
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assert_served()

    def test_a_pidfile_tells_which_process_to_signal(self):
        self.serve()
        code, output = self.me.renew("--force", reload=f"pidfile:{self.mqtt.pidfile}")
        self.assertEqual(code, 0, output)
        self.assert_served()

    def test_a_command_gets_to_know_what_was_deployed_and_sees_no_shell(self):
        self.serve()
        hook = self.folder / "reload it"
        hook.write_text('#!/bin/sh\n{ echo "$1"; echo "$CERTIFICATE_NAME $CERTIFICATE_DOMAINS $CERTIFICATE_DIR"; } > "$2"\n'
                        f'kill -HUP "$(cat {self.mqtt.pidfile})"\n')
        hook.chmod(0o755)
        code, output = self.me.renew("--force", reload=f"command:'{hook}' $HOME;true {self.folder}/told")
        self.assertEqual(code, 0, output)
        self.assert_served()
        self.assertEqual((self.folder / "told").read_text(),
                         f"$HOME;true\nmydyn.example mydyn.example {self.me.cert_dir}\n")

    def test_a_post_to_a_url_tells_the_broker_and_its_password_is_shown_nowhere(self):
        self.serve()
        told = []

        class Hook(http.server.BaseHTTPRequestHandler):
            def do_POST(hook):
                told.append((hook.path, hook.headers["Authorization"], hook.headers["Content-Length"]))
                self.mqtt.program.send(signal.SIGHUP)
                hook.send_response(202)
                hook.end_headers()

            def log_message(hook, *_):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Hook) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://me:hidden@127.0.0.1:{server.server_port}/reload?token=hidden"
            code, output = self.me.renew("--force", reload=f"url:{url}", log_level="debug")
            server.shutdown()
        self.assertEqual(code, 0, output)
        self.assert_served()
        self.assertEqual(told, [("/reload?token=hidden", "Basic bWU6aGlkZGVu", "0")])
        code, more = self.me.renew("--force", reload=f"url:{url}", probe_timeout="1s")  # nobody is there any more
        self.assertEqual(code, 3, more)
        self.assert_one_sentence(more, f"url:http://127.0.0.1:{server.server_port} failed", "refused")
        for text in (output, more, (self.me.certificate_state / "record.json").read_text()):
            self.assertNotIn("hidden", text)

    def test_several_ways_are_all_done_in_order(self):
        self.serve()
        mark = self.folder / "first"
        code, output = self.me.renew("--force", reload=[f"command:touch {mark}", f"process:{self.mqtt.comm}"])
        self.assertEqual(code, 0, output)
        self.assertTrue(mark.exists())
        self.assert_served()

    def test_three_generations_stay(self):
        self.serve()
        for _ in range(4):
            self.assertEqual(self.me.renew("--force")[0], 0)
        kept = [entry for entry in os.listdir(self.me.cert_dir) if entry.removeprefix("..").isdigit()]
        self.assertEqual(len(kept), 3, kept)

    def test_a_broker_that_demands_client_certificates_is_judged_by_what_it_shows(self):
        ca, _ = tls_files.self_signed(self.folder, name="devices", stem="devices")
        self.mqtt.write_config(extra=f"cafile {ca}\nrequire_certificate true\n")
        code, output = self.me.once(probe="none", reload="none", owner="root:mosquitto")
        self.assertEqual(code, 0, output)
        self.mqtt.start()
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertEqual(self.me.leaf(), self.me.held_leaf())
