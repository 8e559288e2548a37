# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# The address of a sign-up is changed from the verify page: name and password
# stay, limits hold, attempts do not come back.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg;
use OtpReg::Provider;
use Test::Nginx::Socket 'no_plan';

our $Http = OtpReg::default_http_config() . "ssi on;\n";
our $Config = OtpReg::default_config();
our $Port = provider_start();
our $Sms = "location = /courier/sms { internal;\n"
           . "proxy_pass http://127.0.0.1:$Port/sms; }\n";
our $Password = 'correct horse battery staple';
our $Page = ">>> pages/verify.html\n"
    . qq{error=[<!--# echo var="otpreg_error_code" default="" -->]}
    . qq{ email=[<!--# echo var="otpreg_error_email" default="" -->]}
    . qq{ typed=[<!--# echo var="otpreg_email" default="" -->]}
    . qq{ to=[<!--# echo var="otpreg_masked_to" default="" -->]\n};

sub signup {
    my ($name, $email, %more) = @_;
    my $res = http('POST', '/register', json => {
        username => $name, email => $email, password => $Password,
        confirm_password => $Password, %more });
    $res->{status} == 201 or die "no sign-up: $res->{raw}";
    return $res->{cookie};
}

# what is compared of an answer

sub shape {
    my ($res) = @_;
    my %json = %{$res->{json}};
    delete $json{to};
    return join '|', $res->{status},
        map({ "$_=$json{$_}" } sort keys %json),
        map({ "$_: $res->{headers}{$_}" }
            grep { !/^(?:date|set-cookie)$/ } sort keys %{$res->{headers}}),
        length $res->{cookie};
}

sub change {
    my ($cookie, %to) = @_;
    return http('POST', '/resend-otp', cookie => $cookie, json => { %to });
}

sub try_code {
    my ($cookie, $code) = @_;
    return http('POST', '/verify-otp', cookie => $cookie,
                json => { otp => $code });
}

sub wrong { sprintf '%06d', ($_[0] + 1) % 1e6 }

# no sign-up of an earlier block

sub fresh {
    clear_mails();
    unlink test_dir() . '/provider.requests';
    db_reset();
}

no_shuffle();
run_tests();

__DATA__

=== TEST 1: a typing error is mended, JSON
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
fresh();
my $old = signup('ann', 'amn@example.com');
my $old_code = code_for('amn@example.com');

my $res = change($old, email => 'Ann@Example.com');
is $res->{status}, 200, 'ok, at once';
is $res->{json}{to}, 'A***@example.com', 'where the code is';
is $res->{json}{next}, '/verify-otp', 'where to go';
is $res->{json}{expires_in}, 600, 'a whole life';

my $code = code_for('Ann@example.com');
is try_code($old, $old_code)->{json}{code}, 'code_expired',
   'the old code with the old cookie is dead';
is try_code($res->{cookie}, $old_code)->{json}{code}, 'code_wrong',
   'and wrong with the new one' unless $old_code eq $code;
is try_code($res->{cookie}, $code)->{status}, 200, 'the new one is right';
is sql("SELECT CONCAT_WS('|', username, email, is_active, email_owner,
        COUNT(*) OVER ()) FROM users"),
   'ann|Ann@example.com|1|ann@example.com|1',
   'one user, with the name, the password and the new address';
like sql('SELECT password FROM users'), qr/^\$argon2id\$/, 'hashed once';
is change($res->{cookie}, email => 'b@example.com')->{json}{code},
   'code_used', 'a verified user changes nothing here';


=== TEST 2: by form
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
fresh();
my $cookie = signup('ann', 'amn@example.com');

my $res = http('POST', '/resend-otp', cookie => $cookie,
               form => { email => 'ann(at)example.com' });
is $res->{status}, 422, 'no address';
is $res->{body}, 'error=[invalid_fields] email=[Enter a valid email address.]'
   . " typed=[ann(at)example.com] to=[a***\@example.com]\n",
   'said on the verify page, with what was typed';

$res = http('POST', '/resend-otp', cookie => $cookie, form => { email => '' });
is $res->{status}, 422, 'an empty field';
like $res->{body}, qr/email=\[This field is required\.\]/, 'is told';

$res = http('POST', '/resend-otp', cookie => $cookie,
            form => { email => 'ann@example.com' });
is $res->{status}, 303, 'see other';
is $res->{headers}{location}, '/verify-otp?changed=1', 'back to the page';
is http('GET', '/verify-otp', cookie => $res->{cookie})->{body},
   "error=[] email=[] typed=[] to=[a***\@example.com]\n", 'which goes on';
$cookie = $res->{cookie};
is http('POST', '/verify-otp', cookie => $cookie,
        form => { otp => code_for('ann@example.com') })->{status}, 303,
   'verified';


=== TEST 3: what is no change, and what is refused
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
fresh();
my $cookie = signup('ann', 'ann@example.com');
is change($cookie, email => 'ann@example.com')->{json}{code},
   'resend_too_soon', 'the same address is a resend';
is change($cookie, username => 'eve')->{json}{code}, 'resend_too_soon',
   'no other field counts';
is sql('SELECT username FROM users'), 'ann', 'the name stays';
is change($cookie, phone => '+442079460018')->{json}{errors}[0]{code},
   'required', 'and one that the form has not is no address';
is sql('SELECT phone IS NULL FROM users'), 1, 'no number was written';
is change($cookie, email => "x\@example.com\r\nBcc: y\@example.com")
   ->{json}{errors}[0]{code}, 'email_invalid',
   'attack 18: no header by a new address';
is http('POST', '/resend-otp', cookie => $cookie, json => { email => ['a'] })
   ->{status}, 400, 'not a string';
is http('POST', '/resend-otp', cookie => $cookie, body => 'email=b@x.org',
        headers => { 'Content-Type' => 'text/plain' })->{status}, 415,
   'attack 21: not a form';
is http('POST', '/resend-otp', cookie => $cookie,
        form => { email => 'b@example.com' },
        headers => { 'Sec-Fetch-Site' => 'cross-site' })->{status}, 403,
   'attack 21: from another site';
is http('POST', '/resend-otp', form => { email => 'b@example.com' })
   ->{status}, 409, 'without a cookie';
is sql('SELECT COUNT(*) FROM otps'), 1, 'nothing was written';
is change($cookie, email => 'b@example.com')->{status}, 200, 'and now one';


=== TEST 4: attempts stay gone
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
fresh();
my $cookie = signup('eve', 'eve@example.com');
my $code = code_for('eve@example.com');
is try_code($cookie, wrong($code))->{json}{attempts_left}, 5 - $_,
   "wrong, $_" for 1 .. 4;

my $res = change($cookie, email => 'victim@example.com');
is $res->{status}, 200, 'another address';
$cookie = $res->{cookie};
$code = code_for('victim@example.com');
is try_code($cookie, wrong($code))->{json}{code}, 'code_spent',
   'attack 36: the fifth attempt is the last';
is try_code($cookie, $code)->{json}{code}, 'code_spent',
   'attack 36: the right code is refused too';
is change($cookie, email => 'victim2@example.com')->{json}{code},
   'code_spent', 'attack 36: and no change brings attempts back';
is sql('SELECT COUNT(*) FROM users WHERE is_active'), 0, 'nobody is active';


=== TEST 5: at most two changes, whatever cookie is shown
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
fresh();
my $first = signup('eve', 'eve0@example.com');
my $second = change($first, email => 'eve1@example.com')->{cookie};
is change($first, email => 'eve2@example.com')->{status}, 200,
   'the first cookie leads to the newest code';
my $res = change($second, email => 'eve3@example.com');
is $res->{status}, 422, 'a third change';
is $res->{json}{code}, 'change_limit', 'attack 36: refused';
is sql("SELECT GROUP_CONCAT(address ORDER BY changes) FROM otps"),
   'eve0@example.com,eve1@example.com,eve2@example.com', 'two changes';
sql('UPDATE otps SET sent_at = sent_at - INTERVAL 61 SECOND,
     expires_at = NOW(6) - INTERVAL 1 SECOND');
$res = http('POST', '/resend-otp', cookie => $second, json => {});
is $res->{status}, 200, 'a new code';
is change($res->{cookie}, email => 'eve3@example.com')->{json}{code},
   'change_limit', 'attack 36: which allows no more';


=== TEST 6: parallel changes
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
fresh();
my $cookie = signup('eve', 'eve@example.com');
my @res = http_many([map { [ 'POST', '/resend-otp', cookie => $cookie,
      json => { email => "p$_\@example.com" } ] } 1 .. 20]);
is scalar(grep { $_->{status} == 200 } @res), 2, 'attack 36: two of 20 change';
is scalar(grep { $_->{status} == 422 } @res), 18, 'the others are refused';
is sql('SELECT COUNT(*) FROM otps WHERE superseded_by IS NULL'), 1,
   'one code is alive';
is sql('SELECT u.email = o.address FROM users u JOIN otps o
        ON o.user_id = u.id AND o.superseded_by IS NULL'), 1,
   'and is for the address of the user';


=== TEST 7: the budget of the new address holds
--- http_config eval
(my $http = $::Http) =~ s/otpreg_address_limit\s+\S+;//;
"$http\notpreg_address_limit 2/h;"
--- config eval: $::Config
--- flow
fresh();
signup('a1', 'victim@example.com');
signup('a2', 'victim@example.com');
my $res = change(signup('eve', 'eve@example.com'),
                 email => 'Victim@example.com');
is $res->{status}, 429, 'attack 5: too many codes for the new address';
is $res->{json}{code}, 'address_limit', 'the same answer as ever';
ok $res->{headers}{'retry-after'} > 3500, 'Retry-After';
is sql("SELECT COUNT(*) FROM users WHERE email_key = 'victim\@example.com'"),
   2, 'nothing was written';


=== TEST 8: an address with an owner looks the same
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
fresh();
my $cookie = signup('owner', 'owner@example.com');
try_code($cookie, code_for('owner@example.com'))->{status} == 200
    or die 'no owner';

my $free = change(signup('e1', 'e1@example.com'), email => 'frees@example.com');
my $owned = change(signup('e2', 'e2@example.com'),
                   email => 'owner@example.com');
is shape($owned), shape($free), 'attack 14: the same answer';

for my $i (1 .. 5) {
    my $a = try_code($free->{cookie}, wrong(code_for('frees@example.com')));
    my $b = try_code($owned->{cookie}, '000000');
    is $b->{body}, $a->{body}, "attack 14: and the same after code $i";
}

my $mail = wait_mail('owner@example.com', 5, 2);
unlike $mail->{body}, qr/\b\d{6}\b/, 'the owner gets a notice, no code';
is sql("SELECT COUNT(*) FROM users WHERE is_active"), 1, 'and stays alone';


=== TEST 9: away from an address that has an owner
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
fresh();
my $cookie = signup('owner', 'owner@example.com');
try_code($cookie, code_for('owner@example.com'))->{status} == 200
    or die 'no owner';

my $res = change(signup('ann', 'owner@example.com'),
                 email => 'ann@example.com');
is try_code($res->{cookie}, code_for('ann@example.com'))->{status}, 200,
   'who mistyped and met an owner signs up all the same';
is sql("SELECT COUNT(DISTINCT email_owner, username_owner) FROM users
        WHERE is_active"), 2, 'two users';


=== TEST 10: from mail to SMS
--- http_config eval
"$::Http otpreg_sms /courier/sms; otpreg_sms_countries +44;
otpreg_fields username=required email=optional phone=optional;"
--- config eval: "$::Config $::Sms"
--- flow
fresh();
my $cookie = signup('ann', 'ann@example.com');
is change($cookie, phone => '+1 212 555 0100')->{json}{errors}[0]{code},
   'phone_country', 'attack 23: a country that gets none';
my $res = change($cookie, phone => '+44 20 7946 0018');
is $res->{status}, 200, 'the code by SMS instead';
is $res->{json}{channel}, 'sms', 'told so';

my $sms;
wait_until(sub { ($sms) = provider_requests() }, 10);
is $sms->{json}{to}, '+442079460018', 'sent there';
is try_code($res->{cookie}, $sms->{json}{code})->{status}, 200, 'verified';
is sql("SELECT CONCAT_WS('|', email_owner IS NULL, phone_owner) FROM users"),
   '1|+442079460018', 'the number, not the address';


=== TEST 11: a robot's sign-up
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
fresh();
my $real = change(signup('ann', 'ann@example.com'), email => 'b@example.com');
my $cookie = signup('bot', 'bot@example.com', homepage => 'x');
my $fake = change($cookie, email => 'c@example.com');
is shape($fake), shape($real), 'attack 38: is changed like any other';
is $fake->{json}{to}, 'c***@example.com', 'to the new address';
is change($cookie, email => 'bot@example.com')->{json}{code},
   'resend_too_soon', 'attack 38: and the same address is a resend';
is sql('SELECT COUNT(*) FROM users'), 1, 'attack 38: nothing is stored';
