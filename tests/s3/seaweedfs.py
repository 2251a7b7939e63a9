"""SeaweedFS for the tests, with one bucket in a temporary folder. Prints its port, and ends when its standard input does.

Unlike moto it checks the signature of each request that has one. Without one it lists, which the tests do to see what is
stored, and reads, which the list of unfinished uploads needs."""

import glob
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import boto3
import botocore.exceptions

BUCKET = "files"
STARTED_WITHIN = 60
# Another process may take a port between its choice and the start.
TRIES = 5

WEED = os.path.join(os.path.dirname(sys.executable), "weed")
SERVERS = ["master", "volume", "filer", "s3"]
IDENTITIES = {
    "identities": [
        {
            "name": "runboard",
            "credentials": [{"accessKey": "key", "secretKey": "secret"}],
            "actions": ["Admin", "Read", "Write", "List"],
        },
        {"name": "anonymous", "actions": ["List", "Read"]},
    ]
}


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start(folder, ports):
    settings = os.path.join(folder, "s3.json")
    with open(settings, "w") as file:
        json.dump(IDENTITIES, file)
    options = {
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "filer": "true",
        "s3": "true",
        "s3.config": settings,
        # No other service beside them.
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        # It would tell its makers that it runs.
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 64,
        "volume.max": 0,
    }
    for index, server in enumerate(SERVERS):
        options[f"{server}.port"], options[f"{server}.port.grpc"] = ports[2 * index : 2 * index + 2]
    words = [f"-{name}={value}" for name, value in options.items()]
    none = subprocess.DEVNULL
    # Without a limit its memory grows to three quarters of a gigabyte.
    environment = {**os.environ, "GOMEMLIMIT": "512MiB"}
    command = [WEED, "-logtostderr=true", "server", *words]
    return subprocess.Popen(command, env=environment, stdin=none, stdout=none, stderr=none)


def is_ready(weed, port):
    """Whether the bucket was made and keeps an object."""
    s3 = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
        config=boto3.session.Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}),
    )
    until, is_made = time.monotonic() + STARTED_WITHIN, False
    while weed.poll() is None and time.monotonic() < until:
        try:
            if not is_made:
                s3.create_bucket(Bucket=BUCKET)
                is_made = True
            s3.put_object(Bucket=BUCKET, Key="probe", Body=b".")
            s3.delete_object(Bucket=BUCKET, Key="probe")
            return True
        except s3.exceptions.BucketAlreadyOwnedByYou:
            is_made = True
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
            time.sleep(0.1)
    return False


def end(weed, ports):
    # It has nothing to save.
    weed.kill()
    weed.wait()
    for port in ports:
        for left in glob.glob(f"/tmp/seaweedfs-*-{port}.sock"):
            os.remove(left)


def serve():
    """Returns whether it was started."""
    ports = free_ports(2 * len(SERVERS))
    folder = tempfile.mkdtemp(prefix="runboard-seaweedfs-")
    weed = start(folder, ports)
    try:
        if not is_ready(weed, ports[-2]):
            return False
        print(ports[-2], flush=True)
        sys.stdin.read()
        return True
    finally:
        end(weed, ports)
        shutil.rmtree(folder, ignore_errors=True)


if not any(serve() for _ in range(TRIES)):
    sys.exit("SeaweedFS does not start")
