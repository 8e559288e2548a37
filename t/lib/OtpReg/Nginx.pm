package OtpReg::Nginx;

# An nginx of one's own, for what Test::Nginx cannot do: a master and several
# workers, reload, kill -9, several nodes at once.
#
#     use lib 't/lib';
#     use OtpReg -plain;
#     use OtpReg::Nginx;
#     use Test::More;
#
#     my $nginx = OtpReg::Nginx->start(OtpReg::default_config(), workers => 2,
#                           http_config => OtpReg::default_http_config());
#     is $nginx->http('GET', '/register')->{status}, 200, 'form';
#     kill 'KILL', ($nginx->workers)[0];
#     ok $nginx->reload, 'reloaded';
#     ok $nginx->quit, 'left by itself';
#     is_deeply [$nginx->bad_log_lines], [], 'nothing bad in the log';
#     done_testing();
#
# It has its own port and prefix (under TEST_NGINX_TEST_DIR) and is killed at
# the end of the .t file if it still runs.  With TEST_NGINX_USE_VALGRIND the
# master and the workers run under valgrind.

use v5.10.1;
use strict;
use warnings;

use File::Path qw(make_path);
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use OtpReg::Env qw(root_dir test_dir nginx_binary ld_preload free_port
                   start_process stop_process wait_until slurp spew expand_env
                   at_end);
use OtpReg::HTTP ();

my (@Started, $Registered);

# What is inside server {}, then
#
# http_config, main_config   as in Test::Nginx; main_config has the thread
#                            pools unless it is given
# workers     number of worker processes (1)
# port        the port (a free one); $TEST_NGINX_SERVER_PORT is this one too
# log_level   debug
# modules     modules to load instead of TEST_NGINX_LOAD_MODULES
# location    1: location / serves $prefix/html, as Test::Nginx does (1)
# must_start  0: return undef instead of dying

sub start {
    my ($class, $config, %opt) = @_;
    state $serial = 0;

    my $self = bless { workers => 1, log_level => 'debug', location => 1,
                       must_start => 1, config => $config, %opt,
                       serial => ++$serial }, $class;

    $self->{port} //= free_port();
    $self->{prefix} = test_dir() . "/nginx$serial";
    make_path(map { "$self->{prefix}/$_" } qw(conf html logs));
    $self->write_conf;

    push @Started, $self;
    $Registered = at_end(sub { $_->kill9 for @Started }) if !$Registered;

    return $self->run;
}

# start again after stop(), quit() or kill9(), on the same port and prefix

sub run {
    my ($self) = @_;

    my @env = map { "LD_PRELOAD=$_" } join ' ', ld_preload();
    my @cmd = ('env', @env, valgrind($self), nginx_binary(), '-e',
               "$self->{prefix}/logs/error.log", '-p', "$self->{prefix}/",
               '-c', "$self->{prefix}/conf/nginx.conf", '-g', 'daemon off;');
    splice @cmd, 0, 2 if $env[0] eq 'LD_PRELOAD=';

    $self->{pid} = start_process("$self->{prefix}/logs/stderr.log", @cmd);

    wait_until(sub { $self->dead || $self->listens && $self->ready },
               $ENV{TEST_NGINX_USE_VALGRIND} ? 60 : 15);

    return $self if !$self->dead && $self->listens;

    $self->kill9;
    return undef if !$self->{must_start};
    die "nginx does not start:\n", $self->stderr,
        grep { /\[(?:emerg|alert)\]/ } $self->error_log_lines;
}

sub valgrind {
    my ($self) = @_;

    return if !$ENV{TEST_NGINX_USE_VALGRIND};

    my $file = root_dir() . '/valgrind.suppress';
    return (qw(valgrind -q --leak-check=full --show-possibly-lost=no
               --trace-children=yes --num-callers=50 --error-exitcode=99),
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
    worker_connections 512;
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

# nginx -t: returns (exit status, output)

sub test_config {
    my ($self) = @_;

    my $out = "$self->{prefix}/logs/test.log";
    unlink $out;
    my $pid = start_process($out, nginx_binary(), '-t', '-e',
                            "$self->{prefix}/logs/error.log", '-p',
                            "$self->{prefix}/", '-c',
                            "$self->{prefix}/conf/nginx.conf");
    waitpid $pid, 0;
    return ($? >> 8, slurp($out));
}

sub port   { $_[0]{port} }
sub pid    { $_[0]{pid} }
sub prefix { $_[0]{prefix} }

# the same client as in OtpReg::HTTP, to this nginx

sub http {
    my ($self, $method, $path, %opt) = @_;
    return OtpReg::HTTP::http($method, $path, port => $self->{port}, %opt);
}

sub http_parallel {
    my ($self, $requests) = @_;
    return OtpReg::HTTP::http_parallel([
        map { [@$_[0, 1], port => $self->{port}, @$_[2 .. $#$_]] } @$requests
    ]);
}

# pids of the workers; those that are shutting down only if asked for

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

# Reload, with another configuration if one is given (config, http_config,
# main_config, workers).  True when new workers have come and the old ones
# take no more connections; wait => seconds: and are gone.

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
    }, $ENV{TEST_NGINX_USE_VALGRIND} ? 60 : 10);

    $done &&= wait_until(sub { !grep { $old{$_} } $self->workers(old => 1) },
                         $wait)
        if $wait;

    return $done ? 1 : 0;
}

# fast; returns true if nginx ended by itself with status 0

sub stop { $_[0]->leave('TERM', $_[1]) }

# gracefully

sub quit { $_[0]->leave('QUIT', $_[1]) }

sub leave {
    my ($self, $signal, $seconds) = @_;

    return 0 if $self->dead;

    my @workers = children($self->{pid});
    $self->{status} = stop_process($self->{pid}, $signal, $seconds // 20);
    kill 'KILL', @workers;    # only if the master had to be killed
    $self->{pid} = undef;
    return $self->{status} == 0;
}

# the machine is gone: the master and all workers at once

sub kill9 {
    my ($self) = @_;

    return if $self->dead;

    my @workers = children($self->{pid});
    kill 'KILL', $self->{pid}, @workers;
    $self->{status} = stop_process($self->{pid}, 'KILL', 5);
    wait_until(sub { !grep { kill 0, $_ } @workers }, 5);
    $self->{pid} = undef;
    return 1;
}

# wait status of the last master
sub status { $_[0]{status} }

sub error_log  { slurp("$_[0]{prefix}/logs/error.log") // '' }
sub access_log { slurp("$_[0]{prefix}/logs/access.log") // '' }
sub stderr     { slurp("$_[0]{prefix}/logs/stderr.log") // '' }

sub error_log_lines { split /^/, $_[0]->error_log }

# wait for a line in the error log

sub wait_log {
    my ($self, $pattern, $seconds) = @_;
    return wait_until(sub { $self->error_log =~ /$pattern/ ? 1 : 0 },
                      $seconds // 5, 0.05);
}

# What no run may leave in a log: alerts, crashes, sanitizer and valgrind
# reports.  Lines that match one of @allowed are left out.

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
