// A receiver of webhooks: npm install standardwebhooks
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.WEBHOOK_SECRET);
const seen = new Set();

const server = createServer(async (request, response) => {
  // The bytes as they came: JSON that was read and written again is no longer what was signed.
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  let event;
  try {
    event = webhook.verify(Buffer.concat(pieces), request.headers);
  } catch {
    response.writeHead(401).end();
    return;
  }
  // It may come twice: keep the ids where you keep what you did.
  const id = request.headers["webhook-id"];
  if (!seen.has(id)) {
    seen.add(id);
    console.log(event.event, event.purgeId);
  }
  response.writeHead(204).end();
});

server.listen(process.env.PORT ?? 8090, "127.0.0.1", () => console.log("listening on", server.address().port));
