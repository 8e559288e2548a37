# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# The register handler: methods, bodies, fields, what is kept and what is said.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg;
use Test::Nginx::Socket 'no_plan';

our $Http = OtpReg::default_http_config() . "ssi on;\n";
our $Config = OtpReg::default_config();
our $Password = 'correct horse battery staple';

our $Blocklist = spew(test_dir() . '/blocklist', "password password\n");

# a page that shows every variable of a form
our $Page = ">>> pages/register.html\n" . join "\n",
    map({ my $v = $_;
          qq{$v=[<!--# echo var="otpreg_$v" encoding="entity" default="" -->]}
        } qw(error error_code error_username error_email error_password
             error_confirm_password username email)), '';

sub form {
    my (%more) = @_;
    state $n = 0;
    $n++;
    return { username => "user$n", email => "user$n\@example.com",
             password => $Password, confirm_password => $Password, %more };
}

sub post { http('POST', '/register', form => form(@_)) }
sub json { http('POST', '/register', json => form(@_)) }

# field => code of a problem document

sub codes {
    my ($res) = @_;
    return { map { $_->{field} => $_->{code} }
             @{ $res->{json}{errors} // [] } };
}

repeat_each(1);
no_shuffle();
run_tests();

__DATA__

=== TEST 1: the form of a GET
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- request
GET /register
--- error_code: 200
--- response_headers
Cache-Control: no-store
Referrer-Policy: same-origin
X-Content-Type-Options: nosniff
X-Frame-Options: DENY
Content-Security-Policy: default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'
!Set-Cookie
--- response_body_like: \Aerror=\[\]\nerror_code=\[\]\n
--- no_error_log
[error]


=== TEST 2: HEAD has no body
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- request
HEAD /register
--- error_code: 200
--- response_body:
--- no_error_log
[error]


=== TEST 3: other methods, and their security headers
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
for my $method (qw(PUT DELETE PATCH OPTIONS)) {
    my $res = http($method, '/register');
    is $res->{status}, 405, "$method is refused";
    is $res->{headers}{allow}, 'GET, HEAD, POST', "$method: what is allowed";
    is $res->{headers}{'cache-control'}, 'no-store', "$method: headers";
}


=== TEST 4: a sign-up by form
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $res = http('POST', '/register', form => { username => 'Alice',
    email => 'Alice@EXAMPLE.com', password => $::Password,
    confirm_password => $::Password });

is $res->{status}, 303, 'see other';
is $res->{headers}{location}, '/verify-otp', 'the verify page';
like $res->{headers}{'set-cookie'},
     qr/^otpreg=[\w-]{200,}; Path=\/; Max-Age=86400; HttpOnly; SameSite=Lax$/,
     'a sealed cookie';
is $res->{headers}{'cache-control'}, 'no-store', 'not cached';

my $mail = wait_mail('Alice@example.com');
ok $mail, 'a mail to the address as it was typed';
like $mail->{text}, qr/\b\d{6}\b/, 'with a code';

is_deeply [sql('SELECT username, email, username_key, email_key, is_active,
                email_verified_at FROM users')],
          [['Alice', 'Alice@example.com', 'alice', 'alice@example.com', 0,
            undef]],
          'an inactive user';
like sql('SELECT password FROM users'),
     qr/^\$argon2id\$v=19\$m=\d+,t=\d+,p=1\$/, 'Argon2id';


=== TEST 5: a sign-up by JSON
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $res = json(email => 'bob@example.com');

is $res->{status}, 201, 'created';
is $res->{headers}{'content-type'}, 'application/json', 'as JSON';
is_deeply $res->{json}, { next => '/verify-otp', channel => 'email',
                          to => 'b***@example.com', expires_in => 600,
                          resend_in => 60 }, 'what comes next';
ok $res->{cookie}, 'a cookie';


=== TEST 6: attack 19: all errors at once, each beside its field; what was typed is kept
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $res = post(username => 'a "b"', email => '<x>', password => 'kurz-geheim',
               confirm_password => 'other');

is $res->{status}, 422, 'unprocessable';
is $res->{body}, <<'END', 'every field says what is wrong';
error=[Please correct the fields below.]
error_code=[invalid_fields]
error_username=[Enter a valid username: letters without accents, digits and the characters . + - and underscore only.]
error_email=[Enter a valid email address.]
error_password=[Use at least 15 characters.]
error_confirm_password=[Passwords do not match.]
username=[a &quot;b&quot;]
email=[&lt;x&gt;]
END
ok !$res->{cookie}, 'no cookie';
unlike $res->{raw}, qr/kurz-geheim|other/, 'never a password';
is sql("SELECT COUNT(*) FROM users WHERE username = 'a \"b\"'"), 0,
   'nothing was written';


=== TEST 7: the same as a problem document
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $res = json(username => 'a b', email => '<x>', password => 'kurz',
               confirm_password => 'other');

is $res->{status}, 422, 'unprocessable';
is $res->{headers}{'content-type'}, 'application/problem+json', 'RFC 9457';
is $res->{json}{status}, 422, 'status';
is $res->{json}{code}, 'invalid_fields', 'code';
is_deeply codes($res), { username => 'username_invalid',
                         email => 'email_invalid',
                         password => 'password_too_short',
                         confirm_password => 'password_mismatch' },
          'a stable code for each field';


=== TEST 8: every field is required
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
is_deeply codes(http('POST', '/register', json => {})),
          { map { $_ => 'required' }
            qw(username email password confirm_password) }, 'JSON';
is_deeply codes(http('POST', '/register', body => '', headers => {
              'Content-Type' => 'application/x-www-form-urlencoded',
              Accept => 'application/json' })),
          { map { $_ => 'required' }
            qw(username email password confirm_password) }, 'an empty form';


=== TEST 9: usernames
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
for (['a' => undef], ['a' x 150 => undef], ['A.b_c-d+e-f' => undef],
     ['a@b' => 'username_address'], ['ann@example.com' => 'username_address'],
     ['@' => 'username_address'], ['+14155550100' => 'username_address'],
     ['a' x 151 => 'username_too_long'], ['a/b' => 'username_invalid'],
     ["b\x{fc}b" => 'username_invalid'], ['   ' => 'required'])
{
    my ($name, $code) = @$_;
    my $res = json(username => $name);
    is $code ? codes($res)->{username} : $res->{status}, $code // 201,
       'username of ' . length($name) . ' characters: ' . ($code // 'fine');
}


=== TEST 9a: usernames that could be an address, where that is allowed
--- http_config eval: "$::Http otpreg_username_address on;"
--- config eval: $::Config
--- flow
for my $name ('A.b_c@d+e-f', 'someone@example.com', '+14155550100') {
    is json(username => $name)->{status}, 201, "$name: fine";
    is sql("SELECT COUNT(*) FROM users WHERE username = '$name'"), 1,
       'as typed';
}


=== TEST 10: a username of a verified user is taken, without regard to case
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $res = http('POST', '/register', json => form(username => 'Taken',
                                                 email => 'taken@x.test'));
is json(username => 'taken')->{status}, 201,
   'an unverified sign-up holds nothing';

my $code = code_for('taken@x.test');
is http('POST', '/verify-otp', cookie => $res->{cookie},
        json => { otp => $code })->{status}, 200, 'verified';
is codes(json(username => 'tAKEN'))->{username}, 'username_taken',
   'now it is taken';


=== TEST 11: attack 17, 18: addresses
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $long = join('.', ('a' x 60) x 3) . '.example.com';
for (['a@b.example' => undef], ["x\@b\x{fc}cher.example" => undef],
     ['a@localhost' => 'email_invalid'], ['a@b..example' => 'email_invalid'],
     ['a@[127.0.0.1]' => 'email_invalid'], ['"a b"@b.example' => 'email_invalid'],
     ["a\@b.example\r\nBcc: c\@d.example" => 'email_invalid'],
     ['a@b.example,c@d.example' => 'email_invalid'],
     ["a\x{ff20}b.example" => 'email_invalid'],
     [('l' x 65) . '@b.example' => 'email_too_long'],
     [('l' x 64) . "\@$long" => 'email_too_long'])
{
    my ($address, $code) = @$_;
    my $res = json(email => $address);
    (my $shown = $address) =~ s/[^ -~]/?/g;
    is $code ? codes($res)->{email} : $res->{status}, $code // 201,
       substr($shown, 0, 40) . ': ' . ($code // 'fine');
}
ok wait_mail('x@xn--bcher-kva.example'), 'an IDN is sent to its A-labels';


=== TEST 12: attack 28: passwords are counted in code points after NFC
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
use utf8;
for ([15, 'ä' x 15, undef], [14, 'ä' x 14, 'password_too_short'],
     [14, "a\x{308}" x 14, 'password_too_short'],
     [128, '😀' x 128, undef], [129, '😀' x 129, 'password_too_long'],
     ['a NUL', "aaaaaaaaaaaaaaaa\0b", 'password_control'])
{
    my ($n, $password, $code) = @$_;
    my $res = json(password => $password, confirm_password => $password);
    is $code ? codes($res)->{password} // $res->{json}{code} : $res->{status},
       $code // 201, "$n: " . ($code // 'fine')
        if $n ne 'a NUL';
}


=== TEST 13: attack 29: the blocklist, and the words of the form itself
--- http_config eval
"$::Http
otpreg_password_blocklist $::Blocklist;"
--- config eval: $::Config
--- flow
my %codes = ('PassWord PassWord' => 'password_common',
             'userandrew.long.name' => 'password_personal',
             'AndRew.long.NAME@example.com' => 'password_personal');
for my $password (sort keys %codes) {
    my $res = json(username => 'UserAndrew.Long.Name',
                   email => 'andrew.long.name@example.com',
                   password => $password, confirm_password => $password);
    is codes($res)->{password}, $codes{$password}, $codes{$password};
}


=== TEST 14: passwords that differ
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $res = json(confirm_password => "$::Password!");
is_deeply codes($res), { confirm_password => 'password_mismatch' }, 'code';
is $res->{json}{errors}[0]{detail}, 'Passwords do not match.', 'sentence';
like $res->{json}{errors}[0]{field}, qr/^confirm_password$/, 'field';
use utf8;
is json(password => "Gr\x{fc}\x{df}e aus Aachen",
        confirm_password => "Gru\x{308}\x{df}e aus Aachen")->{status}, 201,
   'but not by their normal form';


=== TEST 15: attack 27: bodies that cannot be read
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my %form = ('Content-Type' => 'application/x-www-form-urlencoded');
my %json = ('Content-Type' => 'application/json');
for ([400, 'bad escape', 'username=%zz', \%form],
     [400, 'a field twice', 'username=a&username=b', \%form],
     [400, 'NUL', 'username=%00', \%form],
     [400, 'not JSON', '{', \%json], [400, 'an array', '[]', \%json],
     [400, 'a number', '{"username":1}', \%json],
     [400, 'a name twice', '{"username":"a","username":"b"}', \%json],
     [400, 'trailing', '{} x', \%json],
     [400, 'nested', '{"x":' . '[' x 3000 . ']' x 3000 . '}', \%json],
     [415, 'text', 'x', { 'Content-Type' => 'text/plain' }],
     [415, 'multipart', 'x', { 'Content-Type' => 'multipart/form-data' }],
     [415, 'no type', 'x', {}],
     [413, '17 KB', 'a=' . 'x' x 17000, \%form],
     [413, '1 MB', 'a=' . 'x' x 1000000, \%form])
{
    my ($status, $what, $body, $headers) = @$_;
    my $res = http('POST', '/register', body => $body,
                   headers => { %$headers, Accept => 'application/json' });
    is $res->{status}, $status, "$what: $status";
}
is sql('SELECT COUNT(*) FROM users WHERE username IN ("a", "b")') <= 1, 1,
   'nothing of it was written';


=== TEST 16: attack 27: chunked bodies, too
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $chunked = sub {
    my ($body, $n) = @_;
    my $chunks = join '', map { sprintf "%x\r\n%s\r\n", length, $_ }
                          unpack "(a$n)*", $body;
    return http('POST', '/register',
                raw => "POST /register HTTP/1.1\r\nHost: localhost\r\n"
                . "Connection: close\r\nTransfer-Encoding: chunked\r\n"
                . "Content-Type: application/json\r\n\r\n${chunks}0\r\n\r\n");
};
is $chunked->('{"username":"a"}', 3)->{status}, 422, 'a small one is read';
is $chunked->('x' x 20000, 4000)->{status}, 413, '20 KB are too large';
is $chunked->('x' x 200000, 4000)->{status}, 413, '200 KB are too large';

# a byte a chunk, with extensions: the buffer of the connection's bytes is full
# before the body is large

my $extended = sub {
    my ($body, $extension) = @_;
    my $chunks = join '', map { "1;x=$extension\r\n$_\r\n" } split //, $body;
    return http('POST', '/register',
                raw => "POST /register HTTP/1.1\r\nHost: localhost\r\n"
                . "Connection: close\r\nTransfer-Encoding: chunked\r\n"
                . "Content-Type: application/json\r\n\r\n${chunks}0\r\n\r\n");
};
my $body = '{"username":"a","password":"chunky horse battery staple",'
           . '"y":"%s"}';
is $extended->(sprintf($body, 'y' x 500), 'e' x 117)->{status}, 422,
   'chunks with extensions are read';
for my $n (1100, 1500, 4000) {
    is $extended->(sprintf($body, 'y' x $n), 'e' x 117)->{status}, 413,
       "but not $n of them";
}
unlike error_log_text(), qr/buffered to a temporary file/,
       'no form got into a temporary file';


=== TEST 17: attack 21: posts of other sites are refused
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $port = http_port();
for ([{ 'Sec-Fetch-Site' => 'cross-site' }, 403],
     [{ 'Sec-Fetch-Site' => 'same-site' }, 403],
     [{ 'Sec-Fetch-Site' => 'same-origin' }, 303],
     [{ 'Sec-Fetch-Site' => 'none' }, 303],
     [{ Origin => 'https://evil.example' }, 403],
     [{ Origin => 'null' }, 403],
     [{ Origin => 'http://localhost', Host => 'localhost' }, 303],
     [{ Origin => 'http://localhost:1', Host => 'localhost:2' }, 403],
     [{ Referer => 'http://evil.example/' }, 403],
     [{ Referer => 'http://evil.example/http://localhost/' }, 403],
     [{ Referer => 'http://localhost.evil.example/' }, 403],
     [{ Referer => '' }, 403],
     [{ Referer => 'http://localhost/register?a=b', Host => 'localhost' },
      303],
     [{ Referer => 'http://localhost/', Host => 'localhost',
        Origin => 'null' }, 403],
     [{ Referer => 'http://localhost/', Host => 'localhost',
        Origin => 'http://evil.example' }, 403],
     [{ 'Sec-Fetch-Site' => 'same-origin', Origin => 'null' }, 303],
     [{ 'Sec-Fetch-Site' => 'same-origin', Referer => 'http://evil.example/' },
      303],
     [{ 'Sec-Fetch-Site' => 'same-site', Referer => 'http://localhost/',
        Host => 'localhost' }, 403])
{
    my ($headers, $status) = @$_;
    my $res = http('POST', '/register', form => form(), headers => $headers);
    is $res->{status}, $status,
       join(', ', map { "$_: $headers->{$_}" } sort keys %$headers);
}


=== TEST 18: an owned address looks like any other, and its owner is told
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $res = json(email => 'owner@example.com');
is http('POST', '/verify-otp', cookie => $res->{cookie},
        json => { otp => code_for('owner@example.com') })->{status}, 200,
   'the owner is verified';

my $new = json(email => 'newer@example.com');
my $old = json(email => 'Owner@Example.com');
is $old->{status}, 201, 'the answer says nothing';
is_deeply { %{ $old->{json} }, to => '' }, { %{ $new->{json} }, to => '' },
          'neither does the body';
is length $old->{cookie}, length $new->{cookie}, 'nor the cookie';

my $mail = wait_mail('owner@example.com', 5, 2);
like $mail->{text}, qr/account/, 'the owner gets a notice';
unlike $mail->{text}, qr/\b\d{6}\b/, 'without a code';

is http('POST', '/verify-otp', cookie => $old->{cookie},
        json => { otp => '000000' })->{json}{code}, 'code_wrong',
   'a decoy refuses every code';

json(email => 'owner@example.com');
sleep 1.5;
is mail_count('owner@example.com'), 2,
   'the notice comes once a day';


=== TEST 20: attack 18: no line of a typed value gets into a header upstream
--- http_config eval: $::Http
--- config
otpreg_mail /courier/mail;
location = /register { otpreg_register /app; }
location = /courier/mail { internal; return 204; }
location /app {
    proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/echo;
    proxy_set_header X-Username $otpreg_username;
    proxy_set_header X-Email $otpreg_email;
}
location /echo { return 200 "[$http_x_username][$http_x_email][$http_x_evil]"; }
--- flow
my $res = post(username => "a\r\nX-Evil: 1", email => "b\nX-Evil: 2\x7f");
is $res->{body}, '[a  X-Evil: 1][b X-Evil: 2][]', 'control characters are gone';


=== TEST 19: redirects with variables, and a page of another application
--- http_config eval: $::Http
--- config
otpreg_mail /courier/mail;
otpreg_verify_uri https://$host/second;
location = /register { otpreg_register @app; }
location = /courier/mail { internal; return 204; }
location @app { return 200 "app:$otpreg_error_code:$request_method\n"; }
--- flow
is post()->{headers}{location}, 'https://localhost/second', 'a whole URL';
is http('GET', '/register')->{body}, "app::GET\n", 'a named location';
my $res = post(email => 'x');
is $res->{body}, "app:invalid_fields:GET\n", 'sees the error';


=== TEST 20: a whole URL in the request line: its host counts, not Host
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
for (['a.test', 'http://a.test', 'a.test', 303],
     ['a.test:8080', 'http://a.test:8080', 'a.test:8080', 303],
     ['a.test:8080', 'http://a.test:8080', 'evil.test', 303],
     ['a.test', 'http://evil.test', 'evil.test', 403],
     ['a.test:8080', 'http://a.test', 'a.test', 403],
     ['a.test', 'http://a.test:8080', 'a.test:8080', 403])
{
    my ($authority, $origin, $host, $status) = @$_;
    my $body = OtpReg::HTTP::form_encode(%{ form() });
    my $res = http('POST', '', raw => "POST http://$authority/register"
                   . " HTTP/1.1\r\nHost: $host\r\nOrigin: $origin\r\n"
                   . "Connection: close\r\nContent-Type:"
                   . " application/x-www-form-urlencoded\r\n"
                   . 'Content-Length: ' . length($body) . "\r\n\r\n$body");
    is $res->{status}, $status, "$authority from $origin, Host: $host";
}


=== TEST 21: with a secure cookie, a form over plain HTTP is told at once
--- http_config eval
(my $http = $::Http) =~ s/otpreg_cookie_secure off;//; $http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $before = sql('SELECT COUNT(*) FROM users');
for my $headers ({ Origin => 'http://app.test' },
                 { Referer => 'http://app.test/register' })
{
    my $res = http('POST', '/register', form => form(),
                   headers => { Host => 'app.test', %$headers });
    is $res->{status}, 403, join ' ', %$headers;
    like $res->{body}, qr/plain_http/, 'the page says why';
    is $res->{cookie}, '', 'no cookie that would be lost';
}
is sql('SELECT COUNT(*) FROM users'), $before, 'nothing was written';

for my $headers ({ Origin => 'https://app.test' },
                 { Referer => 'https://app.test/register' },
                 { Origin => 'http://localhost', Host => 'localhost',
                   'Sec-Fetch-Site' => 'same-origin' }, {})
{
    my $res = http('POST', '/register', form => form(),
                   headers => { Host => 'app.test', %$headers });
    is $res->{status}, 303, 'taken: ' . join ' ', %$headers;
}
--- error_log
otpreg: a form came over plain HTTP, where a browser keeps no cookie of "otpreg_cookie_secure on": serve the site by HTTPS
