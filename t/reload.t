# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Reload under load: no request fails, no mail is lost or sent twice; and keys
# that are rotated by it.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain;
use OtpReg::Nginx;
use JSON::PP;
use POSIX ();
use Test::More;

my $password = 'correct horse battery staple';
my $http = default_http_config()
           . "otpreg_password_hash memory=7m operations=5;\n";
my $config = default_config() . "otpreg_form_time 1ms;\n"
             . "location = /token { return 200 \$otpreg_form_token; }\n";
my $nginx = OtpReg::Nginx->start($config, workers => 2,
                                 http_config => $http, log_level => 'info');

# One client: sign-ups and verifications one after the other, until told to
# stop.  A connection that was not even accepted is tried again, as a browser
# does; anything else that is no answer is a failure.

sub client {
    my ($name, $out) = @_;
    my %n = (signups => 0, verified => 0, failed => []);

    while (!-e test_dir() . '/stop') {
        my $id = "$name-$n{signups}";
        my $to = "$id\@example.com";
        my $res = $nginx->http('POST', '/register', timeout => 30, json => {
            username => $id, email => $to, password => $password,
            confirm_password => $password });
        if ($res->{status} != 201) {
            push @{ $n{failed} }, "register: $res->{status} "
                                  . ($res->{error} // $res->{body});
            next;
        }
        $n{signups}++;
        push @{ $n{to} }, $to;

        my $code = code_for($to, 30);
        if (!$code) {
            push @{ $n{failed} }, "no mail to $to";
            next;
        }
        $res = $nginx->http('POST', '/verify-otp', timeout => 30,
                            cookie => $res->{cookie},
                            json => { otp => $code });
        push @{ $n{failed} }, "verify: $res->{status} "
                              . ($res->{error} // $res->{body})
            if $res->{status} != 200;
        $n{verified}++ if $res->{status} == 200;
    }

    spew($out, encode_json(\%n));
}

my @clients = map {
    my $pid = fork() // die "fork: $!";
    if (!$pid) {
        client("c$_", test_dir() . "/client.$_");
        POSIX::_exit(0);
    }
    $pid;
} 1 .. 4;

for my $i (1 .. 5) {
    my $before = sql('SELECT COUNT(*) FROM users');
    ok wait_until(sub { sql('SELECT COUNT(*) FROM users') >= $before + 8 },
                  60), "sign-ups go on ($i)";
    my @old = $nginx->workers;
    ok $nginx->reload(wait => 60), "reload ($i)";
    isnt "@old", join(' ', $nginx->workers), "new workers ($i)";
}

spew(test_dir() . '/stop', '');
waitpid $_, 0 for @clients;

my ($signups, $verified, @failed, @to) = (0, 0);
for my $i (1 .. 4) {
    my $n = decode_json(slurp(test_dir() . "/client.$i"));
    $signups += $n->{signups};
    $verified += $n->{verified};
    push @failed, @{ $n->{failed} };
    push @to, @{ $n->{to} };
}

note "$signups sign-ups over five reloads";
cmp_ok $signups, '>=', 40, 'there was load';
is_deeply \@failed, [], 'no request failed';
is $verified, $signups, 'all are verified';
is sql('SELECT COUNT(*) FROM users WHERE is_active = 1'), $signups, 'all active';
is_deeply [grep { mail_count($_) != 1 } @to], [], 'each got one mail';


subtest 'attack 38: a form that was used stays used' => sub {
    my $token = $nginx->http('GET', '/token')->{body};
    my $send = sub {
        return $nginx->http('POST', '/register', form => {
            username => $_[0], email => "$_[0]\@example.com",
            password => $password, confirm_password => $password,
            form_token => $token })->{status};
    };

    is $send->('form1'), 303, 'used';
    ok $nginx->reload(wait => 30), 'reload';
    is $send->('form2'), 303, 'once more';
    is sql("SELECT COUNT(*) FROM users WHERE username LIKE 'form%'"), 1,
       'one signs up';
};


subtest 'attack 31: a key is added, becomes the first, the old one goes' => sub {
    my $keys = $ENV{TEST_NGINX_KEY_FILE};
    my $n = 0;
    my $signup = sub {
        $n++;
        my $res = $nginx->http('POST', '/register', json => {
            username => "k$n", email => "k$n\@example.com",
            password => $password, confirm_password => $password });
        return { cookie => $res->{cookie}, code => code_for("k$n\@example.com") };
    };
    my $verify = sub {
        return $nginx->http('POST', '/verify-otp', cookie => $_[0]{cookie},
                            json => { otp => $_[0]{code} });
    };

    my @old = map { $signup->() } 1, 2;
    OtpReg::key_file($keys, 'k2', 'k1');
    ok $nginx->reload(wait => 30), 'reload';
    is $verify->($old[0])->{status}, 200, 'a code of the old key works';
    my $new = $signup->();
    is sql('SELECT key_name FROM otps ORDER BY id DESC LIMIT 1'), 'k2',
       'a new one is of the new key';

    OtpReg::key_file($keys, 'k2');
    ok $nginx->reload(wait => 30), 'reload';
    is $verify->($old[1])->{json}{code}, 'no_signup', 'the old key is gone';
    is $verify->($new)->{status}, 200, 'the new one stays';
};

is_deeply [$nginx->bad_log_lines], [], 'nothing bad in the log';
ok $nginx->quit(20), 'ends by itself';

done_testing();
