// Handles Runboard's event, counts the rows of its file, and reports its progress.

import { createServer } from "node:http";
import { Readable, pipeline } from "node:stream";
import { parse } from "csv-parse";
import { Inngest } from "inngest";
import { serve } from "inngest/node";

const inngest = new Inngest({ id: "csv-importer" });

const importCsv = inngest.createFunction(
  { id: "import-csv", triggers: [{ event: "imports/csv.uploaded" }] },
  async ({ event, step, runId }) => {
    return step.run("read the file", async () => {
      const counts = { processedItems: 0, failedItems: 0 };
      let toldAt = Date.now();
      for await (const row of rowsOf(event.data.file)) {
        // Your work with the row goes here.
        if (row.isGood) {
          counts.processedItems += 1;
        } else {
          counts.failedItems += 1;
        }
        if (Date.now() - toldAt >= 1000) {
          toldAt = Date.now();
          await inngest.send({ name: "imports/csv.progress", data: { runId, ...counts } });
        }
      }
      return counts;
    });
  },
);

/** The rows after the header. A row is good if it has as many fields as the header. */
async function* rowsOf(address: string) {
  const response = await fetch(address);
  if (!response.ok || !response.body) {
    throw new Error(`the address of the file answered ${response.status}`);
  }
  const options = { bom: true, relax_column_count: true, relax_quotes: true, skip_empty_lines: true };
  // An error of either ends the loop below, so nothing needs to be done here.
  const records = pipeline(Readable.fromWeb(response.body as any), parse(options), () => {});
  let width: number | undefined;
  for await (const fields of records) {
    if (width === undefined) {
      width = fields.length;
    } else {
      yield { fields: fields as string[], isGood: fields.length === width };
    }
  }
}

const port = Number(process.env.PORT ?? 3000);
createServer(serve({ client: inngest, functions: [importCsv] })).listen(port, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${port}/api/inngest`);
});
