# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Wrong values stop nginx with a line that says what and where.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -nosmtp;
use Test::Nginx::Socket 'no_plan';

our $Http = OtpReg::default_http_config();

my $dir = test_dir();
my $key = slurp($ENV{TEST_NGINX_KEY_FILE});
spew("$dir/open.keys", $key, 0644);
spew("$dir/broken.keys", "${key}k2 c2VjcmV0\n", 0600);
spew("$dir/empty.keys", '', 0600);
spew("$dir/latin1", "fine\nf\xfcr\n");

no_shuffle();
run_tests();

__DATA__

=== TEST 1: unknown parameter of otpreg_database, without its value
--- http_config
otpreg_database user=u name=n pasword=hunter2;
--- config

--- must_die
--- error_log
invalid parameter "pasword=..." in
--- no_error_log
hunter2


=== TEST 2: otpreg_database without user
--- http_config
otpreg_database name=n;
--- config

--- must_die
--- error_log
"otpreg_database" directive must have "user" parameter in


=== TEST 3: otpreg_database without name
--- http_config
otpreg_database user=u;
--- config

--- must_die
--- error_log
"otpreg_database" directive must have "name" parameter in


=== TEST 4: otpreg_database twice
--- http_config
otpreg_database user=u name=n;
otpreg_database user=u name=n;
--- config

--- must_die
--- error_log
"otpreg_database" directive is duplicate in


=== TEST 5: otpreg_database with socket and host
--- http_config
otpreg_database user=u name=n host=h socket=/s;
--- config

--- must_die
--- error_log
must not have both "socket" and "host" parameters in


=== TEST 6: otpreg_database with a wrong port
--- http_config
otpreg_database user=u name=n port=65536;
--- config

--- must_die
--- error_log
invalid parameter "port=65536" in


=== TEST 7: otpreg_database with a wrong ssl
--- http_config
otpreg_database user=u name=n ssl=on;
--- config

--- must_die
--- error_log
invalid parameter "ssl=on" in


=== TEST 8: otpreg_database with a wrong timeout
--- http_config
otpreg_database user=u name=n read_timeout=0;
--- config

--- must_die
--- error_log
invalid parameter "read_timeout=0" in


=== TEST 9: otpreg_database with a missing password file
--- http_config
otpreg_database user=u name=n password_file=/nonexistent;
--- config

--- must_die
--- error_log
open() "/nonexistent" failed


=== TEST 10: a missing key file
--- http_config
otpreg_key_file /nonexistent;
--- config

--- must_die
--- error_log
open() "/nonexistent" failed


=== TEST 11: a key file that others can read
--- http_config
otpreg_key_file $TEST_NGINX_TEST_DIR/open.keys;
--- config

--- must_die
--- error_log
(mode 0644), it holds a secret: chmod o-rwx in


=== TEST 12: a broken key file
--- http_config
otpreg_key_file $TEST_NGINX_TEST_DIR/broken.keys;
--- config

--- must_die
--- error_log
in line 2 of "
--- no_error_log
c2VjcmV0


=== TEST 13: an empty key file
--- http_config
otpreg_key_file $TEST_NGINX_TEST_DIR/empty.keys;
--- config

--- must_die
--- error_log
in line 1 of "


=== TEST 14: code length below
--- http_config
otpreg_code_length 5;
--- config

--- must_die
--- error_log
value must be between 6 and 10 in


=== TEST 15: code length above
--- http_config
otpreg_code_length 11;
--- config

--- must_die
--- error_log
value must be between 6 and 10 in


=== TEST 16: code attempts
--- http_config
otpreg_code_attempts 0;
--- config

--- must_die
--- error_log
value must be between 1 and 100 in


=== TEST 17: code lifetime
--- http_config
otpreg_code_lifetime 2d;
--- config

--- must_die
--- error_log
value must be between 1 and 86400 seconds in


=== TEST 18: resend delay
--- http_config
otpreg_resend_delay 2h;
--- config

--- must_die
--- error_log
value must be between 0 and 3600 seconds in


=== TEST 19: password minimum
--- http_config
otpreg_password_length 7;
--- config

--- must_die
--- error_log
invalid minimum "7", it must be between 8 and 1024 in


=== TEST 20: password maximum
--- http_config
otpreg_password_length 8 63;
--- config

--- must_die
--- error_log
invalid maximum "63", it must be between 64 and 1024


=== TEST 21: password minimum above the default maximum
--- http_config eval: $::Http
--- config
otpreg_mail /m;
otpreg_password_length 200;
location = /r { otpreg_register /p; }
--- must_die
--- error_log
has a minimum above its maximum for the location in


=== TEST 22: hash memory below OWASP's minimum
--- http_config
otpreg_password_hash memory=18m operations=2;
--- config

--- must_die
--- error_log
are too little for operations=2, 19m is the minimum in


=== TEST 23: hash memory that is no size
--- http_config
otpreg_password_hash memory=x;
--- config

--- must_die
--- error_log
invalid parameter "memory=x" in


=== TEST 24: hash operations
--- http_config
otpreg_password_hash operations=0;
--- config

--- must_die
--- error_log
invalid parameter "operations=0" in


=== TEST 25: a missing blocklist
--- http_config
otpreg_password_blocklist /nonexistent;
--- config

--- must_die
--- error_log
open() "/nonexistent" failed


=== TEST 26: a blocklist that is not UTF-8
--- http_config
otpreg_password_blocklist $TEST_NGINX_TEST_DIR/latin1;
--- config

--- must_die
--- error_log
line 2 of "


=== TEST 27: a site with a slash
--- http_config
otpreg_site a/b;
--- config

--- must_die
--- error_log
invalid parameter "a/b" in


=== TEST 28: a courier that is no URI
--- http_config
otpreg_mail courier;
--- config

--- must_die
--- error_log
invalid URI "courier" of a courier location in


=== TEST 29: a page that is no URI
--- http_config eval: $::Http
--- config
location = /r { otpreg_register page.html; }
--- must_die
--- error_log
invalid page "page.html": it is a URI


=== TEST 30: two handlers in a location
--- http_config eval: $::Http
--- config
location = /r { otpreg_register /p; otpreg_resend; }
--- must_die
--- error_log
"otpreg_resend" directive is in a location with another handler


=== TEST 31: a handler twice
--- http_config eval: $::Http
--- config
location = /r { otpreg_register /p; otpreg_register /q; }
--- must_die
--- error_log
"otpreg_register" directive is duplicate in


=== TEST 32: no database
--- http_config
otpreg_key_file $TEST_NGINX_KEY_FILE;
otpreg_mail /m;
--- config
location = /r { otpreg_register /p; }
--- must_die
--- error_log
no "otpreg_database" is defined for the location in


=== TEST 33: no key file
--- http_config
otpreg_database user=u name=n;
otpreg_mail /m;
--- config
location = /r { otpreg_register /p; }
--- must_die
--- error_log
no "otpreg_key_file" is defined for the location in


=== TEST 34: no courier
--- http_config
otpreg_database user=u name=n;
otpreg_key_file $TEST_NGINX_KEY_FILE;
--- config
location = /r { otpreg_register /p; }
--- must_die
--- error_log
no "otpreg_mail" is defined for the location in


=== TEST 35: two locations of a site that differ
--- http_config eval: $::Http
--- config
otpreg_mail /m;
location = /r { otpreg_register /p; }
location = /v { otpreg_mail /n; otpreg_verify /p; }
--- must_die
--- error_log
share a database and "otpreg_site", but differ in "otpreg_mail"


=== TEST 36: an SMTP server that is no URL
--- http_config eval: $::Http
--- config
location = /m { otpreg_smtp mail.example.com from=a@b; }
--- must_die
--- error_log
invalid URL, it must be smtp://host[:port] or smtps://host[:port] in


=== TEST 37: a password in the URL of an SMTP server, not shown
--- http_config eval: $::Http
--- config
location = /m { otpreg_smtp smtp://u:hunter2@example.com from=a@b; }
--- must_die
--- error_log
invalid URL
--- no_error_log
hunter2


=== TEST 38: no sender: noreply at this host
--- http_config eval: $::Http
--- config
location = /m { otpreg_smtp smtp://localhost; }
--- request
GET /m
--- error_code: 404


=== TEST 39: a sender that is no address
--- http_config eval: $::Http
--- config
location = /m { otpreg_smtp smtp://localhost from=me; }
--- must_die
--- error_log
invalid parameter "from=me" in


=== TEST 40: two senders
--- http_config eval: $::Http
--- config
location = /m { otpreg_smtp smtp://localhost from=a@b,c@d; }
--- must_die
--- error_log
invalid parameter "from=a@b,c@d" in


=== TEST 41: a user without password
--- http_config eval: $::Http
--- config
location = /m { otpreg_smtp smtps://localhost from=a@b user=u; }
--- must_die
--- error_log
must have both "user" and "password_file" parameters, or none in


=== TEST 42: a password in clear over the net
--- http_config eval: $::Http
--- config
location = /m { otpreg_smtp smtp://mail.example.com from=a@b user=u password_file=$TEST_NGINX_KEY_FILE; }
--- must_die
--- error_log
would send the password in clear, add "starttls=on" in


=== TEST 43: starttls with smtps
--- http_config eval: $::Http
--- config
location = /m { otpreg_smtp smtps://localhost from=a@b starttls=on; }
--- must_die
--- error_log
must not have "starttls" parameter with smtps in


=== TEST 44: a too long SMTP timeout
--- http_config eval: $::Http
--- config
location = /m { otpreg_smtp smtp://localhost from=a@b timeout=2m; }
--- must_die
--- error_log
invalid parameter "timeout=2m" in


=== TEST 45: unknown kind of thread pool
--- http_config
otpreg_thread_pools smtp=x;
--- config

--- must_die
--- error_log
invalid parameter "smtp=..." in


=== TEST 46: a thread pool that was not defined
--- main_config
--- http_config eval: $::Http
--- config
otpreg_mail /m;
location = /r { otpreg_register /p; }
--- must_die
--- error_log
unknown thread pool "otpreg_hash" in


=== TEST 47: other names of thread pools
--- main_config
thread_pool a threads=1;
thread_pool b threads=1;
thread_pool c threads=1;
--- http_config eval
"$::Http
otpreg_thread_pools hash=a database=b mail=c;"
--- config
otpreg_mail /m;
location = /r { otpreg_register /p; }
location = /p { return 200 "page"; }
--- request
GET /r
--- response_body: page


=== TEST 48: two sites, and everything that a location may say
--- http_config eval: $::Http
--- config
otpreg_mail /m;
otpreg_resend_uri /again;
location = /r { otpreg_register /p; }
location = /v { otpreg_verify /p; }
location = /other/r {
    otpreg_site other.example_1-2;
    otpreg_mail /n;
    otpreg_mail_text /t/$otpreg_template;
    otpreg_mail_html /h/$otpreg_template;
    otpreg_code_length 10;
    otpreg_code_lifetime 1d;
    otpreg_code_attempts 100;
    otpreg_resend_delay 0;
    otpreg_password_length 8 64;
    otpreg_password_hash memory=7m operations=5;
    otpreg_password_blocklist off;
    otpreg_cookie_secure on;
    otpreg_content_security_policy "default-src 'none'";
    otpreg_register /p;
}
location = /m { otpreg_console; }
location = /n {
    otpreg_smtp smtp://[::1]:25 "from=Sign-up <a@b.example>" helo=me.example
                connect_timeout=1s timeout=90s;
}
location = /p { return 200 "page"; }
--- request
GET /other/r
--- response_headers
Content-Security-Policy: default-src 'none'
--- response_body: page


=== TEST 49: no policy
--- http_config eval: $::Http
--- config
otpreg_mail /m;
otpreg_content_security_policy "";
location = /r { otpreg_register /p; }
location = /p { return 200 "page"; }
--- request
GET /r
--- response_headers
!Content-Security-Policy
--- response_body: page


=== TEST 50: a handler is kept in "if" and "limit_except"
--- http_config eval: $::Http
--- config
otpreg_mail /m;
location = /r {
    otpreg_register /p;
    if ($arg_a) { add_header X-If yes always; }
    limit_except GET POST { deny all; }
}
location = /p { return 200 "page"; }
--- request eval
["GET /r?a=1", "GET /r", "PUT /r"]
--- error_code eval
[200, 200, 403]


=== TEST 51: couriers answer nobody but the dispatcher
--- http_config eval: $::Http
--- config
location = /m { otpreg_console; }
location = /n { otpreg_smtp smtp://localhost from=a@b; }
--- request eval
["GET /m", "POST /m", "GET /n"]
--- error_code eval
[404, 404, 404]


=== TEST 52: otpreg_honeypot with a name that is none
--- http_config
otpreg_honeypot "a b";
--- config

--- must_die
--- error_log
invalid parameter "a b" in


=== TEST 53: otpreg_honeypot with the name of a field
--- http_config
otpreg_honeypot email;
--- config

--- must_die
--- error_log
"otpreg_honeypot" directive is the name of another field in


=== TEST 54: otpreg_honeypot twice
--- http_config
otpreg_honeypot a;
otpreg_honeypot off;
--- config

--- must_die
--- error_log
"otpreg_honeypot" directive is duplicate in


=== TEST 55: otpreg_form_time that is too long
--- http_config
otpreg_form_time 2m;
--- config

--- must_die
--- error_log
invalid parameter "2m" in


=== TEST 56: otpreg_form_time of nothing
--- http_config
otpreg_form_time 0;
--- config

--- must_die
--- error_log
invalid parameter "0" in


=== TEST 57: otpreg_form_time with a maximum below the minimum
--- http_config
otpreg_form_time 5s 5s;
--- config

--- must_die
--- error_log
invalid parameter "5s" in


=== TEST 58: otpreg_form_time with a maximum that is too long
--- http_config
otpreg_form_time 5s 8d;
--- config

--- must_die
--- error_log
invalid parameter "8d" in


=== TEST 59: otpreg_form_time twice
--- http_config
otpreg_form_time off;
otpreg_form_time 2s;
--- config

--- must_die
--- error_log
"otpreg_form_time" directive is duplicate in


=== TEST 60: otpreg_challenge that is no URI
--- http_config
otpreg_challenge challenge;
--- config

--- must_die
--- error_log
invalid parameter "challenge" in


=== TEST 61: otpreg_challenge with a wrong condition
--- http_config
otpreg_challenge /c when=never;
--- config

--- must_die
--- error_log
invalid parameter "when=never" in


=== TEST 62: otpreg_challenge with an unknown variable
--- http_config
otpreg_challenge /c when=$nothing;
--- config

--- must_die
--- error_log
unknown "nothing" variable


=== TEST 63: otpreg_challenge with a wrong way to fail
--- http_config
otpreg_challenge /c fail=maybe;
--- config

--- must_die
--- error_log
invalid parameter "fail=maybe" in


=== TEST 64: otpreg_challenge with a wrong time
--- http_config
otpreg_challenge /c timeout=31s;
--- config

--- must_die
--- error_log
invalid parameter "timeout=31s" in


=== TEST 65: otpreg_challenge twice
--- http_config
otpreg_challenge off;
otpreg_challenge /c;
--- config

--- must_die
--- error_log
"otpreg_challenge" directive is duplicate in


=== TEST 66: otpreg_password_breach_check that is no URI
--- http_config
otpreg_password_breach_check https://x;
--- config

--- must_die
--- error_log
invalid parameter "https://x" in


=== TEST 67: otpreg_password_breach_check with a condition
--- http_config
otpreg_password_breach_check /c when=always;
--- config

--- must_die
--- error_log
invalid parameter "when=always" in


=== TEST 68: otpreg_password_breach_check with a wrong time
--- http_config
otpreg_password_breach_check /c timeout=10ms;
--- config

--- must_die
--- error_log
invalid parameter "timeout=10ms" in


=== TEST 69: otpreg_password_breach_check twice
--- http_config
otpreg_password_breach_check /c;
otpreg_password_breach_check off;
--- config

--- must_die
--- error_log
"otpreg_password_breach_check" directive is duplicate in


=== TEST 70: otpreg_honeypot with the name of a challenge's field
--- http_config
otpreg_honeypot h-captcha-response;
--- config

--- must_die
--- error_log
"otpreg_honeypot" directive is the name of another field in


=== TEST 71: otpreg_courier_status with a verdict that is none
--- http_config
--- config
location = /c { otpreg_courier_status sent 409; }
--- must_die
--- error_log
invalid parameter "sent" in


=== TEST 72: otpreg_courier_status with what is sent already
--- http_config
--- config
location = /c { otpreg_courier_status later 409 202; }
--- must_die
--- error_log
invalid parameter "202" in


=== TEST 73: otpreg_courier_status with a status twice
--- http_config
--- config
location = /c { otpreg_courier_status later 409;
                otpreg_courier_status refused 409; }
--- must_die
--- error_log
duplicate status "409" in


=== TEST 74: locations that are not there
--- http_config eval
"$::Http otpreg_mail /courier/mail;\n" . <<'END';
otpreg_sms /courier/sms;
otpreg_fields username=required email=optional phone=optional;
otpreg_mail_text /gone/otp.txt?a=b;
otpreg_mail_html /pages/gone.html;
otpreg_sms_text @gone;
otpreg_challenge /challenge/gone;
otpreg_password_breach_check /breach/gone;
otpreg_verify_uri /verify-typo;
END
--- config
location = /register { otpreg_register @no-page; }
location = /verify-otp { otpreg_verify /pages/gone.html; }
location = /courier/mails { internal; otpreg_console; }
location /pages/ { }
location ~ ^/nothing { otpreg_console; }
--- user_files
>>> pages/there.html
x
--- flow
my @warned = error_log_text() =~ /\[warn\][^\n]*: ("otpreg_\w+" of the location in [^\n]*)/g;
s/(location) in \S+:(\d+)/$1/ for @warned;
is_deeply [sort @warned], [sort
    '"otpreg_register" of the location leads nowhere: there is no location and no file for "@no-page"',
    '"otpreg_verify" of the location leads nowhere: there is no location and no file for "/pages/gone.html"',
    '"otpreg_verify_uri" of the location leads nowhere: there is no location and no file for "/verify-typo"',
    '"otpreg_resend_uri" of the location leads nowhere: there is no location and no file for "/resend-otp"',
    '"otpreg_login_uri" of the location leads nowhere: there is no location and no file for "/login"',
    '"otpreg_challenge" of the location leads nowhere: there is no location for "/challenge/gone"',
    '"otpreg_password_breach_check" of the location leads nowhere: there is no location for "/breach/gone"',
    '"otpreg_mail" of the location leads nowhere: there is no location for "/courier/mail"',
    '"otpreg_sms" of the location leads nowhere: there is no location for "/courier/sms"',
    '"otpreg_mail_text" of the location leads nowhere: there is no location and no file for "/gone/otp.txt?a=b"',
    '"otpreg_mail_html" of the location leads nowhere: there is no location and no file for "/pages/gone.html"',
    '"otpreg_sms_text" of the location leads nowhere: there is no location and no file for "@gone"'],
    'each is named'
    or Test::More::diag(join "\n", sort @warned);
like error_log_text(), qr/"otpreg_verify" of the location in \S*nginx\.conf:\d+ leads/,
     'and where it stands';


=== TEST 75: locations that are there, in every way
--- http_config eval
"$::Http otpreg_mail /courier/mail;\n" . <<'END';
otpreg_sms /courier/sms /courier/app /nested/deep /rewritten /tried /c/0;
otpreg_fields username=required email=optional phone=optional;
otpreg_mail_text /pages/there.html?a=b;
otpreg_mail_html /alias/there.html;
otpreg_sms_text @named;
otpreg_challenge /regex/1;
otpreg_password_breach_check /prefix/any/thing;
otpreg_register_uri https://www.example.com/register;
otpreg_login_uri /pages/there.html;
END
--- config
location = /resend-otp { otpreg_resend; }
location = /register { otpreg_register /pages/there.html; }
location = /verify-otp { otpreg_verify $uri/gone.html; }
location = /a { otpreg_register /fallback/x; }
location = /b { otpreg_register /dir/; }
location = /d { otpreg_verify @named; }
location = /e { if ($arg_x) { set $x 1; } otpreg_verify /exact; }
location = /courier/mail { internal; otpreg_console; }
location = /courier/sms { internal; otpreg_console; }
location /courier/ { internal; otpreg_console; }
location /nested/ { location ~ deep { otpreg_console; } }
location = /rewritten { return 200; }
location /tried { try_files /none @named; }
location ~ ^/regex/ { otpreg_console; }
location ^~ /c/ { otpreg_console; location = /c/1 { otpreg_console; } }
location /prefix/ { }
location @named { return 200; }
location /pages/ { }
location /alias/ { alias html/pages/; }
location /fallback/ { error_page 404 = @named; }
location /dir/ { }
location = /exact { return 200; }
--- user_files
>>> pages/there.html
x
--- flow
unlike error_log_text(), qr/leads nowhere/, 'no warning';


=== TEST 76: no warning where the server rewrites
--- http_config eval: "$::Http otpreg_mail /index.php;"
--- config
rewrite ^/app/ /index.php;
location = /register { otpreg_register /app/form; }
location = /index.php { return 200; }
--- flow
unlike error_log_text(), qr/leads nowhere/, 'no warning';


=== TEST 77: two servers with one database, and nobody has named their sites
--- http_config eval
my $port = OtpReg::Env::free_port();
CORE::join '', "$::Http otpreg_mail /courier/mail;\n",
    map { "server { listen 127.0.0.1:$port; server_name s$_;
                    @{[ $_ == 3 ? 'otpreg_site third;' : '' ]}
                    location = /register { otpreg_register \@p; }
                    location = /verify-otp { otpreg_verify \@p; }
                    location = /resend-otp { otpreg_resend; }
                    location = /login { return 200; }
                    location = /courier/mail { otpreg_console; }
                    location \@p { return 204; } }\n" } 1 .. 3
--- config
--- flow
my @warned = error_log_text() =~ /\[warn\][^\n]*: (the messages of [^\n]*)/g;
is scalar @warned, 1, 'one warning';
like $warned[0], qr/^the messages of the location in \S+:\d+ are sent by the couriers of the server of that in \S+:\d+: they share a database and have no "otpreg_site"/,
     'which names both';
unlike error_log_text(), qr/leads nowhere/, 'and no other';


=== TEST 78: a page without SSI
--- http_config eval: "$::Http otpreg_mail /c;\notpreg_mail_html /on/page.html;"
--- config
location = /c { internal; otpreg_console; }
location = /register { otpreg_register /off/page.html; }
location = /verify-otp { otpreg_verify /on/page.html; }
location = /a { otpreg_register /off/plain.html; }
location /off/ { alias html/; }
location /on/ { alias html/; ssi on; }
--- user_files
>>> page.html
<!--# echo var="otpreg_error" encoding="entity" -->
>>> plain.html
<!-- # --> {"json":"only"}
--- flow
my @warned = grep { !/leads nowhere/ }
             error_log_text() =~ /\[warn\][^\n]*: ("otpreg_\w+" of [^\n]*)/g;
is scalar @warned, 1, 'one warning';
like $warned[0], qr/^"otpreg_register" of the location in \S+:\d+: "\S+\/page.html" has SSI commands, but SSI is off in the location "\/off\/"/,
     'which names page and location';
