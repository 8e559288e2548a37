# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Attack 15: who has an account is asked of the clock.  Addresses of all kinds
# are interleaved at random, and the times of their answers compared by two
# two-sample tests.
#
# The password hash is replaced by one that takes no time: the real one takes
# the same for all kinds, so it would only hide from this test what it looks
# for.  Requests of one address never meet, for the same reason.
#
# The smallest p of all pairs and both tests, times their number (Bonferroni),
# must not be below 0.005.  If it is, fresh samples decide: that happens by
# chance in one of 40,000 runs for each of the four requests.  With
# otpreg_response_time off it must be below 1e-6 for two kinds that get the same
# status, or the test could not see what it looks for.
#
# OTPREG_SAMPLES (1000) of each kind, OTPREG_CLIENTS (12) at once.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain, -nosmtp;
use OtpReg::Env qw(ld_preload);
use OtpReg::Nginx;
use OtpReg::Stats;
use IO::Socket::INET;
use List::Util qw(shuffle);
use POSIX ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Test::More;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my $samples = $ENV{OTPREG_SAMPLES} || 1000;
my $clients = $ENV{OTPREG_CLIENTS} || 12;
my %pool = (pending => 20, decoy => 20, refused => 3);
my $limit = 200;    # messages to an address: those of "refused" had them
my $alpha = 0.005;
my $certain = 1e-6;
my $password = 'correct horse battery staple';

# verified: an owner who is told; decoy: one who was told within a day

my %kinds = (register => [qw(new pending verified decoy refused)],
             resend => [qw(pending decoy refused)],
             verify => [qw(pending decoy)], page => [qw(pending decoy)]);


subtest 'the statistics are right' => sub {
    my $near = sub {
        my ($got, $expected, $name) = @_;
        cmp_ok abs($got - $expected), '<=', 0.0005, "$name: $expected";
    };

    # the tables of Kolmogorov's and of the normal distribution

    $near->(OtpReg::Stats::ks_p($_->[0]), $_->[1], "Kolmogorov $_->[0]")
        for [1.0727, 0.2], [1.2238, 0.1], [1.3581, 0.05], [1.6276, 0.01],
            [1.9495, 0.001];
    $near->((mw_test([1 .. 5], [6 .. 10]))[0], 0.0122, 'Mann-Whitney');
    $near->((mw_test([6 .. 10], [1 .. 5]))[0], 0.0122, 'and the other way');
    $near->((mw_test([1, 1, 2, 3], [1, 2, 2, 3, 3]))[0], 0.5186, 'with ties');
    $near->((ks_test([1 .. 10], [4 .. 13]))[1], 0.3, 'the distance D');
    $near->((ks_test([1, 1, 1, 2], [1, 2, 2, 2]))[1], 0.5, 'D with ties');
    is_deeply [ks_test([1 .. 50], [1 .. 50])], [1, 0], 'the same';
    is_deeply [mw_test([1 .. 50], [1 .. 50])], [1, 0], 'the same';

    # of one distribution one in twenty is called different

    srand 1;
    my ($ks, $mw) = (0, 0);
    for (1 .. 400) {
        my ($x, $y) = map { [map { rand } 1 .. 100] } 1, 2;
        $ks++ if (ks_test($x, $y))[0] < 0.05;
        $mw++ if (mw_test($x, $y))[0] < 0.05;
    }
    srand;
    note "$ks and $mw of 400 are below 0.05";
    ok $_ >= 8 && $_ <= 36, 'about 20 of 400' for $ks, $mw;

    my @x = map { rand } 1 .. 1000;
    my @y = map { rand() + 0.1 } 1 .. 1000;
    my @z = map { 0.25 + rand() / 2 } 1 .. 1000;
    cmp_ok +(ks_test(\@x, \@y))[0], '<', 1e-3, 'a shift is seen';
    cmp_ok +(mw_test(\@x, \@y))[0], '<', 1e-3, 'by both';
    cmp_ok +(ks_test(\@x, \@z))[0], '<', 1e-6, 'another spread is seen';
};


# ----- nginx without the cost of a hash

sub fast_hash {
    my $path = test_dir() . '/fast-hash';

    spew("$path.c", <<'END');
#include <stdio.h>
int crypto_pwhash_str_alg(char out[128], const char *password,
    unsigned long long len, unsigned long long operations, size_t memory,
    int algorithm)
{
    snprintf(out, 128, "$argon2id$v=19$m=7168,t=5,p=1$c2FsdA$aGFzaA");
    return 0;
}
END
    system('gcc', '-shared', '-fPIC', '-o', "$path.so", "$path.c") == 0
        or die "gcc failed\n";

    return "$path.so";
}

sub config {
    my ($time) = @_;

    (my $http = default_http_config())
        =~ s/otpreg_(?:address_limit|response_time) off;//g;

    return (log_level => 'error', http_config => <<"END");
$http
otpreg_address_limit $limit/d;
otpreg_code_attempts 100;
otpreg_resend_delay 0;
otpreg_response_time $time;
keepalive_requests 1000000;
keepalive_timeout 1h;
END
}

$ENV{TEST_NGINX_LD_PRELOAD} = join ' ', ld_preload(), fast_hash();

my $nginx = OtpReg::Nginx->start(<<'END', config('off'));
otpreg_mail /courier/mail;
location = /register { otpreg_register /pages/any; }
location = /verify-otp { otpreg_verify /pages/any; }
location = /resend-otp { otpreg_resend; }
location = /courier/mail { internal; return 204; }
location = /pages/any { internal; return 200 "a page"; }
END


# ----- addresses and sign-ups of each kind

my $serial = 0;

sub address { sprintf '%.3s%07d@example.com', $_[0], $_[1] }

sub signup {
    my ($to) = @_;

    return { username => sprintf('u%09d', $serial++), email => $to,
             password => $password, confirm_password => $password };
}

sub add_rows {
    my ($into, @rows) = @_;
    sql("INSERT INTO $into VALUES " . join ',', splice @rows, 0, 500)
        while @rows;
}

# addresses with an owner, who was told already or not

sub add_owners {
    my (@addresses) = @_;

    add_rows('users (username, username_key, email, email_key, password,'
             . ' is_active, email_verified_at, verified_at, created_at)',
             map { "('$_', '$_', '$_', '$_', '', 1, NOW(), NOW(), NOW())" }
                 @addresses);
}

sub use_up {
    my (@addresses) = @_;

    for my $to (@addresses) {
        add_rows('sends (channel, address_key, sent_at)',
                 ("(1, '$to', NOW())") x $limit);
    }
}

# {kind}[client] = [addresses]

my %address;
for my $kind (qw(pending decoy refused)) {
    $address{$kind}[$_ % $clients][$_ / $clients] = address($kind, $_)
        for 0 .. $clients * $pool{$kind} - 1;
}

my @owners = map { @$_ } @{ $address{decoy} };
add_owners(@owners, map { address('verified', $_) } 0 .. $samples * 4);
use_up(map { @$_ } @{ $address{refused} });

# {kind}[client] = [cookies]

my %cookie;
my $n = 0;

for my $kind (qw(pending decoy refused)) {
    for my $i (0 .. $clients * $pool{$kind} - 1) {
        my $to = $kind eq 'refused' ? address('full', $i)
                 : $address{$kind}[$i % $clients][$i / $clients];
        my $res = $nginx->http('POST', '/register', json => signup($to));
        $res->{status} == 201 or die "no sign-up: $res->{raw}\n";
        $cookie{$kind}[$i % $clients][$i / $clients] = $res->{cookie};
    }
}

use_up(map { address('full', $_) } 0 .. $clients * $pool{refused} - 1);


# ----- clients, each with a connection, that measure

my %request = (
    register => sub {
        my ($kind, $client, $i) = @_;
        my $to = $kind eq 'new' || $kind eq 'verified' ? address($kind, $i)
                 : $address{$kind}[$client][$i % $pool{$kind}];
        return ['POST', '/register', json => signup($to)];
    },
    resend => sub { ['POST', '/resend-otp', json => {},
                     cookie => cookie(@_)] },
    verify => sub { ['POST', '/verify-otp', json => { otp => '000000' },
                     cookie => cookie(@_)] },
    page   => sub { ['GET', '/verify-otp', cookie => cookie(@_)] },
);

sub cookie {
    my ($kind, $client, $i) = @_;
    return $cookie{$kind}[$client][$i % $pool{$kind}];
}

# what the answers must be, or something else was measured

my %answer = (register => { refused => qr/ 429 .*"address_limit"/s,
                            any => qr/ 201 / },
              resend   => { refused => qr/ 429 .*"address_limit"/s,
                            any => qr/ 200 / },
              verify   => { any => qr/ 422 .*"code_wrong"/s },
              page     => { any => qr/ 200 .*a page/s });

sub connect_client {
    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                     PeerPort => $nginx->port)
        or die "connect: $!\n";
    setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1 or die "$!\n";
    return $sock;
}

sub ask {
    my ($sock, $request) = @_;
    my ($raw, $first) = ('');

    my $begin = clock_gettime(CLOCK_MONOTONIC);
    syswrite $sock, $request or die "write: $!\n";

    until ($raw =~ /\r\n\r\n/ && $raw =~ /^Content-Length: (\d+)/mi
           && length $raw >= index($raw, "\r\n\r\n") + 4 + $1)
    {
        sysread $sock, $raw, 65536, length $raw or die "read: $! $raw\n";
        $first //= clock_gettime(CLOCK_MONOTONIC);
    }

    return (($first - $begin) * 1000, $raw);
}

# one client's lines: kind, ms

sub client {
    my ($what, $client, $plan, $out) = @_;

    alarm 300;
    my $sock = connect_client();
    my @lines;

    for (@$plan) {
        my ($kind, $i) = @$_;
        my $call = $request{$what}->($kind, $client, $i);
        my ($method, $path, %opt) = @$call;
        $opt{headers} = { Connection => undef };

        my ($ms, $raw) = ask($sock, OtpReg::HTTP::build_request(
                                           $method, $path, \%opt));
        my $expected = $answer{$what}{$kind} // $answer{$what}{any};
        $raw =~ m{^HTTP/1.1$expected} or die "$what, $kind: $raw\n";

        push @lines, "$kind $ms\n";
    }

    spew($out, join '', @lines);
}

# {kind} = [ms, ...]

sub measure {
    my ($what, $clients) = @_;
    state $at = 0;

    my @plan = shuffle map { my $kind = $_;
                             map { [$kind, $_] } $at .. $at + $samples - 1 }
                           @{ $kinds{$what} };
    $at += $samples if $what eq 'register';

    my (@pids, %ms);

    for my $client (0 .. $clients - 1) {
        my @mine = @plan[grep { $_ % $clients == $client } 0 .. $#plan];
        my $out = test_dir() . "/times.$client";
        my $pid = fork() // die "fork: $!\n";

        if (!$pid) {
            $serial += ($client + 1) * 10_000_000;
            eval { client($what, $client, \@mine, $out); 1 }
                or print STDERR "# client $client: $@";
            POSIX::_exit(0);
        }

        push @pids, $pid;
    }

    waitpid $_, 0 for @pids;
    $serial += @plan;

    for my $out (map { test_dir() . "/times.$_" } 0 .. $clients - 1) {
        /^(\S+) (\S+)/ and push @{ $ms{$1} }, $2
            for split /^/, slurp($out) // '';
        unlink $out;
    }

    return \%ms;
}

# ----- can they be told apart?

sub report {
    my ($ms) = @_;

    for my $kind (sort keys %$ms) {
        my $x = $ms->{$kind};
        diag sprintf '  %-9s n %d  p10 %.2f  p50 %.2f  p90 %.2f  max %.2f ms',
                     $kind, scalar @$x,
                     map { quantile($x, $_) } 0.1, 0.5, 0.9, 1;
    }
}

# the smallest p, corrected for the number of tests

sub smallest_p {
    my ($ms) = @_;

    my @names = sort keys %$ms;
    my @tests;

    for my $i (0 .. $#names) {
        for my $j ($i + 1 .. $#names) {
            my ($x, $y) = @names[$i, $j];
            push @tests, ["$x, $y: Kolmogorov-Smirnov",
                          ks_test($ms->{$x}, $ms->{$y})],
                         ["$x, $y: Mann-Whitney",
                          mw_test($ms->{$x}, $ms->{$y})];
        }
    }

    my ($smallest) = sort { $a->[1] <=> $b->[1] } @tests;
    my $p = $smallest->[1] * @tests;
    $p = 1 if $p > 1;

    diag sprintf '  smallest of %d p: %.3g (%s), corrected %.3g',
                 scalar @tests, @$smallest[1, 0], $p;

    return $p;
}

sub complete {
    my ($ms, $what) = @_;
    return !grep { @{ $ms->{$_} // [] } != $samples } @{ $kinds{$what} };
}


subtest 'attack 15: addresses of all kinds are answered alike' => sub {
    ok $nginx->reload(config('50ms'), wait => 30), 'response time 50ms';

    for my $what (qw(register resend verify page)) {
        my $p = 0;

        for my $try (1, 2) {
            diag "$what, otpreg_response_time 50ms";
            my $ms = measure($what, $clients);
            ok complete($ms, $what), "$what: all samples" or last;
            report($ms);
            $p = smallest_p($ms);
            last if $p >= $alpha;
        }

        cmp_ok $p, '>=', $alpha, "$what: cannot be told apart";
    }
};


subtest 'attack 15: what is not held can be told apart' => sub {
    ok $nginx->reload(config('off'), wait => 30), 'response time off';

    my $least = 1;

    for my $try (1, 2) {
        for my $what (qw(register resend verify)) {
            diag "$what, otpreg_response_time off";
            my $ms = measure($what, 2);
            ok complete($ms, $what), "$what: all samples";
            report($ms);
            delete $ms->{refused};      # that one the status tells
            my $p = smallest_p($ms);
            $least = $p if $p < $least;
        }

        last if $least < $certain;
    }

    cmp_ok $least, '<', $certain, 'the test can tell them apart';
};

is_deeply [$nginx->bad_log_lines], [], 'nothing bad in the log';

done_testing();
