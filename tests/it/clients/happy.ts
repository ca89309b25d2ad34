// A purge from request to end, by openapi-fetch and the types that openapi-typescript generates.
// Run as `happy.js URL KEY ID...`.

import createClient from "openapi-fetch";
import type { components, paths, webhooks } from "./schema.js";

declare const process: { argv: string[] };

type Purge = components["schemas"]["Purge"];
type Page = components["schemas"]["Page_Conversation"];
type Told = webhooks["purge_completed"]["post"]["requestBody"]["content"]["application/json"];

const [baseUrl = "", key, ...ids] = process.argv.slice(2);
const unknown = crypto.randomUUID();
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });

function must<T>({ data, error }: { data?: T; error?: { code: string } }): NonNullable<T> {
  if (data === undefined || data === null) throw new Error(`refused: ${error?.code}`);
  return data;
}

function expect(holds: boolean, shown: unknown): void {
  if (!holds) throw new Error(JSON.stringify(shown));
}

const order = {
  params: { header: { "Idempotency-Key": "typescript-1" } },
  body: { conversationIds: [...ids, unknown], reference: "TYPESCRIPT-1" },
};
const accepted = must(await client.POST("/purges", order));
expect(must(await client.POST("/purges", order)).id === accepted.id, accepted);
const path = { id: accepted.id };

let purge: Purge;
do {
  purge = must(await client.GET("/purges/{id}", { params: { path, query: { wait: 30 } } }));
} while (!["completed", "failed", "canceled"].includes(purge.state));
expect(purge.state === "completed", purge);
expect(purge.counts.purged === ids.length && purge.counts.not_found === 1, purge);

const seen: string[] = [];
let cursor: string | null = null;
do {
  const query: { limit: number; cursor: string | null } = { limit: 2, cursor };
  const page: Page = must(await client.GET("/purges/{id}/conversations", { params: { path, query } }));
  seen.push(...page.items.map((row) => row.conversationId));
  cursor = page.nextCursor ?? null;
} while (cursor);
expect(seen.join() === [...ids, unknown].join(), seen);
const exceptions = must(
  await client.GET("/purges/{id}/conversations", { params: { path, query: { outcome: "not_found" } } }),
);
expect(exceptions.items.length === 1 && exceptions.items[0]?.code === "absent_twice", exceptions);

const events = must(await client.GET("/purges/{id}/events", { params: { path } }));
if (typeof events === "string") throw new Error("a stream, which was not asked for");
expect(events.items[0]?.type === "purge_accepted", events);
const last = events.items.find((event) => event.type === "purge_completed");
// The payload of an event is what a webhook sends.
const told = last?.payload as Told | undefined;
expect(told?.purgeId === accepted.id && told.counts.purged === ids.length, events);
const listed = must(await client.GET("/purges", { params: { query: { reference: "TYPESCRIPT-1" } } }));
if (typeof listed === "string") throw new Error("CSV, which was not asked for");
expect(listed.items.length === 1 && listed.items[0]?.id === accepted.id, listed);

const refused = await client.GET("/purges/{id}", { params: { path: { id: unknown } } });
expect(refused.error?.code === "not_found", refused);
console.log("ok");
