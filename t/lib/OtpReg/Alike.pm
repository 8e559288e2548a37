package OtpReg::Alike;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Answers that must not tell whether an address has an account.
#
# bare($res)     all bytes of an answer but what must differ: the date, the
#                sealed bytes (their number stays), what was typed (user names
#                and addresses as u00001, a00001@example.com, +4930...), and
#                seconds that went by
# own($address)  give it an owner, as a sign-up makes one
# later($interval)   as if the newest message of all were older

use v5.10.1;
use strict;
use warnings;

use OtpReg::DB qw(sql);
use Exporter 'import';

our @EXPORT = qw(bare own later);

sub bare {
    my ($res) = @_;
    my $raw = $res->{raw};

    $raw =~ s/^Date: [^\r]*/Date:/m;
    $raw =~ s/^(Set-Cookie: otpreg=)([^;]*)/$1 . length $2/me;
    $raw =~ s/\b[au]\d{5,}(?:\@example\.com)?/sprintf "%d bytes", length $&/ge;
    $raw =~ s/\+4930\d+/sprintf "%d bytes", length $&/ge;
    $raw =~ s/\+4\*\*\*\d\d/masked/g;
    $raw =~ s/^(Retry-After: )(?:3[45]\d\d|3600)\r/$1an hour\r/m;
    $raw =~ s/(expires_in(?:":|=\[))[3-6]\d\d\b/$1most/g;
    $raw =~ s/(expires_minutes=\[)(?:[6-9]|10)\b/$1most/;
    $raw =~ s/(resend_in(?:":|=\[))[2-6]\d\b/$1most/g;
    $raw =~ s/wait [2-6]\d seconds/wait most seconds/;
    $raw =~ s/^(Retry-After: )[2-6]\d\r/$1a minute\r/m;

    return $raw;
}

sub own {
    my ($to) = @_;
    my $column = $to =~ /@/ ? 'email' : 'phone';

    sql("INSERT INTO users (username, username_key, $column, ${column}_key,
                            password, is_active, ${column}_verified_at,
                            verified_at, created_at)
         VALUES ('$to', '$to', '$to', '$to', '', 1, NOW(6), NOW(6), NOW(6))");
}

sub later {
    my ($interval) = @_;
    sql("UPDATE otps SET sent_at = sent_at - INTERVAL $interval;
         UPDATE sends SET sent_at = sent_at - INTERVAL $interval");
}

1;
