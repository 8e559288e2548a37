# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Attack 26: a thousand sign-ups at once, with passwords of 4 KB.  A static file
# on the same worker is served meanwhile, memory stays within threads x Argon2
# memory and the requests, and what cannot be queued gets 503 with Retry-After.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain;
use OtpReg::Nginx;
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);

my $nginx = OtpReg::Nginx->start(default_config() . <<'END',
location = /static { return 200 "static"; }
END
    http_config => default_http_config()
                   . "otpreg_password_length 15 1024;\n",
    log_level => 'info', connections => 1400,
    main_config => <<'END');
thread_pool otpreg_hash threads=2 max_queue=32;
thread_pool otpreg_database threads=4;
thread_pool otpreg_mail threads=2;
END

my ($worker) = $nginx->workers;

# 4096 bytes in 1024 characters, the most that a password may have

my $long = "\x{1f600}" x 1024;

sub signup {
    my ($id) = @_;
    return ['POST', '/register', timeout => 120, json => {
        username => $id, email => "$id\@example.com",
        password => $long, confirm_password => $long }];
}

# the times of n requests for the static file, in ms, sorted

sub latencies {
    my ($n) = @_;
    my @ms;
    for (1 .. $n) {
        my $res = $nginx->http('GET', '/static', timeout => 30);
        $res->{status} == 200 or die "static file: $res->{raw}";
        push @ms, $res->{time} * 1000;
    }
    return sort { $a <=> $b } @ms;
}

sub report {
    my ($what, @ms) = @_;
    return sprintf '%-8s p50 %.1f  p90 %.1f  p99 %.1f  max %.1f ms', $what,
           map({ $ms[$#ms * $_] } 0.5, 0.9, 0.99), $ms[-1];
}

is $nginx->http(@{ signup('first') })->{status}, 201, 'one sign-up';
my $before = $nginx->rss($worker);
my @idle = latencies(300);

# four clients, since select() knows no more than 1024 connections

sub client {
    my ($client) = @_;
    my %n = (201 => 0, 503 => 0, late => 0);
    for my $res ($nginx->http_many([map { signup("o$client-$_") } 1 .. 250])) {
        $n{$res->{status}}++;
        $n{late}++ if $res->{status} == 503
                      && ($res->{headers}{'retry-after'} // '') !~ /^\d+$/;
    }
    spew(test_dir() . "/counts$client", JSON::PP::encode_json(\%n));
    POSIX::_exit(0);
}

my @clients = map { fork() // die("fork: $!") || client($_) } 1 .. 4;

ok wait_until(sub { $nginx->rss($worker) > $before + 32 * 1024 }, 20),
   'it hashes';

my ($peak, @busy) = (0);
while (@clients = grep { waitpid($_, POSIX::WNOHANG()) == 0 } @clients) {
    push @busy, latencies(10);
    my $rss = $nginx->rss($worker);
    $peak = $rss if $rss > $peak;
}
@busy = sort { $a <=> $b } @busy;

my $n = {};
for my $client (1 .. 4) {
    my $counts = JSON::PP::decode_json(slurp(test_dir() . "/counts$client"));
    $n->{$_} += $counts->{$_} for keys %$counts;
}
note 'sign-ups by status: ', join ', ', map { "$_: $n->{$_}" } sort keys %$n;
note report('idle', @idle);
note report('busy', @busy);
note sprintf 'memory of the worker: %d MiB before, %d MiB at most',
     $before / 1024, $peak / 1024;

is $n->{201} + $n->{503}, 1000, 'attack 26: each got an answer: 201 or 503';
cmp_ok $n->{201}, '>=', 32, 'what fits the queue is served';
cmp_ok $n->{503}, '>=', 1, 'what does not, is not';
is $n->{late}, 0, 'attack 26: with Retry-After';
cmp_ok scalar @busy, '>=', 10,
       'attack 26: the static file was served meanwhile';
cmp_ok $peak - $before, '<', (2 * 64 + 24 + 32) * 1024,
       'attack 26: memory: two threads of 64 MiB, 32 KiB a request, a little';
is sql("SELECT COUNT(*) FROM users WHERE username LIKE 'o%'"), $n->{201},
   'as many users as were answered with success';
wait_until(sub { sql("SELECT COUNT(*) FROM messages WHERE sent_at IS NULL")
                 == 0 }, 60);
is sql("SELECT COUNT(*) FROM messages WHERE sent_at IS NULL"), 0,
   'and all their mails are sent';
is_deeply [$nginx->bad_log_lines], [], 'nothing bad in the log';

done_testing();
