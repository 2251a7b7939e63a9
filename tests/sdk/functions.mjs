// A typical app that uses the SDK. It prints its address once it is served.

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

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// Its steps together exceed the time limit of a call, and one of them does alone.
const isLong = inngest.createFunction(
  { id: "is-long", triggers: [{ event: "acme/is-long" }], checkpointing: { maxRuntime: 300 }, retries: 1 },
  async ({ step }) => {
    const done = [];
    for (const length of [120, 120, 120, 120, 500, 120, 120]) {
      done.push(await step.run(`wait ${done.length}`, () => pause(length).then(() => length)));
    }
    return done;
  },
);

// Its work between two steps exceeds the time limit of a call.
const isSlowBetweenSteps = inngest.createFunction(
  { id: "is-slow", triggers: [{ event: "acme/is-slow" }], checkpointing: { maxRuntime: 100 }, retries: 1 },
  async ({ step }) => {
    await pause(300);
    const first = await step.run("first", () => 1);
    await pause(300);
    const second = await step.run("second", () => 2);
    return [first, second];
  },
);

const functions = [isLong, isSlowBetweenSteps, twoSteps, failsForGood, isRetried, isMourned, sleeps, inParallel];
const server = createServer(serve({ client: inngest, functions }));
server.listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/api/inngest`);
});
