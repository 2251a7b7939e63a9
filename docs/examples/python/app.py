"""Takes Runboard's event, counts the rows of its file, and tells how far it is."""

import csv
import io
import os
import time
import typing
import urllib.request

import flask
import inngest
import inngest.flask

client = inngest.Inngest(app_id="csv-importer")


@client.create_function(
    fn_id="import-csv",
    trigger=inngest.TriggerEvent(event="imports/csv.uploaded"),
)
def import_csv(ctx: inngest.ContextSync) -> dict[str, int]:
    def read() -> dict[str, int]:
        counts = {"processedItems": 0, "failedItems": 0}
        told_at = time.monotonic()
        for _row, is_good in rows_of(str(ctx.event.data["file"])):
            # Your work with the row goes here.
            counts["processedItems" if is_good else "failedItems"] += 1
            if time.monotonic() - told_at >= 1:
                told_at = time.monotonic()
                progress = {"runId": ctx.run_id, **counts}
                client.send_sync(inngest.Event(name="imports/csv.progress", data=progress))
        return counts

    return ctx.step.run("read the file", read)


def rows_of(address: str) -> typing.Iterator[tuple[list[str], bool]]:
    """The rows after the header; one is good if it has as many fields as that."""
    with urllib.request.urlopen(address, timeout=60) as response:
        text = io.TextIOWrapper(response, encoding="utf-8-sig", errors="replace", newline="")
        rows = csv.reader(text)
        width = len(next(rows, []))
        for row in rows:
            if row:
                yield row, len(row) == width


app = flask.Flask(__name__)
inngest.flask.serve(app, client, [import_csv])

if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ.get("PORT", "3000")))
