"""As much of MQTT 3.1.1 as a device needs: connect, stay, subscribe, publish."""

import hashlib
import socket
import ssl


def _text(value):
    data = value.encode()
    return len(data).to_bytes(2, "big") + data


class Client:
    """One connection that is held open; each method fails with OSError once the broker has dropped it."""

    def __init__(self, port, name, tls=True, certificate=None, root=None, host="mydyn.example"):
        """`certificate` and key are what the device shows, if anything; `root` is all that it trusts, None: anything."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = root is not None
            context.verify_mode = ssl.CERT_REQUIRED if root else ssl.CERT_NONE
            if root:
                context.load_verify_locations(root)
            if certificate:
                context.load_cert_chain(*certificate)
            self._socket = context.wrap_socket(self._socket, server_hostname=host)
            self.leaf = hashlib.sha256(self._socket.getpeercert(binary_form=True)).hexdigest()
        self._send(0x10, _text("MQTT") + bytes([4, 2, 0, 60]) + _text(name))  # clean session, keep-alive 60 s
        assert self._receive(0x20)[1] == 0, "the broker refused the connection"

    def subscribe(self, topic):
        self._send(0x82, b"\0\1" + _text(topic) + b"\0")
        self._receive(0x90)

    def publish(self, topic, payload):
        self._send(0x30, _text(topic) + payload.encode())

    def next_message(self):
        body = self._receive(0x30)
        length = int.from_bytes(body[:2], "big")
        return body[2:2 + length].decode(), body[2 + length:].decode()

    def ping(self):
        """The session lives: the broker answers."""
        self._send(0xC0, b"")
        self._receive(0xD0)

    def close(self):
        try:
            self._send(0xE0, b"")
        except OSError:
            pass
        self._socket.close()

    def _send(self, kind, body):
        assert len(body) < 128  # the length fits in one byte
        self._socket.sendall(bytes([kind, len(body)]) + body)

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            if not more:
                raise ConnectionError("the broker closed the connection")
            data += more
        return data

    def _receive(self, kind):
        head = self._exactly(2)
        body = self._exactly(head[1])
        assert head[0] & 0xF0 == kind, f"expected packet {kind:#x}, got {head[0]:#x}"
        return body
