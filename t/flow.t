# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# The main job from end to end, with the pages and mails of conf-examples and a
# real SMTP server (aiosmtpd) with STARTTLS and AUTH.  Short: it also runs under
# valgrind.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain;
use OtpReg::Nginx;
use Test::More;

my $smtp = smtp_real('starttls', 'otpreg@example.com', 'smtp-secret-1')
    or BAIL_OUT('aiosmtpd is not installed');
my $password_file = spew(test_dir() . '/smtp-password', "smtp-secret-1\n",
                         0600);
my $examples = OtpReg::Env::root_dir() . '/conf-examples';
my $password = "Gr\x{fc}\x{df}e aus Aachen";
utf8::upgrade($password);

my $nginx = OtpReg::Nginx->start(<<"END",
otpreg_mail /courier/mail;
otpreg_mail_text /mail/en/\$otpreg_template.txt;
otpreg_mail_html /mail/en/\$otpreg_template.html;
otpreg_resend_delay 0;
otpreg_password_blocklist $examples/password-blocklist.txt;

location = /register { otpreg_register /pages/register.html; }
location = /verify-otp { otpreg_verify /pages/verify-otp.html; }
location = /resend-otp { otpreg_resend; }

location = /courier/mail {
    internal;
    otpreg_smtp smtp://localhost:$smtp->{port} starttls=on ca=$smtp->{ca}
                user=$smtp->{user} password_file=$password_file
                "from=Example Gr\x{c3}\x{bc}\x{c3}\x{9f}e <noreply\@example.com>";
}

location /pages/ { root $examples; }
location /mail/ { internal; root $examples; }
END
    log_level => 'debug',
    http_config => default_http_config() . <<'END');
otpreg_password_hash memory=7m operations=5;
ssi on;
ssi_types text/plain;
types { text/html html; text/plain txt; text/css css; text/javascript js; }
END

my %jar;
my $res = $nginx->http('GET', '/register', jar => \%jar, timeout => 60);
is $res->{status}, 200, 'the form';
like $res->{body}, qr/<input id="email"[^>]*type="email"/, 'with its fields';

my %form = (username => 'erika', email => 'Erika@example.com',
            password => $password, confirm_password => $password);

$res = $nginx->http('POST', '/register', jar => \%jar, timeout => 60,
                    form => { %form, confirm_password => 'other' });
is $res->{status}, 422, 'two passwords';
like $res->{body}, qr/Passwords do not match\./, 'are told';
like $res->{body}, qr/value="Erika\@example\.com"/, 'and the address kept';

$res = $nginx->http('POST', '/register', jar => \%jar, timeout => 60,
                    form => { %form, password => 'password password',
                              confirm_password => 'password password' });
like $res->{body}, qr/on a list of common passwords/, 'a common password';

$res = $nginx->http('POST', '/register', jar => \%jar, timeout => 60,
                    form => \%form);
is $res->{status}, 303, 'a sign-up';
is $res->{headers}{location}, '/verify-otp', 'leads to the verify page';

$res = $nginx->http('GET', '/verify-otp', jar => \%jar, timeout => 60);
is $res->{status}, 200, 'the verify page';
like $res->{body}, qr/>Erika\@example\.com</, 'says where the code went';
like $res->{body}, qr/autocomplete="one-time-code"/, 'and takes it';

my $mail = wait_mail('Erika@example.com', 30);
ok $mail, 'a mail, over STARTTLS' or BAIL_OUT('no mail');
ok $mail->{tls}, 'encrypted';
ok $mail->{login}, 'authenticated';
is_deeply $mail->{defects} // [], [], 'valid MIME';
like $mail->{headers}{'content-type'}, qr{^multipart/alternative}, 'two parts';
my ($code) = $mail->{text} =~ /\b(\d{6})\b/;
ok $code, 'the code in the text part';
like $mail->{html}, qr/\b$code\b/, 'and in the HTML part';
like $mail->{subject}, qr/\b$code\b/, 'and in the subject';
like $mail->{text}, qr/our site/, 'localhost is no name for a site';
is_deeply $mail->{rcpt}, ['Erika@example.com'], 'one recipient';
like $mail->{headers}{from}, qr/<noreply\@example\.com>/, 'from';
like $mail->{headers}{date}, qr/\w+, \d+ \w+ \d{4} [\d:]{8} \+0000/, 'date';
is $mail->{headers}{'auto-submitted'}, 'auto-generated', 'auto-submitted';

$res = $nginx->http('POST', '/verify-otp', jar => \%jar, timeout => 60,
                    form => { otp => sprintf '%06d', ($code + 1) % 1e6 });
is $res->{status}, 422, 'a wrong code';
like $res->{body}, qr/Invalid OTP\. Please try again\./, 'is told';

$res = $nginx->http('POST', '/resend-otp', jar => \%jar, timeout => 60,
                    form => {});
is $res->{status}, 303, 'a resend';
is code_for('Erika@example.com', 30, 2), $code, 'of the same code';

$res = $nginx->http('POST', '/verify-otp', jar => \%jar, timeout => 60,
                    form => { otp => substr($code, 0, 3) . ' '
                                     . substr $code, 3 });
is $res->{status}, 303, 'the right code';
is $res->{headers}{location}, '/login', 'leads to the login page';
is_deeply \%jar, {}, 'and the cookie is gone';
is sql("SELECT is_active FROM users WHERE username = 'erika'"), 1, 'active';

$res = $nginx->http('POST', '/register', timeout => 60,
                    json => { %form, username => 'other' });
is $res->{status}, 201, 'another sign-up with her address, by JSON';
$mail = wait_mail('Erika@example.com', 30, 3);
like $mail->{subject}, qr/account/, 'she is told, without a code';
unlike $mail->{text} . $mail->{html}, qr/\b\d{6}\b/, 'in neither part';

is_deeply [grep { !$_ } map { wait_until(sub { sql(
    'SELECT COUNT(*) FROM messages WHERE due_at IS NOT NULL') == 0 }, 30) } 1],
    [], 'nothing is left to send';
ok $nginx->quit(60), 'nginx ends by itself';
is_deeply [$nginx->bad_log_lines], [],
          'no alert, no crash, no report of a sanitizer or of valgrind';

done_testing();
