# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Attack 30: a core dump of a worker at rest, made for real where the kernel
# writes it into a file, holds no key, no password and no code; and a dump of
# the database without the key holds nothing to guess a code against.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain, -nosmtp;
use OtpReg::Nginx;
use Digest::MD5 qw(md5);
use Digest::SHA qw(sha1 sha256 sha512 hmac_sha256);
use File::Path qw(make_path);
use MIME::Base64 qw(encode_base64 decode_base64);
use Test::More;

# long enough that nothing of them is found by chance, and none is in another

my %secret = map { my $name = $_;
                   ($name => join '', map { chr 97 + rand 26 } 1 .. 40) }
             qw(database inline smtp signup wrong);
my $dir = test_dir();
my $user = 'relay';
my $port = smtp_start(auth => "$user:$secret{smtp}");
my $core_pattern = slurp('/proc/sys/kernel/core_pattern') // '';

sql("CREATE USER planted\@localhost IDENTIFIED BY '$secret{database}';
     GRANT ALL ON otpreg.* TO planted\@localhost;
     CREATE USER written\@localhost IDENTIFIED BY '$secret{inline}';
     GRANT ALL ON otpreg.* TO written\@localhost");
spew("$dir/db-password", "$secret{database}\n", 0600);
spew("$dir/smtp-password", "$secret{smtp}\n", 0600);
key_file("$dir/keys", 'k1', 'k2');

my ($http, $config) = (default_http_config(), default_config());
$http =~ s{user=\S+\s+password=\S+}{user=planted
           password_file=$dir/db-password};
$http =~ s{otpreg_key_file \S+;}{otpreg_key_file $dir/keys;};
$http .= "otpreg_password_hash memory=7m operations=5;\n"
         . "otpreg_code_length 10;\n";
$config =~ s{from=}{user=$user password_file=$dir/smtp-password from=};

make_path("$dir/cores");
my $main = default_main_config() . "worker_rlimit_core 2g;\n"
           . "working_directory $dir/cores;\n";

# keys as they are, as text, those that are derived from them to seal, and as
# HMAC has them in its two blocks

my @keys = map { /^\w+ (\S+)/ ? $1 : () } split /\n/, slurp("$dir/keys");
my %key = map { my $bin = decode_base64($keys[$_]);
                my $name = 'key ' . ($_ + 1);
                ($name => $bin, "$name in base64" => $keys[$_],
                 "$name in hex" => unpack('H*', $bin),
                 "$name, to seal" => subkey($bin),
                 "$name, inner block" => $bin ^ "\x36" x 32,
                 "$name, outer block" => $bin ^ "\x5c" x 32) } 0 .. $#keys;

# crypto_kdf_derive_from_key(..., 1, "otpregS1", ...)

sub subkey {
    my ($key) = @_;
    my $hex = unpack 'H*', $key;
    my $out = `python3 -c 'import hashlib; print(hashlib.blake2b(b"",
        digest_size=32, key=bytes.fromhex("$hex"), salt=b"\\1" + bytes(15),
        person=b"otpregS1" + bytes(8)).hexdigest())'`;
    $out =~ /^([0-9a-f]{64})$/ or die 'python3';
    return pack 'H*', $1;
}

# a password as it is, encoded for AUTH LOGIN and PLAIN, and what is left of it
# when free() has written into its first bytes

sub plain {
    my ($text) = @_;
    return ($text, encode_base64($text, ''),
            encode_base64("\0$user\0$text", ''), substr $text, 16);
}

# which of these texts are in some bytes

sub found {
    my ($bytes, %texts) = @_;
    return sort grep { index($$bytes, $texts{$_}) >= 0 } keys %texts;
}

# The memory of a process: all that it may write, or what a core dump would
# hold of it, by the flags of the mappings ("dd" is MADV_DONTDUMP), or what is
# locked ("lo").

sub memory {
    my ($pid, %opt) = @_;
    no warnings 'portable';                 # of hex(), for 64 bits
    my ($bytes, $from, $to) = ('');

    open my $maps, '<', "/proc/$pid/smaps" or die "smaps: $!";
    open my $mem, '<:raw', "/proc/$pid/mem" or die "mem: $!";

    while (<$maps>) {
        ($from, $to) = /^[0-9a-f]+-[0-9a-f]+ rw/
                       ? map { hex } /^(\w+)-(\w+)/ : ()
            if /^[0-9a-f]+-/;
        next if !/^VmFlags:(.*)/ || !defined $from
                || $opt{dumped} && $1 =~ / dd\b/
                || $opt{locked} && $1 !~ / lo\b/;
        sysseek $mem, $from, 0 or next;
        sysread $mem, $bytes, $to - $from, length $bytes;
    }

    return \$bytes;
}

my (%code, $n);

# Sign-ups, verified; one with a wrong code, one refused; the mails are sent,
# and the connections to the mail server and the database stay.

sub work {
    my ($nginx) = @_;
    $n++;

    for my $i (1 .. 4) {
        my $to = "u$n.$i\@example.com";
        my $res = $nginx->http('POST', '/register', form => {
            username => "u$n.$i", email => $to, password => $secret{signup},
            confirm_password => $secret{signup} });
        is $res->{status}, 303, "sign-up $n.$i" or diag $res->{raw};
        my $code = $code{"code $n.$i"} = code_for($to, 20);
        like $code, qr/^\d{10}$/, 'a code by mail';
        next if $i == 4;                    # it stays open
        $nginx->http('POST', '/verify-otp', cookie => $res->{cookie},
                     form => { otp => sprintf '%010d', ($code + 1) % 1e10 });
        is $nginx->http('POST', '/verify-otp', cookie => $res->{cookie},
                        form => { otp => $code })->{status}, 303, 'verified';
    }

    is $nginx->http('POST', '/register', json => { username => "x $n",
        email => "x$n\@example.com", password => $secret{wrong},
        confirm_password => "$secret{wrong}." })->{status}, 422, 'refused';
    ok wait_until(sub { !sql('SELECT COUNT(*) FROM messages
                              WHERE due_at IS NOT NULL') }, 20), 'all is sent';
}

# the bytes of a core dump of a worker; undef where none gets into a file

sub core {
    my ($nginx) = @_;

    return undef if $core_pattern !~ /^[\w.%]+$/;

    my ($pid) = $nginx->workers;
    kill 'ABRT', $pid;
    my $file;
    $nginx->wait_log(qr/worker process $pid exited on signal 6/, 30);
    ($file) = glob "$dir/cores/*" or return undef;
    my $bytes = slurp($file);
    unlink $file;
    return \$bytes;
}


for my $way ('password_file', 'password in nginx.conf') {
    my $inline = $way =~ /nginx.conf/;
    my $conf = $http;
    $conf =~ s{user=planted\s+password_file=\S+}
              {user=written password=$secret{inline}} if $inline;

    my $nginx = OtpReg::Nginx->start($config, http_config => $conf,
                                     main_config => $main,
                                     log_level => 'info');
    work($nginx);

    my ($worker) = $nginx->workers;
    my $database = $inline ? 'inline' : 'database';
    my %texts = (%key, %code,
                 map { my $k = $_; my @as = plain($secret{$k});
                       map { ("$k password/$_" => $as[$_]) } 0 .. $#as }
                 $database, qw(smtp signup wrong));

    my @left;
    wait_until(sub { !(@left = found(memory($worker, dumped => 1), %texts)) },
               10, 0.5);
    is_deeply \@left, [], "attack 30: $way: nothing in what would be dumped";

    # the search would see them: they are in memory that is not dumped

    my @kept = found(memory($worker), %texts);
    ok scalar(grep { /^key 1$/ } @kept), 'the key is in its memory';
    is scalar(grep { /^(?:smtp|$database) password\/0$/ } @kept), 2,
       'and the passwords of the database and of the mail server';
    is_deeply [grep { /^code|signup|wrong|base64|hex|seal|block/ } @kept], [],
              "attack 30: $way: no code, no password of a user anywhere";
    is_deeply [found(memory($worker, locked => 1), %texts)], \@kept,
              'and this memory is locked';

    my ($master) = $nginx->pid;
    is_deeply [found(memory($master, dumped => 1), %texts)], [],
              "attack 30: $way: nor in the master";

  SKIP: {
        skip 'core dumps do not go into a file here', 2
            if $core_pattern !~ /^[\w.%]+$/ || $ENV{TEST_NGINX_USE_VALGRIND};
        my $core = core($nginx);
        ok $core && index($$core, 'noreply@example.com') >= 0,
           'a core dump, with what is no secret';
        is_deeply [$core ? found($core, %texts) : 'none'], [],
                  "attack 30: $way: no key, password or code in a core dump";
    }

    my $conf_dump = join ' ', $nginx->dump_config;
    like $conf_dump, qr/otpreg_database.*name=otpreg;/s, 'nginx -T shows all';
    unlike $conf_dump, qr/\Q$secret{$database}/, 'but no password';

    unlike $nginx->error_log, qr/cannot be locked/, 'no warning';
    ok $nginx->quit(20), 'ends by itself';
    is_deeply [$nginx->bad_log_lines(qr/exited on signal 6/)], [],
              'nothing bad in the log';
}


# as root nothing limits what is locked: the capability goes

subtest 'where no memory may be locked' => sub {
    my $binary = OtpReg::Env::nginx_binary();
    spew("$dir/limited", "#!/bin/sh\nulimit -l 0\n"
         . "exec setpriv --bounding-set=-ipc_lock $binary \"\$@\"\n", 0755);
    local $ENV{TEST_NGINX_BINARY} = "$dir/limited";
    my $nginx = OtpReg::Nginx->start($config, http_config => $http,
                                     main_config => $main,
                                     log_level => 'info');
    my ($worker) = $nginx->workers;

    is_deeply [found(memory($worker, locked => 1), %key)], [],
              'nothing is locked';
    ok $nginx->wait_log(
        qr/\[warn\].*otpreg: secrets cannot be locked into memory/, 20),
        'a warning says so';
    is_deeply [found(memory($worker, dumped => 1), %key)], [],
              'but a core dump would have no key';
    is_deeply [found(memory($worker), 'key 1' => $key{'key 1'})], ['key 1'],
              'which is there';
    ok $nginx->quit(20), 'ends by itself';
} if $> == 0;


# as they may be written in nginx.conf

subtest 'a password is hidden however it is escaped' => sub {
    my %written = (
        'double quotes' => '"password=Esc#ped\\"hidden1\\\\hidden2"',
        'single quotes' => q('password=Esc#ped\'hidden1\t\\hidden2'),
        'no quotes' => 'password=Esc#ped\\"hidden1\\nhidden2\\x',
        'nothing escaped' => '"password=Esc#ped hidden1 hidden2"' );

    for my $how (sort keys %written) {
        my $http = default_http_config() =~ s/(otpreg_database )[^;]*;/
            $1 . "user=otpreg name=otpreg $written{$how};"/er;
        my $nginx = OtpReg::Nginx->start(default_config(),
                                         http_config => $http);
        my ($status, $dump) = $nginx->dump_config;
        is $status, 0, "$how: accepted";
        like $dump, qr/otpreg_database user=otpreg name=otpreg .?password=\*+/,
             'shown with asterisks';
        unlike $dump, qr/Esc#ped|hidden/, 'and nothing of it';
        ok $nginx->stop, 'stopped';
    }
};


# every column of every row, by "table.column"

sub dump_of {
    my ($of, @tables) = @_;
    my @cells;

    for my $table (@tables) {
        my @names = map { $_->[0] } sql("SELECT column_name
            FROM information_schema.columns WHERE table_schema = 'otpreg'
            AND table_name = '$table' ORDER BY ordinal_position");
        my @rows = sql('SELECT ' . join(', ', map { "HEX($_)" } @names)
                       . " FROM $table $of");
        for my $row (@rows) {
            push @cells, map { ["$table.$names[$_]", pack 'H*',
                                $row->[$_] // ''] } 0 .. $#names;
        }
    }

    return @cells;
}

# A search of 10^8 codes needs something to compare with.  The code is known
# here, so one look for what it, hashed with all that stands beside it, would
# be in the dump is as good as them all.

subtest 'attack 30: a database dump has nothing to guess a code against' => sub {
    my @dump = dump_of('', qw(users otps messages budgets sends));
    my $text = join "\n", map { $_->[1] } @dump;
    my %seen = map { $_->[1] => 1 } grep { length $_->[1] } @dump;
    my @found;

    cmp_ok scalar(@dump), '>', 300, 'a dump';

    for my $name (sort keys %code) {
        my $code = $code{$name};
        my @forms = ($code, $code + 0, pack('Q>', $code), pack 'Q<', $code);

        for my $beside ('', keys %seen) {
            my @inputs = $beside eq '' ? $code
                         : ("$code$beside", "$beside$code");
            for my $hash (\&md5, \&sha1, \&sha256, \&sha512) {
                push @forms, map { substr $hash->($_), 0, 8 } @inputs;
            }
            push @forms, map { substr $_, 0, 8 }
                hmac_sha256($code, $beside), hmac_sha256($beside, $code);
        }

        for my $form (@forms) {
            my ($hex, $base64) = (unpack('H*', $form),
                                  substr encode_base64($form, ''), 0, 10);
            push @found, $name
                if grep { index($text, $_) >= 0 } $form, $hex, uc $hex,
                                                  $base64;
        }
    }

    is_deeply \@found, [], 'no code, and no hash or MAC of one';
    is_deeply [grep { $_->[0] ne 'users.password' && $_->[1] =~ /^\$[ -~]*$/ }
               @dump],
              [], 'no password hash but of passwords';
};


# With another key under the same name the same rows give another code: they
# alone fit each code as well.

subtest 'attack 30: the rows of a sign-up do not determine its code' => sub {
    my $to = "u$n.4\@example.com";
    my @before = dump_of("WHERE address = '$to'", 'otps');

    spew("$dir/keys", join('', map { "$_ " . encode_base64(
        join('', map { chr rand 256 } 1 .. 32), '') . "\n" } qw(k1 k2)), 0600);
    sql("UPDATE messages SET due_at = NOW(6), sent_at = NULL, lease = NULL
         WHERE address = '$to'");

    my $nginx = OtpReg::Nginx->start($config, http_config => $http,
                                     log_level => 'info');
    my $other = code_for($to, 20, 2);
    like $other, qr/^\d{10}$/, 'its message is sent once more';
    isnt $other, $code{"code $n.4"}, 'with another code, by the other key';
    is_deeply [dump_of("WHERE address = '$to'", 'otps')], \@before,
              'while the row is the same';
    ok $nginx->quit(20), 'ends by itself';
};

done_testing();
