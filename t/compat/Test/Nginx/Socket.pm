package Test::Nginx::Socket;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# A small runner with the interface of openresty's Test::Nginx::Socket, used
# where that one is not installed.  Same sections, same meaning, same lines of
# TAP; no HTTP/2 and 3, curl, stap, HUP mode, and no TCP and UDP mocks.  Beyond
# the original, it runs nginx in the foreground as its child, and a block fails
# when the error log has an [alert], an [emerg] or a sanitizer report that the
# block does not ask for in error_log, when nginx crashes, and when valgrind
# reports something.

use v5.10.1;
use strict;
use warnings;

use Test::Base -base;

use Cwd qw(cwd);
use Digest::MD5 ();
use Digest::SHA ();
use File::Path qw(make_path remove_tree);
use IO::Socket::INET;
use List::Util qw(shuffle);
use POSIX qw(:sys_wait_h SIGKILL SIGTERM);
use Test::LongString;
use Test::Nginx::Socket::Client;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(
    add_block_preprocessor add_cleanup_handler add_response_body_check
    add_test_cleanup_handler bail_out check_accum_error_log config_preamble
    env_to_nginx html_dir is_str log_level master_off master_on
    master_process_enabled no_long_string no_nginx_manager no_root_location
    no_shuffle plan repeat_each run_test run_tests server_addr server_name
    server_port server_port_for_client server_root timeout use_hup
    worker_connections workers
);

our $ServerPort = $ENV{TEST_NGINX_SERVER_PORT} || $ENV{TEST_NGINX_PORT}
                  || 1984;
our $ServRoot = $ENV{TEST_NGINX_SERVROOT} || cwd() . '/t/servroot';

$ServRoot = cwd() . "/$ServRoot" if $ServRoot !~ m{^/};
$ENV{TEST_NGINX_SERVER_ROOT} = $ServRoot;

my $Binary = $ENV{TEST_NGINX_BINARY} || 'nginx';
my $ErrorLog = "$ServRoot/logs/error.log";
my $AccessLog = "$ServRoot/logs/access.log";
my $PidFile = "$ServRoot/logs/nginx.pid";
my $StdErr = "$ServRoot/logs/stderr.log";
my $Valgrind = $ENV{TEST_NGINX_USE_VALGRIND};
my $Verbose = $ENV{TEST_NGINX_VERBOSE};
my $Sleep = $ENV{TEST_NGINX_SLEEP} || 0.015;

my %Set = (
    accum => $ENV{TEST_NGINX_CHECK_ACCUM_ERR_LOG},
    addr => '127.0.0.1',
    client_port => $ENV{TEST_NGINX_CLIENT_PORT} || $ServerPort,
    connections => 64,
    level => $ENV{TEST_NGINX_LOG_LEVEL} || 'debug',
    manager => !$ENV{TEST_NGINX_NO_NGINX_MANAGER},
    master => $ENV{TEST_NGINX_MASTER_PROCESS} || 'off',
    name => 'localhost',
    preamble => '',
    repeat => 1,
    root => 1,
    shuffle => !$ENV{TEST_NGINX_NO_SHUFFLE},
    timeout => $ENV{TEST_NGINX_TIMEOUT} || 3,
    workers => 1,
);

my $Owner = $$;
my $Version;                    # of nginx, as 1.022001
my $Pid;                        # of the running nginx
my ($PrevBlock, $PrevConfig);
my ($LogPos, $BadPos) = (0, 0); # read up to here: by patterns, by bad_lines()
my %RandPort;
my (@EnvToNginx, @Preprocessors, @BodyChecks, @Cleanups, @TestCleanups);

# sections of the original that would pass unnoticed here
my @Unsupported = qw(
    curl http09 http2 http3 no_shutdown_error_log reload_fails request_eval
    response_body_eval response_body_json_sort shutdown_error_log skip_nginx2
    skip_openssl stap tcp_listen todo_nginx udp_listen write_resp_body_file
);


# settings

sub setting {
    my ($key, @value) = @_;
    $Set{$key} = $value[0] if @value;
    return $Set{$key};
}

sub log_level (@)              { setting('level', @_) }
sub repeat_each (@)            { setting('repeat', @_) }
sub server_addr (@)            { setting('addr', @_) }
sub server_name (@)            { setting('name', @_) }
sub server_port_for_client (@) { setting('client_port', @_) }
sub timeout (@)                { setting('timeout', @_) }
sub worker_connections (@)     { setting('connections', @_) }
sub workers (@)                { setting('workers', @_) }
sub config_preamble ($)        { $Set{preamble} = $_[0] }
sub check_accum_error_log ()   { $Set{accum} = 1 }
sub master_off ()              { $Set{master} = 'off' }
sub master_on ()               { $Set{master} = 'on' }
sub no_long_string ()          { $Set{no_long_string} = 1 }
sub no_nginx_manager ()        { $Set{manager} = 0 }
sub no_root_location ()        { $Set{root} = 0 }
sub no_shuffle ()              { $Set{shuffle} = 0 }
sub use_hup ()                 { }
sub html_dir ()                { "$ServRoot/html" }
sub server_root ()             { $ServRoot }

sub master_process_enabled (@) {
    return setting('master', @_ ? ($_[0] ? 'on' : 'off') : ());
}

sub server_port (@) {
    $ServerPort = $_[0] if @_;
    return $ServerPort;
}

sub env_to_nginx (@)               { push @EnvToNginx, @_ }
sub add_block_preprocessor (&)     { unshift @Preprocessors, $_[0] }
sub add_response_body_check ($)    { push @BodyChecks, $_[0] }
sub add_cleanup_handler ($)        { unshift @Cleanups, $_[0] }
sub add_test_cleanup_handler ($)   { unshift @TestCleanups, $_[0] }

sub bail_out (@) {
    cleanup();
    Test::More::BAIL_OUT("@_");
}

sub cleanup {
    $_->() for splice @Cleanups;
}

sub is_str (@) {
    my ($got, $expected, $name) = @_;

    return like($got, $expected, $name) if ref $expected eq 'Regexp';
    return Test::More::is($got, $expected, $name) if $Set{no_long_string};
    return is_string($got, $expected, $name);
}


# the run

sub run_tests () {
    $Version = nginx_version();
    $ENV{TEST_NGINX_SERVER_PORT} //= $ServerPort;

    for my $block ($Set{shuffle} ? shuffle(blocks()) : blocks()) {
        $_->($block) for @Preprocessors;

        $block->set_value(name => "$0 " . $block->name);
        run_test($block);
        $_->($block) for @TestCleanups;
        $PrevBlock = $block;
    }

    cleanup();
}

sub run_test ($) {
    my ($block) = @_;

    return if defined $block->SKIP;

    my $name = $block->name;
    my ($unsupported) = grep { defined $block->$_ } @Unsupported;
    bail_out("$name - $unsupported is not supported by t/compat")
        if $unsupported;

    %RandPort = ();
    my $config = expand(scalar $block->config, $name);
    my ($skip, $count, $reason) = skip_reason($block);
    my $restart = needs_restart($block, $config);

    if (!$skip && $restart) {
        stop_nginx();
        $PrevConfig = $config;
        prepare_server_root($block, $config);
        return must_die($block) if defined $block->must_die;
        start_nginx($block);
    }

    run_code($block, 'init');
    $LogPos = 0;

    for my $repeat (0 .. $Set{repeat} - 1) {
        write_user_files($block) if $repeat;
        run_once($block, $repeat, $skip, $count, $reason);
    }

    check_bad_lines($block) if !$skip;
}

sub run_code {
    my ($block, $section) = @_;

    my $code = $block->$section || return;
    eval "$code\n; 1" or bail_out($block->name . " - $section failed: $@");
}

sub run_once {
    my ($block, $repeat, $skip, $count, $reason) = @_;

    SKIP: {
        Test::More::skip($block->name . " - $reason", $count)
            if ($skip // '') eq 'skip';

        TODO: {
            Test::More::todo_skip($block->name . " - $reason", $count)
                if ($skip // '') eq 'todo';

            run_requests($block, $repeat);
        }
    }
}

# as the original: without config the block before must have had one

sub needs_restart {
    my ($block, $config) = @_;

    return 0 if !$Set{manager};
    bail_out($block->name . ' - no "--- config" here nor before')
        if !defined $config && !defined $PrevConfig;

    return 0 if !defined $config;
    return $ENV{TEST_NGINX_FORCE_RESTART_ON_TEST} // 1
           || defined $block->must_die || !$Pid
           || $config ne ($PrevConfig // '');
}

# returns ('skip' or 'todo', number of tests, reason), or nothing

sub skip_reason {
    my ($block) = @_;

    if (defined $block->skip_nginx) {
        my ($count, $op, @version) = $block->skip_nginx =~
            /^\s*(\d+)\s*:\s*([<>]=?)\s*(\d+)\.(\d+)\.(\d+)(?:\s*:\s*(.*?))?\s*$/
            or bail_out($block->name . ' - bad --- skip_nginx');
        my $reason = pop(@version)
                     || "nginx version $op " . join '.', @version;
        return ('skip', $count, $reason) if version_is($op, @version);
    }

    if (defined $block->skip_eval
        && $block->skip_eval =~ /^\s*(\d+)\s*:\s*(.*)/s)
    {
        my ($count, $code) = ($1, $2);
        my $true = eval $code;
        bail_out($block->name . " - skip_eval failed: $@") if $@;
        return ('skip', $count, 'skip_eval') if $true;
    }

    return ('todo', $1, $2)
        if defined $block->todo && $block->todo =~ /^\s*(\d+)\s*:\s*(.*)/s;
    return;
}

sub version_is {
    my ($op, @version) = @_;
    my $than = sprintf '%d.%03d%03d', @version;

    return $op eq '<'  ? $Version < $than  : $op eq '>' ? $Version > $than
         : $op eq '<=' ? $Version <= $than : $Version >= $than;
}

sub nginx_version {
    my $out = `$Binary -v 2>&1` // '';
    $out =~ m{\w+/(\d+)\.(\d+)\.(\d+)}
        or bail_out("cannot run $Binary -v: $out");
    return sprintf '%d.%03d%03d', $1, $2, $3;
}


# files

sub expand {
    my ($text, $name) = @_;

    return $text if !defined $text || ref $text;

    $text =~ s{\$(TEST_NGINX_RAND_PORT_\d+)}{$RandPort{$1} //= random_port()}ge;
    $text =~ s{\$(TEST_NGINX_[_A-Z0-9]+)}
              {$ENV{$1} // bail_out("$name - No environment $1 defined.")}ge;

    return $text;
}

sub random_port {
    for (1 .. 1000) {
        my $port = 10000 + int rand 22000;
        return $port if IO::Socket::INET->new(
            LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1,
            ReuseAddr => 1);
    }

    die "no free port found\n";
}

sub write_file {
    my ($path, $text) = @_;

    make_path($1) if $path =~ m{(.*)/} && !-d $1;
    open my $out, '>:raw', $path or bail_out("Can't write $path: $!");
    print $out $text;
    close $out or bail_out("Can't write $path: $!");
}

sub prepare_server_root {
    my ($block, $config) = @_;

    # only what is ours, should TEST_NGINX_SERVROOT be wrong
    remove_tree(map({ "$ServRoot/$_" } qw(conf html logs cache)),
                glob("$ServRoot/*_cache"), glob("$ServRoot/*_temp"));
    rmdir $ServRoot or bail_out("Can't remove $ServRoot: $!") if -d $ServRoot;
    make_path(map { "$ServRoot/$_" } qw(conf html logs));
    write_file("$ServRoot/html/index.html", '<html><head><title>It works!'
               . '</title></head><body>It works!</body></html>');

    run_code($block, 'post_setup_server_root');

    write_user_files($block);
    write_file("$ServRoot/conf/nginx.conf", nginx_conf($block, $config));
}

# ">>> name [date]" lines and contents, or [[name, contents, date], ...]

sub write_user_files {
    my ($block) = @_;

    my $files = $block->user_files or return;

    if (!ref $files) {
        my (undef, @part) = split /^.*?>>> (\S+)(?:[ \t]+(.+?))?[ \t]*(?:\n|\z)/m,
                                  $files;
        $files = [];
        push @$files, [@part[0, 2, 1]] and splice @part, 0, 3 while @part;
    }

    for my $file (@$files) {
        my ($path, $body, $date) = @$file;
        $path = "$ServRoot/html/$path" if $path !~ m{^/};
        write_file($path, expand($body // '', $block->name));

        local $ENV{TZ} = 'GMT';
        system('touch', '-t', $date, $path) == 0
            or bail_out("touch -t $date failed")
            if $date;
    }
}

sub nginx_conf {
    my ($block, $config) = @_;

    my $name = $block->name;
    my %text = map { $_ => expand(scalar $block->$_, $name) // '' }
               qw(http_config main_config post_main_config);
    my $load = join ' ', map { "load_module $_;" }
               split ' ', $ENV{TEST_NGINX_LOAD_MODULES} // '';
    my $log = expand(scalar $block->error_log_file, $name) || $ErrorLog;
    my $level = $block->log_level || $Set{level};
    my $host = ($block->server_name // $Set{name}) =~ s/([\\'])/\\$1/gr;
    my $env = join '', map { "env " . (/\s/ ? "'$_'" : $_) . ";\n" }
              qw(LD_PRELOAD LD_LIBRARY_PATH ASAN_OPTIONS), @EnvToNginx;
    my $temp = join '', map { /^(\w+) / && $text{http_config} =~ /\b$1\b/
                              ? '' : "    $_;\n" }
               map { "${_}_temp_path $ServRoot/${_}_temp" }
               qw(client_body proxy fastcgi scgi uwsgi);
    my $root = $Set{root} ? "        location / {\n"
               . "            root $ServRoot/html;\n"
               . "            index index.html index.htm;\n        }\n" : '';
    my $events = $ENV{TEST_NGINX_EVENT_TYPE}
                 ? "use $ENV{TEST_NGINX_EVENT_TYPE};" : '';
    my $user = $ENV{TEST_NGINX_WORKER_USER} // ($> == 0 ? 'root' : undef);
    $user = defined $user ? "user $user;" : '';
    $config //= '';

    return <<"EOC";
worker_processes $Set{workers};
daemon off;
master_process $Set{master};
error_log $log $level;
pid $PidFile;
$env
$load $text{main_config}

http {
    access_log $AccessLog;
    default_type text/plain;
    keepalive_timeout 68s;
$temp
$text{http_config}
    server {
        listen 127.0.0.1:$ServerPort;
        server_name '$host';
        client_max_body_size 30M;

$Set{preamble}
$config

$root    }
}

$text{post_main_config}

events {
    accept_mutex off;
    worker_connections $Set{connections};
    $events
}

$user
EOC
}


# the nginx process

sub command {
    my @cmd = ($Binary, '-e', $ErrorLog, '-p', "$ServRoot/", '-c',
               "$ServRoot/conf/nginx.conf");

    if ($Valgrind) {
        my @suppress = -f 't/valgrind.suppress'
                       ? '--suppressions=t/valgrind.suppress' : ();
        unshift @cmd, qw(valgrind -q --num-callers=100 --error-exitcode=99),
            $Valgrind =~ /^\d+$/
            ? (qw(--leak-check=full --show-possibly-lost=no
                  --errors-for-leak-kinds=definite --gen-suppressions=all),
               @suppress)
            : split ' ', $Valgrind;
    }

    my $preload = join ' ', grep { defined && length }
                  $ENV{TEST_NGINX_LD_PRELOAD}, $ENV{LD_PRELOAD};
    unshift @cmd, 'env', "LD_PRELOAD=$preload" if $preload ne '';

    # a master has workers to end
    unshift @cmd, 'setpriv', '--pdeathsig',
        $Set{master} eq 'on' ? 'TERM' : 'KILL'
        if -x '/usr/bin/setpriv';

    return @cmd;
}

# Returns the wait status if nginx ended, undef if it runs.  The pid file comes
# after the listening sockets.

sub launch {
    $BadPos = 0;
    $Pid = fork() // bail_out("fork() failed: $!");

    if (!$Pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', $StdErr;
        setpgrp;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE CHLD);

        { no warnings 'exec'; exec command(); }
        POSIX::_exit(127);
    }

    my $until = time() + ($Valgrind ? 60 : 30);

    while (time() < $until) {
        if (waitpid($Pid, WNOHANG) == $Pid) {
            my $status = $?;
            undef $Pid;
            return $status;
        }

        return if -s $PidFile;
        sleep 0.005;
    }

    bail_out('nginx neither starts nor ends');
}

sub start_nginx {
    my ($block) = @_;

    my $status = launch();

    if (defined $status) {
        print STDERR read_from($StdErr, 0);
        bail_out($block->name . " - Cannot start nginx (status $status).");
    }

    warn read_from($StdErr, 0) if $Verbose;
}

sub must_die {
    my ($block) = @_;

    my ($name, $expected) = ($block->name, $block->must_die);

    for my $repeat (0 .. $Set{repeat} - 1) {
        $LogPos = 0;
        my $status = launch();

        if (($status // 0) & 127) {
            fail("$name - nginx died of signal " . ($status & 127));

        } elsif ($expected =~ /^\d+$/) {
            Test::More::is(($status // 0) >> 8, $expected,
                           "$name - die with the expected exit code");

        } else {
            isnt($status // 0, 0, "$name - die as expected");
        }

        check_error_log($block, $repeat);
        check_bad_lines($block, 'emerg');
        stop_nginx() if !defined $status;
    }
}

# End nginx, look at how it ended and at what it wrote since the last check.

sub stop_nginx {
    my $pid = $Pid // return;
    undef $Pid;

    my $name = $PrevBlock ? $PrevBlock->name : $0;
    my $signal = $ENV{TEST_NGINX_FAST_SHUTDOWN} ? 'TERM' : 'QUIT';
    my $until = time() + ($Valgrind ? 60 : $Set{timeout});
    my $killed;

    kill $signal, $pid;

    while (waitpid($pid, WNOHANG) == 0) {
        if (time() > $until && !$killed++) {
            warn "$name - timeout when waiting for nginx $pid to exit\n";
            kill 'KILL', -$pid;
        }

        sleep 0.005;
    }

    my $status = $?;
    my $by = $status & 127;

    fail("$name - nginx ended with status $status")
        if !$killed && $status && $by != SIGKILL && $by != SIGTERM;

    my $output = read_from($StdErr, 0);
    if ($output =~ /^==\d+==/m) {
        fail("$name - valgrind reports nothing");
        diag($output);
    }

    check_bad_lines($PrevBlock) if $PrevBlock;
}



# requests

sub run_requests {
    my ($block, $repeat) = @_;

    local $Set{expand} = sub { expand($_[0], $block->name) };
    my @requests = eval { requests_of($block, \%Set) };
    bail_out($block->name . " - $@") if $@;
    my $pipelined = $block->pipelined_requests
                    ? @{ $block->pipelined_requests } : 0;
    my $total = $pipelined || @requests;
    my ($index, $reply) = (0, undef);

    for ($index = 0; $index < $total; $index++) {
        my ($res, $head);

        if (!$pipelined || !$index) {
            my $packets = $requests[$index];
            $head = $packets->[0]{value} =~ /^\s*HEAD\s/;
            warn "request: ", map({ $_->{value} } @$packets), "\n" if $Verbose;
            $reply = exchange($block, \%Set, $packets);
            warn "response: $reply\n" if $Verbose;
        }

        if (!defined $block->ignore_response) {
            ($res, my $left) = parse_response($block, $reply // '', $head);
            warn "WARNING: ", $block->name, " - unexpected extra bytes\n"
                if !$pipelined && defined $left;
            $reply = $left;
            check_response($block, $res, $index, $repeat, $total > 1);
        }

        sleep $block->wait if $block->wait;
        check_error_log($block, $repeat);
        check_access_log($block, $repeat) if !defined $block->ignore_response;
    }
}


# checks of the answer

# what a section expects of request $index

sub expected {
    my ($block, $section, $index, $many) = @_;

    my $value = $block->$section;
    return $value->[$index] if ref $value eq 'ARRAY';
    bail_out($block->name . " - many requests, but $section is no array")
        if $many;
    return $value;
}

sub check_response {
    my ($block, $res, $index, $repeat, $many) = @_;

    my $name = $block->name;
    my $want = sub { expected($block, $_[0], $index, $many) };

    if (defined $block->error_code_like) {
        my $pattern = $want->('error_code_like');
        like($res->{code}, qr/$pattern/sm, "$name - status code ok");

    } else {
        is($res->{code}, defined $block->error_code ? $want->('error_code')
                                                    : 200,
           "$name - status code ok");
    }

    if (defined $block->raw_response_headers_like) {
        my $pattern = $want->('raw_response_headers_like');
        like($res->{raw_headers}, qr/$pattern/s, "$name - raw resp headers like");
    }

    if (defined $block->raw_response_headers_unlike) {
        my $pattern = $want->('raw_response_headers_unlike');
        unlike($res->{raw_headers}, qr/$pattern/s,
               "$name - raw resp headers unlike");
    }

    if (defined $block->response_headers) {
        check_headers($name, $res, $want->('response_headers'), 0);

    } elsif (defined $block->response_headers_like) {
        check_headers($name, $res, $want->('response_headers_like'), 1);
    }

    filter_body($block, $res, $index);
    check_body($block, $res, "repeated req $repeat, req $index", $want);
    $_->($block, $res->{content}, $index, $repeat, 0) for @BodyChecks;
}

sub check_headers {
    my ($name, $res, $text, $like) = @_;

    my %expected;

    for (split /\n/, $text) {
        s/^\s+|\s+$//g;
        my ($key, $value) = s/^!\s*// ? ($_) : split /\s*:\s*/, $_, 2;
        $expected{$key} = $value if defined $key;
    }

    for my $key (sort keys %expected) {
        my $value = $expected{$key};
        my $got = $res->{headers}{lc $key} // '';

        if ($like) {
            $value //= '';
            like($got, qr/^$value$/, "$name - header $key like ok");

        } elsif (!defined $value) {
            unlike($res->{raw_headers}, qr/^\s*\Q$key\E\s*:/m,
                   "$name - header $key not present in the raw headers");

        } else {
            is($got, expand_port($value), "$name - header $key ok");
        }
    }
}

sub expand_port {
    my ($text) = @_;
    $text =~ s/\$ServerPort\b/$ServerPort/g;
    $text =~ s/\$ServerPortForClient\b/$Set{client_port}/g;
    return $text;
}

my %Filter = (
    md5_hex => \&Digest::MD5::md5_hex, sha1_hex => \&Digest::SHA::sha1_hex,
    uc => sub { uc $_[0] }, lc => sub { lc $_[0] },
    ucfirst => sub { ucfirst $_[0] }, lcfirst => sub { lcfirst $_[0] },
    length => sub { length $_[0] },
);

sub filter_body {
    my ($block, $res, $index) = @_;

    my $filters = $block->response_body_filters // return;
    $filters = [split ' ', $filters] if !ref $filters;
    $filters = [$filters] if ref $filters ne 'ARRAY';
    $filters = $filters->[$index]
               // bail_out($block->name . " - no filters for request $index")
        if ref $filters->[0] eq 'ARRAY';

    for my $filter (@$filters) {
        my $code = ref $filter eq 'CODE' ? $filter : $Filter{$filter};
        bail_out($block->name . " - unknown filter, \"$filter\"") if !$code;
        $res->{content} = $code->($res->{content});
    }
}

sub check_body {
    my ($block, $res, $which, $want) = @_;

    my $content = $res->{content};
    my $title = $block->name . ' - response_body';

    if (defined $block->response_body) {
        my $expected = $want->('response_body');
        $expected = expand(expand_port($expected), $block->name)
            if defined $expected && !ref $expected;
        return like($content, $expected, "$title - like ($which)")
            if ref $expected;

        is_str($content, $expected, "$title - response is expected ($which)");
        return;
    }

    my ($section) = grep { defined $block->$_ }
                    qw(response_body_like response_body_unlike) or return;
    my $pattern = $want->($section);
    $pattern = expand_port($pattern) if !ref $pattern;
    my $summary = substr $content =~ s/\s+/ /gr =~ s/^ | $//gr, 0, 200;
    my $check = $section =~ /unlike/ ? \&unlike : \&like;

    $check->($content, qr/$pattern/s,
             $block->name . " - $section - response is expected ($summary)");
}



# checks of the logs

sub read_from {
    my ($path, $pos) = @_;
    open my $in, '<:raw', $path or return '';
    seek $in, $pos, 0;
    local $/;
    return <$in> // '';
}

# the new lines, or all; what follows the end of a request is awaited

sub error_log_lines {
    sleep $Sleep * 3;
    my $text = read_from($ErrorLog, $Set{accum} ? 0 : $LogPos);
    $LogPos += length $text if !$Set{accum};
    return [split /^/, $text];
}

sub patterns {
    my ($section) = @_;

    return if !defined $section;
    return grep { defined } @$section if ref $section eq 'ARRAY';
    return ref $section ? $section : grep { length } split /\n+/, $section;
}

sub matches {
    my ($line, $pattern) = @_;
    return ref $pattern ? $line =~ $pattern : index($line, $pattern) >= 0;
}

sub check_patterns {
    my ($name, $lines, $file, $which, $wanted, $unwanted) = @_;

    for my $pattern (patterns($wanted)) {
        ok(scalar(grep { matches($_, $pattern) } @$lines),
           qq{$name - pattern "$pattern" matches a line in $file$which});
    }

    for my $pattern (patterns($unwanted)) {
        my ($line) = grep { matches($_, $pattern) } @$lines;
        ok(!defined $line, qq{$name - pattern "$pattern" does not match a line}
                           . " in $file$which");
        diag("it matches: $line") if defined $line;
    }
}

sub check_error_log {
    my ($block, $repeat) = @_;

    my $name = $block->name;
    my $lines = error_log_lines();

    bail_out("$name - only one of grep_error_log and grep_error_log_out")
        if defined $block->grep_error_log xor
           defined $block->grep_error_log_out;

    if (defined $block->grep_error_log) {
        my ($pattern, $out) = map { ref $_ eq 'ARRAY' ? $_->[$repeat] : $_ }
                              $block->grep_error_log,
                              $block->grep_error_log_out;
        my $regexp = ref $pattern ? $pattern : qr{\Q$pattern\E};
        my @found = map { /$regexp/ ? substr($_, $-[0], $+[0] - $-[0]) : () }
                    @$lines;
        my $got = join '', map { "$_\n" } grep { !/\n/ } @found;
        is_str($got, expand($out, $name),
               "$name - grep_error_log_out (req $repeat)");
    }

    check_patterns($name, $lines, 'error.log', " (req $repeat)",
                   scalar $block->error_log,
                   scalar $block->no_error_log);
}

sub check_access_log {
    my ($block, $repeat) = @_;

    return if !defined $block->access_log && !defined $block->no_access_log;

    sleep $Sleep * 3;
    check_patterns($block->name, [split /^/, read_from($AccessLog, 0)],
                   'access.log', " (req $repeat)",
                   scalar $block->access_log,
                   scalar $block->no_access_log);
}

# Fail on what no test may leave in the log unasked; $allowed is a level.

sub check_bad_lines {
    my ($block, $allowed) = @_;

    my @asked = map { patterns(scalar $block->$_) }
                qw(error_log no_error_log grep_error_log);
    my $text = read_from($ErrorLog, $BadPos);
    $BadPos += length $text;

    for my $line (split /\n/, $text) {
        next if $line !~ /(\[alert\]|\[emerg\]|\w+Sanitizer|runtime error: |Assertion .*failed)/;

        my $what = $1;
        next if $allowed && $what eq "[$allowed]";
        next if grep { matches($line, $_) || index($_, substr $what, 0, 6) >= 0 }
                @asked;

        fail($block->name . " - unasked in error.log: $line");
        diag($text) if $what =~ /Sanitizer/;
        last if $what =~ /Sanitizer/;
    }
}

END {
    if ($$ == $Owner) {
        local ($?, $!, $@);
        cleanup();
        stop_nginx();
    }
}

1;
