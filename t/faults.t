# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Many sign up on two nodes while everything around them fails: what is between
# the nodes, MariaDB, the SMTP server and the HTTP provider delays, stalls,
# cuts, resets and swallows; the servers answer after the time that they have;
# workers, nodes and mariadbd are killed, and workers told to go while they send;
# clients leave in every phase; each queue is short; the disk of the database
# fills up; locks are held.  Then the invariants are checked against what the
# clients were answered and what the providers accepted: who got which code.
#
#     OTPREG_FAULT_SIGNUPS   how many (200)
#     OTPREG_FAULT_CLIENTS   at once (16)
#     OTPREG_FAULT_OUTAGES   stalls of the mail server that outlast a delivery (0)
#     OTPREG_FAULT_SEED      what is done when; in the output (the time)
#
# "make faults" is a run of 20,000 sign-ups; "make faults-asan" is one of fewer,
# with sanitizers.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain, -tcp, db_disk => '512m';
use OtpReg::Env qw(root_dir);
use OtpReg::Load;
use OtpReg::Nginx;
use OtpReg::Pairs;
use OtpReg::Provider;
use OtpReg::Proxy;
use OtpReg::Storm;
use OtpReg::Verdict;
use Test::More;
use Time::HiRes qw(sleep time);

my $signups = $ENV{OTPREG_FAULT_SIGNUPS} // 200;
my $clients = $ENV{OTPREG_FAULT_CLIENTS} // 16;
my $outages = $ENV{OTPREG_FAULT_OUTAGES} // 0;
my $seed = $ENV{OTPREG_FAULT_SEED} // int time();

diag "OTPREG_FAULT_SEED=$seed OTPREG_FAULT_SIGNUPS=$signups"
     . " OTPREG_FAULT_CLIENTS=$clients OTPREG_FAULT_OUTAGES=$outages";
srand $seed;

my %proxy = (
    database => OtpReg::Proxy->start(name => 'database', seed => $seed + 1,
                                     to => $ENV{TEST_NGINX_DB_PORT}),
    smtp => OtpReg::Proxy->start(name => 'smtp', seed => $seed + 2,
                                 to => smtp_port()),
    provider => OtpReg::Proxy->start(name => 'provider', seed => $seed + 3,
                                     to => provider_start()),
);

my $http = default_http_config() . <<'END';
otpreg_password_hash memory=7m operations=5;
otpreg_fields username=required email=optional phone=optional;
otpreg_resend_delay 1s;
map $otpreg_to $provider_host {
    ~^\+4999 refused;
    default  provider;
}
END
$http =~ s/socket=\S+/host=127.0.0.1 port=$proxy{database}{port}
          connect_timeout=1s read_timeout=2s/;

my $config = default_config() . <<"END";
otpreg_sms /courier/sms;
location = /courier/sms {
    internal;
    proxy_connect_timeout 2s;
    proxy_read_timeout 2s;
    proxy_set_header Host \$provider_host;
    proxy_pass http://127.0.0.1:$proxy{provider}{port}/sms;
}
END
$config =~ s/smtp:\S+/smtp:\/\/127.0.0.1:$proxy{smtp}{port} timeout=2s/;

my $main = <<'END';
worker_shutdown_timeout 1s;
thread_pool otpreg_hash threads=1 max_queue=6;
thread_pool otpreg_database threads=4 max_queue=4;
thread_pool otpreg_mail threads=2 max_queue=6;
END

# where the mail server has more time its threads are few: a queue grows

my @mains = ($main, $outages ? $main =~ s/(otpreg_mail) .*/$1 threads=4;/r
                             : $main);
my @configs = ($config, $outages ? $config =~ s/timeout=2s/timeout=30s/r
                                 : $config);

my @nodes = map {
    OtpReg::Nginx->start($configs[$_], http_config => $http, workers => 2,
                         main_config => $mains[$_], log_level => 'info')
} 0, 1;

my @ports = map { $_->port } @nodes;
my $n = 0;

# a whole sign-up; what went wrong, or ''

sub sign_up {
    my ($node) = @_;

    my $to = 'q' . ++$n . '@example.com';
    my $res = $node->http('POST', '/register', timeout => 30, json => {
        username => "q$n", email => $to,
        password => 'correct horse battery staple',
        confirm_password => 'correct horse battery staple' });
    return "register: $res->{status}" if $res->{status} != 201;

    my $code = code_for($to, 10) // return 'no code';
    $res = $node->http('POST', '/verify-otp', cookie => $res->{cookie},
                       timeout => 30, json => { otp => $code });
    return $res->{status} == 200 ? '' : "verify: $res->{status}";
}


subtest 'attack 32: the connection is lost before or after a COMMIT' => sub {
    # MySQL's client says how many attributes a statement has
    my $commit = db_is_mysql() ? "\3\0\1COMMIT" : "\3COMMIT";

    for my $when (qw(sever_before sever_after)) {
        $proxy{database}->$when($commit);
        is sign_up($nodes[$n % 2]), '', "$when: a sign-up";
        is sql("SELECT COUNT(*) FROM users WHERE username = 'q$n'"), 1,
           'is there once';
        is mail_count("q$n\@example.com"), 1, 'and so is its mail';
    }

    is scalar(grep { $_->{what} eq 'sever' } $proxy{database}->events), 2,
       'the connection was lost each time';
};


my $storm = OtpReg::Storm->new(proxy => \%proxy, nodes => \@nodes,
                               seed => $seed);
my $began = time();
my $load = OtpReg::Load->start(ports => \@ports, clients => $clients,
                               signups => $signups, seed => $seed);

$storm->begin;
$storm->strike($_) for qw(shutdown smtp_stall provider_stall db_lock);

while ($load->running) {
    if ($outages && time() - $began > 10) {
        $outages--;
        $storm->outage(130);
        $storm->strike('shutdown');
    }

    $storm->strike;
}

$storm->end;

my $took = time() - $began;


subtest 'after the storm' => sub {
    is scalar($_->workers), 2, 'both workers are there' for @nodes;

    for my $node (@nodes) {
        my $wrong;
        wait_until(sub { ($wrong = sign_up($node)) eq '' }, 15, 0.2);
        is $wrong, '', 'a sign-up works, without a reload';
    }

    # what somebody took whose connection broke before he knew comes back when
    # its lease ends; the end of a worker does it, too

    my $waiting = 'SELECT COUNT(*) FROM messages WHERE due_at IS NOT NULL';
    wait_until(sub {
        sql('UPDATE messages SET due_at = NOW(6) WHERE due_at > NOW(6)
             AND lease IS NULL');
        sql($waiting) == 0;
    }, 15, 0.5);

    ok $_->quit(30), 'a node ends by itself' for @nodes;
    ok $_->run, 'and begins again' for @nodes;
    ok wait_until(sub { sql($waiting) == 0 }, 30, 0.2),
       'no message waits any more';

    is_deeply [$_->bad_log_lines(qr/exited on signal 9/)], [],
              'nothing bad in the log' for @nodes;
};


my $verdict = OtpReg::Verdict->new(
    signups => $signups, ledger => [$load->ledger],
    proxies => [map { [$proxy{$_}->events] } qw(smtp provider)],
    kills => [$storm->kills],
    log => join('', map { $_->error_log } @nodes));

my $pairs = OtpReg::Pairs->new(keys => $ENV{TEST_NGINX_KEY_FILE},
                               ledger => [$load->ledger]);

subtest 'attack 32: each message is for its recipient, with the code of his'
        . ' sign-up' => sub
{
    cmp_ok $pairs->messages, '>=', $signups / 2, 'messages to compare';
    is_deeply [$pairs->wrong_sends], [],
              'address, OTP and code of each belong together';
    is_deeply [$pairs->wrong_opens], [],
              'no sign-up was opened by another code, or not by its own';

    my @open = $pairs->open;
    @open = @open[0 .. 99] if @open > 100;

    for my $i (0 .. $#open) {
        my ($one, $other) = ($open[$i], $open[$i - 1]);
        my $verify = sub {
            $nodes[$i % 2]->http('POST', '/verify-otp', timeout => 30,
                cookie => $one->{cookie}, json => { otp => $_[0] })->{status};
        };

        is $verify->($other->{code}), 422,
           "$one->{u} is not opened by the code of $other->{u}"
            if $one->{code} ne $other->{code};
        is $verify->($one->{code}), 200, 'but by the own one';
    }

    ok scalar(@open), 'some were still open';
};

subtest 'attack 32: no lost or double user, no burned code, clear 503' => sub {
    is_deeply $verdict->wrong('unfinished'), [], 'all clients are done';
    is_deeply $verdict->wrong('odd_answers'), [],
              'each answer is a success, a refusal with a reason or 503';
    is_deeply $verdict->wrong('lost_users'), [], 'each success is in the database';
    is_deeply $verdict->wrong('double_users'), [],
              'no sign-up is there twice but for a 503 or no answer';
    is_deeply $verdict->wrong('burned_attempts'), [],
              'each attempt was an answer of 422, or may have been';
    is_deeply $verdict->wrong('twice_accepted'), [], 'no code was accepted twice';
    is_deeply $verdict->wrong('above_limit'), [], 'no attempt above the limit';
    is_deeply $verdict->wrong('inactive'), [], 'each verified one is active, once';
    is_deeply $verdict->wrong('unproved'), [],
              'nobody is active whose browser did not post the right code';
    is_deeply $verdict->wrong('owned_twice'), [], 'an address has one owner';
};

subtest 'attack 33: at most one extra message a failure, never a lost one' =>
sub {
    is_deeply $verdict->wrong('lost_messages'), [],
              'each message was accepted, given up with a reason, or expired';
    is_deeply $verdict->wrong('unknown_messages'), [],
              'each accepted message was committed';
    is_deeply $verdict->wrong('causeless'), [],
              'each message that came twice was cut off, or its worker died';
    is_deeply $verdict->wrong('too_late'), [], 'none was sent after its end';
};


my @full = map { $_->error_log =~ /thread pool "(\w+)" queue overflow/g }
           @nodes;
my %full;
$full{$_}++ for @full;

is_deeply [sort keys %full],
          [qw(otpreg_database otpreg_hash otpreg_mail)],
          'each queue was full' if $signups >= 1000;

diag sprintf '%d sign-ups in %d s: %s', $signups, $took, $verdict->answers;
diag 'faults: ' . $storm->summary;
diag "on connections: $_: " . $verdict->breaks($proxy{$_}->events)
    for sort keys %proxy;
diag $verdict->figures;
diag sprintf '%d messages compared; full queues: %s', $pairs->messages,
     join ', ', map { "$_ $full{$_}" } sort keys %full;

$_->stop for @nodes;
done_testing();
