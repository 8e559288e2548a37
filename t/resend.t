# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# The resend handler: the same code while it lives, a delay, a new code after.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg;
use OtpReg::SignUp qw(signup resend try_code later $Password);
use Test::Nginx::Socket 'no_plan';

our $Http = OtpReg::default_http_config() . "ssi on;\n";
our $Config = OtpReg::default_config();
our $Page = ">>> pages/verify.html\n"
    . qq{error=[<!--# echo var="otpreg_error" encoding="entity" default="" -->]}
    . qq{ resent=[<!--# echo var="arg_resent" default="" -->]\n};

no_shuffle();
run_tests();

__DATA__

=== TEST 1: too soon
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $signup = signup();
my $res = resend($signup);
is $res->{status}, 429, 'too many requests';
like $res->{headers}{'retry-after'}, qr/^(?:60|5\d)$/, 'Retry-After';
is $res->{json}{code}, 'resend_too_soon', 'a problem document';

$res = http('POST', '/resend-otp', cookie => $signup->{cookie}, form => {});
is $res->{status}, 429, 'the same for a form';
like $res->{body}, qr/^error=\[Please wait \d+ s before/,
     'said on the verify page';
is mail_count($signup->{to}) <= 1, 1, 'nothing was sent';


=== TEST 2: the same code again
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $signup = signup();
my $code = code_for($signup->{to});
later($signup, 61);

my $res = resend($signup);
is $res->{status}, 200, 'ok';
is $res->{json}{next}, '/verify-otp', 'where to';
like $res->{json}{to}, qr/^u\*\*\*\@example.com$/, 'masked';
is $res->{json}{resend_in}, 60, 'not before';
is code_for($signup->{to}, 5, 2), $code, 'the same code';
is resend($signup)->{status}, 429, 'and again too soon, with the old cookie';
$signup->{cookie} = $res->{cookie};
is resend($signup)->{status}, 429, 'and with the new one';
is try_code($signup, $code)->{status}, 200, 'it works';


=== TEST 3: by form
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $signup = signup();
later($signup, 61);
my $res = http('POST', '/resend-otp', cookie => $signup->{cookie}, form => {});
is $res->{status}, 303, 'see other';
is $res->{headers}{location}, '/verify-otp?resent=1', 'back to the page';
is http('GET', $res->{headers}{location}, cookie => $res->{cookie})->{body},
   "error=[] resent=[1]\n", 'which can say so';
ok wait_mail($signup->{to}, 5, 2), 'sent';


=== TEST 4: a new code after expiry
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $signup = signup();
my $code = code_for($signup->{to});
later($signup, 61);
sql("UPDATE otps SET expires_at = NOW(6) - INTERVAL 1 SECOND
     WHERE address = '$signup->{to}'");

my $res = resend($signup);
is $res->{status}, 200, 'ok';
is $res->{json}{expires_in}, 600, 'a whole life';
isnt $res->{cookie}, $signup->{cookie}, 'a new cookie';
my $new = code_for($signup->{to}, 5, 2);
$signup->{cookie} = $res->{cookie};
is try_code($signup, $new)->{status}, 200, 'the new code works';
is sql("SELECT COUNT(*) FROM users WHERE email = '$signup->{to}'
        AND is_active = 1"), 1, 'for the same user';


=== TEST 5: attack 4: a new code after the last attempt
--- http_config eval
"$::Http
otpreg_code_attempts 1;"
--- config eval: $::Config
--- flow
my $signup = signup();
my $code = code_for($signup->{to});
is try_code($signup, sprintf '%06d', ($code + 1) % 1e6)->{json}{code},
   'code_spent', 'spent';
is resend($signup)->{status}, 429, 'not at once';
later($signup, 61);
my $res = resend($signup);
is $res->{status}, 200, 'later';
my $new = code_for($signup->{to}, 5, 2);
isnt $new, $code, 'a new code';
is try_code($signup, $code)->{json}{code}, 'code_spent',
   'attack 4: the old code is not revived';
$signup->{cookie} = $res->{cookie};
is try_code($signup, $new)->{status}, 200, 'the new code works';


=== TEST 6: nothing to send
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $res = http('POST', '/resend-otp', json => {});
is $res->{status}, 409, 'no cookie';
is $res->{json}{code}, 'no_signup', 'a problem';
$res = http('POST', '/resend-otp', form => {});
is $res->{status}, 409, 'a browser is told so, too';
like $res->{body}, qr/No sign-up in this browser/, 'on the verify page';

my $signup = signup();
is try_code($signup, code_for($signup->{to}))->{status}, 200, 'verified';
later($signup, 61);
$res = resend($signup);
is $res->{status}, 409, 'nothing is sent after that';
is $res->{json}{code}, 'code_used', 'and why';

$res = http('GET', '/resend-otp');
is $res->{status}, 405, 'POST only';
is $res->{headers}{allow}, 'POST', 'Allow';


=== TEST 7: attack 21: posts of other sites
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $signup = signup();
ok wait_mail($signup->{to}), 'the first mail';
later($signup, 61);
is http('POST', '/resend-otp', cookie => $signup->{cookie}, form => {},
        headers => { 'Sec-Fetch-Site' => 'cross-site' })->{status}, 403,
   'forbidden';
is sql("SELECT sends FROM otps WHERE address = '$signup->{to}'"), 1,
   'nothing was sent';


=== TEST 8: twenty at once: one is sent
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $signup = signup();
later($signup, 61);
my %n;
$n{$_->{status}}++ for http_many([map {
    ['POST', '/resend-otp', cookie => $signup->{cookie}, json => {}]
} 1 .. 20]);
is_deeply \%n, { 200 => 1, 429 => 19 }, 'one is accepted';
is sql("SELECT sends FROM otps WHERE address = '$signup->{to}'"), 2,
   'one is counted';


=== TEST 9: a decoy is sent to as any other, without a code
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $owner = signup(email => 'owner@example.com');
is try_code($owner, code_for($owner->{to}))->{status}, 200, 'an owner';
my $decoy = signup(email => 'owner@example.com', username => 'decoy');
ok wait_mail($owner->{to}, 5, 2), 'a notice to the owner';
later($decoy, 61);
is resend($decoy)->{status}, 200, 'a resend looks the same';
