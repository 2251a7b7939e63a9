"""An SMTP server for the tests. Prints its port, then one line of JSON for each message that it takes.

A recipient whose address begins with three digits and a hyphen gets these digits as the answer: 550-eve@example.org. One
that begins with "silent-" gets none.
"""

import argparse
import asyncio
import email
import json
import logging
import ssl
import warnings
from email import policy

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

# Its advice for servers on the Internet, and the connections that tests break off on purpose.
warnings.simplefilter("ignore")
logging.disable()

arguments = argparse.ArgumentParser()
arguments.add_argument("--port", type=int, default=0)
arguments.add_argument("--tls", choices=["none", "starttls", "implicit"], default="none")
arguments.add_argument("--certificate")
arguments.add_argument("--key")
arguments.add_argument("--user")
arguments.add_argument("--password")
arguments.add_argument("--unconfirmed", action="store_true", help="the first message is taken and never confirmed")
options = arguments.parse_args()


class Handler:
    taken = 0

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        code, _, rest = address.partition("-")
        if code == "silent":
            await asyncio.Event().wait()
        if rest and len(code) == 3 and code.isdigit():
            return f"{code} <{address}> is not taken"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=policy.default)
        parts = {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}
        line = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": [[name, str(value)] for name, value in message.items()],
            "text": parts.get("text/plain", "").replace("\r\n", "\n"),
            "html": parts.get("text/html", ""),
            "raw": envelope.content.decode("utf-8", "replace"),
            "encrypted": session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None,
            "user": session.auth_data.decode() if session.authenticated else None,
        }
        print(json.dumps(line), flush=True)
        Handler.taken += 1
        if options.unconfirmed and Handler.taken == 1:
            await asyncio.Event().wait()
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    wanted = LoginPassword(options.user.encode(), options.password.encode())
    if data == wanted:
        return AuthResult(success=True, auth_data=data.login)
    return AuthResult(success=False, handled=False)


async def main():
    context = None
    if options.tls != "none":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate, options.key)
    starts_tls = options.tls == "starttls"

    def connection():
        return SMTP(
            Handler(),
            enable_SMTPUTF8=True,
            tls_context=context if starts_tls else None,
            require_starttls=starts_tls,
            authenticator=authenticate if options.user else None,
            auth_required=bool(options.user),
            # It knows of no TLS but that which it has started itself.
            auth_require_tls=starts_tls,
        )

    implicit = context if options.tls == "implicit" else None
    # A port that the test has reserved can be used beside the socket that reserves it.
    server = await asyncio.get_running_loop().create_server(
        connection, "127.0.0.1", options.port, ssl=implicit, reuse_port=options.port != 0
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
