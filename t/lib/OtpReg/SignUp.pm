package OtpReg::SignUp;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# A person's steps of a sign-up by mail, as JSON, and what the database has
# of it.
#
# form(%more)             the fields of a sign-up; each has a name of its own
# signup(%more)           { to => address, name, cookie }; dies when refused;
#                         via => sub: instead of http()
# code($signup, $n)       the code of the newest of $n mails
# wrong($code, $k)        another one
# try_code($signup, $code)  resend($signup)
# later($signup, $s)      as if its newest message were $s (61) seconds older
# user($signup, $column)  otp($signup, $column)   of the newest OTP
# active($email_key)      the names of all that are active with an address
# counts()                of the rows of each table
# $Password               that of form()

use v5.10.1;
use strict;
use warnings;

use OtpReg::DB;
use OtpReg::HTTP;
use OtpReg::SMTP;
use Exporter 'import';

our @EXPORT = qw(form signup code wrong try_code resend later user otp active
                 counts $Password);

our $Password = 'correct horse battery staple';

sub form {
    my (%more) = @_;
    state $n = 0;
    $n++;
    my $password = $more{password} // $Password;
    return { username => "u$n", email => "u$n\@example.com",
             password => $password, confirm_password => $password, %more };
}

sub signup {
    my (%more) = @_;
    my $via = delete $more{via} // sub { http(@_) };
    my $form = form(%more);
    my $res = $via->('POST', '/register', json => $form);
    $res->{status} == 201 or die "no sign-up: $res->{raw}";
    return { to => $form->{email}, name => $form->{username},
             cookie => $res->{cookie} };
}

sub code { code_for($_[0]{to}, 10, $_[1]) // die "no code for $_[0]{to}" }

sub wrong { sprintf '%06d', ($_[0] + 1 + ($_[1] // 0)) % 1000000 }

sub try_code {
    my ($signup, $code) = @_;
    return http('POST', '/verify-otp', cookie => $signup->{cookie},
                json => { otp => $code });
}

sub resend { http('POST', '/resend-otp', cookie => $_[0]{cookie}, json => {}) }

sub later {
    my ($signup, $seconds) = @_;
    $seconds //= 61;
    sql("UPDATE otps SET created_at = created_at - INTERVAL $seconds SECOND,
         sent_at = sent_at - INTERVAL $seconds SECOND
         WHERE address = '$signup->{to}'");
}

sub user {
    return scalar sql("SELECT $_[1] FROM users
                       WHERE username = '$_[0]{name}'");
}

sub otp {
    return scalar sql("SELECT $_[1] FROM otps WHERE user_id =
                       (SELECT id FROM users WHERE username = '$_[0]{name}')
                       ORDER BY id DESC LIMIT 1");
}

sub active {
    return map { $_->[0] } sql("SELECT username FROM users
                                WHERE email_key = '$_[0]' AND is_active = 1");
}

sub counts {
    return join ' ', map { "$_ " . sql("SELECT COUNT(*) FROM $_") }
                     qw(users otps messages sends);
}

1;
