// The snippets of Inngest's page "Fetch run status and output", combined as the page describes. Two things differ
// from the page: the address of the API, and the address of the file.

import { Inngest } from "inngest";

const inngest = new Inngest({ id: "acme" });

async function getRuns(eventId) {
  const response = await fetch(`${process.env.INNGEST_BASE_URL}/v1/events/${eventId}/runs`, {
    headers: {
      Authorization: `Bearer ${process.env.INNGEST_SIGNING_KEY}`,
    },
  });
  const json = await response.json();
  return json.data;
}

async function getRunOutput(eventId) {
  let runs = await getRuns(eventId);
  while (runs[0].status !== "Completed") {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    runs = await getRuns(eventId);
    if (runs[0].status === "Failed" || runs[0].status === "Cancelled") {
      throw new Error(`Function run ${runs[0].status}`);
    }
  }
  return runs[0];
}

const { ids } = await inngest.send({
  name: "imports/csv.uploaded",
  data: {
    file: `${process.env.FILE_HOST}/acme-uploads/user_0xp3wqz7vumcvajt/JVLO6YWS42IXEIGO.csv`,
    userId: "user_0xp3wqz7vumcvajt",
  },
});

const run = await getRunOutput(ids[0]);
console.log(run.output);
