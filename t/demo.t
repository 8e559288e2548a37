# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# make demo, twice: a sign-up with the code that the terminal shows, and Ctrl-C
# leaves nothing behind.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain, -nodb, -nosmtp;
use POSIX ();
use Test::More;

my $root = OtpReg::Env::root_dir();
my $dir = test_dir() . '/demo';

for my $turn (1, 2) {
    my $out = test_dir() . "/demo.$turn";
    my $port = OtpReg::Env::free_port();

    my $pid = fork() // die "fork: $!";
    if (!$pid) {
        setpgrp;
        $SIG{INT} = 'DEFAULT';
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $out;
        open STDERR, '>&', \*STDOUT;
        $ENV{PORT} = $port;
        $ENV{OTPREG_DEMO_DIR} = $dir;
        $ENV{MODULE} = OtpReg::Env::module_path();
        $ENV{NGINX} = OtpReg::Env::nginx_binary();
        exec "$root/conf-examples/demo/run.sh" or POSIX::_exit(127);
    }
    OtpReg::Env::at_end(sub { kill 'INT', -$pid if kill 0, $pid });

    ok wait_until(sub { (slurp($out) // '')
                        =~ m{http://127\.0\.0\.1:$port/register} }, 60),
       "turn $turn: it says which page to open" or diag slurp($out);

    my %jar;
    is http('GET', '/register', port => $port, jar => \%jar)->{status}, 200,
       'the form';
    my $res = http('POST', '/register', port => $port, jar => \%jar, form => {
        username => "demo$turn", email => "demo$turn\@example.com",
        password => 'seven green umbrellas sing',
        confirm_password => 'seven green umbrellas sing' });
    is $res->{status}, 303, 'a sign-up';

    my $code;
    ok wait_until(sub { ($code) = slurp($out) =~ /^    \| (\d{6})$/m }, 10),
       'the code is on the terminal' or diag slurp($out);
    is http('POST', '/verify-otp', port => $port, jar => \%jar,
            form => { otp => $code })->{status}, 303, 'verified';
    is http('POST', '/register', port => $port, json => {
        username => 'demo1', email => 'x@example.com',
        password => 'seven green umbrellas sing',
        confirm_password => 'seven green umbrellas sing' })
        ->{json}{errors}[0]{code}, 'username_taken',
        'what was signed up stays from turn to turn' if $turn == 2;

    kill 'INT', -$pid;
    ok wait_until(sub { waitpid($pid, POSIX::WNOHANG()) != 0 }, 20),
       'Ctrl-C ends it';
    like slurp($out), qr/stopped\n\z/, 'and it says so';
    open my $pgrep, '-|', 'pgrep', '-af', $dir or die "pgrep: $!";
    is_deeply [<$pgrep>], [], 'nothing is left running';
}

done_testing();
