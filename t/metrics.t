# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# otpreg_status: what is counted, over all workers and over reloads.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain;
use OtpReg::Nginx;
use OtpReg::Provider;
use Test::More;

my $password = 'correct horse battery staple';
my $provider = provider_start();
my $http = default_http_config()
           . "otpreg_password_hash memory=7m operations=5;\n"
           . "otpreg_resend_delay 0;\n"
           . "otpreg_fields username=required email=optional phone=optional;\n"
           . "otpreg_sms /courier/sms;\n";
my $config = default_config() . <<"END";
location = /status { otpreg_status; }
location = /nobody { otpreg_status; deny all; }
location = /courier/sms {
    internal;
    proxy_pass http://127.0.0.1:$provider/sms;
}
END

my $nginx = OtpReg::Nginx->start($config, workers => 4, http_config => $http,
                                 log_level => 'info');

sub status { $nginx->http('GET', '/status') }

# what has changed since the counters in $before

sub counters {
    my ($before) = @_;
    my %now = status()->{body} =~ /^(otpreg_\S+) (\d+)$/mg;
    return \%now if !$before;
    return { map { $now{$_} != $before->{$_}
                   ? ($_ => $now{$_} - $before->{$_}) : () } keys %now };
}

sub signup {
    my ($name, %more) = @_;
    return $nginx->http('POST', '/register', json => {
        username => $name, email => "$name\@example.com",
        password => $password, confirm_password => $password, %more });
}

sub verify {
    my ($res, $code) = @_;
    return $nginx->http('POST', '/verify-otp', cookie => $res->{cookie},
                        json => { otp => $code });
}

sub wait_counter {
    my ($before, $name, $n) = @_;
    return wait_until(sub { (counters($before)->{$name} // 0) >= $n }, 20);
}


subtest 'the format' => sub {
    my $res = status();
    is $res->{status}, 200, 'an answer';
    is $res->{headers}{'content-type'},
       'text/plain; version=0.0.4; charset=utf-8', 'its type';

    my (%help, %type, %seen, $family);
    for my $line (split /\n/, $res->{body}) {
        if ($line =~ /^# HELP (otpreg_[a-z_]+) (\S.*\.)$/) {
            $help{$1}++;
            $family = $1;
        } elsif ($line =~ /^# TYPE (otpreg_[a-z_]+) counter$/) {
            $type{$1}++;
        } elsif ($line =~ /^(otpreg_[a-z_]+_total)(?:\{[a-z]+="\w+"(?:,[a-z]+="\w+")?\})? 0$/) {
            fail("$1 is in another family: $family") if $1 ne $family;
            fail("$line is there twice") if $seen{$line}++;
        } else {
            fail("what is this: $line");
        }
    }
    is_deeply \%help, \%type, 'each family has one HELP and one TYPE';
    is_deeply [grep { $_ != 1 } values %help], [], 'exactly one';
    cmp_ok scalar keys %help, '>=', 12, 'families';
    like $res->{body}, qr/\n\z/, 'ends with a line end';
    is $nginx->http('HEAD', '/status')->{status}, 200, 'HEAD';
    is $nginx->http('POST', '/status', body => '')->{status}, 405, 'no POST';
    is $nginx->http('GET', '/nobody')->{status}, 403, 'access can be denied';
};


subtest 'a sign-up from the form to the end' => sub {
    my $before = counters();
    my $res = signup('anna');
    is $res->{status}, 201, 'signed up';
    my $code = code_for('anna@example.com');
    is verify($res, $code + 1 > 999999 ? '000000' : sprintf '%06d', $code + 1)
       ->{status}, 422, 'a wrong code';
    is $nginx->http('POST', '/resend-otp', cookie => $res->{cookie},
                    json => {})->{status}, 200, 'sent again';
    is verify($res, $code)->{status}, 200, 'the right code';
    ok wait_counter($before, 'otpreg_messages_sent_total{channel="email"}', 2),
       'two mails';
    is_deeply counters($before), {
        'otpreg_signups_total' => 1,
        'otpreg_resends_total' => 1,
        'otpreg_verified_total' => 1,
        'otpreg_codes_wrong_total' => 1,
        'otpreg_messages_sent_total{channel="email"}' => 2,
        'otpreg_refusals_total{code="code_wrong"}' => 1,
    }, 'each is counted once, and nothing else';
};


subtest 'wrong codes, and codes that are spent' => sub {
    my $before = counters();
    my $res = signup('bob');
    my $code = code_for('bob@example.com');
    my $wrong = $code eq '123456' ? '654321' : '123456';
    verify($res, $wrong) for 1 .. 7;
    verify($res, $code);
    my $now = counters($before);
    is $now->{otpreg_codes_wrong_total}, 7, 'seven wrong ones';
    is $now->{otpreg_codes_spent_total}, 4,
       'of which the last three came too late, and so did the right one';
    is $now->{otpreg_verified_total}, undef, 'nobody is active';
};


subtest 'what is refused' => sub {
    my $before = counters();
    signup('x y', email => 'nobody', password => 'short');
    $nginx->http('POST', '/verify-otp', json => { otp => '123456' });
    $nginx->http('POST', '/register', form => { a => 1 },
                 headers => { Origin => 'https://evil.example' });
    $nginx->http('GET', '/verify-otp');
    $nginx->http('GET', '/register');
    is_deeply counters($before), {
        'otpreg_refusals_total{code="invalid_fields"}' => 1,
        'otpreg_refusals_total{code="no_signup"}' => 1,
        'otpreg_refusals_total{code="cross_site"}' => 1,
        'otpreg_field_errors_total{code="username_invalid"}' => 1,
        'otpreg_field_errors_total{code="email_invalid"}' => 1,
        'otpreg_field_errors_total{code="password_too_short"}' => 1,
        'otpreg_field_errors_total{code="password_mismatch"}' => 1,
    }, 'by its code, forms only';
};


subtest 'messages' => sub {
    my $before = counters();
    smtp_behave({ cmd => 'RCPT', reply => '550 5.1.1 no such user' });
    signup('carl');
    ok wait_counter($before,
                    'otpreg_messages_given_up_total{channel="email"}', 1),
       'a mail is given up';
    smtp_behave({ cmd => 'RCPT', reply => '451 4.3.0 later', times => 1 });
    signup('cora');
    ok wait_counter($before,
                    'otpreg_messages_sent_total{channel="email"}', 1),
       'another is sent';
    is counters($before)->{'otpreg_messages_retried_total{channel="email"}'},
       1, 'at the second attempt';

    is signup('dora', email => '', phone => '+14155550100')->{status}, 201,
       'an SMS';
    ok wait_counter($before, 'otpreg_messages_sent_total{channel="sms"}', 1),
       'is sent';
};


subtest 'the database' => sub {
    my $before = counters();
    db_stop();
    is signup('emil')->{status}, 503, 'it is away';
    ok wait_counter($before, 'otpreg_database_down_total', 1), 'and counted';
    is counters($before)->{'otpreg_refusals_total{code="unavailable"}'}, 1,
       'and so is the refusal';
    db_start();
};


subtest 'attack 24: eight reloads, four workers, nothing is lost' => sub {
    my $before = counters();
    my $n = 0;
    for (1 .. 8) {
        my @res = $nginx->http_many([map {
            ['POST', '/verify-otp', timeout => 30, json => { otp => '123456' }]
        } 1 .. 50]);
        $n += grep { $_->{status} == 409 } @res;
        ok $nginx->reload(wait => 30), 'reload';
    }
    is $n, 400, 'four hundred answers';
    is counters($before)->{'otpreg_refusals_total{code="no_signup"}'}, 400,
       'four hundred counted';
};


is_deeply [$nginx->bad_log_lines], [], 'nothing bad in the log';
ok $nginx->quit(20), 'ends by itself';


subtest 'a server with nothing but the status' => sub {
    my $bare = OtpReg::Nginx->start('location = /s { otpreg_status; }',
                                    main_config => '');
    is $bare->http('GET', '/s')->{status}, 200, 'needs no pools, no database';
};

done_testing();
