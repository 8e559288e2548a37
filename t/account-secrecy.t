# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Attacks 14 and 16: whether an address has an account is asked of every answer,
# byte by byte, and of every limit.  For the clock see t/enumeration.t.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg;
use OtpReg::Alike;
use OtpReg::Provider;
use Test::Nginx::Socket 'no_plan';

# all come from one client here; for its share of a limit see t/address-limits.t

(my $http = default_http_config()) =~ s/otpreg_response_time off;//;
$http =~ s/otpreg_address_limit off;/otpreg_address_limit client=off 5\/h 10\/d;/;
our $Http = "$http\notpreg_response_time 20ms;\notpreg_password_hash memory=7m operations=5;\nssi on;\n"
            . "otpreg_fields username=required email=optional phone=optional;"
            . "otpreg_sms /courier/sms;\n";
our $Config = default_config() . <<"END";
location = /courier/sms {
    internal;
    proxy_pass http://127.0.0.1:@{[ provider_start() ]}/sms;
}
END
our $Password = 'correct horse battery staple';

# a page with all that a page can say

our $Pages = join "\n", map({ my $page = $_; ">>> pages/$page.html\n"
    . join "\n", map {
          qq{$_=[<!--# echo var="otpreg_$_" encoding="entity" default="" -->]}
      } qw(error error_code error_username error_email error_phone error_otp
           error_channel error_password error_confirm_password username email
           phone channel masked_to code_length attempts_left expires_in
           resend_in expires_minutes lang) } qw(register verify)), '';

# of as many bytes as those of any other kind; $n makes them different

sub address {
    my ($channel, $kind, $n) = @_;

    state %number = (new => 1, pending => 2, verified => 3, decoy => 4,
                     refused => 5, 'refused owner' => 6);

    return sprintf $channel eq 'sms' ? '+4930%d%05d' : 'a%d%05d@example.com',
                   $number{$kind}, $n;
}

sub form {
    my ($to) = @_;
    state $n = 0;

    return { username => sprintf('u%05d', ++$n), password => $Password,
             confirm_password => $Password,
             $to =~ /@/ ? 'email' : 'phone', $to };
}

sub send_form {
    my ($path, $type, $form, $cookie) = @_;
    return http('POST', $path, $type => $form, cookie => $cookie // '');
}

sub use_up {
    my ($to) = @_;
    my $channel = $to =~ /@/ ? 1 : 2;

    sql("INSERT INTO sends (channel, address_key, sent_at)
         VALUES ($channel, '$to', NOW(6))") for 1 .. 5;
}

sub register { send_form('/register', $_[1], form($_[0])) }

# make the address what its kind says

sub prepare {
    my ($kind, $to) = @_;

    own($to) if $kind =~ /verified|decoy|owner/;
    register($to, 'json') if $kind =~ /pending|decoy/;
    use_up($to) if $kind =~ /refused/;
}

sub attempts {
    my ($cookie, $type) = @_;
    return map { bare(send_form('/verify-otp', $type, { otp => '000000' },
                                $cookie)) } 1 .. 7;
}

no_shuffle();
run_tests();

__DATA__

=== TEST 1: attack 14: answers to addresses of all kinds are equal
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Pages
--- flow
my $n = 10000;
for my $channel (qw(email sms)) {
    for my $type (qw(form json)) {
        my (%first, $of);
        for my $kind (qw(new pending verified decoy)) {
            my $to = address($channel, $kind, $n++);
            prepare($kind, $to);
            my $res = register($to, $type);
            my $cookie = $res->{cookie};
            is $res->{status}, $type eq 'form' ? 303 : 201,
               "$channel, $type, $kind: signed up";
            ok $cookie =~ /^otpreg=(.+)/ && length $1 > 200, 'with a cookie';

            my %answer = (register => bare($res));
            my $page = http('GET', '/verify-otp', cookie => $cookie);
            is $page->{status}, 200, 'the page of the code';
            $answer{page} = bare($page);
            $answer{'too soon'}
                = bare(send_form('/resend-otp', $type, {}, $cookie));
            later('61 SECOND');
            $res = send_form('/resend-otp', $type, {}, $cookie);
            is $res->{status}, $type eq 'form' ? 303 : 200, 'sent again';
            $answer{resend} = bare($res);
            $answer{verify} = join "\n", attempts($res->{cookie}, $type);
            later('61 SECOND');
            $res = send_form('/resend-otp', $type, {}, $res->{cookie});
            $answer{renew} = bare($res);
            $answer{'verify anew'} = join "\n", attempts($res->{cookie},
                                                         $type);
            $answer{'old cookie'} = join "\n", attempts($cookie, $type);

            if (!%first) {
                %first = %answer;
                $of = $kind;
                like $first{register}, qr/^Set-Cookie: otpreg=\d+; Path=/m,
                     'the cookie is compared by its length';
                my @left = $first{verify} =~ /attempts_left(?:":|=\[)(\d*)/g;
                is "@left[0 .. 4]", '4 3 2 1 0', 'attempts count down';
                next;
            }
            is $answer{$_}, $first{$_}, "$_: $kind as $of"
                for sort keys %first;
        }
    }
}


=== TEST 2: attack 14: so are the answers to addresses that are refused
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Pages
--- flow
my $n = 20000;
for my $channel (qw(email sms)) {
    for my $type (qw(form json)) {
        my @answers = map {
            my $to = address($channel, $_, $n++);
            prepare($_, $to);
            bare(register($to, $type));
        } 'refused', 'refused owner';
        like $answers[0], qr/^HTTP\S+ 429 .*^Retry-After: an hour\r$/ms,
             "$channel, $type: refused";
        is $answers[1], $answers[0], 'with or without an owner';
    }
}


=== TEST 3: attack 14: the cookie is as long as what was typed makes it
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my @lengths;
for my $kind ('new', 'verified') {
    my $to = address('email', $kind, 30000);
    prepare($kind, $to);
    push @lengths, map { length } map { register($to, 'json')->{cookie} }
                   1 .. 3;
}
is "@lengths", "@lengths[(0) x 6]", 'six cookies of one length';


=== TEST 4: attack 16: limits and second sign-ups are the same for all
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my %steps;
for my $kind (qw(new pending verified decoy)) {
    my $to = address('email', $kind, 40000);
    own($to) if $kind =~ /verified|decoy/;
    my @steps;
    my $step = sub {
        my ($what, $res) = @_;
        push @steps, join ' ', $what, $res->{status}, $res->{json}{code} // '',
                     $res->{headers}{'retry-after'} ? 'wait' : '';
        return $res;
    };

    my $res = $step->(register => register($to, 'json'));
    my $cookie = $res->{cookie};
    $step->(resend => send_form('/resend-otp', 'json', {}, $cookie));
    my $second = $step->('register again', register($to, 'json'));
    later('61 SECOND');
    $step->(resend => send_form('/resend-otp', 'json', {}, $cookie));
    $step->(resend => send_form('/resend-otp', 'json', {}, $cookie));
    $step->(verify => send_form('/verify-otp', 'json', { otp => '000000' },
                                $second->{cookie})) for 1 .. 6;
    later('61 SECOND');
    $res = $step->(renew => send_form('/resend-otp', 'json', {},
                                      $second->{cookie}));
    $step->('register again', register($to, 'json'));
    $step->('over the limit', register($to, 'json'));
    later('61 SECOND');
    $step->('over the limit', send_form('/resend-otp', 'json', {}, $cookie));
    $step->('verify still', send_form('/verify-otp', 'json',
                                      { otp => '000000' }, $cookie));
    later('1 HOUR');
    $step->('an hour later', register($to, 'json'));
    $steps{$kind} = join "\n", @steps;
}
like $steps{new}, qr/resend 429 resend_too_soon wait/, 'too soon is met';
like $steps{new}, qr/over the limit 429 address_limit wait/, 'the limit, too';
like $steps{new}, qr/an hour later 201/, 'and its end';
is $steps{$_}, $steps{new}, "$_ as new" for qw(pending verified decoy);


=== TEST 5: attack 16: the owner is told once a day, who signs up is told nothing
--- http_config eval
"$::Http otpreg_resend_delay 0;" =~ s/client=off 5.h 10.d/client=off 100\/d/r
--- config eval: $::Config
--- flow
my $to = address('email', 'verified', 50000);
own($to);
my $mails = sub { sql("SELECT COUNT(*) FROM messages WHERE template = 'taken'
                       AND address_key = '$to'") };
my $sign_up = sub {
    my $res = register($to, 'json');
    is $res->{status}, 201, 'signed up';
    is send_form('/resend-otp', 'json', {}, $res->{cookie})->{status}, 200,
       'and sent again' for 1, 2;
};
$sign_up->() for 1 .. 3;
is $mails->(), 1, 'one message to the owner';
my %n;
$n{$_->{status}}++ for http_many([map {
    ['POST', '/register', timeout => 60, json => form($to)] } 1 .. 8]);
is_deeply \%n, { 201 => 8 }, 'eight at once';
is $mails->(), 1, 'no further message';
sql("UPDATE messages SET created_at = created_at - INTERVAL 25 HOUR");
$sign_up->();
is $mails->(), 2, 'another one the day after';


=== TEST 6: a response time that is too short
--- http_config
otpreg_response_time 9ms;
--- config
--- must_die
--- error_log
value must be between 10 and 10000 milliseconds, or "off" in


=== TEST 7: too long
--- http_config
otpreg_response_time 11s;
--- config
--- must_die
--- error_log
value must be between 10 and 10000 milliseconds, or "off" in


=== TEST 8: no time at all
--- http_config
otpreg_response_time fast;
--- config
--- must_die
--- error_log
"otpreg_response_time" directive invalid value in


=== TEST 9: twice
--- http_config
otpreg_response_time 1s;
otpreg_response_time off;
--- config
--- must_die
--- error_log
"otpreg_response_time" directive is duplicate in


=== TEST 10: attack 44: a mailbox that refuses what is sent, slowly, and not
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Pages
--- flow
db_reset();
own('owned@example.com');
my @to = qw(owned@example.com free+a@example.com);

my $refused = '550 5.1.1 no such user';
my %cookie;

my $look = sub {
    my $res = http('GET', '/verify-otp', cookie => $cookie{$_[0]},
                   headers => { Accept => 'application/json' });
    is $res->{status}, 200, 'a look is no error';
    return $res->{json}{code} // '';
};

my $resend = sub {
    send_form('/resend-otp', 'json', {}, $cookie{$_[0]})->{status};
};

my $ask = sub {
    my ($name) = @_;
    sql("UPDATE messages SET address = '' WHERE address <> ''");
    %cookie = map { $_ => send_form('/register', json => form($_))->{cookie} }
              @to;
    is $look->($_), '', "$name: not at once" for @to;
};

# both messages are over, and what is to be told about them can be told

my $over = sub {
    my ($what, $n, $name) = @_;
    for my $to (@to) {
        is sql("SELECT COUNT(*) FROM messages WHERE address = '$to'"), $n,
           "$name, $to: a message";
        ok wait_until(sub { sql("SELECT COUNT(*) FROM messages WHERE
                             address = '$to' AND $what IS NOT NULL") }, 20),
           "$name, $to: $what";
    }
    sql('UPDATE otps SET sent_at = sent_at - INTERVAL 5 SECOND');
};

smtp_behave({ cmd => 'RCPT', reply => $refused, delay => 2 });
$ask->('slowly');
$over->(failed_at => 1, 'slowly');
is $look->($_), 'undeliverable', "the first of a day: the page says so"
    for @to;
smtp_behave({ cmd => 'RCPT', reply => $refused });
is $resend->($_), 429, 'a resend, too soon' for @to;
sql('UPDATE otps SET sent_at = sent_at - INTERVAL 1 HOUR');
is $resend->($_), 200, 'a resend' for @to;
sql('UPDATE otps SET sent_at = sent_at - INTERVAL 1 HOUR');
is $look->($_), '', "after a resend it says nothing" for @to;

$ask->('still');
$over->(failed_at => 1, 'still');
is $look->($_), '', "the next of that day: it says nothing" for @to;

# the outage is over: nobody is told of it later, and the owner is told

smtp_behave();
$ask->('again');
$over->(sent_at => 1, 'again');
is $look->($_), '', "it was delivered: it says nothing" for @to;
is scalar(mails('owned@example.com')), 1, 'the owner is told at last';
$ask->('once more');
is sql("SELECT COUNT(*) FROM messages WHERE template = 'taken'"), 3,
   'and once a day';

# nor for an address that is new, when the code has expired

s/^/x/ for @to;
own($to[0]);
smtp_behave({ cmd => 'RCPT', reply => $refused });
$ask->('another');
$over->(failed_at => 1, 'another');
sql('UPDATE otps SET expires_at = NOW(6)');
is $look->($_), '', 'nothing when the code has expired' for @to;
smtp_behave();


=== TEST 11: a code whose attempts are used up: the page says so of a decoy, too
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Pages
--- flow
db_reset();
own('owned@example.com');

my %told;

for my $to (qw(owned@example.com frees@example.com)) {
    my $cookie = send_form('/register', json => form($to))->{cookie};

    for (0 .. 4) {
        my $res = http('GET', '/verify-otp', cookie => $cookie,
                       headers => { Accept => 'application/json' });
        is $res->{json}{code}, undef, "$to: not yet";
        send_form('/verify-otp', 'json', { otp => '12345' . $_ }, $cookie);
    }

    my $res = http('GET', '/verify-otp', cookie => $cookie,
                   headers => { Accept => 'application/json' });
    $told{$to} = $res->{json};
    is delete $told{$to}{to}, $to =~ s/(?<=^.).*(?=\@)/***/r, 'whose it is';
    delete @{ $told{$to} }{qw(expires_in resend_in)};
    is $told{$to}{code}, 'code_spent', "$to: says so";
}

is_deeply $told{'owned@example.com'}, $told{'frees@example.com'}, 'the same';
