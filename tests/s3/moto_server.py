"""moto, an S3 server that keeps everything in memory, with one bucket. Prints its port, and ends when its standard input
does.

Each line of its input is a number of seconds, by which all objects become older. It answers each with a line.
"""

import logging
import sys
import urllib.request
from datetime import timedelta

from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.s3.models import s3_backends

# The requests that it takes.
logging.getLogger("werkzeug").disabled = True

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
port = server.get_host_and_port()[1]
urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/files", method="PUT")).close()
print(port, flush=True)
for line in sys.stdin:
    for account in s3_backends.values():
        for backend in account.values():
            for bucket in backend.buckets.values():
                for key in bucket.keys.values():
                    key.last_modified -= timedelta(seconds=int(line))
    print("older", flush=True)
