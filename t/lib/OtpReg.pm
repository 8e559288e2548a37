package OtpReg;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# What the .t files stand on.
#
#     use lib 't/lib';
#     use OtpReg;                          # first: it sets the environment
#     use Test::Nginx::Socket 'no_plan';   # the installed one, else t/compat
#
#     run_tests();
#
#     __DATA__
#
#     === TEST 1: a sign-up, step by step
#     --- http_config eval: OtpReg::default_http_config()
#     --- config eval: OtpReg::default_config()
#     --- flow
#     my $res = http('POST', '/register', form => { email => 'a@b.test' });
#     is $res->{status}, 303, 'registered';
#     like code_for('a@b.test', 5), qr/^\d{6}$/, 'a code came by mail';
#     is sql('SELECT COUNT(*) FROM users'), 1, 'one user';
#
# "use OtpReg" starts a mariadbd with sql/schema.sql loaded and an SMTP stub,
# both for this .t process only, and exports
#
#     TEST_NGINX_DB_SOCKET  _DB_USER _DB_PASSWORD _DB_NAME  (_DB_PORT: -tcp)
#     TEST_NGINX_SMTP_PORT  TEST_NGINX_KEY_FILE
#     TEST_NGINX_TEST_DIR   build/t/<pid>; removed at the end, kept on failure
#     TEST_NGINX_PORT       a free one, and TEST_NGINX_SERVROOT in TEST_DIR,
#                           so that .t files may run side by side (prove -j)
#     TEST_NGINX_LOAD_MODULES, TEST_NGINX_BINARY  (see OTPREG_MODULE below)
#
# and it exports what OtpReg::DB, OtpReg::HTTP and OtpReg::SMTP export, see
# there, and
#
# default_main_config()  default_http_config()  default_config()
# key_file($path, @ids)   write a key file; the first id seals
# test_dir()              TEST_NGINX_TEST_DIR
# error_log_text()        the error log of the block that runs
# wait_until($code, $seconds, $step)   slurp($path)   spew($path, $text, $mode)
#
# Options:  use OtpReg -nodb;  -nosmtp;  -nomodule (nginx without our module);
# -plain (a Test::More file without Test::Nginx, see OtpReg::Nginx);  -tcp (the
# database also listens on TEST_NGINX_DB_PORT);  db_args => [...];  db_disk =>
# '128m' (the database on a small disk of its own, see db_fill()).
#
# OTPREG_MODULE=path takes another module file, OTPREG_MODULE= none: it is
# linked into nginx.
#
# --- flow
#
# Perl code, run in package main while nginx is up, with all that Test::More,
# OtpReg and the file's own subs and "our" variables offer; every ok() and is()
# is a line of TAP.  It runs from add_response_body_check(), that is after the
# block's request was answered and before its error_log, no_error_log and
# grep_error_log are checked, so these see all of it.  Without "--- request"
# one is made: GET / with any status.  It runs once a repetition, not in blocks
# skipped by skip_nginx, and a die in it is one failed test.  $block is at hand.
# "--- init" would also run while nginx is up, but runs in skipped blocks too,
# in Test::Nginx's own package, and a die in it ends the whole file.
#
# Blocks without "--- main_config" get default_main_config().

use v5.10.1;
use strict;
use warnings;

use MIME::Base64 qw(encode_base64);
use OtpReg::DB;
use OtpReg::Env qw(root_dir test_dir nginx_binary module_path free_port
                   is_alive wait_until slurp spew at_end);
use OtpReg::HTTP;
use OtpReg::SMTP;

our @EXPORT = (@OtpReg::DB::EXPORT, @OtpReg::HTTP::EXPORT,
               @OtpReg::SMTP::EXPORT,
               qw(default_main_config default_http_config default_config
                  key_file test_dir error_log_text wait_until slurp spew));

my ($Ready, %Option);

sub import {
    my ($class, @args) = @_;

    setup(@args) if !$Ready++;

    my $caller = caller;
    no strict 'refs';
    *{"${caller}::$_"} = \&{$_} for @EXPORT;
}

sub setup {
    while (defined(my $arg = shift)) {
        $arg =~ s/^-// ? ($Option{$arg} = 1) : ($Option{$arg} = shift);
    }

    my $dir = test_dir();

    $ENV{TEST_NGINX_TEST_DIR} = $dir;
    $ENV{TEST_NGINX_BINARY} = nginx_binary();
    $ENV{TEST_NGINX_KEY_FILE} = key_file("$dir/otpreg.keys", 'k1');
    setup_module();

    OtpReg::DB::setup(tcp => $Option{tcp}, args => $Option{db_args},
                         disk => $Option{db_disk})
        if !$Option{nodb};
    smtp_start() if !$Option{nosmtp};
    setup_runner() if !$Option{plain};
}

sub setup_module {
    if ($Option{nomodule}) {
        delete $ENV{TEST_NGINX_LOAD_MODULES};
        return;
    }

    return if defined $ENV{TEST_NGINX_LOAD_MODULES};

    my $module = module_path();
    die "$module is missing: build it first\n" if $module ne '' && !-f $module;
    $ENV{TEST_NGINX_LOAD_MODULES} = $module;
}

sub setup_runner {
    $ENV{TEST_NGINX_PORT} ||= $ENV{TEST_NGINX_SERVER_PORT} || free_port();
    $ENV{TEST_NGINX_SERVER_PORT} ||= $ENV{TEST_NGINX_PORT};
    $ENV{TEST_NGINX_SERVROOT} ||= test_dir() . '/servroot';

    at_end(\&kill_leftover);    # before the original is loaded: after its END

    push @INC, root_dir() . '/t/compat'
        if !grep { !ref && -f "$_/Test/Nginx/Socket.pm" } @INC;

    require Test::Nginx::Socket;

    # TEST_NGINX_RANDOMIZE makes the real one choose by itself
    $ENV{TEST_NGINX_PORT} = $ENV{TEST_NGINX_SERVER_PORT}
        = Test::Nginx::Socket->can('server_port')->();
    $ENV{TEST_NGINX_SERVROOT} = Test::Nginx::Socket->can('server_root')->();

    Test::Nginx::Socket->can('add_block_preprocessor')->(\&prepare_block);
    Test::Nginx::Socket->can('add_response_body_check')->(\&check_body);
}

# The original's nginx is a daemon, and an interruption may come when it does
# not know it yet.

sub kill_leftover {
    my ($pid) = (slurp("$ENV{TEST_NGINX_SERVROOT}/logs/nginx.pid") // '')
                =~ /^(\d+)$/ or return;
    my $command = slurp("/proc/$pid/cmdline") // '';

    return if index($command, $ENV{TEST_NGINX_SERVROOT}) < 0;
    kill 'TERM', $pid;
    wait_until(sub { !is_alive($pid) }, 3) or kill 'KILL', $pid;
}

sub prepare_block {
    my ($block) = @_;

    $block->set_value(main_config => default_main_config())
        if !defined $block->main_config && !$Option{nomodule};

    return if !defined $block->flow;

    if (!grep { defined $block->$_ } qw(request raw_request
                                        pipelined_requests))
    {
        $block->set_value(request => 'GET /');
        $block->set_value(error_code_like => '^\d{3}$')
            if !defined $block->error_code
               && !defined $block->error_code_like;
    }

    $block->set_value(config => '') if !defined $block->config;
}

# called by the runner after each request of a block

sub check_body {
    my ($block, $body, $index, $repeat, $dry_run) = @_;

    return if !defined $block->flow || $dry_run;

    my $requests = $block->pipelined_requests // $block->request;
    return if ref $requests eq 'ARRAY' && $index != $#$requests;

    run_flow($block, $block->flow, $block->name);
}

sub run_flow {
    my ($block, $code, $name) = @_;

    my $file = $name =~ s/["\n]/ /gr;
    my $sub = eval "package main; no strict 'refs';\n"
                   . "sub { my (\$block) = \@_;\n"
                   . qq{#line 1 "flow of $file"\n$code\n}
                   . "}";

    if (!$sub || !eval { $sub->($block); 1 }) {
        my $error = $@;
        Test::More::fail("$name - flow died");
        Test::More::diag($error);
    }
}

# ----- texts for nginx.conf

sub default_main_config {
    return <<'EOC';
thread_pool otpreg_hash threads=1 max_queue=64;
thread_pool otpreg_database threads=4;
thread_pool otpreg_mail threads=2;
EOC
}

sub default_http_config {
    return <<"EOC";
otpreg_database socket=$ENV{TEST_NGINX_DB_SOCKET} user=$ENV{TEST_NGINX_DB_USER}
                password=$ENV{TEST_NGINX_DB_PASSWORD}
                name=$ENV{TEST_NGINX_DB_NAME};
otpreg_key_file $ENV{TEST_NGINX_KEY_FILE};
otpreg_cookie_secure off;
otpreg_address_limit off;
otpreg_client_limit off;
otpreg_global_limit off;
otpreg_sms_limit off;
otpreg_sms_prefix_limit off;
otpreg_sms_verified_share off;
otpreg_response_time off;
EOC
}

# the three handlers and a courier to the SMTP stub

sub default_config {
    return <<"EOC";
otpreg_mail /courier/mail;

location = /register {
    otpreg_register /pages/register.html;
}

location = /verify-otp {
    otpreg_verify /pages/verify.html;
}

location = /resend-otp {
    otpreg_resend;
}

location = /courier/mail {
    internal;
    otpreg_smtp smtp://127.0.0.1:$ENV{TEST_NGINX_SMTP_PORT}
                from=noreply\@example.com;
}
EOC
}

# Write a key file with these ids; the first seals.  The keys are the same for
# the same id within a .t process.

sub key_file {
    my ($path, @ids) = @_;
    state %key;

    open my $random, '<:raw', '/dev/urandom' or die "/dev/urandom: $!\n";

    for my $id (@ids) {
        next if $key{$id};
        read($random, $key{$id}, 32) == 32 or die "/dev/urandom: $!\n";
    }

    return spew($path, join('', map { "$_ " . encode_base64($key{$_}, '')
                                      . "\n" } @ids), 0600);
}

# the error log of the block that runs

sub error_log_text {
    return slurp("$ENV{TEST_NGINX_SERVROOT}/logs/error.log") // '';
}

1;
