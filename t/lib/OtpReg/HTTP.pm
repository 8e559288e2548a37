package OtpReg::HTTP;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# A small HTTP/1.1 client: one connection a request, "Connection: close".
#
# http($method, $path, %opt)             one request, one answer
# http_many([[$method, $path, %opt], ...])  all at once: all connections are
#                                        opened, then all requests are sent,
#                                        then all answers read; in their order
# http_port()                            where to, unless told
# form_encode(%form)                     a=1&b=2, sorted by name
#
# Options:
#
# headers => {}   name => value or [values]; undef drops a default header
# body    => ''   sent as it is
# form    => {}   sent urlencoded    json => {}   sent as JSON
# cookie  => ''   "name=value", also what another answer has in {cookie}
# jar     => {}   name => value: sent, and then changed as the answer says
# raw     => ''   the whole request, byte by byte
# host, port, timeout (seconds, 10)
#
# An answer is { status, reason, headers, body, set_cookie, cookie, json, time,
# error, raw }: headers by lower-case name, repeated ones joined by ", ";
# set_cookie is an array; cookie is what to send back; json is decoded if the
# type is JSON; time is in seconds; status is 0 and error tells why if there
# was no answer.

use v5.10.1;
use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Time::HiRes qw(time);
use Exporter 'import';

our @EXPORT = qw(http http_many http_port form_encode);

# the port of the nginx under test when none is asked for

sub http_port {
    return $ENV{TEST_NGINX_CLIENT_PORT} || $ENV{TEST_NGINX_SERVER_PORT}
           || $ENV{TEST_NGINX_PORT} || 1984;
}

sub form_encode {
    my (%form) = @_;
    return join '&', map { escape($_) . '=' . escape($form{$_}) }
                     sort keys %form;
}

sub escape {
    my ($text) = @_;
    utf8::encode($text) if utf8::is_utf8($text);
    $text =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ge;
    return $text;
}

sub http {
    my ($method, $path, %opt) = @_;
    return (http_many([[$method, $path, %opt]]))[0];
}

sub http_many {
    my ($requests) = @_;

    my @calls = map { connect_call(@$_) } @$requests;
    my $select = IO::Select->new;

    for my $call (@calls) {
        my $sock = $call->{sock} or next;
        local $SIG{PIPE} = 'IGNORE';
        print $sock $call->{request};
        $select->add($sock);
    }

    my %by_fd = map { $_->{sock} ? (fileno $_->{sock} => $_) : () } @calls;
    read_ready($select, \%by_fd) while $select->count;

    return map { parse_call($_) } @calls;
}

sub read_ready {
    my ($select, $by_fd) = @_;

    my @left = map { $by_fd->{fileno $_} } $select->handles;
    my ($first) = sort { $a <=> $b } map { $_->{until} } @left;
    my $wait = $first - time();
    my @ready = $select->can_read($wait > 0 ? $wait : 0);

    for my $sock (@ready) {
        my $call = $by_fd->{fileno $sock};
        my $n = sysread $sock, $call->{raw}, 65536, length $call->{raw};
        next if $n;
        $call->{error} = "read: $!" if !defined $n;
        $call->{ended} = time();
        $select->remove($sock);
    }

    for my $call (grep { !$_->{ended} && time() >= $_->{until} } @left) {
        $call->{error} = 'timeout';
        $call->{ended} = time();
        $select->remove($call->{sock});
    }
}

sub connect_call {
    my ($method, $path, %opt) = @_;

    my $begin = time();
    my $timeout = $opt{timeout} // 10;
    my $sock = IO::Socket::INET->new(PeerAddr => $opt{host} // '127.0.0.1',
                                     PeerPort => $opt{port} // http_port(),
                                     Timeout => $timeout);
    $sock->autoflush(1) if $sock;

    return { sock => $sock, raw => '', begin => $begin, method => $method,
             jar => $opt{jar}, until => $begin + $timeout,
             request => $opt{raw} // build_request($method, $path, \%opt),
             $sock ? () : (error => "connect: $@", ended => time()) };
}

sub build_request {
    my ($method, $path, $opt) = @_;

    my $body = $opt->{body};
    my %default = (Host => 'localhost', Connection => 'close');

    if ($opt->{form}) {
        $body //= form_encode(%{ $opt->{form} });
        $default{'Content-Type'} = 'application/x-www-form-urlencoded';

    } elsif ($opt->{json}) {
        $body //= JSON::PP->new->utf8->canonical->encode($opt->{json});
        $default{'Content-Type'} = 'application/json';
    }

    $default{'Content-Length'} = length $body if defined $body;

    my $jar = $opt->{jar} // {};
    my $cookie = $opt->{cookie}
                 // join '; ', map { "$_=$jar->{$_}" } sort keys %$jar;
    $default{Cookie} = $cookie if $cookie ne '';

    my $given = $opt->{headers} // {};
    delete @default{ grep { my $d = $_; grep { lc eq lc $d } keys %$given }
                     keys %default };

    my $head = "$method $path HTTP/1.1\r\n";
    for my $set (\%default, $given) {
        for my $name (sort keys %$set) {
            my $value = $set->{$name} // next;
            $head .= "$name: $_\r\n" for ref $value ? @$value : $value;
        }
    }

    return "$head\r\n" . ($body // '');
}

sub parse_call {
    my ($call) = @_;

    my %res = (status => 0, reason => '', headers => {}, body => '',
               set_cookie => [], cookie => '', raw => $call->{raw},
               error => $call->{error}, time => $call->{ended}
                                                - $call->{begin});
    close $call->{sock} if $call->{sock};

    my $raw = $call->{raw};
    1 while $raw =~ s{\AHTTP/1\.\d 1\d\d.*?\r\n\r\n}{}s;

    my ($head, $rest) = split /\r\n\r\n/, $raw, 2;
    my ($line, @lines) = split /\r\n/, $head // "";

    if (!defined $rest || $line !~ m{^HTTP/\d\.\d (\d+) ?(.*)}) {
        $res{error} //= "no answer";
        return \%res;
    }

    @res{qw(status reason)} = ($1, $2);
    parse_header_line(\%res, $_) for @lines;
    $raw = $rest;

    $res{body} = ($res{headers}{'transfer-encoding'} // '') eq 'chunked'
                 ? dechunk($raw, \%res) : $raw;
    my $len = $res{headers}{'content-length'};
    $res{error} //= 'truncated'
        if defined $len && $call->{method} ne 'HEAD'
           && $res{status} !~ /^(?:204|304)$/ && length $res{body} < $len;

    $res{cookie} = join '; ', map { /^([^=;]+=[^;]+)/ ? $1 : () }
                   grep { !/;\s*max-age=0/i } @{ $res{set_cookie} };

    update_jar($call->{jar}, $res{set_cookie}) if $call->{jar};

    if (($res{headers}{'content-type'} // '') =~ m{[/+]json}) {
        $res{json} = eval { local $SIG{__DIE__};
                            JSON::PP::decode_json($res{body}) };
    }

    return \%res;
}

sub parse_header_line {
    my ($res, $line) = @_;

    my ($name, $value) = $line =~ /^([^:]+):\s*(.*?)\s*$/ or return;
    $name = lc $name;

    push @{ $res->{set_cookie} }, $value if $name eq 'set-cookie';
    $res->{headers}{$name} = defined $res->{headers}{$name}
                             ? "$res->{headers}{$name}, $value" : $value;
}

sub update_jar {
    my ($jar, $cookies) = @_;

    for my $cookie (@$cookies) {
        my ($name, $value) = $cookie =~ /^([^=;]+)=([^;]*)/ or next;

        if ($value eq '' || $cookie =~ /;\s*max-age=0/i) {
            delete $jar->{$name};

        } else {
            $jar->{$name} = $value;
        }
    }
}

sub dechunk {
    my ($raw, $res) = @_;

    my $body = '';

    while ($raw =~ s/\A([0-9A-Fa-f]+)[^\r\n]*\r\n//) {
        my $len = hex $1;
        return $body if $len == 0;
        last if length $raw < $len + 2;
        $body .= substr $raw, 0, $len, '';
        substr $raw, 0, 2, '';
    }

    $res->{error} //= 'truncated';
    return $body;
}

1;
