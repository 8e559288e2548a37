# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# A sign-up by HTTP/3: where the host comes in ":authority", which makes the
# site's own Origin known, and where nginx has no read event of a client.
# Debian 12 has neither in nginx nor in curl; make mysql runs it.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain;
use OtpReg::Env qw(free_port nginx_has start_process);
use OtpReg::Nginx;
use OtpReg::SignUp qw(form);
use JSON::PP qw(decode_json encode_json);
use Test::More;

plan skip_all => 'nginx without HTTP/3' if !nginx_has('with-http_v3_module');
plan skip_all => 'curl without HTTP/3'
    if `curl --version` !~ /nghttp3|HTTP3|quiche/;

my $dir = test_dir();
my $port = free_port();

system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
       . " -keyout $dir/key.pem -out $dir/cert.pem 2>$dir/openssl.log") == 0
    or BAIL_OUT('openssl');

(my $http = default_http_config()) =~ s/otpreg_response_time off;//;
my $nginx = OtpReg::Nginx->start(default_config() . <<"END",
listen 127.0.0.1:$port quic reuseport;
listen 127.0.0.1:$port ssl;
ssl_certificate $dir/cert.pem;
ssl_certificate_key $dir/key.pem;
location = /pages/register.html { return 200 "register"; }
location = /pages/verify.html { return 200 "verify"; }
END
    log_level => 'info', http_config => <<"END");
$http
otpreg_response_time 300ms;
otpreg_password_hash memory=7m operations=5;
otpreg_resend_delay 0;
END


# { status, version, headers, body, cookie }

sub h3 {
    my ($path, %opt) = @_;
    my @args = ('-sk', '--http3-only', '--max-time', 20, '-D', "$dir/headers",
                '-o', "$dir/body", '-w', '%{http_version} %{http_code}');
    push @args, '-H', $_ for @{ $opt{headers} // [] };
    push @args, '-H', 'Content-Type: application/json', '-d',
         encode_json($opt{json}) if $opt{json};
    push @args, '-d', OtpReg::HTTP::form_encode(%{ $opt{form} })
        if $opt{form};
    push @args, '-H', "Cookie: $opt{cookie}" if $opt{cookie};
    unlink "$dir/headers", "$dir/body";
    open my $curl, '-|', 'curl', @args, "https://localhost:$port$path"
        or die "curl: $!\n";
    my ($version, $status) = split ' ', do { local $/; <$curl> } // '';
    close $curl;
    my $headers = -e "$dir/headers" ? slurp("$dir/headers") : '';
    my ($cookie) = $headers =~ /^set-cookie: ([^;]+)/mi;
    my $body = -e "$dir/body" ? slurp("$dir/body") : '';
    return { version => $version, status => $status, cookie => $cookie,
             headers => $headers,
             json => $body =~ /^\{/ ? decode_json($body) : {} };
}

my $origin = "Origin: https://localhost:$port";

my $res = h3('/register');
is "$res->{version} $res->{status}", '3 200', 'the form';

my $form = form();
$res = h3('/register', json => $form, headers => [$origin]);
is $res->{status}, 201, 'a sign-up from its own origin';
ok $res->{cookie}, 'with a cookie';

is h3('/register', form => form(), headers => ['Origin: https://evil.example'])
   ->{status}, 403, 'attack 21: not from another one';
is h3('/register', form => form(), headers => [$origin])->{status}, 303,
   'a form';

is h3('/verify-otp', cookie => $res->{cookie}, headers => [$origin])->{status},
   200, 'the page to verify';
is h3('/verify-otp', cookie => $res->{cookie}, json => { otp => '000000' })
   ->{json}{code}, 'code_wrong', 'a wrong code';
is h3('/resend-otp', cookie => $res->{cookie}, json => {})->{status}, 200,
   'the same code again';
is h3('/verify-otp', cookie => $res->{cookie}, headers => [$origin],
      json => { otp => code_for($form->{email}) })->{status}, 200,
   'the right code';
is sql("SELECT is_active FROM users WHERE username = '$form->{username}'"), 1,
   'active';

# who leaves, at any time

my $before = sql('SELECT COUNT(*) FROM users');
my @pids = map {
    my $body = encode_json(form());
    my $pid = start_process({ log => "$dir/curl.log" }, 'curl', '-sk',
        '--http3-only', '-H', 'Content-Type: application/json', '-d', $body,
        "https://localhost:$port/register");
    select undef, undef, undef, 0.03 * $_;
    $pid;
} 1 .. 12;
kill 'KILL', @pids;
waitpid $_, 0 for @pids;

$form = form();
is h3('/register', json => $form)->{status}, 201, 'then the next one';
ok code_for($form->{email}, 30), 'gets its code';
cmp_ok sql('SELECT COUNT(*) FROM users'), '<=', $before + 13,
       'no sign-up is written twice';

ok $nginx->quit(60), 'ends';
is_deeply [$nginx->bad_log_lines], [], 'nothing bad in the log';

done_testing();
