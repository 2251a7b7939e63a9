"""An S3 server for the tests, which keeps everything in memory. Prints its port, and ends when its standard input does."""

import logging
import sys

from moto.moto_server.threaded_moto_server import ThreadedMotoServer

# The requests that it takes.
logging.getLogger("werkzeug").disabled = True

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
