#!/usr/bin/perl

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# src/store against a private mariadbd: store_test does the work, its groups of
# tests are the subtests here.  It asks for what only we can do by lines
# "#control ..." and reads our answer from its standard input.
#
# STORE_TEST is the binary, by default build/unit/store_test, which is made
# when needed; STORE_TEST_ONLY=name runs the groups whose name contains it;
# STORE_TEST_SILENT is for how many seconds it may say nothing (300).

use strict;
use warnings;

use File::Basename qw(dirname);
use Cwd ();
use IPC::Open2 qw(open2);

use lib dirname(__FILE__) . '/../lib';
use OtpReg -plain, -nosmtp, -nomodule, -tcp;
use Test::More;

my $top = Cwd::abs_path(dirname(__FILE__) . '/../..');
my $binary = $ENV{STORE_TEST} // make_test();
my ($in, $out, $pid, $line);

BAIL_OUT("no $binary") unless -x $binary;


sub make_test {
    my $made = 'build/unit/store_test';

    local %ENV = %ENV;
    delete @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS)};

    system("make -s -C $top -f t/unit/unit.mk $made 1>&2") == 0
        or BAIL_OUT("cannot make $made");

    return "$top/$made";
}


# what store_test asked for; all are waited for until they are done

my %control = (
    stop => sub { db_stop() },
    start => sub { db_start(@_) },
    restart => sub { db_stop(); db_start(@_) },
    crash => sub { db_kill(); db_start() },
    freeze => sub { db_freeze() },
    thaw => sub { db_thaw() },

    # a database with the schema loaded by this server, as it runs now
    schema => sub {
        my ($name) = @_;

        sql("DROP DATABASE IF EXISTS $name;"
            . " CREATE DATABASE $name CHARACTER SET utf8mb4;"
            . " GRANT ALL ON $name.* TO otpreg\@localhost");
        sql_file("$top/sql/schema.sql", $name);
    },

    # a server with a certificate for that name
    tls => sub {
        my ($name) = @_;

        certificates($name);
        db_stop();
        db_start(db_is_mysql() ? '--tls-version=TLSv1.2,TLSv1.3' : (),
                 map { "--ssl-$_->[0]=" . test_dir() . "/tls/$_->[1].pem" }
                 ['ca', 'ca'], ['cert', "$name"], ['key', "$name-key"]);
    },

    # migrations number $from to $to; the first one makes the database
    migrate => sub {
        my ($name, $from, $to) = @_;

        if ($from == 1) {
            sql("DROP DATABASE IF EXISTS $name;"
                . " CREATE DATABASE $name CHARACTER SET utf8mb4;"
                . " GRANT ALL ON $name.* TO otpreg\@localhost");
        }

        sql_file($_, $name) for map { glob sprintf
            "$top/sql/migrations/%04d-*.sql", $_ } $from .. $to;
    },
);


# tls/ca.pem, which signs $name.pem with the key $name-key.pem, and other.pem

sub certificates {
    my ($name) = @_;
    my $dir = test_dir() . '/tls';
    my $new = 'openssl req -x509 -newkey rsa:2048 -nodes -days 2';

    mkdir $dir;
    spew("$dir/name", "subjectAltName=DNS:$name\n");

    for my $command (
        map({ "$new -subj /CN=$_ -keyout $_-key.pem -out $_.pem" }
            grep { !-e "$dir/$_.pem" } 'ca', 'other'),
        "openssl req -newkey rsa:2048 -nodes -subj /CN=$name"
            . " -keyout $name-key.pem -out name.csr",
        "openssl x509 -req -in name.csr -CA ca.pem -CAkey ca-key.pem -days 2"
            . " -set_serial 2 -extfile name -out $name.pem")
    {
        system("cd '$dir' && $command 2>>openssl.log") == 0
            or die "$command: see $dir/openssl.log\n";
    }
}


sub answer {
    my ($command, @args) = split ' ', $_[0];

    eval { $control{$command}->(@args); 1 } or BAIL_OUT("$command: $@");
    print {$in} "done\n";
    $in->flush;
}


# one group, until the headline of the next

sub group {
    while (defined($line = next_line())) {
        last if $line =~ /^# group: /;

        if ($line =~ /^(not )?ok \d+ - (.*)/) {
            ok(!$1, $2);

        } elsif ($line =~ /^#control (.*)/) {
            answer($1);

        } elsif ($line =~ /^# ?(.*)/) {
            diag($1);

        } elsif ($line !~ /^1\.\.\d+$/) {
            fail("unexpected output: $line");
        }
    }

    done_testing();
}


# a store_test that hangs is killed, and by that the run fails

sub next_line {
    my $silent = $ENV{STORE_TEST_SILENT} // 300;

    local $SIG{ALRM} = sub {
        diag("store_test has said nothing for $silent s: killed");
        kill 'KILL', $pid;
    };

    alarm $silent;
    my $next = <$out>;
    alarm 0;
    return $next;
}


$SIG{PIPE} = 'IGNORE';

$pid = open2($out, $in, $binary, $ENV{STORE_TEST_ONLY} // ());
$line = next_line();

while (defined $line && $line =~ /^# group: (.*)/) {
    subtest($1, \&group);
}

waitpid $pid, 0;

ok(!defined $line, 'nothing but groups of tests') or diag($line);
is($? & 127, 0, 'store_test: no signal');
is($? >> 8, Test::More->builder->is_passing ? 0 : 1,
   'store_test: exit status');

done_testing();
