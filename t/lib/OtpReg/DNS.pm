package OtpReg::DNS;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# A name server for tests: every name has the address 127.0.0.1.
#
# dns_start($port)      on this UDP port of 127.0.0.1, until the end of the test

use v5.10.1;
use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();
use OtpReg::Env qw(at_end stop_process);
use Exporter 'import';

our @EXPORT = qw(dns_start);

sub dns_start {
    my ($port) = @_;

    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $port, Proto => 'udp') or die "port $port: $!\n";
    my $owner = $$;
    my $pid = fork() // die "fork: $!\n";

    if (!$pid) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        serve($socket) while kill 0, $owner;
        POSIX::_exit(0);
    }

    close $socket;
    at_end(sub { stop_process($pid, 'KILL') });
}

# RFC 1035: the question comes back; type 1 (A) has an answer, others have none

sub serve {
    my ($socket) = @_;

    my $ready = '';
    vec($ready, fileno $socket, 1) = 1;
    select($ready, undef, undef, 1) or return;

    my $from = recv $socket, my $query, 512, 0;
    my ($id, $question) = unpack 'n x10 a*', $query // '';
    my ($name, $type) = ($question // '') =~ /^((?:[^\0].*?)?\0)(..)../s
        or return;
    my $answers = $type eq "\0\1" ? 1 : 0;

    send $socket, pack('n6', $id, 0x8180, 1, $answers, 0, 0)
                  . "$name$type\0\1"
                  . ("\xc0\x0c\0\1\0\1" . pack('N n C4', 60, 4, 127, 0, 0, 1))
                    x $answers, 0, $from;
}

1;
