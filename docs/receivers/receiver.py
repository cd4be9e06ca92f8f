"""A receiver of webhooks in Python: `pip install standardwebhooks`, WEBHOOK_SECRET, PORT."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
seen = {}  # ids of messages; a real receiver keeps them where they outlast a restart


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 1_000_000))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            webhook.verify(body, headers)  # the bytes as they were received, not parsed and written again
        except WebhookVerificationError as error:
            self.answer(401, str(error))
            return
        if headers["webhook-id"] not in seen:  # a message may come more than once
            seen[headers["webhook-id"]] = True
            self.take(json.loads(body))
        self.answer(204)

    def take(self, event):
        for flag in event["data"].get("flags", [event["data"]]):  # a digest has several
            print(flag["change"], flag["flag"], flush=True)

    def answer(self, status, text=""):
        self.send_response(status, text.replace("\n", " ") or None)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8000"))), Receiver)
print("listening on", server.server_port, flush=True)
server.serve_forever()
