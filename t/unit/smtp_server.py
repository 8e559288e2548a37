#!/usr/bin/python3
#
# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause
#
# A real SMTP server (aiosmtpd) for smtp.t:
#
#     smtp_server.py DIR MODE USER PASSWORD
#
# MODE is starttls (required, as is AUTH), smtps (AUTH required, LOGIN only) or
# plain (no STARTTLS, no AUTH).  DIR has server.crt and server.key.  Prints the
# port.  Each mail becomes a line of JSON in DIR/mails: its envelope and what
# Python's parser makes of it.

import asyncio
import json
import ssl
import sys
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import parseaddr

from aiosmtpd.smtp import SMTP, AuthResult

directory, mode, user, password = sys.argv[1:5]


def display_name(raw):
    # not by policy.default, which keeps the space between two encoded words
    # of a name (in Python 3.11; RFC 2047 6.2 says to drop it)

    name = parseaddr(message_from_bytes(raw, policy=policy.compat32)['From'])
    return str(make_header(decode_header(name[0])))


class Handler:

    async def handle_DATA(self, server, session, envelope):
        raw = envelope.original_content
        message = message_from_bytes(raw, policy=policy.default)
        parts = [p for p in message.walk() if not p.is_multipart()]
        lines = raw.split(b'\r\n')

        mail = {
            'from': envelope.mail_from,
            'to': envelope.rcpt_tos,
            'tls': session.ssl is not None or mode == 'smtps',
            'login': bool(session.authenticated),
            'helo': session.host_name,
            'type': message.get_content_type(),
            'defects': [str(d) for p in message.walk() for d in p.defects]
                       + [str(d) for v in message.values()
                          for d in v.defects],
            'headers': [[k, str(v)] for k, v in message.items()],
            'from_name': display_name(raw),
            'from_address': message['From'].addresses[0].addr_spec,
            'to_addresses': [a.addr_spec for a in message['To'].addresses],
            'date': int(message['Date'].datetime.timestamp()),
            'parts': [[p.get_content_type(), p.get_content_charset(),
                       p.get_content()] for p in parts],
            'longest': max(len(line) for line in lines),
            'bare': raw.replace(b'\r\n', b'').count(b'\n')
                    + raw.replace(b'\r\n', b'').count(b'\r'),
            'eight': any(b > 126 for b in raw),
        }

        with open(directory + '/mails', 'a') as f:
            f.write(json.dumps(mail) + '\n')

        return '250 queued'


def authenticate(server, session, envelope, mechanism, data):
    # handled=False: the server itself answers 535

    return AuthResult(success=data.login == user.encode()
                      and data.password == password.encode(), handled=False)


def factory():
    args = {'authenticator': authenticate, 'auth_require_tls': False,
            'hostname': 'localhost'}
    if mode != 'plain':
        args['auth_required'] = True
    if mode == 'starttls':
        args.update(tls_context=context, require_starttls=True,
                    auth_require_tls=True)
    if mode == 'smtps':
        args['auth_exclude_mechanism'] = ['PLAIN']
    return SMTP(Handler(), **args)


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        factory, '127.0.0.1', 0, ssl=context if mode == 'smtps' else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(directory + '/server.crt', directory + '/server.key')
asyncio.run(main())
