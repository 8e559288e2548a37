# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Attack 44: who has an account is asked of couriers that fail: for good, for a
# while, slowly.  Addresses of all kinds are asked about at once, and all that
# a browser and a program are answered, then and later, is compared byte by byte.
# For the clock see t/enumeration.t.
#
# new and owned are compared, which nobody has tried for a day; and pending and
# told, for which the same was done before: who asks knows what he did before,
# and may see that another did it, but not whether there is an account.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain, -nosmtp;
use OtpReg::Alike;
use OtpReg::Nginx;
use OtpReg::Provider;
use Test::More;

my @pairs = ([qw(new owned)], [qw(pending told)]);
my $password = 'correct horse battery staple';
my $serial = 10000;

(my $http = default_http_config()) =~ s/otpreg_response_time off;//;
my $page = join ' ', map { "$_=[\$otpreg_$_]" }
    qw(error error_code error_username error_email error_otp username email
       channel masked_to code_length attempts_left expires_in resend_in
       expires_minutes lang);
my $port = provider_start();

my $nginx = OtpReg::Nginx->start(<<"END", http_config => <<"HTTP",
otpreg_mail /courier/mail;
location = /register { otpreg_register /pages/any; }
location = /verify-otp { otpreg_verify /pages/any; }
location = /resend-otp { otpreg_resend; }
location = /pages/any { internal; return 200 '$page'; }
location = /courier/mail {
    internal;
    proxy_pass http://127.0.0.1:$port/mail;
    proxy_set_body '{"to":"\$otpreg_to_json"}';
    proxy_read_timeout 3s;
}
END
$http
otpreg_response_time 20ms;
otpreg_password_hash memory=7m operations=5;
HTTP
    log_level => 'error');


# ----- what can be asked

sub send_form {
    my ($who, $path, $form) = @_;
    return $nginx->http('POST', $path, $who->{type} => $form, timeout => 60,
                        cookie => $who->{cookie} // '');
}

sub sign_up {
    my ($who) = @_;

    my $res = send_form({ type => $who->{type} }, '/register', {
        username => sprintf('u%05d', $serial++), email => $who->{to},
        password => $password, confirm_password => $password });
    $who->{cookie} = $res->{cookie};

    return $res;
}

sub resend { send_form($_[0], '/resend-otp', {}) }
sub guess  { send_form($_[0], '/verify-otp', { otp => '000000' }) }

sub look {
    my ($who, $method, $accept) = @_;
    return $nginx->http($method, '/verify-otp', cookie => $who->{cookie},
                        timeout => 60, headers => { Accept => $accept });
}

# ask about all of them, and keep what was answered

sub ask {
    my ($all, $step, $code) = @_;
    push @{ $_->{answers} }, ["$step, $_->{type}", bare($code->($_))]
        for @$all;
}

sub ask_page {
    my ($all, $step) = @_;

    for my $accept (qw(application/json text/html)) {
        ask($all, "$step: GET, $accept", sub { look($_[0], 'GET', $accept) });
    }
    ask($all, "$step: HEAD", sub { look($_[0], 'HEAD', 'text/html') });
}


# ----- what becomes of the messages

# nothing is told of a message in its first seconds, and then it is

sub young { sql('UPDATE otps SET sent_at = NOW(6)') }
sub old   { sql('UPDATE otps SET sent_at = NOW(6) - INTERVAL 6 SECOND') }

sub hurry {
    sql("UPDATE messages SET due_at = NOW(6), lease = NULL
         WHERE due_at IS NOT NULL AND lease IS NULL");
}

# until all that are not over fulfil it

sub wait_for {
    my ($condition, $name) = @_;
    ok wait_until(sub { !sql("SELECT COUNT(*) FROM messages
                              WHERE due_at IS NOT NULL
                              AND NOT ($condition)") }, 60), $name;
}

sub over { wait_for('FALSE', $_[0]) }

sub tried { wait_for('last_error IS NOT NULL AND lease IS NULL', $_[0]) }

sub mend {
    provider_behave();
    ok wait_until(sub { hurry();
                        !sql("SELECT COUNT(*) FROM messages
                              WHERE due_at IS NOT NULL") }, 60, 0.3),
       $_[0];
}

# one address of each kind for browsers, and one for programs

sub prepare {
    my @all;

    db_reset();
    provider_behave();

    for my $type (qw(form json)) {
        for my $kind (map { @$_ } @pairs) {
            my $who = { kind => $kind, type => $type,
                        to => sprintf('a%05d@example.com', $serial++) };
            own($who->{to}) if $kind =~ /owned|told/;
            sign_up($who) if $kind =~ /pending|told/;
            push @all, $who;
        }
    }

    over('what was asked for before was delivered');
    is sql("SELECT COUNT(*) FROM messages WHERE sent_at IS NOT NULL"), 4,
       'to owners, too';
    sql("UPDATE sends SET sent_at = sent_at - INTERVAL 1 HOUR;
         UPDATE messages SET created_at = created_at - INTERVAL 1 HOUR");

    return \@all;
}

sub compare {
    my ($all) = @_;

    for my $type (qw(form json)) {
        my %by = map { $_->{kind} => $_->{answers} }
                 grep { $_->{type} eq $type } @$all;
        for my $pair (@pairs) {
            my ($x, $y) = @by{@$pair};
            is scalar(@$y), scalar(@$x), "$type: as many answers";
            is "$y->[$_][0]\n$y->[$_][1]", "$x->[$_][0]\n$x->[$_][1]",
               "$x->[$_][0]: $pair->[1] as $pair->[0]" for 0 .. $#$x;
        }
    }
}

# what was said to one kind, in steps that begin so

sub said {
    my ($all, $kind, $step) = @_;
    my ($who) = grep { $_->{kind} eq $kind && $_->{type} eq 'json' } @$all;
    return join "\n", map { $_->[1] } grep { $_->[0] =~ /^\Q$step\E/ }
           @{ $who->{answers} };
}

# each courier: what it answers, a sign-up's message first; final: there is no
# second attempt

my @couriers = (
    ['fails for good',          1, 422],
    ['fails for good, slowly',  1, { status => 422, delay => 2 }],
    ['accepts slowly',          1, { status => 200, delay => 2 }],
    ['accepts, and then fails', 1, 422, 200],
    ['fails for a while',       0, 503],
    ['is too slow for a while', 0, { status => 200, delay => 4 }],
    ['hangs up for a while',    0, { close => 1 }],
);

for (@couriers) {
    my ($name, $final, $answer, $first) = @$_;

    subtest "attack 44: a courier that $name" => sub {
        my $all = prepare();

        for my $time ('the first', 'the second') {
            provider_behave($first // $answer);
            ask($all, "$time: register", \&sign_up);
            young();
            ask_page($all, "$time: at once");
            ask($all, "$time: resend, too soon", \&resend);

            $final ? over("$time: over") : tried("$time: tried");
            old();
            ask_page($all, "$time: later");

            provider_behave($answer);
            later('1 HOUR');
            ask($all, "$time: resend", \&resend);
            $final ? over("$time, again: over") : tried("$time, again: tried");
            old();
            ask_page($all, "$time: after a resend");

            mend("$time: the courier is mended");
            old();
            ask_page($all, "$time: mended");
            ask($all, "$time: guess $_", \&guess) for 1 .. 6;
        }

        ask($all, 'mended: register', \&sign_up);
        over('mended: over');
        old();
        ask_page($all, 'mended: later');
        compare($all);

        my $told = $name =~ /good/;
        is scalar(() = said($all, 'new', 'the first: later') =~
                  /"code":"undeliverable"/g), $told ? 1 : 0,
           'said of the first message if it was given up';
        unlike said($all, $_, 'the second'), qr/undeliverable/,
               "$_: and of no other" for qw(new pending);
        like said($all, 'new', 'the first: guess 6'), qr/code_spent/,
             'the codes are guessed at to their end';
        is sql("SELECT COUNT(DISTINCT address_key) FROM messages
                WHERE sent_at IS NOT NULL AND template = 'taken'"),
           4, 'all owners were told';
    };
}

is_deeply [$nginx->bad_log_lines], [], 'nothing bad in the log';

done_testing();
