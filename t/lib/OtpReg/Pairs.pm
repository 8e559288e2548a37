package OtpReg::Pairs;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Whether what was sent belongs together: the code of each message is that of
# the sign-up of its recipient, and opens this one and no other.
#
# OtpReg::Pairs->new(%opt)   reads the database and what the stand-ins got
#
#     keys      a key file; codes are derived from it anew, here
#     ledger    [entries of OtpReg::Load]
#
# messages()       how many were compared
# wrong_sends()    what was sent to somebody else, or with another's code
# wrong_opens()    sign-ups that another code has opened, or their own has not
# open()           sign-ups that wait for their code: [{ u, cookie, code }]

use v5.10.1;
use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(decode_base64);
use OtpReg::DB;
use OtpReg::Env qw(slurp);
use OtpReg::Provider;
use OtpReg::SMTP;

sub new {
    my ($class, %opt) = @_;
    my $self = bless { %opt, key => subkeys($opt{keys}) }, $class;

    $self->{name} = { map { @$_ } sql('SELECT id, username FROM users') };
    $self->read_otps;
    $self->read_messages;

    for (grep { defined $_->{u} } @{ $self->{ledger} }) {
        push @{ $self->{by_user}{ $_->{u} } }, $_;
    }

    return $self;
}

# crypto_kdf_derive_from_key(..., 1, "otpregC1", ...), which is BLAKE2b

sub subkeys {
    my ($file) = @_;
    my %key = slurp($file) =~ /^(\w+) (\S+)$/mg;

    for my $name (keys %key) {
        my $hex = unpack 'H*', decode_base64($key{$name});
        my $out = `python3 -c 'import hashlib; print(hashlib.blake2b(b"",
            digest_size=32, key=bytes.fromhex("$hex"), salt=b"\\1" + bytes(15),
            person=b"otpregC1" + bytes(8)).hexdigest())'`;
        $out =~ /^([0-9a-f]{64})$/ or die "python3\n";
        $key{$name} = pack 'H*', $1;
    }

    return \%key;
}

sub derive {
    my ($self, $otp) = @_;

    my $key = $self->{key}{ $otp->{key_name} } // die "no $otp->{key_name}\n";
    my $mac = hmac_sha256(pack('a16 H32 C3 a16 n/a*', 'otpreg code v1',
                               @$otp{qw(id purpose channel digits key_name
                                        address)}), $key);
    my $value = 0;
    $value = ($value * 256 + $_) % 10 ** $otp->{digits}
        for unpack 'C16', $mac;

    return sprintf '%0*d', $otp->{digits}, $value;
}

sub read_otps {
    my ($self) = @_;

    for (sql('SELECT LOWER(HEX(id)), purpose, channel, digits, key_name,
              address, user_id, decoy, consumed_at IS NOT NULL,
              attempts < 4 AND expires_at > NOW(6) + INTERVAL 60 SECOND
              AND superseded_by IS NULL FROM otps'))
    {
        my %otp;
        @otp{qw(id purpose channel digits key_name address user decoy consumed
                live)} = @$_;
        $otp{code} = $self->derive(\%otp);
        $self->{otp}{ $otp{id} } = \%otp;
        push @{ $self->{to}{ $otp{address} } }, \%otp;
        push @{ $self->{of}{ $self->{name}{ $otp{user} } // '' } }, \%otp
            if !$otp{decoy};
    }

    for (sql('SELECT LOWER(HEX(id)), LOWER(HEX(otp_id)), template, address
              FROM messages'))
    {
        my %message;
        @message{qw(id otp template address)} = @$_;
        $self->{message}{ $message{id} } = \%message;
    }
}

# each { id, to => [recipients], codes => [all numbers that may be one] }

sub read_messages {
    my ($self) = @_;

    for (mails()) {
        my ($id) = ($_->{headers}{'message-id'} // '') =~ /^<(\w+)@/;
        my ($to) = ($_->{headers}{to} // '') =~ /([^\s<>]+\@[^\s<>]+)/;
        push @{ $self->{sent} }, {
            id => $id // '', to => [@{ $_->{rcpt} }, $to // ''],
            codes => [map { /\b(\d{6})\b/g } $_->{text} // '', $_->{html} // '',
                      $_->{subject} // ''] };
    }

    for (provider_requests()) {
        my $json = $_->{json} // {};
        push @{ $self->{sent} }, {
            id => $json->{message_id} // '', to => [$json->{to} // ''],
            codes => [grep { length } $json->{code} // '',
                      ($json->{text} // '') =~ /(?<!\d)(\d{6})(?!\d)/g] };
    }
}

sub messages { scalar @{ $_[0]{sent} // [] } }

sub wrong_sends {
    my ($self) = @_;
    my @wrong;

    for my $sent (@{ $self->{sent} }) {
        my $message = $self->{message}{ $sent->{id} };
        my $otp = $message && $self->{otp}{ $message->{otp} };
        my $name = "$sent->{id} to @{ $sent->{to} }";

        if (!$otp) {
            push @wrong, "$name: no such message";
            next;
        }

        my $code = $message->{template} eq 'otp' ? $otp->{code} : '';

        push @wrong, "$name: is to $message->{address}"
            if grep { $_ ne $message->{address} } @{ $sent->{to} };
        push @wrong, "$name: its OTP is for $otp->{address}"
            if $otp->{address} ne $message->{address};
        push @wrong, "$name: with @{ $sent->{codes} } instead of '$code'"
            if (grep { $_ ne $code } @{ $sent->{codes} })
               || $code ne '' && !@{ $sent->{codes} };
    }

    return @wrong;
}

# of those whose address has one OTP only it is known which code is theirs

sub wrong_opens {
    my ($self) = @_;
    my @wrong;

    for my $u (sort keys %{ $self->{by_user} }) {
        my @otps = @{ $self->{of}{$u} // [] };
        my ($to) = map { $_->{to} // () } @{ $self->{by_user}{$u} };
        my $alone = @otps == 1 && @{ $self->{to}{ $to // '' } // [] } == 1;

        for (grep { $_->{e} eq 'verify' } @{ $self->{by_user}{$u} }) {
            my $code = $_->{code};
            my @fits = grep { $_->{code} eq $code } @otps;
            push @wrong, "$u: opened by $code, which is not theirs"
                if $_->{status} == 200 && !grep { $_->{consumed} } @fits;
            push @wrong, "$u: $code was sent to $to, and is wrong"
                if $alone && $_->{own} && ($_->{error} // '') eq 'code_wrong';
        }
    }

    return @wrong;
}

sub open {
    my ($self) = @_;
    my @open;

    for my $u (sort keys %{ $self->{by_user} }) {
        my @otps = @{ $self->{of}{$u} // [] };
        my ($cookie) = map { $_->{cookie} // () }
                       reverse @{ $self->{by_user}{$u} };
        push @open, { u => $u, cookie => $cookie, code => $otps[0]{code} }
            if @otps == 1 && $otps[0]{live} && !$otps[0]{consumed} && $cookie;
    }

    return @open;
}

1;
