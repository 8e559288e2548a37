#!/usr/bin/perl

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# "make galera": three nodes of a Galera cluster and three of nginx, each with
# its own node of the database first and the others behind it.
#
#     GALERA_SIGNUPS   how many sign up in all (10000)
#     GALERA_CLIENTS   at once (24)
#     GALERA_SEED      of what they choose to do
#
# A thousand go from node to node; the others do what people of OtpReg::Load do,
# while nodes are killed, stopped, isolated, shut down and emptied.

use v5.10.1;
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use OtpReg -plain, -nodb;
use OtpReg::Env qw(nginx_binary wait_until);
use OtpReg::Galera;
use OtpReg::HTTP;
use OtpReg::Hop;
use OtpReg::Nginx;
use OtpReg::Pairs;
use OtpReg::Provider;
use OtpReg::SignUp;
use OtpReg::Verdict;
use Test::More;
use Time::HiRes qw(sleep time);

my $signups = $ENV{GALERA_SIGNUPS} // 10_000;
my $clients = $ENV{GALERA_CLIENTS} // 24;
my $seed = $ENV{GALERA_SEED} // int time();

diag "GALERA_SIGNUPS=$signups GALERA_CLIENTS=$clients GALERA_SEED=$seed";
srand $seed;

my $cluster = OtpReg::Galera->start(nodes => 3);
$cluster->use_node(0);
diag $cluster->versions . ', ' . `'${\nginx_binary()}' -v 2>&1`;

# Each nginx has a user of the database of its own: it can be seen where it is.

sql("CREATE USER nginx$_\@127.0.0.1 IDENTIFIED BY 'otpreg-test';
     GRANT ALL ON otpreg.* TO nginx$_\@127.0.0.1") for $cluster->nodes;

my $provider = provider_start();

sub http_config {
    my ($k, $more) = @_;
    my @nodes = $cluster->nodes;
    my $hosts = join ' ', map { 'host=' . $cluster->host($_) }
                @nodes[$k .. $#nodes], @nodes[0 .. $k - 1];
    my $config = default_http_config();

    $config =~ s/socket=\S+/$hosts port=$ENV{TEST_NGINX_DB_PORT}
                connect_timeout=1s/;
    $config =~ s/user=\S+/user=nginx$k/;

    return "$config otpreg_password_hash memory=7m operations=5;"
           . ' otpreg_resend_delay 1s;'
           . ' otpreg_fields username=required email=optional phone=optional;'
           . ($more // '');
}

my $config = default_config() . <<"END";
otpreg_sms /courier/sms;
location = /courier/sms {
    internal;
    proxy_pass http://127.0.0.1:$provider/sms;
}
END

my @nginx = map {
    OtpReg::Nginx->start($config, http_config => http_config($_),
                         workers => 1, log_level => 'info')
} $cluster->nodes;
my @ports = map { $_->port } @nginx;


my $hops = $signups < 1000 ? $signups : 1000;

subtest "$hops register on one node and verify on another, at once" => sub {
    my $began = time();
    my $load = OtpReg::Hop->start(ports => \@ports, clients => $clients,
                                  signups => $hops, seed => $seed);
    sleep 0.1 while $load->running;
    my $took = time() - $began;
    my @ledger = $load->ledger;

    is_deeply [OtpReg::Hop::stale(@ledger)], [],
              'no node has not heard of what another one answered';
    is_deeply [OtpReg::Hop::unverified(@ledger)], [],
              'each is verified by the own code, once';
    is scalar(grep { ($_->{result} // '') eq 'verified' } @ledger), $hops,
       'all of them';
    is_deeply [$cluster->tables_differ], [], 'all nodes have the same';
    diag sprintf '%d sign-ups over three nodes in %.1f s', $hops, $took;
};


# the k-th of many requests goes to the k-th node

sub on_nodes {
    my ($ports, @requests) = @_;
    my $k = 0;
    return http_many([map { [@$_, port => $ports->[$k++ % @$ports],
                             timeout => 60] } @requests]);
}

sub count {
    my %n;
    $n{$_}++ for @_;
    return \%n;
}

subtest 'attack 3: fifty right codes at once, over three nodes' => sub {
    for my $round (1 .. 5) {
        my $one = signup(via => sub { $nginx[$round % @nginx]->http(@_) });
        my $code = code($one);
        my $n = count(map { $_->{status} } on_nodes(\@ports,
            (['POST', '/verify-otp', cookie => $one->{cookie},
              json => { otp => $code }]) x 50));

        is $n->{200}, 1, 'one success';
        is $n->{409}, 49, 'for all others it is used';
        is sql("SELECT COUNT(*) FROM users WHERE email = '$one->{to}'
                AND is_active = 1"), 1, 'one user';
    }
};

subtest 'attack 2: two hundred wrong codes at once, over three nodes' => sub {
    for my $round (1 .. 5) {
        my $one = signup(via => sub { $nginx[$round % @nginx]->http(@_) });
        my $code = code($one);
        my @res = on_nodes(\@ports, map {
            ['POST', '/verify-otp', cookie => $one->{cookie},
             json => { otp => wrong($code, $_) }]
        } 1 .. 200);

        is_deeply count(map { $_->{json}{code} // $_->{status} } @res),
                  { code_wrong => 4, code_spent => 196 }, 'five were compared';
        is sql("SELECT attempts FROM otps WHERE address = '$one->{to}'"), 5,
           'and counted';
        is $nginx[0]->http('POST', '/verify-otp', cookie => $one->{cookie},
                           json => { otp => $code })->{json}{code},
           'code_spent', 'the right one is too late on another node, too';
    }
};

subtest 'attack 24: five of fifty to one address at once, over three nodes' =>
sub {
    my $real_ip = 'set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;';
    my @limited = map {
        my $http = http_config($_, $real_ip);
        $http =~ s/otpreg_address_limit off;//;
        OtpReg::Nginx->start($config, http_config => $http, log_level => 'info')
    } $cluster->nodes;
    my $client = 0;

    for my $to (map { "$_\@limit.example.com" } qw(one two three)) {
        my $n = count(map { $_->{status} } on_nodes([map { $_->port } @limited],
            map { ['POST', '/register', json => form(email => $to),
                   headers => { 'X-Real-IP' => '198.18.0.' . ++$client }] }
            1 .. 50));

        is_deeply $n, { 201 => 5, 429 => 45 }, "$to: five";
        is sql("SELECT COUNT(*) FROM sends WHERE address_key = '$to'"), 5,
           'five are counted';
    }

    ok $_->quit(30), 'ends' for @limited;
};


# ----- nodes that fail, one at a time; each comes back and has all

my %fault = (
    killed => sub { $cluster->crash($_[0]); sleep 4; $cluster->join($_[0]) },
    'shut down' => sub {
        $cluster->leave($_[0]);
        sleep 4;
        $cluster->join($_[0]);
    },
    stopped => sub { $cluster->freeze($_[0]); sleep 12; $cluster->thaw($_[0]) },
    isolated => sub {
        $cluster->isolate($_[0], 1);
        sleep 12;
        $cluster->isolate($_[0], 0);
    },
    emptied => sub {
        $cluster->crash($_[0]);
        $cluster->wipe($_[0]);
        sleep 4;
        $cluster->join($_[0]);
    },
);

my $others = $signups - $hops;
my ($load, %came);

subtest "$others sign up while nodes fail" => sub {
    plan skip_all => 'all went from node to node' if $others <= 0;

    $load = OtpReg::Load->start(ports => \@ports, clients => $clients,
                                signups => $others, seed => $seed,
                                first => 100_000);
    my $began = time();
    my $round = 0;

    do {
        for my $name (sort keys %fault) {
            my $k = $round++ % @nginx;
            $fault{$name}->($k);
            ok $cluster->wait_synced(180), "node $k was $name, and is back";
            my $how = $cluster->transfer($k) || 'nothing';
            $came{"$name: $how"}++;
            sleep 3;
        }
    } while ($load->running);

    diag sprintf '%d sign-ups in %.0f s; how nodes came back: %s', $others,
        time() - $began, join ', ', map { "$_ $came{$_}" } sort keys %came;
};

subtest 'lost 0, doubled 0, unproved 0' => sub {
    plan skip_all => 'nobody' if !$load;

    # what was claimed through a node that went comes back after its lease

    my $waiting = 'SELECT COUNT(*) FROM messages WHERE due_at IS NOT NULL';
    ok wait_until(sub { sql($waiting) == 0 }, 200, 1), 'no message waits';
    is_deeply [$cluster->tables_differ], [], 'all nodes have the same';

    my @ledger = grep { !defined $_->{u} ? ($_->{n} // 0) >= 100_000
                                         : $_->{u} =~ /^p\d{6}/ } $load->ledger;
    my $verdict = OtpReg::Verdict->new(
        signups => $others, ledger => \@ledger, proxies => [[], []],
        kills => [], log => join '', map { $_->error_log } @nginx);
    my $pairs = OtpReg::Pairs->new(keys => $ENV{TEST_NGINX_KEY_FILE},
                                   ledger => \@ledger);

    is_deeply $verdict->wrong($_), [], $_
        for qw(unfinished odd_answers lost_users double_users burned_attempts
               twice_accepted above_limit inactive unproved owned_twice
               lost_messages unknown_messages too_late);
    is_deeply [$pairs->wrong_sends], [],
              'address, OTP and code of each message belong together';
    is_deeply [$pairs->wrong_opens], [],
              'no sign-up was opened by another code, or not by its own';

    diag $verdict->answers;
    diag $verdict->figures;
    diag $pairs->messages . ' messages compared';
};

is_deeply [$_->bad_log_lines], [], 'nothing bad in the log of nginx'
    for @nginx;

done_testing();
