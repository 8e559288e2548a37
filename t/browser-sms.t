# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# A sign-up by SMS in a real browser, in German on a phone, by the shipped
# example for Twilio (TLS aside: t/couriers.t has it), whose stand-in fails and
# breaks off first: one code arrives, and it works.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain;
use OtpReg::Browser;
use OtpReg::Nginx;
use OtpReg::Provider;
use Encode ();
use Test::More;

my $examples = OtpReg::Env::root_dir() . '/conf-examples';
my $dir = test_dir();
my $port = provider_start();

# the shipped courier, by HTTP to the stand-in

my $courier = slurp("$examples/couriers/twilio.conf");
$courier =~ s{https://otpreg_twilio}{http://127.0.0.1:$port};
$courier =~ s{otpreg/twilio\.secret}{$dir/twilio.secret}g;
spew("$dir/twilio.conf", $courier);
spew("$dir/twilio.secret", <<'END', 0600);
set $twilio_account AC00000000000000000000000000000000;
set $twilio_sender From=%2B15005550006;
proxy_set_header Authorization "Basic eDp5";
END

my $nginx = OtpReg::Nginx->start(<<"END",
otpreg_language de $examples/lang/de.txt;
otpreg_fields username=required phone=required;
otpreg_sms /courier/twilio;
otpreg_sms_origin localhost;
otpreg_sms_text /sms/\$otpreg_lang/\$otpreg_template.txt;
otpreg_sms_countries +1 +49;
otpreg_login_uri /pages/login.html;

location = /register { otpreg_register /pages/register.html; }
location = /verify-otp { otpreg_verify /pages/verify-otp.html; }
location = /resend-otp { otpreg_resend; }
location /pages/ { root $examples; ssi on; }
location /sms/ { internal; root $examples; ssi on; ssi_types text/plain; }
location = /favicon.ico { return 204; }
include $dir/twilio.conf;
END
    http_config => default_http_config() . <<'END');
otpreg_password_hash memory=7m operations=5;
types { text/html html; text/css css; text/javascript js; text/plain txt; }
charset utf-8;
END

my $browser = OtpReg::Browser->start(phone => 1);

$browser->go($nginx->port, '/register');
my %text = map { /var="(t_\w+)" value="([^"]*)"/ ? ($1 => $2) : () }
           split /\n/, Encode::decode('UTF-8',
                                      slurp("$examples/pages/text/de.html"));

provider_behave(500, { reset => 1 },
                { status => 201, body => '{"sid":"SM0","status":"queued"}' });

$browser->type($browser->field($text{t_username}), 'greta');
$browser->type($browser->field($text{t_phone}), '+49 (151) 1234-5678');
$browser->type($browser->field($text{t_password}), 'sieben graue Reiher');
$browser->type($browser->field($text{t_confirm}),
               'sieben graue Reiher');
$browser->press($text{t_create});
is $browser->path, '/verify-otp', 'the page that asks for the code';
like $browser->text, qr/\+4915112345678\b/, 'says where it went';

ok wait_until(sub {
    sql("UPDATE messages SET due_at = NOW(6)
         WHERE due_at IS NOT NULL AND lease IS NULL");
    sql("SELECT sent_at IS NOT NULL FROM messages");
}, 30, 0.2), 'sent after 500 and a reset';

my @requests = provider_requests();
is scalar @requests, 3, 'by the third request';
my ($body) = map { s/%([0-9A-F]{2})/chr hex $1/ger } $requests[2]{body};
like $body, qr/^To=\+4915112345678&From=\+15005550006&Body=/,
     'To, From, Body';
my ($code) = $body =~ /\n\@localhost #(\d{6})\z/;
ok $code, 'the last line is for this site';
is $requests[0]{body}, $requests[2]{body}, 'the same code each time';

$browser->paste($browser->field($text{t_code}),
                substr($code, 0, 3) . ' ' . substr $code, 3);
$browser->press($text{t_verify});
is $browser->path, '/pages/login.html', 'the right code leads to the login';
is_deeply [sql('SELECT username, phone, is_active,
                phone_verified_at IS NOT NULL FROM users')],
          [['greta', '+4915112345678', 1, 1]], 'active';
is_deeply [$browser->problems], [], 'nothing on the console';
$browser->quit;

is_deeply [$nginx->bad_log_lines], [], 'nothing bad in the log';

done_testing();
