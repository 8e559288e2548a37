#!/usr/bin/perl

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# "make galera": three nodes of a Galera cluster and three of nginx, each with
# its own node of the database first and the others behind it.
#
#     GALERA_SIGNUPS   how many sign up in all (10000)
#     GALERA_CLIENTS   at once (24)
#     GALERA_SEED      of what they choose to do

use v5.10.1;
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use OtpReg -plain, -nodb;
use OtpReg::Env qw(nginx_binary);
use OtpReg::Galera;
use OtpReg::Hop;
use OtpReg::Nginx;
use OtpReg::Provider;
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

is_deeply [$_->bad_log_lines], [], 'nothing bad in the log of nginx'
    for @nginx;

done_testing();
