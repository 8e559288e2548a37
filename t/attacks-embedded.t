# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# The handlers where nobody expects them: in subrequests of every kind, where
# they refuse, and behind internal redirects, where they work as asked for.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg;
use OtpReg::SignUp;
use Test::Nginx::Socket 'no_plan';

our $Http = OtpReg::default_http_config()
            . "otpreg_password_hash memory=7m operations=5;\n";
our $Config = OtpReg::default_config() . <<'EOC';
ssi on;

location = /moved { try_files /none /verify-otp; }
location = /rewritten { rewrite ^ /verify-otp last; }
location = /missing { error_page 404 /verify-otp; return 404; }
location = /accel { proxy_pass http://127.0.0.1:$server_port/accel-source; }
location = /accel-source { default_type text/html; add_header X-Accel-Redirect /verify-otp; return 200; }
location = /after { post_action /verify-otp; return 200 before; }

location /mirrored/ {
    mirror /register;
    mirror /verify-otp;
    mirror /resend-otp;
    return 200 served;
}
EOC

our $Auth = qx($ENV{TEST_NGINX_BINARY} -V 2>&1) =~ /http_auth_request_module/
            ? join '', map { <<"EOC" } qw(register verify-otp resend-otp)
location = /by-$_ {
    auth_request /$_;
    try_files /open.txt =404;
}
EOC
            : '';

our $Page = ">>> pages/register.html\n"
    . qq{[<!--# echo var="otpreg_error_code" default="" -->]\n}
    . ">>> pages/verify.html\n"
    . qq{[<!--# echo var="otpreg_error_code" default="" -->]}
    . qq{ to <!--# echo var="otpreg_masked_to" default="" -->\n}
    . ">>> pages/nested.html\n"
    . qq{nested [<!--# include virtual="/register" -->}
    . qq{<!--# include virtual="/verify-otp" -->]\n}
    . ">>> open.txt\nopen\n"
    . join('', map { my ($name, @uris) = @$_;
                     ">>> $name.html\nbegin "
                     . join(' ', map { qq{<!--# include virtual="$_" -->} }
                                     @uris) . " end\n" }
                   (['once', '/verify-otp'],
                    ['twice', '/verify-otp', '/verify-otp'],
                    ['all', map { ($_) x 3 } '/register', '/verify-otp',
                                             '/resend-otp'],
                    ['moved', '/moved', '/rewritten', '/missing']));

sub refused {
    my ($log) = @_;
    return scalar(() = $log =~ /is refused in a subrequest/g);
}

worker_connections(256);
no_shuffle();
run_tests();

__DATA__

=== TEST 1: attack 40: included by SSI, once and often, with a valid cookie
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $signup = signup();
my %times = (once => 1, twice => 2, all => 9, moved => 3);
my $before = counts();

for my $page (sort keys %times) {
    for my $cookie ($signup->{cookie}, undef) {
        my $refused = refused(error_log_text());
        my $res = http('GET', "/$page.html",
                       $cookie ? (cookie => $cookie) : ());
        is $res->{status}, 200, "$page: the page itself is served";
        like $res->{body}, qr/^begin .* end$/s, 'to its end';
        is scalar(() = $res->{body} =~ /<title>403 Forbidden/g),
           $times{$page}, 'each of them is refused';
        unlike $res->{body}, qr/example\.com/, 'and shows nothing';
        is $res->{cookie}, '', 'no cookie';
        ok wait_until(sub { refused(error_log_text())
                            == $refused + $times{$page} }, 10),
           'the log says so';
    }
}

is counts(), $before, 'nothing was written';
is try_code($signup, code($signup))->{status}, 200, 'the sign-up goes on';
--- error_log
otpreg: "/verify-otp" is refused in a subrequest: it must be asked for by itself, not by SSI, auth_request or mirror
--- no_error_log
[alert]
[crit]


=== TEST 2: attack 40: many at once, of clients that leave, too
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $signup = signup();
my @calls = map { ['GET', '/all.html', cookie => $signup->{cookie}],
                  ['GET', '/verify-otp', cookie => $signup->{cookie}],
                  ['GET', '/twice.html', cookie => $signup->{cookie},
                   timeout => 0.001] } 1 .. 30;
my @res = http_many(\@calls);

is scalar(grep { $res[$_]{status} == 200 } grep { $_ % 3 != 2 } 0 .. $#res),
   60, 'all are answered';
is scalar(grep { $res[$_ * 3 + 1]{body} =~ /^\[\] to u/ } 0 .. 29), 30,
   'the page that is asked for is as ever';
is try_code($signup, code($signup))->{status}, 200, 'the sign-up goes on';
--- no_error_log
[alert]
[crit]


=== TEST 3: attack 40: the page of a handler includes handlers
--- http_config eval: $::Http
--- config eval
(my $c = $::Config) =~ s{/pages/verify.html}{/pages/nested.html}; $c
--- user_files eval: $::Page
--- flow
my $signup = signup();
my $nested = qr/^nested \[.*403 Forbidden.*403 Forbidden.*\]$/s;

my $res = http('GET', '/verify-otp', cookie => $signup->{cookie});
is $res->{status}, 200, 'shown';
like $res->{body}, $nested, 'without them';

$res = http('POST', '/resend-otp', cookie => $signup->{cookie}, form => {});
is $res->{status}, 429, 'a refused resend, which is said on that page';
like $res->{body}, $nested, 'without them';

$res = http('POST', '/verify-otp', cookie => $signup->{cookie},
            form => { otp => 'x' });
is $res->{status}, 422, 'a malformed code';
like $res->{body}, $nested, 'without them';
is try_code($signup, code($signup))->{status}, 200, 'the sign-up goes on';
--- no_error_log
[alert]
[crit]


=== TEST 4: attack 40: asked by auth_request
--- http_config eval: $::Http
--- config eval: $::Config . $::Auth
--- user_files eval: $::Page
--- flow
my $signup = signup();
my $code = code($signup);
my $before = counts();

for my $uri ($::Auth ? qw(register verify-otp resend-otp) : ()) {
    for my $method ('GET', 'POST') {
        my $res = http($method, "/by-$uri", cookie => $signup->{cookie},
                       $method eq 'POST' ? (form => { otp => $code }) : ());
        is $res->{status}, 403, "$method, $uri: never a pass";
        unlike $res->{body}, qr/open|example\.com/, 'and nothing is shown';
        is $res->{cookie}, '', 'no cookie';
    }
}

is counts(), $before, 'nothing was written';
is try_code($signup, $code)->{status}, 200, 'the sign-up goes on';
--- no_error_log
[alert]
[crit]


=== TEST 5: attack 40: in a mirror, and after an answer
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $signup = signup();
my $code = code($signup);
my $before = counts();

for my $n (1 .. 5) {
    my $res = http('POST', '/mirrored/x', cookie => $signup->{cookie},
                   form => { otp => $code });
    is $res->{body}, 'served', 'a mirror is not waited for';
    is http('GET', '/after', cookie => $signup->{cookie})->{body}, 'before',
       'post_action';
}

is counts(), $before, 'nothing was written';
is try_code($signup, $code)->{status}, 200, 'the sign-up goes on';
--- no_error_log
[alert]
[crit]


=== TEST 6: attack 40: behind internal redirects it is as asked for
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $signup = signup();

for my $uri ('/moved', '/rewritten', '/missing', '/accel') {
    for my $n (1, 2) {
        my $res = http('GET', $uri, cookie => $signup->{cookie});
        is $res->{status}, $uri eq '/missing' ? 404 : 200, "$uri, time $n";
        like $res->{body}, qr/^\[\] to u/, 'the page of the sign-up';
    }
}

is try_code($signup, code($signup))->{status}, 200, 'the sign-up goes on';
--- no_error_log
[alert]
[crit]
