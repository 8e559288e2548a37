#!/usr/bin/python3
#
# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause
#
# An SMTP server that misbehaves as told, for smtp.t:
#
#     smtp_stub.py LOG [STEP[@N][#C]=ACTION ...]
#
# STEP is GREETING, EHLO, HELO, STARTTLS, AUTH, LINE (an answer to AUTH's
# challenge), MAIL, RCPT, DATA, END (after the final dot), QUIT.  @N: only for
# the Nth mail of a connection, #C: only on the Cth connection.
# ACTION is a reply, or hang, close, mute (no answer, but go on), flood (one
# reply of lines without end), longline (one line without end), idle421 (only
# for END: 250, then unasked 421 and close), idleclose (250, then close).
#
# Prints the port.  LOG gets "connect", every command and "mail BYTES"; the
# last mail as received is in LOG.mail.

import socket
import sys
import threading
import time

lock = threading.Lock()
log = sys.argv[1]
actions = dict(arg.split('=', 1) for arg in sys.argv[2:])
connections = 0

DEFAULTS = {
    'GREETING': '220 stub ESMTP',
    'EHLO': '250-stub\r\n250-8BITMIME\r\n250 AUTH PLAIN',
    'HELO': '250 stub',
    'STARTTLS': '502 no',
    'AUTH': '334 ',
    'LINE': '235 ok',
    'MAIL': '250 ok',
    'RCPT': '250 ok',
    'DATA': '354 go on',
    'END': '250 queued',
    'QUIT': '221 bye',
    'OTHER': '502 unknown',
}


def note(line):
    with lock, open(log, 'a') as f:
        f.write(line + '\n')


class Closed(Exception):
    pass


class Session(threading.Thread):

    def __init__(self, sock, number):
        super().__init__(daemon=True)
        self.sock = sock
        self.file = sock.makefile('rb')
        self.number = number
        self.mails = 1

    def action(self, step):
        for key in (f'{step}@{self.mails}#{self.number}',
                    f'{step}@{self.mails}', f'{step}#{self.number}', step):
            if key in actions:
                return actions[key]
        return DEFAULTS[step]

    def send(self, data):
        self.sock.sendall(data.encode())

    def endless(self, data):
        while True:
            self.send(data)

    def answer(self, step):
        action = self.action(step)

        if action == 'hang':
            time.sleep(3600)
        elif action == 'close':
            raise Closed
        elif action == 'flood':
            self.endless('250-' + 'x' * 70 + '\r\n')
        elif action == 'longline':
            self.endless('250-' + 'x' * 4096)
        elif action in ('idle421', 'idleclose'):
            self.send('250 queued\r\n')
            time.sleep(0.1)
            if action == 'idle421':
                self.send('421 idle for too long\r\n')
            raise Closed
        elif action != 'mute':
            self.send(action.replace('\\r\\n', '\r\n') + '\r\n')

        return action

    def body(self):
        lines = []
        while True:
            line = self.file.readline()
            if not line:
                note('cut')
                raise Closed
            if line == b'.\r\n':
                break
            lines.append(line[1:] if line.startswith(b'.') else line)
        data = b''.join(lines)
        with open(log + '.mail', 'wb') as f:
            f.write(data)
        note(f'mail {len(data)}')

    def dialogue(self):
        self.answer('GREETING')

        while True:
            line = self.file.readline()
            if not line:
                return
            line = line.decode('latin-1').strip()
            note(line)
            verb = line.split(' ')[0].upper()
            step = verb if verb in DEFAULTS else 'LINE'
            reply = self.answer(step)

            if step == 'DATA' and reply.startswith('354'):
                self.body()
                self.answer('END')
                self.mails += 1
            elif step == 'QUIT':
                return

    def run(self):
        try:
            self.dialogue()
        except (Closed, OSError):
            pass
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.file.close()
        self.sock.close()


server = socket.create_server(('127.0.0.1', 0))
open(log, 'w').close()
print(server.getsockname()[1], flush=True)

while True:
    client, _ = server.accept()
    connections += 1
    note('connect')
    Session(client, connections).start()
