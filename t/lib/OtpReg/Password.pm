package OtpReg::Password;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# A log-in as an application does it that knows only the table "users": the
# column "password" and crypto_pwhash_str_verify() of libsodium.
#
# logs_in($phc, $password)   1 or 0; the password, in characters or bytes, is
#                            brought to NFC first, as README.md asks for
# logs_in_raw($phc, $bytes)  the same without NFC

use v5.10.1;
use strict;
use warnings;

use IPC::Open2 qw(open2);
use Unicode::Normalize qw(NFC);

use Exporter 'import';

our @EXPORT = qw(logs_in logs_in_raw);

my $Verify = <<'END';
import ctypes, ctypes.util, sys
sodium = ctypes.CDLL(ctypes.util.find_library('sodium'))
assert sodium.sodium_init() >= 0
phc, password = [bytes.fromhex(x) for x in sys.stdin.read().split('\n')[:2]]
print(sodium.crypto_pwhash_str_verify(phc, password,
                                      ctypes.c_ulonglong(len(password))))
END

sub logs_in {
    my ($phc, $password) = @_;
    utf8::decode($password) if !utf8::is_utf8($password);
    my $bytes = NFC($password);
    utf8::encode($bytes);
    return logs_in_raw($phc, $bytes);
}

sub logs_in_raw {
    my ($phc, $bytes) = @_;

    my $pid = open2(my $out, my $in, '/usr/bin/python3', '-c', $Verify);
    print $in unpack('H*', $phc), "\n", unpack('H*', $bytes), "\n";
    close $in;
    my $said = <$out> // '';
    waitpid $pid, 0;
    die "python3 or libsodium failed\n" if $said !~ /^(0|-1)$/;
    return $1 == 0 ? 1 : 0;
}

1;
