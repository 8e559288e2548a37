# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# HTTP/2 streams that are reset while a service is asked, or while their answer
# waits for its time: nothing is freed twice, and no sign-up is lost.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain;
use OtpReg::Nginx;
use OtpReg::Provider;
use OtpReg::Wire;
use Test::More;

plan skip_all => 'nginx without HTTP/2' if !OtpReg::Env::http2();

my $provider = provider_start();
my $h2 = OtpReg::Env::free_port();
my $nginx = OtpReg::Nginx->start(default_config() . <<"END",
listen 127.0.0.1:$h2 http2;
otpreg_form_time 1ms;
otpreg_challenge /challenge;
otpreg_password_breach_check /breach;
otpreg_response_time 200ms;
location = /token { return 200 "token=\$otpreg_form_token"; }
location = /challenge {
    internal;
    proxy_set_header Host challenge;
    proxy_set_body "response=\$otpreg_challenge_token";
    proxy_pass http://127.0.0.1:$provider/challenge;
}
location = /breach {
    internal;
    proxy_set_header Host breach;
    proxy_pass http://127.0.0.1:$provider/range/\$otpreg_password_prefix;
}
END
    http_config => default_http_config());

my $n = 0;
my $password = 'correct horse battery staple';
my $type = 'application/x-www-form-urlencoded';

sub services {
    my ($delay) = @_;
    provider_behave_as('challenge', { status => 200, delay => $delay,
                                      body => '{"success":true}' });
    provider_behave_as('breach', { status => 200, delay => $delay,
                                   body => '0' x 35 . ':0' });
}

sub token {
    my ($token) = $nginx->http('GET', '/token')->{body} =~ /token=(.+)/;
    select undef, undef, undef, 0.01;
    return $token;
}

sub fields {
    $n++;
    return { username => "u$n", email => "u$n\@example.com",
             password => $password, confirm_password => $password,
             challenge => "tok$n", form_token => token() };
}

sub asked {
    my ($path) = @_;
    return scalar grep { $_->{path} =~ /^\Q$path/ } provider_requests();
}

sub frame {
    my ($kind, $flags, $id, $body) = @_;
    $body //= '';
    return pack('NCN', length($body) << 8 | $kind, $flags, $id) . $body;
}

sub field {
    return "\x10" . join '', map { chr(length) . $_ } @_;
}

sub hello { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . frame(4, 0, 0) }
sub reset_stream { frame(3, 0, $_[0], pack 'N', 8) }

sub post {
    my ($id, $fields) = @_;
    my $body = OtpReg::HTTP::form_encode(%$fields);
    return frame(1, 4, $id, join '', map { field(@$_) }
                 [':method', 'POST'], [':path', '/register'],
                 [':scheme', 'http'], [':authority', 'localhost'],
                 ['content-type', $type], ['content-length', length $body])
           . frame(0, 1, $id, $body);
}


subtest 'attack 27: reset while a service is asked: it goes on' => sub {
    for my $path (qw(/challenge /range)) {
        services(1);
        my $asked = asked($path);
        my $fields = fields();
        my $wire = OtpReg::Wire->new($h2);
        $wire->put(hello() . post(1, $fields));
        ok wait_until(sub { asked($path) > $asked }, 30), "$path is asked";
        $wire->put(reset_stream(1));
        services(0);
        ok wait_mail($fields->{email}), "$path: a code is sent to who left";
    }
};


subtest 'attack 27: streams that are reset at every moment' => sub {
    services(0.02);
    for my $moment (0 .. 40) {
        my $wire = OtpReg::Wire->new($h2);
        $wire->put(hello() . join '', map { post($_, fields()) } 1, 3, 5);
        select undef, undef, undef, 0.01 * $moment;
        $wire->put(join '', map { reset_stream($_) } 1, 3, 5);
        $wire->end if $moment % 2;
    }
    is $nginx->http('GET', '/token')->{status}, 200, 'it answers';
};


ok $nginx->quit(60), 'it ends by itself';
is_deeply [$nginx->bad_log_lines], [], 'with nothing bad in the log';
done_testing();
