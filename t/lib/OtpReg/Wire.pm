package OtpReg::Wire;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# A connection that sends any bytes, and reads answers strictly: what is not
# HTTP/1.1 as in RFC 9112 is an error.
#
# OtpReg::Wire->new($port)
# put($bytes)           dies if the connection is gone
# end()                 nothing more comes from this side
# answer($method)       the next one: { status, head, headers, body, close },
#                       { error } or undef if the connection was closed
# fd()

use v5.10.1;
use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time);

my $Seconds = 60;

sub new {
    my ($class, $port) = @_;
    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                     PeerPort => $port, Timeout => $Seconds)
        or die "connect: $!\n";
    binmode $sock;
    $sock->autoflush(1);
    return bless { sock => $sock, select => IO::Select->new($sock),
                   in => '' }, $class;
}

# the server may answer and close before all was sent: what it said is read

sub put {
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $sock = $self->{sock};

    while (length $bytes) {
        $self->more(0) || last if $self->{select}->can_read(0);
        my $n = syswrite $sock, $bytes, 65536;
        last if !defined $n;
        substr $bytes, 0, $n, '';
    }

    return length $bytes == 0;
}

sub end { shutdown $_[0]{sock}, 1 }

# read more; false at the end

sub more {
    my ($self, $seconds) = @_;
    return 0 if $self->{ended};

    if (!$self->{select}->can_read($seconds // $Seconds)) {
        $self->{timeout} = 1 if $seconds // 1;
        return 0;
    }

    my $n = sysread $self->{sock}, $self->{in}, 65536, length $self->{in};
    $self->{ended} = 1 if !$n;
    return $n;
}

sub answer {
    my ($self, $method) = @_;

    while ($self->{in} !~ /\r\n\r\n/) {
        next if $self->more;
        return { error => 'timeout: ' . $self->{in} } if $self->{timeout};
        return undef if $self->{in} eq '';
        return { error => "cut off: $self->{in}" };
    }

    my ($head) = $self->{in} =~ s/\A(.*?\r\n)\r\n//s ? $1 : '';
    my $res = parse_head($head) or return { error => "malformed: $head" };

    return $self->answer($method) if $res->{status} =~ /^1/;

    my $h = $res->{headers};
    my $chunked = ($h->{'transfer-encoding'} // '') eq 'chunked';
    my $len = $h->{'content-length'};
    $res->{close} = ($h->{connection} // '') eq 'close'
                    || $head !~ /^HTTP\/1\.1/;

    return { error => "two lengths: $head" } if $chunked && defined $len;

    $res->{body} = '';
    return $res if $method eq 'HEAD' || $res->{status} =~ /^(?:204|304)$/;

    my $ok = $chunked ? $self->chunked($res) : $self->plain($res, $len);
    return $ok ? $res : { error => "body cut off: $head" };
}

sub parse_head {
    my ($head) = @_;

    $head =~ s/\AHTTP\/1\.[01] ([1-5]\d\d)(?: [ -~]*)?\r\n// or return;
    my %res = (status => $1, head => $head, headers => {});

    while ($head =~ s/\A([!#\$%&'*+.^_`|~0-9A-Za-z-]+): ([\t -~\x80-\xff]*)\r\n//)
    {
        my ($name, $value) = (lc $1, $2);
        return if $name =~ /^(?:content-length|content-type|location|connection
                               |transfer-encoding|cache-control|retry-after)$/x
                  && exists $res{headers}{$name};
        push @{ $res{set_cookie} }, $value if $name eq 'set-cookie';
        $res{headers}{$name} = $value;
    }

    return if $head ne '';
    return \%res;
}

sub plain {
    my ($self, $res, $len) = @_;

    if (!defined $len) {
        1 while $self->more;
        ($res->{body}, $self->{in}) = ($self->{in}, '');
        return !$self->{timeout};
    }

    while (length $self->{in} < $len) {
        $self->more or return 0;
    }

    $res->{body} = substr $self->{in}, 0, $len, '';
    return 1;
}

sub chunked {
    my ($self, $res) = @_;

    while (1) {
        while ($self->{in} !~ /\A([0-9a-f]+)\r\n/) {
            return 0 if length $self->{in} > 20 || !$self->more;
        }
        $self->{in} =~ s/\A([0-9a-f]+)\r\n//;
        my $len = hex $1;

        while (length $self->{in} < $len + 2) {
            $self->more or return 0;
        }

        $res->{body} .= substr $self->{in}, 0, $len, '';
        substr($self->{in}, 0, 2, '') eq "\r\n" or return 0;
        return 1 if $len == 0;
    }
}

1;
