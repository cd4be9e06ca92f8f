// A receiver of webhooks in Node: npm install standardwebhooks, WEBHOOK_SECRET, PORT.
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.WEBHOOK_SECRET);
const seen = new Set(); // ids of messages; a real receiver keeps them where they outlast a restart

function take(event) {
  for (const flag of event.data.flags ?? [event.data]) { // a digest has several
    console.log(flag.change, flag.flag);
  }
}

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks).toString(); // as it was received, not parsed and written again
    let event;
    try {
      event = webhook.verify(body, request.headers);
    } catch (error) {
      response.writeHead(401).end(error.message);
      return;
    }
    const id = request.headers["webhook-id"];
    if (!seen.has(id)) { // a message may come more than once
      seen.add(id);
      take(event);
    }
    response.writeHead(204).end();
  });
});
server.listen(Number(process.env.PORT ?? 8000), "127.0.0.1", () => console.log("listening on", server.address().port));
