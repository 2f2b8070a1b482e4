"""A stand-in for the vault on a Unix socket: answers what a test tells it, and keeps what it was asked."""
import http.server
import json
import os
import socketserver
import threading

REQUEST_ID = "00112233445566778899aabbccddeeff"


class Answer:
    """One answer. `cut`: close the connection after that many bytes of the body."""

    def __init__(self, status=200, document=None, body=None, headers=None, cut=None, wait=None):
        self.status = status
        self.body = json.dumps(document).encode() if body is None else body
        self.headers = dict(headers or {})
        self.cut = cut
        self.wait = wait
        if document is not None:
            kind = "application/json" if status < 400 else "application/problem+json"
            self.headers.setdefault("Content-Type", kind)


class Request:
    def __init__(self, handler, body):
        self.method, self.path, self.headers, self.body = handler.command, handler.path, handler.headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "local"

    def log_message(self, *arguments):
        pass

    def handle_one(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append(Request(self, body))
        known = self.server.answers.get((self.command, self.path)) or self.server.answers.get(self.command)
        if isinstance(known, list):
            known = known.pop(0) if len(known) > 1 else known[0]
        self.give(known or Answer(404, {"type": "about:blank", "title": "no such path", "status": 404, "reasons": []}))

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = handle_one

    def give(self, answer):
        self.send_response_only(answer.status)
        headers = {"Request-Id": REQUEST_ID, "Content-Length": str(len(answer.body)), **answer.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body if answer.cut is None else answer.body[:answer.cut])
        self.wfile.flush()
        if answer.wait is not None:
            answer.wait.wait(120)  # longer than any test waits
        if answer.cut is not None:
            self.close_connection = True


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class VaultDouble:
    """`answers` maps (method, path) or a method to an Answer, or to a list of them, the last of which stays."""

    def __init__(self, folder):
        self.socket = os.path.join(str(folder), "vault.sock")
        self.server = Server(self.socket, Handler)
        self.server.answers = {}
        self.server.requests = []
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def requests(self):
        return self.server.requests

    @property
    def answers(self):
        return self.server.answers

    def close(self):
        self.server.shutdown()
        self.server.server_close()
