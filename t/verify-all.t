# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# otpreg_verify_all: a user is active when both addresses were verified, one
# after the other.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg;
use OtpReg::Provider;
use Test::Nginx::Socket 'no_plan';

our $Port = provider_start();
our $Password = 'correct horse battery staple';
our $Phone = '+442079460018';
our $Http = OtpReg::default_http_config() . "ssi on; otpreg_verify_all on;\n"
    . "otpreg_sms /courier/sms;\n"
    . "otpreg_fields username=required email=optional phone=optional;\n";
our $Config = OtpReg::default_config()
    . "location = /courier/sms { internal;\n"
    . "proxy_pass http://127.0.0.1:$Port/sms; }\n";
our $Page = ">>> pages/verify.html\n"
    . qq{error=[<!--# echo var="otpreg_error_code" default="" -->]}
    . qq{ next=[<!--# echo var="arg_next" default="" -->]}
    . qq{ to=[<!--# echo var="otpreg_masked_to" default="" -->]\n};

sub signup {
    my ($name, %more) = @_;
    my $res = http('POST', '/register', json => {
        username => $name, password => $Password,
        confirm_password => $Password, %more });
    $res->{status} == 201 or die "no sign-up: $res->{raw}";
    return $res->{cookie};
}

sub post { http('POST', $_[0], cookie => $_[1], json => $_[2] // {}) }
sub try_code { post('/verify-otp', $_[0], { otp => $_[1] }) }

sub sms_code {
    my ($to, $n) = @_;
    my @sms;
    wait_until(sub { @sms = grep { ($_->{json}{to} // '') eq $to }
                            provider_requests(); @sms >= ($n // 1) }, 10)
        or die "no SMS to $to";
    return $sms[-1]{json}{code};
}

sub state {
    return sql("SELECT CONCAT_WS('|', is_active,
                email_verified_at IS NOT NULL, phone_verified_at IS NOT NULL,
                username_owner IS NOT NULL) FROM users
                WHERE username = '$_[0]'");
}

# no sign-up of an earlier block

sub fresh {
    clear_mails();
    unlink test_dir() . '/provider.requests';
    db_reset();
}

no_shuffle();
run_tests();

__DATA__

=== TEST 1: first the email address, then the number
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
fresh();
my $first = signup('ann', email => 'ann@example.com', phone => $::Phone);
my $code = code_for('ann@example.com');

my $res = try_code($first, $code);
is $res->{status}, 200, 'right';
is_deeply $res->{json}, { next => '/verify-otp', channel => 'sms',
                          to => '+4***18', expires_in => 600,
                          resend_in => 60 }, 'and another code is to come';
is main::state('ann'), '0|1|0|0', 'not active yet, and owns nothing';

is try_code($first, $code)->{status}, 200, 'sent twice: the same answer';
is scalar(provider_requests()), 1, 'and no second message'
    if sms_code($::Phone);

my $second = $res->{cookie};
is try_code($second, $code)->{json}{code}, 'code_wrong',
   'attack 9: the code of the other address'
    if $code ne sms_code($::Phone);
$res = try_code($second, sms_code($::Phone));
is $res->{status}, 200, 'the second code';
is $res->{json}{next}, '/login', 'that was all';
is main::state('ann'), '1|1|1|1', 'active';
is try_code($first, $code)->{json}{code}, 'code_used',
   'attack 8: the first code works no more';


=== TEST 2: by form, and first the number
--- http_config eval: "$::Http otpreg_channel sms;"
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
fresh();
my $cookie = signup('ann', email => 'ann@example.com', phone => $::Phone);
my $res = http('POST', '/verify-otp', cookie => $cookie,
               form => { otp => sms_code($::Phone) });
is $res->{status}, 303, 'see other';
is $res->{headers}{location}, '/verify-otp?next=1', 'the same page again';
is http('GET', $res->{headers}{location}, cookie => $res->{cookie})->{body},
   "error=[] next=[1] to=[a***\@example.com]\n", 'for the other address';
is main::state('ann'), '0|0|1|0', 'half-way';
$res = http('POST', '/verify-otp', cookie => $res->{cookie},
            form => { otp => code_for('ann@example.com') });
is $res->{headers}{location}, '/login', 'and on to the login';
is main::state('ann'), '1|1|1|1', 'active';


=== TEST 3: who gave one address verifies one
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
fresh();
my $cookie = signup('ann', email => 'ann@example.com');
is try_code($cookie, code_for('ann@example.com'))->{json}{next}, '/login',
   'done';
is main::state('ann'), '1|1|0|1', 'active';


=== TEST 4: the second code is lost, and sent again
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
fresh();
my $first = signup('ann', email => 'ann@example.com', phone => $::Phone);
try_code($first, code_for('ann@example.com'));
is post('/resend-otp', $first)->{json}{code}, 'resend_too_soon',
   'not at once, also by the first cookie';
sql('UPDATE otps SET sent_at = sent_at - INTERVAL 61 SECOND');
my $res = post('/resend-otp', $first);
is $res->{json}{to}, '+4***18', 'later: to the second address';
is try_code($res->{cookie}, sms_code($::Phone, 2))->{json}{next}, '/login',
   'verified';


=== TEST 5: the database went away in between
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
fresh();
my $first = signup('ann', email => 'ann@example.com', phone => $::Phone);
my $code = code_for('ann@example.com');
my $res = try_code($first, $code);
sql("DELETE FROM otps WHERE channel = 2; DELETE FROM messages
     WHERE channel = 2; UPDATE otps SET superseded_by = NULL");
$res = post('/resend-otp', $first);
is $res->{json}{to}, '+4***18', 'a resend goes on with the second address';
is try_code($res->{cookie}, sms_code($::Phone, 2))->{json}{next}, '/login',
   'verified';


=== TEST 6: the budget of the second address
--- http_config eval
(my $http = $::Http) =~ s/otpreg_address_limit\s+\S+;//;
"$http\notpreg_address_limit 1/h;"
--- config eval: $::Config
--- flow
fresh();
signup('eve', phone => $::Phone);
my $cookie = signup('ann', email => 'ann@example.com', phone => $::Phone);
my $res = try_code($cookie, code_for('ann@example.com'));
is $res->{status}, 429, 'no code for it now';
is $res->{json}{code}, 'address_limit', 'is told';
is main::state('ann'), '0|1|0|0', 'the first address is verified';
sql('DELETE FROM sends');
$res = post('/resend-otp', $cookie);
is $res->{status}, 200, 'later it goes on';
is try_code($res->{cookie}, sms_code($::Phone, 2))->{json}{next}, '/login',
   'verified';


=== TEST 7: the second address has an owner
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
fresh();
my $cookie = signup('owner', phone => $::Phone);
is try_code($cookie, sms_code($::Phone))->{json}{next}, '/login', 'an owner';

my $a = signup('ann', email => 'ann@example.com', phone => $::Phone);
my $b = signup('bob', email => 'bob@example.com', phone => '+442079460019');
$a = try_code($a, code_for('ann@example.com'));
$b = try_code($b, code_for('bob@example.com'));
is $a->{status}, 200, 'the same answer';
is $a->{json}{expires_in}, $b->{json}{expires_in}, 'attack 14: in all';
is length $a->{cookie}, length $b->{cookie}, 'attack 14: its cookie, too';
my $wrong = '000000';
is try_code($a->{cookie}, $wrong)->{json}{attempts_left}, 5 - $_,
   "attack 14: attempt $_" for 1 .. 4;
is main::state('ann'), '0|1|0|0', 'she is not active';
my $res = post('/resend-otp', $a->{cookie}, { phone => '+442079460020' });
is $res->{status}, 200, 'but may correct the number';
is try_code($res->{cookie}, sms_code('+442079460020'))->{json}{next},
   '/login', 'and verify that';


=== TEST 8: the right code many times at once
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
fresh();
my $cookie = signup('ann', email => 'ann@example.com', phone => $::Phone);
my $code = code_for('ann@example.com');
my @res = http_many([map { [ 'POST', '/verify-otp', cookie => $cookie,
                           json => { otp => $code } ] } 1 .. 20]);
is scalar(grep { $_->{status} == 200 && $_->{json}{next} eq '/verify-otp' }
          @res), 20, 'attack 3: all are led on';
sms_code($::Phone);
is sql('SELECT COUNT(*) FROM messages WHERE channel = 2'), 1,
   'attack 3: one message';
is sql('SELECT COUNT(*) FROM otps'), 2, 'attack 3: one second code';
is main::state('ann'), '0|1|0|0', 'and nobody is active';


=== TEST 9: off by default
--- http_config eval: (my $http = $::Http) =~ s/otpreg_verify_all on;//; $http
--- config eval: $::Config
--- flow
fresh();
my $cookie = signup('ann', email => 'ann@example.com', phone => $::Phone);
is try_code($cookie, code_for('ann@example.com'))->{json}{next}, '/login',
   'one code is enough';
is main::state('ann'), '1|1|0|1', 'active';
is sql("SELECT phone_owner IS NULL FROM users"), 1,
   'and the other address has no owner';
