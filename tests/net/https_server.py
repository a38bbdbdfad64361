#!/usr/bin/env python3
"""An HTTPS server that behaves as badly as the path asks for. https_server.py CERTIFICATE_AND_KEY [plain]

Prints its port, then serves until it is killed. GET /connections tells how many connections it has accepted.
"""
import socket
import ssl
import sys
import threading

accepted = 0
stalled = threading.Event()


def read_request(stream):
    line = stream.readline()
    if not line:
        return None
    method, path, _ = line.decode().split()
    headers = []
    while (header := stream.readline()) not in (b"\r\n", b""):
        headers.append(header)
    length = sum(int(h.split(b":")[1]) for h in headers if h.lower().startswith(b"content-length:"))
    return method, path, line + b"".join(headers), stream.read(length)


def reply(connection, body=b"", status="200 OK", headers=()):
    lines = ["HTTP/1.1 " + status, "Content-Length: %d" % len(body), *headers, "", ""]
    connection.sendall("\r\n".join(lines).encode() + body)


def serve(raw, context):
    try:
        connection = context.wrap_socket(raw, server_side=True) if context else raw
        stream = connection.makefile("rb")
        while (request := read_request(stream)) is not None:
            method, path, head, body = request
            if path == "/connections":
                reply(connection, str(accepted).encode())
            elif path == "/request":
                reply(connection, head + b"|" + body)
            elif path == "/head":
                connection.sendall(b"HTTP/1.1 200 OK\r\nReplay-Nonce: abc\r\nContent-Length: 5\r\n\r\n")
                assert method == "HEAD"
            elif path == "/links":
                reply(connection, b"", "200 OK", ['Link: <a>;rel="up"', 'LINK: <b>;rel="alternate"'])
            elif path == "/redirect":
                reply(connection, b"", "302 Found", ["Location: /request"])
            elif path == "/early":
                connection.sendall(b"HTTP/1.1 103 Early Hints\r\nRetry-After: 1\r\n\r\n")
                reply(connection, b"", "503 Service Unavailable", ["Retry-After: 2"])
            elif path == "/just-fits":
                reply(connection, b"x" * (1024 * 1024))
            elif path == "/one-too-many":
                reply(connection, b"x" * (1024 * 1024 + 1))
            elif path == "/big":
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in range(100):
                    connection.sendall(b"%x\r\n" % 100000 + b"x" * 100000 + b"\r\n")
            elif path == "/endless-headers":
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while True:
                    connection.sendall(b"X-Header: " + b"x" * 1000 + b"\r\n")
            elif path == "/endless-header":
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Header: ")
                while True:
                    connection.sendall(b"x" * 1000)
            elif path == "/stall":
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")
                stalled.set()
                stream.read()
            elif path == "/when-stalled":
                stalled.wait()
                reply(connection)
            elif path == "/truncated":
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")
                break
            elif path == "/nothing":
                break
            elif path == "/last":  # closes without having said so
                reply(connection, b"bye")
                break
            else:
                reply(connection, b"", "404 Not Found")
        # To the peer at once, also where the makefile still holds the socket.
        connection.shutdown(socket.SHUT_RDWR)
    except (OSError, ValueError):
        pass
    finally:
        raw.close()


def main():
    global accepted
    context = None
    if sys.argv[2:] != ["plain"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1])
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted += 1
        threading.Thread(target=serve, args=(connection, context), daemon=True).start()


main()
