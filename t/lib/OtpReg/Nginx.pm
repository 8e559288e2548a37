package OtpReg::Nginx;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# An nginx of one's own, for what Test::Nginx cannot do: a master and several
# workers, reload, kill -9, several nodes at once.
#
#     use lib 't/lib';
#     use OtpReg -plain;
#     use OtpReg::Nginx;
#     use Test::More;
#
#     my $nginx = OtpReg::Nginx->start(default_config(), workers => 2,
#                                      http_config => default_http_config());
#     is $nginx->http('GET', '/register')->{status}, 200, 'form';
#     ok $nginx->kill_worker, 'a worker crashes, another comes';
#     ok $nginx->reload, 'reloaded';
#     ok $nginx->quit, 'left by itself';
#     is_deeply [$nginx->bad_log_lines(qr/exited on signal 9/)], [],
#               'nothing bad in the log';
#     done_testing();
#
# It has its own port and prefix (under TEST_NGINX_TEST_DIR) and is killed at
# the end of the .t file if it still runs.
#
# OtpReg::Nginx->start($config, %opt)  the inside of server {}, and
#
#     http_config, main_config   as in Test::Nginx; main_config has the thread
#                                pools unless it is given
#     workers     number of worker processes (1)
#     connections worker_connections (512)
#     port        (a free one); $TEST_NGINX_SERVER_PORT is this one too
#     log_level   (debug)
#     modules     modules to load instead of TEST_NGINX_LOAD_MODULES
#     location    1: location / serves prefix()/html, as Test::Nginx does (1)
#     must_start  0: return undef instead of dying (1)
#
# http($method, $path, %opt)  http_many([...])   as in OtpReg::HTTP, to this one
# port()  pid()  prefix()
# workers(old => 1)    their pids; old: also of those that are shutting down
# rss($pid)            memory in KiB: of a process, or an array of all workers'
# kill_worker($n)      kill -9 the n-th (0) and wait for its successor's pid
# reload(%opt)         with another config, http_config, main_config, workers
#                      if given; true when the new workers are there and the
#                      old ones accept no more; wait => seconds: are gone
# stop($seconds)       fast, quit($seconds): gracefully; true if nginx ended by
#                      itself with status 0; then status() is its wait status
# kill9()              the machine is gone: the master and all workers at once
# run()                start again after stop(), quit() or kill9(), same port
# test_config()        nginx -t: (exit status, output)
# dump_config()        nginx -T: the same
# error_log()  error_log_lines()  access_log()  stderr()
# wait_log($pattern, $seconds)     for a line in the error log
# bad_log_lines(@allowed)          alerts, crashes, sanitizers' and valgrind's
#                                  reports but for those that match @allowed
#
# TEST_NGINX_USE_VALGRIND=1 runs master and workers under valgrind (the more
# the slower: everything waits longer then); TEST_NGINX_LD_PRELOAD=libasan.so
# with its ASAN_OPTIONS goes to nginx only.

use v5.10.1;
use strict;
use warnings;

use File::Path qw(make_path);
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use OtpReg::Env qw(root_dir test_dir nginx_binary ld_preload free_port
                   start_process stop_process is_alive wait_until slurp spew
                   expand_env at_end);
use OtpReg::HTTP ();

my (@Started, $Registered);

sub start {
    my ($class, $config, %opt) = @_;
    state $serial = 0;

    my $self = bless { workers => 1, log_level => 'debug', location => 1,
                       must_start => 1, connections => 512, config => $config, %opt,
                       serial => ++$serial }, $class;

    $self->{port} //= free_port();
    $self->{prefix} = test_dir() . "/nginx$serial";
    make_path(map { "$self->{prefix}/$_" } qw(conf html logs));
    $self->write_conf;

    push @Started, $self;
    $Registered = at_end(sub { $_->kill9 for @Started }) if !$Registered;

    return $self->run;
}

sub run {
    my ($self) = @_;

    my @env = map { "LD_PRELOAD=$_" } join ' ', ld_preload();
    my @cmd = ('env', @env, valgrind($self), nginx_binary(), '-e',
               "$self->{prefix}/logs/error.log", '-p', "$self->{prefix}/",
               '-c', "$self->{prefix}/conf/nginx.conf", '-g', 'daemon off;');
    splice @cmd, 0, 2 if $env[0] eq 'LD_PRELOAD=';

    $self->{pid} = start_process({
        log => "$self->{prefix}/logs/stderr.log",
        signal => 'TERM',    # which the master passes on
    }, @cmd);

    wait_until(sub { $self->dead || $self->listens && $self->ready },
               patience(15));

    return $self if !$self->dead && $self->listens;

    $self->kill9;
    return undef if !$self->{must_start};
    die "nginx does not start:\n", $self->stderr,
        grep { /\[(?:emerg|alert)\]/ } $self->error_log_lines;
}

sub patience { $_[0] * ($ENV{TEST_NGINX_USE_VALGRIND} ? 6 : 1) }

sub valgrind {
    my ($self) = @_;

    return if !$ENV{TEST_NGINX_USE_VALGRIND};

    my $file = root_dir() . '/t/valgrind.suppress';
    return (qw(valgrind -q --leak-check=full --show-possibly-lost=no
               --errors-for-leak-kinds=definite --trace-children=yes
               --num-callers=50 --error-exitcode=99),
            "--log-file=$self->{prefix}/logs/valgrind.%p.log",
            -f $file ? "--suppressions=$file" : ());
}

sub write_conf {
    my ($self) = @_;

    my $prefix = $self->{prefix};
    my @modules = split ' ', $self->{modules}
                             // $ENV{TEST_NGINX_LOAD_MODULES} // '';
    my $load = join '', map { "load_module $_;\n" } @modules;
    my $user = $> == 0 ? 'user root;' : '';
    my $temp = join '', map { "    ${_}_temp_path $prefix/${_}_temp;\n" }
               qw(client_body proxy fastcgi uwsgi scgi);
    my $main = $self->{main_config}
               // ($load || defined $ENV{OTPREG_MODULE}
                   ? OtpReg::default_main_config() : '');
    my $root = $self->{location}
               ? "        location / { root $prefix/html; }\n" : '';

    my $conf = <<"EOC";
$user
worker_processes $self->{workers};
error_log $prefix/logs/error.log $self->{log_level};
pid $prefix/logs/nginx.pid;
env ASAN_OPTIONS;
env LD_PRELOAD;

$load
$main
events {
    worker_connections $self->{connections};
}

http {
    access_log $prefix/logs/access.log;
    default_type text/plain;
$temp
@{[ $self->{http_config} // '' ]}
    server {
        listen 127.0.0.1:$self->{port};
        server_name localhost;

@{[ $self->{config} // '' ]}
$root    }
}
EOC

    spew("$prefix/conf/nginx.conf",
         expand_env($conf, TEST_NGINX_SERVER_PORT => $self->{port},
                    TEST_NGINX_SERVER_ROOT => $prefix));
}

sub test_config { $_[0]->ask_config('-t') }
sub dump_config { $_[0]->ask_config('-T') }

sub ask_config {
    my ($self, $option) = @_;

    my $out = "$self->{prefix}/logs/test.log";
    unlink $out;
    my $pid = start_process({ log => $out }, nginx_binary(), $option, '-e',
                            "$self->{prefix}/logs/error.log", '-p',
                            "$self->{prefix}/", '-c',
                            "$self->{prefix}/conf/nginx.conf");
    waitpid $pid, 0;
    return ($? >> 8, slurp($out));
}

sub port   { $_[0]{port} }
sub pid    { $_[0]{pid} }
sub prefix { $_[0]{prefix} }

sub http {
    my ($self, $method, $path, %opt) = @_;
    return OtpReg::HTTP::http($method, $path, port => $self->{port}, %opt);
}

sub http_many {
    my ($self, $requests) = @_;
    return OtpReg::HTTP::http_many([
        map { [@$_[0, 1], port => $self->{port}, @$_[2 .. $#$_]] } @$requests
    ]);
}

sub workers {
    my ($self, %opt) = @_;

    return grep { my $title = slurp("/proc/$_/cmdline") // '';
                  $title =~ /shutting down/ ? $opt{old} : $title ne '' }
           children($self->{pid});
}

# direct children, but for cache managers and zombies

sub children {
    my ($parent) = @_;

    my @found;

    for my $stat (glob '/proc/[0-9]*/stat') {
        my ($pid, $state, $ppid) =
            (slurp($stat) // '') =~ /^(\d+) \(.*\) (\S) (\d+)/s or next;
        push @found, $pid if $ppid == $parent && $state ne 'Z';
    }

    return grep { (slurp("/proc/$_/cmdline") // '') !~ /cache (?:man|load)/ }
           sort { $a <=> $b } @found;
}

# reap the master if it is gone

sub dead {
    my ($self) = @_;

    return 1 if !$self->{pid};
    return 0 if waitpid($self->{pid}, WNOHANG) == 0;

    $self->{status} = $?;
    $self->{pid} = undef;
    return 1;
}

sub listens {
    my ($self) = @_;
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', Timeout => 1,
                                 PeerPort => $self->{port});
}

sub ready {
    my ($self) = @_;
    return $self->workers >= $self->{workers};
}

sub reload {
    my ($self, %opt) = @_;

    my $wait = delete $opt{wait};
    @$self{keys %opt} = values %opt;
    $self->write_conf if %opt;

    my %old = map { $_ => 1 } $self->workers;
    kill 'HUP', $self->{pid};

    my $done = wait_until(sub {
        my @now = $self->workers;
        (grep { !$old{$_} } @now) >= $self->{workers}
            && !grep { $old{$_} } @now;
    }, patience(10));

    $done &&= wait_until(sub { !grep { $old{$_} } $self->workers(old => 1) },
                         $wait)
        if $wait;

    return $done ? 1 : 0;
}

sub stop { $_[0]->leave('TERM', $_[1]) }
sub quit { $_[0]->leave('QUIT', $_[1]) }

sub kill_worker {
    my ($self, $n) = @_;

    my @old = $self->workers;
    kill 'KILL', $old[$n // 0] or return;

    return wait_until(sub {
        my ($new) = grep { my $pid = $_; !grep { $_ == $pid } @old }
                    $self->workers;
        $new;
    }, patience(10));
}

sub rss {
    my ($self, $pid) = @_;

    return map { $self->rss($_) } $self->workers if !defined $pid;
    return (slurp("/proc/$pid/status") // '') =~ /^VmRSS:\s*(\d+)/m ? $1 : 0;
}

sub leave {
    my ($self, $signal, $seconds) = @_;

    return 0 if $self->dead;

    my @workers = children($self->{pid});
    $self->{status} = stop_process($self->{pid}, $signal,
                                    $seconds // patience(20));
    kill 'KILL', @workers;    # only if the master had to be killed
    $self->{pid} = undef;
    return $self->{status} == 0;
}

sub kill9 {
    my ($self) = @_;

    return if $self->dead;

    # it may be about to replace a worker that was killed before
    kill 'STOP', $self->{pid};
    wait_until(sub { (slurp("/proc/$self->{pid}/stat") // '') =~ /\) T/ }, 5);

    my @workers = children($self->{pid});
    kill 'KILL', $self->{pid}, @workers;
    $self->{status} = stop_process($self->{pid}, 'KILL', 5);
    wait_until(sub { !grep { is_alive($_) } @workers }, 5);
    $self->{pid} = undef;
    return 1;
}

sub status { $_[0]{status} }

sub error_log  { slurp("$_[0]{prefix}/logs/error.log") // '' }
sub access_log { slurp("$_[0]{prefix}/logs/access.log") // '' }
sub stderr     { slurp("$_[0]{prefix}/logs/stderr.log") // '' }

sub error_log_lines { split /^/, $_[0]->error_log }

sub wait_log {
    my ($self, $pattern, $seconds) = @_;
    return wait_until(sub { $self->error_log =~ /$pattern/ ? 1 : 0 },
                      $seconds // 5, 0.05);
}

sub bad_log_lines {
    my ($self, @allowed) = @_;

    my @lines = grep {
        /\[(?:alert|emerg)\]|Sanitizer|runtime error:|exited on signal
         |Assertion .* failed/x
    } $self->error_log_lines, split /^/, $self->stderr;

    push @lines, split /^/, slurp($_)
        for glob "$self->{prefix}/logs/valgrind.*.log";

    return grep { my $line = $_; !grep { $line =~ $_ } @allowed } @lines;
}

1;
