"""A TLS server of Python's own: answers what was agreed upon in its handshake.

Usage: server.py CERTIFICATE KEY [CLIENTS]. Prints its port. It speaks HTTP/1.1 alone, and says so (ALPN).
"""
import http.server
import ssl
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        reused = "resumed" if self.connection.session_reused else "new"
        subject = (self.connection.getpeercert() or {}).get("subject", ())
        client = "certificate" if subject or self.connection.getpeercert() else "anonymous"
        alpn = self.connection.selected_alpn_protocol()
        body = f"{self.connection.version()} {alpn} {client} {reused}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def finish_request(self, request, client_address):
        request.settimeout(30)
        super().finish_request(tls.wrap_socket(request, server_side=True), client_address)

    def handle_error(self, *_):
        pass


tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(sys.argv[1], sys.argv[2])
tls.set_alpn_protocols(["http/1.1"])
if len(sys.argv) > 3:
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(sys.argv[3])
server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
