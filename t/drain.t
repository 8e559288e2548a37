# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# An outage is over and thousands of messages wait: they are sent once each, by
# two nodes of which one is killed; the newest first; a dead channel does not
# delay the other; sign-ups are answered meanwhile.
#
# OTPREG_DRAIN=10000 sets how many messages wait (2000).

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain;
use OtpReg::Nginx;
use OtpReg::Provider;
use Test::More;
use Time::HiRes qw(time sleep);

my $waiting = $ENV{OTPREG_DRAIN} || 2000;
my $password = 'correct horse battery staple';
my $dead = OtpReg::Env::free_port();

my $http = default_http_config() . <<'END';
otpreg_password_hash memory=7m operations=5;
otpreg_fields username=required email=optional phone=optional;
log_format message '$http_idempotency_key';
END

sub config {
    my ($name) = @_;
    my $dir = test_dir();
    return <<"END";
otpreg_mail /courier/mail;
otpreg_sms /courier/sms;
location = /register { otpreg_register /none; }
location = /courier/mail {
    internal;
    proxy_pass http://127.0.0.1:\$TEST_NGINX_SERVER_PORT/sink;
    proxy_set_header Idempotency-Key \$otpreg_message_id;

    # a body that nobody reads delays the line in the access log
    proxy_pass_request_body off;
    proxy_set_header Content-Length "";
}
location = /courier/sms {
    internal;
    proxy_connect_timeout 2s;
    proxy_read_timeout 2s;
    proxy_pass http://127.0.0.1:$dead/;
}
location = /sink { access_log $dir/sink.log message; return 200; }
location = /static { return 200 "static"; }
END
}

# messages to a channel; the newer, the higher the number

sub queue {
    my ($channel, $n, $base) = @_;
    my $seq = db_seq($n);
    sql("INSERT INTO otps (id, purpose, user_id, channel, address,
             address_key, key_name, digits, created_at, sent_at, expires_at)
         SELECT UNHEX(LPAD(HEX($base + seq), 32, '0')), 1, 0, $channel,
             CONCAT('q', seq), CONCAT('q', seq), 'k1', 6, NOW(6), NOW(6),
             NOW(6) + INTERVAL 10 MINUTE FROM $seq;
         INSERT INTO messages (id, site, otp_id, template, channel, address,
             address_key, created_at, expires_at, due_at)
         SELECT UNHEX(LPAD(HEX($base + seq), 32, '0')), 'default',
             UNHEX(LPAD(HEX($base + seq), 32, '0')), 'otp', $channel,
             CONCAT('q', seq), CONCAT('q', seq), NOW(6),
             NOW(6) + INTERVAL 10 MINUTE,
             NOW(6) - INTERVAL ($n - seq) MICROSECOND FROM $seq");
}

sub sent {
    return sql('SELECT COUNT(*) FROM messages WHERE sent_at IS NOT NULL
                AND channel = 1');
}

sub register_times {
    my ($nginx, $n, $name) = @_;
    my @ms;
    for (1 .. $n) {
        my $res = $nginx->http('POST', '/register', timeout => 30, json => {
            username => "$name$_", email => "$name$_\@example.com",
            password => $password, confirm_password => $password });
        return if $res->{status} != 201;
        push @ms, $res->{time} * 1000;
    }
    @ms = sort { $a <=> $b } @ms;
    return @ms;
}

my @nodes = map {
    OtpReg::Nginx->start(config(), http_config => $http, log_level => 'notice')
} 1, 2;

my @idle = register_times($nodes[0], 30, 'idle');
is scalar @idle, 30, 'sign-ups while nothing waits';
my $before = $nodes[0]->rss($nodes[0]->workers);
my $already = sent() if wait_until(sub { sent() == 30 }, 20);
is $already, 30, 'and their mails';

queue(2, 200, 2 ** 40);
queue(1, $waiting, 0);
my $began = time();

# a node dies in the middle of it

ok wait_until(sub { sent() > $already + $waiting / 5 }, 60, 0.05),
   'they are being sent';
ok $nodes[1]->kill9, 'a node is killed';

my @busy = register_times($nodes[0], 30, 'busy');
is scalar @busy, 30, 'sign-ups are answered meanwhile';

ok wait_until(sub { sql('SELECT COUNT(*) FROM messages WHERE channel = 1
                         AND sent_at IS NULL AND lease IS NULL') == 0 }, 120,
              0.1), 'no message waits any more';
my $took = time() - $began;
my $peak = $nodes[0]->rss($nodes[0]->workers);

# what the dead node had in its hands comes when its worker's successor starts

ok $nodes[1]->run, 'the node is back';
ok wait_until(sub { sent() == $already + $waiting + 30 }, 60, 0.1),
   'all are sent';

my %n;
$n{$_}++ for grep { length && $_ ne '-' }
             split /\n/, slurp(test_dir() . '/sink.log');
my @twice = grep { $n{$_} > 1 } keys %n;
is scalar(keys %n), $already + $waiting + 30, 'each one arrived';
cmp_ok scalar(@twice), '<=', 32,
       'at most those in flight at the kill arrived twice';
is_deeply [grep { $n{$_} > 2 } keys %n], [], 'none three times';

my @order = grep { /^0{20}/ } split /\n/, slurp(test_dir() . '/sink.log');
cmp_ok hex(substr $order[0], 20), '>', $waiting - 200, 'the newest came first';

is sql('SELECT COUNT(*) FROM messages WHERE channel = 2
        AND sent_at IS NOT NULL'), 0, 'the dead channel delayed none of them';

note sprintf '%d messages in %.1f s: %d a second', $waiting, $took,
     $waiting / $took;
note sprintf '/register idle p50 %.0f max %.0f ms, busy p50 %.0f max %.0f ms',
     $idle[15], $idle[-1], $busy[15], $busy[-1];
note sprintf 'memory of a worker: %.1f MiB before, %.1f MiB after',
     $before / 1024, $peak / 1024;
note scalar(@twice) . ' messages arrived twice';

cmp_ok $peak - $before, '<', 32 * 1024, 'memory is bounded'
    if !$ENV{ASAN_OPTIONS};             # which frees nothing for a while
is_deeply [$_->bad_log_lines(qr/signal 9/)], [], 'nothing bad in the log'
    for @nodes;

done_testing();
