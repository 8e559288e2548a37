package Test::Nginx::Socket::Client;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# The client's side of Test::Nginx::Socket: a block's request sections become
# bytes, the bytes that come back become an answer.

use v5.10.1;
use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use List::Util qw(min);
use POSIX qw(EAGAIN);
use Test::More ();
use Time::HiRes qw(sleep);
use Exporter 'import';

our @EXPORT = qw(requests_of exchange parse_response);

# $set is { name, addr, client_port, timeout, expand }.  A bad section dies.

# A list of requests, each a list of packets { value, delay_before }.

sub requests_of {
    my ($block, $set) = @_;

    my $raw = $block->raw_request;
    return [map { { value => $_ } } ref $raw eq 'ARRAY' ? @$raw : $raw]
        if defined $raw;

    if (my $list = $block->pipelined_requests) {
        die "pipelined_requests is not an array\n"
            if ref $list ne 'ARRAY';

        return [{ value => join '', map {
            join '', build_request($block, $set, $_,
                                   $_ == $#$list ? 'close' : 'keep-alive',
                                   $set->{expand}->($list->[$_]))
        } 0 .. $#$list }];
    }

    my $request = $block->request // die "no request\n";

    if (!ref $request) {
        1 while $request =~ s/^\s*\#[^\n]+\s+|^\s+//g;
        $request = [$request];
    }

    return map { packets_of($block, $set, $_, $request->[$_]) } 0 .. $#$request;
}

sub packets_of {
    my ($block, $set, $index, $request) = @_;

    my @packets = map { ref $_ ? { %$_ } : { value => $_ } }
                  ref $request eq 'ARRAY' ? @$request : $request;
    my @built = build_request($block, $set, $index, 'close',
                              map { $_->{value} } @packets);
    $packets[$_]{value} = $built[$_] for 0 .. $#packets;

    return \@packets;
}

# "METHOD [url [version]]", then the body.  The packets are cut where they were
# cut, the header goes with the end of the request line.

sub build_request {
    my ($block, $set, $index, $connection, @packets) = @_;

    my $text = join '', @packets;
    my ($before, $method, $gap1, $url, $gap2, $version, $gap3, $body) =
        $text =~ /\A(\s*)(\S+)([ ]*)(\S*)([ ]*)(\S*)([ ]*\r?\n|[ ]*\z)(.*)\z/s
        or die "bad request line\n";

    my ($more, $chunked) = more_headers($block, $index);
    my $content = $body;
    my $length = '';

    if (!$chunked && $body ne '' && $more !~ /^Content-Length:/m) {
        $content =~ s/^\s+|\s+$//g;
        $length = 'Content-Length: ' . length($content) . "\r\n";
    }

    my $header = "\r\n"
        . ($more =~ /^Host:/mi ? '' : "Host: $set->{name}\r\n")
        . ($more =~ /^Connection/mi ? '' : "Connection: $connection\r\n")
        . "$more$length\r\n";

    my @segments = ([$before, ''], [$method, "$method "], [$gap1, ''],
                    [$url, ($url ne '' ? $url : '/') . ' '], [$gap2, ''],
                    [$version, ($version ne '' ? $version : 'HTTP/1.1')
                               . $header],
                    [$gap3, ''], [$body, $content]);

    return cut(\@segments, map { length } @packets);
}

# Cut the new text of [old, new] segments where the old text had its cuts.

sub cut {
    my ($segments, @lengths) = @_;

    my $new = join '', map { $_->[1] } @$segments;
    my ($at, $done, @out) = (0, 0);
    pop @lengths;

    for my $length (@lengths) {
        my ($old, $pos) = ($at += $length, 0);

        for my $segment (@$segments) {
            my $size = length $segment->[0];

            if ($old < $size) {
                $pos += min($old, length $segment->[1]);
                last;
            }

            $old -= $size;
            $pos += length $segment->[1];
        }

        push @out, substr $new, $done, $pos - $done;
        $done = $pos;
    }

    return (@out, substr $new, $done);
}

sub more_headers {
    my ($block, $index) = @_;

    my $more = $block->more_headers // '';
    $more = $more->[$index]
            // die "more_headers lacks entry $index\n"
        if ref $more eq 'ARRAY';

    my ($out, $chunked) = ('', 0);

    for my $line (grep { !/^\s*\#/ } split /\n+/, $more) {
        my ($key, $value) = split /:\s*/, $line, 2;
        $value //= '';
        $chunked = 1 if lc $key eq 'transfer-encoding' && $value eq 'chunked';
        $out .= "$key: $value\r\n";
    }

    return ($out, $chunked);
}

sub seconds {
    my ($time) = @_;
    return !defined $time ? undef : $time =~ /^\s*([\d.]+)ms/ ? $1 / 1000
                                  : $time =~ s/s\s*$//r;
}

# Send the packets and read until the server closes.

sub exchange {
    my ($block, $set, $packets) = @_;

    my $timeout = seconds(scalar $block->timeout) // $set->{timeout};
    my $sock = IO::Socket::INET->new(
        PeerAddr => $block->server_addr_for_client // $set->{addr},
        PeerPort => $set->{client_port}, Timeout => $timeout);

    if (!$sock) {
        Test::More::fail($block->name . " - Can't connect to port $set->{client_port}: $@");
        return '';
    }

    local $SIG{PIPE} = 'IGNORE';
    $sock->blocking(0);

    my $read = IO::Select->new($sock);
    my @left = map { { %$_ } } @$packets;
    my ($reply, $offset, $first) = ('', 0, 1);

    while (1) {
        my $write = @left ? $read : undef;
        my ($in, $out) = IO::Select->select($read, $write, undef, $timeout);

        if (!$in) {
            Test::More::fail('ERROR: client socket timed out - ' . $block->name)
                if !defined $block->abort;
            last;
        }

        if (@$in) {
            my $n = sysread $sock, $reply, 65536, length $reply;
            last if defined $n ? !$n : $! != EAGAIN;
        }

        next if !@$out;

        if ($offset == 0 && !$first) {
            sleep($left[0]{delay_before} // $block->raw_request_middle_delay
                  // 0);
        }

        my $n = syswrite $sock, $left[0]{value}, length $left[0]{value},
                         $offset;
        if (!defined $n && $! != EAGAIN) {
            warn $block->name . " - write failed: $!\n";
            @left = ();
            next;
        }

        $first = 0;
        $offset += $n // 0;
        next if $offset < length $left[0]{value};

        shift @left;
        $offset = 0;
        shutdown $sock, $block->shutdown eq '' ? 1 : $block->shutdown
            if !@left && defined $block->shutdown;
    }

    close $sock;
    return $reply;
}

# Returns { code, headers, raw_headers, content } and what follows the answer.

sub parse_response {
    my ($block, $raw, $head) = @_;

    my ($header, $body) = $raw =~ /\A(.*?\r\n)\r\n(.*)\z/s;
    my %res = (code => '', headers => {}, raw_headers => $header // '',
               content => $body // '');
    return \%res if !defined $header;

    my ($line, @lines) = split /\r\n/, $header;
    $res{code} = $1 if $line =~ m{^HTTP/\S+ (\d+)};

    for (@lines) {
        my ($name, $value) = /^([^\s:]+)[ \t]*: ?(.*)/ or next;
        my $have = $res{headers}{lc $name};
        $res{headers}{lc $name} = defined $have ? "$have, $value" : $value;
    }

    return \%res if $res{code} eq '304' || $res{code} eq '101';

    my $left;

    if (($res{headers}{'transfer-encoding'} // '') eq 'chunked') {
        ($res{content}, $left) = dechunk($block, $body, \%res);
        return { %res, code => '' } if !defined $res{content};

    } elsif (($res{headers}{'content-length'} // '') =~ /^(\d+)$/) {
        warn $block->name, " - response body truncated: $1 expected, but got ",
             length $body, "\n"
            if length $body < $1 && !$head;
        $left = substr $body, $1 if length $body > $1;
        $res{content} = substr $body, 0, $1;
    }

    return (\%res, $left);
}

sub dechunk {
    my ($block, $raw, $res) = @_;

    my $content = '';
    pos($raw) = 0;

    while ($raw =~ /\G[ \t]*([0-9A-Fa-f]+)[ \t]*\r\n/gc) {
        my $size = hex $1;

        if ($size == 0) {
            $raw =~ /\G(?:[^\r\n]+\r\n)*\r\n/gc or last;
            my $left = substr $raw, pos $raw;
            return ($content, $left ne '' ? $left : undef);
        }

        last if substr($raw, pos($raw) + $size, 2) ne "\r\n";
        $content .= substr $raw, pos $raw, $size;
        pos($raw) += $size + 2;
    }

    Test::More::fail($block->name . ' - invalid chunked body received');
    return;
}

1;
