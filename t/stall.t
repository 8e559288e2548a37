# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# A mail server takes long for each mail and recovers; workers are told to go
# while mails wait for a thread and while one is being sent.  What counts is
# who got which code: each mail has the code of its recipient's sign-up, and
# none is sent again by a job that was broken off.
#
# OTPREG_STALL_FULL=1 stalls for 28 seconds a mail, two minutes long.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain;
use OtpReg::Nginx;
use Test::More;
use Time::HiRes qw(sleep);

my $password = 'correct horse battery staple';
my $full = $ENV{OTPREG_STALL_FULL};

sub http_config {
    return default_http_config() . <<'END';
otpreg_password_hash memory=7m operations=5;
END
}

sub main_config {
    my ($threads, $more, $pool) = @_;
    $pool //= '';
    return <<"END" . ($more // '');
thread_pool otpreg_hash threads=2 max_queue=1000;
thread_pool otpreg_database threads=8;
thread_pool otpreg_mail threads=$threads$pool;
END
}

sub config {
    my ($timeout) = @_;
    my $config = default_config();
    $config =~ s/(otpreg_smtp [^;]*);/$1 timeout=${timeout}s;/ or die;
    return $config;
}

# so many sign-ups at once: [{ to, cookie }]

sub signups {
    my ($nginx, $n, $name) = @_;
    my @to = map { "$name$_\@example.com" } 1 .. $n;
    my @answers = $nginx->http_many([map { ['POST', '/register', timeout => 60,
        json => { username => "$name$_", email => "$name$_\@example.com",
                  password => $password, confirm_password => $password }]
    } 1 .. $n]);

    is scalar(grep { $_->{status} == 201 } @answers), $n,
       "$name: $n sign-ups at once";
    return map { { to => $to[$_], cookie => $answers[$_]{cookie} } }
           0 .. $#to;
}

# Every mail against the sign-up it is for; so a code that went to somebody
# else is found whatever the counts say.

sub ledger {
    my ($nginx, $name, $seconds, @signups) = @_;

    my $arrived = wait_until(sub {
        @signups == grep { mail_count($_->{to}) } @signups
    }, $seconds, 0.2);
    ok $arrived, "attack 39: $name: every mail arrives";

    is_deeply [map { "$_->{to}: " . mail_count($_->{to}) }
               grep { mail_count($_->{to}) != 1 } @signups], [],
              "attack 39: $name: none is sent twice";

    my (@foreign, @refused);
    for my $signup (@signups) {
        my ($mail) = mails($signup->{to}) or next;
        my ($code) = $mail->{text} =~ /\b(\d{6})\b/;

        push @foreign, $signup->{to}
            if "@{ $mail->{rcpt} }" ne $signup->{to}
               || $mail->{headers}{to} !~ /\Q$signup->{to}/;

        my $res = $nginx->http('POST', '/verify-otp', json => { otp => $code },
                               cookie => $signup->{cookie});
        push @refused, "$signup->{to}: $res->{status}"
            if $res->{status} != 200;
    }
    is_deeply \@foreign, [], "attack 39: $name: each to its own recipient";
    is_deeply \@refused, [],
              "attack 39: $name: each sign-up verifies by its own mail";

    my @active = sql("SELECT email FROM users WHERE is_active = 1 AND
                      email LIKE '$name%'");
    is scalar(@active), scalar(@signups), "$name: so many are active";
    is sql('SELECT COUNT(*) FROM messages WHERE sent_at IS NULL'), 0,
       "$name: no message is left";
    is_deeply [$nginx->bad_log_lines(qr/queue overflow/)], [],
              "$name: nothing bad in the log";
}

sub start {
    my ($threads, $timeout, $more) = @_;
    return OtpReg::Nginx->start(config($timeout), workers => 1,
                                http_config => http_config(),
                                main_config => main_config($threads, $more));
}


# a server that takes long, and recovers

for my $threads (1, 4) {
    for my $n ($full ? (14, 100) : (14 * $threads)) {
        my $name = "t$threads-$n-";
        my ($delay, $timeout, $recover) = $full ? (28, 30, 120) : (2, 3, 9);

        smtp_behave({ cmd => 'MAIL', reply => '250 2.1.0 Ok',
                      delay => $delay });

        my $nginx = start($threads, $timeout);
        my @signups = signups($nginx, $n, $name);

        sleep $recover;
        smtp_behave();

        ledger($nginx, $name, $full ? 400 : 60, @signups);
        like $nginx->error_log, qr/waited for too long: no mail thread/,
             "$name: what waits for twice the timeout is given back";
        ok $nginx->quit(90), "$name: it leaves by itself";
    }
}


# no more is taken than gets through: what was given back once is not taken and
# given back again and again

{
    my $name = 'few-';

    smtp_behave({ cmd => 'MAIL', reply => '250 2.1.0 Ok', delay => 0.7 });

    my $nginx = start(1, 1);
    my @signups = signups($nginx, 14, $name);

    ledger($nginx, $name, 60, @signups);

    my $waited = grep { /waited for too long/ } $nginx->error_log_lines;
    cmp_ok $waited, '>', 5, "$name: most wait for too long at first";
    cmp_ok $waited, '<', 19, "$name: and not much more often than once";
    cmp_ok sql('SELECT COUNT(*) FROM messages WHERE attempts > 1'), '<', 6,
           "$name: which is no attempt";
    ok $nginx->quit(90), "$name: it leaves by itself";
}


# workers that must go, with mails in the queue and one on its way

for my $threads (1, 2) {
    my $name = "r$threads-";

    smtp_behave({ cmd => 'MAIL', reply => '250 2.1.0 Ok', delay => 4 });

    my $nginx = start($threads, 20, "worker_shutdown_timeout 1s;\n");
    my @signups = signups($nginx, 14, $name);

    ok $nginx->reload(wait => 60), "$name: reloaded, and the old worker went";
    smtp_behave();

    ledger($nginx, $name, 180, @signups);
    ok $nginx->quit(90), "$name: it leaves by itself";
}


# told to go at once while the queue is full: a thread that cannot be told, as
# it has not come to the end of the queue yet, must not find its configuration
# freed

{
    smtp_behave({ cmd => 'MAIL', reply => '250 2.1.0 Ok', delay => 20 });

    my $nginx = OtpReg::Nginx->start(config(30), workers => 1,
                                     http_config => http_config(),
                                     main_config => main_config(1, undef,
                                                        ' max_queue=1'));
    my @signups = signups($nginx, 6, 'q');

    ok wait_until(sub { $nginx->error_log =~ /no mail thread was free/ }, 20),
       'the queue of the mail pool is full';
    ok $nginx->stop(20), 'it leaves at once';
    is_deeply [$nginx->bad_log_lines(qr/queue overflow/)], [],
              'nothing bad in the log';

    # what nobody has sent is sent by the next

    smtp_behave();
    ok $nginx->run, 'it is started again';
    ledger($nginx, 'q', 180, @signups);
    ok $nginx->quit(90), 'and leaves by itself';
}


# what must be there is there after a delay, and nothing is broken off by it

{
    smtp_behave();

    my $config = config(10);
    $config =~ s/(otpreg_smtp )/limit_req zone=slow burst=20; $1/ or die;

    my $nginx = OtpReg::Nginx->start($config, workers => 1,
        http_config => http_config()
            . "limit_req_zone courier zone=slow:1m rate=4r/s;\n",
        main_config => main_config(2));
    my @signups = signups($nginx, 8, 'd');

    ledger($nginx, 'd', 60, @signups);
    is scalar(grep { /broken off/ } $nginx->error_log_lines), 0,
       'a delay of limit_req breaks nothing off';
    ok $nginx->quit(90), 'it leaves by itself';
}


done_testing();
