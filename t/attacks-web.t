# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Attacks on the browser: cookies that somebody else has planted, redirects,
# requests of other sites, text in pages and messages.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg;
use OtpReg::SignUp;
use JSON::PP ();
use Test::Nginx::Socket 'no_plan';

our $Http = OtpReg::default_http_config()
            . "otpreg_password_hash memory=7m operations=5;\nssi on;\n";
our $Config = OtpReg::default_config();
our $Evil = 'the password of an attacker';
our $Page = ">>> pages/register.html\n"
    . qq{[<!--# echo var="otpreg_error_code" default="" -->]\n}
    . ">>> pages/verify.html\n"
    . qq{[<!--# echo var="otpreg_error_code" default="" -->]}
    . qq{ <!--# echo var="otpreg_error" encoding="entity" default="" -->\n};

worker_connections(1024);
no_shuffle();
run_tests();

__DATA__

=== TEST 1: attack 13: an attacker's cookie in the browser of the victim
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $evil = signup(username => 'evil13', password => $::Evil);
my $planted = $evil->{cookie};

# the victim signs up in a browser that has it

my $res = http('POST', '/register', cookie => $planted, json => form(
    email => 'victim13@example.com', username => 'victim13'));
my $victim = { to => 'victim13@example.com', name => 'victim13',
               cookie => $res->{cookie} };
isnt $victim->{cookie}, $planted, 'a new cookie takes its place';
isnt otp($victim, 'id'), otp($evil, 'id'), 'for another sign-up';

is try_code($evil, code($victim))->{json}{code}, 'code_wrong',
   "with the planted one the victim's code is wrong";
$res = http('POST', '/verify-otp', cookie => $victim->{cookie},
            form => { otp => code($victim) });
is $res->{status}, 303, 'with the new one it is right';
like $res->{headers}{'set-cookie'}, qr/^otpreg=; .*Max-Age=0/,
     'and at verification the cookie goes';
is $res->{cookie}, '', 'nothing stays that an attacker could know';

# what is left in the hands of the attacker

my $phc = user($victim, 'password');
is resend($evil)->{json}{code}, 'resend_too_soon', 'his own sign-up';
is try_code($evil, code($evil))->{status}, 200, 'activates';
is user($evil, 'email'), $evil->{to}, 'his own user, with his own address';
is user($victim, 'password'), $phc, "the victim's is as it was";
is sql('SELECT COUNT(*) FROM users WHERE is_active = 1
        AND email_owner = "victim13@example.com"'), 1, 'and alone';


=== TEST 2: attack 13: no other name, no other site's cookie
--- http_config eval
(my $http = $::Http) =~ s/otpreg_cookie_secure off;//; $http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $signup = signup();
like $signup->{cookie}, qr/^__Host-otpreg=/,
     'the prefix keeps subdomains from setting it';
my ($token) = $signup->{cookie} =~ /=(.*)/;
for my $cookie ("otpreg=$token", "__host-otpreg=$token",
                "__Secure-otpreg=$token", "x__Host-otpreg=$token",
                "__Host-otpregx=$token", "__Host-otpreg=x$token",
                "__Host-otpreg=${token}x", '__Host-otpreg=' . reverse $token)
{
    my $name = $cookie =~ s/=.*//r;
    is http('POST', '/verify-otp', cookie => $cookie,
            json => { otp => '123456' })->{json}{code}, 'no_signup', $name;
}
my $res = try_code($signup, code($signup));
is $res->{status}, 200, 'the cookie itself';
like $res->{headers}{'set-cookie'}, qr/^__Host-otpreg=; .*Max-Age=0.*Secure/,
     'goes';


=== TEST 3: attack 20: redirects go where the configuration says
--- http_config eval
"$::Http otpreg_login_uri /login;"
--- config eval
"$::Config
location = /pages/register.html { internal; return 200 page; }
location = /pages/verify.html { internal; return 200 page; }
absolute_redirect on; server_name_in_redirect off; port_in_redirect on;"
--- flow
my @targets = ('//evil.example', '/\\\\evil.example', 'javascript:alert(1)',
               'https://evil.example', '%2f%2fevil.example',
               'https:%2f%2flocalhost@evil.example', '%0d%0aLocation:%20evil',
               "/login%00//evil.example", '/%09/evil.example');
my %evil = (Host => 'evil.example', 'X-Forwarded-Host' => 'evil.example',
            'X-Forwarded-Proto' => 'https', Forwarded => 'host=evil.example',
            'X-Original-URL' => '//evil.example', Origin =>
            'http://evil.example', Referer => 'http://evil.example/');

for my $to (@targets) {
    my $args = join '&', map { "$_=$to" } qw(next redirect return_to url
                                            redirect_uri continue);
    my %fields = map { $_ => $to } qw(next redirect return_to url);
    my $form = form(%fields);
    my $res = http('POST', "/register?$args", form => $form,
                   headers => \%evil);
    is $res->{headers}{location}, '/verify-otp', "$to: register";
    my $signup = { to => $form->{email}, cookie => $res->{cookie} };

    later($signup);
    $res = http('POST', "/resend-otp?$args", cookie => $signup->{cookie},
                form => \%fields, headers => \%evil);
    is $res->{headers}{location}, '/verify-otp?resent=1', "$to: resend";

    $res = http('POST', "/verify-otp?$args", cookie => $signup->{cookie},
                form => { otp => code($signup), %fields },
                headers => \%evil);
    is $res->{headers}{location}, '/login', "$to: verify";
    unlike $res->{raw}, qr/evil/, 'nothing of it is in the answer';

    $res = http('GET', "/verify-otp?$args", headers => \%evil);
    is $res->{headers}{location}, '/register?no_signup=1',
       "$to: without a sign-up";
}

my $form = form(next => '//evil.example');
my $res = http('POST', '/register', json => $form, headers => \%evil);
is $res->{json}{next}, '/verify-otp', 'JSON: register';
$res = http('POST', '/verify-otp?next=//evil.example',
            cookie => $res->{cookie}, headers => \%evil,
            json => { otp => code_for($form->{email}),
                      next => '//evil.example' });
is $res->{json}{next}, '/login', 'JSON: verify';


=== TEST 4: attack 21: nothing is done for another site
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $signup = signup();
my $code = code($signup);
later($signup);
wait_until(sub { sql('SELECT COUNT(*) FROM messages
                      WHERE due_at IS NOT NULL') == 0 }, 10);
my $before = counts();
my $mails = () = mails();

my @sites = (
    map({ +{ 'Sec-Fetch-Site' => $_ } } 'cross-site', 'same-site', '',
        'Same-Origin', 'same-origin, cross-site', 'xsame-origin'),
    map({ +{ Origin => $_ } } 'https://evil.example', 'null', '',
        'http://localhost.evil.example', 'http://evil.example/localhost',
        'http://evil://localhost', 'http://localhost@evil.example',
        'http://localhost:80', 'http://sub.localhost',
        'http://evil.example#://localhost'),
    { 'Sec-Fetch-Site' => 'cross-site', Origin => 'http://localhost' },
    { 'Sec-Fetch-Site' => 'cross-site', 'Sec-Fetch-Mode' => 'no-cors',
      Referer => 'http://localhost/register' });

my %bodies = ('/register' => form(), '/verify-otp' => { otp => $code },
              '/resend-otp' => {});

for my $uri (sort keys %bodies) {
    for my $site (@sites) {
        my $what = "$uri, " . join ' ', map { "$_: $site->{$_}" }
                                        sort keys %$site;
        my $json = JSON::PP::encode_json($bodies{$uri});
        for my $way ([form => $bodies{$uri}], [json => $bodies{$uri}],
                     [body => $json, 'text/plain'],
                     [body => $json, 'text/plain; application/json'])
        {
            my %headers = (%$site, $way->[2]
                           ? ('Content-Type' => $way->[2]) : ());
            my $res = http('POST', $uri, cookie => $signup->{cookie},
                           @$way[0, 1], headers => \%headers);
            is $res->{status}, 403, "$what: " . ($way->[2] // $way->[0]);
        }
    }

    is http('POST', $uri, cookie => $signup->{cookie}, body => '{"a":1}',
            headers => { 'Content-Type' => $_ })->{status}, 415,
       "$uri: $_ from anywhere"
        for 'text/plain', 'text/plain;application/json', 'text/json',
            'multipart/form-data; boundary=x';
    is http('GET', "$uri?" . form_encode(%{ $bodies{$uri} }),
            cookie => $signup->{cookie}, headers => {
                'Sec-Fetch-Site' => 'cross-site',
                'X-HTTP-Method-Override' => 'POST' })->{status},
       $uri eq '/resend-otp' ? 405 : 200, "$uri: a link does nothing";
}

is counts(), $before, 'nothing was written';
is scalar(() = mails()), $mails, 'nothing was sent';
is otp($signup, 'attempts') . otp($signup, 'sends'), '01',
   'nothing was counted';
like $signup->{cookie}, qr/./, 'and the cookie is not for other sites:';
like http('POST', '/register', form => form())->{headers}{'set-cookie'},
     qr/; SameSite=Lax$/, 'SameSite';
is try_code($signup, $code)->{status}, 200, 'the sign-up itself goes on';
