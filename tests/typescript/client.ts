// Imports a file, waits for its end and reads the failed rows, with types from the OpenAPI document.
import type { components, operations } from "./schema.js";

type Import = components["schemas"]["Import"];
type FailedRows = operations["listFailedRows"]["responses"][200]["content"]["application/json"];

const server = process.env.RUNBOARD_URL;
const headers = { authorization: `Bearer ${process.env.RUNBOARD_TOKEN}` };

async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  const answer = await fetch(`${server}${path}`, { ...init, headers: { ...headers, ...init.headers } });
  if (!answer.ok) {
    const problem = (await answer.json()) as components["schemas"]["Problem"];
    throw new Error(`${problem.status}: ${problem.detail}`);
  }
  return (await answer.json()) as T;
}

const form = new FormData();
form.set("file", new Blob(["id,name\n1,Zoë\n2\n"]), "orders.csv");
let imported = await ask<Import>("/api/v1/imports", {
  method: "POST",
  body: form,
  headers: { "idempotency-key": crypto.randomUUID() },
});
while (imported.finishedAt == null) {
  imported = await ask<Import>(`${imported.links.self}?wait=30`);
}
const run = imported.runs[0];
const failed = await ask<FailedRows>(`${imported.links.self}/failures`);
const lines: string[] = failed.data.map((row) => `line ${row.line}: ${row.reason}`);
console.log([imported.state, run?.processedItems, ...lines].join("; "));
await ask<Import>("/api/v1/imports/unknown").catch((error: Error) => console.log(error.message));
