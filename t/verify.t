# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# The verify handler: right and wrong codes, attempts, expiry, one winner.

use v5.10.1;
use strict;
use warnings;

use Encode ();
use lib 't/lib';
use OtpReg;
use OtpReg::SignUp qw(signup code wrong try_code $Password);
use Test::Nginx::Socket 'no_plan';

our $Http = OtpReg::default_http_config() . "ssi on;\n";
our $Config = OtpReg::default_config();
our $Page = ">>> pages/verify.html\n" . join "\n",
    map({ my $v = $_;
          qq{$v=[<!--# echo var="otpreg_$v" encoding="entity" default="" -->]}
        } qw(error error_code error_otp attempts_left masked_to code_length)),
    '';

sub active { sql("SELECT is_active FROM users WHERE email = '$_[0]{to}'") }

worker_connections(1024);
no_shuffle();
run_tests();

__DATA__

=== TEST 1: without a cookie, to the register page
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
for my $cookie (undef, 'otpreg=x', 'otpreg=' . 'A' x 300) {
    my $res = http('GET', '/verify-otp', cookie => $cookie);
    is $res->{status}, 303, 'see other';
    is $res->{headers}{location}, '/register?no_signup=1',
       'the register page, which says why';
}
my $res = http('POST', '/verify-otp', form => { otp => '123456' });
is $res->{status}, 409, 'a code is refused';
like $res->{body}, qr/No sign-up in this browser/, 'and told why';
$res = http('GET', '/verify-otp', headers => {
                Accept => 'application/json' });
is $res->{status}, 409, 'JSON gets a problem';
is $res->{json}{code}, 'no_signup', 'with a code';


=== TEST 2: the page
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $signup = signup(email => 'carol@example.com');
my $res = http('GET', '/verify-otp', cookie => $signup->{cookie});
is $res->{status}, 200, 'ok';
is $res->{body}, "error=[]\nerror_code=[]\nerror_otp=[]\nattempts_left=[]\n"
                 . "masked_to=[c***\@example.com]\ncode_length=[6]\n",
   'it knows whom the code was sent to';
is http('HEAD', '/verify-otp', cookie => $signup->{cookie})->{status}, 200,
   'HEAD';
$res = http('GET', '/verify-otp', cookie => $signup->{cookie},
            headers => { Accept => 'application/json' });
is $res->{status}, 200, 'what a program asks';
is $res->{cookie}, '', 'leaves the cookie as it is';
ok delete $res->{json}{$_}, $_ for qw(expires_in resend_in);
is_deeply $res->{json}, { next => '/verify-otp', channel => 'email',
                          to => 'c***@example.com' }, 'as after a sign-up';
is http('DELETE', '/verify-otp')->{status}, 405, 'nothing else';


=== TEST 3: the right code, by form
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $signup = signup();
is active($signup), 0, 'inactive before';

my $res = http('POST', '/verify-otp', cookie => $signup->{cookie},
               form => { otp => code($signup) });
is $res->{status}, 303, 'see other';
is $res->{headers}{location}, '/login', 'the login page';
like $res->{headers}{'set-cookie'}, qr/^otpreg=; Path=\/; Max-Age=0;/,
     'the cookie is cleared';
is active($signup), 1, 'active';
ok sql("SELECT email_verified_at FROM users
        WHERE email = '$signup->{to}'"), 'and verified';
ok sql("SELECT consumed_at FROM otps WHERE address = '$signup->{to}'"),
   'the OTP is consumed';

# the zeros of Arabic-Indic, Persian, Devanagari and full-width digits

for my $zero (0x660, 0x6f0, 0x966, 0xff10) {
    $signup = signup();
    my $typed = join '', map { chr $zero + $_ } split //, code($signup);
    $typed = join '', map { sprintf '%%%02X', ord }
                      split //, Encode::encode('UTF-8', $typed);
    is http('POST', '/verify-otp', cookie => $signup->{cookie},
            headers => { 'Content-Type' =>
                         'application/x-www-form-urlencoded' },
            body => "otp=$typed")->{status}, 303,
       sprintf 'the same in digits from U+%04X on', $zero;
    is active($signup), 1, 'active';
}


=== TEST 4: the right code, by JSON, with spaces and hyphens
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $signup = signup();
my $code = code($signup);
substr($code, 3, 0) = ' - ';
my $res = try_code($signup, " $code ");
is $res->{status}, 200, 'ok';
is_deeply $res->{json}, { next => '/login' }, 'what comes next';
is active($signup), 1, 'active';


=== TEST 5: attack 1: wrong codes are counted, and the page says so
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $signup = signup(email => 'dora@example.com');
my $code = code($signup);
my $res = http('POST', '/verify-otp', cookie => $signup->{cookie},
               form => { otp => wrong($code) });
is $res->{status}, 422, 'unprocessable';
is $res->{body}, <<'END', 'what is wrong, and what is left';
error=[Invalid OTP. Please try again.]
error_code=[code_wrong]
error_otp=[]
attempts_left=[4]
masked_to=[d***@example.com]
code_length=[6]
END

for my $left (reverse 0 .. 3) {
    $res = try_code($signup, wrong($code, $left));
    is $res->{status}, 422, 'unprocessable';
    is $res->{json}{code}, $left ? 'code_wrong' : 'code_spent',
       "attempts left: $left";
    is $res->{json}{attempts_left}, $left, 'as a number' if $left;
}

$res = try_code($signup, $code);
is $res->{json}{code}, 'code_spent', 'attack 1: the right code is too late';
like $res->{json}{detail}, qr/request a new one/, 'how to go on';
is active($signup), 0, 'inactive';
is sql("SELECT attempts FROM otps WHERE address = 'dora\@example.com'"), 5,
   'five attempts were counted';

$res = http('GET', '/verify-otp', cookie => $signup->{cookie});
is $res->{status}, 200, 'the page, when it is asked for again';
like $res->{body}, qr/^error=\[Too many .*\nerror_code=\[code_spent\]$/m,
     'says so, too';
is http('GET', '/verify-otp', cookie => $signup->{cookie}, headers => {
            Accept => 'application/json' })->{json}{code}, 'code_spent',
   'and to a program';


=== TEST 6: what is no code costs no attempt
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $signup = signup();
for my $typed ('', '12345', '1234567', '12345x', "\x{2460}23456") {
    my $res = try_code($signup, $typed);
    is $res->{status}, 422, 'unprocessable';
    is $res->{json}{errors}[0]{field}, 'otp', 'the field';
    is $res->{json}{errors}[0]{code},
       $typed eq '' ? 'required' : 'code_format', 'why';
}
is sql("SELECT attempts FROM otps WHERE address = '$signup->{to}'"), 0,
   'no attempt';


=== TEST 7: attack 7: an expired code, by the database's clock alone
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $signup = signup();
my $code = code($signup);
sql("UPDATE otps SET expires_at = NOW(6) - INTERVAL 1 SECOND
     WHERE address = '$signup->{to}'");
my $res = try_code($signup, $code);
is $res->{status}, 422, 'unprocessable';
is $res->{json}{code}, 'code_expired', 'expired';
like $res->{json}{detail}, qr/request a new one/, 'how to go on';
is active($signup), 0, 'inactive';

$signup = signup();
$code = code($signup);
sql("UPDATE otps SET expires_at = NOW(6) + INTERVAL 30 SECOND
     WHERE address = '$signup->{to}'");
is try_code($signup, $code)->{status}, 200, 'not yet expired';


=== TEST 8: attack 8: a used code
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $signup = signup();
my $code = code($signup);
is try_code($signup, $code)->{status}, 200, 'once';
my $res = try_code($signup, $code);
is $res->{status}, 409, 'but not twice';
is $res->{json}{code}, 'code_used', 'used';
is try_code($signup, wrong($code))->{json}{code}, 'code_used',
   'a wrong code is told the same';


=== TEST 9: attack 9: the code of another sign-up
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my ($a, $b) = (signup(), signup());
my ($code_a, $code_b) = (code($a), code($b));
$code_a ne $code_b or die 'equal by chance, run it again';
is try_code($a, $code_b)->{json}{code}, 'code_wrong', "b's code for a";
is active($a), 0, 'a is inactive';
is active($b), 0, 'b is inactive';

my $same = signup(email => $a->{to}, name => 'other');
isnt code_for($a->{to}, 5, 2), $code_a, 'another sign-up, another code';
is try_code($same, $code_a)->{json}{code}, 'code_wrong',
   "and the address alone is not enough";


=== TEST 10: attack 10, 11, 35: the first that proves an address wins
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $first = signup(email => 'x@example.com', username => 'first');
my $code = code($first);
my $second = signup(email => 'X@example.com', username => 'second');
ok wait_mail('x@example.com', 5, 2), 'both have a code';
my $other = code_for('x@example.com', 5, 2);

is try_code($second, $other)->{status}, 200, 'the second proves it';
my $res = try_code($first, $code);
is $res->{status}, 409, 'the first is too late';
is $res->{json}{code}, 'address_proved', 'and told so, for it has the mail';
is_deeply [sql("SELECT username, is_active FROM users WHERE email_key =
                'x\@example.com' ORDER BY username")],
          [['first', 0], ['second', 1]], 'one is active';

$first = signup(email => 'y@example.com', username => 'same');
$second = signup(email => 'z@example.com', username => 'SAME');
is try_code($second, code($second))->{status}, 200, 'one takes the name';
$res = try_code($first, code($first));
is $res->{status}, 409, 'the other must choose another';
is $res->{json}{code}, 'username_proved', 'and is told so';
is try_code($first, code($first))->{status} != 200, 1, 'for good';


=== TEST 11: attack 3: fifty right codes at once
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $signup = signup();
my $code = code($signup);
my %n;
$n{$_->{status}}++ for http_many([map {
    ['POST', '/verify-otp', cookie => $signup->{cookie},
     json => { otp => $code }]
} 1 .. 50]);
is $n{200}, 1, 'one success';
is $n{409}, 49, 'all others: used';
is sql("SELECT COUNT(*) FROM users WHERE email = '$signup->{to}'
        AND is_active = 1"), 1, 'one user';


=== TEST 12: attack 2: two hundred wrong codes at once
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $signup = signup();
my $code = code($signup);
my (%n, %left);
for my $res (http_many([map {
    ['POST', '/verify-otp', cookie => $signup->{cookie},
     json => { otp => wrong($code, $_) }]
} 1 .. 200])) {
    $n{$res->{json}{code}}++;
    $left{$res->{json}{attempts_left}}++
        if $res->{json}{code} eq 'code_wrong';
}
is_deeply \%n, { code_wrong => 4, code_spent => 196 }, 'five were compared';
is_deeply \%left, { 4 => 1, 3 => 1, 2 => 1, 1 => 1 }, 'each counted once';
is sql("SELECT attempts FROM otps WHERE address = '$signup->{to}'"), 5,
   'five attempts';
is try_code($signup, $code)->{json}{code}, 'code_spent',
   'the right code fails';


=== TEST 13: other numbers
--- http_config eval
"$::Http
otpreg_code_length 8;
otpreg_code_attempts 1;
otpreg_code_lifetime 2m;
otpreg_login_uri https://id.example.com/in?from=\$host;"
--- config eval: $::Config
--- flow
my $signup = signup();
my $code = code($signup);
like $code, qr/^\d{8}$/, 'eight digits';
is sql("SELECT TIMESTAMPDIFF(SECOND, created_at, expires_at) FROM otps
        WHERE address = '$signup->{to}'"), 120, 'two minutes';
is try_code($signup, sprintf '%08d', ($code + 1) % 1e8)->{json}{code},
   'code_spent', 'one attempt';
$signup = signup();
is try_code($signup, code($signup))->{json}{next},
   'https://id.example.com/in?from=localhost', 'to the login page';


=== TEST 14: attack 21: posts of other sites are refused and not counted
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $signup = signup();
my $code = code($signup);
for my $headers ({ 'Sec-Fetch-Site' => 'cross-site' },
                 { Origin => 'https://evil.example' })
{
    is http('POST', '/verify-otp', cookie => $signup->{cookie},
            form => { otp => $code }, headers => $headers)->{status}, 403,
       'forbidden';
}
is active($signup), 0, 'inactive';
is sql("SELECT attempts FROM otps WHERE address = '$signup->{to}'"), 0,
   'no attempt';


=== TEST 15: attack 31: keys are rotated while codes are pending
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $signup = signup();
code($signup);
$::Kept = $signup;
OtpReg::key_file("$ENV{TEST_NGINX_TEST_DIR}/rotated.keys", 'k2', 'k1');
OtpReg::key_file("$ENV{TEST_NGINX_TEST_DIR}/new.keys", 'k2');
pass 'a code under k1';


=== TEST 16: attack 31: an older key still opens, the first seals
--- http_config eval
(my $http = $::Http) =~ s/otpreg_key_file \S+/otpreg_key_file $ENV{TEST_NGINX_TEST_DIR}\/rotated.keys;/;
$http =~ s/;;/;/; $http
--- config eval: $::Config
--- flow
is try_code($::Kept, code($::Kept))->{status}, 200, 'the old code works';
$::Kept = signup();
is sql("SELECT key_name FROM otps WHERE address = '$::Kept->{to}'"), 'k2',
   'a new one is of the new key';
is try_code($::Kept, code($::Kept))->{status}, 200, 'and works';


=== TEST 17: conditions of a request are about nothing here
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my @conditions = (['If-Match' => '"x"'], ['If-None-Match' => '*'],
    ['If-Unmodified-Since' => 'Thu, 01 Jan 1970 00:00:01 GMT'],
    ['If-Modified-Since' => 'Fri, 01 Jan 2038 00:00:00 GMT']);

for (@conditions) {
    my ($name, $value) = @$_;
    my $signup = signup();
    is http('GET', '/verify-otp', cookie => $signup->{cookie},
            headers => { $name => $value })->{status}, 200, "$name: the page";
    my $res = http('POST', '/verify-otp', cookie => $signup->{cookie},
                   json => { otp => code($signup) },
                   headers => { $name => $value });
    is $res->{status}, 200, "$name: a right code";
    is active($signup), 1, 'and the answer says what was done';
}


=== TEST 18: a page that a variable leaves empty
--- http_config eval
"$::Http map \$arg_page \$page { default ''; 1 /pages/verify.html; }"
--- config eval
"$::Config
location = /by-variable { otpreg_verify \$page; }"
--- user_files eval: $::Page
--- flow
my $signup = signup();
is http('GET', '/by-variable?page=1', cookie => $signup->{cookie})->{status},
   200, 'one that there is';
is http('GET', '/by-variable', cookie => $signup->{cookie})->{status}, 500,
   'one that there is not';
--- error_log
otpreg: the page "$page" is empty


=== TEST 19: a cookie is for its site
--- http_config eval: $::Http
--- config eval
"$::Config
location = /b/verify-otp { otpreg_site b; otpreg_verify /pages/verify.html;
                           otpreg_client_limit off; }
location = /b/resend-otp { otpreg_site b; otpreg_resend; }
location = /b/register { otpreg_site b; otpreg_register /pages/verify.html; }"
--- user_files eval: $::Page
--- flow
my $signup = signup();
my $code = code($signup);
for my $path (qw(/b/verify-otp /b/resend-otp)) {
    my $res = http('POST', $path, cookie => $signup->{cookie},
                   json => { otp => $code });
    is "$res->{status} $res->{json}{code}", '409 no_signup',
       "$path: another site takes it for none, whatever its limits are";
}
is active($signup), 0, 'nothing was done there';
is http('POST', '/verify-otp', cookie => $signup->{cookie},
        json => { otp => $code })->{status}, 200, 'its own site takes it';
