"""Other brokers than Mosquitto, by their names."""

import socket
import ssl
import threading
import time

from support import programs, tls
from support.case import Case


class Nats(Case):
    """The real one."""

    def setUp(self):
        super().setUp()
        self.ca = self.pebble()
        self.port = programs.free_port()
        self.me = self.agent(self.ca, self.port, broker="nats", reload=None)
        config = self.folder / "nats.conf"
        config.write_text(f"""
server_name: test
listen: "127.0.0.1:{programs.free_port()}"
jetstream {{ store_dir: "{self.folder}/jetstream" }}
mqtt {{ listen: "127.0.0.1:{self.port}"
  tls {{ cert_file: "{self.me.cert_dir}/fullchain.pem", key_file: "{self.me.cert_dir}/privkey.pem" }} }}
""")
        self.command = ["nats-server", "-c", config]

    def test_a_renewal_with_a_new_key_is_told_and_served(self):
        self.me.once(probe="none")
        self.program("nats", self.command).wait_for_port(self.port)
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        code, output = self.me.renew("--force", reuse_key="no")
        self.assertEqual(code, 0, output)
        self.assertEqual(tls.verify(self.port, self.ca.root()), self.me.leaf())


class LooksItself:
    """Stands for brokers like EMQX, which empty their cache of files from time to time and want no signal."""

    def __init__(self, case, folder, seconds):
        self.port = programs.free_port()
        self._folder = folder
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._seconds = seconds  # None: the end
        self._loaded = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        case.addCleanup(self._end)

    def _serve(self):
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if self._seconds is None:
                    return
                if time.monotonic() > self._loaded + self._seconds:
                    self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    self._context.load_cert_chain(self._folder / "fullchain.pem", self._folder / "privkey.pem")
                    self._loaded = time.monotonic()
                try:
                    self._context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    pass

    def _end(self):
        self._seconds = None
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._listener.close()


class NobodyIsTold(Case):
    def test_a_broker_that_looks_itself_is_waited_for(self):
        ca = self.pebble()
        me = self.agent(ca, broker="emqx", reload=None)
        self.assertEqual(me.once(probe="none")[0], 0)
        broker = LooksItself(self, me.cert_dir, seconds=1.5)
        probe = f"localhost:{broker.port}"
        self.assertEqual(me.once(probe=probe)[0], 0)
        begun = time.monotonic()
        code, output = me.renew("--force", probe=probe)
        self.assertEqual(code, 0, output)
        self.assertGreater(time.monotonic() - begun, 0.5)
        self.assertEqual(tls.served(broker.port), me.leaf())


class Keystore(Case):
    def test_hivemq_finds_its_keystore_in_the_folder(self):
        me = self.agent(self.pebble(), broker="hivemq", reload=None)
        code, output = me.once()
        self.assertEqual(code, 0, output)
        code, output = programs.run(["openssl", "pkcs12", "-in", me.cert_dir / "keystore/keystore.p12", "-passin",
                                     "pass:changeit", "-nokeys"])
        self.assertEqual(code, 0, output)
        self.assertGreaterEqual(output.count("BEGIN CERTIFICATE"), 2)
