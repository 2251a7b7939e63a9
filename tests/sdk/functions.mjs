// An app as somebody writes one with the SDK. It prints its address once it is served.

import { createServer } from "node:http";
import { Inngest, NonRetriableError } from "inngest";
import { serve } from "inngest/node";

const inngest = new Inngest({ id: "acme" });

const twoSteps = inngest.createFunction(
  { id: "two-steps", triggers: [{ event: "acme/two-steps" }] },
  async ({ event, step }) => {
    const rows = await step.run("read the rows", () => event.data.text.split("\n"));
    const lengths = await step.run("measure them", () => rows.map((row) => row.length));
    return { rows, lengths };
  },
);

const failsForGood = inngest.createFunction(
  { id: "fails-for-good", triggers: [{ event: "acme/fails-for-good" }] },
  async ({ step }) => {
    await step.run("look for the file", () => {
      throw new NonRetriableError("the file is gone");
    });
  },
);

const isRetried = inngest.createFunction(
  { id: "is-retried", triggers: [{ event: "acme/is-retried" }], retries: 2 },
  async ({ attempt, step }) => {
    const before = await step.run("only once", () => ({ attempt }));
    if (attempt < 1) {
      throw new Error("not yet");
    }
    return { before, attempt };
  },
);

const isMourned = inngest.createFunction(
  {
    id: "is-mourned",
    triggers: [{ event: "acme/is-mourned" }],
    retries: 0,
    onFailure: ({ error, event }) => ({
      why: error.message,
      number: event.data.event.data.number,
      run: event.data.run_id,
    }),
  },
  () => {
    throw new Error("it was not to be");
  },
);

const sleeps = inngest.createFunction(
  { id: "sleeps", triggers: [{ event: "acme/sleeps" }] },
  async ({ step }) => {
    await step.sleep("nap", "1s");
  },
);

const inParallel = inngest.createFunction(
  { id: "in-parallel", triggers: [{ event: "acme/in-parallel" }] },
  async ({ step }) => Promise.all([step.run("left", () => 1), step.run("right", () => 2)]),
);

const functions = [twoSteps, failsForGood, isRetried, isMourned, sleeps, inParallel];
const server = createServer(serve({ client: inngest, functions }));
server.listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/api/inngest`);
});
