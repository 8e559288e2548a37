# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Forms that no person has filled in: the honeypot and the time of the form.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg;
use OtpReg::Nginx;
use OtpReg::Password;
use Test::Nginx::Socket 'no_plan';

our $Http = OtpReg::default_http_config() . "ssi on;\n";
our $Config = OtpReg::default_config();
our $Password = 'correct horse battery staple';
our $Page = ">>> pages/register.html\n"
    . join ' ', map { qq{$_=[<!--# echo var="otpreg_$_" encoding="entity"}
                      . qq{ default="" -->]} }
                qw(error error_code honeypot form_token email);
our $Verify = ">>> pages/verify.html\n"
    . join ' ', map { qq{<!--# echo var="otpreg_$_" encoding="entity" -->} }
                qw(expires_in resend_in);
our $Status = "location = /status { otpreg_status; }\n";

sub fields {
    my (%more) = @_;
    state $n = 0;
    $n++;
    return { username => "u$n", email => "u$n\@example.com",
             password => $Password, confirm_password => $Password, %more };
}

sub rows {
    return sql('SELECT CONCAT_WS(" ", (SELECT COUNT(*) FROM users),
                (SELECT COUNT(*) FROM otps), (SELECT COUNT(*) FROM messages))');
}

sub token_of { $_[0]{body} =~ /form_token=\[([\w-]+)\]/ ? $1 : undef }

# of a form that was shown at least a millisecond ago

sub token {
    my $token = token_of(http('GET', '/register'));
    select undef, undef, undef, 0.01;
    return $token;
}

sub metric {
    my ($name) = @_;
    return http('GET', '/status')->{body} =~ /^\Q$name\E (\d+)$/m ? $1 : undef;
}

# headers as they came, but for what differs between any two answers

sub shape {
    my ($res) = @_;
    my %headers = %{ $res->{headers} };
    delete $headers{date};
    $headers{'set-cookie'} =~ s/(=)([\w-]+)/$1 . 'x' x length $2/e
        if $headers{'set-cookie'};
    (my $body = $res->{body}) =~ s/u\d+//g;
    return { status => $res->{status}, headers => \%headers, body => $body };
}

no_shuffle();
run_tests();

__DATA__

=== TEST 1: the fields of the form
--- http_config eval: $::Http
--- config eval
"$::Config
location = /off { otpreg_honeypot off; otpreg_register /pages/register.html; }
location = /own {
    otpreg_honeypot your-fax;
    otpreg_form_time 1s;
    otpreg_register /pages/register.html;
}"
--- user_files eval: $::Page
--- flow
like http('GET', '/register')->{body}, qr/honeypot=\[homepage\]/,
     'a honeypot is there unless it is switched off';
like http('GET', '/register')->{body}, qr/form_token=\[\]/, 'a token is not';
like http('GET', '/off')->{body}, qr/honeypot=\[\]/, 'no honeypot';
like http('GET', '/own')->{body}, qr/honeypot=\[your-fax\]/, 'another name';
like http('GET', '/own')->{body}, qr/form_token=\[[\w-]{87}\]/, 'a token';
isnt token_of(http('GET', '/own')), token_of(http('GET', '/own')),
     'a new one for each form';

is http('POST', '/register', form => fields(homepage => ''))->{status}, 303,
   'an empty honeypot';
is http('POST', '/off', form => fields(homepage => 'x'))->{status}, 303,
   'a field that is no honeypot';
is rows(), '2 2 2', 'both are sign-ups';


=== TEST 2: attack 38: a filled honeypot: an answer, and nothing else
--- http_config eval: $::Http =~ s/otpreg_address_limit off;//r
--- config eval: "$::Config$::Status"
--- user_files eval: $::Page
--- flow
my $rows = rows();
my %real = map { $_ => http('POST', '/register', $_ => fields()) }
           qw(form json);
my $signups = metric('otpreg_signups_total');
is $real{form}{status}, 303, 'a form of a person';
is $real{json}{status}, 201, 'JSON of a person';
isnt rows(), $rows, 'who sign up';
$rows = rows();

for my $type (qw(form json)) {
    my $fields = fields(homepage => 'https://pills.example');
    my $fake = http('POST', '/register', $type => $fields);
    is_deeply shape($fake), shape($real{$type}), "$type: the same answer";
    is rows(), $rows, "$type: attack 38: nothing is stored";
    is mail_count($fields->{email}), 0, "$type: attack 38: nothing is sent";
}

is metric('otpreg_signups_total'), $signups, 'counted as no sign-up';
is metric('otpreg_robots_total{reason="honeypot"}'), 2, 'but as robots';

my $taken = fields();
ok sql("UPDATE users SET is_active = 1, email_verified_at = NOW(6),
        verified_at = NOW(6) WHERE username = 'u1'") || 1, 'a verified user';
is http('POST', '/register', json => fields(homepage => 'x',
        username => 'u1'))->{json}{errors}[0]{code}, 'username_taken',
   'a taken name is told to robots, too';

my $full = fields();
sql("INSERT INTO sends (channel, address_key, sent_at)
     VALUES (1, '$full->{email}', NOW(6))") for 1 .. 5;
is http('POST', '/register', json => $full)->{json}{code}, 'address_limit',
   'an address that is over its limit, which a sign-up asks';
is http('POST', '/register', json => fields(homepage => 'x',
        email => $full->{email}))->{status}, 201,
   'attack 16: a robot, which spends nothing of it, is not told';
--- error_log
a robot signs up: the honeypot was filled in


=== TEST 3: attack 38: the cookie of a robot leads to no code
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
sub codes {
    my ($more, $fields) = @_;
    $fields //= fields(%$more);
    my $res = http('POST', '/register', json => $fields);
    my $cookie = $res->{cookie};
    wait_mail($fields->{email}) if !%$more;
    my @seen = map {
        my $try = http('POST', '/verify-otp', cookie => $cookie,
                       json => { otp => $_ });
        delete @{ $try->{headers} }{qw(date)};
        { status => $try->{status}, headers => $try->{headers},
          json => $try->{json} };
    } '000000', 'abc';
    push @seen, map { my $again = http('POST', '/resend-otp', json => {},
                                       cookie => $cookie);
                      $again->{json}{detail} =~ s/\d+/N/;
                      { status => $again->{status}, json => $again->{json} }
                    } 1;
    return (\@seen, $cookie);
}

my ($real) = codes({});
my ($fake, $cookie) = codes({ homepage => 'x' });
is_deeply $fake, $real, 'a wrong code, no code, and a new one are the same';
is $fake->[0]{json}{code}, 'code_wrong', 'a wrong code';
is $fake->[2]{json}{code}, 'resend_too_soon', 'too soon';

my $page = http('GET', '/verify-otp', cookie => $cookie);
is $page->{status}, 404, 'the page is shown, if there were one';


=== TEST 4: a robot can have a new code, which there is not
--- http_config eval: $::Http . "otpreg_resend_delay 0;\n"
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $rows = rows();
my $fields = fields(homepage => 'x');
my $res = http('POST', '/register', json => $fields);
my $again = http('POST', '/resend-otp', json => {}, cookie => $res->{cookie});
is $again->{status}, 200, 'sent again, as it seems';
is $again->{json}{to}, $res->{json}{to}, 'to the same address';
is length $again->{cookie}, length $res->{cookie}, 'with a cookie';
is http('POST', '/verify-otp', cookie => $again->{cookie},
        json => { otp => '123456' })->{json}{code}, 'code_wrong', 'and wrong';
is rows(), $rows, 'attack 38: nothing is stored';
is mail_count($fields->{email}), 0, 'attack 38: nothing is sent';


=== TEST 5: attack 38: a form that is sent too soon
--- http_config eval: $::Http
--- config eval
"$::Config$::Status
otpreg_form_time 30s;"
--- user_files eval: $::Page
--- flow
my $rows = rows();
my $fields = fields(form_token => token());
my $res = http('POST', '/register', form => $fields);
is $res->{status}, 303, 'as if it were accepted';
ok $res->{cookie}, 'with a cookie';
is rows(), $rows, 'nothing is stored';
is mail_count($fields->{email}), 0, 'nothing is sent';
is metric('otpreg_robots_total{reason="too_soon"}'), 1, 'counted';
--- error_log
a robot signs up: the form was sent too soon


=== TEST 6: attack 38: forged tokens
--- http_config eval: $::Http
--- config eval
"$::Config$::Status
otpreg_form_time 1ms;"
--- user_files eval: $::Page
--- flow
my $rows = rows();
my $altered = token();
substr $altered, 60, 1, (substr($altered, 60, 1) eq 'A' ? 'B' : 'A');
my $cookie = http('POST', '/register',
                  form => fields(form_token => token()))->{cookie};
isnt rows(), $rows, 'a real one makes a sign-up';
$rows = rows();

for my $forged ($altered, 'x', 'A' x 87, "\xc3\xa4", $cookie =~ s/.*=//r,
                '%', 'A' x 5000)
{
    my $res = http('POST', '/register', form => fields(form_token => $forged));
    is $res->{status}, 303, 'as if it were accepted';
    is rows(), $rows, 'nothing is stored';
}

is metric('otpreg_robots_total{reason="forged"}'), 7, 'counted';


=== TEST 7: attack 38: a token is good for one sign-up
--- http_config eval: $::Http
--- config eval
"$::Config$::Status
otpreg_form_time 1ms;"
--- user_files eval: $::Page
--- flow
my $token = token();
my $first = fields(form_token => $token);
my $res = http('POST', '/register', form => $first);
is $res->{status}, 303, 'the first';
my $code = code_for($first->{email});
my $rows = rows();

for (1 .. 3) {
    my $fields = fields(form_token => $token);
    is http('POST', '/register', form => $fields)->{status}, 303,
       'another, as if it were accepted';
    is rows(), $rows, 'nothing is stored';
    is mail_count($fields->{email}), 0, 'nothing is sent';
}

is metric('otpreg_robots_total{reason="reused"}'), 3, 'counted';

# a second click: nothing more, and the code that came is right

my $twice = http('POST', '/register', form => $first);
is $twice->{status}, 303, 'the same form once more';
is rows(), $rows, 'nothing is stored';
is mail_count($first->{email}), 1, 'nothing is sent';
is http('POST', '/verify-otp', cookie => $twice->{cookie},
        json => { otp => $code })->{status}, 200,
   'the code of the first is good for the second';
is metric('otpreg_robots_total{reason="reused"}'), 3, 'who is no robot';


=== TEST 8: attack 38: twenty forms with one token at once
--- http_config eval: $::Http
--- config eval
"$::Config
otpreg_form_time 1ms;"
--- user_files eval: $::Page
--- flow
my $users = sql('SELECT COUNT(*) FROM users');
my $token = token();
my %status;
$status{$_->{status}}++ for http_many([map {
    ['POST', '/register', form => fields(form_token => $token), timeout => 60]
} 1 .. 20]);
is_deeply \%status, { 303 => 20 }, 'all are answered';
is sql('SELECT COUNT(*) FROM users'), $users + 1, 'one signs up';


=== TEST 9: no token: said, with a form that has one
--- http_config eval: $::Http
--- config eval
"$::Config
otpreg_form_time 1ms;"
--- user_files eval: $::Page
--- flow
my $rows = rows();
my $fields = fields();
my $res = http('POST', '/register', form => $fields);
is $res->{status}, 422, 'refused';
like $res->{body}, qr/error_code=\[form_expired\]/, 'and why';
like $res->{body}, qr/email=\[\Q$fields->{email}\E\]/, 'what was typed stays';
is rows(), $rows, 'nothing is stored';
is http('POST', '/register', form => { %$fields,
        form_token => token_of($res) })->{status}, 303, 'the new one works';
ok wait_mail($fields->{email}), 'and a code is sent';

is http('POST', '/register', json => fields())->{status}, 201,
   'a program has no form: it needs no token';
is http('POST', '/register', form => fields(),
        headers => { Accept => 'application/json' })->{json}{code},
   'form_expired', 'a form needs one, whatever it accepts';


=== TEST 10: who corrects a form need not wait again
--- http_config eval: $::Http
--- config eval
"$::Config
otpreg_form_time 1s;"
--- user_files eval: $::Page
--- flow
my $token = token();
my $fields = fields(form_token => $token, confirm_password => 'other');
select undef, undef, undef, 1.1;
my $res = http('POST', '/register', form => $fields);
is $res->{status}, 422, 'two passwords';
isnt token_of($res), $token, 'a new token';
is http('POST', '/register', form => { %$fields,
        confirm_password => $::Password, form_token => token_of($res) })
   ->{status}, 303, 'at once';
ok wait_mail($fields->{email}), 'attack 38: no robot';


=== TEST 11: a form that was open for too long
--- http_config eval: $::Http
--- config eval
"$::Config
otpreg_form_time 900ms 4s;"
--- user_files eval: $::Page
--- flow
my $token = token();
my $fields = fields(form_token => $token);
select undef, undef, undef, 4.2;
my $rows = rows();
my $res = http('POST', '/register', form => $fields);
is $res->{status}, 422, 'refused';
like $res->{body}, qr/error_code=\[form_expired\]/, 'and why';
like $res->{body}, qr/error=\[This form was open for too long/, 'in words';
like $res->{body}, qr/email=\[\Q$fields->{email}\E\]/, 'what was typed stays';
is rows(), $rows, 'nothing is stored';
is http('POST', '/register', form => { %$fields,
        form_token => token_of($res) })->{status}, 303, 'once more, at once';
ok wait_mail($fields->{email}), 'and a code is sent';

$rows = rows();
$fields = fields(form_token => $token);
$res = http('POST', '/register', form => $fields);
is $res->{status}, 422, 'the same old form a second time';
is http('POST', '/register', form => { %$fields,
        form_token => token_of($res) })->{status}, 303, 'as if accepted';
is rows(), $rows, 'attack 38: an old form does not make others old';


=== TEST 12: the same form again after it was refused
--- http_config eval: $::Http
--- config eval
"$::Config$::Status
otpreg_form_time 1ms;
location = /limited {
    otpreg_client_limit register=1/1h;
    otpreg_register /pages/register.html;
}
location = /down {
    otpreg_database host=127.0.0.1 port=1 user=x password=x name=x;
    otpreg_site down;
    otpreg_register /pages/register.html;
}"
--- user_files eval: $::Page
--- flow
is http('POST', '/limited', form => fields(form_token => token()))->{status},
   303, 'the only one for an hour';
my $owner = fields();
my $cookie = http('POST', '/register', json => $owner)->{cookie};
is http('POST', '/verify-otp', json => { otp => code_for($owner->{email}) },
        cookie => $cookie)->{status}, 200, 'a name is taken';

for (['/limited', 429], ['/down', 503],
     ['/register', 422, username => $owner->{username}])
{
    my ($uri, $status, %more) = @$_;
    my $fields = fields(form_token => token());
    my $rows = rows();
    is http('POST', $uri, form => { %$fields, %more })->{status}, $status,
       "$uri: refused";
    is rows(), $rows, "$uri: nothing is stored";
    is http('POST', '/register', form => $fields)->{status}, 303,
       "$uri: who goes back and sends the same form signs up";
    ok wait_mail($fields->{email}), "$uri: and gets a code";
    $rows = rows();
    is http('POST', '/register', form => $fields)->{status}, 303,
       "$uri: a second click";
    is rows(), $rows, "$uri: attack 38: the form is used now";
}

is metric('otpreg_robots_total{reason="reused"}'), 0, 'nobody was a robot';


=== TEST 13: a robot that changes its address has all the time again, too
--- http_config eval: $::Http
--- config eval
"$::Config
location = /short {
    otpreg_code_lifetime 90s;
    otpreg_register /pages/register.html;
}"
--- user_files eval: $::Page
--- flow
my @left = map {
    my $cookie = http('POST', '/short', json => fields(%$_))->{cookie};
    http('POST', '/resend-otp', cookie => $cookie,
         json => { email => fields()->{email} })->{json}{expires_in};
} {}, { homepage => 'x' };
is_deeply \@left, [600, 600], 'attack 38: as a person has';


=== TEST 14: who goes back and corrects a form that was used
--- http_config eval: $::Http
--- config eval
"$::Config$::Status
otpreg_form_time 1ms;"
--- user_files eval: $::Page
--- flow
my $new = 'another correct horse';
my $first = fields(form_token => token());
my $to = $first->{email};
my $send = sub { http('POST', '/register', form => { %$first, @_ }) };
is $send->()->{status}, 303, 'a form';
ok code_for($to), 'and its code';

my $users = sql('SELECT COUNT(*) FROM users');
my @corrected = ([username => "$first->{username}-b"],
                 [username => uc $first->{username}],
                 [password => $new, confirm_password => $new]);
my ($res, $code);
for my $n (0 .. 2) {
    my ($name) = @{ $corrected[$n] };
    $res = $send->(@{ $corrected[$n] });
    is $res->{status}, 303, "$name: corrected";
    $code = code_for($to, 10, $n + 2);
    ok $code, "$name: with a code of its own";
    is sql('SELECT COUNT(*) FROM users'), ++$users, "$name: a sign-up";
    my $rows = rows();
    is $send->(@{ $corrected[$n] })->{status}, 303, "$name: a second click";
    is rows(), $rows, "$name: which signs nobody up";
}

is http('POST', '/verify-otp', cookie => $res->{cookie},
        json => { otp => $code })->{status}, 200, 'the newest code is right';
my $phc = sql("SELECT password FROM users WHERE email = '$to'
               AND is_active = 1");
ok logs_in($phc, $new), 'and the newest password';
ok !logs_in($phc, $::Password), 'not the first';

# a correction that comes to nothing: the form is as it was

my $taken = $first->{username};
my $other = fields(form_token => token());
$send = sub { http('POST', '/register', form => { %$other, @_ }) };
my $signup = $send->();
$code = code_for($other->{email});
my $rows = rows();
is $send->(username => uc $taken)->{status}, 422, 'a username that is taken';
my $twice = $send->();
is $twice->{status}, 303, 'the first form once more';
is rows(), $rows, 'is a second click on that';
is http('POST', '/verify-otp', cookie => $twice->{cookie},
        json => { otp => $code })->{status}, 200, 'with its code';
is metric('otpreg_robots_total{reason="reused"}'), 0, 'nobody was a robot';

# and one that comes to nothing only after the next correction was taken: that
# one has used the form.  The first waits for its hash while the next is read.

$other = fields(form_token => token());
my @both = http_many([map { ['POST', '/register', timeout => 60,
                             form => { %$other, username => $_ }] }
                      uc $taken, $other->{username}]);
is_deeply [map { $_->{status} } @both], [422, 303], 'two at once, one is taken';
$rows = rows();
is http('POST', '/register', form => fields(form_token =>
                                            $other->{form_token}))->{status},
   303, 'the form for somebody else';
is rows(), $rows, 'is used';
is metric('otpreg_robots_total{reason="reused"}'), 1, 'by a robot';


=== TEST 15: who goes back and corrects the address
--- http_config eval: $::Http
--- config eval
"$::Config$::Status
otpreg_form_time 1ms;"
--- user_files eval: $::Page
--- flow
my $first = fields(form_token => token());
my $signup = http('POST', '/register', form => $first);
my $right = { %$first, email => "right-$first->{email}" };
my $rows = rows();

my $res = http('POST', '/register', form => $right,
               cookie => $signup->{cookie});
is $res->{status}, 422, 'is told that the form was used';
like $res->{body}, qr/error_code=\[form_expired\]/, 'so';
like $res->{body}, qr/email=\[\Q$right->{email}\E\]/, 'what was typed stays';
ok !$res->{cookie}, 'and the cookie';
is rows(), $rows, 'attack 38: a token is good for one address';
is http('POST', '/register', cookie => $signup->{cookie},
        form => { %$right, form_token => token_of($res) })->{status}, 303,
   'the new form works at once';
ok code_for($right->{email}), 'and a code comes';

my $robot = http('POST', '/register',
                 json => fields(homepage => 'x'))->{cookie};
$rows = rows();
for my $cookie ('', $robot) {
    my $fields = { %$first, email => "evil-$first->{email}" };
    is http('POST', '/register', form => $fields, cookie => $cookie)
       ->{status}, 303, 'attack 38: who has not signed up is told nothing';
    is rows(), $rows, 'nothing is stored';
}
is metric('otpreg_robots_total{reason="reused"}'), 2, 'two robots';


=== TEST 16: the clock is set back
--- http_config eval: $::Http . "otpreg_resend_delay 10m;\n"
--- config eval: "$::Config\notpreg_form_time 2s;"
--- user_files eval: "$::Page\n$::Verify"
--- flow
SKIP: {
    skip 'ASan must be loaded first', 1 if $ENV{ASAN_OPTIONS};
    skip 'it is slow', 1 if $ENV{TEST_NGINX_USE_VALGRIND};

    my $shim = test_dir() . '/ahead.so';
    is system('cc', '-shared', '-fPIC', '-O1', '-DSKEW=7200', '-o', $shim,
              OtpReg::Env::root_dir() . '/t/lib/skew.c'), 0, 'cc';
    my ($token, $signup);
    {
        local $ENV{TEST_NGINX_LD_PRELOAD} = $shim;
        my $node = OtpReg::Nginx->start("$::Config\notpreg_form_time 2s;",
                                        http_config => $::Http);
        mkdir $node->prefix . '/html/pages';
        spew($node->prefix . '/html/pages/register.html',
             $::Page =~ s/^>>>.*\n//r);
        $token = token_of($node->http('GET', '/register'));
        $signup = $node->http('POST', '/register', json => fields());
        ok $node->quit, 'a node that was two hours ahead';
    }

    my $fields = fields(form_token => $token);
    my $res = http('POST', '/register', form => $fields);
    is $res->{status}, 422, 'a form of the future';
    like $res->{body}, qr/error_code=\[form_expired\]/, 'is not too young';
    my $new = token_of($res);
    is http('POST', '/register', form => { %$fields, form_token => $new })
       ->{status}, 303, 'the new one works at once';
    ok wait_mail($fields->{email}), 'and a code is sent';
    my $rows = rows();
    $res = http('POST', '/register', form => fields(form_token => $token));
    is http('POST', '/register', form => fields(form_token => token_of($res)))
       ->{status}, 303, 'the old one leads to one that is too young now';
    is rows(), $rows, 'attack 38: one form of the future makes none old';

    my ($expires, $resend) = split ' ',
        http('GET', '/verify-otp', cookie => $signup->{cookie})->{body};
    is $expires, 600, 'a code of the future has its time';
    is $resend, 0, 'and another one may be asked for';
}
